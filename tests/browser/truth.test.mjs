// The page tells no lies: whatever stops the picture or the answers, a tile and the player never say "live" or
// "recording" of an old picture and no clock runs over it; the page says how old it is, and all recovers by itself.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { pushFfmpeg, untilLive } from '../lib/media.mjs';
import { pidOf, startStack } from '../lib/stack.mjs';
import { accessible, framesRise, goTo, launch, logIn, openPage, phone, screenshot, until } from './browser.mjs';

const DEADLINE = { timeout: 180_000 };
const STREAM = 'live/demo';

let stack;
let browser;
let publisher;
let stopping = false;
let service;
let desk;     // a player in English on a desktop
let hand;     // one in Chinese on a phone

before(async () => {
  stack = await startStack();
  browser = await launch(stack);
  await stack.ctl('stream', 'set', STREAM, 'record=always', 'title=North gate');
  push();
  await untilLive(stack, STREAM, publisher);
  service = pidOf(stack.home, /\/duolu-auth\b/);
  desk = await openWatch({ viewport: { width: 1440, height: 900 } });
  hand = await openWatch({ ...phone, locale: 'zh-CN' });
});

/** Publishes, and again when that ends, as a phone's app does. */
function push() {
  publisher = pushFfmpeg(`${stack.rtmpUrl}/${STREAM}?key=${stack.demoKey}`);
  publisher.ended.then(() => stopping || setTimeout(push, 500));
}

after(async () => {
  stopping = true;
  publisher?.child.kill('SIGCONT');
  publisher?.child.kill('SIGKILL');
  // A page that broke something fails here, after the rest has been cleared away.
  const closed = await Promise.allSettled([desk?.close(), hand?.close()]);
  await browser?.close();
  await stack?.stop({ allow: /recording stopped|recording of live\/demo/ });
  for (const { reason } of closed) if (reason) throw reason;
});

async function openWatch(options, query = '') {
  const opened = await openPage(browser, `${stack.httpsUrl}/${query}`, options);
  await logIn(opened.page, stack.adminPassword);
  await goTo(opened.page, `#/watch/${STREAM}`);
  await until('a live picture that is recorded', () => says(opened.page), (seen) => seen.rec && seen.watchRec);
  return opened;
}

/** What the page says of its picture. */
const says = (page) => page.evaluate(() => {
  const text = (selector) => {
    const part = document.querySelector(selector);
    return !part || part.closest('[hidden]') ? '' : part.textContent;
  };
  const tile = document.querySelector('.tile');
  if (!tile) return {};       // the view is being loaded
  return {
    phase: tile.dataset.phase,
    isGrey: getComputedStyle(tile.querySelector('video')).filter.includes('grayscale'),
    age: text('.tile-age .counting > :first-child'),
    heard: text('.tile-age [role=status]'),
    badge: text('.tile-badge'),
    rec: text('.tile-rec') !== '',
    watchBadge: text('.watch-heading .badge'),
    watchRec: text('.watch-heading .badge-rec') !== '',
    onAir: document.querySelector('.replay-live-on, .timeline-head-live') !== null,
    since: text('.facts-row[data-fact=since] dd'),
    clock: text('.replay-clock'),
  };
});

const claims = /^(Live|直播|直播中)$/;
const isHonest = (seen) => seen.isGrey && /\d+ (s|秒|min|分钟)/.test(seen.age) && seen.phase !== 'playing';
const seconds = ({ age }) => Number(/(\d+) (s|秒)/.exec(age)?.[1]);

/** Waits until the picture is shown as old, and some seconds more: nothing claims anything and no clock runs. */
async function staysHonest(page, what) {
  const first = await until(`${what}: the age of the picture`, () => says(page),
    (seen) => isHonest(seen) && seconds(seen) >= 4);    // by then every part has been drawn anew
  const later = await until(`${what}: it counts`, () => says(page), (seen) => seconds(seen) >= seconds(first) + 2);
  for (const seen of [first, later]) {
    assert.doesNotMatch(seen.badge, claims, JSON.stringify(seen));
    assert.doesNotMatch(seen.watchBadge, claims, JSON.stringify(seen));
    assert.equal(seen.rec || seen.watchRec || seen.onAir, false, JSON.stringify(seen));
  }
  assert.match(later.heard, /(^|\D)(3|10|30) (s|秒)/, 'a screen reader does not hear each second');
  assert.equal(later.clock, first.clock, 'the clock of the picture stands');
  // It may go back: to the last news, once the list is stale, too.
  assert.ok(later.since === '–' || later.since <= first.since, `"live for" ${later.since} after ${first.since}`);
}

