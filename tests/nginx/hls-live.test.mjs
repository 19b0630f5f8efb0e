// HLS while it is live: clients that block and clients that know no parts follow publishers of all kinds, in several
// workers, and the validator judges all they get. ffmpeg, GStreamer and VLC play.
//
// DUOLU_HLS_SECONDS makes it longer.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeClip, makeHevcClip, plan, replay } from '../lib/clips.mjs';
import { HlsSource, LowLatencyClient, PlainClient, hashOf } from '../lib/hls-client.mjs';
import { countPictures } from '../lib/history.mjs';
import { startHub, token } from '../lib/hub.mjs';
import { lagSince } from '../lib/lag.mjs';
import { makeFilm, pushFfmpeg, start } from '../lib/media.mjs';
import { until } from '../lib/nginx.mjs';
import { openStream } from '../lib/rtmp.mjs';
import { run } from '../lib/stack.mjs';
import { untilWatchable } from '../lib/watch.mjs';

const SECONDS = Number(process.env.DUOLU_HLS_SECONDS ?? 24);
const DEADLINE = { timeout: 180_000 + 4000 * SECONDS };
const FLUSH = 20;                       // ms: the default of hub_flush
const VIDEO = 9;

const KINDS = {
  'H.264 with B-frames, a GOP of 1 s, sound': { fps: 30, gop: 30, bframes: 3 },
  'a GOP of 2 s': { fps: 30, gop: 60, bframes: 2 },
  'a GOP of 5 s, without sound': { fps: 30, gop: 150, rate: null },
  '15 pictures a second': { fps: 15, gop: 30, rate: 48000 },
  '8 pictures a second, without sound': { fps: 8, gop: 16, rate: null },
  '2 pictures a second, without sound: no parts': { fps: 2, gop: 4, rate: null, whole: true },
  'H.265 with B-frames': { hevc: true },
  'sound alone': { size: null },
};

let hub;
before(async () => {
  hub = await startHub({ workers: 3, main: 'hub_grace 8s; hls_window 16s;', flv: 'hls on;' });
});
after(() => hub.stop());

const open = (name) => new HlsSource(`${hub.base}/m/${token(`live/${name}`)}/live/${name}/index.m3u8`);

/** Publishes a plan, as the owner of the stream; `sent` gets each frame when it is sent. */
async function publish(t, name, steps, sent) {
  const client = await openStream(hub.rtmp);
  t.after(() => client.close());
  client.setChunkSize(4096);
  client.sendMeta();
  await client.publish(`${name}?key=mine`);
  const source = replay(client, steps, sent);
  source.done.catch(() => {});
  return { client, done: source.done };
}

/** Two clients of a stream: {parts, plain, source}. */
async function follow(t, name) {
  await untilWatchable(hub, `live/${name}`);
  const source = open(name);
  const clients = { parts: new LowLatencyClient(source).start(), plain: new PlainClient(source).start() };
  t.after(() => Promise.all(Object.values(clients).map((client) => client.stop().catch(() => {}))));
  return { source, ...clients };
}

/** The hash of a picture, or of a frame of sound, as it is in a segment. */
const hashOfTag = ({ type, body }) => hashOf(body.subarray(type !== VIDEO ? 2 : body[0] & 0x80 ? 8 : 5));

/** What a clip sent, in words that a client's pictures can be compared with. */
function hashesOf(steps) {
  const frames = steps.filter(({ tag }) => !tag.config);
  const kind = frames.some(({ tag }) => tag.type === VIDEO) ? VIDEO : 8;
  return frames.filter(({ tag }) => tag.type === kind).map(({ tag }) => hashOfTag(tag));
}

/** A client got what was sent from some picture on, and all of it but the last `left`. */
function gotAll(client, sent, left) {
  const from = sent.indexOf(client.pictures[0]);
  assert.ok(from >= 0, 'the first picture was sent');
  const got = client.pictures;
  const wrong = got.findIndex((hash, i) => hash !== sent[from + i]);
  assert.equal(wrong, -1, `picture ${wrong} of ${got.length} is not number ${from + wrong} of those sent`);
  assert.ok(from + got.length >= sent.length - left, `${got.length} from ${from} on, ${sent.length} were sent`);
}

/** Both clients have read the list's end, and the validator has no complaint. */
async function ended(t, { source, parts, plain }) {
  for (const client of [parts, plain]) {
    await client.until(() => client.list?.ended, 'the end of the list');
    await client.done;
    client.check();
  }
  t.diagnostic(`${parts.lists} lists, ${parts.deltas} delta updates, ${parts.arrivals.length} hinted parts, `
    + `${parts.pictures.length} pictures; plain: ${plain.lists} lists, ${plain.pictures.length} pictures`);
  assert.equal(source.report.text, '');
  assert.deepEqual([parts.missed, plain.missed], [0, 0], 'parts or segments that were gone');
}

