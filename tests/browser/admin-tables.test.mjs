// The admin tables with 500 streams and 90-character names, the audit, webhooks, notifications, and ending a session
// together with its access: in a real browser with a real stack, at three widths and in both languages.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Receiver, signed } from '../lib/receiver.mjs';
import { run, startStack } from '../lib/stack.mjs';
import {
  accessible, accessibleHere, fits, goTo, launch, looks, noSidewaysScroll, openView, phone, screenshot, until,
} from './browser.mjs';
import { publish } from './publisher.mjs';

const streams = 500;
const longName = `${'camera-on-the-roof-of-the-house-by-the-river-'.repeat(2)}`.slice(0, 90);
let stack;
let browser;
const receiver = new Receiver();

const sql = (input) => {
  const env = { MYSQL_PWD: fs.readFileSync(path.join(stack.home, 'secrets/db'), 'utf8').trim() };
  const socket = `--socket=${stack.home}/mysql/mysql.sock`;
  return run('mariadb', ['--no-defaults', socket, '--user=duolu', '--default-character-set=utf8mb4', 'duolu'],
    { env, input });
};

const numbers = (count) =>
  `WITH RECURSIVE n AS (SELECT 1 AS i UNION SELECT i + 1 FROM n WHERE i < ${count})`;

before(async () => {
  stack = await startStack();
  browser = await launch(stack);
  await receiver.start();
  await stack.ctl('user', 'add', 'bob', '--password-stdin', { input: 'a long enough password\n' });
  await stack.ctl('grant', 'bob', 'live/demo', 'view,replay');
  await sql(`INSERT INTO streams (app, name, owner_id, title) ${numbers(streams)}
      SELECT 'live', IF(i % 50 = 1, CONCAT(LEFT('${longName}', 87), LPAD(i, 3, '0')), CONCAT('cam', i)), 1,
        IF(i % 10 = 0, CONCAT('屋顶 ', i), '') FROM n;
    INSERT INTO users (name, password_hash) ${numbers(120)} SELECT CONCAT('user', i), 'x' FROM n;
    INSERT INTO grants (user_id, stream_id, rights) SELECT u.id, s.id, 'view' FROM users u JOIN streams s
      ON s.name = CONCAT('cam', u.id) WHERE u.name LIKE 'user%';
    INSERT INTO audit (at, actor, action, outcome, target, address, reason) ${numbers(900)}
      SELECT UTC_TIMESTAMP(3) - INTERVAL 10 DAY + INTERVAL i MINUTE, CONCAT('user', i % 7), 'publish',
        IF(i % 9 = 0, 'denied', 'ok'), CONCAT('live/', IF(i = 5, '${longName}', CONCAT('cam', i))), '192.0.2.1',
        IF(i % 9 = 0, 'wrong key', '') FROM n;`);
});

after(async () => {
  await browser?.close();
  await receiver.stop();
  await stack?.stop();
});

/** Is a button out of sight, or does the table scroll sideways? */
const outOfSight = (page) => page.evaluate(() => {
  const frame = document.querySelector('.table-frame');
  return [frame.scrollWidth - frame.clientWidth,
    [...document.querySelectorAll('.table-actions button')].filter((button) =>
      button.getBoundingClientRect().right > innerWidth).length];
});

/** What each tab shows when it is ready, what else to do there, and whether its buttons must be in sight. */
const views = {
  streams: ['.table-count:has-text("501")', async (page, where) => {
    assert.equal(await page.locator('tbody tr').count(), 50, where);
    assert.deepEqual(await outOfSight(page), [0, 0], where);
    await page.locator('.table-tools .input-search').fill('river 51');
    await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 5);
  }, true],
  users: ['.table-count:has-text("122")'],
  grants: ['.table-count:not(:empty)'],
  audit: ['tbody .audit-action', async (page) => {
    await page.locator('.audit-form input[type=search]').fill('river');
    await page.waitForSelector('.audit-target:has-text("camera-on")');
  }],
  alerts: ['.hook'],
};

