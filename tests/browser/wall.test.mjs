// The wall shows moving pictures: the counts of decoded frames rise, pictures have more
// than one colour, one tile has sound, and tiles recover by themselves.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { startStack } from '../lib/stack.mjs';
import {
  accessible,
  framesRise,
  goTo,
  launch,
  noSidewaysScroll,
  openView,
  phone,
  screenshot,
  tiles,
  until,
} from './browser.mjs';
import { leaveNothing, publish } from './publisher.mjs';

let stack;
let browser;
const urls = new Map();
const running = new Set();

function start(names, options) {
  const publisher = publish(names.map((name) => urls.get(name)), options);
  running.add(publisher);
  return { ...publisher, stop: () => { running.delete(publisher); return publisher.stop(); } };
}

const numbered = (count, from = 1) => Array.from({ length: count }, (_, index) => `live/cam${index + from}`);

before(async () => {
  stack = await startStack();
  for (const name of numbered(16)) {
    const [key] = (await stack.ctl('stream', 'add', name, '--owner', 'admin')).match(/(?<![\w-])[\w-]{22}(?![\w-])/);
    urls.set(name, `${stack.rtmpUrl}/${name}?key=${key}`);
  }
  browser = await launch(stack);
});

afterEach(() => leaveNothing(browser, running));
after(async () => {
  await browser?.close();
  // One test kills a worker on purpose.
  await stack?.stop({ allow: /exited on signal 9/ });
});

