// Judges the media that playlists of HLS name: fMP4 by ISO/IEC 14496-12 (mp4.mjs) and RFC 8216bis 3.1.2.
//
//   const media = new HlsMedia(stream);             of an HlsStream, and its report
//   media.init(uri, bytes);
//   const chain = media.chain();                    one client, which reads one item after another
//   chain.part(part, bytes); chain.segment(segment, bytes);
//   media.finish(variant)                           compares CODECS, RESOLUTION, FRAME-RATE, BANDWIDTH

import crypto from 'node:crypto';
import { readMp4 } from './mp4.mjs';

const ISO6 = ['iso6', 'iso7', 'iso8', 'iso9', 'cmfc', 'cmf2', 'cmfs', 'mp42', 'hlsf'];
const MS = 0.001;
const APART = 0.5;                      // seconds between sound and picture of one part
const PACE = 0.025;                     // seconds that sound from the recording may be apart: SOUND_DRIFT, each way
const BASE_IS_MOOF = 0x20000;
const BASE_GIVEN = 1;

const hashOf = (bytes) => crypto.createHash('sha1').update(bytes).digest('hex');

/** The boxes in bytes[at, end) as {type, at, end}; `at` is behind the header. */
function boxes(bytes, at = 0, end = bytes.length) {
  const list = [];
  while (at + 8 <= end) {
    const size = bytes.readUInt32BE(at);
    if (size < 8 || at + size > end) break;
    list.push({ type: bytes.latin1Slice(at + 4, at + 8), at: at + 8, end: at + size });
    at += size;
  }
  return list;
}

const inside = (bytes, box, type) => boxes(bytes, box.at, box.end).filter((child) => child.type === type);

/** RFC 6381: the format of a track, from its codec configuration. */
function codecOf({ codec, config }) {
  if (codec === 'avc1') return `avc1.${config.subarray(1, 4).toString('hex')}`;
  if (codec === 'mp4a') {
    const type = config[0] >> 3;
    return `mp4a.40.${type === 31 ? 32 + ((config[0] & 7) << 3 | config[1] >> 5) : type}`;
  }
  const [, profile] = config;           // 14496-15, Annex E
  let compatible = 0;
  for (let i = 0; i < 32; i++) if (config.readUInt32BE(2) & (1 << i)) compatible += 2 ** (31 - i);
  const constraints = [...config.subarray(6, 12)];
  while (constraints.at(-1) === 0) constraints.pop();
  return [
    codec, `${['', 'A', 'B', 'C'][profile >> 6]}${profile & 31}`, compatible.toString(16),
    `${profile & 32 ? 'H' : 'L'}${config[12]}`, ...constraints.map((byte) => byte.toString(16)),
  ].join('.').toLowerCase();
}

/** What must not change without EXT-X-DISCONTINUITY. */
const signature = (movie) => movie.tracks.map(({ id, kind, codec, timescale, width, height, config }) =>
  [id, kind, codec, timescale, width, height, config.toString('hex')].join(' ')).join('; ');

export class HlsMedia {
  constructor(stream) {
    this.stream = stream;
    this.report = stream.report;
    this.inits = new Map();             // URI: {bytes, movie}
    this.hashes = new Map();            // URI and ETag: of its bytes
    this.frameLists = new Map();        // URI of a segment: its frames, as they were first seen
    this.again = 0;                     // segments that came with other bytes later
    this.partBytes = new Map();         // segment: {index: bytes}
    this.sizes = new Map();             // segment: {bytes, duration}
    this.frames = { count: 0, seconds: 0 };
    this.pictures = 0;                  // in segments
  }

  chain() { return new Chain(this); }

  once(uri, bytes, etag = '') {
    const hash = hashOf(bytes);
    const key = `${uri} ${etag}`;
    const known = this.hashes.get(key);
    this.report.need(!known || known === hash, 'bytes-once', `${bytes.length} bytes`, uri);
    this.hashes.set(key, known ?? hash);
  }

