// "Send this minute": a span of the recordings, or the stream live, by a link that needs no account; in both
// languages, on a desktop and on a phone.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { pushFfmpeg, untilLive } from '../lib/media.mjs';
import { HOUR, makeSource, writeRecordings } from '../lib/recordings.mjs';
import { startStack } from '../lib/stack.mjs';
import {
  accessibleHere, launch, noSidewaysScroll, openPage, openView, phone, screenshot, until,
} from './browser.mjs';
import { modeIs } from './replay.mjs';

const DEADLINE = { timeout: 180_000 };
// both languages and both looks meet axe
const desktop = { viewport: { width: 1440, height: 900 }, colorScheme: 'dark' };
const handheld = { ...phone, colorScheme: 'light' };
const zone = { timezoneId: 'Asia/Shanghai' };         // 8 h before UTC
const FROM = Math.floor(Date.now() / 86_400_000) * 86_400_000 - 86_400_000 + 6 * HOUR;     // 14:00 there, yesterday

let stack;
let browser;
let publisher;

before(async () => {
  stack = await startStack();
  browser = await launch(stack);
  await stack.ctl('stream', 'add', 'live/gate', '--owner', 'admin', '--title', 'North gate');
  publisher = pushFfmpeg(`${stack.rtmpUrl}/live/demo?key=${stack.demoKey}`, { rate: 10 });
  const root = path.join(stack.home, 'rec');
  // key frames every 4 s: a link from 14:00:22 begins at 14:00:20
  const source = await makeSource();
  writeRecordings(root, 'live/gate', source, { spans: [[FROM, FROM + 120_000]], dependent: (n) => n % 4 !== 0 });
  const { uid, gid } = fs.statSync(root);
  fs.mkdirSync(path.join(root, '.spool'), { recursive: true, mode: 0o770 });     // as after the first recording
  for (const name of ['.spool', 'live', ...fs.readdirSync(path.join(root, 'live'), { recursive: true })
    .map((each) => `live/${each}`)]) fs.chownSync(path.join(root, name), uid, gid);
  await stack.ctl('reindex');
});

after(async () => {
  await browser?.close();
  publisher?.child.kill('SIGKILL');
  await stack?.stop();
});

const words = {
  'en-US': {
    clip: 'Clip', start: 'Start time', end: 'End time', copy: 'Copy link', make: 'Make link',
    copied: 'The link is copied.', widened: /shows .*14:00:20 – 14:00:50/, download: 'Download', share: 'Send link',
    revoke: 'Revoke',
    over: 'This link is over', password: 'This link has a password', wrong: 'That password is wrong.', views: /1 view/,
  },
  'zh-CN': {
    clip: '剪辑', start: '开始时间', end: '结束时间', copy: '复制链接', make: '生成链接', copied: '链接已复制。',
    widened: /14:00:20 – 14:00:50/, download: '下载', share: '发送链接', revoke: '撤销',
    over: '链接已失效', password: '这个链接需要密码', wrong: '密码不正确。', views: /1 次观看/,
  },
};

function openWatch(stream, options) {
  const permissions = ['clipboard-read', 'clipboard-write'];
  return openView(browser, stack, `#/watch/${stream}`, { ...zone, permissions, ...options }, (context) =>
    // As phones have it: opens the sheet of the apps to which to send.
    context.addInitScript(() => { navigator.share = async (what) => { window.sent = what; }; }),
  );
}

/** Opens the address without an account. */
const openShared = (address, options) => openPage(browser, address, { ...zone, ...options });

/** Makes a link in the dialog that is open; returns its address. */
async function makeLink(page, say, { password } = {}) {
  if (password) await page.fill('.send-fields .field:nth-child(3) input', password);
  await page.click(`.send-form >> text=${say.make}`);
  await page.waitForSelector('.send-result:visible');
  return page.inputValue('.send-result .copy-text');
}

const revokeFirst = async (page, say) => {
  await page.click(`.links-row >> nth=0 >> text=${say.revoke}`);
  await page.click('dialog >> nth=1 >> .button-danger');
};

