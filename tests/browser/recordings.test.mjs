// History on the page, with real nginx, service and Chromium: a day of written recordings,
// and a stream that is really recorded. All tests share one stack and one browser.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { pushFfmpeg, untilLive } from '../lib/media.mjs';
import { DAY, HOUR } from '../lib/recordings.mjs';
import { startStack } from '../lib/stack.mjs';
import { accessible, goTo, launch, logIn, noSidewaysScroll, openPage, phone, screenshot, until } from './browser.mjs';
import {
  GAP, LATE, MIDNIGHT, isPictureOf, makeFlv, recordFrom, timeOf, writeYesterday,
} from './coloured-recordings.mjs';
import { clockOf, modeIs, networkOf, pictureAfter, pictureNow, pinch, seekTime } from './replay.mjs';

const DEADLINE = { timeout: 120_000 };
const PASSWORD = 'a long enough password';

let stack;
let browser;
let publisher;

before(async () => {
  stack = await startStack();
  browser = await launch(stack);
  await stack.ctl('stream', 'add', 'live/archive', '--owner', 'admin');
  await stack.ctl('stream', 'set', 'live/archive', 'title=North gate');
  await stack.ctl('stream', 'add', 'live/late', '--owner', 'admin');
  await stack.ctl('stream', 'set', 'live/demo', 'record=always');
  publisher = pushFfmpeg(`${stack.rtmpUrl}/live/demo?key=${stack.demoKey}`);
  await writeYesterday(stack.home);
  await stack.ctl('reindex');
});

after(async () => {
  await browser?.close();
  publisher?.child.kill('SIGKILL');
  await stack?.stop({ allow: /recording stopped|recording of live\/demo/ });
});

async function openWatch(user, stream, at, { prepare, ...options } = {}) {
  const opened = await openPage(browser, stack.httpsUrl, { timezoneId: 'UTC', ...options }, prepare);
  await logIn(opened.page, user === 'admin' ? stack.adminPassword : PASSWORD, user);
  await goTo(opened.page, `#/watch/${stream}${at ? `?at=${at}` : ''}`);
  return opened;
}

test('a day of history: each click shows the right picture after at most two requests', DEADLINE, async (t) => {
  const { page, close } = await openWatch('admin', 'live/archive', MIDNIGHT + 12 * HOUR);
  await modeIs(page, 'history', 'playing');
  await page.keyboard.press('Space');
  await modeIs(page, 'history', 'paused');
  for (const zoom of ['6 h', '24 h']) {
    await page.click('[aria-label="Zoom out"]');
    assert.equal(await page.textContent('.replay-zoom'), zoom);
  }
  await page.waitForFunction(() => document.querySelectorAll('.timeline-spans > *').length === 2);
  await screenshot(page, 'timeline-day');
  const bar = await page.locator('.timeline-bar').boundingBox();
  // Latency as in a real network, so that the picture is drawn before data behind it arrives.
  const setNetwork = await networkOf(page);
  await setNetwork({ latency: 200 });
  let most = 0;
  for (const share of [0.03, 0.97, 0.51, 0.515, 0.21]) {
    const { utc, requests } = await pictureAfter(page, () =>
      page.mouse.click(bar.x + bar.width * share, bar.y + bar.height / 2),
    );
    assert.ok(
      Math.abs(utc - MIDNIGHT - share * DAY) < (2 * DAY) / bar.width,
      `${share} is ${new Date(utc).toISOString()}`,
    );
    const clock = await clockOf(page);
    assert.ok(
      [utc, utc + 4].some((ms) => new Date(ms).toISOString().slice(11, 19) === clock),
      `the clock shows ${clock} for ${new Date(utc).toISOString()}`,
    );
    most = Math.max(most, requests.length);
    assert.ok(requests.length <= 2, `${new Date(utc).toISOString()} took ${requests.join(', ')}`);
  }
  await setNetwork();
  t.diagnostic(`at most ${most} media requests until a picture from 24 hours was shown`);

  // Drag the playhead; the picture under the pointer shows on the way.
  await page.mouse.move(bar.x + bar.width * 0.3, bar.y + 10);
  await page.mouse.down();
  await page.mouse.move(bar.x + bar.width * 0.6, bar.y + 10, { steps: 4 });
  await page.waitForSelector('.timeline-thumb:not([hidden])');
  await pictureAfter(page, () => page.mouse.up());
  await page.mouse.move(bar.x + bar.width * (GAP.from + GAP.to - 2 * MIDNIGHT) / 2 / DAY, bar.y + 10);
  await until(
    '"not recorded" at the pointer',
    () => page.textContent('.timeline-peek'),
    (text) => text.includes('not recorded'),
  );
  await accessible(page, 'timeline');
  await close();
});

