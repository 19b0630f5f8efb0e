// Real encoders and probes for end-to-end tests.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { until } from './nginx.mjs';
import { run } from './stack.mjs';

/** Starts a program: {text: its output so far, code, ended, stop()}. */
export function start(command, args) {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const state = { child, text: '', code: undefined };
  state.ended = new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      state.code = code ?? signal;
      resolve(state.code);
    });
  });
  child.stdin.on('error', () => {});
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => { state.text += data; });
  state.stop = async () => {
    if (state.code === undefined) child.kill('SIGTERM');
    return state.ended;
  };
  return state;
}

/** ffmpeg pushes the test picture, or a film, in real time until stopped; `inside` is a prefix for its command. */
export function pushFfmpeg(url, { inside = [], film, ...picture } = {}) {
  const [command, ...first] = [...inside, 'ffmpeg'];
  return start(command, [...first, '-hide_banner', '-nostdin', '-loglevel', 'info',
    ...(film ? ['-re', '-i', film, '-c', 'copy'] : testPicture({ ...picture, pace: ['-re'] })), '-f', 'flv', url]);
}

/** ffmpeg's arguments for the test picture. */
const testPicture = ({ size = '320x180', rate = 25, gop = rate, bframes = 0, seconds, audio = true, pace = [] }) => [
  ...pace, '-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=${rate}`,
  ...(audio ? [...pace, '-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=44100'] : []),
  '-c:v', 'libx264', '-preset', 'ultrafast', ...(bframes ? ['-bf', String(bframes)] : ['-tune', 'zerolatency']),
  '-g', String(gop), '-pix_fmt', 'yuv420p',
  ...(audio ? ['-c:a', 'aac'] : []), ...(seconds ? ['-t', String(seconds)] : []),
];

/** As pushFfmpeg(), and writes the same packets to the file `copy` (FLV), to compare; ends after a 'q' on its input. */
export function pushAndCopy(url, copy, picture = {}) {
  const target = (to) => `[f=flv:flvflags=no_duration_filesize]${to}`;
  return start('ffmpeg', ['-hide_banner', '-loglevel', 'error', ...testPicture({ ...picture, pace: ['-re'] }),
    '-map', '0', ...(picture.audio === false ? [] : ['-map', '1']), '-threads', '1', '-flags', '+global_header',
    '-f', 'tee', `${target(url)}|${target(copy)}`]);
}

/** A file with two minutes of the test picture: pushFfmpeg() can send it on time even on a busy machine. */
export async function makeFilm(picture) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'duolu-film-'));
  process.on('exit', () => fs.rmSync(dir, { recursive: true, force: true }));
  const film = path.join(dir, 'film.flv');
  await run('ffmpeg', ['-nostdin', '-v', 'error', ...testPicture({ ...picture, seconds: 120 }), film]);
  return film;
}

/** GStreamer's rtmpsink, which is librtmp. */
export function pushLibrtmp(url) {
  return start('gst-launch-1.0', ['-q',
    'flvmux', 'name=mux', 'streamable=true', '!', 'rtmpsink', `location=${url} live=1`,
    'videotestsrc', 'is-live=true', '!', 'video/x-raw,width=320,height=180,framerate=25/1', '!',
    'x264enc', 'tune=zerolatency', 'speed-preset=ultrafast', 'key-int-max=25', '!',
    'video/x-h264,profile=main', '!', 'h264parse', '!', 'queue', '!', 'mux.',
    'audiotestsrc', 'is-live=true', '!', 'audio/x-raw,rate=44100,channels=2', '!', 'avenc_aac', '!', 'aacparse', '!',
    'queue', '!', 'mux.']);
}

/** Codec names in bytes of a stream. */
export async function probe(bytes) {
  const { stdout } = await run('ffprobe', ['-v', 'error', '-of', 'json', '-show_entries',
    'stream=codec_name,width,height', '-'], { input: bytes });
  return JSON.parse(stdout).streams;
}

/** Waits until a stream is live; returns its status entry. */
export function untilLive(stack, name, publisher) {
  return until(async () => {
    if (publisher && publisher.code !== undefined) {
      throw new Error(`the publisher of ${name} ended (${publisher.code}):\n${publisher.text.slice(-3000)}`);
    }
    const stream = (await stack.controlGet('/status')).streams.find((entry) => entry.name === name);
    return stream && stream.state === 'live' && stream.video !== 'none' ? stream : undefined;
  }, `${name} to be live`, 60_000);
}
