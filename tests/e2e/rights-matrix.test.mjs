// Who may do what: the tables of auth-service/README.md, cell by cell, over every protocol. In a cell that is allowed,
// the person's own address works; in one that is refused, the person gets no address, and no token that the person can
// get anywhere opens it.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { WebSocket } from 'ws';
import { giveToService } from '../browser/coloured-recordings.mjs';
import { publish } from '../browser/publisher.mjs';
import { repo, until } from '../lib/nginx.mjs';
import { DAY, fileName, makeSource, second, writeRecordings } from '../lib/recordings.mjs';
import { openPublisher, RtmpPlayer } from '../lib/rtmp.mjs';
import { startStack } from '../lib/stack.mjs';

const DEADLINE = { timeout: 240_000 };
const PASSWORD = 'a long enough password';
const STREAMS = ['private', 'public', 'open'];      // named as their visibility
const FROM = second(Date.now() - DAY);
const TO = FROM + 20_000;

/** The rows of the README's table, and how the test makes such a person. */
const PEOPLE = {
  'owner': { name: 'owner' },
  'admin': { name: 'admin' },
  'user with `view`': { name: 'viewer', grant: ['view'] },
  'user with `replay`': { name: 'replayer', grant: ['replay'] },
  'user with `view` and `replay`': { name: 'watcher', grant: ['view', 'replay'] },
  'user with `publish`': { name: 'publisher', grant: ['publish'] },
  'user with `manage`': { name: 'manager', grant: ['manage'] },
  'member of a group with `view` and `replay`': { name: 'member', group: 'crew', grant: ['view', 'replay'] },
  'user with `view` on the app': { name: 'appviewer', grant: ['view'], app: true },
  'member of a group with `replay` on the app': { name: 'appmember', group: 'staff', grant: ['replay'], app: true },
  'another user': { name: 'stranger' },
  'disabled user, whatever was granted': { name: 'disabled', grant: ['view', 'replay', 'publish', 'manage'] },
  'visitor without an account': { name: null },
};

/** {row: {private: Set of rights, public: …, open: …}} from the README. */
function readTable() {
  const text = fs.readFileSync(path.join(repo, 'auth-service/README.md'), 'utf8');
  const [, table] = /\n\| person \| `private` \| `public` \| `open` \|\n\|[-| ]+\|\n((?:\|.*\|\n)+)/.exec(text);
  const cells = table.trim().split('\n').map((line) => line.split('|').slice(1, -1).map((cell) => cell.trim()));
  return Object.fromEntries(cells.map(([row, ...columns]) =>
    [row, Object.fromEntries(STREAMS.map((name, i) => [name, new Set(columns[i].match(/\w+/g) ?? [])]))]));
}

const table = readTable();
let stack;
let publisher;
const people = [];      // {row, name, cookie, address, tokens}

before(async () => {
  stack = await startStack();
  const admin = await stack.login('admin');
  const post = async (target, body) => {
    const { status, json } = await stack.api('POST', target, { cookie: admin, body });
    assert.ok(status < 300, `${target} ${JSON.stringify(body)}: ${status} ${json.message}`);
    return json;
  };
  for (const { name } of Object.values(PEOPLE))
    if (name && name !== 'admin') await post('/api/users', { name, password: PASSWORD });
  const keys = {};
  for (const name of [...STREAMS, 'stage']) {
    keys[name] = (await post('/api/streams', { name, owner: 'owner' })).key;
    await post(`/api/streams/live/${name}`, { visibility: STREAMS.includes(name) ? name : 'private' });
  }
  for (const { name, group, grant, app } of Object.values(PEOPLE)) {
    if (group) {
      await stack.ctl('group', 'add', group);
      await stack.ctl('group', 'join', group, name);
    }
    const grantee = group ? { group } : { user: name };
    if (grant && app) await post('/api/grants', { ...grantee, app: 'live', rights: grant });
    else if (grant)
      for (const stream of [...STREAMS, 'stage'])
        await post('/api/grants', { ...grantee, app: 'live', name: stream, rights: grant });
  }
  const source = await makeSource({ audio: false });
  const root = path.join(stack.home, 'rec');
  for (const name of STREAMS) writeRecordings(root, `live/${name}`, source, { spans: [[FROM, TO]], session: FROM });
  giveToService(stack.home);
  await stack.ctl('reindex');
  const urls = STREAMS.map((name) => `${stack.rtmpUrl}/live/${name}?key=${keys[name]}`);
  publisher = publish(urls, { size: '160x90', rate: 10 });
  await until(async () => {
    const { streams } = await stack.controlGet('/status');
    const isLive = (name) => streams.some((one) => one.name === `live/${name}` && one.state === 'live' && one.video);
    return STREAMS.every(isLive);
  }, 'all to be live', 60_000);
  await meet(admin);
});

