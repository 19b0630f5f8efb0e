// Users try to keep a right that was taken from them: by keys and grants that they made
// before, and by requests that were under way.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createConnection, createServer } from 'node:net';
import path from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';

import { Auth, password, Service } from '../lib/auth.mjs';
import { until } from '../lib/nginx.mjs';

const DEADLINE = { timeout: 240_000 };

const service = new Service();
const { sql } = service;
let database;
let auth;
let nginx;
let hash;           // of the password, so that a user costs no argon2

const one = (text) => sql(text)[0]?.[0];
const idOf = (name) => one(`SELECT id FROM users WHERE name = '${name}'`);
const pending = () => sql('SELECT user_id, stream_id, device_id FROM revocations WHERE pending = 1');
const post = (cookie, address, body = {}, method = 'POST') => auth.api(method, address, { cookie, body });
const mayPublish = async (key) => (await auth.gate('publish', { ARGS: `key=${key}` })).json;

before(async () => {
  await service.start({
    users: [['admin', '--admin']],
    nginx: true,
    async prepare() {
      ({ auth, database } = service);
      hash = one("SELECT password_hash FROM users WHERE name = 'admin'");
      for (const name of ['owner', 'eve', 'joe']) addUser(name);
      await auth.done(['stream', 'add', 'live/demo', '--owner', 'owner']);
    },
  });
  ({ nginx } = service);
});

beforeEach(async () => {
  await until(() => pending().length === 0, 'no revocation to be pending');
  nginx.calls = [];
});

after(() => service.stop());

function addUser(name, admin = 0) {
  sql(`INSERT INTO users (name, password_hash, admin) VALUES ('${name}', '${hash}', ${admin})`);
}

