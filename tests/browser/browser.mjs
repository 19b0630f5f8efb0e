// Chromium for the page's tests: opens pages in fresh profiles, collects CSP violations
// and script errors, and reads what each tile shows.

import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { repo } from '../lib/nginx.mjs';

export const farHost = 'duolu.example';
export const patience = 120_000; // only a failing test waits this long
const artifacts = path.join(repo, 'tests/artifacts');
const require = createRequire(import.meta.url);
const axeSource = require.resolve('axe-core/axe.min.js');

const desktop = { viewport: { width: 1280, height: 800 }, colorScheme: 'dark' };
export const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };

const devices = {
  1440: { viewport: { width: 1440, height: 900 } },
  820: { viewport: { width: 820, height: 1180 } },
  390: phone,
};

/**
 * The looks in which checkView() sees a view: {name, size, beside: a size that the same window then gets, locale,
 * options: of openPage}. Each size comes in each language. axe sees each size, and each language in dark and in light.
 */
export const looks = [
  { size: 1440, beside: 820, locale: 'en-US', colorScheme: 'dark' },
  { size: 820, beside: 1440, locale: 'zh-CN', colorScheme: 'light' },
  { size: 390, locale: 'zh-CN', colorScheme: 'dark' },
  { size: 390, locale: 'en-US', colorScheme: 'light' },
].map(({ size, beside, locale, colorScheme }) => ({
  name: `${size} px, ${locale}, ${colorScheme}`,
  size, beside, locale, options: { ...devices[size], locale, colorScheme },
}));

// The pop-ups of Chromium's address bar are pages, which each window loads: they would take longer than ours.
// Of several --disable-features only the last counts, so Playwright's own have to be repeated.
function withoutPopups() {
  const { chromiumSwitches } = require(path.join(path.dirname(require.resolve('playwright-core/package.json')),
    'lib/server/chromium/chromiumSwitches.js'));
  const disabled = chromiumSwitches().find((text) => text.startsWith('--disable-features='));
  return `${disabled},WebUIOmniboxPopup,WebUIOmniboxAimPopup`;
}

/**
 * Starts Chromium, which trusts the certificate of the stack, if one is given. It must not merely ignore the
 * certificate error: after one Chromium caches nothing, unlike a browser that visits a site with a valid certificate.
 */
export function launch(stack) {
  return chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required', withoutPopups(),
      // A host that is not localhost, for features that browsers refuse over plain http.
      `--host-resolver-rules=MAP ${farHost} 127.0.0.1`,
      ...(stack ? [`--ignore-certificate-errors-spki-list=${keyHash(path.join(stack.home, 'secrets/tls.crt'))}`] : [])],
  });
}

/** SHA-256 of a certificate's public key (SubjectPublicKeyInfo), in base64. */
function keyHash(file) {
  const key = new X509Certificate(fs.readFileSync(file)).publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(key).digest('base64');
}

/** Opens a page in a profile of its own. Its close() fails if the page broke its CSP or threw. */
export async function openPage(browser, url, { locale = 'en-US', ...device } = {}, prepare = async () => {}) {
  const context = await browser.newContext({ locale, ...desktop, ...device });
  await context.addInitScript(() => {
    window.violations = [];
    window.phases = [];
    document.addEventListener('securitypolicyviolation', (event) => {
      window.violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
    });
    // Record every phase of a tile: polling could miss one.
    new MutationObserver((records) => {
      for (const { target } of records) {
        if (!target.dataset?.phase) continue;
        const still = target.querySelector('canvas');
        window.phases.push({
          stream: target.dataset.stream,
          phase: target.dataset.phase,
          still: !still.hidden,
          stillColours: still.hidden ? 0 : window.coloursOf(still),
        });
      }
    }).observe(document, { subtree: true, attributes: true, attributeFilter: ['data-phase'] });
    window.coloursOf = (source) => {
      const canvas = new OffscreenCanvas(64, 36);
      const context = canvas.getContext('2d');
      context.drawImage(source, 0, 0, 64, 36);
      const { data } = context.getImageData(0, 0, 64, 36);
      const colours = new Set();
      for (let at = 0; at < data.length; at += 4)
        colours.add(`${data[at] >> 4},${data[at + 1] >> 4},${data[at + 2] >> 4}`);
      return colours.size;
    };
  });
  await prepare(context);
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  const broken = [];
  // the stack of a DOMException may be empty
  page.on('pageerror', (error) => broken.push(error.stack || `${error.name}: ${error.message}`));
  page.on('console', (message) => {
    if (/Content Security Policy/i.test(message.text())) broken.push(message.text());
  });
  await page.goto(url);
  return {
    page,
    context,
    async close() {
      broken.push(...await page.evaluate(() => window.violations));
      await context.close();
      assert.deepEqual(broken, [], 'the page threw or broke its own CSP');
    },
  };
}

