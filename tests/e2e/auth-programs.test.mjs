// The programs duolu-auth and duoluctl against a real MariaDB: migrations, commands,
// settings, start and end, and a database over TCP.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { chmodSync, readFileSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Auth, password, Service } from '../lib/auth.mjs';
import { freePort, repo } from '../lib/nginx.mjs';

const service = new Service();
const { sql } = service;
let database;
let auth;
let key;        // of live/demo, whose owner is admin


before(async () => {
  await service.start({
    users: [['admin', '--admin'], ['bob'], ['eve']],
    async prepare() {
      ({ auth, database } = service);
      ({ key } = await auth.done(['stream', 'add', 'live/demo', '--owner', 'admin', '--json']));
    },
  });
});

after(() => service.stop());

const migrations = readdirSync(path.join(repo, 'sql')).filter((name) => name.endsWith('.sql')).sort();

describe('migrations', () => {
  test('three more runs at once apply nothing', async () => {
    const runs = await Promise.all([auth.migrate(), auth.migrate(), auth.migrate()]);
    for (const { code, stderr } of runs) {
      assert.equal(code, 0, stderr);
      assert.match(stderr, /0 applied/);
    }
    const rows = sql('SELECT version, name FROM schema_version');
    assert.deepEqual(rows, migrations.map((name) => [String(Number(name.slice(0, 3))), name]));
  });

  test('two at once on an empty database: one applies, one waits', async () => {
    const other = new Auth(database.create('fresh'));
    try {
      const runs = await Promise.all([other.migrate(), other.migrate()]);
      assert.deepEqual(runs.map(({ code }) => code), [0, 0]);
      assert.deepEqual(runs.map(({ stderr }) => /(\d+) applied/.exec(stderr)[1]).sort(), [
        '0',
        String(migrations.length),
      ]);
    } finally { other.remove(); }
  });

  test('duolu-auth refuses a database that a newer Duolu made', async () => {
    sql("INSERT INTO schema_version (version, name) VALUES (900, '900_future.sql')");
    const { code, stderr } = await auth.migrate();
    sql('DELETE FROM schema_version WHERE version = 900');
    assert.equal(code, 1);
    assert.match(stderr, /schema version 900.*newer Duolu/);
  });

  test('every table is InnoDB, utf8mb4 and has a primary key', () => {
    const tables = sql(
      "SELECT t.table_name, engine, table_collation, (SELECT COUNT(*) FROM information_schema.table_constraints c " +
        "WHERE c.table_schema = t.table_schema AND c.table_name = t.table_name AND constraint_type = 'PRIMARY " +
          "KEY') FROM information_schema.tables t WHERE t.table_schema = 'duolu'",
    );
    assert.ok(tables.length >= 10);
    for (const row of tables) assert.deepEqual(row.slice(1), ['InnoDB', 'utf8mb4_bin', '1'], row[0]);
  });

  test('the table of grants takes only one user or group, and one stream or app', () => {
    for (const values of [
      "NULL, NULL, NULL, 'live'",
      '1, NULL, NULL, NULL',
      "1, 1, NULL, 'live'",
      "1, NULL, 1, 'live'",
    ]) {
      assert.throws(
        () => sql(`INSERT INTO grants (user_id, group_id, stream_id, app, rights) VALUES (${values}, 'view')`),
        /CONSTRAINT|foreign key/,
      );
    }
  });
});

