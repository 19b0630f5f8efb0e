// "Add a phone" in a real browser: the code on the screen is read as a phone's camera reads it, and a real publisher
// uses exactly what it says, on ports that are not the defaults; then the list of phones.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { pushFfmpeg } from '../lib/media.mjs';
import { readQr } from '../lib/qr.mjs';
import { startStack } from '../lib/stack.mjs';
import { accessible, goTo, launch, noSidewaysScroll, openView, phone, screenshot, tiles, until } from './browser.mjs';

const password = 'a long enough password';
const desktop = { viewport: { width: 1440, height: 900 } };
const tablet = { viewport: { width: 820, height: 1180 } };

let stack;
let browser;
const publishers = [];

before(async () => {
  stack = await startStack();
  browser = await launch(stack);
  for (const name of ['mei', 'joe']) {
    await stack.ctl('user', 'add', name, '--password-stdin', { input: `${password}\n` });
    await stack.ctl('stream', 'add', `live/${name}-first`, '--owner', name);
  }
});

after(async () => {
  await browser?.close();
  for (const publisher of publishers) await publisher.stop();
  await stack?.stop();
});

function push(url, options) {
  const publisher = pushFfmpeg(url, options);
  publishers.push(publisher);
  return publisher;
}

const open = (device, locale, user = 'mei') => openView(browser, stack, '',
  { locale, ...device, user, password: user === 'admin' ? stack.adminPassword : password });

/** Adds a phone from the first page; returns how many taps and fields that took. */
async function addPhone(page, name) {
  await page.click('button:has-text("Add a phone"), button:has-text("添加手机")');
  const fields = await page.locator('dialog input').count();
  await page.fill('dialog input', name);
  await page.click('dialog button[type=submit]');
  await page.waitForSelector('.dialog-setup .qr');
  return { taps: 2, fields };
}

/** What the code on the screen says, which must be what the link beside it says. */
async function scan(page, app) {
  await page.click(`dialog [data-app=${app}]`);
  const text = await readQr(await page.locator('.qr-frame').screenshot());
  const link = await page.locator('.setup-link').getAttribute('href');
  if (app !== 'other') assert.equal(text, link);
  return text;
}

const larixUrl = (link) => {
  assert.ok(link.startsWith('larix://set/v1?'), link);
  return new URLSearchParams(link.slice(link.indexOf('?') + 1)).get('conn[][url]');
};
const moblinUrl = (link) => JSON.parse(decodeURIComponent(link.slice('moblin://?'.length))).streams[0].url;

async function arrives(page, stream, words) {
  await page.waitForSelector(`.arrival[data-state=live] .arrival-words:text-is("${words}")`);
  await until('a picture', () => tiles(page), (seen) => seen[stream]?.colours > 4 && seen[stream].phase === 'playing');
}

test('from the first page to a live phone: 3 taps and 1 field; Larix gets RTMPS with the port of this server',
  async () => {
    const { page, close } = await open(desktop, 'en-US');
    const { taps, fields } = await addPhone(page, 'Küche 厨房');
    await page.waitForSelector('.arrival[data-state=waiting]:has-text("Waiting for your phone")');
    const link = await scan(page, 'larix');
    assert.deepEqual({ taps: taps + 1, fields }, { taps: 3, fields: 1 }, 'the third tap opens the link, or scans');
    const url = larixUrl(link);
    assert.match(url, /^rtmps:\/\/127\.0\.0\.1:\d+\/live\/mei-k-che\?key=[\w-]{22}$/);
    assert.ok(url.startsWith(`${stack.rtmpsUrl}/live/`), url);
    await accessible(page, 'the setup of a phone');
    await noSidewaysScroll(page, 'the setup of a phone');
    await screenshot(page, 'phone-setup-1440');
    push(url, { gop: 125 });
    await arrives(page, 'live/mei-k-che', 'You are live');
    await accessible(page, 'a phone that is live');
    await screenshot(page, 'phone-live-1440');

    // A second camera of the same person is one more tap.
    await page.click('dialog button:has-text("Add another")');
    await page.waitForSelector('.dialog-setup:has-text("Set up Küche 厨房 2") .arrival[data-state=waiting]');
    assert.match(larixUrl(await scan(page, 'larix')), /\/live\/mei-k-che-2\?key=/);
    await page.click('dialog button:has-text("Done")');
    assert.equal(await page.locator('dialog').count(), 0);
    await close();
  });

test('on a phone, in Chinese: Moblin gets the same, and an old code is named as the reason', async () => {
  const { page, close } = await open(phone, 'zh-CN');
  await addPhone(page, '大门');
  const old = moblinUrl(await scan(page, 'moblin'));
  assert.ok(old.startsWith(`${stack.rtmpsUrl}/live/mei-phone?key=`), old);
  await noSidewaysScroll(page, 'the setup on a phone');
  await screenshot(page, 'phone-setup-390-zh');
  await page.click('dialog button:has-text("完成")');

  await goTo(page, '#/admin/phones');
  await page.click('tr:has-text("大门") button:has-text("更换二维码")');
  await page.click('dialog .button-danger');
  await page.waitForSelector('.dialog-setup .qr');
  const fresh = moblinUrl(await scan(page, 'moblin'));
  assert.notEqual(fresh, old);
  const late = push(old);
  await page.waitForSelector('.arrival[data-state=refused]:has-text("旧二维码")');
  await accessible(page, 'a phone that was refused');
  await screenshot(page, 'phone-refused-390-zh');
  assert.notEqual(await late.ended, 0);
  push(fresh);
  await arrives(page, 'live/mei-phone', '您已开播');
  await noSidewaysScroll(page, 'a live phone on a phone');
  await screenshot(page, 'phone-live-390-zh');
  await close();
});

