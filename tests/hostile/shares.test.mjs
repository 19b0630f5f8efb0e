// One token, or one address with many tokens, gets no more than its share of the server:
// viewers, event streams, sessions, downloads, threads and memory.  Only publishers get
// the session rows that are reserved for them.

import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import tls from 'node:tls';
import { WebSocket } from 'ws';
import { Follower } from '../lib/events.mjs';
import { get, startHub, token } from '../lib/hub.mjs';
import { startNginx, testConfig, until } from '../lib/nginx.mjs';
import { makeSource, writeRecordings } from '../lib/recordings.mjs';
import { keyFrame, openPlayer, openPublisher } from '../lib/rtmp.mjs';
import { selfSigned, tlsListen } from '../lib/tls.mjs';

const DEADLINE = { timeout: 120_000 };
const NOON = Date.parse('2026-03-10T12:00:00Z');
const OTHER = '127.0.0.5';                       // another address of this machine
const subject = (args) => Number(JSON.parse(Buffer.from(args.split('.')[1], 'base64url')).sub);
const answer = ({ SCRIPT_NAME, ARGS }) => ({ allow: true, uid: SCRIPT_NAME === '/gate/play' ? subject(ARGS) : 7 });

async function start(t, options) {
  const hub = await startHub({ answer, ingest: 'hub_play on;', ...options });
  t.after(() => hub.stop());
  return hub;
}

async function publish(hub, name = 'demo') {
  const client = await openPublisher(`${name}?key=k`, { ...hub.rtmp, chunkSize: 65536 });
  client.sendVideo(0, keyFrame());
  await client.ping();
  return client;
}

/** Asks for a URL and keeps the answer open without reading: {status, error(), request}. */
function open(url, { localAddress, headers } = {}) {
  return new Promise((resolve, reject) => {
    const request = http.get(url, { agent: false, localAddress, headers }, (response) => {
      response.on('error', () => {});
      const opened = { request, response, status: response.statusCode };
      response.on('close', () => { opened.ended = true; });
      opened.error = async () => {
        let text = '';
        for await (const data of response) text += data;
        return JSON.parse(text).error;
      };
      if (opened.status === 200) response.pause();
      resolve(opened);
    });
    request.on('socket', (socket) => socket.unref());
    request.on('error', reject);
  });
}

const as = (sub) => token('live/demo', { sub: String(sub) });
const watch = (hub, sub, options) => open(hub.url('live/demo', as(sub)), options);
const closeAll = (opened) => opened.forEach(({ request }) => request.destroy());

/** Calls `attempt` N times at once; returns the accepted ones and the refusals. */
async function flood(n, attempt) {
  const opened = [];
  while (opened.length < n) {
    opened.push(
      ...(await Promise.all(
        Array.from({ length: Math.min(50, n - opened.length) }, (_, i) => attempt(opened.length + i)),
      )),
    );
  }
  return {
    inside: opened.filter(({ status }) => status === 200),
    refused: opened.filter(({ status }) => status !== 200),
  };
}

