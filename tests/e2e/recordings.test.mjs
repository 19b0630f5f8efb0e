// The auth-service's rows of recordings and the rights on them, against a real MariaDB;
// the test makes the files.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { until } from '../lib/nginx.mjs';
import { iso, RecService } from '../lib/rec-service.mjs';
import { DAY, fileName, HOUR } from '../lib/recordings.mjs';

const service = new RecService();
const { sql, rows, at, there, indexOf, lay, insert, clear, writer } = service;
let auth;
let nginx;
let admin;      // cookies
let bob;
let eve;

before(async () => {
  await service.start();
  ({ auth, nginx } = service);
  [admin, bob, eve] = await Promise.all(['admin', 'bob', 'eve'].map(service.login));
});

after(() => service.stop());

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
    demo = [0, 1, 2].map((hour) => lay({ from: start + hour * HOUR, seconds: 3000, session: start }));
    for (const recording of [
      ...demo,
      lay({ stream: 'live/bobs', from: start + 60_000 }),
      lay({ stream: 'live/相机+1', from: start + DAY }),
    ])
      insert(recording);
    insert({ file: `live/gone/${fileName(start)}`, stream: 'live/gone', from: start, to: start + 1, bytes: 5 });
  });

  test('has all that the page shows, newest first', async () => {
    const all = await list('');
    assert.equal(all.length, 6);
    assert.deepEqual(all.map(({ from }) => from), all.map(({ from }) => from).sort((a, b) => b - a));
    const one = all.find(({ file }) => file === demo[0].file);
    const { url, id, ...rest } = one;
    assert.ok(id > 0);
    assert.deepEqual(rest, {
      stream: 'live/demo',
      title: 'Front door',
      file: demo[0].file,
      format: 'mp4',
      from: start,
      to: demo[0].to,
      bytes: 1000,
      state: 'complete',
      reason: '',
      keep: false,
      session: String(start),
      can: { manage: true },
    });
    const [, , token, ...address] = url.split('/');
    assert.equal(address.join('/'), `rec/live/demo/${fileName(start)}`);
    const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
    assert.deepEqual([claims.sub, claims.s, claims.a], ['1', 'live/demo', 'replay']);
    const key = Buffer.from(
      /^\w+ ([0-9a-f]{64})$/m.exec(fs.readFileSync(path.join(auth.home, 'secrets/token.keys'), 'utf8'))[1],
      'hex',
    );
    const [head, body, signature] = token.split('.');
    assert.equal(createHmac('sha256', key).update(`${head}.${body}`).digest('base64url'), signature);
    // nobody has a right on a stream that does not exist
    assert.equal(all.find(({ stream }) => stream === 'live/gone').url, undefined);
  });

  test('is narrowed by stream, time and text', async () => {
    assert.deepEqual(await files('?stream=live/demo'), demo.map(({ file }) => file).reverse());
    assert.equal((await files(`?stream=${encodeURIComponent('live/相机+1')}`)).length, 1);
    assert.equal((await files('?stream=live/gone')).length, 1);
    // a recording that only touches the span does not overlap it
    assert.deepEqual(await files(`?stream=live/demo&from=${demo[0].to}`), [demo[2].file, demo[1].file]);
    assert.deepEqual(await files(`?stream=live/demo&to=${iso(demo[1].from)}`), [demo[0].file]);
    const second = Math.floor(demo[0].to / 1000) + 1;         // as `date +%s` prints it
    assert.deepEqual(
      await files(`?stream=live/demo&from=${second}`),
      await files(`?stream=live/demo&from=${iso(second * 1000)}`),
    );
    assert.ok(!(await files(`?stream=live/demo&from=${second}`)).includes(demo[0].file));
    assert.deepEqual(await files(`?stream=live/demo&from=${iso(demo[1].from + 1)}&to=${demo[1].from + 2}`), [
      demo[1].file,
    ]);

    for (const [text, count] of [
      ['front', 3],
      ['FRONT+door', 3],
      ['DEM', 3],
      ['garage', 1],
      ['100%25', 1],
      ['%25', 1],
      ['_', 0],
      [encodeURIComponent('相机+'), 1],
      ['live/bobs', 1],
      ['nothing', 0],
      ['', 6],
      ["'+OR+1", 0],
    ]) {
      assert.equal((await list(`?q=${text}`)).length, count, text);
    }
    for (const query of [
      '?from=yesterday',
      '?to=-1',
      '?limit=0',
      '?limit=x',
      '?limit=501',
      '?before=7',
      '?before=7-8-9',
      '?q=%ff',
    ]) {
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

  test('shows users only the recordings that they may replay or manage', async () => {
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

describe('events of nginx', () => {
  const start = Date.UTC(2026, 10, 21, 9, 0, 0, 5);
  let number = 0;
  const nameOf = (n) => `${String(start + n).padStart(13, '0')}-0000000777-000000.json`;
  // Appears complete under its name, as nginx writes it.
  const put = (event) => {
    const name = nameOf(number++);
    fs.writeFileSync(
      at(`.spool/${name}.tmp`),
      typeof event === 'string' || Buffer.isBuffer(event) ? event : JSON.stringify(event),
    );
    fs.renameSync(at(`.spool/${name}.tmp`), at(`.spool/${name}`));
    return name;
  };
  const open = (from, stream = 'live/demo') => ({
    event: 'open',
    file: `${stream}/${fileName(from)}`,
    stream,
    format: 'mp4',
    id: 1,
    session: String(start),
    from,
  });
  const close = (from, bytes, more = {}) => ({
    ...open(from),
    event: 'close',
    to: from + 1000,
    bytes,
    state: 'complete',
    reason: 'hour is over',
    ...more,
  });
  const waiting = () => fs.readdirSync(at('.spool')).filter((name) => name.endsWith('.json'));
  const taken = () => until(() => waiting().length === 0, 'all events to be taken');

  before(clear);

  test('open and close a row, and the list shows it grow', async () => {
    const { file } = lay({ from: start, bytes: 300 });
    put(open(start));
    await taken();
    assert.deepEqual(rows(), [[file, 'recording', '0', '0', '0']]);
    const get = async () => (await auth.api('GET', '/api/recordings', { cookie: admin })).json.recordings[0];
    assert.deepEqual((({ to, bytes, state }) => ({ to, bytes, state }))(await get()), {
      to: null,
      bytes: 300,
      state: 'recording',
    });
    fs.appendFileSync(at(file), Buffer.alloc(200));
    const { id, bytes } = await get();
    assert.equal(bytes, 500);
    assert.equal(
      (await auth.api('DELETE', `/api/recordings/${id}`, { cookie: admin, body: {} })).json.error,
      'recording',
    );

    put(close(start, 500));
    await taken();
    assert.deepEqual(
      sql('SELECT stream_id, app, name, format, session, started_ms, ended_ms, bytes, state, reason FROM recordings'),
      [
        [
          '1',
          'live',
          'demo',
          'mp4',
          String(start),
          String(start),
          String(start + 1000),
          '500',
          'complete',
          'hour is over',
        ],
      ],
    );
  });

  test('that come twice change nothing; events of one file apply in order', async () => {
    put(close(start, 500));
    put(close(start, 500));
    await taken();
    assert.equal(rows().length, 1);
    // the publisher returns: the same file goes on, and `keep` stays
    sql('UPDATE recordings SET keep = 1');
    for (let i = 1; i <= 40; i++) {
      put(open(start));
      put(close(start, 500 + i, { state: i % 2 ? 'complete' : 'interrupted', reason: `part ${i}` }));
    }
    await taken();
    assert.deepEqual(sql('SELECT state, bytes, reason, keep FROM recordings'), [
      ['interrupted', '540', 'part 40', '1'],
    ]);
  });

  test('of a file that stayed empty delete its row', async () => {
    put(open(start + 5000));
    await taken();
    assert.equal(rows().length, 2);
    put(close(start + 5000, 0));
    await taken();
    assert.equal(rows().length, 1);
  });

  test('of a stream that does not exist make a row without a stream', async () => {
    put({ ...close(start + 6000, 9, { stream: 'live/gone' }), file: `live/gone/${fileName(start + 6000)}` });
    await taken();
    assert.deepEqual(sql("SELECT COALESCE(stream_id, 'none'), app, name FROM recordings WHERE name = 'gone'"), [
      ['none', 'live', 'gone'],
    ]);
  });

  test('that are invalid are set aside and do not block the others', async () => {
    const good = close(start + 7000, 9);
    const lines = auth.lines.length;
    const bad = [
      '',
      '{',
      '[]',
      '7',
      Buffer.alloc(70_000, 0x20),
      Buffer.from([0x7b, 0xff, 0x7d]),
      { ...good, event: 'begin' },
      { ...good, event: undefined },
      { ...good, file: '../../etc/passwd' },
      { ...good, file: `live/demo/${fileName(start, 'm3u8')}` },
      { ...good, file: 5 },
      { ...good, stream: 'live/bobs' },
      { ...good, stream: undefined },
      { ...good, format: 'flv' },
      { ...good, session: 'x' },
      { ...good, session: '1'.repeat(30) },
      { ...good, to: 'late' },
      { ...good, to: -1 },
      { ...good, bytes: -1 },
      { ...good, bytes: 1.5 },
      { ...good, state: 'recording' },
      { ...good, state: undefined },
    ].map(put);
    for (const make of [(file) => fs.mkdirSync(file), (file) => execFileSync('mkfifo', [file])]) {
      bad.push(nameOf(number++));
      make(at(`.spool/${bad.at(-1)}`));
    }
    put(good);
    put({ ...close(start + 8000, 9), reason: `${'长'.repeat(300)} and more` });
    fs.writeFileSync(at('.spool/half.tmp'), '{"event":');
    await taken();
    assert.deepEqual(fs.readdirSync(at('.spool/bad')).sort(), bad);
    for (const name of bad) assert.equal(auth.lines.slice(lines).filter((line) => line.includes(name)).length, 1, name);
    assert.deepEqual(
      sql(
        `SELECT bytes, CHAR_LENGTH(reason) FROM recordings WHERE started_ms IN (${start + 7000}, ${start + 8000}) ` +
          'ORDER BY started_ms',
      ),
      [
        ['9', '12'],
        ['9', '200'],
      ],
    );
    assert.ok(fs.existsSync(at('.spool/half.tmp')), 'a file that is not complete yet is left alone');
  });

  test('that the database refuses for their content are set aside after a few tries; all wait for a ' +
    'read-only database', async () => {
    clear();
    sql('ALTER TABLE recordings ADD CONSTRAINT picky CHECK (bytes <> 666)');
    sql('SET GLOBAL read_only = ON');
    try {
      const lines = auth.lines.length;
      const refused = put(close(start + 10_000, 666));
      put(close(start + 11_000, 9));
      await until(
        () => auth.lines.slice(lines).some((line) => /nginx's events wait: database: .*read-only/.test(line)),
        'the log to report the read-only database',
      );
      const from = service.nginx.looks['/status'];
      // the keeper asks for /status at every fourth tick
      await until(() => service.nginx.looks['/status'] >= from + 3, 'the keeper to have tried often enough');
      assert.equal(waiting().length, 2, 'both still wait');
      sql('SET GLOBAL read_only = OFF');
      await taken();
      assert.deepEqual(fs.readdirSync(at('.spool/bad')), [refused]);
      assert.match(
        auth.lines.slice(lines).join('\n'),
        new RegExp(`moved event ${refused} to \\.spool/bad: database: .*picky`),
      );
      assert.deepEqual(
        rows().map(([file]) => file),
        [`live/demo/${fileName(start + 11_000)}`],
      );

      // nor does such a file stop reindex
      lay({ from: start + 12_000, bytes: 666 });
      lay({ from: start + 13_000, bytes: 300 });
      await service.ctl(['reindex']);
      assert.ok(rows().some(([file]) => file === `live/demo/${fileName(start + 13_000)}`));
    } finally {
      sql('SET GLOBAL read_only = OFF');
      sql('ALTER TABLE recordings DROP CONSTRAINT picky');
      clear();
    }
  });

  test('wait for the service', async () => {
    clear();
    await auth.stop();
    for (let i = 0; i < 100; i++) { put(open(start + i * 2000)); put(close(start + i * 2000, i)); }
    lay({ from: start });       // the empty one
    await auth.start();
    await taken();
    assert.deepEqual(sql('SELECT COUNT(*), SUM(bytes), MIN(state), MAX(state) FROM recordings'), [
      ['100', '4950', 'complete', 'complete'],
    ]);
  });

  test('are applied once, even by a service that is killed meanwhile', async () => {
    clear();
    for (let i = 1; i <= 400; i++) { put(open(start + i * 2000)); put(close(start + i * 2000, i)); }
    let amid = 0;
    for (const most of [790, 600, 400]) {
      await until(() => waiting().length < most, `less than ${most} events`);
      await auth.stop('SIGKILL');
      const rest = waiting();
      const [[open1]] = sql("SELECT COUNT(*) FROM recordings WHERE state = 'recording'");
      assert.ok(Number(open1) <= 1, `${open1} open`);
      amid += rest.length > 0;
      await auth.start();
    }
    await taken();
    assert.ok(amid > 0, 'it was killed amid its work');
    assert.deepEqual(sql('SELECT COUNT(*), SUM(bytes), MIN(state), MAX(state) FROM recordings'), [
      ['400', '80200', 'complete', 'complete'],
    ]);
  });

  test('wait for the database, in their order', async () => {
    clear();
    await service.database.stop('SIGKILL');
    for (let i = 1; i <= 20; i++) { put(open(start)); put(close(start, i)); }
    await until(
      () => auth.lines.some((line) => /warning recordings: nginx's events wait: database:/.test(line)),
      'the service to say so',
    );
    assert.equal(waiting().length, 40);
    const loggedTimes = () => auth.lines.filter((line) => /nginx's events wait/.test(line)).length;
    const timesBefore = loggedTimes();
    await service.database.start();
    await taken();
    assert.deepEqual(sql('SELECT bytes, state FROM recordings'), [['20', 'complete']]);
    // logged when it began and when it was over, not at every try
    await until(() => auth.lines.some((line) => /nginx's events wait: over/.test(line)), 'the service to say so');
    assert.ok(loggedTimes() <= timesBefore + 2, auth.lines.slice(-10).join('\n'));
  });
});

describe('the choice of streams to record', () => {
  const key = async (name) => (await auth.done(['stream', 'add', `live/${name}`, '--owner', 'bob', '--json'])).key;
  const commands = () =>
    nginx.calls
      .filter(({ url }) => url.startsWith('/control/record'))
      .map(({ method, url }) => `${method} ${decodeURIComponent(url.slice(16))}`);
  let keys;
  const gate = async (name) => (await auth.gate('publish', { NAME: name, ARGS: `key=${keys[name]}` })).json.record;
  const record = (name, on, cookie = bob) =>
    auth.api('POST', `/api/streams/live/${name}/record`, { cookie, body: { on } });

  before(async () => {
    keys = { camera: await key('camera') };
    nginx.calls = [];
    nginx.answer = () => [200, { recording: true }];
  });

  test('follows the policy, and with demand the switch, which stays set', async () => {
    assert.equal(await gate('camera'), false);
    let answer = await record('camera', true);
    assert.deepEqual([answer.status, answer.json.error], [409, 'policy']);
    let refused = await auth.ctl(['rec', 'start', 'live/camera']);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /live\/camera has record=never; expected record=demand/);
    assert.deepEqual(commands(), []);

    await auth.done(['stream', 'set', 'live/camera', 'record=always']);
    assert.deepEqual(commands().splice(0), ['POST stream=live/camera&on=1']);
    assert.equal(await gate('camera'), true);
    answer = await record('camera', false);
    assert.equal(answer.json.error, 'policy');

    nginx.calls = [];
    await auth.done(['stream', 'set', 'live/camera', 'record=demand', 'title=Yard']);
    assert.deepEqual(commands(), ['POST stream=live/camera&on=0']);
    assert.equal(await gate('camera'), false);

    nginx.calls = [];
    answer = await record('camera', true);
    assert.deepEqual([answer.status, answer.json], [200, { record_on: true, live: true }]);
    assert.deepEqual(commands(), ['POST stream=live/camera&on=1']);
    assert.equal(await gate('camera'), true);
    const stream = (await auth.api('GET', '/api/streams', { cookie: bob })).json.streams.find(
      ({ name }) => name === 'camera',
    );
    assert.deepEqual([stream.record, stream.record_on, stream.recording], ['demand', true, 'off']);

    await auth.stop();
    await auth.start();
    assert.equal(await gate('camera'), true);

    nginx.calls = [];
    assert.match(await auth.done(['rec', 'stop', 'live/camera']), /^stream live\/camera record_on=0$/m);
    assert.deepEqual(commands(), ['POST stream=live/camera&on=0']);
    assert.equal(await gate('camera'), false);
    await auth.done(['rec', 'start', 'live/camera']);
    assert.equal(await gate('camera'), true);
    assert.match(await auth.done(['stream', 'list']), /^live\/camera .* record=demand \(on\) /m);

    // settings made in the page reach nginx, too, but only if recording changes
    nginx.calls = [];
    const set = async (body) => (await auth.api('POST', '/api/streams/live/camera', { cookie: bob, body })).json;
    assert.equal((await set({ title: 'Front yard' })).record_on, true);
    assert.deepEqual(commands(), []);
    await set({ record: 'never' });
    assert.deepEqual(commands(), ['POST stream=live/camera&on=0']);
    await set({ record: 'demand' });
    for (const body of [{}, { on: 1 }, { on: 'yes' }]) {
      answer = await auth.api('POST', '/api/streams/live/camera/record', { cookie: bob, body });
      assert.deepEqual([answer.status, answer.json.error], [400, 'bad_request']);
    }
    for (const action of ['record start', 'record stop']) {
      assert.notEqual(
        sql(
          `SELECT COUNT(*) FROM audit WHERE action = '${action}' AND target = 'live/camera' AND outcome = 'ok'`,
        )[0][0],
        '0',
        action,
      );
    }
  });

  test('can be changed for a stream that is not live; without nginx there is a warning', async () => {
    nginx.answer = (url) => (url === '/status' ? [200, { streams: [] }] : [404, { error: 'no such stream' }]);
    let answer = await record('camera', false);
    assert.deepEqual(answer.json, { record_on: false, live: false });
    const gone = await auth.ctl(['rec', 'start', 'live/camera']);
    assert.deepEqual([gone.code, gone.stderr], [0, '']);

    await nginx.stop();
    answer = await record('camera', false);
    assert.deepEqual([answer.status, answer.json.record_on, answer.json.live], [200, false, false]);
    assert.match(answer.json.warning, /does not answer/);
    const ended = await auth.ctl(['rec', 'start', 'live/camera']);
    assert.equal(ended.code, 0);
    assert.match(ended.stderr, /^duoluctl: warning: done, but nginx does not know yet/);
    assert.equal(await gate('camera'), true);
  });

  test('is compared with nginx\'s state, so that changes by hand take effect', async () => {
    const states = { 'live/camera': 'off', 'live/demo': 'on', 'live/bobs': 'full', 'live/strange': 'on' };
    sql("UPDATE streams SET record_policy = 'always' WHERE name = 'bobs'");     // should be recorded, and nginx knows
    nginx.answer = (url) => {
      const change = /^\/control\/record\?stream=([^&]+)&on=([01])$/.exec(url);
      if (change) states[decodeURIComponent(change[1])] = change[2] === '1' ? 'on' : 'off';
      return [
        200,
        {
          streams: [
            ...Object.entries(states).map(([name, state]) => ({ name, state: 'live', recording: { state } })),
            { name: 'live/old', state: 'live' },
          ],
        },
      ];
    };
    nginx.calls = [];
    await nginx.start();
    await until(
      () => states['live/camera'] === 'on' && states['live/demo'] === 'off' && states['live/strange'] === 'off',
      'nginx to get it',
    );
    assert.deepEqual(commands().sort(), [
      'POST stream=live/camera&on=1',
      'POST stream=live/demo&on=0',
      'POST stream=live/strange&on=0',
    ]);
    sql(
      "UPDATE streams SET record_on = 0 WHERE name = 'camera'; UPDATE streams SET record_policy = 'never' WHERE " +
        "name = 'bobs'",
    );
    await until(() => states['live/camera'] === 'off' && states['live/bobs'] === 'off', 'nginx to get it');
    assert.equal(commands().length, 5);
    nginx.answer = () => [200, {}];
  });
});

describe('rights', () => {
  const start = Date.UTC(2026, 10, 5, 8);
  const id = () => sql("SELECT id FROM recordings WHERE name = 'demo'")[0][0];

  before(() => { clear(); insert(lay({ from: start })); });

  test('decide about each call', async () => {
    sql("UPDATE streams SET record_policy = 'demand' WHERE name = 'demo'");
    const call = async (method, address, body) => (await auth.api(method, address, { cookie: eve, body })).status;
    for (const [rights, list, change] of [
      ['', 404, 404],
      ['view', 404, 404],
      ['publish', 404, 404],
      ['view,publish', 404, 404],
      ['replay', 200, 403],
      ['manage', 200, 200],
      ['replay,manage', 200, 200],
    ]) {
      if (rights) await auth.done(['grant', 'eve', 'live/demo', rights]);
      assert.equal(await call('GET', '/api/recordings?stream=live/demo'), list, `list by ${rights}`);
      assert.equal(
        (await auth.api('GET', '/api/recordings', { cookie: eve })).json.recordings.length,
        list === 200 ? 1 : 0,
        rights,
      );
      assert.equal(await call('POST', `/api/recordings/${id()}`, { keep: true }), change, `keep by ${rights}`);
      assert.equal(
        await call('DELETE', `/api/recordings/${id()}`, {}),
        change === 200 ? 409 : change,
        `delete by ${rights}`,
      );
      // users who see the stream get 403, others 404
      assert.equal(
        await call('POST', '/api/streams/live/demo/record', { on: true }),
        rights === '' ? 404 : change === 200 ? 200 : 403,
        `record by ${rights}`,
      );
      sql('UPDATE recordings SET keep = 0');
      if (rights) await auth.done(['revoke', 'eve', 'live/demo']);
    }
    for (const number of ['0', 'x', '1x', '-1', '99999', '18446744073709551616'])
      assert.equal(await call('POST', `/api/recordings/${number}`, { keep: true }), 404, number);
    assert.equal(
      (await auth.api('POST', `/api/recordings/${id()}`, { cookie: admin, body: { keep: 'yes' } })).status,
      400,
    );
    assert.equal((await auth.api('POST', `/api/recordings/${id()}`, { body: { keep: true } })).status, 401);
    assert.equal(
      (
        await auth.api('DELETE', `/api/recordings/${id()}`, {
          cookie: admin,
          body: {},
          headers: { HTTP_ORIGIN: 'https://other.example' },
        })
      ).status,
      403,
    );
    assert.ok(there(`live/demo/${fileName(start)}`));
  });

  test('a manager keeps, frees and deletes', async () => {
    const post = async (keep) => auth.api('POST', `/api/recordings/${id()}`, { cookie: admin, body: { keep } });
    const remove = () => auth.api('DELETE', `/api/recordings/${id()}`, { cookie: admin, body: {} });
    assert.deepEqual((await post(true)).json, { id: Number(id()), keep: true });
    let answer = await remove();
    assert.deepEqual([answer.status, answer.json.error], [409, 'kept']);
    assert.deepEqual((await post(false)).json, { id: Number(id()), keep: false });
    const file = `live/demo/${fileName(start)}`;
    const held = await writer(file);
    answer = await remove();
    assert.deepEqual([answer.status, answer.json.error], [409, 'recording']);
    await held.stop();
    // the disk is not mounted: the row stays until it is back
    fs.renameSync(at('.spool'), at('.away'));
    assert.equal((await remove()).status, 500);
    assert.equal(rows().length, 1);
    fs.renameSync(at('.away'), at('.spool'));
    answer = await remove();
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual([there(file), fs.existsSync(indexOf(file)), rows()], [false, false, []]);
    assert.deepEqual(
      sql(`SELECT action, actor FROM audit WHERE target = '${file}' AND outcome = 'ok' ORDER BY id DESC LIMIT 3`),
      [
        ['recording delete', 'admin'],
        ['recording free', 'admin'],
        ['recording keep', 'admin'],
      ],
    );
  });

  test('only users who may replay get a URL of the history, which is not for RTMP players', async () => {
    await auth.done(['grant', 'eve', 'live/demo', 'view']);
    let url = await auth.ctl(['url', 'eve', 'live/demo', 'replay']);
    assert.deepEqual([url.code, url.stderr], [5, 'duoluctl: user eve may not replay live/demo\n']);
    await auth.done(['grant', 'eve', 'live/demo', 'replay']);
    for (const more of [[], ['--format', 'hls']]) {
      url = await auth.done(['url', 'eve', 'live/demo', 'replay', '--ttl', '600', ...more]);
      assert.match(url, /^http:\/\/[^/]+\/m\/[\w-]+\.[\w-]+\.[\w-]+\/rec\/live\/demo\/index\.m3u8\n$/);
    }
    const token = url.split('/')[4];
    const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
    assert.deepEqual([claims.s, claims.a, claims.exp - claims.iat > 500], ['live/demo', 'replay', true]);
    assert.equal((await auth.gate('play', { ARGS: `token=${token}` })).json.allow, false);
    for (const [args, expected] of [
      [['replay', '--format', 'flv'], /--format "flv"; expected hls/],
      [['view', '--format', 'mp4'], /--format "mp4"; expected flv, hls or rtmp/],
      [['look'], /action "look"; expected view, replay or watch/],
    ]) {
      const { code, stderr } = await auth.ctl(['url', 'eve', 'live/demo', ...args]);
      assert.equal(code, 2);
      assert.match(stderr, expected);
    }
    // revoking the right voids older tokens, and nginx learns of it
    nginx.calls = [];
    await auth.done(['revoke', 'eve', 'live/demo', 'replay']);
    const [[user]] = sql("SELECT id FROM users WHERE name = 'eve'");
    assert.deepEqual(nginx.revoked(), [`user=${user}&stream=live/demo`]);
    const [[at1]] = sql(`SELECT at FROM revocations WHERE user_id = ${user} AND stream_id = 1`);
    assert.ok(Number(at1) >= claims.iat);
    await auth.done(['revoke', 'eve', 'live/demo']);
  });
});

describe('a URL for live that reaches back into the recording', () => {
  const url = (...args) => auth.ctl(['url', 'eve', 'live/demo', 'watch', ...args]);

  test('only users who may view and replay get one, and it plays over RTMP, too', async () => {
    for (const [rights, missing] of [['view', 'replay'], ['replay', 'view'], ['publish', 'view,replay']]) {
      await auth.done(['grant', 'eve', 'live/demo', rights]);
      const { code, stdout, stderr } = await url();
      assert.deepEqual([code, stdout, stderr], [5, '', `duoluctl: user eve may not ${missing} live/demo\n`]);
      await auth.done(['revoke', 'eve', 'live/demo']);
    }
    await auth.done(['grant', 'eve', 'live/demo', 'view,replay']);
    let token;
    for (const [more, window] of [[[], 600], [['--format', 'hls', '--window', '7200'], 7200], [['--window=1'], 1]]) {
      const { stdout } = await url('--ttl', '60', ...more);
      const address = /^http:\/\/[^/]+\/m\/([\w-]+\.[\w-]+\.[\w-]+)\/live\/demo\/index\.m3u8\?window=(\d+)\n$/;
      assert.match(stdout, address);
      assert.equal(Number(stdout.match(address)[2]), window);
      [, token] = stdout.match(address);
    }
    const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
    assert.deepEqual([claims.s, claims.a, claims.exp - claims.iat <= 60], ['live/demo', 'watch', true]);
    const play = async () => (await auth.gate('play', { ARGS: `token=${token}` })).json;
    assert.equal((await play()).allow, true);
    await auth.done(['revoke', 'eve', 'live/demo', 'replay']);
    assert.equal((await play()).allow, false, 'either right that is lost voids it');
    await auth.done(['revoke', 'eve', 'live/demo']);
  });

  test('what does not fit together is explained', async () => {
    for (const [args, expected] of [
      [['watch', '--format', 'flv'], /--format "flv"; expected hls/],
      [['watch', '--window', '0'], /--window "0"; expected seconds from 1 to 14400/],
      [['watch', '--window', '14401'], /--window "14401"; expected seconds from 1 to 14400/],
      [['watch', '--window', '1h'], /--window "1h"; expected seconds/],
      [['watch', '--window', ''], /--window ""; expected seconds/],
      [['view', '--format', 'hls', '--window', '60'], /--window "60" with view; expected watch/],
      [['replay', '--window', '60'], /--window "60" with replay; expected watch/],
    ]) {
      const { code, stdout, stderr } = await auth.ctl(['url', 'eve', 'live/demo', ...args]);
      assert.deepEqual([code, stdout], [2, ''], stderr);
      assert.match(stderr, expected);
    }
  });
});

describe('duoluctl rec', () => {
  test('lists the oldest first, and explains errors', async () => {
    clear();
    const start = Date.UTC(2026, 10, 6, 8);
    const [one, two, other] = [
      lay({ from: start }),
      lay({ from: start + HOUR }),
      lay({ stream: 'live/bobs', from: start + 1 }),
    ];
    insert({ ...one, keep: 1 });
    insert({ ...two, to: 0, bytes: 0, state: 'recording' });
    insert(other);
    const { recordings } = await auth.done(['rec', 'list', '--json']);
    assert.deepEqual(recordings.map(({ file }) => file), [one.file, other.file, two.file]);
    const { id, ...rest } = recordings[0];
    assert.deepEqual(rest, {
      stream: 'live/demo',
      file: one.file,
      format: 'mp4',
      from: iso(start),
      to: iso(one.to),
      bytes: 1000,
      state: 'complete',
      reason: '',
      keep: true,
      title: 'Front door',
    });
    assert.deepEqual([recordings[2].to, recordings[2].bytes, recordings[2].state], [null, 1000, 'recording']);
    const text = await auth.done(['rec', 'list', 'live/demo']);
    assert.match(
      text,
      new RegExp(
        `^${id} +${one.file} ${iso(start)} ${iso(one.to)} +1000 complete keep\n\\d+ +${two.file} ${iso(two.from)} ` +
          `- +1000 recording\n$`,
      ),
    );
    for (const [args, code, expected] of [
      [['list', 'x'], 2, /stream "x"; expected APP\/NAME/],
      [['keep', 'x'], 2, /recording "x"; expected a number/],
      [['keep', '99999'], 4, /recording 99999 does not exist/],
      [['free', '0'], 4, /recording 0 does not exist/],
      [['start', 'live/nothing'], 4, /stream live\/nothing does not exist/],
      [['prune', '--json'], 2, /unknown option "--json"/],
    ]) {
      const result = await auth.ctl(['rec', ...args]);
      assert.equal(result.code, code, args.join(' '));
      assert.match(result.stderr, expected);
    }
  });
});
