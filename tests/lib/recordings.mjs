// Writes recordings as the recorder would: the fragments of one short real encoding,
// repeated over any hours and spans.
//
//   const source = await makeSource();
//   const files = writeRecordings(root, 'live/demo', source, { spans: [[from, to]] });
//
// Times are ms since 1970.  Each fragment is one second and one GOP.

import fs from 'node:fs';
import path from 'node:path';
import { output } from './clips.mjs';

export const HOUR = 3600_000;
export const DAY = 24 * HOUR;

/** Whole seconds, so that starts are on the grid of fragments. */
export const second = (utc) => Math.floor(utc / 1000) * 1000;

const iso = (utc) => new Date(utc).toISOString();

function* boxes(data, from = 0, to = data.length) {
  for (let at = from; at < to;) {
    const size = data.readUInt32BE(at);
    if (size < 8 || at + size > to) throw new Error(`box at ${at} of ${size} bytes`);
    yield { type: data.toString('latin1', at + 4, at + 8), at, size };
    at += size;
  }
}

const child = (data, parent, type) =>
  [...boxes(data, parent.at + 8, parent.at + parent.size)].filter((box) => box.type === type);

/** Where a moof keeps its number, and each track's start and duration. */
function fragmentOf(data, moof) {
  const [mfhd] = child(data, moof, 'mfhd');
  const tracks = child(data, moof, 'traf').map((traf) => {
    const [tfhd] = child(data, traf, 'tfhd');
    const [tfdt] = child(data, traf, 'tfdt');
    if (data[tfdt.at + 8] !== 1) throw new Error('a tfdt of 32 bits');
    return {
      id: data.readUInt32BE(tfhd.at + 12),
      tfdt: tfdt.at + 12 - moof.at,
      start: Number(data.readBigUInt64BE(tfdt.at + 12)),
    };
  });
  return { sequence: mfhd.at + 12 - moof.at, tracks };
}

/** Adds to ffmpeg's init segment mehd (8.8.2, without a duration) and next_track_ID, as ours has them. */
function asOurs(init) {
  const moov = [...boxes(init)].find((box) => box.type === 'moov');
  const [mvex] = child(init, moov, 'mvex');
  const mehd = Buffer.from('000000146d6568640100000000000000' + '00000000', 'hex');
  const out = Buffer.concat([init.subarray(0, mvex.at + 8), mehd, init.subarray(mvex.at + 8)]);
  for (const { at, size } of [moov, mvex]) out.writeUInt32BE(size + mehd.length, at);
  const [mvhd] = child(init, moov, 'mvhd');
  out.writeUInt32BE(3, mvhd.at + mvhd.size - 4);
  return out;
}

/**
 * {init, fragments: [{data, sequence, tracks}], scale: {1: 1000, 2: 48000}}:
 * eight seconds that can be repeated for ever, since 375 AAC frames of 48 kHz
 * have the same length.
 */
export async function makeSource({
  size = '320x180',
  rate = 25,
  audio = true,
  picture = `testsrc2=size=${size}:rate=${rate}`,
} = {}) {
  const data = await output('ffmpeg', [
    '-nostdin',
    '-loglevel',
    'error',
    '-f',
    'lavfi',
    '-i',
    picture,
    ...(audio ? ['-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000'] : []),
    '-t',
    '18',
    '-c:v',
    'libx264',
    '-preset',
    'ultrafast',
    '-g',
    String(rate),
    '-keyint_min',
    String(rate),
    '-sc_threshold',
    '0',
    '-bf',
    '0',
    '-pix_fmt',
    'yuv420p',
    '-threads',
    '1',
    '-video_track_timescale',
    '1000',
    ...(audio ? ['-c:a', 'aac', '-b:a', '48k'] : []),
    '-movflags',
    '+empty_moov+default_base_moof+frag_keyframe+skip_trailer',
    '-f',
    'mp4',
    '-',
  ]);
  const all = [...boxes(data)];
  const first = all.find((box) => box.type === 'moof').at;
  const fragments = all
    .filter((box) => box.type === 'moof')
    .map((moof) => {
      const mdat = all[all.indexOf(moof) + 1];
      return { data: data.subarray(moof.at, mdat.at + mdat.size), ...fragmentOf(data, moof) };
    });
  const source = {
    init: asOurs(data.subarray(0, first)),
    fragments: fragments.slice(1, 9),
    scale: { 1: 1000, 2: 48000 },
  };
  for (const { id, start } of fragments[9].tracks) {
    const length = start - fragments[1].tracks.find((track) => track.id === id).start;
    if (length !== 8 * source.scale[id]) throw new Error(`track ${id}: ${length} in 8 s, so it cannot be repeated`);
  }
  return source;
}

/** Second `n` of a source as fragment `sequence`, `at` ms after the file's start. */
function fragmentAt(source, n, at, sequence) {
  const { data, sequence: where, tracks } = source.fragments[n % 8];
  const copy = Buffer.from(data);
  copy.writeUInt32BE(sequence, where);
  for (const { id, tfdt, start } of tracks) {
    const zero = source.fragments[0].tracks.find((track) => track.id === id).start;
    const inside = start - zero - (n % 8) * source.scale[id];          // where audio begins within its second
    copy.writeBigUInt64BE(BigInt(Math.max(0, Math.round(at * source.scale[id] / 1000) + inside)), tfdt);
  }
  return copy;
}

