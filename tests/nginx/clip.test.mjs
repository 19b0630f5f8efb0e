// clip.mp4: a span of the recordings as one file.  Every clip is compared with
// its recordings by a reader of the standard, and decoded by ffmpeg.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { makeClip, plan, replay } from '../lib/clips.mjs';
import { get, getBytes, getRange, startHub, token } from '../lib/hub.mjs';
import { readMp4 } from '../lib/mp4.mjs';
import { until } from '../lib/nginx.mjs';
import { Recordings } from '../lib/recording.mjs';
import { makeSource, writeRecordings } from '../lib/recordings.mjs';
import { openStream } from '../lib/rtmp.mjs';
import { run } from '../lib/stack.mjs';
import { selfSigned } from '../lib/tls.mjs';

const DEADLINE = { timeout: 120_000 };
const NOON = Date.parse('2026-03-10T12:00:00Z');
const answer = () => ({ allow: true, uid: 7, stream: 3, record: true });

async function startClips({ location = '', main = '', listen = '', ...options } = {}) {
  const hub = await startHub({
    answer,
    files: { 'rec/.keep': '' },
    ...options,
    main: `thread_pool dvr threads=4; thread_pool history threads=4; dvr_threads dvr; dvr {{dir}}/rec; hub_grace 2s;
      ${main}`,
    // a small buffer of the socket: what the kernel takes of an answer is not the worker's any more
    listen: `sndbuf=32k; ${listen} location ~ ^/m/[^/]+/rec/ { access_token_keys {{dir}}/keys; hub_history {{dir}}/rec;
      hub_history_threads history;
      aio threads=history; sendfile on; ${location} } root /nonexistent`,
  });
  hub.root = path.join(hub.nginx.dir, 'rec');
  hub.recordings = new Recordings(hub.root);
  hub.clipUrl = (stream, from, to, over = {}) =>
    `${hub.base}/m/${token(stream, { a: 'replay', ...over })}/rec/${encodeURI(stream)}/clip.mp4` +
    `?${[from !== undefined && `from=${from}`, to !== undefined && `to=${to}`].filter(Boolean).join('&')}`;
  hub.clip = (stream, from, to) => getBytes(hub.clipUrl(stream, from, to));
  return hub;
}

// ---- checks of a clip ------------------------------------------------------

