// The player of the past, with real nginx, service and Chromium: seeks on the bar, by keys and by words, in a day of
// written recordings. All tests share one stack and one browser.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { DAY, HOUR } from '../lib/recordings.mjs';
import { accessible, goTo, screenshot, until } from './browser.mjs';
import { GAP, LATE, MIDNIGHT, isPictureOf, recordFrom, timeOf } from './coloured-recordings.mjs';
import { clockOf, modeIs, networkOf, pictureAfter, seekTime, startArchive } from './replay.mjs';

const DEADLINE = { timeout: 120_000 };

let archive;
let stack;

const openWatch = (...watch) => archive.openWatch(...watch);

before(async () => {
  archive = await startArchive();
  ({ stack } = archive);
});

after(() => archive?.stop());

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
