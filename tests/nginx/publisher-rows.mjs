// Streams of real publishers, one row each: a change to a normal stream, and the
// expected result.  publishers.test.mjs sends all of them to one nginx.
//
//   name      of the row, and of its stream
//   ms        how long it sends (3000)
//   args      of the stream's name (`?key=k`)
//   stream    () => the steps of another stream instead of the normal one
//   change    (steps) => the steps to send, made from the normal stream's
//   seen      (steps) => the steps that viewers and the recording get; default: the normal stream
//   wire      what the status says that ends it; without, it goes on until the publisher leaves
//   log       [regexp]: warnings about the stream, one line each, and no others
//   ended     what the log's line of its end says besides
//   decode    ffmpeg decodes the recording, and has nothing to say
//   viewer    ({tags, row}) => …, instead of the comparison with `seen`
//   history   ({recordings, row}) => …, instead of the comparison of the recording
//   publish   (client, steps, hub) => …, instead of sending the steps; may give the client that goes on
//   ends      how many lines tell of an end (1)
//
// A step is {when, stamp, tag: {type, body}}: moment and timestamp in ms.

import assert from 'node:assert/strict';
import { makeHevcClip, replay } from '../lib/clips.mjs';
import { getJson, token } from '../lib/hub.mjs';
import { until } from '../lib/nginx.mjs';
import { MSG, aacFrame, aacHeader, avcHeader, chunkHeader, interFrame, keyFrame, openStream } from '../lib/rtmp.mjs';

export const AUDIO = 8;
export const VIDEO = 9;

const step = (type, stamp, body) => ({ when: stamp, stamp, tag: { type, body } });

/** H.264 at 25 pictures a second, a key frame each second, no two the same; AAC. */
export function normal(ms = 3000) {
  const frames = [];
  for (let n = 0; n * 40 < ms; n++) frames.push(step(VIDEO, n * 40, (n % 25 ? interFrame : keyFrame)(400 + n)));
  for (let n = 0; n * 1024 / 44.1 < ms; n++) frames.push(step(AUDIO, Math.round(n * 1024 / 44.1), aacFrame()));
  return [step(VIDEO, 0, avcHeader()), step(AUDIO, 0, aacHeader()), ...frames.sort((a, b) => a.stamp - b.stamp)];
}

const only = (type) => (steps) => steps.filter(({ tag }) => tag.type === type);
const without = (is) => (steps) => steps.filter((one, n) => !is(one, n));

/** Replaces the body of each message for which `is` holds; `make(body, n)` gives the new one. */
const withBody = (one, body) => ({ ...one, tag: { ...one.tag, body } });
const replaced = (is, make) => (steps) => (
  steps.map((one, n) => (is(one, n) ? withBody(one, make(one.tag.body, n)) : one)));

/** Puts messages with the same time behind each for which `is` holds. */
const besides = (is, make) => (steps) => (
  steps.flatMap((one) => (is(one) ? [one, withBody(one, make(one.tag.body))] : [one])));

const isSound = ({ tag }) => tag.type === AUDIO;
const isPicture = ({ tag }) => tag.type === VIDEO;
const isHeader = ({ tag: { body } }) => body[1] === 0;
const isKey = ({ tag: { type, body } }) => type === VIDEO && body[0] === 0x17 && body[1] === 1;
const isVc = (one) => isPicture(one) && isHeader(one);
const isAc = (one) => isSound(one) && isHeader(one);
const nth = (type, n) => (one, i, all) => one === all.filter(({ tag }) => tag.type === type)[n];
const replacedOne = (type, n, hex) => (steps) => {
  const is = nth(type, n);
  return replaced((one, i) => is(one, i, steps), () => Buffer.from(hex, 'hex'))(steps);
};
const withoutOne = (type, n) => (steps) => steps.filter((one, i) => !nth(type, n)(one, i, steps));

const ascii = (text) => Buffer.from(text, 'latin1');
const bytes = (...list) => Buffer.concat(list.map((one) => (Buffer.isBuffer(one) ? one : Buffer.from([one]))));
const u24 = (n) => Buffer.from([n >> 16, n >> 8 & 255, n & 255]);

