// Recordings on the page, with real nginx, service and Chromium: from live to the past and back, the list, rights and
// recording on demand. All tests share one stack and one browser.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { pushFfmpeg, untilLive } from '../lib/media.mjs';
import { HOUR } from '../lib/recordings.mjs';
import { accessible, goTo, noSidewaysScroll, phone, screenshot, until } from './browser.mjs';
import { MIDNIGHT } from './coloured-recordings.mjs';
import { PASSWORD, clockOf, modeIs, pinch, startArchive } from './replay.mjs';

const DEADLINE = { timeout: 120_000 };

let archive;
let stack;
let publisher;

const openWatch = (...watch) => archive.openWatch(...watch);

before(async () => {
  archive = await startArchive();
  ({ stack } = archive);
  await stack.ctl('stream', 'set', 'live/demo', 'record=always');
  publisher = pushFfmpeg(`${stack.rtmpUrl}/live/demo?key=${stack.demoKey}`, { rate: 10 });
});

after(async () => {
  publisher?.child.kill('SIGKILL');
  await archive?.stop({ allow: /recording stopped|recording of live\/demo/ });
});

test('from live to history and back, and the download of a clip', DEADLINE, async () => {
  await untilLive(stack, 'live/demo', publisher);
  const { page, close } = await openWatch('admin', 'live/demo');
  await modeIs(page, 'live', 'playing');
  await page.waitForSelector('.badge-rec:visible');
  await page.waitForSelector('.timeline-span');
  assert.equal(await page.getAttribute('.timeline-track', 'aria-valuetext'), 'Live');
  const video = await page.evaluateHandle(() => document.querySelector('video'));
  await until(
    'twenty recorded seconds',
    () =>
      page.evaluate(
        () =>
          document.querySelector('.timeline-track').getAttribute('aria-valuenow') -
          document.querySelector('.timeline-track').getAttribute('aria-valuemin'),
      ),
    (seconds) => seconds > 20,
  );
  await page.click('[aria-label="10 seconds back"]');
  await modeIs(page, 'history', 'playing');
  assert.ok(await page.evaluate((first) => first === document.querySelector('video'), video), 'the same video');
  await page.keyboard.press('[');
  await page.waitForFunction((then) => document.querySelector('.replay-clock').textContent > then, await clockOf(page));
  await until(
    'two seconds',
    () => page.evaluate(() => document.querySelector('video').currentTime),
    ((first) => (seconds) => {
      first ??= seconds;
      return seconds > first + 2;
    })(),
  );
  await page.keyboard.press(']');
  assert.match(await page.textContent('.clip-length'), /^00:0[1-4]$/);
  const [download] = await Promise.all([page.waitForEvent('download'), page.click('text=Download clip')]);
  const file = path.join(os.tmpdir(), `duolu-clip-${process.pid}.mp4`);
  await download.saveAs(file);
  const seconds = Number(
    execFileSync('ffprobe', ['-v', 'error', '-show_entries', 'format=duration', '-of', 'csv=p=0', file], {
      encoding: 'utf8',
    }),
  );
  fs.rmSync(file);
  assert.ok(seconds >= 1 && seconds < 6, `a clip of ${seconds} s`);
  await page.keyboard.press('l');
  await modeIs(page, 'live', 'playing');

  // Faster playback reaches the end of the growing recording, and returns to live.
  await page.click('[aria-label="10 seconds back"]');
  await modeIs(page, 'history', 'playing');
  await page.selectOption('.replay-rate', '4');
  await modeIs(page, 'live', 'playing');
  assert.equal(await page.inputValue('.replay-rate'), '1');
  // Pause live, seek back and play on from there.
  await page.focus('.timeline-track');
  await page.keyboard.press('Space');
  await modeIs(page, 'held', 'paused');
  await page.keyboard.press('ArrowLeft');
  await modeIs(page, 'history', 'paused');
  await page.keyboard.press('Space');
  await modeIs(page, 'history', 'playing');
  await close();
});