/** Runs the SQL on a connection of its own, and holds its locks until release(). */
async function hold(t, text) {
  const client = spawn(
    'mariadb',
    [
      '--no-defaults',
      `--socket=${database.socket}`,
      '--user=root',
      '--batch',
      '--skip-column-names',
      '--unbuffered',
      'duolu',
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  t.after(() => client.kill());
  client.stdin.write(`${text}; SELECT 'held';\n`);
  await once(client.stdout, 'data');
  return { async release() { client.stdin.end(); await once(client, 'exit'); } };
}

const waitingForLock = () =>
  Number(one("SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'User lock'"));

describe('keys and grants end with their maker\'s right to manage', () => {
  let number = 0;

  // ways to get the right to manage and to lose it; each must end the key
  const ways = [
    [
      'the right is revoked',
      (mia) => ['grant', mia, 'live/demo', 'manage'],
      (mia) => auth.done(['revoke', mia, 'live/demo', 'manage']),
    ],
    [
      'all rights are revoked',
      (mia) => ['grant', mia, 'live/demo', 'manage,view'],
      (mia) => auth.done(['revoke', mia, 'live/demo']),
    ],
    [
      'a right on the app is revoked',
      (mia) => ['grant', mia, 'live', 'manage'],
      (mia) => auth.done(['revoke', mia, 'live']),
    ],
    [
      'the user is disabled',
      (mia) => ['grant', mia, 'live/demo', 'manage'],
      (mia) => auth.done(['user', 'disable', mia]),
    ],
    [
      'the user leaves the group',
      (mia, crew) => ['grant', `group:${crew}`, 'live/demo', 'manage'],
      (mia, crew) => auth.done(['group', 'leave', crew, mia]),
    ],
    [
      "the group's right is revoked",
      (mia, crew) => ['grant', `group:${crew}`, 'live/demo', 'manage'],
      (mia, crew) => auth.done(['revoke', `group:${crew}`, 'live/demo']),
    ],
    [
      "the group's right on the app is revoked",
      (mia, crew) => ['grant', `group:${crew}`, 'live', 'manage'],
      (mia, crew) => auth.done(['revoke', `group:${crew}`, 'live']),
    ],
    [
      'disabled by hand',
      (mia) => ['grant', mia, 'live/demo', 'manage'],
      (mia) => sql(`UPDATE users SET disabled = 1 WHERE name = '${mia}'`),
    ],
    [
      'the grant is deleted by hand',
      (mia) => ['grant', mia, 'live/demo', 'manage'],
      (mia) => sql(`DELETE FROM grants WHERE user_id = ${idOf(mia)}`),
    ],
    [
      'the user is deleted by hand',
      (mia) => ['grant', mia, 'live/demo', 'manage'],
      (mia) => sql(`DELETE FROM users WHERE name = '${mia}'`),
    ],
    [
      'an admin is made a plain user by hand',
      (mia) => sql(`UPDATE users SET admin = 1 WHERE name = '${mia}'`),
      (mia) => sql(`UPDATE users SET admin = 0 WHERE name = '${mia}'`),
    ],
    [
      'an admin is disabled',
      (mia) => sql(`UPDATE users SET admin = 1 WHERE name = '${mia}'`),
      (mia) => auth.done(['user', 'disable', mia]),
    ],
  ];

  for (const [event, give, take] of ways) {
    test(`the key, when ${event}`, DEADLINE, async () => {
      const mia = `mia${++number}`;
      const crew = `crew${number}`;
      addUser(mia);
      await auth.done(['group', 'add', crew]);
      await auth.done(['group', 'join', crew, mia]);
      const given = give(mia, crew);
      if (typeof given[0] === 'string') await auth.done(given);
      const { json: { key } } = await post(await auth.login(mia, password), '/api/streams/live/demo/key');
      assert.equal((await mayPublish(key)).allow, true);
      const device = one('SELECT MAX(id) FROM devices');
      assert.equal(one(`SELECT made_by FROM devices WHERE id = ${device}`), idOf(mia));

      await take(mia, crew);
      // at once, before the keeper acts
      const { allow, reason } = await mayPublish(key);
      assert.equal(allow, false);
      assert.match(reason, /^(key revoked|key's maker may not manage)$/);
      await until(() => nginx.revoked().includes(`key=${device}`), 'nginx to end the publisher');
      assert.equal(one(`SELECT revoked_at IS NOT NULL FROM devices WHERE id = ${device}`), '1');
      assert.equal(
        Number(one("SELECT COUNT(*) FROM audit WHERE action = 'maker gone' AND target = 'live/demo'")),
        number,
      );

      // the key does not come back with the right
      sql(`UPDATE users SET disabled = 0, admin = 1 WHERE name = '${mia}'`);
      assert.equal((await mayPublish(key)).reason, 'key revoked');
      sql(`DELETE FROM users WHERE name = '${mia}'`);
    });
  }

  test('but not the key of an owner who is disabled and enabled, nor one of duoluctl', DEADLINE, async () => {
    const { json: { key } } = await post(await auth.login('owner', password), '/api/streams/live/demo/key');
    const { key: other } = await auth.done(['stream', 'key', 'add', 'live/demo', '--json']);
    await auth.done(['user', 'disable', 'owner']);
    assert.equal((await mayPublish(key)).reason, 'user disabled');
    await auth.done(['user', 'enable', 'owner']);
    for (const each of [key, other]) assert.equal((await mayPublish(each)).allow, true);
  });

  test('grants, but not those that the owner or another manager gave as well', DEADLINE, async () => {
    for (const name of ['max', 'mim']) {
      addUser(name);
      await auth.done(['grant', name, 'live/demo', 'manage']);
    }
    await auth.done(['group', 'add', 'viewers']);
    await auth.done(['group', 'join', 'viewers', 'joe']);
    const max = await auth.login('max', password);
    const give = async (cookie, grantee, ...rights) => {
      const { status, text } = await post(cookie, '/api/grants', { ...grantee, app: 'live', name: 'demo', rights });
      assert.equal(status, 200, text);
    };
    await give(max, { user: 'eve' }, 'view', 'replay');
    await give(max, { group: 'viewers' }, 'view');
    await give(max, { user: 'max' }, 'view', 'publish');        // to himself
    await give(await auth.login('mim', password), { user: 'eve' }, 'view');
    await give(await auth.login('owner', password), { user: 'owner' }, 'view');
    const { grants } = await auth.done(['grant', 'list', 'live/demo', '--json']);
    assert.deepEqual(
      grants.filter(({ user }) => user === 'eve').map(({ rights, by }) => [rights, by]),
      [[['view', 'replay'], 'max,mim']],
    );
    assert.equal(grants.find(({ user }) => user === 'owner').by, undefined);

    nginx.calls = [];
    const output = await auth.done(['revoke', 'max', 'live/demo', 'manage']);
    assert.match(output, /ended the keys, grants and links on 1 stream whose maker may no longer manage the stream/);
    const stream = 'stream=live/demo';
    await until(() => nginx.revoked().length >= 3, 'nginx to get them');
    assert.deepEqual(
      nginx.revoked(),
      [`user=${idOf('eve')}&${stream}`, `user=${idOf('joe')}&${stream}`, `user=${idOf('max')}&${stream}`].sort(),
    );
    assert.deepEqual(nginx.refreshed(), [''], 'all pages ask again');
    const remaining = (await auth.done(['grant', 'list', 'live/demo', '--json'])).grants
      .filter(({ group }) => !group?.startsWith('crew'))
      .map(({ user, group, rights, by }) => [user ?? group, rights.join(), by]);
    assert.deepEqual(remaining, [['eve', 'view', 'mim'], ['mim', 'manage', undefined], ['owner', 'view', undefined]]);
    await auth.done(['revoke', 'mim', 'live/demo']);
    sql("DELETE FROM users WHERE name IN ('max', 'mim')");
  });

  test('a manager can neither give nor take the right to manage', DEADLINE, async () => {
    addUser('meg');
    await auth.done(['grant', 'meg', 'live/demo', 'manage']);
    const meg = await auth.login('meg', password);
    for (const method of ['POST', 'DELETE']) {
      for (const rights of [['manage'], ['view', 'manage']]) {
        const { status, json } = await post(
          meg,
          '/api/grants',
          { user: 'eve', app: 'live', name: 'demo', rights },
          method,
        );
        assert.deepEqual([status, json.error], [403, 'forbidden'], json.message);
      }
    }
    const { status } = await post(await auth.login('owner', password), '/api/grants', {
      user: 'eve',
      app: 'live',
      name: 'demo',
      rights: ['manage'],
    });
    assert.equal(status, 200);
    for (const name of ['meg', 'eve']) await auth.done(['revoke', name, 'live/demo']);
  });

  test('the migration finds the makers of older keys in the audit', DEADLINE, async () => {
    addUser('mo');
    await auth.done(['grant', 'mo', 'live/demo', 'manage']);
    await post(await auth.login('mo', password), '/api/streams/live/demo/key');
    const device = one('SELECT MAX(id) FROM devices');
    sql(`UPDATE devices SET made_by = 0 WHERE id = ${device}; DELETE FROM schema_version WHERE version = 5`);
    assert.equal((await auth.migrate()).code, 0);
    assert.equal(one(`SELECT made_by FROM devices WHERE id = ${device}`), idOf('mo'));
    await auth.done(['revoke', 'mo', 'live/demo']);
  });
});

describe('a request under way when its user loses the right', () => {
  test('takes no key, gives no grant and makes no stream', DEADLINE, async (t) => {
    addUser('mac');
    addUser('boss', 1);
    await auth.done(['grant', 'mac', 'live/demo', 'manage']);
    const { key } = await auth.done(['stream', 'key', 'rotate', 'live/demo', '--json']);
    const [mac, boss] = await Promise.all([auth.login('mac', password), auth.login('boss', password)]);
    const lock = await hold(t, "SELECT GET_LOCK('duolu.change.duolu', 10)");
    const asked = [
      post(mac, '/api/streams/live/demo/key'),
      post(mac, '/api/grants', { user: 'eve', app: 'live', name: 'demo', rights: ['view'] }),
      post(boss, '/api/streams', { name: 'late' }),
    ];
    await until(() => waitingForLock() === asked.length, 'all to have been admitted');
    sql(`DELETE FROM grants WHERE user_id = ${idOf('mac')}; UPDATE users SET admin = 0 WHERE name = 'boss'`);
    await lock.release();
    for (const { status, json } of await Promise.all(asked))
      assert.deepEqual([status, json.error], [403, 'forbidden'], json.message);
    assert.equal((await mayPublish(key)).allow, true, 'the owner\'s key is valid');
    assert.equal(Number(one(`SELECT COUNT(*) FROM grants WHERE user_id = ${idOf('eve')}`)), 0);
    assert.equal(one("SELECT COUNT(*) FROM streams WHERE name = 'late'"), '0');
  });

  test('makes no user and sets no limit', DEADLINE, async (t) => {
    addUser('bea', 1);
    const bea = await auth.login('bea', password);
    const lock = await hold(t, "SELECT GET_LOCK('duolu.change.duolu', 10)");
    const asked = [
      post(bea, '/api/users', { name: 'mole', password, admin: true }),
      post(bea, '/api/users/eve', { max_publishers: 7 }),
      post(bea, '/api/streams/live/demo', { max_kbps: 7 }),
    ];
    await until(() => waitingForLock() === asked.length, 'all to have been admitted');
    sql("UPDATE users SET disabled = 1 WHERE name = 'bea'");
    await lock.release();
    for (const { status, json } of await Promise.all(asked))
      assert.deepEqual([status, json.error], [403, 'forbidden'], json.message);
    assert.equal(one("SELECT COUNT(*) FROM users WHERE name = 'mole' OR max_publishers = 7"), '0');
  });
});

describe('a login under way', () => {
  const logins = (name, count) => Array.from({ length: count }, (_, i) => auth.api('POST', '/api/login',
    { body: { name, password }, headers: { REMOTE_ADDR: `198.51.100.${i + 1}` } }));
  const parked = 2;         // half of the threads check passwords at once
  const cookieOf = ({ headers }) => headers['set-cookie'].split(';')[0];
  const holds = async (cookie) => (await auth.api('GET', '/api/me', { cookie })).status === 200;

  const changes = {
    'the password was changed': (name) =>
      `UPDATE users SET password_hash = '${hash.replace(/.$/, '_')}' WHERE name = '${name}'`,
    'the user was disabled': (name) => `UPDATE users SET disabled = 1 WHERE name = '${name}'`,
    'the user was disabled, and enabled again': (name) =>
      `UPDATE users SET disabled = 1 WHERE name = '${name}'; UPDATE users SET disabled = 0 WHERE name = '${name}'`,
  };
  Object.entries(changes).forEach(([event, change], i) => {
    test(`fails when ${event}`, DEADLINE, async (t) => {
      const name = `lou${i}`;
      addUser(name);
      // each has checked the password and is about to write its session
      const lock = await hold(t, 'LOCK TABLES web_sessions READ');
      const asked = logins(name, parked);
      await until(
        () =>
          Number(
            one(
              "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'DELETE FROM web_sessions " +
                "WHERE expires_at%'",
            ),
          ) === parked,
        'all to be there',
      );
      sql(change(name));
      await lock.release();
      for (const { status, json } of await Promise.all(asked))
        assert.deepEqual([status, json.error], [409, 'changed'], json.message);
      assert.equal(one(`SELECT COUNT(*) FROM web_sessions WHERE user_id = ${idOf(name)}`), '0');
    });
  });

  test('ends when the password changes, at whichever step it is', DEADLINE, async (t) => {
    let made = 0;
    for (let round = 0; round < 8; round++) {
      const name = `pam${round}`;
      addUser(name);
      const asked = logins(name, 8);
      // when the first has logged in, the others are at various steps
      if (round % 2) await Promise.any(asked.map(async (login) => assert.equal((await login).status, 200)));
      await auth.done(['user', 'passwd', name, '--password-stdin'], 'another one entirely\n');
      for (const answer of await Promise.all(asked)) {
        if (answer.status !== 200) continue;
        made++;
        assert.equal(await holds(cookieOf(answer)), false, `round ${round}`);
      }
      assert.equal(one(`SELECT COUNT(*) FROM web_sessions WHERE user_id = ${idOf(name)}`), '0', `round ${round}`);
    }
    t.diagnostic(`${made} of 64 logins got a cookie, none is valid`);
    assert.ok(made > 0);
  });

  test('a user who was disabled and enabled by hand has to log in again', DEADLINE, async () => {
    addUser('ned');
    const cookie = await auth.login('ned', password);
    sql("UPDATE users SET disabled = 1 WHERE name = 'ned'");
    await until(
      () => one(`SELECT COUNT(*) FROM web_sessions WHERE user_id = ${idOf('ned')}`) === '0',
      'the logins to go',
    );
    sql("UPDATE users SET disabled = 0 WHERE name = 'ned'");
    assert.equal(await holds(cookie), false);
  });
});

describe('a value read before a change', () => {
  test('is not written back over it', DEADLINE, async (t) => {
    await auth.done(['stream', 'set', 'live/demo', 'visibility=public', 'max_kbps=100']);
    const admin = await auth.login('admin', password);
    const lock = await hold(t, "SELECT GET_LOCK('duolu.change.duolu', 10)");
    const asked = [
      post(admin, '/api/streams/live/demo', { visibility: 'private' }),
      post(admin, '/api/streams/live/demo', { title: 'Front' }),
      auth.done(['stream', 'set', 'live/demo', 'max_kbps=200']),
      post(admin, '/api/users/eve', { max_publishers: 3 }),
      auth.done(['user', 'set', 'eve', 'rec_quota=1g']),
    ];
    await until(() => waitingForLock() === asked.length, 'all to have read');
    await lock.release();
    await Promise.all(asked);
    assert.deepEqual(sql("SELECT title, visibility, max_kbps FROM streams WHERE name = 'demo'"), [
      ['Front', 'private', '200'],
    ]);
    assert.deepEqual(sql("SELECT max_publishers, rec_quota FROM users WHERE name = 'eve'"), [['3', String(2 ** 30)]]);
  });

  test('makes no token that is younger than the request', DEADLINE, async (t) => {
    const cookie = await auth.login('owner', password);
    const lock = await hold(t, 'LOCK TABLES streams WRITE');
    const began = Math.floor(Date.now() / 1000);
    const asking = auth.api('GET', '/api/streams', { cookie });
    const now = () => Math.floor(Date.now() / 1000);
    await until(() => now() >= began + 2, 'time to pass');
    await lock.release();
    const { play } = (await asking).json.streams.find(({ name }) => name === 'demo');
    const { iat } = JSON.parse(Buffer.from(play.split('/')[2].split('.')[1], 'base64url'));
    assert.ok(iat <= began + 1, `${iat} is after ${began}: a revocation in between would not void it`);
  });
});

describe('a change whose connection to the database is lost', () => {
  // Between duoluctl and the database: kills the connection before statement number `at` of a transaction.
  async function cutter(t) {
    const cut = { at: -1, seen: 0, before() {} };
    const server = createServer((client) => {
      let counting = false;
      const upstream = createConnection(database.socket);
      client.on('data', (data) => {
        counting ||= data.includes('START TRANSACTION');
        if (counting && cut.seen++ === cut.at) {
          sql(`KILL ${one("SELECT IS_USED_LOCK('duolu.change.duolu')")}`);
          cut.before();
        }
        upstream.write(data);
      });
      upstream.on('data', (data) => client.write(data));
      for (const [from, other] of [
        [client, upstream],
        [upstream, client],
      ])
        from.on('error', () => {}).on('close', () => other.destroy());
    });
    const socket = path.join(auth.home, 'cutter.sock');
    server.listen(socket);
    await once(server, 'listening');
    t.after(() => server.close());
    const through = new Auth(`mysql://duolu@localhost/duolu?socket=${socket}`, { DUOLU_HOME: auth.home });
    through.remove();       // removes its own home; it uses the other's
    return { cut, ctl: (args) => { cut.seen = 0; return through.ctl(args); } };
  }

  const grants = () => sql(`SELECT rights FROM grants WHERE user_id = ${idOf('eve')}`);
  const revocations = () => sql(`SELECT at FROM revocations WHERE user_id = ${idOf('eve')} AND stream_id > 0`);

  test('is not made on another connection, without its lock', DEADLINE, async (t) => {
    const { cut, ctl } = await cutter(t);
    await auth.done(['grant', 'eve', 'live/demo', 'view']);
    sql('DELETE FROM revocations');
    cut.at = 0;
    const holder = new Promise((resolve) => {
      cut.before = () => resolve(hold(t, "SELECT GET_LOCK('duolu.change.duolu', 10)"));
    });
    const { code, stderr } = await ctl(['revoke', 'eve', 'live/demo']);
    const lock = await holder;
    assert.equal(code, 6, stderr);
    assert.deepEqual([grants(), revocations()], [[['view']], []], 'another has the lock: nothing is changed');
    await lock.release();
  });

  test('is made as a whole or not at all, at whichever statement the connection was lost', DEADLINE, async (t) => {
    const { cut, ctl } = await cutter(t);
    const codes = [];
    do {
      await auth.done(['grant', 'eve', 'live/demo', 'view']);
      sql('DELETE FROM revocations');
      cut.at = codes.length;
      const { code, stderr } = await ctl(['revoke', 'eve', 'live/demo']);
      codes.push(code);
      if (code !== 0) assert.equal(code, 6, stderr);
      assert.deepEqual(
        [grants().length, revocations().length],
        code ? [1, 0] : [0, 1],
        `statement ${cut.at}: ${stderr}`,
      );
    } while (codes.at(-1) !== 0);
    t.diagnostic(`${codes.length - 1} statements of a change, lost before each`);
    assert.ok(codes.length > 8, codes.join());
  });
});

describe('a manager who guesses names', () => {
  test('soon has to wait, appears in the audit, and learns nothing by revoking', DEADLINE, async () => {
    addUser('spy');
    await auth.done(['grant', 'spy', 'live/demo', 'manage']);
    const spy = await auth.login('spy', password);
    const grant = async (cookie, grantee, method = 'POST') =>
      await post(cookie, '/api/grants', { ...grantee, app: 'live', name: 'demo', rights: ['view'] }, method);
    for (const grantee of [{ user: 'nobody' }, { user: 'joe' }, { group: 'none' }]) {
      const { status, json } = await grant(spy, grantee, 'DELETE');
      assert.deepEqual([status, json.message], [404, 'There is no grant like this.']);
    }
    // right names in between neither count nor reset the count
    for (let i = 0; i < 8; i++) {
      assert.equal((await grant(spy, { user: 'joe' })).status, 200);
      assert.equal((await grant(spy, i % 2 ? { user: `guess${i}` } : { group: `guess${i}` })).status, 404);
    }
    for (const grantee of [{ user: 'guess9' }, { user: 'joe' }, { user: 'eve' }]) {
      const { status, json, headers } = await grant(spy, grantee);
      assert.deepEqual([status, json.error, headers['retry-after'] > 0], [429, 'backoff', true], json.message);
    }
    assert.equal(
      one("SELECT COUNT(*) FROM audit WHERE actor = 'spy' AND outcome = 'denied' AND reason = 'no such name'"),
      '10',
    );
    for (let i = 0; i < 12; i++)
      assert.equal((await grant(await admin(), { user: `guess${i}` })).status, 404, 'an admin may list users anyway');
    await auth.done(['revoke', 'spy', 'live/demo']);
  });

  let cookie;
  const admin = async () => { cookie ??= await auth.login('admin', password); return cookie; };
});
