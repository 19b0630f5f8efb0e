// Limits of a shared server: viewers in total and of a stream, publishers of a
// user, bitrate.  Each refusal has its reason and its counter.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { get, oneInEach, startHub } from '../lib/hub.mjs';
import { until } from '../lib/nginx.mjs';
import { interFrame, keyFrame, openPublisher, openStream } from '../lib/rtmp.mjs';

const DEADLINE = { timeout: 120_000 };
const closeAll = (viewers) => viewers.forEach((viewer) => viewer.close());

async function start(t, options) {
  const hub = await startHub(options);
  t.after(() => hub.stop());
  return hub;
}

async function publish(hub, name) {
  const client = await openPublisher(`${name}?key=k`, { ...hub.rtmp, chunkSize: 65536 });
  client.sendVideo(0, keyFrame());
  await client.ping();
  return client;
}

const refusals = async (hub) => (await hub.status()).zone.refused;

/** Requests a view and expects 503, with this line in the log. */
async function full(hub, stream, line) {
  const from = hub.nginx.log().length;
  const answer = await get(hub.url(stream));
  assert.equal(answer.status, 503);
  assert.match(hub.nginx.log().slice(from), line);
}

describe('viewers', () => {
  test('of a stream: the gate\'s limit, over all workers and protocols', DEADLINE, async (t) => {
    const hub = await start(t, {
      answer: ({ NAME }) => ({ allow: true, uid: 7, stream: 3, max_viewers: NAME === 'few' ? 30 : 0 }),
    });
    await publish(hub, 'few');
    await publish(hub, 'many');
    const viewers = [];
    for (let n = 0; n < 30; n++) viewers.push(await hub.view('live/few'));
    await full(hub, 'live/few', /view "live\/few" refused: stream has as many viewers as its limit allows/);
    await full(hub, 'live/few', /as many viewers/);
    assert.equal((await refusals(hub)).viewers_stream, 2);
    assert.equal((await hub.stream('live/few')).viewers, 30);

    const others = await oneInEach(hub, 'live/many');
    assert.deepEqual(others.map((viewer) => viewer.status), [200, 200]);
    closeAll(others);

    viewers.pop().close();
    await until(async () => (await hub.stream('live/few')).viewers === 29, 'one to be gone');
    viewers.push(await hub.view('live/few'));
    assert.equal(viewers.at(-1).status, 200);
    closeAll(viewers);
  });

  test('of any stream: hub_stream_viewers_max', DEADLINE, async (t) => {
    const hub = await start(t, { main: 'hub_stream_viewers_max 2;' });
    await publish(hub, 'a');
    await publish(hub, 'b');
    const viewers = [await hub.view('live/a'), await hub.view('live/a'), await hub.view('live/b')];
    assert.deepEqual(viewers.map((viewer) => viewer.status), [200, 200, 200]);
    await full(hub, 'live/a', /stream has as many viewers as its limit allows/);
    closeAll(viewers);
  });

  test('in all: hub_viewers_max', DEADLINE, async (t) => {
    const hub = await start(t, { main: 'hub_viewers_max 3;' });
    await publish(hub, 'a');
    await publish(hub, 'b');
    const viewers = [await hub.view('live/a'), await hub.view('live/a'), await hub.view('live/b')];
    await full(hub, 'live/b', /view "live\/b" refused: server has as many viewers as hub_viewers_max allows/);
    assert.equal((await refusals(hub)).viewers_total, 1);
    closeAll(viewers);
    await until(async () => (await hub.stream('live/a')).viewers === 0, 'all to be gone');
    const again = await hub.view('live/b');
    assert.equal(again.status, 200);
    again.close();
  });

  test('of a worker that was killed no longer count', DEADLINE, async (t) => {
    const hub = await start(t, { main: 'hub_viewers_max 2;', expectCrash: true });
    const client = await publish(hub, 'a');
    const viewers = await oneInEachOfTwo(hub);
    const [dead] = hub.nginx.workers();
    process.kill(dead, 'SIGKILL');
    await until(async () => {
      const { workers } = await hub.status();
      return workers.length === 2 && !workers.some((worker) => worker.pid === dead);
    }, 'a new worker in its place');
    assert.equal((await hub.status()).workers.reduce((sum, worker) => sum + worker.viewers, 0), 1);
    const again = await hub.view('live/a');
    assert.equal(again.status, 200);
    await full(hub, 'live/a', /hub_viewers_max/);
    closeAll([...viewers, again]);
    await client.close();
  });
});