/** SPS and PPS of the normal stream. */
const SETS = (() => {
  const record = avcHeader().subarray(5);
  const sps = record.subarray(8, 8 + record.readUInt16BE(6));
  return [sps, record.subarray(8 + sps.length + 3)];
})();
const lengths = (...units) => Buffer.concat(units.flatMap((unit) => [Buffer.from([0, 0, 0, unit.length]), unit]));

/** NAL units with start codes of four bytes (annex B). */
function startCodes(row) {
  const copy = Buffer.from(row);
  for (let at = 0; at < row.length; at += 4 + row.readUInt32BE(at)) copy.writeUInt32BE(1, at);
  return copy;
}

/** Puts parameter sets in front of each key frame. */
const inBand = replaced(isKey, (body) => bytes(body.subarray(0, 5), lengths(...SETS), body.subarray(5)));

/** The enhanced forms of bodies: `make(frame type, 0 for a header and 3 for a frame without CTS, data)`. */
const exVideo = (make) => (body) => make(body[0] & 0x70, body[1] === 0 ? 0 : 3, body.subarray(5));
const exAudio = (make) => (body) => make(body[1], body.subarray(2));
const AVC1 = Buffer.from('avc1');
const MP4A = Buffer.from('mp4a');

const adts = (body) => {
  const size = 7 + body.length - 2;
  const head = [0xff, 0xf1, 0x50, 0x80 | size >> 11, size >> 3 & 255, (size & 7) << 5 | 0x1f, 0xfc];
  return bytes(0xaf, 1, ...head, body.subarray(2));
};

/** H.265 in enhanced RTMP's form, without sound. */
let clip;
async function hevc() {
  clip ??= makeHevcClip({ seconds: 3 });
  const { headers, frames } = await clip;
  return [...headers, ...frames].map(({ type, dts, body }) => step(type, dts, body));
}
const isHevcHeader = ({ tag: { body } }) => (body[0] & 15) === 0;

/** Puts the header's VPS, SPS and PPS in front of each key frame. */
function hevcInBand(steps) {
  const sets = [];
  const record = steps.find(isHevcHeader).tag.body.subarray(5);
  for (let array = 0, at = 23; array < record[22]; array++) {
    const [type, count] = [record[at] & 63, record.readUInt16BE(at + 1)];
    at += 3;
    for (let n = 0; n < count; n++) {
      const end = at + 2 + record.readUInt16BE(at);
      if (type <= 34) sets.push(record.subarray(at + 2, end));
      at = end;
    }
  }
  const front = lengths(...sets);
  const isHevcKey = ({ tag: { body } }) => body[0] === 0x91;
  return replaced(isHevcKey, (body) => bytes(body.subarray(0, 8), front, body.subarray(8)))(steps);
}

/** Intra refresh has recovery points and no IDR pictures: the flag alone tells where to begin. */
const flagWithoutIdr = (steps) => steps.map((one, n) => (isKey(one) && one.stamp > 0
  ? withBody(one, bytes(0x17, interFrame(500 + n).subarray(1))) : one));

/**
 * A row whose publisher's clock is wrong for `ms`: viewers and history have the time of
 * the wall clock, sound and picture together.
 */
