// People in a real browser with a real stack: an invitation from the link to the first login, the own account, a
// person's page, groups, who can watch a stream, and deleting, in both languages and by keyboard.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startStack } from '../lib/stack.mjs';
import { codeOf } from '../lib/totp.mjs';
import {
  accessible, checkView, goTo, launch, logIn, looks, noSidewaysScroll, openPage, openView, phone, screenshot, until,
} from './browser.mjs';

const wide = { viewport: { width: 1440, height: 900 } };
const password = 'a long enough password';

let stack;
let browser;

before(async () => {
  stack = await startStack();
  browser = await launch(stack);
  const add = (name, display) => stack.ctl('user', 'add', name, '--password-stdin', { input: `${password}\n` })
    .then(() => display && stack.ctl('user', 'set', name, `display_name=${display}`));
  await add('olga', 'Ольга Петрова');
  await add('ming', '王小明');
  await stack.ctl('stream', 'add', 'live/garden', '--owner', 'olga', '--title', 'Garden 花园');
  await stack.ctl('stream', 'key', 'add', 'live/demo', '--user', 'olga', '--label', 'Pixel 8');
  await stack.ctl('group', 'add', 'crew');
  for (const name of ['olga', 'ming']) await stack.ctl('group', 'join', 'crew', name);
  await stack.ctl('grant', 'group:crew', 'live/demo', 'view,replay');
  await stack.ctl('grant', 'olga', 'live/demo', 'publish');
});

after(async () => {
  await browser?.close();
  await stack?.stop();
});

const linkOf = (page) => page.inputValue('dialog .copy-text');

test('an invited user opens the link, sets a password and is signed in; the link works once', async () => {
  const { page, close } = await openView(browser, stack, '#/admin/users', wide);
  await page.locator('.admin-form input').first().fill('nina');
  await page.click('.admin-form button');
  await page.waitForSelector('dialog .copy-text');
  const link = await linkOf(page);
  assert.match(link, new RegExp(`^${stack.httpsUrl}/#/invite/[\\w-]{43}$`));
  await accessible(page, 'invite link');
  await screenshot(page, 'people-invite-link');
  await page.click('dialog .button-primary');
  await page.waitForSelector('tbody tr:has-text("nina") .badge:has-text("Invited")');

  const guest = await openPage(browser, link, phone);
  await guest.page.waitForSelector('#invite-password');
  assert.match(await guest.page.textContent('h1'), /Welcome, nina/);
  await guest.page.fill('#invite-password', 'short');
  await guest.page.keyboard.press('Enter');
  await guest.page.waitForSelector('.login-error:has-text("too short")');
  await guest.page.fill('#invite-password', password);
  await guest.page.keyboard.press('Enter');
  await guest.page.waitForSelector('.header');
  assert.equal(new URL(guest.page.url()).hash, '#/streams');
  await guest.page.reload();
  await guest.page.waitForSelector('.header');
  await guest.page.goto(`${stack.httpsUrl}/?again${new URL(link).hash}`);
  await guest.page.waitForSelector('h1:has-text("no longer works")');
  await accessible(guest.page, 'a used link');
  await screenshot(guest.page, 'people-invite-gone');
  await guest.page.click('.login-card button');       // she is signed in still
  await guest.page.waitForSelector('.header');
  await guest.close();
  await close();
});

test('a user changes name and password, and signs out everywhere', async () => {
  const here = await openPage(browser, stack.httpsUrl, wide);
  const there = await openPage(browser, stack.httpsUrl, phone);
  for (const { page } of [here, there]) await logIn(page, password, 'ming');
  const { page } = here;
  await page.click('.header-user');
  await page.waitForSelector('#account-name');
  assert.equal(await page.inputValue('#account-name'), '王小明');
  await page.fill('#account-name', '👩‍🎤 Ming');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.header-user:has-text("👩‍🎤 Ming")');

  await page.fill('#account-old', 'not it');
  await page.fill('#account-new', `${password} 2`);
  await page.keyboard.press('Enter');
  await page.waitForSelector('.account-problem:has-text("wrong")');
  await page.fill('#account-old', password);
  await page.keyboard.press('Enter');
  await page.waitForSelector('.account-done:has-text("has been changed")');
  await screenshot(page, 'people-account-changed');
  await there.page.waitForSelector('#login-name');      // the other device is signed out at once
  await page.reload();
  await page.waitForSelector('.header');

  await logIn(there.page, `${password} 2`, 'ming');
  await goTo(page, '#/account');
  await page.click('.account button:has-text("Sign out everywhere")');
  await page.click('dialog .button-danger');
  await page.waitForSelector('#login-name');
  await there.page.waitForSelector('#login-name');
  await here.close();
  await there.close();
});

