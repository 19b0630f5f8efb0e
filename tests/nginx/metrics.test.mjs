// Metrics: valid by Prometheus's own checker, and of a size that does not depend
// on the number of streams.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HlsClient, publish as publishHls, startHls } from '../lib/hls.mjs';
import { feed, get, startHub } from '../lib/hub.mjs';
import { until } from '../lib/nginx.mjs';
import { interFrame, keyFrame, openPublisher } from '../lib/rtmp.mjs';
import { promtool } from '../lib/promtool.mjs';
import { run } from '../lib/stack.mjs';

const DEADLINE = { timeout: 120_000 };

async function scrape(hub) {
  const { status, headers, text } = await get(`${hub.base}/metrics`);
  assert.equal(status, 200);
  assert.equal(headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
  const values = {};
  for (const line of text.split('\n').filter((l) => l && !l.startsWith('#'))) {
    const [, series, value] = line.match(/^(\S+) (\d+)$/);
    assert.ok(!(series in values), `${series} is there twice`);
    values[series] = Number(value);
  }
  return { text, values };
}

async function publish(hub, name) {
  const client = await openPublisher(`${name}?key=k`, { ...hub.rtmp, chunkSize: 65536 });
  client.sendVideo(0, keyFrame());
  await client.ping();
  return client;
}

/** promtool's complaints about a text, '' if it has none. */
async function verdict(text) {
  const { code, stdout, stderr } = await run(promtool(), ['check', 'metrics'], { input: text, check: false });
  return code === 0 ? '' : `${code}: ${stdout}${stderr}`;
}

test('promtool accepts the metrics, and refuses invalid ones', DEADLINE, async (t) => {
  const hub = await startHub();
  t.after(() => hub.stop());
  await publish(hub, 'demo');
  const { text } = await scrape(hub);
  assert.equal(await verdict(text), '');
  assert.notEqual(await verdict(text.replaceAll('duolu_received_bytes_total', 'duolu_received_bytes_sum')), '');
});

test('metrics count sessions, bytes and refusals', DEADLINE, async (t) => {
  const hub = await startHub({ answer: ({ NAME }) => ({ allow: NAME !== 'no', reason: 'wrong key' }) });
  t.after(() => hub.stop());
  const publisher = await publish(hub, 'demo');
  const media = feed(publisher, { key: keyFrame(2000), inter: interFrame(2000), from: 40 });
  const viewers = [await hub.view('live/demo'), await hub.view('live/demo')];
  for (const viewer of viewers) await viewer.more(20);
  await assert.rejects(openPublisher('no?key=x', hub.rtmp), /wrong key/);
  await get(hub.url('live/demo', 'no.such.token'));
  media.stop();
  await publisher.ping();

  const { values } = await scrape(hub);
  assert.equal(values['duolu_streams{state="live"}'], 1);
  assert.equal(values['duolu_streams{state="grace"}'], 0);
  assert.equal(values['duolu_sessions{kind="publish",protocol="rtmp"}'], 1);
  assert.equal(values['duolu_sessions{kind="view",protocol="flv"}'], 2);
  assert.equal(values['duolu_sessions_admitted_total{kind="view",protocol="flv"}'], 2);
  assert.equal(values['duolu_refused_total{reason="denied"}'], 1);
  assert.equal(values['duolu_refused_total{reason="token"}'], 1);
  assert.equal(values.duolu_workers, 2);
  assert.ok(values.duolu_received_bytes_total >= 20 * 2000);
  assert.ok(values.duolu_sent_bytes_total > 1.5 * values.duolu_received_bytes_total);
  assert.ok(values.duolu_window_bytes > 20 * 2000);
  assert.ok(values.duolu_zone_free_bytes < values.duolu_zone_size_bytes);
  assert.equal(values.duolu_zone_size_bytes, 64 * 1024 * 1024);

  // counters keep the counts of clients that left, and of a dead worker
  for (const viewer of viewers) viewer.close();
  await until(async () => (await hub.stream('live/demo')).viewers === 0, 'viewers to be gone');
  const left = (await scrape(hub)).values;
  assert.ok(left.duolu_sent_bytes_total >= values.duolu_sent_bytes_total);
  assert.equal(left['duolu_sessions{kind="view",protocol="flv"}'], 0);
  assert.equal(left['duolu_sessions_admitted_total{kind="view",protocol="flv"}'], 2);
});

test('counters never go back, also when workers are killed', DEADLINE, async (t) => {
  const hub = await startHub({ expectCrash: true });
  t.after(() => hub.stop());
  const publisher = await publish(hub, 'demo');
  const media = feed(publisher, { key: keyFrame(2000), inter: interFrame(2000), from: 40 });
  const viewers = await Promise.all(Array.from({ length: 20 }, () => hub.view('live/demo')));
  for (const viewer of viewers) await viewer.more(5);
  media.stop();
  const before = (await scrape(hub)).values;
  const victims = hub.nginx.workers();
  for (const pid of victims) process.kill(pid, 'SIGKILL');
  await until(
    () => hub.nginx.workers().length === 2 && hub.nginx.workers().every((pid) => !victims.includes(pid)),
    'new workers',
  );
  await until(async () => (await hub.status()).zone.sessions === 0, 'their sessions to be forgotten');
  const after = (await scrape(hub)).values;
  for (const series of Object.keys(before).filter((name) => /_total/.test(name))) {
    assert.ok(after[series] >= before[series], `${series}: ${before[series]}, then ${after[series]}`);
  }
  assert.equal(after['duolu_streams{state="grace"}'], 1);
});

test('the number of series does not grow with streams', DEADLINE, async (t) => {
  const hub = await startHub();
  t.after(() => hub.stop());
  const series = async () => Object.keys((await scrape(hub)).values);
  const without = await series();
  await Promise.all(Array.from({ length: 30 }, (_, n) => publish(hub, `cam${n}`)));
  const { text, values } = await scrape(hub);
  assert.equal(values['duolu_streams{state="live"}'], 30);
  assert.deepEqual(Object.keys(values), without);
  assert.doesNotMatch(text, /cam\d/);
});

const hls = ({ values }) => ['streams', 'bytes', 'parts_total', 'frames_total']
  .map((name) => values[`duolu_hls_${name}`]);

test('HLS costs nothing while nobody watches it, also after somebody did', DEADLINE, async (t) => {
  const hub = await startHls();
  t.after(() => hub.stop());
  await publishHls(hub, 'demo');
  const viewer = await hub.view('live/demo');
  await viewer.more(50);
  assert.deepEqual(hls(await scrape(hub)), [0, 0, 0, 0]);

  const client = new HlsClient(hub, 'live/demo');
  const { parts } = await client.ready();
  const [streams, listed, made] = hls(await scrape(hub));
  assert.ok(streams >= 1 && streams <= 2, `${streams} streams of 2 workers`);
  assert.ok(listed < 100_000 && made === 0, `${listed} bytes and ${made} parts for lists alone`);

  const { body } = await client.get(parts[0].uri);
  const [, bytes, one, frames] = hls(await scrape(hub));
  assert.ok(bytes >= body.length && one === 1 && frames > 10, `${bytes} bytes, ${one} parts of ${frames} frames`);

  await until(async () => {
    const [left, held] = hls(await scrape(hub));
    return left === 0 && held === 0;
  }, 'both workers to forget the stream');
  assert.deepEqual(hls(await scrape(hub)), [0, 0, one, frames]);
  viewer.close();
});
