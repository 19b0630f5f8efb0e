// NAME.jpg: the key frame that the hub gives to duolu-thumb, how often, and whose token gets the picture.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { makeClip, makeHevcClip, output } from '../lib/clips.mjs';
import { feed, get, startGate, startHub, token } from '../lib/hub.mjs';
import { readMp4 } from '../lib/mp4.mjs';
import { testConfig, until } from '../lib/nginx.mjs';
import { aacFrame, aacHeader, interFrame, keyFrame, openPublisher, openStream } from '../lib/rtmp.mjs';

const STREAM = 'live/cam';

let hub;
let thumb;                       // stands in for duolu-thumb
let answer;
let client;
let source;

const reply = (bytes, head = 'Content-Type: image/jpeg\r\n') => {
  const body = Buffer.from(`${head}\r\n${bytes}`);
  const record = (type, data) =>
    Buffer.concat([Buffer.from([1, type, 0, 1, data.length >> 8, data.length & 255, 0, 0]), data]);
  return Buffer.concat([record(6, body), record(6, Buffer.alloc(0)), record(3, Buffer.alloc(8))]);
};

const LOCATIONS = (socket, interval = '4s') => `
  location ~ \\.jpg$ { access_token_keys {{dir}}/keys; hub_picture @picture ${interval}; }
  location = /strange { error_page 418 = @picture; return 418; }
  location @picture {
    fastcgi_param STREAM $hub_picture_stream; fastcgi_param SINCE $hub_picture_since;
    fastcgi_param SIZE $hub_picture_size; fastcgi_param USER $hub_picture_user;
    fastcgi_pass_request_headers off; fastcgi_pass unix:${socket};
    add_header Cache-Control "private, no-cache"; add_header ETag $hub_picture_tag;
    add_header X-Picture-Age $hub_picture_age;
    fastcgi_ignore_headers Cache-Control; fastcgi_cache pictures; fastcgi_cache_key $hub_picture_key;
    fastcgi_cache_valid 200 500 2m; fastcgi_cache_valid 404 10s; fastcgi_cache_lock on;
  }`;

before(async () => {
  thumb = await startGate((params, socket) => answer(params, socket));
  hub = await startHub({
    main: 'hub_grace 1s;',
    http: 'fastcgi_cache_path {{dir}}/pictures levels=2 keys_zone=pictures:1m use_temp_path=off;',
    listen: `; ${LOCATIONS(thumb.path)} root /nonexistent`,
  });
  client = await openPublisher('cam?key=a', { ...hub.rtmp, chunkSize: 4096 });
  source = feed(client, { key: keyFrame(90_000), inter: interFrame(500) });
  await until(async () => (await hub.stream(STREAM))?.window_ms > 200, STREAM);
});

after(async () => {
  source?.stop();
  await client?.close();
  await hub?.stop();
  await thumb?.stop();
});

beforeEach(() => {
  thumb.questions.length = 0;
  answer = (params) => reply(`${params.STREAM} ${params.SIZE}`);
});

const ask = (stream = STREAM, { t = token(stream), query = '', ...options } = {}) =>
  get(`${hub.base}/m/${t}/${stream}.jpg${query}`, options);

/** Publishes a stream of its own, with key frames all the time. */
async function publishMore(t, name) {
  const publisher = await openPublisher(`${name}?key=a`, { ...hub.rtmp, chunkSize: 4096 });
  const feeder = feed(publisher, { key: keyFrame(2000), inter: interFrame(200), gop: 5 });
  t.after(() => {
    feeder.stop();
    return publisher.close();
  });
  await until(async () => (await hub.stream(`live/${name}`))?.window_ms > 200, name);
  return { publisher, feeder };
}

test('the service gets the key frame as an MP4 in the body, and nothing of the request', async () => {
  const { status, headers, text } = await ask(STREAM, { headers: { cookie: 'a=b', 'x-secret': '1' }, query: '?x=1' });
  assert.equal(status, 200);
  assert.equal(headers['content-type'], 'image/jpeg');
  assert.equal(headers['cache-control'], 'private, no-cache');
  assert.match(headers.etag, /^"[0-9a-f]+-[0-9a-f]+"$/);
  assert.ok(Number(headers['x-picture-age']) < 30_000, headers['x-picture-age']);
  const [params] = thumb.questions;
  assert.deepEqual({ ...params }, { STREAM, SINCE: '0', SIZE: String(params.body.length), USER: '7' });
  assert.equal(text, `${STREAM} ${params.body.length}`);
  const { tracks } = readMp4(params.body);
  assert.equal(tracks.length, 1, 'the picture alone, without sound');
  const [{ samples: [sample], samples: { length }, kind, codec }] = tracks;
  assert.deepEqual([length, sample.key], [1, true], `${kind} ${codec}`);
  const frame = keyFrame(90_000).subarray(5);
  assert.ok(params.body.subarray(sample.offset, sample.offset + sample.size).equals(frame), 'the frame, unchanged');
});

