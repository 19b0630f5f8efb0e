// Links of the real service: who may make one, what opening one gives, and how it ends.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';

import { password } from '../lib/auth.mjs';
import { until } from '../lib/nginx.mjs';
import { RecService } from '../lib/rec-service.mjs';
import { fileName, indexHead, indexSegment } from '../lib/recordings.mjs';

const DEADLINE = { timeout: 240_000 };
const LINKS = 2 ** 48;
const NOON = Date.UTC(2026, 2, 10, 12);
const service = new RecService();
const { sql } = service;
let auth;
let nginx;
let cookies;

const one = (text) => sql(text)[0]?.[0];
const idOf = (name) => one(`SELECT id FROM users WHERE name = '${name}'`);
const demo = '/api/streams/live/demo/links';
const clipOf = (over = {}) => ({ kind: 'clip', from: NOON + 10_000, to: NOON + 30_000, lifetime: 3600, ...over });
const liveOf = (over = {}) => ({ kind: 'live', lifetime: 3600, ...over });
const add = (who, body, where = demo) => auth.api('POST', where, { cookie: cookies[who], body });
const list = async (who = 'admin', where = demo) => (await auth.api('GET', where, { cookie: cookies[who] })).json.links;
const open = (body, address = '198.51.100.7') =>
  auth.api('POST', '/api/links/open', { body, headers: { REMOTE_ADDR: address } });
const claimsOf = ({ url }) => JSON.parse(Buffer.from(url.split('/')[2].split('.')[1], 'base64url'));
const revokedOf = ({ id }) => nginx.revoked().filter((text) => text === `user=${LINKS + id}`);

/** A new link that must be made. */
async function made(who, body, where) {
  const { status, json, text } = await add(who, body, where);
  assert.equal(status, 201, text);
  return json;
}

/** Opens a link, which must work: {…answer, claims}. */
async function opened(link, more) {
  const { status, json, text } = await open({ link: link.link, ...more });
  assert.equal(status, 200, text);
  return { ...json, claims: claimsOf(json) };
}

const isOver = async (link) => (await open({ link: link.link })).status === 410;

before(async () => {
  await service.start();
  ({ auth, nginx } = service);
  const people = ['admin', 'bob', 'eve', 'max', 'vera'];
  for (const name of ['max', 'vera'])
    await auth.done(['user', 'add', name, '--password-stdin'], `${password}\n`);
  cookies = Object.fromEntries(await Promise.all(people.map(async (name) => [name, await service.login(name)])));
  // a minute with key frames at 0, 20 and 40 s, an index line every 4 s
  const file = `live/demo/${fileName(NOON)}`;
  fs.mkdirSync(path.dirname(service.at(file)), { recursive: true });
  fs.writeFileSync(service.at(file), Buffer.alloc(1600));
  fs.writeFileSync(service.indexOf(file), indexHead({ stream: 'live/demo', session: NOON, init: 100, utc: NOON })
    + Array.from({ length: 15 }, (_, i) => indexSegment({
      utc: NOON + 4000 * i, duration: 4000, offset: 100 + 100 * i, size: 100, dependent: i % 5 !== 0,
    }, path.basename(file))).join('') + '#EXT-X-ENDLIST\n');
  service.insert({ file, stream: 'live/demo', from: NOON, to: NOON + 60_000, bytes: 1600 });
});

after(() => service.stop());

beforeEach(async () => {
  await until(() => Number(one('SELECT COUNT(*) FROM revocations WHERE pending = 1')) === 0, 'no pending revocation');
  nginx.calls = [];
});

const grant = (name, rights) => auth.done(['grant', name, 'live/demo', rights]);
const ungrant = (name, rights) => auth.done(['revoke', name, 'live/demo', rights]);

