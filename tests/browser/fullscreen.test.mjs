// Full screen with Chromium's own Fullscreen API: the picture from edge to edge, controls that fade and return, the
// timeline over the picture, all by mouse, touch and keyboard, in the player and on the wall; and the shortcuts.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { pushFfmpeg, untilLive } from '../lib/media.mjs';
import { startStack } from '../lib/stack.mjs';
import { accessible, framesRise, goTo, launch, logIn, openPage, phone, screenshot, until } from './browser.mjs';

const DEADLINE = { timeout: 180_000 };
const STREAM = 'live/demo';
const OTHER = 'live/other';

let stack;
let browser;
let publisher;
let other;

before(async () => {
  stack = await startStack();
  browser = await launch(stack);
  await stack.ctl('stream', 'set', STREAM, 'record=always', 'title=North gate');
  publisher = pushFfmpeg(`${stack.rtmpUrl}/${STREAM}?key=${stack.demoKey}`);
  await untilLive(stack, STREAM, publisher);
  const [key] = (await stack.ctl('stream', 'add', OTHER, '--owner', 'admin')).match(/(?<![\w-])[\w-]{22}(?![\w-])/);
  other = pushFfmpeg(`${stack.rtmpUrl}/${OTHER}?key=${key}`);
  await untilLive(stack, OTHER, other);
});

after(async () => {
  publisher?.child.kill('SIGKILL');
  other?.child.kill('SIGKILL');
  await browser?.close();
  await stack?.stop({ allow: /recording stopped|recording of live\/(demo|other)/ });
});

async function open(options, view) {
  const opened = await openPage(browser, stack.httpsUrl, options);
  await logIn(opened.page, stack.adminPassword);
  await goTo(opened.page, view);
  await framesRise(opened.page, [STREAM]);
  return opened;
}

/** What is in full screen, where its parts are, and whether its controls can be seen and hit. */
const screenNow = (page) => page.evaluate(() => {
  const full = document.fullscreenElement;
  const box = (selector) => {
    const { left, top, right, bottom } = full.querySelector(selector)?.getBoundingClientRect() ?? {};
    return left === undefined ? null : { left, top, right, bottom };
  };
  const style = (selector) => getComputedStyle(full.querySelector(selector));
  return full && {
    name: full.className,
    window: { left: 0, top: 0, right: innerWidth, bottom: innerHeight },
    picture: box('video'),
    bar: box('.screen-bar'),
    timeline: box('.timeline'),
    isIdle: full.hasAttribute('data-idle'),
    opacity: Number(style('.screen-bar').opacity),
    isHit: style('.screen-bar').pointerEvents !== 'none',
    cursor: style('video').cursor,
  };
});

const isFaded = (seen) => seen?.isIdle && seen.opacity === 0 && !seen.isHit;
const isAwake = (seen) => seen && !seen.isIdle && seen.opacity === 1 && seen.isHit;
const faded = (page) => until('the controls to fade', () => screenNow(page), isFaded);
const awake = (page, what) => until(`the controls to return: ${what}`, () => screenNow(page), isAwake);
/** Presses a button of the bar: by then it may have faded again, so a key brings it back first. */
const press = (page, button, by = 'click') => until(button, () => page.keyboard.press('Shift')
  .then(() => page[by](`.screen-bar ${button}`, { timeout: 5000 })).then(() => true, () => false), Boolean);
/** Looks at the controls while they stay: half faded they could not be read. */
async function accessibleAwake(page, where) {
  await page.evaluate(() => {
    const wake = () => document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'Shift', bubbles: true }));
    window.waking = setInterval(wake, 200);
  });
  await accessible(page, where);
  await page.evaluate(() => clearInterval(window.waking));
}
const isOver = (page) => page.waitForFunction(() => document.fullscreenElement === null);
const inside = (inner, outer) => inner.left >= outer.left - 1 && inner.right <= outer.right + 1 &&
  inner.top >= outer.top - 1 && inner.bottom <= outer.bottom + 1;

