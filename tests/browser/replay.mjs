// A stack with a day of recordings; reads a stream's history in the player view, and works its timeline.

import assert from 'node:assert/strict';
import { startStack } from '../lib/stack.mjs';
import { launch, openView, until } from './browser.mjs';
import { isPictureOf, writeYesterday } from './coloured-recordings.mjs';

export const PASSWORD = 'a long enough password';

/**
 * A stack and a browser with all of yesterday in live/archive, and a minute in live/late:
 * {stack, openWatch(user, stream, time or undefined, options of openPage), stop(options of stack.stop)}.
 */
export async function startArchive() {
  const stack = await startStack();
  let browser;
  const stop = async (options) => {
    await browser?.close();
    await stack.stop(options);
  };
  const openWatch = (user, stream, at, { prepare, ...options } = {}) => {
    const password = user === 'admin' ? stack.adminPassword : PASSWORD;
    return openView(browser, stack, `#/watch/${stream}${at ? `?at=${at}` : ''}`,
      { timezoneId: 'UTC', user, password, ...options }, prepare);
  };
  try {
    browser = await launch(stack);
    await stack.ctl('stream', 'add', 'live/archive', '--owner', 'admin');
    await stack.ctl('stream', 'set', 'live/archive', 'title=North gate');
    await stack.ctl('stream', 'add', 'live/late', '--owner', 'admin');
    await writeYesterday(stack.home);
    await stack.ctl('reindex');
  } catch (error) {
    await stop();
    throw error;
  }
  return { stack, openWatch, stop };
}

/** Returns a function that sets the page's network: ms until an answer begins, bytes per second. Default: no limits. */
export async function networkOf(page) {
  const session = await page.context().newCDPSession(page);
  return ({ latency = 0, downloadThroughput = -1 } = {}) =>
    session.send('Network.emulateNetworkConditions', {
      offline: false, latency, downloadThroughput, uploadThroughput: -1,
    });
}

export const modeIs = (page, mode, phase) => page.waitForSelector(`.tile[data-mode=${mode}][data-phase=${phase}]`);
export const clockOf = (page) => page.textContent('.replay-clock');

/** The time in the page's address, ms: the target of the last seek. */
export const seekTime = async (page) =>
  Number(new URLSearchParams((await page.evaluate(() => location.hash)).split('?')[1]).get('at'));

/** The colour of the paused video, the time in the page's address, and whether the video has got there. */
export const pictureNow = (page) => page.evaluate(() => {
  const video = document.querySelector('video');
  const context = new OffscreenCanvas(1, 1).getContext('2d');
  context.drawImage(video, 0, 0, 1, 1);
  return {
    rgb: [...context.getImageData(0, 0, 1, 1).data].slice(0, 3),
    utc: Number(/at=(\d+)/.exec(location.hash)?.[1]),
    shown:
      document.querySelector('.tile').dataset.phase === 'paused' &&
      document.querySelector('.tile-still').hidden &&
      !video.seeking &&
      video.readyState >= 2,
    at: video.currentTime,
    end: video.buffered.length && video.buffered.end(0),
  };
});

/**
 * Calls `act`, which seeks while playback is paused, and waits until the page shows the picture of the time in its
 * address: the earlier picture may stay for a moment. Returns that time, and the media requests until the seek ended.
 */
export async function pictureAfter(page, act, isRight = isPictureOf) {
  await page.evaluate(() => {
    performance.clearResourceTimings();
    const video = document.querySelector('video');
    let begin;
    window.requested = null;
    // Count only requests after the start of the seek, or of another file.
    const done = new AbortController();
    const on = (types, listener) =>
      types.forEach((type) => video.addEventListener(type, listener, { signal: done.signal }));
    const ended = () => {
      if (begin === undefined || video.seeking || video.readyState < 2) return;
      done.abort();
      window.requested = performance
        .getEntriesByType('resource')
        .filter((entry) => entry.startTime > begin && /\.(mp4|m4s|m3u8)(\?|$)/.test(entry.name))
        .map((entry) => entry.name.replace(/^.*\/rec\//, ''));
    };
    on(['seeking', 'emptied'], () => { begin ??= performance.now(); ended(); });
    on(['seeked', 'loadeddata'], ended);
  });
  await act();
  const requests = await (await page.waitForFunction(() => window.requested)).jsonValue();
  const { utc } = await until(
    'the picture of the time that was sought',
    () => pictureNow(page),
    (picture) => picture.shown && isRight(picture.rgb, picture.utc),
  );
  return { utc, requests };
}

/** Moves two fingers apart on the timeline, which then shows less time. */
export async function pinch(page) {
  const zoom = await page.textContent('.replay-zoom');
  const bar = await page.locator('.timeline-bar').boundingBox();
  const debug = await page.context().newCDPSession(page);
  const touch = (type, ...places) =>
    debug.send('Input.dispatchTouchEvent', {
      type,
      touchPoints: places.map((x, id) => ({ x: bar.x + x, y: bar.y + bar.height / 2, id })),
    });
  await touch('touchStart', 140);
  await touch('touchStart', 140, 180);
  for (let by = 10; by <= 60; by += 10) await touch('touchMove', 140 - by, 180 + by);
  await touch('touchEnd');
  await page.waitForFunction((text) => document.querySelector('.replay-zoom').textContent !== text, zoom);
  assert.match(await page.textContent('.replay-zoom'), /^[78] min$/, 'a quarter of the half hour of a phone');
}
