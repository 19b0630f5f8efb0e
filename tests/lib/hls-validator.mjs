// Judges playlists of HLS, alone and as they change over time, by the rules of hls-rules.mjs.
//
//   const stream = new HlsStream();                 what is known of one stream, from all its clients
//   const follower = new HlsFollower(stream);       one client, which sees one list after another
//   const list = follower.add(text, { msn, part, skip });
//   assert.equal(stream.report.text, '');

import { parsePlaylist } from './hls-playlist.mjs';
import { Report } from './hls-rules.mjs';

const PRINTED = 0.0006;                 // seconds: durations are rounded to milliseconds
const EXACT = 1e-6;                     // seconds: sums of floating-point numbers
const OVERLAP = 1000;                   // ms, 6.2.1
const SHORT = 0.85;                     // 4.4.4.9
const REMOVED_PARTS = 3;                // target durations, 6.2.2
const RECOMMENDED = 3;                  // part targets of PART-HOLD-BACK
const NAME = /^([0-9a-f]+)-(\d+)\.m4s$/;  // modules/http/hls.md

const sum = (items) => items.reduce((n, { duration }) => n + duration, 0);
const placeOf = ({ uri, range }) => (range ? `${uri} ${range.size}@${range.offset}` : uri);

/** Seconds from the end of segment `i` to the end of the list. */
const behind = (p, i) => sum(p.segments.slice(i + 1)) + sum(p.tail?.parts ?? []);

/** All parts that a list names, the oldest first. */
export const partsOf = (p) => [...p.segments, ...(p.tail ? [p.tail] : [])].flatMap((segment) => segment.parts);

/** The number of the segment that grows, or would grow next. */
export const endOf = (p) => p.sequence + (p.skip?.count ?? 0) + p.segments.length;

/** 6.2.1: gives segments and parts their numbers. */
function number(p) {
  let breaks = p.discontinuitySequence;
  [...p.segments, ...(p.tail ? [p.tail] : [])].forEach((segment, i) => {
    if (segment.discontinuity) breaks++;
    segment.number = p.sequence + (p.skip?.count ?? 0) + i;
    segment.breaks = breaks;
    segment.parts.forEach((part, index) => Object.assign(part, { number: segment.number, index, map: segment.map }));
  });
}

// --- one media playlist ---

function checkTimes(p, report) {
  report.need(p.target >= 1, 'target-duration', `EXT-X-TARGETDURATION is ${p.target ?? 'missing'}`);
  for (const { duration, where } of p.segments)
    report.need(Math.round(duration) <= p.target, 'segment-duration', `${duration} s, target ${p.target} s`, where);
  let last;
  for (const segment of [...p.segments, ...(p.tail ? [p.tail] : [])]) {
    const { utc, where } = segment;
    if (utc !== undefined && last) {
      segment.hole = Math.round(utc - last.end);       // ms of time that are missing before it
      report.need(segment.hole > -OVERLAP && utc > last.utc, 'date-forward', `by ${-segment.hole} ms`, where);
    }
    report.need(utc !== undefined || !last || !segment.discontinuity, 'date-discontinuity', 'it has none', where);
    const from = utc ?? last?.end;
    if (from !== undefined) last = { utc: from, end: from + 1000 * (segment.duration ?? 0) };
  }
}

function checkControl(p, report) {
  const control = p.control ?? {};
  const { 'HOLD-BACK': holdBack, 'PART-HOLD-BACK': partHoldBack, 'CAN-SKIP-UNTIL': skipUntil } = control;
  report.need(holdBack === undefined || holdBack >= 3 * p.target, 'hold-back', `${holdBack} s, target ${p.target} s`);
  report.need(skipUntil === undefined || skipUntil >= 6 * p.target, 'skip-boundary',
    `${skipUntil} s, target ${p.target} s`);
  report.need(!control['CAN-SKIP-DATERANGES'] || skipUntil !== undefined, 'skip-dateranges', 'there is none');
  if (p.partTarget === undefined) return;
  if (!report.need(partHoldBack !== undefined, 'part-hold-back-needed', 'there is none')) return;
  const said = `${partHoldBack} s, part target ${p.partTarget} s`;
  if (report.need(partHoldBack >= 2 * p.partTarget - PRINTED, 'part-hold-back', said))
    report.need(partHoldBack >= RECOMMENDED * p.partTarget - PRINTED, 'part-hold-back-three', said);
}

