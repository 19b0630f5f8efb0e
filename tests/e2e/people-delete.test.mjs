// Users and streams are deleted: what ends, which rows stay, and what the next owner of a name gets. With a
// stand-in for nginx; control.test.mjs has the real one.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, beforeEach, describe, test } from 'node:test';

import { until } from '../lib/nginx.mjs';
import { RecService } from '../lib/rec-service.mjs';

const service = new RecService();
const { sql, lay, insert, there, rows } = service;
const noon = Date.UTC(2026, 2, 10, 12);
let auth;
let nginx;
let admin;      // cookie

const one = (text) => sql(text)[0]?.[0];
const idOf = (table, name) => Number(one(`SELECT id FROM ${table} WHERE name = '${name}'`));
const count = (from) => Number(one(`SELECT COUNT(*) FROM ${from}`));
const pending = () => count('revocations WHERE pending = 1');

function call(method, address, body, cookie = admin) {
  return auth.api(method, address, { body, cookie });
}

async function asked(method, address, body, expected = 200, cookie = admin) {
  const answer = await call(method, address, body, cookie);
  assert.equal(answer.status, expected, `${method} ${address}: ${answer.text}`);
  return answer.json;
}

/** A stream of `owner` with a recording of each state: {name, full, id, key, files}. */
async function newStream(name, owner, { recordings = [{}] } = {}) {
  const { key } = await auth.done(['stream', 'add', `live/${name}`, '--owner', owner, '--json']);
  const files = recordings.map((more, i) => {
    const made = lay({ stream: `live/${name}`, from: noon + i * 3600_000 });
    insert({ ...made, ...more });
    return made.file;
  });
  return { name, full: `live/${name}`, id: idOf('streams', name), key, files };
}

const publish = (stream, key = stream.key) =>
  auth.gate('publish', { NAME: stream.name, ARGS: `key=${key}` }).then(({ json }) => json);

const tokenOf = (text) => /\/m\/([^/]+)\//.exec(text)[1];
const claimsOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());
const newToken = async (user, stream) =>
  tokenOf(await auth.done(['url', user, stream.full, 'view', '--format', 'flv']));

/** The newest second until which nginx was told to refuse tokens of this stream. */
const voidUntil = (full) =>
  Math.max(...nginx.calls
    .filter(({ url }) => decodeURIComponent(url).includes(`stream=${full}`))
    .map(({ url }) => Number(/[?&]at=(\d+)/.exec(url)[1])));

before(async () => {
  await service.start();
  ({ auth, nginx } = service);
  admin = await service.login('admin');
});

beforeEach(async () => {
  await until(() => pending() === 0, 'no revocation to be pending');
  nginx.calls = [];
});

after(() => service.stop());