async function recovers(page, what) {
  await framesRise(page, [STREAM]);
  await until(`${what}: live and recorded again`, () => says(page),
    (seen) => seen.phase === 'playing' && !seen.isGrey && seen.age === '' && seen.rec && seen.watchRec && seen.onAir &&
      claims.test(seen.badge) && claims.test(seen.watchBadge));
}

/** Waits until the bar for trouble says that. */
const troubleIs = (page, words) => page.waitForFunction(
  ([source]) => new RegExp(source).test(document.querySelector('.trouble:not([hidden]) .counting > span')?.textContent),
  [words.source],
);
const troubleIsOver = (page) => page.waitForSelector('.trouble:not(.trouble-stopped)', { state: 'hidden' });

test('a publisher stalls while the list still says live', DEADLINE, async () => {
  publisher.child.kill('SIGSTOP');
  try {
    await staysHonest(desk.page, 'stalled');
    await staysHonest(hand.page, 'stalled, on a phone');
    assert.match((await says(hand.page)).age, /^已有 \d+ 秒没有画面$/);
    await accessible(desk.page, 'an old picture');
    await screenshot(desk.page, 'truth-stalled');
    await screenshot(hand.page, 'truth-stalled-phone-zh');
  } finally {
    publisher.child.kill('SIGCONT');
  }
  await recovers(desk.page, 'stalled');
  await recovers(hand.page, 'stalled, on a phone');
});

test('the server hangs: it accepts and never answers', DEADLINE, async () => {
  await goTo(desk.page, '#/admin/sessions');     // loads the view
  await desk.page.waitForSelector('tr[data-kind=publish]');
  await goTo(desk.page, `#/watch/${STREAM}`);
  await framesRise(desk.page, [STREAM]);
  const workers = (await stack.controlGet('/status')).workers.map(({ pid }) => pid);
  for (const pid of workers) process.kill(pid, 'SIGSTOP');
  try {
    await staysHonest(desk.page, 'hung');
    await staysHonest(hand.page, 'hung, on a phone');
    await troubleIs(desk.page, /The server has not answered for \d+ s.*What you see is from \d\d:/);
    await troubleIs(hand.page, /服务器已有 \d+ 秒没有响应/);
    await screenshot(desk.page, 'truth-hung');
    await screenshot(hand.page, 'truth-hung-phone-zh');
    await goTo(desk.page, '#/streams');
    await desk.page.waitForSelector('body[data-stale] .stream-card .card-state:text-is("Waiting")');
    assert.equal(await desk.page.locator('.card-rec >> visible=true').count(), 0, 'a card does not claim it either');
    await screenshot(desk.page, 'truth-hung-streams');
    await goTo(desk.page, '#/admin/sessions');
    await desk.page.waitForSelector('.waiting:visible:has-text("The server has not answered for")');
    await accessible(desk.page, 'a tab that waits');
    await screenshot(desk.page, 'truth-hung-admin');
    await desk.page.evaluate(() => { location.hash = '#/wall'; });      // its file does not come
    await desk.page.waitForSelector('.waiting:visible:has-text("The server has not answered for")');
    await desk.page.click('.waiting:visible button');
    await desk.page.waitForSelector('h1:has-text("This part of the page has not loaded")');
  } finally {
    for (const pid of workers) process.kill(pid, 'SIGCONT');
  }
  await desk.page.waitForSelector('.wall .tile');       // by itself
  await troubleIsOver(desk.page);
  await goTo(desk.page, '#/admin/sessions');
  await desk.page.waitForSelector('tr[data-kind=publish]');
  await goTo(desk.page, `#/watch/${STREAM}`);
  await recovers(desk.page, 'hung');
  await recovers(hand.page, 'hung, on a phone');
});

