// The auth-service and nginx's control socket, with a stand-in for nginx: revocations for
// every change that takes a right away, their delivery after nginx was down, and the
// answers to the page. control.test.mjs has the real nginx.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';

import { password, Service } from '../lib/auth.mjs';
import { Control } from '../lib/control.mjs';
import { lagSince } from '../lib/lag.mjs';
import { until } from '../lib/nginx.mjs';

const ANSWER_MS = 500;                  // the service waits for 1000
const service = new Service();
const { sql } = service;
let database;
let auth;
let nginx;
let ids;        // of users and streams, by name

const now = () => Math.floor(Date.now() / 1000);

const pending = () => sql('SELECT user_id, stream_id, device_id FROM revocations WHERE pending = 1 ORDER BY 1, 2, 3');

/** Two more deliveries leave the revocations of these users and keys as they are: none is found again. */
async function foundOnce(users, device) {
  const rows = () => sql(
    `SELECT user_id, device_id, at, changed FROM revocations WHERE user_id IN (${users}) OR device_id = ${device}`,
  );
  const found = rows();
  for (let round = 0; round < 2; round++) {
    sql(`REPLACE INTO revocations (stream_id) VALUES (${99980 + round})`);
    await until(() => pending().length === 0, 'the next delivery');
  }
  assert.deepEqual(rows(), found);
}

before(async () => {
  await service.start({
    users: [['admin', '--admin'], ['bob'], ['eve'], ['joe']],
    streams: [['demo', 'admin'], ['bobs', 'bob'], ['相机+1', 'admin']],
    nginx: true,
  });
  ({ auth, database, nginx } = service);
  ids = Object.fromEntries([...sql('SELECT name, id FROM users'), ...sql('SELECT name, id FROM streams')]);
});

beforeEach(async () => {
  await until(() => pending().length === 0, 'no revocation to be pending');
  nginx.calls = [];
  nginx.answer = () => [200, { ended: 0 }];
});

after(() => service.stop());