test('a desktop, by keyboard: edge to edge, controls fade and return, sound, shortcuts, exit', DEADLINE, async () => {
  const { page, close } = await open({ viewport: { width: 1440, height: 900 } }, `#/watch/${STREAM}`);
  await page.keyboard.press('f');
  const seen = await awake(page, 'at the beginning');
  assert.deepEqual(seen.picture, seen.window);
  assert.ok(inside(seen.timeline, seen.picture), 'the timeline lies over the picture');
  assert.ok(inside(seen.bar, seen.picture));
  await accessibleAwake(page, 'full screen');
  await screenshot(page, 'full-desktop');

  const began = await page.evaluate(() => performance.now());
  await faded(page);
  assert.ok(await page.evaluate(() => performance.now()) - began < 30_000);
  assert.equal((await screenNow(page)).cursor, 'none');
  await screenshot(page, 'full-desktop-faded');
  await page.keyboard.press('Shift');
  await awake(page, 'a key');
  await faded(page);
  await page.mouse.move(700, 300);
  await page.mouse.move(720, 310);
  await awake(page, 'the mouse');
  await page.dispatchEvent('.watch-stage video', 'pointermove', { pointerType: 'mouse', clientX: 720, clientY: 310 });
  await faded(page);

  await page.keyboard.press('m');
  await page.waitForFunction(() => !document.querySelector('video').muted);
  await page.waitForSelector('.screen-bar .range:visible');
  await page.focus('.screen-bar .range');
  await page.keyboard.press('Home');
  await page.keyboard.press('ArrowRight');
  assert.equal(await page.evaluate(() => document.querySelector('video').volume), 0.05);
  assert.equal(await page.inputValue('.watch-controls .range'), '0.05', 'one volume everywhere');

  // The keyboard's focus stays in what is on the screen.
  for (let step = 0; step < 40; step += 1) {
    await page.keyboard.press('Tab');
    assert.ok(await page.evaluate(() => document.fullscreenElement.contains(document.activeElement) ||
      document.activeElement === document.body), 'the focus is on the screen');
  }
  await page.focus('.screen-bar .range');
  await page.keyboard.press('?');
  await page.waitForSelector('dialog[open] .shortcut:has-text("Full screen")');
  assert.ok(await page.locator('dialog .shortcut').count() > 10);
  await accessible(page, 'shortcuts over full screen');
  await screenshot(page, 'full-shortcuts');
  await page.click('dialog .button-primary');
  await page.waitForSelector('dialog', { state: 'detached' });

  const inset = page.locator('.screen-bar [aria-label="Picture-in-picture"]');
  assert.equal(await inset.isVisible(), await page.evaluate(() => document.pictureInPictureEnabled));
  await page.focus('.screen-bar [aria-label="Leave full screen"]');
  await page.keyboard.press('Enter');
  await isOver(page);
  assert.equal(await page.locator('.screen-bar').isVisible(), false);
  await page.click('.watch-controls [aria-label="Full screen"]');
  await awake(page, 'again');
  await page.keyboard.press('f');
  await isOver(page);
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), 'Full screen');
  await close();
});

test('picture-in-picture from full screen, and back', DEADLINE, async (t) => {
  const { page, close } = await open({}, `#/watch/${STREAM}`);
  if (!await page.evaluate(() => document.pictureInPictureEnabled)) t.diagnostic('this Chromium has none');
  else {
    await page.keyboard.press('f');
    await awake(page, 'at the beginning');
    await page.keyboard.press('i');
    await page.waitForFunction(() => document.pictureInPictureElement === document.querySelector('video'));
    await isOver(page);
    await page.keyboard.press('i');
    await page.waitForFunction(() => document.pictureInPictureElement === null);
  }
  await close();
});

const turns = [['portrait', { width: 390, height: 844 }], ['landscape', { width: 844, height: 390 }]];

for (const [name, viewport] of turns) {
  test(`a phone in ${name}: edge to edge; a tap shows the controls, another hides them`, DEADLINE, async () => {
    const { page, close } = await open({ ...phone, viewport, locale: 'zh-CN' }, `#/watch/${STREAM}`);
    await page.tap('.watch-controls [aria-label="全屏"]');
    const seen = await awake(page, 'at the beginning');
    assert.deepEqual(seen.picture, seen.window);
    assert.ok(inside(seen.timeline, seen.window) && inside(seen.bar, seen.window), JSON.stringify(seen));
    const { timeline, bar } = seen;
    assert.ok(bar.top >= timeline.bottom - 1 || bar.bottom <= timeline.top + 1, 'the bar is not over the timeline');
    await accessibleAwake(page, `full screen in ${name}`);
    await screenshot(page, `full-phone-${name}-zh`);
    await faded(page);
    await screenshot(page, `full-phone-${name}-zh-faded`);
    const muted = () => page.evaluate(() => document.querySelector('video').muted);
    const tap = (x, y) => page.touchscreen.tap(x, y);
    // Where a button is that cannot be seen: the tap only shows it.
    const box = await page.locator('.screen-bar .icon-button').first().boundingBox();
    await tap(box.x + 10, box.y + 10);
    await awake(page, 'a tap');
    assert.equal(await muted(), true, 'the tap pressed nothing');
    await tap(viewport.width / 2, viewport.height * 0.3);
    await faded(page);
    await tap(viewport.width / 2, viewport.height * 0.3);
    await awake(page, 'a tap on the picture');
    await press(page, '.icon-button >> nth=0', 'tap');
    await page.waitForFunction(() => !document.querySelector('video').muted);
    await press(page, '[aria-label="退出全屏"]', 'tap');
    await isOver(page);
    await close();
  });
}

/** The tiles of the wall that can be seen. */
const tilesShown = (page) => page.evaluate(() => [...document.querySelectorAll('.cell')].filter((cell) =>
  !cell.hidden && cell.checkVisibility({ visibilityProperty: true })).length);

