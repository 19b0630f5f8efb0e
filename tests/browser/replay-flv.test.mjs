// FLV recordings on the page, with real nginx, service and Chromium: written ones, and those of the recorder.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { pushFfmpeg, untilLive } from '../lib/media.mjs';
import { HOUR } from '../lib/recordings.mjs';
import { accessible, goTo, screenshot, until } from './browser.mjs';
import { MIDNIGHT, isPictureOf, makeFlv } from './coloured-recordings.mjs';
import { clockOf, modeIs, networkOf, pictureNow, seekTime, startArchive } from './replay.mjs';

const DEADLINE = { timeout: 240_000 };

let archive;
let stack;

const openWatch = (...watch) => archive.openWatch(...watch);

before(async () => {
  archive = await startArchive();
  ({ stack } = archive);
});

after(() => archive?.stop());

test('an FLV recording plays, and seeks use its key frames; the clip panel refuses FLV', DEADLINE, async () => {
  const begin = MIDNIGHT + 10 * HOUR;
  await stack.ctl('stream', 'add', 'live/film', '--owner', 'admin');
  makeFlv(
    stack.home,
    path.join(stack.home, 'rec/live/film', new Date(begin).toISOString().slice(0, 10), '10-00-00.000.flv'),
    begin,
  );
  await stack.ctl('reindex');
  const { page, close } = await openWatch('admin', 'live/film');
  // A throughput as in a real network: the player stops loading long before it has the whole file.
  await (await networkOf(page))({ downloadThroughput: 300_000 });
  await page.click('text=Recordings of this stream');
  await page.waitForSelector('.rec-stream:has-text("FLV")');
  await page.click('.rec-title');
  await modeIs(page, 'history', 'playing');
  const ranges = [];
  page.on('request', (request) => {
    if (request.url().endsWith('.flv')) ranges.push(Number(/\d+/.exec(request.headers().range ?? 'bytes=0-')[0]));
  });
  await page.focus('.timeline-track');
  await page.keyboard.press('Space');
  await modeIs(page, 'history', 'paused');
  await page.click('[aria-label="Zoom in"]');
  const span = await page.locator('.timeline-spans > *').boundingBox();
  const seekBy = async (what, act) => {
    const was = await seekTime(page);
    await act();
    const { utc } = await until(
      `the picture after ${what}`,
      () => pictureNow(page),
      (seen) => seen.shown && seen.utc !== was && isPictureOf(seen.rgb, seen.utc),
    );
    assert.equal(await clockOf(page), new Date(utc).toISOString().slice(11, 19), what);
    return utc;
  };
  for (const share of [0.9, 0.3, 0.6])
    await seekBy(`a click at ${share}`, () => page.mouse.click(span.x + span.width * share, span.y + span.height / 2));
  assert.ok(ranges.some((from) => from > 1e6), `ranges start at ${ranges.join()}: expected one beyond 1 MB`);
  // mpegts.js cannot seek to the first key frames: the page loads the file again, under the last picture.
  assert.equal(await seekBy('Home', () => page.keyboard.press('Home')), begin);
  await seekBy('an arrow', () => page.keyboard.press('ArrowRight'));
  assert.equal(await seekBy('Home again', () => page.keyboard.press('Home')), begin);

  await page.click('.replay-tools button:has-text("Clip")');
  await page.waitForSelector('.clip-length:has-text("recorded as FLV")');
  assert.equal(await page.getAttribute('.clip a', 'aria-disabled'), 'true');
  await accessible(page, 'an FLV recording');
  await screenshot(page, 'timeline-flv');
  await page.keyboard.press('Escape');
  await page.focus('.timeline-track');
  await page.keyboard.press('End');
  await page.keyboard.press('Space');
  await modeIs(page, 'history', 'ended');
  await close();
});

test('FLV from the recorder plays, while it is written and when it is complete', DEADLINE, async () => {
  const conf = path.join(stack.home, 'conf/nginx.conf');
  fs.writeFileSync(
    conf,
    fs
      .readFileSync(conf, 'utf8')
      .replace('dvr_threads dvr;', 'dvr_threads dvr; dvr_format flv;')
      .replace(/hub_grace \w+;/, 'hub_grace 1s;'),
  );
  process.kill(Number(fs.readFileSync(path.join(stack.home, 'pid/nginx.pid'), 'utf8')), 'SIGHUP');
  await until(
    'workers that record as FLV',
    () => stack.log('nginx'),
    (text) => /signal process started|reconfiguring/.test(text),
  );
  const key = (await stack.ctl('stream', 'add', 'live/tape', '--owner', 'admin')).match(
    /(?<![\w-])[\w-]{22}(?![\w-])/,
  )[0];
  await stack.ctl('stream', 'set', 'live/tape', 'record=always');
  const tape = pushFfmpeg(`${stack.rtmpUrl}/live/tape?key=${key}`, { rate: 10 });
  const files = async () => JSON.parse(await stack.ctl('rec', 'list', 'live/tape', '--json')).recordings;
  const { page, close } = await openWatch('admin', 'live/tape');
  try {
    await untilLive(stack, 'live/tape', tape);
    await modeIs(page, 'live', 'playing');
    await until(
      'sixteen recorded seconds',
      files,
      (found) => found.length && Date.now() - Date.parse(found[0].from) > 16_000,
    );
    await page.click('[aria-label="10 seconds back"]');
    await modeIs(page, 'history', 'playing');
  } finally {
    tape.child.kill('SIGKILL');
  }
  const [file] = await until('the file to be complete', files, (found) =>
    found.some(({ state }) => state === 'complete'),
  );
  assert.match(file.file, /\.flv$/);
  const from = Date.parse(file.from);
  for (const into of [2000, 12_000]) {
    await goTo(page, `#/watch/live/tape?at=${from + into}`);
    await modeIs(page, 'history', 'playing');
    const clock = await clockOf(page);
    assert.ok(
      [0, 1000].some((later) => new Date(from + into + later).toISOString().slice(11, 19) === clock),
      `${clock} at ${into} ms`,
    );
  }
  await goTo(page, '#/recordings?stream=live/tape');
  await until(
    'its picture in the list',
    () => page.evaluate(() => document.querySelector('.rec-image')?.naturalWidth),
    (width) => width === 320,
  );
  await close();
});
