// The gate and the page's API of duolu-auth against a real MariaDB, also while the database is down.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { password, Service } from '../lib/auth.mjs';
import { fcgi } from '../lib/fcgi.mjs';
import { until } from '../lib/nginx.mjs';

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

// The newest audit row of an action: outcome, target, address, reason, actor.
function audit(action) {
  const [row] = sql(
    `SELECT outcome, target, address, reason, actor FROM audit WHERE action = '${action}' ORDER BY id DESC LIMIT 1`,
  );
  return row;
}

const auditCount = () => Number(sql('SELECT COUNT(*) FROM audit')[0][0]);

describe('gate', () => {
  test('the right key may publish, and leaves one session row and one audit row', async () => {
    const rows = auditCount();
    const answer = await auth.gate('publish', { ARGS: `key=${key}`, SESSION: 'pub-1' });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['content-type'], 'application/json');
    assert.deepEqual(answer.json, {
      allow: true,
      uid: 1,
      stream: 1,
      not_before: 0,
      key: 1,
      record: false,
      max_kbps: 50_000,
      max_viewers: 0,
      max_publishers: 0,
    }); // 50 Mbit/s by default
    assert.equal(auditCount(), rows + 1);
    assert.deepEqual(audit('publish'), ['ok', 'live/demo', '192.0.2.7', '', 'admin']);
    assert.deepEqual(sql("SELECT kind, user_id, address, ended_at FROM sessions WHERE gate_session = 'pub-1'"), [
      ['publish', '1', '192.0.2.7', 'NULL'],
    ]);

    const done = await auth.gate('done', {
      KIND: 'publish',
      SESSION: 'pub-1',
      BYTES: '123456789012',
      SECONDS: '61',
      REASON: 'closed',
    });
    assert.deepEqual(done.json, { allow: true });
    assert.deepEqual(
      sql("SELECT bytes, seconds, reason, ended_at IS NOT NULL FROM sessions WHERE gate_session = 'pub-1'"),
      [['123456789012', '61', 'closed', '1']],
    );
  });

  test('the answer has the recording policy and the limits of the stream', async () => {
    await auth.done(['stream', 'set', 'live/demo', 'record=always', 'max_kbps=8000', 'max_viewers=5']);
    await auth.done(['user', 'set', 'admin', 'max_publishers=2']);
    const { json } = await auth.gate('publish', { ARGS: `key=${key}` });
    assert.deepEqual(json, {
      allow: true,
      uid: 1,
      stream: 1,
      not_before: 0,
      key: 1,
      record: true,
      max_kbps: 8000,
      max_viewers: 5,
      max_publishers: 2,
    });
    await auth.done(['stream', 'set', 'live/demo', 'record=never', 'max_kbps=0', 'max_viewers=0']);
    await auth.done(['user', 'set', 'admin', 'max_publishers=0']);
  });

  test('each refusal has its reason, one audit row and one log line', async () => {
    const other = await auth.done(['stream', 'add', 'live/other', '--owner', 'admin', '--json']);
    const bobs = await auth.done(['stream', 'add', 'live/bobs', '--owner', 'bob', '--json']);
    const revoked = await auth.done(['stream', 'key', 'add', 'live/demo', '--label', 'old phone', '--json']);
    const { keys } = await auth.done(['stream', 'key', 'list', 'live/demo', '--json']);
    await auth.done([
      'stream',
      'key',
      'revoke',
      'live/demo',
      String(keys.find(({ label }) => label === 'old phone').id),
    ]);
    const eves = await auth.done(['stream', 'key', 'add', 'live/demo', '--user', 'eve', '--json']);

    const longName = 'n'.repeat(129);
    const cases = [
      [{ ARGS: '' }, 'no key'],
      [{ ARGS: 'key=' }, 'no key'],
      [{ ARGS: 'token=x' }, 'no key'],
      [{ ARGS: 'key=AAAAAAAAAAAAAAAAAAAAAA' }, 'wrong key'],
      [{ ARGS: `key=${key.toLowerCase()}x` }, 'wrong key'],
      [{ ARGS: `key=${other.key}` }, 'wrong key'],
      [{ ARGS: `key=${'k'.repeat(60_000)}` }, 'wrong key'],
      [{ ARGS: 'key=%zz' }, 'wrong key'],
      [{ ARGS: "key=' OR 1=1 -- " }, 'wrong key'],
      [{ ARGS: `key=${revoked.key}` }, 'key revoked'],
      [{ ARGS: `key=${eves.key}` }, 'no right to publish'],
      [{ APP: 'nowhere', ARGS: `key=${key}` }, 'unknown app'],
      [{ APP: '', ARGS: `key=${key}` }, 'unknown app'],
      [{ APP: "x' OR '1'='1", ARGS: `key=${key}` }, 'unknown app'],
      [{ APP: 'Live', ARGS: `key=${key}` }, 'unknown app'],
      [{ NAME: 'nothing', ARGS: `key=${key}` }, 'unknown stream'],
      [{ NAME: 'Demo', ARGS: `key=${key}` }, 'unknown stream'],
      [{ NAME: 'a/b', ARGS: `key=${key}` }, 'bad stream name'],
      [{ NAME: '..', ARGS: `key=${key}` }, 'bad stream name'],
      [{ NAME: 'a\nforged info line', ARGS: `key=${key}` }, 'bad stream name'],
      [{ NAME: longName, ARGS: `key=${key}` }, 'bad stream name'],
      [{ NAME: Buffer.from([0xff, 0xfe]), ARGS: `key=${key}` }, 'bad stream name'],
      [{ SESSION: '', ARGS: `key=${key}` }, 'bad session id'],
      [{ SESSION: 's'.repeat(65), ARGS: `key=${key}` }, 'bad session id'],
    ];

    for (const [params, reason] of cases) {
      const rows = auditCount();
      const lines = auth.lines.length;
      const answer = await auth.gate('publish', { REMOTE_ADDR: '198.51.100.9', ...params });
      assert.equal(answer.status, 200);
      assert.deepEqual(answer.json, { allow: false, reason }, JSON.stringify(params).slice(0, 80));
      assert.equal(auditCount(), rows + 1);
      const [outcome, , address, audited] = audit('publish');
      assert.deepEqual([outcome, address, audited], ['denied', '198.51.100.9', reason]);
      const logged = auth.lines.slice(lines).filter((line) => line.includes(' gate '));
      assert.equal(logged.length, 1, logged.join('\n'));
      assert.match(logged[0], /gate publish denied address=198\.51\.100\.9 stream="/);
      assert.ok(logged[0].endsWith(`reason="${reason}"`));
      assert.ok(!logged[0].includes(key));
    }

    await auth.done(['user', 'disable', 'bob']);
    const disabled = await auth.gate('publish', { NAME: 'bobs', ARGS: `key=${bobs.key}` });
    assert.deepEqual(disabled.json, { allow: false, reason: 'user disabled' });
    await auth.done(['user', 'enable', 'bob']);
    assert.equal((await auth.gate('publish', { NAME: 'bobs', ARGS: `key=${bobs.key}` })).json.allow, true);

    // a grant lets eve publish, revoking it stops her
    await auth.done(['grant', 'eve', 'live/demo', 'publish']);
    assert.equal((await auth.gate('publish', { ARGS: `key=${eves.key}` })).json.allow, true);
    await auth.done(['revoke', 'eve', 'live/demo']);
    assert.equal((await auth.gate('publish', { ARGS: `key=${eves.key}` })).json.reason, 'no right to publish');
  });

  test('rotating the key revokes all older keys of the stream', async () => {
    const first = await auth.done(['stream', 'add', 'live/rotated', '--owner', 'admin', '--json']);
    const second = await auth.done(['stream', 'key', 'rotate', 'live/rotated', '--json']);
    const ask = async (value) => (await auth.gate('publish', { NAME: 'rotated', ARGS: `key=${value}` })).json;
    assert.equal((await ask(first.key)).reason, 'key revoked');
    assert.equal((await ask(second.key)).allow, true);
    assert.match(second.key, /^[A-Za-z0-9_-]{22}$/);
  });

  test('an RTMP player needs a token for this stream', async () => {
    const token = (await auth.done(['url', 'admin', 'live/demo', 'view', '--format', 'rtmp']))
      .trim()
      .split('token=')[1];
    const short = (await auth.done(['url', 'admin', 'live/demo', 'view', '--format=rtmp', '--ttl=1']))
      .trim()
      .split('token=')[1];
    const play = async (params) => (await auth.gate('play', params)).json;

    assert.deepEqual(await play({ ARGS: `token=${token}` }), { allow: true, uid: 1, stream: 1, not_before: 0 });
    assert.deepEqual(audit('play'), ['ok', 'live/demo', '192.0.2.7', '', 'admin']);

    // the same claims under "alg":"none", and signed with another key
    const [, claims] = token.split('.');
    const none = `${Buffer.from('{"alg":"none","kid":"k1"}').toString('base64url')}.${claims}.`;
    const head = `${token.split('.')[0]}.${claims}`;
    const forged = `${head}.${createHmac('sha256', 'guess').update(head).digest('base64url')}`;

    for (const [params, reason] of [
      [{ ARGS: '' }, 'no token'],
      [{ ARGS: 'token=' }, 'wrong token'],
      [{ ARGS: `token=${none}` }, 'wrong token'],
      [{ ARGS: `token=${forged}` }, 'wrong token'],
      [{ ARGS: `token=${'A'.repeat(65_000)}` }, 'wrong token'],
      [{ NAME: 'other', ARGS: `token=${token}` }, 'token of another stream'],
      [{ NAME: 'nothing', ARGS: `token=${token}` }, 'unknown stream'],
    ]) {
      assert.deepEqual(await play(params), { allow: false, reason }, JSON.stringify(params).slice(0, 80));
    }

    // expiry has whole seconds: ask until it has passed
    let late;
    do { late = await play({ ARGS: `token=${short}` }); } while (late.allow);
    assert.deepEqual(late, { allow: false, reason: 'token expired' });
  });

  test('a token is void when the right is revoked or the user disabled', async () => {
    await auth.done(['grant', 'eve', 'live/demo', 'view']);
    const token = (await auth.done(['url', 'eve', 'live/demo', 'view', '--format', 'rtmp'])).trim().split('token=')[1];
    const play = async () => (await auth.gate('play', { ARGS: `token=${token}` })).json;
    assert.equal((await play()).allow, true);
    await auth.done(['revoke', 'eve', 'live/demo', 'view']);
    assert.equal((await play()).reason, 'no right to view');
    await auth.done(['grant', 'eve', 'live/demo', 'view']);
    await auth.done(['user', 'disable', 'eve']);
    assert.equal((await play()).reason, 'user disabled');
    await auth.done(['user', 'enable', 'eve']);
    assert.equal((await play()).reason, 'token revoked');
    await auth.done(['revoke', 'eve', 'live/demo']);
  });

  test('the gate dates its answers behind the revocations that it knows; the next one is later than that', async () => {
    const { key: eves } = await auth.done(['stream', 'key', 'add', 'live/demo', '--user', 'eve', '--json']);
    const [[device]] = sql('SELECT MAX(id) FROM devices');
    const [[eve]] = sql("SELECT id FROM users WHERE name = 'eve'");
    await auth.done(['grant', 'eve', 'live/demo', 'view,publish']);
    const newest = (where) => Number(sql(`SELECT MAX(at) FROM revocations WHERE ${where}`)[0][0]);
    const hers = `device_id = 0 AND user_id IN (0, ${eve}) AND stream_id IN (0, 1)`;
    const publisher = async () => (await auth.gate('publish', { ARGS: `key=${eves}` })).json;
    const player = async () => {
      const url = await auth.done(['url', 'eve', 'live/demo', 'view', '--format', 'rtmp']);
      return (await auth.gate('play', { ARGS: `token=${url.trim().split('token=')[1]}` })).json;
    };
    for (const change of [
      ['user', 'revoke', 'eve'],
      ['stream', 'revoke', 'live/demo'],
      ['stream', 'key', 'revoke', 'live/demo', device],
    ]) {
      for (const answer of [await publisher(), await player()])
        assert.deepEqual([answer.allow, answer.not_before], [true, newest(hers)], JSON.stringify(answer));
      // as if that revocation were rounded up to a second that has not come yet
      sql(`UPDATE revocations SET at = UNIX_TIMESTAMP() + 20 WHERE at = ${newest(hers)} AND ${hers}`);
      const { not_before: before } = await publisher();
      await auth.done(change);
      assert.ok(newest(change[1] === 'key' ? `device_id = ${device}` : hers) > before, change.join(' '));
    }
    assert.equal((await publisher()).reason, 'key revoked');
    sql('UPDATE revocations SET at = UNIX_TIMESTAMP() WHERE at > UNIX_TIMESTAMP()');
    await auth.done(['revoke', 'eve', 'live/demo']);
  });

  test('the gate answers 500 questions at once', async () => {
    const answers = await Promise.all(Array.from({ length: 500 }, (_, i) => auth.gate('publish', {
      ARGS: `key=${i % 2 ? key : 'wrong'}`, SESSION: `many-${i}`,
    })));
    assert.equal(answers.filter(({ json }) => json.allow).length, 250);
    assert.equal(answers.filter(({ json }) => json.reason === 'wrong key').length, 250);
  });

  test('garbage and silent connections do not disturb the gate', async () => {
    const { createConnection } = await import('node:net');
    const silent = Array.from({ length: 4 }, () => createConnection(auth.gateSocket));
    await Promise.all(silent.map((socket) => once(socket, 'connect')));
    const garbage = createConnection(auth.gateSocket);
    garbage.on('error', () => { /* it may be cut off */ });
    garbage.end(Buffer.alloc(4096, 0xa5));
    assert.equal((await auth.gate('publish', { ARGS: `key=${key}` })).json.allow, true);
    for (const socket of silent) socket.destroy();
    assert.equal((await auth.gate('publish', { ARGS: `key=${key}` })).json.allow, true);
  });

  test('each socket answers only its own addresses', async () => {
    const onGate = await fcgi(auth.gateSocket, { SCRIPT_NAME: '/api/me', REQUEST_METHOD: 'GET' });
    assert.equal(onGate.json.allow, false);
    assert.match(onGate.json.reason, /unknown question/);
    const onApi = await fcgi(auth.apiSocket, {
      SCRIPT_NAME: '/gate/publish',
      REQUEST_METHOD: 'GET',
      APP: 'live',
      NAME: 'demo',
      ARGS: `key=${key}`,
      SESSION: 'x',
    });
    assert.equal(onApi.status, 404);
    assert.equal(onApi.json.allow, undefined);
    for (const socket of [auth.gateSocket, auth.apiSocket]) assert.equal(statSync(socket).mode & 0o777, 0o660);
  });
});