describe('a deleted stream', () => {
  test('ends its sessions and tokens and leaves no row that gives a right', async () => {
    const stream = await newStream('gone', 'bob');
    await asked('POST', '/api/grants', { user: 'eve', app: 'live', name: 'gone', rights: ['view', 'publish'] });
    const key = (await auth.done(['stream', 'key', 'add', stream.full, '--user', 'eve', '--json'])).key;
    assert.equal((await publish(stream, key)).allow, true);

    nginx.answer = (url) => [200, { ended: url.startsWith('/control/revoke') ? 3 : 0 }];
    const answer = await asked('DELETE', '/api/streams/live/gone?recordings=keep');
    nginx.answer = () => [200, { ended: 0 }];
    assert.deepEqual(answer, { files: 1, kept: 0, bytes: 1000, recordings: 'keep', ended: 3 });
    assert.deepEqual(nginx.revoked(), [`stream=${stream.full}`]);
    for (const table of ['devices', 'grants']) assert.equal(count(`${table} WHERE stream_id = ${stream.id}`), 0, table);
    for (const old of [stream.key, key]) assert.equal((await publish(stream, old)).reason, 'unknown stream');
    assert.ok(there(stream.files[0]));
    const mine = await asked('GET', '/api/recordings?stream=live/gone');
    assert.equal(mine.recordings.length, 1, 'an admin still sees its recordings');
    for (const name of ['bob', 'eve']) {
      const seen = await asked('GET', '/api/recordings', undefined, 200, await service.login(name));
      assert.ok(!seen.recordings.some(({ stream: of }) => of === stream.full), name);
    }
  });

  test('may be deleted by its owner and by admins only, and says how many recordings it has', async () => {
    const stream = await newStream('guarded', 'bob', { recordings: [{}, { keep: 1 }] });
    await asked('POST', '/api/grants', { user: 'eve', app: 'live', name: 'guarded', rights: ['manage'] });
    const [eve, bob] = [await service.login('eve'), await service.login('bob')];
    const address = '/api/streams/live/guarded';
    assert.deepEqual(await asked('GET', `${address}/storage`, undefined, 200, bob), { files: 2, kept: 1, bytes: 2000 });
    await asked('DELETE', `${address}?recordings=delete`, undefined, 403, eve);
    await asked('DELETE', '/api/streams/live/demo?recordings=delete', undefined, 404, bob);
    await asked('DELETE', `${address}?recordings=delete`, undefined, 401, null);
    for (const wrong of ['', '?recordings=', '?recordings=all', '?recordings=delete%00', '?keep=recordings']) {
      await asked('DELETE', `${address}${wrong}`, undefined, 400, bob);
    }
    assert.equal(idOf('streams', 'guarded'), stream.id);
    await asked('DELETE', `${address}?recordings=keep`, undefined, 200, bob);
    await asked('DELETE', `${address}?recordings=keep`, undefined, 404, bob);
    const rowsOf = 'audit WHERE action = \'stream delete\' AND outcome = \'ok\' ORDER BY id DESC LIMIT 1';
    assert.equal(one(`SELECT reason FROM ${rowsOf}`), 'its recordings stay');
  });

  test('takes its recordings along if asked to: also kept ones, and one that is still being written', async () => {
    const stream = await newStream('wiped', 'bob', { recordings: [{}, { keep: 1 }, { state: 'recording', to: 0 }] });
    const other = await newStream('wiped2', 'bob');
    const writer = await service.writer(stream.files[2]);
    await asked('DELETE', '/api/streams/live/wiped?recordings=delete');
    await until(() => !there(stream.files[0]) && !there(stream.files[1]), 'the closed files to go', 30_000);
    assert.ok(there(stream.files[2]));
    const early = await call('POST', '/api/streams', { name: 'wiped', owner: 'eve' });
    assert.deepEqual([early.status, early.json.error], [409, 'recordings'], early.text);
    assert.equal((await auth.ctl(['stream', 'add', 'live/wiped', '--owner', 'eve', '--take-recordings'])).code, 3);

    await writer.stop();
    const ended = noon + 3 * 3600_000;
    sql(`UPDATE recordings SET state = 'complete', ended_ms = ${ended} WHERE file = '${stream.files[2]}'`);
    await until(() => !there(stream.files[2]), 'the last file to go', 30_000);
    await until(() => count('recording_deletions') === 0, 'the deletion to be done', 30_000);
    assert.equal(rows('name = \'wiped\'').length, 0);
    assert.ok(!fs.existsSync(service.at('live/wiped')));
    assert.ok(there(other.files[0]), 'another stream keeps its own');
    await asked('POST', '/api/streams', { name: 'wiped', owner: 'eve' }, 201);
  });

  test('its name, taken by another owner, brings neither old tokens nor recordings along unsaid', async () => {
    const stream = await newStream('reused', 'bob');
    await asked('POST', '/api/grants', { user: 'eve', app: 'live', name: 'reused', rights: ['view'] });
    const old = claimsOf(await newToken('eve', stream));
    await asked('DELETE', '/api/streams/live/reused?recordings=keep');
    assert.ok(old.iat <= voidUntil(stream.full), 'nginx refuses the old token');

    const refused = await call('POST', '/api/streams', { name: 'reused', owner: 'admin' });
    assert.deepEqual([refused.status, refused.json.error], [409, 'recordings']);
    assert.match(refused.json.message, /There are 1 recordings of a deleted stream/);
    const byCtl = await auth.ctl(['stream', 'add', 'live/reused', '--owner', 'admin']);
    assert.equal(byCtl.code, 3);
    assert.match(byCtl.stderr, /1 recordings of a deleted stream live\/reused exist; --take-recordings/);

    const { key } = await asked('POST', '/api/streams', { name: 'reused', owner: 'admin', take_recordings: true }, 201);
    assert.equal((await publish(stream)).reason, 'wrong key');
    assert.equal((await publish(stream, key)).allow, true);
    assert.ok((await publish(stream, key)).not_before >= voidUntil(stream.full), 'the gate knows the revocation');
    const fresh = claimsOf(await newToken('admin', stream));
    assert.ok(fresh.iat > voidUntil(stream.full), 'nginx takes a token of the new stream at once');
    const eve = await service.login('eve');
    assert.ok(!(await asked('GET', '/api/streams', undefined, 200, eve)).streams.some(({ name }) => name === 'reused'));
    assert.equal((await asked('GET', '/api/recordings?stream=live/reused', undefined)).recordings.length, 1);
  });

  test('is refused at the gate from the answer on, whoever asks at the same time', async () => {
    const stream = await newStream('raced', 'bob');
    let deleted = false;
    const late = [];
    const asking = (async () => {
      for (let i = 0; i < 400; i++) {
        const after = deleted;
        const answer = await publish(stream);
        if (answer.allow && after) late.push(answer);
        if (!answer.allow && after) return;
      }
    })();
    await asked('DELETE', '/api/streams/live/raced?recordings=keep');
    deleted = true;
    await asking;
    assert.deepEqual(late, []);
  });
});

