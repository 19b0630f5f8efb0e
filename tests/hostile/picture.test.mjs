// Strangers and users ask for pictures of streams, as often and as strangely as they can: the service that decodes is
// asked once for each stream and interval, and nginx holds a bounded number of frames for it.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { test } from 'node:test';
import { feed, startGate, startHub, token } from '../lib/hub.mjs';
import { until } from '../lib/nginx.mjs';
import { interFrame, keyFrame, openPublisher } from '../lib/rtmp.mjs';
import { selfSigned } from '../lib/tls.mjs';

const STREAM = 'live/cam';
const INTERVAL_MS = 4000;        // of conf/nginx.conf.in

const picture = (bytes) => {
  const body = Buffer.from(`Content-Type: image/jpeg\r\n\r\n${bytes}`);
  const record = (type, data) =>
    Buffer.concat([Buffer.from([1, type, 0, 1, data.length >> 8, data.length & 255, 0, 0]), data]);
  return Buffer.concat([record(6, body), record(6, Buffer.alloc(0)), record(3, Buffer.alloc(8))]);
};

/** nginx as shipped, with a service for pictures that answers by `answer`. */
async function start(t, answer, { workers = 2 } = {}) {
  const pair = selfSigned();
  const thumb = await startGate(answer);
  t.after(() => thumb.stop());             // also when nginx does not start: a server would keep the test running
  const hub = await startHub({
    workers,
    shipped: true,
    main: 'thread_pool history threads=2;',
    files: { crt: pair.crt, key: pair.key },
  });
  t.after(() => hub.stop());
  fs.symlinkSync(thumb.path, path.join(hub.nginx.dir, 'thumb.sock'));
  return { hub, thumb, base: `https://127.0.0.1:${hub.nginx.ports.https}` };
}

function ask(agent, base, target, method = 'GET') {
  const { hostname, port } = new URL(base);
  return new Promise((resolve, reject) => {
    const request = (base.startsWith('https') ? https : http).request(
      { hostname, port, path: target, method, agent, rejectUnauthorized: false },
      (response) => {
        let text = '';
        response.on('data', (data) => { text += data; });
        response.on('end', () => resolve({ status: response.statusCode, text }));
        response.on('error', reject);
      },
    );
    request.on('error', reject);
    request.end();
  });
}

async function live(t, hub, name, key, gop = 25) {
  const publisher = await openPublisher(`${name}?key=a`, { ...hub.rtmp, chunkSize: 65536 });
  const source = feed(publisher, { key, inter: interFrame(200), gop });
  t.after(() => {
    source.stop();
    return publisher.close();
  });
  await until(async () => (await hub.stream(`live/${name}`))?.window_ms > 0, name);
}

