// Short real encodings, and a way to send their frames over RTMP with any
// timestamps at any pace, like encoders, phones and bad networks.

import { spawn } from 'node:child_process';
import { FlvReader } from './hub.mjs';
import { readMp4 } from './mp4.mjs';

const VIDEO = 9;
const AUDIO = 8;

/** Bytes of a program's standard output. */
export function output(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const chunks = [];
    let errors = '';
    child.stdout.on('data', (data) => chunks.push(data));
    child.stderr.on('data', (data) => { errors += data; });
    child.on('error', reject);
    child.on('close', (code) =>
      code === 0 ? resolve(Buffer.concat(chunks)) : reject(new Error(`${command}: ${code}\n${errors}`)),
    );
  });
}

/**
 * An encoded test picture and tone: {headers, frames}, each a list of
 * {type, dts, body, key}.  `size` or `rate` null leaves that track out.
 */
export async function makeClip({
  size = '320x180', rate = 44100, seconds = 14, bframes = 0, fps = 25, gop = 25,
} = {}) {
  const video = size === null ? [] : ['-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=${fps}`];
  const audio = rate === null ? [] : ['-f', 'lavfi', '-i', `sine=frequency=440:sample_rate=${rate}`];
  const flv = new FlvReader({ bodies: true });
  flv.push(
    await output('ffmpeg', [
      '-nostdin',
      '-loglevel',
      'error',
      ...video,
      ...audio,
      '-t',
      String(seconds),
      ...(size === null
        ? []
        : [
            '-c:v',
            'libx264',
            '-preset',
            'ultrafast',
            '-g',
            String(gop),
            '-bf',
            String(bframes),
            '-threads',
            '1',
            '-pix_fmt',
            'yuv420p',
          ]),
      ...(rate === null ? [] : ['-c:a', 'aac', '-b:a', '64k']),
      '-flvflags',
      'no_duration_filesize',
      '-f',
      'flv',
      '-',
    ]),
  );
  // drop the video tag that ends the sequence: live streams have none
  const media = flv.tags.filter((tag) => tag.type !== 18 && !(tag.type === VIDEO && tag.body[1] === 2));
  return { headers: media.filter((tag) => tag.config), frames: media.filter((tag) => !tag.config) };
}

/** HEVC in the tags of enhanced RTMP, which Debian's ffmpeg does not make itself; no sound. */
export async function makeHevcClip({ size = '320x180', seconds = 14 } = {}) {
  const file = await output('ffmpeg', [
    '-nostdin',
    '-loglevel',
    'error',
    '-f',
    'lavfi',
    '-i',
    `testsrc2=size=${size}:rate=25`,
    '-t',
    String(seconds),
    '-c:v',
    'libx265',
    '-preset',
    'ultrafast',
    '-x265-params',
    'log-level=error:keyint=25:min-keyint=25:scenecut=0:bframes=2:pools=1',
    '-tag:v',
    'hvc1',
    '-pix_fmt',
    'yuv420p',
    '-movflags',
    'frag_keyframe+empty_moov+default_base_moof',
    '-f',
    'mp4',
    '-',
  ]);
  const [{ timescale, config, samples }] = readMp4(file).tracks;
  const tag = (key, kind, dts, ...data) => ({ type: VIDEO, dts, key, config: kind === 0,
    body: Buffer.concat([Buffer.from([0x80 | (key ? 1 : 2) << 4 | kind]), Buffer.from('hvc1'), ...data]) });
  const frames = samples.map(({ dts, cts, key, offset, size: bytes }) => {
    const shift = Buffer.alloc(3);
    shift.writeIntBE(Math.round(cts * 1000 / timescale), 0, 3);
    return tag(key, 1, Math.round(dts * 1000 / timescale), shift, file.subarray(offset, offset + bytes));
  });
  return { headers: [tag(true, 0, 0, config)], frames };
}

/**
 * A plan to send a clip: [{when, stamp, tag}], `when` in ms from the start.
 * It has the clip's frames from `from` to `to` ms that `keep` accepts; `when` and
 * `stamp` compute a frame's moment and timestamp from its {type, dts}.
 */
export function plan(clip, {
  from = 0, to = Infinity, when = (t) => t.dts - from, stamp = (t) => t.dts - from, headersAt = 0, keep = () => true,
} = {}) {
  const frames = clip.frames.filter((tag) => tag.dts >= from && tag.dts < to && keep(tag))
    .map((tag) => ({ when: when(tag), stamp: stamp(tag), tag }));
  const headers = clip.headers.map((tag) => {
    const first = frames.find((f) => f.tag.type === tag.type);
    return { when: headersAt, stamp: first?.stamp ?? 0, tag };
  });
  return [...headers, ...frames].sort((a, b) => a.when - b.when);
}

/** Sends a plan through an RTMP client; `done` resolves when all of it is sent, `sent` gets each step. */
export function replay(client, steps, sent = () => {}) {
  const begin = performance.now();
  let at = 0;
  let stop;
  const done = new Promise((resolve, reject) => {
    const timer = setInterval(() => {
      if (client.ended) { clearInterval(timer); reject(new Error('the server ended the publisher')); return; }
      for (; at < steps.length && begin + steps[at].when <= performance.now(); at++) {
        const { stamp, tag } = steps[at];
        if (tag.type === AUDIO) client.sendAudio(stamp >>> 0, tag.body);
        else client.sendVideo(stamp >>> 0, tag.body);
        sent(steps[at]);
      }
      if (at === steps.length) { clearInterval(timer); resolve(); }
    }, 5);
    stop = () => { clearInterval(timer); resolve(); };
  });
  return { done, stop };
}
