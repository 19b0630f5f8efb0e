// Publishers for the tests: one ffmpeg with one encoder sends to any number of RTMP URLs.

import { spawn } from 'node:child_process';

/**
 * Pushes a moving test picture with a tone to every URL until stop(). It is small and has few pictures a second, as
 * the browser shows them without a GPU.
 * sound: the sample rate of the tone, 0 for no sound. retry: starts a publisher
 * again that has ended by itself, as a phone's app would.
 */
export function publish(urls, { size = '320x180', rate = 10, sound = 44100, retry = false } = {}) {
  let child = null;
  let stopped = false;
  let output = '';
  let ended = null;

  const start = () => {
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
    ended.then(() => { if (retry && !stopped) start(); });
  };
  start();

  return {
    output: () => output,
    async stop() {
      stopped = true;
      child.kill('SIGKILL'); // like a phone out of reach, it closes nothing
      await ended;
    },
  };
}

/** For afterEach(): a test that failed leaves no page and none of the `running` publishers to the next one. */
export async function leaveNothing(browser, running) {
  await Promise.all((browser?.contexts() ?? []).map((context) => context.close()));
  await Promise.all([...running].map((publisher) => publisher.stop()));
  running.clear();
}

function escapeTee(url) {
  return url.replace(/([\\'|[\]])/g, '\\$1');
}
