// Taking a right away ends publishers, viewers of every protocol and the page's events:
// by user, stream, key and grant, in a stack of two workers; over reload, restart and a
// time without nginx.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { WebSocket } from 'ws';
import { edgeConf, startEdge } from '../lib/edge.mjs';
import { Follower } from '../lib/events.mjs';
import { Viewer, feed, get } from '../lib/hub.mjs';
import { pushFfmpeg, untilLive } from '../lib/media.mjs';
import { freePort, until } from '../lib/nginx.mjs';
import { RtmpPlayer, avcHeader, interFrame, keyFrame, openPublisher } from '../lib/rtmp.mjs';
import { buildSh, endKeeper, startStack } from '../lib/stack.mjs';

const deadlineMs = 10_000;      // the promise is 2 s; a busy machine may take longer
const password = 'correct horse battery';
const frames = { key: keyFrame(2000), inter: interFrame(400) };

let stack;
let edgeControl;                // port of an edge, which only one test starts
let open = [];                  // connections to close after each test

before(async () => {
  edgeControl = await freePort();
  const edges = `http://duolu:geheim@127.0.0.1:${edgeControl}`;
  stack = await startStack({ workers: 2, env: { DUOLU_EDGES: edges } });
  for (const name of ['bob', 'eve', 'joe'])
    await stack.ctl('user', 'add', name, '--password-stdin', { input: `${password}\n` });
});

after(async () => { await stack?.stop({ allow: /exited on signal 9/ }); });        // a test kills workers

function cleanly(name, run) {
  test(name, { timeout: 240_000 }, async (t) => {
    try { await run(t); } finally {
      for (const each of open) each.close();
      open = [];
    }
  });
}

// ---- connections --------------------------------------------------------

const keep = (connection) => { open.push(connection); return connection; };

/** Adds a stream of `owner`. */
async function newStream(name, owner) {
  const { key } = JSON.parse(await stack.ctl('stream', 'add', `live/${name}`, '--owner', owner, '--json'));
  return { name, full: `live/${name}`, key };
}

/** Publishes a key frame a second until nginx ends it. */
async function publish({ name, key }) {
  const client = await openPublisher(`${name}?key=${key}`, { port: stack.rtmp });
  const feeding = feed(client, frames);
  return keep({
    label: `publisher of ${name}`,
    get ended() {
      return client.ended;
    },
    close() {
      feeding.stop();
      client.close();
    },
  });
}

async function newToken(user, stream) {
  return (await stack.ctl('url', user, stream.full, 'view', '--format', 'rtmp')).split('token=')[1];
}

const address = (stream, token) => `${stack.httpUrl}/m/${token}/${stream.full}.flv`;

async function viewFlv(stream, token) {
  const viewer = await Viewer.open(address(stream, token));
  assert.equal(viewer.status, 200);
  return keep({
    label: `FLV viewer of ${stream.name}`,
    get ended() {
      return Boolean(viewer.ended);
    },
    get got() {
      return viewer.flv.bytes;
    },
    close: () => viewer.close(),
  });
}

async function viewWs(stream, token) {
  const socket = new WebSocket(address(stream, token).replace('http', 'ws'));
  const viewer = keep({ label: `WS viewer of ${stream.name}`, ended: false, got: 0, close: () => socket.terminate() });
  socket.on('message', (data) => { viewer.got += data.length; });
  await new Promise((resolve, reject) => { socket.on('open', resolve); socket.on('error', reject); });
  socket.on('error', () => {});
  socket.on('close', () => { viewer.ended = true; });
  return viewer;
}

const openRtmp = (stream, token) => RtmpPlayer.open(`${stream.name}?token=${token}`, { port: stack.rtmp });

async function viewRtmp(stream, token) {
  const player = await openRtmp(stream, token);
  return keep({
    label: `RTMP viewer of ${stream.name}`,
    get ended() {
      return player.ended;
    },
    get got() {
      return player.tags.length;
    },
    close: () => player.client.close(),
  });
}

