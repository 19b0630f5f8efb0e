// thumb.jpg: the key frame that is requested, the request to the service, the
// cache, and that a cached picture needs a token, too.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { newFolder } from '../lib/history.mjs';
import { get, startGate, startHub, token } from '../lib/hub.mjs';
import { HOUR, writeRecordings } from '../lib/recordings.mjs';

const NOON = Date.parse('2026-03-10T12:00:00Z');
const replay = (stream, over = {}) => token(stream, { a: 'replay', ...over });
// nothing reads the media here: only sizes count
const source = { init: Buffer.alloc(812), fragments: Array(8).fill({ data: Buffer.alloc(1000) }) };

let root;
let hub;
let thumb;                       // stands in for duolu-thumb
let files;
let answer;
let write;                       // recordings without a byte of media

const picture = (bytes, head = 'Content-Type: image/jpeg\r\n') => {
  const body = Buffer.from(`${head}\r\n${bytes}`);
  const record = (type, data) =>
    Buffer.concat([Buffer.from([1, type, 0, 1, data.length >> 8, data.length & 255, 0, 0]), data]);
  return Buffer.concat([record(6, body), record(6, Buffer.alloc(0)), record(3, Buffer.alloc(8))]);
};

before(async () => {
  root = newFolder();
  write = (stream, options) => {
    const written = writeRecordings(root, stream, source, { media: false, ...options });
    for (const file of written) fs.writeFileSync(file.path, '');
    return written;
  };
  // from 11:59:40; a gap of 40 s at 12:00:20; continues from 12:01:00 to 12:01:15
  files = write('live/demo', { spans: [[NOON - 20_000, NOON + 20_000], [NOON + 60_000, NOON + 75_000]] });
  write('live/gop', { spans: [[NOON, NOON + 40_000]], step: 4, dependent: (n) => n % 5 !== 0 });
  write('live/now', { spans: [[Date.now() - 10_000, Date.now() + 100_000]], ended: false });
  thumb = await startGate((params, socket) => answer(params, socket));
  hub = await startHub({
    workers: 1,
    main: 'thread_pool disk threads=2;',
    http: 'fastcgi_cache_path {{dir}}/thumbs levels=2 keys_zone=thumbs:1m max_size=1m use_temp_path=off;',
    listen: `; location ~ ^/m/[^/]+/rec/ { access_token_keys {{dir}}/keys; hub_history ${root};
      hub_history_threads disk; hub_history_thumbs @thumb; }
      location ~ ^/none/m/[^/]+/rec/ { access_token_keys {{dir}}/keys; hub_history ${root}; hub_history_threads disk; }
      location = /strange { error_page 418 = @thumb; return 418; }
      location @thumb {
        fastcgi_param FILE $hub_history_file; fastcgi_param INIT $hub_history_init;
        fastcgi_param OFFSET $hub_history_offset; fastcgi_param SIZE $hub_history_size;
          fastcgi_param USER $hub_history_user;
        fastcgi_pass_request_headers off; fastcgi_pass_request_body off; fastcgi_pass unix:${thumb.path};
        add_header Cache-Control $hub_history_cache;
        fastcgi_cache thumbs; fastcgi_cache_key $hub_history_file:$hub_history_id:$hub_history_offset;
          fastcgi_cache_valid 200 7d; fastcgi_cache_lock on;
      }
      root /nonexistent`,
  });
});

after(async () => {
  await hub?.stop();
  await thumb?.stop();
  fs.rmSync(root, { recursive: true, force: true });
});

beforeEach(() => {
  thumb.questions.length = 0;
  answer = (params) => picture(`frame at ${params.OFFSET}`);
});

const ask = (stream, query = '', { t = replay(stream), prefix = '', ...options } = {}) =>
  get(`${hub.base}${prefix}/m/${t}/rec/${stream}/thumb.jpg${query}`, options);

