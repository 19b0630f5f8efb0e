// The recovery of recordings (modules/dvr/recover*.c), under ASan and UBSan, with
// real encodings that are cut, zeroed and torn at every kind of place.  Our reader of
// MP4, a second implementation of the recorder's rule for segments, and ffmpeg check
// the results.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readMp4 } from '../lib/mp4.mjs';
import { plays, Recordings, wellFormed } from '../lib/recording.mjs';
import { Driver, encodeFlv, newMemoryFolder } from '../lib/recover.mjs';
import { runSync } from '../lib/stack.mjs';

const repo = fileURLToPath(new URL('../..', import.meta.url));
const folder = newMemoryFolder();

const DAY = '2026-11-23';
const UTC = Date.parse(`${DAY}T14:00:00.123Z`);
const NAME = '14-00-00.123';
const FILE = `live/demo/${DAY}/${NAME}.mp4`;
const MARKER = FILE.replaceAll('/', '%2F');
const BLOCK = 4096;
const BOOT = fs.readFileSync('/proc/sys/kernel/random/boot_id');
const TAIL = 2 << 20;                       // "any byte of the last 2 MB"
const VIDEO = 1;

// ---- the program ----------------------------------------------------------

let driver;

/** An MP4 as a recorder leaves it open. */
function encode(options) {
  const bytes = runSync(path.join(repo, '.build/unit/mux_mp4'), ['1000'],
    { input: encodeFlv(options), encoding: 'buffer', maxBuffer: 1 << 28, timeout: 60_000 });
  return bytes.fill(0, ...durationOf(bytes));               // mehd has no duration while the file grows
}

/** The range of mehd's duration: [from, to]. */
function durationOf(bytes) {
  const at = bytes.indexOf('mehd') + 8;
  return [at, at + 8];
}

// ---- the expected recording ------------------------------------------------

/** A recording in memory: its bytes, and the data of each fragment for the index. */
class Movie {
  constructor(bytes) {
    this.bytes = bytes;
    const movie = readMp4(bytes);
    this.initSize = movie.initSize;
    this.tracks = movie.tracks;
    this.fragments = movie.fragments.map((fragment) => {
      const parts = Object.fromEntries(Object.entries(fragment.tracks).filter(([, { samples }]) => samples.length > 0));
      const spans = movie.tracks.filter(({ id }) => parts[id]).map(({ id, timescale }) => {
        const { samples } = parts[id];
        const ms = (ticks) => Math.floor(ticks * 1000 / timescale);
        const last = samples.at(-1);
        return { id, from: ms(samples[0].dts), last: ms(last.dts), to: ms(last.dts + last.duration) };
      });
      const key = movie.tracks.some(({ kind }) => kind === 'video') ? Boolean(parts[VIDEO]?.samples[0].key) : true;
      const end = Math.max(...Object.values(parts).map(({ samples }) => samples.at(-1).offset + samples.at(-1).size));
      return { offset: fragment.offset, moof: fragment.moofSize, end, key, spans, sequence: fragment.sequence };
    });
  }

  /** The number of fragments that end at or before SIZE. */
  whole(size) { return this.fragments.filter(({ end }) => end <= size).length; }

  end(n) { return n ? this.fragments[n - 1].end : this.initSize; }

  segments(n) {
    const list = [];
    let stop = 0;
    for (const { offset, end, key, spans } of this.fragments.slice(0, n)) {
      const { from, to } = spans[0];
      const last = list.at(-1);
      const gap = from - stop > 1500;
      if (!last || gap || last.to - last.from >= 29_000 || (key && (last.dependent || from - last.from >= 1000))) {
        if (last && !gap) last.to = from;
        list.push({ from: last || gap ? from : 0, offset, gap, dependent: !key });
      }
      Object.assign(list.at(-1), { to, end });
      stop = to;
    }
    return list;
  }

  head(session = UTC) {
    return ['#EXTM3U', '#EXT-X-VERSION:7', '#EXT-X-TARGETDURATION:30', '#EXT-X-PLAYLIST-TYPE:EVENT',
      `#EXT-X-DUOLU-RECORDING:STREAM="live/demo",SESSION=${session}`,
      `#EXT-X-MAP:URI="${NAME}.mp4",BYTERANGE="${this.initSize}@0"`,
      `#EXT-X-PROGRAM-DATE-TIME:${new Date(UTC).toISOString()}`, ''].join('\n');
  }