/** One viewer of each protocol; waits until each has media. */
async function viewers(stream, token) {
  const all = [await viewFlv(stream, token), await viewWs(stream, token), await viewRtmp(stream, token)];
  await until(() => all.every(({ got }) => got > 0), `media for every viewer of ${stream.name}`);
  return all;
}

const login = (name) => stack.login(name, name === 'admin' ? undefined : password);

async function follow(cookie) {
  const follower = await Follower.open(`${stack.httpsUrl}/api/events`, { Cookie: cookie });
  return keep({
    label: 'events',
    follower,
    get ended() {
      return Boolean(follower.ended);
    },
    close: () => follower.close(),
  });
}

// ---- changes and their effects ------------------------------------------

/** A change by the page's API, which must succeed. */
async function change(method, target, body, cookie) {
  const answer = await stack.api(method, target, { body, cookie });
  assert.equal(answer.status, 200, JSON.stringify(answer.json));
  return answer.json;
}

/** Runs the change: the sessions `gone` must end, `there` go on; prints the times. */
async function ends(t, run, gone, there = []) {
  const started = performance.now();
  const took = gone.map(() => undefined);
  let done;
  const changed = run().then(() => { done = performance.now(); });
  await until(() => {
    gone.forEach((each, i) => { if (each.ended) took[i] ??= performance.now() - started; });
    return took.every((time) => time !== undefined);
  }, `${gone.map(({ label }) => label).join(', ')} to end`, 60_000);
  await changed;
  gone.forEach(({ label }, i) => {
    t.diagnostic(
      `${label} ended ${Math.round(took[i])} ms after the command was given (it took ${Math.round(done - started)} ms)`,
    );
    assert.ok(took[i] < deadlineMs, `${label}: ${took[i]} ms`);
  });
  await goOn(there);
}

async function goOn(there) {
  const had = there.map(({ got }) => got ?? 0);
  await until(() => there.every((each, i) => each.got === undefined || each.got > had[i]), 'others to go on');
  for (const each of there) assert.equal(each.ended, false, `${each.label} goes on`);
}

async function refused(stream, token) {
  assert.equal((await get(address(stream, token))).status, 403, stream.name);
  await assert.rejects(openRtmp(stream, token), /token revoked|no right to view|user disabled|was revoked/);
}

async function refusedKey({ name, key }) {
  await assert.rejects(openPublisher(`${name}?key=${key}`, { port: stack.rtmp }), /NetStream.Publish/);
}

// ---- nginx alone: reload, stop, start -----------------------------------

const master = () => Number(fs.readFileSync(path.join(stack.home, 'pid/nginx.pid'), 'utf8'));
const workers = () =>
  fs.readFileSync(`/proc/${master()}/task/${master()}/children`, 'utf8').trim().split(' ').map(Number);
const alive = (pid) => fs.existsSync(`/proc/${pid}`);

async function reload() {
  const old = workers();
  process.kill(master(), 'SIGHUP');
  await until(() => workers().some((pid) => !old.includes(pid)), 'new workers');
  await until(() => stack.controlGet('/status').then(() => true, () => false), 'nginx to answer');
}

/** Stops nginx; returns a function that has `up` start it again. */
async function stopNginx() {
  const pid = master();
  await endKeeper(stack.home);
  process.kill(pid, 'SIGTERM');
  await until(() => !alive(pid), 'nginx to end');
  return () => buildSh(['up', '-d'], { env: stack.env });
}

// ---- tests --------------------------------------------------------------

cleanly('disabling a manager ends the publisher with the key that the manager took', async (t) => {
  const stream = await newStream('managed', 'bob');
  await stack.ctl('grant', 'joe', stream.full, 'manage');
  const { key } = await change('POST', `/api/streams/${stream.full}/key`, {}, await login('joe'));
  const publisher = await publish({ name: stream.name, key });
  await ends(t, () => stack.ctl('user', 'disable', 'joe'), [publisher]);
  await refusedKey({ name: stream.name, key });
  await stack.ctl('user', 'enable', 'joe');
  await refusedKey({ name: stream.name, key });
});

