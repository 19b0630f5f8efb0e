// The first page: streams as pictures, with a real publisher; and 200 of them, by the work that they make.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { startStack } from '../lib/stack.mjs';
import { accessibleHere, checkView, launch, logIn, looks, openPage, openView, screenshot, until } from './browser.mjs';
import { publish } from './publisher.mjs';

const PASSWORD = 'a long enough password';

let stack;
let browser;
const publishers = [];

async function addStream(name, options = {}) {
  const [key] = (await stack.ctl('stream', 'add', name, '--owner', 'admin')).match(/(?<![\w-])[\w-]{22}(?![\w-])/);
  publishers.push(publish([`${stack.rtmpUrl}/${name}?key=${key}`], options));
  return publishers.at(-1);
}

before(async () => {
  stack = await startStack();
  const conf = path.join(stack.home, 'conf/nginx.conf');
  fs.writeFileSync(conf, fs.readFileSync(conf, 'utf8').replace(/hub_grace \w+;/, 'hub_grace 5s;'));
  process.kill(Number(fs.readFileSync(path.join(stack.home, 'pid/nginx.pid'), 'utf8')), 'SIGHUP');
  browser = await launch(stack);
  publishers.push(publish([`${stack.rtmpUrl}/live/demo?key=${stack.demoKey}`], { size: '640x360' }));
  await addStream('live/upright', { size: '360x640' });
  await stack.ctl('stream', 'set', 'live/upright', 'title=Front door');
  await stack.ctl('stream', 'add', 'live/garden', '--owner', 'admin');
  await stack.ctl('user', 'add', 'bob', '--password-stdin', { input: `${PASSWORD}\n` });
});

after(async () => {
  await browser?.close();
  for (const publisher of publishers) await publisher.stop();
  await stack?.stop();
});

const card = (name) => `.stream-card:has(.stream-link[href$="live/${name}"])`;

/** Its picture: {src, colours, width, height}, or null. */
const shown = (page, name) => page.evaluate((selector) => {
  const image = document.querySelector(`${selector} .card-image`);
  if (!image) return null;
  return { src: image.src, colours: window.coloursOf(image), width: image.naturalWidth, height: image.naturalHeight };
}, card(name));

/** Counts requests for pictures. */
function countPictures(page) {
  const asked = [];
  page.on('request', (request) => { if (/\.jpg$/.test(request.url())) asked.push(request.url()); });
  return asked;
}

/** For openPage: sums up all layout shifts that no input caused. */
const watchShifts = (context) => context.addInitScript(() => {
  window.shifts = [];
  new PerformanceObserver((list) => {
    for (const { value, hadRecentInput, sources } of list.getEntries())
      if (!hadRecentInput) window.shifts.push(`${value}: ${sources.map(({ node }) => node?.className)}`);
  }).observe({ type: 'layout-shift', buffered: true });
});

for (const look of looks) {
  test(`cards at ${look.name}: pictures, without a shift`, async () => {
    const { page, close } = await openView(browser, stack, '', look.options, watchShifts);
    await page.waitForSelector(card('demo'));
    await page.evaluate(() => { window.shifts.length = 0; });
    const picture = await until('a picture of demo', () => shown(page, 'demo'), (seen) => seen?.colours > 4);
    assert.equal(picture.width, 320);
    const upright = await until('a picture of upright', () => shown(page, 'upright'), (seen) => seen?.colours > 4);
    assert.ok(upright.height > upright.width);
    assert.equal(await page.locator(`${card('upright')} .card-behind`).count(), 1);
    await until('the next picture', () => shown(page, 'demo'), ({ src }) => src !== picture.src);
    assert.deepEqual(await page.evaluate(() => window.shifts), []);
    const text = await page.innerText(card('demo'));
    assert.match(text, look.locale === 'en-US' ? /Live · \d+ watching/ : /直播中 · \d+ 人观看/);
    assert.doesNotMatch(text, /kbps|H\.264/, 'codecs and bitrate are behind Details');
    await checkView(page, look, 'cards');
    await page.click(`${card('demo')} summary`);
    await page.waitForFunction((selector) => /640×360[^]*H\.264/.test(document.querySelector(selector).innerText),
      `${card('demo')} .card-facts`);
    await accessibleHere(page, `streams with details at ${look.name}`);
    await screenshot(page, `cards-details-${look.size}-${look.locale}`);
    await close();
  });
}

