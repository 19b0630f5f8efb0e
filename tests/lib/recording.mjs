// Reads recordings from the disk, without any of Duolu's code, and checks them;
// a publisher that remembers the frames it sent.
//
//   const rec = new Recordings(root);
//   rec.files('live/demo')                 paths below root, oldest first
//   rec.spool()                            events for the service, in order
//   const r = rec.read(file)               Recording: index, boxes, frames
//   wellFormed(r); sameFrames([r], sent)   throw when something is wrong

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { replay } from './clips.mjs';
import { Viewer, FlvReader } from './hub.mjs';
import { lagBetween } from './lag.mjs';
import { readMp4 } from './mp4.mjs';
import { until } from './nginx.mjs';
import { aacFrame, interFrame, keyFrame, openPublisher, openStream } from './rtmp.mjs';
import { run } from './stack.mjs';

const AUDIO = 8;
const VIDEO = 9;
const DAY = /^\d{4}-\d\d-\d\d$/;
const NAME = /^(\d\d)-(\d\d)-(\d\d)\.(\d{3})\.(mp4|flv)$/;
const EVENT = /^\d{13}-\d{10}-\d{6}\.json$/;
const FRAGMENT_MS = 1000;
const INTERLEAVE = 200;                 // ms that sound may be before or behind the pictures of its time
const SEGMENT_MS = 30_000;
const DRIFT = 13;                       // ms that the recorder may move sound, for even steps
const lines = (text) => text.split('\n').filter(Boolean);

// Recorders begin a file at each hour (UTC): tests that count files do not start in its last minutes.
const hourEnds = 3_600_000 - (Date.now() % 3_600_000);
if (hourEnds < 150_000) await new Promise((resolve) => { setTimeout(resolve, hourEnds + 1000); });

// ---- the folder -----------------------------------------------------------

export class Recordings {
  constructor(root) { this.root = root; }

  /** Files of a stream, oldest first: ['live/demo/2026-11-23/14-00-00.123.mp4', …]. */
  files(stream) {
    const dir = path.join(this.root, stream);
    if (!fs.existsSync(dir)) return [];
    return fs
      .readdirSync(dir)
      .filter((day) => DAY.test(day))
      .sort()
      .flatMap((day) =>
        fs
          .readdirSync(path.join(dir, day))
          .filter((name) => NAME.test(name))
          .sort()
          .map((name) => `${stream}/${day}/${name}`),
      );
  }

  /** All files in the folder, including markers and spool. */
  all(dir = this.root) {
    return fs.readdirSync(dir, { withFileTypes: true })
      .flatMap((entry) => (entry.isDirectory() ? this.all(path.join(dir, entry.name)) : [path.join(dir, entry.name)]));
  }

  /** Events of a stream (or all) in the order of their names. */
  spool(stream) {
    const dir = path.join(this.root, '.spool');
    const names = fs.existsSync(dir) ? fs.readdirSync(dir).filter((name) => name.endsWith('.json')).sort() : [];
    for (const name of names) assert.match(name, EVENT);
    return names
      .map((name) => JSON.parse(fs.readFileSync(path.join(dir, name), 'utf8')))
      .filter((event) => !stream || event.stream === stream);
  }

  markers() {
    const dir = path.join(this.root, '.open');
    return fs.existsSync(dir) ? fs.readdirSync(dir) : [];
  }

  /** Waits until a stream has `count` closed files; returns all of them, read. */
  async closed(stream, count = 1) {
    await until(
      () => this.spool(stream).filter(({ event }) => event === 'close').length >= count,
      `${count} closed recording(s) of ${stream}`,
      60_000,
    );
    return this.files(stream).map((file) => this.read(file));
  }

  read(file) { return new Recording(this.root, file); }
}

// ---- one file -------------------------------------------------------------

const number = (text) => { assert.match(text, /^\d+$/); return Number(text); };

/** A line of a segment of live HLS, in full. */
const LIVE = new RegExp(`^${Object.entries({
  NUMBER: '(?<number>\\d+)', STREAM: '(?<stream>\\d+)', BYTES: '(?<size>\\d+)@(?<offset>\\d+)', MS: '(?<ms>\\d+)',
  UTC: '(?<utc>\\d+)', SHIFT: '(?<shift>-?\\d+)', SOUND: '(?<sound>-?\\d+)', UNTIL: '(?<soundEnd>-?\\d+)',
  HEADERS: '(?<headers>\\d+)', BREAKS: '(?<breaks>\\d+)', ANEW: '(?<anew>[01])',
}).map(([name, value]) => `${name}=${value}`).join(',')}$`);