  /** A segment that is in the recording, too, has the same frames there. */
  sameFrames(uri, frames, hash) {
    const known = this.frameLists.get(uri);
    if (!known) { this.frameLists.set(uri, { frames, hash }); return; }
    if (known.hash === hash) return;
    this.again++;
    for (const kind of new Set([...known.frames, ...frames].map((frame) => frame.kind))) {
      const [was, is] = [known.frames, frames].map((list) => list.filter((frame) => frame.kind === kind));
      const apart = kind === 'video' ? MS / 2 : PACE;
      const differs = ({ at, cts, key, data }, i) => Math.abs(was[i].at - at) > apart
        || Math.abs(was[i].cts - cts) > MS / 2 || was[i].key !== key || was[i].data !== data;
      const wrong = is.length === was.length ? is.findIndex(differs) : 0;
      const said = ([one]) => `${one?.data} at ${one?.at.toFixed(4)} s, cts ${one?.cts.toFixed(4)} s`;
      this.report.need(wrong < 0, 'media-once', `${kind} ${wrong} of ${was.length} was ${said(was.slice(wrong))}; of `
        + `${is.length} it is ${said(is.slice(wrong))}`, uri);
    }
  }

  init(uri, bytes) {
    const { report } = this;
    this.once(uri, bytes);
    let movie;
    try { movie = readMp4(bytes); } catch (error) { report.add('boxes', error.message, uri); return; }
    this.inits.set(uri, { bytes, movie });
    const { major, compatible } = movie.brands;
    report.need([major, ...compatible].some((brand) => ISO6.includes(brand)), 'init-brand',
      `${[major, ...compatible]}`, uri);
    const moov = boxes(bytes).find(({ type }) => type === 'moov');
    const kinds = boxes(bytes, moov.at, moov.end).map(({ type }) => type);
    report.need(kinds.lastIndexOf('mvex') > kinds.lastIndexOf('trak'), 'init-mvex', kinds.join(' '), uri);
    const [mvhd] = inside(bytes, moov, 'mvhd');
    const durations = [bytes[mvhd.at] ? Number(bytes.readBigUInt64BE(mvhd.at + 24)) : bytes.readUInt32BE(mvhd.at + 16),
      ...movie.tracks.map((track) => track.movieDuration)];
    const counts = movie.tracks.map((track) => track.samples.length);
    report.need([...durations, ...counts].every((n) => n === 0), 'init-empty',
      `durations ${durations}, counts ${counts}`, uri);
  }

  /** Its tracks as [{kind, start, end, frame, tail, samples}], in seconds; undefined if it is wrong. */
  read(item, bytes) {
    const { report } = this;
    const init = this.inits.get(item.map?.uri);
    if (!init) return undefined;
    if (!this.checkBoxes(item, bytes)) return undefined;
    let movie;
    try { movie = readMp4(Buffer.concat([init.bytes, bytes])); } catch (error) {
      report.add('boxes', error.message, item.uri);
      return undefined;
    }
    const starts = new Map();
    for (const { tracks } of movie.fragments) {
      for (const [id, { dts, samples }] of Object.entries(tracks))
        if (samples.length > 0 && !starts.has(Number(id))) starts.set(Number(id), dts);
    }
    return movie.tracks.filter(({ id }) => starts.has(id)).map(({ id, kind, timescale, samples }) => {
      const ticks = samples.reduce((n, { duration }) => n + duration, 0);
      const frame = Math.max(...samples.map(({ duration }) => duration)) / timescale;
      const start = starts.get(id) / timescale;
      const tail = samples.at(-1).duration / timescale;
      const from = init.bytes.length;
      const frames = () => samples.map(({ dts, cts, key, offset, size }) => ({ kind, key, at: dts / timescale,
        cts: cts / timescale, data: hashOf(bytes.subarray(offset - from, offset - from + size)) }));
      return { id, kind, start, end: start + ticks / timescale, frame, tail, samples, frames };
    });
  }