test('by keyboard alone: the search, the order, a card, its details', async () => {
  const { page, close } = await openView(browser, stack, '');
  await page.waitForSelector(card('garden'));
  const focused = () => page.evaluate(() => document.activeElement.className || document.activeElement.tagName);
  const reach = async (wanted) => {
    for (let presses = 0; !(await focused()).includes(wanted); presses += 1) {
      assert.ok(presses < 40, `Tab does not reach ${wanted}`);
      await page.keyboard.press('Tab');
    }
  };
  await reach('input-search');
  await page.keyboard.type('front');
  assert.deepEqual(await page.locator('.stream-card:visible .stream-link').allInnerTexts(), ['Front door']);
  await page.keyboard.press('Control+A');
  await page.keyboard.type('nothing like it');
  await page.waitForSelector('.empty:has-text("No streams found.")');
  await page.keyboard.press('Control+A');
  await page.keyboard.press('Delete');
  await reach('stream-sort');
  await page.keyboard.press('ArrowDown');
  assert.deepEqual(await page.locator('.stream-card .stream-link').allInnerTexts(), ['demo', 'Front door', 'garden']);
  await reach('stream-link');
  await reach('SUMMARY');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.card-facts:visible');
  await page.reload();
  await page.waitForSelector(card('garden'));
  assert.equal(await page.inputValue('.stream-sort'), 'name', 'the order is remembered');
  await close();
});

test('without the right to view: no picture, and none is asked for; taken away: the picture goes', async () => {
  await stack.ctl('grant', 'bob', 'live/demo', 'publish');
  await stack.ctl('grant', 'bob', 'live/upright', 'view');
  const { page, close } = await openPage(browser, stack.httpsUrl);
  const asked = countPictures(page);
  await logIn(page, PASSWORD, 'bob');
  await until('the picture that he may see', () => shown(page, 'upright'), (seen) => seen?.colours > 4);
  await page.waitForSelector(`.stream-card:has-text("demo") .card-blank`);
  assert.equal(await page.locator('.stream-card:has-text("demo") .card-image').count(), 0);
  assert.deepEqual(asked.filter((url) => url.includes('/demo.')), []);
  assert.equal(await page.locator('.add-phone:visible').count(), 0, 'a user who may not add a phone');
  await stack.ctl('revoke', 'bob', 'live/upright', 'view');
  await page.waitForFunction((selector) => !document.querySelector(`${selector} .card-image`), card('upright'));
  await stack.ctl('revoke', 'bob', 'live/demo', 'publish');
  await close();
});

test('a stream that ends keeps its last picture, greyed, and says when it was last seen', async () => {
  const publisher = await addStream('live/short');
  const { page, close } = await openView(browser, stack, '');
  await until('its picture', () => shown(page, 'short'), (seen) => seen?.colours > 4);
  await publisher.stop();
  await page.waitForSelector(`${card('short')}[data-state=grace]`);
  await page.waitForSelector(`${card('short')}[data-state=offline]`);     // at the end of grace
  assert.match(await page.innerText(card('short')), /Last seen \d\d:\d\d/);
  assert.ok((await shown(page, 'short')).colours > 4, 'its last picture');
  await page.reload();
  await until('the last picture again', () => shown(page, 'short'), (seen) => seen?.colours > 4);
  const filter = await page.evaluate(
    (selector) => getComputedStyle(document.querySelector(`${selector} .card-image`)).filter, card('short'));
  assert.match(filter, /grayscale/);
  await screenshot(page, 'cards-offline');
  await close();
});

// ---- 200 streams -----------------------------------------------------------

const jpeg = execFileSync('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', 'testsrc2=size=320x180', '-frames:v', '1',
  '-f', 'mjpeg', '-']);

const many = Array.from({ length: 200 }, (_, i) => ({
  id: i + 1, app: 'live', name: `cam${i + 1}`, title: `Camera ${i + 1}`, owner: `user${i % 9}`, visibility: 'private',
  live: true, state: 'live', viewers: 1, kbps: 900, width: 640, height: 360, video: 'h264', audio: 'aac',
  since_ms: 1000, last_seen: 0, recording: 'off', rights: ['view'], play: `/m/T/live/cam${i + 1}.flv`,
}));

