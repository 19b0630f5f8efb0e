// Retention and reindexing of recordings, against a real MariaDB; the test makes the files.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { noSmallDisk, smallDisk } from '../lib/disks.mjs';
import { until } from '../lib/nginx.mjs';
import { RecService } from '../lib/rec-service.mjs';
import { Recordings } from '../lib/recording.mjs';
import { DAY, fileName, HOUR } from '../lib/recordings.mjs';

const service = new RecService();
const { sql, rows, at, there, indexOf, lay, layFlv, insert, clear, writer, ctl } = service;
let auth;
let admin;      // cookies
let bob;

before(async () => {
  await service.start();
  ({ auth } = service);
  await auth.done(['stream', 'add', 'live/camera', '--owner', 'bob']);
  [admin, bob] = await Promise.all(['admin', 'bob'].map(service.login));
});

after(() => service.stop());

describe('retention', () => {
  const now = Date.now();
  const ago = (days, hours = 0) => now - days * DAY - hours * HOUR;
  const gone = (made) => made.filter(({ file }) => !there(file)).map(({ file }) => file);
  const reasons = {
    age: 'older than rec_days',
    quota: "over the owner's rec_quota",
    total: 'over rec_total',
    room: 'rec_free is not free',
  };
  // The dry run lists exactly the files that are deleted then, and changes nothing.
  const prune = async (made, expected, environment, warning = '') => {
    const before = [rows(), gone(made)];
    const audits = sql("SELECT COUNT(*) FROM audit WHERE action = 'recording prune'")[0][0];
    const text = expected.map(([{ file, bytes }, reason]) => `${file} ${bytes} ${reasons[reason]}\n`).join('');
    const sum = expected.reduce((bytes, [one]) => bytes + one.bytes, 0);
    const words = `${expected.length} file${expected.length === 1 ? '' : 's'}, ${sum} bytes\n`;

    const dry = await ctl(['rec', 'prune', '--dry-run'], environment);
    assert.deepEqual([dry.code, dry.stdout], [0, `${text}would delete ${words}`], dry.stderr);
    assert.deepEqual([rows(), gone(made)], before);

    const real = await ctl(['rec', 'prune'], environment);
    assert.deepEqual([real.code, real.stdout, real.stderr], [0, `${text}deleted ${words}`, dry.stderr]);
    assert.ok(warning ? real.stderr.includes(warning) : real.stderr === '', real.stderr);
    for (const [{ file }] of expected) {
      assert.ok(!there(file) && !fs.existsSync(indexOf(file)), file);
      assert.deepEqual(rows(`file = '${file}'`), []);
    }
    assert.deepEqual(new Set(gone(made)), new Set([...before[1], ...expected.map(([{ file }]) => file)]));
    assert.equal(
      Number(sql("SELECT COUNT(*) FROM audit WHERE action = 'recording prune'")[0][0]),
      Number(audits) + expected.length,
    );
    return real;
  };
  const layAll = (...list) => list.map((one) => { const made = lay(one); insert({ ...made, ...one }); return made; });

  test('deletes by age, and empty folders with the files', async () => {
    clear();
    const made = layAll(
      { from: ago(40) },
      { from: ago(10), stream: 'live/bobs' },
      { from: ago(8) },
      { from: ago(8, 1) },
      { from: ago(1) },
    );
    await prune(made, [], {});
    await prune(made, [], { DUOLU_REC_DAYS: '50' });
    await prune(
      made,
      [
        [made[0], 'age'],
        [made[1], 'age'],
        [made[3], 'age'],
        [made[2], 'age'],
      ],
      { DUOLU_REC_DAYS: '7' },
    );
    assert.deepEqual(fs.readdirSync(at('live')), ['demo'], 'the folder of live/bobs is gone');
    assert.deepEqual(fs.readdirSync(at('live/demo')), [path.dirname(fileName(made[4].from))]);
  });

  test('deletes by total size, the oldest of all streams first; kept ones count and stay', async () => {
    clear();
    const made = layAll(
      { from: ago(9), keep: 1 },
      { from: ago(8), stream: 'live/bobs' },
      { from: ago(7) },
      { from: ago(6), stream: 'live/bobs' },
    );
    await prune(made, [], { DUOLU_REC_TOTAL: '4000' });
    await prune(made, [[made[1], 'total']], { DUOLU_REC_TOTAL: '3999' });
    const { json: { recordings } } = await auth.api('GET', '/api/recordings', { cookie: admin });
    const id = (one) => recordings.find(({ file }) => file === one.file).id;
    assert.match(await auth.done(['rec', 'keep', String(id(made[2]))]), /is kept/);
    await prune(made, [[made[3], 'total']], { DUOLU_REC_TOTAL: '2k' });
    await prune(made, [], { DUOLU_REC_TOTAL: '1k' }, 'warning: rec_total can\'t be satisfied');
    assert.match(await auth.done(['rec', 'free', String(id(made[0]))]), /may be deleted/);
    await prune(made, [[made[0], 'total']], { DUOLU_REC_TOTAL: '1k' });
  });

  test('deletes by the quota of the streams\' owner', async () => {
    clear();
    const made = layAll(
      { from: ago(9), stream: 'live/bobs' },
      { from: ago(8) },
      { from: ago(7), stream: 'live/camera' },
      { from: ago(6), stream: 'live/bobs', keep: 1 },
    );
    await prune(made, [], {});
    assert.match(await auth.done(['user', 'set', 'bob', 'rec_quota=2k']), /rec_quota=2048$/m);
    await prune(made, [[made[0], 'quota']], {});
    const set = (body, cookie = admin) => auth.api('POST', '/api/users/bob', { cookie, body });
    assert.equal((await set({ rec_quota: '500' })).json.rec_quota, 500);
    await prune(made, [[made[2], 'quota']], {}, "warning: rec_quota can't be satisfied");
    assert.equal((await set({ rec_quota: 1000, max_publishers: 3 })).json.rec_quota, 1000);
    await prune(made, [], {});
    assert.deepEqual(sql("SELECT max_publishers, rec_quota FROM users WHERE name = 'bob'"), [['3', '1000']]);
    for (const rec_quota of [-1, 1.5, 'much', '1 g', null])
      assert.equal((await set({ rec_quota })).status, 400, String(rec_quota));
    assert.equal((await set({ rec_quota: 0 }, bob)).status, 403);
    assert.match(
      (await ctl(['user', 'set', 'bob', 'rec_quota=much'])).stderr,
      /rec_quota is "much"; expected bytes such as/,
    );
    await auth.done(['user', 'set', 'bob', 'rec_quota=0', 'max_publishers=0']);
  });

  test('stops recording an owner without a quota at DUOLU_REC_QUOTA, and deletes nothing', async () => {
    clear();
    const made = layAll({ from: ago(9), stream: 'live/bobs' }, { from: ago(8) }, { from: ago(7), stream: 'live/bobs' });
    const { key } = await auth.done(['stream', 'key', 'add', 'live/bobs', '--json']);
    const record = async () => (await auth.gate('publish', { NAME: 'bobs', ARGS: `key=${key}` })).json.record;
    const listed = async () =>
      (await auth.api('GET', '/api/streams', { cookie: bob })).json.streams.find(({ name }) => name === 'bobs')
        .record_stopped;
    await auth.done(['stream', 'set', 'live/bobs', 'record=always']);
    await auth.stop();
    const lines = auth.lines.length;
    const logged = (pattern) => auth.lines.slice(lines).some((line) => pattern.test(line));
    auth.environment.DUOLU_REC_QUOTA = '2000';
    try {
      await auth.start();
      await until(
        () =>
          logged(
            /recordings of user bob take 2000 bytes, rec_quota is 2000: .* stops, nothing is deleted/,
          ),
        'bob to be full',
      );
      assert.deepEqual([await record(), await listed()], [false, 'quota']);
      assert.match(
        await auth.done(['stream', 'list']),
        /^live\/bobs .*record=always \(stopped: the owner's recordings take all of the setting rec_quota\)/m,
      );
      assert.deepEqual(gone(made), []);
      assert.ok(!logged(/user admin take/), 'others are recorded');

      // a quota set by an admin replaces it, and deletes the oldest
      await auth.done(['user', 'set', 'bob', 'rec_quota=10g']);
      assert.deepEqual([await record(), await listed()], [true, undefined]);
      await auth.done(['user', 'set', 'bob', 'rec_quota=0']);
      assert.equal(await record(), false);

      // recording also goes on when recordings are deleted
      const { json: { recordings } } = await auth.api('GET', '/api/recordings?stream=live/bobs', { cookie: bob });
      assert.equal(
        (await auth.api('DELETE', `/api/recordings/${recordings[0].id}`, { cookie: bob, body: {} })).status,
        200,
      );
      await until(() => logged(/recordings of user bob take 1000 bytes: recording goes on/), 'bob\'s recording');
      assert.deepEqual([await record(), await listed()], [true, undefined]);
    } finally {
      delete auth.environment.DUOLU_REC_QUOTA;
      await auth.done(['stream', 'set', 'live/bobs', 'record=never']);
    }
  });

  test('without DUOLU_REC_QUOTA it sums no recordings, and owners who were full are recorded again', async () => {
    clear();
    const rowsMade = 900;
    sql(`INSERT INTO recordings (app, name, file, format, started_ms, ended_ms, bytes, state)
      WITH RECURSIVE n AS (SELECT 1 AS i UNION SELECT i + 1 FROM n WHERE i < ${rowsMade})
      SELECT 'live', 'bobs', CONCAT('many/', i), 'mp4', i, i + 1, 1, 'complete' FROM n`);
    sql("UPDATE users SET rec_full = 1 WHERE name = 'eve'");
    sql('SET GLOBAL log_output = \'TABLE\'; SET GLOBAL long_query_time = 0; SET GLOBAL slow_query_log = 1');
    const looks = () =>
      sql(`SELECT MAX(rows_examined), COUNT(*) FROM mysql.slow_log
      WHERE sql_text LIKE '%AS UNSIGNED)%rec_quota = 0 AND u.rec_full%' AND sql_text NOT LIKE '%slow_log%'`)[0].map(
        Number,
      );
    const run = async (quota) => {
      await auth.stop();
      Object.assign(auth.environment, { DUOLU_REC_QUOTA: quota });
      sql('TRUNCATE mysql.slow_log');
      await auth.start();
      await until(() => looks()[1] > 0, 'a look');
      return looks()[0];
    };
    try {
      const without = await run('0');
      assert.ok(without < 100, `${without} rows read without a quota`);
      await until(() => sql("SELECT rec_full FROM users WHERE name = 'eve'")[0][0] === '0', 'eve to go on');
      const under = await run('1t');
      assert.ok(under >= rowsMade, `${under} rows read with one`);
    } finally {
      delete auth.environment.DUOLU_REC_QUOTA;
      sql('SET GLOBAL slow_query_log = 0');
      clear();
    }
  });

  test('never deletes a file that is being written, even if its row is closed', async () => {
    clear();
    const made = layAll({ from: ago(20), state: 'recording', to: 0 }, { from: ago(19) }, { from: ago(18) });
    sql(`UPDATE recordings SET ended_ms = NULL WHERE file = '${made[0].file}'`);
    const held = await writer(made[1].file);
    const { code, stdout, stderr } = await ctl(['rec', 'prune'], { DUOLU_REC_DAYS: '1' });
    assert.deepEqual([code, stdout], [1, `${made[2].file} 1000 ${reasons.age}\ndeleted 1 file, 1000 bytes\n`]);
    assert.match(stderr, /1 could not be deleted: a file is being written that is closed in the database/);
    assert.deepEqual(gone(made), [made[2].file]);
    await held.stop();
    await prune(made, [[made[1], 'age']], { DUOLU_REC_DAYS: '1' });
  });

  test('finishes a deletion that a crash interrupted, and deletes nothing while the disk is not mounted', async () => {
    clear();
    const made = layAll({ from: ago(20) }, { from: ago(19) }, { from: ago(18) });
    fs.rmSync(indexOf(made[0].file));
    fs.rmSync(indexOf(made[1].file));
    fs.rmSync(at(made[1].file));
    fs.renameSync(at('.spool'), at('.away'));
    await prune(made, [], { DUOLU_REC_DAYS: '1' });
    assert.equal(rows().length, 3);
    fs.renameSync(at('.away'), at('.spool'));
    await prune(made, made.map((one) => [one, 'age']), { DUOLU_REC_DAYS: '1' });
    assert.deepEqual(rows(), []);
    assert.deepEqual(fs.readdirSync(service.rec), ['.spool']);
  });

  test('never deletes files elsewhere, behind a symbolic link', async (t) => {
    clear();
    const made = layAll({ from: ago(20) }, { from: ago(19) });
    const elsewhere = fs.mkdtempSync(`${service.rec}-elsewhere-`);
    t.after(() => fs.rmSync(elsewhere, { recursive: true }));
    fs.rmSync(at(made[1].file));
    fs.writeFileSync(path.join(elsewhere, 'film'), 'x');
    fs.symlinkSync(path.join(elsewhere, 'film'), at(made[1].file));         // this link itself is deleted
    fs.renameSync(path.dirname(at(made[0].file)), path.join(elsewhere, 'day'));
    fs.symlinkSync(path.join(elsewhere, 'day'), path.dirname(at(made[0].file)));
    const { code, stdout, stderr } = await ctl(['rec', 'prune'], { DUOLU_REC_DAYS: '1' });
    assert.deepEqual([code, stdout], [1, `${made[1].file} 1000 ${reasons.age}\ndeleted 1 file, 1000 bytes\n`]);
    assert.match(stderr, new RegExp(`1 could not be deleted: ${at(made[0].file)}: Not a directory`));
    assert.deepEqual(fs.readdirSync(elsewhere).sort(), ['day', 'film']);
    assert.equal(fs.readdirSync(path.join(elsewhere, 'day')).length, 2);
    const { status, json } = await auth.api('DELETE', `/api/recordings/${sql('SELECT id FROM recordings')[0][0]}`, {
      cookie: admin,
      body: {},
    });
    assert.deepEqual([status, json.error], [500, 'internal']);
    assert.equal(fs.readdirSync(path.join(elsewhere, 'day')).length, 2);
  });

  test('the service deletes for free space on the disk, within seconds', { skip: noSmallDisk }, async () => {
    clear();
    const disk = await smallDisk('8m');
    const home = service.rec;
    service.rec = disk.root;
    const megabyte = 1 << 20;
    try {
      fs.mkdirSync(at('.spool'));
      const made = layAll(
        { from: ago(9), keep: 1, bytes: megabyte },
        { from: ago(8), bytes: megabyte },
        { from: ago(7), stream: 'live/bobs', bytes: megabyte },
        { from: ago(6), bytes: megabyte },
      );
      await auth.stop();
      Object.assign(auth.environment, { DUOLU_REC: service.rec, DUOLU_REC_FREE: '3m' });
      await auth.start();
      await prune(made, [], { DUOLU_REC: service.rec, DUOLU_REC_FREE: '3m' });
      // about 4 MB are free, and 2 after writing 2 MB
      fs.writeFileSync(at('other'), Buffer.alloc(2 * megabyte));
      await until(() => gone(made).length > 0, 'the service to prune');
      await until(() => rows().length === 2, 'the rows to go');
      assert.deepEqual(gone(made), [made[1].file, made[2].file]);
      await until(
        () =>
          auth.lines.some((line) =>
            line.includes(`recording ${made[2].file} deleted, ${megabyte} bytes: ${reasons.room}`),
          ),
        'a line in the log',
      );
      assert.equal(
        sql(`SELECT COUNT(*) FROM audit WHERE actor = 'duolu-auth' AND target = '${made[1].file}'`)[0][0],
        '1',
      );
    } finally {
      await auth.stop();
      delete auth.environment.DUOLU_REC;
      auth.environment.DUOLU_REC_FREE = '0';
      service.rec = home;
      await disk.stop();
      clear();
      await auth.start();
    }
  });

  test('the service deletes very many recordings in parts, without a pause', async () => {
    clear();
    const made = Array.from({ length: 450 }, (_, i) => lay({ from: ago(9) + i * 1000, bytes: 200, seconds: 1 }));
    sql(`INSERT INTO recordings (app, name, file, format, started_ms, ended_ms, bytes, state) VALUES ${
      made.map(({ file, from, to }) => `('live', 'demo', '${file}', 'mp4', ${from}, ${to}, 200, 'complete')`).join()}`);
    await auth.stop();
    auth.environment.DUOLU_REC_DAYS = '1';
    const lines = auth.lines.length;
    await auth.start();
    try {
      await until(() => rows().length === 0, 'all of them to go', 40_000);
      assert.equal(gone(made).length, 450);
      const sums = () =>
        auth.lines
          .slice(lines)
          .map((line) => /recordings: (\d+) deleted/.exec(line)?.[1])
          .filter(Boolean);
      await until(() => sums().length === 3, 'the log of the last part');
      assert.deepEqual(sums(), ['200', '200', '50']);
    } finally {
      delete auth.environment.DUOLU_REC_DAYS;
      await auth.stop();
      await auth.start();
    }
  });

  test('logs once that a limit can\'t be satisfied', async () => {
    layAll({ from: ago(9), keep: 1 });
    await auth.stop();
    auth.environment.DUOLU_REC_TOTAL = '10';
    const lines = auth.lines.length;
    await auth.start();
    try {
      const loggedTimes = () =>
        auth.lines.slice(lines).filter((line) => /rec_total can't be satisfied/.test(line)).length;
      await until(() => loggedTimes() === 1, 'the service to log it');
    } finally {
      delete auth.environment.DUOLU_REC_TOTAL;
      await auth.stop();
      await auth.start();
    }
  });

  test('refuses invalid settings', async () => {
    for (const [name, value, expected] of [
      ['DUOLU_REC_DAYS', 'x', /DUOLU_REC_DAYS is "x"; expected a number from 0/],
      ['DUOLU_REC_TOTAL', '1gb', /DUOLU_REC_TOTAL is "1gb"; expected bytes such as/],
      ['DUOLU_REC_FREE', '-1', /DUOLU_REC_FREE is "-1"; expected bytes/],
      ['DUOLU_REC_FREE', '5%%', /or a part of the disk such as 5%/],
      ['DUOLU_REC_QUOTA', '100%', /DUOLU_REC_QUOTA is "100%"; expected bytes/],
      ['DUOLU_REC', 'rec', /DUOLU_REC is "rec"; expected an absolute path/],
    ]) {
      const { code, stderr } = await ctl(['rec', 'list'], { [name]: value });
      assert.equal(code, 2);
      assert.match(stderr, expected);
    }
  });
});

describe('reindex', () => {
  const start = Date.UTC(2026, 10, 1, 23, 59, 0, 999);
  const all = () =>
    sql(
      'SELECT COALESCE(stream_id, 0), app, name, file, format, session, started_ms, COALESCE(ended_ms, 0), bytes, ' +
        'state, keep FROM recordings ORDER BY file',
    );
  const reindex = async () =>
    Object.fromEntries(
      (await auth.done(['reindex']))
        .trim()
        .split('\n')
        .map((line) => [line.split(' ')[0], Number(line.split(' ')[1])]),
    );

  test('makes the same rows again from the files', async () => {
    clear();
    const made = [
      lay({ from: start, seconds: 3600, session: start }),
      lay({ from: start + HOUR, seconds: 61, session: start }),
      lay({ from: start + 2 * HOUR, end: '#EXT-X-DUOLU-INTERRUPTED\n#EXT-X-ENDLIST\n' }),
      lay({ stream: 'live/相机+1', from: start }),
      lay({ stream: 'live/gone', from: start }),
    ];
    for (const [i, one] of made.entries()) insert({ ...one, state: i === 2 ? 'interrupted' : 'complete' });
    insert(layFlv({ from: start + 3 * HOUR, seconds: 20_000 }));
    const before = all();
    assert.deepEqual(await reindex(), { files: 6, made: 0, dropped: 0, recording: 0, interrupted: 1 });
    assert.deepEqual(all(), before);
    sql('DELETE FROM recordings');
    assert.deepEqual(await reindex(), { files: 6, made: 6, dropped: 0, recording: 0, interrupted: 1 });
    assert.deepEqual(all(), before);
    // once more, with values that the files do not have
    sql("UPDATE recordings SET keep = 1, reason = 'hour is over' WHERE session = 1 OR format = 'mp4'");
    await reindex();
    assert.deepEqual(sql('SELECT DISTINCT keep, reason, format FROM recordings ORDER BY format'), [
      ['1', 'hour is over', 'mp4'],
      ['0', '', 'flv'],
    ]);
  });

  test('drops the rows of missing files, and deletes no file', async () => {
    const files = () => new Recordings(service.rec).all().length;
    const [[file]] = sql("SELECT file FROM recordings WHERE name = 'gone'");
    fs.rmSync(at(file));
    const before = files();
    assert.deepEqual(await reindex(), { files: 5, made: 0, dropped: 1, recording: 0, interrupted: 1 });
    assert.equal(files(), before);
    // without the disk all files would be missing
    fs.renameSync(at('.spool'), at('.away'));
    const { code, stderr } = await ctl(['reindex']);
    assert.equal(code, 1);
    assert.match(stderr, /has no folder \.spool: nothing was recorded here, or its disk is not mounted/);
    assert.equal(rows().length, 5);
    fs.renameSync(at('.away'), at('.spool'));
  });

  test('works during recording', async () => {
    clear();
    const one = lay({ from: start, end: '' });
    const held = await writer(one.file);
    assert.deepEqual(await reindex(), { files: 1, made: 1, dropped: 0, recording: 1, interrupted: 0 });
    assert.deepEqual(rows(), [[one.file, 'recording', '1000', '0', '0']]);
    // its writer died: until recovery closes it, its index tells its length
    await held.stop({ marked: true });
    assert.deepEqual(await reindex(), { files: 1, made: 0, dropped: 0, recording: 0, interrupted: 1 });
    assert.deepEqual(rows(), [[one.file, 'interrupted', '1000', String(one.to), '0']]);

    // an FLV has no index, but its row knows the session
    const flv = layFlv({ from: start + HOUR });
    insert({ ...flv, session: 77, to: 0, state: 'recording' });
    const writes = await writer(flv.file);
    assert.equal((await reindex()).recording, 1);
    await writes.stop({ marked: true });
    await reindex();
    assert.deepEqual(sql("SELECT state, session, ended_ms, reason FROM recordings WHERE format = 'flv'"), [
      ['interrupted', '77', String(flv.to), 'its writer is gone'],
    ]);
    sql("UPDATE recordings SET state = 'recording', ended_ms = NULL WHERE format = 'flv'");
    fs.rmSync(at('.open'), { recursive: true });
    await reindex();
    assert.deepEqual(sql("SELECT state, session, ended_ms FROM recordings WHERE format = 'flv'"), [
      ['complete', '77', String(flv.to)],
    ]);
  });

  test('takes incomplete files', async () => {
    clear();
    const bare = lay({ from: start });
    fs.rmSync(indexOf(bare.file));
    fs.utimesSync(at(bare.file), (start + 5000) / 1000, (start + 5000) / 1000);
    const torn = lay({ from: start + HOUR, end: '#EXTINF:2.0' });
    const foreign = lay({ from: start + 2 * HOUR });
    fs.writeFileSync(indexOf(foreign.file), 'no index');
    fs.utimesSync(at(foreign.file), (foreign.from + 1000) / 1000, (foreign.from + 1000) / 1000);
    const flv = layFlv({ from: start + 3 * HOUR });
    fs.truncateSync(at(flv.file), 40);
    fs.utimesSync(at(flv.file), (flv.from + 3000) / 1000, (flv.from + 3000) / 1000);
    for (const other of ['live/demo/notes.txt', 'live/demo/2026-11-01/x.mp4', 'live/file', '.open/x', 'top']) {
      fs.mkdirSync(path.dirname(at(other)), { recursive: true });
      fs.writeFileSync(at(other), 'x');
    }
    assert.deepEqual(await reindex(), { files: 4, made: 4, dropped: 0, recording: 0, interrupted: 4 });
    assert.deepEqual(sql('SELECT ended_ms - started_ms, state, reason FROM recordings ORDER BY started_ms'), [
      ['5000', 'interrupted', 'its index is missing'], ['60000', 'interrupted', 'its index has no end'],
      ['1000', 'interrupted', 'its index is missing'], ['3000', 'interrupted', 'its last tag is torn'],
    ]);
    assert.ok(there(torn.file));
  });

  test('a row that stays in the state recording, since its end event was lost, is closed by the ' +
    'service', async () => {
    clear();
    const made = [0, 1, 2, 3, 4].map((hour) => lay({ from: start + hour * HOUR, end: hour === 1 ? '' : undefined }));
    for (const [i, one] of made.entries())
      insert({ ...one, to: 0, bytes: 0, state: 'recording', keep: i === 2 ? 1 : 0 });
    fs.rmSync(at(made[2].file));
    const writes = await writer(made[3].file);
    await (await writer(made[4].file)).stop({ marked: true }); // recovery will send the event
    await auth.stop();
    await auth.start();
    const states = () =>
      sql('SELECT state, COALESCE(ended_ms - started_ms, -1), bytes, reason, keep FROM recordings ORDER BY started_ms');
    await until(() => states()[2][0] !== 'recording', 'the service to close them');
    assert.deepEqual(states(), [
      ['complete', '60000', '1000', '', '0'],
      ['interrupted', '60000', '1000', 'its index has no end', '0'],
      ['interrupted', '0', '0', 'its file is missing', '1'],
      ['recording', '-1', '0', '', '0'],
      ['recording', '-1', '0', '', '0'],
    ]);
    await writes.stop();
  });
});