for (const [locale, device, size] of [['en-US', desktop, 1440], ['zh-CN', handheld, 390]]) {
  const say = words[locale];

  test(`a minute of the recording by a link, ${locale} at ${size} px`, DEADLINE, async () => {
    const { page, close } = await openWatch(`live/gate?at=${FROM + 60_000}`, { locale, ...device });
    await modeIs(page, 'history', 'playing');
    await page.click(`.replay-tools >> text=${say.clip}`);
    await page.fill(`[aria-label="${say.start}"]`, '14:00:22');
    await page.press(`[aria-label="${say.start}"]`, 'Enter');
    await page.fill(`[aria-label="${say.end}"]`, '140050');
    await page.press(`[aria-label="${say.end}"]`, 'Enter');
    await until('the length of the span', () => page.textContent('.clip-length'), (text) => text === '00:28');
    assert.equal(await page.inputValue(`[aria-label="${say.end}"]`), '14:00:50');
    await page.fill(`[aria-label="${say.end}"]`, 'soon');
    await page.press(`[aria-label="${say.end}"]`, 'Enter');
    assert.equal(await page.inputValue(`[aria-label="${say.end}"]`), '14:00:50', 'no time: the old one stays');
    await noSidewaysScroll(page);
    await screenshot(page, `links-clip-${size}-${locale}`);

    await page.click(`.clip >> text=${say.copy}`);
    await page.waitForSelector('.send-form:visible');
    await accessibleHere(page, `${size}-${locale}`);
    await screenshot(page, `links-dialog-${size}-${locale}`);
    const address = await makeLink(page, say);
    await page.waitForSelector(`.send-copied:has-text("${say.copied}")`);
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), address);
    assert.match(await page.textContent('.send-result'), say.widened);
    await accessibleHere(page, `${size}-${locale}`);
    await noSidewaysScroll(page);
    await screenshot(page, `links-made-${size}-${locale}`);

    const visitor = await openShared(address, { locale, ...device });
    await visitor.page.waitForSelector('.shared-title');
    assert.equal(await visitor.page.textContent('.shared-title'), 'North gate');
    assert.match(await visitor.page.textContent('.shared-when'), /14:00:20 – 14:00:50 · 00:30/);
    const video = await visitor.page.waitForFunction(() => {
      const element = document.querySelector('video');
      return element.readyState >= 1 && { duration: element.duration, poster: element.poster };
    }).then((handle) => handle.jsonValue());
    assert.ok(Math.abs(video.duration - 30) < 0.1, `${video.duration} s`);
    await visitor.page.evaluate(() => { document.querySelector('video').muted = true; });
    await visitor.page.evaluate(() => document.querySelector('video').play());
    await visitor.page.waitForFunction(() => document.querySelector('video').currentTime > 0.5);
    await visitor.page.evaluate(() => document.querySelector('video').pause());
    await accessibleHere(visitor.page, `${size}-${locale}`);
    await noSidewaysScroll(visitor.page);
    await screenshot(visitor.page, `links-shared-${size}-${locale}`);
    const [download] = await Promise.all([
      visitor.page.waitForEvent('download'),
      visitor.page.click(`.shared-bar >> text=${say.download}`),
    ]);
    assert.match(download.suggestedFilename(), /^gate-\d{8}T140020\.mp4$/, 'in the visitor\'s time');
    const file = path.join(os.tmpdir(), `duolu-link-${process.pid}.mp4`);
    await download.saveAs(file);
    const probe = ['-v', 'error', '-show_entries', 'format=duration', '-of', 'csv=p=0', file];
    const seconds = execFileSync('ffprobe', probe);
    fs.rmSync(file);
    assert.ok(Math.abs(Number(seconds) - 30) < 0.1);
    await visitor.close();

    await page.click('.send-result > .button-wide');
    const sent = await page.evaluate(() => window.sent);
    assert.deepEqual(sent, { title: 'North gate', url: address });
    await page.keyboard.press('Escape');
    await page.click(`.clip >> text=${say.copy}`);
    await page.waitForSelector('.links-row');
    assert.match(await page.textContent('.links-row'), say.views);
    await revokeFirst(page, say);
    await until('the link to be gone', () => page.locator('.links-row').count(), (count) => count === 0);
    const late = await openShared(address, { locale, ...device });
    await late.page.waitForSelector(`h1:has-text("${say.over}")`);
    await accessibleHere(late.page, `${size}-${locale}`);
    await screenshot(late.page, `links-over-${size}-${locale}`);
    await late.close();
    await close();
  });

  test(`live by a link with a password, until it is revoked, ${locale} at ${size} px`, DEADLINE, async (t) => {
    await untilLive(stack, 'live/demo', publisher);
    const { page, close } = await openWatch('live/demo', { locale, ...device });
    await modeIs(page, 'live', 'playing');
    await page.click(`.watch-controls >> text=${say.share}`);
    const address = await makeLink(page, say, { password: 'a good word' });
    await screenshot(page, `links-live-made-${size}-${locale}`);

    const visitor = await openShared(address, { locale, ...device });
    await visitor.page.waitForSelector(`h1:has-text("${say.password}")`);
    await accessibleHere(visitor.page, `${size}-${locale}`);
    await screenshot(visitor.page, `links-password-${size}-${locale}`);
    await visitor.page.fill('input', 'a bad word');
    await visitor.page.keyboard.press('Enter');
    await visitor.page.waitForSelector(`.login-error:has-text("${say.wrong}")`);
    await visitor.page.fill('input', 'a good word');
    await visitor.page.keyboard.press('Enter');
    await modeIs(visitor.page, 'live', 'playing');
    await accessibleHere(visitor.page, `${size}-${locale}`);
    await noSidewaysScroll(visitor.page);
    await screenshot(visitor.page, `links-live-${size}-${locale}`);
    await visitor.page.keyboard.press('f');
    await visitor.page.waitForSelector('.screen:fullscreen > .screen-bar:visible');
    await screenshot(visitor.page, `links-live-full-${size}-${locale}`);
    await visitor.page.locator('.screen-bar .icon-button').last().click();
    await visitor.page.waitForSelector('.screen-bar', { state: 'hidden' });
    const { sessions } = await stack.controlGet('/sessions');
    assert.ok(sessions.some(({ uid, kind }) => uid > 2 ** 48 && kind === 'view'), 'a session of the link');

    await revokeFirst(page, say);
    const begin = performance.now();
    await visitor.page.waitForSelector(`h1:has-text("${say.over}")`);
    t.diagnostic(`over ${Math.round(performance.now() - begin)} ms after it was revoked`);
    await visitor.close();
    await close();
  });
}

