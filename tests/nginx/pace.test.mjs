// A busy worker reads its publishers in turns (ingest_pace): how long a pong takes tells
// when the worker has read the ping, and so whether it waits for its turn.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { FlvReader, Viewer, startHub } from '../lib/hub.mjs';
import { quickest } from '../lib/lag.mjs';
import { startNginx, until } from '../lib/nginx.mjs';
import { aacFrame, chunk, interFrame, keyFrame, MSG, openPublisher } from '../lib/rtmp.mjs';
import { selfSigned } from '../lib/tls.mjs';

const DEADLINE = { timeout: 120_000 };
const TURN_MS = 500;                   // ingest_pace, the longest there is
const AT_ONCE_MS = TURN_MS / 2;        // of the best of some: less than a turn
const BUSY = 40;                       // messages a second; one publisher sends 68

/** Milliseconds that pongs take, each ping sent when the worker has just read. */
async function turnarounds(client, count = 5) {
  const all = [];
  await client.ping();
  for (let n = 0; n < count; n++) {
    const from = performance.now();
    await client.ping(n + 2);
    all.push(performance.now() - from);
  }
  return all;
}

/** A frame of `size` bytes like no other of its stream. */
function numbered(n, size) {
  const frame = n % 25 === 0 ? keyFrame(size) : interFrame(size);
  frame.writeUInt32BE(n, frame.length - 8);
  return frame;
}

/** Publishes 25 frames and 43 of sound a second; `sent` has the frames. */
async function live(name, options) {
  const client = await openPublisher(`${name}?key=k`, { ...options, chunkSize: 4096 });
  const sent = [];
  const came = performance.now();
  let sound = 0;
  // every second key frame is more than a worker leaves to the kernel
  const frame = (large = 100_000) => {
    const n = sent.length;
    const body = numbered(n, n % 50 === 0 ? large : 200 + 37 * (n % 60));
    client.sendVideo(40 * n, body);
    sent.push({ body, at: performance.now() });
  };
  const timer = setInterval(() => {
    const now = performance.now() - came;
    for (; 23 * sound < now; sound++) client.sendAudio(23 * sound, aacFrame());
    while (40 * sent.length < now) frame();
  }, 10);
  return { client, sent, frame, stop: () => clearInterval(timer) };
}

/** Follows a stream; `came` has the frames. */
async function follow(hub, name) {
  const flv = new FlvReader({ bodies: true });
  const came = [];
  const push = flv.push.bind(flv);
  flv.push = (data) => {
    push(data);
    for (const { body } of flv.video().slice(came.length)) came.push({ body, at: performance.now() });
  };
  const viewer = await Viewer.open(hub.url(`live/${name}`), flv);
  assert.equal(viewer.status, 200);
  return { viewer, came };
}

/** Fails unless the frames that came are those sent, without a gap; returns the delays in ms. */
function sameFrames({ came }, { sent }) {
  const first = sent.findIndex(({ body }) => body.equals(came[0].body));
  assert.ok(first >= 0, 'the first frame is one that was sent');
  return came.map(({ body, at }, i) => {
    assert.ok(body.equals(sent[first + i].body), `frame ${first + i}: ${body.length} bytes, not the ones sent`);
    return at - sent[first + i].at;
  });
}

test('a worker with few publishers reads them at once', DEADLINE, async (t) => {
  const hub = await startHub({ workers: 1, rtmp: `ingest_pace ${TURN_MS}ms 2000;` });
  t.after(() => hub.stop());
  const publisher = await live('few', hub.rtmp);
  t.after(() => { publisher.stop(); publisher.client.close(); });
  await until(() => publisher.sent.length >= 50, '50 frames');
  const waits = await turnarounds(publisher.client);
  assert.ok(Math.min(...waits) < AT_ONCE_MS, `pongs took ${waits.map(Math.round)} ms`);
  assert.doesNotMatch(hub.nginx.log(), /are read in turns/);
});

