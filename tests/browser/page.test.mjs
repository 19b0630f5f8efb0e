// The page in a real browser with a real stack: sign-in in two languages, the views on
// a phone, accessibility, and the page's messages when something fails.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { processesOf, startStack } from '../lib/stack.mjs';
import {
  accessible,
  accessibleHere,
  farHost,
  framesRise,
  goTo,
  launch,
  logIn,
  noSidewaysScroll,
  openPage,
  openView,
  phone,
  screenshot,
  tiles,
  serveFolder,
  until,
} from './browser.mjs';
import { publish } from './publisher.mjs';

const password = 'a long enough password';

let stack;
let browser;
let publisher;

before(async () => {
  stack = await startStack();
  browser = await launch(stack);
  publisher = publish([`${stack.rtmpUrl}/live/demo?key=${stack.demoKey}`], { size: '640x360' });
});

after(async () => {
  await browser?.close();
  await publisher?.stop();
  await stack?.stop();
});

test('Chromium caches files from the stack, as from a site with a valid certificate', async () => {
  const { page, close } = await openPage(browser, stack.httpsUrl);
  const style = await page.evaluate(() => document.querySelector('link[rel=stylesheet]').href);
  const cached = await page.evaluate(
    (url) => fetch(url, { cache: 'only-if-cached', mode: 'same-origin' }).then((response) => response.status, String),
    style,
  );
  assert.equal(cached, 200);
  await close();
});

const wordsOf = {
  'en-US': { title: 'Sign in', wrong: /Wrong user name/, home: 'My streams' },
  'zh-CN': { title: '登录', wrong: /不正确/, home: '我的直播' },
};

for (const [locale, words] of Object.entries(wordsOf)) {
  test(`sign-in, wrong and right, in ${locale}`, async () => {
    const { page, close } = await openPage(browser, stack.httpsUrl, { locale });
    assert.equal(await page.textContent('h1'), words.title);
    await page.fill('#login-name', 'admin');
    await page.fill('#login-password', 'not the password');
    await page.click('button[type=submit]');
    await page.waitForFunction(() => document.querySelector('.login-error').textContent);
    assert.match(await page.textContent('.login-error'), words.wrong);
    await screenshot(page, `login-wrong-${locale}`);

    await logIn(page, stack.adminPassword);
    assert.equal(await page.textContent('h1'), words.home);
    await page.waitForSelector('.stream-card[data-state=live]');
    await screenshot(page, `streams-${locale}`);

    await page.reload();
    await page.waitForSelector('.stream-card');
    await page.click('.header-end button:last-child');
    await page.waitForSelector('#login-name');
    await page.reload();
    await page.waitForSelector('#login-name');
    await close();
  });
}

test('the language can be switched and is remembered', async () => {
  const { page, close } = await openPage(browser, stack.httpsUrl);
  await page.click('.login-language');
  await page.waitForFunction(() => document.querySelector('h1').textContent === '登录');
  assert.equal(await page.getAttribute('html', 'lang'), 'zh-CN');
  await page.reload();
  await page.waitForSelector('h1');
  assert.equal(await page.textContent('h1'), '登录');
  await close();
});

test('too many attempts: the form is disabled, counts down and is enabled again', async () => {
  const { page, close } = await openPage(browser, stack.httpsUrl);
  await page.waitForSelector('#login-name');
  await page.route('**/api/login', (route) =>
    route.fulfill({ status: 429, headers: { 'Retry-After': '2' }, json: { error: 'backoff', message: 'wait' } }),
  );
  await page.fill('#login-name', 'admin');
  await page.fill('#login-password', 'x');
  await page.click('button[type=submit]');
  await page.waitForFunction(() => /Try again in \d/.test(document.querySelector('.login-error').textContent));
  assert.equal(await page.isDisabled('button[type=submit]'), true);
  await screenshot(page, 'login-too-many');
  await page.waitForFunction(() => !document.querySelector('button[type=submit]').disabled);
  await close();
});

