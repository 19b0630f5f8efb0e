// A publisher whose picture tells its time: each frame shows the clock at which it was
// made, in ms, as forty black and white blocks, and the browser reads it back.

import { spawn } from 'node:child_process';

const COLUMNS = 8;
const ROWS = 5;
const WIDTH = 320;
const HEIGHT = 180;
const RATE = 25;
const SAMPLES = 44100;

/** One frame (8 bits of brightness for each pixel) that shows `time`. */
function frameOf(time) {
  const frame = Buffer.alloc(WIDTH * HEIGHT);
  let rest = time;
  for (let bit = 0; bit < COLUMNS * ROWS; bit += 1) {
    const on = rest % 2;
    rest = Math.floor(rest / 2);
    if (!on) continue;
    const left = (bit % COLUMNS) * (WIDTH / COLUMNS);
    const top = Math.floor(bit / COLUMNS) * (HEIGHT / ROWS);
    for (let y = top; y < top + HEIGHT / ROWS; y += 1)
      frame.fill(255, y * WIDTH + left, y * WIDTH + left + WIDTH / COLUMNS);
  }
  return frame;
}

/** Sound for `count` samples from sample `from` on: a tone of 440 Hz. */
function toneOf(from, count) {
  const sound = Buffer.alloc(2 * count);
  for (let at = 0; at < count; at += 1)
    sound.writeInt16LE(Math.round(8000 * Math.sin((2 * Math.PI * 440 * (from + at)) / SAMPLES)), 2 * at);
  return sound;
}

/** Publishes to `url` until stop(). Picture and sound come in step, so ffmpeg passes them on after about 50 ms. */
export function publishClock(url) {
  const child = spawn('ffmpeg', [
    '-nostdin', '-loglevel', 'error',
    '-fflags', 'nobuffer', '-probesize', '32', '-f', 'rawvideo', '-pix_fmt', 'gray', '-s', `${WIDTH}x${HEIGHT}`,
    '-r', String(RATE), '-i', 'pipe:0',
    '-fflags', 'nobuffer', '-probesize', '32', '-f', 's16le', '-ar', String(SAMPLES), '-ac', '1', '-i', 'pipe:3',
    '-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', String(RATE), '-pix_fmt', 'yuv420p',
    '-c:a', 'aac', '-b:a', '64k', '-flush_packets', '1', '-f', 'flv', url,
  ], { stdio: ['pipe', 'ignore', 'pipe', 'pipe'] });
  const { stdin: picture, stdio: [, , , sound] } = child;
  let output = '';
  child.stderr.on('data', (data) => { output = (output + data).slice(-4000); });
  for (const pipe of [picture, sound]) pipe.on('error', () => {});
  const ended = new Promise((resolve) => { child.once('close', resolve); });
  const begin = performance.now();
  let frames = 0;
  let samples = 0;
  const timer = setInterval(() => {
    const seconds = (performance.now() - begin) / 1000;
    const more = Math.floor(seconds * SAMPLES) - samples;
    sound.write(toneOf(samples, more));
    samples += more;
    for (; frames < Math.floor(seconds * RATE); frames += 1) picture.write(frameOf(Date.now()));
  }, 5);
  return {
    output: () => output,
    async stop() {
      clearInterval(timer);
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** Starts to read the clock of each picture that the page's first video shows. */
export function readClock(page) {
  return page.evaluate(([columns, rows]) => {
    const context = new OffscreenCanvas(columns, rows).getContext('2d', { willReadFrequently: true });
    const video = document.querySelector('.tile video');
    window.clockDelays = [];
    window.clockOffsets = [];
    const read = () => {
      const now = Date.now();
      // A frame has its picture and its time together: a busy browser may show a later one than it calls back for.
      const frame = new VideoFrame(video);
      const { displayWidth: width, displayHeight: height, timestamp } = frame;
      // From the middle of each block: its edges are blurred.
      for (let bit = 0; bit < columns * rows; bit += 1) {
        const [x, y] = [bit % columns, Math.floor(bit / columns)];
        context.drawImage(frame, ((x + 0.3) * width) / columns, ((y + 0.3) * height) / rows, (0.4 * width) / columns,
          (0.4 * height) / rows, x, y, 1, 1);
      }
      frame.close();
      const { data } = context.getImageData(0, 0, columns, rows);
      let time = 0;
      for (let bit = columns * rows - 1; bit >= 0; bit -= 1) time = time * 2 + (data[bit * 4] > 127 ? 1 : 0);
      const span = 2 ** (columns * rows);
      window.clockDelays.push(((now % span) - time) / 1000);
      window.clockOffsets.push(time / 1000 - timestamp / 1e6);
      if (window.clockDelays.length > 2000) [window.clockDelays, window.clockOffsets].forEach((list) => list.shift());
      video.requestVideoFrameCallback(read);
    };
    video.requestVideoFrameCallback(read);
  }, [COLUMNS, ROWS]);
}

/** How far each picture since then was behind the publisher's clock, s; begins again. */
export const takeDelays = (page) => page.evaluate(() => window.clockDelays.splice(0));

/** How far the publisher's clock was ahead of the video's own time in each picture since then, s; begins again. */
export const takeOffsets = (page) => page.evaluate(() => window.clockOffsets.splice(0));

export function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}