cleanly('disabling a user ends all sessions of this user and of no other', async (t) => {
  const own = await newStream('own', 'bob');
  const shared = await newStream('shared', 'admin');
  await stack.ctl('grant', 'bob', shared.full, 'view');
  await stack.ctl('grant', 'eve', shared.full, 'view');
  const [bobs, eves] = [await newToken('bob', shared), await newToken('eve', shared)];
  const bobsKey = await stack.ctl('stream', 'key', 'add', own.full, '--user', 'admin', '--json').then(JSON.parse);
  const cookie = await login('bob');
  const other = await publish(shared);
  const bob = [await publish(own), ...await viewers(shared, bobs), await follow(cookie)];
  const eve = await viewers(shared, eves);

  await ends(t, () => stack.ctl('user', 'disable', 'bob'), bob, [other, ...eve]);
  await refused(shared, bobs);
  await refusedKey(own);
  await refusedKey(bobsKey);        // another user's key to his stream
  assert.equal((await stack.api('GET', '/api/me', { cookie })).status, 401);

  await reload();
  await refused(shared, bobs);

  await stack.ctl('user', 'enable', 'bob');
  await refused(shared, bobs);
  const fresh = await viewers(shared, await newToken('bob', shared));
  await until(() => publish(own).catch(() => false), 'his key to be taken again');
  await goOn([...fresh, ...eve]);
});

cleanly('revoking a stream ends its publisher, its viewers and their tokens', async (t) => {
  const stream = await newStream('whole', 'bob');
  const next = await newStream('next', 'bob');
  const [token, nextToken] = [await newToken('bob', stream), await newToken('bob', next)];
  const others = [await publish(next), ...await viewers(next, nextToken)].slice(1);
  const gone = [await publish(stream), ...await viewers(stream, token)];

  await ends(t, () => stack.ctl('stream', 'revoke', stream.full), gone, others);
  await refused(stream, token);
  // its key still works, and so does a new token
  await until(() => publish(stream).catch(() => false), 'the key to be taken again');
  await viewers(stream, await newToken('bob', stream));
  await refused(stream, token);
});

cleanly('deleting a stream or a user ends it all, and old tokens stay void under a new owner', async (t) => {
  await stack.ctl('user', 'add', 'dan', '--password-stdin', { input: `${password}\n` });
  const [first, second] = [await newStream('again', 'dan'), await newStream('again2', 'dan')];
  for (const { full } of [first, second]) await stack.ctl('grant', 'eve', full, 'view,replay');
  const old = await newToken('eve', first);
  const gone = [await publish(first), ...await viewers(first, old)];
  await ends(t, () => stack.ctl('stream', 'delete', first.full, '--recordings', 'keep'), gone);
  await refusedKey(first);

  const next = await newStream('again', 'joe');
  const publisher = await publish(next);        // at once: the revocation of the old one does not hold it up
  await untilLive(stack, next.full);
  assert.equal((await get(address(first, old))).status, 403, 'the old token does not show the new owner\'s stream');
  const joes = await viewers(next, await newToken('joe', next));

  const dans = [await publish(second), ...await viewers(second, await newToken('dan', second))];
  const follower = await follow(await login('dan'));
  await ends(t, () => stack.ctl('user', 'delete', 'dan', '--recordings', 'delete'), [...dans, follower],
    [publisher, ...joes]);
  await refusedKey(second);
  await reload();
  assert.equal((await get(address(first, old))).status, 403);
});

