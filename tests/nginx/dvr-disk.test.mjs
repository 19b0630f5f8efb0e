// Disks that are slow, blocked or full: the recording has gaps and the log says
// so, but the live stream and the worker's memory do not suffer.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { holdDisk, noHeldDisk, noSmallDisk, smallDisk } from '../lib/disks.mjs';
import { get, startHub } from '../lib/hub.mjs';
import { privateKb, until } from '../lib/nginx.mjs';
import { Recordings, Source, capture, framesOf, namesOf, plays, waitsOf, wellFormed } from '../lib/recording.mjs';

const DEADLINE = { timeout: 180_000 };
const SMALL_DISK = { ...DEADLINE, skip: noSmallDisk };
const HELD_DISK = { ...DEADLINE, skip: noHeldDisk() };
const STREAMS = 3;
const FRAME = 40_000;                  // at 25 of them in a second: 8 Mbps
const KB_PER_STREAM = 2048;            // allowed for a stream beyond its window
const SANITIZED = process.env.DUOLU_SANITIZE === '1';
const LONG = 400;                      // ms that a viewer hardly ever waits for a frame, even on a busy machine

const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
const answer = () => ({ allow: true, uid: 7, stream: 3, record: false });

async function startRecording(t, { root = '{{dir}}/rec', grace = '1s', main = '', allow } = {}) {
  const hub = await startHub({ answer, workers: 1, zone: '96m', flv: 'hub_lag 20s;',
    main: `thread_pool dvr threads=4; dvr_threads dvr; dvr ${root}; hub_grace ${grace}; ${main}` });
  t.after(() => hub.stop({ allow }));
  hub.recordings = new Recordings(root.replace('{{dir}}', hub.nginx.dir));
  hub.recording = async (name) => (await hub.stream(name)).recording;
  hub.state = (name, state) =>
    until(async () => (await hub.recording(name)).state === state, `${name} to be "${state}"`, 60_000);
  hub.metric = async (name) =>
    Number(
      new RegExp(`^${name.replace(/[{}]/g, '\\$&')} (\\d+)$`, 'm').exec((await get(`${hub.base}/metrics`)).text)?.[1],
    );
  [hub.worker] = hub.nginx.workers();
  return hub;
}

/** Live streams, each with a viewer that reads all of it. */
async function publish(hub, count, size) {
  return Promise.all(Array.from({ length: count }, async (_, i) => {
    const name = `live/s${i}`;
    const source = await Source.open(hub, `s${i}`, { size });
    source.step();
    await until(async () => (await hub.stream(name))?.video === 'h264', name);
    const viewer = await capture(hub, name);
    await until(() => viewer.flv.video().length > 0, 'the first frame');
    source.run();
    return { name, source, viewer };
  }));
}

/** {streams, grown(): KB since none of them was recorded}. */
async function recorded(hub, count, size = FRAME) {
  const streams = await publish(hub, count, size);
  await sleep(2000);
  const before = privateKb([hub.worker]);
  for (const { name } of streams) assert.equal((await hub.control(`record?stream=${name}&on=1`)).status, 200);
  for (const { name } of streams) await hub.state(name, 'on');
  return { streams, grown: () => privateKb([hub.worker]) - before };
}

/** The largest result of `value` within these ms. */
async function most(value, ms) {
  let found = 0;
  for (const end_ = performance.now() + ms; performance.now() < end_; await sleep(200))
    found = Math.max(found, value());
  return found;
}

/** Ends the streams; resolves when the last file of each is closed. */
async function end(hub, streams) {
  for (const { source } of streams) await source.end();
  await until(() => streams.every(({ viewer }) => viewer.ended), 'the streams to end');
  await until(
    () => streams.every(({ name }) => hub.recordings.spool(name).at(-1)?.reason === 'the stream ended'),
    'the files to be closed',
    60_000,
  );
  await until(() => hub.recordings.markers().length === 0, 'no marker');
}

/**
 * Live goes on: no viewer waits for frames for half of this time. A worker that waits for the disk sends nothing for
 * nearly all of it; one that gets no CPU on a busy machine does so now and then.
 */
function live(t, what, streams, from, to = performance.now()) {
  const waits = streams.map(({ viewer }) => waitsOf(viewer, from, to));
  const share = Math.max(...waits.map((all) => all.filter((ms) => ms > LONG).reduce((sum, ms) => sum + ms, 0)))
    / (to - from);
  t.diagnostic(`${what}: a viewer waited ${Math.max(...waits.flat()).toFixed(0)} ms at most, and for frames that took `
    + `longer than ${LONG} ms in ${(100 * share).toFixed(0)} % of the time`);
  assert.ok(share < 0.5, `${what}: a viewer waited in ${(100 * share).toFixed(0)} % of the time`);
}

