// The ways by which live comes to the page: FLV, low-latency HLS and HLS; what the page shows
// of them, how it falls back and how it recovers. DUOLU_HLS_SECONDS makes low latency play so much longer, without and
// with gaps, and then every picture has to be on time: for a quiet machine.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { lagSince } from '../lib/lag.mjs';
import { startStack } from '../lib/stack.mjs';
import {
  countPictures, launch, noSidewaysScroll, openView, phone, picturesOf, screenshot, until,
} from './browser.mjs';
import { median, publishClock, readClock, takeDelays } from './clock-picture.mjs';
import { startFront } from './front.mjs';

const STREAM = 'live/demo';
const MOST_BEHIND = 1.5;
const SOON = 15;        // s after a gap
const SECONDS = Number(process.env.DUOLU_HLS_SECONDS ?? 0);
const password = 'correct horse battery';

let stack;
let browser;
let publisher;
let front;
let blocked;        // a page behind a proxy that lets no WebSocket through

const publish = () => { publisher = publishClock(`${stack.rtmpUrl}/${STREAM}?key=${stack.demoKey}`); };

/** `address`: of another way to the page than the stack's own. */
async function open(query, { address, prepare, user = 'admin', ...options } = {}) {
  const opened = await openView(browser, stack, `${query}#/watch/${STREAM}`,
    { address, user, password: user === 'admin' ? stack.adminPassword : password, ...options }, prepare);
  await opened.page.waitForSelector('.tile video', { state: 'attached' });
  return opened;
}

/** What the page says of its connection: {phase, way, delay (s or NaN), note, number on the picture}. */
const connection = (page) => page.evaluate(() => {
  const fact = (name) => {
    const row = document.querySelector(`.facts-row[data-fact=${name}]`);
    return !row || row.hidden ? '' : row.querySelector('dd').textContent;
  };
  return {
    phase: document.querySelector('.tile')?.dataset.phase,      // none until the view has loaded
    way: fact('way'),
    delay: Number.parseFloat(fact('delay')),
    note: document.querySelector('.watch-way:not([hidden])')?.textContent ?? '',
    number: document.querySelector('.tile-number:last-child')?.textContent ?? '',
  };
});

const playsBy = (page, way) =>
  until(`playing by ${way}`, () => connection(page), (seen) => seen.phase === 'playing' && seen.way === way);

/**
 * Waits for COUNT pictures in a row that are close behind the encoder, with a page that says so. A machine that is
 * busy for some seconds makes a player stall and the encoder late; afterwards both have to be close again.
 * Returns the medians of what the pictures and the page said, the largest delay and how late this machine was, s.
 */
function settles(page, count) {
  let began = performance.now();
  let delays = [];
  let shown = [];
  let last = null;
  return until(`${count} pictures close behind the encoder`, async () => {
    shown.push((await connection(page)).delay);
    delays.push(...await takeDelays(page));
    if (delays.length < count) return last;
    last = { real: median(delays), said: median(shown), most: Math.max(...delays), late: lagSince(began) / 1000 };
    [began, delays, shown] = [performance.now(), [], []];
    return last;
    // The page counts from where the server gets a picture, so its figure lacks the encoder's own delay.
  }, (seen) => seen && seen.real <= MOST_BEHIND + seen.late && Math.abs(seen.real - seen.said) < 0.2 + seen.late);
}

/** What the page's video does for so many seconds: {pictures, median, most (s behind the encoder), waits}. */
async function watchFor(page, seconds) {
  await takeDelays(page);
  await page.evaluate(() => {
    window.waits = 0;
    document.querySelector('.tile video').onwaiting = () => { window.waits += 1; };
  });
  const delays = [];
  for (const end = performance.now() + seconds * 1000; performance.now() < end;) {
    await new Promise((resolve) => { setTimeout(resolve, 1000); });
    delays.push(...await takeDelays(page));
  }
  return {
    pictures: delays.length, median: median(delays), most: Math.max(...delays),
    waits: await page.evaluate(() => window.waits),
  };
}

before(async () => {
  stack = await startStack();
  browser = await launch(stack);
  front = await startFront(stack);
  publish();
  // small: it plays all the time
  blocked = await open('', { address: front.url, viewport: { width: 640, height: 360 } });
});
after(async () => {
  await browser?.close();
  await front?.stop();
  await publisher?.stop();
  await stack?.stop();
});