/** Parses an index (RFC 8216): {head…, segments, lives, ended, interrupted}. */
export function readIndex(text) {
  const index = { segments: [], lives: [], target: undefined, map: undefined };
  let next = {};
  let utc;
  assert.equal(text.split('\n')[0], '#EXTM3U');
  for (const line of lines(text).slice(1)) {
    const [, tag, value] = /^#([A-Z0-9-]+):?(.*)$/.exec(line) ?? [];
    switch (tag) {
      case 'EXT-X-VERSION':
        assert.equal(value, '7');
        break;
      case 'EXT-X-TARGETDURATION':
        index.target = number(value);
        break;
      case 'EXT-X-PLAYLIST-TYPE':
        assert.equal(value, 'EVENT');
        break;
      case 'EXT-X-DUOLU-RECORDING':
        [, index.stream, index.session] = /^STREAM="(.*)",SESSION=(\d+)$/.exec(value);
        break;
      case 'EXT-X-MAP': {
        const [, uri, size, offset] = /^URI="(.*)",BYTERANGE="(\d+)@(\d+)"$/.exec(value);
        index.map = { uri, size: number(size), offset: number(offset) };
        break;
      }
      case 'EXT-X-PROGRAM-DATE-TIME':
        next.date = Date.parse(value);
        break;
      case 'EXT-X-DISCONTINUITY':
        next.gap = true;
        break;
      case 'EXT-X-DUOLU-DEPENDENT':
        next.dependent = true;
        break;
      case 'EXTINF':
        next.duration = Math.round(Number(/^(\d+\.\d{3}),$/.exec(value)[1]) * 1000);
        break;
      case 'EXT-X-BYTERANGE':
        [, next.size, next.offset] = /^(\d+)@(\d+)$/.exec(value).map(Number);
        break;
      case 'EXT-X-DUOLU-LIVE':
        assert.match(value, LIVE);
        index.lives.push(Object.fromEntries(Object.entries(LIVE.exec(value).groups).map(([k, v]) => [k, Number(v)])));
        break;
      case 'EXT-X-DUOLU-INTERRUPTED':
        index.interrupted = true;
        break;
      case 'EXT-X-ENDLIST':
        index.ended = true;
        break;
      default:
        assert.equal(tag, undefined, `a tag that no index has: ${line}`);
        assert.equal(line, index.map.uri, 'a segment of another file');
        assert.ok(
          next.duration !== undefined && next.size > 0,
          `a segment without length or place: ${JSON.stringify(next)}`,
        );
        utc = next.date ?? utc;
        index.segments.push({ ...next, utc });
        utc += next.duration;
        next = {};
    }
  }
  return index;
}

export class Recording {
  constructor(root, file) {
    this.file = file;
    this.path = path.join(root, file);
    this.stream = file.split('/').slice(0, 2).join('/');
    const [day, name] = file.split('/').slice(2);
    const [, h, m, s, ms] = NAME.exec(name);
    this.start = Date.parse(`${day}T${h}:${m}:${s}.${ms}Z`);
    this.index = this.path.replace(/\.mp4$/, '.m3u8');
    this.playlist = readIndex(fs.readFileSync(this.index, 'utf8'));
    this.bytes = fs.readFileSync(this.path);
    this.movie = readMp4(this.bytes, { partial: !this.playlist.ended });
  }

  /** All frames, in the file's order: {type, dts (ms in the file), utc, cts, key, data, fragment}. */
  get frames() {
    this.allFrames ??= this.movie.fragments.flatMap((fragment, i) =>
      this.movie.tracks.flatMap(({ id, kind, timescale }) => {
        const ms = (ticks) => (ticks * 1000) / timescale;
        return (fragment.tracks[id]?.samples ?? []).map(({ dts, cts, duration, key, offset, size }) => ({
          type: kind === 'video' ? VIDEO : AUDIO,
          dts: ms(dts),
          utc: this.start + ms(dts),
          cts: ms(cts),
          duration: ms(duration),
          key,
          data: this.bytes.subarray(offset, offset + size),
          fragment: i,
        }));
      }),
    );
    return this.allFrames;
  }

  of(type) { return this.frames.filter((frame) => frame.type === type); }
  get video() { return this.of(VIDEO); }
  get audio() { return this.of(AUDIO); }
  get session() { return this.playlist.session; }

  /** Where its frames end, ms in the file. */
  get end() { return Math.max(...this.frames.map(({ dts, duration }) => dts + duration)); }
}

// ---- checks of a file -----------------------------------------------------