test('the page says that a recording has just begun, not that there is none', DEADLINE, async () => {
  await untilLive(stack, 'live/demo', publisher);
  // The service's answer in the seconds before the recorder has written anything.
  const { page, close } = await openWatch('admin', 'live/demo', null, {
    prepare: (context) =>
      context.route('**/spans.json*', (route) =>
        route.fulfill({ json: { from: 0, to: 0, recording: true, days: [], spans: [] } }),
      ),
  });
  await page.waitForSelector('.badge-rec:visible');
  await page.waitForSelector('.replay-said:has-text("Recording has just begun")');
  await close();
});

/** The view's words about its picture: its badges, its clock, and its signs for live and recording. */
const signsOf = (page) =>
  page.evaluate(() => ({
    badges: [...document.querySelectorAll('.tile-badge, .watch-heading .badge:first-of-type')].map(
      (badge) => badge.textContent,
    ),
    clock: document.querySelector('.replay-clock').textContent,
    live: document.querySelector('.replay-live-on') !== null,
    rec: [...document.querySelectorAll('.tile-rec, .badge-rec')].filter((sign) => sign.checkVisibility()).length,
  }));

test(
  'a frozen picture is not called live, recorded or paused, and its clock stands still',
  DEADLINE,
  async () => {
    await untilLive(stack, 'live/demo', publisher);
    const { page, close } = await openWatch('admin', 'live/demo');
    await modeIs(page, 'live', 'playing');
    await until(
      'signs for live and recording',
      () => signsOf(page),
      ({ badges, live, rec }) => live && rec === 2 && badges.every((badge) => badge === 'Live'),
    );
    process.kill(publisher.child.pid, 'SIGSTOP');
    try {
      const frozen = await until(
        'the badges to say "Waiting"',
        () => signsOf(page),
        ({ badges }) => badges.every((badge) => badge === 'Waiting'),
      );
      assert.deepEqual([frozen.live, frozen.rec], [false, 0]);
      await screenshot(page, 'picture-stands');
      // Long enough for a running clock to show other seconds.
      await page.waitForFunction((then) => Date.now() > then + 2500, await page.evaluate(() => Date.now()));
      assert.deepEqual(await signsOf(page), frozen);
    } finally {
      process.kill(publisher.child.pid, 'SIGCONT');
    }
    await until(
      'signs for live and recording again',
      () => signsOf(page),
      ({ badges, live, rec }) => live && rec === 2 && badges.every((badge) => badge === 'Live'),
    );
    await close();
  },
);

test('without the replay right there is no timeline, without the manage right no changes', DEADLINE, async () => {
  for (const [name, rights] of [['watcher', ['view']], ['historian', ['view', 'replay']]]) {
    await stack.ctl('user', 'add', name, '--password-stdin', { input: `${PASSWORD}\n` });
    for (const right of rights)
      for (const stream of ['live/archive', 'live/demo']) await stack.ctl('grant', name, stream, right);
  }
  const watcher = await openWatch('watcher', 'live/demo');
  await modeIs(watcher.page, 'live', 'playing');
  assert.equal(await watcher.page.locator('.replay:visible').count(), 0);
  assert.equal(await watcher.page.locator('.nav-link[data-view=recordings]:visible').count(), 0);
  await goTo(watcher.page, '#/recordings');
  await watcher.page.waitForSelector('.empty:not([hidden])');
  await watcher.close();

  const historian = await openWatch('historian', 'live/archive', MIDNIGHT + HOUR);
  await modeIs(historian.page, 'history', 'playing');
  await goTo(historian.page, '#/recordings?stream=live/archive');
  await historian.page.click('.rec-unfold');
  assert.equal(await historian.page.locator('[aria-label^=Download]').count(), 24);
  assert.equal(await historian.page.locator('[aria-label^=Keep], [aria-label^=Delete]').count(), 0);
  await historian.close();
});