describe('a change that takes a right away reaches nginx', () => {
  // runs duoluctl, and compares the revocations that nginx gets
  const revokes = async (args, expected, input) => {
    nginx.calls = [];
    const started = now();
    const text = await auth.done(args, input);
    assert.deepEqual(nginx.revoked(), expected.slice().sort(), args.join(' '));
    for (const { method, url } of nginx.calls) {
      assert.equal(method, 'POST');
      const at = /[?&]at=(\d+)/.exec(url);
      if (url.startsWith('/control/revoke')) assert.ok(Number(at[1]) >= started && Number(at[1]) <= now() + 30, url);
    }
    assert.deepEqual(pending(), []);
    return text;
  };

  test('by user', async () => {
    nginx.answer = (url) => [200, { ended: url.startsWith('/control/revoke?user=') ? 3 : 0 }];
    // this also ends publishers of his streams with other users' keys
    await auth.done(['stream', 'key', 'add', 'live/bobs', '--user', 'admin']);
    const [[device]] = sql(`SELECT id FROM devices WHERE stream_id = ${ids.bobs} AND user_id = ${ids.admin}`);
    assert.match(
      await revokes(['user', 'disable', 'bob'], [`user=${ids.bob}`, `key=${device}`]),
      /^user bob disabled\nended 3 sessions\n$/,
    );
    await revokes(['user', 'enable', 'bob'], []);
    const output = await revokes(['user', 'revoke', 'bob'], [`user=${ids.bob}`]);
    assert.match(output, /^user bob revoked\nended 3 sessions\n$/);
    await revokes(['user', 'passwd', 'bob', '--password-stdin'], [`user=${ids.bob}`], `${password}\n`);
  });

  test('by stream, its name percent-encoded', async () => {
    await revokes(['stream', 'revoke', 'live/demo'], ['stream=live/demo']);
    await revokes(['stream', 'revoke', 'live/相机+1'], ['stream=live/相机+1']);
    assert.match(nginx.calls[0].url, /stream=live%2F%E7%9B%B8%E6%9C%BA%2B1&/);
  });

  test('by key', async () => {
    await auth.done(['stream', 'key', 'add', 'live/demo', '--label', 'phone']);
    const { keys } = await auth.done(['stream', 'key', 'list', 'live/demo', '--json']);
    const [first, second] = keys.filter(({ revoked }) => !revoked).map(({ id }) => id);
    await revokes(['stream', 'key', 'revoke', 'live/demo', String(second)], [`key=${second}`]);
    await revokes(['stream', 'key', 'rotate', 'live/demo', '--json'], [`key=${first}`]);
  });

  test('by grant, when the right to view, replay or publish has gone', async () => {
    const pair = `user=${ids.eve}&stream=live/demo`;
    await revokes(['grant', 'eve', 'live/demo', 'view,publish,replay'], []);
    await revokes(['revoke', 'eve', 'live/demo', 'replay'], [pair]);
    await revokes(['revoke', 'eve', 'live/demo', 'publish'], [pair]);
    await revokes(['grant', 'eve', 'live', 'view'], []);
    await revokes(['revoke', 'eve', 'live/demo', 'view'], []);      // the app's grant still gives it
    await revokes(
      ['revoke', 'eve', 'live', 'view'],
      Object.keys(ids)
        .filter((name) => ['demo', 'bobs', '相机+1'].includes(name))
        .map((name) => `user=${ids.eve}&stream=live/${name}`),
    );
    await revokes(['grant', 'bob', 'live/bobs', 'view'], []);
    await revokes(['revoke', 'bob', 'live/bobs', 'view'], []);      // he owns it
  });

  test('by group: its grant, and membership of it', async () => {
    await auth.done(['group', 'add', 'crew']);
    for (const name of ['eve', 'joe', 'admin']) await revokes(['group', 'join', 'crew', name], []);
    await revokes(['grant', 'group:crew', 'live/demo', 'view'], []);
    await revokes(['grant', 'joe', 'live/demo', 'view'], []);
    await revokes(['revoke', 'group:crew', 'live/demo'], [`user=${ids.eve}&stream=live/demo`]);
    await revokes(['grant', 'group:crew', 'live/bobs', 'view'], []);
    await revokes(['group', 'leave', 'crew', 'eve'], [`user=${ids.eve}&stream=live/bobs`]);
    await revokes(['revoke', 'joe', 'live/demo'], [`user=${ids.joe}&stream=live/demo`]);
    await revokes(['revoke', 'group:crew', 'live/bobs'], [`user=${ids.joe}&stream=live/bobs`]);
    // many users on many streams: revokes all members or all streams, whichever are fewer
    await revokes(['grant', 'group:crew', 'live', 'view,replay'], []);
    await revokes(['revoke', 'group:crew', 'live', 'replay'], [`user=${ids.joe}`, `user=${ids.admin}`]);
    await revokes(['revoke', 'group:crew', 'live'], [`user=${ids.joe}`, `user=${ids.admin}`]);
    await revokes(['grant', 'group:crew', 'other', 'view'], []);
    await auth.done(['stream', 'add', 'other/one', '--owner', 'admin']);
    await revokes(['revoke', 'group:crew', 'other'], ['stream=other/one']);
  });

  test('by visibility', async () => {
    await revokes(['grant', 'joe', 'live/demo', 'view'], []);
    await revokes(['stream', 'set', 'live/demo', 'visibility=public'], []);
    await revokes(['stream', 'set', 'live/demo', 'title=Front', 'max_kbps=9'], []);
    await revokes(['stream', 'set', 'live/demo', 'visibility=private', 'max_kbps=0'],
      [`user=${ids.bob}&stream=live/demo`, `user=${ids.eve}&stream=live/demo`]);
    await revokes(['revoke', 'joe', 'live/demo'], [`user=${ids.joe}&stream=live/demo`]);
  });

  test('for very many users it revokes the whole stream', async () => {
    sql(
      "INSERT INTO users (name, password_hash) WITH RECURSIVE n AS (SELECT 1 AS i UNION SELECT i + 1 FROM n WHERE " +
        "i < 80) SELECT CONCAT('many', i), 'x' FROM n",
    );
    await auth.done(['stream', 'set', 'live/demo', 'visibility=public']);
    await revokes(['stream', 'set', 'live/demo', 'visibility=private'], ['stream=live/demo']);
    sql("DELETE FROM users WHERE name LIKE 'many%'");
  });

  test('by the page, as by duoluctl', async () => {
    const cookie = await auth.login('admin', password);
    const post = async (address, body, method = 'POST') => (await auth.api(method, address, { cookie, body })).json;
    nginx.answer = () => [200, { ended: 2 }];
    await auth.done(['grant', 'eve', 'live/demo', 'view']);
    nginx.calls = [];
    const bobsKey = sql(`SELECT id FROM devices WHERE stream_id = ${ids.bobs} AND user_id = ${ids.admin}`)[0][0];
    const demoKey = sql(`SELECT id FROM devices WHERE stream_id = ${ids.demo} AND revoked_at IS NULL`)[0][0];

    assert.deepEqual(
      await post('/api/grants', { user: 'eve', app: 'live', name: 'demo', rights: ['view'] }, 'DELETE'),
      { ended: 2 },
    );
    assert.equal((await post('/api/streams/live/demo/key', {})).ended, 2);
    assert.deepEqual(await post('/api/streams/live/demo/revoke', {}), { ended: 2 });
    assert.deepEqual(await post('/api/users/bob/disable', {}), {
      name: 'bob',
      display_name: '',
      admin: false,
      totp: false,
      disabled: true,
      invited: false,
      max_publishers: 0,
      rec_quota: 0,
      ended: 4,
    });
    assert.equal((await post('/api/users/bob/enable', {})).ended, 0);
    assert.equal((await post('/api/users/eve/revoke', {})).ended, 2);
    assert.deepEqual(nginx.revoked(), [`user=${ids.eve}&stream=live/demo`, `key=${demoKey}`, 'stream=live/demo',
      `user=${ids.bob}`, `key=${bobsKey}`, `user=${ids.eve}`].sort());
    for (const action of ['revoke', 'key rotate', 'stream revoke', 'user disable', 'user revoke']) {
      assert.equal(
        sql(`SELECT outcome FROM audit WHERE action = '${action}' AND actor = 'admin' ORDER BY id DESC LIMIT 1`)[0][0],
        'ok',
        action,
      );
    }
  });

  test('pages whose rights change have to ask again', async () => {
    const refreshed = async (args, expected) => {
      nginx.calls = [];
      await auth.done(args);
      assert.deepEqual(nginx.refreshed(), expected, args.join(' '));
    };
    await refreshed(['grant', 'eve', 'live/demo', 'view'], [`?user=${ids.eve}`]);
    await refreshed(['revoke', 'eve', 'live/demo', 'view'], [`?user=${ids.eve}`]);
    await refreshed(['grant', 'group:crew', 'live/demo', 'view'], ['']);
    await refreshed(['revoke', 'group:crew', 'live/demo', 'view'], ['']);
    await refreshed(['stream', 'add', 'live/new', '--owner', 'eve'], ['']);
    await refreshed(['stream', 'set', 'live/new', 'title=New'], ['']);
    await refreshed(['stream', 'key', 'rotate', 'live/new', '--json'], []);
    const cookie = await auth.login('eve', password);
    nginx.calls = [];
    await auth.api('POST', '/api/logout', { cookie });
    assert.deepEqual(nginx.refreshed(), [`?user=${ids.eve}`]);
  });
});

