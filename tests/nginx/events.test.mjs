// Live events: a page gets the changes of streams from any worker, but only of
// streams that its user may see.

import assert from 'node:assert/strict';
import net from 'node:net';
import { describe, test } from 'node:test';
import { Follower } from '../lib/events.mjs';
import { feed, get, openIn, startHub, workerOf } from '../lib/hub.mjs';
import { testConfig, until, untilGone } from '../lib/nginx.mjs';
import { interFrame, keyFrame, openPublisher } from '../lib/rtmp.mjs';

const DEADLINE = { timeout: 120_000 };
const IDS = { demo: 3, other: 5, third: 9 };
const answer = ({ NAME }) => ({ allow: true, uid: 7, stream: IDS[NAME], key: 12 });

async function start(t, options = {}) {
  const hub = await startHub({ answer, ...options });
  t.after(() => hub.stop());
  hub.follow = (streams = '*', user = 7) => Follower.open(`${hub.base}/events?user=${user}&streams=${streams}`);
  return hub;
}

async function publish(hub, name, timestamp = 0) {
  const client = await openPublisher(`${name}?key=k`, { ...hub.rtmp, chunkSize: 65536, timestamp });
  client.sendVideo(timestamp, keyFrame());
  await client.ping();
  return client;
}

/** A follower in each worker: [[pid, follower], …]. */
async function followEverywhere(hub, streams) {
  const found = new Map();
  const missing = () => hub.nginx.workers().filter((pid) => !found.has(pid));
  for (let attempt = 0; missing().length > 0; attempt++) {
    const follower = await openIn(hub, missing(), attempt, () => hub.follow(streams));
    const pid = workerOf(hub, follower);
    if (found.has(pid)) follower.close(); else found.set(pid, follower);
  }
  return [...found];
}

