// Phones: a stream, its owner and a key made in one call, the list with nginx's figures, why a phone was refused,
// and one key that ends without the others. The real service, and a stand-in for nginx.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';

import { Service } from '../lib/auth.mjs';
import { until } from '../lib/nginx.mjs';

const service = new Service();
const { sql } = service;
let auth;
let nginx;
const cookies = {};

const one = (text) => sql(text)[0]?.[0];
const call = (who, method, address, body) => auth.api(method, address, { cookie: cookies[who], body });
const add = (who, body) => call(who, 'POST', '/api/phones', body);
const phonesOf = async (who, query = '') => (await call(who, 'GET', `/api/phones${query}`)).json.phones;
const phoneOf = async (who, id) => (await call(who, 'GET', `/api/phones/${id}`)).json;
const publish = async ({ name, key }, params = {}) =>
  (await auth.gate('publish', { NAME: name, ARGS: `key=${key}`, ...params })).json;
const denied = (action) => one(`SELECT COUNT(*) FROM audit WHERE action = '${action}' AND outcome = 'denied'`);

before(async () => {
  await service.start({
    users: [['admin', '--admin'], ['mei'], ['joe'], ['eve']],
    streams: [['mei-first', 'mei'], ['joe-first', 'joe']],
    nginx: true,
  });
  ({ auth, nginx } = service);
  for (const name of ['admin', 'mei', 'joe', 'eve']) cookies[name] = await service.login(name);
});

beforeEach(() => {
  nginx.calls = [];
  nginx.answer = () => [200, { ended: 0 }];
});

after(() => service.stop());