/** B.1: what every low-latency server does. */
function checkProfile(p, report) {
  if (p.partTarget === undefined) return;
  report.need(p.control?.['CAN-BLOCK-RELOAD'], 'profile-blocking', 'there is none');
  report.need(p.control?.['CAN-SKIP-UNTIL'] !== undefined, 'profile-skip', 'there is none');
  const dated = [...p.segments, ...(p.tail ? [p.tail] : [])];
  report.need(dated.length === 0 || dated.some(({ utc }) => utc !== undefined), 'profile-date', 'there is none');
  const hinted = p.ended || p.hints.some(({ TYPE }) => TYPE === 'PART');
  report.need(hinted || partsOf(p).length === 0, 'profile-hint', 'there is none');
}

function checkPart(part, i, { p, parts, gap = false, report }) {
  const said = `part ${part.number}.${part.index} of ${part.duration} s, part target ${p.partTarget} s`;
  report.need(part.duration <= p.partTarget + PRINTED, 'part-long', said, part.where);
  const last = i === parts.length - 1;                  // of a segment that grows, perhaps not
  const excepted = part.independent || part.gap || parts[i + 1]?.gap || last;
  report.need(excepted || part.duration >= SHORT * p.partTarget - PRINTED, 'part-short', said, part.where);
  report.need(!gap || part.gap, 'gap-parts', `part ${part.number}.${part.index}`, part.where);
}

function checkParts(p, report) {
  const listed = partsOf(p);
  const target = listed.length === 0 || p.partTarget !== undefined;
  if (!report.need(target, 'part-inf-needed', `${listed.length} parts`)) return;
  let begun = false;
  p.segments.forEach((segment, i) => {
    const { parts, number: n, gap, where } = segment;
    parts.forEach((part, k) => checkPart(part, k, { p, parts, gap, report }));
    report.need(!begun || parts.length > 0, 'parts-whole', `segment ${n} has no parts`, where);
    if (parts.length === 0) return;
    begun = true;
    const total = sum(parts);
    report.need(Math.abs(total - segment.duration) <= PRINTED * (parts.length + 1), 'parts-sum',
      `segment ${n}: ${parts.length} parts of ${total.toFixed(3)} s in all, EXTINF ${segment.duration}`, where);
    const old = behind(p, i);
    report.need(old <= REMOVED_PARTS * p.target, 'parts-recent', `${n} ends ${old.toFixed(3)} s before`,
      where);
  });
  const parts = p.tail?.parts ?? [];
  parts.forEach((part, k) => checkPart(part, k, { p, parts, report }));
}