describe('tokens', () => {
  const token = async (user) =>
    (await auth.done(['url', user, 'live/demo', 'view', '--format', 'rtmp'])).trim().split('token=')[1];
  const issued = (text) => JSON.parse(Buffer.from(text.split('.')[1], 'base64url')).iat;
  const play = async (text) => (await auth.gate('play', { ARGS: `token=${text}` })).json;

  test('made before are void, one made right after is valid', async () => {
    await auth.done(['grant', 'eve', 'live/demo', 'view']);
    for (const change of [
      ['user', 'revoke', 'eve'],
      ['stream', 'revoke', 'live/demo'],
      ['revoke', 'eve', 'live/demo', 'view'],
    ]) {
      const old = await token('eve');
      assert.equal((await play(old)).allow, true, change.join(' '));
      await auth.done(change);
      if (change[0] === 'revoke') await auth.done(['grant', 'eve', 'live/demo', 'view']);
      const at = Number(sql('SELECT MAX(at) FROM revocations')[0][0]);
      const fresh = await token('eve');
      assert.deepEqual(await play(old), { allow: false, reason: 'token revoked' }, change.join(' '));
      assert.equal((await play(fresh)).allow, true, change.join(' '));
      assert.ok(issued(fresh) > at);

      const { streams } = (await auth.api('GET', '/api/streams', { cookie: await auth.login('eve', password) })).json;
      const onPage = streams.find(({ name }) => name === 'demo').play.split('/')[2];
      assert.ok(issued(onPage) > at);
    }
  });

  test('of other users and other streams stay valid', async () => {
    await auth.done(['grant', 'joe', 'live/demo', 'view']);
    const joes = await token('joe');
    await auth.done(['revoke', 'eve', 'live/demo', 'view']);
    await auth.done(['user', 'revoke', 'eve']);
    await auth.done(['stream', 'revoke', 'live/bobs']);
    assert.equal((await play(joes)).allow, true);
  });
});