describe('adding a phone', () => {
  test('a user gets a private stream of her own with a plain name, a title and a labelled key', async () => {
    const { status, json } = await add('mei', { name: 'Kitchen' });
    assert.equal(status, 201);
    assert.match(json.key, /^[A-Za-z0-9_-]{22}$/);
    assert.deepEqual(
      { ...json, id: 0, key: '' },
      {
        id: 0, label: 'Kitchen', stream: 'live/mei-kitchen', app: 'live', name: 'mei-kitchen', title: 'Kitchen',
        owner: 'mei', key: '',
      },
    );
    assert.deepEqual(
      sql(`SELECT s.title, s.visibility, o.name, u.name, d.label, m.name, HEX(d.key_hash) = SHA2('${json.key}', 256)
           FROM devices d JOIN streams s ON s.id = d.stream_id JOIN users o ON o.id = s.owner_id
           JOIN users u ON u.id = d.user_id JOIN users m ON m.id = d.made_by WHERE d.id = ${json.id}`),
      [['Kitchen', 'private', 'mei', 'mei', 'Kitchen', 'mei', '1']],
    );
    assert.equal((await publish(json)).allow, true);
    assert.deepEqual(
      sql("SELECT actor, target, reason FROM audit WHERE action = 'phone add' ORDER BY id DESC LIMIT 1"),
      [['mei', 'live/mei-kitchen', 'Kitchen']],
    );
    assert.deepEqual(nginx.refreshed(), [''], 'all pages learn of the new stream');
  });

  test('names are made from any label, and no two are the same', async () => {
    for (const [label, name] of [
      ['kitchen!', 'mei-kitchen-2'],
      ['厨房', 'mei-phone'],
      ['客厅', 'mei-phone-2'],
      ['门 3', 'mei-3'],
      ['Mei’s phone', 'mei-s-phone'],
      ['Mei', 'mei'],
      ['../../etc', 'mei-etc'],
      ['a?key=b&c#d%e', 'mei-a-key-b-c-d-e'],
      ['📱', 'mei-phone-3'],
    ]) {
      const { status, json } = await add('mei', { name: label });
      assert.equal(status, 201, JSON.stringify(json));
      assert.deepEqual([json.name, json.title], [name, label]);
    }
    sql("UPDATE users SET name = 'Mei.Li@example.com' WHERE name = 'mei'");
    const { json } = await add('mei', { name: '厨房' });
    assert.equal(json.name, 'mei-li-example-com-phone');
    sql("UPDATE users SET name = 'mei' WHERE name = 'Mei.Li@example.com'");
  });

  test('a new stream never gets the name of one that left recordings', async () => {
    sql(`INSERT INTO recordings (app, name, file, format, started_ms, state)
         VALUES ('live', 'mei-garage', 'live/mei-garage/x.mp4', 'mp4', 1, 'complete')`);
    assert.equal((await add('mei', { name: 'Garage' })).json.name, 'mei-garage-2');
    sql("INSERT INTO recording_deletions (app, name) VALUES ('live', 'mei-garage-3')");
    assert.equal((await add('mei', { name: 'Garage' })).json.name, 'mei-garage-4');
    assert.deepEqual((await call('mei', 'GET', '/api/recordings')).json.recordings, []);
  });

  test('an admin adds one for somebody else, and a person that does not exist yet', async () => {
    const { json } = await add('admin', { name: 'Roof', owner: 'joe' });
    assert.deepEqual([json.name, json.owner], ['joe-roof', 'joe']);
    assert.deepEqual((await phonesOf('joe')).map(({ label, by }) => [label, by]), [['Roof', 'admin'], ['', undefined]]);

    assert.equal((await add('admin', { name: 'Door', owner: 'lena' })).status, 404, 'without "person"');
    assert.equal(one("SELECT COUNT(*) FROM users WHERE name = 'lena'"), '0');
    const lena = await add('admin', { name: 'Door', owner: 'lena', person: true });
    assert.deepEqual([lena.status, lena.json.name], [201, 'lena-door']);
    assert.equal((await publish(lena.json)).allow, true, 'before she has a password');
    assert.deepEqual(sql("SELECT password_hash, admin FROM users WHERE name = 'lena'"), [['', '0']]);
    const [, invite] = /^\/#\/invite\/([\w-]{43})$/.exec(lena.json.invite);
    const used = await auth.api('POST', '/api/invites/use', { body: { invite, password: 'a password of hers' } });
    assert.equal(used.status, 200);
    assert.equal((await publish(lena.json)).allow, true, 'and with one');
    cookies.lena = used.headers['set-cookie'].split(';')[0];
    assert.equal((await add('lena', { name: 'Gate' })).json.name, 'lena-gate');
    assert.equal((await add('admin', { name: 'X', owner: 'joe', person: true })).json.invite, undefined);
  });

  test('nothing is left of an addition that fails', async () => {
    const rows = () => sql('SELECT (SELECT COUNT(*) FROM users), (SELECT COUNT(*) FROM streams), ' +
      '(SELECT COUNT(*) FROM devices)');
    const counted = rows();
    sql("CREATE TRIGGER no_key BEFORE INSERT ON devices FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'");
    try {
      assert.equal((await add('admin', { name: 'X', owner: 'nobody-yet', person: true })).status, 500);
    } finally {
      sql('DROP TRIGGER no_key');
    }
    assert.deepEqual(rows(), counted);
  });

  test('others may not: for somebody else, on a stream they do not manage, or with a bad name', async () => {
    const counted = one('SELECT COUNT(*) FROM devices');
    for (const [who, body, status, code] of [
      ['eve', { name: 'X' }, 403, 'forbidden'],     // she owns no stream
      ['joe', { name: 'X', owner: 'mei' }, 403, 'forbidden'],
      ['joe', { name: 'X', owner: 'new', person: true }, 403, 'forbidden'],
      ['joe', { name: 'X', stream: 'live/mei-kitchen' }, 404, 'not_found'],
      ['joe', { name: 'X', stream: 'live/none' }, 404, 'not_found'],
      ['joe', { name: 'X', stream: 'live' }, 400, 'bad_name'],
      ['joe', { name: '' }, 400, 'bad_title'],
      ['joe', { name: '   ' }, 400, 'bad_title'],
      ['joe', { name: 'x'.repeat(65) }, 400, 'bad_title'],
      ['joe', { name: 'evil\u202e' }, 400, 'bad_title'],
      ['joe', { name: 7 }, 400, 'bad_request'],
      ['joe', {}, 400, 'bad_request'],
      ['admin', { name: 'X', owner: 'no such/name', person: true }, 400, 'bad_name'],
      [undefined, { name: 'X' }, 401, 'login_required'],
    ]) {
      const answer = await add(who, body);
      assert.deepEqual([answer.status, answer.json.error], [status, code], JSON.stringify(body));
    }
    assert.equal(one('SELECT COUNT(*) FROM devices'), counted);
    assert.equal(denied('phone add'), '2');
  });
});

