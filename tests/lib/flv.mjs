// Reads FLV files by the specification alone: header, tags, onMetaData (AMF 0) and
// its key frames.  Any violation throws with a sentence.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

const AUDIO = 8;
const VIDEO = 9;
const SCRIPT = 18;

/** AMF 0, 2: the values in DATA. */
export function readAmf(data) {
  let at = 0;
  const take = (n) => {
    assert.ok(at + n <= data.length, `AMF ends at ${data.length}, ${n} bytes are wanted at ${at}`);
    at += n;
    return at - n;
  };
  const string = (size) => { const from = take(size); return data.toString('utf8', from, from + size); };
  const name = () => string(data.readUInt16BE(take(2)));
  const object = () => {
    const found = {};
    for (;;) {
      const key = name();
      if (key === '' && data[at] === 9) { take(1); return found; }
      assert.ok(!(key in found), `AMF has ${key} twice`);
      found[key] = value();
    }
  };
  const value = () => {
    const type = data[take(1)];
    switch (type) {
      case 0: return data.readDoubleBE(take(8));
      case 1: return data[take(1)] !== 0;
      case 2: return name();
      case 3: return object();
      case 8: {
        const count = data.readUInt32BE(take(4));
        const found = object();
        assert.equal(Object.keys(found).length, count, 'properties of an ECMA array');
        return found;
      }
      case 10: return Array.from({ length: data.readUInt32BE(take(4)) }, value);
      default: throw new Error(`AMF type ${type} at ${at - 1}`);
    }
  };
  const values = [];
  while (at < data.length) values.push(value());
  return values;
}

/** {flags, meta, tags: [{at, type, time, body}]} of a whole file. */
export function readFlv(bytes) {
  assert.equal(bytes.toString('latin1', 0, 4), 'FLV\x01');
  assert.deepEqual([bytes[4] & ~5, bytes.readUInt32BE(5), bytes.readUInt32BE(9)], [0, 9, 0], 'the header');
  const tags = [];
  for (let at = 13; at < bytes.length;) {
    assert.ok(bytes.length - at >= 15, `${bytes.length - at} bytes are left at ${at}: no tag`);
    const size = bytes.readUIntBE(at + 1, 3);
    const type = bytes[at];
    assert.ok([AUDIO, VIDEO, SCRIPT].includes(type) && bytes.readUIntBE(at + 8, 3) === 0, `no tag at ${at}`);
    assert.ok(at + 15 + size <= bytes.length, `the tag at ${at} has ${size} bytes, the file ends at ${bytes.length}`);
    assert.equal(bytes.readUInt32BE(at + 11 + size), 11 + size, `the back-pointer of the tag at ${at}`);
    tags.push({
      at,
      type,
      time: (bytes.readUIntBE(at + 4, 3) | (bytes[at + 7] << 24)) >>> 0,
      body: bytes.subarray(at + 11, at + 11 + size),
    });
    at += 15 + size;
  }
  const [name, meta] = readAmf(tags[0].body);
  assert.deepEqual([tags[0].type, name], [SCRIPT, 'onMetaData'], 'what stands first');
  assert.equal(tags.filter(({ type }) => type === SCRIPT).length, 1);
  return { flags: bytes[4], meta, tags };
}

/** The bytes of an FLV tag with its back-pointer. */
export function writeTag(type, time, body) {
  const out = Buffer.alloc(15 + body.length);
  out[0] = type;
  out.writeUIntBE(body.length, 1, 3);
  out.writeUIntBE(time & 0xffffff, 4, 3);
  out[7] = time >>> 24;
  body.copy(out, 11);
  out.writeUInt32BE(11 + body.length, 11 + body.length);
  return out;
}