describe('duoluctl', () => {
  test('user add makes each user once and shows the password once', async () => {
    const made = await auth.done(['user', 'add', 'mia', '--json']);
    assert.match(made.password, /^[\w-]{16}$/);
    await auth.login('mia', made.password);
    const again = await auth.ctl(['user', 'add', 'mia', '--password-stdin'], `${password}\n`);
    assert.deepEqual([again.code, again.stderr], [3, 'duoluctl: user mia exists already\n']);
    const cookie = await auth.login('mia', made.password);
    await auth.done(['user', 'passwd', 'mia', '--password-stdin'], `${password} 2\n`);
    assert.equal((await auth.api('GET', '/api/me', { cookie })).status, 401);
    await auth.login('mia', `${password} 2`);
    const { users } = await auth.done(['user', 'list', '--json']);
    assert.deepEqual(
      users.find(({ name }) => name === 'admin'),
      { name: 'admin', display_name: '', admin: true, disabled: false, max_publishers: 0, rec_quota: 0 },
    );
    assert.match(await auth.done(['user', 'list']), /^mia +user +enabled$/m);
  });

  test('stream add prints the key on its own line and in the URL', async () => {
    const text = await auth.done(['stream', 'add', 'live/lines', '--owner', 'bob', '--title', 'Back door']);
    const lines = Object.fromEntries(
      text
        .trim()
        .split('\n')
        .map((line) => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)]),
    );
    assert.equal(lines.stream, 'live/lines');
    assert.equal(lines.owner, 'bob');
    assert.equal(lines.server, 'rtmp://127.0.0.1:1935/live');
    assert.equal(lines.name, `lines?key=${lines.key}`);
    assert.equal(lines.url, `rtmp://127.0.0.1:1935/live/lines?key=${lines.key}`);
    assert.equal((await auth.gate('publish', { NAME: 'lines', ARGS: `key=${lines.key}` })).json.allow, true);
    assert.equal((await auth.ctl(['stream', 'add', 'live/lines', '--owner', 'bob'])).code, 3);
    const { streams } = await auth.done(['stream', 'list', '--json']);
    assert.equal(streams.find(({ name }) => name === 'lines').title, 'Back door');
  });

  test('url makes addresses only for users who may view', async () => {
    const refused = await auth.ctl(['url', 'bob', 'live/demo', 'view']);
    assert.deepEqual([refused.code, refused.stdout], [5, '']);
    assert.match(refused.stderr, /user bob may not view live\/demo/);
    await auth.done(['grant', 'bob', 'live/demo', 'view']);
    const url = (await auth.done(['url', 'bob', 'live/demo', 'view', '--format', 'flv', '--ttl', '60'])).trim();
    const [, token] = /^http:\/\/127\.0\.0\.1:8080\/m\/([^/]+)\/live\/demo\.flv$/.exec(url);

    // the token has the form that nginx expects, signed with the first key of the file
    const [, kid, hex] = /^(\S+) ([0-9a-f]{64})$/m.exec(
      readFileSync(path.join(auth.home, 'secrets/token.keys'), 'utf8'),
    );
    const [head, body, mac] = token.split('.');
    assert.deepEqual(JSON.parse(Buffer.from(head, 'base64url')), { alg: 'HS256', kid });
    const claims = JSON.parse(Buffer.from(body, 'base64url'));
    assert.deepEqual([claims.sub, claims.s, claims.a, claims.exp - claims.iat], ['2', 'live/demo', 'view', 60]);
    assert.equal(mac, createHmac('sha256', Buffer.from(hex, 'hex')).update(`${head}.${body}`).digest('base64url'));
    assert.equal(statSync(path.join(auth.home, 'secrets/token.keys')).mode & 0o777, 0o600);
    assert.match(
      await auth.done(['url', 'bob', 'live/demo', 'view', '--format', 'hls']),
      /^http:\/\/127\.0\.0\.1:8080\/m\/[\w-]+\.[\w-]+\.[\w-]+\/live\/demo\/index\.m3u8\n$/,
    );
    await auth.done(['revoke', 'bob', 'live/demo']);
  });

  test('an error of usage names the argument, its value and the expected form', async () => {
    for (const [args, code, words] of [
      [[], 2, /usage: duoluctl COMMAND/],
      [['fly'], 2, /no command "fly"/],
      [['user', 'add'], 2, /0 arguments given; expected 1; usage: duoluctl user add NAME/],
      [['user', 'add', 'a', 'b'], 2, /one argument too many: "b"/],
      [['user', 'add', 'a b', '--password-stdin'], 2, /user name "a b"; expected 1 to 64/],
      [['user', 'add', 'tom', '--password-stdin'], 2, /password has 5 bytes; expected 8 to 256/],
      [['user', 'add', 'tom', '--owner', 'x'], 2, /unknown option "--owner"/],
      [['user', 'disable', 'nobody'], 4, /user nobody does not exist/],
      [['stream', 'add', 'live/x'], 2, /missing option "--owner"/],
      [['stream', 'add', 'live', '--owner', 'bob'], 2, /stream "live"; expected APP\/NAME/],
      [['stream', 'add', 'live/..', '--owner', 'bob'], 2, /stream "live\/\.\."; expected APP\/NAME/],
      [['stream', 'add', 'live/x', '--owner'], 2, /no value after "--owner"/],
      [['stream', 'add', 'live/x', '--owner', 'nobody'], 4, /user nobody does not exist/],
      [['stream', 'set', 'live/demo', 'record=maybe'], 2, /record is "maybe"; expected never, always or demand/],
      [['stream', 'set', 'live/demo', 'max_kbps=-1'], 2, /max_kbps is "-1"; expected a number/],
      [['stream', 'set', 'live/demo', 'colour=red'], 2, /setting "colour=red"; expected title=/],
      [['stream', 'set', 'live/none', 'record=never'], 4, /stream live\/none does not exist/],
      [['stream', 'key', 'revoke', 'live/demo', 'x'], 2, /key id "x"; expected a number/],
      [['stream', 'key', 'revoke', 'live/demo', '99999'], 4, /valid key 99999 of stream live\/demo does not exist/],
      [['grant', 'bob', 'live/demo', 'fly'], 2, /rights "fly"; expected one or more of publish, view, replay, manage/],
      [['grant', 'group:none', 'live/demo', 'view'], 4, /group none does not exist/],
      [['revoke', 'bob', 'live/demo'], 4, /a grant of bob on live\/demo does not exist/],
      [['url', 'bob', 'live/demo', 'view', '--format', 'ts'], 2, /--format "ts"; expected flv, hls or rtmp/],
      [['url', 'bob', 'live/demo', 'view', '--ttl', '0'], 2, /--ttl "0"; expected seconds/],
    ]) {
      const answer = await auth.ctl(args, 'short\n');
      assert.equal(answer.code, code, `${args.join(' ')}: ${answer.stderr}`);
      assert.match(answer.stderr, words);
      assert.equal(answer.stdout, '');
    }
    assert.equal((await auth.ctl(['help'])).code, 0);
  });

  test('duolu-auth refuses wrong settings at its start', async () => {
    for (const [environment, words] of [
      [{ DUOLU_DB: 'postgres://x' }, /DUOLU_DB: does not start with mysql:\/\//],
      [{ DUOLU_GATE_THREADS: '0' }, /DUOLU_GATE_THREADS is "0"; expected a number from 1 to 256/],
      [{ DUOLU_RTMPS: '0' }, /DUOLU_RTMPS is "0"; expected a number from 1 to 65535/],
      [{ DUOLU_RTMP: 'x' }, /DUOLU_RTMP is "x"; expected a number from 1 to 65535/],
      [{ DUOLU_HOME: `/tmp/${'x'.repeat(100)}` }, /use a shorter DUOLU_HOME/],
      [{ DUOLU_EDGES: 'https://edge.example http://edge.example:80' }, /DUOLU_EDGES: number 2 is none; expected unix:/],
      [{ DUOLU_EDGES: 'http://127.0.0.1:80@edge.example' }, /DUOLU_EDGES: number 1 is none/],
      [{ DUOLU_EDGES: 'unix:/a '.repeat(17) }, /DUOLU_EDGES has too many; expected at most 16/],
    ]) {
      const other = new Auth('mysql://duolu@localhost/duolu?socket=/nowhere', environment);
      try {
        const { code, stderr } = await other.migrate();
        assert.deepEqual([code, words.test(stderr)], [2, true], stderr);
      } finally { other.remove(); }
    }
  });
});

