// Unusual clients, legal or not: the wire layer alone silently closes most of
// their connections.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startNginx, until } from '../lib/nginx.mjs';
import {
  MSG,
  RtmpClient,
  aacFrame,
  amfEncode,
  chunk,
  chunkHeader,
  basicHeader,
  interFrame,
  keyFrame,
  openPlayer,
  openPublisher,
  openStream,
} from '../lib/rtmp.mjs';
import { configuration, rss, tag } from './guard-rows.mjs';

const DEADLINE = { timeout: 120_000 };
const MB = 1024 * 1024;

let ng;
let port;

before(async () => {
  ng = await startNginx({ conf: configuration(true, 'max_message 4m; rtmp_guard_conn_per_ip 200;') });
  port = ng.ports.rtmp;
});
after(() => ng.stop());

const lines = (pattern) => ng.log().split('\n').filter((line) => line.includes('guard: refused') && pattern.test(line));
const oneLine = (pattern) => until(() => lines(pattern).length && lines(pattern), `a line ${pattern}`)
  .then((found) => { assert.equal(found.length, 1, found.join('\n')); return found[0]; });

/** Publishes `list` ([type, payload, options]); a player must get the same, in order. */
async function carried(name, list, prepare = () => {}) {
  const publisher = await openPublisher(name, { port });
  const player = await openPlayer(name, { port });
  await prepare(publisher);
  for (const [i, [type, payload, options]] of list.entries()) {
    publisher.send({
      csid: type === MSG.VIDEO ? 6 : 4,
      type,
      msid: publisher.msid,
      timestamp: (i + 1) * 40,
      payload,
      ...options,
    });
    const got = await player.wait((m) => m.type === type && m.payload.length === payload.length, `message ${i}`);
    assert.ok(got.payload.equals(payload), `message ${i} comes out as it went in`);
  }
  await publisher.ping(9);
  await publisher.close();
  await player.close();
}

/** A key frame without repeated bytes, so that a shift is detected. */
function marked(size) {
  const frame = keyFrame(size);
  for (let at = 9; at < size; at++) frame[at] = (at * 31 + (at >> 8)) & 255;
  return frame;
}

describe('chunk sizes', () => {
  for (const size of [1_048_577, 1_500_000, 10_000_000, 0x7fffffff]) {
    test(`${size} bytes are accepted, messages of several megabytes too`, DEADLINE, async () => {
      await carried(
        `chunks${size}`,
        [
          [MSG.VIDEO, marked(3_000_000)],
          [MSG.AUDIO, aacFrame()],
          [MSG.VIDEO, marked(1_048_577)],
          [MSG.VIDEO, interFrame(30_000)],
          [MSG.VIDEO, marked(2_097_153)],
          [MSG.VIDEO, marked(1_048_576)],
        ],
        (publisher) => publisher.setChunkSize(size),
      );
    });
  }

  test('the largest one takes no memory until it is used', DEADLINE, async () => {
    const [worker] = ng.workers();
    const memory = rss(worker);
    const clients = [];
    for (let i = 0; i < 50; i++) {
      const client = await openStream({ port });
      client.setChunkSize(0x7fffffff);
      client.send({ csid: 4, type: MSG.AUDIO, payload: Buffer.alloc(10) });
      await client.ping(i);
      clients.push(client);
    }
    const more = rss(worker) - memory;
    await Promise.all(clients.map((client) => client.close()));
    assert.ok(more < 20 * MB, `50 connections took ${(more / MB).toFixed(1)} MB`);
  });

  test('another chunk stream within such a large chunk is refused with a reason', DEADLINE, async () => {
    const client = await openPublisher('woven', { port });
    client.setChunkSize(1_048_577);
    const frame = marked(3_000_000);
    client.raw(
      Buffer.concat([
        chunkHeader({ csid: 6, type: MSG.VIDEO, msid: client.msid, timestamp: 40, length: frame.length }),
        frame.subarray(0, 1_048_577),
        chunk({ csid: 4, type: MSG.AUDIO, msid: client.msid, payload: aacFrame() }),
      ]),
    );
    const status = await client.anyStatus();
    assert.match(status.description, /chunk stream 4 within a message on chunk stream 6 in chunks of 1048577 bytes/);
    await client.closed;
  });

  test('a larger one in the middle of a message applies from the next chunk on', DEADLINE, async () => {
    const client = await openPublisher('grow', { port, chunkSize: 4096 });
    const player = await openPlayer('grow', { port });
    const frame = marked(30_000);
    client.raw(
      Buffer.concat([
        chunkHeader({ csid: 6, type: MSG.VIDEO, msid: client.msid, timestamp: 40, length: frame.length }),
        frame.subarray(0, 4096),
      ]),
    );
    client.setChunkSize(10_000);
    client.raw(
      Buffer.concat([4096, 14_096, 24_096].flatMap((at) => [basicHeader(3, 6), frame.subarray(at, at + 10_000)])),
    );
    const got = await player.wait((m) => m.type === MSG.VIDEO && m.payload.length === frame.length, 'the frame');
    assert.ok(got.payload.equals(frame));
    await client.close();
    await player.close();
  });
});

