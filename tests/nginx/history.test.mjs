// History: playlists, spans and files of recordings, over HTTP.  In one test file,
// since all tests share one nginx and its recordings.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import zlib from 'node:zlib';
import { countPictures, decodesSilently, historyLocation, newFolder } from '../lib/history.mjs';
import { KEY, get, getBytes, getRange, startHub, token } from '../lib/hub.mjs';
import { testConfig, until } from '../lib/nginx.mjs';
import { readMp4 } from '../lib/mp4.mjs';
import { readPlaylist } from '../lib/playlist.mjs';
import { DAY, HOUR, Recording, fileName, makeSource, second, writeRecordings } from '../lib/recordings.mjs';

const DEADLINE = { timeout: 120_000 };
const replay = (stream, over = {}) => token(stream, { a: 'replay', ...over });
const NOON = Date.parse('2026-03-10T12:00:00Z');

/** CPU time of all threads of the processes, ms. */
function cpuOf(pids) {
  return pids.flatMap((pid) => fs.readdirSync(`/proc/${pid}/task`).map((task) => `/proc/${pid}/task/${task}/schedstat`))
    .reduce((sum, file) => sum + Number(fs.readFileSync(file, 'utf8').split(' ')[0]) / 1e6, 0);
}

/** Checks that a byte range consists of whole fragments; returns their number. */
function fragmentsIn(bytes) {
  const types = [];
  for (let at = 0; at < bytes.length;) {
    const size = bytes.readUInt32BE(at);
    assert.ok(size >= 8 && at + size <= bytes.length, `a box of ${size} bytes at ${at} of ${bytes.length}`);
    types.push(bytes.toString('latin1', at + 4, at + 8));
    at += size;
  }
  types.forEach((type, i) => assert.equal(type, i % 2 ? 'mdat' : 'moof'));
  assert.equal(types.length % 2, 0);
  return types.length / 2;
}

