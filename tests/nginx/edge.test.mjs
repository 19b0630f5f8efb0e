// conf/edge.conf: a stock cache in front of the shipped origin, which checks tokens itself, asks the origin once
// for each object, and obeys revocations.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startEdge } from '../lib/edge.mjs';
import { feed, get, startHub, token } from '../lib/hub.mjs';
import { quickest } from '../lib/lag.mjs';
import { until } from '../lib/nginx.mjs';
import { avcHeader, interFrame, keyFrame, openPublisher } from '../lib/rtmp.mjs';
import { selfSigned } from '../lib/tls.mjs';

const STREAM = 'live/cam';
const RECORDED = 'live/recorded';
const VIEWERS = 200;
const ROUNDS = 6;                      // playlists that each viewer waits for

describe('an edge', () => {
  let certificate, hub, edge;
  let marks = 0;

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
    assert.equal((await edge.get(edge.url('live/none', 'live.m3u8'))).status, 404);      // for the last test
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

  /** The lines of the origin's log for requests of the edge. */
  const lines = () => fs.readFileSync(path.join(hub.nginx.dir, 'access.log'), 'utf8').split('\n')
    .filter((line) => line.includes('duolu-edge'));

  /** These requests, as path and query. */
  const asked = () => lines().map((line) => line.match(/"\w+ (\S+) /)[1].replace(/^\/m\/[^/]+\//, ''));

  /** Their number, once the lines of all that were answered are there, and in the edge's log. */
  async function askedSoFar() {
    const mark = `0-${++marks}.m4s`;
    await edge.get(edge.url(STREAM, mark));
    await until(() => asked().some((request) => request.endsWith(mark)) && edge.log().includes(mark), 'both logs');
    return asked().length;
  }

  /** The answers of 429 that the edge got from the origin. */
  const refused = () => lines().filter((line) => line.includes('" 429 '));

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

  /** Playlists that will exist soon: [path and query, headers], 48 for each of two segments, so 64 or more objects. */
  function ahead(text) {
    const [msn, next] = nextPart(text);
    return [[msn, next], [msn + 1, 0]].flatMap(([number, first]) => Array.from({ length: 8 }, (_, i) => first + i)
      .flatMap((part) => ['', '&_HLS_skip=YES', '&_HLS_skip=v2'].flatMap((skip) => [{}, { 'accept-encoding': 'gzip' }]
        .map((headers) => [`live.m3u8?_HLS_msn=${number}&_HLS_part=${part}${skip}`, headers]))));
  }

  /** The origin's own playlist, as soon as it lists part `part` of segment `msn`. */
  const originList = async (msn, part) => (await get(hub.url(STREAM).replace('.flv', '/live.m3u8') +
    (msn ? `?_HLS_msn=${msn}&_HLS_part=${part}` : ''))).text;

  /** Waits for playlists and fetches their newest parts, with a token of its own. */
  async function watch(number, sub = 100 + number) {
    const t = token(STREAM, { sub: String(sub) });
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
    // half of them are one user's
    const seen = await Promise.all(Array.from({ length: VIEWERS }, (_, i) => watch(i, i % 2 ? 99 : 100 + i)));
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
    // nginx itself looks every 500 ms: then one of four waits is that short
    const short = () => waits.slice(-9).filter((ms) => ms < 120).length >= 7;
    for (let round = 0; round < 30 && !short(); round++) {
      const [msn, part] = nextPart(await originList());        // the newest
      const url = edge.url(STREAM, `live.m3u8?_HLS_msn=${msn}&_HLS_part=${part + 1}`);
      const first = edge.get(url).then(() => performance.now());
      await new Promise((resolve) => { setTimeout(resolve, 30); });
      const second = edge.get(url).then(() => performance.now());
      waits.push(await second - await first);
    }
    t.diagnostic(`${waits.map(Math.round).join(' ')} ms later`);
    assert.ok(short(), 'of nine in a row, seven wait less than 120 ms');
  });

  test('a request without a token that allows to view gets nothing, also of what the cache has', async () => {
    const list = (await edge.get(edge.url(STREAM, 'live.m3u8'))).body.toString();
    const part = newest(list);
    assert.equal((await edge.get(edge.url(STREAM, part))).status, 200);
    const before = await askedSoFar();
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
      const before = await askedSoFar();
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
      assert.deepEqual(names.filter((name) => name.includes('window')), [`${file}?window=128`]);
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

  test('all windows for which the origin has one list are one object', async () => {
    const t = token(RECORDED, { a: 'watch', sub: '84' });
    const url = (window) => edge.url(RECORDED, `index.m3u8?window=${window}`, t);
    const ask = async (window) => (await edge.get(url(window))).body.toString();
    const rounded = (window) => [64, 128, 256, 512, 1024, 2048, 4096, 8192].find((n) => window <= n) ?? 14400;
    for (const window of [1, 9, 10, 59, 60, 64]) assert.match(await ask(window), new RegExp(`window=${window}\n`));
    for (const border of [64, 100, 128, 200, 256, 300, 512, 1000, 1024, 2000, 2048, 4000, 4096, 8000, 8192, 9999, 10000,
      79999, 80000, 86300, 86399]) {
      assert.match(await ask(border + 1), new RegExp(`window=${rounded(border + 1)}\n`), `${border + 1}`);
    }
    for (const wrong of ['0', '065', '86401', '90000', '100000', '64x']) assert.match(await ask(wrong), /error/, wrong);
    const before = await askedSoFar();
    const long = await Promise.all([8193, 14400, 20000, 86400].map(ask));
    assert.equal(new Set(long).size, 1);
    assert.ok(await askedSoFar() - before <= 2, 'one question, and the mark');
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

  test('one user who waits for all that will exist soon takes what the origin holds from nobody', async (t) => {
    const greedy = token(STREAM, { sub: '7' });
    const before = refused().length;
    const got = {};
    const names = new Map();
    let over = false;
    let started;
    const first = new Promise((resolve) => { started = resolve; });
    const flood = (async () => {
      let list = await originList();
      while (!over) {
        for (const [file, headers] of ahead(list)) {
          const name = `${file} ${JSON.stringify(headers)}`;
          if (names.has(name)) continue;
          names.set(name, edge.get(edge.url(STREAM, file, greedy), headers).then(({ status }) => {
            got[status] = (got[status] ?? 0) + 1;
          }));
        }
        list = await originList(...nextPart(list));
        started();
      }
    })();
    await first;
    await Promise.all([watch(0, 8), watch(1, 9)]);             // each of their answers is asserted
    over = true;
    await flood;
    await Promise.all(names.values());
    const full = refused().slice(before);
    t.diagnostic(`${names.size} requests: ${JSON.stringify(got)}, ${full.length} refused by the origin`);
    assert.deepEqual(full, [], 'the origin had no room for the edge');
    assert.ok(got[200] > 0 && got[429] > 0);
  });

  /** Twelve requests of a user at once for what comes in half a second or more: the answers of those that did not have
   *  to wait, to which the others are added, and promises of all. */
  async function twelve(sub, { at = edge, agent } = {}) {
    const t = token(STREAM, { sub });
    const [msn] = nextPart(await originList());
    const answers = [];
    const all = Array.from({ length: 12 }, (_, i) => at
      .get(at.url(STREAM, `live.m3u8?_HLS_msn=${msn + 1}&_HLS_part=${2 + i % 6}`, t),
        i < 6 ? {} : { 'accept-encoding': 'gzip' }, agent)
      .then((answer) => answers.push(answer)));
    await until(() => answers.length >= 3, 'three of twelve to be refused');
    return [answers, all];
  }

  test('the ninth request that would wait is refused with a sentence, in the log too; later ones are not', async () => {
    const [answers, all] = await twelve('10');
    for (const { status, body } of answers) {
      assert.equal(status, 429);
      assert.match(body.toString(), /"error":"this user has as many requests/);
    }
    assert.match(edge.nginx.log(), /view "live\/cam" refused: this user has as many requests/);
    assert.equal((await edge.get(edge.url(STREAM, 'live.m3u8', token(STREAM, { sub: '11' })))).status, 200);
    await Promise.all(all);
    // one of each worker may pass at the same time
    assert.ok([8, 9].includes(answers.filter(({ status }) => status === 200).length));
    assert.equal((await edge.get(edge.url(STREAM, 'live.m3u8', token(STREAM, { sub: '10' })))).status, 200);
  });

  test('requests whose clients vanish count until the origin has answered', async () => {
    const again = async () => (await edge.get(edge.url(STREAM, 'live.m3u8', token(STREAM, { sub: '12' })))).status;
    const agent = new https.Agent({ rejectUnauthorized: false });
    const [, all] = await twelve('12', { agent });
    agent.destroy();
    await Promise.allSettled(all);
    assert.equal(await again(), 429);
    await until(async () => await again() === 200, 'the places to be given back');
  });

  test('requests of a worker that died do not count', async () => {
    const other = await startEdge({ port: hub.nginx.ports.https, certificate, expectCrash: true });
    try {
      const [, all] = await twelve('13', { at: other });
      for (const pid of other.nginx.workers()) other.nginx.kill('SIGKILL', pid);
      await Promise.allSettled(all);
      const url = other.url(STREAM, 'live.m3u8', token(STREAM, { sub: '13' }));
      // as soon as there are new workers
      await until(async () => (await other.get(url).catch(() => ({}))).status, 'an answer');
      assert.equal((await other.get(url)).status, 200);
    } finally {
      await other.stop();
    }
  });

  test('any byte of a name stays within the path of the request to the origin', async () => {
    const odd = () => asked().map((request) => request.slice(STREAM.length + 1))
      .filter((file) => /^a|^live\.m3u8(#|%|\?_HLS_msn=1$)/.test(file));
    for (const file of ['a%0d%0aX-Evil:%201', 'live.m3u8%3f_HLS_msn=1', 'live.m3u8%23', 'live.m3u8%2525']) {
      assert.equal((await edge.get(edge.url(STREAM, file))).status, 404, file);
    }
    await until(() => odd().length >= 4, 'the origin to log them');
    assert.deepEqual(odd(), ['a\\x0D', 'live.m3u8?_HLS_msn=1', 'live.m3u8#', 'live.m3u8%25']);
  });

  test('a revocation that the edge is told of ends viewers within 2 s, and others go on', async () => {
    const ms = await quickest(2000, async (n) => {
      const [gone, stays] = [token(STREAM, { sub: String(410 + n) }), token(STREAM, { sub: '42' })];
      for (const t of [gone, stays]) assert.equal((await edge.get(edge.url(STREAM, 'live.m3u8', t))).status, 200);
      const told = performance.now();
      assert.equal((await edge.control(`revoke?user=${410 + n}`)).status, 200);
      await until(async () => (await edge.get(edge.url(STREAM, 'live.m3u8', gone))).status === 403,
        'the viewer to end');
      const took = performance.now() - told;
      assert.equal((await edge.get(edge.url(STREAM, 'live.m3u8', stays))).status, 200);
      const list = (await edge.get(edge.url(STREAM, 'live.m3u8', stays))).body.toString();
      assert.equal((await edge.get(edge.url(STREAM, newest(list), stays))).status, 200);
      assert.equal((await edge.get(edge.url(STREAM, newest(list), gone))).status, 403);
      return took;
    });
    assert.ok(ms < 2000, `${ms} ms`);
  });

  const rows = async (sub) => (await edge.sessions()).filter(({ uid }) => uid === sub);
  const carried = async (name) => (await edge.streams()).find((stream) => stream.name === name);

  test('an edge counts its viewers, whichever workers serve them, and the origin has the edge', async () => {
    const [one, two] = ['51', '52'].map((sub) => token(STREAM, { sub }));
    const ask = (t, agent) => edge.get(edge.url(STREAM, 'live.m3u8', t), { 'user-agent': agent });
    for (const [t, agent] of [[one, 'phone'], [one, 'television'], [two, 'phone']]) {
      const answers = await Promise.all(Array.from({ length: 8 }, () => ask(t, agent)));
      assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    }
    assert.equal((await rows(51)).length, 2);
    const [row] = await rows(52);
    assert.deepEqual([row.kind, row.protocol, row.stream, row.address, row.worker],
      ['view', 'hls', STREAM, '127.0.0.1', 0]);
    assert.ok(row.bytes > 8 * 500, `${row.bytes} bytes`);
    await until(async () => {
      const stream = await carried(STREAM);
      const { length } = (await edge.sessions()).filter(({ stream: name }) => name === STREAM);
      return stream.state === 'carried' && stream.viewers === length && stream.viewers_by.hls === length &&
        stream.bytes_out >= row.bytes && stream.kbps_out > 0;
    }, 'the same numbers in both');
    const { text } = await edge.metrics();
    assert.match(text, /^duolu_sessions\{kind="view",protocol="hls"\} [1-9]\d*$/m);
    assert.match(text, /^duolu_streams\{state="carried"\} [1-9]\d*$/m);
    const atOrigin = (await hub.sessions()).filter(({ kind, uid }) => kind === 'view' && uid > 50 && uid < 53);
    assert.deepEqual(atOrigin, []);
  });

  for (const [what, sub, act, why, fetches] of [
    ['kicks', 53, async () => edge.control(`kick?id=${(await rows(53))[0].id}`), /kicked by an administrator/, true],
    ['revokes', 54, () => edge.control('revoke?user=54'), undefined, false],
  ]) {
    test(`an edge that ${what} a viewer ends a request that waits, and no other's`, async (t) => {
      const [its, of] = [sub, 10 + sub].map((user) => token(STREAM, { sub: String(user) }));
      const [msn] = nextPart(await originList());
      const file = `live.m3u8?_HLS_msn=${msn + 1}&_HLS_part=7`;
      const other = async () => [(await edge.get(edge.url(STREAM, file, of))).status, performance.now()];
      const known = (user) => until(async () => (await rows(user)).length === 1, 'the session');
      let others;
      if (!fetches) { others = other(); await known(10 + sub); }         // then the viewer waits for that one's answer
      const ended = edge.get(edge.url(STREAM, file, its)).then(() => 'answered', () => performance.now());
      await known(sub);
      if (fetches) { others = other(); await known(10 + sub); }
      const told = performance.now();
      assert.equal((await act()).status, 200);
      const at = await ended;
      assert.notEqual(at, 'answered');
      t.diagnostic(`${Math.round(at - told)} ms`);
      const { status, body } = await edge.get(edge.url(STREAM, 'live.m3u8', its));
      assert.equal(status, 403);
      if (why) assert.match(body.toString(), why);
      assert.deepEqual(await rows(sub), [], 'it is still listed');
      const [answered, later] = await others;
      assert.equal(answered, 200);
      assert.ok(at < later, `${at - later} ms after the part existed`);
    });
  }

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

  test('an edge forgets a stream that nobody watches there any more', async () => {
    assert.ok(await carried(STREAM));
    await until(async () => !await carried('live/none'), 'the slot of the other stream to be free');
    assert.match(edge.nginx.log(), /stream "live\/none" ended: it has no viewers here any more/);
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
