// Decodes a JPEG by ffmpeg.

import { execFileSync } from 'node:child_process';

/** { width, height, rgb }: its size, and its mean colour. */
export function picture(bytes) {
  const ffmpeg = (args) =>
    execFileSync(
      'ffmpeg',
      ['-v', 'error', '-f', 'mjpeg', '-i', 'pipe:0', ...args, '-f', 'rawvideo', '-pix_fmt', 'rgb24', 'pipe:1'],
      { input: bytes },
    );
  const [width, height] = execFileSync(
    'ffprobe',
    ['-v', 'error', '-f', 'mjpeg', '-show_entries', 'stream=width,height', '-of', 'csv=p=0', 'pipe:0'],
    { input: bytes, encoding: 'utf8' },
  )
    .trim()
    .split(',')
    .map(Number);
  return { width, height, rgb: [...ffmpeg(['-vf', 'scale=1:1:flags=area'])] };
}
