// Many phones with wrong keys, against the real service and database, while a viewer
// watches a live stream.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Viewer } from '../lib/hub.mjs';
import { pushFfmpeg, untilLive } from '../lib/media.mjs';
import { RtmpClient } from '../lib/rtmp.mjs';
import { startStack } from '../lib/stack.mjs';

const ATTEMPTS = 500;
const ADDRESSES = 10;                  // rtmp_guard_conn_per_ip is 64

test('500 publish attempts at once do not block a live stream', { timeout: 300_000 }, async (t) => {
  const stack = await startStack({ workers: 2 });
  t.after(() => stack.stop());
  const publisher = pushFfmpeg(`${stack.rtmpUrl}/live/demo?key=${stack.demoKey}`);
  t.after(() => publisher.stop());
  await untilLive(stack, 'live/demo', publisher);

  const viewer = await Viewer.open(await stack.ctl('url', 'admin', 'live/demo', 'view'));
  t.after(() => viewer.close());
  await viewer.more(25);

  let last = performance.now();
  let gap = 0;
  viewer.response.on('data', () => {
    const now = performance.now();
    gap = Math.max(gap, now - last);
    last = now;
  });
  const calm = (await viewer.more(50), gap);
  gap = 0;

  const began = performance.now();
  const reasons = await Promise.all(Array.from({ length: ATTEMPTS }, async (_, i) => {
    const client = await RtmpClient.open({ port: stack.rtmp, localAddress: `127.0.0.${i % ADDRESSES + 1}` });
    await client.connect();
    await client.createStream();
    const reason = await client.publish(`demo?key=wrong${i}`).then(() => 'allowed', (error) => error.message);
    await client.close();
    return reason;
  }));
  const seconds = (performance.now() - began) / 1000;
  // on a busy machine some run into time-outs of this process or nginx: that is a refusal, too
  const refused = /wrong key|did not answer in time|connected without publish/;
  assert.deepEqual([...new Set(reasons.map((reason) => refused.test(reason) || reason))], [true]);
  assert.ok(reasons.some((reason) => /wrong key/.test(reason)));
  await viewer.more(25);

  const dts = viewer.flv.video().map((tag) => tag.dts);
  const steps = dts.slice(1).map((ms, i) => ms - dts[i]);
  assert.ok(steps.every((step) => step > 0 && step <= 80), `a frame is missing: ${steps.filter((s) => s > 80)}`);
  t.diagnostic(`${ATTEMPTS} attempts refused in ${seconds.toFixed(1)} s; largest gap between arrivals `
    + `${gap.toFixed(0)} ms, ${calm.toFixed(0)} ms before (one frame is 40 ms)`);
});