/** Checks a file and its index; `open`: it is still being written; `modes`: of files and folders. */
export function wellFormed(r, { open = false, session, modes = ['640', '750'] } = {}) {
  const { playlist, movie, bytes } = r;
  const name = path.basename(r.file);
  assert.equal(playlist.stream, r.stream);
  if (session !== undefined) assert.equal(playlist.session, String(session));
  assert.equal(playlist.map.uri, name);
  assert.deepEqual([playlist.map.offset, playlist.map.size], [0, movie.initSize], 'EXT-X-MAP is ftyp and moov');
  assert.equal(Boolean(playlist.ended), !open, open ? 'no ENDLIST while it grows' : 'ENDLIST at its end');
  for (const each of [r.path, r.index]) assert.equal((fs.statSync(each).mode & 0o777).toString(8), modes[0], each);
  for (const dir of [path.dirname(r.path), path.dirname(path.dirname(r.path))])
    assert.equal((fs.statSync(dir).mode & 0o777).toString(8), modes[1], dir);

  movie.fragments.forEach((fragment, i) => {
    assert.equal(fragment.sequence, i + 1, 'fragments are counted from 1');
    for (const type of [VIDEO, AUDIO]) {
      const own = r.of(type).filter((frame) => frame.fragment === i);
      const most = FRAGMENT_MS + (type === AUDIO && r.video.length ? INTERLEAVE : 0);
      if (own.length)
        assert.ok(
          own.at(-1).dts - own[0].dts < most,
          `fragment ${i} has ${own.at(-1).dts - own[0].dts} ms of type ${type}`,
        );
    }
  });
  segments(r, open);
  lives(r);
  if (!open) {
    assert.ok(Math.abs(movie.durationMs - r.end) <= 50, `mehd says ${movie.durationMs} ms, the frames end at ${r.end}`);
    assert.deepEqual([movie.end, movie.unreferenced], [bytes.length, 0], 'the file ends with its last fragment');
  }
}

function segments(r, open) {
  const { playlist, movie } = r;
  const hasVideo = r.video.length > 0;
  let at = movie.initSize;
  assert.ok(playlist.segments.length > 0, 'a segment at least');
  assert.equal(playlist.segments[0].date, r.start, 'the first moment is that of the name');
  playlist.segments.forEach((segment, i) => {
    const what = `segment ${i} of ${r.file}`;
    assert.equal(segment.offset, at, `${what} begins where the one before ends`);
    at += segment.size;
    const first = movie.fragments.findIndex(({ offset }) => offset === segment.offset);
    assert.ok(first >= 0, `${what} begins at a moof`);
    const own = r.frames.filter(
      ({ fragment }) => movie.fragments[fragment].offset >= segment.offset && movie.fragments[fragment].offset < at,
    );
    const leader = own.find(({ type }) => type === (hasVideo ? VIDEO : AUDIO));
    if (hasVideo && !segment.dependent) assert.ok(leader.key, `${what} begins with a key frame`);
    // the first segment, and one behind a gap, may begin with sound, before its picture
    const earliest = Math.min(...own.map(({ utc }) => utc));
    const withSound = Math.abs(earliest - segment.utc) <= 2 * DRIFT;
    const withLeader = !leader || Math.abs(leader.utc - segment.utc) <= (hasVideo ? 1 : 2);
    assert.ok(
      i === 0 ? withSound : withLeader || (segment.gap && withSound),
      `${what} is at ${segment.utc}, its first frame at ${earliest}, its leading one at ${leader?.utc}`,
    );
    assert.ok(
      segment.duration <= SEGMENT_MS && Math.round(segment.duration / 1000) <= playlist.target,
      `${what} is ${segment.duration} ms long`,
    );
    const next = playlist.segments[i + 1];
    if (next && !next.gap)
      assert.ok(Math.abs(segment.utc + segment.duration - next.utc) <= 1, `${what} ends where the next begins`);
    if (next?.gap) assert.ok(next.date >= segment.utc + segment.duration - 50, `${what}: time goes on over the gap`);
  });
  if (!open) assert.equal(at, r.bytes.length, 'the index tells of every byte');
  assert.ok(at <= r.bytes.length, 'the index is never ahead of the file');
}

