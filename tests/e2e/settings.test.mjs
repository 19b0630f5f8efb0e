// Settings that are rows: they apply without a restart. What recordings take of the disk, and what retention would
// take. Against a real MariaDB; the test makes the files.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, beforeEach, describe, test } from 'node:test';
import { until } from '../lib/nginx.mjs';
import { RecService } from '../lib/rec-service.mjs';
import { DAY, HOUR } from '../lib/recordings.mjs';

const service = new RecService();
const { sql, rows, at, there, lay, insert, clear, ctl } = service;
let auth;
let admin;      // cookies
let bob;

const now = Date.now();
const ago = (days, hours = 0) => now - days * DAY - hours * HOUR;
const layAll = (...list) => list.map((one) => { const made = lay(one); insert({ ...made, ...one }); return made; });
const gone = (made) => made.filter(({ file }) => !there(file)).map(({ file }) => file);
const settingsOf = ({ json }) => Object.fromEntries(json.settings.map(({ name, value }) => [name, value]));
const set = (body, cookie = admin) => auth.api('POST', '/api/settings', { cookie, body });
const audits = () => sql("SELECT actor, action, target, reason FROM audit WHERE action LIKE 'settings%' ORDER BY id");

before(async () => {
  await service.start();
  ({ auth } = service);
  [admin, bob] = await Promise.all(['admin', 'bob'].map(service.login));
});

beforeEach(() => {
  clear();
  sql('DELETE FROM settings; DELETE FROM audit');
});

after(() => service.stop());

