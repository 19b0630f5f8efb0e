// Viewers over TLS and HTTP/2: every byte is the stream's, whatever the record size and the viewer's speed.

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { spawn } from 'node:child_process';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';
import { after, before, describe, test } from 'node:test';
import { WebSocket } from 'ws';
import { FlvReader, feed, startHub, token } from '../lib/hub.mjs';
import { privateKb, until } from '../lib/nginx.mjs';
import { interFrame, keyFrame, openPublisher } from '../lib/rtmp.mjs';
import { selfSigned, tlsListen } from '../lib/tls.mjs';

const DEADLINE = { timeout: 180_000 };
const skip = process.env.DUOLU_SANITIZE && 'a sanitized build has other sizes';
const STREAM = 'live/cam1';
const FRAMES = 150;

describe('viewers over TLS', () => {
  let hub;
  let client;
  let timer;
  const sent = new Map();                     // dts: the frame

  /** Frames of all sizes around a record's, each with different bytes. */
  function send(n) {
    const key = n % 25 === 0;
    const size = key ? 60_000 : [200, 16_360 + n % 64, 3000, 33_000][n % 4];
    const body = key ? keyFrame(size) : interFrame(size);
    crypto.randomFillSync(body, 100);
    for (let i = 100; i < body.length; i++) if (body[i] === 0) body[i] = 1;       // a NAL unit as any other
    sent.set(n * 40, body);
    client.sendVideo(n * 40, body);
  }

  before(async () => {
    hub = await startHub({ listen: tlsListen('http2'), files: selfSigned(), flv: 'hub_lag 60s;', zone: '128m',
      main: 'hub_window 30s;' });
    client = await openPublisher('cam1?key=a', { ...hub.rtmp, chunkSize: 65536 });
    let n = 0;
    const start = performance.now();
    // as many as are due: the hub would move a stream that falls behind real time
    timer = setInterval(() => { while (n * 40 <= performance.now() - start) send(n++); }, 40);
    await until(async () => (await hub.stream(STREAM))?.window_ms > 200, STREAM);
  });

  after(async () => {
    clearInterval(timer);
    await client.close();
    await hub.stop();
  });

  const path = (stream = STREAM) => `/m/${token(stream)}/${stream}.flv`;
  const origin = () => `https://127.0.0.1:${hub.nginx.ports.https}`;

  /** `stream` read in bursts, so that records wait for the socket. */
  function inBursts(stream) {
    const burst = setInterval(() => (stream.isPaused() ? stream.resume() : stream.pause()), 150);
    burst.unref();
    return () => clearInterval(burst);
  }

  const ways = {
    'https, TLS 1.3': (flv) => byHttps(flv, { minVersion: 'TLSv1.3' }),
    'https, TLS 1.2': (flv) => byHttps(flv, { maxVersion: 'TLSv1.2' }),
    'wss, TLS 1.3': (flv) => byWebSocket(flv, { minVersion: 'TLSv1.3' }),
    'wss, TLS 1.2': (flv) => byWebSocket(flv, { maxVersion: 'TLSv1.2' }),
    'HTTP/2': byHttp2,
    'records of 512 bytes (RFC 6066, 4)': bySmallRecords,
  };

  function byHttps(flv, options) {
    return new Promise((resolve, reject) => {
      const request = https
        .get(origin() + path(), { agent: false, rejectUnauthorized: false, ...options }, (response) => {
          const stop = inBursts(request.socket);
          response.on('data', (data) => flv.push(data));
          response.on('error', () => {});
          resolve(() => {
            stop();
            request.destroy();
          });
        })
        .on('error', reject);
    });
  }

  function byWebSocket(flv, options) {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(origin().replace('https', 'wss') + path(), {
        rejectUnauthorized: false,
        ...options,
      });
      socket.on('error', reject);
      socket.on('message', (data) => flv.push(data));
      socket.on('open', () => {
        const stop = inBursts(socket._socket);
        resolve(() => { stop(); socket.terminate(); });
      });
    });
  }

  async function byHttp2(flv) {
    const session = http2.connect(origin(), { rejectUnauthorized: false });
    const stream = session.request({ ':path': path() });
    const stop = inBursts(stream);
    stream.on('data', (data) => flv.push(data));
    stream.on('error', () => {});
    session.on('error', () => {});
    return () => { stop(); session.destroy(); };
  }

  /** Node's TLS cannot request small records; OpenSSL's client can. */
  async function bySmallRecords(flv) {
    const child = spawn('openssl', ['s_client', '-quiet', '-maxfraglen', '512', '-connect', origin().slice(8)],
      { stdio: ['pipe', 'pipe', 'ignore'] });
    let head = Buffer.alloc(0);
    const stop = inBursts(child.stdout);
    child.stdout.on('data', (data) => {
      if (head === null) { flv.push(data); return; }
      head = Buffer.concat([head, data]);
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return;
      flv.push(head.subarray(end + 4));
      head = null;
    });
    child.stdin.write(`GET ${path()} HTTP/1.1\r\nHost: x\r\n\r\n`);
    return () => { stop(); child.kill(); };
  }

  for (const [name, open] of Object.entries(ways)) {
    test(`${name}: read in bursts, every frame arrives as it was sent`, DEADLINE, async () => {
      const flv = new FlvReader({ bodies: true });
      const close = await open(flv);
      await until(() => flv.video().length >= FRAMES, `${FRAMES} frames`, 120_000);
      close();
      const frames = flv.video();
      for (const { dts, body } of frames) assert.ok(sent.get(dts).equals(body), `the frame at ${dts} ms`);
      assert.deepEqual(frames.map(({ dts }) => dts), frames.map((_, i) => frames[0].dts + i * 40));
    });
  }

  const idle = 'viewers that are up to date take little memory: over HTTP/2 they hold no copy';
  test(idle, { ...DEADLINE, skip }, async (t) => {
    const COUNT = 64;
    const small = await openPublisher('cam2?key=a', { ...hub.rtmp, chunkSize: 4096 });
    const source = feed(small, { key: keyFrame(3000), inter: interFrame(500) });
    t.after(async () => { source.stop(); await small.close(); });
    await until(async () => (await hub.stream('live/cam2'))?.window_ms > 2000, 'live/cam2');
    const before_ = privateKb(hub.nginx.workers());
    const session = http2.connect(origin(), { rejectUnauthorized: false });
    t.after(() => session.destroy());
    await new Promise((resolve) => session.once('remoteSettings', resolve));
    for (let i = 0; i < COUNT; i++) {          // one after another: each reuses the last one's memory
      const flv = new FlvReader();
      session.request({ ':path': path('live/cam2') }).on('data', (data) => flv.push(data));
      await until(() => flv.video().length > 2, `the picture of viewer ${i}`);
    }
    const least = (privateKb(hub.nginx.workers()) - before_) / COUNT;
    t.diagnostic(`${least.toFixed(1)} KB for a viewer over HTTP/2`);
    assert.ok(least < 32, `${least} KB for a viewer`);
  });
});