/** Downloads a whole recording of 500 MB; `ended` follows nginx's list of sessions. */
async function download(stream, user, file) {
  const token = (await stack.ctl('url', user, stream.full, 'replay', '--format', 'hls')).split('/m/')[1].split('/')[0];
  const known = (await stack.controlGet('/sessions')).sessions.map(({ id }) => id);
  const transfer = keep({
    label: `${user}'s download`,
    ended: false,
    close: () => {
      clearInterval(transfer.timer);
      transfer.request.destroy();
    },
  });
  const response = await new Promise((resolve, reject) => {
    transfer.request = http
      .get(`${stack.httpUrl}/m/${token}/rec/${stream.full}/${file}`, { agent: false }, resolve)
      .on('error', reject);
  });
  assert.equal(response.statusCode, 200);
  response.on('error', () => {});
  transfer.id = await until(
    async () =>
      (await stack.controlGet('/sessions')).sessions.find(({ id, kind }) => kind === 'replay' && !known.includes(id))
        ?.id,
    `${transfer.label} among the sessions`,
  );
  transfer.timer = setInterval(async () => {
    const { sessions } = await stack.controlGet('/sessions').catch(() => ({}));
    transfer.ended ||= sessions !== undefined && !sessions.some(({ id }) => id === transfer.id);
  }, 100);
  return transfer;
}

cleanly('a download of a recording ends when the right or the stream is revoked', async (t) => {
  const stream = await newStream('download', 'admin');
  const day = path.join(stack.home, 'rec/live/download/2026-03-10');
  fs.mkdirSync(day, { recursive: true });
  fs.writeFileSync(path.join(day, '12-00-00.000.mp4'), '');
  fs.truncateSync(path.join(day, '12-00-00.000.mp4'), 500_000_000);
  const { uid, gid } = fs.statSync(path.join(stack.home, 'rec'));
  for (const entry of ['../..', '..', '.', '12-00-00.000.mp4']) fs.chownSync(path.join(day, entry), uid, gid);
  for (const name of ['tom', 'ann', 'kim', 'sue'])
    await stack.ctl('user', 'add', name, '--password-stdin', { input: `${password}\n` });
  await stack.ctl('group', 'add', 'crew');
  await stack.ctl('group', 'join', 'crew', 'ann');
  await stack.ctl('grant', 'group:crew', stream.full, 'replay');
  for (const name of ['tom', 'kim', 'sue']) await stack.ctl('grant', name, stream.full, 'replay');
  const all = [];
  for (const user of ['tom', 'ann', 'kim', 'sue', 'admin'])
    all.push(await download(stream, user, '2026-03-10/12-00-00.000.mp4'));
  const [tom, ann, kim, sue, admin] = all;

  await ends(t, () => stack.ctl('kick', sue.id), [sue], [tom, ann, kim, admin]);
  await ends(t, () => stack.ctl('user', 'disable', 'tom'), [tom], [ann, kim, admin]);
  await ends(t, () => stack.ctl('group', 'leave', 'crew', 'ann'), [ann], [kim, admin]);
  await ends(t, () => stack.ctl('revoke', 'kim', stream.full, 'replay'), [kim], [admin]);
  await ends(t, () => stack.ctl('stream', 'revoke', stream.full), [admin]);
});

cleanly('rotating a key ends its publisher, and the new key works', async (t) => {
  const stream = await newStream('rotated', 'eve');
  const publisher = await publish(stream);
  const watching = await viewers(stream, await newToken('eve', stream));
  let fresh;
  await ends(t, async () => {
    fresh = JSON.parse(await stack.ctl('stream', 'key', 'rotate', stream.full, '--json'));
  }, [publisher, ...watching]);
  await refusedKey(stream);
  const again = await publish({ ...stream, key: fresh.key });
  await viewers(stream, await newToken('eve', stream));
  assert.equal(again.ended, false);

  // revoking one key of several
  const phone = JSON.parse(await stack.ctl('stream', 'key', 'add', stream.full, '--label', 'phone', '--json'));
  const { keys } = JSON.parse(await stack.ctl('stream', 'key', 'list', stream.full, '--json'));
  again.close();
  await until(
    async () =>
      !(await stack.controlGet('/sessions')).sessions.some((s) => s.kind === 'publish' && s.stream === stream.full),
    'the publisher to end',
  );
  await stack.ctl('stream', 'key', 'revoke', stream.full, String(keys.find(({ label }) => label === 'phone').id));
  await refusedKey({ ...stream, key: phone.key });
});

