// conf/edge.conf: a stock cache in front of the shipped origin, which checks tokens itself, asks the origin once
// for each object, and obeys revocations.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startEdge } from '../lib/edge.mjs';
import { feed, get, startHub, token } from '../lib/hub.mjs';
import { lagSince } from '../lib/lag.mjs';
import { until } from '../lib/nginx.mjs';
import { avcHeader, interFrame, keyFrame, openPublisher } from '../lib/rtmp.mjs';
import { selfSigned } from '../lib/tls.mjs';

const STREAM = 'live/cam';
const RECORDED = 'live/recorded';
const VIEWERS = 200;
const ROUNDS = 6;                      // playlists that each viewer waits for

describe('an edge', () => {
  let certificate, hub, edge;

  before(async () => {
    certificate = selfSigned();
    hub = await startHub({
      shipped: true,
      files: certificate,
      main: 'thread_pool history threads=2; dvr {{dir}}; dvr_threads history; dvr_file 5s; hls_window 6s;',
      answer: ({ NAME }) => ({ allow: true, stream: 1, record: `live/${NAME}` === RECORDED }),
      edit: (conf) => conf.replaceAll(' if=$hls_kept', ''),        // requests for parts are counted by their lines
    });
    await publish();
    await publish(RECORDED);
    edge = await startEdge({ port: hub.nginx.ports.https, certificate });
    await until(async () => (await edge.get(edge.url(STREAM, 'live.m3u8'))).status === 200, 'the stream at the edge');
  });

  after(async () => {
    await edge?.stop();
    await hub?.stop();
  });

  async function publish(stream = STREAM) {
    const client = await openPublisher(`${stream.split('/')[1]}?key=a`, { ...hub.rtmp });
    client.sendVideo(0, avcHeader());
    feed(client, { key: keyFrame(4000), inter: interFrame(1000), gop: 50 });
  }

  /** The requests of the edge that the origin has logged, as [method, path and query]. */
  const asked = () => fs.readFileSync(path.join(hub.nginx.dir, 'access.log'), 'utf8').split('\n')
    .filter((line) => line.includes('duolu-edge'))
    .map((line) => line.match(/"\w+ (\S+) /)[1].replace(/^\/m\/[^/]+\//, ''));

  /** The number of the next part that a playlist promises: [msn, part]. */
  function nextPart(text) {
    let msn = Number(text.match(/#EXT-X-MEDIA-SEQUENCE:(\d+)/)[1]);
    let part = 0;
    for (const line of text.split('\n')) {
      if (line.startsWith('#EXT-X-PART:')) part++;
      else if (line && !line.startsWith('#')) { msn++; part = 0; }
    }
    return [msn, part];
  }

  const newest = (text) => text.match(/#EXT-X-PART:.*URI="([^"]+)"/g)?.at(-1).match(/URI="([^"]+)"/)[1];

  /** Waits for playlists and fetches their newest parts, with a token of its own. */
  async function watch(number) {
    const t = token(STREAM, { sub: String(100 + number) });
    const seen = [];
    let list = (await edge.get(edge.url(STREAM, 'live.m3u8', t))).body.toString();
    for (let round = 0; round < ROUNDS; round++) {
      const [msn, part] = nextPart(list);
      const answer = await edge.get(edge.url(STREAM, `live.m3u8?_HLS_msn=${msn}&_HLS_part=${part}`, t));
      assert.equal(answer.status, 200, answer.body.toString());
      list = answer.body.toString();
      const media = await edge.get(edge.url(STREAM, newest(list), t));
      assert.equal(media.status, 200);
      seen.push([newest(list), media.body.length, performance.now()]);
    }
    return seen;
  }

  test(`${VIEWERS} viewers in low latency are one to the origin: one request for each object`, async (t) => {
    const before = asked().length;
    const seen = await Promise.all(Array.from({ length: VIEWERS }, (_, i) => watch(i)));
    const requests = asked().slice(before);
    const counts = new Map();
    for (const request of requests) counts.set(request, (counts.get(request) ?? 0) + 1);
    const twice = [...counts].filter(([request, count]) => count > 1 && !request.endsWith('/live.m3u8'));
    t.diagnostic(`${VIEWERS * (1 + 2 * ROUNDS)} requests of viewers, ${requests.length} to the origin`);
    assert.deepEqual(twice, []);
    assert.ok(counts.size > ROUNDS, 'the viewers asked for several objects');
    assert.ok((counts.get(`${STREAM}/live.m3u8`) ?? 0) < 20, `${counts.get(`${STREAM}/live.m3u8`)} plain playlists`);
    // everybody got the same bytes
    const sizes = new Map();
    const first = new Map();
    for (const [name, size, at] of seen.flat()) {
      assert.equal(sizes.get(name) ?? sizes.set(name, size).get(name), size);
      first.set(name, Math.min(first.get(name) ?? at, at));
    }
    const late = seen.flat().map(([name, , at]) => at - first.get(name)).sort((a, b) => a - b);
    t.diagnostic(`a part comes ${Math.round(late[late.length >> 1])} ms after the first viewer had it, p99 ` +
      `${Math.round(late[Math.floor(late.length * 0.99)])} ms`);
    // the origin sees one viewer, the edge
    const sessions = (await hub.sessions()).filter(({ kind }) => kind === 'view');
    assert.deepEqual([...new Set(sessions.map(({ uid }) => uid))], [2]);
    assert.ok(sessions.length <= 2, `${sessions.length} sessions`);
  });

  test('a request that waits for the answer to another one gets it at once, not at nginx\'s next look', async (t) => {
    const waits = [];
    const from = performance.now();
    for (let round = 0; round < 9; round++) {
      const { text } = await get(hub.url(STREAM).replace('.flv', '/live.m3u8'));      // of the origin: the newest
      const [msn, part] = nextPart(text);
      const url = edge.url(STREAM, `live.m3u8?_HLS_msn=${msn}&_HLS_part=${part + 1}`);
      const first = edge.get(url).then(() => performance.now());
      await new Promise((resolve) => { setTimeout(resolve, 30); });
      const second = edge.get(url).then(() => performance.now());
      waits.push(await second - await first);
    }
    waits.sort((a, b) => a - b);
    t.diagnostic(`${waits.map(Math.round).join(' ')} ms later`);
    // nginx itself looks every 500 ms
    assert.ok(waits[4] < 120 + lagSince(from), `${waits[4]} ms later`);
  });

  test('a request without a token that allows to view gets nothing, also of what the cache has', async () => {
    const list = (await edge.get(edge.url(STREAM, 'live.m3u8'))).body.toString();
    const part = newest(list);
    assert.equal((await edge.get(edge.url(STREAM, part))).status, 200);
    const before = asked().length;
    const now = Math.floor(Date.now() / 1000);
    for (const [t, status] of [
      ['nothing', 403],
      [token(STREAM, { a: 'replay' }), 403],
      [token('live/other'), 403],
      [token(STREAM, { exp: now - 1 }), 403],
      [token(STREAM, {}, { key: Buffer.alloc(32, 9) }), 403],
    ]) {
      for (const file of [part, 'live.m3u8', 'index.m3u8']) {
        assert.equal((await edge.get(edge.url(STREAM, file, t))).status, status, file);
      }
    }
    const base = `https://127.0.0.1:${edge.nginx.ports.https}`;
    for (const address of [`/m/${STREAM}/${part}`, `/m/${token(STREAM)}/${STREAM}/`, `/m/${token(STREAM)}/live`,
      `/m/${token(STREAM)}/${STREAM}/more/${part}`, '/status', '/']) {
      assert.ok([401, 403, 404].includes((await edge.get(base + address)).status), address);
    }
    assert.equal(asked().length, before, 'none of them reached the origin');
    assert.doesNotMatch(edge.log(), /eyJ|nothing/, 'the log has a token');
  });

  test('a token for live alone gets nothing from the cache that one for the past, too, has fetched', async () => {
    const [past, live] = ['watch', 'view'].map((a) => [71, 72].map((sub) => token(STREAM, { a, sub: String(sub) })));
    const list = (await edge.get(edge.url(STREAM, 'live.m3u8?window=60', past[0]))).body.toString();
    const segment = list.match(/^[0-9a-f]+-\d+\.m4s$/m)[0];
    const init = list.match(/#EXT-X-MAP:URI="([^"]+)"/)[1];
    const part = newest(list);
    /** What the origin and the log say of fetching this with these tokens, one after the other. */
    async function fetched(file, tokens) {
      const before = asked().length;
      const lines = edge.log().split('\n').length;
      for (const t of tokens) assert.equal((await edge.get(edge.url(STREAM, file, t))).status, 200, file);
      await until(() => edge.log().split('\n').length === lines + tokens.length, 'the edge to log them');
      const cache = edge.log().split('\n').slice(-1 - tokens.length, -1).map((line) => line.split(' ').at(-1));
      await until(() => asked().length >= before + cache.filter((word) => word !== 'HIT').length, 'the origin, too');
      return [cache, asked().slice(before).map((name) => name.slice(STREAM.length + 1))];
    }
    for (const file of [segment, init]) {
      assert.deepEqual(await fetched(file, [...past, ...live]), [['MISS', 'HIT', 'MISS', 'HIT'], [file, file]]);
    }
    // a part is never recorded: it is the same for all
    assert.deepEqual((await fetched(part, [...live, ...past]))[0].slice(1), ['HIT', 'HIT', 'HIT']);
    for (const file of ['live.m3u8', 'index.m3u8']) {
      const [, names] = await fetched(`${file}?window=77`, [past[0], live[0]]);
      assert.deepEqual(names.filter((name) => name.includes('window')), [`${file}?window=77`]);
    }
    // the origin knows with which right the edge asks
    const sessions = (await hub.sessions()).filter(({ kind, uid }) => kind === 'view' && uid === 2);
    assert.ok(sessions.length >= 2, `${sessions.length} sessions`);
  });

  test('what is only recorded reaches a viewer with a token for the past, and no other', async () => {
    const [past, other, live] = [['watch', 81], ['watch', 82], ['view', 83]]
      .map(([a, sub]) => token(RECORDED, { a, sub: String(sub) }));
    const url = (file, t) => edge.url(RECORDED, file, t);
    const segmentsFor = async (t) =>
      (await edge.get(url('live.m3u8?window=60', t))).body.toString().match(/^[0-9a-f]+-\d+\.m4s$/gm) ?? [];
    const origin = hub.url(RECORDED, live).replace('.flv', '/');
    let old;
    await until(async () => {
      [old] = await segmentsFor(past);
      return old && (await get(origin + old)).status === 404;
    }, 'a segment that the hub no longer has');
    for (const t of [past, other]) {
      const { status, headers } = await edge.get(url(old, t));
      assert.deepEqual([status, headers.etag], [200, `"${old}-r"`]);
    }
    assert.equal((await edge.get(url(old, live))).status, 404);
    const seen = await segmentsFor(live);
    assert.ok(seen.length > 0 && !seen.includes(old), seen.join(' '));
    assert.ok((await segmentsFor(other)).includes(old));
    // nor by a segment's name in other words
    for (const file of [`${old}?window=60`, `${old}?_HLS_msn=1`, old.replace('.m4s', '%2em4s'), `%${
      old.charCodeAt(0).toString(16)}${old.slice(1)}`]) {
      assert.equal((await edge.get(url(file, live))).status, 404, file);
    }
  });

  test('a token that a worker has verified before ends at its time, and admits no other token', async () => {
    const good = token(STREAM, { exp: Math.floor(Date.now() / 1000) + 4 });
    const digit = good.at(-20) === 'A' ? 'B' : 'A';
    const forged = `${good.slice(0, -20)}${digit}${good.slice(-19)}`;
    const asks = (t) => Promise.all(Array.from({ length: 16 }, async () =>
      (await edge.get(edge.url(STREAM, 'index.m3u8', t))).status));
    for (let round = 0; round < 2; round++) {
      assert.deepEqual([...new Set(await asks(good))], [200]);
      assert.deepEqual([...new Set(await asks(forged))], [403]);
      assert.equal((await edge.get(edge.url('live/other', 'index.m3u8', good))).status, 403);
    }
    await until(async () => (await asks(good)).every((status) => status === 403), 'the token to expire');
  });

  test('one user who asks for what does not exist takes the edge from nobody', async (t) => {
    const flooder = token(STREAM, { sub: '5' });
    const honest = token(STREAM, { sub: '6' });
    const got = {};
    const from = performance.now();
    let n = 0;
    await Promise.all(Array.from({ length: 50 }, async () => {
      while (n < 3000) {
        const { status } = await edge.get(edge.url(STREAM, `1a-${n++}.m4s`, flooder));
        got[status] = (got[status] ?? 0) + 1;
      }
    }));
    const seconds = (performance.now() - from) / 1000;
    t.diagnostic(`${JSON.stringify(got)} in ${seconds.toFixed(1)} s`);
    // of each of 2 workers 300 at once and 100 a second, and those that were on their way
    assert.ok(got[404] <= 2 * (300 + 100 * seconds) + 100, `${got[404]} requests reached the origin`);
    assert.ok(got[429] > 0, 'none was refused');
    const list = await edge.get(edge.url(STREAM, 'live.m3u8', honest));
    assert.equal(list.status, 200);
    assert.equal((await edge.get(edge.url(STREAM, newest(list.body.toString()), honest))).status, 200);
  });

  test('any byte of a name stays within the path of the request to the origin', async () => {
    const before = asked().length;
    for (const file of ['a%0d%0aX-Evil:%201', 'live.m3u8%3f_HLS_msn=1', 'live.m3u8%23', 'live.m3u8%2525']) {
      assert.equal((await edge.get(edge.url(STREAM, file))).status, 404, file);
    }
    await until(() => asked().length >= before + 4, 'the origin to log them');
    assert.deepEqual(asked().slice(before).map((path) => path.slice(STREAM.length + 1)),
      ['a\\x0D', 'live.m3u8?_HLS_msn=1', 'live.m3u8#', 'live.m3u8%25']);
  });

  test('a revocation that the edge is told of ends viewers within 2 s, and others go on', async () => {
    const [gone, stays] = [token(STREAM, { sub: '41' }), token(STREAM, { sub: '42' })];
    for (const t of [gone, stays]) assert.equal((await edge.get(edge.url(STREAM, 'live.m3u8', t))).status, 200);
    const told = performance.now();
    assert.equal((await edge.control('revoke?user=41')).status, 200);
    await until(async () => (await edge.get(edge.url(STREAM, 'live.m3u8', gone))).status === 403, 'the viewer to end');
    assert.ok(performance.now() - told < 2000 || process.env.DUOLU_SANITIZE, `${performance.now() - told} ms`);
    assert.equal((await edge.get(edge.url(STREAM, 'live.m3u8', stays))).status, 200);
    const list = (await edge.get(edge.url(STREAM, 'live.m3u8', stays))).body.toString();
    assert.equal((await edge.get(edge.url(STREAM, newest(list), stays))).status, 200);
    assert.equal((await edge.get(edge.url(STREAM, newest(list), gone))).status, 403);
  });

  test('a revoked stream is for new tokens again when its publisher is back, and the edge has one, too', async () => {
    const old = token(STREAM);
    assert.equal((await edge.get(edge.url(STREAM, 'index.m3u8', old))).status, 200);
    const at = Math.floor(Date.now() / 1000);
    assert.equal((await hub.control(`revoke?stream=${STREAM}&at=${at}`)).status, 200);
    assert.equal((await edge.control(`revoke?stream=${STREAM}&at=${at}`)).status, 200);
    assert.equal((await edge.get(edge.url(STREAM, 'index.m3u8', old))).status, 403);
    await until(() => Date.now() >= (at + 1) * 1000, 'the next second');
    await publish();
    const fresh = token(STREAM);
    await until(async () => (await edge.get(edge.url(STREAM, 'index.m3u8', fresh))).status === 200, 'the stream');
    assert.equal((await edge.get(edge.url(STREAM, 'index.m3u8', old))).status, 403);
  });
});

describe('an edge that may not', () => {
  let certificate, hub;
  before(async () => {
    certificate = selfSigned();
    hub = await startHub({
      shipped: true,
      files: certificate,
      main: 'thread_pool history threads=2;',
    });
  });
  after(() => hub?.stop());

  test('with other keys than the origin it gets nothing', async () => {
    const client = await openPublisher('cam?key=a', { ...hub.rtmp });
    client.sendVideo(0, avcHeader());
    feed(client, { key: keyFrame(4000), inter: interFrame(1000) });
    const key = Buffer.alloc(32, 9);
    const edge = await startEdge({ port: hub.nginx.ports.https, certificate, key });
    try {
      const own = token(STREAM, {}, { key });
      await until(async () => (await hub.stream(STREAM))?.state === 'live', 'the stream');
      assert.equal((await edge.get(edge.url(STREAM, 'index.m3u8', own))).status, 403);
      assert.equal((await edge.get(edge.url(STREAM, 'index.m3u8'))).status, 403);
    } finally {
      await edge.stop();
    }
  });

  test('its control socket wants a password over TLS', async () => {
    const edge = await startEdge({ port: hub.nginx.ports.https, certificate });
    try {
      const ask = (auth) => new Promise((resolve, reject) => {
        https.request({ host: '127.0.0.1', port: edge.nginx.ports.control, path: '/control/revoke?user=5', auth,
          method: 'POST', rejectUnauthorized: false, agent: false }, (response) => {
          response.resume();
          resolve(response.statusCode);
        }).on('error', reject).end();
      });
      const before = token(STREAM, { sub: '5' });       // one of a later second would be valid
      assert.equal(await ask(undefined), 401);
      assert.equal(await ask('duolu:falsch'), 401);
      assert.equal(await ask('duolu:geheim'), 200);
      const viewer = await edge.get(edge.url(STREAM, 'index.m3u8', before));
      assert.equal(viewer.status, 403);
      assert.equal((await edge.status()).status, 200);
    } finally {
      await edge.stop();
    }
  });
});