test('the keyboard seeks, zooms and pauses; playback skips a gap', DEADLINE, async () => {
  const begin = MIDNIGHT + 5 * HOUR + 10 * 60_000;
  const { page, close } = await openWatch('admin', 'live/archive', begin);
  await modeIs(page, 'history', 'playing');
  await page.focus('.timeline-track');
  await page.keyboard.press('Space');
  await modeIs(page, 'history', 'paused');
  for (const [key, by] of [
    ['Shift+ArrowRight', 60_000],
    ['ArrowRight', 5000],
    ['Shift+ArrowLeft', -60_000],
    ['ArrowLeft', -5000],
  ]) {
    const from = await page.evaluate(() =>
      Number(document.querySelector('.timeline-track').getAttribute('aria-valuenow')),
    );
    const { utc } = await pictureAfter(page, () => page.keyboard.press(key));
    assert.ok(Math.abs(utc / 1000 - from - by / 1000) <= 1, `${key}: from ${from} to ${utc / 1000}`);
  }
  assert.match(await page.getAttribute('.timeline-track', 'aria-valuetext'), /^05:1\d:\d\d, /);
  assert.equal(await page.textContent('.replay-zoom'), '1 h');
  await page.keyboard.press('+');
  assert.equal(await page.textContent('.replay-zoom'), '10 min');
  await pictureAfter(page, () => page.keyboard.press('Home'));
  assert.equal(await clockOf(page), '00:00:00');

  // Play from before the gap: the clock jumps over it.
  await goTo(page, `#/watch/live/archive?at=${GAP.from - 2500}`);
  await page.evaluate(() => {
    window.clocks = new Set();
    new MutationObserver(() => window.clocks.add(document.querySelector('.replay-clock')?.textContent)).observe(
      document.body,
      { subtree: true, childList: true, characterData: true },
    );
  });
  await page.waitForFunction(() => document.querySelector('.replay-clock').textContent >= '03:50:02');
  const clocks = await page.evaluate(() => [...window.clocks]);
  assert.ok(clocks.some((clock) => clock.startsWith('03:19:5')), clocks.join());
  assert.deepEqual(clocks.filter((clock) => clock > '03:20:00' && clock < '03:50:00'), []);
  await close();
});

test('the view shows the target of a seek: a picked day, and the end of a gap', DEADLINE, async () => {
  const { page, close } = await openWatch('admin', 'live/late');
  const timelineNow = () => page.evaluate(() => {
    const head = document.querySelector('.timeline-head');
    return { head: !head.hidden, spans: document.querySelectorAll('.timeline-spans > *').length };
  });
  await page.waitForSelector(`.replay-days option[value="${MIDNIGHT - DAY}"]`, { state: 'attached' });
  await page.selectOption('.replay-days', String(MIDNIGHT - DAY));
  await modeIs(page, 'history', 'playing');
  assert.deepEqual(await timelineNow(), { head: true, spans: 1 });
  assert.match(await clockOf(page), /^14:00:0/);
  await screenshot(page, 'timeline-day-picked');

  await goTo(page, `#/watch/live/archive?at=${GAP.from - 5 * 60_000}`);
  await modeIs(page, 'history', 'playing');
  await page.click('[aria-label="Zoom in"]');
  await page.waitForFunction(() => document.querySelector('.replay-zoom').textContent === '10 min');
  await page.click('[aria-label="Later"]');
  const bar = await page.locator('.timeline-bar').boundingBox();
  await page.mouse.click(bar.x + bar.width * 0.5, bar.y + bar.height / 2);
  await until('the time behind the gap', () => clockOf(page), (clock) => /^03:50:0/.test(clock));
  assert.equal((await timelineNow()).head, true, 'behind the gap');
  await close();
});

