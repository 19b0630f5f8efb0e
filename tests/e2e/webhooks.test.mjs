// Webhooks of the real duolu-auth, with a real receiver that fails, hangs, redirects and answers slowly,
// and a stand-in for nginx. tests/browser/admin-alerts.test.mjs has the real nginx.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Service } from '../lib/auth.mjs';
import { until } from '../lib/nginx.mjs';
import { Receiver, signed } from '../lib/receiver.mjs';
import { fileName } from '../lib/recordings.mjs';

const service = new Service();
const { sql } = service;
let auth;
let admin;
let rec;
let streams = [];       // in the stand-in's status
const receivers = [];

before(async () => {
  await service.start({
    users: [['admin', '--admin'], ['bob']],
    streams: [['demo', 'admin', 'Front "door"'], ['相机+1', 'bob']],
    nginx: true,
    prepare() {
      auth = service.auth;
      rec = path.join(auth.home, 'rec');
      fs.mkdirSync(path.join(rec, '.spool'), { recursive: true });
      // less than this is free on every disk
      auth.environment.DUOLU_REC_FREE = '99%';
    },
  });
  service.nginx.answer = (url) => [200, url === '/status' ? { streams } : { sessions: [], ended: 0 }];
  admin = await service.login('admin');
});

after(async () => {
  await Promise.all(receivers.map((receiver) => receiver.stop()));
  await service.stop();
});

const call = async (method, address, body) => {
  const { status, json } = await auth.api(method, address, { cookie: admin, body });
  assert.ok(status === 200 || status === 201, `${method} ${address}: ${status} ${JSON.stringify(json)}`);
  return json;
};

/** A receiver and its webhook: {receiver, id, secret, now()}. */
async function hook(events, more = {}) {
  const receiver = new Receiver();
  await receiver.start();
  receivers.push(receiver);
  const { id, secret } = await call('POST', '/api/webhooks', { url: receiver.url, events, ...more });
  return {
    receiver, id, secret,
    now: async () => (await call('GET', '/api/webhooks')).webhooks.find((each) => each.id === id),
    test: () => call('POST', `/api/webhooks/${id}/test`, {}),
    remove: () => call('DELETE', `/api/webhooks/${id}`, {}),
    /** Adds an event as the service does, without anything having happened. */
    queue: (event, payload = {}) => {
      const eventId = Math.random().toString(16).slice(2).padEnd(32, '0').slice(0, 32);
      sql(`INSERT INTO webhook_outbox (webhook_id, event, event_id, payload) VALUES (${id}, '${event}', '${eventId}',
        '${JSON.stringify({ id: eventId, event, ...payload })}')`);
      return eventId;
    },
    soon: () => sql(`UPDATE webhook_outbox SET next_try = UTC_TIMESTAMP(3) WHERE webhook_id = ${id}`),
  };
}

const live = (session, state = 'live', more = {}) =>
  ({ name: 'live/demo', id: 1, state, session, address: '192.0.2.5', recording: { state: 'off' }, ...more });

/** Waits until the service has forgotten what it saw for earlier webhooks. */
const forgotten = () => until(() => sql('SELECT COUNT(*) FROM webhook_marks')[0][0] === '0', 'the marks to be removed');

const wrongLogin = (address) =>
  auth.api('POST', '/api/login', { body: { name: 'bob', password: 'no' }, headers: { REMOTE_ADDR: address } });

/** Waits until the service has seen the state. */
const seen = (state) => until(() => sql('SELECT state FROM webhook_streams WHERE stream_id = 1')[0]?.[0] === state,
  `the service to see live/demo as ${state}`);