  /** The index of the first N fragments: [head, segment, segment…]. */
  lines(n = this.fragments.length, session = UTC) {
    return [
      this.head(session),
      ...this.segments(n).map(({ from, to, offset, end, gap, dependent }) =>
        [
          ...(gap ? ['#EXT-X-DISCONTINUITY', `#EXT-X-PROGRAM-DATE-TIME:${new Date(UTC + from).toISOString()}`] : []),
          ...(dependent ? ['#EXT-X-DUOLU-DEPENDENT'] : []),
          `#EXTINF:${((to - from) / 1000).toFixed(3)},`,
          `#EXT-X-BYTERANGE:${end - offset}@${offset}`,
          `${NAME}.mp4`,
          '',
        ].join('\n'),
      ),
    ];
  }

  index(n, session) { return this.lines(n, session).join(''); }
}

/** Delays all fragments from FIRST on by MS. */
function withGap(bytes, first, ms) {
  const out = Buffer.from(bytes);
  const { fragments, tracks } = readMp4(bytes);
  for (const { offset, moofSize } of fragments.slice(first)) {
    for (let at = offset; (at = out.indexOf('tfdt', at)) > 0 && at < offset + moofSize; at += 4) {
      const id = out.readUInt32BE(out.lastIndexOf('tfhd', at) + 8);
      const { timescale } = tracks.find((track) => track.id === id);
      assert.equal(out[at + 4], 1, 'tfdt is of version 1');
      out.writeBigUInt64BE(out.readBigUInt64BE(at + 8) + BigInt(ms * timescale / 1000), at + 8);
    }
  }
  return out;
}

// ---- a folder of recordings -------------------------------------------------

let roots = 0;
const content = Buffer.alloc(16 << 20);

class Root {
  constructor() {
    this.root = path.join(folder, `root${++roots}`);
    this.file = path.join(this.root, FILE);
    this.index = this.file.replace('.mp4', '.m3u8');
    this.marker = path.join(this.root, '.open', MARKER);
    for (const dir of ['', 'live', 'live/demo', `live/demo/${DAY}`, '.open'])
      fs.mkdirSync(path.join(this.root, dir), { mode: 0o750 });
  }

  /** Restores the files; for speed, writes only the bytes that a recovery removed or changed. */
  put(bytes, index) {
    const fd = fs.openSync(this.file, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o640);
    const same = this.is === bytes.buffer ? Math.min(fs.fstatSync(fd).size, bytes.length) : 0;
    if (same < bytes.length) fs.writeSync(fd, bytes, same, bytes.length - same, same);
    fs.ftruncateSync(fd, bytes.length);
    this.is = bytes.buffer;
    fs.closeSync(fd);
    if (index === undefined) fs.rmSync(this.index, { force: true });
    else fs.writeFileSync(this.index, index, { mode: 0o640 });
  }

  /** The file's bytes, valid until the next call. */
  bytes() {
    const fd = fs.openSync(this.file);
    const n = fs.readSync(fd, content, 0, content.length, 0);
    fs.closeSync(fd);
    return content.subarray(0, n);
  }

  /** Marks the file as its recorder does; `lost`: the machine may have lost power since. */
  mark({ lost = true } = {}) {
    fs.writeFileSync(this.marker, lost ? '' : BOOT);
  }

  /** Changes when a program writes to one of the two files. */
  stamp() {
    return [this.file, this.index]
      .map((name) => fs.statSync(name, { bigint: true }))
      .map(({ size, mtimeNs }) => `${size} ${mtimeNs}`)
      .join();
  }

  text() {
    return fs.readFileSync(this.index, 'latin1');
  }

  events() {
    return new Recordings(this.root).spool();
  }

  /** All files below the folder except the spool, as text. */
  state() {
    return new Recordings(this.root)
      .all()
      .filter((name) => !name.includes('/.spool/'))
      .sort()
      .map((name) => `${name} ${fs.readFileSync(name).toString('latin1')}`)
      .join('\n');
  }
}

/** Checks that a recovery left N fragments of MOVIE and an index with these. */
function holds(root, movie, n, answer, what, session = UTC) {
  const now = root.bytes();
  assert.equal(now.length, movie.end(n), `${what}: bytes that are left`);
  assert.ok(now.equals(movie.bytes.subarray(0, now.length)), `${what}: the bytes are those that were written`);
  assert.equal(root.text(), movie.index(n, session), `${what}: the index`);
  const spans = movie.fragments.slice(0, n).flatMap((fragment) => fragment.spans);
  const dts = [1, 2].map((id) => Math.max(-1, ...spans.filter((span) => span.id === id).map(({ last }) => last)));
  assert.deepEqual({ ...answer, calls: 0, cut: 0, session: '', ended: 0, interrupted: 0 }, {
    size: now.length, index: root.text().length, init: movie.initSize, durationAt: durationOf(now)[0],
    sequence: movie.fragments[n - 1].sequence, dts, end: Math.max(...spans.map(({ to }) => to)), utc: UTC,
    session: '', cut: 0, ended: 0, interrupted: 0, calls: 0,
  }, `${what}: what a recorder is told to go on with`);
}

