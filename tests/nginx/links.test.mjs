// Tokens that links give: what each may fetch, over every protocol, and that it is never more than the link's span.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { newFolder, decodesSilently, countPictures } from '../lib/history.mjs';
import { publish, startHls } from '../lib/hls.mjs';
import { Viewer, get, getBytes, startGate, token } from '../lib/hub.mjs';
import { until } from '../lib/nginx.mjs';
import { makeSource, writeRecordings } from '../lib/recordings.mjs';
import { openRaw } from '../lib/ws.mjs';

const DEADLINE = { timeout: 120_000 };
const NOON = Date.parse('2026-03-10T12:00:00Z');
const FROM = NOON + 10_000;
const TO = NOON + 20_000;
const LINKS = 2 ** 48;
const link = (n, over) => ({ sub: String(LINKS + n), ...over });
const span = { a: 'clip', f: FROM, t: TO };
const now = () => Math.floor(Date.now() / 1000);

const root = newFolder();
let hub;
let thumb;
let source;

before(async () => {
  source = await makeSource();
  writeRecordings(root, 'live/demo', source, { spans: [[NOON, NOON + 60_000]] });
  writeRecordings(root, 'live/other', source, { spans: [[NOON, NOON + 60_000]] });
  // key frames at 0, 20 and 40 s, an index line every 4 s
  writeRecordings(root, 'live/gop', source, { spans: [[NOON, NOON + 60_000]], step: 4, dependent: (n) => n % 5 !== 0 });
  writeRecordings(root, 'live/long', source, { spans: [[NOON, NOON + 300_000]], step: 10 });
  thumb = await startGate(() => Buffer.concat([6, 6, 3].map((type, i) => {
    const body = i === 0 ? Buffer.from('Content-Type: image/jpeg\r\n\r\nJPEG') : Buffer.alloc(type === 3 ? 8 : 0);
    return Buffer.concat([Buffer.from([1, type, 0, 1, 0, body.length, 0, 0]), body]);
  })));
  hub = await startHls({
    main: 'thread_pool disk threads=2;',
    listen: `sndbuf=32k; location ~ ^/m/[^/]+/rec/ { access_token_keys {{dir}}/keys; hub_history ${root};
      hub_history_threads disk; hub_history_thumbs @thumb; hub_history_clips 8 2; }
      location @thumb { fastcgi_param FILE $hub_history_file; fastcgi_param OFFSET $hub_history_offset;
        fastcgi_pass_request_headers off; fastcgi_pass unix:${thumb.path}; }
      root /nonexistent`,
    workers: 1,
  });
});

after(async () => {
  await hub?.stop();
  await thumb?.stop();
  fs.rmSync(root, { recursive: true, force: true });
});

const rec = (t, file, stream = 'live/demo') => `${hub.base}/m/${t}/rec/${stream}/${file}`;
const clip = (t, from, to, stream) => rec(t, `clip.mp4?from=${from}&to=${to}`, stream);
const statusOf = async (url) => (await getBytes(url)).status;
const viewStatus = async (url) => {
  const viewer = await Viewer.open(url);
  viewer.close();
  return viewer.status;
};
const wsStatus = async (url) => {
  const client = await openRaw(url);
  client.socket.destroy();
  return client.head.startsWith('HTTP/1.1 101') ? 200 : Number(client.head.split(' ')[1]);
};

/** Asks for URL and reads nothing of the answer: {request, status}. */
const slowReader = (url, options) => new Promise((resolve, reject) => {
  const request = http.get(url, { agent: false, ...options }, (response) => {
    response.pause();
    response.on('error', () => {});
    resolve({ request, status: response.statusCode });
  });
  request.on('error', reject);
});

// one letter a token; a cell names those that may have it
const holders = {
  v: ['to view', { a: 'view' }],
  r: ['to replay', { a: 'replay' }],
  w: ['to watch', { a: 'watch' }],
  C: ['of a link to a clip', link(5, span)],
  L: ['of a link to live', link(6, { a: 'view' })],
  x: ['of a link that says replay', link(7, { a: 'replay' })],
  y: ['of a link that says watch', link(7, { a: 'watch' })],
  z: ['of a link to a clip without a span', link(7, { a: 'clip' })],
  o: ["of a link to another stream's clip", link(8, span), 'live/other'],
  p: ['of a link to live that has a span', link(9, { a: 'view', f: FROM, t: TO })],
};