describe('bounds', () => {
  test('a user who is no admin may own 50 streams, and give a stream 20 valid keys', async () => {
    const id = one("SELECT id FROM users WHERE name = 'joe'");
    const owned = Number(one(`SELECT COUNT(*) FROM streams WHERE owner_id = ${id}`));
    sql(`INSERT INTO streams (app, name, owner_id) WITH RECURSIVE n AS (SELECT ${owned} AS i UNION
         SELECT i + 1 FROM n WHERE i < 48) SELECT 'live', CONCAT('joe-old-', i), ${id} FROM n`);
    const last = await add('joe', { name: 'Last' });
    assert.equal(last.status, 201);
    const over = await add('joe', { name: 'Too many' });
    assert.deepEqual([over.status, over.json.error], [409, 'full']);
    assert.equal((await add('admin', { name: 'By the admin', owner: 'joe' })).status, 201);

    const { stream } = last.json;
    for (let n = 2; n <= 20; n++) assert.equal((await add('joe', { name: `Camera ${n}`, stream })).status, 201);
    assert.equal((await add('joe', { name: 'Camera 21', stream })).json.error, 'full');
    assert.equal((await call('joe', 'POST', `/api/phones/${last.json.id}/renew`, {})).status, 201, 'in place of one');
    assert.equal((await add('admin', { name: 'Camera 21', stream })).status, 201);
    sql(`DELETE FROM streams WHERE owner_id = ${id} AND name LIKE 'joe-old-%'`);
  });

  test('of a stream\'s revoked keys the oldest are deleted beyond 200 keys', async () => {
    const { json } = await add('mei', { name: 'Often' });
    const stream = one(`SELECT stream_id FROM devices WHERE id = ${json.id}`);
    sql(`INSERT INTO devices (stream_id, user_id, key_hash, revoked_at) WITH RECURSIVE n AS (SELECT 1 AS i UNION
         SELECT i + 1 FROM n WHERE i < 300) SELECT ${stream}, 1, UNHEX(SHA2(CONCAT('old', i), 256)), NOW() FROM n`);
    assert.equal((await call('mei', 'POST', `/api/phones/${json.id}/renew`, {})).status, 201);
    assert.equal(one(`SELECT COUNT(*) FROM devices WHERE stream_id = ${stream}`), '200');
    assert.equal(one(`SELECT COUNT(*) FROM devices WHERE stream_id = ${stream} AND revoked_at IS NULL`), '1');
  });
});

describe('the list', () => {
  test('has what nginx measures, of the device that publishes now alone', async () => {
    const first = (await add('mei', { name: 'Two' })).json;
    const second = (await add('mei', { name: 'Second camera', stream: first.stream })).json;
    assert.equal(second.stream, first.stream);
    await publish(first, { SESSION: '71', REMOTE_ADDR: '198.51.100.4', AGENT: 'Larix/1.3' });
    nginx.answer = (url) => [200, url === '/status' ? {
      streams: [{
        name: first.stream, state: 'live', session: '71', kbps_in: 2400, fps: 29.97, gop_ms: 10_000,
        gop_outgrown: false, gaps: 4, width: 1280, height: 720, video: 'h264', audio: 'aac', since_ms: 5000, viewers: 2,
      }],
    } : { ended: 0, sessions: [{ id: '71' }] }];
    const seen = await until(async () => {
      const found = await phonesOf('mei');
      return found.find(({ id }) => id === first.id).live && found;
    }, 'nginx\'s figures');
    const [a, b] = [first, second].map(({ id }) => seen.find((phone) => phone.id === id));
    assert.deepEqual(a.live, {
      kbps: 2400, fps: 29.97, gop_ms: 10_000, gop_outgrown: false, gaps: 4, width: 1280, height: 720, video: 'h264',
      audio: 'aac', since_ms: 5000, viewers: 2,
    });
    assert.deepEqual([a.address, a.agent, a.ended, a.revoked], ['198.51.100.4', 'Larix/1.3', '', false]);
    assert.ok(Math.abs(a.seen - Date.now()) < 60_000 && Math.abs(a.created - Date.now()) < 60_000);
    assert.deepEqual([b.live, b.seen, b.address], [null, null, '']);

    await auth.gate('done', { KIND: 'publish', SESSION: '71', REASON: 'no media for 15000 ms' });
    const ended = await phoneOf('mei', first.id);
    assert.deepEqual([ended.live, ended.ended, ended.address], [null, 'no media for 15000 ms', '198.51.100.4']);
    sql('DELETE FROM sessions');
    assert.deepEqual(await phoneOf('mei', first.id), ended, 'outlives the rows of sessions');
  });

  test('a stranger\'s program is a text that can be shown', async () => {
    const { json } = await add('mei', { name: 'Odd' });
    for (const [agent, shown] of [['a\nb"c', /^a\\.*b/], ['x'.repeat(500), /^x{63}$/], ['相机', /^相机$/]]) {
      await publish(json, { SESSION: 'odd', AGENT: agent });
      await auth.gate('done', { KIND: 'publish', SESSION: 'odd', REASON: 'x' });
      assert.match((await phoneOf('mei', json.id)).agent, shown);
    }
  });

  test('a user sees the phones of the streams she manages, an admin all, and by owner', async () => {
    const streams = (phones) => [...new Set(phones.map(({ owner }) => owner))].sort();
    assert.deepEqual(streams(await phonesOf('mei')), ['mei']);
    assert.deepEqual(streams(await phonesOf('joe', '?owner=mei')), []);
    assert.ok(streams(await phonesOf('admin')).includes('mei') && streams(await phonesOf('admin')).includes('joe'));
    assert.deepEqual(streams(await phonesOf('admin', '?owner=mei')), ['mei']);
    assert.equal((await call('admin', 'GET', `/api/phones?owner=${'x'.repeat(100)}`)).status, 400);

    const { json } = await add('mei', { name: 'Shared' });
    const his = async () => (await phonesOf('joe')).some(({ id }) => id === json.id);
    for (const [rights, sees] of [['view,replay,publish', false], ['manage', true]]) {
      await auth.done(['grant', 'joe', json.stream, rights]);
      assert.equal(await his(), sees, rights);
      const { status } = await call('joe', 'GET', `/api/phones/${json.id}`);
      assert.equal(status, sees ? 200 : 403, rights);
    }
    await auth.done(['revoke', 'joe', json.stream]);
    assert.equal((await call('joe', 'GET', `/api/phones/${json.id}`)).status, 404);
  });
});