/** Recovers, checks, and recovers again, which must change nothing. */
async function recovers(root, movie, n, what, session = UTC) {
  const answer = await driver.recover(root.root, FILE);
  assert.equal(answer.error, undefined, what);
  holds(root, movie, n, answer, what, session);
  const before = root.stamp();
  const again = await driver.recover(root.root, FILE);
  assert.deepEqual(
    { ...again, calls: 0 },
    { ...answer, cut: 0, session: String(session), calls: 0 },
    `${what}, once more`,
  );
  assert.equal(root.stamp(), before, `${what}, once more: nothing is written`);
}

let movie;                                  // 20 s, key frames each 2 s
let root;

before(() => {
  driver = Driver.make('mux_mp4');
  movie = new Movie(
    encode({
      size: '640x360',
      seconds: 20,
      gop: 50,
      more: ['-keyint_min', '50', '-sc_threshold', '0', '-b:v', '1000k', '-minrate', '1000k', '-maxrate', '1000k',
        '-bufsize', '500k', '-x264-params', 'nal-hrd=cbr', '-b:a', '64k', '-bsf:a', 'setts=ts=TS+23'],
    }),
  );
  root = new Root();
  assert.ok(movie.bytes.length > TAIL + BLOCK, `the recording has ${movie.bytes.length} bytes`);
  assert.ok(movie.fragments.length >= 20, `the recording has ${movie.fragments.length} fragments`);
});

after(async () => {
  fs.rmSync(folder, { recursive: true });
  await driver?.end();
});

// ---- places to cut ----------------------------------------------------------

const CONTAINERS = ['moof', 'traf'];

/** Yields places in the boxes between AT and END, in their headers and contents: [name, offset]. */
function* places(bytes, at, end, within = '') {
  while (at < end) {
    const size = bytes.readUInt32BE(at);
    const type = bytes.latin1Slice(at + 4, at + 8);
    const name = `${within}/${type}`;
    yield [`before ${name}`, at];
    yield [`in the size of ${name}`, at + 2];
    yield [`before the type of ${name}`, at + 4];
    yield [`behind the header of ${name}`, at + 8];
    if (CONTAINERS.includes(type)) yield* places(bytes, at + 8, at + size, name);
    else if (size > 10) {
      yield [`at a byte of ${name}`, at + 9];
      yield [`in the middle of ${name}`, at + (size >> 1)];
    }
    yield [`at the last byte of ${name}`, at + size - 1];
    at += size;
  }
}

/** Places of every kind in the fragments of the last 2 MB. */
function cuts({ every = 1 } = {}) {
  const list = [];
  const first = movie.bytes.length - TAIL;
  movie.fragments.filter(({ offset }) => offset >= first).forEach(({ offset, end }, i) => {
    if (i % every === 0)
      for (const [name, at] of places(movie.bytes, offset, end))
        list.push([`cut ${name} of the fragment at ${offset}`, at]);
  });
  list.push(['not cut', movie.bytes.length]);
  return list;
}

/** Indexes that a crash may leave beside a file of N fragments: name -> text. */
const INDEXES = {
  'as it should be': (n) => movie.index(n),
  'ahead of the file': () => movie.index(),
  'behind by a segment': (n) => movie.lines(n).slice(0, -1).join(''),
  'behind by three segments': (n) => movie.lines(n).slice(0, -3).join(''),
  'with its head alone': () => movie.head(),
  missing: () => undefined,
  empty: () => '',
  'torn in its head': () => movie.head().slice(0, 150),
  'torn in a line of a segment': (n) => movie.index(n).slice(0, -9),
  'ended, though the file goes on': (n) => `${movie.lines(n).slice(0, -2).join('')}#EXT-X-ENDLIST\n`,
  'with zeros at its end': (n) => movie.index(n).slice(0, -100) + '\0'.repeat(3000),
  'with zeros in its middle': (n) => movie.index(n).slice(0, -300) + '\0'.repeat(100) + movie.index(n).slice(-200),
  'all zeros': (n) => '\0'.repeat(movie.index(n).length),
  'of another file': (n) => movie.index(n).replaceAll(NAME, '14-00-00.124'),
  'of another stream': (n) => movie.index(n).replace('live/demo', 'live/else'),
  'with a hole': (n) => movie.lines(n).filter((_, i, all) => i !== all.length - 2).join(''),
};

// ---- tests -------------------------------------------------------------------