for (const [codec, make] of Object.entries({ 'H.264': makeClip, 'H.265': makeHevcClip })) {
  test(`ffmpeg decodes the body of ${codec}`, async (t) => {
    const clip = await make({ seconds: 1, size: '320x180' });
    const name = codec.replace('.', '');
    const publisher = await openStream(hub.rtmp);
    t.after(() => publisher.close());
    publisher.setChunkSize(4096);
    await publisher.publish(`${name}?key=a`);
    for (const { type, body } of clip.headers) publisher[type === 9 ? 'sendVideo' : 'sendAudio'](0, body);
    for (const { type, body, dts } of clip.frames) publisher[type === 9 ? 'sendVideo' : 'sendAudio'](dts, body);
    await until(async () => (await hub.stream(`live/${name}`))?.window_ms > 0, name);
    assert.equal((await ask(`live/${name}`)).status, 200);
    const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'duolu-picture-')), 'frame.mp4');
    t.after(() => fs.rmSync(path.dirname(file), { recursive: true }));
    fs.writeFileSync(file, thumb.questions[0].body);
    const raw = await output('ffmpeg',
      ['-v', 'error', '-xerror', '-i', file, '-f', 'rawvideo', '-pix_fmt', 'gray', '-']);
    assert.equal(raw.length, 320 * 180, 'one picture');
  });
}

test('one picture of a stream for each interval, whoever asks of whichever worker', async (t) => {
  await publishMore(t, 'busy');            // five key frames a second
  const seen = new Map();                  // ETag -> moment
  const began = performance.now();
  await until(async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, (_, i) =>
      ask('live/busy', { t: token('live/busy', { sub: String(i + 1) }), query: `?${Math.random()}` })));
    for (const { status, headers } of answers) {
      assert.equal(status, 200);
      seen.set(headers.etag, performance.now() - began);
    }
    return seen.size === 4;
  }, 'four pictures', 60_000);
  assert.equal(thumb.questions.length, seen.size, 'each was made once');
  assert.ok(performance.now() - began > 2 * 4000 - 500, `${[...seen.values()]} ms`);
});

test('a known picture is 304, with its age, and asks for nothing', async () => {
  const { headers } = await ask();
  const before = thumb.questions.length;
  await until(async () => {
    const again = await ask(STREAM, { headers: { 'if-none-match': headers.etag } });
    if (again.status !== 304) return again.headers.etag !== headers.etag;     // a newer one, on a busy machine
    assert.equal(again.text, '');
    assert.ok(again.headers['x-picture-age'] > 0);
    assert.equal(thumb.questions.length, before);
    return true;
  }, '304');
  assert.equal((await ask(STREAM, { headers: { 'if-none-match': '"0-0"' } })).status, 200);
  assert.equal((await ask(STREAM, { method: 'HEAD' })).text, '');
  assert.equal((await ask(STREAM, { method: 'POST' })).status, 405);
});

test('a frame that cannot be decoded is tried once; a busy service is asked again', async (t) => {
  await publishMore(t, 'broken');
  const made = () => thumb.questions.length;
  answer = () => reply('{}', 'Status: 503\r\nContent-Type: application/json\r\nRetry-After: 1\r\n');
  for (let i = 0; i < 3; i++) assert.equal((await ask('live/broken')).status, 503);
  assert.equal(made(), 3);
  thumb.questions.length = 0;
  answer = () => reply('{}', 'Status: 500\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n');
  for (let i = 0; i < 20; i++) assert.equal((await ask('live/broken')).status, 500);
  assert.ok(made() <= 2, `${made()} requests to the service: at most one for each interval`);
});

