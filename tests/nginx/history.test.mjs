// History: playlists, spans and files of what was recorded, over HTTP.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import zlib from 'node:zlib';
import { get, startHub, token } from '../lib/hub.mjs';
import { testConfig } from '../lib/nginx.mjs';
import { readPlaylist } from '../lib/playlist.mjs';
import { DAY, HOUR, Recording, fileName, makeSource, second, writeRecordings } from '../lib/recordings.mjs';
import { run } from '../lib/stack.mjs';

const DEADLINE = { timeout: 120_000 };
const replay = (stream, over = {}) => token(stream, { a: 'replay', ...over });
const NOON = Date.parse('2026-03-10T12:00:00Z');

/** Bytes of an answer, as they come. */
function fetch(url, headers = {}, method = 'GET') {
  return new Promise((resolve, reject) => {
    http.request(url, { agent: false, headers, method }, (response) => {
      const chunks = [];
      response.on('data', (data) => chunks.push(data));
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) }));
    }).on('error', reject).end();
  });
}

/** Boxes of a whole byte range: it begins with moof and holds whole fragments. */
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
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'duolu-rec-'));
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
    fs.chmodSync(root, 0o755);
    source = await makeSource();
    const write = (stream, options) => writeRecordings(root, stream, source, options);
    hours = [...write('live/demo', { spans: [[NOON - 20_000, NOON + 20_000], [NOON + 60_000, NOON + 75_000]] }),
      ...write('live/demo', { spans: [[NOON + 2 * HOUR + 123, NOON + 2 * HOUR + 30_123]] })];
    write('live/.dots', { spans: [[NOON, NOON + 5000]] });
    write('live/gop', { spans: [[NOON, NOON + 40_000]], step: 4, dependent: (n) => n % 5 !== 0 });
    hub = await startHub({
      listen: `; gzip on; gzip_types application/vnd.apple.mpegurl application/json;
        location ~ ^/m/[^/]+/rec/[^/]+/[^/]+/ { access_token_keys {{dir}}/keys; hub_history ${root}/; hub_history_threads disk; }
        root /nonexistent`,
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
      assert.deepEqual(p.items.filter((item) => item.dated).map((item) => [item.uri, item.utc]), [
        [hours[0].file, NOON - 20_000], [hours[1].file, NOON], [hours[1].file, NOON + 60_000], [hours[2].file, NOON + 2 * HOUR + 123]]);
      assert.equal(p.items.reduce((sum, item) => sum + item.duration, 0), 20_000 + 20_000 + 15_000 + 30_000);
    });

    test('merges segments to 6 s, the first alone, none over a gap or a file', DEADLINE, async () => {
      const p = await playlist('live/demo', `?from=${NOON - HOUR}&to=${NOON + HOUR}`);
      assert.deepEqual(p.items.map((item) => item.duration / 1000), [1, 6, 6, 6, 1, 6, 6, 6, 2, 6, 6, 3]);
      assert.equal(p.target, 6);
    });

    test('every byte range is of whole fragments, and all of them are listed once', DEADLINE, async () => {
      const p = await playlist('live/demo', `?from=${NOON - HOUR}&to=${NOON + 3 * HOUR}`);
      let count = 0;
      for (const item of p.items) {
        const { status, headers, body } = await fetch(`${base('live/demo')}/${item.uri}`, { range: `bytes=${item.offset}-${item.offset + item.size - 1}` });
        assert.equal(status, 206);
        assert.equal(headers['content-type'], 'video/mp4');
        assert.equal(body.length, item.size);
        count += fragmentsIn(body);
        const map = await fetch(`${base('live/demo')}/${item.map.uri}`, { range: `bytes=0-${item.map.size - 1}` });
        assert.deepEqual(map.body, source.init);
      }
      assert.equal(count, 85);
    });

    test('begins with the segment that holds `from` and ends with the one that holds `to`', DEADLINE, async () => {
      const p = await playlist('live/demo', `?from=${NOON + 3500}&to=${NOON + 65_000}`);
      assert.equal(p.items[0].utc, NOON + 3000);
      const last = p.items.at(-1);
      assert.equal(last.utc + last.duration, NOON + 66_000);
      assert.deepEqual((await playlist('live/demo', `?from=${NOON + 5000}&to=${NOON + 5000}`)).items.map(({ utc, duration }) => [utc, duration]),
        [[NOON + 5000, 1000]]);
    });

    test('in a gap it begins with what comes next', DEADLINE, async () => {
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
      for (const query of ['from=2026-03-10T12:00:00Z&to=2026-03-10T12:00:10Z', 'from=2026-03-10T12:00:00.000Z&to=2026-03-10t12:00:10.0009z',
        'from=2026-03-10T20:00:00%2B08:00&to=2026-03-10T07:00:10-05:00', 'from=2026-03-10T20:00:00+08:00&to=2026-03-10T12%3A00%3A10Z',
        `to=${NOON + 10_000}&from=2026-03-10T12:00Z`]) {
        const answer = await list('live/demo', `?${query}`);
        assert.equal(answer.status, 200, answer.text);
        assert.equal(answer.text, want, query);
      }
    });

    test('without `from` it begins 24 h before the end', DEADLINE, async () => {
      const p = await playlist('live/demo', `?to=${NOON + DAY + 1500}`);
      assert.equal(p.items[0].utc, NOON + 1000);
    });

    test('without `to` it ends with what there is', DEADLINE, async () => {
      const p = await playlist('live/demo', `?from=${NOON}`);
      assert.ok(p.ended);
      assert.equal(p.items.at(-1).uri, hours[2].file);
    });

    const wrong = [
      ['from=yesterday', 'from is \\"yesterday\\"'], ['from=', 'from is \\"\\"'], ['to=2026-02-30T00:00:00Z', 'to is \\"2026-02-30T00:00:00Z\\"'],
      ['from=2026-03-10', 'from is'], ['from=2026-03-10T12:00:00', 'from is'], ['from=-5', 'from is'], ['from=1e12', 'from is'],
      ['from=2026-03-10T25:00:00Z', 'from is'], ['to=99999999999999999999', 'to is'], ['from=%00', 'from is'], ['from=%ff%fe', 'from is'],
      [`from=${NOON + 1}&to=${NOON}`, `from is ${NOON + 1} and to is ${NOON}`],
    ];
    for (const [query, text] of wrong) {
      test(`${query}: 400 says what is wrong`, DEADLINE, async () => {
        for (const name of ['index.m3u8', 'spans.json']) {
          const answer = await get(`${base('live/demo')}/${name}?${query}`);
          assert.equal(answer.status, 400);
          assert.ok(JSON.parse(answer.text).error.includes('expected'), answer.text);
          assert.ok(answer.text.includes(text), answer.text);
        }
      });
    }

    test('nothing recorded: 404 with a sentence', DEADLINE, async () => {
      for (const [stream, query] of [['live/none', ''], ['live/demo', `?from=${NOON + DAY}&to=${NOON + 2 * DAY}`],
        ['live/demo', `?from=${NOON + 30_000}&to=${NOON + 40_000}`], ['other/demo', ''], ['live/demo', '?from=0&to=0']]) {
        const answer = await list(stream, query);
        assert.equal(answer.status, 404);
        assert.deepEqual(JSON.parse(answer.text), { error: 'nothing was recorded in this span' });
      }
    });

    test('HEAD answers as GET, without the text', DEADLINE, async () => {
      const url = `${base('live/demo')}/index.m3u8?from=${NOON}&to=${NOON + HOUR}`;
      const [head, whole] = [await fetch(url, {}, 'HEAD'), await fetch(url)];
      assert.equal(head.status, 200);
      assert.equal(head.body.length, 0);
      assert.equal(Number(head.headers['content-length']), whole.body.length);
    });

    test('is compressed for who takes it', DEADLINE, async () => {
      const url = `${base('live/demo')}/index.m3u8?from=${NOON}&to=${NOON + HOUR}`;
      const [small, whole] = [await fetch(url, { 'accept-encoding': 'gzip' }), await fetch(url)];
      assert.equal(small.headers['content-encoding'], 'gzip');
      assert.deepEqual(zlib.gunzipSync(small.body), whole.body);
    });

    test('a stream whose name begins with a dot', DEADLINE, async () => {
      const p = await playlist('live/.dots', `?from=${NOON}&to=${NOON + HOUR}`);
      const { status, body } = await fetch(`${base('live/.dots')}/${p.items[0].uri}`);
      assert.equal(status, 200);
      assert.equal(body.length, fs.statSync(path.join(root, 'live/%2Edots', fileName(NOON))).size);
    });
  });

  describe('real players', () => {
    test('ffmpeg decodes all of it over HTTP, silently', DEADLINE, async () => {
      const url = `${base('live/demo')}/index.m3u8?from=${NOON - HOUR}&to=${NOON + 3 * HOUR}`;
      const { stdout, stderr } = await run('ffprobe', ['-v', 'error', '-count_packets', '-select_streams', 'v', '-of', 'json',
        '-show_entries', 'stream=nb_read_packets', url]);
      assert.equal(stderr, '');
      assert.equal(Number(JSON.parse(stdout).streams[0].nb_read_packets), 85 * 25);
      const decoded = await run('ffmpeg', ['-nostdin', '-v', 'error', '-i', url, '-f', 'null', '-']);
      assert.equal(decoded.stderr, '');
    });
  });

  describe('a recording that goes on', () => {
    test('the list grows: what it said stays byte for byte, and it ends with the recording', DEADLINE, async () => {
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
});