test('a time written as people write it is sought; what is unclear gets a hint', DEADLINE, async () => {
  const { page, close } = await openWatch('admin', 'live/archive', MIDNIGHT + 12 * HOUR);
  await modeIs(page, 'history', 'playing');
  const write = async (text) => {
    await page.fill('.when-field', text);
    await page.keyboard.press('Enter');
  };
  await write('yesterday 14:05');
  await until('14:05 of yesterday', () => clockOf(page), (clock) => clock.startsWith('14:05:0'));
  assert.equal(await seekTime(page), MIDNIGHT + 14 * HOUR + 5 * 60_000);
  const day = new Date(MIDNIGHT);
  await write(`${day.getUTCDate()}.${day.getUTCMonth() + 1}. 09:30`);
  await until('a day and a time', () => clockOf(page), (clock) => clock.startsWith('09:30:0'));

  const unclear = [['5/6 14:05', /5\.6\. or 6\.5\./], ['sometime', /not clear/], ['27:00', /no such time/]];
  for (const [text, said] of unclear) {
    const before = await seekTime(page);
    await write(text);
    await page.waitForSelector('.when-hint:visible');
    assert.match(await page.textContent('.when-hint'), said);
    assert.equal(await page.getAttribute('.when-field', 'aria-invalid'), 'true');
    assert.equal(await seekTime(page), before, 'nothing is guessed');
  }
  await accessible(page, 'a hint for a time');
  await screenshot(page, 'timeline-when-hint');
  await page.fill('.when-field', '');
  await page.waitForSelector('.when-hint', { state: 'hidden' });

  // In a gap playback begins behind it, and says so; a whole day is shown whole.
  await write('yesterday 03:30');
  await page.waitForSelector('.replay-said:has-text("Nothing is recorded at")');
  await until('the end of the gap', () => clockOf(page), (clock) => clock.startsWith('03:50:0'));
  await write('yesterday');
  await page.waitForFunction(() => document.querySelector('.replay-zoom').textContent === '24 h');
  await until('the start of the day', () => clockOf(page), (clock) => clock.startsWith('00:00:0'));
  await close();

  const chinese = await openWatch('admin', 'live/archive', MIDNIGHT + 12 * HOUR, { locale: 'zh-CN' });
  await modeIs(chinese.page, 'history', 'playing');
  await chinese.page.fill('.when-field', '昨天 14:05');
  await chinese.page.keyboard.press('Enter');
  await until('14:05', () => clockOf(chinese.page), (clock) => clock.startsWith('14:05:0'));
  await screenshot(chinese.page, 'timeline-when-zh');
  await chinese.close();
});

test('arrows go to the next and the previous recording, also by keys', DEADLINE, async () => {
  const { page, close } = await openWatch('admin', 'live/archive', MIDNIGHT + 2 * HOUR);
  await modeIs(page, 'history', 'playing');
  await page.click('[aria-label^="Next recording"]');
  await until('the recording behind the gap', () => clockOf(page), (clock) => clock.startsWith('03:50:0'));
  await page.click('[aria-label^="Next recording"]');
  await page.waitForSelector('.replay-said:has-text("no later recording")');
  await page.fill('.when-field', 'yesterday 03:50:02');
  await page.keyboard.press('Enter');
  await page.focus('.timeline-track');
  await page.keyboard.press(',');
  await until('the one before', () => clockOf(page), (clock) => clock.startsWith('00:00:0'));
  await page.keyboard.press('.');
  await until('the next one again', () => clockOf(page), (clock) => clock.startsWith('03:50:0'));
  await close();
});