const file = '2026-03-10/12-00-00.000';
const cells = [
  ['live FLV', 'vwLp', (t) => viewStatus(hub.url('live/demo', t))],
  ['live FLV over a WebSocket', 'vwLp', (t) => wsStatus(hub.url('live/demo', t))],
  ['HLS: index', 'vwLp', (t) => statusOf(`${hub.hlsBase}/m/${t}/live/demo/index.m3u8`)],
  ['HLS: list', 'vwLp', (t) => statusOf(`${hub.hlsBase}/m/${t}/live/demo/live.m3u8`)],
  ['recordings: list', 'rw', (t) => statusOf(rec(t, `index.m3u8?from=${FROM}&to=${TO}`))],
  ['recordings: list of the last day', 'rw', (t) => statusOf(rec(t, 'index.m3u8')), 404],
  ['recordings: spans', 'rw', (t) => statusOf(rec(t, `spans.json?from=${FROM}&to=${TO}`))],
  ['recordings: file', 'rw', (t) => statusOf(rec(t, `${file}.mp4`))],
  ['recordings: segment', 'rw', (t) => statusOf(rec(t, segmentName()))],
  ['recordings: no such file', 'rw', (t) => statusOf(rec(t, 'nothing')), 404],
  ['thumb at the begin', 'rwC', (t) => statusOf(rec(t, `thumb.jpg?at=${FROM}`))],
  ['thumb at the end', 'rwC', (t) => statusOf(rec(t, `thumb.jpg?at=${TO}`))],
  ['thumb 1 s before', 'rw', (t) => statusOf(rec(t, `thumb.jpg?at=${FROM - 1000}`))],
  ['thumb 1 s behind', 'rw', (t) => statusOf(rec(t, `thumb.jpg?at=${TO + 1000}`))],
  ['clip: the span', 'rwC', (t) => statusOf(clip(t, FROM, TO))],
  ['clip: inside the span', 'rwC', (t) => statusOf(clip(t, FROM + 1000, TO - 1000))],
  ['clip: from 1 s before', 'rw', (t) => statusOf(clip(t, FROM - 1000, TO))],
  ['clip: from 1 ms before', 'rw', (t) => statusOf(clip(t, FROM - 1, TO))],
  ['clip: to 1 s behind', 'rw', (t) => statusOf(clip(t, FROM, TO + 1000))],
  ['clip: to 1 ms behind', 'rw', (t) => statusOf(clip(t, FROM, TO + 1))],
  ['clip: around it', 'rw', (t) => statusOf(clip(t, FROM - 1000, TO + 1000))],
  ['clip: in front of it', 'rw', (t) => statusOf(clip(t, FROM - 5000, FROM - 2000))],
  ['clip: behind it', 'rw', (t) => statusOf(clip(t, TO + 2000, TO + 5000))],
  ['clip: seconds instead of ms, before', 'rw', (t) => statusOf(clip(t, FROM / 1000 - 1, TO / 1000))],
  ['clip: without an end', 'rw', (t) => statusOf(rec(t, `clip.mp4?from=${FROM}`))],
  ['clip: only an end', 'rw', (t) => statusOf(rec(t, `clip.mp4?to=${TO}`))],
];

let segments;
const segmentName = () => `${file}.${segments[12].offset}-${segments[12].size}.m4s`;

test('what each token may have, over every protocol', DEADLINE, async () => {
  const index = fs.readFileSync(path.join(root, `live/demo/${file}.m3u8`), 'utf8');
  segments = [...index.matchAll(/BYTERANGE:(\d+)@(\d+)/g)].map(([, size, offset]) => ({ size, offset }));
  const publisher = await publish(hub, 'demo');
  await until(async () => (await getBytes(`${hub.hlsBase}/m/${token('live/demo')}/live/demo/live.m3u8`)).status === 200,
    'HLS to begin');
  const wrong = [];
  let count = 0;
  for (const [letter, [what, over, stream = 'live/demo']] of Object.entries(holders)) {
    for (const [cell, allowed, status, answer = 200] of cells) {
      const expected = allowed.includes(letter) ? answer : 403;
      const got = await status(token(stream, over));
      count++;
      if (got !== expected) wrong.push(`a token ${what}: ${cell}: ${got}, expected ${expected}`);
    }
  }
  await publisher.stop();
  assert.deepEqual(wrong, []);
  assert.equal(count, 260);
});

