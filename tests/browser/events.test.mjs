// The page follows events instead of polling: a stream begins, breaks off, returns with
// other settings and ends; the service refuses events; an admin ends a session.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
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
  openView,
  screenshot,
  tiles,
  until,
} from './browser.mjs';
import { leaveNothing, publish } from './publisher.mjs';

const stream = 'live/demo';
let stack;
let browser;
const running = new Set();

function start(options, target = `${stream}?key=${stack.demoKey}`) {
  const publisher = publish([`${stack.rtmpUrl}/${target}`], options);
  running.add(publisher);
  return { stop: () => { running.delete(publisher); return publisher.stop(); } };
}

/** Counts the page's requests by path. */
function countRequests(page) {
  const counts = new Map();
  page.on('request', (request) => {
    const { pathname } = new URL(request.url());
    counts.set(pathname, (counts.get(pathname) ?? 0) + 1);
  });
  return (pathname) => counts.get(pathname) ?? 0;
}

const phaseOf = (page) => page.evaluate(() => document.querySelector('.tile')?.dataset.phase);
const phaseIs = (page, wanted) => until(`the tile is "${wanted}"`, () => phaseOf(page), (phase) => phase === wanted);

/** For openPage: keeps every SourceBuffer, so that tests see how far audio and video have got. */
const keepBuffers = (context) => context.addInitScript(() => {
  window.buffers = [];
  const add = MediaSource.prototype.addSourceBuffer;
  MediaSource.prototype.addSourceBuffer = function addSourceBuffer(...args) {
    const buffer = add.apply(this, args);
    window.buffers.push(buffer);
    return buffer;
  };
});

/** Seconds between the ends of audio and video, and from the later one to the picture; NaN between two players. */
const bufferEnds = (page) => page.evaluate(() => {
  const endOf = (buffer) => {
    try { return buffer.buffered.end(buffer.buffered.length - 1); } catch { return NaN; }
  };
  const ends = window.buffers.slice(-2).map(endOf);
  return {
    apart: Math.abs(ends[0] - ends[1]),
    behind: Math.max(...ends) - document.querySelector('video').currentTime,
  };
});

/** Marks the <video>, so that isMarked() tells whether the page or the tile was built again. */
const mark = (page) => page.evaluate(() => { document.querySelector('video').marked = true; });
const isMarked = (page) => page.evaluate(() => document.querySelector('video').marked === true);

async function setGrace(value) {
  const conf = path.join(stack.home, 'conf/nginx.conf');
  fs.writeFileSync(conf, fs.readFileSync(conf, 'utf8').replace(/hub_grace \w+;/, `hub_grace ${value};`));
  const before = (await stack.controlGet('/status')).workers.map(({ pid }) => pid);
  process.kill(Number(fs.readFileSync(path.join(stack.home, 'pid/nginx.pid'), 'utf8')), 'SIGHUP');
  await until(
    'workers with the new setting',
    async () => (await stack.controlGet('/status')).workers.map(({ pid }) => pid),
    (pids) => pids.length > 0 && !pids.some((pid) => before.includes(pid)),
  );
}

before(async () => {
  stack = await startStack();
  browser = await launch(stack);
});

afterEach(() => leaveNothing(browser, running));
after(async () => {
  await browser?.close();
  await stack?.stop();
});

test('a stream begins, breaks off, returns with other settings and ends, and the page never polls', async (t) => {
  t.after(() => setGrace('60s'));
  await setGrace('6s');
  const { page, close } = await openPage(browser, stack.httpsUrl, {}, keepBuffers);
  const requestsTo = countRequests(page);
  await logIn(page, stack.adminPassword);
  await page.waitForSelector('.stream-card[data-state=offline]');
  await goTo(page, `#/wall/1?t=${stream}`);
  await phaseIs(page, 'offline');
  const asks = requestsTo('/api/streams');

  let publisher = start({ size: '640x360' });
  await framesRise(page, [stream]);
  await mark(page);

  await publisher.stop();
  await phaseIs(page, 'grace');
  const kept = (await tiles(page))[stream];
  assert.ok(kept.still || kept.colours > 4, `last picture kept: ${JSON.stringify(kept)}`);
  await screenshot(page, 'tile-grace');

  publisher = start({ size: '320x180', sound: 48000 });
  await phaseIs(page, 'playing');
  await until(
    'the new size is shown',
    () => page.evaluate(() => document.querySelector('video').videoWidth),
    (width) => width === 320,
  );
  await framesRise(page, [stream]);
  await until(
    'sound and picture are in step, near live',
    () => bufferEnds(page),
    ({ apart, behind }) => apart < 0.4 && behind < 2.5,
  );

  await publisher.stop();
  await phaseIs(page, 'grace');
  await phaseIs(page, 'ended');
  assert.equal(await page.locator('.tile').count(), 1, 'the tile stays');
  await accessible(page, 'ended');
  await screenshot(page, 'tile-ended');

  publisher = start();
  await framesRise(page, [stream]);
  assert.ok(await isMarked(page), 'one <video> all the time');
  assert.equal(requestsTo('/api/streams'), asks, 'the page did not fetch the list again');
  assert.equal(requestsTo('/api/events'), 1, 'one event stream');
  await publisher.stop();
  await close();
});