after(async () => {
  await publisher?.stop();
  await stack?.stop({ allow: /recording stopped/ });
});

/** A key to publish to live/stage as this person, whether or not that is allowed. */
const keyOf = async (name) =>
  (await stack.ctl('stream', 'key', 'add', 'live/stage', '--user', name)).match(/^key (\S+)/m)[1];

/** Logs everybody in, and collects the tokens that each can get. */
async function meet(admin) {
  let number = 10;
  for (const [row, { name }] of Object.entries(PEOPLE)) {
    const cookie = name === 'admin' ? admin : name && await stack.login(name, PASSWORD);
    const person = { row, name, cookie, address: `127.0.0.${number += 1}`, tokens: {}, listed: {} };
    people.push(person);
    const { json } = cookie ? await stack.api('GET', '/api/streams', { cookie }) : { json: { streams: [] } };
    for (const stream of json.streams.filter((one) => STREAMS.includes(one.name))) {
      person.listed[stream.name] = stream;
      for (const kind of ['play', 'replay', 'watch'])
        if (stream[kind]) person.tokens[`${stream.name} ${kind}`] = stream[kind].split('/')[2];
    }
    if (name) continue;
    for (const stream of STREAMS) {
      const { status, json: open } = await stack.api('GET', `/api/open/live/${stream}`);
      if (status === 200) person.tokens[`${stream} play`] = open.url.split('/')[2];
    }
  }
  await stack.ctl('user', 'disable', 'disabled');
}

// ---- the ways to a picture: each takes a token and a stream, and resolves to whether it opens

/** Whether the answer to a GET is a success; does not read its body. */
function opens(target, { address, cookie } = {}) {
  return new Promise((resolve, reject) => {
    const options = { rejectUnauthorized: false, agent: false, localAddress: address,
      headers: cookie ? { Cookie: cookie } : {} };
    https.get(stack.httpsUrl + target, options, (response) => {
      response.destroy();
      if (response.statusCode === 429 || response.statusCode >= 500)
        reject(new Error(`${target.slice(-60)}: ${response.statusCode}`));
      resolve(response.statusCode < 300);
    }).on('error', reject);
  });
}

const span = `from=${FROM}&to=${FROM + 5000}`;
const get = (target) => (token, stream, person) => opens(`/m/${token}${target(stream)}`, person);
const media = {
  'FLV': { token: 'play', needs: ['view'], open: get((stream) => `/live/${stream}.flv`) },
  'WebSocket': { token: 'play', needs: ['view'], open: openSocket },
  'HLS': { token: 'play', needs: ['view'], open: get((stream) => `/live/${stream}/index.m3u8`) },
  'RTMP': { token: 'play', needs: ['view'], open: openRtmp },
  'live and back': {
    // with a token for live alone this list is live alone
    token: 'watch', needs: ['view', 'replay'], open: get((stream) => `/live/${stream}/index.m3u8?window=600`),
    others: false,
  },
  'history': { token: 'replay', needs: ['replay'], open: get((stream) => `/rec/live/${stream}/spans.json`) },
  'its playlist': {
    token: 'replay', needs: ['replay'], open: get((stream) => `/rec/live/${stream}/index.m3u8?${span}`),
  },
  'clip': { token: 'replay', needs: ['replay'], open: get((stream) => `/rec/live/${stream}/clip.mp4?${span}`) },
  'picture': {
    token: 'replay', needs: ['replay'], open: get((stream) => `/rec/live/${stream}/thumb.jpg?at=${FROM + 2000}`),
  },
  'file': { token: 'replay', needs: ['replay'], open: get((stream) => `/rec/live/${stream}/${fileName(FROM)}`) },
};