test('a link that is none says so, in a page that has no account and asks for none', DEADLINE, async () => {
  const { page, close } = await openShared(`${stack.httpsUrl}/#/s/${'A'.repeat(22)}`);
  await page.waitForSelector('h1:has-text("There is no such link")');
  assert.equal(await page.locator('#login-name').count(), 0);
  await page.click('text=中文');
  await page.waitForSelector('h1:has-text("没有这个链接")');
  await page.evaluate(() => { location.hash = '#/streams'; });
  await page.waitForSelector('#login-name');
  await close();
});

test('a user who may not share sees neither button', DEADLINE, async () => {
  await stack.ctl('user', 'add', 'vera', '--password-stdin', { input: 'a long enough password\n' });
  await stack.ctl('grant', 'vera', 'live/gate', 'view,replay');
  const { page, close } = await openView(browser, stack, `#/watch/live/gate?at=${FROM + 60_000}`,
    { ...zone, user: 'vera', password: 'a long enough password' });
  await modeIs(page, 'history', 'playing');
  await page.click('.replay-tools >> text=Clip');
  await page.waitForSelector('.clip:visible');
  assert.equal(await page.locator('text=Copy link >> visible=true').count(), 0);
  assert.equal(await page.locator('.watch-controls >> text=Send link >> visible=true').count(), 0);
  await close();
});
