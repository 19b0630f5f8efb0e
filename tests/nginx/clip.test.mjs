// clip.mp4: a span of what was recorded as one file.  Every clip is held
// against the recordings it comes from by a reader of the standard, and to
// ffmpeg's ear.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { makeClip, plan, replay } from '../lib/clips.mjs';
import { get, startHub, token } from '../lib/hub.mjs';
import { readMp4 } from '../lib/mp4.mjs';
import { until } from '../lib/nginx.mjs';
import { Recordings } from '../lib/recording.mjs';
import { makeSource, writeRecordings } from '../lib/recordings.mjs';
import { openStream } from '../lib/rtmp.mjs';
import { run } from '../lib/stack.mjs';

const DEADLINE = { timeout: 120_000 };
const NOON = Date.parse('2026-03-10T12:00:00Z');
const answer = () => ({ allow: true, uid: 7, stream: 3, record: true });

/** Status, headers and bytes. */
function fetch(url, { headers = {}, method = 'GET' } = {}) {
  return new Promise((resolve, reject) => {
    http.request(url, { agent: false, headers, method }, (response) => {
      const chunks = [];
      response.on('data', (data) => chunks.push(data));
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) }));
    }).on('error', reject).end();
  });
}

async function startClips({ location = '', main = '', ...options } = {}) {
  const hub = await startHub({
    answer, files: { 'rec/.keep': '' }, ...options,
    main: `thread_pool dvr threads=4; dvr_threads dvr; dvr {{dir}}/rec; hub_grace 2s; ${main}`,
    listen: `; location ~ ^/m/[^/]+/rec/ { access_token_keys {{dir}}/keys; hub_history {{dir}}/rec; hub_history_threads dvr; sendfile on; ${location} } root /nonexistent`,
  });
  hub.root = path.join(hub.nginx.dir, 'rec');
  hub.recordings = new Recordings(hub.root);
  hub.clipUrl = (stream, from, to, over = {}) => `${hub.base}/m/${token(stream, { a: 'replay', ...over })}/rec/${encodeURI(stream)}/clip.mp4`
    + `?${[from !== undefined && `from=${from}`, to !== undefined && `to=${to}`].filter(Boolean).join('&')}`;
  hub.clip = (stream, from, to) => fetch(hub.clipUrl(stream, from, to));
  return hub;
}

// ---- what a clip must be ---------------------------------------------------

/** The segments of a clip as its rules have them: [{r, segments}]. */
function chosen(recordings, from, to) {
  const all = recordings.flatMap((r) => r.playlist.segments.map((segment) => ({ r, ...segment })));
  const ends = (s) => s.utc + s.duration;
  let first = all.findIndex((s) => ends(s) > from);
  while (all[first].dependent) first--;
  const last = all.findLastIndex((s) => s.utc < to);
  return recordings.map((r) => ({ r, segments: all.slice(first, last + 1).filter((s) => s.r === r) })).filter(({ segments }) => segments.length);
}

const of = (movie, kind) => movie.tracks.find((track) => track.kind === kind);

/** When a sample is shown, in seconds from the clip's start. */
function shownAt(movie, track, sample) {
  const { timescale: scale } = movie;
  let late = 0;
  for (const edit of track.edits) {
    if (edit.time === -1) late += edit.duration / scale;
    else return late + (sample.dts + sample.cts - edit.time) / track.timescale;
  }
  throw new Error('a track without an edit');
}