  checkBoxes({ uri }, bytes) {
    const { report } = this;
    const moofs = boxes(bytes).filter(({ type }) => type === 'moof');
    if (!report.need(moofs.length > 0, 'fragment', boxes(bytes).map(({ type }) => type).join(' ') || 'no box', uri))
      return false;
    return moofs.flatMap((moof) => inside(bytes, moof, 'traf')).every((traf) => {
      const [tfhd] = inside(bytes, traf, 'tfhd');
      const flags = tfhd ? bytes.readUIntBE(tfhd.at + 1, 3) : 0;
      const relative = flags & BASE_IS_MOOF && !(flags & BASE_GIVEN);
      return report.need(inside(bytes, traf, 'tfdt').length === 1, 'tfdt', 'it has none', uri)
        && report.need(relative, 'moof-relative', `flags ${flags.toString(16)}`, uri);
    });
  }

  /** 4.4.6.2, when the client has read some segments. */
  finish(variant, { target, peakSlack = 1.1, most = 2 }) {
    const { report } = this;
    const movie = [...this.inits.values()].at(-1)?.movie;
    if (!movie) return;
    const said = (variant.CODECS ?? '').split(',').map((codec) => codec.toLowerCase()).sort();
    const found = movie.tracks.map(codecOf).sort();
    report.need(said.join() === found.join(), 'codecs-true', `"${variant.CODECS}", the media are ${found}`);
    const video = movie.tracks.find(({ kind }) => kind === 'video');
    if (video) {
      report.need(variant.RESOLUTION?.join('x') === `${video.width}x${video.height}`, 'resolution-true',
        `${variant.RESOLUTION?.join('x')}, the pictures are ${video.width}x${video.height}`);
      const rate = this.frames.count / this.frames.seconds;
      report.need(!(Math.abs(variant['FRAME-RATE'] - rate) > rate / 50), 'frame-rate-true',
        `${variant['FRAME-RATE']}, measured ${rate.toFixed(3)}`);
    }
    const peak = this.peak(target);
    report.need(peak <= variant.BANDWIDTH * peakSlack && variant.BANDWIDTH <= peak * most, 'bandwidth-true',
      `${variant.BANDWIDTH}, measured ${Math.round(peak)}`);
  }

  /** 3: the largest bit rate of neighbours that last 0.5 to 1.5 target durations. */
  peak(target) {
    const list = [...this.sizes].sort(([a], [b]) => a - b);
    let peak = 0;
    for (let i = 0; i < list.length; i++) {
      let [bytes, seconds] = [0, 0];
      for (let k = i; k < list.length && list[k][0] === list[i][0] + k - i; k++) {
        bytes += list[k][1].bytes;
        seconds += list[k][1].duration;
        if (seconds > 1.5 * target) break;
        if (seconds >= 0.5 * target) peak = Math.max(peak, 8 * bytes / seconds);
      }
    }
    return peak;
  }
}

/** One client, which reads parts or segments in their order. */
class Chain {
  constructor(media) {
    this.media = media;
    this.report = media.report;
    this.last = null;                   // {number, index, map, ends: {track: {end, tail}}}
    this.samples = 0;
  }

  /** Whether `item` is the one behind `last`; a part of a new segment is, if it is the first one. */
  follows({ number, index }) {
    const { last } = this;
    if (!last) return false;
    if (index === undefined) return number === last.number + 1;
    return number === last.number ? index === last.index + 1 : number === last.number + 1 && index === 0;
  }

  part(part, bytes, { discontinuity = false } = {}) {
    const { media, report } = this;
    if (!media.hashes.has(`${part.uri} `)) {
      const parts = media.partBytes.get(part.number) ?? [];
      parts[part.index] = bytes;
      media.partBytes.set(part.number, parts);
    }
    const tracks = this.item(part, bytes, discontinuity);
    const video = tracks?.find(({ kind }) => kind === 'video');
    if (video) {
      const keys = video.samples.filter(({ key }) => key).length;
      report.need(!part.independent || keys > 0, 'independent-true', 'it has none', part.uri);
      report.need(part.independent || keys === 0, 'independent-marked', 'it is not', part.uri);
    }
    return tracks;
  }

