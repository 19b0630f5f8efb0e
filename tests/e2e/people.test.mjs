// People: links to set a password, with a stand-in for nginx. Each test is named after what it protects.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';

import { password, Service } from '../lib/auth.mjs';
import { until } from '../lib/nginx.mjs';
import { codeOf, stepNow } from '../lib/totp.mjs';

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

describe('the page of one person', () => {
  const person = (name, expected = 200, options = {}) =>
    asked('GET', `/api/users/${name}`, undefined, expected, options);
  const whyOf = ({ streams }, name) => streams.find((stream) => stream.name === name);

  before(async () => {
    for (const name of ['pia', 'pablo']) await auth.done(['user', 'add', name, '--password-stdin'], `${password}\n`);
    await auth.done(['stream', 'add', 'live/pias', '--owner', 'pia', '--title', '花园']);
    await auth.done(['stream', 'add', 'stage/one', '--owner', 'admin']);
    await auth.done(['stream', 'key', 'add', 'live/demo', '--user', 'pia', '--label', 'Pixel 8']);
    await auth.done(['group', 'add', 'crew']);
    await auth.done(['group', 'join', 'crew', 'pia']);
    await auth.done(['grant', 'pia', 'live/demo', 'view,publish']);
    await auth.done(['grant', 'group:crew', 'live/demo', 'replay']);
    await auth.done(['grant', 'group:crew', 'stage', 'view']);
    await auth.done(['stream', 'set', 'live/bobs', 'visibility=public']);
  });

  test('says what the person may do on each stream, and why', async () => {
    const pia = await person('pia');
    assert.deepEqual(whyOf(pia, 'pias'), {
      app: 'live', name: 'pias', title: '花园', rights: ['publish', 'view', 'replay', 'manage'], why: [{ by: 'owner' }],
    });
    assert.deepEqual(whyOf(pia, 'demo').rights, ['publish', 'view', 'replay']);
    assert.deepEqual(whyOf(pia, 'demo').why,
      [{ by: 'grant', rights: ['publish', 'view'] }, { by: 'group', group: 'crew', rights: ['replay'] }]);
    assert.deepEqual(whyOf(pia, 'one').why, [{ by: 'group', group: 'crew', app: 'stage', rights: ['view'] }]);
    assert.deepEqual(whyOf(pia, 'bobs').why, [{ by: 'public', rights: ['view'] }]);
    assert.deepEqual(pia.groups, ['crew']);
    assert.equal(pia.more, false);

    // each right is one of the list that the person gets herself
    const own = (await asked('GET', '/api/streams', undefined, 200, { cookie: await service.login('pia') })).streams;
    assert.deepEqual(pia.streams.map(({ app, name, rights }) => [app, name, rights]).sort(),
      own.map(({ app, name, rights }) => [app, name, rights]).sort());

    await asked('POST', '/api/users/pia/disable', {});
    assert.deepEqual(whyOf(await person('pia'), 'pias').rights, []);
    await asked('POST', '/api/users/pia/enable', {});
  });

  test('an admin sees no stream there for being an admin alone', async () => {
    const names = (await person('second')).streams.map(({ name }) => name);
    assert.deepEqual(names, ['bobs'], 'only the public one');
  });

  test('lists her phones with when they were seen, storage, logins and the link', async () => {
    const before = (await person('pia')).keys;
    assert.deepEqual(before.map(({ name, label, seen }) => [name, label, seen]),
      [['demo', 'Pixel 8', 0], ['pias', '', 0]]);
    assert.ok(Math.abs(before[0].created - Date.now()) < 600_000, String(before[0].created));
    const { key } = await auth.done(['stream', 'key', 'add', 'live/pias', '--label', 'GoPro', '--json']);
    const allowed = await auth.gate('publish', { NAME: 'pias', ARGS: `key=${key}`, SESSION: 's-pia' });
    assert.equal(allowed.json.allow, true, allowed.text);
    sql(`INSERT INTO recordings (app, name, file, format, started_ms, ended_ms, bytes, state, keep)
      VALUES ('live', 'pias', 'live/pias/2026-03-10/12-00-00.000.mp4', 'mp4', 1, 2, 4096, 'complete', 1)`);
    await asked('POST', '/api/users/pia/invite', {});
    await service.login('pia');
    const pia = await person('pia');
    const seen = pia.keys.find(({ label }) => label === 'GoPro');
    assert.ok(Math.abs(seen.seen - Date.now()) < 600_000, String(seen.seen));
    assert.deepEqual(pia.storage, { files: 1, kept: 1, bytes: 4096 });
    assert.equal(pia.invite.kind, 'reset');
    assert.equal(pia.logins, 1);
    assert.ok(!JSON.stringify(pia).includes('argon2'));
  });

  test('is for admins only', async () => {
    const cookie = await service.login('pablo');
    await person('pia', 403, { cookie });
    await person('pablo', 403, { cookie });
    await person('pia', 401, { cookie: null });
    await person('nobody', 404);
  });
});

