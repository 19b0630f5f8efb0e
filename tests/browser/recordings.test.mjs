// History on the page, with real nginx, service and Chromium: a day that was
// made here, whose colour tells the second, and a stream recorded for real.
// One file because all of it shares one stack and one browser.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { pushFfmpeg, untilLive } from '../lib/media.mjs';
import { DAY, HOUR, Recording, makeSource, writeRecordings } from '../lib/recordings.mjs';
import { startStack } from '../lib/stack.mjs';
import { accessible, goTo, launch, logIn, noSidewaysScroll, openPage, phone, screenshot, until } from './browser.mjs';

const DEADLINE = { timeout: 120_000 };
const PASSWORD = 'a long enough password';
const MIDNIGHT = Math.floor(Date.now() / DAY) * DAY - DAY;      // of yesterday
const GAP = { from: MIDNIGHT + 3 * HOUR + 20 * 60_000, to: MIDNIGHT + 3 * HOUR + 50 * 60_000 };
const LATE = MIDNIGHT - DAY + 14 * HOUR;
const SIZE = '64x36';

let stack;
let browser;
let colours;                // [even hours, odd hours]: [r, g, b] of each of eight seconds
let publisher;

before(async () => {
  stack = await startStack();
  browser = await launch(stack);
  await stack.ctl('stream', 'add', 'live/archive', '--owner', 'admin');
  await stack.ctl('stream', 'set', 'live/archive', 'title=North gate');
  await stack.ctl('stream', 'add', 'live/late', '--owner', 'admin');
  await stack.ctl('stream', 'set', 'live/demo', 'record=always');
  publisher = pushFfmpeg(`${stack.rtmpUrl}/live/demo?key=${stack.demoKey}`);
  await writeYesterday();
  giveToService();
  await stack.ctl('reindex');
});

after(async () => {
  await browser?.close();
  publisher?.child.kill('SIGKILL');
  await stack?.stop({ allow: /recording stopped|recording of live\/demo/ });
});

// Each second of eight has a colour, and odd hours are darker. With a gap in it.
async function writeYesterday() {
  const bright = await coloured('red');
  const dark = await coloured('0x700000');
  colours = [bright, dark].map(secondsOf);
  const root = path.join(stack.home, 'rec');
  for (let utc = MIDNIGHT; utc < MIDNIGHT + DAY; utc += HOUR) {
    const spans =
      utc < GAP.from && GAP.from < utc + HOUR
        ? [
            [utc, GAP.from],
            [GAP.to, utc + HOUR],
          ]
        : [[utc, utc + HOUR]];
    writeRecordings(root, 'live/archive', (utc / HOUR) % 2 ? dark : bright, { spans, session: MIDNIGHT });
  }
  writeRecordings(root, 'live/late', bright, { spans: [[LATE, LATE + 60_000]], session: LATE });
}

function giveToService() {
  const root = path.join(stack.home, 'rec');
  const { uid, gid } = fs.statSync(root);
  for (const name of ['', ...fs.readdirSync(path.join(root, 'live'), { recursive: true })])
    fs.chownSync(path.join(root, 'live', name), uid, gid);
}

function coloured(name) {
  return makeSource({ rate: 5, audio: false, picture: `color=${name}:size=${SIZE}:rate=5,hue=h=45*floor(t)` });
}

/** What ffmpeg shows of a source in each of its seconds. */
function secondsOf(source) {
  return source.fragments.map(({ data }) => [
    ...execFileSync(
      'ffmpeg',
      [
        '-v',
        'error',
        '-f',
        'mp4',
        '-i',
        'pipe:0',
        '-frames:v',
        '1',
        '-vf',
        'scale=1:1',
        '-f',
        'rawvideo',
        '-pix_fmt',
        'rgb24',
        'pipe:1',
      ],
      { input: Buffer.concat([source.init, data]) },
    ),
  ]);
}

