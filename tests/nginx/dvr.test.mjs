// The recorder: every frame received is in a file, once, at its time, and file,
// index, spool and status agree.  dvr-disk.test.mjs has the disks that fail.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { makeClip, makeHevcClip, plan, replay } from '../lib/clips.mjs';
import { Follower } from '../lib/events.mjs';
import { newFolder } from '../lib/history.mjs';
import { FlvReader, get, getJson, hubConf, openIn, startHub } from '../lib/hub.mjs';
import { pushAndCopy } from '../lib/media.mjs';
import { until } from '../lib/nginx.mjs';
import {
  Recordings,
  Source,
  capture,
  framesOf,
  fromTheStart,
  namesOf,
  plays,
  replayed,
  sameFrames,
  wellFormed,
} from '../lib/recording.mjs';
import { aacFrame, aacHeader, avcHeader, interFrame, keyFrame, openStream } from '../lib/rtmp.mjs';

const DEADLINE = { timeout: 120_000 };
const SECONDS = 4;
const RECORD = 'thread_pool dvr threads=4; dvr_threads dvr; dvr {{dir}}/rec;';
const answer = ({ NAME }) => ({ allow: true, uid: 7, stream: 3, record: !NAME.startsWith('off') });

async function startRecording({ record = RECORD, grace = '2s', main = '', ...options } = {}) {
  const hub = await startHub({ answer, ...options, main: `${record} hub_grace ${grace}; ${main}` });
  hub.recordings = new Recordings(path.join(hub.nginx.dir, 'rec'));
  hub.recording = async (name) => (await hub.stream(name))?.recording;
  hub.on = (name, ms = 0) => until(async () => {
    const { recording, window_ms: window } = await hub.stream(name) ?? {};
    return recording?.state === 'on' && recording.bytes > 0 && window >= ms && recording;
  }, `${name} to be recorded`);
  return hub;
}

/** The files of a stream that has ended: complete, of one session (or more), each with its two events. */
async function finished(hub, name, files = 1, { sessions = 1 } = {}) {
  const { recordings } = hub;
  const all = await recordings.closed(name, files);
  assert.equal(all.length, files, `files of ${name}: ${JSON.stringify(recordings.spool(name))}`);
  assert.equal(new Set(all.map(({ session }) => session)).size, sessions, 'sessions');
  for (const r of all) wellFormed(r);
  const events = recordings.spool(name);
  assert.deepEqual(
    events.map(({ event, file }) => [event, file]),
    all.flatMap(({ file }) => [
      ['open', file],
      ['close', file],
    ]),
    'events in their order',
  );
  for (const [i, r] of all.entries()) {
    const [open, close] = events.slice(2 * i, 2 * i + 2);
    const both = { file: r.file, stream: name, format: 'mp4', id: 3, session: r.session, from: r.start };
    assert.deepEqual(open, { event: 'open', ...both });
    const { to, reason, ...rest } = close;
    assert.deepEqual(rest, { event: 'close', ...both, bytes: r.bytes.length, state: 'complete' });
    assert.ok(
      Math.abs(to - r.start - r.end) <= 50,
      `it says that the file ends at ${to}, its frames at ${r.start + r.end}`,
    );
    assert.ok(reason.length > 3, `a reason: ${reason}`);
    await until(
      () => !recordings.markers().some((marker) => marker.includes(path.basename(r.file))),
      'its marker to be gone',
    );
  }
  return all;
}

// ---- an encoder ------------------------------------------------------------

/** ffmpeg publishes a picture for some SECONDS and writes the same to a file; returns the frames it sent. */
async function pushed(hub, name, picture) {
  const copy = path.join(hub.nginx.dir, `${name}.flv`);
  const program = pushAndCopy(`rtmp://127.0.0.1:${hub.rtmp.port}/live/${name}?key=k`, copy, picture);
  await hub.on(`live/${name}`, SECONDS * 1000);
  const live = hub.recordings.files(`live/${name}`);
  program.child.stdin.write('q');
  assert.equal(await program.ended, 0, program.text);
  const flv = new FlvReader({ bodies: true });
  flv.push(fs.readFileSync(copy));
  return { sent: framesOf(flv.tags), live };
}

