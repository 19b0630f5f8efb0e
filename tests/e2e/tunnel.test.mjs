// A walk through a tunnel cuts a phone off five times, for 1 to 40 s, and once it comes
// back with a larger picture.  All viewers stay.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { countPictures, goTo, launch, logIn, openPage, picturesOf, until as untilSeen } from '../browser/browser.mjs';
import { pushFfmpeg, start, untilLive } from '../lib/media.mjs';
import { until } from '../lib/nginx.mjs';
import { startStack } from '../lib/stack.mjs';
import { PROTOCOLS, complaints, failures, gapsInWords, more, soundOver } from '../lib/watch.mjs';

const STREAM = 'live/demo';
const GAPS = [
  { seconds: 1, how: 'SIGKILL' },
  { seconds: 3, how: 'SIGSTOP' },                    // half open: the phone neither sends nor closes
  { seconds: 8, how: 'SIGKILL', size: '640x360' },
  { seconds: 20, how: 'SIGSTOP' },
  { seconds: 40, how: 'SIGKILL' },
];

test('viewers stay while the phone walks through a tunnel', { timeout: 300_000 }, async (t) => {
  const stack = await startStack({ workers: 2 });
  t.after(() => stack.stop());
  const phones = [];
  const push = async (size = '320x180') => {
    phones.push(pushFfmpeg(`${stack.rtmpUrl}/${STREAM}?key=${stack.demoKey}`, { size }));
    await untilLive(stack, STREAM, phones.at(-1));
  };
  t.after(() => phones.forEach((one) => one.child.kill('SIGKILL')));
  await push();

  const url = await stack.ctl('url', 'admin', STREAM, 'view');
  const token = url.split('/m/')[1].split('/')[0];
  const server = { url: () => url, token: () => token, rtmp: { port: stack.rtmp } };
  const watchers = await Promise.all(
    Object.entries(PROTOCOLS).map(async ([protocol, open]) => Object.assign(await open(server, STREAM), { protocol })),
  );
  const captures = {
    curl: start('curl', ['-sN', '--noproxy', '*', '-o', path.join(stack.home, 'tmp', 'curl.flv'), url]),
    ffmpeg: start('ffmpeg', [
      '-nostdin',
      '-v',
      'error',
      '-i',
      `${stack.rtmpUrl}/${STREAM}?token=${token}`,
      '-c',
      'copy',
      '-y',
      path.join(stack.home, 'tmp', 'ffmpeg.flv'),
    ]),
  };
  t.after(() => Object.values(captures).forEach((one) => one.child.kill('SIGKILL')));
  const browser = await launch(stack);
  t.after(() => browser.close());
  const { page, close } = await openPage(browser, stack.httpsUrl);
  await logIn(page, stack.adminPassword);
  await goTo(page, '#/wall/1');
  await countPictures(page);
  const playing = (pictures, width) => untilSeen(`${pictures} pictures, ${width} wide`, () => picturesOf(page),
    (seen) => seen.phase === 'playing' && seen.pictures >= pictures && seen.width === width);
  let seen = await playing(50, 320);

  const stops = [];
  const waits = [];
  let width = 320;
  for (const { seconds, how, size = `${width}x${width * 9 / 16}` } of GAPS) {
    const cut = phones.at(-1);
    stops.push(performance.now());
    cut.child.kill(how);
    await new Promise((resolve) => { setTimeout(resolve, seconds * 1000); });
    width = Number(size.split('x')[0]);
    const { pictures } = await picturesOf(page);
    await push(size);
    const back = performance.now();
    cut.child.kill('SIGKILL');
    seen = await playing(pictures + 10, width);
    waits.push(Math.round(performance.now() - back));
    await Promise.all(watchers.map((w) => more(w, 50)));
    assert.ok(seen.same, 'the page was not loaded again');
  }

  const later = await playing(seen.pictures + 25, width);
  assert.notEqual(later.at, seen.at);
  assert.deepEqual(failures(watchers), []);
  assert.deepEqual(
    Object.entries(captures)
      .filter(([, one]) => one.code !== undefined)
      .map(([name, one]) => `${name} ended: ${one.text}`),
    [],
  );
  await close();
  for (const one of Object.values(captures)) {
    one.child.kill('SIGINT');
    await one.ended;
  }
  watchers.forEach((w) => w.close());
  await until(
    async () => (await stack.controlGet('/status')).streams.find((s) => s.name === STREAM).viewers === 0,
    'the viewers to end',
  );
  const { gaps } = (await stack.controlGet('/status')).streams.find((s) => s.name === STREAM);

  const missed = watchers.map((w) => `${w.protocol} ${gapsInWords(w, stops)}`);
  t.diagnostic(
    `tunnel: gaps of ${GAPS.map(({ seconds }) => seconds).join(' ')} s; dts misses their lengths by ` +
      `${missed.join(', ')} ms; page shows 10 pictures ${waits.join(' ')} ms after each return`,
  );
  assert.equal(gaps, GAPS.length);
  await soundOver(t, watchers, stops);
  for (const name of Object.keys(captures)) {
    assert.equal(
      await complaints(fs.readFileSync(path.join(stack.home, 'tmp', `${name}.flv`))),
      '',
      `ffmpeg decodes what ${name} wrote`,
    );
  }
});
