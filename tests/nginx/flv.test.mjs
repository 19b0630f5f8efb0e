// HTTP-FLV and WebSocket-FLV: answers, headers, control frames.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { WebSocket } from 'ws';
import { FlvReader, feed, get, startHub, token } from '../lib/hub.mjs';
import { until } from '../lib/nginx.mjs';
import { interFrame, keyFrame, openPublisher } from '../lib/rtmp.mjs';
import { OP, UPGRADE, frame, openRaw } from '../lib/ws.mjs';

const DEADLINE = { timeout: 120_000 };

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

  test('the answer has its type, no-store and the CORS header', DEADLINE, async () => {
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
    ["another stream's token", () => `/m/${token('live/cam2')}/live/cam1.flv`, 403, /token is for another stream/],
    [
      "another action's token",
      () => `/m/${token('live/cam1', { a: 'replay' })}/live/cam1.flv`,
      403,
      /token is for another action/,
    ],
    ['an expired token', () => `/m/${token('live/cam1', { exp: now - 1 })}/live/cam1.flv`, 403, /token has expired/],
    [
      'a token without end',
      () => `/m/${token('live/cam1', { exp: undefined })}/live/cam1.flv`,
      403,
      /token lacks a claim/,
    ],
    [
      'an unknown key',
      () => `/m/${token('live/cam1', {}, { header: { kid: 'k9' } })}/live/cam1.flv`,
      403,
      /names no known key/,
    ],
    [
      'a forged signature',
      () => `/m/${token('live/cam1', {}, { key: Buffer.alloc(32, 8) })}/live/cam1.flv`,
      403,
      /wrong signature/,
    ],
    ['alg none', () => `/m/${none}/live/cam1.flv`, 403, /names no known key/],
    [
      'a token of other alg',
      () => `/m/${token('live/cam1', {}, { header: { alg: 'HS512' } })}/live/cam1.flv`,
      403,
      /names no known key/,
    ],
    ['nonsense', () => '/m/abc/live/cam1.flv', 403, /token is malformed/],
    ['a token of 2 KB', () => `/m/${'a'.repeat(2048)}/live/cam1.flv`, 403, /token is too long/],
    [
      'a stream that is not live',
      () => `/m/${token('live/none')}/live/none.flv`,
      404,
      /view "live\/none" refused: not live/,
    ],
    ['a path that is no stream', () => '/m/x/y/z/live/cam1.flv', 404, null],
    ['another extension', () => `/m/${token('live/cam1')}/live/cam1.mp4`, 404, null],
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

  test('the handshake of RFC 6455, 1.3', DEADLINE, async () => {
    const { head, socket } = await openRaw(hub.url('live/cam1'));
    assert.match(head, /^HTTP\/1\.1 101 /);
    assert.match(head, /Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/);
    socket.destroy();
  });

  const VERSION = /^HTTP\/1\.1 426 [^]*\r\nSec-WebSocket-Version: 13\r\n/;
  for (const [name, headers, answer] of [
    ['no key', UPGRADE.replace(/Sec-WebSocket-Key.*\r\n/, ''), /^HTTP\/1\.1 400 /],
    ['a key that is not 16 bytes in base64', UPGRADE.replace('dGhl', '!!!!'), /^HTTP\/1\.1 400 /],
    ['another version', UPGRADE.replace('13', '12'), VERSION],
    ['no version', UPGRADE.replace(/Sec-WebSocket-Version.*\r\n/, ''), VERSION],
  ]) {
    test(`a handshake with ${name}: ${answer.source.slice(11, 14)}`, DEADLINE, async () => {
      const { head, socket } = await openRaw(hub.url('live/cam1'), { headers });
      assert.match(head, answer);
      socket.destroy();
    });
  }

  const { CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG } = OP;
  const some = (size) => Buffer.alloc(size, 1);
  describe('frames that a WebSocket viewer must not send', { concurrency: 8 }, () => {
    for (const [name, frames, status, why] of [
      ['an RSV bit', [frame(BINARY, some(3), { rsv: 4 })], 1002, /a frame has RSV bits set/],
      ['a reserved data opcode', [frame(3, some(3))], 1002, /reserved opcode/],
      ['a reserved control opcode', [frame(11)], 1002, /reserved opcode/],
      ['a frame that is not masked', [frame(BINARY, some(5), { mask: null })], 1002, /not masked/],
      ['a fragmented ping', [frame(PING, some(3), { fin: false })], 1002, /a control frame is fragmented or longer/],
      ['a ping of 126 bytes', [frame(PING, some(126))], 1002, /a control frame is fragmented or longer/],
      ['a continuation without a message', [frame(CONTINUATION, some(3))], 1002, /outside of a message/],
      [
        'a message within a message',
        [frame(TEXT, some(3), { fin: false }), frame(TEXT, some(3))],
        1002,
        /a message begins before the last one has ended/,
      ],
      ['a length that is longer than needed', [frame(BINARY, some(3), { form: 16 })], 1002, /shortest form/],
      ['a length beyond 2^63', [frame(BINARY, undefined, { length: 2n ** 63n, form: 64 })], 1002, /shortest form/],
      ['a close with half a status', [frame(CLOSE, some(1))], 1002],
      ['a close with a status that may not be sent', [frame(CLOSE, Buffer.from([3, 0xed]))], 1002],
      ['a close', [frame(CLOSE)], 1000],
      ['a close with a status', [frame(CLOSE, Buffer.from('\x03\xe9going', 'latin1'))], 1001],
      ['a message of 4097 bytes', [frame(BINARY, some(4097))], 1009, /more than 4096 bytes/],
      [
        'one of 4097 in fragments',
        [frame(BINARY, some(4090), { fin: false }), frame(PONG), frame(CONTINUATION, some(7))],
        1009,
        /more than 4096 bytes/,
      ],
      ['11 frames at once', Array.from({ length: 11 }, () => frame(PONG)), 1008, /more than 10 frames/],
    ]) {
      test(`${name}: closes with ${status}`, DEADLINE, async () => {
        const from = hub.nginx.log().length;
        const viewer = await openRaw(hub.url('live/cam1'));
        viewer.socket.write(Buffer.concat(frames));
        await viewer.closed;
        assert.equal(viewer.status, status);
        if (why) await until(() => why.test(hub.nginx.log().slice(from)), `the log line ${why}`);
      });
    }
  });

  test('small messages, fragments and pongs of a viewer are skipped, a ping is answered', DEADLINE, async () => {
    const viewer = await openRaw(hub.url('live/cam1'));
    viewer.socket.write(Buffer.concat([frame(TEXT), frame(BINARY, some(125)), frame(BINARY, some(126)),
      frame(BINARY, some(4096)), frame(TEXT, some(4000), { fin: false }), frame(PING, Buffer.from('you?')),
      frame(CONTINUATION, some(96)), frame(PONG)]));
    await until(() => viewer.of(PONG).length, 'the pong');
    assert.equal(viewer.of(PONG)[0].payload.toString(), 'you?');
    const seen = viewer.of(BINARY).length;
    await until(() => viewer.of(BINARY).length > seen + 3, 'frames after all that');
    assert.equal(viewer.status, 0);
    viewer.socket.destroy();
  });

  test('when the stream ends, HTTP ends and WebSocket sends a close frame', DEADLINE, async () => {
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