test('a file that is cut anywhere in its last 2 MB keeps all whole fragments', async () => {
  const names = Object.keys(INDEXES);
  let i = 0;
  for (const [what, at] of cuts({ every: 2 })) {
    const n = movie.whole(at);
    const name = names[i++ % names.length];
    root.put(movie.bytes.subarray(0, at), INDEXES[name](n));
    root.mark({ lost: i % 4 === 0 });
    await recovers(root, movie, n, `${what}, the index ${name}`);
  }
  assert.ok(i > 300, `${i} places`);
});

test('a fragment that is cut anywhere, with an index that is wrong in any way', async () => {
  const last = movie.fragments.at(-2);
  for (const [what, at] of places(movie.bytes, last.offset, last.end)) {
    for (const [name, make] of Object.entries(INDEXES)) {
      const n = movie.whole(at);
      root.put(movie.bytes.subarray(0, at), make(n));
      root.mark({ lost: name === 'missing' });
      await recovers(root, movie, n, `${what}, the index ${name}`);
    }
  }
});

test('an index that is torn at any byte of its last segments', async () => {
  const full = movie.index();
  const from = full.length - movie.lines().at(-1).length - 120;
  for (let at = from; at <= full.length; at++) {
    for (const size of [movie.bytes.length, movie.fragments.at(-1).end - 7]) {
      root.put(movie.bytes.subarray(0, size), full.slice(0, at));
      root.mark({ lost: at % 8 === 0 });
      await recovers(root, movie, movie.whole(size), `file of ${size}, index of ${at} bytes`);
    }
  }
});

test('lines of live segments stay as long as the file has their bytes', async () => {
  const [head, ...lines] = movie.lines();
  const live = (size, offset) => `#EXT-X-DUOLU-LIVE:NUMBER=7,STREAM=1795442400123,BYTES=${size}@${offset},MS=2000,`
    + 'UTC=1795442400123,SHIFT=-7,SOUND=-1,UNTIL=-1,HEADERS=0,BREAKS=3,ANEW=0\n';
  const { offset, end } = movie.fragments[0];
  const kept = live(end - offset, offset);
  const all = head + lines.join('');
  for (const [what, before_, after_] of [
    ['before and between segments', head + lines.map((line) => kept + line).join('')],
    ['behind the last one', all + kept + kept],
    ['of bytes that the file has not', all + kept + live(9, movie.bytes.length), all + kept],
    ['torn', all + kept + kept.slice(0, -9), all + kept],
    ['wrong', all + kept + kept.replace('ANEW=0', 'ANEW=7'), all + kept],
    ['behind a segment that is lost', head + lines.slice(0, 2).join('') + kept + lines.slice(2, -1).join(''),
      head + lines.slice(0, 2).join('') + kept + lines.slice(2).join('')],
  ]) {
    root.put(movie.bytes, before_);
    root.mark();
    const { error } = await driver.recover(root.root, FILE);
    assert.equal(error, undefined, what);
    assert.equal(root.text(), after_ ?? before_, what);
  }
});

test('places by chance', async () => {
  const names = Object.keys(INDEXES);
  let seed = 20261123;
  const chance = (n) => { seed = (seed * 1103515245 + 12345) % 2147483648; return Math.floor(seed / 2147483648 * n); };
  for (let i = 0; i < 200; i++) {
    const at = movie.bytes.length - chance(TAIL);
    const n = movie.whole(at);
    const name = names[chance(names.length)];
    let index = INDEXES[name](n);
    if (index && chance(2)) index = index.slice(0, chance(index.length + 1));
    root.put(movie.bytes.subarray(0, at), index);
    root.mark({ lost: i % 2 === 0 });
    await recovers(root, movie, n, `cut at ${at}, the index ${name} and of ${index?.length} bytes`);
  }
});

test('a file with a torn head cannot be played, and the recovery does not touch it', async () => {
  for (const at of [
    0,
    1,
    7,
    8,
    20,
    ...[...places(movie.bytes, 0, movie.initSize)].map(([, offset]) => offset),
    movie.initSize - 1,
    movie.initSize,
    movie.initSize + 100,
    movie.fragments[0].end - 1,
  ]) {
    for (const index of [undefined, '', movie.head(), movie.index()]) {
      root.put(movie.bytes.subarray(0, at), index);
      const before = root.state();
      assert.deepEqual(await driver.recover(root.root, FILE), { error: 'error ENODATA' }, `cut at ${at}`);
      assert.equal(root.state(), before);
    }
  }
  root.put(movie.bytes.subarray(0, movie.fragments[0].end), undefined);
  await recovers(root, movie, 1, 'one fragment');
});