test('every tab with 500 streams and long names, at three widths and in both languages', async () => {
  await stack.ctl('webhook', 'add', `https://hooks.example/${'long-path-'.repeat(40)}`, 'enabled=no');
  for (const look of looks) {
    const { page, close } = await openView(browser, stack, '#/admin/streams', look.options);
    for (const [tab, [ready, act = async () => {}, inSight]] of Object.entries(views)) {
      await goTo(page, `#/admin/${tab}`);
      await page.waitForSelector(ready);
      await accessibleHere(page, `${tab} at ${look.name}`);
      await act(page, `${tab} at ${look.name}`);
      await fits(page, look, `admin-many-${tab}`, { also: async (where) => {
        if (inSight) assert.deepEqual(await outOfSight(page), [0, 0], `${where}, long names`);
      } });
    }
    await close();
  }
  const [{ id }] = JSON.parse(await stack.ctl('webhook', 'list', '--json')).webhooks;
  await stack.ctl('webhook', 'remove', String(id));
});

test('rows stay the same elements while other streams change, and keep the focus', async () => {
  const { page, close } = await openView(browser, stack, '#/admin/streams');
  await page.waitForSelector('.table-count:has-text("501")');
  await page.evaluate(() => {
    window.before = [...document.querySelectorAll('tbody tr')];
    window.before[3].querySelector('button').focus();
  });
  const publisher = publish([`${stack.rtmpUrl}/live/demo?key=${stack.demoKey}`]);
  try {
    await until('the stream to be live', () => stack.controlGet('/status'), ({ streams: all }) => all.length === 1);
    await page.click('.table-pager button:last-child');
    await page.waitForSelector('.table-count:has-text("51–100")');
    await page.locator('.table-tools .input-search').fill('demo live');
    await page.waitForSelector('tbody tr:has-text("live/demo") .badge[data-state=live]');
    await page.locator('.table-tools .input-search').fill('');
    await page.waitForSelector('.table-count:has-text("1–50")');
    await page.evaluate(() => document.querySelectorAll('tbody tr')[3].querySelector('button').focus());
    const kept = await page.evaluate(() => {
      window.rows = [...document.querySelectorAll('tbody tr')];
      return new Promise((resolve) => {
        setTimeout(() => resolve([window.rows.filter((row) => row.isConnected).length,
          document.activeElement.closest('tr') === window.rows[3]]), 3000);
      });
    });
    assert.deepEqual(kept, [50, true], 'after three seconds of events');
  } finally {
    await publisher.stop();
    await close();
  }
});

test('users, access: paged and found; what was made is confirmed', async () => {
  const { page, close } = await openView(browser, stack, '#/admin/users');
  await page.locator('.admin-form input').nth(0).fill('mei');
  await page.locator('.admin-form input').nth(1).fill('a long enough password');
  await page.click('.admin-form button');
  await page.waitForSelector('.admin-news:has-text("mei was added")');
  await page.locator('.table-tools .input-search').fill('mei');
  await page.waitForSelector('tbody tr:has-text("mei")');
  assert.equal(await page.locator('tbody tr').count(), 1);
  await goTo(page, '#/admin/grants');
  await page.waitForSelector('.admin-form option[value="mei"]', { state: 'attached' });
  await page.locator('.admin-form select').nth(0).selectOption('mei');
  await page.locator('.admin-form select').nth(1).selectOption('live/cam7');
  await page.click('.admin-form button');
  await page.waitForSelector('.admin-news:has-text("mei now has access to live/cam7")');
  await page.locator('.table-tools .input-search').fill('nobody-has-this');
  await page.waitForSelector('.table-empty:has-text("Nothing matches “nobody-has-this”")');
  await close();
});