/** DAY/TIME.EXT of a file that begins at `utc`. */
export const fileName = (utc, ext = 'mp4') =>
  `${iso(utc).slice(0, 10)}/${iso(utc).slice(11, 23).replaceAll(':', '-')}.${ext}`;

export const indexHead = ({ stream, session, init, utc }) => `#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:30
#EXT-X-PLAYLIST-TYPE:EVENT
#EXT-X-DUOLU-RECORDING:STREAM="${stream}",SESSION=${session}
#EXT-X-MAP:URI="${path.basename(fileName(utc))}",BYTERANGE="${init}@0"
#EXT-X-PROGRAM-DATE-TIME:${iso(utc)}
`;

export function indexSegment({ utc, duration, offset, size, gap, dependent }, name) {
  return (gap ? `#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:${iso(utc)}\n` : '')
    + (dependent ? '#EXT-X-DUOLU-DEPENDENT\n' : '')
    + `#EXTINF:${(duration / 1000).toFixed(3)},\n#EXT-X-BYTERANGE:${size}@${offset}\n${name}\n`;
}

/** A file that is being written: add() adds seconds, end() closes it. */
export class Recording {
  constructor(root, stream, source, { utc, session = utc, media = true, step = 1 }) {
    Object.assign(this, {
      source,
      utc,
      media,
      step,
      file: fileName(utc),
      segments: [],
      count: 0,
      offset: source.init.length,
      chunks: [],
      lines: [],
    });
    const [app, name] = stream.split('/').map((part) => part.replace(/^\./, '%2E'));
    this.path = path.join(root, app, name, this.file);
    this.index = this.path.replace(/mp4$/, 'm3u8');
    this.marker = path.join(root, '.open', `${app}/${name}/${this.file}`.replaceAll('/', '%2F'));
    this.end_ = utc;
    fs.mkdirSync(path.dirname(this.path), { recursive: true, mode: 0o770 });
    this.chunks.push(source.init);
    this.lines.push(indexHead({ stream, session, init: source.init.length, utc }));
  }

  /** Adds seconds, after a gap if `utc` is not the end; an index segment has `step` of them. */
  add(seconds, { utc = this.end_, dependent } = {}) {
    for (let done = 0; done < seconds;) {
      const n = Math.min(this.step, seconds - done);
      const segment = {
        utc,
        duration: n * 1000,
        offset: this.offset,
        size: 0,
        gap: utc !== this.end_,
        dependent: dependent?.(this.segments.length),
      };
      for (let i = 0; i < n; i++) {
        const data = this.media
          ? fragmentAt(this.source, this.count, utc + i * 1000 - this.utc, this.count + 1)
          : this.source.fragments[this.count % 8].data;
        if (this.media) this.chunks.push(data);
        segment.size += data.length;
        this.count++;
      }
      this.offset += segment.size;
      this.segments.push(segment);
      this.lines.push(indexSegment(segment, path.basename(this.file)));
      utc += n * 1000;
      this.end_ = utc;
      done += n;
    }
    return this;
  }

  /** Puts the marker of a file that is being written, until end(). */
  mark() {
    fs.mkdirSync(path.dirname(this.marker), { recursive: true, mode: 0o770 });
    fs.writeFileSync(this.marker, '');
    return this;
  }

  /** Writes the added seconds. */
  flush() {
    if (this.media) fs.appendFileSync(this.path, Buffer.concat(this.chunks), { mode: 0o640 });
    fs.appendFileSync(this.index, this.lines.join(''), { mode: 0o640 });
    this.chunks = [];
    this.lines = [];
    return this;
  }

  end({ interrupted = false } = {}) {
    this.lines.push(`${interrupted ? '#EXT-X-DUOLU-INTERRUPTED\n' : ''}#EXT-X-ENDLIST\n`);
    this.flush();
    fs.rmSync(this.marker, { force: true });
    return this;
  }
}

/**
 * Writes the spans [[from, to], …] of one session: a file per UTC hour, with gaps
 * marked.  `ended` false leaves the last file as if it were still being written,
 * `media` false writes only indexes.
 */
export function writeRecordings(
  root,
  stream,
  source,
  { spans, session = spans[0][0], ended = true, media = true, step = 1, dependent },
) {
  const files = [];
  let file;
  for (const [from, to] of spans) {
    for (let utc = from; utc < to;) {
      const until = Math.min(to, (Math.floor(utc / HOUR) + 1) * HOUR);
      if (!file || Math.floor(file.utc / HOUR) !== Math.floor(utc / HOUR)) {
        file?.end();
        file = new Recording(root, stream, source, { utc, session, media, step });
        files.push(file);
      }
      file.add(Math.ceil((until - utc) / 1000), { utc, dependent });
      file.flush();
      utc = file.end_;
    }
  }
  if (ended) file.end();
  return files;
}