describe('the recorder', { concurrency: 3 }, () => {
  describe('a publisher\'s frames are in its file', { concurrency: 6 }, () => {
    let hub;
    before(async () => { hub = await startRecording({ flv: 'hub_lag 20s;' }); });
    after(() => hub.stop());

    test('ffmpeg, H.264 and AAC', DEADLINE, async () => {
      const { sent, live } = await pushed(hub, 'plain');
      assert.equal(live.length, 1, 'its file is there while it goes on');
      const [r] = await finished(hub, 'live/plain');
      assert.equal(r.file, live[0]);
      sameFrames([r], sent, { onTime: false });
      assert.ok(
        r.playlist.segments.length >= SECONDS - 1 &&
          r.playlist.segments.every(({ gap, dependent }) => !gap && !dependent),
        'a segment for each GOP',
      );
      assert.ok(r.video.length >= (SECONDS - 1) * 25, `${r.video.length} pictures`);
      await plays(r);
    });

    test('B-frames', DEADLINE, async () => {
      const { sent } = await pushed(hub, 'reordered', { bframes: 3 });
      assert.ok(sent.some(({ cts }) => cts > 40), 'the encoder made B-frames');
      const [r] = await finished(hub, 'live/reordered');
      sameFrames([r], sent, { onTime: false });
      await plays(r);
    });

    test('video alone', DEADLINE, async () => {
      const { sent } = await pushed(hub, 'silent', { audio: false });
      const [r] = await finished(hub, 'live/silent');
      sameFrames([r], sent, { onTime: false });
      assert.equal(r.audio.length, 0);
      await plays(r);
    });

    test('audio alone', DEADLINE, async () => {
      const sent = await replayed(hub, 'radio', plan(await makeClip({ size: null, seconds: SECONDS })));
      const [r] = await finished(hub, 'live/radio');
      sameFrames([r], sent);
      assert.equal(r.video.length, 0);
      assert.ok(r.playlist.segments.length >= 2, 'segments of a second and more');
      await plays(r);
    });

    test('HEVC', DEADLINE, async () => {
      const sent = await replayed(hub, 'hevc', plan(await makeHevcClip({ seconds: SECONDS })));
      const [r] = await finished(hub, 'live/hevc');
      sameFrames([r], sent);
      assert.equal(r.movie.tracks[0].codec, 'hvc1');
      await plays(r);
    });

    test('audio that begins later: complete, in a new file', DEADLINE, async () => {
      // so late that the file has begun without it
      const clip = await makeClip({ seconds: 6 });
      const sent = await replayed(
        hub,
        'later',
        plan(clip, { keep: (tag) => tag.type === 9 || tag.dts > 4000 })
          .map((step) => (step.tag.config && step.tag.type === 8 ? { ...step, when: 4000 } : step))
          .sort((a, b) => a.when - b.when),
      );
      const all = await finished(hub, 'live/later', 2);
      assert.equal(all[0].audio.length, 0);
      sameFrames(all, sent);
      for (const r of all) await plays(r);
    });

    test('a change of resolution: a new file of the same session', DEADLINE, async () => {
      const [small, large] = await Promise.all([makeClip({ seconds: 2 }), makeClip({ seconds: 2, size: '640x360' })]);
      const steps = [
        ...plan(small),
        ...plan(large, { stamp: (t) => t.dts + 2000, when: (t) => t.dts + 2000, headersAt: 1999 }),
      ];
      const sending = replayed(hub, 'change', steps);
      const viewer = await until(() => capture(hub, 'live/change').catch(() => undefined), 'a viewer');
      const sent = await sending;
      await until(() => viewer.ended, 'the stream to end');
      const all = await finished(hub, 'live/change', 2);
      // compare with a viewer: the hub puts parameter sets into the first picture after a change
      sameFrames(all, fromTheStart(sent, framesOf(viewer.flv.tags)));
      assert.deepEqual(all.map((r) => [r.movie.tracks[0].width, r.movie.tracks[0].height]), [[320, 180], [640, 360]]);
      assert.ok(
        Math.abs(all[1].start - all[0].start - 2000) <= 50,
        `history goes on: the second begins ${all[1].start - all[0].start} ms behind the first`,
      );
      for (const r of all) await plays(r);
    });

    test('frames have the time of the wall clock', DEADLINE, async () => {
      const source = await Source.open(hub, 'clock', { from: 7_000_000 });
      const began = await source.begin();
      await hub.on('live/clock', 3000);
      await source.end();
      const [r] = await finished(hub, 'live/clock');
      sameFrames([r], source.sent);
      // each is where the first one came, and what its publisher says later: however late it was sent
      const off = r.video.map(({ utc }, i) => utc - i * 40 - began.from);
      const [least, most] = [Math.min(...off), Math.max(...off)];
      const first = began.to - began.from;
      assert.ok(least >= -200 && most <= first + 200,
        `frames are ${least} to ${most} ms behind the time they are of, of which the first took at most ${first}`);
      await plays(r);
    });

    test('frames that an encoder held until it might send have the time at which it made them', DEADLINE, async () => {
      const held = 700;
      const steps = plan(await makeClip({ seconds: SECONDS }), { when: ({ dts }) => Math.max(dts, held) });
      const client = await openStream(hub.rtmp);
      await client.publish('held?key=k');
      const began = Date.now();
      await replay(client, steps).done;
      await client.ping();
      await client.close();
      const [r] = await finished(hub, 'live/held');
      const late = r.video[0].utc - steps.find(({ tag }) => tag.key && !tag.config).stamp - began;
      assert.ok(late >= -50 && late < held / 2, `the first picture has a time ${late} ms behind that of its making`);
    });

    test('a return in grace: the same file, its gap marked', DEADLINE, async (t) => {
      const hub = await startRecording({ grace: '15s' });
      t.after(() => hub.stop());
      const first = await Source.open(hub, 'tunnel');
      const began = await first.begin();
      await hub.on('live/tunnel', 1500);
      await first.end();
      const { session } = await hub.recording('live/tunnel');
      await new Promise((resolve) => { setTimeout(resolve, 900); });
      const second = await Source.open(hub, 'tunnel', { from: 50_000 });
      const returned = await second.begin();
      await until(() => second.n > 60, '60 frames');
      assert.deepEqual((({ session: s, state }) => [s, state])(await hub.recording('live/tunnel')), [session, 'on']);
      await second.end();
      const [r] = await finished(hub, 'live/tunnel');
      const count = (source) => source.sent.filter(({ type }) => type === 9).length;
      assert.equal(r.video.length, count(first) + count(second), 'every frame of both');
      const [before_, behind] = [r.video[count(first) - 1], r.video[count(first)]];
      const [least, most] = [returned.from - began.to, returned.to - began.from];
      const way = behind.dts - r.video[0].dts;
      assert.ok(
        way >= least - 200 && way <= most + 200,
        `it returned after ${least} to ${most} ms, in the file after ${way}`,
      );
      assert.ok(behind.dts - before_.dts > 700, 'not where it had stopped');
      const gaps = r.playlist.segments.filter(({ gap }) => gap);
      assert.deepEqual(gaps.map(({ date }) => date), [r.start + behind.dts], 'one gap, with the time behind it');
      assert.ok(behind.key);
      await plays(r);
    });

    test('a takeover by a publisher in the other worker: nothing is lost or doubled', DEADLINE, async () => {
      const first = await Source.open(hub, 'moved');
      first.step();
      const viewer = await until(() => capture(hub, 'live/moved').catch(() => undefined), 'a viewer');
      await until(() => viewer.flv.video().length > 0, 'its first frame');
      first.run();
      await hub.on('live/moved', 1000);
      const home = (await hub.stream('live/moved')).publisher_pid;
      const others = hub.nginx.workers().filter((pid) => pid !== home);
      let last = first;
      for (let n = 0; (await hub.stream('live/moved')).publisher_pid === home; n++) {
        const next = await openIn(hub, others, n, () => Source.open(hub, 'moved', { from: n * 1000 }));
        last.stop();
        next.run();
        await last.client.closed;
        last = next;
      }
      const had = last.n;
      await until(() => last.n > had + 50, '2 s more');
      await last.end();
      await until(() => viewer.ended, 'the stream to end');
      const all = await finished(hub, 'live/moved');
      sameFrames(all, framesOf(viewer.flv.tags));
      await plays(all[0]);
    });

    test('a publisher whose clock is set: the same file, nothing is lost or doubled', DEADLINE, async () => {
      const source = await Source.open(hub, 'jump');
      source.step();
      const viewer = await until(() => capture(hub, 'live/jump').catch(() => undefined), 'a viewer');
      await until(() => viewer.flv.video().length > 0, 'its first frame');
      for (const stamp of [40, 3_600_000, 1000]) {
        source.stop();
        source.stamp = source.heard = stamp;
        source.run();
        await until(() => source.stamp > stamp + 1500, '1.5 s of it');
      }
      await source.end();
      await until(() => viewer.ended, 'the stream to end');
      const [r] = await finished(hub, 'live/jump');
      assert.equal(r.video.length, source.n);
      assert.equal(r.audio.length, source.sent.length - source.n);
      sameFrames([r], framesOf(viewer.flv.tags));
      await plays(r);
    });

    test('a picture that is larger than the limit of a fragment', DEADLINE, async () => {
      const source = await Source.open(hub, 'large', { size: 1_400_000, gop: 2, every: 200 });
      for (let n = 0; n < 10; n++) {
        source.step();
        await source.client.drained();
      }
      await source.end();
      const [r] = await finished(hub, 'live/large');
      sameFrames([r], source.sent);
      await plays(r);
    });

    test('started and stopped by control', DEADLINE, async () => {
      const source = await Source.open(hub, 'off-demand');
      source.run();
      await until(async () => (await hub.stream('live/off-demand')).window_ms > 500, 'the stream');
      assert.equal((await hub.recording('live/off-demand')).state, 'off');
      const sets = [];
      for (let round = 0; round < 2; round++) {
        assert.deepEqual(await hub.control('record?stream=live/off-demand&on=1'), {
          status: 200,
          json: { recording: true },
        });
        const { session } = await hub.on('live/off-demand');
        sets.push(session);
        const had = source.n;
        await until(() => source.n > had + 50, '2 s of it');
        assert.deepEqual(await hub.control('record?stream=live/off-demand&on=0'), {
          status: 200,
          json: { recording: false },
        });
        await until(async () => (await hub.recording('live/off-demand')).state === 'off', 'the end of it');
        await until(() => hub.recordings.spool('live/off-demand').length === 2 * round + 2, 'its file to be closed');
      }
      assert.equal((await hub.stream('live/off-demand')).state, 'live', 'the stream goes on');
      await source.end();
      const all = await hub.recordings.closed('live/off-demand', 2);
      assert.deepEqual(all.map((r) => r.session), sets.map(String));
      const names = namesOf(source.sent);
      for (const r of all) {
        wellFormed(r);
        const [first] = namesOf(r.frames);
        const from = names.indexOf(first);
        assert.deepEqual(
          namesOf(r.frames),
          names.slice(from, from + r.video.length),
          'a row of frames as they were sent',
        );
        assert.ok(r.video.length > 45, `${r.video.length} frames of 2 s`);
        await plays(r);
      }
    });

    test('stopped and started again within a GOP: no frame is recorded twice', DEADLINE, async () => {
      const source = await Source.open(hub, 'off-gop', { gop: 75 });
      source.run();
      await until(() => source.n > 20, 'a part of its first GOP');
      for (let round = 0; round < 2; round++) {
        await hub.control('record?stream=live/off-gop&on=1');
        await hub.on('live/off-gop');
        await hub.control('record?stream=live/off-gop&on=0');
        await until(() => hub.recordings.spool('live/off-gop').length === 2 * round + 2, 'its file to be closed');
        await until(async () => (await hub.recording('live/off-gop')).state === 'off', 'the end of it');
      }
      await source.end();
      const all = await finished(hub, 'live/off-gop', 2, { sessions: 2 });
      // each begins with a key frame, and the second not with one that the first has
      const [first, second] = all.map((r) => namesOf(r.frames).map((name) => Number(name.split('-')[1])));
      assert.deepEqual([first[0] % 75, second[0] % 75], [0, 0]);
      assert.ok(second[0] > first.at(-1), `the first ends with ${first.at(-1)}, the second begins with ${second[0]}`);
    });

    test('a stream without recording leaves no file', DEADLINE, async () => {
      const source = await Source.open(hub, 'off');
      source.run();
      await until(async () => (await hub.stream('live/off'))?.window_ms > 2000, 'two seconds');
      assert.deepEqual(await hub.recording('live/off'), { state: 'off', session: '0', bytes: 0, gaps: 0 });
      await source.end();
      await until(async () => !await hub.stream('live/off'), 'its end');
      assert.deepEqual(hub.recordings.all().filter((file) => /live.off\b(?!-)/.test(file)), []);
    });

    test('control names the missing stream or argument', DEADLINE, async () => {
      assert.equal((await hub.control('record?stream=live/nobody&on=1')).status, 404);
      for (const query of [
        'record',
        'record?stream=live/nobody',
        'record?stream=live/nobody&on=2',
        'record?on=1',
        'record?stream=live%2F..%2Fx&on=1',
      ]) {
        const { status, json } = await hub.control(query);
        assert.ok([400, 404].includes(status) && json.error, `${query}: ${status} ${JSON.stringify(json)}`);
      }
      assert.equal((await get(`${hub.base}/control/record?stream=live/nobody&on=1`)).status, 405);
    });

    test('status, metrics and events show it', DEADLINE, async () => {
      const follower = await Follower.open(`${hub.base}/events?user=1&streams=*`);
      const source = await Source.open(hub, 'told');
      source.run();
      const first = await hub.on('live/told');
      assert.match(first.session, /^\d{13}$/);
      assert.ok(Math.abs(Number(first.session) - Date.now()) < 60_000, 'the session is named by its start');
      await until(async () => (await hub.recording('live/told')).bytes > first.bytes, 'more bytes');
      const metrics = (await get(`${hub.base}/metrics`)).text;
      assert.ok(Number(/^duolu_recordings (\d+)$/m.exec(metrics)?.[1]) >= 1, metrics);
      assert.ok(Number(/^duolu_recorded_bytes_total (\d+)$/m.exec(metrics)?.[1]) > 0, metrics);
      for (const reason of ['full', 'failed'])
        assert.equal(
          Number(new RegExp(`^duolu_recording_stopped\\{reason="${reason}"\\} (\\d+)$`, 'm').exec(metrics)?.[1]),
          0,
          metrics,
        );
      assert.match(metrics, /^duolu_recording_gaps_total \d+$/m);
      await until(
        () =>
          follower.events.some(
            ({ event, data }) => event === 'stream' && data.name === 'live/told' && data.recording === 'on',
          ),
        'an event that says so',
      );
      await source.end();
      await finished(hub, 'live/told');
      follower.close();
    });
  });

  test('sound that begins within a GOP is recorded completely, and no picture twice', DEADLINE, async (t) => {
    const hub = await startRecording();
    t.after(() => hub.stop());
    // in the first GOP of the stream, in the third, and long after a key frame
    await Promise.all(
      [
        ['first', 1000, 60, 1],
        ['later', 50, 125, 2],
        ['long', 100, 290, 2],
      ].map(async ([name, gop, from, files]) => {
        const client = await openStream(hub.rtmp);
        client.setChunkSize(65536);
        await client.publish(`${name}?key=k`);
        client.sendVideo(0, avcHeader());
        const sent = [];
        const began = Date.now();
        const send = (type, dts, body) => {
          client[type === 9 ? 'sendVideo' : 'sendAudio'](dts, body);
          sent.push({ type, dts, body });
        };
        for (let n = 0; n < from + 75; n++) {
          await until(() => Date.now() - began >= n * 40, 'its time');
          const body = n % gop ? interFrame() : keyFrame();
          send(
            9,
            n * 40,
            Buffer.concat([
              body,
              Buffer.from([0, 0, 0, 12, 12]),
              Buffer.from(`pic ${String(n).padStart(6)}`, 'latin1'),
              Buffer.from([0x80]),
            ]),
          );
          if (n === from) client.sendAudio(n * 40, aacHeader());
          if (n >= from) send(8, n * 40 + 5, aacFrame());
        }
        await client.ping();
        await client.close();
        const all = await finished(hub, `live/${name}`, files);
        sameFrames(all, framesOf(sent));
        assert.deepEqual(
          all.map((r) => r.audio.length > 0),
          files === 1 ? [true] : [false, true],
        );
        const [last] = all.slice(-1);
        assert.ok(last.video[0].key);
      }),
    );
  });

  describe('files have an end', { concurrency: 4 }, () => {
    test('dvr_file: a new file at each multiple of it', DEADLINE, async (t) => {
      const hub = await startRecording({ main: 'dvr_file 2s;' });
      t.after(() => hub.stop());
      const source = await Source.open(hub, 'hours', { gop: 10 });
      source.run();
      await until(() => source.stamp >= 6500, '6.5 s');
      await source.end();
      await until(async () => !await hub.stream('live/hours'), 'its end');
      const count = hub.recordings.files('live/hours').length;
      assert.ok(count >= 4 && count <= 5, `6.5 s are in ${count} files`);
      const all = await finished(hub, 'live/hours', count);
      sameFrames(all, source.sent);
      const part = (utc) => Math.floor(utc / 2000);
      for (const [i, r] of all.entries()) {
        const [first, ...more] = r.video;
        assert.ok(first.key);
        assert.ok(first.utc - r.start < 100, 'what is before its first picture is the sound of that moment');
        assert.deepEqual(
          more.filter(({ key, utc }) => key && part(utc) !== part(first.utc)).map(({ utc }) => utc),
          [],
          'no key frame behind the border',
        );
        if (i) assert.ok(part(first.utc) > part(all[i - 1].video[0].utc));
        if (i < count - 1) assert.match(hub.recordings.spool('live/hours')[2 * i + 1].reason, /dvr_file was reached/);
        await plays(r);
      }
    });

    test('the queue of the thread pool is full', DEADLINE, async (t) => {
      const hub = await startRecording({
        record: 'thread_pool dvr threads=1 max_queue=1; dvr_threads dvr; dvr {{dir}}/rec;',
        workers: 1,
      });
      t.after(() => hub.stop());
      const streams = await Promise.all(
        Array.from({ length: 8 }, (_, n) => Source.open(hub, `queue${n}`, { size: 20_000 })),
      );
      streams.forEach((source) => source.run());
      await until(() => streams.every(({ n }) => n > 60), '60 frames of each');
      await Promise.all(streams.map((source) => source.end()));
      for (const [n, source] of streams.entries()) {
        const [r] = await finished(hub, `live/queue${n}`);
        sameFrames([r], source.sent);
      }
    });

    /** Records two streams until nginx ends. Returns what was sent; null: nginx killed a worker, as it was slow. */
    async function recordUntilTheEnd(root) {
      const hub = await startRecording({ record: `dvr ${root};` });
      const sources = await Promise.all(['end1', 'end2'].map((name) => Source.open(hub, name)));
      sources.forEach((source) => source.run());
      await Promise.all(['live/end1', 'live/end2'].map((name) => hub.on(name, 2000)));
      await hub.stop({ allow: [/exited on signal 9/], keep: true });
      const killed = /exited on signal 9/.test(hub.nginx.log());
      fs.rmSync(hub.nginx.dir, { recursive: true });
      return killed ? null : sources.map(({ sent }) => sent);
    }

    test('nginx ends: its files are closed', DEADLINE, async (t) => {
      for (let tries = 1; ; tries++) {
        const root = newFolder();
        t.after(() => fs.rmSync(root, { recursive: true, force: true }));
        const recordings = new Recordings(root);
        const all = await recordUntilTheEnd(root);
        assert.ok(all || tries < 5, 'nginx killed its worker each time');
        for (const [i, sent] of (all ?? []).entries()) {
          const [r] = await finished({ recordings }, `live/end${i + 1}`);
          const names = namesOf(r.frames);
          assert.deepEqual(names, namesOf(sent).slice(0, names.length), 'a row of frames from the first on');
          assert.ok(names.length > 45, `${names.length} frames of 2 s`);
          assert.match(recordings.spool(`live/end${i + 1}`)[1].reason, /nginx ended/);
          await plays(r);
        }
        if (all) return;
      }
    });

    test('an endless GOP is cut into segments, marked as dependent', DEADLINE, async (t) => {
      const hub = await startRecording();
      t.after(() => hub.stop());
      const source = await Source.open(hub, 'endless', { every: 200, gop: 100_000, size: 100 });
      source.run();
      await until(() => source.stamp > 32_000, 'half a minute and more', 100_000);
      await source.end();
      const [r] = await finished(hub, 'live/endless');
      sameFrames([r], source.sent);
      assert.deepEqual(r.playlist.segments.map(({ dependent }) => Boolean(dependent)), [false, true]);
      await plays(r);
    });
  });

  describe('nginx is reloaded while it records', () => {
    test('no frame is lost or doubled, and a publisher\'s return continues the file', DEADLINE, async (t) => {
      const hub = await startRecording({ grace: '15s' });
      t.after(() => hub.stop());
      const streams = await Promise.all([1, 2, 3].map((n) => Source.open(hub, `reload${n}`)));
      streams.forEach((source) => source.run());
      await Promise.all(streams.map((_, i) => hub.on(`live/reload${i + 1}`, 1500)));
      const old = hub.nginx.workers();
      await hub.nginx.reload();
      const had = streams[0].n;
      await until(() => streams[0].n > had + 50, '2 s more');
      // one returns to a new worker, which continues the file
      const [back, ...rest] = streams;
      await back.end();
      const again = await Source.open(hub, 'reload1', { from: 20_000 });
      again.run();
      await until(() => again.n > 50, '2 s of its return');
      assert.ok(!old.includes((await hub.stream('live/reload1')).publisher_pid), 'it is in a new worker');
      await Promise.all([again, ...rest].map((source) => source.end()));
      for (const [i, source] of rest.entries()) {
        const [r] = await finished(hub, `live/reload${i + 2}`);
        sameFrames([r], source.sent);
        assert.ok(r.playlist.segments.every(({ gap }) => !gap));
        await plays(r);
      }
      const [r] = await finished(hub, 'live/reload1');
      assert.deepEqual(namesOf(r.frames), namesOf([...back.sent, ...again.sent]), 'every frame of both, once');
      const numbers = r.playlist.lives.map(({ number }) => number);
      assert.deepEqual(numbers, numbers.map((_, i) => numbers[0] + i), 'no live segment is missing');
      await plays(r);
      const { streams: left } = await getJson(`${hub.base}/status`);
      assert.deepEqual(left, []);
    });

    test('another format: the open file is closed, a new one begins', DEADLINE, async (t) => {
      const hub = await startRecording({ grace: '3s' });
      t.after(() => hub.stop());
      const source = await Source.open(hub, 'format');
      source.run();
      await hub.on('live/format', 1500);
      await hub.nginx.reload({ conf: hubConf({ gate: hub.gate, main: `${RECORD} hub_grace 3s; dvr_format flv;` }) });
      const had = source.n;
      await until(() => source.n > had + 50, '2 s more, of the old worker');
      await source.end();
      const closed = (n) =>
        until(() => {
          const all = hub.recordings.spool('live/format');
          return all.filter(({ event }) => event === 'close').length === n && all;
        }, `${n} files to be closed`);
      await closed(1);
      const again = await Source.open(hub, 'format', { from: 20_000 });
      again.run();
      await until(() => again.n > 50, '2 s of its return');
      await again.end();
      const events = await closed(2);
      const [mp4, flv] = hub.recordings
        .files('live/format')
        .map((file) => events.filter((event) => event.file === file));
      assert.deepEqual(mp4.map(({ event, state }) => [event, state]), [['open', undefined], ['close', 'complete']]);
      assert.deepEqual(
        flv.map(({ event, format, state }) => [event, format, state]),
        [
          ['open', 'flv', undefined],
          ['close', 'flv', 'complete'],
        ],
      );
      await until(() => hub.recordings.markers().length === 0, 'no marker');
      wellFormed(hub.recordings.read(mp4[0].file));
      sameFrames([hub.recordings.read(mp4[0].file)], source.sent);
    });

    test(
      'another format, and a dead writer: the next recorder closes its file at once',
      DEADLINE,
      async (t) => {
        const hub = await startRecording({ grace: '30s', workers: 1, expectCrash: true });
        t.after(() => hub.stop());
        const source = (await Source.open(hub, 'died')).run();
        await hub.on('live/died', 1500);
        const [writer] = hub.nginx.workers();
        await hub.nginx.reload({
          conf: hubConf({ gate: hub.gate, workers: 1, main: `${RECORD} hub_grace 30s; dvr_format flv;` }),
        });
        source.stop();
        process.kill(writer, 'SIGKILL');
        const again = (await Source.open(hub, 'died', { from: 20_000 })).run();
        const closed = await until(
          () => hub.recordings.spool('live/died').find(({ event }) => event === 'close'),
          'the MP4 to be closed',
        );
        assert.deepEqual([closed.format, closed.state], ['mp4', 'interrupted']);
        wellFormed(hub.recordings.read(closed.file));
        await until(
          () => hub.recordings.spool('live/died').some(({ event, format }) => event === 'open' && format === 'flv'),
          'an FLV',
        );
        await again.end();
        assert.doesNotMatch(hub.nginx.log(), /is left as it is/);
      },
    );

    for (const [what, change] of [
      ['zone of another size', { zone: '32m' }],
      ['zone of another name', { zone: '64m', rename: true }],
    ]) {
      test(`a ${what}: its files are closed as complete`, DEADLINE, async (t) => {
        const hub = await startRecording({ grace: '3s' });
        t.after(() => hub.stop());
        const streams = [await Source.open(hub, 'first'), await Source.open(hub, 'second')];
        streams.forEach((source) => source.run());
        await hub.on('live/first', 1000);
        await hub.on('live/second', 1000);
        const conf = hubConf({ gate: hub.gate, zone: change.zone, main: `${RECORD} hub_grace 3s;` });
        await hub.nginx.reload({ conf: change.rename ? conf.replace('hub_zone test', 'hub_zone other') : conf });
        const had = streams[1].n;
        await until(() => streams[1].n > had + 25, '1 s more, of the old workers');
        for (const source of streams) await source.end();
        for (const [i, name] of ['live/first', 'live/second'].entries()) {
          const [r] = await finished(hub, name); // its state is complete
          sameFrames([r], streams[i].sent);
        }
        await until(() => hub.recordings.markers().length === 0, 'no marker');
        assert.doesNotMatch(hub.nginx.log(), /was interrupted/);
      });
    }
  });
});