/** The segments of live HLS are whole fragments, and those that follow one another are adjacent in bytes and time. */
function lives({ playlist, movie, file }) {
  const borders = new Set([...movie.fragments.map(({ offset }) => offset), movie.end]);
  playlist.lives.forEach((live, i) => {
    const what = `live segment ${live.number} of ${file}`;
    const before = playlist.lives[i - 1];
    assert.ok(borders.has(live.offset) && borders.has(live.offset + live.size), `${what} is whole fragments`);
    assert.equal(live.headers, playlist.lives[0].headers, `${what} has the file's headers`);
    if (before) assert.ok(live.number > before.number, `${what} follows ${before.number}`);
    if (before?.number !== live.number - 1) return;
    assert.equal(live.offset, before.offset + before.size, `${what} begins where the one before ends`);
    assert.equal(live.breaks, before.breaks + before.anew, `${what}: its breaks`);
    assert.equal(live.sound, before.soundEnd, `${what}: its sound follows`);
  });
}

/**
 * Checks that the recordings hold exactly these frames, each once, at their times.
 * `sent`: [{type, dts, cts, key, data}], their dts by any one clock.  Between
 * files of a session the clock may differ by `apart` ms.  `onTime: false` for a
 * publisher that a busy machine may keep from its pace: its clock may be set.
 */
export function sameFrames(recordings, sent, { apart = 50, onTime = true } = {}) {
  for (const type of [VIDEO, AUDIO]) {
    const want = sent.filter((frame) => frame.type === type);
    const have = recordings.flatMap((r) => r.of(type).map((frame) => ({ ...frame, r })));
    const kind = type === VIDEO ? 'video' : 'audio';
    const n = Math.min(want.length, have.length);
    for (let i = 0; i < n; i++) {
      if (have[i].data.equals(want[i].data)) continue;
      assert.fail(
        `${kind} frame ${i} of ${want.length} is not what was sent: ${have[i].data.length} bytes, not ` +
          `${want[i].data.length} (recorded: ${have.length}; ` +
          `it is sent frame ${want.findIndex(({ data }) => have[i].data.equals(data))})`,
      );
    }
    assert.equal(have.length, want.length, `${kind}: as many frames as were sent`);
    const offsets = new Map();
    for (let i = 0; i < n; i++) {
      const { r } = have[i];
      const off = have[i].utc - want[i].dts;
      if (!offsets.has(r)) offsets.set(r, off);
      const allowed = !onTime ? Infinity : type === VIDEO ? 0.5 : 2 * DRIFT;
      assert.ok(Math.abs(off - offsets.get(r)) <= allowed, `${kind} frame ${i} is off by ${off - offsets.get(r)} ms`);
      if (type === VIDEO)
        assert.deepEqual(
          [have[i].cts, have[i].key],
          [want[i].cts ?? 0, Boolean(want[i].key)],
          `cts and key of video frame ${i}`,
        );
    }
    const all = [...offsets.values()];
    assert.ok(Math.max(...all) - Math.min(...all) <= apart || all.length === 0, `${kind}: files are apart by ${all}`);
  }
}

/** Checks that ffprobe and ffmpeg read all of the file and the playlist without complaint. */
export async function plays(r, { index = true } = {}) {
  const inputs = index ? [r.path, r.index] : [r.path];
  for (const input of inputs) {
    const { stdout, stderr } = await run('ffprobe', [
      '-v',
      'error',
      '-count_packets',
      '-show_entries',
      'stream=codec_type,nb_read_packets',
      '-of',
      'json',
      input,
    ]);
    assert.equal(stderr, '', `ffprobe about ${input}`);
    for (const { codec_type: type, nb_read_packets: n } of JSON.parse(stdout).streams) {
      assert.equal(Number(n ?? 0), r[type].length, `${type} packets of ${input}`);
    }
    const decoded = await run(
      'ffmpeg',
      ['-nostdin', '-v', 'error', '-threads', '1', '-i', input, '-fps_mode', 'vfr', '-f', 'null', '-'],
      { check: false },
    );
    assert.equal(decoded.stderr + (decoded.code ? `exit status ${decoded.code}` : ''), '', `ffmpeg about ${input}`);
  }
}

// ---- sent frames ----------------------------------------------------------

/** A media tag of FLV as a frame for sameFrames(); undefined if it holds no frame. */
export function frameOf({ type, body, dts }) {
  if (type === AUDIO) return body[1] === 0 ? undefined : { type, dts, data: body.subarray(2) };
  if (type !== VIDEO) return undefined;
  if (body[0] & 0x80) {                                              // enhanced: hvc1
    const kind = body[0] & 15;
    if (kind !== 1 && kind !== 3) return undefined;
    return {
      type,
      dts,
      key: ((body[0] >> 4) & 7) === 1,
      cts: kind === 1 ? body.readIntBE(5, 3) : 0,
      data: body.subarray(kind === 1 ? 8 : 5),
    };
  }
  return body[1] === 1
    ? { type, dts, key: body[0] >> 4 === 1, cts: body.readIntBE(2, 3), data: body.subarray(5) }
    : undefined;
}

