// Chromium plays a downloaded clip to its end. The clip spans an hour, a gap and a
// change of resolution.

import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { startHub, token } from '../lib/hub.mjs';
import { HOUR, makeSource, writeRecordings } from '../lib/recordings.mjs';
import { launch, patience } from './browser.mjs';

const NOON = Date.parse('2026-03-10T12:00:00Z');

test('a clip plays to its end, and seeks in it show pictures', { timeout: 180_000 }, async (t) => {
  const hub = await startHub({
    files: { 'rec/.keep': '', 'page.html': '<!doctype html><title>clip</title><video muted playsinline></video>' },
    main: 'thread_pool disk threads=2;',
    listen: `; root {{dir}}; location ~ ^/m/[^/]+/rec/ { access_token_keys {{dir}}/keys; hub_history {{dir}}/rec;
      hub_history_threads disk; }
      location = /page.html { default_type text/html; } set $x 1`,
  });
  t.after(() => hub.stop());
  const [small, large] = await Promise.all([makeSource(), makeSource({ size: '640x360' })]);
  const root = path.join(hub.nginx.dir, 'rec');
  writeRecordings(root, 'live/demo', small, { spans: [[NOON - 2000, NOON + 2000], [NOON + 10_000, NOON + 12_000]] });
  writeRecordings(root, 'live/demo', large, { spans: [[NOON + HOUR, NOON + HOUR + 3000]] });

  const browser = await launch();
  t.after(() => browser.close());
  const page = await browser.newPage();
  page.setDefaultTimeout(patience);
  await page.goto(`${hub.base}/page.html`);
  const src = `/m/${token('live/demo', { a: 'replay' })}/rec/live/demo/clip.mp4`
      + `?from=${NOON - 2000}&to=${NOON + 2 * HOUR}`;
  const seen = await page.evaluate((url) => new Promise((resolve, reject) => {
    const video = document.querySelector('video');
    const sizes = [];
    const state = () => ({
      duration: video.duration,
      at: video.currentTime,
      frames: video.getVideoPlaybackQuality().totalVideoFrames,
      sizes,
    });
    const noteSize = () => { sizes.push(`${video.videoWidth}x${video.videoHeight}`); };
    video.addEventListener('loadedmetadata', noteSize);
    video.addEventListener('resize', noteSize);
    video.addEventListener('error', () =>
      reject(new Error(`${video.error.code}: ${video.error.message} ${JSON.stringify(state())}`)),
    );
    video.addEventListener('ended', () => resolve(state()));
    video.src = url;
    video.playbackRate = 4;
    video.play().catch(reject);
  }), src);
  assert.ok(Math.abs(seen.duration - 9) < 0.05 && Math.abs(seen.at - 9) < 0.05, JSON.stringify(seen));
  assert.ok(seen.frames > 9 * 25 * 0.5, `${seen.frames} pictures were shown`);
  t.diagnostic(JSON.stringify(seen));

  for (const to of [0.5, 5.5, 8.5, 3]) {
    const colours = await page.evaluate((time) => new Promise((resolve, reject) => {
      const video = document.querySelector('video');
      video.addEventListener('seeked', () => {
        const canvas = new OffscreenCanvas(64, 36);
        canvas.getContext('2d').drawImage(video, 0, 0, 64, 36);
        resolve(new Set(new Uint32Array(canvas.getContext('2d').getImageData(0, 0, 64, 36).data.buffer)).size);
      }, { once: true });
      video.addEventListener('error', () => reject(new Error(video.error.message)), { once: true });
      video.currentTime = time;
    }), to);
    assert.ok(colours > 20, `a picture at ${to} s: ${colours} colours`);
  }
});