describe('viewers', () => {
  test('one token cannot take all places, over any protocol', DEADLINE, async (t) => {
    const hub = await start(t, { main: 'hub_viewers_max 300;' });
    await publish(hub);
    const { inside, refused } = await flood(100, () => watch(hub, 8));
    assert.equal(inside.length, 64, 'a tenth, but 64 at least');
    assert.deepEqual([...new Set(refused.map(({ status }) => status))], [429]);
    assert.equal(await refused[0].error(), 'user has as many sessions as hub_user_share allows');
    const line = /view "live\/demo" refused: user has as many sessions as hub_user_share allows/g;
    assert.equal(hub.nginx.log().match(line).length, refused.length, 'a line for each');

    const socket = new WebSocket(hub.url('live/demo', as(8)).replace('http:', 'ws:'));
    assert.equal(
      await new Promise((resolve) => {
        socket.on('unexpected-response', (_, { statusCode }) => resolve(statusCode));
        socket.on('open', () => resolve(101));
        socket.on('error', () => {});
      }),
      429,
    );
    socket.terminate();
    await assert.rejects(
      openPlayer(`demo?token=${as(8)}`, hub.rtmp),
      /user has as many sessions as hub_user_share allows/,
    );
    assert.equal((await hub.status()).zone.refused.user_share, refused.length + 2);

    const player = await openPlayer(`demo?token=${as(9)}`, hub.rtmp);
    const other = await watch(hub, 9);
    assert.equal(other.status, 200, 'another user');
    inside[0].request.destroy();
    await until(async () => (await hub.stream('live/demo')).viewers === 65, 'one viewer to end');
    const again = await watch(hub, 8);
    assert.equal(again.status, 200, 'when one viewer leaves, another may come');
    player.close();
    closeAll([...inside, other, again]);
  });

  test('nor all places of one stream', DEADLINE, async (t) => {
    const hub = await start(t, { main: 'hub_stream_viewers_max 40; hub_user_share 25% 1;' });
    await publish(hub);
    const { inside, refused } = await flood(20, () => watch(hub, 8));
    assert.deepEqual([inside.length, refused.length], [10, 10]);
    closeAll(inside);
  });

  test('one address with tokens of many users cannot either', DEADLINE, async (t) => {
    const hub = await start(t, { main: 'hub_viewers_max 40; hub_address_share 50% 1;' });
    await publish(hub);
    const { inside, refused } = await flood(30, (n) => watch(hub, 100 + n));
    assert.equal(inside.length, 20);
    assert.deepEqual([...new Set(refused.map(({ status }) => status))], [429]);
    assert.equal(await refused[0].error(), 'address has as many sessions as hub_address_share allows');
    const other = await watch(hub, 200, { localAddress: OTHER });
    assert.equal(other.status, 200, 'another address');
    closeAll([...inside, other]);
  });

  test('an office of 300 behind one address, and a wall of 16 on three devices, get in', DEADLINE, async (t) => {
    const hub = await start(t, { main: 'hub_viewers_max 400;' });
    await publish(hub);
    const office = await flood(300, (n) => watch(hub, 1000 + n));
    const wall = await flood(48, () => watch(hub, 8));
    assert.deepEqual([office.inside.length, wall.inside.length], [300, 48]);
    closeAll([...office.inside, ...wall.inside]);
  });
});

test('event streams: one user gets only a share', DEADLINE, async (t) => {
  const hub = await start(t, { zone: '4m' });                         // 1,024 rows, 32 of them for publishers
  const follow = (sub) => Follower.open(`${hub.base}/events?user=${sub}&streams=*`);
  const { inside, refused } = await flood(200, () => follow(8));
  assert.equal(inside.length, 99, 'a tenth of 992');
  assert.deepEqual([...new Set(refused.map(({ status }) => status))], [429]);
  assert.match(hub.nginx.log(), /events refused: user has as many sessions as hub_user_share allows/);
  const other = await follow(9);
  assert.equal(other.status, 200);
  inside.forEach((follower) => follower.close());
  other.close();
});

test('session rows: viewers cannot take those reserved for publishers', DEADLINE, async (t) => {
  const hub = await start(t, { zone: '4m', main: 'hub_user_share 100%; hub_address_share 100%;' });
  const follow = (sub) => Follower.open(`${hub.base}/events?user=${sub}&streams=*`);
  const { inside, refused } = await flood(1000, () => follow(8));
  assert.equal(inside.length, 992);
  assert.deepEqual([...new Set(refused.map(({ status }) => status))], [503]);
  assert.match(hub.nginx.log(), /events refused: hub_zone has no room for another session/);
  for (const name of ['one', 'two', 'two']) await publish(hub, name);
  assert.equal((await hub.status()).streams.length, 2);
  inside.forEach((follower) => follower.close());
});