describe('making a link', () => {
  test('takes the right to manage, and what the link gives', DEADLINE, async () => {
    const rows = [
      ['nothing', null, 404, 404],
      ['view', 'view', 403, 403],
      ['view,replay,publish', 'view,replay,publish', 403, 403],
      ['manage', 'manage', 403, 403],
      ['manage,view', 'manage,view', 403, 201],
      ['manage,replay', 'manage,replay', 201, 403],
      ['all', 'publish,view,replay,manage', 201, 201],
    ];
    for (const [what, rights, clip, live] of rows) {
      if (rights) await grant('vera', rights);
      const got = [(await add('vera', clipOf())).status, (await add('vera', liveOf())).status];
      assert.deepEqual(got, [clip, live], what);
      if (rights) await ungrant('vera', rights);
    }
    assert.deepEqual((await add('bob', liveOf(), '/api/streams/live/bobs/links')).status, 201, 'an owner');
    assert.equal((await auth.api('POST', demo, { body: clipOf() })).status, 401);
    assert.equal((await auth.api('GET', demo, { cookie: cookies.eve })).status, 404);
    const forged = { cookie: cookies.admin, body: clipOf(), headers: { HTTP_X_DUOLU: '0' } };
    assert.equal((await auth.api('POST', demo, forged)).status, 403);
  });

  test('widens the span to what can be cut out of the recording', DEADLINE, async () => {
    const span = async (from, to) => {
      const { json } = await add('admin', clipOf({ from: NOON + from, to: NOON + to }));
      return json.link ? [json.from - NOON, json.to - NOON] : json.error;
    };
    assert.deepEqual(await span(25_000, 33_000), [20_000, 36_000]);
    assert.deepEqual(await span(20_000, 36_000), [20_000, 36_000], 'it already was');
    assert.deepEqual(await span(-5000, 1000), [0, 4000], 'from before the recording');
    assert.deepEqual(await span(59_000, 90_000), [40_000, 90_000], 'to behind it');
    assert.equal(await span(60_000, 90_000), 'not_found');
  });

  test('refuses what is no span, no kind, no lifetime or no password', DEADLINE, async () => {
    const wrong = [
      { kind: 'all' }, { kind: 'live', lifetime: 59 }, { lifetime: 30 * 86_400 + 1 }, { lifetime: '60' },
      { from: NOON, to: NOON }, { from: NOON + 2, to: NOON }, { from: NOON, to: NOON + 6 * 3_600_000 + 1 },
      { from: -1 }, { from: 1.5 }, { to: null }, { from: Date.now() + 60_000, to: Date.now() + 70_000 },
      { password: 'short' }, { password: 7 }, { label: 'x'.repeat(201) }, { label: '\u202e' }, { lifetime: undefined },
    ];
    const before_ = (await list()).length;
    for (const over of wrong) {
      const { status, text } = await add('admin', clipOf(over));
      assert.equal(status, 400, `${JSON.stringify(over)}: ${text}`);
    }
    assert.equal((await list()).length, before_);
  });

  test('a stream has at most 200 links; those that are over make room', DEADLINE, async () => {
    const stream = one("SELECT id FROM streams WHERE name = 'bobs'");
    const where = '/api/streams/live/bobs/links';
    sql(`DELETE FROM links WHERE stream_id = ${stream}`);
    sql(`INSERT INTO links (token_hash, stream_id, kind, expires_ms, revoked_at)
      WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 200)
      SELECT UNHEX(SHA2(CONCAT('x', n), 256)), ${stream}, 'live', 4102444800000, IF(n = 1, NOW(), NULL) FROM numbers`);
    await made('bob', liveOf(), where);
    const { status, json } = await add('bob', liveOf(), where);
    assert.deepEqual([status, json.error], [409, 'too_many']);
    sql(`DELETE FROM links WHERE stream_id = ${stream}`);
  });
});