test('the service gets the newest key frame at or before the moment, and nothing else', async () => {
  const [, second] = files;                 // 12:00:00 until 12:00:20, then from 12:01:00
  const { status, headers, text } = await ask('live/demo', `?at=${NOON + 7500}`, {
    headers: { cookie: 'a=b', 'x-secret': '1' },
  });
  assert.equal(status, 200);
  assert.equal(headers['content-type'], 'image/jpeg');
  const segment = second.segments[7];
  assert.equal(text, `frame at ${segment.offset}`);
  assert.deepEqual(thumb.questions, [
    {
      FILE: path.join(root, 'live/demo', second.file),
      INIT: String(source.init.length),
      OFFSET: String(segment.offset),
      SIZE: String(segment.size),
      USER: '7',
    },
  ]);
});

test('moments at the edges', async () => {
  const [first, second] = files;
  const found = async (stream, at) => {
    thumb.questions.length = 0;
    const { status } = await ask(stream, `?at=${encodeURIComponent(at)}&n=${Math.random()}`);
    if (status !== 200) return status;
    return thumb.questions.at(-1);
  };
  const is = (question, file, n) => {
    assert.equal(question.FILE, path.join(root, 'live/demo', file.file));
    assert.equal(question.OFFSET, String(file.segments[n].offset));
  };
  is(await found('live/demo', NOON - 20_000), first, 0);
  is(await found('live/demo', NOON - 1), first, 19);
  is(await found('live/demo', NOON), second, 0);
  is(await found('live/demo', '2026-03-10T13:00:03.5+01:00'), second, 3);
  // within the gap, and after the end: the last picture before
  is(await found('live/demo', NOON + 45_000), second, 19);
  is(await found('live/demo', NOON + 60_000), second, 20);
  is(await found('live/demo', NOON + 100_000), second, 34);
  assert.equal(await found('live/demo', NOON - 20_001), 404);
  assert.equal(await found('live/demo', NOON + HOUR), 404);
  assert.equal(await found('live/demo', 0), 404);
  assert.equal(await found('live/none', NOON), 404);
  assert.equal(await found('live/demo', 'yesterday'), 400);
  assert.equal(await found('live/demo', ''), 400);
});

test('in a segment without a key frame: the picture before it', async () => {
  await ask('live/gop', `?at=${NOON + 19_000}`);
  await ask('live/gop', `?at=${NOON + 21_000}`);
  assert.deepEqual(thumb.questions.map(({ OFFSET }) => Number(OFFSET)), [812, 812 + 5 * 4000]);
});

test('without a time: now', async () => {
  assert.equal((await ask('live/now')).status, 200);
  assert.equal(thumb.questions.length, 1);
});

test('no-store while a later picture may come for the moment', async () => {
  const kept = async (...args) => (await ask(...args)).headers['cache-control'];
  assert.deepEqual(
    [await kept('live/now'), await kept('live/now', `?at=${Date.now() + 200_000}`)],
    ['no-store', 'no-store'],
  );
  assert.deepEqual(
    [await kept('live/now', `?at=${Date.now() - 9000}`), await kept('live/demo', `?at=${NOON + 45_000}`)],
    Array(2).fill('private, max-age=86400'),
  );
});

test('a cached picture is not made again, and needs a token', async () => {
  const at = `?at=${NOON + 11_000}`;
  const first = await ask('live/demo', at);
  assert.equal(first.status, 200);
  // another token, another moment of the same segment
  for (const [query, options] of [
    [at],
    [`?at=${NOON + 11_999}`],
    [at, { t: replay('live/demo', { sub: '8' }) }],
    [at, { method: 'HEAD' }],
  ]) {
    const again = await ask('live/demo', query, options);
    assert.equal(again.status, 200);
    assert.equal(again.text, options?.method ? '' : first.text);
  }
  for (const t of [
    'x',
    token('live/demo'),
    replay('live/other'),
    replay('live/demo', { exp: 1 }),
    replay('live/demo').slice(0, -2),
  ]) {
    const { status, text } = await ask('live/demo', at, { t });
    assert.equal(status, 403);
    assert.ok(!text.includes('frame'));
  }
  assert.equal(thumb.questions.length, 1);
});