/** Holds a clip's bytes to the recordings; gives {movie, video, audio, seconds, dropped}. */
function checkClip(bytes, recordings, from, to, { pauses = 0 } = {}) {
  const parts = chosen(recordings, from, to);
  const movie = readMp4(bytes);
  assert.equal(movie.fragmented, false);
  assert.deepEqual(movie.tracks.map(({ edits }) => edits.length > 0), movie.tracks.map(() => true), 'every track says where it begins');

  // the payload is what the files hold, one range of each
  let at = bytes.length - parts.reduce((sum, { segments }) => sum + segments.reduce((n, s) => n + s.size, 0), 0);
  for (const part of parts) {
    const { r, segments } = part;
    const size = segments.reduce((n, s) => n + s.size, 0);
    part.shift = at - segments[0].offset;
    assert.ok(bytes.subarray(at, at + size).equals(r.bytes.subarray(segments[0].offset, segments[0].offset + size)), `the bytes of ${r.file}`);
    at += size;
  }

  // each recorded frame once, in its order
  const result = { movie, seconds: movie.durationMs / 1000 };
  for (const kind of ['video', 'audio']) {
    const track = of(movie, kind);
    const want = parts.flatMap(({ r, segments, shift }) => (of(r.movie, kind)?.samples ?? [])
      .filter((s) => s.offset >= segments[0].offset && s.offset < segments.at(-1).offset + segments.at(-1).size)
      .map((s) => ({ ...s, offset: s.offset + shift, utc: r.start + (s.dts + s.cts) * 1000 / of(r.movie, kind).timescale,
        config: of(r.movie, kind).config, piece: `${r.file} ${segments.filter((x) => x.gap && x !== segments[0] && x.offset <= s.offset).length}` })));
    if (want.length === 0) { assert.equal(track, undefined, `no ${kind}`); result[kind] = []; continue; }
    const bySpot = new Map(want.map((s) => [s.offset, s]));
    const have = track.samples.map((s) => {
      const source = bySpot.get(s.offset);
      assert.ok(source, `${kind} at ${s.offset} is a recorded frame`);
      assert.deepEqual([s.size, s.key], [source.size, source.key], `${kind} at ${s.offset}`);
      assert.ok(track.descriptions[s.description - 1].config.equals(source.config), `the configuration of ${kind} at ${s.offset}`);
      return { ...source, at: shownAt(movie, track, s) };
    });
    assert.deepEqual(have.map((s) => s.offset), have.map((s) => s.offset).sort((a, b) => a - b), `${kind} in its order`);
    result[kind] = have;
    result[`${kind}Dropped`] = want.length - have.length;
  }

  // one clock for both, and at a joint sound is less than a frame off
  const clocks = new Map();
  for (const { piece, at: shown, utc } of result.video) {
    if (!clocks.has(piece)) clocks.set(piece, shown - utc / 1000);
    assert.ok(Math.abs(shown - utc / 1000 - clocks.get(piece)) < 0.0015, `a picture of ${piece} is ${shown - utc / 1000 - clocks.get(piece)} s off`);
  }
  const frame = 1024 / (of(movie, 'audio')?.timescale ?? 48000);
  for (const { piece, at: shown, utc } of result.audio) {
    if (!clocks.has(piece)) clocks.set(piece, shown - utc / 1000);                   // sound alone
    assert.ok(Math.abs(shown - utc / 1000 - clocks.get(piece)) <= frame / 2 + 0.002, `sound of ${piece} is ${shown - utc / 1000 - clocks.get(piece)} s off`);
  }
  if (result.video.length) {
    assert.equal(result.videoDropped, 0, 'every picture is there');
    assert.ok(result.video[0].key, 'it begins with a key frame');
    assert.ok(Math.abs(result.video[0].at) < 1e-6, `its first picture is shown at ${result.video[0].at}`);
    assert.ok(result.audio.every(({ at: shown }) => shown > -frame), 'no sound from before the first picture');
  }
  // the index counts decoding times: a picture that waits for its turn is shown that much later
  const seconds = parts.reduce((sum, { segments }) => sum + segments.reduce((n, s) => n + s.duration, 0), 0) / 1000 + pauses;
  const tolerance = result.video.length ? 0.045 : frame + 0.002;
  const waits = result.video.length ? result.video[0].cts / 1000 : 0;
  assert.ok(result.seconds <= seconds + tolerance && result.seconds >= seconds - waits - tolerance, `it takes ${result.seconds} s, ${seconds} s were recorded`);
  return result;
}

