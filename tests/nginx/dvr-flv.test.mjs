// dvr_format flv: every frame is in its file, onMetaData lists the key frames,
// and a file whose writer died is recovered.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { makeClip, makeHevcClip, plan } from '../lib/clips.mjs';
import { FlvRecording, flvWellFormed, readAmf } from '../lib/flv.mjs';
import { newFolder } from '../lib/history.mjs';
import { FlvReader, startHub } from '../lib/hub.mjs';
import { pushAndCopy } from '../lib/media.mjs';
import { until } from '../lib/nginx.mjs';
import {
  Recordings,
  Source,
  capture,
  framesOf,
  fromTheStart,
  namesOf,
  replayed,
  sameFrames,
} from '../lib/recording.mjs';
import { run } from '../lib/stack.mjs';

const DEADLINE = { timeout: 120_000 };
const answer = () => ({ allow: true, uid: 7, stream: 3, record: true });

async function startRecorder(rec, main = '') {
  const hub = await startHub({
    answer,
    main: `thread_pool dvr threads=4; dvr_threads dvr; dvr_format flv; dvr ${rec}; hub_grace 3s; ${main}`,
    flv: 'hub_lag 20s;',
    expectCrash: true,
  });
  hub.recordings = new Recordings(rec);
  hub.recorded = (name) => until(async () => (await hub.stream(name))?.recording?.bytes > 0, `${name} to be recorded`);
  return hub;
}

/** The closed files of a stream, with the events of each. */
async function finished(hub, name, { files = 1, states = ['complete'] } = {}) {
  const { recordings } = hub;
  await until(
    () => recordings.spool(name).filter(({ event }) => event === 'close').length >= files,
    `${files} closed recording(s) of ${name}`,
    60_000,
  );
  const paths = recordings.files(name);
  assert.equal(paths.length, files, `files of ${name}: ${paths}`);
  await until(
    () => !recordings.markers().some((marker) => paths.some((file) => marker.includes(path.basename(file)))),
    'its markers to be gone',
  );
  const events = recordings.spool(name);
  assert.deepEqual(
    events.map(({ event, file }) => [event, file]),
    paths.flatMap((file) => [
      ['open', file],
      ['close', file],
    ]),
  );
  return paths.map((file, i) => {
    const r = new FlvRecording(recordings.root, file);
    const [open, close] = events.slice(2 * i, 2 * i + 2);
    assert.deepEqual([open.format, close.format, open.from, close.from], ['flv', 'flv', r.start, r.start]);
    assert.deepEqual([close.bytes, close.state], [r.bytes.length, states[i] ?? states[0]]);
    assert.deepEqual([open.session, close.session], [String(r.meta.session), String(r.meta.session)]);
    assert.ok(
      Math.abs(close.to - r.start - r.meta.duration * 1000) <= 1,
      `it ends at ${close.to}, onMetaData says ${r.start + r.meta.duration * 1000}`,
    );
    assert.equal(fs.existsSync(r.path.replace(/flv$/, 'm3u8')), false, 'FLV has no index beside it');
    return r;
  });
}

/** ffprobe, and ffmpeg decoding all of it, do not complain. */
async function plays(r) {
  const { stdout, stderr } = await run('ffprobe', [
    '-v',
    'error',
    '-count_packets',
    '-show_entries',
    'stream=codec_type,nb_read_packets:format=duration',
    '-of',
    'json',
    r.path,
  ]);
  assert.equal(stderr, '', `ffprobe about ${r.file}`);
  const { streams, format } = JSON.parse(stdout);
  assert.deepEqual(Object.fromEntries(streams.map((s) => [s.codec_type, Number(s.nb_read_packets)])),
    Object.fromEntries([['video', r.video.length], ['audio', r.audio.length]].filter(([, n]) => n)));
  assert.ok(
    Math.abs(Number(format.duration) - r.meta.duration) < 0.002,
    `ffprobe says ${format.duration} s, onMetaData ${r.meta.duration}`,
  );
  const decoded = await run(
    'ffmpeg',
    ['-nostdin', '-v', 'error', '-threads', '1', '-i', r.path, '-fps_mode', 'passthrough', '-f', 'null', '-'],
    { check: false },
  );
  assert.equal(decoded.stderr, '', `ffmpeg about ${r.file}`);
}