describe('settings', () => {
  test('have the environment\'s values until they have a row, and again without it', async () => {
    const { status, json } = await auth.api('GET', '/api/settings', { cookie: admin });
    assert.equal(status, 200);
    assert.deepEqual(json.settings.map(({ name, value, variable, set: hasRow }) => [name, value, variable, hasRow]), [
      ['rec_days', '0', 'DUOLU_REC_DAYS', false],
      ['rec_total', '0', 'DUOLU_REC_TOTAL', false],
      ['rec_free', '0', 'DUOLU_REC_FREE', false],
      ['rec_quota', '80%', 'DUOLU_REC_QUOTA', false],
      ['audit_days', '90', 'DUOLU_AUDIT_DAYS', false],
      ['audit_rows', '1000000', 'DUOLU_AUDIT_ROWS', false],
      ['max_kbps', '50000', 'DUOLU_MAX_KBPS', false],
    ]);

    const changed = await set({ rec_days: 30, rec_total: '524288000k', rec_free: '5%' });
    assert.equal(changed.status, 200, changed.text);
    assert.deepEqual(changed.json.settings.filter((one) => one.set).map((one) => [one.name, one.value, one.default]), [
      ['rec_days', '30', '0'], ['rec_total', '500g', '0'], ['rec_free', '5%', '0'],
    ]);
    assert.match(await auth.done(['settings']), /^rec_days=30 \(DUOLU_REC_DAYS has 0\)$/m);
    assert.match(await auth.done(['settings', 'set', 'max_kbps=4000', 'rec_free=20g']), /^max_kbps=4000 /m);
    assert.equal(settingsOf(await set({ rec_days: null })).rec_days, '0');
    const { settings } = await auth.done(['settings', 'reset', 'rec_total']).then(() =>
      auth.done(['settings', '--json']));
    assert.deepEqual(settings.filter((one) => one.set).map((one) => [one.name, one.value]),
      [['rec_free', '20g'], ['max_kbps', '4000']]);
    assert.deepEqual(audits(), [
      ['admin', 'settings set', 'rec_days', '30'],
      ['admin', 'settings set', 'rec_total', '500g'],
      ['admin', 'settings set', 'rec_free', '5%'],
      ['duoluctl', 'settings set', 'max_kbps=4000', ''],
      ['duoluctl', 'settings set', 'rec_free=20g', ''],
      ['admin', 'settings set', 'rec_days', 'default'],
      ['duoluctl', 'settings reset', 'rec_total', ''],
    ]);
  });

  test('refuse values that are not valid, and change none of the others', async () => {
    for (const [body, expected] of [
      [{ audit_days: 7, rec_days: 'week' }, /"rec_days" is "week"; expected a number from 0 to 36500/],
      [{ rec_days: -1 }, /"rec_days" is "-1"/],
      [{ rec_total: '5%' }, /"rec_total" is "5%"; expected bytes such as/],
      [{ rec_free: '100%' }, /or a part of the disk such as 5%/],
      [{ max_kbps: true }, /"max_kbps" is ""/],
      [{ DUOLU_REC_DAYS: 1 }, /There is no setting "DUOLU_REC_DAYS"/],
    ]) {
      const { status, json } = await set(body);
      assert.deepEqual([status, json.error], [400, 'bad_request']);
      assert.match(json.message, expected);
    }
    for (const [word, expected] of [
      ['rec_days=week', /rec_days is "week"; expected a number/],
      ['rec_days', /expected NAME=VALUE/],
      ['home=1', /expected NAME=VALUE with a name of duoluctl settings/],
    ]) {
      const { code, stderr } = await ctl(['settings', 'set', 'audit_days=7', word]);
      assert.equal(code, 2);
      assert.match(stderr, expected);
    }
    assert.deepEqual(sql('SELECT name FROM settings'), []);
  });

  test('are only for admins, also when a request was under way', async () => {
    for (const [method, address] of [['GET', '/api/settings'], ['POST', '/api/settings'], ['GET', '/api/storage'],
      ['POST', '/api/storage/plan'], ['POST', '/api/storage/delete']]) {
      const body = method === 'POST' ? {} : undefined;
      assert.equal((await auth.api(method, address, { cookie: bob, body })).status, 403, address);
      assert.equal((await auth.api(method, address, { body })).status, 401, address);
    }
  });

  test('a row that is not valid counts as none, and is named', async () => {
    const lines = auth.lines.length;
    sql("INSERT INTO settings VALUES ('max_kbps', 'many', NOW())");
    const { code, stdout, stderr } = await ctl(['settings']);
    assert.equal(code, 0);
    assert.match(stdout, /^max_kbps=50000 \(of DUOLU_MAX_KBPS\)$/m);
    assert.match(stderr, /warning: the table settings: max_kbps is "many"; expected a number/);
    await until(() => auth.lines.slice(lines).some((line) => /settings: max_kbps is "many"/.test(line)), 'the log');
  });

  test('apply at once: the next publisher\'s limit, and what retention deletes', async () => {
    const { key } = await auth.done(['stream', 'key', 'rotate', 'live/demo', '--json']);
    const limit = async () => (await auth.gate('publish', { ARGS: `key=${key}` })).json.max_kbps;
    assert.equal(await limit(), 50000);
    await set({ max_kbps: 3000 });
    assert.equal(await limit(), 3000);
    await auth.done(['stream', 'set', 'live/demo', 'max_kbps=7000']);
    assert.equal(await limit(), 7000, 'the stream\'s own limit');
    await auth.done(['stream', 'set', 'live/demo', 'max_kbps=0']);
    await set({ max_kbps: 0 });
    assert.equal(await limit(), 0, 'no limit');

    const made = layAll({ from: ago(40) }, { from: ago(20), keep: 1 }, { from: ago(8) }, { from: ago(1) });
    await set({ rec_days: 30 });
    await until(() => gone(made).length === 1, 'the oldest to go');
    await auth.done(['settings', 'set', 'rec_days=7']);
    await until(() => gone(made).length === 2, 'the next one to go');
    assert.deepEqual(gone(made), [made[0].file, made[2].file]);
    assert.deepEqual(rows().map(([file]) => file), [made[1].file, made[3].file]);
  });

  test('a quota that is a setting stops an owner\'s recordings, and lets them go on', async () => {
    layAll({ from: ago(2), stream: 'live/bobs' }, { from: ago(1), stream: 'live/bobs' });
    const isFull = () => sql("SELECT rec_full FROM users WHERE name = 'bob'")[0][0] === '1';
    await set({ rec_quota: '1500' });
    await until(isFull, 'bob to be full');
    assert.match(await auth.done(['storage']), /^user bob 2 files, 2000 bytes, at the limit: not recorded$/m);
    await set({ rec_quota: null });
    await until(() => !isFull(), 'bob to be recorded again');
  });
});