cleanly('revoking a grant ends that user\'s sessions on that stream; granted again, a new token works', async (t) => {
  const [one, two] = [await newStream('one', 'admin'), await newStream('two', 'admin')];
  for (const [user, stream] of [
    ['eve', one],
    ['eve', two],
    ['joe', one],
  ])
    await stack.ctl('grant', user, stream.full, 'view');
  await publish(one);
  await publish(two);
  const token = await newToken('eve', one);
  const others = [...await viewers(two, await newToken('eve', two)), ...await viewers(one, await newToken('joe', one))];

  // once by duoluctl, once by the page
  const gone = await viewers(one, token);
  await ends(t, () => stack.ctl('revoke', 'eve', one.full, 'view'), gone, others);
  await refused(one, token);
  await stack.ctl('grant', 'eve', one.full, 'view');
  await refused(one, token);

  const second = await newToken('eve', one);
  const cookie = await login('admin');
  const grant = { user: 'eve', app: 'live', name: one.name, rights: ['view'] };
  await ends(t, () => change('DELETE', '/api/grants', grant, cookie), await viewers(one, second), others);
  await refused(one, second);
  await change('POST', '/api/grants', grant, cookie);
  await goOn([...await viewers(one, await newToken('eve', one)), ...others]);
});

cleanly('a token for live and recordings ends when either right is lost, everywhere', async (t) => {
  const stream = await newStream('both', 'admin');
  await publish(stream);
  const status = async (token, file) => (await get(`${stack.httpUrl}/m/${token}/${file}`)).status;
  for (const lost of ['replay', 'view']) {
    await stack.ctl('grant', 'eve', stream.full, 'view,replay');
    const token = (await stack.ctl('url', 'eve', stream.full, 'watch')).split('/')[4];
    const files = [`${stream.full}/index.m3u8?window=600`, `rec/${stream.full}/spans.json`];
    const gone = await viewers(stream, token);
    for (const file of files) assert.equal(await status(token, file), 200, file);
    await ends(t, () => stack.ctl('revoke', 'eve', stream.full, lost), gone);
    await refused(stream, token);
    for (const file of files) assert.equal(await status(token, file), 403, `${file} without ${lost}`);
    await assert.rejects(stack.ctl('url', 'eve', stream.full, 'watch'), new RegExp(`may not ${lost} `));
  }
});

cleanly('ffmpeg as an encoder ends, too', async (t) => {
  const stream = await newStream('encoder', 'joe');
  const publisher = pushFfmpeg(`${stack.rtmpUrl}/live/${stream.name}?key=${stream.key}`);
  t.after(() => publisher.stop());
  await untilLive(stack, stream.full, publisher);
  const ffmpeg = { label: 'ffmpeg', get ended() { return publisher.code !== undefined; } };
  await ends(t, () => stack.ctl('user', 'revoke', 'joe'), [ffmpeg]);
});

cleanly('a kick ends one session, and its token stays valid', async (t) => {
  const stream = await newStream('kicked', 'bob');
  await publish(stream);
  const token = await newToken('bob', stream);
  const [flv, ws, rtmp] = await viewers(stream, token);
  const listed = await until(async () => {
    const { sessions } = JSON.parse(await stack.ctl('sessions', '--json'));
    const mine = sessions.filter((s) => s.stream === stream.full);
    return mine.length === 4 && mine;
  }, 'four sessions');
  assert.deepEqual(listed.map(({ kind, protocol, user, address: from }) => [kind, protocol, user, from]).sort(), [
    ['publish', 'rtmp', 'bob', '127.0.0.1'],
    ['view', 'flv', 'bob', '127.0.0.1'],
    ['view', 'rtmp', 'bob', '127.0.0.1'],
    ['view', 'ws', 'bob', '127.0.0.1'],
  ]);
  const id = (kind, protocol) => listed.find((s) => s.kind === kind && s.protocol === protocol).id;
  assert.match(
    await stack.ctl('sessions'),
    new RegExp(`^${id('view', 'ws')} +view +ws +live/kicked +bob +127\\.0\\.0\\.1 `, 'm'),
  );

  await ends(t, () => stack.ctl('kick', id('view', 'ws')), [ws], [flv, rtmp]);
  const bob = await login('bob');
  const kick = `/api/sessions/${id('view', 'flv')}/kick`;
  assert.equal((await stack.api('POST', kick, { body: {}, cookie: await login('eve') })).status, 404);
  await ends(t, () => change('POST', kick, {}, bob), [flv], [rtmp]);
  await ends(t, () => stack.ctl('kick', id('view', 'rtmp')), [rtmp]);
  await viewers(stream, token);
});