export const framesOf = (tags) => tags.map(frameOf).filter(Boolean);

/** A viewer that keeps bodies. */
export async function capture(hub, stream) {
  const viewer = await Viewer.open(hub.url(stream), new FlvReader({ bodies: true }));
  if (viewer.status !== 200) throw new Error(`viewer of ${stream}: ${viewer.status}`);
  return viewer;
}

/** The times between arrivals of video from one moment to another, ms, without those when this process stood still. */
export function waitsOf(viewer, from, to) {
  const at = [from, ...viewer.flv.video().map((tag) => tag.at).filter((ms) => ms > from && ms < to), to];
  return at.slice(1).map((ms, i) => ms - at[i] - lagBetween(at[i], ms));
}

/** A filler NAL unit that contains a name, so that all frames differ. */
function named(name, size) {
  const nal = Buffer.alloc(Math.max(size, 40), 0xff);
  nal.writeUInt32BE(nal.length - 4, 0);
  nal[4] = 12;
  nal.write(`<${name}>`, 6, 'latin1');
  nal[nal.length - 1] = 0x80;
  return nal;
}

/** Names of a Source's pictures: ['1-0', '1-1', …], its number and theirs. */
export const namesOf = (frames) =>
  frames.filter(({ type }) => type === VIDEO).map(({ data }) => /<(\d+-\d+)>/.exec(data.toString('latin1'))[1]);

let sources = 0;

/** Publishes pictures that all differ, and remembers them. */
export class Source {
  static async open(hub, name, { size = 500, every = 40, gop = 25, audio = true, from = 0, key = 'k' } = {}) {
    const source = new Source();
    Object.assign(source, { id: ++sources, sent: [], size, every, gop, audio, n: 0, stamp: from, heard: from, hub });
    source.client = await openPublisher(`${name}?key=${key}`, { ...hub.rtmp, chunkSize: 65536, timestamp: from });
    return source;
  }

  /** Sends one picture, and the sound up to it. */
  step({ key = this.n % this.gop === 0, cts = 0 } = {}) {
    const body = Buffer.concat([key ? keyFrame() : interFrame(), named(`${this.id}-${this.n}`, this.size)]);
    body.writeIntBE(cts, 2, 3);
    this.client.sendVideo(this.stamp, body);
    this.sent.push(frameOf({ type: VIDEO, dts: this.stamp, body }));
    for (; this.audio && this.heard <= this.stamp; this.heard += 1024 / 44.1) {
      const stamp = Math.round(this.heard);
      this.client.sendAudio(stamp, aacFrame());
      this.sent.push(frameOf({ type: AUDIO, dts: stamp, body: aacFrame() }));
    }
    this.n++;
    this.stamp += this.every;
  }

  /** Sends MS of media at once. */
  burst(ms) { for (const end = this.stamp + ms; this.stamp < end;) this.step(); }

  /** Sends in real time until stop(). */
  run() {
    const began = performance.now() - this.stamp;
    const due = () => { while (!this.client.ended && this.stamp <= performance.now() - began) this.step(); };
    due();
    this.timer = setInterval(due, 10);
    this.timer.unref();
    return this;
  }

  /** run(); returns the moments between which nginx got its first frame. */
  async begin() {
    const from = Date.now();
    this.run();
    await this.client.ping();
    return { from, to: Date.now() };
  }

  stop() { clearInterval(this.timer); return this; }

  /** Ends the publisher when the server has all frames. */
  async end() {
    this.stop();
    await this.client.ping();
    await this.client.close();
  }
}

/** Frames that a viewer SAW, who joined late, preceded by the frames that were SENT before. */
export function fromTheStart(sent, saw) {
  const missed = sent.length - saw.length;
  const shift = saw[0].dts - sent[missed].dts;
  return [...sent.slice(0, missed).map((frame) => ({ ...frame, dts: frame.dts + shift })), ...saw];
}

/** Sends a plan of a clip's frames (clips.mjs) and ends; returns the frames. */
export async function replayed(hub, name, steps) {
  const client = await openStream(hub.rtmp);
  client.setChunkSize(4096);
  client.sendMeta();
  await client.publish(`${name}?key=k`);
  await replay(client, steps).done;
  await client.ping();
  await client.close();
  return framesOf(steps.map(({ tag, stamp }) => ({ ...tag, dts: stamp })));
}