describe('chunk streams', () => {
  test('any number up to 65,599 works, with headers of all formats', DEADLINE, async () => {
    await carried('streams', [31, 32, 63, 64, 319, 320, 65_599].flatMap((csid, i) => [
      [MSG.VIDEO, marked(9000 + i), { csid }],
      [MSG.VIDEO, marked(9000 + i), { csid, fmt: 2, timestamp: 40 }],
      [MSG.VIDEO, marked(9000 + i), { csid, fmt: 3, timestamp: 0 }],
      [MSG.VIDEO, interFrame(300 + i), { csid, fmt: 1, timestamp: 40 }],
    ]), (publisher) => publisher.setChunkSize(4096));
  });

  test('more at once than the wire layer has are refused with their number', DEADLINE, async () => {
    const client = await openPublisher('crowd', { port });
    for (let csid = 100; csid < 140; csid++) {
      client.send({ csid, type: MSG.AUDIO, msid: client.msid, timestamp: 40, payload: aacFrame() });
    }
    const { description } = await client.anyStatus();
    assert.match(description, /^chunk stream 12\d beside 30 others, expected no more \(max_streams\)$/);
    await client.closed;
  });

  test('an Abort names the client\'s chunk stream', DEADLINE, async () => {
    await carried('abort', [[MSG.VIDEO, marked(9000), { csid: 5000 }]], (publisher) => {
      publisher.raw(
        Buffer.concat([
          chunkHeader({ csid: 5000, type: MSG.VIDEO, msid: publisher.msid, length: 4000 }),
          Buffer.alloc(128),
          chunk({ csid: 2, type: MSG.ABORT, payload: Buffer.from([0, 0, 0x13, 0x88]) }),
        ]),
      );
    });
  });
});

describe('timestamps beyond 24 bits, 4 hours 39 minutes', () => {
  for (const repeat of [true, false]) {
    for (const fmt of [0, 1]) {
      test(`${repeat ? '' : 'not '}repeated in continuation chunks, headers of format ${fmt}`, DEADLINE, async () => {
        const name = `late${repeat}${fmt}`;
        const first = 2 ** 24 + 5;
        const publisher = await openPublisher(name, { port, timestamp: first });
        const player = await openPlayer(name, { port });
        const stamps = [];
        for (let i = 0; i < 6; i++) {
          const frame = marked(2000 + i);
          const relative = fmt === 1 && i > 0;
          publisher.sendVideo(relative ? 40 : first + i * 40, frame, { repeat, fmt: relative ? 1 : 0 });
          const got = await player.wait((m) => m.type === MSG.VIDEO && m.payload.length === frame.length, `frame ${i}`);
          assert.ok(got.payload.equals(frame), `frame ${i} comes out as it went in`);
          stamps.push(got.timestamp);
        }
        assert.deepEqual(stamps.slice(1).map((stamp, i) => stamp - stamps[i]), Array(5).fill(40));
        await publisher.close();
        await player.close();
      });
    }
  }
});

describe('extended timestamps that arrive in two segments', () => {
  const first = 2 ** 24 + 5;                      // 01 00 00 05
  const late = async (name) => [
    await openPublisher(name, { port, timestamp: first }),
    await openPlayer(name, { port }),
  ];
  const message = (publisher, payload, repeat) =>
    chunk({ csid: 6, type: MSG.VIDEO, msid: publisher.msid, timestamp: first, payload, repeat });
  const arrives = async (player, frame, what) => {
    const got = await player.wait((m) => m.type === MSG.VIDEO && m.payload.length === frame.length, what);
    assert.ok(got.payload.equals(frame), `${what} comes out as it went in`);
  };

  for (const repeat of [true, false]) {
    test(`wherever they are cut, ${repeat ? '' : 'not '}repeated in continuation chunks`, DEADLINE, async () => {
      const [publisher, player] = await late(`cut${repeat}`);
      const whole = message(publisher, marked(300), repeat).length;
      const heads = [0, 16 + 128, 16 + 128 + 1 + 128 + (repeat ? 4 : 0)];       // of three chunks
      const cuts = new Set(
        heads
          .flatMap((head) => Array.from({ length: 20 }, (_, i) => head - 1 + i))
          .filter((cut) => cut > 0 && cut < whole),
      );
      for (const [i, cut] of [...cuts].entries()) {
        const frame = marked(300 + (i % 50));
        frame.set([1, 0, 0].slice(0, i % 4), 128); // payload that begins like the timestamp
        const bytes = message(publisher, frame, repeat);
        await publisher.flush(bytes.subarray(0, cut));
        for (let turn = 0; turn < 2; turn++) await player.ping(); // the one worker has read it
        publisher.raw(bytes.subarray(cut));
        await arrives(player, frame, `a frame cut at ${cut}`);
      }
      await publisher.close();
      await player.close();
    });
  }

  for (const tail of [1, 2, 3]) {
    test(
      `a message whose last ${tail} bytes look like one waits for no other, when the client does not repeat them`,
      DEADLINE,
      async () => {
        const [publisher, player] = await late(`tail${tail}`);
        const frame = marked(256 + tail);
        frame.set([1, 0, 0].slice(0, tail), 256);
        publisher.raw(message(publisher, frame, false));
        await arrives(player, frame, 'the last frame');
        await publisher.close();
        await player.close();
      },
    );
  }
});