/** The segments that a clip must have: [{r, segments}]. */
function chosen(recordings, from, to) {
  const all = recordings.flatMap((r) => r.playlist.segments.map((segment) => ({ r, ...segment })));
  const ends = (s) => s.utc + s.duration;
  let first = all.findIndex((s) => ends(s) > from);
  while (all[first].dependent) first--;
  const last = all.findLastIndex((s) => s.utc < to);
  return recordings
    .map((r) => ({ r, segments: all.slice(first, last + 1).filter((s) => s.r === r) }))
    .filter(({ segments }) => segments.length);
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

/** SPS and PPS of an avcC record (14496-15, 5.3.3.1), each with its length in front. */
function setsOf(config) {
  const sets = [];
  let at = 6;
  for (let n = config[5] & 31, kind = 0; kind < 2; n = config[at++], kind++) {
    for (; n > 0; n--) {
      const length = config.readUInt16BE(at);
      sets.push(Buffer.from([0, 0, length >> 8, length & 255]), config.subarray(at + 2, at + 2 + length));
      at += 2 + length;
    }
  }
  return Buffer.concat(sets);
}

/** Compares a clip's bytes with the recordings; returns {movie, video, audio, seconds, dropped}. */
function checkClip(bytes, recordings, from, to, { pauses = 0 } = {}) {
  const parts = chosen(recordings, from, to);
  const movie = readMp4(bytes);
  assert.equal(movie.fragmented, false);
  assert.deepEqual(
    movie.tracks.map(({ edits }) => edits.length > 0),
    movie.tracks.map(() => true),
    'every track says where it begins',
  );

  // the payload is one range of each file; in a clip of several configurations
  // parameter sets precede each key frame
  let at = movie.initSize + (bytes.readUInt32BE(movie.initSize) === 1 ? 16 : 8);
  const configs = new Set(parts.map(({ r }) => of(r.movie, 'video')?.config.toString('hex')).filter(Boolean));
  for (const part of parts) {
    const { r, segments } = part;
    const [from, to] = [segments[0].offset, segments.at(-1).offset + segments.at(-1).size];
    const keys =
      configs.size > 1
        ? (of(r.movie, 'video')?.samples ?? [])
            .filter((s) => s.key && s.offset > from && s.offset < to)
            .map((s) => s.offset)
        : [];
    const sets = keys.length ? setsOf(of(r.movie, 'video').config) : Buffer.alloc(0);
    part.place = (offset) => at_ + offset - from + sets.length * keys.filter((key) => key < offset).length;
    part.grows = (offset) => (keys.includes(offset) ? sets.length : 0);
    const at_ = at;
    const cuts = [from, ...keys, to];
    const want = Buffer.concat(
      cuts.slice(1).flatMap((cut, i) => [r.bytes.subarray(cuts[i], cut), cut === to ? Buffer.alloc(0) : sets]),
    );
    assert.ok(bytes.subarray(at, at + want.length).equals(want), `the bytes of ${r.file}`);
    at += want.length;
  }
  assert.equal(at, bytes.length);

  // each recorded frame once, in order
  const result = { movie, seconds: movie.durationMs / 1000 };
  for (const kind of ['video', 'audio']) {
    const track = of(movie, kind);
    const want = parts.flatMap(({ r, segments, place, grows }) =>
      (of(r.movie, kind)?.samples ?? [])
        .filter((s) => s.offset >= segments[0].offset && s.offset < segments.at(-1).offset + segments.at(-1).size)
        .map((s) => ({
          ...s,
          offset: place(s.offset),
          size: s.size + grows(s.offset),
          utc: r.start + ((s.dts + s.cts) * 1000) / of(r.movie, kind).timescale,
          config: of(r.movie, kind).config,
          piece: `${r.file} ${segments.filter((x) => x.gap && x !== segments[0] && x.offset <= s.offset).length}`,
        })),
    );
    if (want.length === 0) { assert.equal(track, undefined, `no ${kind}`); result[kind] = []; continue; }
    const bySpot = new Map(want.map((s) => [s.offset, s]));
    const have = track.samples.map((s) => {
      const source = bySpot.get(s.offset);
      assert.ok(source, `${kind} at ${s.offset} is a recorded frame`);
      assert.deepEqual([s.size, s.key], [source.size, source.key], `${kind} at ${s.offset}`);
      assert.ok(
        track.descriptions[s.description - 1].config.equals(source.config),
        `the configuration of ${kind} at ${s.offset}`,
      );
      return { ...source, at: shownAt(movie, track, s) };
    });
    assert.deepEqual(
      have.map((s) => s.offset),
      have.map((s) => s.offset).sort((a, b) => a - b),
      `${kind} in its order`,
    );
    result[kind] = have;
    result[`${kind}Dropped`] = want.length - have.length;
  }

  // sound and picture have one clock; at a joint sound is less than a frame off
  const clocks = new Map();
  for (const { piece, at: shown, utc } of result.video) {
    if (!clocks.has(piece)) clocks.set(piece, shown - utc / 1000);
    assert.ok(
      Math.abs(shown - utc / 1000 - clocks.get(piece)) < 0.0015,
      `a picture of ${piece} is ${shown - utc / 1000 - clocks.get(piece)} s off`,
    );
  }
  const frame = 1024 / (of(movie, 'audio')?.timescale ?? 48000);
  for (const { piece, at: shown, utc } of result.audio) {
    if (!clocks.has(piece)) clocks.set(piece, shown - utc / 1000);                   // sound alone
    assert.ok(
      Math.abs(shown - utc / 1000 - clocks.get(piece)) <= frame / 2 + 0.002,
      `sound of ${piece} is ${shown - utc / 1000 - clocks.get(piece)} s off`,
    );
  }
  if (result.video.length) {
    assert.equal(result.videoDropped, 0, 'every picture is there');
    assert.ok(result.video[0].key, 'it begins with a key frame');
    assert.ok(Math.abs(result.video[0].at) < 1e-6, `its first picture is shown at ${result.video[0].at}`);
    assert.ok(result.audio.every(({ at: shown }) => shown > -frame), 'no sound from before the first picture');
  }
  // the index has decoding times: a reordered picture is shown later
  const seconds =
    parts.reduce((sum, { segments }) => sum + segments.reduce((n, s) => n + s.duration, 0), 0) / 1000 + pauses;
  const tolerance = result.video.length ? 0.045 : frame + 0.002;
  const waits = result.video.length ? result.video[0].cts / 1000 : 0;
  assert.ok(
    result.seconds <= seconds + tolerance && result.seconds >= seconds - waits - tolerance,
    `it takes ${result.seconds} s, ${seconds} s were recorded`,
  );
  return result;
}

/** ffprobe and ffmpeg do not complain, and decode every picture. */
async function plays(hub, bytes, { video, seconds }) {
  const file = path.join(hub.nginx.dir, `clip-${process.hrtime.bigint()}.mp4`);
  fs.writeFileSync(file, bytes);
  const { stdout, stderr } = await run('ffprobe', [
    '-v',
    'error',
    '-count_frames',
    '-show_entries',
    'stream=codec_type,nb_read_frames:format=duration',
    '-of',
    'json',
    file,
  ]);
  assert.equal(stderr, '', 'ffprobe is silent');
  const { streams, format } = JSON.parse(stdout);
  const picture = streams.find((s) => s.codec_type === 'video');
  assert.equal(picture ? Number(picture.nb_read_frames) : 0, video.length, 'pictures that ffprobe decodes');
  assert.ok(
    Math.abs(Number(format.duration) - seconds) <= 0.05,
    `ffprobe says ${format.duration} s, expected ${seconds}`,
  );
  const decoded = await run(
    'ffmpeg',
    ['-nostdin', '-v', 'error', '-threads', '1', '-i', file, '-fps_mode', 'passthrough', '-f', 'null', '-'],
    { check: false },
  );
  assert.equal(decoded.stderr + (decoded.code ? `exit status ${decoded.code}` : ''), '', 'ffmpeg decodes it');
  fs.rmSync(file);
}

// ---- clips of recordings ---------------------------------------------------

async function publish(hub, name, steps) {
  const client = await openStream(hub.rtmp);
  client.setChunkSize(4096);
  await client.publish(`${name}?key=k`);
  await replay(client, steps).done;
  await client.ping();
  await client.close();
}

describe('clips of recordings', { concurrency: 6 }, () => {
  let hub;
  before(async () => { hub = await startClips(); });
  after(() => hub.stop());

  /** A stream's recordings, and the clip from `from` ms after their start up to `to`. */
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

  test('B-frames', DEADLINE, async () => {
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

  test('over a gap: as long as the recorded parts', DEADLINE, async () => {
    const source = await makeClip({ seconds: 5 });
    await publish(hub, 'tunnel', plan(source, { to: 2330 }));
    await new Promise((resolve) => { setTimeout(resolve, 700); });
    await publish(hub, 'tunnel', plan(source, { from: 3000 }));
    const { recordings } = await cut('tunnel');
    assert.equal(recordings[0].playlist.segments.filter(({ gap }) => gap).length, 1, 'a gap is in it');
  });

  test('of a stream that is still being recorded', DEADLINE, async () => {
    const steps = plan(await makeClip({ seconds: 5 }));
    const sent = publish(hub, 'growing', steps);
    const index = () =>
      hub.recordings
        .files('live/growing')
        .map((file) => path.join(hub.root, file.replace(/mp4$/, 'm3u8')))
        .filter((file) => fs.existsSync(file))
        .map((file) => fs.readFileSync(file, 'utf8'))
        .join('');
    await until(() => index().split('#EXTINF').length > 3, 'segments');
    const before_ = index();
    const [, start] = /PROGRAM-DATE-TIME:(.*)/.exec(before_);
    const { status, headers, body } = await hub.clip('live/growing', Date.parse(start), Date.parse(start) + 1000);
    assert.equal(status, 200);
    assert.equal(headers['cache-control'], 'private, no-cache', 'nothing more comes into that span');
    const open = await hub.clip('live/growing', Date.parse(start), Date.parse(start) + 60_000);
    assert.deepEqual([open.status, open.headers['cache-control']], [200, 'no-store'], 'it is longer when asked again');
    assert.ok(!before_.includes('ENDLIST'), 'it was still being recorded');
    await sent;
    const recordings = await hub.recordings.closed('live/growing');
    const result = checkClip(body, recordings, Date.parse(start), Date.parse(start) + 1000);
    await plays(hub, body, result);
  });

  test('with two resolutions and two sample rates', DEADLINE, async () => {
    const [small, large] = await Promise.all([
      makeClip({ seconds: 2 }),
      makeClip({ seconds: 2, size: '640x360', rate: 48000 }),
    ]);
    await publish(hub, 'change', [
      ...plan(small),
      ...plan(large, { stamp: (t) => t.dts + 2000, when: (t) => t.dts + 2000, headersAt: 1999 }),
    ]);
    const { movie } = await cut('change', { files: 2 });
    assert.deepEqual(movie.tracks[0].descriptions.map(({ width }) => width), [320, 640]);
    assert.equal(movie.tracks[1].descriptions.length, 2);
  });
});

// ---- over HTTP -------------------------------------------------------------

/** Sends a request and reads only the head of the answer. */
function slowReader(url, headers = {}) {
  return new Promise((resolve, reject) => {
    const request = http.get(url, { agent: false, headers }, (response) => {
      response.pause();
      const reader = {
        request,
        response,
        status: response.statusCode,
        length: Number(response.headers['content-length']),
        chunks: [],
      };
      response.on('error', () => {});
      const closed = new Promise((done) => { response.on('close', done); });
      reader.rest = async () => {
        response.on('data', (data) => reader.chunks.push(data)).resume();
        await closed;
        return Buffer.concat(reader.chunks);
      };
      resolve(reader);
    });
    request.on('error', reject);
  });
}

/** The same over HTTP/2, which stops after 64 KB: for answers that are too short to fill a socket. */
function slowHttp2(url) {
  const { port, pathname, search } = new URL(url);
  const session = http2.connect(`https://127.0.0.1:${slowHttp2.port ?? port}`, { rejectUnauthorized: false });
  const stream = session.request({ ':path': pathname + search });
  const chunks = [];
  stream.on('error', () => {});
  const closed = new Promise((done) => { stream.on('close', done); });
  return new Promise((resolve, reject) => {
    session.on('error', reject);
    stream.on('response', (fields) => resolve({
      request: session,
      status: fields[':status'], length: Number(fields['content-length']),
      rest: async () => {
        stream.on('data', (data) => chunks.push(data));
        await closed;
        session.close();
        return Buffer.concat(chunks);
      },
    }));
  });
}

describe('clips over HTTP', () => {
  let hub;
  let demo;
  const LONG = NOON + 24 * 3600_000;

  const tls = fs.mkdtempSync(path.join(os.tmpdir(), 'duolu-tls-'));
  let source;

  before(async () => {
    const pair = selfSigned();
    for (const name of ['crt', 'key']) fs.writeFileSync(path.join(tls, name), pair[name]);
    source = await makeSource();
    hub = await startClips({
      workers: 1,
      location: 'hub_history_clip_max 400s; hub_history_clips 2 2;',
      listen: `listen 127.0.0.1:{{port:https}} ssl http2; ssl_certificate ${tls}/crt; ssl_certificate_key ${tls}/key;`,
    });
    const write = (stream, options) => writeRecordings(hub.root, stream, source, options);
    write('live/demo', { spans: [[NOON - 10_000, NOON + 10_000], [NOON + 60_000, NOON + 70_000]] });
    write('live/demo', { spans: [[NOON + 75_400, NOON + 80_400]], session: NOON - 10_000 });
    write('live/gop', { spans: [[NOON, NOON + 20_000]], step: 2, dependent: (n) => n % 3 !== 0 });
    write('live/摄像机', { spans: [[NOON, NOON + 2000]] });
    write('live/longer', { spans: [[LONG, LONG + 410_000]], step: 10, media: false });
    write('live/long', { spans: [[LONG, LONG + 390_000]], step: 10 });
    write('live/long', {
      spans: [[LONG + 7 * 3600_000, LONG + 11 * 3600_000]],
      step: 2,
      dependent: () => false,
      media: false,
    });
    slowHttp2.port = hub.nginx.ports.https;
    demo = hub.recordings.files('live/demo').map((file) => hub.recordings.read(file));
  });
  after(async () => {
    await hub.stop();
    fs.rmSync(tls, { recursive: true });
  });

  const good = async (stream, recordings, from, to, rules) => {
    const { status, body } = await hub.clip(stream, from, to);
    assert.equal(status, 200, body.toString('latin1', 0, 300));
    const result = checkClip(body, recordings, from, to, rules);
    await plays(hub, body, result);
    return result;
  };

  test('over a full hour: two files', DEADLINE, async () => {
    const { video } = await good('live/demo', demo, NOON - 3000, NOON + 3000);
    assert.equal(video.length, 150);
  });

  test('over a gap and the borders of files: the recorded frames, and no more', DEADLINE, async () => {
    const { video } = await good('live/demo', demo, NOON - 10_000, NOON + 90_000);
    assert.equal(video.length, 35 * 25);
  });

  test('from before the first frame to after the last', DEADLINE, async () => {
    const { video } = await good('live/demo', demo, NOON - 3600_000, NOON + 300_000);
    assert.equal(video.length, 35 * 25);
  });

  test('does not include a segment that begins at `to`', DEADLINE, async () => {
    const { video } = await good('live/demo', demo, NOON + 1000, NOON + 4000);
    assert.equal(video.length, 75);
    assert.equal((await good('live/demo', demo, NOON + 1000, NOON + 4001)).video.length, 100);
  });

  test('from within a dependent segment: begins at the key frame before', DEADLINE, async () => {
    const recordings = hub.recordings.files('live/gop').map((file) => hub.recordings.read(file));
    const { video } = await good('live/gop', recordings, NOON + 11_000, NOON + 13_000);
    assert.equal(video[0].utc, NOON + 6000);
    assert.equal(video.length, 8 * 25);
  });

  const refusals = [
    ['nothing was recorded', 'live/demo', NOON + 20_000, NOON + 50_000, 404, /nothing was recorded/],
    ['another day', 'live/demo', NOON - 9 * 24 * 3600_000, NOON - 8 * 24 * 3600_000, 404, /nothing was recorded/],
    ['a stream without recordings', 'live/none', NOON, NOON + 1000, 404, /./],
    [
      'longer than allowed',
      'live/longer',
      LONG,
      LONG + 3600_000,
      400,
      /410 s long: hub_history_clip_max allows 400 s/,
    ],
    ['an end before the beginning', 'live/demo', NOON, NOON - 1, 400, /expected an end behind the beginning/],
    ['an invalid time', 'live/demo', 'noon', NOON, 400, /from is .*noon.*: expected a time/],
  ];
  for (const [name, stream, from, to, status, why] of refusals) {
    test(`${name}: ${status}`, DEADLINE, async () => {
      const reply = await hub.clip(stream, from, to);
      assert.equal(reply.status, status, reply.body.toString());
      assert.match(JSON.parse(reply.body).error, why);
    });
  }

  test('rights: the token must allow replay of this stream, and not be revoked', DEADLINE, async () => {
    const ask = async (stream, over) => (await get(hub.clipUrl(stream, NOON, NOON + 1000, over))).status;
    assert.equal(await ask('live/demo', { a: 'view' }), 403);
    assert.equal(await ask('live/demo', { s: 'live/long' }), 403);
    assert.equal(await ask('live/demo', { exp: 1 }), 403);
    assert.equal(await ask('live/demo', {}), 200);
    assert.equal(await ask('live/demo', { a: 'watch' }), 200, 'for view and replay');
    await hub.control('revoke?user=9');
    assert.equal(await ask('live/demo', { sub: '9' }), 403);
  });

  test('its file name', DEADLINE, async () => {
    const name = async (stream) => (await hub.clip(stream, NOON, NOON + 1000)).headers['content-disposition'];
    assert.equal(await name('live/demo'), 'attachment; filename="demo-20260310T120000Z.mp4"');
    assert.equal(
      await name('live/摄像机'),
      'attachment; filename="_________-20260310T120000Z.mp4"; ' +
        `filename*=UTF-8''${encodeURIComponent('摄像机')}-20260310T120000Z.mp4`,
    );
  });

  test('its file name has the local time of the zone', DEADLINE, async () => {
    const ask = (zone) => getBytes(`${hub.clipUrl('live/demo', NOON, NOON + 1000)}&zone=${zone}`);
    for (const [zone, time] of [
      ['60', '20260310T130000'],
      ['-150', '20260310T093000'],
      ['0', '20260310T120000'],
      ['840', '20260311T020000'],
    ]) {
      assert.equal((await ask(zone)).headers['content-disposition'], `attachment; filename="demo-${time}.mp4"`);
    }
    for (const zone of ['', '841', '-', 'CET', '1.5']) {
      const { status, body } = await ask(zone);
      assert.equal(status, 400, zone);
      assert.match(String(body), /zone is .*: expected minutes east of UTC, -840 to 840/);
    }
  });

  test('the same clip has the same bytes, so a download can be resumed', DEADLINE, async () => {
    const url = hub.clipUrl('live/demo', NOON - 5000, NOON + 90_000);
    const { headers, body } = await getBytes(url);
    assert.equal(headers['content-type'], 'video/mp4');
    assert.equal(headers['accept-ranges'], 'bytes');
    assert.match(headers.etag, /^"[0-9a-f]{32}"$/);
    const again = await getBytes(hub.clipUrl('live/demo', NOON - 5000, NOON + 90_000, { sub: '8' }));
    assert.ok(again.body.equals(body) && again.headers.etag === headers.etag, 'for another user too');
    const other = await getBytes(hub.clipUrl('live/demo', NOON - 5000, NOON + 3000));
    assert.notEqual(other.headers.etag, headers.etag);

    const head = readMp4(body).initSize;
    const first = demo[0].playlist.segments
      .filter(({ utc }) => utc >= NOON - 5000)
      .reduce((sum, { size }) => sum + size, 0);
    const places = [
      0,
      1,
      head - 1,
      head,
      head + 8,
      head + 8 + first - 1,
      head + 8 + first,
      head + 8 + first + 1,
      body.length - 1,
    ];
    for (const from of places) {
      const rest = await getRange(url, `bytes=${from}-`, { 'if-range': headers.etag });
      assert.equal(rest.status, 206);
      assert.equal(rest.headers['content-range'], `bytes ${from}-${body.length - 1}/${body.length}`);
      assert.ok(rest.body.equals(body.subarray(from)), `the bytes from ${from} on`);
    }
    for (const [from, to] of [[0, head + 10], [head - 5, head + 8 + first + 5], [7, 7]]) {
      const part = await getRange(url, `bytes=${from}-${to}`);
      assert.equal(part.status, 206);
      assert.ok(part.body.equals(body.subarray(from, to + 1)), `the bytes from ${from} to ${to}`);
    }
    assert.equal((await getRange(url, `bytes=${body.length}-`)).status, 416);
    for (const whole of [{ range: 'bytes=5-', 'if-range': '"another"' }, { range: 'bytes=0-1,5-6' }]) {
      const all = await getBytes(url, { headers: whole });
      assert.equal(all.status, 200);
      assert.ok(all.body.equals(body), JSON.stringify(whole));
    }
    assert.equal((await getBytes(url, { headers: { 'if-none-match': headers.etag } })).status, 304);
  });

  test('HEAD has the same headers, POST is refused', DEADLINE, async () => {
    const url = hub.clipUrl('live/demo', NOON, NOON + 3000);
    const [whole, head] = [await getBytes(url), await getBytes(url, { method: 'HEAD' })];
    assert.equal(head.status, 200);
    assert.equal(head.body.length, 0);
    for (const name of ['content-length', 'etag', 'content-type', 'content-disposition'])
      assert.equal(head.headers[name], whole.headers[name], name);
    assert.equal((await getBytes(url, { method: 'POST' })).status, 405);
  });

  const isReplay = async () => (await hub.sessions()).filter(({ kind }) => kind === 'replay');
  const ways = [
    ['its user is revoked', ({ uid }) => hub.control(`revoke?user=${uid}`)],
    [
      'its stream is revoked',
      async () => {
        await hub.control('revoke?stream=live/long');
        hub.revokedAt = Math.ceil(Date.now() / 1000);
      },
    ],
    ['it is kicked', ({ id }) => hub.control(`kick?id=${id}`)],
  ];
  const long = (over, file) => `${hub.base}/m/${token('live/long', { a: 'replay', ...over })}/rec/live/long/${file}`;
  const downloads = [
    ['clip', 'mp4', (over) => slowReader(hub.clipUrl('live/long', LONG, LONG + 390_000, over))],
    [
      'whole file',
      'file',
      (over) => slowReader(long(over, hub.recordings.files('live/long')[0].slice('live/long/'.length))),
    ],
    [
      'range',
      'file',
      (over) =>
        slowReader(long(over, hub.recordings.files('live/long')[0].slice('live/long/'.length)), {
          range: 'bytes=1000-',
        }),
    ],
    ['list', 'hls', (over) => slowHttp2(long(over, `index.m3u8?from=${LONG}&to=${LONG + 24 * 3600_000}`))],
  ];
  let user = 30;
  for (const [what, protocol, ask] of downloads) {
    for (const [name, act] of ways) {
      test(`a ${what} that is being sent is a session, and ends when ${name}`, DEADLINE, async () => {
        await until(() => !hub.revokedAt || Math.floor(Date.now() / 1000) > hub.revokedAt, 'another second');
        const reader = await ask({ sub: String(++user) });
        assert.ok([200, 206].includes(reader.status), `status ${reader.status}`);
        await until(async () => (await isReplay()).length === 1, 'its session');
        const [row] = await isReplay();
        assert.deepEqual([row.uid, row.protocol, row.address], [user, protocol, '127.0.0.1']);
        const told = Date.now();
        await act(row);
        await until(async () => (await isReplay()).length === 0, 'its session to be gone');
        const got = await reader.rest();
        console.log(`# ended after ${Date.now() - told} ms`);
        assert.ok(got.length < reader.length, `${got.length} of ${reader.length} bytes came: the rest must not`);
      });
    }
  }

  test('sessions of small ranges end with their requests', DEADLINE, async () => {
    const url = long({}, hub.recordings.files('live/long')[0].slice('live/long/'.length));
    for (let n = 0; n < 100; n++) {
      assert.equal((await getRange(url, `bytes=${n * 1000}-${n * 1000 + 999}`)).body.length, 1000);
    }
    assert.deepEqual(await isReplay(), []);
    const metrics = (await get(`${hub.base}/metrics`)).text;
    assert.match(metrics, /duolu_sessions\{kind="replay",protocol="file"\} 0/);
  });

  test('over HTTP/2 and TLS: the same bytes, and a kick ends only this clip', DEADLINE, async (t) => {
    const session = http2.connect(`https://127.0.0.1:${hub.nginx.ports.https}`, { rejectUnauthorized: false });
    t.after(() => session.close());
    const open = (to) => session.request({ ':path': hub.clipUrl('live/long', LONG, to).slice(hub.base.length) });
    const slow = open(LONG + 390_000);
    slow.on('error', () => {});
    const ended = new Promise((resolve) => { slow.on('close', resolve); });
    await until(async () => (await isReplay()).length === 1, 'its session');
    const [{ id }] = await isReplay();

    const body = await new Promise((resolve, reject) => {
      const chunks = [];
      const whole = open(LONG + 20_000);
      whole.on('data', (data) => chunks.push(data)).on('end', () => resolve(Buffer.concat(chunks))).on('error', reject);
    });
    assert.ok(body.equals((await hub.clip('live/long', LONG, LONG + 20_000)).body), 'the bytes of it');
    await hub.control(`kick?id=${id}`);
    await until(async () => !(await isReplay()).some((row) => row.id === id), 'its session to be gone');
    let got = 0;
    slow.on('data', (data) => { got += data.length; });
    await ended;
    assert.ok(got < body.length, `${got} bytes came`);
    const after_ = await new Promise((resolve, reject) => {
      open(LONG + 1000)
        .on('response', (fields) => resolve(fields[':status']))
        .on('error', reject)
        .resume();
    });
    assert.equal(after_, 200, 'the connection goes on');
  });

  test('hub_history_clips limits the clips at the same time', DEADLINE, async () => {
    const url = hub.clipUrl('live/long', LONG, LONG + 390_000);
    const readers = [await slowHttp2(url), await slowHttp2(url)];      // a kernel may take 36 MB in sockets
    const refused = await getBytes(url);
    assert.equal(refused.status, 503);
    assert.match(JSON.parse(refused.body).error, /2 clips are being sent: hub_history_clips allows no more/);
    readers[0].request.destroy();
    await until(async () => (await isReplay()).length === 1, 'one to be gone');
    assert.equal((await getBytes(url)).status, 200);
    readers[1].request.destroy();
    await until(async () => (await isReplay()).length === 0, 'both to be gone');
  });

  test('a deleted recording ends its downloads: clips and the file itself', DEADLINE, async () => {
    const [r] = writeRecordings(hub.root, 'live/gone', source, { spans: [[LONG, LONG + 390_000]], step: 10 });
    const url = hub.clipUrl('live/gone', LONG, LONG + 390_000);
    const file = `${url.slice(0, url.lastIndexOf('/'))}/${r.file}`;
    const readers = [await slowReader(url), await slowReader(file)];
    await until(async () => (await isReplay()).length === 2, 'two sessions');
    const from = hub.nginx.log().length;
    fs.rmSync(r.path);
    fs.rmSync(r.index);
    await until(async () => (await isReplay()).length === 0, 'both to end');
    for (const reader of readers) assert.ok((await reader.rest()).length < reader.length, 'the rest never came');
    assert.equal(hub.nginx.log().slice(from).match(/replay ended: the recording was deleted/g).length, 2);
    assert.equal((await getBytes(url)).status, 404);
  });

  test('a damaged file: 500, and the log names the file and the offset', DEADLINE, async () => {
    const [r] = writeRecordings(hub.root, 'live/broken', source, { spans: [[NOON, NOON + 5000]] });
    const { offset } = r.segments[2];
    const fd = fs.openSync(r.path, 'r+');
    fs.writeSync(fd, Buffer.from('oops'), 0, 4, offset + 4);
    fs.closeSync(fd);
    assert.equal((await hub.clip('live/broken', NOON, NOON + 1000)).status, 200, 'what is not damaged');
    const from = hub.nginx.log().length;
    const reply = await hub.clip('live/broken', NOON, NOON + 5000);
    assert.equal(reply.status, 500);
    await until(() => hub.nginx.log().slice(from).includes(`has no valid fragment at ${offset}`), 'the log line');
  });
});
