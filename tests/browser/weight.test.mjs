// What the page weighs, on the wire and in time, and how it looks in light and dark.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { repo } from '../lib/nginx.mjs';
import { startStack } from '../lib/stack.mjs';
import {
  accessible, accessibleHere, framesRise, goTo, launch, logIn, openPage, openView, phone, screenshot,
} from './browser.mjs';
import { publish } from './publisher.mjs';

const KB = 1024;
const packed = path.join(repo, '.build/html');

let stack;
let browser;
let publisher;

before(async () => {
  stack = await startStack();
  browser = await launch(stack);
  publisher = publish([`${stack.rtmpUrl}/live/demo?key=${stack.demoKey}`]);
});

after(async () => {
  await browser?.close();
  await publisher?.stop();
  await stack?.stop();
});

/** {status, headers, bytes: of the body as sent} */
function fetchPacked(target) {
  return new Promise((resolve, reject) => {
    const options = { rejectUnauthorized: false, agent: false, headers: { 'Accept-Encoding': 'gzip' } };
    https.get(stack.httpsUrl + target, options, (response) => {
      let bytes = 0;
      response.on('data', (data) => { bytes += data.length; });
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, bytes }));
    }).on('error', reject);
  });
}

const folder = () => /"([0-9a-f]{16})\/js/.exec(fs.readFileSync(path.join(packed, 'index.html'), 'utf8'))[1];
const packedFiles = () => fs.readdirSync(path.join(packed, folder()), { recursive: true })
  .filter((name) => /\.(js|css)$/.test(name)).map((name) => `/${folder()}/${name}`);

/** Notes in the page when the sign-in's fields are there, and every shift of the layout. */
const watchLoading = (context) => context.addInitScript(() => {
  window.shifts = [];
  new PerformanceObserver((entries) => {
    for (const { value, hadRecentInput, sources } of entries.getEntries())
      if (!hadRecentInput) window.shifts.push({ value, of: sources.map(({ node }) => node?.className ?? '') });
  }).observe({ type: 'layout-shift', buffered: true });
  new MutationObserver((_, observer) => {
    if (!document.getElementById('login-name')) return;
    window.signInMs = performance.now();
    observer.disconnect();
  }).observe(document, { subtree: true, childList: true });
});

/** Counts what comes over the wire: {requests, bytes}, with the headers. */
async function countTraffic(page) {
  const client = await page.context().newCDPSession(page);
  const seen = { client, requests: 0, bytes: 0 };
  client.on('Network.requestWillBeSent', () => { seen.requests += 1; });
  client.on('Network.loadingFinished', ({ encodedDataLength }) => { seen.bytes += encodedDataLength; });
  await client.send('Network.enable');
  return seen;
}

async function noShift(page, where) {
  const shifts = await page.evaluate(() => window.shifts);
  const sum = shifts.reduce((all, { value }) => all + value, 0);
  assert.ok(sum < 0.05, `${where} moves by ${sum.toFixed(3)}: ${JSON.stringify(shifts)}`);
}

test('the sign-in takes at most 8 requests and 40 KB; all that the page can load less than 300 KB', async (t) => {
  const { page, close } = await openPage(browser, 'about:blank', {}, watchLoading);
  const seen = await countTraffic(page);
  await page.goto(stack.httpsUrl);
  await page.waitForSelector('#login-name');
  await page.waitForLoadState('networkidle');
  t.diagnostic(`sign-in: ${seen.requests} requests, ${(seen.bytes / KB).toFixed(1)} KB`);
  assert.ok(seen.requests <= 8, `${seen.requests} requests`);
  assert.ok(seen.bytes <= 40 * KB, `${seen.bytes} bytes`);
  await noShift(page, 'the sign-in');
  await close();

  // a browser loads one language: count the larger
  const names = packedFiles().filter((name) => !/\/en-\w+\.js$/.test(name));
  const sizes = await Promise.all(names.map(async (name) => [name, (await fetchPacked(name)).bytes]));
  const all = sizes.reduce((sum, [, bytes]) => sum + bytes, 0);
  const players = sizes.filter(([name]) => name.includes('/vendor/')).reduce((sum, [, bytes]) => sum + bytes, 0);
  t.diagnostic(`all files: ${(all / KB).toFixed(1)} KB, ${(players / KB).toFixed(1)} of them other people's`);
  const listed = sizes.map(([name, bytes]) => `${name.slice(18)} ${bytes}`).join(', ');
  assert.ok(all < 300 * KB, listed);
});