describe('live events', { concurrency: 4 }, () => {
  test('live, grace, live, ended: in each worker, in order, with all that a page shows', DEADLINE, async (t) => {
    const hub = await start(t, { main: 'hub_grace 1s;' });
    const everywhere = await followEverywhere(hub, '3');
    const followers = everywhere.map(([, follower]) => follower);
    for (const follower of followers) {
      assert.equal(follower.status, 200);
      assert.equal(follower.headers['content-type'], 'text/event-stream');
      assert.equal(follower.headers['cache-control'], 'no-store');
      assert.deepEqual(await follower.first(), { streams: [] });
      assert.equal(follower.retry, 1000);
    }

    let publisher = await publish(hub, 'demo');
    const { publisher_pid: pid } = await hub.stream('live/demo');
    assert.ok(everywhere.some(([other]) => other !== pid), 'one of them is not in the publisher\'s worker');
    for (const follower of followers) await follower.wait((e) => e.data.state === 'live', 'live');
    await publisher.close();
    for (const follower of followers) await follower.wait((e) => e.data.state === 'grace', 'grace');
    publisher = await publish(hub, 'demo');
    const returned = (states) => states.lastIndexOf('live') > states.indexOf('grace') && states.includes('grace');
    for (const follower of followers) await until(() => returned(follower.states('live/demo')), 'live again');
    await publisher.close();
    for (const follower of followers) {
      await follower.wait((e) => e.data.state === 'ended', 'the end');
      const states = follower.states('live/demo').filter((state, at, all) => state !== all[at - 1]);
      assert.deepEqual(states, ['live', 'grace', 'live', 'grace', 'ended']);
      const shown = follower.events.filter((e) => e.data.state === 'live').at(-1).data;
      assert.deepEqual({ ...shown, kbps: 0, since_ms: 0 }, {
        id: 3, name: 'live/demo', state: 'live', video: 'h264', audio: shown.audio, width: 320, height: 180,
        viewers: 0, kbps: 0, since_ms: 0, recording: 'off' });
      follower.close();
    }
  });

  test('users get events of streams they may see, and of no other', DEADLINE, async (t) => {
    const hub = await start(t);
    await publish(hub, 'demo');
    const some = await hub.follow('9,3,77');
    const none = await hub.follow('');
    const all = await hub.follow('*');
    const names = async (follower) => (await follower.first()).streams.map((stream) => stream.name);
    assert.deepEqual(await names(some), ['live/demo']);
    assert.deepEqual(await names(none), []);
    assert.deepEqual(await names(all), ['live/demo']);
    await publish(hub, 'other');
    await publish(hub, 'third');
    await publish(hub, 'unknown');               // the database gave it no number
    await all.wait((e) => e.data.name === 'live/unknown', 'the last of them');
    await some.wait((e) => e.data.name === 'live/third', 'live/third');
    const told = (follower) =>
      [...new Set(follower.events.filter((e) => e.event === 'stream').map((e) => e.data.name))].sort();
    assert.deepEqual(told(all), ['live/other', 'live/third', 'live/unknown']);
    assert.deepEqual(told(some), ['live/third']);
    assert.deepEqual(told(none), []);
    await all.wait((e) => e.event === 'stats' && e.data.streams.some(({ id }) => id === 5), 'stats of live/other');
    await some.wait((e) => e.event === 'stats', 'stats');
    const numbers = (follower) => [...new Set(follower.events.filter((e) => e.event === 'stats')
      .flatMap((e) => e.data.streams.map(({ id }) => id)))].sort();
    assert.deepEqual(numbers(all), [0, 3, 5, 9]);
    assert.deepEqual(numbers(some), [3, 9]);
    assert.deepEqual(none.events.map((e) => e.event), ['streams']);
    for (const follower of [some, none, all]) follower.close();
  });

  test('viewers and bitrate follow when they change; "alive" when nothing does', DEADLINE, async (t) => {
    const hub = await start(t);
    const silent = await hub.follow('77');
    const opened = Date.now();
    const publisher = await publish(hub, 'demo');
    const media = feed(publisher, { key: keyFrame(4000), inter: interFrame(2000) });
    const follower = await hub.follow('3');
    await follower.first();
    const viewer = await hub.view('live/demo');
    const stat = await follower.wait(
      (e) => e.event === 'stats' && e.data.streams[0].viewers === 1 && e.data.streams[0].kbps > 100,
      'one viewer',
    );
    assert.deepEqual(Object.keys(stat.streams[0]), ['id', 'viewers', 'kbps']);
    viewer.close();
    const seen = follower.events.length;
    await until(
      () => follower.events.slice(seen).some((e) => e.event === 'stats' && e.data.streams[0].viewers === 0),
      'no viewer',
    );
    media.stop();
    follower.close();
    await until(() => silent.alive > 1, 'a second "alive"');
    assert.ok(Date.now() - opened > 7000, 'none before it is due');
    assert.equal(silent.events.length, 1);
    silent.close();
  });

  test('a page is a session; refresh, kick and hub_events_life end it', DEADLINE, async (t) => {
    const hub = await start(t, { events: 'hub_events_life 3s;' });
    const one = await hub.follow('*', 7);
    const two = await hub.follow('*', 8);
    const sessions = (await hub.sessions()).filter((row) => row.kind === 'events');
    assert.deepEqual(sessions.map((row) => row.uid).sort(), [7, 8]);
    assert.equal((await hub.status()).zone.sessions, 2);
    assert.deepEqual(await hub.control('refresh?user=7'), { status: 200, json: { ended: 1 } });
    await until(() => one.ended, 'the events of user 7 to end');
    assert.equal(one.complete, true, 'it ends as a response does');
    assert.ok(!two.ended);
    await until(() => two.ended, 'the end of its life');
    assert.equal(two.complete, true);
    await until(async () => (await hub.sessions()).length === 0, 'no session to be left');
  });

  test('a reload ends them at once, and an old worker does not stay for them', DEADLINE, async (t) => {
    const hub = await start(t);
    const everywhere = await followEverywhere(hub, '*');
    const old = hub.nginx.workers();
    await hub.nginx.reload();
    for (const [, follower] of everywhere) {
      await until(() => follower.ended, 'its end');
      assert.equal(follower.complete, true);
    }
    await untilGone(old, 'old workers');
    const again = await hub.follow('*');
    assert.deepEqual(await again.first(), { streams: [] });
    again.close();
  });

  test('a client that reads nothing is dropped, the others get their events', DEADLINE, async (t) => {
    const hub = await start(t, {
      listen: 'sndbuf=32k',
      answer: ({ NAME }) => ({ allow: true, uid: 7, stream: Number(NAME.slice(0, 4)) }),
    });
    const reader = await hub.follow('*');
    const deaf = net.connect({ port: hub.nginx.ports.http, host: '127.0.0.1' });
    deaf.write('GET /events?user=9&streams=* HTTP/1.1\r\nHost: x\r\n\r\n');
    deaf.pause();
    deaf.on('error', () => {});
    await until(async () => (await hub.sessions()).some((row) => row.uid === 9), 'its session');
    // an event has about 300 bytes
    const names = Array.from({ length: 10 }, (_, n) => `${1000 + n}${'x'.repeat(124)}`);
    const publishers = await Promise.all(
      names.map((name) => openPublisher(`${name}?key=k`, { ...hub.rtmp, chunkSize: 65536 })),
    );
    let turn = 0;
    await until(async () => {
      // new headers are a change; more than 256 between two ticks would become one event
      for (const client of publishers) {
        client.sendAudio(0, Buffer.from([0xaf, 0, 0x12, ++turn & 255]));
        client.sendAudio(0, Buffer.from([0xaf, 0, 0x12, ++turn & 255]));
      }
      await Promise.all(publishers.map((client) => client.ping()));
      return !(await hub.sessions()).some((row) => row.uid === 9);
    }, 'the deaf one to be dropped', 60_000);
    assert.ok(!reader.ended);
    reader.close();
    deaf.destroy();
  });
});

test('the user and the streams must be valid', DEADLINE, async (t) => {
  const hub = await start(t);
  assert.equal((await get(`${hub.base}/events?user=7&streams=3,`)).status, 403);
  assert.equal((await get(`${hub.base}/events?user=7&streams=3%2C5`)).status, 403);
  assert.equal((await get(`${hub.base}/events?user=&streams=3`)).status, 403);
  assert.equal((await get(`${hub.base}/events?user=me&streams=3`)).status, 403);
  assert.equal((await get(`${hub.base}/events?user=7&streams=*`, { method: 'POST' })).status, 405);
  assert.match(hub.nginx.log(), /hub_events_user is "me", expected a user's number/);
  assert.match(hub.nginx.log(), /hub_events_streams is "3,", expected numbers/);
  assert.deepEqual(await hub.sessions(), []);

  const { code, output } = await testConfig({ modules: ['rtmp', 'guard', 'hub'],
    conf: `hub_zone z 8m; http { server { listen 127.0.0.1:{{port:http}};
      location /e { hub_events on; hub_events_user 1; } } }` });
  assert.equal(code, 1);
  assert.match(output, /"hub_events on" has no hub_events_streams/);
});