/** A tag in the form that sameFrames() compares; undefined if it holds no frame. */
function frameOf({ type, time, at, body }) {
  if (type === AUDIO)
    return body[1] === 0 ? undefined : { type, dts: time, at, cts: 0, key: false, data: body.subarray(2) };
  if (type !== VIDEO) return undefined;
  const enhanced = (body[0] & 0x80) !== 0;
  const kind = enhanced ? body[0] & 15 : body[1];
  if (kind !== 1 && !(enhanced && kind === 3)) return undefined;
  const payload = enhanced ? (kind === 1 ? 8 : 5) : 5;
  const cts = payload > 5 ? body.readIntBE(5, 3) : enhanced ? 0 : body.readIntBE(2, 3);
  return { type, dts: time, at, cts, key: (body[0] >> 4 & 7) === 1, data: body.subarray(payload) };
}

/** A recording in FLV, in the shape of recording.mjs's. */
export class FlvRecording {
  constructor(root, file) {
    this.file = file;
    this.path = path.join(root, file);
    const [, day, h, m, s] = /(\d{4}-\d\d-\d\d)\/(\d\d)-(\d\d)-(\d\d\.\d{3})\.flv$/.exec(file);
    this.start = Date.parse(`${day}T${h}:${m}:${s}Z`);
    this.bytes = fs.readFileSync(this.path);
    Object.assign(this, readFlv(this.bytes));
    this.frames = this.tags.map(frameOf).filter(Boolean).map((frame) => ({ ...frame, utc: this.start + frame.dts }));
    this.video = this.of(VIDEO);
    this.audio = this.of(AUDIO);
  }

  of(type) { return this.frames.filter((frame) => frame.type === type); }
  get headers() { return this.tags.filter((tag) => tag.type !== SCRIPT && frameOf(tag) === undefined); }
  get last() { return Math.max(...this.frames.map(({ dts }) => dts)); }
}

/** Checks a closed file: onMetaData is correct, and each of its positions is a key frame's. */
export function flvWellFormed(r, { width = 320, height = 180, every = 1 } = {}) {
  const { meta, video, audio, headers } = r;
  const [pictures, sound] = [VIDEO, AUDIO].map((type) => headers.filter((tag) => tag.type === type).length);
  assert.deepEqual(
    headers.map(({ type, time }) => [type, time]),
    [...(pictures ? [[VIDEO, 0]] : []), ...(sound ? [[AUDIO, 0]] : [])],
    'sequence headers stand first, once',
  );
  assert.ok((pictures || !video.length) && (sound || !audio.length), 'no frame is without its header');
  assert.equal(r.flags, pictures | sound << 2, 'the header says what tracks there are');
  assert.ok(headers.every(({ at }) => at < r.frames[0].at));
  assert.equal((fs.statSync(r.path).mode & 0o777).toString(8), '640');

  assert.equal(meta.filesize, r.bytes.length);
  assert.ok(
    meta.duration * 1000 > r.last && meta.duration * 1000 <= r.last + 100,
    `duration ${meta.duration}, the last frame is at ${r.last} ms`,
  );
  assert.ok(
    Math.abs(meta.lasttimestamp * 1000 - r.last) < 1,
    `lasttimestamp ${meta.lasttimestamp}, the last frame is at ${r.last} ms`,
  );
  assert.match(String(meta.session), /^\d{13}$/);
  assert.deepEqual([meta.hasVideo, meta.hasAudio, meta.hasKeyframes], [pictures > 0, sound > 0, video.length > 0]);
  if (pictures) assert.deepEqual([meta.width, meta.height], [width, height]);
  if (sound) assert.equal(meta.audiocodecid, 10);

  const { times, filepositions } = meta.keyframes;
  const keys = video.filter(({ key }) => key).filter((_, i) => i % every === 0);
  assert.deepEqual(filepositions, keys.map(({ at }) => at), 'places of the key frames');
  assert.deepEqual(times.map((t) => Math.round(t * 1000)), keys.map(({ dts }) => dts), 'times of the key frames');
  if (keys.length) {
    assert.equal(meta.lastkeyframelocation, filepositions.at(-1));
    assert.equal(meta.lastkeyframetimestamp, times.at(-1));
  }
}