function wrongClock(name, ms, change) {
  const near = (value, what) => assert.ok(Math.abs(value - ms) <= 3000, `${what} is ${value} ms, ${ms} ms by the wall`);
  return {
    name, ms, change,
    log: [/the publisher's clock does not keep pace with real time/],
    viewer({ tags, lag }) {
      const last = (type) => tags.filter((tag) => tag.type === type && !tag.config).at(-1).dts;
      near(last(VIDEO), 'the last picture');
      // the hub takes frames that come late for a stall of the network, before and after which a track may be late
      assert.ok(
        Math.abs(last(VIDEO) - last(AUDIO)) <= 500 + 2 * lag,
        `sound at ${last(AUDIO)} ms, the picture at ${last(VIDEO)} ms`,
      );
    },
    async history({ recordings, stream, hub }) {
      await recordings.closed(stream);
      const base = `${hub.base}/m/${token(stream, { a: 'replay' })}/rec/${stream}`;
      const { spans } = await getJson(`${base}/spans.json`);
      near(spans.at(-1).to - spans[0].from, `the history ${JSON.stringify(spans)}`);
    },
  };
}

export const rows = [
  { name: 'normal', decode: true },
  wrongClock('half-speed', 20_000, (steps) => steps.map((one) => ({ ...one, stamp: Math.floor(one.stamp / 2) }))),
  wrongClock('zero-clock', 12_000, (steps) => steps.map((one) => ({ ...one, stamp: 0 }))),
  wrongClock('one-slow-track', 20_000, (steps) =>
    steps.map((one) => (isSound(one) ? { ...one, stamp: Math.floor(one.stamp / 2) } : one)),
  ),
  wrongClock('one-fast-track', 12_000, (steps) =>
    steps.map((one) => (isSound(one) ? { ...one, stamp: Math.floor(one.stamp * 1.1) } : one)),
  ),
  wrongClock('paused-clock', 22_000, (steps) =>
    steps
      .filter(({ when }) => when < 6000 || when >= 16_000)
      .map((one) => (one.when < 6000 ? one : { ...one, stamp: one.stamp - 10_000 })),
  ),
  {
    name: 'five-megabytes',
    publish: async (client) => {
      client.sendVideo(0, avcHeader());
      client.raw(chunkHeader({ csid: 6, type: MSG.VIDEO, msid: client.msid, timestamp: 40, length: 5 << 20 }));
    },
    wire: /a message of 5242880 bytes, expected at most 4194304 \(max_message\)/,
    viewer: () => {},
    async history({ hub, stream }) {
      const done = await until(
        () => hub.gate.questions.find((q) => q.SCRIPT_NAME === '/gate/done' && `${q.APP}/${q.NAME}` === stream),
        'the service to be told',
      );
      assert.match(done.REASON, /^refused a message of 5242880 bytes/);
    },
  },
  { name: 'sound-only', change: only(AUDIO), seen: only(AUDIO) },
  { name: 'pictures-only', change: only(VIDEO), seen: only(VIDEO) },
  {
    name: 'mp3',
    change: replaced(isSound, (body) => bytes(0x2f, body.subarray(2))),
    wire: /audio codec 2 is not carried \(MP3\), expected AAC/,
    viewer: () => {},
    seen: () => [],
  },

  // ---- a track without a sequence header

  { name: 'inband-only', decode: true, change: (steps) => inBand(without(isVc)(steps)), seen: inBand },
  {
    name: 'start-codes',
    decode: true,
    change: (steps) =>
      replaced(isPicture, (body) => bytes(body.subarray(0, 5), startCodes(body.subarray(5))))(
        inBand(without(isVc)(steps)),
      ),
    seen: inBand,
  },
  {
    name: 'start-codes-in-the-header',
    change: replaced(isVc, (body) => bytes(body.subarray(0, 5), startCodes(lengths(...SETS)))),
  },
  {
    name: 'empty-header-then-inband',
    change: (steps) => inBand(replaced(isVc, (body) => body.subarray(0, 5))(steps)),
    seen: inBand,
  },
  {
    name: 'video-only-no-header',
    ms: 18_000,
    change: (steps) => only(VIDEO)(without(isVc)(steps)),
    seen: () => [],
    log: [/pictures are dropped: pictures came without sequence header and parameter sets/],
    wire: /no media for \d{5} ms that can be carried: pictures came without sequence header/,
  },
  {
    name: 'aac-no-config',
    change: without(isAc),
    seen: only(VIDEO),
    log: [/sound is dropped: sound came without sequence header, and is not ADTS/],
  },
  {
    name: 'empty-aac-config',
    change: replaced(isAc, () => bytes(0xaf, 0)),
    seen: only(VIDEO),
    log: [/sound is dropped: AAC sequence header is empty/],
  },
  {
    name: 'aac-config-later',
    change: ([vc, ac, ...frames]) => [vc, ...frames.slice(0, 8), ac, ...frames.slice(8)],
    seen: ([vc, , ...frames]) => [vc, ...only(VIDEO)(frames.slice(0, 8)), ...frames.slice(8)],
    log: [/sound is dropped: /],
  },
  { name: 'adts', decode: true, change: (steps) => replaced(isSound, adts)(without(isAc)(steps)) },
  { name: 'adts-with-config', change: replaced((one) => isSound(one) && !isHeader(one), adts) },
  {
    name: 'inband-only-hevc',
    decode: true,
    stream: hevc,
    change: (steps) => without(isHevcHeader)(hevcInBand(steps)),
    seen: hevcInBand,
  },

  // ---- single messages that make no sense

  {
    name: 'one-byte-of-video',
    change: replacedOne(VIDEO, 60, '17'),
    seen: withoutOne(VIDEO, 60),
    log: [/message skipped: video message of 1 bytes is shorter than its header/],
    ended: /closed by the client, 1 message was skipped/,
  },
  {
    name: 'one-byte-of-sound',
    change: replacedOne(AUDIO, 60, 'af'),
    seen: withoutOne(AUDIO, 60),
    log: [/message skipped: audio message of 1 bytes is shorter than its header/],
  },
  {
    name: 'two-bytes',
    change: replacedOne(VIDEO, 60, '1702'),
    seen: withoutOne(VIDEO, 60),
    log: [/message skipped: video message of 2 bytes is shorter than its header/],
  },
  {
    name: 'an-unknown-packet',
    change: replacedOne(VIDEO, 60, '17030000000000'),
    seen: withoutOne(VIDEO, 60),
    log: [/message skipped: video packet type 3 of codec 7 is not carried/],
  },
  {
    name: 'another-codec-once',
    change: replacedOne(VIDEO, 60, '120000000000'),
    seen: withoutOne(VIDEO, 60),
    log: [/message skipped: video codec 2 is not carried \(Sorenson H\.263\), expected H\.264/],
  },
  {
    name: 'a-header-of-nonsense',
    change: replacedOne(VIDEO, 60, '17000000000001020304050607'),
    seen: withoutOne(VIDEO, 60),
    log: [/message skipped: H\.264 sequence header makes no sense/],
  },
  {
    name: 'a-header-too-long',
    change: replacedOne(VIDEO, 60, `1700000000${'01'.repeat(5000)}`),
    seen: withoutOne(VIDEO, 60),
    log: [/message skipped: sequence header is longer than 4096 bytes/],
  },
  {
    name: 'a-header-behind-4000-bytes', // ModEx; it ends behind what is looked at in a row
    change: replacedOne(VIDEO, 60, `97ff0f9f${'00'.repeat(4000)}00${ascii('avc1').toString('hex')}${'01'.repeat(500)}`),
    seen: withoutOne(VIDEO, 60),
    log: [/message skipped: sequence header is longer than 4096 bytes/],
  },
  {
    name: 'one-byte-for-seconds',
    ms: 8000,
    change: replaced(
      (one) => isPicture(one) && one.stamp >= 1000,
      () => Buffer.from([0x17]),
    ),
    log: [/message skipped: video message of 1 bytes/],
    wire: /^video message of 1 bytes is shorter than its header|ended: video message of 1 bytes/,
    viewer: ({ tags }) =>
      assert.ok(
        tags.some(({ type, dts }) => type === AUDIO && dts > 3000),
        'sound goes on',
      ),
    history: () => {},
  },

  // ---- enhanced RTMP

  {
    name: 'ex-video-only',
    change: replaced(
      isPicture,
      exVideo((type, kind, data) => bytes(0x80 | type | kind, AVC1, data)),
    ),
  },
  {
    name: 'ex-audio-only',
    decode: true,
    change: replaced(
      isSound,
      exAudio((kind, data) => bytes(0x90 | kind, MP4A, data)),
    ),
  },
  {
    name: 'second-audio-track',
    change: besides(
      isSound,
      exAudio((kind, data) => bytes(0x95, kind, MP4A, 1, data)),
    ),
    log: [/audio of track 1 \(mp4a\) is dropped, only track 0 is carried/],
  },
  {
    name: 'second-video-track',
    change: besides(
      isPicture,
      exVideo((type, kind, data) => bytes(0x86 | type, kind, AVC1, 1, data)),
    ),
    log: [/video of track 1 \(avc1\) is dropped, only track 0 is carried/],
  },
  {
    name: 'track-1-alone',
    ms: 18_000,
    change: (steps) =>
      replaced(
        isPicture,
        exVideo((type, kind, data) => bytes(0x86 | type, kind, AVC1, 1, data)),
      )(only(VIDEO)(steps)),
    log: [/video of track 1 \(avc1\) is dropped/],
    seen: () => [],
    wire: /no media for \d{5} ms that can be carried: no track 0 came/,
  },
  {
    name: 'one-track-0',
    change: (steps) =>
      replaced(
        isSound,
        exAudio((kind, data) => bytes(0x95, kind, MP4A, 0, data)),
      )(
        replaced(
          isPicture,
          exVideo((type, kind, data) =>
            kind === 0 ? bytes(0x86 | type, 0, AVC1, 0, data) : bytes(0x86 | type, 1, AVC1, 0, 0, 0, 0, data),
          ),
        )(steps),
      ),
  },
  {
    name: 'many-tracks',
    change: replaced(
      isPicture,
      exVideo((type, kind, data) =>
        bytes(
          0x86 | type,
          0x10 | kind,
          AVC1,
          2,
          u24(3),
          ascii('xyz'),
          0,
          u24(data.length),
          data,
          1,
          u24(2),
          ascii('zz'),
        ),
      ),
    ),
    log: [/video of track 2 \(avc1\) is dropped/],
  },
  {
    name: 'many-codecs',
    change: replaced(
      isPicture,
      exVideo((type, kind, data) =>
        bytes(
          0x86 | type,
          0x20 | kind,
          ascii('av01'),
          1,
          u24(5000),
          Buffer.alloc(5000),
          AVC1,
          0,
          u24(data.length),
          data,
        ),
      ),
    ),
    log: [/video of track 1 \(av01\) is dropped/],
  },
  {
    name: 'modex',
    change: replaced(
      isPicture,
      exVideo((type, kind, data) => bytes(0x87 | type, 2, 0, 1, 0, kind, AVC1, data)),
    ),
  },
  {
    name: 'modex-of-sound',
    change: replaced(
      isSound,
      exAudio((kind, data) => bytes(0x97, 2, 0, 1, 0, kind, MP4A, data)),
    ),
  },
  {
    name: 'modex-hevc',
    stream: hevc,
    change: replaced(
      () => true,
      (body) => bytes((body[0] & 0xf0) | 7, 2, 0, 1, 0, body[0] & 15, body.subarray(1)),
    ),
  },
  {
    name: 'metadata-and-commands',
    change: (steps) =>
      besides(isSound, () => bytes(0x94, MP4A, 1, 2, 0, 0, 0, 3))(
        besides(isPicture, () => bytes(0x94, AVC1, 2, 0, 9, ascii('colorInfo'), 5))(
          besides(isPicture, () => bytes(0xd0, 0))(steps),
        ),
      ),
  },
  ...[
    ['av1', 'av01'],
    ['vp9', 'vp09'],
  ].map(([name, fourcc]) => ({
    name,
    change: replaced(
      isPicture,
      exVideo((type, kind, data) => bytes(0x80 | type | kind, ascii(fourcc), data)),
    ),
    wire: new RegExp(`video codec ${fourcc} is not carried \\(packet type SequenceStart\\), expected H\\.264`),
    viewer: () => {},
    seen: () => [],
  })),
  {
    name: 'opus',
    change: replaced(
      isSound,
      exAudio((kind, data) => bytes(0x90 | kind, ascii('Opus'), data)),
    ),
    wire: /audio codec Opus is not carried \(packet type SequenceStart\), expected AAC \(10, mp4a\)/,
    viewer: () => {},
    seen: () => [],
  },

  // ---- key frames

  {
    name: 'never-key',
    decode: true,
    change: replaced(
      (one) => isPicture(one) && !isHeader(one),
      (body) => bytes(0x27, body.subarray(1)),
    ),
  },
  {
    name: 'never-key-hevc',
    stream: hevc,
    change: replaced(
      (one) => !isHevcHeader(one),
      (body) => bytes(0xa0 | (body[0] & 15), body.subarray(1)),
    ),
  },
  { name: 'flag-without-idr', change: flagWithoutIdr, seen: flagWithoutIdr },

  // ---- keys

  {
    name: 'encoded-key',
    args: 'key=Abc',
    ends: 2,
    publish: async (client, steps, { rtmp }) => {
      const half = steps.findIndex(({ stamp }) => stamp >= 1000);
      await replay(client, steps.slice(0, half)).done;
      const again = await openStream(rtmp);
      again.setChunkSize(4096);
      await again.publish('encoded-key?x=1&key=%41b%63');
      await assert.rejects(client.status('-'), /with the same key/);
      await client.closed;
      await replay(again, steps).done;
      return again;
    },
    viewer: ({ tags }) => {
      assert.equal(tags.filter(({ type, config }) => type === VIDEO && !config).length, 25 + 75, 'pictures of both');
    },
    history: () => {},
  },
];