describe('without nginx', () => {
  test('the change stands with a warning, and nginx learns of it when it is back', async () => {
    await nginx.stop();
    const { code, stdout, stderr } = await auth.ctl(['user', 'disable', 'joe']);
    assert.deepEqual([code, stdout], [0, 'user joe disabled\n']);
    assert.match(
      stderr,
      /warning: done, but nginx does not know yet: control socket .*control\.sock: Couldn't connect/,
    );
    const at = sql(`SELECT at FROM revocations WHERE user_id = ${ids.joe} AND stream_id = 0`)[0][0];

    const cookie = await auth.login('admin', password);
    const answer = await auth.api('POST', '/api/users/eve/revoke', { cookie, body: {} });
    assert.equal(answer.status, 200);
    assert.match(answer.json.warning, /media server does not answer/);
    assert.equal(answer.json.ended, 0);
    await until(
      () =>
        auth.lines.some((line) =>
          /warning revocations wait, sessions that should end go on: control socket/.test(line),
        ),
      'the log to say so',
    );

    await auth.stop();      // pending revocations are in the database, not in the process
    await auth.start();
    await nginx.start();
    const started = performance.now();
    await until(() => nginx.revoked().length >= 2, 'nginx to get it');
    const took = performance.now() - started;
    assert.deepEqual(nginx.revoked(), [`user=${ids.joe}`, `user=${ids.eve}`].sort());
    assert.ok(
      nginx.calls.some(({ url }) => url === `/control/revoke?user=${ids.joe}&at=${at}`),
      'with the time of the change',
    );
    await until(() => pending().length === 0, 'the rows to be marked');
    assert.ok(took < 10_000, `${took} ms`);
    await auth.done(['user', 'enable', 'joe']);
  });

  test('a refused revocation is tried again and does not delay the next one', async () => {
    nginx.answer = (url) =>
      url.includes(`user=${ids.joe}`) ? [500, { error: 'could not be stored' }] : [200, { ended: 0 }];
    const { stderr } = await auth.ctl(['user', 'revoke', 'joe']);
    assert.match(stderr, /answered 500: could not be stored/);
    await auth.done(['stream', 'revoke', 'live/bobs']);
    assert.deepEqual(pending(), [[ids.joe, '0', '0']]);
    nginx.answer = () => [200, { ended: 1 }];
    await until(() => pending().length === 0, 'nginx to get it');
    await until(
      () => auth.lines.some((line) => /revocations: 1 told to nginx, 1 sessions ended/.test(line)),
      'the log to say so',
    );
  });

  test('a change reports only the sessions that it ended itself', async () => {
    // 200 users and a stream are pending, and nginx refuses them
    nginx.answer = (url) => (url.includes(`user=${ids.joe}`) ? [200, { ended: 1 }] : [500, { error: 'not now' }]);
    sql(
      'INSERT INTO revocations (user_id) WITH RECURSIVE n AS (SELECT 1 AS i UNION SELECT i + 1 FROM n WHERE i < ' +
        '200) SELECT 70000 + i FROM n',
    );
    sql(`REPLACE INTO revocations (stream_id) VALUES (${ids.bobs})`);
    const { code, stdout, stderr } = await auth.ctl(['user', 'revoke', 'joe']);
    assert.deepEqual([code, stdout, stderr], [0, 'user joe revoked\nended 1 session\n', '']);
    nginx.answer = () => [200, { ended: 5 }];
    const own = await auth.ctl(['user', 'revoke', 'joe']);
    assert.deepEqual([own.code, own.stdout, own.stderr], [0, 'user joe revoked\nended 5 sessions\n', '']);
    await until(() => pending().length === 0, 'the keeper to tell the others');
    sql('DELETE FROM revocations WHERE user_id > 70000');
  });

  test('nginx also gets a revocation that was added by hand', async () => {
    sql("REPLACE INTO revocations (user_id) SELECT id FROM users WHERE name = 'bob'");
    sql(`REPLACE INTO revocations (stream_id) VALUES (${ids['相机+1']})`);
    sql('REPLACE INTO revocations (stream_id) VALUES (99999)');     // no such stream: nothing to deliver
    await until(() => pending().length === 0, 'nginx to get them');
    assert.deepEqual(nginx.revoked(), ['stream=live/相机+1', `user=${ids.bob}`]);
  });

  test('nginx learns once of a user disabled and a key revoked by hand', async () => {
    for (const name of ['han', 'pat']) {
      await auth.done(['user', 'add', name]);
      await auth.done(['stream', 'add', `live/of-${name}`, '--owner', name]);
      ids[name] = sql(`SELECT id FROM users WHERE name = '${name}'`)[0][0];
    }
    const [[device]] = sql('SELECT MAX(id) FROM devices');
    // both have older revocations
    for (const change of ['disable', 'enable']) await auth.done(['user', change, 'pat']);
    sql(`UPDATE revocations SET at = at - 100 WHERE user_id = ${ids.pat} OR device_id = ${device}`);
    nginx.calls = [];
    sql(
      `UPDATE users SET disabled = 1 WHERE name IN ('han', 'pat'); UPDATE devices SET revoked_at = NOW() WHERE id ` +
        `= ${device}`,
    );
    await until(() => nginx.revoked().length >= 3 && pending().length === 0, 'nginx to get them');
    await foundOnce([ids.han, ids.pat], device);
    assert.deepEqual(nginx.revoked(), [`user=${ids.han}`, `user=${ids.pat}`, `key=${device}`].sort());
  });

  test('a change by hand also ends those who came right after several revocations in a second', async () => {
    await auth.done(['user', 'add', 'lea']);
    await auth.done(['stream', 'add', 'live/of-lea', '--owner', 'lea']);
    await auth.done(['stream', 'key', 'add', 'live/of-lea', '--user', 'admin']);
    const [[device, stream]] = sql('SELECT id, stream_id FROM devices ORDER BY id DESC LIMIT 1');
    const [[lea]] = sql("SELECT id FROM users WHERE name = 'lea'");
    const at = Math.floor(Date.now() / 1000) + 600;        // who comes now has the second behind it
    sql(`INSERT INTO revocations (user_id, stream_id, at, pending) VALUES (0, ${stream}, ${at}, 0), `
      + `(${lea}, ${stream}, ${at + 9}, 0)`);
    sql("UPDATE users SET disabled = 1 WHERE name = 'lea'");
    await until(() => nginx.revoked().length >= 2 && pending().length === 0, 'nginx to get both');
    await foundOnce([lea], device);
    const dates = sql(`SELECT at FROM revocations WHERE user_id = ${lea} AND stream_id = 0 OR device_id = ${device} `
      + 'ORDER BY user_id');
    assert.deepEqual(dates.map(([date]) => Number(date)), [at + 1, at + 10]);
    sql(`DELETE FROM revocations WHERE stream_id = ${stream}`);
  });

  test('disabling an owner by hand revokes other users\' keys for the owner\'s streams, once', async () => {
    await auth.done(['user', 'add', 'kim']);
    await auth.done(['stream', 'add', 'live/of-kim', '--owner', 'kim']);
    await auth.done(['stream', 'key', 'add', 'live/of-kim', '--user', 'admin']);
    const [[device]] = sql('SELECT MAX(id) FROM devices');
    const [[kim]] = sql("SELECT id FROM users WHERE name = 'kim'");
    sql("UPDATE users SET disabled = 1 WHERE name = 'kim'");
    await until(() => nginx.revoked().length >= 2 && pending().length === 0, 'nginx to get both');
    await foundOnce([kim], device);
    assert.deepEqual(nginx.revoked(), [`user=${kim}`, `key=${device}`].sort());
  });

  test('nginx gets a revocation from before the database\'s clock was set back', async () => {
    sql(`REPLACE INTO revocations (user_id, changed) VALUES (${ids.bob}, NOW() + INTERVAL 1 HOUR)`);
    await until(() => pending().length === 0, 'nginx to get it');
    assert.deepEqual(nginx.revoked(), [`user=${ids.bob}`]);
  });

  test('a session let in during a slow commit ends, too', async () => {
    const blocker = spawn(
      'mariadb',
      ['--no-defaults', `--socket=${database.socket}`, '--user=root', '--batch', '--skip-column-names', '--unbuffered'],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    try {
      blocker.stdin.write("BACKUP STAGE START; BACKUP STAGE BLOCK_COMMIT; SELECT 'blocked';\n");
      await once(blocker.stdout, 'data');
      const revoking = auth.done(['user', 'revoke', 'bob']);
      await until(
        () => sql("SELECT 1 FROM information_schema.processlist WHERE info = 'COMMIT'").length === 1,
        'the commit to wait',
      );
      const asked = now() + 2;
      await until(() => now() >= asked, 'two seconds to pass');
      blocker.stdin.end('BACKUP STAGE END;\n');
      await revoking;
      await until(() => pending().length === 0, 'nginx to get it');
      const delivered = nginx.calls
        .filter(({ url }) => url.startsWith(`/control/revoke?user=${ids.bob}&`))
        .map(({ url }) => Number(/at=(\d+)/.exec(url)[1]));
      assert.ok(Math.max(...delivered) >= asked, `${delivered} is before ${asked}`);
    } finally {
      blocker.kill();
    }
  });

  test('if two changes at once each take one of two grants, one of them revokes the right', async () => {
    for (let i = 0; i < 8; i++) {
      sql(
        `INSERT INTO grants (user_id, stream_id, rights) VALUES (${ids.joe}, ${ids.demo}, 'view') ON DUPLICATE ` +
          `KEY UPDATE rights = 'view'`,
      );
      sql(
        `INSERT INTO grants (user_id, app, rights) VALUES (${ids.joe}, 'live', 'view') ON DUPLICATE KEY UPDATE ` +
          `rights = 'view'`,
      );
      nginx.calls = [];
      await Promise.all([auth.done(['revoke', 'joe', 'live/demo']), auth.done(['revoke', 'joe', 'live'])]);
      await until(() => pending().length === 0, 'no revocation to be pending');
      assert.ok(nginx.revoked().includes(`user=${ids.joe}&stream=live/demo`), `round ${i}`);
    }
  });
});

describe('edges', () => {
  let dir;
  let edges;
  const [first, second] = [0, 1];
  const restart = async (places) => {
    await auth.stop();
    auth.environment.DUOLU_EDGES = places;
    auth.lines = [];
    await auth.start();
  };
  const told = (edge) => edges[edge].revoked();

  before(async () => {
    dir = mkdtempSync(path.join(tmpdir(), 'duolu-edges-'));
    edges = ['one', 'two'].map((name) => new Control(path.join(dir, name)));
    for (const edge of edges) await edge.start();
  });

  after(async () => {
    for (const edge of edges) await edge.stop();
    await restart('');
    rmSync(dir, { recursive: true, force: true });
  });

  test('a new edge is told of all revocations but those of keys, and then of each at once', async () => {
    await auth.done(['user', 'revoke', 'eve']);
    const all = [...new Set(sql(
      "SELECT r.user_id, COALESCE(CONCAT(s.app, '/', s.name), '') FROM revocations r " +
        'LEFT JOIN streams s ON s.id = r.stream_id WHERE r.device_id = 0 AND (r.stream_id = 0 OR s.id IS NOT NULL)',
    ).map(([user, stream]) =>
      [user !== '0' && `user=${user}`, stream && `stream=${stream}`].filter(Boolean).join('&')))];
    assert.ok(all.length > 3, `${all}`);
    await restart(edges.map(({ socket }) => `unix:${socket}`).join('  '));
    for (const edge of [first, second]) {
      await until(() => told(edge).length >= all.length, `edge ${edge} to be told of all`);
      assert.deepEqual(told(edge).sort(), all.slice().sort());
      edges[edge].calls = [];
    }

    const from = performance.now();
    await auth.done(['stream', 'revoke', 'live/相机+1']);
    for (const edge of [first, second]) {
      await until(() => told(edge).includes('stream=live/相机+1'), `edge ${edge} to be told`);
    }
    // no row is told twice, although its time stays near, unless the stand-in's answer was late
    const looks = edges[first].looks['/status'];
    await until(() => edges[first].looks['/status'] >= looks + 1, 'the keeper to have worked on');
    assert.deepEqual(told(first), ['stream=live/相机+1']);
    const calls = edges[first].calls.filter(({ url }) => url.startsWith('/control/revoke'));
    if (lagSince(from) < ANSWER_MS) assert.equal(calls.length, 1, JSON.stringify(calls));
  });

  test('an edge that is away delays nobody, and is told everything when it returns', async () => {
    const before = told(first).length + told(second).length;
    assert.ok(before > 0);
    await edges[first].stop();
    edges[first].calls = [];
    edges[second].calls = [];
    const { stderr } = await auth.ctl(['user', 'revoke', 'joe']);
    assert.equal(stderr, '', 'nginx itself knows');
    await until(() => told(second).includes(`user=${ids.joe}`), 'the other edge to be told');
    assert.deepEqual(pending(), []);
    await until(
      () => auth.lines.some((line) => /warning edge 1: revocations wait, its viewers may go on: control socket .*one/
        .test(line)),
      'the log to say so',
    );
    await edges[first].start();
    await until(() => told(first).includes(`user=${ids.joe}`) && told(first).includes('stream=live/相机+1'),
      'the edge to be told everything');
    await until(() => auth.lines.some((line) => /edge 1 of 2 knows all revocations again/.test(line)), 'the log');
  });

  test('an edge over HTTP is asked with its password, which no log shows', async () => {
    const seen = [];
    const server = createServer((request, response) => {
      seen.push(request.headers.authorization);
      response.writeHead(401, { 'Content-Type': 'application/json' });
      response.end('{"error": "no"}');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const place = `127.0.0.1:${server.address().port}`;
      await restart(`http://duolu:geheim@${place}`);
      const line = 'edge 1: revocations wait, its viewers may go on: control socket ' +
        `${place}: /status answered 401: no`;
      await until(() => auth.lines.some((text) => text.includes(line)), 'the log to say so');
      assert.equal(seen[0], `Basic ${Buffer.from('duolu:geheim').toString('base64')}`);
      assert.ok(!auth.lines.some((text) => text.includes('geheim')), 'the password is in the log');
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});

describe('limits', () => {
  test('an admin sets them, managers see them, and the gate passes them to nginx', async () => {
    const admin = await auth.login('admin', password);
    const bob = await auth.login('bob', password);
    const set = (cookie, body) => auth.api('POST', '/api/streams/live/bobs', { cookie, body });

    const answer = await set(admin, { max_kbps: 4000, max_viewers: 20 });
    assert.deepEqual(answer.json, {
      app: 'live',
      name: 'bobs',
      title: '',
      visibility: 'private',
      record: 'never',
      record_on: false,
      max_kbps: 4000,
      max_viewers: 20,
      ended: 0,
    });
    assert.equal(
      (await auth.api('POST', '/api/users/bob', { cookie: admin, body: { max_publishers: 2 } })).json.max_publishers,
      2,
    );
    assert.equal((await auth.api('POST', '/api/users/bob', { cookie: bob, body: { max_publishers: 0 } })).status, 403);

    // the owner manages the stream, but may not change the server's limits
    for (const body of [{ max_kbps: 0 }, { max_viewers: 21 }])
      assert.deepEqual([(await set(bob, body)).status, (await set(bob, body)).json.error], [403, 'forbidden']);
    const own = await set(bob, { title: '后门', visibility: 'public', record: 'always' });
    assert.deepEqual(
      [own.status, own.json.title, own.json.visibility, own.json.record, own.json.max_kbps],
      [200, '后门', 'public', 'always', 4000],
    );

    for (const body of [
      { max_kbps: -1 },
      { max_kbps: 1.5 },
      { max_kbps: '5' },
      { max_kbps: 1e9 },
      { visibility: 'all' },
      { record: 'x' },
      { title: 7 },
      { title: 'x'.repeat(201) },
    ]) {
      assert.deepEqual(
        [(await set(admin, body)).status, (await set(admin, body)).json.error],
        [400, 'bad_request'],
        JSON.stringify(body).slice(0, 40),
      );
    }

    const list = async (cookie) =>
      (await auth.api('GET', '/api/streams', { cookie })).json.streams.find(({ name }) => name === 'bobs');
    const { id, max_kbps, max_viewers } = await list(bob);
    assert.deepEqual([String(id), max_kbps, max_viewers], [ids.bobs, 4000, 20]);
    const seen = await list(await auth.login('eve', password));
    assert.deepEqual([String(seen.id), seen.max_kbps], [ids.bobs, undefined]);
    assert.equal(
      (await auth.api('POST', '/api/streams/live/bobs', { cookie: await auth.login('eve', password), body: {} }))
        .status,
      403,
    );

    const { key } = await auth.done(['stream', 'key', 'add', 'live/bobs', '--json']);
    const { not_before: before, ...json } = (await auth.gate('publish', { NAME: 'bobs', ARGS: `key=${key}` })).json;
    assert.ok(before > 0);
    const device = sql('SELECT MAX(id) FROM devices')[0][0];
    assert.deepEqual(json, {
      allow: true,
      uid: Number(ids.bob),
      stream: Number(ids.bobs),
      key: Number(device),
      record: true,
      max_kbps: 4000,
      max_viewers: 20,
      max_publishers: 2,
    });
    assert.match(await auth.done(['user', 'list']), /^bob +user +enabled max_publishers=2$/m);
    await auth.done(['user', 'set', 'bob', 'max_publishers=0']);
    await auth.done([
      'stream',
      'set',
      'live/bobs',
      'visibility=private',
      'record=never',
      'max_kbps=0',
      'max_viewers=0',
    ]);
  });

  test('duoluctl refuses a limit that is not a number', async () => {
    for (const [args, words] of [
      [['user', 'set', 'bob', 'max_publishers=x'], /max_publishers is "x"; expected a number from 0/],
      [['user', 'set', 'bob', 'colour=red'], /setting "colour=red"; expected max_publishers=/],
      [['stream', 'set', 'live/bobs', 'max_viewers=10000001'], /max_viewers is "10000001"; expected a number/],
    ]) {
      const { code, stderr } = await auth.ctl(args);
      assert.deepEqual([code, words.test(stderr)], [2, true], stderr);
    }
  });
});

describe('sessions', () => {
  const sessions = () => ({
    sessions: [
      {
        id: '11',
        kind: 'publish',
        protocol: 'rtmp',
        stream: 'live/bobs',
        uid: Number(ids.bob),
        key: 2,
        address: '192.0.2.1',
        age_ms: 75_000,
        bytes: 12_345_678,
        worker: 1,
      },
      {
        id: '12',
        kind: 'view',
        protocol: 'flv',
        stream: 'live/demo',
        uid: Number(ids.eve),
        key: 0,
        address: '192.0.2.2',
        age_ms: 900,
        bytes: 999,
        late_ms: 1440,
        worker: 1,
      },
      {
        id: '13',
        kind: 'events',
        protocol: 'sse',
        stream: '',
        uid: Number(ids.admin),
        key: 0,
        address: '192.0.2.3',
        age_ms: 90_000_000,
        bytes: 0,
        worker: 2,
      },
      {
        id: '14',
        kind: 'view',
        protocol: 'hls',
        stream: 'live/demo',
        uid: Number(ids.eve),
        key: 0,
        address: '192.0.2.4',
        age_ms: 5000,
        bytes: 2000,
        late_ms: 0,
        worker: 0,
      },
    ],
  });
  const answer = (url) => {
    if (url === '/sessions') return [200, sessions()];
    return /kick\?id=1[1-4]$/.test(url) ? [200, { ended: 1 }] : [404, { error: 'no session "9"' }];
  };

  test('duoluctl lists sessions with user names, and kicks one', async () => {
    nginx.answer = answer;
    const lines = (await auth.done(['sessions'])).trimEnd().split('\n').map((line) => line.split(/ +/).join('|'));
    assert.match(lines[0], /^ID\|KIND\|PROTOCOL\|STREAM\|USER\|ADDRESS\|AGE\|BYTES\|LATE$/);
    assert.match(lines[1], /^11\|publish\|rtmp\|live\/bobs\|bob\|192\.0\.2\.1\|1m15s\|12\.3\|MB\|-$/);
    assert.match(lines[2], /^12\|view\|flv\|live\/demo\|eve\|192\.0\.2\.2\|0s\|999\|B\|1\.4\|s$/);
    assert.match(lines[3], /^13\|events\|sse\|-\|admin\|192\.0\.2\.3\|1d01h\|0\|B\|-$/);
    assert.match(lines[4], /^14\|view\|hls\|live\/demo\|eve\|192\.0\.2\.4\|5s\|2\.0\|kB\|-$/);
    const { sessions: list } = await auth.done(['sessions', '--json']);
    assert.deepEqual(list.map(({ id, user }) => `${id} ${user}`), ['11 bob', '12 eve', '13 admin', '14 eve']);

    assert.equal(await auth.done(['kick', '11']), 'kicked session 11\n');
    assert.ok(nginx.calls.some(({ method, url }) => method === 'POST' && url === '/control/kick?id=11'));
    assert.equal(sql("SELECT target FROM audit WHERE action = 'kick' ORDER BY id DESC LIMIT 1")[0][0], 'session 11');
    const none = await auth.ctl(['kick', '9']);
    assert.deepEqual([none.code, none.stderr], [4, 'duoluctl: session 9 does not exist\n']);
    assert.equal((await auth.ctl(['kick', '../status'])).code, 2);
  });

  test('a page lists and kicks the sessions of streams that its user manages', async () => {
    nginx.answer = answer;
    const seen = async (name) => {
      const { status, json } = await auth.api('GET', '/api/sessions', { cookie: await auth.login(name, password) });
      return [status, json.sessions.map(({ id, user }) => `${id} ${user}`)];
    };
    assert.deepEqual(await seen('admin'), [200, ['11 bob', '12 eve', '13 admin', '14 eve']]);
    assert.deepEqual(await seen('bob'), [200, ['11 bob']]);
    assert.deepEqual(await seen('eve'), [200, []]);

    const kick = async (name, id) =>
      (await auth.api('POST', `/api/sessions/${id}/kick`, { cookie: await auth.login(name, password), body: {} }))
        .status;
    assert.equal(await kick('eve', 12), 404);
    assert.equal(await kick('bob', 12), 404);
    assert.ok(!nginx.calls.some(({ url }) => url.startsWith('/control/kick')));
    assert.equal(await kick('bob', 11), 200);
    assert.deepEqual(sql("SELECT actor, target FROM audit WHERE action = 'kick' ORDER BY id DESC LIMIT 1")[0], [
      'bob',
      'rtmp publish of bob on live/bobs',
    ]);
    assert.equal(await kick('admin', 14), 200);
    assert.equal(sql("SELECT target FROM audit WHERE action = 'kick' ORDER BY id DESC LIMIT 1")[0][0],
      'hls view of eve on live/demo');
    assert.equal(await kick('admin', 13), 200);
    assert.equal(await kick('admin', 9), 404);
    nginx.answer = () => [500, {}];
    assert.equal(
      (await auth.api('GET', '/api/sessions', { cookie: await auth.login('admin', password) })).json.error,
      'nginx_unavailable',
    );
  });

  test('duoluctl status shows the media and the viewers of a stream', async () => {
    nginx.answer = () => [
      200,
      {
        zone: {
          name: 'live',
          size: 1,
          blocks: 1000,
          free: 900,
          sessions: 4,
          sessions_max: 100,
          refused: { room: 0, busy: 2, token: 1 },
        },
        workers: [{ pid: 7, publishers: 1, viewers: 3, sessions: 4 }],
        streams: [
          {
            name: 'live/demo',
            id: 1,
            uid: 1,
            state: 'live',
            viewers: 3,
            viewers_by: { flv: 2, ws: 1, rtmp: 0, hls: 0 },
            kbps_in: 1040,
            kbps_out: 3100,
            fps: 29.97,
            gop_ms: 2000,
            gaps: 1,
            address: '192.0.2.1',
            max_kbps: 4000,
            max_viewers: 0,
            video: 'h264',
            audio: 'aac',
            width: 1280,
            height: 720,
            since_ms: 3_723_000,
          },
        ],
      },
    ];
    assert.equal(await auth.done(['status']), [
      'zone live: 900 of 1000 blocks free, 4 of 100 sessions; refused: busy 2, token 1',
      'worker 7: 1 publishers, 3 viewers, 4 sessions',
      'stream live/demo: live for 1h02m, h264 1280x720 29.97 fps GOP 2000 ms, aac',
      '  in 1040 kbit/s (at most 4000 kbit/s) from 192.0.2.1, gaps 1; out 3100 kbit/s',
      '  viewers 3: flv 2, ws 1', ''].join('\n'));
  });
});

describe('events of a page', () => {
  const access = (cookie) => auth.api('GET', '/api/events-access', { cookie });

  test('are for logged-in users, about the streams that they may see', async () => {
    assert.equal((await access(undefined)).status, 401);
    assert.equal((await access(`__Host-duolu=${'A'.repeat(43)}`)).status, 401);
    const ofAdmin = await access(await auth.login('admin', password));
    assert.deepEqual(
      [ofAdmin.status, ofAdmin.text, ofAdmin.headers['x-duolu-user'], ofAdmin.headers['x-duolu-streams']],
      [204, '', ids.admin, '*'],
    );

    const cookie = await auth.login('eve', password);
    const seen = async () => {
      const { status, headers } = await access(cookie);
      return [status, headers['x-duolu-user'], headers['x-duolu-streams']];
    };
    const [[own]] = sql(
      "SELECT GROUP_CONCAT(id) FROM streams WHERE owner_id = (SELECT id FROM users WHERE name = 'eve')",
    );
    assert.deepEqual(await seen(), [204, ids.eve, own]);
    await auth.done(['grant', 'eve', 'live/demo', 'view']);
    assert.deepEqual((await seen())[2].split(',').sort(), [ids.demo, own].sort());
    await auth.done(['revoke', 'eve', 'live/demo']);
    assert.deepEqual((await seen())[2], own);
  });

  test('of 5000 streams fit the header', async () => {
    sql(
      'INSERT INTO streams (app, name, owner_id) WITH RECURSIVE n AS (SELECT 1 AS i UNION SELECT i + 1 FROM n ' +
        `WHERE i < 1000) SELECT CONCAT('many', a.i), b.i, ${ids.joe} FROM n a JOIN n b WHERE a.i <= 5`,
    );
    const { status, headers } = await access(await auth.login('joe', password));
    const list = headers['x-duolu-streams'].split(',');
    assert.deepEqual([status, list.length, new Set(list).size], [204, 5000, 5000]);
    sql("DELETE FROM streams WHERE app LIKE 'many%'");
  });
});