test('the player shows a moving picture; sound after a click', async () => {
  const { page, close } = await openView(browser, stack, '');
  await page.waitForSelector('.stream-card[data-state=live] .stream-link');
  await page.click('.stream-card[data-state=live] .stream-link');
  await framesRise(page, ['live/demo']);
  const seen = await until('a picture', () => tiles(page), (now) => now['live/demo'].colours > 4);
  assert.equal(seen['live/demo'].muted, true);
  await page.click('.button-sound');
  await page.waitForFunction(() => !document.querySelector('video').muted);
  await until(
    'numbers are shown',
    () => page.locator('.facts').innerText(),
    (text) => /\d\.\d s/.test(text) && /bps/.test(text) && /640×360/.test(text),
  );

  // As a tab that fell behind in the background and comes to the front.
  await until(
    'a buffer that is long enough to fall behind in',
    () => page.evaluate(() => document.querySelector('video').currentTime),
    (seconds) => seconds > 5,
  );
  const behind = await page.evaluate(() => {
    const video = document.querySelector('video');
    video.currentTime -= 3.5;
    document.dispatchEvent(new Event('visibilitychange'));
    return video.buffered.end(video.buffered.length - 1) - video.currentTime;
  });
  assert.ok(behind < 1.6, `back at live at once, ${behind} s behind`);

  const url = await page.inputValue('.copy-text');
  assert.match(url, /^https:\/\/127\.0\.0\.1:\d+\/m\/[^/]+\/live\/demo\.flv$/);
  await accessible(page, 'player');
  await screenshot(page, 'player');
  await close();
});

test('the served build of mpegts.js has the fields that the player uses', async () => {
  const { page, close } = await openView(browser, stack, '#/watch/live/demo');
  await page.waitForFunction(() => window.mpegts);
  // by itself, as the page's packed files do not offer it
  const inside = fileURLToPath(new URL('../../html/js/mpegts-inside.js', import.meta.url));
  await page.route('**/js/mpegts-inside.js', (route) => route.fulfill({ path: inside }));
  const url = (await stack.ctl('url', 'admin', 'live/demo', 'view', '--format', 'flv')).replace(
    /^https?:\/\/[^/]+/,
    '',
  );
  const { path, missing, ends } = await page.evaluate(async (source) => {
    const { endPlayer, missingField, path: way, trackEnds } = await import('/js/mpegts-inside.js');
    const video = document.createElement('video');
    video.muted = true;
    // With the live player's options: mpegts.js may have other fields with others.
    const player = window.mpegts.createPlayer(
      { type: 'flv', isLive: true, url: source },
      { isLive: true, enableWorker: true, enableStashBuffer: false, lazyLoad: false },
    );
    player.attachMediaElement(video);
    player.load();
    await Promise.race([
      new Promise((resolve) => {
        video.addEventListener('loadeddata', resolve, { once: true });
      }),
      new Promise((_, reject) => {
        player.on(window.mpegts.Events.ERROR, (type, detail) => reject(new Error(`${type}: ${detail}`)));
      }),
    ]);
    const seen = { path: way.join('.'), missing: missingField(player), ends: trackEnds(player) };
    // Ended during a seek to unloaded data: close() would report a timer that throws afterwards.
    const seeking = new Promise((resolve) => { video.addEventListener('seeking', resolve, { once: true }); });
    video.currentTime += 1000;
    await seeking;
    endPlayer(player);
    await new Promise((resolve) => { setTimeout(resolve, 400); });
    return seen;
  }, new URL(url, stack.httpsUrl).href);
  assert.equal(missing, null, `mpegts.js no longer has "${missing}" (player.${path}): see html/js/mpegts-inside.js`);
  assert.ok(ends.audio > 0 && ends.video > 0, JSON.stringify(ends));
  await close();
});

test('plain http leads to the page over https', async () => {
  const { page, close } = await openPage(browser, stack.httpUrl);
  await page.waitForSelector('#login-name');
  assert.equal(new URL(page.url()).origin, stack.httpsUrl);
  assert.equal(await page.locator('.notice').count(), 0);
  await close();
});