/**
 * The recorded frames are a part of those sent, from the first one on, in order, each once.  Returns how many are
 * missing, and where.
 */
function holes(frames, sent) {
  const have = namesOf(frames);
  const want = namesOf(sent);
  const lost = [];
  let at = want.indexOf(have[0]);
  for (const name of have) {
    const found = want.indexOf(name, at);
    assert.ok(found >= at, `frame ${name} is recorded behind ${want[at - 1]}`);
    if (found > at) lost.push(found - at);
    at = found + 1;
  }
  if (at < want.length) lost.push(want.length - at);
  return lost;
}

/** The memory stays, KB more than when nothing was recorded. */
function stays(t, what, kb) {
  t.diagnostic(`${what}: the worker has ${kb} KB more than when nothing was recorded`);
  assert.ok(kb <= (SANITIZED ? 3 : 1) * KB_PER_STREAM * STREAMS, `${kb} KB for ${STREAMS} streams`);
}

describe('a disk', { concurrency: 4 }, () => {
  test(
    'a blocked disk: live continues, memory stays, and no frame in the window is lost',
    HELD_DISK,
    async (t) => {
      const hub = await startRecording(t, { main: 'hub_window 6s;' });
      const { streams, grown } = await recorded(hub, STREAMS);
      await sleep(1000);

      const still = async (ms) => {
        const from = performance.now();
        const disk = await holdDisk(hub.worker);
        let asked;
        try {
          const kb = await most(grown, ms);
          const sent = streams.map(({ source }) => source.n);
          await until(
            () => streams.every(({ viewer }, i) => viewer.flv.video().length >= sent[i]),
            'each viewer to have what was sent without the disk',
          );
          assert.ok((await hub.status()).streams.every(({ state }) => state === 'live'));
          live(t, `${ms} ms without the disk`, streams, from);
          stays(t, `${ms} ms without the disk`, kb);
        } finally {
          asked = await disk.release();
        }
        assert.ok(asked > 0, 'the disk was asked for something');
        return performance.now() - from;
      };

      await still(2000); // less than the window, by as much as a busy machine may need
      await sleep(1000);
      for (const { name } of streams)
        assert.deepEqual((({ state, gaps }) => [state, gaps])(await hub.recording(name)), ['on', 0]);
      const held = await still(9000); // more
      for (const { name } of streams)
        await until(async () => (await hub.recording(name)).gaps === 1, `the gap of ${name} to be counted`);
      assert.equal(await hub.metric('duolu_recording_gaps_total'), STREAMS);
      stays(t, 'and behind it', await most(grown, 1500));
      await end(hub, streams);

      for (const { name, source, viewer } of streams) {
        assert.equal(namesOf(framesOf(viewer.flv.tags)).length, source.n, 'the viewer has every frame');
        const files = hub.recordings.files(name);
        assert.equal(files.length, 1, 'marked, not split');
        const r = hub.recordings.read(files[0]);
        wellFormed(r);
        const lost = holes(r.frames, source.sent);
        assert.equal(lost.length, 1, `one hole, not ${lost}`);
        assert.ok(
          lost[0] * 40 <= held - 500,
          `${lost[0]} frames are missing of ${held.toFixed(0)} ms, half of the window held 3000`,
        );
        assert.equal(r.playlist.segments.filter(({ gap }) => gap).length, 1, 'the index marks it');
        const jump = r.video.findIndex(({ dts }, i) => i > 0 && dts - r.video[i - 1].dts > 500);
        assert.equal(Math.round((r.video[jump].dts - r.video[jump - 1].dts) / 40), lost[0] + 1, 'time goes on over it');
        assert.ok(r.video[jump].key, 'behind it comes a key frame');
        await plays(r);
      }
    },
  );

  test('a disk that takes half a second for each call: live continues, memory stays', HELD_DISK, async (t) => {
    const hub = await startRecording(t, { main: 'hub_window 4s;' });
    const { streams, grown } = await recorded(hub, STREAMS);
    await sleep(1000);
    const from = performance.now();
    const disk = await holdDisk(hub.worker, 500);
    const kb = await most(grown, 6000);
    live(t, '6 s', streams, from);
    assert.ok(await disk.release() > 5, 'the disk was asked');
    stays(t, '6 s', kb);
    await sleep(1000);
    const gaps = await Promise.all(streams.map(async ({ name }) => (await hub.recording(name)).gaps));
    await end(hub, streams);
    for (const [i, { name, source }] of streams.entries()) {
      const [file, ...more] = hub.recordings.files(name);
      assert.deepEqual(more, []);
      const r = hub.recordings.read(file);
      wellFormed(r);
      assert.equal(holes(r.frames, source.sent).length, gaps[i], 'each gap is counted, none else is there');
      await plays(r);
    }
  });

  test('a disk that is slow when files begin and end: nothing is lost', HELD_DISK, async (t) => {
    const hub = await startRecording(t, { grace: '8s', main: 'dvr_file 2s;' });
    const { streams } = await recorded(hub, STREAMS, 2000);
    const disk = await holdDisk(hub.worker, 40);
    await sleep(5000);
    await end(hub, streams);
    assert.ok(await disk.release() > 30, 'the disk was asked');
    for (const { name, source } of streams) {
      const all = hub.recordings.files(name).map((file) => hub.recordings.read(file));
      assert.ok(all.length >= 3, `${all.length} files`);
      for (const r of all) wellFormed(r);
      assert.deepEqual(holes(all.flatMap((r) => r.frames), source.sent), []);
    }
  });

  test('a full disk, and the stream ends meanwhile: its file is closed when there is space', SMALL_DISK, async (t) => {
    const disk = await smallDisk('5m');
    t.after(() => disk.stop());
    const stone = path.join(disk.root, 'ballast');
    fs.writeFileSync(stone, Buffer.alloc(4_000_000));
    const root = path.join(disk.root, 'rec');
    const hub = await startRecording(t, { root, main: 'dvr_free 0;', allow: [/recording stopped/] });
    const [{ name, source }] = (await recorded(hub, 1, 8000)).streams;
    await hub.state(name, 'full');
    await source.end();
    await until(async () => !await hub.stream(name), 'the end of the stream');
    fs.rmSync(stone);
    await until(() => hub.recordings.spool(name).length === 2, 'its two events');
    await until(() => hub.recordings.markers().length === 0, 'no marker');
    const [r, ...more] = hub.recordings.files(name).map((file) => hub.recordings.read(file));
    assert.deepEqual(more, []);
    wellFormed(r);
    assert.deepEqual(
      namesOf(r.frames),
      namesOf(source.sent)
        .slice(namesOf(source.sent).indexOf(namesOf(r.frames)[0]))
        .slice(0, r.video.length),
    );
    await plays(r);
  });

  test(
    'a full disk within a long GOP: recording resumes with the next GOP, nothing is recorded twice',
    SMALL_DISK,
    async (t) => {
      const disk = await smallDisk('3m');
      t.after(() => disk.stop());
      const stone = path.join(disk.root, 'ballast');
      fs.writeFileSync(stone, Buffer.alloc(2_000_000));
      const hub = await startRecording(t, {
        root: path.join(disk.root, 'rec'),
        main: 'dvr_free 0;',
        allow: [/recording stopped/],
      });
      const source = await Source.open(hub, 'gop', { size: 16_000, gop: Infinity });
      source.run();
      await until(() => hub.stream('live/gop'), 'the stream');
      await hub.control('record?stream=live/gop&on=1');
      await hub.state('live/gop', 'full');
      fs.rmSync(stone);
      const full = source.n;
      await until(() => source.n > full + 75, 'more than the 2 s between two tries');
      assert.equal((await hub.recording('live/gop')).state, 'full', 'it waits for a key frame');
      source.gop = 25;
      await hub.state('live/gop', 'on');
      const had = source.n;
      await until(() => source.n > had + 30, 'more of it');
      await source.end();
      await until(() => hub.recordings.spool('live/gop').length === 4, 'two files');
      const frames = hub.recordings.files('live/gop').flatMap((file) => hub.recordings.read(file).frames);
      assert.deepEqual(holes(frames, source.sent).length, 1, 'one hole, nothing twice');
      assert.equal(
        hub.nginx
          .log()
          .split('\n')
          .filter((line) => /\[alert\].*recording stopped/.test(line)).length,
        1,
      );
    },
  );

  test('a disk that cannot be written: recording waits, and resumes by itself', DEADLINE, async (t) => {
    const hub = await startRecording(t, { allow: [/recording stopped/] });
    const inTheWay = path.join(hub.recordings.root, 'live');
    fs.writeFileSync(inTheWay, 'no folder');
    const streams = await publish(hub, 2, 2000);
    for (const { name } of streams) await hub.control(`record?stream=${name}&on=1`);
    for (const { name } of streams) await hub.state(name, 'failed');
    assert.equal(await hub.metric('duolu_recording_stopped{reason="failed"}'), 2);
    assert.equal(
      hub.nginx
        .log()
        .split('\n')
        .filter((line) => /\[alert\].*recording stopped.*cannot be written/.test(line)).length,
      1,
    );
    assert.deepEqual([hub.recordings.markers(), hub.recordings.spool()], [[], []], 'nothing was begun');
    fs.rmSync(inTheWay);
    for (const { name } of streams) await hub.state(name, 'on');
    assert.equal(await hub.metric('duolu_recording_stopped{reason="failed"}'), 0);
    await sleep(1500);
    await end(hub, streams);
    for (const { name, source, viewer } of streams) {
      assert.equal(namesOf(framesOf(viewer.flv.tags)).length, source.n, 'the viewer has every frame');
      const [r] = hub.recordings.files(name).map((file) => hub.recordings.read(file));
      wellFormed(r);
      assert.deepEqual(holes(r.frames, source.sent), []);
      await plays(r);
    }
  });

  const rows = [
    ['a full disk by dvr_free: less space than is to be left', 'dvr_free 4m;', '9m', 3_000_000],
    ['a full disk by dvr_free: a part of the disk', 'dvr_free 45% 1m;', '9m', 3_000_000],
    ['a full disk: no space at all', 'dvr_free 0;', '5m', 3_000_000],
  ];
  for (const [name, directive, size, ballast] of rows) {
    test(name, SMALL_DISK, async (t) => {
      const disk = await smallDisk(size);
      t.after(() => disk.stop());
      const root = path.join(disk.root, 'rec');
      const stone = path.join(disk.root, 'ballast');
      fs.mkdirSync(root);
      fs.writeFileSync(stone, Buffer.alloc(ballast));
      const hub = await startRecording(t, { root, main: `${directive} hub_window 4s;`, allow: [/recording stopped/] });
      const { streams } = await recorded(hub, 2, 8000);
      const session = await Promise.all(streams.map(async (s) => (await hub.recording(s.name)).session));
      for (const s of streams) await hub.state(s.name, 'full');
      const full = performance.now();
      // what the window holds is half of the ballast: however long the rest of the test takes, the disk stays free
      for (const { source } of streams) source.size = 200;
      assert.equal(await hub.metric('duolu_recording_stopped{reason="full"}'), 2);
      await until(async () => await hub.metric('duolu_recordings') === 0, 'their files to be closed');
      await sleep(1500);
      live(t, 'while it is full', streams, full - 500);
      const alerts = () => hub.nginx.log().split('\n').filter((line) => /\[alert\].*recording stopped/.test(line));
      assert.equal(alerts().length, 1, alerts().join('\n'));
      const first = streams.map((s) => hub.recordings.files(s.name)[0]);
      for (const [i, file] of first.entries()) {
        const r = hub.recordings.read(file);
        wellFormed(r, { open: !r.playlist.ended });
        assert.equal(
          holes(r.frames, streams[i].source.sent).length,
          1,
          'the recorded frames begin with the first one and have no gap',
        );
        await plays(r, { index: r.playlist.ended });
      }

      fs.rmSync(stone);                                     // there is space again
      for (const s of streams) await hub.state(s.name, 'on');
      assert.equal(await hub.metric('duolu_recording_stopped{reason="full"}'), 0);
      assert.equal(hub.nginx.log().split('\n').filter((line) => /\[notice\].*recording goes on/.test(line)).length, 1);
      const had = streams[0].source.n;
      await until(() => streams[0].source.n > had + 40, 'more frames');
      await end(hub, streams);
      assert.equal(alerts().length, 1);

      for (const [i, { name: stream, source, viewer }] of streams.entries()) {
        assert.equal(namesOf(framesOf(viewer.flv.tags)).length, source.n, 'the viewer has every frame');
        const files = hub.recordings.files(stream);
        assert.equal(files.length, 2, 'a new file behind the full disk');
        const all = files.map((file) => hub.recordings.read(file));
        for (const r of all) { wellFormed(r, { session: session[i] }); await plays(r); }
        assert.ok(all[1].video[0].key);
        assert.ok(
          holes(
            all.flatMap((r) => r.frames),
            source.sent,
          ).length <= 1,
          'frames of the time when it was full are missing in one piece, unless the window held them',
        );
        const events = hub.recordings.spool(stream);
        assert.deepEqual(
          events.map(({ event, file }) => [event, file]),
          files.flatMap((file) => [
            ['open', file],
            ['close', file],
          ]),
        );
      }
    });
  }
});
