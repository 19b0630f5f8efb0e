// Strangers and viewers attack HLS: absurd directives, thousands of requests that wait, parts that never were, clients
// that vanish. Another viewer is not hurt.

import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { HlsClient, next, publish, slowestPart, startHls } from '../lib/hls.mjs';
import { token } from '../lib/hub.mjs';
import { quickest } from '../lib/lag.mjs';
import { privateKb, until } from '../lib/nginx.mjs';
import { interFrame, keyFrame } from '../lib/rtmp.mjs';

const DEADLINE = { timeout: 180_000 };
const STREAM = 'live/cam1';
const skipSizes = process.env.DUOLU_SANITIZE && 'a sanitized build has other sizes';

describe('attacks on HLS', () => {
  let hub;
  let source;
  let client;

  before(async () => {
    hub = await startHls({ workers: 1, main: 'hub_grace 60s;', http: 'hls_held 1000;' });
    source = await publish(hub, 'cam1');
    client = new HlsClient(hub, STREAM, { agent: 'honest', over: { sub: '99' }, localAddress: '127.0.0.2' });
    await client.ready(3);
  });

  after(async () => {
    await source?.stop();
    await hub?.stop();
  });

  const HUGE = ['18446744073709551615', '18446744073709551616', '9223372036854775807', '4294967296', '1e9', '0x10',
    '-1', '+1', ' 1', '1 ', '%31', '1%00', '', 'NaN', 'YES', '0'.repeat(300), '9'.repeat(3000), '1;2', '1,2', '\u00e9'];

  test('absurd directives: 200 or 400, at once, and no alarm', DEADLINE, async () => {
    const { end } = await client.list();
    const queries = HUGE.flatMap((value) => [`_HLS_msn=${value}`, `_HLS_msn=${end}&_HLS_part=${value}`,
      `_HLS_part=${value}`, `_HLS_skip=${value}`, `_HLS_msn=${end}&_HLS_msn=${value}`, `_HLS_${value}=1`]);
    queries.push('_HLS_msn', '_HLS_msn&_HLS_part', '&&&&', '=', '_HLS_msn==1', '?', `_HLS_x=${'y'.repeat(2000)}`);
    await Promise.all(queries.map(async (query) => {
      const { status, text } = await client.get(encodeURI(`live.m3u8?${query}`).replaceAll('%25', '%'));
      // a directive that is right is held until its segment exists
      assert.ok([200, 400, 414, 429].includes(status), `${query}: ${status} ${text}`);
    }));
  });

  test('names of parts that never were: 404, and nothing is held for them', DEADLINE, async () => {
    const list = await client.list();
    const [, session, number] = /^([0-9a-f]+)-(\d+)/.exec(list.hint);
    const names = [];
    const other = (i) => (BigInt(`0x${session}`) + BigInt(i + 1)).toString(16);
    for (let i = 0; i < 300; i++) {
      names.push(`${session}-${Number(number) + 2 + i}.m4s`, `${session}-${number}.${1000 + i}.m4s`,
        `${session}-${Number(number) + 3 + i}.0.m4s`, `${other(i)}-1.0.m4s`,
        `${session}-init-${100 + i}.mp4`);
    }
    for (const odd of ['.m4s', '-.m4s', '-1.m4s', `${session}-.m4s`, `${session}--1.m4s`, `${session}-1..m4s`,
      `${session}-99999999999999999999.m4s`, `${session}-${number}.4294967296.m4s`, `${session}-init-.mp4`,
      `${session}-init-4294967295.mp4`, `${session.toUpperCase()}X-1.m4s`, '%00.m4s', 'live.m3u8%00', 'live.m3u8/'])
      names.push(odd);
    const agent = new http.Agent({ keepAlive: true, maxSockets: 20 });
    const statuses = await Promise.all(names.map((name) => new Promise((resolve, reject) => {
      http.get(client.url(name), { agent, headers: { 'user-agent': 'guesser' } }, (response) => {
        response.resume();
        response.on('end', () => resolve([name, response.statusCode]));
      }).on('error', reject);
    })));
    agent.destroy();
    assert.deepEqual(statuses.filter(([, status]) => ![400, 404].includes(status)), []);
  });

  test('thousands of requests that wait, of one client: all but 64 are refused, and another viewer is not hurt',
    DEADLINE, async () => {
      const greedy = new HlsClient(hub, STREAM, { agent: 'greedy' });
      let refused = 0;
      const slowest = await slowestPart(client, async () => {
        // a busy machine may open them no faster than lists come
        for (let round = 0; round < 2 || (refused <= 1000 && round < 10); round++) {
          const { end } = await greedy.list();
          const held = Array.from({ length: 1500 }, () => greedy.hold(`live.m3u8?_HLS_msn=${end + 1}`));
          const answers = await Promise.all(held.map(({ answer }) => answer));
          refused += answers.filter(({ status }) => status === 429).length;
          assert.ok(answers.every(({ status }) => [200, 429].includes(status)));
        }
      });
      assert.ok(refused > 1000, `${refused} were refused`);
      assert.ok(slowest < 5000, `a part after ${Math.round(slowest)} ms`);
    });

  test('one user with many names holds half of hls_held at most; another viewer is not hurt', DEADLINE, async () => {
    let refused = 0;
    const slowest = await slowestPart(client, async () => {
      const many = Array.from({ length: 60 }, (_, i) => new HlsClient(hub, STREAM, { agent: `name ${i}` }));
      const { end } = await client.list();
      const held = many.flatMap((one) => Array.from({ length: 15 }, () => one.hold(`live.m3u8?_HLS_msn=${end + 1}`)));
      const answers = await Promise.all(held.map(({ answer }) => answer));
      refused = answers.filter(({ status }) => status === 429).length;
    });
    assert.ok(refused >= 300, `${refused} of 900 were refused`);
    assert.ok(slowest < 5000, `a part after ${Math.round(slowest)} ms`);
  });

  test('clients that vanish while they wait leave nothing behind', { ...DEADLINE, skip: skipSizes }, async () => {
    const vanish = async () => {
      const { end } = await client.list();
      const { pathname } = new URL(client.url('live.m3u8'));
      const sockets = Array.from({ length: 200 }, (_, i) => {
        const socket = net.connect(hub.nginx.ports.hls, '127.0.0.1');
        socket.on('error', () => {});
        socket.write(`GET ${pathname}?_HLS_msn=${end + 1} HTTP/1.1\r\nHost: x\r\nUser-Agent: v${i % 40}\r\n\r\n`);
        return socket;
      });
      await Promise.all(sockets.map((socket) => new Promise((resolve) => { socket.once('connect', resolve); })));
      for (const socket of sockets) socket.resetAndDestroy?.() ?? socket.destroy();
    };
    for (let i = 0; i < 10; i++) await vanish();
    const before_ = privateKb(hub.nginx.workers());
    for (let i = 0; i < 30; i++) await vanish();
    await client.list(next(await client.list()));
    const grown = privateKb(hub.nginx.workers()) - before_;
    assert.ok(grown < 1500, `${grown} KB more after 6,000 clients`);
    // none of them is held any more
    await until(async () => (await new HlsClient(hub, STREAM, { agent: 'v1' }).list(next(await client.list()))).end,
      'a request under one of their names');
  });

  test('HEAD on lists that wait, and requests with a body', DEADLINE, async () => {
    const { end } = await client.list();
    const heads = await Promise.all(Array.from({ length: 10 }, (_, i) =>
      new HlsClient(hub, STREAM, { agent: `head ${i}` }).get(`live.m3u8?_HLS_msn=${end}`, { method: 'HEAD' })));
    assert.ok(heads.every(({ status, body }) => status === 200 && body.length === 0));
    const path = `/m/${token(STREAM)}/${STREAM}/live.m3u8?_HLS_msn=${end + 1}`;
    const text = await new Promise((resolve) => {
      const socket = net.connect(hub.nginx.ports.hls, '127.0.0.1');
      let got = '';
      socket.on('data', (data) => { got += data; });
      socket.on('error', () => {});
      socket.on('close', () => resolve(got));
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10000\r\n\r\n`);
      socket.write('x'.repeat(10_000));
    });
    assert.match(text, /^HTTP\/1\.1 200 /);
  });
});

describe('clients of HLS that read nothing', () => {
  let hub;
  const sources = [];
  const sockets = [];

  before(async () => {
    // a small buffer of the socket, as over a long way: what it takes is not the worker's any more
    hub = await startHls({
      workers: 1, main: 'hub_grace 1s;', http: 'hls_cache 8m;', listenHls: 'sndbuf=32k', zone: '128m',
    });
    sources.push(await publish(hub, 'cam1', { key: keyFrame(200_000), inter: interFrame(30_000) }));
    sources.push(await publish(hub, 'cam2', { key: keyFrame(200_000), inter: interFrame(15_000) }));
  });

  after(async () => {
    sockets.forEach((socket) => socket.destroy());
    for (const source of sources) await source.stop();
    await hub?.stop();
  });

  test('one user who lets answers lie cannot take hls_cache from the viewers of another stream', DEADLINE, async () => {
    const thief = new HlsClient(hub, STREAM, { agent: 'thief', over: { sub: '5' } });
    const honest = new HlsClient(hub, 'live/cam2', { agent: 'honest', over: { sub: '99' }, localAddress: '127.0.0.2' });
    await thief.ready(3);
    let list = await honest.ready(3);
    for (let round = 0; round < 14; round++) {              // a segment has 900 KB: after nine of them nothing is left
      const { text } = await thief.get('live.m3u8');
      for (const [segment] of [...text.matchAll(/^[^#\n]+\.m4s$/mg)].slice(-2)) {
        const socket = net.connect(hub.nginx.ports.hls, '127.0.0.1').on('error', () => {}).pause();
        socket.write(`GET ${thief.path(segment)} HTTP/1.1\r\nHost: x\r\nUser-Agent: thief\r\n\r\n`);
        sockets.push(socket);
      }
      for (const { end } = list; list.end === end;) list = await honest.list(next(list));
      for (const { uri } of list.segments.at(-1).parts) {
        const { status, text: why } = await honest.get(uri);
        assert.equal(status, 200, `round ${round}, ${uri}: ${why}`);
      }
    }
    const { text } = await thief.get('live.m3u8');
    const refused = await thief.get(text.match(/^[^#\n]+\.m4s$/mg).at(-1));
    assert.equal(refused.status, 429, 'another file for the user that reads nothing');
    assert.match(JSON.parse(refused.text).error, /\d+ bytes are being sent to this (user|address), which reads slowly/);
    sockets.splice(0).forEach((socket) => socket.destroy());
    await until(async () => (await thief.get(text.match(/^[^#\n]+\.m4s$/mg).at(-1))).status === 200,
      'files for the user again');
  });

  /** A GET whose answer is read at 40 KB/s: {got(): bytes, closed}. */
  function readSlowly(by, file) {
    let got = 0;
    const socket = net.connect(hub.nginx.ports.hls, by.localAddress ?? '127.0.0.1').on('error', () => {});
    const closed = new Promise((resolve) => { socket.once('close', resolve); });
    const timer = setInterval(() => { got += socket.read(2000)?.length ?? 0; }, 50);
    closed.then(() => clearInterval(timer));
    socket.write(`GET ${by.path(file)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: ${by.agent}\r\n\r\n`);
    sockets.push(socket);
    const read = () => socket.on('data', (data) => { got += data.length; });
    return { got: () => got, closed, read };
  }

  const rowOf = async (uid) => (await hub.sessions()).find((row) => String(row.uid) === uid);

  for (const [what, first, why, end] of [
    ['kick', 710, 'kicked by', async (uid) => hub.control(`kick?id=${(await rowOf(uid)).id}`)],
    ['revocation', 720, 'access was revoked', (uid) => hub.control(`revoke?user=${uid}`)],
  ]) {
    test(`a ${what} ends an answer that a client reads slowly, whose bytes count meanwhile`, DEADLINE, async () => {
      const ms = await quickest(2000, async (n) => {
        const uid = String(first + n);
        const by = new HlsClient(hub, 'live/cam2', { agent: what, over: { sub: uid } });
        const list = await by.ready(3);
        const slow = readSlowly(by, list.segments.at(-1).uri);
        await until(() => slow.got() > 0, 'the answer to begin');
        const { bytes } = await rowOf(uid);
        await until(async () => (await rowOf(uid)).bytes > bytes + 80_000, 'the session to count');
        const from = hub.nginx.log().length;
        const began = performance.now();
        await end(uid);
        await until(() => hub.nginx.log().slice(from).includes(`viewer ended: ${why}`), 'the answer to end');
        const took = performance.now() - began;
        slow.read();
        await slow.closed;
        assert.ok(slow.got() < 500_000, `${slow.got()} bytes`);
        return took;
      });
      assert.ok(ms < 2000, `${ms} ms`);
    });
  }

  test('a stream\'s end does not end an answer that is being sent, a revocation still does', DEADLINE, async () => {
    const source = await publish(hub, 'cam3', { key: keyFrame(200_000), inter: interFrame(60_000) });
    const [reads, revoked] = ['73', '74'].map((sub) => new HlsClient(hub, 'live/cam3', { agent: sub, over: { sub } }));
    const list = await reads.ready(3);
    const { uri } = list.segments.at(-1);
    const [one, two] = [readSlowly(reads, uri), readSlowly(revoked, uri)];
    await until(() => one.got() > 0 && two.got() > 0, 'the answers to begin');
    await source.stop();
    await until(async () => !(await rowOf('73')) && !(await rowOf('74')), 'the sessions to end');
    const from = hub.nginx.log().length;
    await hub.control('revoke?user=74');
    await until(() => hub.nginx.log().slice(from).includes('viewer ended: access was revoked'), 'the answer to end');
    for (const { read, closed } of [one, two]) {
      read();
      await closed;
    }
    assert.ok(one.got() > 1_600_000, `${one.got()} bytes`);
    assert.ok(two.got() < 1_600_000, `${two.got()} bytes`);
  });
});