test(
  'a user who manages a stream without the replay right records it and lists its recordings',
  DEADLINE,
  async () => {
    await stack.ctl('stream', 'set', 'live/demo', 'record=demand');
    await stack.ctl('user', 'add', 'director', '--password-stdin', { input: `${PASSWORD}\n` });
    await stack.ctl('grant', 'director', 'live/demo', 'view,manage');
    const { page, close } = await openWatch('director', 'live/demo');
    await modeIs(page, 'live', 'playing');
    assert.equal(await page.locator('.replay:visible').count(), 0);
    await page.click('[data-face=record]');
    await page.waitForSelector('.badge-rec:visible');
    await screenshot(page, 'manager-without-replay');
    await page.click('[data-face=stop]');
    await page.waitForSelector('.badge-rec', { state: 'hidden' });
    await page.route('**/record', (route) => route.abort());
    await page.click('[data-face=record]');
    await page.waitForSelector('.record-said:visible:has-text("No connection")');
    await page.click('text=Recordings of this stream');
    await page.waitForSelector('.rec-session [aria-label^=Keep]');
    assert.equal(await page.locator('[aria-label^=Download]').count(), 0, 'downloads need the replay right');
    await close();
    await stack.ctl('stream', 'set', 'live/demo', 'record=always');
  },
);

test('the list of recordings is filtered; recordings are kept and deleted', DEADLINE, async () => {
  const { page, close } = await openWatch('admin', 'live/archive');
  await page.click('text=Recordings of this stream');
  await page.waitForSelector('.rec-session');
  assert.equal(await page.locator('.rec-session').count(), 1);
  await page.selectOption('.rec-streams', '');
  await page.waitForSelector('.rec-session[data-state=recording]');
  await page.fill('.input-search', 'north');
  await page.waitForFunction(
    () =>
      document.querySelectorAll('.rec-session').length === 1 &&
      /North gate/.test(document.querySelector('.rec-title').textContent),
  );
  await page.fill('.input-search', 'nowhere');
  await page.waitForSelector('.empty:not([hidden])');
  await screenshot(page, 'recordings-none');
  await page.click('text=Show all');
  await page.fill('.rec-day', new Date(MIDNIGHT).toISOString().slice(0, 10));
  await page.waitForFunction(() => document.querySelectorAll('.rec-session').length === 1);
  await page.click('.rec-unfold');
  await until(
    'pictures of the recordings',
    () =>
      page.evaluate(
        () => [...document.querySelectorAll('.rec-image')].filter((image) => image.naturalWidth === 320).length,
      ),
    (count) => count > 0,
  );
  await accessible(page, 'recordings');
  await screenshot(page, 'recordings');

  const row = page.locator('.rec-file').last();
  assert.match(await row.innerText(), /00:00:00 – 01:00:00/);
  await row.locator('[aria-label^=Keep]').click();
  await page.waitForSelector('.rec-file:last-child [aria-label^=Keep][aria-pressed=true]');
  assert.equal(await row.locator('[aria-label^=Delete]').isDisabled(), true);
  await row.locator('[aria-label^=Keep]').click();
  await page.waitForSelector('.rec-file:last-child [aria-label^=Delete]:not([disabled])');
  await row.locator('[aria-label^=Delete]').click();
  const question = await page.textContent('dialog .dialog-body');
  for (const part of ['North gate', await page.textContent('.rec-day-title'), '00:00:00 – 01:00:00'])
    assert.ok(question.includes(part), `${question} names ${part}`);
  await screenshot(page, 'recordings-delete');
  await page.click('dialog .button-danger');
  await page.waitForFunction(() => document.querySelectorAll('.rec-file').length === 23);
  const day = path.join(stack.home, 'rec/live/archive', new Date(MIDNIGHT).toISOString().slice(0, 10));
  assert.deepEqual(fs.readdirSync(day).filter((name) => name.startsWith('00-')), []);
  await page.click('.rec-file:last-child .rec-times');
  await modeIs(page, 'history', 'playing');
  await until('the clock of the second hour', () => clockOf(page), (clock) => clock.startsWith('01:00:0'));
  await close();
});

