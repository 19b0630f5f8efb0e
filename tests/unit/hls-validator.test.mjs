// The validator of HLS (lib/hls-validator.mjs, hls-media.mjs): for each rule a playlist, a series of playlists, or
// media that break this rule alone; and what is right breaks none.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { before, describe, test } from 'node:test';
import { HlsMedia } from '../lib/hls-media.mjs';
import { Report, RULES } from '../lib/hls-rules.mjs';
import { HlsFollower, HlsStream, readMedia, readMultivariant } from '../lib/hls-validator.mjs';

// ---- playlists ------------------------------------------------------------

const TARGET = 2;
const PART = 0.4;
const EPOCH = Date.UTC(2026, 0, 1);
const date = (n) => `#EXT-X-PROGRAM-DATE-TIME:${new Date(EPOCH + (n - 100) * TARGET * 1000).toISOString()}`;
const part = (n, p) => `#EXT-X-PART:DURATION=0.40000,URI="${n}.${p}.m4s"${p === 0 ? ',INDEPENDENT=YES' : ''}`;

/** A low-latency playlist of segments [first, end) with five parts each, and `tail` parts of segment `end`. */
function live({ first = 100, end = 108, tail = 2, breaks = [], count = 5, skip = 0 } = {}) {
  const lines = ['#EXTM3U', `#EXT-X-VERSION:${skip ? 9 : 6}`, `#EXT-X-TARGETDURATION:${TARGET}`,
    '#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.2,HOLD-BACK=6,CAN-SKIP-UNTIL=12',
    `#EXT-X-PART-INF:PART-TARGET=${PART}`, `#EXT-X-MEDIA-SEQUENCE:${first}`, `#EXT-X-DISCONTINUITY-SEQUENCE:${count}`,
    skip ? `#EXT-X-SKIP:SKIPPED-SEGMENTS=${skip}`
      : `#EXT-X-MAP:URI="init-${breaks.findLast((n) => n < first) ?? 1}.mp4"`];
  for (let n = first + skip; n <= end; n++) {
    if (breaks.includes(n)) lines.push('#EXT-X-DISCONTINUITY', `#EXT-X-MAP:URI="init-${n}.mp4"`);
    if (n < end || tail > 0) lines.push(date(n));
    const age = (end - 1 - n) * TARGET + tail * PART;
    const parts = n === end ? tail : age <= 3 * TARGET ? 5 : 0;
    for (let p = 0; p < parts; p++) lines.push(part(n, p));
    if (n < end) lines.push('#EXTINF:2.00000,', `${n}.m4s`);
  }
  lines.push(`#EXT-X-PRELOAD-HINT:TYPE=PART,URI="${end}.${tail}.m4s"`);
  return `${lines.join('\n')}\n`;
}

/** A playlist without parts. */
function plain({ first = 100, end = 108, head = [], ended = false, version = 6 } = {}) {
  const lines = ['#EXTM3U', `#EXT-X-VERSION:${version}`, `#EXT-X-TARGETDURATION:${TARGET}`, ...head,
    `#EXT-X-MEDIA-SEQUENCE:${first}`, '#EXT-X-MAP:URI="init-1.mp4"'];
  for (let n = first; n < end; n++) lines.push('#EXTINF:2.000,', `${n}.m4s`);
  if (ended) lines.push('#EXT-X-ENDLIST');
  return `${lines.join('\n')}\n`;
}

const STREAM_INF = '#EXT-X-STREAM-INF:BANDWIDTH=1000000,AVERAGE-BANDWIDTH=900000,CODECS="avc1.640028,mp4a.40.2",'
  + 'RESOLUTION=64x64,FRAME-RATE=25.000';
const multivariant = (line = STREAM_INF) => `#EXTM3U\n${line}\nlive.m3u8\n`;
const control = (text) => plain({ head: [`#EXT-X-SERVER-CONTROL:${text}`] });

/** `text` with one change, which must be one. */
function edit(text, from, to) {
  const edited = text.replace(from, to);
  assert.notEqual(edited, text, `nothing to replace by "${to}"`);
  return edited;
}

const one = (text) => (report) => readMedia(text, report);
const withLine = (line) => one(`${live()}${line}\n`);
const variant = (from, to) => (report) => readMultivariant(multivariant(edit(STREAM_INF, from, to)), report);

/** One client gets these lists, or [list, request]. */
const series = (...lists) => (report) => {
  const follower = new HlsFollower(new HlsStream(report));
  for (const list of lists) follower.add(...[list].flat());
};

