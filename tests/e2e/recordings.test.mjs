// What the auth-service knows and does of recordings, against a real MariaDB:
// the files are laid out by the test, as the recorder leaves them.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Auth, buildAuth } from '../lib/auth.mjs';
import { Mariadb } from '../lib/mariadb.mjs';
import { until } from '../lib/nginx.mjs';

const password = 'correct horse battery';
const day = 86_400_000;
let database;
let auth;
let rec;        // the folder of recordings
let admin;      // cookies
let bob;
let eve;

const sql = (text) => database.query(text, 'duolu');
const iso = (ms) => new Date(ms).toISOString();
// 2026-11-23/14-00-00.123
const tail = (ms) => `${iso(ms).slice(0, 10)}/${iso(ms).slice(11, 23).replaceAll(':', '-')}`;
const at = (file) => path.join(rec, file);
const there = (file) => fs.existsSync(at(file));
const rows = (where = '1 = 1') => sql(`SELECT file, state, bytes, COALESCE(ended_ms, 0), keep FROM recordings WHERE ${where} ORDER BY started_ms, id`);

// A recording as an MP4 of so many bytes and its index of whole seconds.
function lay({ stream = 'live/demo', from, seconds = 60, bytes = 1000, session = from, end = '#EXT-X-ENDLIST\n' }) {
  const file = `${stream}/${tail(from)}.mp4`;
  const name = path.basename(file);
  fs.mkdirSync(path.dirname(at(file)), { recursive: true });
  fs.writeFileSync(at(file), Buffer.alloc(bytes, 7));
  fs.writeFileSync(at(file).replace(/mp4$/, 'm3u8'), [
    '#EXTM3U', '#EXT-X-VERSION:7', '#EXT-X-TARGETDURATION:30', '#EXT-X-PLAYLIST-TYPE:EVENT',
    `#EXT-X-DUOLU-RECORDING:STREAM="${stream}",SESSION=${session}`,
    `#EXT-X-MAP:URI="${name}",BYTERANGE="100@0"`, `#EXT-X-PROGRAM-DATE-TIME:${iso(from)}`,
    `#EXTINF:${seconds}.000,`, `#EXT-X-BYTERANGE:${bytes - 100}@100`, name, end,
  ].join('\n'));
  return { file, stream, from, to: from + seconds * 1000, bytes, session };
}

// An FLV with one tag at its start and one at its end (Adobe FLV 10.1, annex E).
function layFlv({ stream = 'live/demo', from, seconds = 60 }) {
  const file = `${stream}/${tail(from)}.flv`;
  const tag = (ms) => {
    const bytes = Buffer.alloc(11 + 2 + 4);
    bytes[0] = 9;
    bytes.writeUIntBE(2, 1, 3);
    bytes.writeUIntBE(ms & 0xffffff, 4, 3);
    bytes[7] = ms >>> 24;
    bytes.writeUInt32BE(13, 13);
    return bytes;
  };
  fs.mkdirSync(path.dirname(at(file)), { recursive: true });
  fs.writeFileSync(at(file), Buffer.concat([Buffer.from('FLV\x01\x05\0\0\0\x09\0\0\0\0', 'latin1'), tag(0), tag(seconds * 1000)]));
  return { file, stream, from, to: from + seconds * 1000, bytes: 13 + 34, format: 'flv' };
}

const insert = ({ file, stream, from, to = 0, bytes = 0, session = from, state = 'complete', keep = 0 }) => {
  const [app, name] = stream.split('/');
  sql(`INSERT INTO recordings (stream_id, app, name, file, format, session, started_ms, ended_ms, bytes, state, keep)
    VALUES ((SELECT id FROM streams WHERE app = '${app}' AND name = '${name}'), '${app}', '${name}', '${file}',
    '${file.slice(-3)}', ${session}, ${from}, ${to || 'NULL'}, ${bytes}, '${state}', ${keep})`);
};
const clear = () => {
  sql('DELETE FROM recordings');
  for (const name of fs.readdirSync(rec)) if (name !== '.spool') fs.rmSync(at(name), { recursive: true });
};

before(async () => {
  buildAuth();
  database = new Mariadb();
  await database.start();
  auth = new Auth(database.create('duolu'), { DUOLU_REC_FREE: '0' });
  rec = path.join(auth.home, 'rec');
  fs.mkdirSync(path.join(rec, '.spool'), { recursive: true, mode: 0o750 });
  assert.equal((await auth.migrate()).code, 0);
  for (const [name, ...options] of [['admin', '--admin'], ['bob'], ['eve']]) {
    await auth.done(['user', 'add', name, '--password-stdin', ...options], `${password}\n`);
  }
  for (const [name, owner, title] of [['demo', 'admin', 'Front door'], ['bobs', 'bob', 'Garage 100%'], ['相机+1', 'admin', '']]) {
    await auth.done(['stream', 'add', `live/${name}`, '--owner', owner, '--title', title]);
  }
  await auth.start();
  [admin, bob, eve] = [await auth.login('admin', password), await auth.login('bob', password), await auth.login('eve', password)];
});

after(async () => {
  try {
    if (auth?.process) await auth.stop();
  } finally {
    auth?.remove();
    await database?.remove();
  }
});