test('the audit is filtered by user, action, outcome, time and words, and turns its pages', async () => {
  const { page, close } = await openView(browser, stack, '#/admin/audit');
  await page.waitForSelector('tbody .audit-action:has-text("Sign-in")');
  const shown = () => page.locator('tbody tr').evaluateAll((rows) => rows.map((row) => row.innerText));
  const field = (label) =>
    page.locator(`.audit-form .field:has(.field-label:text-is("${label}")) :is(input, select)`);
  await field('User').fill('user3');
  await until('the rows of one user', shown, (rows) => rows.length === 50 && rows.every((row) => /user3/.test(row)));
  await field('Outcome').selectOption('denied');
  await until('the refused ones', shown, (rows) => rows.length === 14 && rows.every((row) => /wrong key/.test(row)));
  await field('Action').selectOption('login');
  await page.waitForSelector('.table-empty');
  await page.click('.audit-form button');
  await until('all', shown, (rows) => rows.some((row) => /Sign-in/.test(row)));
  const first = await shown();
  await page.click('.table-pager button:last-child');
  await until('older ones', shown, (rows) => rows.length === 50 && rows[0] !== first[0]);
  await page.click('.table-pager button:first-child');
  await until('the newest again', shown, (rows) => rows[0] === first[0]);
  const day = new Date(Date.now() - 9.5 * 86_400_000);
  const local = new Date(day - day.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
  await field('To').fill(local);
  await until('up to that time', shown, (rows) => rows.length === 50 && rows.every((row) => /Publish/.test(row)));
  await field('To').fill('');
  await page.locator('.audit-pick:has-text("user")').first().click();
  await until('the field has the user', () => field('User').inputValue(), (value) => /^user\d$/.test(value));
  await close();
});

test('a webhook: added, its secret shown once, tested, told of a real publisher, repeated, removed', async () => {
  const { page, close } = await openView(browser, stack, '#/admin/alerts');
  await page.click('.hooks-head button');
  await page.fill('dialog input[type=url]', receiver.url);
  await page.waitForSelector('.hooks-plain:has-text("Not encrypted")');
  await accessible(page, 'a new webhook');
  await screenshot(page, 'hooks-new');
  await page.click('dialog button[type=submit]');
  await page.waitForSelector('dialog .copy-text');
  const secret = await page.inputValue('dialog .copy-text');
  assert.match(secret, /^[\w-]{32}$/);
  await accessible(page, 'the secret');
  await screenshot(page, 'hooks-secret');
  await page.click('dialog .button-primary');
  await page.waitForSelector('.hook');
  assert.equal((await page.content()).includes(secret), false, 'shown once');

  await page.click('.hook button:has-text("Send a test")');
  await page.waitForSelector('.hook-result:has-text("The test arrived: answer 200")');
  assert.ok(signed(receiver.requests[0], secret).right);
  // a stream of its own: one that published a moment ago would be in its grace, and return
  const [key] = /(?<![\w-])[\w-]{22}(?![\w-])/.exec(await stack.ctl('stream', 'add', 'live/porch', '--owner', 'admin'));
  const publisher = publish([`${stack.rtmpUrl}/live/porch?key=${key}`]);
  try {
    await until('published', () => receiver.events.map(({ event }) => event), (all) => all.includes('published'));
  } finally {
    await publisher.stop();
  }
  await until('the pause', () => receiver.events, (all) => all.some((each) => each.event === 'gap'));
  assert.equal(receiver.events.find(({ event }) => event === 'published').stream, 'live/porch');

  receiver.answer = (_, response) => response.writeHead(503).end('closed on Sundays');
  await page.click('.hook button:has-text("Send a test")');
  await page.waitForSelector('.hook-result:has-text("The test failed: answered 503: closed on Sundays")');
  await sql(`INSERT INTO webhook_outbox (webhook_id, event, event_id, payload, state, tries, error)
    SELECT id, 'ended', REPEAT('a', 32), '{"stream":"live/porch"}', 'dead', 40, 'answered 503: closed' FROM webhooks`);
  await page.click('.hook button:has-text("Not delivered: 1")');
  await page.waitForSelector('.dead-letter:has-text("Stream ends · live/porch")');
  await accessible(page, 'dead letters');
  await screenshot(page, 'hooks-dead');
  receiver.answer = (_, response) => response.end();
  await page.click('dialog .button-primary');
  await page.waitForSelector('.admin-news:has-text("1 are sent again")');
  await until('the dead letter', () => receiver.events.filter(({ stream }) => stream === 'live/porch').length,
    (count) => count >= 3);
  await screenshot(page, 'alerts-delivered');
  await page.click('.hook button:has-text("Remove")');
  await page.click('dialog .button-danger');
  await page.waitForSelector('.hooks-part .hint:has-text("No webhooks yet.")');
  await close();
});

/** Plays as a user, until the server ends it: {status, ended}. */
async function watch(name, password) {
  const cookie = await stack.login(name, password);
  const { json } = await stack.api('GET', '/api/streams', { cookie });
  const { play } = json.streams.find((stream) => stream.name === 'demo');
  return new Promise((resolve, reject) => {
    const request = https.get(stack.httpsUrl + play, { rejectUnauthorized: false, agent: false }, (response) => {
      response.resume();
      resolve({ status: response.statusCode, ended: new Promise((done) => { response.on('close', done); }) });
    });
    request.on('error', reject);
  });
}

test('ending a session may take the access with it: the page says which, and the user cannot come back', async () => {
  const publisher = publish([`${stack.rtmpUrl}/live/demo?key=${stack.demoKey}`]);
  const { page, close } = await openView(browser, stack, '#/admin/sessions', phone);
  try {
    await until('a live stream', () => stack.controlGet('/status'), ({ streams: all }) => all[0]?.state === 'live');
    const viewer = await watch('bob', 'a long enough password');
    assert.equal(viewer.status, 200);
    await page.click('tr[data-kind=view]:has-text("bob") button');
    await page.waitForSelector('dialog:has-text("bob loses “View” on live/demo")');
    await accessible(page, 'the dialog that ends a session');
    await noSidewaysScroll(page, 'the dialog that ends a session');
    await screenshot(page, 'kick-dialog-390');
    await page.click('dialog .kick-take input');
    await page.click('dialog .button-danger');
    await viewer.ended;
    await page.waitForSelector('.admin-news:has-text("1 connection was ended")');
    const cookie = await stack.login('bob', 'a long enough password');
    const { json } = await stack.api('GET', '/api/streams', { cookie });
    assert.deepEqual(json.streams.map(({ name, rights }) => [name, rights]), [['demo', ['replay']]]);

    await page.click('tr[data-kind=publish] button');
    await page.waitForSelector('dialog:has-text("admin owns this stream")');
    assert.equal(await page.locator('dialog input').count(), 0, 'nothing to take');
    await page.keyboard.press('Escape');
  } finally {
    await publisher.stop();
    await close();
  }
});

test('the browser tells of a phone that goes offline, once switched on', async () => {
  const { page, context, close } = await openView(browser, stack, '#/admin/alerts', {}, async (fresh) => {
    await fresh.grantPermissions(['notifications'], { origin: stack.httpsUrl });
    await fresh.addInitScript(() => {
      window.told = [];
      window.Notification = class extends window.Notification {
        constructor(title, options) {
          super(title, options);
          window.told.push(title);
        }
      };
    });
  });
  const publisher = publish([`${stack.rtmpUrl}/live/demo?key=${stack.demoKey}`]);
  let stopped = false;
  try {
    assert.equal(await page.getByRole('switch').isChecked(), false, 'off until the user wants it');
    await page.getByRole('switch').check();
    await page.waitForFunction(() => window.told.includes('Notifications are on'));
    await goTo(page, '#/streams');
    await page.waitForSelector('.stream-row[data-state=live], [data-state=live]');
    await publisher.stop();
    stopped = true;
    await page.waitForFunction(() => window.told.length > 1);
    const told = await page.evaluate(() => window.told);
    assert.equal(told.length, 2);
    assert.match(told[1], /is offline$/);
  } finally {
    if (!stopped) await publisher.stop();
    await context.clearPermissions();
    await close();
  }
});