test('where no WebSocket gets through, the page plays low-latency HLS, and says so', async () => {
  const seen = await playsBy(blocked.page, 'Low-latency HLS');
  assert.ok(front.refused > 0);
  assert.match(seen.note, /did not work here/);
  await countPictures(blocked.page);
  await until('the picture to move', () => picturesOf(blocked.page), ({ pictures }) => pictures > 25);
  front.blocks = false;     // the last test sees the page return to FLV, after a minute
});

test('FLV where it works: the page shows how far behind live it is, and no note', async () => {
  const { page, close } = await open('');
  const seen = await playsBy(page, 'WebSocket (FLV)');
  assert.equal(seen.note, '');
  await until('it on the picture', () => connection(page), ({ number }) => /^\d+\.\d s behind live$/.test(number));
  await close();
});

test('low-latency HLS is close behind the encoder, and the page shows how close', async (t) => {
  const { page, close } = await open('?via=llhls');
  assert.match((await playsBy(page, 'Low-latency HLS')).note, /via/);
  await readClock(page);
  await until('the page to know the delay', () => connection(page), ({ delay }) => delay > 0);
  await takeDelays(page);
  const { real, said, most, late } = await settles(page, 250);
  t.diagnostic(`behind the encoder ${real.toFixed(2)} s, at most ${most.toFixed(2)} s; ` +
    `shown ${said.toFixed(2)} s; this machine was late by up to ${late.toFixed(2)} s`);
  assert.match((await connection(page)).number, /^\d+\.\d s behind live$/);
  if (SECONDS) {
    const long = await watchFor(page, SECONDS);
    t.diagnostic(`${SECONDS} s: ${JSON.stringify(long)}`);
    assert.ok(long.most <= MOST_BEHIND && long.waits === 0, JSON.stringify(long));
  }
  await close();
});

/** A user who has the player's own controls may pause; without them the page plays live. */
async function leavesToUser(page) {
  const paused = (mode) => page.evaluate(async (value) => {
    const video = document.querySelector('video');
    Object.defineProperty(video, 'webkitPresentationMode', { value, configurable: true });
    if (value !== 'inline') video.pause();
    let looks = 0;          // of the page at the player
    await new Promise((resolve) => {
      document.querySelector('.watch').addEventListener('tile:stats', () => { if (++looks > 12) resolve(); });
    });
    return video.paused;
  }, mode);
  assert.equal(await paused('fullscreen'), true);
  assert.equal((await connection(page)).phase, 'playing', 'a pause is no fault');
  assert.equal(await paused('inline'), false);
}

for (const player of ['the browser itself', 'hls.js']) {
  test(`HLS without low latency, in ${player}`, async (t) => {
    const { page, close } = await open('?via=hls', { prepare: (context) => context.addInitScript((isOurs) => {
      if (isOurs) HTMLMediaElement.prototype.canPlayType = () => '';
    }, player === 'hls.js') });
    const isNative = await page.evaluate(() =>
      document.querySelector('video').canPlayType('application/vnd.apple.mpegurl') !== '');
    if (!isNative && player !== 'hls.js') {
      await close();
      t.skip('this browser has no player for HLS');
      return;
    }
    await playsBy(page, 'HLS');
    assert.match(await page.evaluate(() => document.querySelector('video').src),
      isNative ? /index\.m3u8\?window=600$/ : /^blob:/);
    await readClock(page);
    const delays = await until('pictures', () => page.evaluate(() => window.clockDelays), ({ length }) => length > 50);
    t.diagnostic(`${median(delays).toFixed(2)} s behind the encoder`);
    assert.ok(median(delays) < 15);
    if (isNative) await leavesToUser(page);
    await close();
  });
}

