// Strangers guess passwords, from one address, from many, and with made-up names; the
// database is down for a while. The owner can still log in.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { password, Service } from '../lib/auth.mjs';
import { until } from '../lib/nginx.mjs';

const home = '192.0.2.8';           // where the owner logs in
const service = new Service();
const { sql } = service;
let database;
let auth;

before(async () => {
  await service.start({ users: [['alice'], ['bob'], ['carol'], ['dave']] });
  ({ auth, database } = service);
});

after(() => service.stop());

const login = (name, word, address, cookie) =>
  auth.api('POST', '/api/login', { body: { name, password: word }, cookie, headers: { REMOTE_ADDR: address } });
const address = (i) => `203.0.${(i >> 8) & 255}.${i & 255}`;
const browser = ({ cookies }) => cookies.find((line) => line.startsWith('__Host-duolu-known-')).split(';')[0];

// Strangers that try again after each answer, until stopped.
function strangers(count, attempt) {
  let go = true;
  let tries = 0;
  const all = Array.from({ length: count }, async () => {
    while (go) await attempt(tries++);
  });
  return { get tries() { return tries; }, stop: async () => { go = false; await Promise.all(all); } };
}

describe('strangers lock no user out', () => {
  test('wrong passwords for a name from changing addresses: the owner gets in from a known browser and ' +
    'address', async () => {
    const first = await login('alice', password, home);
    assert.equal(first.status, 200);
    const bobs = browser(await login('bob', password, home));
    const attack = strangers(4, (i) => login('alice', `guess ${i}`, address(i)));
    try {
      await until(
        async () => (await login('alice', 'guess', '198.51.100.1')).json.error === 'backoff',
        'strangers to be slowed down',
      );
      for (let i = 0; i < 12; i++) {
        const known = await login('alice', password, '198.51.100.2', browser(first));
        assert.equal(known.status, 200, known.text);
        const same = await login('alice', password, home);
        assert.equal(same.status, 200, same.text);
      }

      // with the cookie of another account or a changed one a browser stays a stranger
      for (const cookie of [bobs.replace(/known-\d+/, browser(first).match(/known-\d+/)[0]), `${browser(first)}x`]) {
        const tries = [];
        for (let i = 0; i < 3; i++) tries.push((await login('alice', 'guess', `198.51.100.${10 + i}`, cookie)).status);
        assert.ok(tries.includes(429), `${tries}`);
      }
    } finally {
      await attack.stop();
    }
  });

  // changes of an account, and whether a browser that logged in before is still known
  const changes = [
    ['nothing happened', true, () => {}],
    ['an admin set a limit', true, (name) => auth.done(['user', 'set', name, 'max_publishers=3'])],
    [
      'the password changed',
      false,
      (name) => auth.done(['user', 'passwd', name, '--password-stdin'], `${password} 2\n`),
    ],
    [
      'the password changed by hand',
      false,
      (name) =>
        sql(
          'UPDATE users SET password_hash = (SELECT password_hash FROM (SELECT * FROM users) u WHERE u.name = ' +
            `'bob') WHERE name = '${name}'`,
        ),
    ],
    ['the user was disabled', false, (name) => sql(`UPDATE users SET disabled = 1 WHERE name = '${name}'`)],
    [
      'the user was disabled and enabled again',
      false,
      async (name) => {
        for (const verb of ['disable', 'enable']) await auth.done(['user', verb, name]);
      },
    ],
    ['the user was revoked', false, (name) => auth.done(['user', 'revoke', name])],
    ['the user was renamed', false, (name) => sql(`UPDATE users SET name = 'new-${name}' WHERE name = '${name}'`)],
  ];

  for (const [i, [event, passes, change]] of changes.entries()) {
    test(`a browser that logged in before ${passes ? 'passes' : 'is a stranger'} when ${event}`, async () => {
      const from = (n) => `198.18.${i}.${n}`;
      const old = `erin-${i}`;
      await auth.done(['user', 'add', old, '--password-stdin'], `${password}\n`);
      const cookie = browser(await login(old, password, from(1)));
      const [[id]] = sql(`SELECT id FROM users WHERE name = '${old}'`);
      await change(old);
      const [[name]] = sql(`SELECT name FROM users WHERE id = ${id}`);
      let tries = 0;
      await until(
        async () => (await login(name, 'guess guess', from(10 + tries++))).json.error === 'backoff',
        'strangers to be slowed down',
      );

      // a known browser has a count of its own, a stranger shares one with the others
      const answers = [];
      for (let n = 2; n < 5; n++) answers.push((await login(name, 'guess guess', from(n), cookie)).status);
      assert.equal(answers.includes(429), !passes, `${answers}`);
    });
  }

  test('made-up names from 16 connections: known users are served first', async () => {
    const first = await login('bob', password, home);
    const attack = strangers(16, (i) => login(`made-up-${i}`, `guess ${i}`, address(i)));
    try {
      await until(() => attack.tries > 64, 'the attack to run');
      for (let i = 0; i < 12; i++) {
        const own = await login('bob', password, '198.51.100.5', browser(first));
        assert.equal(own.status, 200, own.text);
      }
    } finally { await attack.stop(); }
  });

  test('one address with many names, and an IPv6 site with many networks, wait', async () => {
    await until(
      async () =>
        (await login(`name-${Math.random()}`.replace('0.', ''), 'guess guess', '203.0.113.9')).json.error === 'backoff',
      'the address to wait',
    );
    let tries = 0;
    const network = () => `2001:db8:7:${(tries++).toString(16)}::1`;
    await until(
      async () => (await login(`six-${tries}`, 'guess guess', network())).json.error === 'backoff',
      'the IPv6 site to wait',
      120_000,
    );
    assert.ok(tries <= 190, `${tries} attempts before a /48 had to wait`);
    assert.equal((await login('carol', 'guess guess', '2001:db8:8::1')).status, 401, 'another site does not wait');
  });

  test('logging in to an own account does not reset the attempts on others', async () => {
    const from = '203.0.113.10';
    let guesses = 0;
    await until(async () => {
      const answer = await login(`victim-${guesses++ % 7}`, 'guess guess', from);
      if (answer.status === 401) assert.ok([200, 429].includes((await login('dave', password, from)).status));
      return answer.json.error === 'backoff';
    }, 'the address to have to wait', 120_000);
    assert.ok(guesses <= 40, `${guesses} guesses`);
  });
});

describe('logins and faults of the service', () => {
  test('neither an outage of the database nor the answer "busy" counts as a failed login', async () => {
    await database.stop();
    for (let i = 0; i < 30; i++) {
      const answer = await login('carol', password, '198.51.100.20');
      assert.equal(answer.status, 503, answer.text);
      assert.equal(answer.json.error, 'database_unavailable');
    }
    await database.start();
    const back = await until(async () => {
      const answer = await login('carol', password, '198.51.100.20');
      assert.notEqual(answer.status, 429, 'the right password had to wait because of an outage');
      return answer.status === 200 && answer;
    }, 'the database to be back');
    assert.ok(browser(back));

    // more logins than slots and queue: those refused as busy may try again at once
    const many = await Promise.all(
      Array.from({ length: 60 }, (_, i) => login('carol', password, `198.51.100.${100 + i}`)),
    );
    assert.ok(
      many.every(({ status, json }) => status === 200 || (status === 429 && json.error === 'busy')),
      JSON.stringify(many.map(({ text }) => text)),
    );
    const again = await login('carol', password, '198.51.100.21');
    assert.equal(again.status, 200, again.text);
  });
});