describe('opening a link', () => {
  test('gives a token for its span, and nothing else', DEADLINE, async () => {
    const link = await made('admin', clipOf({ label: 'The van' }));
    const { claims, ...answer } = await opened(link);
    assert.deepEqual(Object.keys(answer).sort(), ['expires', 'from', 'kind', 'name', 'picture', 'title', 'to', 'url']);
    assert.deepEqual([answer.kind, answer.title, answer.from, answer.to], ['clip', 'The van', NOON, NOON + 32_000]);
    const { iat, exp, ...rest } = claims;
    assert.deepEqual(rest,
      { sub: String(LINKS + link.id), s: 'live/demo', a: 'clip', f: NOON, t: NOON + 32_000 });
    assert.ok(exp <= link.expires / 1000 && iat <= exp);
    assert.match(answer.url, new RegExp(`/rec/live/demo/clip\\.mp4\\?from=${NOON}&to=${NOON + 32_000}$`));
    assert.equal((await auth.gate('play', { ARGS: `token=${answer.url.split('/')[2]}` })).json.allow, false);
  });

  test('to live gives a token to view until it expires, but not over RTMP', DEADLINE, async () => {
    const link = await made('admin', liveOf());
    const { claims, ...answer } = await opened(link);
    assert.deepEqual([claims.a, claims.exp, claims.f], ['view', link.expires / 1000, undefined]);
    assert.equal(answer.title, 'Front door');
    assert.equal(answer.state, 'offline');
    assert.match(answer.url, /^\/m\/[^/]+\/live\/demo\.flv$/);
    const played = (await auth.gate('play', { ARGS: `token=${answer.url.split('/')[2]}` })).json;
    assert.deepEqual(played, { allow: false, reason: 'wrong token' });
  });

  test('counts views, not questions of a page that has it open', DEADLINE, async () => {
    const link = await made('admin', liveOf());
    const views = async () => (await list()).find(({ id }) => id === link.id).views;
    await opened(link, { again: true });
    assert.equal(await views(), 1, 'the first one counts in any case: it gave a token');
    await opened(link, { again: true });
    await opened(link);
    assert.equal(await views(), 2);
    assert.equal(one(`SELECT COUNT(*) FROM links WHERE token_hash = UNHEX(SHA2('${link.link}', 256))`), '1');
    assert.ok(!JSON.stringify(await list()).includes(link.link), 'the list does not have the link itself');
  });

  test('with a password: asks for it, and makes guessers wait', DEADLINE, async () => {
    const link = await made('admin', clipOf({ password: 'correct horse' }));
    const ask = (given, address) => open({ link: link.link, password: given }, address);
    assert.deepEqual((await ask()).json.error, 'password_required');
    for (const given of ['', 'wrong horse', 'x'.repeat(1000)])
      assert.equal((await ask(given)).json.error, 'wrong_password', given);
    assert.equal((await ask('correct horse')).status, 200);
    /** Guesses until it has to wait; returns after how many. */
    const guess = async (addressOf) => {
      for (let i = 0; i < 40; i++) {
        const { status, json } = await ask('wrong horse', addressOf(i));
        if (status !== 429) continue;
        assert.equal(json.error, 'backoff');
        return i;
      }
      return assert.fail('forty guesses without a wait');
    };
    assert.ok(await guess(() => '203.0.113.5') < 10, 'an address');
    assert.equal((await ask('correct horse', '203.0.113.6')).status, 200, 'others need not wait');
    assert.ok(await guess((i) => `203.0.113.${20 + i}`) > 5, 'many addresses together');
  });

  test('that does not exist: 404, and after sixty tries the address waits', DEADLINE, async () => {
    const address = '203.0.113.200';
    const link = await made('admin', clipOf());
    for (const text of ['', 'x', 'A'.repeat(22), "' OR 1=1 -- '-- -- --", 'é'.repeat(11), 'A'.repeat(5000)])
      assert.equal((await open({ link: text }, address)).status, 404, text);
    assert.equal((await open({}, address)).status, 400);
    assert.equal((await open({ link: 7 }, address)).status, 400);
    let waits = 0;
    for (let i = 0; i < 120 && !waits; i++) {
      if ((await open({ link: 'A'.repeat(22) }, address)).status !== 429) continue;
      waits = Number((await open({ link: link.link }, address)).status === 429);
    }
    assert.ok(waits, 'also for one that exists');
    assert.equal((await open({ link: link.link }, '203.0.113.201')).status, 200);
    const forged = { body: { link: link.link }, headers: { HTTP_X_DUOLU: '' } };
    assert.equal((await auth.api('POST', '/api/links/open', forged)).status, 403, 'not for a form of another site');
  });

  test('that has expired: says that it is over', DEADLINE, async () => {
    const link = await made('admin', clipOf());
    sql(`UPDATE links SET expires_ms = ${Date.now() - 1} WHERE id = ${link.id}`);
    assert.ok(await isOver(link));
    assert.equal((await list()).find(({ id }) => id === link.id).over, true);
  });
});