test('sound alone has no picture; nor has a stream before its first key frame', async (t) => {
  const publisher = await openStream(hub.rtmp);
  t.after(() => publisher.close());
  await publisher.publish('radio?key=a');
  publisher.sendAudio(0, aacHeader());
  for (let i = 0; i < 50; i++) publisher.sendAudio(i * 23, aacFrame());
  await until(async () => (await hub.stream('live/radio'))?.window_ms > 0, 'sound');
  const { status, text } = await ask('live/radio');
  assert.deepEqual([status, JSON.parse(text).error], [404, 'the hub has no key frame of "live/radio" now']);
  assert.equal(thumb.questions.length, 0);
});

test('offline: the last picture is asked for, under the time of the newest revocation', async (t) => {
  const { publisher, feeder } = await publishMore(t, 'gone');
  assert.equal((await ask('live/gone')).status, 200);
  feeder.stop();
  await publisher.close();
  await until(async () => !(await hub.stream('live/gone')), 'the end of grace');
  thumb.questions.length = 0;
  answer = (params) => reply(`kept ${params.SINCE}`, 'X-Accel-Expires: 10\r\nContent-Type: image/jpeg\r\n');
  const kept = await ask('live/gone');
  assert.deepEqual([kept.status, kept.text, kept.headers.etag], [200, 'kept 0', undefined]);
  assert.deepEqual({ ...thumb.questions[0] }, { STREAM: 'live/gone', SINCE: '0', SIZE: '', USER: '7' });
  assert.equal(thumb.questions[0].body.length, 0);
  assert.equal((await ask('live/gone')).text, 'kept 0');
  assert.equal(thumb.questions.length, 1, 'cached for some seconds');

  const at = Math.floor(Date.now() / 1000) - 5;
  await hub.control(`revoke?stream=live/gone&at=${at}`);
  assert.equal((await ask('live/gone', { t: token('live/gone', { iat: at - 60 }) })).status, 403);
  assert.equal((await ask('live/gone')).text, `kept ${at}`, 'not the cached one from before');
  await hub.control(`revoke?user=99&stream=live/gone&at=${at + 1}`);
  assert.equal((await ask('live/gone')).text, `kept ${at}`, "another user's revocation voids no picture");
});

test('a picture needs a token that may view, for this stream, cached or not', async () => {
  assert.equal((await ask()).status, 200);
  assert.equal((await ask(STREAM, { t: token(STREAM, { a: 'watch' }) })).status, 200);
  const before = thumb.questions.length;
  for (const t of [
    'x',
    token('live/other'),
    token(STREAM, { a: 'replay' }),
    token(STREAM, { exp: 1 }),
    token(STREAM).slice(0, -2),
  ]) {
    const { status, text } = await ask(STREAM, { t });
    assert.deepEqual([status, text.includes(STREAM)], [403, false]);
  }
  assert.equal((await get(`${hub.base}/m/${STREAM}.jpg`)).status, 403);
  assert.equal((await get(`${hub.base}/m/${token(STREAM)}/rec/${STREAM}.jpg`)).status, 403);
  assert.equal(thumb.questions.length, before);
  assert.doesNotMatch(hub.nginx.log(), /eyJ/, 'a token in the log');
});

test('the named location alone asks for nothing of a stream', async () => {
  answer = () => reply('', 'Status: 404\r\n');
  assert.equal((await get(`${hub.base}/strange`)).status, 404);
  assert.deepEqual({ ...thumb.questions[0] }, { STREAM: '', SINCE: '', SIZE: '', USER: '' });
});

test('wrong configurations are refused with the reason', async () => {
  const conf = (directive) => `{{modules}} hub_zone test 8m; events {} http { fastcgi_cache_path {{dir}}/p
    keys_zone=pictures:1m; server { listen 127.0.0.1:{{port:http}}; location /m/ { ${directive} } } }`;
  for (const [directive, why] of [
    ['hub_picture picture;', /is no named location: expected a name such as "@picture"/],
    ['hub_picture @picture 900ms;', /hub_picture has the interval "900ms", expected at least 1s/],
    ['hub_picture @picture; hub_picture @other;', /is duplicate/],
    ['hub_picture @picture;', /has no "access_token_keys": without keys nobody may view/],
  ]) {
    const { code, output: text } = await testConfig({ conf: conf(directive), modules: ['rtmp', 'guard', 'hub'] });
    assert.notEqual(code, 0);
    assert.match(text, why);
  }
});