describe('refusals have their reason', () => {
  for (const app of ['c1', 'LIVE', 'live/c1', '/live', '']) {
    test(`connect to application "${app}"`, DEADLINE, async () => {
      const client = await RtmpClient.open({ port });
      client.command('connect', { app, tcUrl: `rtmp://127.0.0.1:${port}/${app}/of-${app}?key=geheim` });
      const reply = await client.wait((m) => m.name === '_error', 'an _error');
      assert.equal(reply.values[1], 1, 'the transaction of connect');
      assert.equal(reply.values[3].code, 'NetConnection.Connect.Rejected');
      assert.equal(reply.values[3].level, 'error');
      assert.ok(
        reply.values[3].description.startsWith(`connect to application "${app}", expected "live"`),
        reply.values[3].description,
      );
      await client.closed;
      const line = await oneLine(new RegExp(`connect to application "${app}",`));
      assert.match(line, /client: 127\.0\.0\.1,/);
      assert.ok(line.includes(`tcUrl is "rtmp://127.0.0.1:${port}/${app}/of-${app}?***"`), line);
      assert.doesNotMatch(line, /geheim/);
    });
  }

  test('a connect without an application', DEADLINE, async () => {
    const client = await RtmpClient.open({ port });
    client.command('connect', { tcUrl: 'rtmp://nowhere' });
    const reply = await client.wait((m) => m.name === '_error', 'an _error');
    assert.match(
      reply.values[3].description,
      /^connect to application "", expected "live"; its tcUrl is "rtmp:\/\/nowhere"$/,
    );
    await client.closed;
  });

  test('a second connect', DEADLINE, async () => {
    const client = await openStream({ port });
    client.command('connect', { app: 'live' });
    assert.equal((await client.anyStatus()).description, 'a second connect, expected one');
    await client.closed;
  });

  for (const [what, bytes, sentence] of [
    ['RTMPE', [6], /a handshake that begins with byte 6 \(RTMPE, .*\), expected 3/],
    ['TLS', [0x16, 3, 1, 2, 0], /byte 22 \(TLS, as of an rtmps:\/\/ address\), expected 3/],
    ['HTTP', [...Buffer.from('GET / HTTP/1.1\r\n')], /byte 71 \(HTTP, /],
  ]) {
    test(`${what} instead of RTMP`, DEADLINE, async () => {
      const client = await RtmpClient.tcp({ port });
      client.raw(Buffer.concat([Buffer.from(bytes), Buffer.alloc(1536)]));
      await client.closed;
      assert.match(await oneLine(sentence), /client: 127\.0\.0\.1,/);
    });
  }

  test('a publisher gets the reason of its end as a status, before the close', DEADLINE, async () => {
    const client = await openPublisher('huge', { port });
    client.raw(chunkHeader({ csid: 6, type: MSG.VIDEO, length: 5 * MB, msid: client.msid }));
    const status = await client.anyStatus();
    assert.deepEqual([status.level, status.code], ['error', 'NetStream.Publish.Failed']);
    assert.equal(status.description, 'a message of 5242880 bytes, expected at most 4194304 (max_message)');
    await client.closed;
    await oneLine(/a message of 5242880 bytes/);
  });

  test('an aggregate that continues after a refused message does not keep the connection open', DEADLINE, async () => {
    const client = await openStream({ port });
    client.setChunkSize(65536);
    const deep = Buffer.concat([amfEncode('x'), ...Array(17).fill(Buffer.from([10, 0, 0, 0, 1]))]);
    client.send({
      type: MSG.AGGREGATE,
      payload: Buffer.concat([tag(MSG.META, deep), tag(MSG.META, amfEncode('play2', 0, null, 'huge'))]),
    });
    assert.match((await client.anyStatus()).description, /nested deeper than 16 levels/);
    await client.closed;
  });
});