describe('groups on the page', () => {
  const groupOf = async (name) => (await asked('GET', '/api/groups')).groups.find((group) => group.name === name);

  test('are made, joined, left and deleted; what only the group gave ends', async () => {
    await asked('POST', '/api/groups', { name: 'choir' }, 201);
    await asked('POST', '/api/groups', { name: 'choir' }, 409);
    await asked('POST', '/api/groups', { name: 'no spaces' }, 400);
    for (const name of ['bob', 'eve']) await asked('POST', `/api/groups/choir/members/${name}`, {});
    await asked('POST', '/api/groups/choir/members/eve', {}, 409);
    await asked('POST', '/api/groups/choir/members/nobody', {}, 404);
    await asked('POST', '/api/groups/nothing/members/eve', {}, 404);
    await asked('POST', '/api/users/bob', { display_name: 'Bob B.' });
    assert.deepEqual((await groupOf('choir')).members,
      [{ name: 'bob', display_name: 'Bob B.' }, { name: 'eve', display_name: '' }]);

    await asked('POST', '/api/grants', { group: 'choir', app: 'live', name: 'demo', rights: ['view'] });
    await asked('POST', '/api/grants', { user: 'eve', app: 'live', name: 'demo', rights: ['view'] });
    await asked('DELETE', '/api/groups/choir/members/bob', {});
    await until(() => pending() === 0, 'nginx to know');
    assert.deepEqual(nginx.revoked(), [`user=${idOf('bob')}&stream=live/demo`]);
    await asked('POST', '/api/groups/choir/members/bob', {});

    nginx.calls = [];
    nginx.answer = (url) => [200, { ended: url.startsWith('/control/revoke') ? 1 : 0 }];
    assert.deepEqual(await asked('DELETE', '/api/groups/choir', {}), { ended: 1 });
    nginx.answer = () => [200, { ended: 0 }];
    assert.deepEqual(nginx.revoked(), [`user=${idOf('bob')}&stream=live/demo`], 'eve has a grant of her own');
    assert.equal(await groupOf('choir'), undefined);
    assert.equal(Number(sql('SELECT COUNT(*) FROM grants WHERE group_id IS NOT NULL AND group_id NOT IN ' +
      '(SELECT id FROM user_groups)')[0][0]), 0);
    await asked('DELETE', '/api/groups/choir', {}, 404);
  });

  test('a large one is deleted as a whole, and duoluctl deletes as well', async () => {
    await auth.done(['group', 'add', 'crowd']);
    sql(`INSERT INTO users (name, password_hash) WITH RECURSIVE n AS
      (SELECT 1 AS i UNION SELECT i + 1 FROM n WHERE i < 70) SELECT CONCAT('extra', i), '' FROM n`);
    sql(`INSERT INTO group_members SELECT g.id, u.id FROM user_groups g, users u
      WHERE g.name = 'crowd' AND u.name LIKE 'extra%'`);
    assert.match(await auth.done(['group', 'delete', 'crowd']), /^group crowd deleted$/m);
    await until(() => pending() === 0, 'nginx to know');
    assert.equal(nginx.revoked().length, 70);
    assert.equal((await auth.ctl(['group', 'delete', 'crowd'])).code, 4);
    sql('DELETE FROM users WHERE name LIKE \'extra%\'');
  });

  test('are for admins only', async () => {
    const cookie = await service.login('eve');
    await asked('GET', '/api/groups', undefined, 403, { cookie });
    for (const [method, address] of [['POST', '/api/groups'], ['DELETE', '/api/groups/crew'],
      ['POST', '/api/groups/crew/members/eve'], ['DELETE', '/api/groups/crew/members/pia']]) {
      await asked(method, address, { name: 'mine' }, 403, { cookie });
    }
    assert.equal(await groupOf('mine'), undefined);
  });
});

