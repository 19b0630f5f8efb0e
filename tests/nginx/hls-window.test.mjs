// Segments of live HLS in the recording: what the index says of them is what the live playlist says.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { HlsSource, LowLatencyClient, PlainClient } from '../lib/hls-client.mjs';
import { HlsClient, publish, startHls } from '../lib/hls.mjs';
import { newFolder } from '../lib/history.mjs';
import { readMp4 } from '../lib/mp4.mjs';
import { until } from '../lib/nginx.mjs';
import { Recordings, wellFormed } from '../lib/recording.mjs';
import { interFrame, keyFrame } from '../lib/rtmp.mjs';

const DEADLINE = { timeout: 120_000 };
const SOUND_APART = 12;                 // ms: the pace of sound may begin anew, SOUND_DRIFT

/** Follows the list of CLIENT until DONE, and keeps each segment that it names, with its bytes. */
async function follow(client, done, kept = new Map()) {
  for (;;) {
    const list = await client.list();
    for (const [i, segment] of list.segments.entries()) {
      const number = list.sequence + i;
      if (kept.has(number)) continue;
      const { status, body } = await client.get(segment.uri);
      assert.equal(status, 200, segment.uri);
      kept.set(number, { ...segment, init: (await client.get(segment.map.uri)).body, body });
    }
    if (done(kept, list)) return kept;
    await client.list(`?_HLS_msn=${list.end}`);
  }
}

/** The frames of a file, or of a segment behind its init: {kind, dts (ms), cts, data}. */
const framesOf = (bytes, movie, fragments = movie.fragments) => fragments.flatMap((fragment) =>
  movie.tracks.flatMap(({ id, kind, timescale }) => (fragment.tracks[id]?.samples ?? []).map((sample) => ({
    kind, dts: sample.dts * 1000 / timescale, cts: sample.cts * 1000 / timescale, key: sample.key,
    data: bytes.subarray(sample.offset, sample.offset + sample.size).toString('latin1'),
  }))));

const byKind = (frames, kind) => frames.filter((frame) => frame.kind === kind);

/** The recorded LIVE of R has the frames and times that the live segment had. */
function sameAs(segment, live, r) {
  const what = `segment ${live.number}`;
  assert.equal(live.ms, Math.round(segment.duration * 1000), `${what}: EXTINF`);
  assert.equal(live.utc, segment.utc, `${what}: EXT-X-PROGRAM-DATE-TIME`);
  assert.equal(Boolean(live.anew), Boolean(segment.discontinuity), `${what}: EXT-X-DISCONTINUITY`);
  assert.match(segment.uri, new RegExp(`^${live.stream.toString(16)}-${live.number}\\.m4s$`));
  assert.match(segment.map.uri, new RegExp(`-init-${live.headers}\\.mp4$`));
  const whole = Buffer.concat([segment.init, segment.body]);
  const sent = framesOf(whole, readMp4(whole));
  const within = ({ offset }) => offset >= live.offset && offset < live.offset + live.size;
  const kept = framesOf(r.bytes, r.movie, r.movie.fragments.filter(within));
  for (const [kind, apart] of [['video', 0.5], ['audio', 2 * SOUND_APART]]) {
    const [was, is] = [byKind(sent, kind), byKind(kept, kind)];
    assert.equal(is.length, was.length, `${what}: frames of ${kind}`);
    was.forEach(({ dts, cts, data, key }, i) => {
      assert.ok(is[i].data === data && is[i].key === key, `${what}: ${kind} ${i}`);
      assert.ok(Math.abs(is[i].dts + live.shift - dts) <= apart && Math.abs(is[i].cts - cts) < 0.5,
        `${what}: ${kind} ${i} is at ${is[i].dts} + ${live.shift}, was at ${dts}`);
    });
  }
}

/** All closed files of STREAM, well formed; and their live segments as [live, file]. */
async function recorded(hub, root, stream) {
  const recordings = new Recordings(root);
  await until(async () => !await hub.stream(stream), `the end of ${stream}`);
  await until(() => {
    const events = recordings.spool(stream);
    return events.length > 0 && 2 * events.filter(({ event }) => event === 'close').length === events.length;
  }, `the end of the recording of ${stream}`);
  const files = await recordings.closed(stream);
  files.forEach((r) => wellFormed(r));
  return files.flatMap((r) => r.playlist.lives.map((live) => [live, r]));
}

