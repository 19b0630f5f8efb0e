// A live HLS list that reaches back, in players of the browser: pause, go back to its start, play on over the seam
// between the recording and the hub, and return to live.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { reachOf, sourceOf, startBack } from '../lib/hls-back.mjs';
import { HlsClient } from '../lib/hls.mjs';
import { newFolder } from '../lib/history.mjs';
import { lagSince } from '../lib/lag.mjs';
import { repo, until as untilTrue } from '../lib/nginx.mjs';
import { launch, openPage, until } from './browser.mjs';
import { publishClock, readClock, takeDelays, takeOffsets } from './clock-picture.mjs';

const STREAM = 'live/clock';
const BACK = 15;                        // seconds that the recording has when a player opens the list
const APART = 0.1;                      // seconds that the pictures' clock and the video's time may run apart
const DEADLINE = { timeout: 300_000 };
const PAGE = '<!doctype html><div class="tile"><canvas></canvas><video muted crossorigin="anonymous"></video></div>';

const root = newFolder();
let hub;
let server;
let browser;
let publisher;
let client;
before(async () => {
  hub = await startBack({ root, file: '1h' });
  server = http.createServer(({ url }, response) => {
    const isPage = url === '/';
    const file = url === '/hls.js' ? '.build/html-vendor/hls.js' : /^\/js\/[\w-]+\.js$/.test(url) && `html${url}`;
    response.writeHead(isPage || file ? 200 : 404, { 'Content-Type': isPage ? 'text/html' : 'text/javascript' });
    response.end(isPage ? PAGE : file ? fs.readFileSync(path.join(repo, file)) : '');
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  browser = await launch();
  publisher = publishClock(`rtmp://127.0.0.1:${hub.rtmp.port}/${STREAM}?key=mine`);
  client = new HlsClient(hub, STREAM, { agent: 'test', over: { a: 'watch' } });
  await client.ready(2);
  await untilTrue(async () => await reachOf(client) >= BACK, `${BACK} s of recording`, 120_000);
});
after(async () => {
  await browser?.close();
  server?.close();
  await publisher?.stop();
  await hub?.stop();
  fs.rmSync(root, { recursive: true });
});

/** A page with nothing but a video; `kinds` counts the segments that it got: live, recorded. */
async function openVideo() {
  const opened = await openPage(browser, `http://127.0.0.1:${server.address().port}/`);
  const kinds = { live: 0, recorded: 0, failed: [] };
  opened.page.on('response', (response) => {
    if (!/\.m4s$/.test(new URL(response.url()).pathname)) return;
    if (response.status() >= 400) kinds.failed.push(`${response.url().replace(/.*\//, '')}: ${response.status()}`);
    else kinds[/-r"$/.test(response.headers().etag) ? 'recorded' : 'live'] += 1;
  });
  return { ...opened, kinds };
}

/** The video of the page: {at, start, end (of what it may seek to), stalls, errors, same}. */
const videoOf = (page) => page.evaluate(() => {
  const { video, stalls, errors, seekable } = window.watched;
  const [start, end] = seekable();
  return { at: video.currentTime, start, end, stalls, errors,
    same: document.querySelectorAll('video').length === 1 && document.querySelector('video') === video };
});

/** Begins to count: stalls are waits that no seek and no start explains. */
const watchVideo = (page, url, byHls) => page.evaluate(async ([source, isOurs]) => {
  const video = document.querySelector('video');
  const watched = { video, stalls: 0, errors: [], excused: true };
  window.watched = watched;
  video.addEventListener('seeking', () => { watched.excused = true; });
  video.addEventListener('playing', () => { watched.excused = false; });
  video.addEventListener('waiting', () => { watched.stalls += watched.excused ? 0 : 1; });
  video.addEventListener('error', () => { watched.errors.push(video.error.message); });
  watched.seekable = () => (video.seekable.length ? [video.seekable.start(0), video.seekable.end(0)] : [NaN, NaN]);
  watched.live = () => video.seekable.end(0) - 3;
  if (isOurs) {
    const { default: Hls } = await import('/hls.js');
    const { withoutDates } = await import('/js/live-hls.js');
    const pLoader = withoutDates(Hls.DefaultConfig.loader);
    const hls = new Hls({ lowLatencyMode: true, enableWorker: false, pLoader });
    hls.on(Hls.Events.ERROR, (_, { details, fatal, response }) => {
      if (fatal || response?.code >= 400) watched.errors.push(`${details} ${response?.code ?? ''}`);
    });
    watched.seekable = () => {
      const { details } = hls.levels[0];
      return [details.fragmentStart, details.edge];
    };
    watched.live = () => hls.liveSyncPosition;
    hls.loadSource(source);
    hls.attachMedia(video);
  } else video.src = source;
  await video.play();
}, [url, byHls]);

/** Waits for pictures, and returns how far they are behind the publisher's clock, s. */
async function delaysOf(page, count) {
  await takeDelays(page);
  let delays = [];
  await until(`${count} pictures`, async () => delays.push(...await takeDelays(page)), (seen) => seen >= count);
  return delays;
}

for (const [player, byHls] of [['hls.js', true], ['the browser itself', false]]) {
  test(`${player}: pause, back to the start of the list, over the seam, and to live again`, DEADLINE, async (t) => {
    const { page: empty, close: closeEmpty } = await openVideo();
    const isNative = await empty.evaluate(() =>
      document.querySelector('video').canPlayType('application/vnd.apple.mpegurl') !== '');
    await closeEmpty();
    if (!byHls && !isNative) {
      t.skip('this browser has no player for HLS');
      return;
    }
    const { page, close, kinds } = await openVideo();
    await watchVideo(page, sourceOf(hub, STREAM).url, byHls);
    await readClock(page);
    const live = await delaysOf(page, 50);
    const first = await videoOf(page);
    if (!byHls && Number.isNaN(first.start)) {
      await close();
      t.skip('this browser plays a live list, but has no range in which a page may seek');
      return;
    }
    assert.ok(first.end - first.start > BACK, `it may seek from ${first.start} to ${first.end}`);

    await page.evaluate(() => window.watched.video.pause());
    await page.evaluate(() => {
      const { video, seekable } = window.watched;
      [video.currentTime] = seekable();
    });
    const back = await until('a picture of the oldest segment', () => delaysOf(page, 1), (seen) => seen.at(-1) > BACK);
    const from = await videoOf(page);
    assert.ok(from.at < from.start + 3, `is at ${from.at}, the list begins at ${from.start}`);
    await page.evaluate(() => window.watched.video.play());

    // at the usual pace first, then faster, out of the recording and over the seam into the hub
    await takeOffsets(page);
    await delaysOf(page, 100);
    await page.evaluate(() => { window.watched.video.playbackRate = 2; });
    const last = await until('it to catch up', async () => (await delaysOf(page, 10)).at(-1), (behind) => behind < 4);
    // all the way the video's time went on as the publisher's did, however late a busy machine showed the pictures
    const offsets = await takeOffsets(page);
    const spread = Math.max(...offsets) - Math.min(...offsets);
    const late = lagSince(-Infinity) / 1000;          // of this process, which makes the pictures
    assert.ok(offsets.length > 200 && spread < APART + late,
      `${offsets.length} pictures, the clock ${Math.min(...offsets)} to ${Math.max(...offsets)} s ahead of the video`);
    assert.equal((await videoOf(page)).stalls, from.stalls, 'stalls on the way');
    await page.evaluate(() => {
      const { video, live: position } = window.watched;
      video.playbackRate = 1;
      video.currentTime = position();
    });
    const again = await until('live pictures', () => delaysOf(page, 25), (seen) => Math.max(...seen) < 6);
    const seen = await videoOf(page);
    const kind = `${kinds.recorded} recorded and ${kinds.live} live segments and parts`;
    t.diagnostic(`live ${live.at(-1).toFixed(2)} s, back ${back.at(-1).toFixed(2)} s, steady within `
      + `${spread.toFixed(3)} s, caught up ${last.toFixed(2)} s, live ${again.at(-1).toFixed(2)} s; ${kind}; `
      + `${seen.stalls} stalls`);
    assert.deepEqual([seen.errors, kinds.failed], [[], []]);
    assert.equal(seen.same, true, 'one video');
    assert.ok(kinds.recorded > 3 && kinds.live > 3, kind);
    await close();
  });
}