// Duolu's own nginx redirects to https; an operator's proxy may not.
test('a page that a proxy serves over plain http shows a notice with the https address', async () => {
  const { page, close } = await openPage(browser, `http://${farHost}/`, {}, serveFolder);
  await page.waitForSelector('.notice');
  assert.equal(await page.getAttribute('.notice a', 'href'), `https://${farHost}:8443/`);
  await accessible(page, 'notice');
  await screenshot(page, 'login-not-secure');
  await close();
});

const views = [
  '#/streams',
  '#/watch/live/demo',
  '#/wall/1',
  '#/wall/4?f=0',
  '#/wall/9',
  '#/wall/16',
  '#/admin/users',
  '#/admin/streams',
  '#/admin/grants',
  '#/admin/sessions',
];

test('every view on a phone: no sideways scrolling, and axe finds nothing', async () => {
  const { page, close } = await openPage(browser, stack.httpsUrl, phone);
  await noSidewaysScroll(page, 'login');
  await accessible(page, 'login');
  await logIn(page, stack.adminPassword);
  for (const view of views) {
    await goTo(page, view);
    await page.waitForSelector('.stream-card, .tile, .wall-empty:not([hidden]), .table tbody tr');
    await noSidewaysScroll(page, view);
    await accessibleHere(page, view);      // weight.test looks in the light
    await screenshot(page, `phone-${view.replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '')}`);
  }
  await close();
});

test('the longest names and titles leave every button on the screen', async () => {
  const name = `live/${'camera-on-the-roof-of-the-house-by-the-river'.repeat(2)}-a`;
  const owner = 'owner'.repeat(12);
  await stack.ctl('user', 'add', owner, '--password-stdin', { input: `${password}\n` });
  await stack.ctl('stream', 'add', name, '--owner', owner);
  await stack.ctl('stream', 'set', name, `title=${'كاميرا السطح '.repeat(7)}${'W'.repeat(80)}`);
  await stack.ctl('grant', owner, 'live/demo', 'view,publish,replay,manage');
  for (const device of [{ viewport: { width: 900, height: 800 } }, phone]) {
    const { page, close } = await openView(browser, stack, '', { user: owner, password, ...device });
    await page.waitForSelector('.stream-card:has(.stream-link[href*="camera-on"])');
    await noSidewaysScroll(page, 'streams');
    const admin = await openView(browser, stack, '#/admin/users', device);
    for (const view of ['users', 'streams', 'grants', 'sessions']) {
      await goTo(admin.page, `#/admin/${view}`);
      await admin.page.waitForSelector(`tbody tr:has-text("${view === 'streams' ? 'camera-on' : 'ownerowner'}")`);
      const { frame, out } = await admin.page.evaluate(() => {
        const table = document.querySelector('.table-frame');
        return {
          frame: table.scrollWidth - table.clientWidth,
          out: [...document.querySelectorAll('.table-actions button')].filter(
            (button) => button.getBoundingClientRect().right > innerWidth,
          ).length,
        };
      });
      assert.deepEqual(
        [frame, out],
        [0, 0],
        `${view} at ${admin.page.viewportSize().width} px: [sideways, buttons out of sight]`,
      );
      await noSidewaysScroll(admin.page, view);
      await screenshot(admin.page, `long-names-${view}-${admin.page.viewportSize().width}`);
    }
    await goTo(page, `#/watch/${encodeURI(name)}`);
    await noSidewaysScroll(page, 'player');
    await admin.close();
    await close();
  }
});