const consecutive = (lives) => lives.every(([{ number }], i) => i === 0 || number === lives[i - 1][0].number + 1);

describe('segments of HLS in the recording', { concurrency: 4 }, () => {
  const root = newFolder();
  let hub;

  before(async () => {
    hub = await startHls({
      main: `hub_grace 1s; thread_pool disk threads=2; dvr ${root}; dvr_threads disk; dvr_file 4s;`,
      answer: () => ({ allow: true, stream: 1, record: true }),
    });
  });

  after(async () => {
    await hub.stop();
    fs.rmSync(root, { recursive: true });
  });

  /** Publishes NAME until COUNT segments were listed; returns what was listed, and recorded. */
  async function record(name, { count = 8, media } = {}) {
    const source = await publish(hub, name, media);
    const client = new HlsClient(hub, `live/${name}`);
    await client.ready(2);
    const kept = await follow(client, ({ size }) => size >= count);
    await source.stop();
    await follow(client, (_, list) => list.ended, kept);
    return { kept, lives: await recorded(hub, root, `live/${name}`) };
  }

  function check({ kept, lives }, least) {
    const both = lives.filter(([{ number }]) => kept.has(number));
    assert.ok(both.length >= least, `${both.length} of ${kept.size} listed segments are recorded: `
      + lives.map(([{ number }]) => number).join(' '));
    both.forEach(([live, r]) => sameAs(kept.get(live.number), live, r));
    assert.equal(lives.at(-1)[0].number, Math.max(...kept.keys()), 'the stream\'s last segment');
  }

  test('each segment is in it, with its number, times and frames, over several files', DEADLINE, async () => {
    const result = await record('plain');
    check(result, 6);
    assert.ok(consecutive(result.lives), 'no segment is missing');
    assert.ok(new Set(result.lives.map(([, r]) => r.file)).size > 1, 'more than one file');
  });

  test('a long GOP is cut into segments, whose fragments end there', DEADLINE, async () => {
    const media = { key: keyFrame(4000), inter: interFrame(800), every: 40, gop: 100 };
    const result = await record('long', { media });
    check(result, 4);
    const indexed = result.lives[0][1].playlist;
    assert.ok(indexed.lives.length > indexed.segments.length, 'the index itself has segments of whole GOPs');
  });
});