describe('why not', () => {
  test('the page learns the gate\'s newest reason since the phone was added, however often it was given', async () => {
    const { json } = await add('mei', { name: 'Why' });
    assert.equal((await phoneOf('mei', json.id)).refused, undefined);
    const old = json.key;
    const { json: fresh } = await call('mei', 'POST', `/api/phones/${json.id}/renew`, {});
    for (let n = 0; n < 30; n++) await publish({ ...json, key: old }, { REMOTE_ADDR: '198.51.100.4' });
    const { refused } = await phoneOf('mei', fresh.id);
    assert.deepEqual([refused.reason, refused.address], ['key revoked', '198.51.100.4']);
    assert.ok(Math.abs(refused.at - Date.now()) < 60_000);
    await publish({ ...json, key: 'AAAAAAAAAAAAAAAAAAAAAA' });
    assert.equal((await phoneOf('mei', fresh.id)).refused.reason, 'wrong key');
    await publish({ ...json, key: '' });
    assert.equal((await phoneOf('mei', fresh.id)).refused.reason, 'no key');
    const { json: other } = await add('mei', { name: 'Other' });
    assert.equal((await phoneOf('mei', other.id)).refused, undefined, 'of another stream');
  });

  test('a phone at the page\'s address that asks for no stream counts, one elsewhere does not', async () => {
    const { json } = await add('mei', { name: 'Name' });
    await publish({ name: 'mei-typo', key: json.key }, { REMOTE_ADDR: '198.51.100.99' });
    assert.equal((await phoneOf('mei', json.id)).refused, undefined);
    await publish({ name: 'mei-typo', key: json.key }, { REMOTE_ADDR: '192.0.2.8' });     // as the calls of auth.api()
    const { refused } = await phoneOf('mei', json.id);
    assert.equal(refused.reason, 'unknown stream');
    assert.ok(!JSON.stringify(refused).includes('typo'), 'the name may be another user\'s');
  });
});