test('an admin adds a user and a stream, sees the key once, gives and takes access', async () => {
  const { page, close } = await openView(browser, stack, '#/admin/users');
  await page.locator('.admin-form input').nth(0).fill('mei');
  await page.locator('.admin-form input').nth(1).fill('a long enough password');
  await page.click('.admin-form button');
  await page.waitForSelector('tbody tr:has-text("mei")');
  await page.click('tbody tr:has-text("mei") button:has-text("Edit")');
  assert.deepEqual(
    await page.locator('dialog input').evaluateAll((fields) => fields.map((field) => field.placeholder)),
    ['No limit', 'Server default'],
    'an empty field says what it means',
  );
  await screenshot(page, 'admin-user-limits');
  await page.fill('dialog input', '2');
  await accessible(page, 'a user in a dialog');
  await page.keyboard.press('Enter');
  await page.waitForSelector('tbody tr:has-text("mei") .table-limit:text-is("2")');
  await accessible(page, 'users');
  await screenshot(page, 'admin-users');

  await goTo(page, '#/admin/streams');
  await page.locator('.admin-form input').nth(1).fill('stage');
  await page.locator('.admin-form input').nth(2).fill('舞台 Stage');
  await page.click('.admin-form button');
  await page.click('dialog [data-app=other]');
  const address = page.locator('dialog .copy-text').nth(2);
  const secure = await address.inputValue();
  assert.match(secure, /^rtmps:\/\/[^/]+\/live\/stage\?key=[A-Za-z0-9_-]{22}$/);
  assert.equal(secure.split('/live/')[0], stack.rtmpsUrl, 'with the port of this server');
  const code = await page.evaluate(() => document.querySelector('.qr').toDataURL());
  await page.click('dialog summary');
  await page.click('dialog [data-protocol=rtmp]');
  assert.equal(await address.inputValue(), secure.replace(stack.rtmpsUrl, stack.rtmpUrl));
  assert.notEqual(await page.evaluate(() => document.querySelector('.qr').toDataURL()), code, 'another QR code');
  await accessible(page, 'publish key');
  await screenshot(page, 'admin-key');
  await page.click('dialog .button-primary');
  await page.waitForSelector('tbody tr:has-text("live/stage")');

  await page.click('tbody tr:has-text("live/stage") button:has-text("Edit")');
  await page.locator('dialog input').nth(1).fill('8000');
  await page.locator('dialog input').nth(2).fill('50');
  await screenshot(page, 'admin-stream-edit');
  await page.click('dialog button:has-text("Save")');
  await page.waitForSelector('tbody tr:has-text("live/stage") .table-limit:text-is("≤ 8.0 Mbps · ≤ 50 viewers")');

  const stage = publish([secure]);
  try {
    await page.waitForSelector('tbody tr:has-text("live/stage") .badge[data-state=live]');
    await page.click('tbody tr:has-text("live/stage") button:has-text("Disconnect everyone")');
    await page.click('dialog .button-danger');
    await page.waitForSelector('.admin-news:text-is("Done. 1 connection was ended.")');
    await screenshot(page, 'admin-ended');
  } finally {
    await stage.stop();
  }

  await goTo(page, '#/admin/grants');
  await page.waitForSelector('.admin-form option[value="mei"]', { state: 'attached' });
  await page.locator('.admin-form select').nth(0).selectOption('mei');
  await page.locator('.admin-form select').nth(1).selectOption('live/stage');
  await page.click('.admin-form button');
  await page.waitForSelector('tbody tr:has-text("mei")');
  await screenshot(page, 'admin-access');
  await page.click('tbody tr:has-text("mei") button');
  await page.click('dialog .button-danger');
  await page.waitForFunction(() => !document.querySelector('tbody').textContent.includes('mei'));

  await goTo(page, '#/admin/users');
  await page.click('tbody tr:has-text("mei") button:has-text("Disable")');
  await page.click('dialog .button-danger');
  await page.waitForSelector('tbody tr:has-text("mei") .badge[data-state=offline]');
  await close();
});

test('a user who manages one stream edits it, without its limits, and sees its sessions', async () => {
  await stack.ctl('user', 'add', 'stagehand', '--password-stdin', { input: `${password}\n` });
  await stack.ctl('stream', 'add', 'live/backstage', '--owner', 'admin');
  await stack.ctl('grant', 'stagehand', 'live/backstage', 'manage');
  const { page, close } = await openView(browser, stack, '', { user: 'stagehand', password, ...phone });
  await page.click('.nav-link[data-view=admin]');
  await page.waitForSelector('tbody tr:has-text("live/backstage")');
  assert.deepEqual(await page.locator('.tab').allInnerTexts(), ['Streams', 'Phones', 'Sessions', 'Alerts']);
  assert.equal(await page.locator('tbody tr').count(), 1);
  await page.click('tbody button:has-text("Edit")');
  assert.equal(await page.locator('dialog input').count(), 1, 'the form has a title and no limits');
  await page.fill('dialog input', 'Behind the stage');
  await page.click('dialog button:has-text("Save")');
  await page.waitForSelector('tbody tr:has-text("Behind the stage")');
  await page.click('.tab:has-text("Sessions")');
  await page.waitForSelector('.table-empty');
  await accessible(page, 'sessions of a manager');
  await screenshot(page, 'phone-manager');
  await close();
});