/** For openPage: serves html/ without nginx, at farHost, to a user who is not signed in. */
export async function serveFolder(context) {
  await context.route(`http://${farHost}/**`, (route) => {
    const { pathname } = new URL(route.request().url());
    if (pathname.startsWith('/api/'))
      return route.fulfill({ status: 401, json: { error: 'login', message: 'log in' } });
    if (pathname.startsWith('/vendor/'))
      return route.fulfill({ path: path.join(repo, '.build/html-vendor', pathname.slice('/vendor/'.length)) });
    return route.fulfill({ path: path.join(repo, 'html', pathname === '/' ? 'index.html' : pathname) });
  });
}

export async function logIn(page, password, name = 'admin') {
  await page.fill('#login-name', name);
  await page.fill('#login-password', password);
  await page.click('button[type=submit]');
  await page.waitForSelector('.header');
}

const cookies = new Map();       // {of a stack and a user: the cookie of a sign-in that many pages use}

/**
 * Opens a view ([?query]#hash) for a user who is signed in already: a sign-in costs the service a slow hash, and the
 * page its first view. Tests of the sign-in itself, or that end sessions, use logIn(). options: user, password, address
 * (if it is not the stack's own), and those of openPage.
 */
export async function openView(browser, stack, target, options = {}, prepare = async () => {}) {
  const { user = 'admin', password = stack.adminPassword, address = stack.httpsUrl, ...device } = options;
  const who = `${user} at ${stack.httpsUrl}`;
  if (!cookies.has(who)) cookies.set(who, await stack.login(user, password));
  const [name, ...value] = cookies.get(who).split('=');
  const opened = await openPage(browser, `${address}/${target}`, device, async (context) => {
    await context.addCookies([{ name, value: value.join('='), url: address, httpOnly: true, secure: true }]);
    await prepare(context);
  });
  await opened.page.waitForSelector('#main');
  return opened;
}

/** Changes the view, as a link does, and waits until it has been loaded. */
export async function goTo(page, hash) {
  await page.evaluate((target) => { location.hash = target; }, hash);
  await page.waitForSelector('#main:not(:has(> .loading))');
}

export async function screenshot(page, name, options = {}) {
  fs.mkdirSync(artifacts, { recursive: true });
  await page.screenshot({ path: path.join(artifacts, `${name}.png`), ...options });
}

/** The state of every tile on the page: {stream: {phase, frames, colours, muted, still}}. */
export function tiles(page) {
  return page.evaluate(() => Object.fromEntries([...document.querySelectorAll('.tile')].map((tile) => {
    const video = tile.querySelector('video');
    return [tile.dataset.stream, {
      phase: tile.dataset.phase,
      frames: video.getVideoPlaybackQuality().totalVideoFrames,
      colours: video.readyState >= 2 ? window.coloursOf(video) : 0,
      muted: video.muted,
      still: !tile.querySelector('canvas').hidden,
    }];
  })));
}

/** Starts to count the pictures that the first tile's video puts on the screen. */
export async function countPictures(page) {
  await page.waitForSelector('.tile video');
  await page.evaluate(() => {
    const video = document.querySelector('.tile video');
    window.counted = { video, pictures: 0 };
    const next = () => { window.counted.pictures += 1; video.requestVideoFrameCallback(next); };
    video.requestVideoFrameCallback(next);
  });
}

/** The count since then: {same: the document and the video are still the same, phase, pictures, at, width, behind}. */
export function picturesOf(page) {
  return page.evaluate(() => {
    const { video, pictures } = window.counted ?? {};
    const tile = document.querySelector('.tile');
    return {
      same: Boolean(video) && video === tile.querySelector('video'),
      phase: tile.dataset.phase, pictures, at: video?.currentTime, width: video?.videoWidth,
      behind: video?.buffered.length ? video.buffered.end(video.buffered.length - 1) - video.currentTime : NaN,
    };
  });
}

/** Calls look() until test() accepts its value. After `patience` it fails and names the last value. */
export async function until(what, look, test) {
  const deadline = Date.now() + patience;
  let seen = null;
  do {
    seen = await look();
    if (test(seen)) return seen;
    // Only the pause between two looks: the state of a live picture ends the wait.
    await new Promise((resolve) => { setTimeout(resolve, 200); });
  } while (Date.now() < deadline);
  assert.fail(`${what}: not within ${patience} ms; last seen ${JSON.stringify(seen)}`);
  return null;
}

