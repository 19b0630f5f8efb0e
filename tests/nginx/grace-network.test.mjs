// A phone that changes networks: its old connection is half open, since no
// packet gets through that would close it; a new one takes the stream over.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { makeClip, plan, replay } from '../lib/clips.mjs';
import { startHub } from '../lib/hub.mjs';
import { pushFfmpeg } from '../lib/media.mjs';
import { inOwnNetwork, phone } from '../lib/netns.mjs';
import { until } from '../lib/nginx.mjs';
import { openStream } from '../lib/rtmp.mjs';
import { failures, more, soundOver, untilWatchable, watchEverywhere } from '../lib/watch.mjs';

const DEADLINE = { timeout: 120_000 };

/** Does some process hold an established connection to `address`? */
function heldConnection(address) {
  const hex = address.split('.').reverse().map((part) => Number(part).toString(16).padStart(2, '0')).join('').toUpperCase();
  return fs.readFileSync('/proc/net/tcp', 'utf8').split('\n').map((line) => line.trim().split(/\s+/))
    .some(([, , remote, state, , , , , , inode]) => remote?.startsWith(`${hex}:`) && state === '01' && inode !== '0');
}

inOwnNetwork(import.meta.url, () => {
  test('a phone that changes networks takes over at once, and its old connection ends by itself', DEADLINE, async (t) => {
    const clip = await makeClip();
    const device = await phone();
    t.after(() => device.remove());
    const hub = await startHub({ main: 'hub_grace 30s;', ingest: 'hub_play on; ingest_timeout 20s;', server: `listen ${device.address}:{{port:rtmp}};` });
    t.after(() => hub.stop());
    const old = pushFfmpeg(`rtmp://${device.address}:${hub.rtmp.port}/live/moving?key=mine`, { inside: device.inside });
    t.after(() => old.child.kill('SIGKILL'));
    await untilWatchable(hub, 'live/moving');
    const watchers = await watchEverywhere(hub, 'live/moving');
    await Promise.all(watchers.map((w) => more(w, 40)));
    const first = (await hub.sessions()).find((s) => s.kind === 'publish');

    const since = performance.now();
    assert.ok(heldConnection(device.farAddress));
    device.cut();
    await new Promise((resolve) => { setTimeout(resolve, 1200); });
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
    t.diagnostic(`taken over in ${taken.toFixed(0)} ms; old session gone ${(performance.now() - asked).toFixed(0)} ms after`);
    assert.match(hub.nginx.log(), /publish live\/moving ended: replaced by a newer connection with the same key/);
    await until(() => !heldConnection(device.farAddress), 'nginx to close what the phone cannot close');
    assert.deepEqual(failures(watchers), []);
    source.stop();
    await client.close();
    watchers.forEach((w) => w.close());
    await soundOver(t, watchers, [since]);
  });
});