test('floods of requests for pictures', async (t) => {
  const { hub, thumb, base } = await start(t, ({ STREAM: name }) => picture(`picture of ${name}`));
  await live(t, hub, 'cam', keyFrame(20_000));
  const agent = new https.Agent({ keepAlive: true, maxSockets: 50 });
  t.after(() => agent.destroy());

  await t.test('of a user: the picture is made once for each interval', async () => {
    const began = performance.now();
    const spellings = [
      `/m/${token(STREAM)}/${STREAM}.jpg`,
      `/m/${token(STREAM, { sub: '8' })}/${STREAM}.jpg?${'x'.repeat(200)}`,
      `//m/./${token(STREAM, { sub: '9' })}/live/x/../cam.jpg`,
      `/m/${token(STREAM, { a: 'watch' })}/live/%63am.jpg`,
    ];
    const seen = await Promise.all(Array.from({ length: 700 }, (_, i) =>
      ask(agent, base, spellings[i % spellings.length], i % 7 ? 'GET' : 'HEAD')));
    const good = seen.filter(({ status }) => status === 200).length;
    const intervals = Math.ceil((performance.now() - began) / INTERVAL_MS) + 1;
    assert.deepEqual([...new Set(seen.map(({ status }) => status))].filter((s) => s !== 200 && s !== 429), []);
    assert.ok(good > 100, `${good} of 700`);
    assert.ok(thumb.questions.length <= intervals, `${thumb.questions.length} in ${intervals} intervals`);
    t.diagnostic(`${good} pictures in ${Math.round(performance.now() - began)} ms, ${thumb.questions.length} made`);
  });

  await t.test('of strangers, and of a user of another stream: no picture, no request to the service', async () => {
    thumb.questions.length = 0;
    const other = token('live/other');
    const targets = [
      `/m/${other}/${STREAM}.jpg`,
      `/m/${token(STREAM, { a: 'replay' })}/${STREAM}.jpg`,
      `/m/${token(STREAM, { exp: 1 })}/${STREAM}.jpg`,
      `/m/${token(STREAM, {}, { key: Buffer.alloc(32, 8) })}/${STREAM}.jpg`,
      `/m/none/${STREAM}.jpg`,
      `/m/${STREAM}.jpg`,
      `/m/${other}/live/other/../cam.jpg`,
      `/m/${other}/live%2fcam.jpg`,
      `/m/${other}//cam.jpg`,
    ];
    const seen = await Promise.all(
      Array.from({ length: 270 }, (_, i) => ask(agent, base, targets[i % targets.length])));
    for (const { status, text } of seen) {
      assert.ok([401, 403, 404, 429].includes(status), `${status}`);
      assert.doesNotMatch(text, /picture of/);
    }
    assert.equal(thumb.questions.length, 0);
    assert.doesNotMatch(hub.nginx.log(), /eyJ/, 'a token in the log');
  });

  await t.test('of streams that are offline: one request for each while the cache has its answer', async () => {
    thumb.questions.length = 0;
    const target = `/m/${token('live/none')}/live/none.jpg`;
    thumb.answer = () => picture('x');
    await Promise.all(Array.from({ length: 100 }, () => ask(agent, base, target)));
    assert.ok(thumb.questions.length <= 2, `${thumb.questions.length}`);
  });

  await t.test('pictures are no viewers, and nothing but the refusals is logged', async () => {
    assert.equal((await hub.stream(STREAM)).viewers, 0);
    const lines = fs.readFileSync(path.join(hub.nginx.dir, 'access.log'), 'utf8').split('\n');
    assert.deepEqual(lines.filter((line) => /\.jpg\S* HTTP\/1\.1" 200/.test(line)), []);
  });
});

test('frames for a service that does not answer take bounded memory, and one user has a share', async (t) => {
  const { hub, thumb, base } = await start(t, () => undefined, { workers: 1 });
  const streams = Array.from({ length: 14 }, (_, i) => `big${i}`);
  // one key frame each, which stays in the hub
  for (const name of [...streams, 'last']) await live(t, hub, name, keyFrame(1_000_000), 1e9);
  const agent = new https.Agent({ keepAlive: false });
  const asked = [];
  const request = (name, sub) =>
    asked.push(ask(agent, base, `/m/${token(`live/${name}`, { sub })}/live/${name}.jpg`).catch(() => null));
  for (const name of streams) request(name, '7');
  await until(() => thumb.questions.length === streams.length, 'a request for each stream');
  const held = thumb.questions.filter(({ SIZE }) => Number(SIZE) > 0);
  assert.ok(held.length >= 1 && held.length <= 8, `${held.length} frames of 1 MB; a user's share is 8 MB`);
  assert.match(hub.nginx.log(), /no picture of "live\/big\d+": frames on their way take \d+ bytes, this one \d+/);
  request('last', '8');
  const other = await until(() => thumb.questions.find(({ USER }) => USER === '8'), "another user's request");
  assert.ok(Number(other.SIZE) > 1_000_000, `its frame has ${other.SIZE} bytes`);
  await thumb.stop();                         // ends all requests
  await Promise.all(asked);
});