describe('a deleted user', () => {
  const add = async (name, ...options) => {
    await auth.done(['user', 'add', name, '--password-stdin', ...options], 'correct horse battery\n');
    return idOf('users', name);
  };

  test('ends logins, sessions and tokens, also on the streams, and leaves no row that gives a right', async () => {
    const id = await add('ursula');
    const stream = await newStream('ursulas', 'ursula');
    const lent = await newStream('lent', 'bob', { recordings: [] });
    await asked('POST', '/api/grants', { user: 'ursula', app: 'live', name: 'lent', rights: ['manage', 'publish'] });
    await auth.done(['group', 'add', 'band']);
    await auth.done(['group', 'join', 'band', 'ursula']);
    const cookie = await service.login('ursula');
    // she gives a grant and takes a key by her right to manage: both end with her
    await asked('POST', '/api/grants', { user: 'eve', app: 'live', name: 'lent', rights: ['view'] }, 200, cookie);
    const taken = (await asked('POST', '/api/streams/live/lent/key', {}, 200, cookie)).key;
    const own = (await auth.done(['stream', 'key', 'add', lent.full, '--user', 'ursula', '--json'])).key;
    const device = one(`SELECT id FROM devices WHERE made_by = ${id} AND revoked_at IS NULL`);
    await asked('POST', '/api/users/ursula/invite', {});
    await until(() => pending() === 0, 'nothing to be pending');
    nginx.calls = [];

    const answer = await asked('DELETE', '/api/users/ursula?recordings=delete');
    assert.deepEqual([answer.files, answer.recordings], [1, 'delete']);
    await until(() => pending() === 0, 'nginx to know');
    const eve = idOf('users', 'eve');
    assert.deepEqual(nginx.revoked(),
      [`key=${device}`, `stream=${stream.full}`, `user=${eve}&stream=live/lent`, `user=${id}`].sort());
    assert.equal((await call('GET', '/api/me', undefined, cookie)).status, 401);
    for (const [table, column] of [['web_sessions', 'user_id'], ['grants', 'user_id'], ['grants', 'made_by'],
      ['group_members', 'user_id'], ['devices', 'user_id'], ['invites', 'user_id'], ['streams', 'owner_id']]) {
      assert.equal(count(`${table} WHERE ${column} = ${id}`), 0, `${table}.${column}`);
    }
    assert.equal((await publish(stream)).reason, 'unknown stream');
    assert.equal((await publish(lent, taken)).reason, 'key revoked');
    assert.equal((await publish(lent, own)).reason, 'wrong key');
    await until(() => !there(stream.files[0]), 'her recordings to go', 30_000);

    const again = await add('ursula');
    assert.notEqual(again, id, 'a user of the same name is another one');
    const seen = await asked('GET', '/api/streams', undefined, 200, await service.login('ursula'));
    assert.deepEqual(seen.streams, []);
  });

  test('cannot be oneself; only admins delete, and duoluctl does as well', async () => {
    await add('victor');
    await newStream('victors', 'victor', { recordings: [] });
    await asked('DELETE', '/api/users/admin?recordings=keep', undefined, 409);
    await asked('DELETE', '/api/users/victor', undefined, 400);
    await asked('DELETE', '/api/users/nobody?recordings=keep', undefined, 404);
    await asked('DELETE', '/api/users/victor?recordings=keep', undefined, 403, await service.login('bob'));
    assert.equal((await auth.ctl(['user', 'delete', 'victor'])).code, 2);
    assert.equal((await auth.ctl(['user', 'delete', 'victor', '--recordings', 'all'])).code, 2);
    const stream = await auth.done(['stream', 'delete', 'live/victors', '--recordings', 'keep']);
    assert.match(stream, /^stream live\/victors deleted$/m);
    assert.match(await auth.done(['user', 'delete', 'victor', '--recordings', 'delete']), /^user victor deleted$/m);
    assert.equal((await auth.ctl(['user', 'delete', 'victor', '--recordings', 'keep'])).code, 4);
  });

  test('gets no login that outlives the deletion, when it logs in at the same time', async () => {
    for (let round = 0; round < 3; round++) {
      const name = `racer${round}`;
      const id = await add(name);
      const logins = Array.from({ length: 4 }, (_, i) => auth.api('POST', '/api/login', {
        body: { name, password: 'correct horse battery' }, headers: { REMOTE_ADDR: `198.51.100.${round * 10 + i}` },
      }));
      await asked('DELETE', `/api/users/${name}?recordings=keep`);
      for (const answer of await Promise.all(logins)) {
        assert.ok([200, 401, 409, 429].includes(answer.status), answer.text);
        if (answer.status !== 200) continue;
        const cookie = answer.headers['set-cookie'].split(';')[0];
        assert.equal((await call('GET', '/api/me', undefined, cookie)).status, 401);
      }
      assert.equal(count(`web_sessions WHERE user_id = ${id}`), 0);
    }
  });
});
