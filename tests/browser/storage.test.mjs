// The admin's storage tab with a real stack: what the disk holds, rules that apply at once after a look at what they
// take, and deleting by choice and by age.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { DAY, HOUR, makeSource, second, writeRecordings } from '../lib/recordings.mjs';
import { startStack } from '../lib/stack.mjs';
import {
  accessible, accessibleHere, checkView, launch, looks, openView, screenshot, until,
} from './browser.mjs';
import { giveToService } from './coloured-recordings.mjs';

const words = { 'en-US': /free of/, 'zh-CN': /剩余/ };
const ago = (days) => second(Date.now() - days * DAY);

let stack;
let browser;

before(async () => {
  stack = await startStack();
  browser = await launch(stack);
  await stack.ctl('user', 'add', 'mia');
  await stack.ctl('stream', 'add', 'live/garden', '--owner', 'mia', '--title', 'Garden');
  const source = await makeSource({ audio: false });
  const root = path.join(stack.home, 'rec');
  for (const days of [40, 20, 3]) {
    const from = ago(days);
    writeRecordings(root, 'live/demo', source, { spans: [[from, from + 20_000]], session: from });
  }
  for (const hours of [50, 49, 48]) {
    const from = second(Date.now() - hours * HOUR);
    writeRecordings(root, 'live/garden', source, { spans: [[from, from + 10_000]], session: from });
  }
  giveToService(stack.home);
  await stack.ctl('reindex');
});

after(async () => {
  await browser?.close();
  await stack?.stop();
});

async function openStorage(options) {
  const opened = await openView(browser, stack, '#/admin/storage', options);
  await opened.page.waitForSelector('.storage-legend li');
  return opened;
}

const files = (stream) => fs.readdirSync(path.join(stack.home, 'rec', stream), { recursive: true })
  .filter((name) => name.endsWith('.mp4'));
const plan = (page) => page.textContent('.storage-plan');

for (const look of looks) {
  test(`shows what people and streams take, at ${look.name}`, async () => {
    const { page, close } = await openStorage(look.options);
    assert.match(await page.textContent('.storage-free'), words[look.locale]);
    const rows = await page.locator('.table tbody th').allTextContents();
    assert.ok(rows.some((text) => text.includes('mia')) && rows.some((text) => text.includes('Garden')), rows.join());
    await until('the plan', () => plan(page), Boolean);
    await checkView(page, look, 'storage', { fullPage: true });
    if (look.size === 390) {
      await page.locator('.table-actions .button').first().click();
      await page.waitForSelector('.choose-row');
      await accessibleHere(page, 'choose recordings');
      await screenshot(page, `storage-choose-${look.locale}`);
    }
    await close();
  });
}

test('rules show what they would take, ask before they delete, and then apply at once', async () => {
  const { page, close } = await openStorage();
  await until('nothing to delete', () => plan(page), (text) => /nothing would be deleted/.test(text));
  assert.equal(await page.isDisabled('.storage-rules [type=submit]'), true);
  const days = page.locator('.storage-rules input').first();
  await days.fill('10');
  await until('what they would take', () => plan(page), (text) => /Once saved, .* 2 \(/.test(text));
  assert.match(await page.textContent('.storage-reasons'), /Too old: 2/);
  assert.equal(files('live/demo').length, 3, 'nothing is deleted before it is saved');

  await page.click('.storage-rules [type=submit]');
  await page.waitForSelector('.dialog');
  await accessible(page, 'save and delete');
  await screenshot(page, 'storage-save');
  await page.click('.dialog-actions .button:not(.button-danger)');
  assert.equal(files('live/demo').length, 3, 'nor after Cancel');
  await page.click('.storage-rules [type=submit]');
  await page.click('.dialog-actions .button-danger');
  await until('the old ones to go', () => files('live/demo').length, (count) => count === 1);
  assert.match(await stack.ctl('settings'), /^rec_days=10 /m);
  await until('nothing more', () => plan(page), (text) => /nothing would be deleted/.test(text));

  // the keyboard alone takes the rule back
  await days.focus();
  await page.keyboard.press('Control+a');
  await page.keyboard.press('Delete');
  await until('the plan', () => page.isEnabled('.storage-rules [type=submit]'), Boolean);
  await page.keyboard.press('Enter');
  await until('no rule', () => stack.ctl('settings'), (text) => /^rec_days=0 /m.test(text));
  await close();
});

test('many recordings are chosen, kept, freed and deleted', async () => {
  const { page, close } = await openStorage();
  await page.locator('tr', { hasText: 'Garden' }).locator('.table-actions .button').click();
  await page.waitForSelector('.choose-row');
  assert.equal(await page.locator('.choose-row').count(), 3);
  await page.locator('.choose-row').first().click();
  await page.click('text="Keep"');
  await page.waitForSelector('.choose-row .chip:visible');
  await page.click('.choose > .check');
  await page.click('.dialog .button-danger');
  assert.match(await page.textContent('.dialog .button-danger'), /Really delete 2/);
  await page.click('.dialog .button-danger');
  await until('two to go', () => page.locator('.choose-row').count(), (count) => count === 1);
  assert.equal(files('live/garden').length, 1);
  assert.equal(await page.isDisabled('.dialog .button-danger'), true, 'a kept one cannot be deleted');
  await page.click('text="No longer keep"');
  await page.waitForSelector('.choose-row .chip', { state: 'hidden' });
  await page.click('.dialog .icon-button');
  const row = page.locator('tr', { hasText: 'Garden' });
  await until('the table', () => row.textContent(), (text) => /1 files/.test(text));
  await close();
});

test('older ones are deleted after a question that says how many', async () => {
  const { page, close } = await openStorage();
  const today = await page.evaluate(() => {
    const now = new Date();
    return new Date(now - now.getTimezoneOffset() * 60_000).toISOString().slice(0, 10);
  });
  await page.fill('.storage-older input', today);
  await page.selectOption('.storage-older select', 'live/garden');
  await page.click('.storage-older [type=submit]');
  assert.match(await page.textContent('.dialog h2'), /Delete 1 recordings from before/);
  await page.click('.dialog-actions .button-danger');
  const said = () => page.textContent('.storage-older .hint[role=status]');
  await until('it to go', said, (text) => /Deleted: 1/.test(text));
  assert.equal(files('live/demo').length, 1, 'the other stream\'s stay');
  await close();
});

test('other settings apply at once, and a manager sees nothing of it', async () => {
  const { page, close } = await openStorage();
  await page.locator('.storage-server input').first().fill('4000');
  await page.click('.storage-server [type=submit]');
  await until('it to be saved', () => stack.ctl('settings'), (text) => /^max_kbps=4000 /m.test(text));
  await close();

  await stack.ctl('user', 'passwd', 'mia', '--password-stdin', { input: 'a long enough password\n' });
  const other = await openView(browser, stack, '#/admin/storage', { user: 'mia', password: 'a long enough password' });
  await other.page.waitForSelector('.tabs');
  assert.equal(await other.page.locator('.storage-disk').count(), 0);
  assert.equal(await other.page.locator('.tab[href="#/admin/storage"]').count(), 0);
  await other.close();
});