describe('the end of a link', () => {
  test('revoked: its viewers end, it can be opened no more, and others stay', DEADLINE, async () => {
    const [link, other] = [await made('admin', clipOf()), await made('admin', clipOf())];
    const unopened = await made('admin', liveOf());
    await Promise.all([opened(link), opened(other)]);
    const remove = ({ id }, who) => auth.api('DELETE', `/api/links/${id}`, { cookie: cookies[who], body: {} });
    assert.equal((await remove(link, 'eve')).status, 404);
    assert.equal((await remove({ id: 999_999 }, 'admin')).status, 404);
    assert.equal((await remove({ id: 'x' }, 'admin')).status, 404);
    assert.equal((await remove(link, 'admin')).status, 200);
    assert.equal(revokedOf(link).length, 1);
    assert.ok(await isOver(link) && !await isOver(other));
    assert.equal((await remove(link, 'admin')).status, 404, 'twice');
    assert.equal((await remove(unopened, 'admin')).status, 200);
    assert.equal(revokedOf(unopened).length, 0, 'nobody had opened it: nginx need not know');
  });

  const losses = [
    ['the right is revoked', () => ungrant('max', 'manage'), () => grant('max', 'manage')],
    ['the right to replay is revoked', () => ungrant('max', 'replay'), () => grant('max', 'replay')],
    ['the maker is disabled', () => auth.done(['user', 'disable', 'max']), () => auth.done(['user', 'enable', 'max'])],
    ['an SQL statement takes the right', () => sql(`DELETE FROM grants WHERE user_id = ${idOf('max')}`),
      () => grant('max', 'publish,view,replay,manage')],
  ];
  for (const [what, lose, give] of losses) {
    test(`it ends when its maker's right does: ${what}`, DEADLINE, async () => {
      await grant('max', 'publish,view,replay,manage');
      cookies.max = await service.login('max');
      const [mine, others] = [await made('max', clipOf()), await made('admin', clipOf())];
      assert.equal((await list()).find(({ id }) => id === mine.id).by, 'max');
      await Promise.all([opened(mine), opened(others)]);
      await lose();
      assert.ok(await isOver(mine), 'at once');
      await until(() => revokedOf(mine).length > 0, 'nginx to be told', 20_000);
      await give();
      assert.ok(await isOver(mine), 'it does not come back with the right');
      await opened(others);
      assert.equal(revokedOf(others).length, 0);
    });
  }

  test('revoked by an SQL statement: nginx is told', DEADLINE, async () => {
    const link = await made('admin', clipOf());
    await opened(link);
    sql(`UPDATE links SET revoked_at = UTC_TIMESTAMP() WHERE id = ${link.id}`);
    await until(() => revokedOf(link).length > 0, 'nginx to be told', 20_000);
    assert.ok(await isOver(link));
  });

  test('with its stream', DEADLINE, async () => {
    await auth.done(['stream', 'add', 'live/gone', '--owner', 'bob']);
    const link = await made('bob', liveOf(), '/api/streams/live/gone/links');
    await opened(link);
    sql("DELETE FROM streams WHERE name = 'gone'");
    assert.equal((await open({ link: link.link })).status, 404);
  });

  test('all that happens has an audit row', DEADLINE, async () => {
    const rows = sql("SELECT DISTINCT action, outcome FROM audit WHERE action LIKE 'link %'");
    assert.deepEqual(rows.map((row) => row.join(' ')).sort(),
      ['link add denied', 'link add ok', 'link open denied', 'link revoke ok']);
  });
});

test('duoluctl: link add, list and revoke', DEADLINE, async () => {
  const iso = (ms) => new Date(ms).toISOString();
  const added = await auth.done(['link', 'add', 'live/demo', iso(NOON + 25_000), iso(NOON + 30_000), '--ttl', '600',
    '--label', 'van', '--json']);
  assert.match(added.url, /^https:\/\/[^/]+:\d+\/#\/s\/[\w-]{22}$/);
  assert.deepEqual([added.from, added.to, added.label], [NOON + 20_000, NOON + 32_000, 'van']);
  const link = { link: added.url.slice(-22), id: added.id };
  await opened(link);
  const text = await auth.done(['link', 'add', 'live/demo', 'live', '--password-stdin'], 'correct horse\n');
  assert.match(text, /^id \d+\nfrom live\nto -\nexpires [^\n]+Z\nurl https:/);
  const { links } = await auth.done(['link', 'list', 'live/demo', '--json']);
  assert.deepEqual(links.slice(0, 2).map((each) => [each.kind, each.stream, each.views, each.password]),
    [['live', 'live/demo', 0, true], ['clip', 'live/demo', 1, false]]);
  assert.match(await auth.done(['link', 'list']), new RegExp(`^${link.id} +live/demo .* views=1 van$`, 'm'));
  assert.match(await auth.done(['link', 'revoke', String(link.id)]), /^revoked: valid link \d+ of stream live\/demo/);
  assert.equal(revokedOf(link).length, 1);
  assert.ok(await isOver(link));
  const codes = async (...args) => (await auth.ctl(['link', ...args])).code;
  assert.equal(await codes('revoke', String(link.id)), 4);
  assert.equal(await codes('revoke', 'x'), 2);
  assert.equal(await codes('add', 'live/none', 'live'), 4);
  assert.equal(await codes('add', 'live/demo', 'later'), 2);
  assert.equal(await codes('add', 'live/demo', iso(NOON), iso(NOON - 1)), 2);
  assert.equal(await codes('add', 'live/demo', iso(NOON - 7_200_000), iso(NOON - 3_600_000)), 4);
});
