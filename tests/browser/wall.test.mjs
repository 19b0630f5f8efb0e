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
  logIn,
  noSidewaysScroll,
  openPage,
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
  const { page, close } = await openPage(browser, stack.httpsUrl);
  await logIn(page, stack.adminPassword);
  await goTo(page, '#/wall/4');
  await framesRise(page, four);
  const seen = await until(
    'each has a picture in colour',
    () => tiles(page),
    (shown) => four.every((stream) => shown[stream].colours > 4),
  );
  assert.deepEqual(four.filter((stream) => !seen[stream].muted), [], 'no tile has sound before a click');

  const listening = async () =>
    Object.entries(await tiles(page))
      .filter(([, tile]) => !tile.muted)
      .map(([stream]) => stream);
  for (const index of [1, 2]) {
    await page.click(`.cell[data-index="${index}"] .cell-hit`, { position: { x: 40, y: 80 } });
    const stream = await page.getAttribute(`.cell[data-index="${index}"] .tile`, 'data-stream');
    assert.deepEqual(await listening(), [stream]);
  }
  await page.keyboard.press('m');
  assert.deepEqual(await listening(), []);
  for (const place of ['.cell[data-index="1"] .cell-hit', '.cell[data-index="2"] .cell-hit']) {
    await page.dblclick(place, { position: { x: 40, y: 80 } });
    assert.equal((await listening()).length, 1, 'a double click counts as one click');
  }
  await page.dblclick('.wall-bar > .button >> nth=0');
  assert.deepEqual(await listening(), []);
  await until('bitrate and buffer on each tile', () => page.locator('.tile-numbers').allInnerTexts(),
    (texts) => texts.length === 4 && texts.every((text) => /bps/.test(text) && /buffer \d/.test(text)));
  await accessible(page, 'wall of four');
  await screenshot(page, 'wall-4');

  await page.locator('.cell[data-index="0"] select').selectOption('live/cam4');
  await page.waitForSelector('.cell[data-index="0"] .tile[data-stream="live/cam4"]');
  await framesRise(page, four);
  assert.match(page.url(), /#\/wall\/4\?t=live\/cam4,,,&f=2$/);
  await page.reload();
  await page.waitForSelector('.cell[data-index="0"] .tile[data-stream="live/cam4"]');
  await framesRise(page, four);
  await close();
  await publisher.stop();
});

test('a publisher stops and returns: the tile keeps its last picture and then plays on', async () => {
  const stream = 'live/cam5';
  let publisher = start([stream]);
  const { page, close } = await openPage(browser, stack.httpsUrl);
  await logIn(page, stack.adminPassword);
  await goTo(page, `#/wall/1?t=${stream}`);
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
  const { page, close } = await openPage(browser, stack.httpsUrl);
  await logIn(page, stack.adminPassword);
  await goTo(page, `#/wall/1?t=${stream}`);
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
  const publisher = start(all, { size: '320x180', rate: 10 });
  const { page, close } = await openPage(browser, stack.httpsUrl);
  await logIn(page, stack.adminPassword);
  await goTo(page, '#/wall/16');
  await framesRise(page, all, 5);
  await until('a picture in each tile', () => tiles(page), (seen) => all.every((stream) => seen[stream].colours > 4));
  await screenshot(page, 'wall-16');
  await close();

  const hand = await openPage(browser, stack.httpsUrl, phone);
  await logIn(hand.page, stack.adminPassword);
  await goTo(hand.page, '#/wall/16');
  await framesRise(hand.page, all.slice(0, 4), 5);
  await noSidewaysScroll(hand.page, 'wall of 16');
  await screenshot(hand.page, 'phone-wall-16-live');
  await hand.close();
  await publisher.stop();
});