test('four tiles show moving pictures, sound comes from the focused one', async () => {
  const four = numbered(4);
  const publisher = start(four);
  const { page, close } = await openView(browser, stack, '#/wall/4');
  await framesRise(page, four);
  const seen = await until(
    'each has a picture in colour',
    () => tiles(page),
    (shown) => four.every((stream) => shown[stream].colours > 4),
  );
  assert.deepEqual(four.filter((stream) => !seen[stream].muted), [], 'no tile has sound before a click');

  const place = { position: { x: 40, y: 80 } };
  const listening = async () =>
    Object.entries(await tiles(page))
      .filter(([, tile]) => !tile.muted)
      .map(([stream]) => stream);
  for (const index of [1, 2]) {
    await page.click(`.cell[data-index="${index}"] .cell-hit`, place);
    const stream = await page.getAttribute(`.cell[data-index="${index}"] .tile`, 'data-stream');
    assert.deepEqual(await listening(), [stream]);
  }
  await page.keyboard.press('m');
  assert.deepEqual(await listening(), []);
  const large = () => page.evaluate(() => [...document.querySelectorAll('.cell')].filter((cell) =>
    !cell.hidden && cell.checkVisibility({ visibilityProperty: true })).map((cell) => cell.dataset.index).join());
  for (const [shown, sound] of [['1', 1], ['0,1,2,3', 1]]) {
    await page.dblclick('.cell[data-index="1"] .cell-hit', place);
    await until('a double click to enlarge the tile, and back', large, (seen) => seen === shown);
    assert.equal((await listening()).length, sound, 'and the sound stays as it was');
  }
  await page.dblclick('.cell[data-index="2"] .cell-hit', place);
  await until('another tile to be large', large, (seen) => seen === '2');
  await screenshot(page, 'wall-enlarged');
  await page.keyboard.press('Escape');
  await until('Escape to go back', large, (seen) => seen === '0,1,2,3');
  await page.dblclick('.wall-sound');
  assert.deepEqual(await listening(), []);
  await until('bitrate, and how far behind live, on each tile', () => page.locator('.tile-numbers').allInnerTexts(),
    (texts) => texts.length === 4 && texts.every((text) => /bps/.test(text) && /\d s behind live/.test(text)));
  await accessible(page, 'wall of four');
  await screenshot(page, 'wall-4');

  await page.focus('.cell[data-index="0"] .cell-hit');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.fill('.picker-search', 'CAM4');
  await page.click('.picker-card[data-stream="live/cam4"]');
  await page.waitForSelector('.cell[data-index="0"] .tile[data-stream="live/cam4"]');
  await framesRise(page, four);
  assert.match(page.url(), /#\/wall\/4\?t=live\/cam4&f=2$/);
  await page.reload();
  await page.waitForSelector('.cell[data-index="0"] .tile[data-stream="live/cam4"]');
  await framesRise(page, four);
  await close();
  await publisher.stop();
});

/** What the wall shows: the boxes of its tiles, and how much of the stage they cover. */
const placesOf = (page) => page.evaluate(() => {
  const stage = document.querySelector('.wall-stage')?.getBoundingClientRect();
  if (!stage) return { streams: [], boxes: [], covered: 0, inside: false };     // between one wall and the next
  const cells = [...document.querySelectorAll('.cell')].filter((cell) => !cell.hidden);
  const boxes = cells.map((cell) => cell.getBoundingClientRect());
  return {
    streams: cells.map((cell) => cell.querySelector('.tile')?.dataset.stream),
    boxes: boxes.map(({ x, y, width, height }) => ({ x, y, width, height })),
    covered: boxes.reduce((sum, { width, height }) => sum + width * height, 0) / (stage.width * stage.height),
    inside: boxes.every((box) => box.left >= stage.left - 1 && box.right <= stage.right + 1 &&
      box.top >= stage.top - 1 && box.bottom <= stage.bottom + 1),
  };
});

test('the wall opens with what is live, and one more or one fewer leaves no empty box', async () => {
  const publishers = [start(numbered(3, 5))];
  const { page, close } = await openView(browser, stack, '#/wall', { viewport: { width: 1440, height: 900 } });
  for (const [count, more] of [[3, null], [5, numbered(2, 8)], [6, numbered(1, 10)], [8, numbered(2, 11)],
    [9, numbered(1, 13)]]) {
    if (more) publishers.push(start(more));
    const seen = await until(`${count} tiles`, () => placesOf(page), ({ boxes }) => boxes.length === count);
    assert.deepEqual([...seen.streams].sort(), numbered(count, 5).sort());
    const still = await until('the tiles to be in place', () => placesOf(page),
      ({ inside, covered }) => inside && covered > 0.6);
    await framesRise(page, numbered(count, 5), 3);
    assert.ok(still.covered > 0.6, `${count} tiles cover ${still.covered}`);
    await screenshot(page, `wall-of-${count}`);
  }
  assert.equal(page.url().endsWith('#/wall'), true, 'the address says: everything live');

  await goTo(page, '#/wall/5');
  await until('five tiles', () => placesOf(page), ({ boxes }) => boxes.length === 5);
  assert.equal(await page.textContent('.wall-more'), '+4 more live');
  await page.click('.wall-more');
  await page.waitForSelector('.picker-card');
  assert.equal(await page.locator('.picker-card[aria-pressed=true]').count(), 5);
  await accessible(page, 'picker');
  await screenshot(page, 'wall-picker');
  await page.fill('.picker-search', 'cam1');
  for (const name of ['live/cam11', 'live/cam12'])
    await page.click(`.picker-card[data-stream="${name}"]`);
  await page.click('dialog .button-primary');
  await until('seven chosen tiles', () => placesOf(page), ({ streams }) =>
    streams.length === 7 && streams.includes('live/cam12'));
  assert.match(page.url(), /#\/wall\/7\?t=(live\/cam\d+,){6}live\/cam\d+$/);

  // Save it under a name, go to everything live, and come back.
  await page.click('[aria-label="Saved walls"]');
  await page.fill('.layout-form input', '港口 Harbour');
  await page.click('.layout-form button');
  await page.waitForSelector('.layout-row:has-text("港口 Harbour"):has-text("7 streams")');
  await accessible(page, 'saved walls');
  await screenshot(page, 'wall-layouts');
  assert.equal(await page.inputValue('.copy-text'), page.url());
  await page.keyboard.press('Escape');
  await page.click('[aria-label="Choose streams"]');
  await page.click('text=Everything that is live');
  await until('nine tiles', () => placesOf(page), ({ boxes }) => boxes.length === 9);
  await page.click('[aria-label="Saved walls"]');
  await page.click('.layout-open');
  await until('the saved wall', () => placesOf(page), ({ streams }) => streams.length === 7);
  await page.click('[aria-label="Saved walls"]');
  await page.click('[aria-label="Delete 港口 Harbour"]');
  await page.waitForSelector('text=No walls saved yet.');
  await close();
  for (const publisher of publishers) await publisher.stop();
});

test('a phone held upright gets an upright place; names fade and return; nothing live says so', async () => {
  const landscape = start(numbered(2, 14));
  const upright = start(numbered(1, 16), { size: '180x320' });
  for (const [locale, viewport] of [['en-US', { width: 1440, height: 900 }], ['zh-CN', { width: 820, height: 1180 }]]) {
    const three = '#/wall/3?t=live/cam14,live/cam15,live/cam16';
    const { page, close } = await openView(browser, stack, three, { viewport, locale });
    await framesRise(page, numbered(3, 14), 3);
    const { boxes } = await until('an upright place', () => placesOf(page), ({ boxes: [, , box] }) =>
      Math.abs(box.width / box.height - 9 / 16) < 0.02);
    assert.ok(boxes[0].width > boxes[0].height, 'beside one that is not');
    if (viewport.width > viewport.height) assert.ok(boxes[2].height > boxes[0].height * 1.9, 'as high as two');
    const opacity = () => page.evaluate(() =>
      [...document.querySelectorAll('.tile-top')].map((top) => Number(getComputedStyle(top).opacity)));
    await until('the names to fade', opacity, (all) => all.every((value) => value === 0));
    await screenshot(page, `wall-upright-${locale}`);
    await page.hover('.cell[data-index="1"] .cell-hit');
    await until('the name under the pointer', opacity, (all) => all[1] === 1);
    await close();
  }
  await landscape.stop();
  await upright.stop();
  const { page, close } = await openView(browser, stack, '#/wall', phone);
  await page.waitForSelector('.wall-empty:has-text("Nothing is live")');
  await accessible(page, 'an empty wall');
  await screenshot(page, 'phone-wall-empty');
  await close();
});

test('a publisher stops and returns: the tile keeps its last picture and then plays on', async () => {
  const stream = 'live/cam5';
  let publisher = start([stream]);
  const { page, close } = await openView(browser, stack, `#/wall/1?t=${stream}`);
  await framesRise(page, [stream]);
  await publisher.stop();
  const away = await until('the tile notices', () => tiles(page), (seen) => seen[stream].phase !== 'playing');
  assert.ok(away[stream].still || away[stream].colours > 4, `last picture kept: ${JSON.stringify(away[stream])}`);
  await screenshot(page, 'publisher-away');
  publisher = start([stream]);
  await framesRise(page, [stream]);
  await close();
  await publisher.stop();
});

test('nginx workers die: the tile shows its last picture until it is connected again', async () => {
  const stream = 'live/cam6';
  const publisher = start([stream], { retry: true });
  const { page, close } = await openView(browser, stack, `#/wall/1?t=${stream}`);
  await framesRise(page, [stream]);
  await page.evaluate(() => { window.phases.length = 0; });
  for (const { pid } of (await stack.controlGet('/status')).workers) process.kill(pid, 'SIGKILL');
  const phases = await until(
    'the tile reconnects',
    () => page.evaluate(() => window.phases),
    (seen) => seen.some(({ phase }) => phase === 'reconnecting'),
  );
  const lost = phases.find(({ phase }) => phase === 'reconnecting');
  assert.ok(lost.still && lost.stillColours > 4, `last picture kept on the canvas: ${JSON.stringify(lost)}`);
  await framesRise(page, [stream]);
  assert.equal((await tiles(page))[stream].still, false, 'the still is gone once there is a new picture');
  await close();
  await publisher.stop();
});

test('a wall of 16 plays, and fits on a phone', async () => {
  const all = numbered(16);
  const publisher = start(all);
  const { page, close } = await openView(browser, stack, '#/wall/16');
  await framesRise(page, all, 5);
  await until('a picture in each tile', () => tiles(page), (seen) => all.every((stream) => seen[stream].colours > 4));
  await screenshot(page, 'wall-16');
  await close();

  const hand = await openView(browser, stack, '#/wall/16', phone);
  await framesRise(hand.page, all.slice(0, 4), 5);
  await noSidewaysScroll(hand.page, 'wall of 16');
  await screenshot(hand.page, 'phone-wall-16-live');
  await hand.close();
  await publisher.stop();
});