test('no two marks of the bar have one text or one place, at any zoom and width', DEADLINE, async () => {
  for (const [width, locale] of [[1440, 'en-US'], [820, 'zh-CN'], [390, 'en-US'], [360, 'zh-CN']]) {
    const { page, close } = await openWatch('admin', 'live/archive', MIDNIGHT + 12 * HOUR,
      { viewport: { width, height: 800 }, locale });
    await modeIs(page, 'history', 'playing');
    const first = await page.evaluate(() => document.querySelector('.timeline-bar').clientWidth);
    for (const key of ['', '+', '+', '-', '-', '-', '-']) {
      if (key) await page.keyboard.press(key);
      const marks = await page.locator('.timeline-tick').evaluateAll((all) => all.map((mark) => {
        const text = document.createRange();
        text.selectNodeContents(mark);
        const [{ left }, { right }] = [mark, text].map((part) => part.getBoundingClientRect());
        return { text: mark.textContent, left, right };
      }));
      const zoom = await page.textContent('.replay-zoom');
      const what = `${zoom} on ${width} px: ${marks.map(({ text }) => text).join(' ')}`;
      assert.equal(new Set(marks.map(({ text }) => text)).size, marks.length, what);
      for (const [index, mark] of marks.entries()) assert.ok(!index || mark.left >= marks[index - 1].right, what);
      if (key) continue;
      const minutes = Number.parseInt(zoom, 10) * (/h|小时/.test(zoom) ? 60 : 1);
      assert.ok((minutes * 60) / first <= 5, `${what}: a pixel is at most 5 s at first`);
    }
    await close();
  }
});

test('downloads are named by the viewer\'s local time', DEADLINE, async () => {
  const { page, close } = await openWatch('admin', 'live/late', LATE + 20_000, { timezoneId: 'Asia/Kolkata' });
  await modeIs(page, 'history', 'playing');
  assert.match(await clockOf(page), /^19:30:/);
  await page.click('.replay-tools button:has-text("Clip")');
  const [clip] = await Promise.all([page.waitForEvent('download'), page.click('text=Download clip')]);
  assert.match(clip.suggestedFilename(), /^late-\d{8}T1930\d\d\.mp4$/);
  await clip.cancel();
  await page.click('text=Recordings of this stream');
  const [file] = await Promise.all([page.waitForEvent('download'), page.click('.rec-session [aria-label^=Download]')]);
  assert.equal(file.suggestedFilename(), `late-${new Date(LATE).toISOString().slice(0, 10)}-19-30-00.mp4`);
  await file.cancel();
  await close();
});

test('Escape closes the clip panel, and a double click counts as one click', DEADLINE, async () => {
  const { page, close } = await openWatch('admin', 'live/archive', MIDNIGHT + 2 * HOUR);
  await modeIs(page, 'history', 'playing');
  await page.dblclick('.replay-tools button:has-text("Clip")');
  await page.waitForSelector('.clip:visible');
  await page.focus('.clip [aria-label="Close the selection"]');
  await page.keyboard.press('Escape');
  await page.waitForSelector('.clip', { state: 'hidden' });
  assert.equal(await page.evaluate(() => document.activeElement.className), 'timeline-track', 'the focus is not lost');
  await page.dblclick('.button-sound');
  assert.equal(await page.evaluate(() => document.querySelector('video').muted), false);
  await page.dblclick('.replay-pause');
  await modeIs(page, 'history', 'paused');
  await close();
});