describe('recordings in FLV', { concurrency: 6 }, () => {
  let hub;
  let rec;
  before(async () => {
    rec = newFolder();
    hub = await startRecorder(rec);
  });
  after(async () => { await hub.stop(); fs.rmSync(rec, { recursive: true }); });

  test('an encoder’s frames, the duration and every key frame’s place', DEADLINE, async () => {
    const copy = path.join(hub.nginx.dir, 'copy.flv');
    const url = `rtmp://127.0.0.1:${hub.rtmp.port}/live/encoder?key=k`;
    const program = pushAndCopy(url, copy, { seconds: 4, bframes: 2 });
    await hub.recorded('live/encoder');
    const growing = new FlvRecording(rec, hub.recordings.files('live/encoder')[0]);
    assert.deepEqual(
      [growing.meta.duration, growing.meta.filesize, growing.meta.hasKeyframes],
      [0, 0, false],
      'while it grows',
    );
    assert.equal(await program.ended, 0, program.text);
    const flv = new FlvReader({ bodies: true });
    flv.push(fs.readFileSync(copy));

    const [r] = await finished(hub, 'live/encoder');
    flvWellFormed(r);
    sameFrames([r], framesOf(flv.tags));
    assert.ok(Math.abs(r.meta.duration - 4) < 0.15, `${r.meta.duration} s`);
    assert.deepEqual([r.meta.videocodecid, r.meta.audiosamplerate, r.meta.stereo], [7, 44100, false]);
    assert.equal(r.meta.keyframes.times.length, 4);
    await plays(r);

    // a seek lands on the key frame
    const { stdout } = await run('ffprobe', [
      '-v',
      'error',
      '-read_intervals',
      '2.5%+#1',
      '-select_streams',
      'v',
      '-show_entries',
      'packet=dts_time,pos,flags',
      '-of',
      'json',
      r.path,
    ]);
    const [packet] = JSON.parse(stdout).packets;
    assert.equal(Math.round(Number(packet.dts_time) * 1000), Math.round(r.meta.keyframes.times[2] * 1000));
  });

  test('a growing file gets a new list of its key frames every ten seconds', DEADLINE, async () => {
    const source = (await Source.open(hub, 'seekable')).run();
    await hub.recorded('live/seekable');
    const [file] = hub.recordings.files('live/seekable');
    const meta = () => {
      const head = Buffer.alloc(64 * 1024);
      const fd = fs.openSync(path.join(rec, file));
      fs.readSync(fd, head, 0, head.length, 0);
      fs.closeSync(fd);
      return readAmf(head.subarray(24, 24 + head.readUIntBE(14, 3)))[1];
    };
    const seen = await until(() => { const found = meta(); return found.hasKeyframes && found; }, 'its key frames');
    assert.deepEqual([seen.duration, seen.filesize], [0, 0], 'it is not closed');
    await source.end();
    const [r] = await finished(hub, 'live/seekable');
    flvWellFormed(r);
    sameFrames([r], source.sent);
    assert.ok(seen.keyframes.times.length >= 9);
    assert.deepEqual(
      seen.keyframes.filepositions,
      r.meta.keyframes.filepositions.slice(0, seen.keyframes.times.length),
    );
  });

  test('sound alone', DEADLINE, async () => {
    const sent = await replayed(hub, 'radio', plan(await makeClip({ size: null, seconds: 2 })));
    const [r] = await finished(hub, 'live/radio');
    flvWellFormed(r);
    sameFrames([r], sent);
    await plays(r);
  });

  test('HEVC', DEADLINE, async () => {
    const sent = await replayed(hub, 'hevc', plan(await makeHevcClip({ seconds: 2 })));
    const [r] = await finished(hub, 'live/hevc');
    flvWellFormed(r);
    sameFrames([r], sent);
    assert.equal(r.meta.videocodecid, r.headers[0].body[0] & 0x80 ? Buffer.from('hvc1').readUInt32BE(0) : 12);
  });

  test('another resolution: a new file of the same session', DEADLINE, async () => {
    const [small, large] = await Promise.all([makeClip({ seconds: 2 }), makeClip({ seconds: 2, size: '640x360' })]);
    const steps = [
      ...plan(small),
      ...plan(large, { stamp: (t) => t.dts + 2000, when: (t) => t.dts + 2000, headersAt: 1999 }),
    ];
    const sending = replayed(hub, 'change', steps);
    const viewer = await until(() => capture(hub, 'live/change').catch(() => undefined), 'a viewer');
    const sent = await sending;
    const all = await finished(hub, 'live/change', { files: 2 });
    flvWellFormed(all[0]);
    flvWellFormed(all[1], { width: 640, height: 360 });
    sameFrames(all, fromTheStart(sent, framesOf(viewer.flv.tags)));
    assert.equal(all[0].meta.session, all[1].meta.session);
    for (const r of all) await plays(r);
  });

  test('a return in grace: the same file, and its time continues', DEADLINE, async () => {
    const first = await Source.open(hub, 'tunnel');
    first.run();
    await until(() => first.n > 30, '30 pictures');
    await first.end();
    await new Promise((resolve) => { setTimeout(resolve, 800); });
    const second = await Source.open(hub, 'tunnel', { from: 50_000 });
    second.run();
    await until(() => second.n > 30, '30 pictures');
    await second.end();
    const [r] = await finished(hub, 'live/tunnel');
    flvWellFormed(r);
    assert.deepEqual(namesOf(r.frames), namesOf([...first.sent, ...second.sent]));
    const at = first.sent.filter(({ type }) => type === 9).length;
    assert.ok(
      r.video[at].dts - r.video[at - 1].dts >= 700,
      `time jumps by ${r.video[at].dts - r.video[at - 1].dts} ms`,
    );
  });

  test('more key frames than the list has room for: an even selection of them', DEADLINE, async () => {
    const source = await Source.open(hub, 'keys', { gop: 1, every: 2, size: 40, audio: false });
    const viewer = await until(
      () =>
        capture(hub, 'live/keys').catch(() => {
          source.step();
          return undefined;
        }),
      'a viewer',
    );
    source.run();
    await until(() => source.n > 1300, '1300 key frames');
    await source.end();
    const [r] = await finished(hub, 'live/keys');
    flvWellFormed(r, { every: 2 });
    assert.ok(
      r.video.length > 1300 && r.meta.keyframes.times.length > 512 && r.meta.keyframes.times.length <= 1024,
      `${r.meta.keyframes.times.length} of ${r.video.length}`,
    );
    viewer.close();
  });
});

