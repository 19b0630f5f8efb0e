// Slots of workers in the hub's zone: the old workers of reloads keep theirs while
// they have clients, and a worker without a slot takes the first free one.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { get, hubConf, startHub, viewersEverywhere } from '../lib/hub.mjs';
import { testConfig, until } from '../lib/nginx.mjs';
import { keyFrame, openPublisher } from '../lib/rtmp.mjs';

const DEADLINE = { timeout: 240_000 };
const RELOADS = 34;
const HELD = 8;

async function publish(hub, name) {
  const publisher = await openPublisher(`${name}?key=k`, { ...hub.rtmp, chunkSize: 65536 });
  publisher.sendVideo(0, keyFrame());
  await publisher.ping();
  return publisher;
}

const open = (hub, n) => Promise.all(Array.from({ length: n }, () => hub.view('live/demo')));

/** All clients leave, so the old workers exit, too. */
async function closeAll(hub, clients) {
  const workers = hub.nginx.workers().length;
  for (const client of clients) client.close();
  await until(async () => (await hub.status()).workers.length === workers, 'the old workers to leave');
}

describe('slots of workers', () => {
  test(
    `${RELOADS} reloads with viewers in each generation: new viewers are always admitted`,
    DEADLINE,
    async (t) => {
      const hub = await startHub();
      t.after(() => hub.stop());
      const publisher = await publish(hub, 'demo');
      const generations = [await open(hub, HELD)];
      for (let n = 0; n < RELOADS; n++) {
        await hub.nginx.reload();
        generations.push(await open(hub, HELD));
        assert.deepEqual(
          generations.at(-1).map(({ status }) => status),
          Array(HELD).fill(200),
          `after ${n + 1} reloads`,
        );
      }
      const { workers, zone } = await hub.status();
      assert.ok(workers.length > RELOADS, `${workers.length} workers`);
      assert.ok(zone.workers_max > 64, `${zone.workers_max} slots`);
      assert.equal((await hub.stream('live/demo')).viewers, (RELOADS + 1) * HELD, 'nobody was dropped');
      await closeAll(hub, [publisher, ...generations.flat()]);
    },
  );

  test(
    'no slot is free: refusals say so, status answers, and the worker takes the first free slot without a reload',
    DEADLINE,
    async (t) => {
      const workers = 16;
      // 64 slots
      const hub = await startHub({ zone: '4m', workers, listen: 'reuseport', main: 'hub_user_share 100%;' });
      t.after(() => hub.stop());
      const publisher = await publish(hub, 'demo');
      const generations = [];
      for (let n = 0; n < 4; n++) {
        if (n) await hub.nginx.reload();
        generations.push(await viewersEverywhere(hub, 'live/demo'));
      }
      assert.equal((await hub.status()).workers.length, 64);
      await hub.nginx.reload();

      const { status, text } = await get(hub.url('live/demo'));
      assert.equal(status, 503);
      assert.match(
        JSON.parse(text).error,
        /this worker waits for a slot in hub_zone: workers, also old ones of earlier reloads, hold all of them/,
      );
      await assert.rejects(publish(hub, 'other'), /BadName.*this worker waits for a slot/);
      assert.match(hub.nginx.log(), /hold all 64 worker slots of hub_zone "test": this worker refuses/);
      assert.match(hub.nginx.log(), /view "live\/demo" refused: this worker waits for a slot/);
      assert.doesNotMatch(hub.nginx.log(), /server has no hub_zone/);
      const full = await hub.status();
      assert.equal(full.streams.length, 1);
      assert.equal(full.zone.refused.workers, 2);
      assert.match((await get(`${hub.base}/metrics`)).text, /^duolu_workers_max 64$/m);

      // two generations: a worker of the first one still has the publisher
      generations.slice(0, 2).flat().forEach((viewer) => viewer.close());
      const now = hub.nginx.workers();
      await until(async () => {
        const pids = (await hub.status()).workers.map(({ pid }) => pid);
        return now.every((pid) => pids.includes(pid));
      }, 'every new worker to have a slot');
      const again = await open(hub, 10);
      assert.deepEqual(
        again.map((viewer) => viewer.status),
        Array(10).fill(200),
      );
      const other = await publish(hub, 'other');
      await closeAll(hub, [publisher, other, ...generations.flat(), ...again]);
    },
  );

  test('more workers than the zone has slots for twice fail nginx -t', DEADLINE, async () => {
    const check = (workers, zone) =>
      testConfig({
        conf: hubConf({ gate: { path: '/none' }, workers, zone })
          .replace(/access_token_keys .*?; hub_flv on;/, '')
          .replaceAll(/127\.0\.0\.1:\{\{port:\w+\}\}/g, '127.0.0.1:9'),
        modules: ['rtmp', 'guard', 'hub'],
      });
    const { code, output } = await check(33, '4m');
    assert.equal(code, 1);
    assert.match(
      output,
      /worker_processes is 33, expected at most 32: hub_zone "test" of 4194304 bytes has 64 slots for workers/,
    );
    assert.equal((await check(32, '4m')).code, 0, (await check(32, '4m')).output);
    assert.equal((await check(70, '64m')).code, 0);
  });

  test('durations of HLS that no player could follow fail nginx -t', DEADLINE, async () => {
    const check = (main) =>
      testConfig({
        conf: hubConf({ gate: { path: '/none' }, main })
          .replace(/access_token_keys .*?; hub_flv on;/, '')
          .replaceAll(/127\.0\.0\.1:\{\{port:\w+\}\}/g, '127.0.0.1:9'),
        modules: ['rtmp', 'guard', 'hub'],
      });
    for (const [main, error] of [
      ['hls_segment 900ms;', 'hls_segment is 900ms, expected 1000ms to 10000ms'],
      ['hls_part 1s;', 'hls_part is 1000ms, expected 200ms to 500ms'],
      ['hls_segment 3500ms; hls_window 11s;', 'hls_window is 11000ms, expected 12000ms to 87500ms'],
    ]) {
      const { code, output } = await check(main);
      assert.equal(code, 1, main);
      assert.ok(output.includes(error), output);
    }
    for (const main of ['hls_segment 10s;', 'hls_segment 1s; hls_part 200ms; hls_window 25s;']) {
      const { code, output } = await check(main);
      assert.equal(code, 0, output);
    }
  });
});