describe('a busy worker', () => {
  let hub, tls, plain, secure;

  before(async () => {
    hub = await startHub({
      workers: 1,
      rtmp: `ingest_pace ${TURN_MS}ms ${BUSY};`,
      server: 'listen unix:{{dir}}/rtmps.sock proxy_protocol;',
      ingest: 'ingest_timeout 5s;',
      main: 'hub_grace 60s;',
    });
    tls = await startNginx({
      modules: ['ngx_stream_module.so'],
      files: selfSigned(),
      conf: `stream { server { listen 127.0.0.1:{{port:rtmps}} ssl; proxy_pass unix:${hub.nginx.dir}/rtmps.sock;
        ssl_certificate {{dir}}/crt; ssl_certificate_key {{dir}}/key; proxy_protocol on; } }`,
    });
    plain = await live('plain', hub.rtmp);
    secure = await live('secure', { port: tls.ports.rtmps, secure: true });
    await until(() => /messages a second, publishers of this worker are read in turns/.test(hub.nginx.log()),
      'a busy worker');
  });

  after(async () => {
    plain?.stop();
    secure?.stop();
    await tls?.stop();
    await hub?.stop();
  });

  test('reads publishers in turns, those over TLS when they send', DEADLINE, async () => {
    // each publisher with its next message
    await until(
      async () => Math.max(...await turnarounds(plain.client)) > AT_ONCE_MS,
      `pongs to take longer than ${AT_ONCE_MS} ms, a turn is ${TURN_MS} ms`,
    );
    const other = await turnarounds(secure.client);
    assert.ok(Math.min(...other) < AT_ONCE_MS, `over TLS, pongs took ${other.map(Math.round)} ms`);
  });

  describe('sees at once', { concurrency: true }, () => {
    for (const [how, end] of [
      ['closes', (client) => client.socket.end()],
      ['is reset', (client) => client.socket.resetAndDestroy()],
    ]) {
      test(`that a publisher's connection ${how}`, DEADLINE, async () => {
        const times = [];
        for (let n = 0; n < 5; n++) {
          const publisher = await live(`end${n}${how.length}`, hub.rtmp);
          await until(() => publisher.sent.length >= 10, '10 frames');
          publisher.stop();
          await publisher.client.ping();
          const from = performance.now();
          end(publisher.client);
          await until(async () => (await hub.stream(`live/end${n}${how.length}`)).state === 'grace', 'its end');
          times.push(performance.now() - from);
          publisher.client.close();
        }
        assert.ok(Math.min(...times) < AT_ONCE_MS, `ends were seen after ${times.map(Math.round)} ms`);
      });
    }
  });

  describe('serves as before', { concurrency: true }, () => {
    test('viewers get each frame once, in order, and at most a turn later', DEADLINE, async (t) => {
      for (const publisher of [plain, secure]) {
        const latest = await quickest(TURN_MS + 1000, async () => {
          const follower = await follow(hub, publisher === plain ? 'plain' : 'secure');
          await until(() => follower.came.length >= 75, '75 frames');
          for (let n = 0; n < 100; n++) publisher.frame();              // as after a dead zone
          const all = publisher.sent.length;
          await until(() => follower.came.at(-1).body.equals(publisher.sent.at(-1).body)
            || follower.came.length > 75 + all, 'the newest frame');
          follower.viewer.close();
          // the first ones are those that were there before the viewer
          const delays = sameFrames(follower, publisher).slice(50).sort((a, b) => a - b);
          const [half, most] = [delays[delays.length >> 1], delays.at(-1)].map(Math.round);
          t.diagnostic(`${publisher === plain ? 'plain' : 'TLS'}: frames came after ${half} ms, at most ${most} ms`);
          return most;
        });
        assert.ok(latest < TURN_MS + 1000, `a frame came after ${latest} ms`);
      }
    });

    test('a publisher that stops within a chunk ends after ingest_timeout', DEADLINE, async () => {
      const publisher = await live('torn', hub.rtmp);
      await until(() => publisher.sent.length >= 10, '10 frames');
      publisher.stop();
      const { client } = publisher;
      client.raw(chunk({ csid: 6, type: MSG.VIDEO, timestamp: 4000, msid: client.msid, payload: interFrame(4000),
        chunkSize: 4096 }).subarray(0, 2000));
      assert.match((await client.anyStatus()).description, /^no media for \d+ ms$/);
      await client.closed;
    });
  });

  test('that has few publishers left reads them at once again, and misses nothing', DEADLINE, async () => {
    secure.stop();
    plain.stop();
    const follower = await follow(hub, 'plain');
    const timer = setInterval(() => plain.frame(1000), 150);
    try {
      await until(() => /publishers of this worker are read when they send/.test(hub.nginx.log()), 'a calm worker');
      const waits = await turnarounds(plain.client);
      assert.ok(Math.min(...waits) < AT_ONCE_MS, `pongs took ${waits.map(Math.round)} ms`);
    } finally {
      clearInterval(timer);
    }
    await until(() => follower.came.at(-1).body.equals(plain.sent.at(-1).body), 'the newest frame');
    follower.viewer.close();
    sameFrames(follower, plain);
  });
});
