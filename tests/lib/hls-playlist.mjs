// Parses playlists of HLS strictly, by RFC 8216bis alone: it shares no mistake with our own code.
// hls-validator.mjs judges what it returns.

// --- values (4.2) ---

const isInteger = (text) => /^\d{1,20}$/.test(text) && BigInt(text) < 1n << 64n;
const TYPES = {
  integer: { is: isInteger, read: Number },
  decimal: { is: (text) => /^\d+(\.\d+)?$/.test(text), read: Number },
  signed: { is: (text) => /^-?\d+(\.\d+)?$/.test(text), read: Number },
  quoted: { is: (text) => /^"[^"]*"$/.test(text), read: (text) => text.slice(1, -1) },
  range: { is: (text) => /^"\d+(@\d+)?"$/.test(text), read: (text) => rangeOf(text.slice(1, -1)) },
  rangeAt: { is: (text) => /^"\d+@\d+"$/.test(text), read: (text) => rangeOf(text.slice(1, -1)) },
  resolution: { is: (text) => /^[1-9]\d*x[1-9]\d*$/.test(text), read: (text) => text.split('x').map(Number) },
};

/** An enumerated string. */
const one = (...values) => ({ is: (text) => values.includes(text), read: (text) => text });
const yes = one('YES');

function rangeOf(text) {
  const [size, offset] = text.split('@').map(Number);
  return { size, offset };
}

/** 4.4.4.6: milliseconds since 1970, undefined if it is no date. */
function dateOf(text) {
  const match = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?$/.exec(text);
  const zoned = match?.[2] ? text.replace(/(\d\d)(\d\d)$/, (all, h, m) => (/[+-]\d{4}$/.test(text) ? `${h}:${m}` : all))
    : `${text}Z`;
  const utc = match ? Date.parse(zoned) : NaN;
  return Number.isNaN(utc) ? undefined : { utc, precise: Boolean(match[2]) && (match[1] ?? '').length >= 4 };
}

// --- tags ---

// `in`: media, multivariant, or both (undefined); `once`: it is about the whole playlist; `value`: none, one value, or
// attributes as NAME: [type, required].  `since`: the version that it needs (8).
const TAGS = {
  'EXTM3U': { once: true },
  'EXT-X-VERSION': { once: true, value: 'integer' },
  'EXT-X-INDEPENDENT-SEGMENTS': { once: true },
  'EXT-X-START': { once: true, attributes: { 'TIME-OFFSET': [TYPES.signed, true], 'PRECISE': [one('YES', 'NO')] } },

  'EXT-X-TARGETDURATION': { in: 'media', once: true, value: 'integer' },
  'EXT-X-MEDIA-SEQUENCE': { in: 'media', once: true, value: 'integer' },
  'EXT-X-DISCONTINUITY-SEQUENCE': { in: 'media', once: true, value: 'integer' },
  'EXT-X-ENDLIST': { in: 'media', once: true },
  'EXT-X-PLAYLIST-TYPE': { in: 'media', once: true, value: 'type' },
  'EXT-X-PART-INF': { in: 'media', once: true, attributes: { 'PART-TARGET': [TYPES.decimal, true] } },
  'EXT-X-SERVER-CONTROL': { in: 'media', once: true, attributes: {
    'CAN-SKIP-UNTIL': [TYPES.decimal], 'CAN-SKIP-DATERANGES': [yes], 'HOLD-BACK': [TYPES.decimal],
    'PART-HOLD-BACK': [TYPES.decimal], 'CAN-BLOCK-RELOAD': [yes],
  } },

  'EXTINF': { in: 'media', value: 'extinf' },
  'EXT-X-BYTERANGE': { in: 'media', value: 'range', since: 4 },
  'EXT-X-DISCONTINUITY': { in: 'media' },
  'EXT-X-MAP': { in: 'media', since: 6, attributes: { 'URI': [TYPES.quoted, true], 'BYTERANGE': [TYPES.rangeAt] } },
  'EXT-X-PROGRAM-DATE-TIME': { in: 'media', value: 'date' },
  'EXT-X-GAP': { in: 'media' },
  'EXT-X-BITRATE': { in: 'media', value: 'integer' },
  'EXT-X-PART': { in: 'media', attributes: {
    'URI': [TYPES.quoted, true], 'DURATION': [TYPES.decimal, true], 'INDEPENDENT': [yes], 'BYTERANGE': [TYPES.range],
    'GAP': [yes],
  } },

  'EXT-X-SKIP': { in: 'media', once: true, since: 9, attributes: {
    'SKIPPED-SEGMENTS': [TYPES.integer, true], 'RECENTLY-REMOVED-DATERANGES': [TYPES.quoted],
  } },
  'EXT-X-PRELOAD-HINT': { in: 'media', attributes: {
    'TYPE': [one('PART', 'MAP'), true], 'URI': [TYPES.quoted, true], 'BYTERANGE-START': [TYPES.integer],
    'BYTERANGE-LENGTH': [TYPES.integer],
  } },
  'EXT-X-RENDITION-REPORT': { in: 'media', attributes: {
    'URI': [TYPES.quoted, true], 'LAST-MSN': [TYPES.integer, true], 'LAST-PART': [TYPES.integer],
  } },

  'EXT-X-STREAM-INF': { in: 'multivariant', attributes: {
    'BANDWIDTH': [TYPES.integer, true], 'AVERAGE-BANDWIDTH': [TYPES.integer], 'SCORE': [TYPES.decimal],
    'CODECS': [TYPES.quoted], 'RESOLUTION': [TYPES.resolution], 'FRAME-RATE': [TYPES.decimal],
    'HDCP-LEVEL': [one('TYPE-0', 'TYPE-1', 'NONE')], 'VIDEO-RANGE': [one('SDR', 'HLG', 'PQ')],
    'STABLE-VARIANT-ID': [TYPES.quoted], 'CLOSED-CAPTIONS': [one('NONE')],
  } },
};