describe('a window that reaches back into the recording', { concurrency: 4 }, () => {
  const root = newFolder();
  let hub;

  before(async () => {
    hub = await startHls({
      main: `hub_grace 20s; hls_window 4s; thread_pool disk threads=2; dvr ${root}; dvr_threads disk; dvr_file 5s;`,
      hls: `hls_history ${root}; hls_history_threads disk; aio threads=disk;`,
      workers: 2,
      answer: () => ({ allow: true, stream: 1, record: true }),
    });
  });

  after(async () => {
    await hub.stop();
    fs.rmSync(root, { recursive: true });
  });

  const watching = (name) => new HlsClient(hub, `live/${name}`, { over: { a: 'watch' } });

  /** Publishes NAME until its window begins MORE segments before the hub's list: {client, list, short}. */
  async function reaching(name, more = 8) {
    const source = await publish(hub, name);
    const client = watching(name);
    await client.ready(2);
    let list;
    let short;
    await until(async () => {
      [short, list] = [await client.list(), await client.list('?window=60')];
      return list.sequence + more <= short.sequence;
    }, `${more} recorded segments of ${name}`);
    return { source, client, list, short };
  }

  test('one list without a seam, for a plain player and for low latency', DEADLINE, async () => {
    const { source, client, list, short } = await reaching('seam');
    assert.ok(list.sequence <= short.sequence - 8, `from ${list.sequence} to ${short.sequence}`);
    for (const Client of [PlainClient, LowLatencyClient]) {
      const from = new HlsSource(client.url('index.m3u8?window=60'));
      const player = new Client(from).start();
      const live = () => Client === PlainClient || player.deltas > 5;
      await player.until(() => player.next > list.end + 5 && live(), 'segments up to the present ones');
      await player.stop();
      assert.equal(from.report.text, '', Client.name);
      assert.equal(player.missed, 0, 'segments that were gone');
      assert.ok(player.pictures.length >= 25 * (list.segments.length + 4), `${player.pictures.length} pictures`);
      // a date may move by up to 100 ms; a segment that is missing would be a second
      assert.ok(player.holes.every((ms) => Math.abs(ms) <= 100), `${player.holes}`);
    }
    await source.stop();
  });

  test('begins within the window, and only moves forward', DEADLINE, async () => {
    const { source, client } = await reaching('short', 8);
    let last = 0;
    for (let i = 0; i < 10; i++) {
      const list = await client.list(`?window=9${i ? `&_HLS_msn=${last}` : ''}`);
      const starts = list.segments.slice(0, -1).reduce((n, { duration }) => n + duration, 0);
      assert.ok(starts < 9 && starts + list.segments[0].duration >= 8, `the list begins ${starts} s before its last`);
      assert.ok(list.end >= last, 'it only grows');
      last = list.end;
    }
    await source.stop();
  });

  test('all workers have the same list', DEADLINE, async () => {
    const { source, client } = await reaching('same', 4);
    for (const query of ['?window=60', '?window=7', '?window=60&_HLS_skip=YES']) {
      let answers;
      await until(async () => {
        answers = await client.getFromAll(`live.m3u8${query}`);
        return new Set(answers.map(({ headers }) => headers.etag)).size === 1;
      }, `the same list for ${query}`);
      assert.equal(answers.length, 2);
      assert.ok(answers.every(({ status, text }) => status === 200 && text === answers[0].text));
    }
    await source.stop();
  });

  test('recorded media have their own ETag, ranges, and other conditions', DEADLINE, async () => {
    const { source, client, list } = await reaching('media');
    for (const uri of [list.segments[0].uri, list.segments[0].map.uri]) {
      const whole = await client.get(uri);
      const recorded = uri.endsWith('.m4s');
      assert.equal(whole.status, 200);
      assert.equal(whole.headers.etag, `"${uri}${recorded ? '-r' : ''}"`);
      assert.equal(whole.headers['cache-control'], 'max-age=3600, immutable');
      assert.equal(whole.headers['content-type'], 'video/mp4');
      assert.equal(whole.headers['access-control-allow-origin'], '*');
      const part = await client.get(uri, { headers: { range: 'bytes=100-299' } });
      assert.deepEqual([part.status, part.body], [206, whole.body.subarray(100, 300)]);
      const same = await client.get(uri, { headers: { 'if-none-match': whole.headers.etag } });
      assert.equal(same.status, 304);
      const head = await client.get(uri, { method: 'HEAD' });
      assert.deepEqual([head.status, head.headers['content-length'], head.body.length],
        [200, String(whole.body.length), 0]);
    }
    await source.stop();
  });

  test('needs a token to watch; and a number of seconds', DEADLINE, async () => {
    const { source, client, list } = await reaching('rights');
    const viewer = new HlsClient(hub, 'live/rights');
    const short = await viewer.list('?window=60');
    assert.ok(short.sequence >= list.sequence + 8, 'a viewer gets the list of the hub');
    assert.equal((await viewer.get(list.segments[0].uri)).status, 404);
    assert.equal((await client.get(list.segments[0].uri)).status, 200);
    for (const value of ['0', '-1', 'x', '1e3', '', '86401', '99999999999999999999']) {
      for (const file of ['live', 'index']) {
        const { status, text } = await client.get(`${file}.m3u8?window=${value}`);
        assert.equal(status, 400, `${file}: ${value}`);
        assert.match(text, /window is .*expected a number of seconds, 1 to 86400/);
      }
    }
    await source.stop();
  });

  test('what was listed can be read when the stream is over', DEADLINE, async () => {
    const { source, client, list } = await reaching('over', 4);
    await source.stop();
    await until(async () => !await hub.stream('live/over'), 'the end');
    const { uri, map } = list.segments[1];
    await until(async () => {              // the hub has it for some seconds more
      const { status, headers } = await client.get(uri);
      assert.equal(status, 200);
      return headers.etag === `"${uri}-r"`;
    }, 'the recorded segment');
    assert.equal((await client.get(map.uri)).status, 200);
    assert.equal((await client.get(uri.replace('-', 'f-'))).status, 404, 'of another stream');
    assert.equal((await client.get(uri.replace(/-\d+/, '-7'))).status, 404);
  });
});