test('the browser is offline', DEADLINE, async () => {
  // Chromium's offline mode ends requests, and leaves a WebSocket that is open.
  const { page, context, close } = await openWatch({}, '?via=llhls');
  await goTo(page, '#/admin/users');     // loads the view
  await page.waitForSelector('tbody tr:has-text("admin")');
  await goTo(page, `#/watch/${STREAM}`);
  await framesRise(page, [STREAM]);
  await context.setOffline(true);
  await staysHonest(page, 'offline');
  await troubleIs(page, /No connection for \d+ s/);
  await screenshot(page, 'truth-offline');
  await goTo(page, '#/admin/users');
  await page.waitForSelector('.admin-missing:visible:has-text("No connection")');
  await context.setOffline(false);
  await page.waitForSelector('tbody tr:has-text("admin")');
  await page.waitForSelector('.admin-missing', { state: 'hidden' });
  await goTo(page, `#/watch/${STREAM}`);
  await recovers(page, 'offline');
  await troubleIsOver(page);
  await close();
});

test('nginx is down', DEADLINE, async () => {
  const keeper = pidOf(stack.home, /build\.sh keep/);
  process.kill(keeper, 'SIGSTOP');      // it would start nginx again at once
  try {
    process.kill(pidOf(stack.home, /nginx: master/), 'SIGTERM');
    await staysHonest(desk.page, 'down');
    await troubleIs(desk.page, /No connection for \d+ s/);
    await screenshot(desk.page, 'truth-down');
  } finally {
    process.kill(keeper, 'SIGCONT');
  }
  await until('nginx to be back', () => stack.controlGet('/status').catch(() => null), Boolean);
  await recovers(desk.page, 'down');
  await recovers(hand.page, 'down, on a phone');
  await troubleIsOver(desk.page);
});

/** Stops the auth-service as long as work() takes. */
async function whileServiceHangs(work) {
  process.kill(service, 'SIGSTOP');
  try {
    await work();
  } finally {
    process.kill(service, 'SIGCONT');
  }
}

// Each makes a request: the view, what the user does, where the page says that no answer comes.
const waits = [
  ['#/account', (page) => page.click('.account form button'), '.panel > .waiting'],
  [`#/watch/${STREAM}`, async (page) => {
    await page.click('.watch-controls >> text=Send link');
    await page.waitForSelector('.links-title');
    assert.equal(await page.locator('.links .hint').isVisible(), false, 'nobody knows yet that there are none');
  }, 'dialog > .waiting'],
];