describe('connections to the HTTP ports', () => {
  const STRANGER = '127.0.0.7';

  /** A silent connection; `ended` once the server has closed it. */
  function silent(port, localAddress = STRANGER) {
    const socket = net.connect({ port, host: '127.0.0.1', localAddress });
    const end = () => { socket.ended = true; socket.destroy(); };
    socket.on('error', end).on('end', end).resume().unref();
    return socket;
  }
  const silentOnes = (ports, n, address) =>
    Array.from({ length: n }, (_, i) => silent(ports[i % ports.length], address));
  const ended = (sockets) => sockets.filter((socket) => socket.ended).length;
  const destroyAll = (sockets) => sockets.forEach((socket) => socket.destroy());
  const status = (port, localAddress, agent = false) => new Promise((resolve, reject) => {
    http.get({ port, host: '127.0.0.1', localAddress, path: '/status', agent }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode));
    }).on('error', reject);
  });
  /** Opens connections until `count` of `sockets` stay; the ones that were left out are closed. */
  async function fill(port, sockets, count) {
    await until(async () => {
      sockets = sockets.filter((socket) => !socket.ended);
      if (sockets.length === count) return true;
      const more = silentOnes([port], count - sockets.length);
      await Promise.all(
        more.map(
          (socket) =>
            new Promise((resolve) => {
              socket.on('connect', resolve).on('close', resolve);
            }),
        ),
      );
      // another one of the same worker has been accepted after them
      await Promise.all(Array.from({ length: 8 }, () => status(port, OTHER)));
      sockets.push(...more);
      return false;
    }, `${count} connections of one address`);
    return sockets;
  }
  const refusedNext = (port) => until(() => {
    const socket = silent(port);
    return new Promise((resolve) => { socket.on('close', () => resolve(true)); });
  }, 'nginx to close one more');

  test(
    'nginx closes silent connections of one address above the limit at once; other addresses get in',
    DEADLINE,
    async (t) => {
      const { crt, key } = selfSigned();
      const hub = await start(t, {
        http: 'hub_connections 100 127.0.0.9 10.0.0.0/8;',
        listen: tlsListen(),
        files: { crt, key },
      });
      const ports = [hub.nginx.ports.http, hub.nginx.ports.https];
      // a slow request, an idle keep-alive and one after its TLS handshake count like the silent ones
      const slow = silent(ports[0]);
      slow.write('GET /status HTTP/1.1\r\nHost: x\r\n');
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
      assert.equal(await status(ports[0], STRANGER, agent), 200);
      const greeted = tls.connect({ socket: silent(ports[1]), rejectUnauthorized: false });
      greeted.on('error', () => {});
      await new Promise((resolve, reject) => {
        greeted.on('secureConnect', resolve).on('close', reject);
      });

      const began = Date.now();
      const crowd = silentOnes(ports, 500);
      assert.equal(await status(ports[0], OTHER), 200, 'another address');
      await until(() => ended(crowd) === 403, 'nginx to close those above the limit');
      const took = Date.now() - began;
      await refusedNext(ports[0]);
      await refusedNext(ports[1]);
      assert.equal(ended([...crowd, slow]), 403, 'the others stay');
      console.log(`# 403 closed after ${took} ms`);
      const lines = hub.nginx
        .log()
        .match(/connections: 127\.0\.0\.7 has as many open as hub_connections \(100\) .*closed \d+ more/g);
      assert.deepEqual(
        lines?.map((line) => Number(/(\d+) more/.exec(line)[1])),
        [1],
        'one line a minute',
      );

      const proxy = silentOnes(ports, 150, '127.0.0.9');
      await until(() => proxy.every((socket) => !socket.connecting), 'the proxy to be connected');
      assert.equal(await status(ports[0], '127.0.0.9'), 200, 'nginx does not count an exempt address');
      assert.equal(ended(proxy), 0);

      agent.destroy();
      destroyAll([...crowd, ...proxy, slow, greeted]);
      await until(() => status(ports[0], STRANGER).catch(() => 0), 'the address to get in again');
      destroyAll(await fill(ports[0], [], 100));
    },
  );

  test('a killed worker gives its counts back, and a reload keeps all counts', DEADLINE, async (t) => {
    const hub = await start(t, { http: 'hub_connections 60;', expectCrash: true });
    const port = hub.nginx.ports.http;
    let open = await fill(port, [], 60);
    await refusedNext(port);

    const [victim] = hub.nginx.workers();
    process.kill(victim, 'SIGKILL');
    await until(
      () => hub.nginx.workers().length === 2 && !hub.nginx.workers().includes(victim),
      'the worker to be replaced',
    );
    open = await fill(port, open, 60);
    await refusedNext(port);

    await hub.nginx.reload();
    await refusedNext(port);
    destroyAll(open);
    open = await fill(port, [], 60);
    await refusedNext(port);
    destroyAll(open);
  });

  test('one address gets at most half of a worker\'s connections, whatever the limit', DEADLINE, async () => {
    const nginx = await startNginx({
      conf: 'events { worker_connections 64; }\nhttp { hub_connections 1000; '
        + 'server { listen 127.0.0.1:{{port:http}}; location /status { return 200; } } }',
      modules: ['rtmp', 'guard', 'hub'],
    });
    const crowd = silentOnes([nginx.ports.http], 100);
    await until(() => ended(crowd) === 68, 'nginx to close those above half');
    assert.equal(await status(nginx.ports.http, OTHER), 200);
    assert.equal(ended(crowd), 68);
    destroyAll(crowd);
    await nginx.stop();
  });

  test('nginx -t refuses invalid settings', DEADLINE, async () => {
    for (const [setting, reason] of [
      ['hub_connections many;', /hub_connections is "many", expected a number/],
      ['hub_connections 10 proxy;', /hub_connections has "proxy", expected an address or a CIDR block/],
      ['hub_connections 10; hub_connections 20;', /"hub_connections" directive is duplicate/],
    ]) {
      const { code, output } = await testConfig({
        conf: `{{modules}}\nevents {}\nhttp { ${setting} }\n`,
        modules: ['rtmp', 'guard', 'hub'],
      });
      assert.notEqual(code, 0, setting);
      assert.match(output, reason);
    }
  });
});