test(
  'seeks in a file that is being written show the right picture, with one segment in each answer',
  DEADLINE,
  async (t) => {
    const begin = Math.floor(Date.now() / 8000) * 8000 - 328_000;
    await stack.ctl('stream', 'add', 'live/growing', '--owner', 'admin');
    await recordFrom(t, stack.home, begin, 'live/growing');
    const { page, close } = await openWatch('admin', 'live/growing', begin + 273_000);
    const answers = [];
    page.on('response', async (response) => {
      const name = /([\d.-]+)\.m(4s|p4)$/.exec(response.url())?.[1];
      if (!name) return;
      const range = await response.request().headerValue('range'); // only for the head of the file
      const [from, to] = range?.slice('bytes='.length).split('-').map(Number) ?? [];
      answers.push({
        status: response.status(),
        expected: range ? 206 : 200,
        received: Number(await response.headerValue('content-length')),
        requested: range ? to - from + 1 : Number(name.split('-').at(-1)),
      });
    });
    await modeIs(page, 'history', 'playing');
    await page.focus('.timeline-track');
    await page.keyboard.press('Space');
    await modeIs(page, 'history', 'paused');
    for (const key of [...Array(4).fill('Shift+ArrowLeft'), 'ArrowRight', 'ArrowLeft']) {
      const secondsAt = (utc) => [utc, utc + 4].map((ms) => Math.floor(ms / 1000));
      // while paused on a busy machine, Chromium may show the second before, and stays with it
      const { utc } = await pictureAfter(page, () => page.keyboard.press(key), (rgb, at) =>
        secondsAt(at).some((second) => [second, second - 1].some((shown) => shown % 8 === timeOf(rgb)[1])));
      const clock = await clockOf(page);
      assert.ok(
        secondsAt(utc).some((second) => new Date(second * 1000).toISOString().slice(11, 19) === clock),
        clock,
      );
    }
    assert.ok(answers.length >= 4, `${answers.length} answers`);
    for (const { status, expected, requested, received } of answers)
      assert.ok(
        status === expected && received <= requested + 100 && received >= requested - 1000,
        JSON.stringify(answers),
      );
    await close();
  },
);

test('playback crosses from one file to the next without a stall', DEADLINE, async () => {
  const border = MIDNIGHT + 8 * HOUR;
  const { page, close } = await openWatch('admin', 'live/archive', border - 3000);
  await modeIs(page, 'history', 'playing');
  await page.evaluate(() => {
    const video = document.querySelector('video');
    window.stalls = 0;
    video.addEventListener('waiting', () => { window.stalls += 1; });
  });
  await until('playback of some seconds of the next file', () => clockOf(page), (clock) => clock >= '08:00:03');
  assert.deepEqual(await page.evaluate(() => [document.querySelector('video').buffered.length, window.stalls]), [1, 0]);
  await close();
});

test('the page replaces revoked URLs, and playback goes on', DEADLINE, async () => {
  const { page, close } = await openWatch('admin', 'live/archive', MIDNIGHT + 7 * HOUR);
  await modeIs(page, 'history', 'playing');
  await page.keyboard.press('Space');
  await modeIs(page, 'history', 'paused');
  await stack.ctl('stream', 'revoke', 'live/archive');
  await pictureAfter(page, () => page.keyboard.press('Shift+ArrowRight'));
  await close();
});

test('a browser without MediaSource plays the playlist itself', DEADLINE, async () => {
  const { page, close } = await openWatch('admin', 'live/archive', MIDNIGHT + 9 * HOUR, {
    prepare: (context) =>
      context.addInitScript(() => {
        delete window.MediaSource;
        delete window.ManagedMediaSource;
      }),
  });
  await modeIs(page, 'history', 'playing');
  await page.focus('.timeline-track');
  await page.keyboard.press('Space');
  await modeIs(page, 'history', 'paused');
  // while paused on a busy machine, Chromium's own player shows the second before, and stays with it
  const isNear = (rgb, utc) => isPictureOf(rgb, utc) || isPictureOf(rgb, utc - 1000);
  for (const key of ['Shift+ArrowRight', 'ArrowRight', 'Home'])
    await pictureAfter(page, () => page.keyboard.press(key), isNear);
  await close();
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

test('FLV from the recorder plays, while it is written and when it is complete', { timeout: 180_000 }, async () => {
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
  const tape = pushFfmpeg(`${stack.rtmpUrl}/live/tape?key=${key}`);
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