describe('a webhook', () => {
  test('is for admins; its address, events and number are checked', async () => {
    const bob = await service.login('bob');
    for (const [method, address] of [
      ['GET', '/api/webhooks'], ['POST', '/api/webhooks'], ['POST', '/api/webhooks/1'], ['DELETE', '/api/webhooks/1'],
      ['POST', '/api/webhooks/1/test'], ['POST', '/api/webhooks/1/secret'], ['GET', '/api/webhooks/1/dead'],
      ['GET', '/api/audit'],
    ]) {
      const { status } = await auth.api(method, address, { cookie: bob, body: method === 'GET' ? undefined : {} });
      assert.equal(status, 403, `${method} ${address}`);
    }
    const refused = async (body) => {
      const { status, json } = await auth.api('POST', '/api/webhooks', { cookie: admin, body });
      assert.equal(status, 400, JSON.stringify(body));
      return json.message;
    };
    assert.match(await refused({}), /"url" is missing/);
    assert.match(await refused({ url: 'ftp://example.com/' }), /"url" is "ftp:/);
    assert.match(await refused({ url: 'https://u:p@example.com/' }), /without user/);
    assert.match(await refused({ url: 'https://example.com/', events: [] }), /"events" is not a list/);
    assert.match(await refused({ url: 'https://example.com/', events: ['everything'] }), /"events" is not a list/);
    assert.match(await refused({ url: 'https://example.com/', offline_minutes: 0 }), /"offline_minutes" is 0/);
    assert.equal((await auth.api('POST', '/api/webhooks/99/test', { cookie: admin, body: {} })).status, 404);
    assert.deepEqual(sql('SELECT COUNT(*) FROM webhooks'), [['0']]);
  });

  test('at most 20, and the audit has no path, which may be a secret', async () => {
    for (let i = 0; i < 20; i += 1)
      await call('POST', '/api/webhooks', { url: `https://example.com/secret-${i}`, enabled: false });
    const { status, json } = await auth.api('POST', '/api/webhooks', { cookie: admin,
      body: { url: 'https://example.com/' } });
    assert.deepEqual([status, json.error], [409, 'too_many']);
    const refused = await auth.ctl(['webhook', 'add', 'https://example.com/']);
    assert.equal(refused.code, 1, refused.stderr);
    for (const [id] of sql('SELECT id FROM webhooks')) await call('DELETE', `/api/webhooks/${id}`, {});
    assert.deepEqual(sql("SELECT DISTINCT SUBSTRING_INDEX(target, ' ', -1) FROM audit WHERE action LIKE 'webhook%'"),
      [['example.com']]);
    assert.equal(auth.lines.some((line) => line.includes('secret-3')), false, 'nor has the log');
  });

  test('a test is signed, sent at once, and its answer is shown; a new secret signs from then on', async () => {
    const { receiver, secret, now, test: send, id, remove } = await hook(['ended']);
    const { delivery } = await send();
    const [request] = await receiver.got(1);
    assert.equal(request.body.event, 'test');
    assert.equal(request.body.by, 'admin');
    assert.match(request.body.id, /^[0-9a-f]{32}$/);
    assert.equal(request.headers['duolu-event'], 'test');
    assert.equal(request.headers['duolu-id'], request.body.id);
    assert.equal(request.headers['content-type'], 'application/json');
    assert.ok(Math.abs(request.body.at - Date.now()) < 60_000, String(request.body.at));
    const { right, time } = signed(request, secret);
    assert.ok(right, 'the signature');
    assert.ok(Math.abs(time - Date.now() / 1000) < 60, String(time));
    const { last } = await until(async () => {
      const state = await now();
      return state.last?.delivery === delivery && state;
    }, 'the result of the test');
    assert.deepEqual([last.event, last.status, last.error], ['test', 200, '']);

    const { secret: second } = await call('POST', `/api/webhooks/${id}/secret`, {});
    assert.notEqual(second, secret);
    await send();
    await receiver.got(2);
    assert.ok(signed(receiver.requests[1], second).right);

    receiver.answer = (_, response) => response.writeHead(500).end('no <b>such</b>\nthing \xff');
    const failed = await auth.ctl(['webhook', 'test', String(id)]);
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /answered 500: no <b>such<\/b> thing \?/);
    const waiting = sql(`SELECT COUNT(*) FROM webhook_outbox WHERE webhook_id = ${id}`);
    assert.deepEqual(waiting, [['0']], 'it is not repeated');
    receiver.answer = (_, response) => response.end();
    assert.match(await auth.done(['webhook', 'test', String(id)]), /answered 200 after \d+ ms/);
    await remove();
  });
});