describe('revoking', () => {
  test('one phone ends alone: nginx is told of its key, the others still publish', async () => {
    const first = (await add('mei', { name: 'Left' })).json;
    const second = (await add('mei', { name: 'Right', stream: first.stream })).json;
    nginx.answer = (url) => [200, { ended: url.startsWith('/control/revoke') ? 1 : 0 }];
    nginx.calls = [];
    const { status, json } = await call('mei', 'DELETE', `/api/phones/${first.id}`, {});
    assert.deepEqual([status, json], [200, { ended: 1 }]);
    assert.ok(nginx.revoked().includes(`key=${first.id}`) && !nginx.revoked().includes(`key=${second.id}`));
    assert.equal((await publish(first)).reason, 'key revoked');
    assert.equal((await publish(second)).allow, true);
    assert.equal((await call('mei', 'DELETE', `/api/phones/${first.id}`, {})).status, 404, 'once');
    assert.equal((await phonesOf('mei')).find(({ id }) => id === first.id).revoked, true);

    for (const [who, id, expected] of [['joe', second.id, 404], ['mei', 'x', 404], ['mei', 99_999, 404]])
      assert.equal((await call(who, 'DELETE', `/api/phones/${id}`, {})).status, expected);
    assert.equal((await publish(second)).allow, true);
  });

  test('a new code takes the old one\'s place, also of a revoked one', async () => {
    const first = (await add('mei', { name: 'Lost' })).json;
    nginx.calls = [];
    const second = await call('mei', 'POST', `/api/phones/${first.id}/renew`, {});
    assert.equal(second.status, 201);
    assert.deepEqual([second.json.label, second.json.stream], ['Lost', first.stream]);
    assert.ok(nginx.revoked().includes(`key=${first.id}`));
    assert.equal((await publish(first)).reason, 'key revoked');
    assert.equal((await publish(second.json)).allow, true);
    await call('mei', 'DELETE', `/api/phones/${second.json.id}`, {});
    const third = await call('mei', 'POST', `/api/phones/${second.json.id}/renew`, {});
    assert.equal((await publish(third.json)).allow, true);
    assert.equal((await call('joe', 'POST', `/api/phones/${third.json.id}/renew`, {})).status, 404);
  });

  test('a manager\'s phone is in the owner\'s name and ends with the right to manage', async () => {
    const { json } = await add('mei', { name: 'Managed' });
    await auth.done(['grant', 'joe', json.stream, 'manage']);
    const { json: his } = await add('joe', { name: 'Joe’s', stream: json.stream });
    assert.deepEqual(sql(`SELECT u.name, m.name FROM devices d JOIN users u ON u.id = d.user_id
      JOIN users m ON m.id = d.made_by WHERE d.id = ${his.id}`), [['mei', 'joe']]);
    await auth.done(['stream', 'key', 'add', json.stream, '--user', 'joe', '--label', 'of joe']);
    await auth.done(['grant', 'joe', json.stream, 'publish']);
    const inHisName = (await phonesOf('mei')).find(({ label }) => label === 'of joe');
    const { json: taken } = await call('mei', 'POST', `/api/phones/${inHisName.id}/renew`, {});
    assert.equal(one(`SELECT u.name FROM devices d JOIN users u ON u.id = d.user_id WHERE d.id = ${taken.id}`), 'mei',
      'nobody acts in the name of somebody else');
    await auth.done(['revoke', 'joe', json.stream, 'manage']);
    assert.equal((await publish(his)).reason, 'key revoked');
    assert.equal((await publish(json)).allow, true);
  });
});

test('duoluctl adds, lists and revokes phones', async () => {
  const made = await auth.done(['phone', 'add', 'mei', 'Attic 阁楼', '--json']);
  assert.deepEqual([made.app, made.name, made.owner], ['live', 'mei-attic', 'mei']);
  const text = await auth.done(['phone', 'add', 'mei', 'Second', 'live/mei-attic']);
  assert.match(text, /^stream live\/mei-attic\nowner mei\nserver rtmp:.*\nname mei-attic\?key=\S+\nurl .*\nkey \S+\n$/);
  const { phones } = await auth.done(['phone', 'list', 'mei', '--json']);
  const [second, first] = phones.filter(({ stream }) => stream === 'live/mei-attic');
  assert.deepEqual([first.label, second.label, first.seen], ['Attic 阁楼', 'Second', 0]);
  assert.match(await auth.done(['phone', 'list']), /live\/mei-attic +mei +valid +seen=never Attic 阁楼/);
  assert.match(await auth.done(['phone', 'revoke', String(first.id)]), /^revoked: phone \d+ of live\/mei-attic\n/);
  assert.equal((await auth.ctl(['phone', 'revoke', String(first.id)])).code, 4);
  assert.equal((await auth.ctl(['phone', 'revoke', 'x'])).code, 2);
  assert.equal((await auth.ctl(['phone', 'add', 'nobody', 'X'])).code, 4);
  assert.equal((await auth.ctl(['phone', 'add', 'mei', ' '])).code, 2);
  assert.equal((await publish({ name: made.name, key: made.key })).reason, 'key revoked');
});