function checkHints(p, report) {
  const listed = new Set([...partsOf(p), ...p.segments].map(placeOf));
  const types = new Set();
  for (const hint of p.hints) {
    report.need(!p.ended, 'hint-after-end', hint.URI, hint.where);
    report.need(!types.has(hint.TYPE), 'hint-once', `a second hint of type ${hint.TYPE}`, hint.where);
    types.add(hint.TYPE);
    report.need('BYTERANGE-START' in hint || !listed.has(hint.URI), 'hint-new', `"${hint.URI}"`, hint.where);
  }
  for (const { URI, where } of p.reports)
    report.need(!/^[a-z][a-z0-9+.-]*:|^\/\//i.test(URI ?? ''), 'report-relative', `"${URI}"`, where);
}

function checkSkip(p, report) {
  if (!p.skip) return;
  const boundary = p.control?.['CAN-SKIP-UNTIL'];
  if (!report.need(boundary !== undefined, 'skip-offered', 'there is none', p.skip.where)) return;
  const kept = behind(p, -1);
  report.need(kept >= boundary - PRINTED, 'skip-old', `it has ${kept.toFixed(3)} s, the boundary is ${boundary} s`,
    p.skip.where);
}

/** hls.md: a list that goes on in a recording shows by its names that it has left out or repeated nothing. */
function checkNames(p, report) {
  const names = p.segments.map(({ uri, number: n, where }) => ({ n, where, name: NAME.exec(uri) }))
    .filter(({ name }) => name);
  for (const { n, where, name: [uri, , said] } of names)
    report.need(Number(said) === n, 'uri-number', `"${uri}" is number ${n}`, where);
  const sessions = new Set(names.map(({ name: [, session] }) => session));
  report.need(sessions.size < 2, 'uri-session', [...sessions].join(' and '));
}

/** 3.1.2; `map` is the one in force before the list's own tags. */
function checkMaps(p, report, map) {
  for (const segment of [...p.segments, ...(p.tail ? [p.tail] : [])]) {
    segment.map ??= map;
    for (const part of segment.parts) part.map ??= map;
    report.need(segment.map, 'map-needed', `segment ${segment.number}`, segment.where);
  }
}

// --- a multivariant playlist ---

const CODEC = new RegExp('^(avc[13]\\.[0-9a-fA-F]{6}|h(vc|ev)1\\.[ABC]?\\d+\\.[0-9a-fA-F]{1,8}\\.[LH]\\d+'
  + '(\\.[0-9a-fA-F]{1,2}){0,6}|mp4a\\.40\\.\\d+)$');

function checkVariant(variant, report) {
  const { CODECS, where, BANDWIDTH, 'AVERAGE-BANDWIDTH': average, 'FRAME-RATE': rate } = variant;
  const codecs = CODECS?.split(',') ?? [];
  report.need(CODECS !== undefined, 'variant-codecs', 'there are none', where);
  for (const codec of codecs) report.need(CODEC.test(codec), 'codec-format', `"${codec}"`, where);
  const video = codecs.some((codec) => /^(avc|h(vc|ev))/.test(codec));
  report.need(!video || (variant.RESOLUTION && rate), 'variant-picture', 'one is missing', where);
  report.need(rate === undefined || Math.abs(rate * 1000 - Math.round(rate * 1000)) < 1e-6, 'frame-rate-decimals',
    `${rate}`, where);
  report.need(average === undefined || average <= BANDWIDTH, 'average-bandwidth', `${average}, ${BANDWIDTH}`, where);
}

/** Parses and judges a multivariant playlist. */
export function readMultivariant(source, report = new Report()) {
  const p = parsePlaylist(source, report);
  if (report.need(p.variants.length > 0, 'variants', 'there is none'))
    for (const variant of p.variants) checkVariant(variant, report);
  return p;
}

/** Parses and judges a media playlist; it resolves no delta update. */
export function readMedia(source, report = new Report()) {
  const p = parsePlaylist(source, report);
  number(p);
  checkTimes(p, report);
  checkControl(p, report);
  checkProfile(p, report);
  checkParts(p, report);
  checkHints(p, report);
  checkSkip(p, report);
  checkNames(p, report);
  if (!p.skip) checkMaps(p, report);
  return p;
}

// --- a playlist over time ---

/** What all clients together know of a stream: its segments and parts keep their names, times and bytes. */
export class HlsStream {
  constructor(report = new Report()) {
    this.report = report;
    this.segments = new Map();          // number: as it was first listed
    this.parts = new Map();             // "number.index": likewise
    this.names = new Map();             // URI and range: what it names
  }

  /** Compares `item`'s `fields` with those that `kept` has under `key`, or keeps them. */
  keep(kept, key, item, fields, rule) {
    const known = kept.get(key);
    if (!known) { kept.set(key, item); return; }
    for (const field of fields) {
      const [was, is] = [known[field], item[field]].map((value) => JSON.stringify(value));
      this.report.need(was === is, rule, `${item.what}: ${field} was ${was} and is ${is}`);
    }
  }

  name(item) {
    const place = placeOf(item);
    const known = this.names.get(place);
    this.report.need(!known || known === item.what, 'uri-once', `"${place}" named ${known} and names ${item.what}`);
    this.names.set(place, known ?? item.what);
  }

  segment(segment, { counted }) {
    const item = { ...segment, what: `segment ${segment.number}`, place: placeOf(segment) };
    const known = this.segments.get(segment.number);
    if (known && counted) {
      this.report.need(known.breaks === item.breaks, 'discontinuity-number',
        `${item.what} had discontinuity number ${known.breaks} and has ${item.breaks}`);
    }
    const dated = known?.utc !== undefined && item.utc !== undefined ? ['utc'] : [];
    const fields = ['place', 'duration', 'discontinuity', 'map', 'gap', ...dated];
    this.keep(this.segments, segment.number, item, fields, 'segment-changed');
    if (!known || known.place === item.place) this.name(item);
  }

  part(part) {
    const item = { ...part, what: `part ${part.number}.${part.index}`, place: placeOf(part) };
    const key = `${part.number}.${part.index}`;
    const known = this.parts.get(key);
    this.keep(this.parts, key, item, ['place', 'duration', 'independent', 'gap'], 'part-changed');
    if (!known || known.place === item.place) this.name(item);
  }
}

const HEADER = ['target', 'partTarget', 'type', 'independent', 'control'];

/** One client's view: it adds one list after another. */
export class HlsFollower {
  constructor(stream = new HlsStream()) {
    this.stream = stream;
    this.report = stream.report;
    this.last = null;
  }

  /**
   * The next list, as the answer to a request with _HLS_msn, _HLS_part and _HLS_skip, and `window` (s); `cut`: it may
   * begin later than its window, as time is missing from the recording.  Returns it parsed, a delta update with the
   * segments that it skips.
   */
  add(source, request = {}) {
    const { report, last, stream } = this;
    const p = readMedia(source, report);
    report.need(!p.skip || request.skip, 'delta-asked', 'a list without _HLS_skip has EXT-X-SKIP');
    if (request.skip) this.checkGiven(p);
    if (p.skip && !this.resolve(p)) return p;
    p.segments.forEach((segment) => stream.segment(segment, p));
    partsOf(p).forEach((part) => stream.part(part));
    if (request.window !== undefined) this.checkWindow(p, request);
    if (last) this.compare(last, p, String(source));
    this.checkBlocked(p, request);
    this.last = p;
    this.source = String(source);
    return p;
  }

  /** 6.2.5.1: a full list has no segment that ends further from the end of the last one than the boundary. */
  checkGiven(p) {
    const boundary = p.control?.['CAN-SKIP-UNTIL'];
    if (p.skip || p.ended || boundary === undefined) return;
    const long = sum(p.segments.slice(1));
    this.report.need(long <= boundary + PRINTED, 'delta-given', `the first of ${p.segments.length} segments ends `
      + `${long.toFixed(3)} s before the last, the boundary is ${boundary} s`);
  }

  /** hls.md, "Reaching back". */
  checkWindow(p, { window, cut = false }) {
    const { last, report } = this;
    const reach = (list, from) => sum(list.slice(from, -1));
    report.need(reach(p.segments, 0) < window - EXACT, 'window-long',
      `the first of ${p.segments.length} starts ${reach(p.segments, 0).toFixed(3)} s before the last, of ${window} s`);
    if (!last || cut) return;
    const all = [...last.segments.filter(({ number: n }) => n < p.sequence), ...p.segments];
    const lost = all.findIndex(({ number: n }, i) => n < p.sequence && reach(all, i) < window - EXACT);
    report.need(lost < 0, 'window-kept', `segment ${all[lost]?.number} is gone, it starts `
      + `${reach(all, Math.max(lost, 0)).toFixed(3)} s before the last, of ${window} s`);
  }

  /** 6.2.5.1: puts the skipped segments in, from the list before. */
  resolve(p) {
    const { last, report } = this;
    const { count, where } = p.skip;
    const from = p.sequence;
    const known = last && from >= last.sequence && from + count <= endOf(last);
    if (!report.need(known, 'delta-known', `it skips ${from} to ${from + count - 1}, the list before has `
      + `${last ? `${last.sequence} to ${endOf(last) - 1}` : 'none'}`, where)) return false;
    const skipped = last.segments.filter((segment) => segment.number >= from && segment.number < from + count);
    checkMaps(p, report, skipped.at(-1)?.map ?? last.endMap);
    p.segments = [...skipped.map((segment) => ({ ...segment, parts: [] })), ...p.segments];
    p.delta = true;
    p.skip = null;
    p.endMap ??= last.endMap;
    number(p);
    return true;
  }

  compare(last, p, source) {
    const { report } = this;
    if (last.ended) report.need(p.ended && endOf(p) === endOf(last), 'after-end', 'the list changed');
    for (const field of HEADER) {
      const [was, is] = [last, p].map((list) => JSON.stringify(list[field]));
      report.need(was === is, 'header-changed', `${field} was ${was} and is ${is}`);
    }
    report.need(last.delta || p.delta || last.version === p.version, 'header-changed',
      `version was ${last.version} and is ${p.version}`);
    report.need(p.type !== 'EVENT' || p.sequence === last.sequence, 'event-removed', 'segments are gone');
    report.need(p.type !== 'VOD' || source === this.source, 'vod-changed', 'it changed');
    if (!report.need(p.sequence >= last.sequence, 'sequence-back', `from ${last.sequence} to ${p.sequence}`)) return;
    report.need(endOf(p) >= endOf(last), 'segment-lost', `the last was ${endOf(last) - 1} and is ${endOf(p) - 1}`);
    this.compareStart(last, p);
    this.compareParts(last, p);
  }

  /** 6.2.2: what was removed. */
  compareStart(last, p) {
    const { report } = this;
    const gone = last.segments.filter((segment) => segment.number < p.sequence);
    if (gone.length === 0) return;
    const kept = sum(p.segments);
    report.need(p.ended || kept >= 3 * p.target, 'removed-early', `${kept.toFixed(3)} s remain, target ${p.target} s`);
    const breaks = gone.filter(({ discontinuity }) => discontinuity).length;
    report.need(breaks === 0 || p.counted, 'discontinuity-counted', `${breaks} were lost`);
  }

  compareParts(last, p) {
    const { report } = this;
    for (const was of [...last.segments, ...(last.tail ? [last.tail] : [])]) {
      const i = p.segments.findIndex((segment) => segment.number === was.number);
      const is = p.segments[i] ?? (p.tail?.number === was.number ? p.tail : undefined);
      const old = i >= 0 && behind(p, i) >= REMOVED_PARTS * p.target - p.target;
      // where pictures become too slow for parts, the list has none for a while
      const none = partsOf(p).length === 0 && p.hints.length === 0;
      if (was.number < p.sequence || none || (old && is.parts.length === 0)) continue;
      report.need((is?.parts.length ?? 0) >= was.parts.length, 'part-lost',
        `segment ${was.number} had ${was.parts.length} parts and has ${is?.parts.length ?? 0}`);
    }
    const newest = partsOf(last).at(-1);
    const hint = last.hints.find(({ TYPE }) => TYPE === 'PART');
    if (!newest || !hint) return;
    const later = ({ number: n, index }) => n > newest.number || (n === newest.number && index > newest.index);
    const next = partsOf(p).find(later);
    const follows = next && (next.number === newest.number || (next.number === newest.number + 1 && next.index === 0));
    report.need(!follows || next.uri === hint.URI, 'hint-true',
      `the hint was "${hint.URI}", the part is "${next?.uri}"`);
  }

  /** 6.2.5.2 */
  checkBlocked(p, { msn, part }) {
    if (msn === undefined || p.ended) return;
    const end = endOf(p);
    let has = end > msn;
    if (part !== undefined) {
      const segment = p.segments.find(({ number: n }) => n === msn);
      const listed = p.tail?.number === msn ? p.tail.parts.length : 0;
      // a part behind the last one of its segment means the first of the next segment
      has = end > msn + 1 || listed > part || (end === msn + 1 && (segment.parts.length > part || p.tail !== null));
    }
    this.report.need(has, 'reload-blocked', `asked for ${msn}${part === undefined ? '' : `.${part}`}, it ends with `
      + `${p.tail ? `${end}.${p.tail.parts.length - 1}` : end - 1}`);
  }

  /** 6.2.5.1: `delta`, resolved by another follower, and a full list of the same state are alike. */
  compareFull(delta, full) {
    const essence = (p) => JSON.stringify({ sequence: p.sequence, ended: p.ended, hints: p.hints.map(({ URI }) => URI),
      segments: [...p.segments, ...(p.tail ? [p.tail] : [])].map((s) => [s.number, s.uri, s.duration, s.discontinuity,
        s.breaks, s.map?.uri, s.utc]),
      parts: (p.tail?.parts ?? []).map(({ uri, duration, independent }) => [uri, duration, independent]) });
    this.report.need(essence(delta) === essence(full), 'delta-true', 'they differ');
  }
}
