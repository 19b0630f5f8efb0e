// Mutated RTMP sessions against a guarded nginx: whatever they send, the worker
// survives, stays small and serves its other clients.
// GUARD_FUZZ_SESSIONS sets their number, GUARD_FUZZ_SEED repeats a failure.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startNginx } from '../lib/nginx.mjs';
import {
  MSG, RtmpClient, aacFrame, aacHeader, amf, amfEncode, avcHeader, chunk, interFrame, keyFrame,
} from '../lib/rtmp.mjs';
import { bystanders, configuration, rss, setChunkSize, tag } from './guard-rows.mjs';

const SESSIONS = Number(process.env.GUARD_FUZZ_SESSIONS ?? 600);
const SEED = Number(process.env.GUARD_FUZZ_SEED ?? 20231);
const AT_ONCE = 20;

/** mulberry32: the same sessions for the same seed. */
function random(seed) {
  let state = seed >>> 0;
  return (below) => {
    state = state + 0x6d2b79f5 >>> 0;
    let t = Math.imul(state ^ state >>> 15, state | 1);
    t ^= t + Math.imul(t ^ t >>> 7, t | 61);
    return ((t ^ t >>> 14) >>> 0) % below;
  };
}

const u32 = (n) => { const b = Buffer.alloc(4); b.writeUInt32BE(n >>> 0); return b; };

function sessionOf(pick) {
  const command = (...values) => chunk({ type: MSG.CMD, msid: 1, payload: amfEncode(...values) });
  const connect = () =>
    command('connect', 1, {
      app: 'live',
      tcUrl: 'rtmp://x/live',
      d: amf.date(5),
      l: amf.longString('long'.repeat(pick(200))),
    });
  const media = (type, payload) =>
    chunk({
      csid: 4 + pick(6),
      fmt: pick(4),
      timestamp: [0, 40, 0xfffffe, 0xffffff, 2 ** 32 - 1][pick(5)],
      type,
      msid: 1,
      payload,
    });
  const any = [
    () => command('createStream', 2, null),
    () => command('publish', 3, null, `fuzz${pick(9)}`, 'live'),
    () => command('play', 3, null, `fuzz${pick(9)}`),
    () =>
      command(['closeStream', 'deleteStream', 'pause', 'seek', 'play2', 'FCPublish'][pick(6)], 4, null, pick(3), [
        1,
        { a: [] },
      ]),
    () => media(MSG.VIDEO, [avcHeader(), keyFrame(pick(3000)), interFrame(pick(900))][pick(3)]),
    () => media(MSG.AUDIO, [aacHeader(), aacFrame()][pick(2)]),
    () =>
      chunk({
        csid: 5,
        type: [MSG.META, MSG.AMF3_META, MSG.SHARED][pick(3)],
        msid: 1,
        payload: amfEncode('@setDataFrame', 'onMetaData', amf.ecma({ width: 1, when: amf.date(7) })),
      }),
    () =>
      chunk({
        csid: 6,
        type: MSG.AGGREGATE,
        msid: 1,
        payload: Buffer.concat([
          tag(MSG.VIDEO, keyFrame()),
          tag(MSG.AUDIO, aacFrame()),
          tag(MSG.META, amfEncode('onMetaData', {})),
        ]),
      }),
    () => chunk({ csid: 2, type: MSG.ABORT, payload: u32(3 + pick(8)) }),
    () => setChunkSize([128, 129, 4096, 65536][pick(4)]),
    () => chunk({ csid: 2, type: [MSG.ACK, MSG.ACK_SIZE, MSG.BANDWIDTH][pick(3)], payload: u32(pick(2 ** 31)) }),
    () =>
      chunk({ csid: 2, type: MSG.USER, payload: Buffer.concat([Buffer.from([0, pick(9)]), u32(1), u32(pick(5000))]) }),
  ];
  const parts = pick(10) ? [connect()] : [];
  for (let n = pick(25); n > 0; n--) parts.push(any[pick(any.length)]());
  const bytes = Buffer.concat(parts);
  if (bytes.length === 0) return bytes;
  for (let n = pick(4); n > 0; n--) bytes[pick(bytes.length)] = [0, 1, 0xff, 0xc4, pick(256)][pick(5)];
  const from = pick(bytes.length);
  // some pieces are missing or sent twice
  return [
    bytes,
    bytes,
    bytes.subarray(0, from),
    Buffer.concat([bytes.subarray(0, from), bytes.subarray(pick(bytes.length))]),
  ][pick(4)];
}

test(`${SESSIONS} mutated sessions, seed ${SEED}`, { timeout: 600_000 }, async () => {
  const ng = await startNginx({ conf: configuration(true, 'rtmp_guard_deadline 2s;') });
  const pair = await bystanders(ng.ports.rtmp);
  const [worker] = ng.workers();
  const small = rss(worker);

  const one = async (number) => {
    const pick = random(SEED + number);
    const client = await RtmpClient.open({ port: ng.ports.rtmp });
    const bytes = sessionOf(pick);
    const step = [1, 7, 100, Infinity][pick(4)];
    client.reader.push = () => {};       // ignore its answers
    for (let at = 0; at < bytes.length && !client.ended; at += step) client.raw(bytes.subarray(at, at + step));
    client.socket.end();                 // half-close: nginx reads everything, then ends the session
    await client.closed;
  };
  for (let number = 0; number < SESSIONS; number += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => one(number + i)));
    assert.deepEqual(
      ng.workers(),
      [worker],
      `worker died in sessions ${number} to ${number + AT_ONCE - 1} of seed ${SEED}`,
    );
  }

  await pair.undisturbed();
  assert.ok(rss(worker) - small < 32 * 2 ** 20, `the worker grew from ${small} to ${rss(worker)} bytes`);
  await pair.close();
  await ng.stop();
});
