// Phones for the tests: one ffmpeg, one encoder, any number of RTMP targets.

import { spawn } from 'node:child_process';

/**
 * Pushes a moving test picture with a tone to every URL until stop().
 * sound: the tone's sample rate, 0 for none. With retry, a publisher that ends
 * by itself is started again, as a phone would.
 */
export function publish(urls, { size = '640x360', rate = 25, sound = 44100, retry = false } = {}) {
  let child = null;
  let stopped = false;
  let output = '';
  let ended = null;

  const begin = () => {
    child = spawn('ffmpeg', [
      '-nostdin', '-loglevel', 'error',
      '-re', '-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=${rate}`,
      ...(sound ? ['-re', '-f', 'lavfi', '-i', `sine=frequency=440:sample_rate=${sound}`] : []),
      '-map', '0:v', ...(sound ? ['-map', '1:a'] : []),
      '-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', String(rate), '-pix_fmt', 'yuv420p',
      '-c:a', 'aac', '-b:a', '64k', '-flags', '+global_header',
      '-f', 'tee', urls.map((url) => `[f=flv:onfail=ignore]${escapeTee(url)}`).join('|'),
    ], { stdio: ['ignore', 'ignore', 'pipe'] });
    child.stderr.on('data', (data) => { output = (output + data).slice(-4000); });
    ended = new Promise((resolve) => child.once('close', resolve));
    ended.then(() => { if (retry && !stopped) begin(); });
  };
  begin();

  return {
    output: () => output,
    async stop() {
      stopped = true;
      child.kill('SIGKILL'); // a phone out of reach says no goodbye
      await ended;
    },
  };
}

function escapeTee(url) {
  return url.replace(/([\\'|[\]])/g, '\\$1');
}
