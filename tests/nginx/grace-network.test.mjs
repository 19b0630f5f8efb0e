// A phone that changes networks: its old connection is half open, since no packet
// arrives that would close it; a new connection takes the stream over.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { makeClip, plan, replay } from '../lib/clips.mjs';
import { startHub } from '../lib/hub.mjs';
import { makeFilm, pushFfmpeg } from '../lib/media.mjs';
import { inOwnNetwork, phone } from '../lib/netns.mjs';
import { until } from '../lib/nginx.mjs';
import { openStream } from '../lib/rtmp.mjs';
import {
  complaints,
  failures,
  fileOf,
  gapBetween,
  media,
  more,
  soundOver,
  stepsBack,
  untilWatchable,
  watchEverywhere,
} from '../lib/watch.mjs';

const DEADLINE = { timeout: 120_000 };

/** Does some process hold an established connection to `address`? */
function heldConnection(address) {
  const hex = address
    .split('.')
    .reverse()
    .map((part) => Number(part).toString(16).padStart(2, '0'))
    .join('')
    .toUpperCase();
  return fs.readFileSync('/proc/net/tcp', 'utf8').split('\n').map((line) => line.trim().split(/\s+/))
    .some(([, , remote, state, , , , , , inode]) => remote?.startsWith(`${hex}:`) && state === '01' && inode !== '0');
}

inOwnNetwork(import.meta.url, () => {
  test(
    'a phone that changes networks takes over at once, and its old connection ends by itself',
    DEADLINE,
    async (t) => {
      const clip = await makeClip();
      const device = await phone();
      t.after(() => device.remove());
      const hub = await startHub({
        main: 'hub_grace 30s;',
        ingest: 'hub_play on; ingest_timeout 20s;',
        server: `listen ${device.address}:{{port:rtmp}};`,
      });
      t.after(() => hub.stop());
      const old = pushFfmpeg(`rtmp://${device.address}:${hub.rtmp.port}/live/moving?key=mine`, {
        inside: device.inside, film: await makeFilm(),
      });
      t.after(() => old.child.kill('SIGKILL'));
      await untilWatchable(hub, 'live/moving');
      const watchers = await watchEverywhere(hub, 'live/moving');
      await Promise.all(watchers.map((w) => more(w, 40)));
      const first = (await hub.sessions()).find((s) => s.kind === 'publish');

      const since = performance.now();
      assert.ok(heldConnection(device.farAddress));
      device.cut();
      await new Promise((resolve) => {
        setTimeout(resolve, 1200);
      });
      assert.equal((await hub.stream('live/moving')).state, 'live', 'nobody has told the server');

      const asked = performance.now();
      const client = await openStream(hub.rtmp);
      client.setChunkSize(4096);
      await client.publish('moving?key=mine');
      const taken = performance.now() - asked;
      const source = replay(client, plan(clip));
      await Promise.all(watchers.map((w) => more(w, 40)));
      await until(async () => {
        const publishers = (await hub.sessions()).filter((s) => s.kind === 'publish');
        return publishers.length === 1 && publishers[0].id !== first.id;
      }, 'the old session to be gone');
      t.diagnostic(
        `taken over in ${taken.toFixed(0)} ms; old session gone ${(performance.now() - asked).toFixed(0)} ms after`,
      );
      assert.match(hub.nginx.log(), /publish live\/moving ended: replaced by a newer connection with the same key/);
      await until(() => !heldConnection(device.farAddress), 'nginx to close what the phone cannot close');
      assert.deepEqual(failures(watchers), []);
      source.stop();
      await client.close();
      watchers.forEach((w) => w.close());
      await soundOver(t, watchers, [since]);
    },
  );

  test(
    'a phone that loses its network for 5 s but keeps its connection: no frame is missing, no clock is set',
    DEADLINE,
    async (t) => {
      const device = await phone();
      t.after(() => device.remove());
      // TCP's retransmission timer doubles: the silence may last twice as long
      const hub = await startHub({
        main: 'hub_grace 30s;',
        ingest: 'hub_play on; play_lag 60s; ingest_timeout 60s;',
        flv: 'hub_lag 60s;',
        server: `listen ${device.address}:{{port:rtmp}};`,
      });
      t.after(() => hub.stop());
      const encoder = pushFfmpeg(`rtmp://${device.address}:${hub.rtmp.port}/live/stalled?key=mine`, {
        inside: device.inside, film: await makeFilm(),
      });
      t.after(() => encoder.child.kill('SIGKILL'));
      await untilWatchable(hub, 'live/stalled');
      const watchers = await watchEverywhere(hub, 'live/stalled');
      await Promise.all(watchers.map((w) => more(w, 40)));
      const cut = performance.now();
      device.cut();
      await new Promise((resolve) => {
        setTimeout(resolve, 5000);
      });
      device.mend();
      await Promise.all(watchers.map((w) => more(w, 60)));
      await Promise.all(
        watchers.map((w) => until(() => w.tags.at(-1).at - w.tags.at(-2).at > 5, 'the burst to be over')),
      );
      await Promise.all(watchers.map((w) => more(w, 20)));
      assert.equal((await hub.stream('live/stalled')).gaps, 0, 'the publisher did not return, its clock was not set');
      assert.deepEqual(failures(watchers), []);
      watchers.forEach((w) => w.close());
      for (const watcher of watchers) {
        assert.deepEqual(stepsBack(watcher, 400), [], watcher.protocol);
        const video = media(watcher).filter((tag) => tag.type === 9);
        const steps = video.slice(1).map((tag, i) => tag.dts - video[i].dts);
        assert.ok(
          steps.every((ms) => Math.abs(ms - 40) <= 2),
          `every frame is there, 40 ms from the next: ${steps.filter((ms) => Math.abs(ms - 40) > 2)}`,
        );
        const { wall } = gapBetween(watcher, cut);
        assert.ok(wall > 4500, `the network was silent for ${wall} ms`);
      }
      t.diagnostic(`silence of ${gapBetween(watchers[0], cut).wall} ms`);
      assert.equal(await complaints(fileOf(watchers[0])), '');
    },
  );
});
