// The wall of the past: several recordings in step on one bar. Two streams are recorded with
// colours that change every second; in step means that they change at once.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { DAY, HOUR } from '../lib/recordings.mjs';
import { startStack } from '../lib/stack.mjs';
import { accessible, checkView, launch, looks, openView, screenshot, until } from './browser.mjs';
import { writeColoured } from './coloured-recordings.mjs';
import { clockOf } from './replay.mjs';

const DEADLINE = { timeout: 240_000 };
const inStepMs = 300;
const begin = Math.floor(Date.now() / DAY) * DAY - DAY + 10 * HOUR;
const at = (seconds) => begin + seconds * 1000;
const gap = { from: at(400), to: at(480) };
const both = 't=live/north,live/south';

let stack;
let browser;

before(async () => {
  stack = await startStack();
  for (const name of ['north', 'south', 'empty']) await stack.ctl('stream', 'add', `live/${name}`, '--owner', 'admin');
  await stack.ctl('stream', 'set', 'live/north', 'title=North gate');
  await writeColoured(stack.home, {
    'live/north': [[at(0), at(1200)]],
    // another beginning, so that the same moment is elsewhere in each video
    'live/south': [[at(64), gap.from], [gap.to, at(1200)]],
  });
  browser = await launch(stack);
});

after(async () => {
  await browser?.close();
  await stack?.stop();
});

const openWall = (hash, options = {}) => openView(browser, stack, hash, { timezoneId: 'UTC', ...options });

const plays = (page, ...streams) =>
  Promise.all(streams.map((stream) =>
    page.waitForSelector(`.tile[data-stream="${stream}"][data-mode=history][data-phase=playing]`)));

const timeText = (ms) => new Date(ms).toISOString().slice(11, 19);

/**
 * Watches both pictures until each has changed its colour `count` times at a border between seconds, and returns how
 * far apart the two changed, in ms. A change that the other picture does not have within half a second counts as 1000.
 */