describe('the second step of a login', () => {
  let secret;
  let recovery;
  let used = 0;         // the newest time step of which the service has taken a code

  /** A code that the service has not taken yet; it takes those of the step before and after, too. */
  async function fresh() {
    await until(() => stepNow() + 1 > used, 'a new code', 60_000);
    used = Math.max(used + 1, stepNow());
    return codeOf(secret, used);
  }

  const login = (code, from = '192.0.2.80', name = 'tina') =>
    post('/api/login', { name, password, ...(code === undefined ? {} : { code }) }, { cookie: null, from });

  before(async () => {
    await auth.done(['user', 'add', 'tina', '--password-stdin'], `${password}\n`);
  });

  test('is turned on with the password and a first code, and shows recovery codes once', async () => {
    const cookie = await service.login('tina');
    const call = (what, body) => post(`/api/me/totp${what}`, body, { cookie });
    assert.equal((await call('', { password: 'wrong one' })).json.error, 'wrong_password');
    assert.equal((await call('/confirm', { code: '000000' })).json.error, 'bad_code');
    const begun = await call('', { password });
    assert.equal(begun.status, 200, begun.text);
    ({ secret } = begun.json);
    assert.equal(begun.json.url, `otpauth://totp/Duolu:tina?secret=${secret}&issuer=Duolu`);
    assert.match(secret, /^[A-Z2-7]{32}$/);
    assert.equal((await login()).status, 200, 'not in use before it is confirmed');
    assert.equal((await call('/confirm', { code: codeOf(secret, stepNow() - 9) })).json.error, 'bad_code');
    const on = await call('/confirm', { code: await fresh() });
    assert.equal(on.status, 200, on.text);
    ({ recovery } = on.json);
    assert.equal(new Set(recovery).size, 10);
    assert.ok(recovery.every((code) => /^([a-z2-7]{4}-){3}[a-z2-7]{4}$/.test(code)));
    assert.equal((await call('', { password })).json.error, 'exists');
    assert.equal((await asked('GET', '/api/me', undefined, 200, { cookie })).totp, true);
    assert.ok(!(await asked('GET', '/api/users')).users.some((user) => 'totp_secret' in user));
  });

  test('a code is needed after a right password, and is taken once', async () => {
    assert.deepEqual([(await login()).status, (await login()).json.error], [401, 'code_required']);
    assert.equal((await login('')).json.error, 'code_required');
    const code = await fresh();
    const body = { name: 'tina', password: 'not it', code };
    const wrong = await post('/api/login', body, { cookie: null, from: '192.0.2.81' });
    assert.equal(wrong.json.error, 'bad_login', 'a right code says nothing about the password');
    const answers = await Promise.all([login(code), login(code), login(code)]);
    assert.deepEqual(answers.filter(({ status }) => status === 200).length, 1, answers.map(({ text }) => text).join());
    assert.equal((await login(code)).json.error, 'bad_code');
  });

  test('a recovery code replaces the phone, once, as people type it', async () => {
    assert.equal((await login(recovery[0].toUpperCase().replaceAll('-', ' '), '192.0.2.82')).status, 200);
    assert.equal((await login(recovery[0], '192.0.2.82')).json.error, 'bad_code');
    const both = await Promise.all([login(recovery[1], '192.0.2.83'), login(recovery[1], '192.0.2.84')]);
    assert.deepEqual(both.map(({ status }) => status).sort(), [200, 401]);
    assert.equal(sql(`SELECT COUNT(*) FROM recovery_codes WHERE user_id = ${idOf('tina')}`)[0][0], '8');
  });

  test('guesses of codes wait, from whatever address', async () => {
    const answers = [];
    for (let i = 0; i < 8; i++) answers.push((await login('000000', `198.51.100.${20 + i}`)).json.error);
    assert.equal(answers[0], 'bad_code');
    assert.ok(answers.includes('backoff'), answers.join());
    assert.ok(answers.filter((error) => error === 'bad_code').length <= 6, answers.join());
  });

  test('a link for a new password does not get around it', async () => {
    const token = tokenOf(await asked('POST', '/api/users/tina/invite', {}));
    const answer = await post('/api/invites/use', { invite: token, password }, { cookie: null });
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.json.code_required, true);
    assert.equal(answer.headers['set-cookie'], undefined);
  });

  test('is turned off with password and code, or by an admin for a lost phone', async () => {
    const entered = async () => {
      const code = recovery.pop();
      const answer = await until(async () => {
        const tried = await login(code, '192.0.2.90');
        return tried.status === 200 && tried;
      }, 'the guesses before to be forgiven', 90_000);
      return cookieOf(answer);
    };
    const cookie = await entered();
    const off = (body) => post('/api/me/totp/off', body, { cookie });
    assert.equal((await off({ password })).json.error, 'code_required');
    assert.equal((await off({ password: 'wrong', code: recovery.at(-1) })).json.error, 'wrong_password');
    const eve = await service.login('eve');
    assert.equal((await post('/api/users/tina/totp-off', {}, { cookie: eve })).status, 403);
    assert.equal((await post('/api/users/admin/totp-off')).json.error, 'self');
    assert.equal((await off({ password, code: recovery.pop() })).status, 200);
    assert.equal((await login(undefined, '192.0.2.91')).status, 200);
    assert.equal(sql(`SELECT COUNT(*) FROM recovery_codes WHERE user_id = ${idOf('tina')}`)[0][0], '0');

    ({ secret } = (await asked('POST', '/api/me/totp', { password }, 200, { cookie })));
    await asked('POST', '/api/me/totp/confirm', { code: codeOf(secret) }, 200, { cookie });
    assert.equal((await login(undefined, '192.0.2.92')).json.error, 'code_required');
    await asked('POST', '/api/users/tina/totp-off', {});
    assert.equal((await login(undefined, '192.0.2.92')).status, 200);
    assert.match(await auth.done(['user', 'totp-off', 'tina']), /^user tina logs in without a code$/m);
  });
});