test('OBS and others: the fields to type, without encryption if the user wants; the keyboard is enough', async () => {
  const { page, close } = await open(tablet, 'en-US');
  await page.focus('button:has-text("Add a phone")');
  await page.keyboard.press('Enter');
  await page.keyboard.type('Desk');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.dialog-setup .qr');
  await page.focus('dialog [data-app=other]');
  await page.keyboard.press('Enter');
  await page.focus('dialog summary');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Space');
  await page.waitForSelector('dialog [data-protocol=rtmp][aria-pressed=true]');
  const [server, streamKey, all] = await page.locator('dialog .copy-text')
    .evaluateAll((inputs) => inputs.map((input) => input.value));
  assert.equal(server, `${stack.rtmpUrl}/live`);
  assert.match(streamKey, /^mei-desk\?key=[\w-]{22}$/);
  assert.equal(all, `${server}/${streamKey}`);
  assert.equal(await scan(page, 'other'), all);
  assert.equal(await page.locator('.setup-link').isVisible(), false);
  await accessible(page, 'the fields of a phone');
  await noSidewaysScroll(page, 'the fields of a phone');
  await screenshot(page, 'phone-other-820');
  push(`${server}/${streamKey}`);
  await arrives(page, 'live/mei-desk', 'You are live');
  await page.keyboard.press('Escape');
  await page.waitForSelector('dialog', { state: 'detached' });
  await close();
});

test('the list shows what each phone sends and what to mend, and one is revoked without the others', async () => {
  const { page, close } = await open(desktop, 'en-US');
  await goTo(page, '#/admin/phones');
  const row = (name) => page.locator(`tbody tr:has-text("${name}")`).first();
  await page.waitForSelector('tr:has-text("mei-k-che ·") .phone-advice:has-text("Key frames come every 5 s: set 2 s")');
  assert.match(await row('mei-k-che ·').innerText(),
    /Live[\s\S]*127\.0\.0\.1[\s\S]*bps · \d+ pictures\/s · 320×180 · H\.264 · AAC · key frame every 5 s/);
  await page.waitForSelector('tr:has-text("mei-desk") .badge[data-state=live]');
  assert.equal(await row('mei-k-che-2').locator('.badge').innerText(), 'Not set up yet');
  await accessible(page, 'the list of phones');
  await screenshot(page, 'phones-1440');
  await page.setViewportSize({ width: 390, height: 844 });
  await noSidewaysScroll(page, 'the list of phones');
  await screenshot(page, 'phones-390');
  await page.setViewportSize({ width: 820, height: 1180 });
  await noSidewaysScroll(page, 'the list of phones at 820');
  await screenshot(page, 'phones-820');

  await page.click('tr:has-text("mei-desk") button:has-text("Revoke")');
  await page.click('dialog .button-danger');
  await page.waitForSelector('.admin-news:text-is("Done. 1 connection was ended.")');
  await page.waitForFunction(() => !document.querySelector('tbody').textContent.includes('mei-desk'));
  const live = async () => (await stack.controlGet('/status')).streams
    .filter(({ state }) => state === 'live').map(({ name }) => name).sort();
  await until('only the other phones', live, (names) => !names.includes('live/mei-desk'));
  assert.ok((await live()).includes('live/mei-k-che'));
  await page.click('text=Show revoked ones');
  await page.waitForSelector('tr:has-text("mei-desk") .badge[data-state=revoked]');
  await close();
});

test('an admin adds a phone for somebody else, and a person who is not there yet', async () => {
  const { page, close } = await open(desktop, 'en-US', 'admin');
  await page.click('button:has-text("Add a phone")');
  const [name, owner] = await page.locator('dialog input').all();
  assert.equal(await owner.inputValue(), 'admin', 'hers by default: one field is enough for an admin, too');
  await page.waitForSelector('#phone-owners option[value=joe]', { state: 'attached' });
  await name.fill('Roof');
  await owner.fill('lena');
  await page.waitForSelector('dialog .hint:text("There is no user lena yet")');
  await accessible(page, 'a new person\'s phone');
  await screenshot(page, 'phone-add-admin');
  await page.click('dialog button[type=submit]');
  await page.waitForSelector('.dialog-setup .qr');
  assert.match(larixUrl(await scan(page, 'larix')), /\/live\/lena-roof\?key=/);
  const invite = await page.locator('.setup-invite .copy-text').inputValue();
  assert.match(invite, new RegExp(`^${stack.httpsUrl}/#/invite/[\\w-]{43}$`));
  await screenshot(page, 'phone-invite');
  await page.click('dialog button:has-text("Done")');
  const { users } = JSON.parse(await stack.ctl('user', 'list', '--json'));
  assert.ok(users.some((user) => user.name === 'lena' && !user.admin));
  await goTo(page, '#/admin/phones');
  await page.waitForSelector('tr:has-text("live/lena-roof · lena")');
  await close();
});

test('a user who has as many as allowed is told so, and a name that is too long is named', async () => {
  const { page, close } = await open(phone, 'en-US', 'joe');
  await page.route('**/api/phones', (route) => (route.request().method() === 'POST'
    ? route.fulfill({ status: 409, json: { error: 'full', message: 'full' } }) : route.continue()));
  await page.click('button:has-text("Add a phone")');
  await page.fill('dialog input', '很'.repeat(30));
  assert.equal(await page.evaluate(() => document.querySelector('dialog input').validationMessage),
    'Please choose a shorter name.');
  await page.fill('dialog input', 'Bike');
  await page.click('dialog button[type=submit]');
  await page.waitForSelector('dialog [role=alert]:has-text("You have as many phones as one user may add")');
  await close();
});