async function stepsApart(page, count) {
  const changes = await page.evaluate((wanted) => new Promise((resolve) => {
    const seen = {};
    for (const tile of document.querySelectorAll('.tile:is([data-stream$=north], [data-stream$=south])')) {
      const video = tile.querySelector('video');
      const context = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
      const list = [];
      let last = null;
      seen[tile.dataset.stream] = list;
      const look = () => {
        context.drawImage(video, 0, 0, 1, 1);
        const rgb = [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
        const isNew = last && Math.hypot(...rgb.map((value, index) => value - last[index])) > 24;
        if (isNew) list.push({ at: performance.now(), rgb });
        last = rgb;
        if (Object.values(seen).every((all) => all.length >= wanted)) resolve(seen);
        else video.requestVideoFrameCallback(look);
      };
      video.requestVideoFrameCallback(look);
    }
  }), count);
  const [north, south] = [changes['live/north'], changes['live/south']];
  const same = (a, b) => Math.hypot(...a.rgb.map((value, index) => value - b.rgb[index])) < 24;
  const from = Math.max(north[0].at, south[0].at) - 500;
  const to = Math.min(north.at(-1).at, south.at(-1).at) + 500;
  return north.filter((change) => change.at > from && change.at < to).map((change) =>
    Math.min(1000, ...south.filter((other) => same(change, other)).map((other) => Math.abs(other.at - change.at))));
}

/** Waits until they are in step, and then demands it of each of the next changes. */
async function assertInStep(page, what, t) {
  await until(`${what}: in step`, () => stepsApart(page, 3), (all) => all.every((ms) => ms < inStepMs));
  const all = await stepsApart(page, 7);
  t.diagnostic(`${what}: ${all.map(Math.round).join(', ')} ms apart`);
  assert.ok(all.length >= 4 && all.filter((ms) => ms > inStepMs).length <= 1, `${what}: ${all.join(', ')} ms apart`);
}

test('two recordings play in step from a link, after a seek, and at another speed', DEADLINE, async (t) => {
  const { page, close } = await openWall(`#/wall/2?${both}&at=${at(100)}`);
  await plays(page, 'live/north', 'live/south');
  await assertInStep(page, 'from a link', t);
  assert.match(await clockOf(page), /^10:0[123]:/);
  assert.equal(await page.locator('.replay button:has-text("Clip")').isVisible(), false, 'a clip is of one stream');
  await accessible(page, 'wall of the past');
  await screenshot(page, 'wall-past');

  await page.fill('.when-field', `${new Date(begin).toISOString().slice(0, 10)} 10:15`);
  await page.keyboard.press('Enter');
  await until('the time that was written', () => clockOf(page), (clock) => clock.startsWith('10:15:0'));
  await plays(page, 'live/north', 'live/south');
  await assertInStep(page, 'after a seek', t);
  assert.match(page.url(), new RegExp(`#/wall/2\\?${both}&at=${at(900)}$`));

  // One of them is held up: it comes back into step by itself.
  await page.evaluate(() => {
    const video = document.querySelector('.tile[data-stream="live/south"] video');
    video.currentTime -= 4;
  });
  await assertInStep(page, 'after one fell behind', t);
  await close();
});

test('pause holds all of them at one moment, and a step moves all', DEADLINE, async () => {
  const { page, close } = await openWall(`#/wall/2?${both}&at=${at(200)}`);
  await plays(page, 'live/north', 'live/south');
  await page.focus('.timeline-track');
  await page.keyboard.press('Space');
  const standing = () => page.evaluate(() => [...document.querySelectorAll('.tile')].map((tile) => {
    const video = tile.querySelector('video');
    const context = new OffscreenCanvas(1, 1).getContext('2d');
    context.drawImage(video, 0, 0, 1, 1);
    return { paused: video.paused && !video.seeking, rgb: [...context.getImageData(0, 0, 1, 1).data].slice(0, 3) };
  }));
  const isOneMoment = ([a, b]) =>
    a.paused && b.paused && Math.hypot(...a.rgb.map((value, index) => value - b.rgb[index])) < 24;
  await until('both to stand', standing, (all) => all.every(({ paused }) => paused));
  for (const key of ['Shift+ArrowRight', 'ArrowLeft', 'ArrowLeft']) {
    const before = await clockOf(page);
    await page.keyboard.press(key);
    await until(`${key} to move the clock`, () => clockOf(page), (clock) => clock !== before);
    await until(`${key}: the same moment in both`, standing, isOneMoment);
  }
  await close();
});

test('a tile with nothing recorded says so, and joins in when it has something', DEADLINE, async (t) => {
  const { page, close } = await openWall(`#/wall/3?${both},live/empty&at=${gap.from + 20_000}`);
  await plays(page, 'live/north');
  const said = (stream) => page.locator(`.cell:has([data-stream="${stream}"]) .cell-said`);
  await said('live/south').waitFor();
  assert.match(await said('live/south').innerText(), new RegExp(`Not recorded until ${timeText(gap.to)}`));
  assert.match(await said('live/empty').innerText(), /Not recorded at this time/);
  assert.equal(await said('live/north').isVisible(), false);
  await accessible(page, 'a gap on the wall');
  await screenshot(page, 'wall-past-gap');

  await page.fill('.when-field', `${new Date(begin).toISOString().slice(0, 10)} ${timeText(gap.to - 6000)}`);
  await page.keyboard.press('Enter');
  await plays(page, 'live/north', 'live/south');
  await said('live/south').waitFor({ state: 'hidden' });
  await assertInStep(page, 'behind the gap', t);
  await close();
});

test('the wall leaves the past by its button, and a stream that ended stays chosen', DEADLINE, async () => {
  const { page, close } = await openWall(`#/wall/2?${both}`);
  await page.click('.wall-bar [aria-label="Timeline"]');
  await page.waitForSelector('.wall-past .timeline-bar');
  await page.selectOption('.replay-days', { index: 1 });
  await plays(page, 'live/north');
  assert.match(await clockOf(page), /^10:00:0/, 'a picked day plays where something is');
  assert.match(page.url(), /&at=\d+$/);
  await page.click('.wall-bar [aria-pressed=true]');
  await page.waitForSelector('.wall-past .replay', { state: 'detached' });
  await page.waitForSelector('.tile[data-mode=live]');
  assert.match(page.url(), new RegExp(`#/wall/2\\?${both}$`));
  await close();
});

for (const look of looks) {
  test(`the wall of the past at ${look.name}`, DEADLINE, async () => {
    const { page, close } = await openWall(`#/wall/2?${both}&at=${at(700)}`, look.options);
    await plays(page, 'live/north', 'live/south');
    await checkView(page, look, 'wall-past');
    const pixel = await page.evaluate(() => document.querySelector('.timeline-bar').clientWidth);
    const zoom = await page.textContent('.replay-zoom');
    const minutes = Number.parseInt(zoom, 10) * (/h|小时/.test(zoom) ? 60 : 1);
    assert.ok((minutes * 60) / pixel <= 5, `${zoom} on ${pixel} px`);
    const labels = await page.locator('.timeline-tick').evaluateAll((marks) => marks.map((mark) => mark.textContent));
    assert.equal(new Set(labels).size, labels.length, labels.join());
    await close();
  });
}