test('a session ends during a change: the login form appears, and then the same view again', async () => {
  const view = '#/admin/streams';
  for (const account of [
    { user: 'admin', password: stack.adminPassword },
    { user: 'stagehand', password },
  ]) {
    const { page, context, close } = await openView(browser, stack, view, account);
    await page.click('tbody tr:has-text("live/backstage") button:has-text("Edit")');
    await page.fill('dialog input', `typed by ${account.user}`);
    await context.clearCookies();
    await page.click('dialog button:has-text("Save")');
    await page.waitForSelector('.login-over[open] .login .notice:has-text("Your session has ended")');
    assert.equal(await page.inputValue('#login-name'), account.user);
    await accessible(page, 'a session that ended');
    await screenshot(page, 'login-session-over');
    await page.fill('#login-password', account.password);
    await page.keyboard.press('Enter');
    await page.waitForSelector('.login', { state: 'detached' });
    await page.waitForSelector('dialog [role=alert]:has-text("Not done: your session had ended.")');
    assert.equal(await page.inputValue('dialog input'), `typed by ${account.user}`, 'the dialog is as it was');
    await page.click('dialog button:has-text("Save")');
    await page.waitForSelector('dialog', { state: 'detached' });
    await page.waitForSelector('.tab[aria-current]:has-text("Streams")');
    await page.waitForSelector(`tbody tr:has-text("typed by ${account.user}")`);
    assert.ok(page.url().endsWith(view), page.url());
    await close();
  }
});

test('the page reports a service that hangs, and loads every tab when it answers again', async () => {
  // Shortens the page's own timeouts.
  const { page, close } = await openView(browser, stack, '#/admin/users', {}, (context) => context.addInitScript(() => {
    const { timeout } = AbortSignal;
    AbortSignal.timeout = (ms) => timeout.call(AbortSignal, Math.min(ms, 2000));
  }));
  await page.click('tbody tr:has-text("admin") button:has-text("Edit")');
  const service = Number.parseInt(processesOf(stack.home).find((line) => /\/duolu-auth\b/.test(line)), 10);
  process.kill(service, 'SIGSTOP');
  try {
    await page.click('dialog button:has-text("Save")');
    await page.waitForSelector('dialog button[disabled]:has-text("Saving…")');
    await page.waitForSelector('dialog [role=alert]:has-text("The server has not answered")');
    await page.waitForSelector('dialog button:has-text("Save"):not([disabled])');
    await page.keyboard.press('Escape');
    for (const view of ['#/admin/sessions', '#/admin/grants', '#/admin/users']) {
      await goTo(page, view);
      await page.waitForSelector('.admin-missing:visible:has-text("The server is not available right now")');
    }
    await accessible(page, 'a tab that could not load');
    await screenshot(page, 'admin-missing');
    await goTo(page, '#/recordings');
    await page.waitForSelector('.admin-message:visible');
  } finally {
    process.kill(service, 'SIGCONT');
  }
  await page.waitForSelector('.admin-message', { state: 'hidden' });
  await page.waitForSelector('.trouble', { state: 'hidden' });
  await goTo(page, '#/admin/users');
  await page.waitForSelector('tbody tr:has-text("admin")');
  await close();
});