/** ffprobe and ffmpeg have nothing to say against it, and decode every picture. */
async function plays(hub, bytes, { video, seconds }) {
  const file = path.join(hub.nginx.dir, `clip-${process.hrtime.bigint()}.mp4`);
  fs.writeFileSync(file, bytes);
  const { stdout, stderr } = await run('ffprobe', ['-v', 'error', '-count_frames', '-show_entries', 'stream=codec_type,nb_read_frames:format=duration', '-of', 'json', file]);
  assert.equal(stderr, '', 'ffprobe is silent');
  const { streams, format } = JSON.parse(stdout);
  const picture = streams.find((s) => s.codec_type === 'video');
  assert.equal(picture ? Number(picture.nb_read_frames) : 0, video.length, 'pictures that ffprobe decodes');
  assert.ok(Math.abs(Number(format.duration) - seconds) <= 0.05, `ffprobe says ${format.duration} s, expected ${seconds}`);
  const decoded = await run('ffmpeg', ['-nostdin', '-v', 'error', '-threads', '1', '-i', file, '-fps_mode', 'passthrough', '-f', 'null', '-'], { check: false });
  assert.equal(decoded.stderr + (decoded.code ? `exit status ${decoded.code}` : ''), '', 'ffmpeg decodes it');
  fs.rmSync(file);
}

// ---- of what the recorder makes --------------------------------------------

async function publish(hub, name, steps) {
  const client = await openStream(hub.rtmp);
  client.setChunkSize(4096);
  await client.publish(`${name}?key=k`);
  await replay(client, steps).done;
  await client.ping();
  await client.close();
}

describe('clips of what the recorder made', { concurrency: 6 }, () => {
  let hub;
  before(async () => { hub = await startClips(); });
  after(() => hub.stop());

  /** The whole of a stream, read, and the clip from `from` ms behind its start up to `to`. */
  async function cut(name, { files = 1, from = 0, to, ...rules } = {}) {
    const recordings = await hub.recordings.closed(`live/${name}`, files);
    const start = recordings[0].start;
    const end = to === undefined ? Math.ceil(recordings.at(-1).start + recordings.at(-1).end) + 1000 : start + to;
    const { status, headers, body } = await hub.clip(`live/${name}`, start + from, end);
    assert.equal(status, 200, body.toString('latin1', 0, 300));
    assert.equal(headers['content-length'], String(body.length));
    const result = checkClip(body, recordings, start + from, end, rules);
    await plays(hub, body, result);
    return { recordings, ...result };
  }

  test('one file, from its middle', DEADLINE, async () => {
    await publish(hub, 'plain', plan(await makeClip({ seconds: 5 })));
    const { video } = await cut('plain', { from: 1700, to: 3500 });
    assert.equal(video.length, 75, 'from the key frame at 1 s to the end of the one at 3 s');
    await cut('plain');
  });

  test('frames in another order than shown', DEADLINE, async () => {
    await publish(hub, 'reordered', plan(await makeClip({ seconds: 4, bframes: 3 })));
    const { video } = await cut('reordered', { from: 1500 });
    assert.ok(new Set(video.map(({ cts }) => cts)).size > 1, 'the encoder made B-frames');
  });

  test('sound alone', DEADLINE, async () => {
    await publish(hub, 'radio', plan(await makeClip({ size: null, seconds: 4 })));
    await cut('radio', { from: 1500 });
  });

  test('picture alone', DEADLINE, async () => {
    await publish(hub, 'silent', plan(await makeClip({ rate: null, seconds: 3 })));
    await cut('silent', { from: 500 });
  });

  test('over a gap: the sum of what was recorded', DEADLINE, async () => {
    const source = await makeClip({ seconds: 5 });
    await publish(hub, 'tunnel', plan(source, { to: 2330 }));
    await new Promise((resolve) => { setTimeout(resolve, 700); });
    await publish(hub, 'tunnel', plan(source, { from: 3000 }));
    const { recordings } = await cut('tunnel');
    assert.equal(recordings[0].playlist.segments.filter(({ gap }) => gap).length, 1, 'a gap is in it');
  });

  test('over another resolution and another sample rate', DEADLINE, async () => {
    const [small, large] = await Promise.all([makeClip({ seconds: 2 }), makeClip({ seconds: 2, size: '640x360', rate: 48000 })]);
    await publish(hub, 'change', [...plan(small), ...plan(large, { stamp: (t) => t.dts + 2000, when: (t) => t.dts + 2000, headersAt: 1999 })]);
    const { movie } = await cut('change', { files: 2 });
    assert.deepEqual(movie.tracks[0].descriptions.map(({ width }) => width), [320, 640]);
    assert.equal(movie.tracks[1].descriptions.length, 2);
  });
});