test('browsers keep the files for ever, and ask for the page itself each time', async () => {
  for (const name of packedFiles()) {
    const { status, headers } = await fetchPacked(name);
    assert.equal(status, 200, name);
    assert.match(headers['cache-control'], /max-age=31536000.*immutable/, name);
    assert.equal(headers['content-encoding'], 'gzip', name);
    assert.match(headers['content-security-policy'], /default-src 'none'/, name);
  }
  for (const name of ['/', '/manifest.webmanifest', '/favicon.svg', '/icon-192.png']) {
    const { status, headers } = await fetchPacked(name);
    assert.equal(status, 200, name);
    assert.equal(headers['cache-control'], 'no-cache', name);
  }
  assert.equal((await fetchPacked(`/${'0'.repeat(16)}/js/main.js`)).status, 404);

  const { page, close } = await openPage(browser, stack.httpsUrl);
  await page.waitForSelector('#login-name');
  const seen = await countTraffic(page);
  await page.goto(stack.httpsUrl);
  await page.waitForSelector('#login-name');
  assert.ok(seen.bytes < 4 * KB, `a second visit took ${seen.bytes} bytes`);
  await close();
});

// 10 s: only a page that loads far more, or one file after the other, takes so long.
test('at 400 kbps and 150 ms the sign-in comes within seconds, and nothing moves', async (t) => {
  const { page, close } = await openPage(browser, 'about:blank', phone, watchLoading);
  const { client } = await countTraffic(page);
  await client.send('Network.emulateNetworkConditions',
    { offline: false, latency: 150, downloadThroughput: 400_000 / 8, uploadThroughput: 400_000 / 8 });
  await page.goto(stack.httpsUrl, { waitUntil: 'commit' });
  await page.waitForSelector('.loading .spinner', { state: 'attached' });
  await page.waitForSelector('#login-name');
  const ms = Math.round(await page.evaluate(() => window.signInMs));
  t.diagnostic(`the sign-in is there after ${ms} ms`);
  assert.ok(ms < 10_000, `${ms} ms`);
  const began = Date.now();
  await logIn(page, stack.adminPassword);
  await page.waitForSelector('.stream-card, .page-head');
  t.diagnostic(`the first view, ${Date.now() - began} ms after the password`);
  await page.evaluate(() => { location.hash = '#/watch/live/demo'; });
  await page.waitForSelector('.loading .spinner', { state: 'attached' });
  await page.waitForSelector('.tile');
  await noShift(page, 'the first view and the player');
  await close();
});

test('a part of the page that cannot be loaded says so, and comes when it can', async () => {
  const { page, close } = await openView(browser, stack, '');
  await page.route('**/wall-*.js', (route) => route.abort());
  await goTo(page, '#/wall/4');
  await page.waitForSelector('#main [role=alert]');
  await accessible(page, 'a part that cannot be loaded');
  await screenshot(page, 'view-not-loaded');
  await page.unroute('**/wall-*.js');
  await page.click('#main .button-primary');
  await page.waitForSelector('.wall-grid');
  await close();
});

test('the page can be installed: its manifest is valid and names icons of the sizes that it says', async () => {
  const { page, close } = await openPage(browser, stack.httpsUrl);
  const client = await page.context().newCDPSession(page);
  const { url, errors, data } = await client.send('Page.getAppManifest');
  assert.equal(url, `${stack.httpsUrl}/manifest.webmanifest`);
  assert.deepEqual(errors, []);
  for (const { src, sizes, type } of JSON.parse(data).icons) {
    const file = fs.readFileSync(path.join(repo, 'html', src));
    const { headers, bytes } = await fetchPacked(`/${src}`);
    assert.ok(headers['content-type'].startsWith(type), src);
    if (type !== 'image/png') continue;
    assert.equal(`${file.readUInt32BE(16)}x${file.readUInt32BE(20)}`, sizes, src);
    assert.equal(bytes, file.length, src);
  }
  await close();
});

test('light and dark follow the system, and pictures stay dark', async () => {
  const ground = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const { page, close } = await openPage(browser, stack.httpsUrl, { colorScheme: 'light' });
  assert.equal(await ground(page), 'rgb(244, 246, 248)');
  await page.waitForSelector('#login-name');
  await screenshot(page, 'light-login');
  await logIn(page, stack.adminPassword);
  for (const [view, selector] of [
    ['#/streams', '.page-head'],
    ['#/watch/live/demo', '.tile[data-phase=playing]'],
    ['#/wall/4', '.tile'],
    ['#/recordings', '#main h1'],
    ['#/admin/users', '.table tbody tr'],
    ['#/admin/streams', '.table tbody tr'],
    ['#/admin/grants', '.table tbody tr'],
    ['#/admin/sessions', '.table tbody tr'],
  ]) {
    await goTo(page, view);
    await page.waitForSelector(selector);
    if (selector.includes('playing')) await framesRise(page, ['live/demo']);
    await screenshot(page, `light-${view.replace(/\W+/g, '-').slice(1)}`);
    await accessibleHere(page, view);      // page.test looks in the dark
  }
  await goTo(page, '#/watch/live/demo');
  await page.waitForSelector('.tile');
  const scheme = await page.evaluate(() => getComputedStyle(document.querySelector('.tile')).colorScheme);
  assert.equal(scheme, 'dark');
  await page.emulateMedia({ colorScheme: 'dark' });
  assert.equal(await ground(page), 'rgb(13, 16, 19)');
  await close();
});