test('a publisher that is away for some seconds: HLS goes on in the same video', async (t) => {
  const { page, close } = await open('?via=llhls');
  await playsBy(page, 'Low-latency HLS');
  await countPictures(page);
  await readClock(page);
  const end = performance.now() + SECONDS * 1000;
  do {
    await publisher.stop();
    await page.waitForSelector('.tile[data-phase=grace]');
    const frozen = await until('the picture to stand still', () => picturesOf(page), (() => {
      let last = -1;
      return ({ at }) => {
        const stands = at === last;
        last = at;
        return stands;
      };
    })());
    await new Promise((resolve) => { setTimeout(resolve, 4000); });
    publish();
    await until('the picture to move again', () => picturesOf(page),
      (seen) => seen.same && seen.phase === 'playing' && seen.pictures > frozen.pictures + 5);
    if (!SECONDS) continue;
    const began = performance.now();
    await takeDelays(page);
    await settles(page, 75);
    const late = (performance.now() - began) / 1000;
    t.diagnostic(`close again ${late.toFixed(1)} s after a gap; 20 s: ${JSON.stringify(await watchFor(page, 20))}`);
    assert.ok(late < SOON, `close again ${late} s after a gap`);
  } while (performance.now() < end);

  // The list still has the gap, and the dates in it jump.
  const late = await open('?via=llhls');
  await playsBy(late.page, 'Low-latency HLS');
  await readClock(late.page);
  const { real } = await settles(late.page, 150);
  assert.ok(real > 0.8, `joins ${real} s behind the encoder`);
  await late.close();

  await takeDelays(page);
  await settles(page, 75);
  assert.equal((await connection(page)).way, 'Low-latency HLS');
  await close();
});

test('an iPhone has only a ManagedMediaSource: FLV uses it', async () => {
  const { page, close } = await open('', { prepare: (context) => context.addInitScript(() => {
    window.ManagedMediaSource = window.MediaSource;
    window.MediaSource = undefined;
    // As Safari: it plays a media source without an address.
    Object.defineProperty(HTMLMediaElement.prototype, 'srcObject', {
      set(source) {
        if (!source) return;
        this.managed = true;
        this.src = URL.createObjectURL(source);
      },
    });
  }) });
  await playsBy(page, 'WebSocket (FLV)');
  const video = await page.evaluate(() => {
    const { managed, disableRemotePlayback } = document.querySelector('video');
    return { managed, disableRemotePlayback };
  });
  assert.deepEqual(video, { managed: true, disableRemotePlayback: true }, 'else it would not open');
  await close();
});

for (const [user, address] of [['admin', /\/m\/[^/]+\/live\/demo\/index\.m3u8\?window=600$/],
  ['viewer', /\/m\/[^/]+\/live\/demo\/index\.m3u8$/]]) {
  test(`an older iPhone has no media source: HLS, by itself, for ${user}`, async () => {
    if (user !== 'admin') {
      await stack.ctl('user', 'add', user, '--password-stdin', { input: `${password}\n` });
      await stack.ctl('grant', user, STREAM, 'view');
    }
    const { page, close } = await open('', { user, prepare: (context) => context.addInitScript(() => {
      window.MediaSource = undefined;
      // If this browser has no player for HLS, its video shows at least which address it was given.
      HTMLMediaElement.prototype.canPlayType = (type) => (type === 'application/vnd.apple.mpegurl' ? 'maybe' : '');
    }) });
    const seen = await until('HLS', () => connection(page), ({ way }) => way === 'HLS');
    assert.equal(seen.note, '');
    assert.match(await page.evaluate(() => document.querySelector('video').src), address);
    // the same address for other players
    assert.match(await page.evaluate(() => document.querySelectorAll('.copy-text')[1].value), address);
    await close();
  });
}

for (const [locale, words, name, device] of [
  ['en-US', 'Low-latency HLS', 'wide', { viewport: { width: 1440, height: 900 } }],
  ['zh-CN', '低延迟 HLS', 'phone', phone],
]) {
  test(`the connection is in the details, in ${locale}, ${name}`, async () => {
    const { page, close } = await open('?via=llhls', { address: front.url, locale, ...device });
    await playsBy(page, words);
    await until('the delay', () => connection(page), ({ delay }) => delay > 0);
    await noSidewaysScroll(page, `the connection, ${name}`);
    await page.locator('.watch-way').scrollIntoViewIfNeeded();
    await screenshot(page, `connection-${locale}-${name}`);
    await close();
  });
}

test('the page behind the proxy returns to FLV when that gets through', async () => {
  const seen = await playsBy(blocked.page, 'WebSocket (FLV)');
  assert.equal(seen.note, '');
  assert.ok((await picturesOf(blocked.page)).same, 'in the same video');
  await blocked.close();
});