function openSocket(token, stream, { address }) {
  return new Promise((resolve) => {
    const url = `${stack.httpsUrl.replace('https', 'wss')}/m/${token}/live/${stream}.flv`;
    const socket = new WebSocket(url, { rejectUnauthorized: false, localAddress: address });
    socket.on('open', () => { socket.terminate(); resolve(true); });
    socket.on('error', () => resolve(false));
  });
}

async function openRtmp(token, stream, { address }) {
  let player;
  try {
    player = await RtmpPlayer.open(`${stream}?token=${token}`, { port: stack.rtmp, localAddress: address });
    await player.more(1);
    return true;
  } catch {
    return false;
  } finally {
    player?.close();
  }
}

const has = (rights, needs) => needs.every((right) => rights.has(right));

test('the README has every kind of person, and only rights that exist', () => {
  assert.deepEqual(Object.keys(table), Object.keys(PEOPLE));
  const words = new Set(Object.values(table).flatMap((row) => Object.values(row).flatMap((rights) => [...rights])));
  assert.deepEqual([...words].sort(), ['manage', 'publish', 'replay', 'view']);
});

test('the list has the streams on which a person has a right, with these rights', DEADLINE, () => {
  for (const { row, name, listed } of people) {
    if (!name || name === 'disabled') continue;
    for (const stream of STREAMS)
      assert.deepEqual([...(listed[stream]?.rights ?? [])].sort(), [...table[row][stream]].sort(), `${row}, ${stream}`);
  }
});

for (const [way, { token, needs, open, others = true }] of Object.entries(media)) {
  test(`${way}: ${needs.join(' and ')}, for each person and visibility`, DEADLINE, async (t) => {
    let allowed = 0;
    let refused = 0;
    await Promise.all(people.map(async (person) => {
      for (const stream of STREAMS) {
        const cell = `${way}: ${person.row}, ${stream}`;
        const own = person.tokens[`${stream} ${token}`];
        if (has(table[person.row][stream], needs)) {
          assert.ok(own, `${cell}: no address`);
          assert.equal(await open(own, stream, person), true, `${cell}: refused`);
          allowed += 1;
          continue;
        }
        // those of somebody who has been disabled were given before
        if (person.name !== 'disabled') assert.equal(own, undefined, `${cell}: has an address`);
        refused += 1;
        if (!others) continue;
        const tokens = way === 'RTMP'
          ? Object.entries(person.tokens).filter(([of]) => of.startsWith(`${stream} `)).map(([, text]) => text)
          : Object.values(person.tokens);
        for (const each of [...tokens, 'none'])
          assert.equal(await open(each, stream, person), false, `${cell}: opened by another token`);
      }
    }));
    t.diagnostic(`${allowed} cells allowed, ${refused} refused`);
    assert.equal(allowed + refused, people.length * STREAMS.length);
  });
}

// ---- the API

const call = async (person, method, target, body) =>
  (await stack.api(method, target, { cookie: person.cookie, body })).status;

test('the API: recordings for replay or manage, settings and grants for manage', DEADLINE, async () => {
  for (const person of people) {
    const isDisabled = person.name === 'disabled';
    for (const stream of STREAMS) {
      const rights = table[person.row][stream];
      const cell = `${person.row}, ${stream}`;
      const seen = await stack.api('GET', `/api/recordings?stream=live/${stream}`, { cookie: person.cookie });
      const expected = !person.cookie || isDisabled ? 401 : rights.has('replay') || rights.has('manage') ? 200 : 404;
      assert.equal(seen.status, expected, `${cell}: recordings`);
      if (seen.status === 200)
        assert.equal(Boolean(seen.json.recordings[0].url), rights.has('replay'), `${cell}: address of a recording`);

      const refused = expected === 401 ? 401 : rights.size ? 403 : 404;
      const wanted = rights.has('manage') ? 200 : refused;
      const title = await call(person, 'POST', `/api/streams/live/${stream}`, { title: '' });
      assert.equal(title, wanted, `${cell}: settings`);
      assert.equal(await call(person, 'GET', `/api/grants?app=live&name=${stream}`), wanted, `${cell}: grants`);
    }
  }
});