cleanly('nginx gets the limits from the gate', async () => {
  const [first, second] = [await newStream('limit-1', 'joe'), await newStream('limit-2', 'joe')];
  await stack.ctl('user', 'set', 'joe', 'max_publishers=1');
  await stack.ctl('stream', 'set', first.full, 'max_viewers=2');
  await publish(first);
  await refusedKey(second);
  const token = await newToken('joe', first);
  await viewFlv(first, token);
  await viewFlv(first, token);
  assert.equal((await get(address(first, token))).status, 503);
  const row = await until(
    async () => (await stack.controlGet('/status')).streams.find((s) => s.name === first.full && s.viewers === 2),
    'two viewers',
  );
  assert.deepEqual([row.max_viewers, row.viewers_by.flv], [2, 2]);
  await stack.ctl('user', 'set', 'joe', 'max_publishers=0');
  await publish(second);
});

cleanly('events tell the page the streams that it may see, again after each change', async () => {
  const stream = await newStream('told', 'admin');
  await publish(stream);
  assert.equal((await Follower.open(`${stack.httpsUrl}/api/events`)).status, 401);
  const cookie = await login('eve');
  const before = await follow(cookie);
  const names = async ({ follower }) => (await follower.first()).streams.map(({ name }) => name);
  assert.ok(!(await names(before)).includes(stream.full));

  await stack.ctl('grant', 'eve', stream.full, 'view');
  await until(() => before.ended, 'the events to end, so that the page asks anew');
  const granted = await follow(cookie);
  assert.ok((await names(granted)).includes(stream.full));
  const { streams } = (await stack.api('GET', '/api/streams', { cookie })).json;
  const { streams: told } = await granted.follower.first();
  assert.equal(told.find(({ name }) => name === stream.full).id, streams.find(({ name }) => name === stream.name).id);

  await stack.ctl('revoke', 'eve', stream.full);
  await until(() => granted.ended, 'the events to end');
  assert.ok(!(await names(await follow(cookie))).includes(stream.full));
  const last = await follow(cookie);
  await change('POST', '/api/logout', {}, cookie);
  await until(() => last.ended, 'the events of a login that was given up to end');
  assert.equal((await Follower.open(`${stack.httpsUrl}/api/events`, { Cookie: cookie })).status, 401);
});

cleanly('revocations survive a restart, and reach an nginx that was down', async (t) => {
  const stream = await newStream('kept', 'admin');
  const own = await newStream('kept-own', 'eve');
  for (const user of ['bob', 'eve', 'joe']) await stack.ctl('grant', user, stream.full, 'view');
  const token = {};
  for (const user of ['bob', 'eve', 'joe']) token[user] = await newToken(user, stream);
  await stack.ctl('revoke', 'bob', stream.full);
  await stack.ctl('grant', 'bob', stream.full, 'view');

  // only nginx is down: it learns of this change when it is back
  const startNginx = await stopNginx();
  const { stdout, stderr } = await buildSh(['ctl', 'user', 'revoke', 'eve'], { env: stack.env });
  assert.match(stdout, /user eve revoked/);
  assert.match(stderr, /warning: done, but nginx does not know yet/);
  await stack.ctl('stream', 'key', 'rotate', own.full);
  await startNginx();
  const back = performance.now();
  await until(() => /revocations: \d+ told to nginx/.test(stack.log('auth')), 'nginx to get it');
  t.diagnostic(`nginx was told ${Math.round(performance.now() - back)} ms after it answered`);
  await until(() => publish(stream).catch(() => false), 'a publisher');
  await refused(stream, token.bob);
  await refused(stream, token.eve);
  await refusedKey(own);
  await viewers(stream, token.joe);
  await viewers(stream, await newToken('eve', stream));

  // the whole stack ends and starts
  for (const each of open) each.close();
  await buildSh(['down'], { env: stack.env });
  await buildSh(['up', '-d'], { env: stack.env });
  await publish(stream);
  await refused(stream, token.bob);
  await refused(stream, token.eve);
  await goOn([...await viewers(stream, token.joe), ...await viewers(stream, await newToken('bob', stream))]);
});