test('a user turns on the second step, signs in with a recovery code and turns it off again', async () => {
  await stack.ctl('user', 'add', 'tess', '--password-stdin', { input: `${password}\n` });
  const { page, close } = await openPage(browser, stack.httpsUrl, phone);
  await logIn(page, password, 'tess');
  await goTo(page, '#/account');
  await page.click('.second-step button');
  await page.fill('dialog input', 'wrong one');
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog .form-problem:has-text("wrong")');
  await page.fill('dialog input', password);
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog .qr');
  await accessible(page, 'second step');
  await noSidewaysScroll(page, 'second step');
  await screenshot(page, 'people-second-step');
  const secret = await page.inputValue('dialog .copy-text');
  await page.fill('dialog input[autocomplete="one-time-code"]', codeOf(secret));
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog .recovery');
  await screenshot(page, 'people-recovery');
  const [first, second] = await page.locator('.recovery li').allInnerTexts();
  await page.click('dialog .button-primary');
  await page.waitForSelector('.second-step .account-done:has-text("On.")');

  await page.click('.header-end button:last-child');
  await page.waitForSelector('#login-name');
  await page.fill('#login-name', 'tess');
  await page.fill('#login-password', password);
  await page.click('button[type=submit]');
  await page.waitForSelector('#login-code');
  await accessible(page, 'login with a code');
  await screenshot(page, 'people-login-code');
  await page.fill('#login-code', first);
  await page.keyboard.press('Enter');
  await page.waitForSelector('.header');
  await goTo(page, '#/account');
  await page.click('.second-step button');
  await page.fill('dialog input[type=password]', password);
  await page.fill('dialog input[autocomplete="one-time-code"]', second);
  await page.keyboard.press('Enter');
  await page.waitForSelector('.second-step button:has-text("Turn on")');
  await close();
});

test('an admin reads on a person’s page what she may see and why, and resets her password', async () => {
  const { page, close } = await openView(browser, stack, '#/admin/users', wide);
  await page.click('tbody tr:has-text("olga") a');
  await page.waitForSelector('.person-title:has-text("Ольга Петрова")');
  const why = (stream) => page.locator(`tr:has-text("${stream}") .person-why`).innerText();
  await page.waitForSelector('.person-why');
  assert.match(await why('Garden'), /owns it/);
  assert.match(await why('live/demo'), /was given: Publish\ngroup crew: View, Replay/);
  assert.match(await page.locator('.person-list').first().innerText(), /Pixel 8/);

  await page.click('.person-actions button:has-text("Reset password")');
  await page.click('dialog .button-danger');
  await page.waitForSelector('dialog .copy-text');
  const link = await linkOf(page);
  await page.keyboard.press('Escape');
  await page.waitForSelector('text=A link to set a new password works until');
  const guest = await openPage(browser, link, wide);
  await guest.page.waitForSelector('#invite-password');
  assert.match(await guest.page.textContent('h1'), /New password for olga/);
  await guest.page.fill('#invite-password', password);
  await guest.page.keyboard.press('Enter');
  await guest.page.waitForSelector('.header');

  // her open page is a connection, which the admin ends
  await page.waitForSelector('.person-row[data-session]');
  await page.click('.person-row[data-session] button');
  await page.click('dialog .button-danger');
  await page.waitForSelector('.person-row[data-session], .hint:has-text("Not publishing")');
  await guest.close();
  await close();
});

