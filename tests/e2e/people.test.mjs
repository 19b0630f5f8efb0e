// People: links to set a password, with a stand-in for nginx. Each test is named after what it protects.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';

import { password, Service } from '../lib/auth.mjs';
import { until } from '../lib/nginx.mjs';

const service = new Service();
const { sql } = service;
let auth;
let nginx;
let admin;      // cookie

const pending = () => sql('SELECT 1 FROM revocations WHERE pending = 1').length;
const idOf = (name) => Number(sql(`SELECT id FROM users WHERE name = '${name}'`)[0][0]);
const cookieOf = (answer) => answer.headers['set-cookie'].split(';')[0];

/** A call; from an address of its own, as its failures must not make other tests wait. */
function call(method, address, body, { cookie = admin, from } = {}) {
  return auth.api(method, address, { body, cookie, headers: from ? { REMOTE_ADDR: from } : {} });
}

const post = (address, body = {}, options = {}) => call('POST', address, body, options);

async function asked(method, address, body, expected = 200, options = {}) {
  const answer = await call(method, address, body, options);
  assert.equal(answer.status, expected, `${method} ${address}: ${answer.text}`);
  return answer.json;
}

/** Invites a new user; returns the secret of the link. */
async function invite(name, more = {}) {
  const made = await asked('POST', '/api/users', { name, invite: true, ...more }, 201);
  return tokenOf(made);
}

