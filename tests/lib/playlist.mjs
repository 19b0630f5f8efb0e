// Reads an HLS media playlist of history and checks it by RFC 8216 and
// modules/history.md.

import assert from 'node:assert/strict';

const ATTRIBUTES = /([A-Z0-9-]+)=("[^"]*"|[^",]+)(?:,|$)/g;

function attributesOf(text) {
  return Object.fromEntries([...text.matchAll(ATTRIBUTES)].map(([, name, value]) => [name, value.replaceAll('"', '')]));
}

function rangeOf(text) {
  const match = /^(\d+)@(\d+)$/.exec(text);
  assert.ok(match, `byte range "${text}"`);
  return { size: Number(match[1]), offset: Number(match[2]) };
}

const known = {
  '#EXT-X-VERSION': (p, value) => {
    p.version = Number(value);
  },
  '#EXT-X-TARGETDURATION': (p, value) => {
    assert.match(value, /^\d+$/);
    p.target = Number(value);
  },
  '#EXT-X-MEDIA-SEQUENCE': (p, value) => {
    p.sequence = Number(value);
  },
  '#EXT-X-PLAYLIST-TYPE': (p, value) => {
    p.type = value;
  },
  '#EXT-X-ENDLIST': (p) => {
    p.ended = true;
  },
  '#EXT-X-MAP': (p, value) => {
    const { URI, BYTERANGE } = attributesOf(value);
    p.map = { uri: URI, ...rangeOf(BYTERANGE) };
    p.alike = new Set([URI]);
  },
  '#EXT-X-DISCONTINUITY': (p) => {
    p.next.discontinuity = true;
  },
  '#EXT-X-PROGRAM-DATE-TIME': (p, value) => {
    assert.match(value, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    p.next.utc = Date.parse(value);
  },
  '#EXTINF': (p, value) => {
    const match = /^(\d+\.\d{3}),$/.exec(value);
    assert.ok(match, `EXTINF:${value}`);
    p.next.duration = Math.round(match[1] * 1000);
  },
};

/**
 * {version, target, sequence, type, ended, items: [{uri, file, map, utc, duration, offset, size, discontinuity}]}: a
 * segment is `size` bytes at `offset` of `file`.
 */
export function readPlaylist(text) {
  const lines = text.split('\n');
  assert.equal(lines[0], '#EXTM3U');
  assert.equal(lines.pop(), '', 'the last line ends');
  const p = { next: {}, items: [] };
  let clock;
  for (const line of lines.slice(1)) {
    assert.ok(!p.ended, `"${line}" behind the end`);
    if (line.startsWith('#')) {
      const [, name, value] = /^([^:]+)(?::(.*))?$/.exec(line);
      assert.ok(known[name], `the tag ${line}`);
      known[name](p, value);
      continue;
    }
    const [, start, offset, size] =
      /^(\d{4}-\d\d-\d\d\/\d\d-\d\d-\d\d\.\d{3})\.(\d+)-(\d+)\.m4s$/.exec(line) ?? assert.fail(`the segment ${line}`);
    const item = {
      ...p.next,
      uri: line,
      file: `${start}.mp4`,
      offset: Number(offset),
      size: Number(size),
      map: p.map,
      utc: p.next.utc ?? clock,
      dated: p.next.utc !== undefined,
    };
    // without a discontinuity a file has the same head as the one before
    if (p.items.length > 0 && !item.discontinuity) p.alike.add(item.file);
    assert.ok(p.alike?.has(item.file), `${line}: its MAP is ${item.map?.uri}`);
    assert.ok(item.duration > 0 && item.size > 0 && item.offset >= item.map.size, `${line}: ${JSON.stringify(item)}`);
    assert.ok(item.utc !== undefined, 'the first has a PROGRAM-DATE-TIME');
    clock = item.utc + item.duration;
    p.items.push(item);
    p.next = {};
  }
  assert.deepEqual(p.next, {}, 'tags without a segment');
  checkPlaylist(p);
  return p;
}

function checkPlaylist(p) {
  assert.equal(p.version, 7);
  assert.equal(p.sequence, 0);
  assert.ok(['EVENT', 'VOD'].includes(p.type), `type ${p.type}`);
  assert.ok(p.type !== 'VOD' || p.ended, 'a VOD that does not end');
  p.items.forEach((item, i) => {
    const before = p.items[i - 1];
    assert.ok(Math.round(item.duration / 1000) <= p.target, `${item.duration} ms, target ${p.target} s`);
    if (!before) { assert.ok(!item.discontinuity, 'the first continues nothing'); return; }
    const apart = item.utc - before.utc - before.duration;
    const same = before.file === item.file;
    if (same) assert.equal(item.discontinuity === true, apart !== 0, `${item.uri}: discontinuity`);
    else if (!item.discontinuity) assert.ok(apart >= -500 && apart <= 100, `${item.uri} goes on after ${apart} ms`);
    assert.equal(item.dated, !same || apart !== 0, `${item.uri}: PROGRAM-DATE-TIME`);
    assert.ok(apart >= (item.discontinuity ? 0 : -500), 'time goes back');
    if (same) assert.ok(item.offset >= before.offset + before.size, 'bytes overlap');
  });
}