test('a publisher returns without sound, and again with it: the picture goes on', async () => {
  const { page, close } = await openView(browser, stack, `#/wall/1?t=${stream}`);
  let publisher = start();
  await framesRise(page, [stream]);
  await mark(page);
  for (const sound of [0, 44100]) {
    await publisher.stop();
    await phaseIs(page, 'grace');
    publisher = start({ sound });
    await framesRise(page, [stream]);
    await until(
      `sound ${sound}`,
      () => page.evaluate(() => document.querySelector('video').webkitAudioDecodedByteCount),
      (bytes) => (sound === 0 ? bytes === 0 : bytes > 0),
    );
  }
  assert.ok(await isMarked(page), 'one <video> all the time');
  await publisher.stop();
  await close();
});

test('a stream made elsewhere appears when it is live', async () => {
  const { page, close } = await openPage(browser, stack.httpsUrl);
  const requestsTo = countRequests(page);
  await logIn(page, stack.adminPassword);
  await page.waitForSelector('.stream-card');
  const asks = requestsTo('/api/streams');
  const name = 'live/camera-on-the-roof-of-the-house-by-the-river-and-the-bridge';
  const [key] = (await stack.ctl('stream', 'add', name, '--owner', 'admin')).match(/(?<![\w-])[\w-]{22}(?![\w-])/);
  const roof = start({}, `${name}?key=${key}`);
  await page.waitForSelector('.stream-card[data-state=live]:has-text("the-roof")');
  await goTo(page, `#/watch/${stream}`);
  await page.waitForSelector('.others a:has-text("the-roof")');
  await noSidewaysScroll(page, 'a long name beside the player');
  // Once for rights that may have changed, once for the stream that was not in the list.
  assert.ok(requestsTo('/api/streams') <= asks + 2, `fetched the list ${requestsTo('/api/streams') - asks} times`);
  await roof.stop();
  await close();
});

test('without events the page polls the list slowly, and returns to events when it can', async () => {
  let refused = true;
  const { page, close } = await openPage(browser, stack.httpsUrl, {}, (context) =>
    context.route('**/api/events', (route) => (refused ? route.fulfill({ status: 503, body: '' }) : route.continue())),
  );
  const requestsTo = countRequests(page);
  await logIn(page, stack.adminPassword);
  await page.waitForSelector('.stream-card');
  const publisher = start();
  await page.waitForSelector('.stream-card[data-state=live]');
  const polls = requestsTo('/api/streams');
  assert.ok(polls > 1 && polls < 8, `fetched the list ${polls} times`);
  refused = false;
  const events = requestsTo('/api/events');
  await until('the page asks for events again', async () => requestsTo('/api/events'), (count) => count > events);
  await publisher.stop();
  await page.waitForSelector('.stream-card[data-state=grace]');
  await close();
});

test('events refused with 401: the login form', async () => {
  const { page, context, close } = await openPage(browser, stack.httpsUrl);
  await logIn(page, stack.adminPassword);
  await page.waitForSelector('.stream-card');
  await context.clearCookies();
  // The browser's event for a network that is back: the page opens a new event stream.
  await page.evaluate(() => window.dispatchEvent(new Event('online')));
  await page.waitForSelector('#login-name');
  await close();
});

test('an admin sees a viewer\'s session and ends it', async () => {
  const publisher = start();
  const url = await stack.ctl('url', 'admin', stream, 'view', '--format', 'flv');
  await until(
    'the stream is live',
    () => stack.controlGet('/status'),
    ({ streams }) => streams.some(({ state }) => state === 'live'),
  );
  const viewer = await fetch(url.replace(/^https?:\/\/[^/]+/, stack.httpUrl));
  assert.equal(viewer.status, 200);
  const over = viewer.body.pipeTo(new WritableStream()).then(() => 'ended', () => 'cut off');

  const { page, close } = await openView(browser, stack, '#/admin/sessions');
  const row = page.locator('tr[data-kind=view]', { hasText: 'HTTP-FLV' });
  await row.waitFor();
  assert.match(await row.innerText(), /live\/demo[\s\S]*admin[\s\S]*127\.0\.0\.1/);
  await page.locator('tr[data-kind=publish]', { hasText: stream }).waitFor();
  await page.locator('tr[data-kind=events]').waitFor();
  await accessible(page, 'sessions');
  await screenshot(page, 'admin-sessions');
  await row.locator('button').click();
  await page.click('dialog .button-danger');
  await over;
  await row.waitFor({ state: 'detached' });
  await publisher.stop();
  await close();
});