/** One viewer in each of two workers, without a third one at any time. */
async function oneInEachOfTwo(hub) {
  const viewers = [];
  while (viewers.length < 2) {
    const viewer = await hub.view('live/a');
    assert.equal(viewer.status, 200);
    const { workers } = await hub.status();
    if (workers.some((worker) => worker.viewers > 1)) {
      viewer.close();
      await until(async () => (await hub.stream('live/a')).viewers === viewers.length, 'it to be gone');
    } else {
      viewers.push(viewer);
    }
  }
  return viewers;
}

describe('publishers', () => {
  test('of a user: the gate\'s limit; a return counts once, others continue', DEADLINE, async (t) => {
    const hub = await start(t, {
      answer: ({ ARGS }) => ({ allow: true, uid: Number(ARGS.slice(-1)), max_publishers: 2 }),
    });
    const open = (name) => openPublisher(`${name}?key=${name}&u=7`, { ...hub.rtmp, chunkSize: 65536 });
    const first = await open('one');
    await open('two');
    const third = await openStream(hub.rtmp);
    await assert.rejects(
      third.publish('three?key=x&u=7'),
      /BadName.*user publishes as many streams as their limit allows/,
    );
    assert.equal((await refusals(hub)).publishers_user, 1);
    assert.equal(await hub.stream('live/three'), undefined);

    await openPublisher('four?key=x&u=8', { ...hub.rtmp, chunkSize: 65536 });           // another user
    const back = await open('one');                                                      // takes its own over
    const status = await first.anyStatus();
    assert.match(status.description, /replaced by a newer connection with the same key/);
    await first.closed;
    await back.close();
    await until(async () => (await hub.stream('live/one')).state === 'grace', 'the end of one');
    await open('three');
  });
});

describe('bitrate', () => {
  test('ten seconds of the limit may arrive at once, more ends the publisher', DEADLINE, async (t) => {
    const hub = await start(t, { answer: () => ({ allow: true, uid: 7, max_kbps: 800 }) });
    const client = await publish(hub, 'cap');
    for (let n = 1; n <= 9; n++) client.sendVideo(n * 40, interFrame(100_000));
    await client.ping();                                        // 0.9 of 1.0 MB: after a dead zone
    assert.equal((await hub.stream('live/cap')).state, 'live');

    for (let n = 10; n <= 30; n++) client.sendVideo(n * 40, interFrame(100_000));
    const status = await client.anyStatus();
    assert.equal(status.code, 'NetStream.Publish.Failed');
    assert.match(status.description, /stream exceeds its limit of 800 kbps for too long/);
    await client.closed;
    assert.equal((await refusals(hub)).bitrate, 1);
    assert.match(hub.nginx.log(), /publish live\/cap ended: stream exceeds its limit of 800 kbps/);

    // a return does not reset the excess
    const again = await openPublisher('cap?key=k', { ...hub.rtmp, chunkSize: 65536 });
    for (let n = 0; n < 10; n++) again.sendVideo(n * 40, n ? interFrame(100_000) : keyFrame(100_000));
    assert.match((await again.anyStatus()).description, /exceeds its limit of 800 kbps/);
    await again.closed;
  });

  test('a stream within its limit continues', DEADLINE, async (t) => {
    const hub = await start(t, { answer: () => ({ allow: true, uid: 7, max_kbps: 8000 }) });
    const client = await publish(hub, 'calm');
    const viewers = await oneInEach(hub, 'live/calm');
    for (let n = 1; n <= 50; n++) client.sendVideo(n * 40, n % 25 ? interFrame(2000) : keyFrame(20_000));
    await client.ping();
    await Promise.all(viewers.map((viewer) => until(() => viewer.flv.video().length >= 50, 'all frames')));
    closeAll(viewers);
    assert.equal((await refusals(hub)).bitrate, 0);
  });
});