test('publishing: only with the right, whoever made the key', DEADLINE, async () => {
  for (const { row, name } of people) {
    if (!name) continue;
    const wanted = table[row].private.has('publish');
    const client = await openPublisher(`stage?key=${await keyOf(name)}`, { port: stack.rtmp }).catch(() => null);
    const line = new RegExp(`gate publish (\\w+) .*stream="live/stage" .*user=${name} reason="(.*)"`);
    await until(() => line.test(stack.log('auth')), `the gate to answer ${name}`);
    const [, answer, reason] = line.exec(stack.log('auth'));
    assert.equal(answer, wanted ? 'allowed' : 'denied', `${row}: ${reason}`);
    await client?.close();
  }
});

// ---- managers, as the README's table says

describe('a manager', () => {
  const as = (name) => people.find((person) => person.name === name);
  const manager = () => as('manager');
  const stream = '/api/streams/live/private';
  const grant = (person, method, user, rights, on = { app: 'live', name: 'private' }) =>
    call(person, method, '/api/grants', { user, ...on, rights });

  test('sets title, visibility and recording policy, and switches recording', DEADLINE, async () => {
    for (const body of [{ title: 'By the manager' }, { visibility: 'public' }, { visibility: 'private' },
      { record: 'demand' }]) assert.equal(await call(manager(), 'POST', stream, body), 200, JSON.stringify(body));
    for (const on of [true, false]) assert.equal(await call(manager(), 'POST', `${stream}/record`, { on }), 200);
  });

  test('gives and takes view, replay and publish, also her own', DEADLINE, async () => {
    for (const user of ['stranger', 'manager']) {
      assert.equal(await grant(manager(), 'POST', user, ['view', 'replay', 'publish']), 200);
      assert.equal(await grant(manager(), 'DELETE', user, ['view', 'replay', 'publish']), 200);
    }
  });

  test('keeps, frees and deletes its recordings', DEADLINE, async () => {
    const { json } = await stack.api('GET', '/api/recordings?stream=live/private', { cookie: manager().cookie });
    const [{ id }] = json.recordings.filter(({ state }) => state === 'complete');
    for (const keep of [true, false])
      assert.equal(await call(manager(), 'POST', `/api/recordings/${id}`, { keep }), 200);
    assert.equal(await call(manager(), 'DELETE', `/api/recordings/${id}`, {}), 200);
  });

  test('sees its sessions, kicks one and disconnects everyone', DEADLINE, async () => {
    const seen = async () => (await stack.api('GET', '/api/sessions', { cookie: manager().cookie })).json.sessions;
    await until(async () => (await seen()).some((one) => one.stream === 'live/private'), 'the publisher');
    const own = await seen();
    assert.ok(own.every((one) => STREAMS.map((name) => `live/${name}`).includes(one.stream)
      || one.stream === 'live/stage'), JSON.stringify(own));
    const { id } = own.find((one) => one.stream === 'live/private');
    assert.equal(await call(manager(), 'POST', `/api/sessions/${id}/kick`, {}), 200);
    assert.equal(await call(manager(), 'POST', `${stream}/revoke`, {}), 200);
  });

  test('may neither give manage, nor grant on the app, set limits, open it to everybody, or make streams', DEADLINE,
    async () => {
      assert.equal(await grant(manager(), 'POST', 'stranger', ['manage']), 403);
      assert.equal(await grant(manager(), 'DELETE', 'manager', ['manage']), 403);
      assert.equal(await grant(manager(), 'POST', 'stranger', ['view'], { app: 'live' }), 403);
      for (const body of [{ max_kbps: 1 }, { max_viewers: 1 }, { visibility: 'open' }])
        assert.equal(await call(manager(), 'POST', stream, body), 403, JSON.stringify(body));
      assert.equal(await call(manager(), 'POST', '/api/streams', { name: 'new' }), 403);
      // leaves one open that is
      const repeated = { title: '', visibility: 'open' };
      assert.equal(await call(manager(), 'POST', '/api/streams/live/open', repeated), 200);
      assert.equal(await call(as('owner'), 'POST', stream, { visibility: 'open' }), 200);
      assert.equal(await call(as('owner'), 'POST', stream, { visibility: 'private' }), 200);
    });

  test('takes a new key in the owner\'s name; it and the grants she gave end with the right, the rest stays', DEADLINE,
    async () => {
      const { status, json } = await stack.api('POST', `${stream}/key`, { cookie: manager().cookie, body: {} });
      assert.equal(status, 200);
      const keys = async () => (await stack.ctl('stream', 'key', 'list', 'live/private', '--json'));
      assert.match(await keys(), /"user": ?"owner"/);
      assert.equal(await grant(manager(), 'POST', 'stranger', ['view']), 200);
      assert.equal(await call(manager(), 'POST', stream, { title: 'Stays' }), 200);
      await stack.ctl('revoke', 'manager', 'live/private', 'manage');

      const { grants } = JSON.parse(await stack.ctl('grant', 'list', 'live/private', '--json'));
      assert.ok(!grants.some(({ user }) => user === 'stranger' || user === 'manager'), JSON.stringify(grants));
      const client = await openPublisher(`private?key=${json.key}`, { port: stack.rtmp }).catch(() => null);
      await until(() => /gate publish denied .*stream="live\/private" .*reason="key revoked"/.test(stack.log('auth')),
        'the key to be refused');
      await client?.close();
      assert.equal(await call(manager(), 'GET', '/api/grants?app=live&name=private'), 404);
      const { json: list } = await stack.api('GET', '/api/streams', { cookie: as('owner').cookie });
      assert.equal(list.streams.find(({ name }) => name === 'private').title, 'Stays');
    });
});