describe('history over HTTP', () => {
  const root = newFolder();
  let hub;
  let source;
  let hours;                                     // of live/demo: 11:00 to 14:30, two sessions

  const base = (stream, t = replay(stream)) => `${hub.base}/m/${t}/rec/${stream}`;
  const list = async (stream, query = '') => get(`${base(stream)}/index.m3u8${query}`);
  const spans = async (stream, query = '') => {
    const answer = await get(`${base(stream)}/spans.json${query}`);
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.headers['content-type'], 'application/json');
    return JSON.parse(answer.text);
  };
  const playlist = async (stream, query) => {
    const answer = await list(stream, query);
    assert.equal(answer.status, 200, answer.text);
    return readPlaylist(answer.text);
  };

  before(async () => {
    source = await makeSource();
    const write = (stream, options) => writeRecordings(root, stream, source, options);
    hours = [...write('live/demo', { spans: [[NOON - 20_000, NOON + 20_000], [NOON + 60_000, NOON + 75_000]] }),
      ...write('live/demo', { spans: [[NOON + 2 * HOUR + 123, NOON + 2 * HOUR + 30_123]] })];
    write('live/.dots', { spans: [[NOON, NOON + 5000]] });
    write('live/gop', { spans: [[NOON, NOON + 40_000]], step: 4, dependent: (n) => n % 5 !== 0 });
    hub = await startHub({
      listen: `; gzip on; gzip_types application/vnd.apple.mpegurl application/json;
        ${historyLocation(`${root}/`)}`,
      main: 'thread_pool disk threads=2;',
    });
  });

  after(async () => {
    await hub.stop();
    fs.rmSync(root, { recursive: true });
  });

  describe('the playlist', () => {
    test('covers files, sessions and gaps, each with its own time', DEADLINE, async () => {
      const answer = await list('live/demo', `?from=${NOON - HOUR}&to=${NOON + 3 * HOUR}`);
      assert.equal(answer.status, 200);
      assert.equal(answer.headers['content-type'], 'application/vnd.apple.mpegurl');
      assert.equal(answer.headers['cache-control'], 'no-store');
      const p = readPlaylist(answer.text);
      assert.equal(p.type, 'VOD');
      assert.deepEqual(
        p.items.filter((item) => item.dated).map((item) => [item.file, item.utc]),
        [
          [hours[0].file, NOON - 20_000],
          [hours[1].file, NOON],
          [hours[1].file, NOON + 60_000],
          [hours[2].file, NOON + 2 * HOUR + 123],
        ],
      );
      assert.equal(p.items.reduce((sum, item) => sum + item.duration, 0), 20_000 + 20_000 + 15_000 + 30_000);
    });

    test(
      'from one file to the next of a session time continues without a discontinuity',
      DEADLINE,
      async () => {
        const p = await playlist('live/demo', `?from=${NOON - HOUR}&to=${NOON + 3 * HOUR}`);
        assert.deepEqual(
          p.items.filter((item) => item.discontinuity).map((item) => item.utc),
          [NOON + 60_000, NOON + 2 * HOUR + 123],
        );
        assert.deepEqual([...new Set(p.items.map(({ map }) => map.uri))], [hours[0].file, hours[2].file]);
        for (const item of p.items) {
          const { body } = await getBytes(`${base('live/demo')}/${item.uri}`);
          const map = await getRange(`${base('live/demo')}/${item.map.uri}`, `bytes=0-${item.map.size - 1}`);
          const whole = Buffer.concat([map.body, body]);
          const { tracks } = readMp4(whole, { partial: true });
          const session = item.utc < NOON + 2 * HOUR ? NOON - 20_000 : NOON + 2 * HOUR + 123;
          const [video] = tracks.filter(({ kind }) => kind === 'video');
          assert.equal((video.samples[0].dts * 1000) / video.timescale, item.utc - session, item.uri);
          const recorded = fs
            .readFileSync(path.join(root, 'live/demo', item.file))
            .subarray(item.offset, item.offset + item.size);
          for (const { offset, size } of video.samples)
            assert.ok(recorded.includes(whole.subarray(offset, offset + size)), `the picture at ${offset}`);
        }
      },
    );

    test('other headers, another session, or missing time: a discontinuity', DEADLINE, async () => {
      const small = await makeSource({ size: '160x90' });
      const next = (stream, { source: other = source, session = NOON - 5000, late = 0 }) => {
        new Recording(root, stream, source, { utc: NOON - 5000 }).add(5).end();
        new Recording(root, stream, other, { utc: NOON + late, session }).add(5).end();
        return playlist(stream, `?from=${NOON - HOUR}&to=${NOON + HOUR}`);
      };
      const cut = async (stream, options) =>
        (await next(stream, options)).items.filter((item) => item.discontinuity).map((item) => item.utc);
      assert.deepEqual(await cut('live/joint', {}), []);
      assert.deepEqual(await cut('live/joint-headers', { source: small }), [NOON]);
      assert.deepEqual(await cut('live/joint-session', { session: NOON }), [NOON]);
      assert.deepEqual(await cut('live/joint-late', { late: 101 }), [NOON + 101]);
    });

    test('not a segment of the file: 404', DEADLINE, async () => {
      const [{ uri, offset, size }] = (await playlist('live/demo', `?from=${NOON}&to=${NOON + 60_000}`)).items;
      const start = uri.slice(0, 23);
      for (const name of [
        `${start}.${offset + 1}-${size}.m4s`,
        `${start}.${offset}-${size - 1}.m4s`,
        `${start}.${offset}-0.m4s`,
        `${start}.0-${size}.m4s`,
        `${start}.${offset}-99999999999.m4s`,
        `${start}.${offset}-999999999999999999.m4s`,
        `${start}.0${offset}-${size}.m4s`,
        `${start}.-${size}.m4s`,
        `${start}.${offset}.m4s`,
        `${start}.${offset}-${size}.mp4`,
        uri.replace('12-', '13-'),
        `x/${uri}`,
      ]) {
        assert.equal((await getBytes(`${base('live/demo')}/${name}`)).status, 404, name);
      }
      const part = await getRange(`${base('live/demo')}/${uri}`, 'bytes=4-7');
      assert.deepEqual([part.status, String(part.body)], [206, 'moof']);
      assert.equal((await getBytes(`${base('live/demo')}/${uri}`, { method: 'HEAD' })).body.length, 0);
    });

    test('merges segments to 6 s, the first alone, none over a gap or a file', DEADLINE, async () => {
      const p = await playlist('live/demo', `?from=${NOON - HOUR}&to=${NOON + HOUR}`);
      assert.deepEqual(p.items.map((item) => item.duration / 1000), [1, 6, 6, 6, 1, 6, 6, 6, 2, 6, 6, 3]);
      assert.equal(p.target, 6);
    });

    test('every segment is of whole fragments, and all of them are listed once', DEADLINE, async () => {
      const p = await playlist('live/demo', `?from=${NOON - HOUR}&to=${NOON + 3 * HOUR}`);
      let count = 0;
      for (const item of p.items) {
        const { status, headers, body } = await getBytes(`${base('live/demo')}/${item.uri}`);
        assert.equal(status, 200);
        assert.deepEqual(
          [headers['content-type'], headers['cache-control']],
          ['video/mp4', 'private, max-age=31536000, immutable'],
        );
        assert.equal(body.length, Number(headers['content-length']));
        count += fragmentsIn(body);
        const map = await getRange(`${base('live/demo')}/${item.map.uri}`, `bytes=0-${item.map.size - 1}`);
        assert.deepEqual(map.body, source.init);
      }
      assert.equal(count, 85);
    });

    test('begins with the segment that holds `from` and ends with the one that holds `to`', DEADLINE, async () => {
      const p = await playlist('live/demo', `?from=${NOON + 3500}&to=${NOON + 65_000}`);
      assert.equal(p.items[0].utc, NOON + 3000);
      const last = p.items.at(-1);
      assert.equal(last.utc + last.duration, NOON + 66_000);
      assert.deepEqual(
        (await playlist('live/demo', `?from=${NOON + 5000}&to=${NOON + 5000}`)).items.map(({ utc, duration }) => [
          utc,
          duration,
        ]),
        [[NOON + 5000, 1000]],
      );
    });

    test('in a gap it begins with the next segment', DEADLINE, async () => {
      const p = await playlist('live/demo', `?from=${NOON + 30_000}&to=${NOON + 65_000}`);
      assert.equal(p.items[0].utc, NOON + 60_000);
    });

    test('never begins without a key frame', DEADLINE, async () => {
      for (const [from, begin] of [[0, 0], [3, 0], [4.5, 0], [19.9, 0], [20, 20], [39, 20]]) {
        const p = await playlist('live/gop', `?from=${NOON + from * 1000}&to=${NOON + DAY}`);
        assert.equal(p.items[0].utc, NOON + begin * 1000, `from ${from} s`);
      }
    });

    test('times as RFC 3339, in any zone, or as ms', DEADLINE, async () => {
      const want = (await list('live/demo', `?from=${NOON}&to=${NOON + 10_000}`)).text;
      for (const query of [
        'from=2026-03-10T12:00:00Z&to=2026-03-10T12:00:10Z',
        'from=2026-03-10T12:00:00.000Z&to=2026-03-10t12:00:10.0009z',
        'from=2026-03-10T20:00:00%2B08:00&to=2026-03-10T07:00:10-05:00',
        'from=2026-03-10T20:00:00+08:00&to=2026-03-10T12%3A00%3A10Z',
        `to=${NOON + 10_000}&from=2026-03-10T12:00Z`,
        `from=${NOON / 1000}&to=${NOON / 1000 + 10}`,
      ]) {
        const answer = await list('live/demo', `?${query}`);
        assert.equal(answer.status, 200, answer.text);
        assert.equal(answer.text, want, query);
      }
    });

    test('without `from` it begins 24 h before the end', DEADLINE, async () => {
      const p = await playlist('live/demo', `?to=${NOON + DAY + 1500}`);
      assert.equal(p.items[0].utc, NOON + 1000);
    });

    test('without `to` it ends with the newest segment', DEADLINE, async () => {
      const p = await playlist('live/demo', `?from=${NOON}`);
      assert.ok(p.ended);
      assert.equal(p.items.at(-1).file, hours[2].file);
    });

    const wrong = [
      ['from=yesterday', 'from is \\"yesterday\\"'],
      ['from=', 'from is \\"\\"'],
      ['to=2026-02-30T00:00:00Z', 'to is \\"2026-02-30T00:00:00Z\\"'],
      ['from=2026-03-10', 'from is'],
      ['from=2026-03-10T12:00:00', 'from is'],
      ['from=-5', 'from is'],
      ['from=1e12', 'from is'],
      ['from=2026-03-10T25:00:00Z', 'from is'],
      ['to=99999999999999999999', 'to is'],
      ['from=%00', 'from is'],
      ['from=%ff%fe', 'from is'],
      [`from=${NOON + 1}&to=${NOON}`, `from is ${NOON + 1} and to is ${NOON}`],
    ];
    for (const [query, text] of wrong) {
      test(`${query}: 400 names the error`, DEADLINE, async () => {
        for (const name of ['index.m3u8', 'spans.json']) {
          const answer = await get(`${base('live/demo')}/${name}?${query}`);
          assert.equal(answer.status, 400);
          assert.ok(JSON.parse(answer.text).error.includes('expected'), answer.text);
          assert.ok(answer.text.includes(text), answer.text);
        }
      });
    }

    test('nothing recorded: 404 with a reason', DEADLINE, async () => {
      for (const [stream, query] of [
        ['live/none', ''],
        ['live/demo', `?from=${NOON + DAY}&to=${NOON + 2 * DAY}`],
        ['live/demo', `?from=${NOON + 30_000}&to=${NOON + 40_000}`],
        ['other/demo', ''],
        ['live/demo', '?from=0&to=0'],
      ]) {
        const answer = await list(stream, query);
        assert.equal(answer.status, 404);
        assert.deepEqual(JSON.parse(answer.text), { error: 'nothing was recorded in this span' });
      }
    });

    test('HEAD answers as GET, without the text', DEADLINE, async () => {
      const url = `${base('live/demo')}/index.m3u8?from=${NOON}&to=${NOON + HOUR}`;
      const [head, whole] = [await getBytes(url, { method: 'HEAD' }), await getBytes(url)];
      assert.equal(head.status, 200);
      assert.equal(head.body.length, 0);
      assert.equal(Number(head.headers['content-length']), whole.body.length);
    });

    test('is compressed for clients that accept it', DEADLINE, async () => {
      const url = `${base('live/demo')}/index.m3u8?from=${NOON}&to=${NOON + HOUR}`;
      const [small, whole] = [await getBytes(url, { headers: { 'accept-encoding': 'gzip' } }), await getBytes(url)];
      assert.equal(small.headers['content-encoding'], 'gzip');
      assert.deepEqual(zlib.gunzipSync(small.body), whole.body);
    });

    test('a stream whose name begins with a dot', DEADLINE, async () => {
      const p = await playlist('live/.dots', `?from=${NOON}&to=${NOON + HOUR}`);
      const { status, body } = await getBytes(`${base('live/.dots')}/${p.items[0].file}`);
      assert.equal(status, 200);
      assert.equal(body.length, fs.statSync(path.join(root, 'live/%2Edots', fileName(NOON))).size);
    });
  });

  describe('real players', () => {
    test('ffmpeg decodes all of it over HTTP without complaint', DEADLINE, async () => {
      const url = `${base('live/demo')}/index.m3u8?from=${NOON - HOUR}&to=${NOON + 3 * HOUR}`;
      assert.equal(await countPictures(url), 85 * 25);
      await decodesSilently(url);
    });
  });

  describe('a recording that grows', () => {
    test('the list is append-only, and ends with the recording', DEADLINE, async () => {
      const from = second(Date.now()) - 40_000;
      const file = new Recording(root, 'live/grows', source, { utc: from }).add(33).flush();
      let before_ = '';
      for (let round = 0; round < 6; round++) {
        const { status, text } = await list('live/grows', `?from=${from}`);
        assert.equal(status, 200, text);
        const p = readPlaylist(text);
        assert.equal(p.type, 'EVENT');
        assert.ok(!p.ended);
        assert.ok(text.startsWith(before_), `the list changed:\n${before_}\n---\n${text}`);
        before_ = text;
        file.add(1, { utc: file.end_ + (round === 3 ? 250 : 0) }).flush();
      }
      file.end();
      const { text } = await list('live/grows', `?from=${from}`);
      assert.ok(text.startsWith(before_), `the list changed:\n${before_}\n---\n${text}`);
      const p = readPlaylist(text);
      assert.ok(p.ended);
      assert.equal(p.items.reduce((sum, item) => sum + item.duration, 0), 39_000);
    });
  });

  test('with a `to` of just now the list ends when it contains that moment', DEADLINE, async () => {
    const now = second(Date.now());
    const file = new Recording(root, 'live/moment', source, { utc: now - 20_000 }).add(18).flush();
    const query = `?from=${now - 20_000}&to=${now - 1}`;
    const open = await playlist('live/moment', query);
    assert.ok(!open.ended);
    file.add(3).flush();
    const whole = await playlist('live/moment', query);
    assert.ok(whole.ended);
    assert.equal(whole.items.at(-1).utc + whole.items.at(-1).duration, now);
  });

  describe('spans', () => {
    test('are the recorded times; gaps of up to 1.5 s do not count', DEADLINE, async () => {
      writeRecordings(root, 'live/gaps', source, {
        media: false,
        spans: [
          [NOON, NOON + 3000],
          [NOON + 4500, NOON + 6000],
          [NOON + 8501, NOON + 9000],
          [NOON + HOUR, NOON + HOUR + 2000],
        ],
      });
      const all = await spans('live/gaps', `?from=${NOON - HOUR}&to=${NOON + 2 * HOUR}`);
      assert.deepEqual(all, {
        from: NOON - HOUR,
        to: NOON + 2 * HOUR,
        recording: false,
        days: ['2026-03-10'],
        spans: [
          [NOON, NOON + 6500],
          [NOON + 8501, NOON + 9501],
          [NOON + HOUR, NOON + HOUR + 2000],
        ].map(([from, to]) => ({ from, to })),
      });
    });

    test('are cut to the requested span', DEADLINE, async () => {
      const { spans: cut } = await spans('live/demo', `?from=${NOON - 5500}&to=${NOON + 61_500}`);
      assert.deepEqual(cut, [{ from: NOON - 5500, to: NOON + 20_000 }, { from: NOON + 60_000, to: NOON + 61_500 }]);
    });

    test('name all days in order, and no other folder', DEADLINE, async () => {
      const days = ['2025-12-31', '2026-01-01', '2026-03-09', '2026-03-10'];
      for (const day of days)
        writeRecordings(root, 'live/days', source, {
          media: false,
          spans: [[Date.parse(`${day}T08:00:00Z`), Date.parse(`${day}T08:00:02Z`)]],
        });
      for (const other of ['2026-02-30', 'x', '2026-01-01x', '.2026-01-02'])
        fs.mkdirSync(path.join(root, 'live/days', other));
      fs.writeFileSync(path.join(root, 'live/days/2026-03-10/notes.txt'), 'none of ours');
      const answer = await spans('live/days', '?to=2026-03-10T12:00:00Z');
      assert.deepEqual(answer.days, days);
      assert.equal(answer.from, Date.parse('2026-03-09T12:00:00Z'));
      assert.equal(answer.spans.length, 1);
    });

    test('a file that began the day before', DEADLINE, async () => {
      const midnight = Date.parse('2026-03-11T00:00:00Z');
      new Recording(root, 'live/long', source, { utc: midnight - 30_000, media: false }).add(60).end();
      const { spans: [span] } = await spans('live/long', `?from=${midnight + 1000}&to=${midnight + HOUR}`);
      assert.deepEqual(span, { from: midnight + 1000, to: midnight + 30_000 });
    });

    test('nothing at all: empty', DEADLINE, async () => {
      const answer = await spans('live/never');
      assert.deepEqual([answer.days, answer.spans, answer.recording], [[], [], false]);
      assert.equal(answer.to - answer.from, DAY);
    });

    test('FLV recordings reach from their name to their last change', DEADLINE, async () => {
      const file = path.join(root, 'live/tags', fileName(NOON, 'flv'));
      fs.mkdirSync(path.dirname(file), { recursive: true });
      fs.writeFileSync(file, 'FLV');
      fs.utimesSync(file, new Date(NOON + 5000), new Date(NOON + 5000));
      assert.deepEqual((await spans('live/tags', `?from=${NOON}&to=${NOON + HOUR}`)).spans, [
        { from: NOON, to: NOON + 5000 },
      ]);
      for (const name of ['index.m3u8', 'clip.mp4']) {
        const none = await get(`${base('live/tags')}/${name}?from=${NOON}&to=${NOON + HOUR}`);
        assert.equal(none.status, 404);
        assert.match(
          JSON.parse(none.text).error,
          /^only FLV files were recorded in this span: lists and clips are of MP4 files$/,
        );
      }
      assert.match((await list('live/tags', `?from=${NOON + HOUR}&to=${NOON + DAY}`)).text, /nothing was recorded/);
      const answer = await getBytes(`${base('live/tags')}/${fileName(NOON, 'flv')}`);
      assert.deepEqual(
        [answer.status, answer.headers['content-type'], String(answer.body)],
        [200, 'video/x-flv', 'FLV'],
      );
    });
  });

  describe('damaged indexes', () => {
    const torn = (name, change) => {
      const stream = `live/torn-${name}`;
      const file = new Recording(root, stream, source, { utc: NOON, media: false }).add(10).flush();
      fs.writeFileSync(file.index, change(fs.readFileSync(file.index, 'utf8')));
      return stream;
    };
    const cases = [
      ['a torn last line', (text) => text.slice(0, -5), 9],
      ['torn within a length', (text) => text.slice(0, text.lastIndexOf('@')), 9],
      ['a mark without its segment', (text) => `${text}#EXT-X-DISCONTINUITY\n`, 10],
      ['nonsense in the middle', (text) => text.replace(/^((?:.*\n){13})/, '$1garbage\n'), 2],
      ['no head', () => '#EXTM3U\n', 0],
      ['nothing', () => '', 0],
      ['zeros, as a power cut leaves them', (text) => text + '\0'.repeat(4096), 10],
    ];
    for (const [name, change, want] of cases) {
      test(`${name}: the whole segments are served`, DEADLINE, async () => {
        const stream = torn(name.replaceAll(/\W/g, '-'), change);
        const { status, text } = await list(stream, `?from=${NOON}&to=${NOON + HOUR}`);
        assert.equal(status, want ? 200 : 404);
        if (want) assert.equal(readPlaylist(text).items.reduce((sum, item) => sum + item.duration, 0), want * 1000);
      });
    }

    test('one damaged file does not hide the others', DEADLINE, async () => {
      const files = writeRecordings(root, 'live/spoilt', source, {
        media: false,
        spans: [
          [NOON - 5000, NOON + 5000],
          [NOON + HOUR, NOON + HOUR + 5000],
        ],
      });
      fs.writeFileSync(path.join(root, 'live/spoilt', files[1].file.replace(/mp4$/, 'm3u8')), 'not an index\n');
      const p = await playlist('live/spoilt', `?from=${NOON - HOUR}&to=${NOON + 2 * HOUR}`);
      assert.deepEqual([...new Set(p.items.map((item) => item.file))], [files[0].file, files[2].file]);
    });
  });

  describe('files', () => {
    const file = () => `${base('live/demo')}/${hours[0].file}`;
    const bytes = () => fs.readFileSync(hours[0].path);

    test('are sent whole, with validators, and are private', DEADLINE, async () => {
      const { status, headers, body } = await getBytes(file());
      assert.equal(status, 200);
      assert.deepEqual(body, bytes());
      assert.equal(headers['accept-ranges'], 'bytes');
      assert.match(headers['cache-control'], /^private/);
      const again = await getBytes(file(), { headers: { 'if-none-match': headers.etag } });
      assert.equal(again.status, 304);
    });

    test('are immutable when they have not changed for a minute', DEADLINE, async () => {
      const old = new Recording(root, 'live/old', source, { utc: NOON }).add(2).end();
      const fresh = (await getBytes(`${base('live/old')}/${old.file}`)).headers['cache-control'];
      fs.utimesSync(old.path, new Date(NOON), new Date(NOON));
      assert.deepEqual([fresh, (await getBytes(`${base('live/old')}/${old.file}`)).headers['cache-control']],
        ['private, no-cache', 'private, max-age=31536000, immutable']);
    });

    const ranges = [
      ['bytes=0-0', 206, [0, 1]],
      ['bytes=100-199', 206, [100, 200]],
      ['bytes=-7', 206, [-7]],
      ['bytes=1000-', 206, [1000]],
      ['bytes=99999999-', 416, null],
      ['bytes=5-4', 416, null],
    ];
    for (const [range, status, slice] of ranges) {
      test(`${range}: ${status}`, DEADLINE, async () => {
        const answer = await getBytes(file(), { headers: { range } });
        assert.equal(answer.status, status);
        if (slice) assert.deepEqual(answer.body, bytes().subarray(...slice));
      });
    }

    test('HEAD has the size', DEADLINE, async () => {
      const { status, headers, body } = await getBytes(file(), { method: 'HEAD' });
      assert.deepEqual([status, Number(headers['content-length']), body.length], [200, bytes().length, 0]);
    });

    describe('one that is still being written', () => {
      const open = (name) => new Recording(root, name, source, { utc: NOON }).mark().add(2).flush();
      const at = (name, { file }) => `${base(name)}/${file}`;

      test('is sent as far as it is written, with no-store, whatever its mtime', DEADLINE, async () => {
        const growing = open('live/open');
        fs.utimesSync(growing.path, new Date(NOON), new Date(NOON));         // as in a long pause
        const first = await getBytes(at('live/open', growing));
        growing.add(2).flush();
        const later = await getBytes(at('live/open', growing));
        assert.ok(
          later.body.length > first.body.length && later.body.subarray(0, first.body.length).equals(first.body),
        );
        for (const { headers } of [first, later])
          assert.deepEqual([headers['cache-control'], headers['last-modified']], ['no-store', undefined]);
      });

      test('If-Range with an earlier validator gets a range', DEADLINE, async () => {
        const growing = open('live/if-range');
        const url = at('live/if-range', growing);
        const { etag } = (await getRange(url, 'bytes=0-99')).headers;
        growing.add(2).flush();
        fs.utimesSync(growing.path, new Date(NOON + 4000), new Date(NOON + 4000));
        const { status, headers, body } = await getRange(url, 'bytes=2000-2099', { 'if-range': etag });
        assert.deepEqual([status, body.length, headers.etag], [206, 100, etag]);
        assert.deepEqual(body, fs.readFileSync(growing.path).subarray(2000, 2100));
        // another file has another validator, and so has this one when it is closed
        const other = open('live/if-range-other');
        assert.notEqual((await getBytes(at('live/if-range-other', other))).headers.etag, etag);
        growing.end();
        const closed = await getRange(url, 'bytes=2000-2099', { 'if-range': etag });
        assert.equal(closed.status, 200);
        assert.notEqual(closed.headers.etag, etag);
        assert.equal((await getRange(url, 'bytes=2000-2099', { 'if-range': closed.headers.etag })).status, 206);
      });

      test('a new file of the same name: If-Range gets it whole', DEADLINE, async () => {
        const small = await makeSource({ size: '160x90' });
        const recording = (other) => new Recording(root, 'live/if-range-anew', other, { utc: NOON });
        const first = recording(source).mark().add(2).flush();
        const url = at('live/if-range-anew', first);
        const seen = async () => (await getRange(url, 'bytes=0-99')).headers.etag;
        const is = async (old) => {
          const { status, headers, body } = await getRange(url, 'bytes=2000-2099', { 'if-range': old });
          assert.notEqual(headers.etag, old);
          assert.deepEqual([status, body], [200, fs.readFileSync(first.path)]);
        };

        // the file is removed under the recorder, and a new one gets the same inode number (ext4 takes the lowest free)
        const removed = await seen();
        const { ino } = fs.statSync(first.path);
        for (let tries = 0; tries < 100; tries++) {
          fs.rmSync(first.path);
          recording(source).add(3).flush();
          if (fs.statSync(first.path).ino === ino) break;
        }
        await is(removed);

        // the same file, rewritten from its start for other headers
        const rewritten = await seen();
        fs.truncateSync(first.path);
        recording(small).add(3).flush();
        await is(rewritten);
      });

      test(
        'If-None-Match and If-Modified-Since get the longer file, not 304',
        DEADLINE,
        async () => {
          const growing = open('live/if-none-match');
          const url = at('live/if-none-match', growing);
          const { etag } = (await getBytes(url)).headers;
          growing.add(2).flush();
          for (const headers of [
            { 'if-none-match': etag },
            { 'if-modified-since': new Date(Date.now() + DAY).toUTCString() },
          ]) {
            const { status, body } = await getBytes(url, { headers });
            assert.deepEqual([status, body.length], [200, fs.statSync(growing.path).size]);
          }
        },
      );

      test('its lists, spans and refusals have no-store and no validators', DEADLINE, async () => {
        const now = second(Date.now());
        new Recording(root, 'live/kept', source, { utc: now - 20_000 }).mark().add(18).flush();
        for (const [name, status] of [
          ['index.m3u8', 200],
          ['spans.json', 200],
          [`index.m3u8?from=${now + HOUR}&to=${now + 2 * HOUR}`, 404],
        ]) {
          const first = await getBytes(`${base('live/kept')}/${name}`);
          assert.deepEqual(
            [first.status, first.headers['cache-control'], first.headers.etag, first.headers['last-modified']],
            [status, 'no-store', undefined, undefined],
            name,
          );
          const again = await getBytes(`${base('live/kept')}/${name}`, { headers: {
            'if-modified-since': new Date(Date.now() + DAY).toUTCString(),
          } });
          assert.equal(again.status, status);
        }
      });
    });
  });

  describe('rights', () => {
    const now = Math.floor(Date.now() / 1000);
    const refusals = [
      ['a viewer\'s token', () => token('live/demo'), /replay "live\/demo" refused: token is for another action/],
      ['another stream\'s', () => replay('live/other'), /token is for another stream/],
      ['an expired one', () => replay('live/demo', { exp: now - 1 }), /token has expired/],
      ['a forged one', () => token('live/demo', { a: 'replay' }, { key: Buffer.alloc(32, 8) }), /wrong signature/],
      ['none', () => 'x', /token is malformed/],
    ];
    for (const [name, make, line] of refusals) {
      test(`${name}: 403 for every path`, DEADLINE, async () => {
        const from = hub.nginx.log().length;
        for (const what of [
          'index.m3u8',
          'spans.json',
          hours[0].file,
          hours[0].file.replace('.mp4', '.791-1000.m4s'),
          'clip.mp4',
          'thumb.jpg',
          'nothing',
        ]) {
          const answer = await get(`${base('live/demo', make())}/${what}`);
          assert.equal(answer.status, 403, what);
          assert.ok(!answer.text.includes('ftyp') && !answer.text.includes('EXTM3U'));
        }
        await until(() => line.test(hub.nginx.log().slice(from)), `the log line ${line}`);
        assert.ok(!hub.nginx.log().slice(from).includes('eyJ'), 'no token in the log');
      });
    }

    test('revoked: 403', DEADLINE, async () => {
      const mine = replay('live/demo', { sub: '99' });
      assert.equal((await get(`${base('live/demo', mine)}/spans.json`)).status, 200);
      await hub.control('revoke?user=99&stream=live/demo');
      for (const what of ['index.m3u8', 'spans.json', hours[0].file, hours[0].file.replace('.mp4', '.791-1000.m4s')])
        assert.equal((await get(`${base('live/demo', mine)}/${what}`)).status, 403);
      assert.equal((await get(`${base('live/demo', replay('live/demo', { sub: '98' }))}/spans.json`)).status, 200);
    });
  });

  describe('hostile paths', () => {
    /** Sends the path unchanged: HTTP clients would normalize it. */
    const raw = (target) => new Promise((resolve, reject) => {
      const socket = net.connect(hub.nginx.ports.http, '127.0.0.1', () =>
        socket.write(`GET ${target} HTTP/1.0\r\nHost: x\r\n\r\n`),
      );
      let text = '';
      socket.on('data', (data) => { text += data.toString('latin1'); });
      socket.on('end', () => resolve({ status: Number(text.split(' ')[1]), text }));
      socket.on('error', reject);
    });
    const name = path.basename(fileName(NOON));
    const paths = [
      '../../../../keys',
      '..%2f..%2f..%2f..%2fkeys',
      '%2e%2e/%2e%2e/keys',
      `2026-03-10/..%2f..%2f..%2fother/secret/2026-03-10/${name}`,
      `2026-03-10/%2e%2e/2026-03-10/${name}%00.mp4`,
      '2026-03-10/12-00-00.000.m3u8',
      '2026-03-10/',
      '2026-03-10',
      '.open/x',
      '.spool/x',
      '2026-03-10/12-00-00.000.mp4/',
      `2026-03-10/./x/${name}`,
      '2026-03-10/notes.txt',
      '2026-03-10/12-00-00.000.mp4.bak',
      `2026-03-10\\${name}`,
      '%2e',
      'index.m3u8/x',
      'INDEX.m3u8',
    ];
    for (const what of paths) {
      test(`${what}: no content`, DEADLINE, async () => {
        const { status, text } = await raw(`/m/${replay('live/demo')}/rec/live/demo/${what}`);
        assert.ok([400, 403, 404].includes(status), `${status}`);
        assert.ok(!text.includes(KEY.toString('hex')) && !text.includes('ftyp'));
      });
    }

    test('the token must be for the folder that is opened, however the path is written', DEADLINE, async () => {
      writeRecordings(root, 'other/secret', source, { spans: [[NOON, NOON + 2000]] });
      for (const stream of [
        'live/demo',
        'live/%2e%2e/other/secret',
        'live/demo/../../other/secret',
        'live%2fdemo',
        'x/rec/live/demo',
      ]) {
        for (const what of ['index.m3u8', `2026-03-10/${name}`, 'spans.json']) {
          const { status, text } = await raw(`/m/${replay('live/x')}/rec/${stream}/${what}`);
          assert.ok([400, 403, 404].includes(status), `${stream}/${what}: ${status}`);
          assert.ok(!text.includes('ftyp') && !text.includes('spans'));
        }
      }
      const mine = replay('live/demo');
      assert.equal((await raw(`/m/${mine}/rec/live/demo/../../other/secret/2026-03-10/${name}`)).status, 403);
    });

    test('symbolic links to a file, a day or a stream are not followed', DEADLINE, async () => {
      const outside = fs.mkdtempSync(path.join(os.tmpdir(), 'duolu-outside-'));
      const [there] = writeRecordings(outside, 'live/there', source, { spans: [[NOON, NOON + 3000]] });
      const day = path.dirname(there.path);
      fs.symlinkSync(path.join(outside, 'live/there'), path.join(root, 'live/stream-link'));
      fs.mkdirSync(path.join(root, 'live/day-link'));
      fs.symlinkSync(day, path.join(root, 'live/day-link/2026-03-10'));
      fs.mkdirSync(path.join(root, 'live/file-link/2026-03-10'), { recursive: true });
      for (const file of fs.readdirSync(day))
        fs.symlinkSync(path.join(day, file), path.join(root, 'live/file-link/2026-03-10', file));
      for (const stream of ['live/stream-link', 'live/day-link', 'live/file-link']) {
        assert.equal((await get(`${base(stream)}/${there.file}`)).status, 404, stream);
        assert.equal((await list(stream, `?from=${NOON}&to=${NOON + HOUR}`)).status, 404, stream);
        assert.deepEqual((await spans(stream, `?from=${NOON}&to=${NOON + HOUR}`)).spans, [], stream);
      }
      fs.rmSync(outside, { recursive: true });
    });

    test('an index that is a pipe or a folder blocks nobody', DEADLINE, async () => {
      const day = path.join(root, 'live/odd/2026-03-10');
      fs.mkdirSync(path.join(day, '12-00-01.000.m3u8'), { recursive: true });
      execFileSync('mkfifo', [path.join(day, '12-00-00.000.m3u8'), path.join(day, '12-00-00.000.mp4')]);
      assert.equal((await list('live/odd', `?from=${NOON}&to=${NOON + HOUR}`)).status, 404);
      assert.equal((await get(`${base('live/odd')}/2026-03-10/12-00-00.000.mp4`)).status, 404);
    });

    test('POST: 405', DEADLINE, async () => {
      assert.equal((await get(`${base('live/demo')}/index.m3u8`, { method: 'POST' })).status, 405);
    });
  });

  describe('large answers and many clients', () => {
    test('a day of 86,400 segments', DEADLINE, async () => {
      const from = Date.parse('2026-05-01T00:00:00Z');
      writeRecordings(root, 'live/day', source, { media: false, spans: [[from, from + DAY]] });
      const query = `?from=${from}&to=${from + DAY - 1}`;
      const p = await playlist('live/day', query);
      assert.equal(p.items.reduce((sum, item) => sum + item.duration, 0), DAY);
      assert.equal(p.items.length, 14_401);                   // the first one is not merged
      const rounds = process.env.DUOLU_SANITIZE === '1' ? 3 : 20;
      const began = cpuOf(hub.nginx.workers());
      for (let i = 0; i < rounds; i++) assert.equal((await list('live/day', query)).status, 200);
      const each = (cpuOf(hub.nginx.workers()) - began) / rounds;
      console.log(`# CPU of a playlist of 24 hours: ${each.toFixed(1)} ms`);
      if (process.env.DUOLU_SANITIZE !== '1') assert.ok(each < 150, `${each} ms, three times what it may be`);
      assert.equal((await spans('live/day', query)).spans.length, 1);
    });

    test('more files than an answer may have: 400 says so', DEADLINE, async () => {
      const from = Date.parse('2026-06-01T00:00:00Z');
      const day = path.join(root, 'live/files/2026-06-01');
      fs.mkdirSync(day, { recursive: true });
      for (let i = 0; i <= 4096; i++)
        fs.writeFileSync(path.join(root, 'live/files', fileName(from + i * 1000, 'm3u8')), '');
      for (const what of ['index.m3u8', 'spans.json']) {
        const { status, text } = await get(`${base('live/files')}/${what}?from=${from}&to=${from + DAY}`);
        assert.deepEqual(
          [status, JSON.parse(text)],
          [400, { error: 'the span has more than 4096 files: expected a shorter one' }],
        );
      }
    });

    test('clients that leave at once', DEADLINE, async () => {
      const target = new URL(`${base('live/day')}/index.m3u8?from=2026-05-01T00:00Z&to=2026-05-01T23:59Z`);
      for (let i = 0; i < 40; i++) {
        const socket = net.connect(hub.nginx.ports.http, '127.0.0.1');
        socket.on('error', () => {});
        socket.write(`GET ${target.pathname}${target.search} HTTP/1.1\r\nHost: x\r\n\r\n`);
        await new Promise((resolve) => setTimeout(resolve, i % 8));
        socket.resetAndDestroy();
      }
      const answers = await Promise.all(
        Array.from({ length: 20 }, () => list('live/day', '?from=2026-05-01T00:00Z&to=2026-05-01T01:00Z')),
      );
      assert.deepEqual([...new Set(answers.map((answer) => answer.status))], [200]);
    });

    test('slow readers: hub_history_lists limits the memory they hold', DEADLINE, async (t) => {
      const other = await startHub({
        workers: 1,
        main: 'thread_pool disk threads=2;',
        listen: `sndbuf=16k; ${historyLocation(root, { more: 'hub_history_lists 4m;' })}`,
      });
      t.after(() => other.stop({ allow: [/hub_history_lists/] }));
      const target = (sub) =>
        `/m/${replay('live/day', { sub })}/rec/live/day/index.m3u8?from=2026-05-01T00:00Z&to=2026-05-01T23:59Z`;
      const open = (sub) => {
        const socket = net.connect(other.nginx.ports.http, '127.0.0.1').pause();
        socket.on('error', () => {});
        socket.write(`GET ${target(sub)} HTTP/1.1\r\nHost: x\r\n\r\n`);
        return socket;
      };
      // one user's readers leave three quarters to the others
      const slow = [open('7')];
      await until(
        async () => (await other.sessions()).some(({ protocol, bytes }) => protocol === 'hls' && bytes > 0),
        'a list to be in transit',
      );
      const own = await until(async () => {
        const answer = await get(`${other.base}${target('7')}`);
        return answer.status === 429 && answer;
      }, '429');
      assert.match(
        JSON.parse(own.text).error,
        /bytes of lists are being sent to this user: a quarter of hub_history_lists is 1048576/,
      );
      assert.equal((await get(`${other.base}${target('8')}`)).status, 200);

      let user = 10;
      const refused = await until(async () => {
        slow.push(open(String(user++)));
        const answer = await get(`${other.base}${target('9')}`);
        return answer.status === 503 && answer;
      }, 'one too many');
      assert.match(JSON.parse(refused.text).error, /bytes of lists are being sent: hub_history_lists allows 4194304/);
      slow.forEach((socket) => socket.destroy());
      await until(async () => (await get(`${other.base}${target('7')}`)).status === 200, 'room again');
    });

    test('a reload during the answers', DEADLINE, async () => {
      const answers = Array.from({ length: 10 }, () =>
        list('live/day', '?from=2026-05-01T00:00Z&to=2026-05-01T23:00Z'),
      );
      await hub.nginx.reload();
      for (const { status, text } of await Promise.all(answers)) {
        assert.equal(status, 200);
        assert.ok(text.endsWith('#EXT-X-ENDLIST\n'));
      }
    });
  });
});

test('configurations that cannot work are refused with a reason', DEADLINE, async () => {
  const conf = (inside, main = '') =>
    `{{modules}}\nhub_zone test 16m;\n${main}\nevents {}\nhttp { server { listen 127.0.0.1:{{port:http}}; location / {
      ${inside} } } }\n`;
  const cases = [
    ['hub_history /tmp;', '', /"hub_history" has no "access_token_keys"/],
    ['hub_history "";', '', /"hub_history" directive has no folder/],
    ['hub_history /tmp; hub_history /tmp;', '', /"hub_history" directive is duplicate/],
    ['access_token_keys {{dir}}/nginx.conf.keys; hub_history /tmp;', '', /access_token_keys cannot open/],
    [
      'hub_history_thumbs thumb;',
      '',
      /"hub_history_thumbs" directive is no named location: expected a name such as "@thumb"/,
    ],
  ];
  for (const [inside, main, reason] of cases) {
    const { code, output } = await testConfig({ conf: conf(inside, main), modules: ['rtmp', 'guard', 'hub'] });
    assert.notEqual(code, 0, inside);
    assert.match(output, reason);
  }
});