describe('events of a stream', () => {
  test('published, gap and ended come once each, in order, also what changed while the service was down', async () => {
    await forgotten();
    streams = [live('1')];
    const { receiver, remove } = await hook(['published', 'gap', 'ended']);
    await seen('live');                                 // it was live before: no event
    streams = [];
    await seen('offline');
    streams = [live('2')];
    await seen('live');
    streams = [live('2', 'grace')];
    await seen('grace');
    streams = [live('3')];
    await seen('live');
    await receiver.got(4);

    await auth.stop();
    streams = [];
    await auth.start();
    await receiver.got(5);
    assert.deepEqual(receiver.events.map(({ event, state }) => [event, state].filter(Boolean).join(' ')),
      ['ended', 'published', 'gap began', 'gap returned', 'ended']);
    assert.ok(receiver.events.every(({ stream, title }) => stream === 'live/demo' && title === 'Front "door"'));
    assert.deepEqual([receiver.events[1].owner, receiver.events[1].address], ['admin', '192.0.2.5']);
    assert.equal(new Set(receiver.events.map(({ id }) => id)).size, 5, 'each has an id of its own');
    await remove();
  });

  test('a phone that stays away for the minutes of the webhook is told once; one that returns is not', async () => {
    streams = [live('4'), { ...live('5'), name: 'live/相机+1', id: 2 }];
    const { receiver, remove } = await hook(['phone_offline'], { offline_minutes: 3 });
    await seen('live');
    streams = [{ ...live('5'), name: 'live/相机+1', id: 2 }];
    await seen('offline');
    // as if it had been away for so long, and the webhook were there since then
    const age = (ms) => sql(`UPDATE webhook_streams SET away_ms = away_ms - ${ms} WHERE away_ms > 0;
      UPDATE webhooks SET offline_until = offline_until - ${ms}`);
    age(60_000);
    const looks = () => service.nginx.looks['/status'];
    const from = looks();
    await until(() => looks() >= from + 4, 'further looks');
    assert.equal(receiver.requests.length, 0, 'not before its time');
    age(130_000);
    const [{ body }] = await receiver.got(1);
    assert.deepEqual([body.event, body.stream, body.minutes], ['phone_offline', 'live/demo', 3]);
    const again = looks();
    await until(() => looks() >= again + 6, 'further looks');
    assert.equal(receiver.requests.length, 1, 'told once');
    await remove();
    streams = [];
  });

  test('a closed recording, a refused login and a disk without space', async () => {
    await forgotten();
    const disk = await hook(['disk_alarm']);
    const recorded = await hook(['recorded', 'login_refused']);
    const from = Date.now() - 60_000;
    const file = `live/demo/${fileName(from)}`;
    fs.mkdirSync(path.join(rec, path.dirname(file)), { recursive: true });
    fs.writeFileSync(path.join(rec, file), Buffer.alloc(100));
    const event = {
      event: 'close', file, stream: 'live/demo', format: 'mp4', id: 1, session: '77', from, to: from + 5000,
      bytes: 100, state: 'complete', reason: 'closed',
    };
    for (const name of ['1.json', '2.json']) {          // nginx's event, applied twice
      fs.writeFileSync(path.join(rec, '.spool/part'), JSON.stringify(event));
      fs.renameSync(path.join(rec, '.spool/part'), path.join(rec, '.spool', name));
      await until(() => !fs.existsSync(path.join(rec, '.spool', name)), 'the event to be taken');
    }
    await recorded.receiver.got(1);
    const { status } = await auth.api('POST', '/api/login', { body: { name: 'bob', password: 'wrong' } });
    assert.equal(status, 401);
    await until(() => recorded.receiver.events.some((each) => each.event === 'login_refused'), 'the refused login');
    const files = recorded.receiver.events.filter((each) => each.event === 'recorded');
    assert.deepEqual([files[0].file, files[0].from, files[0].to, files[0].bytes, files[0].state],
      [file, from, from + 5000, 100, 'complete']);
    assert.equal(new Set(files.map(({ id }) => id)).size, 1, 'both have the same id, so that a receiver drops one');
    const login = recorded.receiver.events.find((each) => each.event === 'login_refused');
    assert.deepEqual([login.name, login.address, login.reason], ['bob', '192.0.2.8', 'wrong name or password']);

    const [{ body }] = await disk.receiver.got(1);
    assert.deepEqual([body.event, body.state], ['disk_alarm', 'on']);
    assert.ok(body.free < body.limit && body.limit < body.size, JSON.stringify(body));
    await recorded.remove();
    await disk.remove();
  });
});