/** The page's cookies: of the session, and of a browser that has logged in before. */
const COOKIES = `__Host-duolu=${'c'.repeat(43)}; __Host-duolu-known-1=${token('i'.repeat(45), { a: 'known' })}`;

const AGENT = 'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 '
  + 'Mobile Safari/537.36';

/** The headers that Chrome sends for a WebSocket of the page, and those of ffplay. */
const BROWSER = (host) => `Host: ${host}
Connection: Upgrade
Pragma: no-cache
Cache-Control: no-cache
User-Agent: ${AGENT}
Upgrade: websocket
Origin: https://${host}
Sec-WebSocket-Version: 13
Accept-Encoding: gzip, deflate, br, zstd
Accept-Language: zh-CN,zh;q=0.9,en-US;q=0.8,en;q=0.7
Cookie: ${COOKIES}
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits
`;
const PLAYER = (host) => `User-Agent: Lavf/59.27.100
Accept: */*
Range: bytes=0-
Connection: close
Host: ${host}
Icy-MetaData: 1
`;

/** A viewer that sends HEADERS and gets at least `bytes`. */
function joinRaw(url, headers, bytes) {
  const { protocol, hostname: host, port, pathname } = new URL(url);
  const secure = protocol === 'https:';
  return new Promise((resolve, reject) => {
    const socket = secure ? tls.connect({ host, port, rejectUnauthorized: false }) : net.connect(port, host);
    let had = 0;
    socket.on('error', reject);
    socket.on('end', () => reject(new Error(`${url} ended after ${had} bytes`)));
    socket.on('data', (data) => { had += data.length; if (had > bytes) resolve(socket); });
    socket.once(secure ? 'secureConnect' : 'connect', () => {
      socket.write(`GET ${pathname} HTTP/1.1\n${headers}\n`.replaceAll('\n', '\r\n'));
    });
  });
}

test('a viewer of the shipped configuration fits in one block of its request, with all that a browser says',
  { ...DEADLINE, skip }, async (t) => {
    const COUNT = 100;
    const hub = await startHub({ shipped: true, workers: 1, main: 'thread_pool history threads=1;',
      files: selfSigned() });
    const client = await openPublisher('frontdoor?key=a', { ...hub.rtmp, chunkSize: 4096 });
    const source = feed(client, { key: keyFrame(3000), inter: interFrame(500) });
    const sockets = [];
    t.after(async () => {
      for (const socket of sockets) socket.destroy();
      source.stop();
      await client.close();
      await hub.stop();
    });
    await until(async () => (await hub.stream('live/frontdoor'))?.window_ms > 1000, 'live/frontdoor');
    const join = async (url, headers, count) => {
      for (let i = 0; i < count; i++) {        // one after another: what one gave back, the next has
        sockets.push(await joinRaw(url, headers('duolu.example.com:8443'), 4000));
      }
      return privateKb(hub.nginx.workers());
    };
    const each = async (url, headers) => {
      const first = await join(url, headers, 16);
      return (await join(url, headers, COUNT) - first) / COUNT;
    };
    const plain = hub.url('live/frontdoor');
    const secure = plain.replace(/http:.*?:\d+/, `https://127.0.0.1:${hub.nginx.ports.https}`);
    const kb = { flv: await each(plain, PLAYER), wss: await each(secure, BROWSER) };
    t.diagnostic(`${kb.flv.toFixed(1)} KB for a player of FLV, ${kb.wss.toFixed(1)} KB for a browser`);
    assert.ok(kb.flv < 8, `${kb.flv} KB for a player of FLV`);
    assert.ok(kb.wss < 24, `${kb.wss} KB for a browser`);
  });