// ---- streams that are open

describe('an open stream', () => {
  const ask = (name, address) => new Promise((resolve, reject) => {
    const options = { rejectUnauthorized: false, agent: false, localAddress: address };
    https.get(`${stack.httpsUrl}/api/open/live/${name}`, options, (response) => {
      let text = '';
      response.on('data', (data) => { text += data; });
      response.on('end', () => resolve({ status: response.statusCode, json: JSON.parse(text) }));
    }).on('error', reject);
  });

  test('tells a visitor its title and whether it is live, and no more', DEADLINE, async () => {
    const { json } = await ask('open', '127.0.0.90');
    const { url, ...rest } = json;
    const seen = { state: 'live', video: 'h264', audio: 'aac' };
    assert.deepEqual(rest, { kind: 'live', app: 'live', name: 'open', title: 'open', ...seen });
    const claims = JSON.parse(Buffer.from(url.split('/')[2].split('.')[1], 'base64url'));
    assert.deepEqual([claims.a, claims.s], ['view', 'live/open']);
    assert.ok(claims.exp - claims.iat <= 3601, 'an hour');
  });

  test('an address that tries names soon has to wait; one that watches does not', DEADLINE, async () => {
    const statuses = [];
    for (let i = 0; i < 25; i++) statuses.push((await ask(i % 2 ? 'private' : `guess${i}`, '127.0.0.91')).status);
    assert.deepEqual([...new Set(statuses.slice(0, 20))], [404]);
    assert.equal(statuses.at(-1), 429);
    for (let i = 0; i < 25; i++) assert.equal((await ask('open', '127.0.0.92')).status, 200);
  });

  test('its visitors are one user in the list of sessions, and end when it is closed', DEADLINE, async () => {
    const { json: { url } } = await ask('open', '127.0.0.93');
    const socket = new WebSocket(`${stack.httpsUrl.replace('https', 'wss')}${url}`, { rejectUnauthorized: false });
    const ended = new Promise((resolve) => { socket.on('close', resolve); });
    await new Promise((resolve, reject) => { socket.on('open', resolve).on('error', reject); });
    await until(async () => (await stack.ctl('sessions')).includes('no account'), 'the visitor to be listed');

    const owner = people.find(({ name }) => name === 'owner');
    assert.equal(await call(owner, 'POST', '/api/streams/live/open', { visibility: 'public' }), 200);
    await ended;
    assert.equal((await ask('open', '127.0.0.94')).status, 404);
    assert.equal(await opens(url, { address: '127.0.0.94' }), false, 'the address is void');
    assert.equal(await call(owner, 'POST', '/api/streams/live/open', { visibility: 'open' }), 200);
    assert.equal(await opens((await ask('open', '127.0.0.94')).json.url, { address: '127.0.0.94' }), true);
  });
});
