// HTTP-FLV and WebSocket-FLV: answers, headers, control frames.

import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { WebSocket } from 'ws';
import { FlvReader, feed, get, startHub, token } from '../lib/hub.mjs';
import { until } from '../lib/nginx.mjs';
import { interFrame, keyFrame, openPublisher } from '../lib/rtmp.mjs';

const DEADLINE = { timeout: 120_000 };
const HANDSHAKE = 'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';

describe('viewers over HTTP and WebSocket', () => {
  let hub;
  let client;
  let source;

  before(async () => {
    hub = await startHub({ main: 'hub_grace 2s;' });
    client = await openPublisher('cam1?key=a', { ...hub.rtmp, chunkSize: 4096 });
    source = feed(client, { key: keyFrame(3000), inter: interFrame(500) });
    await until(async () => (await hub.stream('live/cam1'))?.window_ms > 200, 'live/cam1');
  });

  after(async () => {
    source.stop();
    await client.close();
    await hub.stop();
  });

  const base = () => `http://127.0.0.1:${hub.nginx.ports.http}`;

  test('the answer has its type, is not cached, and names who may read it', DEADLINE, async () => {
    const viewer = await hub.view('live/cam1');
    assert.equal(viewer.status, 200);
    assert.equal(viewer.response.headers['content-type'], 'video/x-flv');
    assert.equal(viewer.response.headers['cache-control'], 'no-store');
    assert.equal(viewer.response.headers['access-control-allow-origin'], 'https://app.example');
    assert.equal(viewer.response.headers['transfer-encoding'], undefined);
    await viewer.more(3);
    viewer.close();
  });

  const now = Math.floor(Date.now() / 1000);
  const part = (object) => Buffer.from(JSON.stringify(object)).toString('base64url');
  const none = `${part({ alg: 'none', kid: 'k1' })}.${part({ sub: '7', s: 'live/cam1', a: 'view', exp: now + 99 })}.`;
  const refusals = [
    ['no token', () => '/m/live/cam1.flv', 401, /view "live\/cam1" refused: no token/],
    ['another stream\'s token', () => `/m/${token('live/cam2')}/live/cam1.flv`, 403, /token is for another stream/],
    ['another action\'s token', () => `/m/${token('live/cam1', { a: 'replay' })}/live/cam1.flv`, 403, /token is for another action/],
    ['an expired token', () => `/m/${token('live/cam1', { exp: now - 1 })}/live/cam1.flv`, 403, /token has expired/],
    ['a token without end', () => `/m/${token('live/cam1', { exp: undefined })}/live/cam1.flv`, 403, /token lacks a claim/],
    ['an unknown key', () => `/m/${token('live/cam1', {}, { header: { kid: 'k9' } })}/live/cam1.flv`, 403, /names no key of ours/],
    ['a forged signature', () => `/m/${token('live/cam1', {}, { key: Buffer.alloc(32, 8) })}/live/cam1.flv`, 403, /wrong signature/],
    ['alg none', () => `/m/${none}/live/cam1.flv`, 403, /names no key of ours/],
    ['a token of other alg', () => `/m/${token('live/cam1', {}, { header: { alg: 'HS512' } })}/live/cam1.flv`, 403, /names no key of ours/],
    ['nonsense', () => '/m/abc/live/cam1.flv', 403, /token is malformed/],
    ['a token of 2 KB', () => `/m/${'a'.repeat(2048)}/live/cam1.flv`, 403, /token is too long/],
    ['a stream that is not live', () => `/m/${token('live/none')}/live/none.flv`, 404, /view "live\/none" refused: not live/],
    ['a path that is no stream', () => '/m/x/y/z/live/cam1.flv', 404, null],
    ['another ending', () => `/m/${token('live/cam1')}/live/cam1.mp4`, 404, null],
  ];
  for (const [name, path, status, line] of refusals) {
    test(`${name}: ${status}`, DEADLINE, async () => {
      const from = hub.nginx.log().length;
      const answer = await get(base() + path());
      assert.equal(answer.status, status);
      assert.ok(!answer.text.startsWith('FLV'));
      if (line) await until(() => line.test(hub.nginx.log().slice(from)), `the log line ${line}`);
      assert.ok(!hub.nginx.log().slice(from).includes('eyJ'), 'no token in the log');
    });
  }

  test('a token of 64 KB: 414', DEADLINE, async () => {
    assert.equal((await get(`${base()}/m/${'a'.repeat(65536)}/live/cam1.flv`)).status, 414);
  });

  test('POST: 405', DEADLINE, async () => {
    assert.equal((await get(hub.url('live/cam1'), { method: 'POST' })).status, 405);
  });

  test('WebSocket carries the same bytes, starting with the header', DEADLINE, async () => {
    const socket = new WebSocket(hub.url('live/cam1').replace('http:', 'ws:'));
    const flv = new FlvReader();
    const first = [];
    socket.on('message', (data, binary) => { if (!first.length) first.push(data, binary); flv.push(data); });
    await until(() => flv.video().length > 20, '20 frames over WebSocket');
    assert.equal(first[1], true);
    assert.equal(first[0].toString('latin1', 0, 3), 'FLV');
    assert.deepEqual(flv.tags.slice(0, 4).map((t) => t.type), [18, 9, 8, 9]);
    const pong = new Promise((resolve) => socket.once('pong', resolve));
    socket.ping('are you there');
    assert.equal((await pong).toString(), 'are you there');
    const before_ = flv.video().length;
    await until(() => flv.video().length > before_ + 5, 'frames after the pong');
    const closed = new Promise((resolve) => socket.once('close', (code) => resolve(code)));
    socket.close();
    await closed;
    await until(async () => (await hub.stream('live/cam1')).viewers === 0, 'the viewer to be gone');
  });

  const handshake = (headers, path = new URL(hub.url('live/cam1')).pathname) => new Promise((resolve, reject) => {
    const socket = net.connect(hub.nginx.ports.http, '127.0.0.1', () => {
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`);
    });
    let text = '';
    socket.on('data', (data) => { text += data.toString('latin1'); if (text.includes('\r\n\r\n')) { resolve({ text, socket }); } });
    socket.on('error', reject);
  });

  test('the handshake of RFC 6455, 1.3', DEADLINE, async () => {
    const { text, socket } = await handshake(HANDSHAKE);
    assert.match(text, /^HTTP\/1\.1 101 /);
    assert.match(text, /Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/);
    socket.destroy();
  });

  test('a handshake without key or of another version: 400', DEADLINE, async () => {
    for (const headers of [HANDSHAKE.replace(/Sec-WebSocket-Key.*\r\n/, ''), HANDSHAKE.replace('13', '12')]) {
      const { text, socket } = await handshake(headers);
      assert.match(text, /^HTTP\/1\.1 400 /);
      socket.destroy();
    }
  });

  test('a WebSocket viewer that breaks the protocol is closed', DEADLINE, async () => {
    const { socket } = await handshake(HANDSHAKE);
    const closed = new Promise((resolve) => socket.on('close', resolve));
    socket.on('data', () => {});
    socket.write(Buffer.from([0x82, 0x05, 1, 2, 3, 4, 5]));          // not masked
    await closed;
  });

  test('frames of a client are skipped, whatever their size', DEADLINE, async () => {
    const socket = new WebSocket(hub.url('live/cam1').replace('http:', 'ws:'));
    const flv = new FlvReader();
    socket.on('message', (data) => flv.push(data));
    await new Promise((resolve, reject) => { socket.once('open', resolve); socket.once('error', reject); });
    for (const size of [0, 1, 125, 126, 65535, 65536, 300_000]) socket.send(Buffer.alloc(size, 1));
    const pong = new Promise((resolve) => socket.once('pong', resolve));
    socket.ping();
    await pong;
    const seen = flv.video().length;
    await until(() => flv.video().length > seen + 3, 'frames after all that');
    socket.terminate();
  });

  test('when the stream ends, HTTP ends and WebSocket says goodbye', DEADLINE, async () => {
    const other = await openPublisher('ends?key=a', { ...hub.rtmp, chunkSize: 4096 });
    other.sendVideo(0, keyFrame(1000));
    await until(async () => (await hub.stream('live/ends'))?.window_bytes > 1000, 'live/ends');
    const viewer = await hub.view('live/ends');
    const socket = new WebSocket(hub.url('live/ends').replace('http:', 'ws:'));
    const closed = new Promise((resolve, reject) => { socket.once('close', resolve); socket.once('error', reject); });
    await new Promise((resolve) => { socket.once('message', resolve); });
    await other.close();
    assert.equal(await closed, 1000);
    await until(() => viewer.ended, 'the HTTP viewer to end');
  });
});