describe('downloads', () => {
  let hub;
  let source;

  before(async () => {
    source = await makeSource();
    hub = await startHub({
      answer,
      workers: 1,
      files: { 'rec/.keep': '' },
      main: 'thread_pool history threads=1;',
      // a small buffer of the socket: what the kernel takes of an answer is not the worker's any more
      listen: `sndbuf=32k; location ~ ^/m/[^/]+/rec/ { access_token_keys {{dir}}/keys; hub_history {{dir}}/rec;
        hub_history_threads history;
        aio threads=history; sendfile on; hub_history_rate 16k 2s; }
        location ~ ^/heads/m/[^/]+/rec/ { access_token_keys {{dir}}/keys; hub_history {{dir}}/rec;
          hub_history_threads history; hub_history_heads 1m; }
        location ~ ^/less/m/[^/]+/rec/ { access_token_keys {{dir}}/keys; hub_history {{dir}}/rec;
          hub_history_threads history; hub_history_heads 64k; }
        root /nonexistent`,
    });
    hub.root = path.join(hub.nginx.dir, 'rec');
    [hub.file] = writeRecordings(hub.root, 'live/demo', source, { spans: [[NOON, NOON + 600_000]], step: 10 });
    writeRecordings(hub.root, 'live/demo', source, {
      spans: [[NOON + 8 * 3600_000, NOON + 12 * 3600_000 - 1000]],
      step: 2,
      media: false,
    });
  });
  after(() => hub.stop());

  const url = (sub, file) =>
    `${hub.base}/m/${token('live/demo', { a: 'replay', sub: String(sub) })}/rec/live/demo/${file}`;
  const clip = (sub, options) => open(url(sub, `clip.mp4?from=${NOON}&to=${NOON + 600_000}`), options);
  const none = () => until(async () => (await hub.sessions()).length === 0, 'all to end');

  test('clips: one token gets a quarter of the places, an address half of them', DEADLINE, async () => {
    const mine = await flood(12, () => clip(8));
    assert.equal(mine.inside.length, 4);
    assert.deepEqual([...new Set(mine.refused.map(({ status }) => status))], [429]);
    assert.match(
      await mine.refused[0].error(),
      /4 clips are being sent to this user: hub_history_clips allows no more/,
    );
    assert.match(hub.nginx.log(), /history of "live\/demo": 4 clips are being sent to this user/);
    const friends = await flood(8, (n) => clip(20 + n));
    assert.equal(friends.inside.length, 4);
    assert.match(await friends.refused[0].error(), /8 clips are being sent to this address/);
    const other = await clip(40, { localAddress: OTHER });
    assert.equal(other.status, 200);
    closeAll([...mine.inside, ...friends.inside, other]);
    await none();
  });

  test(
    'clips: the memory that their tables take is counted, in all and of a user, before it is taken',
    DEADLINE,
    async () => {
      const from = (place, sub) =>
        url(sub, `clip.mp4?from=${NOON}&to=${NOON + 600_000}`).replace('/m/', `/${place}/m/`);
      const large = await get(from('less', 8));
      assert.equal(large.status, 503);
      assert.match(
        JSON.parse(large.text).error,
        /the tables of clips take 0 bytes, this one's \d+: hub_history_heads allows 65536/,
      );
      const first = await open(from('heads', 8));
      assert.equal(first.status, 200);
      const second = await get(from('heads', 8));
      assert.equal(second.status, 429);
      assert.match(
        JSON.parse(second.text).error,
        /the tables of this user's clips take \d+ bytes, this one's \d+: a quarter of hub_history_heads is 262144/,
      );
      const other = await open(from('heads', 9));
      assert.equal(other.status, 200);
      closeAll([first, other]);
      await none();
      const again = await open(from('heads', 8));
      assert.equal(again.status, 200, 'memory that was given back is free again');
      closeAll([again]);
      await none();
    },
  );

  for (const [kind, ask] of [['clip', () => clip(8)], ['whole recording', () => open(url(8, hub.file.file))]]) {
    test(`a ${kind} that its client does not read loses its place`, DEADLINE, async () => {
      const from = hub.nginx.log().length;
      const reader = await ask();
      assert.equal(reader.status, 200);
      await until(async () => (await hub.sessions()).length === 1, 'its session');
      await none();
      assert.match(hub.nginx.log().slice(from), /replay ended: the client reads less than hub_history_rate/);
      reader.request.destroy();
    });
  }

  test('reading a little now and then does not keep a place; a steady reader goes on', DEADLINE, async () => {
    const from = hub.nginx.log().length;
    const trickle = await clip(8);
    const timer = setInterval(() => trickle.response.read(1), 100);
    const steady = await clip(9);
    let got = 0;
    const reading = setInterval(() => { got += steady.response.read(65536)?.length ?? 0; }, 50);
    await until(() => /replay ended: the client reads less/.test(hub.nginx.log().slice(from)), 'the one to end');
    clearInterval(timer);
    trickle.request.destroy();
    const before_ = got;
    await until(() => got > before_ + 4_000_000, 'the other to go on');
    clearInterval(reading);
    assert.equal(hub.nginx.log().slice(from).match(/replay ended/g).length, 1);
    steady.request.destroy();
    await none();
  });

  test('questions: one token cannot fill the threads\' queue', DEADLINE, async () => {
    const list = (sub) => get(url(sub, `index.m3u8?from=${NOON}&to=${NOON + 24 * 3600_000}`));
    let refused;
    for (let round = 0; !refused && round < 20; round++) {
      const answers = await Promise.all([...Array.from({ length: 300 }, () => list(8)), list(9)]);
      assert.equal(answers.at(-1).status, 200, 'another user');
      refused = answers.find(({ status }) => status === 429);
    }
    assert.match(JSON.parse(refused.text).error, /64 questions of this user about history wait already/);
  });
});