/** [hour is odd, second of eight] that a colour stands for. */
function toldBy(rgb) {
  let best = { distance: Infinity };
  colours.forEach((seconds, odd) => seconds.forEach((colour, second) => {
    const distance = Math.hypot(...colour.map((value, n) => value - rgb[n]));
    if (distance < best.distance) best = { distance, told: [odd, second] };
  }));
  return best.told;
}

/** Is a colour that of a time? A frame's edge may be a few ms off. */
const isPictureOf = (rgb, utc) =>
  [utc, utc + 4].some((ms) =>
    toldBy(rgb).join() === [Math.floor(ms / HOUR) % 2, Math.floor((ms % HOUR) / 1000) % 8].join());

async function openWatch(user, stream, at, { prepare, ...options } = {}) {
  const opened = await openPage(browser, stack.httpsUrl, { timezoneId: 'UTC', ...options }, prepare);
  await logIn(opened.page, user === 'admin' ? stack.adminPassword : PASSWORD, user);
  await goTo(opened.page, `#/watch/${stream}${at ? `?at=${at}` : ''}`);
  return opened;
}

/** A function that sets the page's network: ms until an answer begins, bytes a second; no limit where none is given. */
async function networkOf(page) {
  const session = await page.context().newCDPSession(page);
  return ({ latency = 0, downloadThroughput = -1 } = {}) =>
    session.send('Network.emulateNetworkConditions', {
      offline: false, latency, downloadThroughput, uploadThroughput: -1,
    });
}

const modeIs = (page, mode, phase) => page.waitForSelector(`.tile[data-mode=${mode}][data-phase=${phase}]`);
const clockOf = (page) => page.textContent('.replay-clock');
const asked = async (page) =>
  Number(new URLSearchParams((await page.evaluate(() => location.hash)).split('?')[1]).get('at'));

/** The colour of the paused video, the time that the page's address names, and whether the video shows its picture. */
const pictureNow = (page) => page.evaluate(() => {
  const video = document.querySelector('video');
  const context = new OffscreenCanvas(1, 1).getContext('2d');
  context.drawImage(video, 0, 0, 1, 1);
  return {
    rgb: [...context.getImageData(0, 0, 1, 1).data].slice(0, 3),
    utc: Number(/at=(\d+)/.exec(location.hash)?.[1]),
    shown:
      document.querySelector('.tile').dataset.phase === 'paused' &&
      document.querySelector('.tile-still').hidden &&
      !video.seeking &&
      video.readyState >= 2,
    at: video.currentTime,
    end: video.buffered.length && video.buffered.end(0),
  };
});

/**
 * Does `act` while playback is paused, and waits until the page shows the picture of the time it then names: a frame
 * of before may stay on the screen for a moment. Returns that time, and the media requested until the seek ended.
 */