test('the service hangs: every request says so and can be given up, and what was typed stays', DEADLINE, async () => {
  service = pidOf(stack.home, /\/duolu-auth\b/);
  const { page, close } = await openPage(browser, stack.httpsUrl);
  await page.waitForSelector('#login-name');
  await whileServiceHangs(async () => {
    await page.fill('#login-name', 'admin');
    await page.fill('#login-password', stack.adminPassword);
    await page.click('button[type=submit]');
    await page.waitForSelector('.login .waiting:visible:has-text("The server has not answered for 3 s.")');
    await screenshot(page, 'truth-login-waits');
    await page.click('.login .waiting button');
    await page.waitForSelector('button[type=submit]:not([disabled])');
  });
  await page.click('button[type=submit]');
  await page.waitForSelector('.stream-card');       // the page has the list

  await goTo(page, '#/admin/users');
  await page.click('tbody tr:has-text("admin") button:has-text("Edit")');
  await page.fill('dialog input', '7');
  await whileServiceHangs(async () => {
    await page.click('dialog button:has-text("Save")');
    await page.waitForSelector('dialog .waiting:visible:has-text("The server has not answered for")');
    await accessible(page, 'a dialog that waits');
    await screenshot(page, 'truth-dialog-waits');
    await page.click('dialog .waiting button');
    await page.waitForSelector('dialog [role=alert]:has-text("You stopped waiting. The change may still take effect")');
    assert.equal(await page.inputValue('dialog input'), '7');
    await page.keyboard.press('Escape');

    await goTo(page, '#/admin/grants');
    await page.waitForSelector('.waiting:visible:has-text("The server has not answered for")');
    await page.click('.waiting:visible button');
    await page.waitForSelector('.admin-missing:visible:has-text("You stopped waiting for the server.")');
    for (const [view, act, place] of waits) {
      await goTo(page, view);
      await act(page);
      await page.waitForSelector(`${place}:visible:has-text("The server has not answered for")`);
      await screenshot(page, `truth-waits-${view.split('/')[1]}`);
      await page.click(`${place} button`);
      await page.keyboard.press('Escape');
    }
    await goTo(page, '#/recordings');
    await page.waitForSelector('.waiting:visible:has-text("The server has not answered for")');
    await screenshot(page, 'truth-recordings-wait');

    const fresh = await openPage(browser, stack.httpsUrl);
    await fresh.page.waitForSelector('.unreachable:has-text("The server has not answered for")');
    await accessible(fresh.page, 'the first request waits');
    await screenshot(fresh.page, 'truth-first-waits');
    process.kill(service, 'SIGCONT');
    await fresh.page.waitForSelector('#login-name');
    await fresh.close();
  });
  await page.waitForSelector('.rec-session');
  await page.waitForSelector('.waiting:visible', { state: 'hidden' });
  await whileServiceHangs(async () => {
    await page.click('.header [aria-label="Sign out"]');
    await page.waitForSelector('.header ~ .waiting:visible:has-text("The server has not answered for")');
    await screenshot(page, 'truth-sign-out-waits');
    await page.click('.header ~ .waiting button');
    await page.waitForSelector('.trouble:visible:has-text("You may still be signed in.")');
    assert.equal(await page.locator('#login-name').count(), 0, 'nothing says that the session is over');
  });
  await close();
});

const typedIn = {
  '#/streams': '.input-search:visible',
  '#/recordings': '.input-search',
  '#/admin/users': '.admin-form input',
  '#/admin/streams': '.admin-form input >> nth=1',
  '#/admin/grants': null,
  '#/admin/sessions': null,
  '#/wall/4': null,
  [`#/watch/${STREAM}`]: null,
};

test('a session ends in any view: the login form, and then the same page with what was typed', DEADLINE, async () => {
  const { page, context, close } = await openPage(browser, stack.httpsUrl);
  await logIn(page, stack.adminPassword);
  await stack.ctl('stream', 'add', 'live/second', '--owner', 'admin');    // a search field needs two
  for (const [view, field] of Object.entries(typedIn)) {
    await goTo(page, view);
    if (field) {
      await page.waitForSelector(field);
      await page.locator(field).first().fill('typed');
    }
    const address = field && view === '#/recordings' ? /#\/recordings/ : new RegExp(`${view.replace(/[#/]/g, '.')}`);
    await context.clearCookies();
    // As when the network is back: the page asks for events and its list.
    await page.evaluate(() => window.dispatchEvent(new Event('online')));
    await page.waitForSelector('.login .notice:has-text("Your session has ended")');
    assert.equal(await page.locator('.login-over').count(), field ? 1 : 0, `${view}: the page below the form`);
    if (view === '#/admin/users') {
      await accessible(page, 'the form over the page');
      await screenshot(page, 'truth-login-over');
      await page.keyboard.press('Escape');
      await page.keyboard.press('Escape');
      await page.waitForSelector('.login-over[open]');
    }
    await page.fill('#login-password', stack.adminPassword);
    await page.keyboard.press('Enter');
    await page.waitForSelector('.login', { state: 'detached' });
    await page.waitForSelector('#main');
    assert.match(page.url(), address);
    if (field) assert.equal(await page.locator(field).first().inputValue(), 'typed', view);
    await page.waitForSelector('.stream-card, .empty, .rec-session, tbody tr, .tile', { state: 'attached' });
    await troubleIsOver(page);
  }
  // Who signs out then gets one form, over nothing.
  await goTo(page, '#/streams');
  await page.fill('.input-search:visible', 'typed');
  await context.clearCookies();
  await page.click('.header [aria-label="Sign out"]');
  await page.waitForSelector('main.login #login-name');
  assert.equal(await page.locator('.login-over').count(), 0);
  await close();
});
