// Ends of a publisher and what its viewers get: killed, cut off from the network,
// away for longer than the grace.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { makeClip, plan, replay } from '../lib/clips.mjs';
import { feed, startHub } from '../lib/hub.mjs';
import { makeFilm, pushFfmpeg } from '../lib/media.mjs';
import { until } from '../lib/nginx.mjs';
import { interFrame, keyFrame, openPublisher, openStream } from '../lib/rtmp.mjs';
import { failures, media, more, soundOver, untilWatchable, watchEverywhere } from '../lib/watch.mjs';

const DEADLINE = { timeout: 120_000 };
let hub;
before(async () => { hub = await startHub({ main: 'hub_grace 30s;', ingest: 'hub_play on; ingest_timeout 2s;' }); });
after(() => hub.stop());

test('kill -9 of an encoder, twice, the second time for a larger picture', DEADLINE, async (t) => {
  const url = `rtmp://127.0.0.1:${hub.rtmp.port}/live/killed?key=mine`;
  const kill = async (encoder) => { encoder.child.kill('SIGKILL'); await encoder.ended; };
  const films = await Promise.all(['320x180', '640x360'].map((size) => makeFilm({ size })));
  const encoders = [pushFfmpeg(url, { film: films[0] })];
  t.after(() => Promise.all(encoders.map(kill)));
  await untilWatchable(hub, 'live/killed');
  const watchers = await watchEverywhere(hub, 'live/killed');
  await Promise.all(watchers.map((w) => more(w, 60)));
  const stops = [];
  for (const film of films) {
    stops.push(performance.now());
    await kill(encoders.at(-1));
    await until(async () => (await hub.stream('live/killed')).state === 'grace', 'live/killed to wait');
    await new Promise((resolve) => { setTimeout(resolve, 1500); });
    encoders.push(pushFfmpeg(url, { film }));
    await Promise.all(watchers.map((w) => more(w, 60)));
  }
  assert.equal((await hub.stream('live/killed')).width, 640);
  assert.deepEqual(failures(watchers), []);
  await kill(encoders.at(-1));
  watchers.forEach((w) => w.close());
  await soundOver(t, watchers, stops);
});

/** Publishes a clip until every watcher has 40 frames more. */
async function publishTo(hub_, watchers, name, clip) {
  const client = await openStream(hub_.rtmp);
  client.setChunkSize(4096);
  await client.publish(`${name}?key=mine`);
  const source = replay(client, plan(clip));
  source.done.catch(() => {});
  if (watchers.length === 0) {
    await untilWatchable(hub_, `live/${name}`);
    watchers.push(...await watchEverywhere(hub_, `live/${name}`));
  }
  await Promise.all(watchers.map((w) => more(w, 40)));
  return { client, source };
}

test('a publisher that returns after a reload: viewers of old workers get its frames', DEADLINE, async (t) => {
  const moved = await startHub({ main: 'hub_grace 30s;', ingest: 'hub_play on;' });
  t.after(() => moved.stop());
  const clip = await makeClip();
  const watchers = [];
  const one = await publishTo(moved, watchers, 'reloaded', clip);
  one.source.stop();
  const stops = [performance.now()];
  await one.client.close();
  const old = moved.nginx.workers();
  await moved.nginx.reload();
  const two = await publishTo(moved, watchers, 'reloaded', clip);
  assert.ok(!old.includes((await moved.stream('live/reloaded')).publisher_pid), 'a new worker has the publisher');
  two.source.stop();
  assert.deepEqual(failures(watchers), []);
  await two.client.close();
  watchers.forEach((w) => w.close());
  await soundOver(t, watchers, stops);
});

test('a worker that is killed with its publisher: viewers of the other see its return', DEADLINE, async (t) => {
  const crashed = await startHub({ main: 'hub_grace 30s;', ingest: 'hub_play on;', expectCrash: true });
  t.after(() => crashed.stop());
  const clip = await makeClip();
  const watchers = [];
  const one = await publishTo(crashed, watchers, 'orphan', clip);
  const { publisher_pid: victim } = await crashed.stream('live/orphan');
  const stops = [performance.now()];
  crashed.nginx.kill('SIGKILL', victim);
  one.source.stop();
  const left = watchers.filter((w) => w.pid !== victim);
  const two = await publishTo(crashed, left, 'orphan', clip);
  two.source.stop();
  assert.equal(left.length, 3);
  assert.deepEqual(failures(left), []);
  await two.client.close();
  watchers.forEach((w) => w.close());
  await soundOver(t, left, stops);
});

test('a phone that is cut off and does not return is ended after ingest_timeout', DEADLINE, async () => {
  const client = await openPublisher('silent?key=mine', { ...hub.rtmp, chunkSize: 4096 });
  const source = feed(client, { key: keyFrame(), inter: interFrame() });
  await untilWatchable(hub, 'live/silent');
  source.stop();
  await client.closed;
  assert.match(hub.nginx.log(), /publish live\/silent ended: no media for ([2-9]|\d\d)\d{3} ms/);
  assert.equal((await hub.stream('live/silent')).state, 'grace');
  assert.ok(
    !(await hub.sessions()).some((s) => s.kind === 'publish' && s.stream === 'live/silent'),
    'its session is gone',
  );
});

test('after its grace a stream ends, and so do its viewers\' connections, properly', DEADLINE, async (t) => {
  const brief = await startHub({ main: 'hub_grace 1s;', ingest: 'hub_play on;' });
  t.after(() => brief.stop());
  const client = await openPublisher('brief?key=mine', { ...brief.rtmp, chunkSize: 4096 });
  const source = feed(client, { key: keyFrame(), inter: interFrame() });
  await untilWatchable(brief, 'live/brief');
  const watchers = await watchEverywhere(brief, 'live/brief');
  await Promise.all(watchers.map((w) => more(w, 10)));
  source.stop();
  const gone = performance.now();
  await client.close();
  await until(() => watchers.every((w) => w.ended), 'every viewer to end');
  assert.ok(performance.now() - gone >= 950, 'not before its time');
  assert.deepEqual(
    watchers.map((w) => `${w.protocol}: ${w.ending}`),
    watchers.map((w) => `${w.protocol}: end of file`),
  );
  assert.ok(watchers.every((w) => !w.error && media(w).length > 10));
  assert.equal(await brief.stream('live/brief'), undefined);
  assert.deepEqual((await brief.sessions()).map((s) => s.kind), [], 'no session is left');
});