test('nginx -t refuses invalid shares', DEADLINE, async () => {
  const check = (main, location = '') =>
    testConfig({
      conf: `{{modules}}\nhub_zone test 16m;\n${main}\nevents {}\nhttp { server { listen 127.0.0.1:9; location / ` +
        `{ ${location} } } }\n`,
      modules: ['rtmp', 'guard', 'hub'],
    });
  for (const [main, location, reason] of [
    ['hub_user_share 10;', '', /hub_user_share is "10", expected 1% to 100%/],
    ['hub_user_share 0%;', '', /expected 1% to 100%/],
    ['hub_address_share 101% 5;', '', /hub_address_share is "101%"/],
    ['hub_address_share 10% many;', '', /hub_address_share has "many", expected a number above 0/],
    ['', 'hub_history_clips 16 0;', /hub_history_clips has "0", expected a number above 0/],
    ['', 'hub_history_rate fast;', /hub_history_rate is "fast", expected bytes a second/],
    ['', 'hub_history_rate 1k 10ms;', /hub_history_rate is measured in "10ms", expected at least 1s/],
  ]) {
    const { code, output } = await check(main, location);
    assert.notEqual(code, 0, main + location);
    assert.match(output, reason);
  }
  assert.equal(
    (await check('hub_user_share 10% 64; hub_address_share 100%;', 'hub_history_clips 4; hub_history_rate 0;')).code,
    0,
  );
});