cleanly('the rows of a killed worker\'s sessions are closed', async () => {
  const stream = await newStream('killed', 'admin');
  await publish(stream);
  await viewRtmp(stream, await until(() => newToken('admin', stream), 'a token'));
  const ids = (await stack.controlGet('/sessions')).sessions
    .filter((each) => each.stream === stream.full)
    .map(({ id }) => id);
  assert.equal(ids.length, 2);
  for (const pid of workers()) process.kill(pid, 'SIGKILL');
  const other = await until(() => publish(stream).catch(() => false), 'a publisher after it');
  for (const id of ids)
    await until(
      () => stack.log('auth').includes(`session ${id} closed: nginx no longer has it`),
      `${id} to be closed`,
      120_000,
    );
  assert.ok(!other.ended);
  const now = (await stack.controlGet('/sessions')).sessions.find((each) => each.stream === stream.full).id;
  assert.ok(!stack.log('auth').includes(`session ${now} closed`), 'an open session stays open');
});

cleanly('a revoked right ends viewers of an edge, too, which the auth-service tells over HTTP', async () => {
  const secret = (name) => fs.readFileSync(path.join(stack.home, 'secrets', name), 'utf8');
  const edge = await startEdge({
    port: stack.https,
    certificate: { crt: secret('tls.crt'), key: secret('tls.key') },
    key: Buffer.from(secret('token.keys').match(/^k1 (\w+)/m)[1], 'hex'),
    conf: edgeConf(stack.https).replace('127.0.0.1:{{port:control}} ssl', `127.0.0.1:${edgeControl}`),
  });
  try {
    const stream = await newStream('edged', 'admin');
    await stack.ctl('grant', 'eve', stream.full, 'view');
    const client = await openPublisher(`edged?key=${stream.key}`, { port: stack.rtmp });
    keep(client);
    client.sendVideo(0, avcHeader());
    feed(client, frames);
    const [eve, admin] = await Promise.all(['eve', 'admin'].map((user) => newToken(user, stream)));
    const status = async (token) => (await edge.get(edge.url(stream.full, 'live.m3u8', token))).status;
    await until(async () => await status(eve) === 200, 'the stream at the edge');
    await until(() => /edge 1 of 1 knows all revocations/.test(stack.log('auth')), 'the edge to be known', deadlineMs);
    await stack.ctl('revoke', 'eve', stream.full, 'view');
    await until(async () => await status(eve) === 403, 'the viewer to end', deadlineMs);
    assert.equal(await status(admin), 200);

    // an admin sees and kicks the edge's viewers
    assert.match(await stack.ctl('status', '--edge', '1'),
      /^stream live\/edged: carried for .*\n {2}viewers 1: hls 1$/m);
    const [{ id, ...viewer }] = JSON.parse(await stack.ctl('sessions', '--edge=1', '--json')).sessions;
    assert.deepEqual([viewer.user, viewer.stream, viewer.protocol], ['admin', stream.full, 'hls']);
    assert.equal(await stack.ctl('kick', id, '--edge', '1'), `kicked session ${id}`);
    assert.equal(await status(admin), 403);
    for (const number of ['2', '0', 'one']) {
      await assert.rejects(stack.ctl('sessions', '--edge', number), /expected the number of one of the 1 edges/);
    }
  } finally {
    await edge.stop();
  }
});
