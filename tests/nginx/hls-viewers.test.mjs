// Viewers of HLS as sessions: one row for all requests of a viewer, whichever workers answer them.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { HlsClient, publish, startHls } from '../lib/hls.mjs';
import { get } from '../lib/hub.mjs';
import { until, untilGone } from '../lib/nginx.mjs';

const DEADLINE = { timeout: 120_000 };
const STREAM = 'live/cam1';

describe('viewers of HLS', () => {
  let hub;
  let source;
  let old;                              // workers that a reload replaces
  let one;
  let two;
  const rows = async () => (await hub.sessions()).filter(({ protocol }) => protocol === 'hls');
  const ids = async () => (await rows()).map(({ id }) => id).sort();

  before(async () => {
    hub = await startHls({
      expectCrash: true, main: 'hub_grace 60s; worker_shutdown_timeout 60s; hub_stream_viewers_max 2;',
    });
    source = await publish(hub, 'cam1');
    [one, two] = ['phone', 'television'].map((agent) => new HlsClient(hub, STREAM, { agent }));
    await one.ready(2);
    old = hub.nginx.workers();
  });

  after(async () => {
    await source?.stop();
    await untilGone(old, 'the replaced workers');
    await hub?.stop();
  });

  test('requests to all workers are one viewer', DEADLINE, async () => {
    for (const { status } of await one.getFromAll('live.m3u8')) assert.equal(status, 200);
    const [row, ...more] = await rows();
    assert.deepEqual(more, []);
    assert.deepEqual([row.kind, row.stream, row.key, row.address, row.late_ms, row.worker],
      ['view', STREAM, 0, '127.0.0.1', 0, 0]);
    assert.ok(row.bytes > 0);
    await two.list();
    assert.equal((await rows()).length, 2);
    const { viewers, viewers_by: by } = await hub.stream(STREAM);
    assert.deepEqual([viewers, by], [2, { flv: 0, ws: 0, rtmp: 0, hls: 2 }]);
    const { text } = await get(`${hub.base}/metrics`);
    assert.match(text, /^duolu_sessions\{kind="view",protocol="hls"\} 2$/m);
    assert.match(text, /^duolu_sessions_admitted_total\{kind="view",protocol="hls"\} 2$/m);
  });

  test('they stay the same viewers over a reload, and when a worker is killed', DEADLINE, async () => {
    const known = await ids();
    const ask = async (when) => {
      for (const client of [one, two]) {
        for (const { status } of await client.getFromAll('live.m3u8')) assert.equal(status, 200, when);
      }
      assert.deepEqual(await ids(), known, when);
      assert.equal((await hub.stream(STREAM)).viewers, 2, when);
    };
    let watching = true;
    const watch = (async () => {           // they go on asking, however long the steps here take
      for (; watching; await setTimeout(500)) {
        for (const client of [one, two]) await client.get('live.m3u8').catch(() => {});
      }
    })();
    try {
      await hub.nginx.reload();
      await ask('after a reload');

      const [victim] = hub.nginx.workers();
      hub.nginx.kill('SIGKILL', victim);
      await until(async () => {
        const now = hub.nginx.workers();
        const listed = (await hub.status()).workers.map(({ pid }) => pid);
        return now.length === 2 && !listed.includes(victim) && now.every((pid) => listed.includes(pid));
      }, 'another worker instead of the killed one');
      await ask('after a SIGKILL');
    } finally {
      watching = false;
      await watch;
    }
  });

  test('they have the limits of all viewers; a kick makes room at once, and the kicked one is refused', DEADLINE,
    async () => {
      const three = new HlsClient(hub, STREAM, { agent: 'tablet' });
      const refused = await three.get('live.m3u8');
      assert.equal(refused.status, 503);
      assert.match(JSON.parse(refused.text).error, /as many viewers as its limit allows/);
      assert.equal((await one.get('live.m3u8')).status, 200, 'of those who are there none is refused');

      const { id } = (await rows()).sort((a, b) => b.age_ms - a.age_ms)[0];
      await hub.control(`kick?id=${id}`);
      assert.equal((await hub.stream(STREAM)).viewers, 1);
      assert.ok(!(await ids()).includes(id));
      assert.equal((await three.get('live.m3u8')).status, 200);
      for (const { status, text } of await one.getFromAll('live.m3u8')) {
        assert.equal(status, 403);
        assert.equal(JSON.parse(text).error, 'kicked by an administrator');
      }
      assert.ok((await hub.status()).zone.refused.kicked >= 2);
      assert.equal((await hub.stream(STREAM)).viewers, 2);
    });

  test('who stays away is gone; one that was kicked may then come again', DEADLINE, async () => {
    await until(async () => (await hub.status()).zone.sessions === 1, 'nobody but the publisher');
    assert.equal((await hub.stream(STREAM)).viewers, 0);
    // a kicked one is in no list, and each request that is refused keeps it out for another 12 s
    let status = 0;
    for (let tries = 0; tries < 4 && status !== 200; tries++) {
      if (tries) await setTimeout(13_000);
      ({ status } = await one.get('live.m3u8'));
    }
    assert.equal(status, 200);
    assert.deepEqual((await rows()).length, 1);
  });
});