/** As tiles(), without the pictures, which take long to read: {stream: {phase, frames}}. */
const framesOf = (page) => page.evaluate(() => Object.fromEntries([...document.querySelectorAll('.tile')].map((tile) =>
  [tile.dataset.stream, {
    phase: tile.dataset.phase,
    frames: tile.querySelector('video').getVideoPlaybackQuality().totalVideoFrames,
  }])));

/** Waits until all tiles of these streams play and each has decoded `more` further frames. */
export async function framesRise(page, streams, more = 10) {
  const first = await until(`tiles of ${streams.length} streams play`, () => framesOf(page),
    (seen) => streams.every((stream) => seen[stream]?.phase === 'playing' && seen[stream].frames > 0));
  return until(`decoded frames of ${streams.length} tiles rise`, () => framesOf(page),
    (seen) => streams.every((stream) => seen[stream]?.frames >= first[stream].frames + more));
}

export async function noSidewaysScroll(page, where) {
  const { content, window: width } = await page.evaluate(() => ({
    content: document.documentElement.scrollWidth,
    window: innerWidth,
  }));
  assert.ok(content <= width, `${where}: the content is ${content} px wide in a window of ${width} px`);
}

/** Fails if axe finds a serious or critical problem, in the light and in the dark look. */
export async function accessible(page, where) {
  const look = await lookOf(page);
  const other = look === 'light' ? 'dark' : 'light';
  await axe(page, `${where}, ${look}`);
  await page.emulateMedia({ colorScheme: other });
  await axe(page, `${where}, ${other}`, { runOnly: ['color-contrast'] });
  await page.emulateMedia({ colorScheme: look });
}

/** The same in the look that the page has: for views that tests see in several looks. */
export const accessibleHere = async (page, where) => axe(page, `${where}, ${await lookOf(page)}`);

const lookOf = (page) =>
  page.evaluate(() => (matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark'));

// Code makes all rows of a table alike: axe sees the first ones.
const alike = ['tbody tr:nth-child(n + 13)'];
// Rules whose findings are never serious, and that take long.
const harmless = { region: { enabled: false }, 'no-autoplay-audio': { enabled: false } };

async function axe(page, where, how = { rules: harmless }) {
  // Through the debugger, since the page's CSP allows no <script> of ours.
  if (!await page.evaluate(() => 'axe' in window)) await page.evaluate(fs.readFileSync(axeSource, 'utf8'));
  // half-way from one colour to another nothing can be judged
  await page.evaluate(() => Promise.allSettled(document.getAnimations()
    .filter(({ effect }) => effect.getComputedTiming().endTime !== Infinity)
    .map(({ finished }) => finished)));
  const options = { resultTypes: ['violations'], preload: false, ...how };
  const found = await page.evaluate(([exclude, rest]) => window.axe.run({ exclude }, rest), [alike, options]);
  const bad = found.violations
    .filter((violation) => ['serious', 'critical'].includes(violation.impact))
    .map((violation) => `${violation.id}: ${violation.nodes.map((node) => node.html.slice(0, 160)).join(' | ')}`);
  assert.deepEqual(bad, [], `${where}: axe found`);
}

/** A view in one of the looks: nothing for axe to find, and fits(). */
export async function checkView(page, look, name, options) {
  await accessibleHere(page, `${name} at ${look.name}`);
  await fits(page, look, name, options);
}

/** No sideways scrolling, also in the size beside; takes screenshots NAME-SIZE-LOCALE. `also` looks at the same. */
export async function fits(page, { size, beside, locale }, name, { also = async () => {}, ...options } = {}) {
  for (const width of beside ? [size, beside] : [size]) {
    if (width !== size) {
      await setSize(page, devices[width].viewport);
      // a timeline draws itself for its new width when it sees it
      await until('the view to fit', () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth),
        (over) => over <= 0);
    }
    const where = `${name}-${width}-${locale}`;
    await noSidewaysScroll(page, where);
    await also(where, width);
    await screenshot(page, where, options);
  }
  if (beside) await setSize(page, devices[size].viewport);
}

/** Sets the size of the window, and waits until the page has drawn itself in it. */
async function setSize(page, viewport) {
  await page.setViewportSize(viewport);
  await page.evaluate((width) => new Promise((resolve) => {
    const look = () => (innerWidth === width ? requestAnimationFrame(resolve) : requestAnimationFrame(look));
    requestAnimationFrame(look);
  }), viewport.width);
}