test('blocks that never reached the disk are zeros: the fragments before them stay', async () => {
  root.mark();
  const lost = (from, to) => { const bytes = Buffer.from(movie.bytes); bytes.fill(0, from, to); return bytes; };
  for (let i = 0; i < 24; i++) {
    const from = Math.floor((movie.bytes.length - TAIL * (i + 0.5) / 24) / BLOCK) * BLOCK;
    const n = movie.whole(from);
    for (const [what, bytes] of [
      ['to the end', lost(from)],
      ['one', lost(from, from + BLOCK)],
      ['eight', lost(from, from + 8 * BLOCK)],
    ]) {
      for (const name of ['as it should be', 'behind by a segment', 'missing', 'with zeros at its end']) {
        root.put(bytes, INDEXES[name](movie.fragments.length));
        await recovers(root, movie, n, `blocks from ${from} (${what}) are lost, the index ${name}`);
      }
    }
  }
});

test('zeros count as content unless the machine has restarted', async () => {
  const { offset, moof, end } = movie.fragments.at(-2);
  const zeros = Buffer.from(movie.bytes).fill(0, offset + moof + 8, end);
  const other = { bytes: zeros, __proto__: movie };
  const own = new Root();
  own.put(zeros, movie.index());
  await recovers(own, other, movie.fragments.length - 2, 'no marker');
  own.put(zeros, movie.index());
  assert.equal(await driver.ask('mark', own.root, FILE), 'done');
  await recovers(own, other, movie.fragments.length, 'a marker of this boot');
  own.put(zeros, movie.index());
  fs.writeFileSync(own.marker, '01234567-89ab-cdef-0123-456789abcdef\n');
  await recovers(own, other, movie.fragments.length - 2, 'a marker of another boot');
});

test('a file as long as before, whose last moof is zeros', async () => {
  root.mark({ lost: false });
  for (const { offset, moof, end } of movie.fragments.slice(-3)) {
    for (const [from, to] of [
      [offset, offset + moof],
      [offset + 8, offset + moof],
      [offset + moof - 20, offset + moof],
      [offset + moof, offset + moof + 8],
      [offset, end],
    ]) {
      const bytes = Buffer.from(movie.bytes);
      bytes.fill(0, from, to);
      root.put(bytes, movie.index());
      await recovers(root, movie, movie.whole(offset), `zeros from ${from} to ${to}`);
    }
  }
});

test('wrong bytes in head, moof or index crash nothing, and a second recovery changes nothing', async () => {
  const own = new Root();
  let seed = 4;
  const chance = (n) => { seed = (seed * 1103515245 + 12345) % 2147483648; return Math.floor(seed / 2147483648 * n); };
  const short = new Movie(movie.bytes.subarray(0, movie.end(6)));
  const spoil = (bytes, from, size) => {
    for (let i = chance(3); i >= 0; i--) bytes[from + chance(size)] = [0, 255, chance(256)][chance(3)];
  };
  let kept = 0;
  for (let i = 0; i < 400; i++) {
    const bytes = Buffer.from(short.bytes);
    const index = Buffer.from(short.index());
    if (i % 3 !== 0) spoil(index, chance(index.length - 60), 60);
    const { offset, moof } = short.fragments[chance(6)];
    if (i % 3 !== 1) spoil(bytes, i % 4 ? offset : 0, i % 4 ? moof + 8 : short.initSize);
    own.put(bytes, index);
    own.mark({ lost: i % 2 === 0 });
    const answer = await driver.recover(own.root, FILE);
    if (answer.error) {
      assert.equal(answer.error, 'error ENODATA', `round ${i}`);
      continue;
    }
    const stamp = own.stamp();
    const again = await driver.recover(own.root, FILE);
    assert.deepEqual([again.size, own.stamp()], [answer.size, stamp], `round ${i}, once more`);
    const sizes = [...own.text().matchAll(/BYTERANGE:(\d+)@(\d+)/g)].map(([, size, at]) => [Number(at), Number(size)]);
    assert.equal(
      sizes.reduce((end, [at, size]) => {
        assert.equal(at, end, `round ${i}`);
        return at + size;
      }, short.initSize),
      answer.size,
      `round ${i}`,
    );
    kept += answer.size;
  }
  assert.ok(kept > 100 * short.end(2), `${kept} bytes were kept`);
});

test('a fragment out of order is cut off', async () => {
  const bytes = Buffer.from(movie.bytes);
  const { offset } = movie.fragments.at(-2);
  bytes.writeUInt32BE(7, bytes.indexOf('mfhd', offset) + 8);
  root.put(bytes, undefined);
  await recovers(root, movie, movie.fragments.length - 2, 'a sequence that goes back');
});