describe('without the database', () => {
  test('every thread of the gate reconnects after a restart of the database', async () => {
    const ask = (i) => auth.gate('publish', { ARGS: `key=${key}`, SESSION: `restart-${i}` });
    const many = () => Promise.all(Array.from({ length: 40 }, (_, i) => ask(i)));
    await many();       // every thread has its connection and its statements
    const cookie = await auth.login('admin', password);

    await database.stop();
    await database.start();
    for (const { json } of await many()) assert.equal(json.allow, true, JSON.stringify(json));
    assert.equal((await auth.api('GET', '/api/me', { cookie })).status, 200);
  });

  test('the gate refuses with a reason, and allows again as soon as the database is back', async () => {
    const cookie = await auth.login('admin', password);
    await database.stop('SIGKILL');

    const answer = await auth.gate('publish', { ARGS: `key=${key}` });
    assert.deepEqual(answer.json, { allow: false, reason: 'database unavailable' });
    assert.ok(auth.lines.some((line) => /reason="database unavailable"/.test(line)));
    const me = await auth.api('GET', '/api/me', { cookie });
    assert.equal(me.status, 503);
    assert.equal(me.json.error, 'database_unavailable');
    const login = await auth.api('POST', '/api/login', { body: { name: 'admin', password } });
    assert.equal(login.status, 503);
    const ctl = await auth.ctl(['user', 'list']);
    assert.equal(ctl.code, 6);
    assert.match(ctl.stderr, /database duolu@.*my\.sock/);

    await database.start();
    assert.equal((await auth.gate('publish', { ARGS: `key=${key}` })).json.allow, true);
    assert.equal((await auth.api('GET', '/api/me', { cookie })).status, 200);
  });

  test('the service prepares statements again on a new connection', async () => {
    const ask = async () => (await auth.gate('publish', { ARGS: `key=${key}` })).json;
    await ask();
    for (const [id] of sql("SELECT id FROM information_schema.processlist WHERE user = 'duolu'")) sql(`KILL ${id}`);
    for (let i = 0; i < 20; i++) assert.equal((await ask()).allow, true);
  });
});