test('the wall has its timeline in full screen, and one tile of it, too', DEADLINE, async () => {
  const pair = `#/wall/2?t=${STREAM},${OTHER}`;
  const { page, close } = await open({ viewport: { width: 1440, height: 900 } }, pair);
  await page.keyboard.press('f');
  const bare = await awake(page, 'of the wall');
  assert.equal(bare.timeline, null);
  await press(page, '[aria-label="Timeline"]');
  const all = await until('the timeline of the wall', () => screenNow(page), (seen) => seen?.timeline);
  assert.ok(inside(all.timeline, all.window) && all.timeline.bottom <= all.bar.top + 1, JSON.stringify(all));
  assert.equal(await tilesShown(page), 2);
  await accessibleAwake(page, 'the wall in full screen');
  await page.keyboard.press('Shift');
  await screenshot(page, 'full-wall');
  await faded(page);
  await screenshot(page, 'full-wall-faded');
  await page.keyboard.press('?');
  await page.waitForSelector('dialog[open] .shortcut:has-text("Previous or next recording")');
  await page.click('dialog .button-primary');
  await press(page, '[aria-label="Leave full screen"]');
  await isOver(page);
  assert.equal(await tilesShown(page), 2);

  const cell = page.locator('.cell').first();
  await cell.hover();
  await cell.locator('[aria-label$="in full screen"]').click();
  const one = await awake(page, 'of a tile');
  assert.equal(await tilesShown(page), 1);
  assert.ok(one.timeline && inside(one.timeline, one.window));
  await until('it to be as wide as the screen', () => screenNow(page), ({ picture, window }) =>
    picture.right - picture.left > window.right - 2);
  await screenshot(page, 'full-tile');
  await press(page, '[aria-label="Unmute"]');
  await page.waitForFunction(() => !document.querySelector('.cell-large video').muted);
  await page.focus('.screen-bar .range');
  await page.keyboard.press('Home');
  assert.equal(await page.evaluate(() => document.querySelector('.cell-large video').volume), 0);
  await page.keyboard.press('f');      // the slider leaves letters to the page
  await isOver(page);
  await until('the wall to be as it was', () => tilesShown(page), (count) => count === 2);
  await close();
});

test('the wall in full screen on phones', DEADLINE, async () => {
  const { page, close } = await open({ ...phone, locale: 'zh-CN' }, `#/wall/2?t=${STREAM},${OTHER}`);
  await page.tap('.wall-bar [aria-label="时间轴"]');
  for (const [name, viewport] of turns) {
    await page.setViewportSize(viewport);
    await page.tap('.wall-bar [aria-label="全屏"]');
    const seen = await awake(page, name);
    const { timeline, bar, window } = seen;
    assert.ok(inside(timeline, window) && inside(bar, window), JSON.stringify(seen));
    assert.ok(bar.top >= timeline.bottom - 1 || bar.bottom <= timeline.top + 1, 'the bar is not over the timeline');
    await screenshot(page, `full-wall-${name}-zh`);
    await press(page, '[aria-label="退出全屏"]', 'tap');
    await isOver(page);
  }
  await close();
});

test('an old picture says so in full screen, too: that does not fade', DEADLINE, async () => {
  const { page, close } = await open({ viewport: { width: 1440, height: 900 } }, `#/watch/${STREAM}`);
  await page.keyboard.press('f');
  await awake(page, 'at the beginning');
  publisher.child.kill('SIGSTOP');
  try {
    await faded(page);
    await page.waitForSelector('.tile-age:visible:has-text("No picture for")');
    assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector('.tile-top')).opacity), '1');
    await screenshot(page, 'full-old-picture');
  } finally {
    publisher.child.kill('SIGCONT');
  }
  await framesRise(page, [STREAM]);
  await close();
});

test('an iPhone has full screen of its video alone', DEADLINE, async () => {
  const { page, close } = await openPage(browser, stack.httpsUrl, phone, (context) => context.addInitScript(() => {
    delete Element.prototype.requestFullscreen;
    HTMLVideoElement.prototype.webkitEnterFullscreen = function entered() { window.entered = this; };
  }));
  await logIn(page, stack.adminPassword);
  await goTo(page, `#/watch/${STREAM}`);
  await page.tap('.watch-controls [aria-label="Full screen"]');
  assert.ok(await page.evaluate(() => window.entered === document.querySelector('.tile video')));
  await close();
});

test('"?" shows the shortcuts of every view, and Esc closes them; while typing it is a letter', DEADLINE, async () => {
  const { page, close } = await open({ locale: 'zh-CN' }, `#/watch/${STREAM}`);
  await page.keyboard.press('?');
  await page.waitForSelector('dialog h2:text-is("键盘快捷键")');
  await screenshot(page, 'shortcuts-zh');
  await page.keyboard.press('Escape');
  await page.waitForSelector('dialog', { state: 'detached' });
  await page.keyboard.press('[');
  await page.waitForSelector('.clip:visible');
  await page.keyboard.press('Escape');
  await page.waitForSelector('.clip', { state: 'hidden' });
  await goTo(page, '#/admin/users');
  await page.focus('.admin-form input');
  await page.keyboard.type('?');
  assert.equal(await page.inputValue('.admin-form input'), '?');
  assert.equal(await page.locator('dialog').count(), 0);
  await close();
});