test('an index keeps its session, and a lost index gets the time of the file', async () => {
  const session = UTC - 7_200_000;
  root.put(movie.bytes.subarray(0, -5), movie.lines(undefined, session).slice(0, -2).join(''));
  await recovers(root, movie, movie.fragments.length - 1, 'the session', session);
  const answer = await driver.recover(root.root, FILE);
  assert.equal(answer.session, String(session));
  root.put(movie.bytes, movie.lines(undefined, session).slice(0, 3).join('').replace('PLAYLIST', 'PLAY'));
  await recovers(root, movie, movie.fragments.length, 'no session');
});

test('gaps, sound alone, and pictures without key frames', async () => {
  const movies = {
    gap: new Movie(withGap(movie.bytes, 13, 40_000)),
    'gap at a key frame': new Movie(withGap(movie.bytes, 14, 1_600)),
    'no gap': new Movie(withGap(movie.bytes, 14, 1_400)),
    'sound alone': new Movie(
      encode({ size: null, tone: 48000, seconds: 9 }),
    ),
    'pictures alone, one key frame': new Movie(
      encode({ size: '64x64', rate: 10, tone: null, seconds: 65, gop: 9999, more: ['-sc_threshold', '0'] }),
    ),
  };
  for (const [what, each] of Object.entries(movies)) {
    const all = each.fragments.length;
    for (const n of [all, all - 1, all - 4, all - 6]) {
      for (const index of [undefined, each.index(), each.lines(n).slice(0, -1).join(''), each.index(n).slice(0, -4)]) {
        root.put(each.bytes.subarray(0, each.end(n) + (n < all ? 100 : 0)), index);
        await recovers(root, each, n, `${what}, ${n} fragments`);
      }
    }
  }
  assert.ok(movies.gap.index().includes('DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2026-11-23T14:00:53.'));
  assert.match(movies.gap.index(), /DISCONTINUITY\n.*\n#EXT-X-DUOLU-DEPENDENT\n/);
  assert.doesNotMatch(movies['gap at a key frame'].index(), /DEPENDENT/);
  assert.match(movies['gap at a key frame'].index(), /DISCONTINUITY/);
  assert.doesNotMatch(movies['no gap'].index(), /DISCONTINUITY/);
  assert.equal(movies['pictures alone, one key frame'].index().match(/DEPENDENT/g).length, 2);
});

test('the recorder learns of a track that ended long before', async () => {
  const long = new Movie(
    encode({ seconds: 90, toneSeconds: 3, more: ['-b:v', '900k'] }),
  );
  root.put(long.bytes, long.index());
  const answer = await driver.recover(root.root, FILE);
  assert.ok(answer.dts[1] > 2_900 && answer.dts[1] < 3_100, `sound ends at ${answer.dts[1]}`);
  assert.ok(answer.calls < 400, `${answer.calls} calls`);
});

test('the recovered file and index play', async () => {
  for (const [what, at, index] of [
    ['cut in the last fragment', movie.bytes.length - 1000, movie.index()],
    ['index missing', movie.bytes.length - TAIL / 2, undefined],
    ['after one fragment', movie.fragments[0].end + 10, movie.index()],
  ]) {
    root.put(movie.bytes.subarray(0, at), index);
    root.mark();
    assert.match(await driver.ask('all', root.root), /^done/);
    const recording = new Recordings(root.root).read(FILE);
    wellFormed(recording, { session: UTC });
    assert.equal(recording.movie.fragments.length, movie.whole(at), what);
    await plays(recording);
  }
});

// ---- all of a folder ----------------------------------------------------------

test('files with a marker are closed, each once', async () => {
  const own = new Root();
  own.put(movie.bytes.subarray(0, -50), movie.index());
  own.mark();
  assert.match(await driver.ask('all', own.root), /^done/);
  assert.equal(driver.log.length, 1);
  const n = movie.fragments.length - 1;
  assert.equal(own.text(), `${movie.index(n)}#EXT-X-DUOLU-INTERRUPTED\n#EXT-X-ENDLIST\n`);
  const bytes = fs.readFileSync(own.file);
  const to = Math.max(...movie.fragments[n - 1].spans.map((span) => span.to));
  assert.equal(bytes.readBigUInt64BE(durationOf(bytes)[0]), BigInt(to));
  assert.equal(fs.existsSync(own.marker), false);
  assert.deepEqual(own.events(), [
    {
      event: 'close',
      file: FILE,
      stream: 'live/demo',
      format: 'mp4',
      id: 0,
      session: String(UTC),
      from: UTC,
      to: UTC + to,
      bytes: movie.end(n),
      state: 'interrupted',
      reason: 'the recorder was interrupted',
    },
  ]);
  const before = own.state();
  await driver.ask('all', own.root);
  assert.equal(driver.log.length, 0);
  assert.equal(own.state(), before);
  assert.equal(own.events().length, 1);
});

test('a file that somebody writes is left alone', async () => {
  const own = new Root();
  own.put(movie.bytes.subarray(0, -50), movie.index());
  own.mark();
  const before = own.state();
  assert.equal(await driver.ask('lock', own.file), 'done');
  assert.match(await driver.ask('all', own.root), /^done \d+ 0$/, 'none is left');
  assert.equal(own.state(), before);
  assert.equal(await driver.ask('unlock'), 'done');
  assert.match(await driver.ask('all', own.root, FILE.replace('.mp4', '')), /^done \d+ 1$/, 'one is left');
  assert.equal(own.state(), before, 'another goes on in it');
  assert.match(await driver.ask('all', own.root), /^done/);
  assert.equal(own.events().length, 1);
});

test('of several recoveries at once, only the one that holds the marker’s lock works', async () => {
  const own = new Root();
  own.put(movie.bytes.subarray(0, 20), movie.head());
  own.mark();
  const before = own.state();
  assert.equal(await driver.ask('lock', own.marker), 'done');
  await driver.ask('all', own.root);
  assert.equal(own.state(), before);
  assert.deepEqual(own.events(), []);
  fs.rmSync(own.file);                              // the other recovery has deleted it
  await driver.ask('all', own.root);
  assert.deepEqual(own.events(), []);
  assert.equal(await driver.ask('unlock'), 'done');
  await driver.ask('all', own.root);
  assert.equal(own.events().length, 1);
});

test('a file that its recorder ended is complete', async () => {
  const own = new Root();
  own.put(movie.bytes, `${movie.index()}#EXT-X-ENDLIST\n`);
  own.mark();
  await driver.ask('all', own.root);
  assert.equal(own.text(), `${movie.index()}#EXT-X-ENDLIST\n`);
  assert.deepEqual(own.events().map(({ state, bytes }) => [state, bytes]), [['complete', movie.bytes.length]]);

  own.put(movie.bytes.subarray(0, -1), `${movie.index()}#EXT-X-ENDLIST\n`);
  own.mark();
  await driver.ask('all', own.root);
  assert.match(own.text(), /INTERRUPTED\n#EXT-X-ENDLIST\n$/);
  assert.equal(own.events().at(-1).state, 'interrupted');
});

test('a file that cannot be played is deleted, and its row closed with no bytes', async () => {
  for (const [bytes, index] of [
    [Buffer.alloc(0), undefined],
    [Buffer.alloc(0), movie.head()],
    [movie.bytes.subarray(0, 30), movie.head()],
    [Buffer.alloc(70_000), '\0'.repeat(500)],
    [movie.bytes.subarray(0, movie.initSize), movie.index()],
  ]) {
    const own = new Root();
    own.put(bytes, index);
    own.mark();
    await driver.ask('all', own.root);
    assert.equal(own.state(), '');
    assert.deepEqual(
      own.events().map(({ event, state, bytes: n, from, to }) => [event, state, n, from, to]),
      [['close', 'interrupted', 0, UTC, UTC]],
    );
  }
  const own = new Root();
  own.mark();
  await driver.ask('all', own.root);
  assert.equal(own.state(), '');
  assert.equal(own.events().length, 1);
});

test('markers of no recording stay, and the log names them', async () => {
  const own = new Root();
  const names = [
    'x',
    'live%2Fdemo',
    'live%2F..%2Fetc%2Fpasswd',
    `live%2F..%2F${DAY}%2F${NAME}.mp4`,
    `live%2Fdemo%2F${DAY}%2F${NAME}.txt`,
    `live%2Fdemo%2F${DAY}%2F${NAME}.mp4%2Fx`,
    `live%2Fdemo%2F2026-13-01%2F${NAME}.mp4`,
    'y'.repeat(250),
  ];
  for (const name of names) fs.writeFileSync(path.join(own.root, '.open', name), '');
  await driver.ask('all', own.root);
  assert.equal(driver.log.length, names.length);
  assert.equal(new Recordings(own.root).markers().length, names.length);
  assert.equal(await driver.ask('mark', own.root, FILE), 'done');
  assert.ok(new Recordings(own.root).markers().includes(MARKER));
  await driver.ask('all', path.join(folder, 'no-such-folder'));
  assert.equal(driver.log.length, 0);
});

// ---- a disk that fails, a process that dies --------------------------------------

const CRASHES = {
  'cut, index ahead': ({ bytes }, index) => [bytes.subarray(0, -100_000), index],
  'cut, index torn and behind': ({ bytes }, index) => [bytes.subarray(0, -50), index.slice(0, -120)],
  'index missing': ({ bytes }) => [bytes.subarray(0, -50), undefined],
  'nothing to do': ({ bytes }, index) => [bytes, index],
  ended: ({ bytes }, index) => [bytes, `${index}#EXT-X-ENDLIST\n`],
  'nothing to play': ({ bytes }, index) => [bytes.subarray(0, 100), index],
};

test('whichever call to the disk fails, nothing good is lost and the next recovery finishes', async () => {
  let tried = 0;
  const short = new Movie(movie.bytes.subarray(0, movie.end(3)));
  for (const [what, make] of Object.entries(CRASHES)) {
    const [bytes, index] = make(short, short.index());
    const own = new Root();
    const begin = () => {
      fs.rmSync(path.join(own.root, '.spool'), { recursive: true, force: true });
      own.put(bytes, index);
      own.mark();
    };
    begin();
    const calls = Number((await driver.ask('all', own.root)).split(' ')[1]);
    const good = own.state();
    const [event] = own.events();
    const size = short.end(short.whole(bytes.length));
    assert.ok(calls >= 5, `${what}: ${calls} calls`);

    for (const fault of ['EIO', 'ENOSPC', 'kill']) {
      for (let n = 1; n <= calls; n++) {
        const where = `${what}: ${fault} at call ${n} of ${calls}`;
        begin();
        await driver.ask('fault', n, fault);
        const answer = await driver.ask('all', own.root);
        await driver.ask('fault', 0, fault);
        assert.match(answer, fault === 'kill' ? /^killed$/ : /^done \d+ [01]$/, where);
        if (fault !== 'kill')
          assert.equal(answer.endsWith(' 1'), fs.existsSync(own.marker), `${where}: what is left has its marker`);
        if (event.bytes > 0) {
          const now = fs.readFileSync(own.file);
          assert.ok(now.length >= size, `${where}: ${now.length} bytes are left of ${size}`);
          now.fill(0, ...durationOf(now));
          assert.ok(now.equals(short.bytes.subarray(0, now.length)), `${where}: the bytes are those that were written`);
        }
        await driver.ask('all', own.root);
        // a recovery removes ENDLIST and adds it again, and may end in between
        const end = (text) => text.replaceAll('#EXT-X-DUOLU-INTERRUPTED\n', '');
        assert.equal(end(own.state()), end(good), where);
        assert.equal(own.events().at(-1).bytes, event.bytes, where);
        assert.deepEqual(
          fs.readdirSync(path.join(own.root, '.spool')).filter((name) => !/\.(json|tmp)$/.test(name)),
          [],
        );
        tried++;
      }
    }
  }
  assert.ok(tried > 100, `${tried} faults`);
});

// ---- the spool ----------------------------------------------------------------

test('names of events only grow, also when the clock is set back', async () => {
  const own = new Root();
  const names = () => fs.readdirSync(path.join(own.root, '.spool')).sort();
  assert.match(await driver.ask('spool', own.root, 300, 'a"reason"\t'), /^done/);
  assert.equal(names().length, 300);
  assert.deepEqual(own.events().map(({ bytes }) => bytes), Array.from({ length: 300 }, (_, i) => i));
  assert.equal(own.events()[0].reason, 'a"reason"\t');

  // a process that starts after the clock was set back names its event behind waiting ones
  const later = `${Date.now() + 3_600_000}-0000000007-000003.json`;
  fs.writeFileSync(path.join(own.root, '.spool', later), '{"event":"open"}');
  const other = new Driver();
  assert.match(await other.ask('spool', own.root, 2, 'x'), /^done/);
  other.child.stdin.end();
  const at = names().indexOf(later);
  assert.equal(at, 300);
  assert.equal(names().length, 303);
  for (const name of names()) assert.match(name, /^\d{13}-\d{10}-\d{6}\.json$/);
});

test('an event is written completely or not at all', async () => {
  const own = new Root();
  const calls = Number((await driver.ask('spool', own.root, 1, 'x')).split(' ')[1]);
  assert.ok(calls >= 3, `${calls} calls`);
  for (const fault of ['EIO', 'ENOSPC', 'kill']) {
    for (let n = 1; n <= calls; n++) {
      fs.rmSync(path.join(own.root, '.spool'), { recursive: true });
      await driver.ask('fault', n, fault);
      const answer = await driver.ask('spool', own.root, 1, 'x');
      await driver.ask('fault', 0, fault);
      assert.equal(answer, fault === 'kill' ? 'killed' : `error ${fault}`, `${fault} at call ${n}`);
      assert.deepEqual(own.events(), []);
      assert.match(await driver.ask('spool', own.root, 1, 'x'), /^done/);
      assert.equal(own.events().length, 1);
    }
  }
});