test('an owner shares a stream from its page, takes the access away and deletes the stream', async () => {
  await stack.ctl('user', 'add', 'ralf', '--password-stdin', { input: `${password}\n` });
  await stack.ctl('stream', 'add', 'live/ralfs', '--owner', 'ralf');
  const owner = await openView(browser, stack, '#/watch/live/ralfs', { user: 'ralf', password, ...phone });
  await owner.page.click('.stream-manage button:has-text("Who can watch")');
  await owner.page.fill('.share input[list]', 'nobody-here');
  await owner.page.click('.share-form .button-primary');
  await owner.page.waitForSelector('.share .form-problem:has-text("no user or group")');
  await owner.page.fill('.share input[list]', 'olga');
  await owner.page.check('.share input[value=replay]');
  await owner.page.click('.share-form .button-primary');
  await owner.page.waitForSelector('.share-row:has-text("Ольга Петрова"):has-text("watch recordings")');
  await accessible(owner.page, 'who can watch');
  await noSidewaysScroll(owner.page, 'who can watch');
  await screenshot(owner.page, 'people-share-phone');

  const viewer = await openView(browser, stack, '', { user: 'olga', password, ...wide });
  await viewer.page.waitForSelector('.stream-card:has-text("ralfs")');
  await owner.page.click('.share-row:has-text("Ольга") button');
  await viewer.page.waitForSelector('.stream-card:has-text("ralfs")', { state: 'detached' });
  await viewer.close();

  await owner.page.keyboard.press('Escape');
  await owner.page.click('.stream-manage button:has-text("Delete stream")');
  await owner.page.waitForSelector('dialog:has-text("Nothing has been recorded")');
  await owner.page.click('dialog .button-danger');
  await until('the list to be shown', () => new URL(owner.page.url()).hash, (hash) => hash === '#/streams');
  await until('the stream to be gone', () => stack.ctl('stream', 'list'), (text) => !text.includes('live/ralfs'));
  await owner.close();
});

test('an admin makes a group, fills it, gives it a right and deletes it, by keyboard', async () => {
  const { page, close } = await openView(browser, stack, '#/admin/groups', wide);
  await page.locator('.admin-form input').focus();
  await page.keyboard.type('choir');
  await page.keyboard.press('Enter');
  const card = page.locator('.group[aria-label="Group choir"]');
  await card.waitFor();
  await card.locator('select').first().selectOption('olga');
  await card.locator('.group-add button').first().press('Enter');
  await card.locator('.share-row:has-text("Ольга")').waitFor();
  await card.locator('select').nth(1).selectOption('live/garden');
  await card.locator('.group-add').nth(1).locator('button').press('Enter');
  await card.locator('.share-row:has-text("live/garden"):has-text("watch live")').waitFor();
  await card.locator('.group-head button').press('Enter');
  await page.waitForSelector('dialog:has-text("Delete the group choir?")');
  await page.locator('dialog .button-danger').press('Enter');
  await card.waitFor({ state: 'detached' });
  await close();
});

test('deleting a user names the streams that go, and asks what becomes of recordings', async () => {
  await stack.ctl('user', 'add', 'gone', '--password-stdin', { input: `${password}\n` });
  await stack.ctl('stream', 'add', 'live/goner', '--owner', 'gone');
  const { page, close } = await openView(browser, stack, '#/admin/users', wide);
  // Two recordings, one of them kept, as the service would answer.
  const { json } = await stack.api('GET', '/api/users/gone', { cookie: await stack.login('admin') });
  await page.route('**/api/users/gone', (route) => (route.request().method() === 'GET'
    ? route.fulfill({ json: { ...json, storage: { files: 2, kept: 1, bytes: 3e9 } } })
    : route.continue()));
  await goTo(page, '#/admin/users/gone');
  await page.click('.person-actions .button-danger');
  await page.waitForSelector('dialog:has-text("live/goner")');
  await page.click('dialog .button-danger');            // neither choice is made for the admin
  assert.equal(await page.locator('dialog').count(), 1);
  await accessible(page, 'deleting a user');
  await page.check('dialog input[value=keep]');
  await screenshot(page, 'people-delete');
  await page.click('dialog .button-danger');
  await page.waitForSelector('tbody tr:has-text("olga")');
  const users = await stack.ctl('user', 'list');
  assert.ok(!/^gone /m.test(users), users);
  await close();
});

for (const look of looks) {
  test(`every view of people at ${look.name}: no sideways scrolling, and axe finds nothing`, async () => {
    const { page, close } = await openView(browser, stack, '#/account', look.options);
    const check = async (name, wait) => {
      await page.waitForSelector(wait);
      await checkView(page, look, `people-${name}`);
    };
    await check('account', '#account-new');
    await goTo(page, '#/admin/users/olga');
    await check('person', '.person-why');
    await goTo(page, '#/admin/groups');
    await check('groups', '.group .share-row');
    await goTo(page, '#/admin/users');
    await check('users', 'tbody tr');
    await goTo(page, '#/watch/live/garden');
    await page.click('.stream-manage button');
    await check('share', '.share-row');
    await page.keyboard.press('Escape');
    await page.locator('.stream-manage button').nth(1).click();
    await check('delete', 'dialog .button-danger');
    const link = await stack.ctl('user', 'invite', 'olga', '--json').then(JSON.parse);
    await page.goto(`${stack.httpsUrl}/?${look.size}#${new URL(link.invite).hash.slice(1)}`);
    await check('invite', '#invite-password');
    await close();
  });
}