describe('life of the service', () => {
  test('duolu-auth ends cleanly within seconds, even with requests under way', async () => {
    const login = auth.api('POST', '/api/login', { body: { name: 'nobody', password } }).catch(() => null);
    const took = await auth.stop();
    await login;
    // duolu-auth needs less than a second; a busy machine and the leak check take longer
    assert.ok(took < 10_000, `${took} ms`);
    assert.throws(() => statSync(auth.gateSocket), /ENOENT/);
    await auth.start();
  });

  test('duolu-auth takes over the socket of a crashed process, not one in use', async () => {
    await auth.stop('SIGKILL');
    assert.ok(statSync(auth.gateSocket).isSocket());
    await auth.start();

    const second = new Auth(auth.environment.DUOLU_DB, { DUOLU_HOME: auth.home });
    await assert.rejects(second.start(), /in use: another duolu-auth runs with this DUOLU_HOME/);
    second.process = null;
    second.remove();
    assert.equal((await auth.gate('publish', { ARGS: `key=${key}` })).json.allow, true);
  });
});

describe('a database over TCP', () => {
  const made = [];
  const at = (name) => path.join(database.root, name);
  const openssl = (...args) => execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const certificate = (name, address) => {
    openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', `/CN=${name}`,
      '-addext', `subjectAltName=${address}`, '-keyout', at(`${name}.key`), '-out', at(`${name}.crt`));
    chmodSync(at(`${name}.key`), 0o644);
  };
  // runs `user list` over this DSN
  const ask = async (dsn) => {
    const client = new Auth(dsn);
    made.push(client);
    return client.ctl(['user', 'list']);
  };

  let port;

  before(async () => {
    certificate('right', 'IP:127.0.0.1,DNS:localhost');
    certificate('elsewhere', 'IP:192.0.2.1,DNS:elsewhere.example');
    database.query(
      "CREATE USER remote@'127.0.0.1' IDENTIFIED BY 'pass word'; GRANT ALL ON duolu.* TO remote@'127.0.0.1';",
    );
  });

  after(() => { for (const client of made) client.remove(); });

  const restart = async (name) => {
    port = await freePort();
    await database.stop();
    await database.start(['--bind-address=127.0.0.1', `--port=${port}`,
      ...(name ? [`--ssl-cert=${at(`${name}.crt`)}`, `--ssl-key=${at(`${name}.key`)}`] : [])]);
  };
  const dsn = (ca, host = '127.0.0.1') =>
    `mysql://remote:pass%20word@${host}:${port}/duolu${ca ? `?ca=${at(`${ca}.crt`)}` : ''}`;

  test('duoluctl uses a server whose certificate it can verify', async () => {
    await restart('right');
    for (const host of ['127.0.0.1', 'localhost']) {
      const { code, stdout, stderr } = await ask(dsn('right', host));
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^admin +admin/m);
    }
  });

  test('duoluctl refuses an unknown certificate', async () => {
    for (const ca of ['', 'elsewhere']) {
      const { code, stdout, stderr } = await ask(dsn(ca));
      assert.deepEqual([code, stdout], [6, ''], stderr);
      assert.match(stderr, /certificate|TLS|SSL/i);
      assert.ok(!stderr.includes('pass word'));
    }
  });

  test('duoluctl refuses the certificate of another host', async () => {
    await restart('elsewhere');
    const { code, stdout, stderr } = await ask(dsn('elsewhere'));
    assert.deepEqual([code, stdout], [6, ''], stderr);
  });

  test('duoluctl refuses a server without TLS', async () => {
    await restart();
    const { code, stdout, stderr } = await ask(dsn('right'));
    assert.deepEqual([code, stdout], [6, ''], stderr);
    assert.match(stderr, /SSL|TLS/i);
  });
});