describe('page API', () => {
  test('login, me, logout', async () => {
    const answer = await auth.api('POST', '/api/login', { body: { name: 'admin', password } });
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.json, { name: 'admin', admin: true });
    assert.equal(answer.headers['cache-control'], 'no-store');
    assert.match(
      answer.headers['set-cookie'],
      /^__Host-duolu=[A-Za-z0-9_-]{43}; Path=\/; Max-Age=\d+; Secure; HttpOnly; SameSite=Lax$/,
    );
    const cookie = answer.headers['set-cookie'].split(';')[0];

    // the database stores a hash, not the cookie
    const secret = cookie.split('=')[1];
    assert.equal(sql(`SELECT COUNT(*) FROM web_sessions WHERE token_hash = UNHEX(SHA2('${secret}', 256))`)[0][0], '1');

    const me = await auth.api('GET', '/api/me', { cookie: `other=1; ${cookie}; last=2` });
    assert.deepEqual([me.status, me.json], [
      200,
      { name: 'admin', display_name: '', admin: true, totp: false, publish: { rtmp: 1935, rtmps: 1936 } },
    ]);

    const out = await auth.api('POST', '/api/logout', { cookie });
    assert.equal(out.status, 200);
    assert.match(out.headers['set-cookie'], /Max-Age=0/);
    assert.equal((await auth.api('GET', '/api/me', { cookie })).status, 401);
  });

  test('a request without a valid cookie gets 401, and so does a wrong login', async () => {
    for (const cookie of [
      undefined,
      '__Host-duolu=',
      `__Host-duolu=${'A'.repeat(43)}`,
      `__Host-duolu=${'A'.repeat(9000)}`,
    ]) {
      const answer = await auth.api('GET', '/api/streams', { cookie });
      assert.equal(answer.status, 401);
      assert.equal(answer.json.error, 'login_required');
    }
    for (const body of [
      { name: 'admin', password: 'wrong password' },
      { name: 'nobody', password },
      { name: "' OR 1=1 -- ", password },
      { name: 'admin', password: 'x'.repeat(300) },
    ]) {
      const answer = await auth.api('POST', '/api/login', { body, headers: { REMOTE_ADDR: '203.0.113.5' } });
      assert.deepEqual([answer.status, answer.json.error], [401, 'bad_login']);
      assert.equal(answer.headers['set-cookie'], undefined);
    }
    const cookie = await auth.login('admin', password);
    sql('UPDATE web_sessions SET expires_at = UTC_TIMESTAMP()');
    assert.equal((await auth.api('GET', '/api/me', { cookie })).status, 401);
  });

  test('the API refuses new deceptive names and titles, and still manages old ones', async () => {
    const cookie = await auth.login('admin', password);
    const post = (address, body) => auth.api('POST', address, { cookie, body });
    for (const name of ["it's", 'cam\u202egnp.1', 'cam\u200b', 'cam\u00a01']) {
      const { status, json } = await post('/api/streams', { name });
      assert.deepEqual([status, json.error], [400, 'bad_name'], name);
      assert.match(json.message, /invisible/);
      assert.equal((await auth.ctl(['stream', 'add', `live/${name}`, '--owner', 'admin'])).code, 2, name);
    }
    for (const title of ['a\u202eb', 'a\nb', 'a\u200bb']) {
      assert.equal((await post('/api/streams/live/demo', { title })).json.error, 'bad_request');
      assert.equal((await post('/api/streams', { name: 'new', title })).json.error, 'bad_title');
      assert.equal((await auth.ctl(['stream', 'set', 'live/demo', `title=${title}`])).code, 2);
      assert.equal((await auth.ctl(['stream', 'key', 'add', 'live/demo', '--label', title])).code, 2);
    }

    const [[owner]] = sql("SELECT id FROM users WHERE name = 'admin'");
    sql(`INSERT INTO streams (app, name, owner_id) VALUES ('live', 'it''s', ${owner})`);
    const { status, json } = await post("/api/streams/live/it's", { title: 'Old' });
    assert.deepEqual([status, json.title], [200, 'Old']);
    const { key: old } = await auth.done(['stream', 'key', 'rotate', "live/it's", '--json']);
    assert.equal((await auth.gate('publish', { NAME: "it's", ARGS: `key=${old}` })).json.reason, 'bad stream name');
    sql("DELETE FROM streams WHERE name = 'it''s'");
  });

  test('the API refuses changes from other sites', async () => {
    const cookie = await auth.login('admin', password);
    for (const headers of [
      { HTTP_ORIGIN: 'https://evil.example' },
      { HTTP_ORIGIN: 'https://duolu.example' },
      { HTTP_ORIGIN: 'https://duolu.example:8443.evil.example' },
      { HTTP_ORIGIN: 'null' },
      { HTTP_ORIGIN: '' },
      { HTTP_X_DUOLU: '' },
      { HTTP_HOST: '' },
    ]) {
      for (const [method, address] of [
        ['POST', '/api/login'],
        ['POST', '/api/streams'],
        ['DELETE', '/api/grants'],
        ['POST', '/api/logout'],
      ]) {
        const answer = await auth.api(method, address, { cookie, headers, body: {} });
        assert.deepEqual([answer.status, answer.json.error], [403, 'csrf'], JSON.stringify(headers));
      }
    }
    // the same page over http
    const plain = await auth.api('POST', '/api/logout', { headers: { HTTP_ORIGIN: 'http://duolu.example:8443' } });
    assert.equal(plain.status, 200);
    assert.equal((await auth.api('GET', '/api/me', { cookie })).status, 200);
  });

  test('invalid bodies and addresses get an error that says why', async () => {
    const cookie = await auth.login('admin', password);
    const post = (body, headers) => auth.api('POST', '/api/streams', { cookie, body, headers });
    for (const [body, status, error, headers] of [
      ['{', 400, 'bad_request'],
      ['[]', 400, 'bad_request'],
      ['{"name":1}', 400, 'bad_request'],
      ['{"name":"a","name":"b"}', 400, 'bad_request'],
      ['{"name":"a/b"}', 400, 'bad_name'],
      ['{"name":"ok","app":"no spaces"}', 400, 'bad_app'],
      [`{"name":"ok","title":"${'x'.repeat(201)}"}`, 400, 'bad_title'],
      ['{"name":"ok","owner":"nobody"}', 404, 'not_found'],
      ['{"name":"demo"}', 409, 'exists'],
      ['{"name":"\\ud800"}', 400, 'bad_request'],
      ['['.repeat(20_000), 400, 'bad_request'],
      [' '.repeat(65_537), 413, 'too_large'],
      ['{}', 400, 'bad_request', { CONTENT_LENGTH: '-1' }],
      ['{}', 413, 'too_large', { CONTENT_LENGTH: '99999999999999999999' }],
      ['{}', 400, 'bad_request', { CONTENT_LENGTH: '50' }],
    ]) {
      const answer = await post(body, headers);
      assert.deepEqual([answer.status, answer.json.error], [status, error], body.slice(0, 60));
      assert.ok(answer.json.message.length > 10);
    }
    assert.equal((await auth.api('GET', '/api/nothing', { cookie })).status, 404);
    assert.equal((await auth.api('GET', '/api/streams/live/demo/key', { cookie })).status, 405);
    assert.equal((await auth.api('GET', `/api/${'x'.repeat(5000)}`, { cookie })).status, 404);
    assert.equal((await auth.api('PUT', '/api/streams', { cookie, body: {} })).status, 405);
  });

  test('users see only the streams on which they have a right, and only what it allows', async () => {
    const cookie = await auth.login('eve', password);
    const seen = async () => Object.fromEntries((await auth.api('GET', '/api/streams', { cookie })).json.streams
      .map((stream) => [`${stream.app}/${stream.name}`, stream]));
    assert.deepEqual(await seen(), {});

    await auth.done(['grant', 'eve', 'live/demo', 'view']);
    const view = await seen();
    assert.deepEqual(Object.keys(view), ['live/demo']);
    assert.deepEqual(view['live/demo'].rights, ['view']);
    assert.match(view['live/demo'].play, /^\/m\/[\w-]+\.[\w-]+\.[\w-]+\/live\/demo\.flv$/);

    // publish alone shows the stream, without an address to watch it
    await auth.done(['grant', 'eve', 'live/demo', 'publish']);
    await auth.done(['revoke', 'eve', 'live/demo', 'view']);
    const publish = await seen();
    assert.deepEqual(publish['live/demo'].rights, ['publish']);
    assert.equal(publish['live/demo'].play, undefined);
    assert.equal(view['live/demo'].watch, undefined);

    // replay alone gives the address of recordings, not of the live stream
    await auth.done(['revoke', 'eve', 'live/demo']);
    await auth.done(['grant', 'eve', 'live/demo', 'replay']);
    const replay = await seen();
    assert.deepEqual(replay['live/demo'].rights, ['replay']);
    assert.equal(replay['live/demo'].play, undefined);
    assert.match(replay['live/demo'].replay, /^\/m\/[\w-]+\.[\w-]+\.[\w-]+\/rec\/live\/demo\/$/);
    assert.equal(replay['live/demo'].state, 'offline');
    assert.equal(replay['live/demo'].watch, undefined);

    // both give the address of a live playlist that reaches back
    await auth.done(['grant', 'eve', 'live/demo', 'view']);
    const { watch, play, replay: folder } = (await seen())['live/demo'];
    assert.match(watch, /^\/m\/[\w-]+\.[\w-]+\.[\w-]+\/live\/demo\/index\.m3u8\?window=600$/);
    const actionIn = (url) => JSON.parse(Buffer.from(url.split('/')[2].split('.')[1], 'base64url')).a;
    assert.deepEqual([watch, play, folder].map(actionIn), ['watch', 'view', 'replay']);
    await auth.done(['revoke', 'eve', 'live/demo']);

    // by group, by app, by visibility
    await auth.done(['group', 'add', 'crew']);
    await auth.done(['group', 'join', 'crew', 'eve']);
    await auth.done(['grant', 'group:crew', 'live/demo', 'view']);
    assert.deepEqual(Object.keys(await seen()), ['live/demo']);
    await auth.done(['group', 'leave', 'crew', 'eve']);
    assert.deepEqual(await seen(), {});

    await auth.done(['grant', 'eve', 'live', 'view']);
    assert.ok(Object.keys(await seen()).length >= 4);
    await auth.done(['revoke', 'eve', 'live']);

    await auth.done(['stream', 'set', 'live/other', 'visibility=public', 'title=多路 <b>']);
    const open = await seen();
    assert.deepEqual(Object.keys(open), ['live/other']);
    assert.equal(open['live/other'].title, '多路 <b>');
    await auth.done(['stream', 'set', 'live/other', 'visibility=private']);

    for (const [method, address] of [
      ['GET', '/api/users'],
      ['POST', '/api/users'],
      ['POST', '/api/users/bob/disable'],
      ['POST', '/api/streams'],
      ['GET', '/api/grants'],
    ]) {
      const answer = await auth.api(method, address, {
        cookie,
        body: method === 'GET' ? undefined : { user: 'eve', app: 'live', name: 'demo', rights: ['view'] },
      });
      assert.equal(answer.status, 403, `${method} ${address}`);
    }
    // a stream on which she has no right does not exist for her
    assert.equal((await auth.api('POST', '/api/streams/live/demo/key', { cookie, body: {} })).status, 404);
    assert.equal(
      (
        await auth.api('POST', '/api/grants', {
          cookie,
          body: { user: 'eve', app: 'live', name: 'demo', rights: ['view'] },
        })
      ).status,
      404,
    );
    assert.equal(
      (await auth.api('POST', '/api/grants', { cookie, body: { user: 'eve', app: 'live', rights: ['view'] } })).status,
      403,
    );
  });

  test('an admin adds users, streams, keys and grants', async () => {
    const cookie = await auth.login('admin', password);
    const post = (address, body, method = 'POST') => auth.api(method, address, { cookie, body });

    assert.equal((await post('/api/users', { name: 'zoe', password: 'short' })).json.error, 'bad_password');
    assert.equal((await post('/api/users', { name: 'zoe', password })).status, 201);
    assert.equal((await post('/api/users', { name: 'zoe', password })).status, 409);
    const { users } = (await auth.api('GET', '/api/users', { cookie })).json;
    assert.deepEqual(
      users.find(({ name }) => name === 'zoe'),
      {
        name: 'zoe', display_name: '', admin: false, totp: false, disabled: false, invited: false,
        max_publishers: 0, rec_quota: 0,
      },
    );
    assert.ok(!JSON.stringify(users).includes('argon2'));

    const made = await post('/api/streams', { app: 'live', name: '相机-1', title: '前门', owner: 'zoe' });
    assert.equal(made.status, 201);
    assert.equal((await auth.gate('publish', { NAME: '相机-1', ARGS: `key=${made.json.key}` })).json.allow, true);
    const rotated = await post('/api/streams/live/相机-1/key', {});
    assert.equal(
      (await auth.gate('publish', { NAME: '相机-1', ARGS: `key=${made.json.key}` })).json.reason,
      'key revoked',
    );
    assert.equal((await auth.gate('publish', { NAME: '相机-1', ARGS: `key=${rotated.json.key}` })).json.allow, true);

    const grant = { user: 'bob', app: 'live', name: '相机-1', rights: ['view', 'replay'] };
    assert.equal((await post('/api/grants', grant)).status, 200);
    assert.equal((await post('/api/grants', { ...grant, rights: ['fly'] })).json.error, 'bad_rights');
    const { grants } = (await auth.api('GET', `/api/grants?app=live&name=${encodeURIComponent('相机-1')}`, { cookie }))
      .json;
    assert.deepEqual(grants, [grant]);
    assert.equal((await post('/api/grants', grant, 'DELETE')).status, 200);
    assert.equal((await post('/api/grants', grant, 'DELETE')).status, 404);
    assert.equal(audit('revoke')[1], 'bob live/相机-1');

    assert.equal((await post('/api/users/admin/disable', {})).status, 409);
    const zoe = await auth.login('zoe', password);
    assert.equal((await post('/api/users/zoe/disable', {})).status, 200);
    assert.equal((await auth.api('GET', '/api/me', { cookie: zoe })).status, 401);
    assert.equal((await auth.api('POST', '/api/login', { body: { name: 'zoe', password } })).json.error, 'disabled');
    assert.equal(
      (await auth.gate('publish', { NAME: '相机-1', ARGS: `key=${rotated.json.key}` })).json.reason,
      'user disabled',
    );
  });

  test('the list of streams shows nginx\'s live state', async () => {
    const cookie = await auth.login('admin', password);
    const demo = async () =>
      (await auth.api('GET', '/api/streams', { cookie })).json.streams.find(({ name }) => name === 'demo');
    const untilState = async (state) => {
      let stream;
      do { stream = await demo(); } while (stream.state !== state);
      return stream;
    };

    assert.deepEqual([(await untilState('offline')).live, (await demo()).viewers], [false, 0]);
    assert.equal((await auth.ctl(['status'])).code, 1);

    const status = {
      zone: { name: 'hub', size: 1, blocks: 2, free: 1 },
      workers: [{ pid: 7, publishers: 1, viewers: 3 }],
      streams: [
        {
          name: 'live/demo',
          state: 'live',
          viewers: 3,
          kbps_in: 1040.5,
          video: 'h264',
          audio: 'aac',
          width: 1280,
          height: 720,
          since_ms: 123000,
        },
      ],
    };
    let body = JSON.stringify(status);
    const nginx = createServer((request, response) => response.end(request.url === '/status' ? body : ''));
    nginx.listen(path.join(auth.home, 'sock/control.sock'));
    await once(nginx, 'listening');
    try {
      const { live, viewers, kbps, video, audio, width, height, since_ms } = await untilState('live');
      assert.deepEqual(
        { live, viewers, kbps, video, audio, width, height, since_ms },
        { live: true, viewers: 3, kbps: 1040, video: 'h264', audio: 'aac', width: 1280, height: 720, since_ms: 123000 },
      );
      assert.deepEqual(await auth.done(['status', '--json']), status);
      assert.match(
        await auth.done(['status']),
        /stream live\/demo: live for 2m03s, h264 1280x720, aac\n +in 1040 kbit\/s.*\n +viewers 3/,
      );

      body = 'no JSON';
      await untilState('offline');
      body = '{"streams":[{"name":7},{},null,{"name":"live/demo","state":"grace","viewers":"x"}]}';
      assert.deepEqual([(await untilState('grace')).live, (await demo()).viewers], [false, 0]);
    } finally {
      nginx.closeAllConnections();
      nginx.close();
    }
    await untilState('offline');
  });

  test('during a flood of logins most are refused, and the gate stays fast', async (t) => {
    const flood = Array.from({ length: 200 }, (_, i) => auth.api('POST', '/api/login', {
      body: { name: 'admin', password: `guess number ${i}` }, headers: { REMOTE_ADDR: '203.0.113.77' },
    }));
    const spread = Array.from({ length: 200 }, (_, i) => auth.api('POST', '/api/login', {
      body: { name: `user${i}`, password: `guess number ${i}` }, headers: { REMOTE_ADDR: `203.0.113.${i}` },
    }));

    const waits = [];
    for (let i = 0; i < 50; i++) {
      const started = performance.now();
      assert.equal((await auth.gate('publish', { ARGS: `key=${key}` })).json.allow, true);
      waits.push(performance.now() - started);
    }
    const answers = await Promise.all(flood);
    const refused = answers.filter(({ status }) => status === 429);
    assert.ok(answers.every(({ status }) => status === 401 || status === 429));
    assert.ok(refused.length >= 190, `${refused.length} of 200 refused`);
    for (const { headers, json } of refused) {
      assert.ok(Number(headers['retry-after']) >= 1);
      assert.equal(json.retry_after, Number(headers['retry-after']));
    }
    for (const { status } of await Promise.all(spread)) assert.ok(status === 401 || status === 429);

    waits.sort((a, b) => a - b);
    t.diagnostic(
      `gate during a flood of 400 logins: median ${waits[25].toFixed(1)} ms, longest ${waits[49].toFixed(1)} ms`,
    );
    assert.ok(waits[49] < 20_000);

    // from that address even the right password has to wait; from a known address it does not
    await until(async () => {
      const headers = { REMOTE_ADDR: '203.0.113.78' };
      await Promise.all(
        Array.from({ length: 12 }, () =>
          auth.api('POST', '/api/login', { body: { name: 'admin', password: 'guess' }, headers }),
        ),
      );
      const own = await auth.api('POST', '/api/login', { body: { name: 'admin', password }, headers });
      return own.status === 429 && own.json.error === 'backoff';
    }, 'the account to wait');
    await auth.login('admin', password);
    await auth.login('bob', password);
  });
});

test('the log holds no secret', () => {
  const text = auth.lines.join('\n');
  for (const secret of [password, key, 'argon2id', '__Host-duolu']) assert.ok(!text.includes(secret), secret);
});