function tokenOf({ invite: link }) {
  assert.match(link, /^\/#\/invite\/[\w-]{43}$/);
  return link.slice('/#/invite/'.length);
}

const use = (token, options = {}) =>
  post('/api/invites/use', { invite: token, password: `${password} 2` }, { cookie: null, ...options });
const open = (token, options = {}) => post('/api/invites/open', { invite: token }, { cookie: null, ...options });

before(async () => {
  await service.start({
    users: [['admin', '--admin'], ['second', '--admin'], ['bob'], ['eve']],
    streams: [['bobs', 'bob'], ['demo', 'admin']],
    nginx: true,
  });
  ({ auth, nginx } = service);
  admin = await service.login('admin');
});

beforeEach(async () => {
  await until(() => pending() === 0, 'no revocation to be pending');
  nginx.calls = [];
});

after(() => service.stop());

describe('a link to set a password', () => {
  test('a new user has no password until the link is used, which logs in', async () => {
    const token = await invite('ann');
    const listed = (await asked('GET', '/api/users')).users.find(({ name }) => name === 'ann');
    assert.equal(listed.invited, true);
    assert.deepEqual(sql('SELECT password_hash FROM users WHERE name = \'ann\''), [['']]);
    for (const guess of ['', 'ann', password]) {
      const refused = await post('/api/login', { name: 'ann', password: guess }, { cookie: null, from: '192.0.2.40' });
      assert.equal(refused.status, 401, guess);
    }

    const opened = await open(token);
    assert.equal(opened.status, 200);
    assert.equal(opened.json.name, 'ann');
    assert.equal(opened.json.kind, 'invite');
    const week = 7 * 24 * 3600;
    assert.ok(Math.abs(opened.json.expires - Date.now() / 1000 - week) < 120, opened.text);

    const short = await post('/api/invites/use', { invite: token, password: 'short' }, { cookie: null });
    assert.equal(short.json.error, 'bad_password');
    const used = await use(token);
    assert.equal(used.status, 200, used.text);
    assert.deepEqual(used.json, { name: 'ann', admin: false });
    assert.equal((await asked('GET', '/api/me', undefined, 200, { cookie: cookieOf(used) })).name, 'ann');
    assert.equal((await auth.login('ann', `${password} 2`)).startsWith('__Host-'), true);
    assert.equal((await asked('GET', '/api/users')).users.find(({ name }) => name === 'ann').invited, false);
    assert.deepEqual(nginx.revoked(), [], 'an invitation ends no session: her phone may be on air already');
  });

  test('a link works once, also for two at the same time', async () => {
    const token = await invite('twice');
    const answers = await Promise.all(Array.from({ length: 6 }, (_, i) => use(token, { from: `192.0.2.${50 + i}` })));
    const codes = answers.map(({ status }) => status).sort();
    assert.equal(codes.filter((code) => code === 200).length, 1, codes.join());
    assert.ok(codes.every((code) => [200, 404, 429].includes(code)), codes.join());
    assert.equal((await open(token, { from: '192.0.2.57' })).status, 404);
    assert.equal(Number(sql(`SELECT COUNT(*) FROM web_sessions WHERE user_id = ${idOf('twice')}`)[0][0]), 1);
  });

  test('a reset keeps the old password until it is used, and then ends logins, sessions and tokens', async () => {
    const cookie = await service.login('bob');
    const token = tokenOf(await asked('POST', '/api/users/bob/invite', {}));
    assert.equal((await open(token)).json.kind, 'reset');
    assert.equal((await call('GET', '/api/me', undefined, { cookie })).status, 200);
    await service.login('bob');

    assert.equal((await use(token)).status, 200);
    assert.equal((await call('GET', '/api/me', undefined, { cookie })).status, 401);
    assert.deepEqual(nginx.revoked(), [`user=${idOf('bob')}`]);
    const old = await post('/api/login', { name: 'bob', password }, { cookie: null, from: '192.0.2.41' });
    assert.equal(old.status, 401);
    await auth.done(['user', 'passwd', 'bob', '--password-stdin'], `${password}\n`);
  });

  test('a newer link, a new password and disabling the user make a link void', async () => {
    const first = await invite('carl');
    const second = tokenOf(await asked('POST', '/api/users/carl/invite', {}));
    assert.equal((await open(first, { from: '192.0.2.60' })).status, 404);
    assert.equal((await open(second)).status, 200);

    await auth.done(['user', 'passwd', 'carl', '--password-stdin'], `${password}\n`);
    assert.equal((await open(second, { from: '192.0.2.61' })).status, 404);

    const third = tokenOf(await asked('POST', '/api/users/carl/invite', {}));
    await asked('POST', '/api/users/carl/disable', {});
    assert.equal((await post('/api/users/carl/invite')).json.error, 'disabled');
    await asked('POST', '/api/users/carl/enable', {});
    assert.equal((await open(third, { from: '192.0.2.62' })).status, 404);
    assert.equal((await use(third, { from: '192.0.2.62' })).status, 404);
  });

  test('an admin who is gone keeps no way into other accounts', async () => {
    const second = await service.login('second');
    const byAdmin = async () => tokenOf(await asked('POST', '/api/users/eve/invite', {}, 200, { cookie: second }));
    const token = await byAdmin();
    await asked('POST', '/api/users/second/disable', {});
    assert.equal((await use(token, { from: '192.0.2.63' })).status, 404);
    await asked('POST', '/api/users/second/enable', {});
    sql('UPDATE users SET admin = 0 WHERE name = \'second\'');
    assert.equal((await use(token, { from: '192.0.2.63' })).status, 404);
    sql('UPDATE users SET admin = 1 WHERE name = \'second\'');
    assert.equal((await open(token)).status, 200);
  });

  test('a link ends after seven days', async () => {
    const token = await invite('late');
    sql(`UPDATE invites SET expires_at = UTC_TIMESTAMP(3) WHERE user_id = ${idOf('late')}`);
    assert.equal((await use(token, { from: '192.0.2.64' })).status, 404);
    assert.deepEqual(sql('SELECT password_hash FROM users WHERE name = \'late\''), [['']]);
  });

  test('a guesser waits, others do not, and a valid link does not count', async () => {
    const token = await invite('calm');
    const guesser = { from: '2001:db8:5:1100::7' };
    const answers = [];
    for (let i = 0; i < 12; i++) answers.push((await open('x'.repeat(43), guesser)).status);
    assert.deepEqual(answers.slice(0, 10), Array(10).fill(404));
    const held = await open(token, { from: '2001:db8:5:11ff::9' });      // the same /56
    assert.equal(held.status, 429);
    assert.equal(held.json.error, 'backoff');
    assert.ok(Number(held.headers['retry-after']) >= 1);
    for (let i = 0; i < 15; i++) assert.equal((await open(token, { from: '2001:db8:5:1200::7' })).status, 200);
    assert.equal((await open('', { from: '2001:db8:5:1200::7' })).status, 404);
  });

  test('only admins make links, and the database never has the secret', async () => {
    const eve = await service.login('eve');
    for (const [address, body] of [['/api/users/bob/invite', {}], ['/api/users', { name: 'x', invite: true }]]) {
      assert.equal((await post(address, body, { cookie: eve })).status, 403, address);
      assert.equal((await post(address, body, { cookie: null })).status, 401, address);
    }
    const both = await post('/api/users', { name: 'both', invite: true, password });
    assert.equal(both.status, 400);
    assert.equal((await post('/api/users/nobody/invite')).status, 404);
    const token = await invite('dora');
    const [[stored]] = sql(`SELECT HEX(token_hash) FROM invites WHERE user_id = ${idOf('dora')}`);
    assert.ok(!Buffer.from(stored, 'hex').includes(Buffer.from(token, 'base64url')), stored);
    assert.ok(!sql('SELECT target, reason FROM audit').flat().some((text) => text.includes(token)));
  });

  test('duoluctl prints the whole address, once for each link', async () => {
    const text = await auth.done(['user', 'add', 'gil', '--invite']);
    const [, token] = /^user gil\ninvite https:\/\/127\.0\.0\.1:8443\/#\/invite\/([\w-]{43})\n$/.exec(text) ?? [];
    assert.ok(token, text);
    assert.equal((await open(token)).json.name, 'gil');
    const again = await auth.done(['user', 'invite', 'gil', '--json']);
    assert.equal((await open(token, { from: '192.0.2.65' })).status, 404);
    assert.equal((await open(again.invite.split('/').pop())).status, 200);
    assert.equal((await auth.ctl(['user', 'invite', 'nobody'])).code, 4);
    assert.equal((await auth.ctl(['user', 'add', 'hal', '--invite', '--password-stdin'])).code, 2);
  });
});

describe('the own account', () => {
  const change = (cookie, old, next, from) =>
    post('/api/me/password', { old, new: next }, { cookie, from });

  test('a new password ends all other logins, sessions and tokens, and keeps this login', async () => {
    const [here, there] = [await service.login('eve'), await service.login('eve')];
    const link = tokenOf(await asked('POST', '/api/users/eve/invite', {}));
    nginx.answer = (url) => [200, { ended: url.startsWith('/control/revoke') ? 2 : 0 }];
    const changed = await change(here, password, `${password} new`);
    nginx.answer = () => [200, { ended: 0 }];
    assert.equal(changed.status, 200, changed.text);
    assert.deepEqual(changed.json, { ended: 2 });
    assert.deepEqual(nginx.revoked(), [`user=${idOf('eve')}`]);
    assert.equal((await call('GET', '/api/me', undefined, { cookie: here })).status, 200);
    assert.equal((await call('GET', '/api/me', undefined, { cookie: there })).status, 401);
    assert.equal((await open(link, { from: '192.0.2.70' })).status, 404, 'a link that is about is void');
    const old = await post('/api/login', { name: 'eve', password }, { cookie: null, from: '192.0.2.70' });
    assert.equal(old.status, 401);
    await asked('POST', '/api/me/password', { old: `${password} new`, new: password }, 200, { cookie: here });
  });

  test('a stolen login cannot guess the password', async () => {
    const cookie = await service.login('eve');
    const from = '192.0.2.71';
    const answers = [];
    for (let i = 0; i < 7; i++) answers.push(await change(cookie, `guess ${i}`, `${password} stolen`, from));
    assert.deepEqual([...new Set(answers.map(({ json }) => json.error))], ['wrong_password', 'backoff']);
    assert.ok(answers.slice(0, 5).every(({ status }) => status === 403));
    assert.equal((await change(cookie, 'x'.repeat(5000), `${password} stolen`, '192.0.2.72')).status, 403);
    assert.equal((await change(cookie, password, 'short', '192.0.2.73')).json.error, 'bad_password');
    assert.equal((await change(null, password, `${password} stolen`, '192.0.2.74')).status, 401);
    await service.login('eve');
  });

  test('of two changes at once, or one beside a reset by duoluctl, one stands and the other is refused', async () => {
    const cookie = await service.login('eve');
    const answers = await Promise.all([1, 2, 3].map((i) => change(cookie, password, `${password} ${i}`)));
    const right = answers.filter(({ status }) => status === 200).length;
    assert.equal(right, 1, answers.map(({ text }) => text).join('\n'));
    assert.ok(answers.every(({ status }) => [200, 403, 409, 429].includes(status)));
    await auth.done(['user', 'passwd', 'eve', '--password-stdin'], `${password}\n`);
    assert.equal((await call('GET', '/api/me', undefined, { cookie })).status, 401);
  });

  test('signing out everywhere ends all logins, also this one, sessions and tokens', async () => {
    const [here, there] = [await service.login('bob'), await service.login('bob')];
    const gone = await post('/api/me/logout-everywhere', {}, { cookie: here });
    assert.equal(gone.status, 200, gone.text);
    assert.match(gone.headers['set-cookie'], /^__Host-duolu=; .*Max-Age=0/);
    assert.deepEqual(nginx.revoked(), [`user=${idOf('bob')}`]);
    for (const cookie of [here, there]) {
      assert.equal((await call('GET', '/api/me', undefined, { cookie })).status, 401);
    }
    assert.equal((await post('/api/me/logout-everywhere', {}, { cookie: here })).status, 401);
    await service.login('bob');
  });
});

describe('a name for people to read', () => {
  const names = ['王小明', 'Zoë Ångström', 'فاطمة', '👩‍👧 Ann', 'O’Neil & "Sons" <b>'];

  test('is shown wherever the person is named, and decides nothing', async () => {
    const bob = await service.login('bob');
    for (const display_name of names) {
      const me = await asked('POST', '/api/me', { display_name }, 200, { cookie: bob });
      assert.equal(me.display_name, display_name);
      assert.equal(me.name, 'bob');
    }
    const [last] = names.slice(-1);
    const { streams } = await asked('GET', '/api/streams');
    assert.equal(streams.find(({ name }) => name === 'bobs').owner_display, last);
    assert.equal(streams.find(({ name }) => name === 'demo').owner_display, '');
    assert.equal((await asked('GET', '/api/users')).users.find(({ name }) => name === 'bob').display_name, last);
    await asked('POST', '/api/grants', { user: 'bob', app: 'live', name: 'demo', rights: ['view'] });
    const { grants } = await asked('GET', '/api/grants?app=live&name=demo');
    assert.deepEqual(grants.map(({ user, user_display }) => [user, user_display]), [['bob', last]]);
    await asked('DELETE', '/api/grants', { user: 'bob', app: 'live', name: 'demo', rights: ['view'] });

    nginx.answer = () => [200, { sessions: [{ id: '1-1', kind: 'view', stream: 'live/bobs', uid: idOf('bob') }] }];
    const { sessions } = await asked('GET', '/api/sessions');
    nginx.answer = () => [200, { ended: 0 }];
    assert.deepEqual(sessions.map(({ user, user_display }) => [user, user_display]), [['bob', last]]);

    // the same name as an admin's gives no right
    await asked('POST', '/api/me', { display_name: 'admin' }, 200, { cookie: bob });
    assert.equal((await call('GET', '/api/users', undefined, { cookie: bob })).status, 403);
    const grant = { user: last, app: 'live', name: 'demo', rights: ['view'] };
    assert.equal((await post('/api/grants', grant)).status, 404);
  });

  test('is set by the user, an admin and duoluctl, within the rule for titles', async () => {
    const eve = await service.login('eve');
    assert.equal((await post('/api/users/bob', { display_name: 'x' }, { cookie: eve })).status, 403);
    assert.equal((await asked('POST', '/api/users/bob', { display_name: '鲍勃' })).display_name, '鲍勃');
    assert.match(await auth.done(['user', 'set', 'bob', 'display_name=Боб']), /display_name=Боб$/m);
    assert.match(await auth.done(['user', 'list']), /^bob .* Боб$/m);
    const ina = await asked('POST', '/api/users', { name: 'ina', invite: true, display_name: '伊娜' }, 201);
    assert.equal(ina.display_name, '伊娜');
    for (const bad of ['x'.repeat(81), 'a\u202eb', 'a\u200bb', 'a\nb', ' a', 'a ', 7, null]) {
      assert.equal((await post('/api/me', { display_name: bad }, { cookie: eve })).status, 400, JSON.stringify(bad));
      assert.equal((await post('/api/users/bob', { display_name: bad })).status, 400, JSON.stringify(bad));
    }
    assert.equal((await auth.ctl(['user', 'set', 'bob', 'display_name=a\u202eb'])).code, 2);
    assert.equal((await asked('POST', '/api/me', { display_name: '🎥'.repeat(80) }, 200, { cookie: eve })).name, 'eve');
    assert.equal((await asked('POST', '/api/me', { display_name: '' }, 200, { cookie: eve })).display_name, '');
  });
});