describe('storage', () => {
  test('says what each person and stream takes, also of what is being written and has no stream', async () => {
    const [open] = layAll({ from: ago(0, 1), stream: 'live/bobs', bytes: 700 }).slice(-1);
    sql(`UPDATE recordings SET ended_ms = NULL, bytes = 0, state = 'recording' WHERE file = '${open.file}'`);
    layAll({ from: ago(9), bytes: 1000 }, { from: ago(8), bytes: 500, keep: 1 }, { from: ago(7), stream: 'live/gone' });
    await auth.done(['user', 'set', 'bob', 'rec_quota=5g']);

    const { status, json } = await auth.api('GET', '/api/storage', { cookie: admin });
    assert.equal(status, 200);
    assert.ok(json.disk.bytes > json.disk.free && json.disk.free > 0, JSON.stringify(json.disk));
    assert.deepEqual([json.count, json.bytes, json.kept], [4, 3200, 500]);
    assert.deepEqual(json.people, [
      { name: 'admin', count: 2, bytes: 1500, kept: 500, quota: null, full: false },
      { name: null, count: 1, bytes: 1000, kept: 0, quota: null, full: false },
      { name: 'bob', count: 1, bytes: 700, kept: 0, quota: 5 * 2 ** 30, full: false },
    ]);
    assert.deepEqual(json.streams.map(({ stream, title, owner, bytes, from }) => [stream, title, owner, bytes, from]), [
      ['live/demo', 'Front door', 'admin', 1500, ago(9)],
      ['live/gone', '', null, 1000, ago(7)],
      ['live/bobs', 'Garage 100%', 'bob', 700, ago(0, 1)],
    ]);
    const { people, streams } = await auth.done(['storage', '--json']);
    assert.deepEqual([people, streams], [json.people, json.streams]);
    await auth.done(['user', 'set', 'bob', 'rec_quota=0']);
  });

  test('without its disk says so, and not that all is free', async () => {
    fs.rmdirSync(at('.spool'));
    const { status, json } = await auth.api('GET', '/api/storage', { cookie: admin });
    assert.deepEqual([status, json.disk], [200, null]);
    fs.mkdirSync(at('.spool'), { mode: 0o750 });
  });

  test('a plan names what other settings would delete, and deletes nothing', async () => {
    const made = layAll({ from: ago(40) }, { from: ago(20), keep: 1 }, { from: ago(8) }, { from: ago(1) });
    const plan = (body) => auth.api('POST', '/api/storage/plan', { cookie: admin, body });
    assert.deepEqual((await plan({})).json,
      { count: 0, bytes: 0, more: false, reasons: {}, files: [], broken: '' });
    const { json } = await plan({ rec_days: 30, rec_total: '1500' });
    assert.deepEqual([json.count, json.bytes, json.reasons], [3, 3000, {
      'older than rec_days': { count: 1, bytes: 1000 },
      'over rec_total': { count: 2, bytes: 2000 },
    }]);
    assert.deepEqual(json.files.map(({ stream, from }) => [stream, from]),
      [made[0], made[2], made[3]].map(({ stream, from }) => [stream, from]));
    assert.equal((await plan({ rec_total: '500' })).json.broken, 'rec_total');
    assert.equal((await plan({ rec_days: 'x' })).status, 400);
    assert.deepEqual([gone(made), sql('SELECT name FROM settings'), audits()], [[], [], []]);
  });

  test('deletes older than a time, of one stream or of all, but not what is kept', async () => {
    const made = layAll(
      { from: ago(40) }, { from: ago(39), stream: 'live/bobs' }, { from: ago(20), keep: 1 }, { from: ago(8) },
    );
    const remove = (body) => auth.api('POST', '/api/storage/delete', { cookie: admin, body });
    const older = { before: ago(10), stream: 'live/demo' };
    assert.deepEqual((await remove({ ...older, dry: true })).json, { count: 1, bytes: 1000, more: false, failed: 0 });
    assert.deepEqual(gone(made), []);
    assert.deepEqual((await remove(older)).json, { count: 1, bytes: 1000, more: false, failed: 0 });
    assert.deepEqual(gone(made), [made[0].file]);
    assert.deepEqual(sql("SELECT actor, target, reason FROM audit WHERE action = 'recording prune'"),
      [['admin', made[0].file, 'older than was asked for']]);

    for (const body of [{}, { before: 'x' }, { before: -1 }, { before: 1, stream: 'demo' }, { before: 1, stream: 3 }])
      assert.equal((await remove(body)).status, 400, JSON.stringify(body));

    const time = new Date(ago(10)).toISOString();
    const dry = await auth.done(['rec', 'prune', '--before', time, '--dry-run']);
    assert.match(dry, /^would delete 1 file, 1000 bytes$/m);
    assert.equal((await ctl(['rec', 'prune', 'live/demo'])).code, 2);
    assert.equal((await ctl(['rec', 'prune', '--before', 'yesterday'])).code, 2);
    assert.match(await auth.done(['rec', 'prune', 'live/demo', '--before', time]), /^deleted 0 files, 0 bytes$/m);
    assert.match(await auth.done(['rec', 'prune', '--before', time]), /^deleted 1 file, 1000 bytes$/m);
    assert.deepEqual(gone(made), [made[0].file, made[1].file]);
  });

  test('deletes very many in parts', async () => {
    const made = Array.from({ length: 250 }, (_, i) => lay({ from: ago(9) + i * 1000, bytes: 200, seconds: 1 }));
    sql(`INSERT INTO recordings (app, name, file, format, started_ms, ended_ms, bytes, state) VALUES ${
      made.map(({ file, from, to }) => `('live', 'demo', '${file}', 'mp4', ${from}, ${to}, 200, 'complete')`).join()}`);
    const remove = async () => {
      const body = { before: ago(1) };
      const { json: { count, more } } = await auth.api('POST', '/api/storage/delete', { cookie: admin, body });
      return [count, more];
    };
    assert.deepEqual([await remove(), await remove(), await remove()], [[200, true], [50, false], [0, false]]);
    assert.deepEqual(rows(), []);
  });
});