  /**
   * `parts`: how many parts the list named, if any; `independent`: of the list; `recorded`: it came from the recording,
   * whose fragments are others.
   */
  segment(segment, bytes, { parts, independent = false, etag, recorded = false } = {}) {
    const { media, report } = this;
    const fresh = !media.sizes.has(segment.number);
    const known = media.partBytes.get(segment.number) ?? [];
    if (!recorded && parts > 0 && known.length === parts && known.every(Boolean)) {
      report.need(Buffer.concat(known).equals(bytes), 'segment-is-parts',
        `${bytes.length} bytes, its ${parts} parts have ${Buffer.concat(known).length}`, segment.uri);
      media.partBytes.delete(segment.number);
    }
    const tracks = this.item(segment, bytes, segment.discontinuity, etag);
    if (!tracks) return tracks;
    media.sameFrames(segment.uri, tracks.flatMap(({ frames }) => frames()), hashOf(bytes));
    const video = tracks.find(({ kind }) => kind === 'video');
    report.need(!independent || !video || video.samples[0].key, 'independent-segments', 'it begins with another frame',
      segment.uri);
    if (fresh) {
      media.sizes.set(segment.number, { bytes: bytes.length, duration: segment.duration });
      if (video) {
        media.frames.count += video.samples.length;
        media.frames.seconds += segment.duration;
      }
    }
    return tracks;
  }

  item(item, bytes, discontinuity, etag) {
    const { media, report } = this;
    media.once(item.uri, bytes, etag);
    const tracks = media.read(item, bytes);
    if (!tracks) { this.last = null; return undefined; }
    const main = tracks.find(({ kind }) => kind === 'video') ?? tracks[0];
    if (main) {
      const lasts = main.end - main.start;
      report.need(Math.abs(lasts - item.duration) <= main.frame + MS, 'duration-true',
        `${item.duration} s, its ${main.kind} lasts ${lasts.toFixed(4)} s`, item.uri);
    }
    this.checkTogether(item, tracks);
    this.checkOrder(item, main);
    const ends = this.checkContinues(item, tracks, discontinuity);
    this.samples += main?.samples.length ?? 0;
    this.last = { number: item.number, index: item.index, map: item.map, ends };
    return tracks;
  }

  checkTogether(item, tracks) {
    if (tracks.length < 2) return;
    const apart = Math.abs(tracks[0].start - tracks[1].start);
    this.report.need(apart <= APART, 'tracks-together', `they begin ${apart.toFixed(3)} s apart`, item.uri);
  }

  checkOrder(item, main) {
    const shown = new Set(main?.samples.map(({ dts, cts }) => dts + cts));
    this.report.need(!main || shown.size === main.samples.length, 'order-true', 'two are the same', item.uri);
  }

  /** Section 3; returns where each track ends. */
  checkContinues(item, tracks, discontinuity) {
    const { last, report, media } = this;
    const follows = this.follows(item);
    if (follows && !discontinuity && last.map.uri !== item.map.uri) {
      const [was, is] = [last.map.uri, item.map.uri].map((uri) => media.inits.get(uri));
      report.need(!was || signature(was.movie) === signature(is.movie), 'discontinuity-needed',
        `its MAP is "${item.map.uri}", before it was "${last.map.uri}"`, item.uri);
    }
    const ends = follows && !discontinuity ? { ...last.ends } : {};
    for (const { id, kind, start, end, tail } of tracks) {
      const before = ends[id] ?? { end: start, tail };
      // the last frame's duration may have been estimated; Media Source then allows twice of it
      const off = start - before.end;
      report.need(off >= -MS && off <= before.tail + MS, 'time-continues',
        `${kind} begins at ${start.toFixed(4)} s, ${off.toFixed(4)} s behind the end of what was before`, item.uri);
      ends[id] = { end, tail };
    }
    return ends;
  }
}