describe('recordings in FLV whose writer dies', { concurrency: 2 }, () => {
  test('all of nginx: the next start cuts at the last whole tag and writes onMetaData', DEADLINE, async (t) => {
    const rec = newFolder();
    const first = await startRecorder(rec);
    const sources = await Promise.all(['torn', 'lost'].map((name) => Source.open(first, name)));
    sources.forEach((source) => source.run());
    await until(
      async () =>
        (await Promise.all(['torn', 'lost'].map((name) => first.stream(`live/${name}`)))).every(
          (s) => s?.recording?.bytes > 40_000,
        ),
      '40 kB of both',
    );
    sources.forEach((source) => source.stop());
    await first.killAll();

    const [torn, lost] = ['torn', 'lost'].map((name) => new Recordings(rec).files(`live/${name}`)[0]);
    const whole = [torn, lost].map((file) => new FlvRecording(rec, file));
    fs.truncateSync(path.join(rec, torn), whole[0].frames.at(-1).at + 20);     // in the middle of its last tag
    // a power cut left blocks of zeros: one within a picture, and some at the end
    const [zeros, end] = [32_768, Math.ceil(whole[1].bytes.length / 4096) * 4096 + 4096];
    fs.truncateSync(path.join(rec, lost), end);
    const file = fs.openSync(path.join(rec, lost), 'r+');
    fs.writeSync(file, Buffer.alloc(4096), 0, 4096, zeros);
    fs.closeSync(file);

    const second = await startRecorder(rec);
    t.after(async () => { await second.stop(); fs.rmSync(rec, { recursive: true }); });
    const [a] = await finished(second, 'live/torn', { states: ['interrupted'] });
    flvWellFormed(a);
    assert.deepEqual(
      a.frames.map(({ at }) => at),
      whole[0].frames.slice(0, -1).map(({ at }) => at),
      'all but the last tag',
    );
    const [b] = await finished(second, 'live/lost', { states: ['interrupted'] });
    flvWellFormed(b);
    const good = whole[1].frames.filter(({ at }, i, all) => (all[i + 1]?.at ?? Infinity) <= zeros);
    assert.ok(good.length > 10 && good.length < whole[1].frames.length - 10);
    assert.deepEqual(b.frames.map(({ at }) => at), good.map(({ at }) => at), 'what lies before the first lost block');
  });

  test('a worker: another continues the file, and knows its key frames', DEADLINE, async (t) => {
    const rec = newFolder();
    const hub = await startRecorder(rec);
    t.after(async () => { await hub.stop(); fs.rmSync(rec, { recursive: true }); });
    const first = await Source.open(hub, 'moved');
    first.run();
    await until(async () => (await hub.stream('live/moved'))?.recording?.bytes > 40_000, '40 kB');
    await first.stop().client.ping();
    const { publisher_pid: pid } = await hub.stream('live/moved');
    process.kill(pid, 'SIGKILL');
    await first.client.closed;
    const second = await until(() => Source.open(hub, 'moved', { from: 0 }).catch(() => undefined), 'its return');
    second.run();
    await until(() => second.n > 50, '2 s more');
    await second.end();
    const [r] = await finished(hub, 'live/moved');
    flvWellFormed(r);
    assert.deepEqual(namesOf(r.frames), namesOf([...first.sent, ...second.sent]), 'every frame of both, once');
  });
});
