// modules/media/mp4.c (mux_mp4) packs real encodings, and their frames are compared with
// the input, one by one: by our reader of MP4, by ffprobe, and by ffmpeg's decoder.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { writeTag } from '../lib/flv.mjs';
import { FlvReader } from '../lib/hub.mjs';
import { readMp4 } from '../lib/mp4.mjs';

const repo = fileURLToPath(new URL('../..', import.meta.url));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'duolu-mp4-'));
after(() => fs.rmSync(folder, { recursive: true }));

const AAC_FRAME = 1024;

function run(command, args, input) {
  const done = spawnSync(command, args, { input, maxBuffer: 1 << 28, timeout: 60_000 });
  assert.equal(done.status, 0, `${command} ${args.join(' ')}: ${done.error ?? done.stderr}`);
  return { stdout: done.stdout, stderr: done.stderr.toString() };
}

const ffmpeg = (...args) => run('ffmpeg', ['-nostdin', '-v', 'error', '-y', ...args]).stdout;
const picture = (size, rate = 30) => ['-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=${rate}`];
const sound = (rate, channels = 1) => [
  '-f',
  'lavfi',
  '-i',
  `sine=frequency=440:sample_rate=${rate}`,
  '-ac',
  String(channels),
];
const x264 = (...more) => [
  '-c:v',
  'libx264',
  '-preset',
  'ultrafast',
  '-g',
  '30',
  '-pix_fmt',
  'yuv420p',
  '-threads',
  '1',
  ...more,
];
const flv = ['-flvflags', 'no_duration_filesize+no_sequence_end', '-f', 'flv', '-'];

/** Converts an MP4's video to Enhanced FLV, which Debian's ffmpeg cannot write for H.265. */
function enhancedFlv(file) {
  const [track] = readMp4(file).tracks;
  const fourcc = Buffer.from('hvc1');
  const ms = (t) => Math.round((t * 1000) / track.timescale);
  return Buffer.concat([
    Buffer.from('464c5601010000000900000000', 'hex'),
    writeTag(9, 0, Buffer.concat([Buffer.from([0x90]), fourcc, track.config])),
    ...track.samples.map((sample) => {
      const shift = Buffer.alloc(3);
      shift.writeIntBE(ms(sample.dts + sample.cts) - ms(sample.dts), 0, 3);
      return writeTag(9, ms(sample.dts), Buffer.concat([Buffer.from([sample.key ? 0x91 : 0xa1]), fourcc, shift,
        file.subarray(sample.offset, sample.offset + sample.size)]));
    }),
  ]);
}

const hevc = (size) => {
  const file = path.join(folder, 'hevc.mp4');
  ffmpeg(...picture(size), '-t', '2', '-c:v', 'libx265', '-preset', 'ultrafast', '-tag:v', 'hvc1',
    '-x265-params', 'log-level=none:keyint=15:bframes=2:pools=none:frame-threads=1', file);
  return enhancedFlv(fs.readFileSync(file));
};

const cases = [
  {
    what: 'H.264 and AAC',
    size: [320, 180],
    rate: 44100,
    make: () => ffmpeg(...picture('320x180'), ...sound(44100, 2), '-t', '4', ...x264(), '-c:a', 'aac', ...flv),
  },
  {
    what: 'H.264 with B-frames, key frames within fragments',
    size: [322, 182],
    rate: 48000,
    make: () =>
      ffmpeg(
        ...picture('322x182', 25),
        ...sound(48000),
        '-t',
        '3',
        ...x264('-bf', '3', '-g', '10', '-b_strategy', '0'),
        '-c:a',
        'aac',
        ...flv,
      ),
  },
  {
    what: 'H.264 of key frames alone',
    size: [160, 90],
    make: () => ffmpeg(...picture('160x90'), '-t', '2', ...x264('-g', '1'), ...flv),
  },
  { what: 'H.265, enhanced FLV', size: [418, 234], hevc: true, make: () => hevc('418x234') },
  { what: 'AAC alone', rate: 22050, make: () => ffmpeg(...sound(22050), '-t', '3', '-c:a', 'aac', ...flv) },
];

before(() => run('make', ['-s', '-C', path.join(repo, 'tests/unit'), 'mux_mp4']));

/** The content of an FLV: {video, audio} of {dts, pts, key, data}, and configurations. */
function contents(file) {
  const reader = new FlvReader({ bodies: true });
  reader.push(file);
  const found = { video: [], audio: [], config: {} };
  for (const { type, dts, body } of reader.tags) {
    if (type === 18) continue;
    const kind = type === 9 ? 'video' : 'audio';
    const enhanced = type === 9 && (body[0] & 0x80);
    const config = enhanced ? (body[0] & 15) === 0 : body[1] === 0;
    const at = type === 8 ? 2 : enhanced && !config ? 8 : 5;
    const cts = type === 8 || config ? 0 : body.readIntBE(at - 3, 3);
    const data = body.subarray(at);
    if (config) found.config[kind] = data;
    else found[kind].push({ dts, pts: dts + cts, key: type === 8 || (body[0] >> 4 & 7) === 1, data });
  }
  return found;
}

const decoded = (file, kind) =>
  ffmpeg('-i', file, '-map', `0:${kind}`, '-fps_mode', 'passthrough', '-f', 'framemd5', '-')
    .toString()
    .split('\n')
    .filter((line) => line && !line.startsWith('#'))
    .map((line) => line.split(',').pop().trim());

function probe(file) {
  const { stdout, stderr } = run('ffprobe', [
    '-v',
    'error',
    '-of',
    'json',
    '-show_streams',
    '-show_packets',
    '-show_format',
    file,
  ]);
  assert.equal(stderr, '', 'ffprobe is silent');
  return JSON.parse(stdout);
}

function compareVideo(file, track, given) {
  assert.deepEqual(track.samples.map((sample) => [sample.dts, sample.dts + sample.cts, sample.key]),
    given.video.map(({ dts, pts, key }) => [dts, pts, key]));
  track.samples.forEach((sample, i) =>
    assert.ok(file.subarray(sample.offset, sample.offset + sample.size).equals(given.video[i].data), `picture ${i}`),
  );
  assert.ok(track.config.equals(given.config.video), 'the configuration record is the stream\'s');
}

function compareAudio(file, track, given) {
  assert.equal(track.samples.length, given.audio.length);
  track.samples.forEach((sample, i) => {
    assert.ok(file.subarray(sample.offset, sample.offset + sample.size).equals(given.audio[i].data), `frame ${i}`);
    assert.equal(sample.duration, AAC_FRAME);
    const ms = (sample.dts * 1000) / track.timescale;
    assert.ok(Math.abs(ms - given.audio[i].dts) < 2, `frame ${i} is at ${ms} ms, its tag at ${given.audio[i].dts}`);
  });
  assert.ok(track.config.equals(given.config.audio), 'the AudioSpecificConfig is the stream\'s');
}

function comparePackets(probed, movie) {
  for (const track of movie.tracks) {
    const index = probed.streams.find((stream) => Number(stream.id) === track.id).index;
    const packets = probed.packets.filter((packet) => packet.stream_index === index);
    assert.deepEqual(
      packets.map((packet) => [
        packet.dts,
        packet.pts,
        Number(packet.pos),
        Number(packet.size),
        packet.flags.startsWith('K'),
      ]),
      track.samples.map((s) => [s.dts, s.dts + s.cts, s.offset, s.size, s.key]),
      `${track.kind} as ffprobe reads it`,
    );
  }
}

for (const { what, size, rate, hevc: isHevc, make } of cases) {
  test(`${what}: the MP4 holds the same frames`, () => {
    const from = path.join(folder, 'in.flv');
    const to = path.join(folder, 'out.mp4');
    const input = make();
    fs.writeFileSync(from, input);
    const given = contents(input);
    const file = run(path.join(repo, '.build/unit/mux_mp4'), ['1000'], input).stdout;
    fs.writeFileSync(to, file);

    const movie = readMp4(file);
    assert.deepEqual(movie.brands, { major: 'iso6', minor: 0, compatible: ['iso5', 'iso6', 'mp41'] });
    assert.deepEqual(movie.tracks.map((track) => [track.id, track.kind, track.codec]),
      [...(size ? [[1, 'video', isHevc ? 'hvc1' : 'avc1']] : []), ...(rate ? [[2, 'audio', 'mp4a']] : [])]);
    assert.ok(movie.fragments.length > 1);
    assert.equal(movie.unreferenced, 0);

    const last = Math.max(
      ...movie.tracks.map((t) => ((t.samples.at(-1).dts + t.samples.at(-1).duration) * 1000) / t.timescale),
    );
    assert.ok(Math.abs(movie.durationMs - last) < 2, `mehd says ${movie.durationMs} ms, the frames end at ${last}`);

    const probed = probe(to);
    for (const track of movie.tracks) {
      if (track.kind === 'video') {
        assert.deepEqual([track.width, track.height, track.timescale], [...size, 1000]);
        compareVideo(file, track, given);
      } else {
        assert.equal(track.timescale, rate);
        compareAudio(file, track, given);
      }
      const stream = probed.streams.find((s) => Number(s.id) === track.id);
      if (track.kind === 'audio')
        assert.deepEqual([Number(stream.sample_rate), stream.channels], [rate, track.channels]);
    }
    comparePackets(probed, movie);

    if (isHevc) {
      // Debian's ffmpeg cannot read H.265 from FLV, so compare with the encoder's own file
      assert.deepEqual(decoded(to, 'v'), decoded(path.join(folder, 'hevc.mp4'), 'v'));
    } else {
      for (const track of movie.tracks)
        assert.deepEqual(decoded(to, track.kind[0]), decoded(from, track.kind[0]), track.kind);
    }
  });
}

test('at 30 pictures and 43 frames of sound a second, fragments of 1 s cost less than 0.7 % of 1 Mbit/s', () => {
  const file = run(path.join(repo, '.build/unit/mux_mp4'), ['1000'],
    ffmpeg(...picture('320x180'), ...sound(44100), '-t', '5', ...x264('-bf', '2'), '-c:a', 'aac', ...flv)).stdout;
  const whole = readMp4(file).fragments.slice(1, 4);
  for (const { tracks } of whole) {
    assert.equal(tracks[1].samples.length, 30);
    assert.ok([43, 44].includes(tracks[2].samples.length), `${tracks[2].samples.length} frames of sound`);
  }
  const overhead = whole.reduce((sum, fragment) => sum + fragment.moofSize + 8, 0) / whole.length;
  assert.ok(overhead < 0.007 * 125_000, `${overhead} bytes a second`);
});