/** The attributes of a tag (4.2) as {NAME: value}. */
function readAttributes(text, tag, report, where) {
  const found = {};
  const item = /([^=,"]*)=("[^"]*"|[^",]*)(,|$)/y;
  let ends = text === '';
  while (!ends) {
    const match = item.exec(text);
    if (!match || (match[3] === ',' && item.lastIndex === text.length)) {
      report.add('attribute-syntax', `"${text}" is no list of attributes`, where);
      return found;
    }
    ends = match[3] === '';
    readAttribute(match[1], match[2], { found, tag, report, where });
  }
  for (const [name, [, required]] of Object.entries(tag.attributes))
    report.need(!required || name in found, 'attribute-required', `${name} is missing`, where);
  return found;
}

function readAttribute(name, value, { found, tag, report, where }) {
  const bare = name.trim();
  const content = value.startsWith('"') ? value : value.trim();
  report.need(bare === name && content === value, 'no-whitespace', `around "${bare}"`, where);
  const well = /^[A-Z0-9-]+$/.test(bare) && content !== '';
  if (!report.need(well, 'attribute-syntax', `"${bare}=${content}"`, where)) return;
  const [type] = tag.attributes[bare] ?? [];
  if (!report.need(type, 'attribute-known', bare, where)) return;
  report.need(!(bare in found), 'attribute-once', bare, where);
  if (report.need(type.is(content), 'attribute-type', `${bare}=${content}`, where)) found[bare] = type.read(content);
  else found[bare] = undefined;
}

const VALUES = {
  integer: (text) => (isInteger(text) ? { value: Number(text) } : undefined),
  type: (text) => (['EVENT', 'VOD'].includes(text) ? { value: text } : undefined),
  range: (text) => (/^\d+(@\d+)?$/.test(text) ? { value: rangeOf(text) } : undefined),
  extinf: (text) => {
    const match = /^(\d+(\.\d+)?),(.*)$/.exec(text);
    return match ? { value: Number(match[1]), fraction: Boolean(match[2]), title: match[3] } : undefined;
  },
  date: (text) => {
    const date = dateOf(text);
    return date ? { value: date.utc, precise: date.precise } : undefined;
  },
};

/** A line "#EXT…" as {name, value | attributes}, undefined if it cannot be used. */
function readTag(line, report, where) {
  const [, name, colon, text] = /^#([^:]*)(:?)(.*)$/.exec(line);
  const tag = TAGS[name];
  if (!report.need(tag, 'judged-tag', `#${name}`, where)) return undefined;
  const read = { name, tag, where };
  if (tag.attributes) {
    if (!report.need(colon, 'tag-value', `#${name} has no attributes`, where)) return undefined;
    return { ...read, attributes: readAttributes(text, tag, report, where) };
  }
  if (!tag.value)
    return report.need(!colon, 'tag-value', `"${line}" has a value, expected none`, where) ? read : undefined;
  const value = VALUES[tag.value](text);
  return report.need(value, 'tag-value', `"${line}"`, where) ? { ...read, ...value } : undefined;
}

// --- playlists ---

/** 4.1: the lines of a playlist, a Buffer or a string, without the blank ones: [{text, where}]. */
function readLines(source, report) {
  const bytes = Buffer.from(source);
  let text = bytes.toString('utf8');
  report.need(Buffer.from(text).equals(bytes), 'utf8', 'some bytes are no UTF-8');
  if (!report.need(!text.startsWith('\ufeff'), 'no-bom', 'U+FEFF')) text = text.slice(1);
  const lines = text.split(/\r?\n/);
  report.need(lines.at(-1) === '', 'last-line-ends', 'the last line does not end');
  return lines
    .map((line, i) => ({ text: line, where: `line ${i + 1}` }))
    .filter(({ text: line, where }, i) => {
      // eslint-disable-next-line no-control-regex
      report.need(!/[\u0000-\u001f\u007f-\u009f]/.test(line), 'no-control-characters', JSON.stringify(line), where);
      if (i === 0) report.need(line === '#EXTM3U', 'first-line', `the first line is "${line}"`, where);
      report.need(line === line.trim(), 'no-whitespace', `"${line}"`, where);
      return line.trim() !== '';
    });
}

/** The parser's state while it reads a media or multivariant playlist. */
class Reader {
  constructor(report) {
    this.report = report;
    this.p = {
      kind: undefined, version: 1, target: undefined, sequence: 0, discontinuitySequence: 0, counted: false, type: null,
      ended: false, independent: false, partTarget: undefined, control: null, skip: null, hints: [], reports: [],
      segments: [], tail: null, variants: [],
    };
    this.seen = new Set();
    this.needs = { version: 1, why: '' };
    this.next = this.fresh();
  }

  fresh() { return { parts: [], tags: [] }; }

  /** 4.4.6; 8: remembers what the tag says about the playlist as a whole. */
  tag(read) {
    const { report, p, seen } = this;
    const { name, tag, where } = read;
    if (tag.once) report.need(!seen.has(name), 'tag-once', `#${name}`, where);
    seen.add(name);
    if (tag.in) {
      p.kind ??= tag.in;
      report.need(p.kind === tag.in, 'one-kind', `#${name} in a ${p.kind} playlist`, where);
    }
    if (tag.since) this.need(tag.since, `#${name}`);
    this[name]?.(read);
  }

  need(version, why) { if (version > this.needs.version) this.needs = { version, why }; }

  'EXT-X-VERSION'({ value }) { this.p.version = value; }
  'EXT-X-INDEPENDENT-SEGMENTS'() { this.p.independent = true; }
  'EXT-X-TARGETDURATION'({ value }) { this.p.target = value; }
  'EXT-X-PLAYLIST-TYPE'({ value }) { this.p.type = value; }
  'EXT-X-ENDLIST'() { this.p.ended = true; }
  'EXT-X-SERVER-CONTROL'({ attributes }) { this.p.control = attributes; }
  'EXT-X-PART-INF'({ attributes }) { this.p.partTarget = attributes['PART-TARGET']; }
  'EXT-X-PRELOAD-HINT'({ attributes, where }) { this.p.hints.push({ ...attributes, where }); }
  'EXT-X-RENDITION-REPORT'({ attributes, where }) { this.p.reports.push({ ...attributes, where }); }

  get begun() { return this.p.segments.length > 0 || this.p.skip || this.next.parts.length > 0; }

  'EXT-X-MEDIA-SEQUENCE'({ value, where }) {
    this.report.need(!this.begun, 'sequence-first', 'a segment stands before it', where);
    this.p.sequence = value;
  }

  'EXT-X-DISCONTINUITY-SEQUENCE'({ value, where }) {
    const first = !this.begun && !this.seen.has('EXT-X-DISCONTINUITY');
    this.report.need(first, 'discontinuity-sequence-first', 'a segment or EXT-X-DISCONTINUITY stands before it', where);
    this.p.discontinuitySequence = value;
    this.p.counted = true;
  }

  'EXT-X-SKIP'({ attributes, where }) {
    const count = attributes['SKIPPED-SEGMENTS'] ?? 0;
    this.report.need(!this.begun, 'skip-first', 'a segment stands before it', where);
    this.report.need(count > 0, 'skip-some', `SKIPPED-SEGMENTS=${count}`, where);
    if ('RECENTLY-REMOVED-DATERANGES' in attributes) this.need(10, 'RECENTLY-REMOVED-DATERANGES');
    this.p.skip = { count, where };
  }

  'EXTINF'({ value, fraction, name }) {
    if (fraction) this.need(3, 'an EXTINF with a fraction');
    this.next.duration = value;
    this.next.tags.push(name);
  }

  'EXT-X-GAP'({ name }) { this.next.gap = true; this.next.tags.push(name); }

  'EXT-X-BITRATE'({ value }) { this.bitrate = value; }

  'EXT-X-BYTERANGE'({ value, name }) { this.next.range = value; this.next.tags.push(name); }

  'EXT-X-DISCONTINUITY'(read) { this.beforeParts(read); this.next.discontinuity = true; }

  'EXT-X-MAP'(read) {
    this.beforeParts(read);
    this.map = { uri: read.attributes.URI, range: read.attributes.BYTERANGE };
  }

  'EXT-X-PROGRAM-DATE-TIME'(read) {
    this.beforeParts(read);
    this.report.need(read.precise, 'date-precise', 'the date', read.where);
    this.next.utc = read.value;
  }

  beforeParts({ name, where }) {
    this.report.need(this.next.parts.length === 0, 'part-behind-tags', `#${name} behind a part`, where);
  }

  'EXT-X-PART'({ attributes: a, where }) {
    const before = this.next.parts.at(-1);
    this.next.parts.push({
      uri: a.URI, duration: a.DURATION ?? 0, independent: a.INDEPENDENT === 'YES', gap: a.GAP === 'YES',
      range: this.place(a.BYTERANGE, a.URI, before, where), where,
    });
    this.next.map = this.map;
  }

  'EXT-X-STREAM-INF'({ attributes, where }) {
    this.report.need(!this.variant, 'variant-uri', 'no URI follows', this.variant?.where);
    this.variant = { ...attributes, where };
  }

  /** 4.4.4.2: a range with its offset. */
  place(range, uri, before, where) {
    if (!range || range.offset !== undefined) return range;
    const follows = before?.range && before.uri === uri;
    this.report.need(follows, 'range-follows', `"${uri}" has no range before it`, where);
    return { size: range.size, offset: follows ? before.range.offset + before.range.size : 0 };
  }

  uri(uri, where) {
    if (this.variant) {
      this.p.variants.push({ ...this.variant, uri });
      this.variant = undefined;
      return;
    }
    this.p.kind ??= 'media';
    const { p, next, report } = this;
    if (!report.need(p.kind === 'media', 'variant-uri', `"${uri}" follows no EXT-X-STREAM-INF`, where)) return;
    report.need(next.duration !== undefined, 'extinf-needed', `"${uri}"`, where);
    p.segments.push({
      uri, duration: next.duration ?? 0, range: this.place(next.range, uri, p.segments.at(-1), where),
      discontinuity: next.discontinuity === true, map: this.map, utc: next.utc, gap: next.gap === true,
      bitrate: this.bitrate, parts: next.parts, where,
    });
    this.next = this.fresh();
  }

  end() {
    const { p, next, report } = this;
    p.kind ??= 'media';
    report.need(!this.variant, 'variant-uri', 'no URI follows', this.variant?.where);
    report.need(next.tags.length === 0, 'segment-uri', `no URI follows ${next.tags}`);
    if (next.parts.length > 0) {
      p.tail = { parts: next.parts, discontinuity: next.discontinuity === true, map: this.map, utc: next.utc };
    }
    p.endMap = this.map;
    report.need(p.version >= this.needs.version, 'version',
      `version ${p.version}, but ${this.needs.why} needs ${this.needs.version}`);
    report.need(p.version <= this.needs.version, 'version-least',
      `version ${p.version}, ${this.needs.version} will do`);
    return p;
  }
}

/**
 * A playlist, a Buffer or a string; problems go to `report`.
 *   {kind: 'media' | 'multivariant', version, independent}
 *   media:        {target, sequence, discontinuitySequence, counted, type, ended, partTarget, control, skip, hints,
 *                 reports, segments, tail}
 *   segments      {uri, range, duration, discontinuity, map, utc, gap, bitrate, parts}; `tail` is the one that grows
 *   parts         {uri, range, duration, independent, gap}
 *   multivariant: {variants: [{uri, BANDWIDTH, CODECS, …}]}
 */
export function parsePlaylist(source, report) {
  const reader = new Reader(report);
  for (const { text, where } of readLines(source, report)) {
    if (!text.startsWith('#')) reader.uri(text.trim(), where);
    else if (text.startsWith('#EXT')) {
      const read = readTag(text.trim(), report, where);
      if (read) reader.tag(read);
    }
  }
  return reader.end();
}
