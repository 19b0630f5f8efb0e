// Recordings whose colour tells their time: in every eight seconds each second has a
// colour of its own, and odd hours are darker than even ones.

import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { DAY, HOUR, Recording, makeSource, writeRecordings } from '../lib/recordings.mjs';

export const MIDNIGHT = Math.floor(Date.now() / DAY) * DAY - DAY;      // of yesterday
export const GAP = { from: MIDNIGHT + 3 * HOUR + 20 * 60_000, to: MIDNIGHT + 3 * HOUR + 50 * 60_000 };
export const LATE = MIDNIGHT - DAY + 14 * HOUR;
const SIZE = '64x36';

let colours; // [even hours, odd hours]: [r, g, b] of each of the eight seconds

/** Writes all of yesterday for live/archive, with a gap in it, and a minute of the day before for live/late. */
export async function writeYesterday(home) {
  const bright = await makeColoured('red');
  const dark = await makeColoured('0x700000');
  colours = [bright, dark].map(coloursOf);
  const root = path.join(home, 'rec');
  for (let utc = MIDNIGHT; utc < MIDNIGHT + DAY; utc += HOUR) {
    const hasGap = utc < GAP.from && GAP.from < utc + HOUR;
    const spans = hasGap ? [[utc, GAP.from], [GAP.to, utc + HOUR]] : [[utc, utc + HOUR]];
    writeRecordings(root, 'live/archive', (utc / HOUR) % 2 ? dark : bright, { spans, session: MIDNIGHT });
  }
  writeRecordings(root, 'live/late', bright, { spans: [[LATE, LATE + 60_000]], session: LATE });
  giveToService(home);
}

/** Writes recordings in the colours of even hours: {stream: [[from, to], …]}, in multiples of eight seconds. */
export async function writeColoured(home, streams) {
  const bright = await makeColoured('red');
  for (const [stream, spans] of Object.entries(streams))
    writeRecordings(path.join(home, 'rec'), stream, bright, { spans });
  giveToService(home);
}

/** Gives all recordings to the user that the services run as, as if something had been recorded before. */
export function giveToService(home) {
  const root = path.join(home, 'rec');
  const { uid, gid } = fs.statSync(root);
  const spool = path.join(root, '.spool');
  if (!fs.existsSync(spool)) {
    fs.mkdirSync(spool, { mode: 0o770 });
    fs.chownSync(spool, uid, gid);
  }
  for (const name of ['', ...fs.readdirSync(path.join(root, 'live'), { recursive: true })])
    fs.chownSync(path.join(root, 'live', name), uid, gid);
}

function makeColoured(name) {
  return makeSource({ rate: 5, audio: false, picture: `color=${name}:size=${SIZE}:rate=5,hue=h=45*floor(t)` });
}

/** [r, g, b] of each second of a source, as ffmpeg decodes it. */
function coloursOf(source) {
  const args = '-v error -f mp4 -i pipe:0 -frames:v 1 -vf scale=1:1 -f rawvideo -pix_fmt rgb24 pipe:1'.split(' ');
  return source.fragments.map(({ data }) => [
    ...execFileSync('ffmpeg', args, { input: Buffer.concat([source.init, data]) }),
  ]);
}

/** [1 in an odd hour, second of eight]: the time that a colour stands for. */
export function timeOf(rgb) {
  let best = { distance: Infinity };
  colours.forEach((seconds, odd) => seconds.forEach((colour, second) => {
    const distance = Math.hypot(...colour.map((value, n) => value - rgb[n]));
    if (distance < best.distance) best = { distance, time: [odd, second] };
  }));
  return best.time;
}

/** Whether a colour is that of `utc`. A frame may begin some milliseconds late. */
export const isPictureOf = (rgb, utc) =>
  [utc, utc + 4].some((ms) =>
    timeOf(rgb).join() === [Math.floor(ms / HOUR) % 2, Math.floor((ms % HOUR) / 1000) % 8].join());

/** Records each second since `begin` as it passes, in the colours of even hours, until the test ends. */
export async function recordFrom(t, home, begin, stream) {
  const file = new Recording(path.join(home, 'rec'), stream, await makeColoured('red'), { utc: begin });
  const grow = () => {
    const seconds = Math.floor((Date.now() - file.end_) / 1000);
    if (seconds > 0) file.add(seconds).flush();
  };
  grow();
  file.mark();
  giveToService(home);
  // While a process holds the lock, nginx takes the marked file for one that is being written.
  const lock = spawn('flock', ['--no-fork', file.path, 'sleep', '600']);
  const timer = setInterval(grow, 200);
  t.after(() => { clearInterval(timer); lock.kill(); file.end(); });
}

/**
 * Writes ten minutes of FLV in the colours of even hours, with an index of its key frames, as the recorder does. A
 * constant bitrate makes the file large enough that the player does not load it at once.
 */
export function makeFlv(home, file, begin) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  execFileSync('ffmpeg', [
    '-v', 'error', '-f', 'lavfi', '-i', `color=red:size=${SIZE}:rate=5,hue=h=45*floor(t+1)`, '-t', '600',
    '-c:v', 'libx264', '-preset', 'ultrafast', '-g', '10', '-pix_fmt', 'yuv420p',
    '-colorspace', 'smpte170m', '-color_primaries', 'smpte170m', '-color_trc', 'smpte170m',
    '-b:v', '400k', '-minrate', '400k', '-maxrate', '400k', '-bufsize', '400k', '-x264-params', 'nal-hrd=cbr',
    '-flvflags', 'add_keyframe_index', file,
  ]);
  fs.utimesSync(file, begin / 1000 + 600, begin / 1000 + 600);     // the end of the recording
  const root = path.join(home, 'rec');
  const { uid, gid } = fs.statSync(root);
  for (let entry = file; entry !== root; entry = path.dirname(entry)) fs.chownSync(entry, uid, gid);
}