test('the list of recordings loads page by page, and reports an error of the service', DEADLINE, async () => {
  const { page, close } = await openWatch('admin', 'live/archive');
  const all = (await stack.ctl('rec', 'list', 'live/archive')).split('\n').length;
  assert.ok(all > 20, `${all} recordings`);
  await page.route('**/api/recordings?*', (route) =>
    route.continue({ url: route.request().url().replace('limit=60', 'limit=10') }),
  );
  await goTo(page, '#/recordings?stream=live/archive');
  for (const shown of [10, 20, all]) {
    await page.waitForFunction((text) => document.querySelector('.rec-unfold')?.textContent === text, `${shown} files`);
    if (shown < all) await page.click('text=Show older ones');
  }
  assert.equal(await page.locator('text=Show older ones').isVisible(), false);
  await page.route('**/api/recordings?*', (route) =>
    route.fulfill({ status: 500, json: { error: 'internal', message: 'no such luck' } }),
  );
  await page.fill('.input-search', 'gate');
  await page.waitForSelector('[role=alert]:visible:has-text("no such luck")');
  assert.equal(await page.locator('.rec-session').count(), 1, 'the last list stays');
  await page.unroute('**/api/recordings?*');
  await page.fill('.input-search', 'north');
  await page.waitForSelector('[role=alert]:has-text("no such luck")', { state: 'hidden' });
  await close();
});

test('on a phone: recording starts on demand, and a notice says when it cannot go on', DEADLINE, async () => {
  await stack.ctl('stream', 'set', 'live/demo', 'record=demand');
  const { page, close } = await openWatch('admin', 'live/demo', null, phone);
  await modeIs(page, 'live', 'playing');
  await page.waitForSelector('.badge-rec', { state: 'hidden' });
  await page.tap('[data-face=record]');
  await page.waitForSelector('.badge-rec:visible');
  await page.waitForSelector('[data-face=stop]');
  await pinch(page);
  assert.equal(await page.getAttribute('.tile', 'data-mode'), 'live', 'two fingers do not seek');
  await page.tap('.replay-tools button:has-text("Clip")');
  await noSidewaysScroll(page, 'timeline on a phone');
  const small = await page.evaluate(() =>
    [...document.querySelectorAll('.replay button, .replay select, .clip a')]
      .filter((button) => button.checkVisibility())
      .map((button) => [button.textContent || button.ariaLabel, button.getBoundingClientRect()])
      .filter(([, box]) => box.height < 44 || box.width < 40 || box.left < 0 || box.right > innerWidth)
      .map(([name]) => name),
  );
  assert.deepEqual(small, [], 'controls too small for a thumb, or cut off');
  await accessible(page, 'timeline on a phone');
  await screenshot(page, 'phone-timeline');
  await page.setViewportSize({ width: 360, height: 740 });
  await noSidewaysScroll(page, 'timeline at 360 px');
  await goTo(page, '#/recordings');
  await page.waitForSelector('.rec-session');
  await noSidewaysScroll(page, 'recordings on a phone');
  await accessible(page, 'recordings on a phone');
  await screenshot(page, 'phone-recordings');

  // Make the folder unwritable, and writable again. A file in its place stops root, too.
  const folder = path.join(stack.home, 'rec/live/demo');
  await stack.ctl('rec', 'stop', 'live/demo');
  await until(
    'the file to be closed',
    () => stack.ctl('rec', 'list', 'live/demo', '--json'),
    (text) => !/"state": *"recording"/.test(text),
  );
  fs.renameSync(folder, `${folder}.away`);
  fs.writeFileSync(folder, 'no folder');
  await stack.ctl('rec', 'start', 'live/demo');
  await page.waitForSelector('.trouble-stopped:visible');
  assert.match(
    await page.textContent('.trouble-stopped'),
    /Recording stopped: the disk is not writable\. Live viewing is not affected\..*live\/demo/,
  );
  await accessible(page, 'a recording that stopped');
  await screenshot(page, 'phone-recording-stopped');
  fs.rmSync(folder);
  fs.renameSync(`${folder}.away`, folder);
  await page.waitForSelector('.trouble-stopped', { state: 'hidden' });
  await close();
});