test('a tab opened without a connection loads when it is back, by itself or after a click on "Try again"', async () => {
  const { page, close } = await openView(browser, stack, '');
  for (const [view, calls] of [
    ['#/admin/users', '**/api/users'],
    ['#/admin/grants', '**/api/grants'],
    ['#/admin/sessions', '**/api/sessions'],
  ]) {
    await page.route(calls, (route) => route.abort());
    await goTo(page, view);
    await page.waitForSelector('.admin-missing:visible:has-text("No connection")');
    await page.unroute(calls);
    // It may have loaded by itself meanwhile.
    if (view === '#/admin/users') await page.$eval('.admin-missing button', (button) => button.click());
    await page.waitForSelector('.admin-missing', { state: 'hidden' });
    await page.waitForSelector('tbody tr');
  }
  await close();
});

test('the table of sessions has every kind: viewers of HLS, and replays', async () => {
  const { page, close } = await openView(browser, stack, '');
  const session = (id, kind, protocol) => ({
    id, kind, protocol, stream: 'live/demo', user: 'admin', uid: 1, key: 0, address: '192.0.2.9', age_ms: 5000,
    bytes: 1000, late_ms: 0, worker: 0,
  });
  await page.route('**/api/sessions', (route) => route.fulfill({
    json: { sessions: [session('1', 'replay', 'hls'), session('2', 'view', 'hls'), session('3', 'replay', 'mp4')] },
  }));
  await goTo(page, '#/admin/sessions');
  await page.waitForSelector('tr[data-kind=view]');
  const rows = await page.locator('.sessions tbody tr').allInnerTexts();
  assert.deepEqual(rows.map((text) => text.match(/Watching|Replaying|HLS|MP4/g)),
    [['Watching', 'HLS'], ['Replaying', 'HLS'], ['Replaying', 'MP4']]);
  await page.locator('tr[data-session="1"] button').click();
  await page.waitForSelector('dialog:has-text("The download or the player is disconnected.")');
  await close();
});

test('an unknown address gets a message', async () => {
  const { page, close } = await openView(browser, stack, '#/recordngs', { user: 'stagehand', password });
  await page.waitForSelector('.empty:has-text("There is no page at this address")');
  await accessible(page, 'nowhere');
  await screenshot(page, 'nowhere');
  await goTo(page, '#/streams');
  await page.waitForSelector('.stream-card');
  await close();
});

test('a notice for a lost network appears, and disappears when it is back', async () => {
  const { page, context, close } = await openView(browser, stack, '');
  await page.waitForSelector('.stream-card');
  await context.setOffline(true);
  await page.waitForSelector('.trouble:not([hidden])');
  await screenshot(page, 'network-lost');
  assert.equal(await page.locator('.stream-card').count() > 0, true, 'the last list stays');
  await context.setOffline(false);
  await page.waitForSelector('.trouble', { state: 'hidden' });
  await close();
});

test('a user without streams is told what to do', async () => {
  await stack.ctl('user', 'add', 'newcomer', '--password-stdin', { input: `${password}\n` });
  const { page, close } = await openView(browser, stack, '', { user: 'newcomer', password });
  await page.waitForSelector('.empty:not([hidden]):has-text("Ask the person who gave you this account")');
  assert.equal(await page.locator('.empty .code, .add-phone:visible').count(), 0, 'no ffmpeg line, no button');
  assert.equal(await page.locator('.nav-link[data-view=admin]:visible').count(), 0);
  await accessible(page, 'empty list');
  await screenshot(page, 'streams-none');
  await goTo(page, '#/admin/users');
  await page.waitForSelector('.empty:has-text("Only users who manage streams")');
  await close();
});

test('a stream that is open shows to visitors without an account, until it is closed', async () => {
  await stack.ctl('stream', 'set', 'live/demo', 'visibility=open');
  const { page, close } = await openPage(browser, `${stack.httpsUrl}/#/open/live/demo`, phone);
  await framesRise(page, ['shared']);
  assert.equal(await page.locator('.header').count(), 0, 'nothing of an account');
  await accessible(page, 'open stream');
  await screenshot(page, 'open-stream');
  await stack.ctl('stream', 'set', 'live/demo', 'visibility=private');
  await page.waitForSelector('.shared-plain');
  await close();
});