const REPORT = '#EXT-X-RENDITION-REPORT:URI="b.m3u8",LAST-MSN=1';
const skipping = (text, kept = 8) => edit(
  plain({ end: 100 + kept, head: ['#EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL=12'], version: 9 }),
  '#EXT-X-MAP:URI="init-1.mp4"', text);

const TEXTS = {
  'utf8': one(Buffer.concat([Buffer.from(live()), Buffer.from([0x23, 0xff, 0x0a])])),
  'no-bom': one(`\ufeff${live()}`),
  'no-control-characters': withLine('# \u0001 #'),
  'no-whitespace': one(edit(live(), 'PART-TARGET', ' PART-TARGET')),
  'last-line-ends': one(live().trimEnd()),
  'first-line': one(edit(live(), '#EXTM3U\n', '')),
  'judged-tag': withLine('#EXT-X-DEFINE:NAME="a",VALUE="b"'),
  'one-kind': withLine('#EXT-X-STREAM-INF:BANDWIDTH=1\nlive.m3u8'),
  'tag-once': withLine('#EXT-X-VERSION:6'),
  'tag-value': withLine('#EXT-X-ENDLIST:YES'),
  'attribute-syntax': withLine(`${REPORT},,LAST-PART=0`),
  'attribute-once': withLine(`${REPORT},LAST-MSN=1`),
  'attribute-type': withLine(edit(REPORT, '=1', '="1"')),
  'attribute-known': withLine(`${REPORT},LAST-WORD=1`),
  'attribute-required': withLine('#EXT-X-RENDITION-REPORT:URI="b.m3u8"'),
  'version': one(plain({ version: 5 })),
  'version-least': one(plain({ version: 7 })),

  'target-duration': one('#EXTM3U\n#EXT-X-TARGETDURATION:0\n'),
  'segment-duration': one(edit(plain(), '2.000', '2.500')),
  'sequence-first': one(edit(plain({ first: 0 }), /(#EXT-X-MEDIA-SEQUENCE:0\n)([^]*0\.m4s\n)/, '$2$1')),
  'discontinuity-sequence-first': one(`${plain()}#EXT-X-DISCONTINUITY-SEQUENCE:1\n`),
  'extinf-needed': one(edit(plain(), '#EXTINF:2.000,\n', '')),
  'segment-uri': one(`${plain()}#EXTINF:2.000,\n`),
  'range-follows': one(edit(plain(), '#EXTINF', '#EXT-X-BYTERANGE:10\n#EXTINF')),
  'map-needed': one(edit(plain({ version: 3 }), /#EXT-X-MAP.*\n/, '')),
  'date-precise': one(edit(plain(), '#EXTINF', '#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000\n#EXTINF')),
  'date-forward': one(edit(live(), date(103), date(102))),
  'date-discontinuity': one(edit(live({ breaks: [103] }), `${date(103)}\n`, '')),
  'part-inf-needed': one(edit(live(), /#EXT-X-PART-INF.*\n/, '')),
  'part-hold-back-needed': one(edit(live(), 'PART-HOLD-BACK=1.2,', '')),
  'part-hold-back': one(edit(live(), 'PART-HOLD-BACK=1.2', 'PART-HOLD-BACK=0.7')),
  'part-hold-back-three': one(edit(live(), 'PART-HOLD-BACK=1.2', 'PART-HOLD-BACK=0.9')),
  'hold-back': one(control('HOLD-BACK=5.9')),
  'skip-boundary': one(control('CAN-SKIP-UNTIL=11.9')),
  'skip-dateranges': one(control('CAN-SKIP-DATERANGES=YES')),
  'part-long': one(edit(live(), '0.40000,URI="108.1', '0.41000,URI="108.1')),
  'part-short': one(edit(edit(live(), '0.40000,URI="107.1', '0.33000,URI="107.1'),
    /2.00000,\n107/, '1.93000,\n107')),
  'part-behind-tags': one(edit(live(), part(108, 1), `${part(108, 1)}\n${date(108)}`)),
  'parts-sum': one(edit(live(), /2.00000,\n107/, '1.95000,\n107')),
  'parts-whole': one(edit(live(), /(#EXT-X-PART:.*URI="106\..*\n)+/, '')),
  'parts-recent': one(edit(live(), /#EXTINF.*\n10[0-4]\.m4s/g,
    (segment) => `${[0, 1, 2, 3, 4].map((p) => part(segment.slice(-7, -4), p)).join('\n')}\n${segment}`)),
  'gap-parts': one(edit(live(), '#EXTINF:2.00000,\n107', '#EXT-X-GAP\n#EXTINF:2.00000,\n107')),
  'hint-after-end': withLine('#EXT-X-ENDLIST'),
  'hint-once': withLine('#EXT-X-PRELOAD-HINT:TYPE=PART,URI="108.3.m4s"'),
  'hint-new': one(edit(live(), 'TYPE=PART,URI="108.2', 'TYPE=PART,URI="108.1')),
  'skip-first': one(edit(skipping('#EXT-X-MAP:URI="init-2.mp4"'), '100.m4s\n',
    '100.m4s\n#EXT-X-SKIP:SKIPPED-SEGMENTS=1\n')),
  'skip-some': one(skipping('#EXT-X-SKIP:SKIPPED-SEGMENTS=0')),
  'skip-offered': one(edit(skipping('#EXT-X-SKIP:SKIPPED-SEGMENTS=2'), /#EXT-X-SERVER.*\n/, '')),
  'skip-old': one(skipping('#EXT-X-SKIP:SKIPPED-SEGMENTS=2', 5)),
  'report-relative': withLine(edit(REPORT, 'b.m3u8', 'https://example.org/b.m3u8')),
  'profile-blocking': one(edit(live(), 'CAN-BLOCK-RELOAD=YES,', '')),
  'profile-skip': one(edit(live(), ',CAN-SKIP-UNTIL=12', '')),
  'profile-hint': one(edit(live(), /#EXT-X-PRELOAD.*\n/, '')),
  'profile-date': one(edit(live(), /#EXT-X-PROGRAM.*\n/g, '')),

  'variants': (report) => readMultivariant('#EXTM3U\n', report),
  'variant-uri': (report) => readMultivariant(`${multivariant()}${STREAM_INF}\n`, report),
  'variant-codecs': variant(/,CODECS="[^"]*"/, ''),
  'codec-format': variant('avc1.640028', 'avc1'),
  'variant-picture': variant(',FRAME-RATE=25.000', ''),
  'frame-rate-decimals': variant('25.000', '29.9701'),
  'average-bandwidth': variant('900000', '1900000'),

  'sequence-back': series(plain({ first: 101 }), plain()),
  'segment-changed': series(live(), edit(live(), '\n100.m4s', '\n100-b.m4s')),
  'segment-lost': series(plain(), plain({ end: 107 })),
  'removed-early': series(plain({ end: 104 }), plain({ first: 102, end: 104 })),
  'discontinuity-number': series(live({ breaks: [101] }), live({ breaks: [101], first: 102, end: 109 })),
  'discontinuity-counted': series(...[live({ breaks: [101] }), live({ breaks: [101], first: 102, end: 109 })]
    .map((text) => edit(text, /#EXT-X-DISCONTINUITY-SEQ.*\n/, ''))),
  'uri-once': series(plain(), edit(plain({ end: 109 }), '108.m4s', '100.m4s')),
  'window-long': series([plain(), { window: 14 }]),
  'window-kept': series([plain(), { window: 18.001 }], [plain({ first: 101, end: 110 }), { window: 18.001 }]),
  'uri-number': one(edit(plain(), '\n103.m4s', '\n1a-104.m4s')),
  'uri-session': one(edit(edit(plain(), '\n103.m4s', '\n1a-103.m4s'), '\n104.m4s', '\n1b-104.m4s')),
  'header-changed': series(plain(), edit(plain(), 'DURATION:2', 'DURATION:3')),
  'event-removed': series(...[0, 1].map((n) => plain({ first: 100 + n, head: ['#EXT-X-PLAYLIST-TYPE:EVENT'] }))),
  'vod-changed': series(...['', '#\n'].map((end) => plain({ head: ['#EXT-X-PLAYLIST-TYPE:VOD'], ended: true }) + end)),
  'part-changed': series(live(), edit(live(), 'URI="108.0', 'URI="108.zero')),
  'part-lost': series(live(), live({ tail: 1 })),
  'hint-true': series(edit(live(), 'TYPE=PART,URI="108.2', 'TYPE=PART,URI="109.0'), live({ tail: 3 })),
  'after-end': series(plain({ ended: true }), plain({ end: 109, ended: true })),
  'delta-known': series([live({ skip: 2 }), { skip: true }]),
  'delta-given': series([live(), { skip: true }]),
  'delta-asked': series(live(), live({ skip: 2 })),
  'delta-true': (report) => {
    const stream = new HlsStream(report);
    const follower = new HlsFollower(stream);
    follower.add(live());
    const delta = follower.add(live({ skip: 2 }), { skip: true });
    follower.compareFull(delta, readMedia(live({ end: 107, tail: 5 }), report));
  },
  'reload-blocked': series([live(), { msn: 108, part: 2 }]),
};

// ---- media ----------------------------------------------------------------

const FPS = 25;                         // 10 frames are one part
const box = (type, ...contents) => {
  const body = Buffer.concat(contents);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(8 + body.length);
  head.write(type, 4, 'latin1');
  return Buffer.concat([head, body]);
};
const u32 = (...numbers) => {
  const bytes = Buffer.alloc(4 * numbers.length);
  numbers.forEach((n, i) => bytes.writeUInt32BE(n >>> 0, 4 * i));
  return bytes;
};
const SYNC = 0x2000000;
const OTHER = 0x1010000;

/** A moof and its mdat: `tracks` are [{id, dts, samples: [{duration, cts, key}]}]. */
function fragment(sequence, tracks, { tfdt = true, base = 0x20000 } = {}) {
  const make = (at) => {
    let from = at;
    return box('moof', box('mfhd', u32(0, sequence)), ...tracks.map(({ id, dts, samples }) => {
      const offset = from;
      from += samples.length * 4;
      return box('traf', base === 1 ? box('tfhd', u32(1, id, 0, 0)) : box('tfhd', u32(base, id)),
        ...(tfdt ? [box('tfdt', u32(0x1000000, 0, dts))] : []),
        box('trun', u32(0x1000f01, samples.length, offset),
          ...samples.map(({ duration, cts, key }) => u32(duration, 4, key ? SYNC : OTHER, cts))));
    }));
  };
  const size = make(0).length;
  const media = tracks.flatMap(({ samples }) => samples.map(() => u32(0)));
  return Buffer.concat([make(size + 8), box('mdat', ...media)]);
}

describe('media', () => {
  let init;
  before(() => { init = makeInit('64x64'); });

  /** ftyp and moov of ffmpeg, with H.264 and AAC. */
  function makeInit(size) {
    const { stdout } = spawnSync('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=${FPS}`,
      '-f', 'lavfi', '-i', 'sine=sample_rate=48000', '-t', '0.2', '-c:v', 'libx264', '-preset', 'ultrafast',
      '-pix_fmt', 'yuv420p', '-video_track_timescale', '1000', '-c:a', 'aac',
      '-movflags', 'empty_moov+default_base_moof+frag_keyframe', '-f', 'mp4', '-']);
    stdout.writeUInt32BE(3, stdout.indexOf('mvhd') + 100);       // the next track's number, which ffmpeg says wrong
    const moov = stdout.readUInt32BE(0);
    return stdout.subarray(0, moov + stdout.readUInt32BE(moov));
  }

  /** Part `p` of segment `n`, as bytes. */
  function bytesOf(n, p, { shift = 0, sound = 0, key = p === 0, count = 10, sequence = 5 * n + p + 1, cts, how } = {}) {
    const at = (5 * (n - 100) + p) * 400;
    const frames = Array.from({ length: count }, (_, i) => ({ duration: 40, cts: cts?.[i] ?? 0, key: key && i === 0 }));
    const [from, to] = [at, at + 400].map((ms) => Math.ceil(ms * 48 / 1024));
    const heard = Array.from({ length: to - from }, () => ({ duration: 1024, cts: 0, key: true }));
    return fragment(sequence, [
      { id: 1, dts: at + shift, samples: frames },
      { id: 2, dts: from * 1024 + sound * 48, samples: heard },
    ], how);
  }

  const MAP = { uri: 'init-1.mp4' };
  const partOf = (n, p, more) => ({ number: n, index: p, uri: `${n}.${p}.m4s`, duration: PART, map: MAP,
    independent: p === 0, ...more });
  const segmentOf = (n) => ({ number: n, uri: `${n}.m4s`, duration: TARGET, map: MAP, discontinuity: false });
  const whole = (n, how) => Buffer.concat([0, 1, 2, 3, 4].map((p) => bytesOf(n, p, how)));

  const RECORDED = { parts: 5, etag: '"100-r"', recorded: true };
  const start = (report, head = init) => {
    const media = new HlsMedia({ report });
    media.init(MAP.uri, head);
    return { media, chain: media.chain() };
  };
  /** A client reads parts, each [part, bytes, options]. */
  const reads = (...parts) => (report) => {
    const { chain } = start(report);
    for (const item of parts) chain.part(...item);
  };
  /** A client reads two segments, and compares them with a variant. */
  const compares = (from, to) => (report) => {
    const { media, chain } = start(report);
    for (const n of [100, 101]) chain.segment(segmentOf(n), whole(n));
    const line = edit(edit(STREAM_INF, /avc1\.\w+/, codec()), from, to);
    const bandwidth = to.startsWith('BANDWIDTH') ? line : edit(line, 'BANDWIDTH=1000000,AVERAGE-BANDWIDTH=900000',
      `BANDWIDTH=${8 * whole(100).length / TARGET}`);
    media.finish(readMultivariant(multivariant(bandwidth), report).variants[0], { target: TARGET });
  };
  const codec = () => `avc1.${init.subarray(init.indexOf('avcC') + 5, init.indexOf('avcC') + 8).toString('hex')}`;
  /** The init with `from` (latin1) replaced by `to`. */
  const changed = (from, to, offset = 0) => {
    const copy = Buffer.from(init);
    copy.write(to, copy.indexOf(from, 0, 'latin1') + offset, 'latin1');
    return copy;
  };

  const MEDIA = {
    'init-brand': (report) => {
      const copy = Buffer.from(init);
      for (let at = 8; at < init.readUInt32BE(0); at += 4) if (at !== 12) copy.write('isom', at, 'latin1');
      start(report, copy);
    },
    'init-empty': (report) => start(report, changed('mvhd', '\x01', 4 + 16)),
    'init-mvex': (report) => {
      const [ftyp, size] = [init.readUInt32BE(0), init.readUInt32BE(init.readUInt32BE(0))];
      const children = [];
      for (let at = ftyp + 8; at < ftyp + size; at += init.readUInt32BE(at))
        children.push(init.subarray(at, at + init.readUInt32BE(at)));
      const first = ({ 4: a, 5: b, 6: c, 7: d }) => String.fromCharCode(a, b, c, d) === 'mvex';
      children.sort((a, b) => first(b) - first(a));
      start(report, Buffer.concat([init.subarray(0, ftyp), box('moov', ...children)]));
    },
    'boxes': (report) => reads([partOf(100, 0), bytesOf(100, 0).subarray(0, -1)])(report),
    'fragment': (report) => reads([partOf(100, 0), box('free')])(report),
    'tfdt': (report) => reads([partOf(100, 0), bytesOf(100, 0, { how: { tfdt: false } })])(report),
    'moof-relative': (report) => reads([partOf(100, 0), bytesOf(100, 0, { how: { base: 1 } })])(report),
    'time-continues': (report) => reads([partOf(100, 0), bytesOf(100, 0)],
      [partOf(100, 1), bytesOf(100, 1, { shift: 45 })])(report),
    'tracks-together': (report) => reads([partOf(100, 0), bytesOf(100, 0, { sound: 501 })])(report),
    'duration-true': (report) => reads([partOf(100, 0), bytesOf(100, 0, { count: 8 })])(report),
    'order-true': (report) => reads([partOf(100, 0), bytesOf(100, 0, { cts: [40, 0] })])(report),
    'independent-true': (report) => reads([partOf(100, 0), bytesOf(100, 0, { key: false })])(report),
    'independent-marked': (report) => reads([partOf(100, 1), bytesOf(100, 1, { key: true })])(report),
    'independent-segments': (report) => start(report).chain
      .segment(segmentOf(100), whole(100, { key: false }), { independent: true }),
    'segment-is-parts': (report) => {
      const { chain } = start(report);
      for (const p of [0, 1, 2, 3, 4]) chain.part(partOf(100, p), bytesOf(100, p));
      const other = [0, 1, 2, 3, 4].map((p) => bytesOf(100, p, { sequence: p + 1 }));
      chain.segment(segmentOf(100), Buffer.concat(other), { parts: 5 });
    },
    'bytes-once': (report) => reads([partOf(100, 0), bytesOf(100, 0)],
      [partOf(100, 0), bytesOf(100, 0, { sequence: 9 })])(report),
    'media-once': (report) => {
      const { media, chain } = start(report);
      chain.segment(segmentOf(100), whole(100));
      media.chain().segment(segmentOf(100), whole(100, { shift: 1 }), RECORDED);
    },
    'discontinuity-needed': (report) => {
      const { media, chain } = start(report);
      media.init('init-2.mp4', makeInit('128x64'));
      chain.part(partOf(100, 4), bytesOf(100, 4));
      chain.part(partOf(101, 0, { map: { uri: 'init-2.mp4' } }), bytesOf(101, 0));
    },
    'codecs-true': compares('mp4a.40.2', 'mp4a.40.5'),
    'resolution-true': compares('64x64', '640x360'),
    'frame-rate-true': compares('25.000', '30.000'),
    'bandwidth-true': compares('BANDWIDTH=1000000,AVERAGE-BANDWIDTH=900000', 'BANDWIDTH=1000'),
  };

  for (const [rule, make] of Object.entries(MEDIA)) {
    test(`${rule}: ${RULES[rule][2]}`, () => {
      const report = new Report();
      make(report);
      assert.deepEqual([...new Set(report.problems.map((problem) => problem.rule))], [rule], report.text);
    });
  }

  test('media that are right break no rule', () => {
    const report = new Report();
    const { media, chain } = start(report);
    const segments = media.chain();
    for (const n of [100, 101]) {
      for (const p of [0, 1, 2, 3, 4]) chain.part(partOf(n, p), bytesOf(n, p));
      segments.segment(segmentOf(n), whole(n), { parts: 5, independent: true });
    }
    // fragments of a recording are others, and its sound has a pace of its own
    const other = [0, 1, 2, 3, 4].map((p) => bytesOf(100, p, { sequence: 9 + p, sound: 24 }));
    media.chain().segment(segmentOf(100), Buffer.concat(other), RECORDED);
    // a discontinuity begins anew
    chain.part(partOf(102, 0), bytesOf(102, 0, { shift: 5000, sound: 5000 }), { discontinuity: true });
    compares('25.000', '25')(report);
    assert.equal(report.text, '');
    assert.equal(segments.samples, 100);
  });

  test('each rule has a case', () => {
    assert.deepEqual([...Object.keys(TEXTS), ...Object.keys(MEDIA)].sort(), Object.keys(RULES).sort());
  });
});

describe('playlists', () => {
  for (const [rule, make] of Object.entries(TEXTS)) {
    test(`${rule}: ${RULES[rule][2]}`, () => {
      const report = new Report();
      make(report);
      assert.deepEqual([...new Set(report.problems.map((problem) => problem.rule))], [rule], report.text);
    });
  }

  test('playlists that are right break no rule', () => {
    const report = new Report();
    const stream = new HlsStream(report);
    const [parts, deltas, plainly] = [0, 1, 2].map(() => new HlsFollower(stream));
    deltas.add(live({ breaks: [103] }));
    let full;
    for (let first = 100; first < 106; first++) {
      const count = first > 103 ? 6 : 5;
      for (let tail = 0; tail < 5; tail++) {
        const state = { first, end: first + 8, tail, breaks: [103], count };
        full = parts.add(live(state), tail ? { msn: first + 8, part: tail - 1 } : { msn: first + 7 });
        if (first === 100 && tail < 2) continue;
        deltas.compareFull(deltas.add(live({ ...state, skip: 2 }), { skip: true }), full);
      }
      plainly.add(live({ first, end: first + 8, tail: 0, breaks: [103], count }));
    }
    const last = live({ first: 106, tail: 0, end: 114, breaks: [103], count: 6 });
    parts.add(edit(last, /#EXT-X-PRELOAD.*/, '#EXT-X-ENDLIST'));
    series(plain(), plain({ first: 104, end: 112 }), plain({ first: 104, end: 112, ended: true }))(report);
    series([plain(), { window: 16 }], [plain({ first: 101, end: 109 }), { window: 16 }],
      [plain({ first: 104, end: 110 }), { window: 16, cut: true }])(report);
    readMultivariant(multivariant(), report);
    assert.equal(report.text, '');
  });

  test('a hint may name the first part of the next segment', () => {
    const report = new Report();
    const next = edit(edit(live({ tail: 1, end: 109 }), /2.00000,\n108/, '1.60000,\n108'), `${part(108, 4)}\n`, '');
    series(edit(live({ tail: 4 }), 'TYPE=PART,URI="108.4', 'TYPE=PART,URI="109.0'), next)(report);
    assert.equal(report.text, '');
  });
});