describe('a live stream', { concurrency: 8 }, () => {
  for (const [i, [kind, options]] of Object.entries(KINDS).entries()) {
    test(`of ${kind}: lists, parts and segments follow RFC 8216bis`, DEADLINE, async (t) => {
      const name = `kind-${i}`;
      const clip = await (options.hevc ? makeHevcClip : makeClip)({ seconds: SECONDS, ...options });
      const steps = plan(clip);
      const publisher = await publish(t, name, steps);
      const clients = await follow(t, name);
      await publisher.done;
      await clients.parts.finish();
      await publisher.client.ping();
      await publisher.client.close();
      await ended(t, clients);
      for (const client of [clients.parts, clients.plain]) gotAll(client, hashesOf(steps), 3 * (options.fps ?? 25));
      assert.equal(clients.parts.list.partTarget === undefined, options.whole ?? false, 'EXT-X-PART-INF');
      // a client on a busy machine reads fewer lists, but nearly each of them names a part that it can wait for
      assert.ok(options.whole || clients.parts.arrivals.length > clients.parts.lists / 2, 'parts came by their hints');
      assert.ok(clients.parts.deltas > 0 || SECONDS < 20, 'delta updates came');
      assert.ok(clients.plain.old > 0 || SECONDS < 20 || options.whole,
        'parts and segments that are no longer listed were there');
      assert.equal(clients.parts.breaks, 0);
      assert.ok(clients.parts.holes.every((ms) => Math.abs(ms) <= 100 + lagSince(0)), `${clients.parts.holes}`);
    });
  }

  test('whose pictures, without sound, become too slow for parts, and quick again', DEADLINE, async (t) => {
    const clip = await makeClip({ seconds: SECONDS, fps: 30, gop: 30, rate: null });
    const slow = ({ dts, key }) => key || dts < 250 * SECONDS || dts > 750 * SECONDS;
    const publisher = await publish(t, 'slow', plan(clip, { keep: slow }));
    await untilWatchable(hub, 'live/slow');
    const source = open('slow');
    const client = new PlainClient(source).start();
    t.after(() => client.stop().catch(() => {}));
    const parted = [];                  // whether the lists named parts, each change once
    await client.until(() => {
      const has = client.list && client.list.hints.length > 0;
      if (client.list && !client.list.ended && parted.at(-1) !== has) parted.push(has);
      return client.list?.ended || parted.length === 3;
    }, 'lists with parts, without them, and with them again', 1000 * SECONDS + 60_000);
    assert.deepEqual(parted, [true, false, true]);
    await publisher.done;
    await publisher.client.ping();
    await publisher.client.close();
    await client.until(() => client.list?.ended, 'the end of the list');
    client.check();
    // one start stays behind its picture at first: its segment seems to be shorter, and a later one longer
    assert.deepEqual(source.report.problems.filter(({ rule }) => rule !== 'duration-true'), []);
    assert.equal(client.missed, 0);
  });

  test('whose publisher is away for 3 s, is taken over in another size, with a reload between', DEADLINE, async (t) => {
    const [small, large] = await Promise.all(
      [{ bframes: 2 }, { size: '640x360' }].map((more) => makeClip({ seconds: SECONDS, ...more })));
    const third = 1000 * Math.round(SECONDS / 3);        // a publisher begins with a key frame
    const first = await publish(t, 'turns', plan(small, { to: third }));
    const clients = await follow(t, 'turns');
    await first.done;
    first.client.socket.destroy();
    await until(async () => (await hub.stream('live/turns')).state === 'grace', 'grace');
    await sleep(3000);

    const second = await publish(t, 'turns', plan(small, { from: third + 3000, to: 2 * third + 3000 }));
    await sleep(2000);
    await hub.nginx.reload();
    await second.done;
    const last = await publish(t, 'turns', plan(large, { to: third }));
    await last.done;
    await last.client.ping();
    await last.client.close();
    await ended(t, clients);
    const { breaks, holes } = clients.parts;
    assert.equal(breaks, 1, 'EXT-X-DISCONTINUITY where the size changes, and there alone');
    assert.equal(clients.source.inits.size, 2);
    const away = holes.filter((ms) => ms > 1000);
    assert.ok(away.length >= 1 && away[0] > 2000, `the dates tell that it was away: ${holes}`);
  });
});

// ---- other players ----------------------------------------------------------