describe('the list of recordings', () => {
  const start = Date.UTC(2026, 10, 20, 14, 0, 0, 123);
  const get = async (query, cookie) => auth.api('GET', `/api/recordings${query}`, { cookie });
  const list = async (query, cookie = admin) => {
    const { status, json, text } = await get(query, cookie);
    assert.equal(status, 200, text);
    return json.recordings;
  };
  const files = async (query, cookie) => (await list(query, cookie)).map(({ file }) => file);
  let demo;

  before(() => {
    clear();
    demo = [0, 1, 2].map((hour) => lay({ from: start + hour * 3_600_000, seconds: 3000, session: start }));
    for (const recording of [...demo, lay({ stream: 'live/bobs', from: start + 60_000 }), lay({ stream: 'live/相机+1', from: start + day })]) insert(recording);
    insert({ file: `live/gone/${tail(start)}.mp4`, stream: 'live/gone', from: start, to: start + 1, bytes: 5 });
  });

  test('says of each what the page shows, newest first', async () => {
    const all = await list('');
    assert.equal(all.length, 6);
    assert.deepEqual(all.map(({ from }) => from), all.map(({ from }) => from).sort((a, b) => b - a));
    const one = all.find(({ file }) => file === demo[0].file);
    const { url, id, ...rest } = one;
    assert.ok(id > 0);
    assert.deepEqual(rest, {
      stream: 'live/demo', title: 'Front door', file: demo[0].file, format: 'mp4', from: start, to: demo[0].to, bytes: 1000,
      state: 'complete', reason: '', keep: false, session: String(start), can: { manage: true },
    });
    const [, , token, ...address] = url.split('/');
    assert.equal(address.join('/'), `rec/live/demo/${tail(start)}.mp4`);
    const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
    assert.deepEqual([claims.sub, claims.s, claims.a], ['1', 'live/demo', 'replay']);
    const key = Buffer.from(/^\w+ ([0-9a-f]{64})$/m.exec(fs.readFileSync(path.join(auth.home, 'secrets/token.keys'), 'utf8'))[1], 'hex');
    const [head, body, signature] = token.split('.');
    assert.equal(createHmac('sha256', key).update(`${head}.${body}`).digest('base64url'), signature);
    // nobody has a right on a stream that is not there
    assert.equal(all.find(({ stream }) => stream === 'live/gone').url, undefined);
  });

  test('is narrowed by stream, time and text', async () => {
    assert.deepEqual(await files('?stream=live/demo'), demo.map(({ file }) => file).reverse());
    assert.equal((await files(`?stream=${encodeURIComponent('live/相机+1')}`)).length, 1);
    assert.equal((await files('?stream=live/gone')).length, 1);
    // what only touches the span is not in it
    assert.deepEqual(await files(`?stream=live/demo&from=${demo[0].to}`), [demo[2].file, demo[1].file]);
    assert.deepEqual(await files(`?stream=live/demo&to=${iso(demo[1].from)}`), [demo[0].file]);
    assert.deepEqual(await files(`?stream=live/demo&from=${iso(demo[1].from + 1)}&to=${demo[1].from + 2}`), [demo[1].file]);

    for (const [text, count] of [['front', 3], ['FRONT+door', 3], ['DEM', 3], ['garage', 1], ['100%25', 1], ['%25', 1], ['_', 0],
      [encodeURIComponent('相机+'), 1], ['live/bobs', 1], ['nothing', 0], ['', 6], ["'+OR+1", 0]]) {
      assert.equal((await list(`?q=${text}`)).length, count, text);
    }
    for (const query of ['?from=yesterday', '?to=-1', '?limit=0', '?limit=x', '?limit=501', '?before=7', '?before=7-8-9', '?q=%ff']) {
      const { status, json } = await get(query, admin);
      assert.deepEqual([status, json.error], [400, 'bad_request'], query);
    }
  });

  test('comes in pages', async () => {
    const whole = await files('');
    const seen = [];
    let next = '';
    do {
      const { json } = await get(`?limit=2${next && `&before=${next}`}`, admin);
      assert.ok(json.recordings.length <= 2);
      assert.equal(json.more, json.next !== undefined);
      seen.push(...json.recordings.map(({ file }) => file));
      next = json.next;
    } while (next);
    assert.deepEqual(seen, whole);
  });

  test('shows to each what they may replay or manage, and nothing else', async () => {
    assert.deepEqual(await list('', eve), []);
    for (const query of ['?stream=live/demo', '?stream=live/nothing', '?stream=bad']) {
      const { status, json } = await get(query, eve);
      assert.deepEqual([status, json.error], [404, 'not_found'], query);
    }
    assert.deepEqual(new Set((await list('', bob)).map(({ stream }) => stream)), new Set(['live/bobs']));

    await auth.done(['grant', 'eve', 'live/demo', 'view,publish']);
    assert.deepEqual(await list('', eve), []);
    await auth.done(['grant', 'eve', 'live/demo', 'replay']);
    const replay = await list('?stream=live/demo', eve);
    assert.equal(replay.length, 3);
    for (const { url, can } of replay) {
      assert.match(url, /\/rec\/live\/demo\//);
      assert.deepEqual(can, { manage: false });
    }
    await auth.done(['revoke', 'eve', 'live/demo']);
    await auth.done(['grant', 'eve', 'live/demo', 'manage']);
    for (const { url, can } of await list('', eve)) {
      assert.equal(url, undefined);
      assert.deepEqual(can, { manage: true });
    }
    await auth.done(['revoke', 'eve', 'live/demo']);
    assert.equal((await auth.api('GET', '/api/recordings')).status, 401);
  });
});