test('a link\'s clip has nothing outside its span, also where key frames are far apart', DEADLINE, async () => {
  const ask = (over, from, to) => getBytes(clip(token('live/gop', over), from, to, 'live/gop'));
  const wide = { f: NOON + 10_000, t: NOON + 35_000 };
  const ofLink = await ask(link(5, { a: 'clip', ...wide }), wide.f, wide.t);
  const ofUser = await ask({ a: 'replay' }, wide.f, wide.t);
  assert.deepEqual([ofLink.status, ofUser.status], [200, 200]);
  assert.match(ofLink.headers['content-disposition'], /gop-20260310T120020Z\.mp4/);
  assert.match(ofUser.headers['content-disposition'], /gop-20260310T120000Z\.mp4/);
  const out = path.join(root, 'clip.mp4');
  fs.writeFileSync(out, ofLink.body);
  assert.equal(await countPictures(out), 12 * 25, 'from the key frame at 20 s to 32 s');
  await decodesSilently(out);
  fs.writeFileSync(out, ofUser.body);
  assert.equal(await countPictures(out), 36 * 25);
  fs.rmSync(out);

  const none = { a: 'clip', f: NOON + 1000, t: NOON + 19_000 };
  assert.equal((await ask(link(5, none), none.f, none.t)).status, 404, 'no key frame in the span');
  const exact = { a: 'clip', f: NOON + 20_000, t: NOON + 40_000 };
  assert.match((await ask(link(5, exact), exact.f, exact.t)).headers['content-disposition'], /T120020Z/);
  const ofClip = token('live/gop', link(5, { a: 'clip', ...wide }));
  const at = (time) => statusOf(rec(ofClip, `thumb.jpg?at=${time}`, 'live/gop'));
  assert.deepEqual([await at(NOON + 15_000), await at(NOON + 22_000)], [404, 200]);
});

test('a link to live ends its viewers when it expires; a user\'s token does not', DEADLINE, async (t) => {
  const publisher = await publish(hub, 'until');
  t.after(() => publisher.stop());
  const exp = now() + 4;
  const ofLink = token('live/until', link(6, { a: 'view', exp }));
  const flv = await Viewer.open(hub.url('live/until', ofLink));
  const ws = await openRaw(hub.url('live/until', ofLink));
  const user = await Viewer.open(hub.url('live/until', token('live/until', { exp })));
  await Promise.all([flv.more(5), user.more(5)]);
  assert.equal(await statusOf(`${hub.hlsBase}/m/${ofLink}/live/until/index.m3u8`), 200);
  await until(() => flv.ended && ws.ended, 'both to end');
  const late = Date.now() / 1000 - exp;
  assert.ok(late >= 0, `${late} s after it expired`);
  assert.equal(ws.status, 1008);
  assert.equal(await statusOf(`${hub.hlsBase}/m/${ofLink}/live/until/index.m3u8`), 403);
  await user.more(50);
  user.close();
  t.diagnostic(`ended ${late.toFixed(2)} s after it expired`);
});

test('a link that is revoked ends its viewers alone, and its tokens are void', DEADLINE, async (t) => {
  const publisher = await publish(hub, 'revoked');
  t.after(() => publisher.stop());
  const made = { iat: now() - 5 };
  const [mine, other, user] = [link(16, made), link(17, made), made].map((over) => token('live/revoked', over));
  const viewers = [];
  for (const one of [mine, mine, other, user]) viewers.push(await Viewer.open(hub.url('live/revoked', one)));
  await Promise.all(viewers.map((viewer) => viewer.more(5)));
  const ofClip = token('live/demo', link(16, { ...span, ...made }));
  assert.equal(await statusOf(clip(ofClip, FROM, TO)), 200);
  const { json } = await hub.control(`revoke?user=${LINKS + 16}`);
  assert.equal(json.ended, 2);
  await until(() => viewers[0].ended && viewers[1].ended, 'the link\'s viewers to end');
  await Promise.all([viewers[2].more(10), viewers[3].more(10)]);
  assert.equal(await viewStatus(hub.url('live/revoked', mine)), 403);
  assert.equal(await statusOf(clip(ofClip, FROM, TO)), 403);
  for (const viewer of viewers) viewer.close();
});

test('the viewers of a link share hub_history_clips by address, and have half of it together', DEADLINE, async (t) => {
  const whole = { a: 'clip', f: NOON, t: NOON + 300_000 };
  const url = (n) => clip(token('live/long', link(n, whole)), whole.f, whole.t, 'live/long');
  const readers = [];
  t.after(() => readers.forEach((reader) => reader.request.destroy()));
  const opened = async (n, address) => {
    const reader = await slowReader(url(n), { localAddress: address });
    readers.push(reader);
    return reader.status;
  };
  assert.deepEqual([await opened(20, '127.0.0.1'), await opened(20, '127.0.0.1')], [200, 200]);
  assert.equal(await opened(20, '127.0.0.1'), 429, 'the third of an address');
  assert.deepEqual([await opened(20, '127.0.0.2'), await opened(20, '127.0.0.2')], [200, 200]);
  assert.equal(await opened(20, '127.0.0.3'), 429, 'the fifth of the link');
  assert.equal(await opened(21, '127.0.0.3'), 200, 'another link');
  const { text } = await get(url(20));
  assert.match(text, /clips are being sent/);
});