const asNobody = process.getuid() === 0
  ? ['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups', 'env'] : ['env'];

const PLAYERS = {
  ffmpeg: (url, file) => ['ffmpeg', '-nostdin', '-v', 'error', '-i', url, '-c', 'copy', '-f', 'mpegts', `${file}.ts`],
  hlsdemux: (url, file) => ['gst-launch-1.0', '-q', 'souphttpsrc', `location=${url}`, '!', 'hlsdemux', '!', 'qtdemux',
    'name=d', 'd.video_0', '!', 'queue', '!', 'h264parse', '!', 'mpegtsmux', '!', 'filesink', `location=${file}.ts`],
  VLC: (url, file) => [...asNobody, `HOME=${path.dirname(file)}`, 'vlc', '-I', 'dummy', '-q', '--play-and-exit', url,
    '--sout', `#std{access=file,mux=ts,dst=${file}.ts}`],
};

describe('players', () => {
  let dir;
  let film;
  before(async () => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'duolu-hls-'));
    fs.chmodSync(dir, 0o777);
    film = await makeFilm({ rate: 30, gop: 60, bframes: 2 });
  });
  after(() => fs.rmSync(dir, { recursive: true, force: true }));

  test('ffmpeg, GStreamer and VLC play without a complaint, and lose no picture', DEADLINE, async (t) => {
    const publisher = pushFfmpeg(`rtmp://127.0.0.1:${hub.rtmp.port}/live/film?key=mine`, { film });
    await untilWatchable(hub, 'live/film');
    const { url } = open('film');
    const began = performance.now();
    const players = Object.entries(PLAYERS).map(([name, command]) => {
      const file = path.join(dir, name);
      const [program, ...args] = command(url, file);
      return { name, file: `${file}.ts`, process: start(program, args) };
    });
    await until(() => performance.now() - began > SECONDS * 1000
      || players.some(({ process: { code } }) => code !== undefined), 'time to pass', SECONDS * 1000 + 60_000);
    for (const { name, process: { code, text } } of players) assert.equal(code, undefined, `${name} ended: ${text}`);
    const watched = (performance.now() - began) / 1000;
    await publisher.stop();
    for (const { name, file, process: player } of players) {
      await until(() => player.code !== undefined, `${name} to see the end of the list`, 60_000);
      assert.deepEqual([player.code, player.text], [0, ''], name);
      const pictures = await countPictures(file, { silent: false });
      t.diagnostic(`${name}: ${pictures} pictures in ${watched.toFixed(1)} s`);
      const { stdout } = await run('ffprobe', ['-v', 'error', '-select_streams', 'v', '-of', 'csv=p=0',
        '-show_entries', 'packet=dts_time', file]);
      const times = stdout.trim().split(/[\s,]+/).map(Number);
      times.slice(1).forEach((time, i) => assert.ok(Math.abs(time - times[i] - 1 / 30) < 0.002,
        `${name}: picture ${i + 1} comes ${time - times[i]} s after the one before`));
      assert.ok(pictures > (watched - 8) * 30, `${name}: ${pictures} pictures`);
    }
  });
});

// ---- latency ----------------------------------------------------------------

test('latency: a part is there when its last picture has come', DEADLINE, async (t) => {
  const seconds = SECONDS / 2;
  const clip = await makeClip({ seconds, fps: 30, gop: 60 });
  const sentAt = new Map();
  const began = performance.now();
  const publisher = await publish(t, 'quick', plan(clip), ({ tag }) => {
    if (tag.type === VIDEO && !tag.config) sentAt.set(hashOfTag(tag), performance.now());
  });
  const { parts, plain, source } = await follow(t, 'quick');
  await publisher.done;
  await publisher.client.close();
  for (const client of [parts, plain]) await client.stop();
  // from the first picture of the part: at most the part's length, hub_flush and 10 ms
  const over = parts.arrivals.slice(1)
    .map(({ part, at, pictures }) => at - sentAt.get(pictures[0]) - part.duration * 1000)
    .sort((a, b) => a - b);
  const at = (share) => Math.round(over[Math.min(over.length - 1, Math.floor(over.length * share))]);
  t.diagnostic(`${over.length} parts were there ${at(0.5)} ms after their last picture (median), p99 ${at(0.99)} ms, `
    + `at most ${at(1)} ms; this process was late by up to ${Math.round(lagSince(began))} ms`);
  assert.equal(source.report.text, '');
  assert.ok(over.length > seconds, `${over.length} parts`);
  assert.ok(at(0.5) <= FLUSH + 10 + 1000 / 30 + lagSince(began), `median ${at(0.5)} ms`);
});