async function pictureAfter(page, act, isRight = isPictureOf) {
  await page.evaluate(() => {
    performance.clearResourceTimings();
    const video = document.querySelector('video');
    let begin;
    window.requested = null;
    // what counts comes behind the beginning of a seek, or of another file
    const done = new AbortController();
    const on = (types, listener) =>
      types.forEach((type) => video.addEventListener(type, listener, { signal: done.signal }));
    const ended = () => {
      if (begin === undefined || video.seeking || video.readyState < 2) return;
      done.abort();
      window.requested = performance
        .getEntriesByType('resource')
        .filter((entry) => entry.startTime > begin && /\.(mp4|m4s|m3u8)(\?|$)/.test(entry.name))
        .map((entry) => entry.name.replace(/^.*\/rec\//, ''));
    };
    on(['seeking', 'emptied'], () => { begin ??= performance.now(); ended(); });
    on(['seeked', 'loadeddata'], ended);
  });
  await act();
  const requests = await (await page.waitForFunction(() => window.requested)).jsonValue();
  const { utc } = await until(
    'the picture of the time that was sought',
    () => pictureNow(page),
    ({ shown, rgb, utc }) => shown && isRight(rgb, utc),
  );
  return { utc, requests };
}

test('a day of history: the right picture wherever the mouse goes, after two requests at most', DEADLINE, async (t) => {
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
  // As over a real network: what comes behind the picture does not come before it is drawn.
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
      `${clock} is told for ${new Date(utc).toISOString()}`,
    );
    most = Math.max(most, requests.length);
    assert.ok(requests.length <= 2, `${new Date(utc).toISOString()} took ${requests.join(', ')}`);
  }
  await setNetwork();
  t.diagnostic(`at most ${most} requests of media until a picture of 24 hours was shown`);

  // By hand: dragged there, with the picture under the pointer on the way.
  await page.mouse.move(bar.x + bar.width * 0.3, bar.y + 10);
  await page.mouse.down();
  await page.mouse.move(bar.x + bar.width * 0.6, bar.y + 10, { steps: 4 });
  await page.waitForSelector('.timeline-thumb:not([hidden])');
  await pictureAfter(page, () => page.mouse.up());
  await page.mouse.move(bar.x + bar.width * (GAP.from + GAP.to - 2 * MIDNIGHT) / 2 / DAY, bar.y + 10);
  await until(
    'the pointer to say that nothing was recorded',
    () => page.textContent('.timeline-peek'),
    (text) => text.includes('not recorded'),
  );
  await accessible(page, 'timeline');
  await close();
});