test('200 streams: pictures for those in sight, no work for those that did not change', async (t) => {
  let answerEvents;
  const { page, close } = await openPage(browser, stack.httpsUrl, looks[0].options, async (context) => {
    await context.route('**/api/streams', (route) => route.fulfill({ json: { streams: many } }));
    await context.route('**/*.jpg', (route) => route.fulfill({ body: jpeg, contentType: 'image/jpeg' }));
    await context.route('**/api/events', (route) => new Promise((resolve) => {
      answerEvents = (events) => resolve(route.fulfill({
        contentType: 'text/event-stream',
        body: `retry: 600000\n\n${events.map(([event, data]) =>
          `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`).join('')}`,
      }));
    }));
    await context.addInitScript(() => {
      window.longTasks = [];
      new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) window.longTasks.push(Math.round(duration));
      }).observe({ type: 'longtask' });
    });
  });
  const asked = countPictures(page);
  await logIn(page, stack.adminPassword);
  await page.waitForFunction(() => document.querySelectorAll('.stream-card').length === 200);
  const inSight = () => page.evaluate(() => [...document.querySelectorAll('.stream-card')]
    .filter((element) => element.getBoundingClientRect().top < innerHeight + 160).length);
  const first = await inSight();
  await until('pictures of the cards in sight', () => page.locator('.card-image').count(), (count) => count === first);
  assert.ok(new Set(asked).size <= first, `${new Set(asked).size} pictures for ${first} cards in sight`);
  t.diagnostic(`made: long tasks ${await page.evaluate(() => window.longTasks.splice(0))} ms; ${first} in sight`);

  // every second: numbers of all, of which three changed
  await page.evaluate(() => {
    window.changed = 0;
    const inText = ({ target }) => (target.closest ? target : target.parentElement).closest('.card-text');
    window.count = (records) => { window.changed += records.filter(inText).length; }; // not of pictures that come
    window.watcher = new MutationObserver(window.count);
    window.watcher.observe(document.querySelector('.stream-cards'),
      { subtree: true, childList: true, attributes: true, characterData: true });
  });
  const stats = (viewers) => ['stats', { streams: many.map(({ id }) =>
    ({ id, viewers: id >= 150 && id < 153 ? viewers : 1, kbps: 900 + viewers })) }];
  answerEvents([['streams', { streams: many }], ...Array.from({ length: 10 }, (_, i) => stats(i + 2))]);
  await page.waitForFunction(() => /11 watching/.test(document.querySelector('.stream-cards').textContent));
  const changed = await page.evaluate(() => {
    window.count(window.watcher.takeRecords());
    return window.changed;
  });
  assert.ok(changed <= 60, `${changed} changes of the document for 10 x 3 numbers`);
  const tasksOf = () => page.evaluate(() => window.longTasks.splice(0));
  t.diagnostic(`10 x 200 numbers: ${changed} changes, long tasks ${await tasksOf()} ms`);

  // a search moves no card: it hides them
  await page.evaluate(() => {
    window.moved = 0;
    new MutationObserver((records) => { window.moved += records.length; })
      .observe(document.querySelector('.stream-cards'), { childList: true });
  });
  await page.locator('.input-search').pressSequentially('camera 19');
  assert.equal(await page.locator('.stream-card:visible').count(), 12, '19, 119, 190 and nine more');
  await page.fill('.input-search', '');
  assert.equal(await page.evaluate(() => window.moved), 0);
  t.diagnostic(`search: long tasks ${await tasksOf()} ms`);

  for (let y = 0; y < 12_000; y += 600) await page.mouse.wheel(0, 600);
  await until('the end of the page', () => page.evaluate(() => scrollY), (y) => y > 3000);
  t.diagnostic(`scroll: long tasks ${await tasksOf()} ms`);
  await until('pictures of the cards that came into sight', () => page.locator('.card-image').count(),
    (count) => count > first + 4);
  await screenshot(page, 'cards-200');
  await close();
});

test('in a tab behind others no picture is asked for', async () => {
  const { page, close } = await openView(browser, stack, '');
  const asked = countPictures(page);
  await until('a picture', () => shown(page, 'demo'), (seen) => seen?.colours > 4);
  await page.evaluate(() => {
    Object.defineProperty(document, 'visibilityState', { value: 'hidden', configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  });
  await until('requests under way', async () => {
    const before = asked.length;
    await page.waitForTimeout(1000);
    return asked.length - before;
  }, (more) => more === 0);
  const before = asked.length;
  await page.waitForTimeout(6500); // longer than a refresh takes
  assert.equal(asked.length, before);
  await page.evaluate(() => {
    delete document.visibilityState;
    document.dispatchEvent(new Event('visibilitychange'));
  });
  await until('pictures again', async () => asked.length, (count) => count > before);
  await close();
});