describe('a receiver', () => {
  test('that fails gets the event again, after longer and longer pauses; the others wait behind it', async () => {
    const { receiver, secret, id, queue, soon, now, remove } = await hook(['ended']);
    receiver.answer = (_, response) => response.writeHead(receiver.requests.length < 3 ? 503 : 204).end();
    const first = queue('ended', { n: 1 });
    queue('ended', { n: 2 });
    await receiver.got(1);
    const pause = () => Number(sql(`SELECT TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(3), next_try) FROM webhook_outbox
      WHERE webhook_id = ${id} AND event_id = '${first}'`)[0][0]);
    await until(async () => (await now()).last?.status === 503, 'the failure to be noted');
    assert.ok(pause() > 3 && pause() <= 10, String(pause()));
    soon();
    await receiver.got(2);
    await until(() => pause() > 11, 'a longer pause');
    assert.ok(pause() <= 20, String(pause()));
    soon();
    await receiver.got(4);
    assert.deepEqual(receiver.events.map(({ n }) => n), [1, 1, 1, 2]);
    assert.equal(new Set(receiver.events.slice(0, 3).map((event) => event.id)).size, 1, 'with the same id');
    assert.ok(receiver.requests.every((request) => signed(request, secret).right));
    await until(async () => (await now()).waiting === 0, 'the outbox to be empty');
    await remove();
  });

  test('that redirects is not followed, and a public one is not reached by http://', async () => {
    const target = await hook(['ended']);
    const { receiver, queue, now, remove } = await hook(['ended']);
    receiver.answer = (_, response) => response.writeHead(302, { Location: target.receiver.url }).end();
    queue('ended');
    const state = await until(async () => { const each = await now(); return each.last && each; }, 'the outcome');
    assert.equal(state.last.status, 302);
    assert.match(state.last.error, /^answered 302, a redirect, which is not followed: http:/);
    assert.equal(target.receiver.requests.length, 0);
    await remove();
    await target.remove();

    for (const [url, words] of [
      ['http://192.0.2.1/hook', /http:\/\/ leads to 192\.0\.2\.1, outside the own network; use https:\/\//],
      ['http://169.254.169.254/latest', /outside the own network/],
      ['http://127.0.0.1:1/', /connect/],
    ]) {
      const { id } = await call('POST', '/api/webhooks', { url });
      const { code, stderr } = await auth.ctl(['webhook', 'test', String(id)]);
      assert.equal(code, 1, url);
      assert.match(stderr, words, url);
      await call('DELETE', `/api/webhooks/${id}`, {});
    }
  });

  test('that hangs, drips or sends without end delays no other, and no call of the page', async () => {
    const hangs = await hook(['ended']);
    const drips = await hook(['ended']);
    const floods = await hook(['ended']);
    const well = await hook(['ended']);
    const timers = [];
    hangs.receiver.answer = () => {};
    drips.receiver.answer = (_, response) => {
      response.writeHead(500);
      timers.push(setInterval(() => response.write('.'), 200));
    };
    floods.receiver.answer = (_, response) => {
      const more = () => { while (!response.destroyed && response.write('x'.repeat(65536))); };
      response.on('drain', more).on('error', () => {});
      more();
    };
    try {
      for (const each of [hangs, drips, floods]) each.queue('ended');
      for (let i = 0; i < 50; i += 1) well.queue('ended', { n: i });
      await Promise.all([hangs, drips, floods].map(({ receiver }) => receiver.got(1)));
      await well.receiver.got(50);
      assert.deepEqual(well.receiver.events.map(({ n }) => n), Array.from({ length: 50 }, (_, i) => i));
      assert.equal((await hangs.now()).last, null, 'it still hangs');
      const from = Date.now();
      assert.equal((await auth.api('GET', '/api/me', { cookie: admin })).status, 200);
      assert.ok(Date.now() - from < 5000, 'the page is answered meanwhile');
      const outcome = (each) => until(async () => (await each.now()).last, 'an outcome');
      assert.equal((await outcome(floods)).status, 200, 'it has the event: the rest of its answer does not matter');
      assert.match((await outcome(hangs)).error, /^no answer within 10 s$/);
      assert.match((await outcome(drips)).error, /^answered 500: \.+$/);
    } finally {
      timers.forEach(clearInterval);
      for (const each of [hangs, drips, floods, well]) await each.remove();
    }
  });

  test('gets an event again, with the same id, if the service is killed before it noted the answer', async () => {
    const { receiver, queue, now, remove } = await hook(['ended']);
    const killed = new Promise((resolve) => {
      receiver.answer = (_, response) => {
        receiver.answer = (request, again) => again.end();
        auth.process.kill('SIGKILL');
        resolve(auth.exited.then(() => response.end()));
      };
    });
    const id = queue('ended');
    await killed;
    await auth.start();
    await receiver.got(2);
    assert.deepEqual(receiver.events.map((event) => event.id), [id, id]);
    await until(async () => (await now()).waiting === 0, 'the outbox to be empty');
    await remove();
  });
});

describe('the outbox is bounded', () => {
  test('an event that nobody took for 24 hours is a dead letter, to be delivered again or deleted', async () => {
    const { receiver, id, queue, soon, now, remove } = await hook(['ended']);
    receiver.answer = (_, response) => response.writeHead(500).end('broken');
    const ids = [queue('ended', { n: 1 }), queue('ended', { n: 2 })];
    await receiver.got(1);
    sql(`UPDATE webhook_outbox SET since = UTC_TIMESTAMP(3) - INTERVAL 25 HOUR WHERE webhook_id = ${id}`);
    soon();
    await until(async () => (await now()).dead === 2, 'both to be dead');
    const { dead, more } = await call('GET', `/api/webhooks/${id}/dead`);
    assert.deepEqual(dead.map(({ event_id: each, error, status }) => [each, error, status]),
      ids.toReversed().map((each) => [each, 'answered 500: broken', 500]));
    assert.equal(more, false);
    assert.deepEqual(dead[0].payload.n, 2);
    const page = await call('GET', `/api/webhooks/${id}/dead?limit=1`);
    assert.deepEqual([page.dead.length, page.more, page.next], [1, true, String(dead[0].id)]);
    assert.equal((await call('GET', `/api/webhooks/${id}/dead?before=${page.next}`)).dead[0].id, dead[1].id);
    assert.equal((await auth.done(['webhook', 'dead', String(id), '--json'])).dead.length, 2);

    receiver.answer = (_, response) => response.end();
    receiver.requests.length = 0;
    assert.deepEqual(await call('POST', `/api/webhooks/${id}/dead`, { id: dead[1].id }), { count: 1 });
    assert.equal((await receiver.got(1))[0].body.id, ids[0]);
    assert.deepEqual(await call('DELETE', `/api/webhooks/${id}/dead`, {}), { count: 1 });
    assert.equal((await now()).dead, 0);
    const none = await auth.api('POST', `/api/webhooks/${id}/dead`, { cookie: admin, body: { id: 4_000_000 } });
    assert.equal(none.status, 404);
    await remove();
  });

  test('each kind has a share, refused logins, which strangers cause, a small one; the rest is counted', async () => {
    const { id, now, remove } = await hook(['login_refused', 'published'], { enabled: true });
    await call('POST', `/api/webhooks/${id}`, { url: 'http://127.0.0.1:1/' });
    sql(`INSERT INTO webhook_outbox (webhook_id, event, event_id, payload, next_try) WITH RECURSIVE n AS (SELECT 1 AS i
      UNION SELECT i + 1 FROM n WHERE i < 100) SELECT ${id}, 'login_refused', LPAD(i, 32, '0'), '{}',
      UTC_TIMESTAMP() + INTERVAL 1 HOUR FROM n`);
    await wrongLogin('192.0.2.99');
    await until(async () => (await now()).dropped === 1, 'the 101st to be dropped');
    assert.equal((await now()).waiting, 100);
    streams = [];
    await until(() => sql("SELECT COUNT(*) FROM webhook_marks WHERE name = 'watching'")[0][0] === '1', 'a first look');
    streams = [live('9')];
    await until(async () => (await now()).waiting === 101, 'another kind to find room');
    await remove();
    assert.deepEqual(sql('SELECT COUNT(*) FROM webhook_outbox'), [['0']], 'what waited goes with it');
  });

  test('a webhook that is off gets nothing new, and what waited when it is on again', async () => {
    const { receiver, id, queue, now, remove } = await hook(['login_refused']);
    await call('POST', `/api/webhooks/${id}`, { enabled: false });
    queue('login_refused', { n: 1 });
    await wrongLogin('192.0.2.98');
    assert.equal((await now()).waiting, 1);
    await auth.done(['webhook', 'set', String(id), 'enabled=yes', 'offline_minutes=7']);
    await receiver.got(1);
    assert.deepEqual([receiver.events[0].n, (await now()).offline_minutes], [1, 7]);
    assert.match(await auth.done(['webhook', 'list']), new RegExp(`^${id} +on +${receiver.url} login_refused`, 'm'));
    const wrong = await auth.ctl(['webhook', 'set', String(id), 'events=nothing']);
    assert.equal(wrong.code, 2);
    await remove();
  });
});