test('a revoked token gets no cached picture', async () => {
  const at = `?at=${NOON + 12_000}`;
  const t = replay('live/demo', { sub: '99', iat: Math.floor(Date.now() / 1000) - 10 });
  assert.equal((await ask('live/demo', at, { t })).status, 200);
  const { status } = await hub.control('revoke?user=99');
  assert.equal(status, 200);
  assert.equal((await ask('live/demo', at, { t })).status, 403);
  assert.equal((await ask('live/demo', at)).status, 200);
});

test('a deleted recording has no picture, and a new one of the same name has its own', async () => {
  const spans = { spans: [[NOON, NOON + 10_000]] };
  const at = `?at=${NOON + 5000}`;
  const [file] = write('live/anew', spans);
  answer = () => picture('before');
  assert.equal((await ask('live/anew', at)).text, 'before');
  fs.rmSync(file.path);
  const gone = await ask('live/anew', at);
  assert.equal(gone.status, 404, 'the file alone is gone');
  assert.match(JSON.parse(gone.text).error, /nothing was recorded then/);
  fs.rmSync(file.index);
  assert.equal((await ask('live/anew', at)).status, 404);

  write('live/anew', spans);                 // it may have the inode number of the first
  answer = () => picture('after');
  assert.equal((await ask('live/anew', at)).text, 'after');
  assert.equal(thumb.questions.length, 2);
});

test('a recording that grows keeps its pictures', async () => {
  const began = Date.now() - 20_000;
  const [file] = write('live/grows', { spans: [[began, began + 10_000]], ended: false });
  assert.equal((await ask('live/grows', `?at=${began + 1500}`)).status, 200);
  fs.utimesSync(file.path, new Date(), new Date(Date.now() + 5000));
  assert.equal((await ask('live/grows', `?at=${began + 1500}`)).status, 200);
  assert.equal(thumb.questions.length, 1);
});

test('simultaneous requests for a frame make it once', async () => {
  let socket;
  const asked = new Promise((resolve) => { answer = (params, from) => { socket = from; resolve(params); }; });
  const answers = Promise.all(Array.from({ length: 6 }, (_, i) => ask('live/demo', `?at=${NOON + 13_000}&n=${i}`)));
  await asked;
  // the one worker and its threads take one request after another: theirs came before these
  for (let i = 0; i < 3; i++) assert.equal((await ask('live/none')).status, 404);
  socket.end(picture('once'));
  for (const { status, text } of await answers) {
    assert.equal(status, 200);
    assert.equal(text, 'once');
  }
  assert.equal(thumb.questions.length, 1);
});

test('an error is passed on and not cached', async () => {
  const at = `?at=${NOON + 14_000}`;
  for (const status of [404, 500, 503]) {
    answer = () => picture('{}', `Status: ${status}\r\nContent-Type: application/json\r\nRetry-After: 1\r\n`);
    assert.equal((await ask('live/demo', at)).status, status);
  }
  answer = () => picture('at last');
  assert.equal((await ask('live/demo', at)).text, 'at last');
  assert.equal(thumb.questions.length, 4);
});

test('without hub_history_thumbs there are no pictures; the named location alone requests none', async () => {
  assert.equal((await ask('live/demo', `?at=${NOON}`, { prefix: '/none' })).status, 404);
  assert.equal(thumb.questions.length, 0);
  answer = () => picture('', 'Status: 404\r\n');
  assert.equal((await get(`${hub.base}/strange`)).status, 404);
  assert.deepEqual(thumb.questions, [{ FILE: '', INIT: '', OFFSET: '', SIZE: '', USER: '' }]);
});