test('by keyboard: seconds, minutes, ends, zoom, pause; a gap takes no time', DEADLINE, async () => {
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

  // Before the gap, and on: the clock jumps, and is never inside.
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

test('what is gone to is in sight: a day that was picked, and what comes behind a gap', DEADLINE, async () => {
  const { page, close } = await openWatch('admin', 'live/late');
  const seen = () => page.evaluate(() => {
    const head = document.querySelector('.timeline-head');
    return { head: !head.hidden, spans: document.querySelectorAll('.timeline-spans > *').length };
  });
  await page.waitForSelector(`.replay-days option[value="${MIDNIGHT - DAY}"]`, { state: 'attached' });
  await page.selectOption('.replay-days', String(MIDNIGHT - DAY));
  await modeIs(page, 'history', 'playing');
  assert.deepEqual(await seen(), { head: true, spans: 1 });
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
  assert.equal((await seen()).head, true, 'behind the gap');
  await close();
});

test('files are named by the clock of the page', DEADLINE, async () => {
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

test('the panel of a clip closes by Escape, and a double click does not undo itself', DEADLINE, async () => {
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

/** Seconds since BEGIN are recorded as they pass, like those of yesterday's even hours, until the test ends. */
async function recordFrom(t, begin, stream) {
  const file = new Recording(path.join(stack.home, 'rec'), stream, await coloured('red'), { utc: begin });
  const grow = () => {
    const seconds = Math.floor((Date.now() - file.end_) / 1000);
    if (seconds > 0) file.add(seconds).flush();
  };
  grow();
  file.mark();
  giveToService();
  // nginx lets be what is marked and whose writer lives
  const lock = spawn('flock', ['--no-fork', file.path, 'sleep', '600']);
  const timer = setInterval(grow, 200);
  t.after(() => { clearInterval(timer); lock.kill(); file.end(); });
}

test(
  'a file that is being written, in a browser that caches: what is sought is shown, a segment with each request',
  DEADLINE,
  async (t) => {
    const begin = Math.floor(Date.now() / 8000) * 8000 - 328_000;
    await stack.ctl('stream', 'add', 'live/growing', '--owner', 'admin');
    await recordFrom(t, begin, 'live/growing');
    const { page, close } = await openWatch('admin', 'live/growing', begin + 273_000);
    const answers = [];
    page.on('response', async (response) => {
      const name = /([\d.-]+)\.m(4s|p4)$/.exec(response.url())?.[1];
      if (!name) return;
      const range = await response.request().headerValue('range'); // of the file's head
      const [from, to] = range?.slice('bytes='.length).split('-').map(Number) ?? [];
      answers.push({
        status: response.status(),
        wanted: range ? 206 : 200,
        came: Number(await response.headerValue('content-length')),
        asked: range ? to - from + 1 : Number(name.split('-').at(-1)),
      });
    });
    await modeIs(page, 'history', 'playing');
    await page.focus('.timeline-track');
    await page.keyboard.press('Space');
    await modeIs(page, 'history', 'paused');
    for (const key of [...Array(4).fill('Shift+ArrowLeft'), 'ArrowRight', 'ArrowLeft']) {
      const secondsAt = (utc) => [utc, utc + 4].map((ms) => Math.floor(ms / 1000));
      const { utc } = await pictureAfter(page, () => page.keyboard.press(key), (rgb, at) =>
        secondsAt(at).some((second) => second % 8 === toldBy(rgb)[1]));
      const readClock = await clockOf(page);
      assert.ok(
        secondsAt(utc).some((second) => new Date(second * 1000).toISOString().slice(11, 19) === readClock),
        readClock,
      );
    }
    assert.ok(answers.length >= 4, `${answers.length} answers`);
    for (const { status, wanted, asked, came } of answers)
      assert.ok(status === wanted && came <= asked + 100 && came >= asked - 1000, JSON.stringify(answers));
    await close();
  },
);

test('over the border of two files playback goes on in one piece', DEADLINE, async () => {
  const border = MIDNIGHT + 8 * HOUR;
  const { page, close } = await openWatch('admin', 'live/archive', border - 3000);
  await modeIs(page, 'history', 'playing');
  await page.evaluate(() => {
    const video = document.querySelector('video');
    window.stalls = 0;
    video.addEventListener('waiting', () => { window.stalls += 1; });
  });
  await until('some seconds behind the border', () => clockOf(page), (clock) => clock >= '08:00:03');
  assert.deepEqual(await page.evaluate(() => [document.querySelector('video').buffered.length, window.stalls]), [1, 0]);
  await close();
});

test('links that were taken back are replaced, and playback goes on', DEADLINE, async () => {
  const { page, close } = await openWatch('admin', 'live/archive', MIDNIGHT + 7 * HOUR);
  await modeIs(page, 'history', 'playing');
  await page.keyboard.press('Space');
  await modeIs(page, 'history', 'paused');
  await stack.ctl('stream', 'revoke', 'live/archive');
  await pictureAfter(page, () => page.keyboard.press('Shift+ArrowRight'));
  await close();
});

test('a browser with a player of its own and no MediaSource', DEADLINE, async () => {
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
  for (const key of ['Shift+ArrowRight', 'ArrowRight', 'Home'])
    await pictureAfter(page, () => page.keyboard.press(key));
  await close();
});

test('from live to the past and back, and a clip of it', DEADLINE, async () => {
  await untilLive(stack, 'live/demo', publisher);
  const { page, close } = await openWatch('admin', 'live/demo');
  await modeIs(page, 'live', 'playing');
  await page.waitForSelector('.badge-rec:visible');
  await page.waitForSelector('.timeline-span');
  assert.equal(await page.getAttribute('.timeline-track', 'aria-valuetext'), 'Live');
  const video = await page.evaluateHandle(() => document.querySelector('video'));
  await until(
    'twenty seconds that were recorded',
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
  assert.ok(await page.evaluate((before_) => before_ === document.querySelector('video'), video), 'the same video');
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

  // Faster than it grows, the recording comes to its end: live again.
  await page.click('[aria-label="10 seconds back"]');
  await modeIs(page, 'history', 'playing');
  await page.selectOption('.replay-rate', '4');
  await modeIs(page, 'live', 'playing');
  assert.equal(await page.inputValue('.replay-rate'), '1');
  // Stopped, and gone on from before that.
  await page.focus('.timeline-track');
  await page.keyboard.press('Space');
  await modeIs(page, 'held', 'paused');
  await page.keyboard.press('ArrowLeft');
  await modeIs(page, 'history', 'paused');
  await page.keyboard.press('Space');
  await modeIs(page, 'history', 'playing');
  await close();
});

test('a recording that has just begun is not called none', DEADLINE, async () => {
  await untilLive(stack, 'live/demo', publisher);
  // As in the seconds before the first of it is written.
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

/** What the view says of its picture: badges, clock, whether it claims to be live or recorded. */
const told = (page) =>
  page.evaluate(() => ({
    badges: [...document.querySelectorAll('.tile-badge, .watch-heading .badge:first-of-type')].map(
      (badge) => badge.textContent,
    ),
    clock: document.querySelector('.replay-clock').textContent,
    live: document.querySelector('.replay-live-on') !== null,
    rec: [...document.querySelectorAll('.tile-rec, .badge-rec')].filter((sign) => sign.checkVisibility()).length,
  }));

test(
  'a picture that stands still is called neither live nor recorded nor paused, and its clock stands',
  DEADLINE,
  async () => {
    await untilLive(stack, 'live/demo', publisher);
    const { page, close } = await openWatch('admin', 'live/demo');
    await modeIs(page, 'live', 'playing');
    await until(
      'live and recorded',
      () => told(page),
      ({ badges, live, rec }) => live && rec === 2 && badges.every((badge) => badge === 'Live'),
    );
    process.kill(publisher.child.pid, 'SIGSTOP');
    try {
      const stands = await until(
        'the page to say that it waits',
        () => told(page),
        ({ badges }) => badges.every((badge) => badge === 'Waiting'),
      );
      assert.deepEqual([stands.live, stands.rec], [false, 0]);
      await screenshot(page, 'picture-stands');
      // As long as a clock that runs would need to show it.
      await page.waitForFunction((then) => Date.now() > then + 2500, await page.evaluate(() => Date.now()));
      assert.deepEqual(await told(page), stands);
    } finally {
      process.kill(publisher.child.pid, 'SIGCONT');
    }
    await until(
      'live and recorded again',
      () => told(page),
      ({ badges, live, rec }) => live && rec === 2 && badges.every((badge) => badge === 'Live'),
    );
    await close();
  },
);

test('whoever may not see the past sees no bar; who may, but not manage, changes nothing', DEADLINE, async () => {
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
  'whoever manages a stream but may not look back starts its recording, and lists what was recorded',
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
    assert.equal(await page.locator('[aria-label^=Download]').count(), 0, 'files are for those who may replay');
    await close();
    await stack.ctl('stream', 'set', 'live/demo', 'record=always');
  },
);

test('recordings are found, kept and deleted', DEADLINE, async () => {
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

test('recordings come page by page, and a service that fails is told', DEADLINE, async () => {
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

test('on a phone, with thumbs: recorded when asked, told when it cannot be', DEADLINE, async () => {
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
  assert.deepEqual(small, [], 'too small for a thumb, or cut off');
  await accessible(page, 'timeline on a phone');
  await screenshot(page, 'phone-timeline');
  await page.setViewportSize({ width: 360, height: 740 });
  await noSidewaysScroll(page, 'timeline at 360 px');
  await goTo(page, '#/recordings');
  await page.waitForSelector('.rec-session');
  await noSidewaysScroll(page, 'recordings on a phone');
  await accessible(page, 'recordings on a phone');
  await screenshot(page, 'phone-recordings');

  // A disk that cannot be written, and then can: a file is where the folder was, which stops root, too.
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
    /Recording stopped: the disk cannot be written\. Live goes on\..*live\/demo/,
  );
  await accessible(page, 'a recording that stopped');
  await screenshot(page, 'phone-recording-stopped');
  fs.rmSync(folder);
  fs.renameSync(`${folder}.away`, folder);
  await page.waitForSelector('.trouble-stopped', { state: 'hidden' });
  await close();
});

/**
 * Ten minutes of FLV in the colours of the others, with an index of its key frames, as recorders make them; filled up,
 * so that it is not loaded at once.
 */
function makeFlv(file, begin) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  execFileSync('ffmpeg', [
    '-v',
    'error',
    '-f',
    'lavfi',
    '-i',
    `color=red:size=${SIZE}:rate=5,hue=h=45*floor(t+1)`,
    '-t',
    '600',
    '-c:v',
    'libx264',
    '-preset',
    'ultrafast',
    '-g',
    '10',
    '-pix_fmt',
    'yuv420p',
    '-colorspace',
    'smpte170m',
    '-color_primaries',
    'smpte170m',
    '-color_trc',
    'smpte170m',
    '-b:v',
    '400k',
    '-minrate',
    '400k',
    '-maxrate',
    '400k',
    '-bufsize',
    '400k',
    '-x264-params',
    'nal-hrd=cbr',
    '-flvflags',
    'add_keyframe_index',
    file,
  ]);
  fs.utimesSync(file, begin / 1000 + 600, begin / 1000 + 600);     // where it ends
  const { uid, gid } = fs.statSync(path.join(stack.home, 'rec'));
  for (let entry = file; entry !== path.join(stack.home, 'rec'); entry = path.dirname(entry))
    fs.chownSync(entry, uid, gid);
}

test('an FLV recording plays and is sought in by its key frames; a clip says that it needs MP4', DEADLINE, async () => {
  const begin = MIDNIGHT + 10 * HOUR;
  await stack.ctl('stream', 'add', 'live/film', '--owner', 'admin');
  makeFlv(
    path.join(stack.home, 'rec/live/film', new Date(begin).toISOString().slice(0, 10), '10-00-00.000.flv'),
    begin,
  );
  await stack.ctl('reindex');
  const { page, close } = await openWatch('admin', 'live/film');
  // As over a real network: the player stops loading long before it has the whole file, however slow the machine is.
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
  const sought = async (what, act) => {
    const was = await asked(page);
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
    await sought(`a click at ${share}`, () => page.mouse.click(span.x + span.width * share, span.y + span.height / 2));
  assert.ok(ranges.some((from) => from > 1e6), `asked for from ${ranges.join()}: by key frame, not from the beginning`);
  // Within the first key frames, which a player of FLV can't ask for: loaded anew, under the last picture.
  assert.equal(await sought('Home', () => page.keyboard.press('Home')), begin);
  await sought('an arrow', () => page.keyboard.press('ArrowRight'));
  assert.equal(await sought('Home again', () => page.keyboard.press('Home')), begin);

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

test('what Duolu records as FLV plays, while it is written and when it is complete', { timeout: 180_000 }, async () => {
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
      'sixteen seconds that were recorded',
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

/** Two fingers apart on the bar: it shows less time. */
async function pinch(page) {
  const before_ = await page.textContent('.replay-zoom');
  const bar = await page.locator('.timeline-bar').boundingBox();
  const debug = await page.context().newCDPSession(page);
  const touch = (type, ...places) =>
    debug.send('Input.dispatchTouchEvent', {
      type,
      touchPoints: places.map((x, id) => ({ x: bar.x + x, y: bar.y + bar.height / 2, id })),
    });
  await touch('touchStart', 140);
  await touch('touchStart', 140, 180);
  for (let by = 10; by <= 60; by += 10) await touch('touchMove', 140 - by, 180 + by);
  await touch('touchEnd');
  await page.waitForFunction((text) => document.querySelector('.replay-zoom').textContent !== text, before_);
  assert.match(await page.textContent('.replay-zoom'), /^1\d min$/);
}
