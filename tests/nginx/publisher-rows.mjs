// What publishers of the field send, one row each: a change to a normal stream,
// and what is right.  publishers.test.mjs sends all of them to one nginx.
//
//   name      of the row, and of its stream
//   ms        how long it sends (3000)
//   args      of the stream's name (`?key=k`)
//   change    (steps) => what the publisher sends, of the normal stream's steps
//   seen      (steps) => what viewers and the recording have of it: the normal stream without
//   wire      what the status says that ends it; without, it goes on until the publisher leaves
//   log       [regexp]: warnings about the stream, one line each, and no others
//   ended     what the log's line of its end says besides
//   viewer    ({tags, row}) => …, instead of the comparison with `seen`
//   history   ({recordings, row}) => …, likewise
//   publish   (client, row) => …, instead of sending the steps
//
// A step is {when, stamp, tag: {type, body}}: moment and timestamp in ms.

import { aacFrame, aacHeader, avcHeader, interFrame, keyFrame } from '../lib/rtmp.mjs';

export const AUDIO = 8;
export const VIDEO = 9;

const step = (type, stamp, body) => ({ when: stamp, stamp, tag: { type, body } });

/** H.264 at 25 pictures a second, a key frame each second, no two the same; AAC. */
export function normal(ms = 3000) {
  const pictures = Array.from({ length: ms / 40 }, (_, n) => step(VIDEO, n * 40, (n % 25 ? interFrame : keyFrame)(400 + n)));
  const sounds = Array.from({ length: Math.floor(ms / (1024 / 44.1)) }, (_, n) => step(AUDIO, Math.round(n * 1024 / 44.1), aacFrame()));
  return [step(VIDEO, 0, avcHeader()), step(AUDIO, 0, aacHeader()),
    ...[...pictures, ...sounds].sort((a, b) => a.stamp - b.stamp)];
}

const only = (type) => (steps) => steps.filter(({ tag }) => tag.type === type);

/** Replaces the body of each message for which `is` holds; `make(body, n)` gives the new one. */
const replaced = (is, make) => (steps) => steps.map((one, n) => (is(one, n) ? { ...one, tag: { ...one.tag, body: make(one.tag.body, n) } } : one));

const isSound = ({ tag }) => tag.type === AUDIO;

export const rows = [
  { name: 'normal' },
  { name: 'sound-only', change: only(AUDIO), seen: only(AUDIO) },
  { name: 'pictures-only', change: only(VIDEO), seen: only(VIDEO) },
  {
    name: 'mp3',
    change: replaced(isSound, (body) => Buffer.concat([Buffer.from([0x2f]), body.subarray(2)])),
    wire: /audio codec 2 .*is not carried, expected .*AAC/,
    viewer: () => {}, seen: () => [],
  },
];
