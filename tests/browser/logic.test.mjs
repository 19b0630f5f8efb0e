// The page's logic apart from the DOM: no browser, no stack.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';

const html = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../html');

const load = (name) => import(pathToFileURL(path.join(html, 'js', name)));

function sources(folder = path.join(html, 'js')) {
  return fs.readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const full = path.join(folder, entry.name);
    if (entry.isDirectory()) return sources(full);
    return entry.name.endsWith('.js') ? [full] : [];
  });
}

test('both languages have the same keys, with the same values to fill in', async () => {
  const { default: en } = await load('i18n/en.js');
  const { default: zh } = await load('i18n/zh.js');
  assert.deepEqual(Object.keys(zh).sort(), Object.keys(en).sort());
  const slots = (text) => [...text.matchAll(/\{\w+\}/g)].map(([slot]) => slot).sort();
  for (const key of Object.keys(en)) assert.deepEqual(slots(zh[key]), slots(en[key]), key);
});

test('every text the code asks for exists, and every text is asked for', async () => {
  const { default: en } = await load('i18n/en.js');
  const keys = Object.keys(en);
  const code = sources().filter((file) => !file.includes('i18n/')).map((file) => fs.readFileSync(file, 'utf8').replace(/^\s*\/\/.*$/gm, '')).join('\n');
  const asked = new Set([...code.matchAll(/'((?:[a-z]+\.)?[A-Za-z]+)'/g)].map(([, key]) => key));
  const prefixes = [...code.matchAll(/t\(`([a-z]+\.)\$\{/g)].map(([, prefix]) => prefix);
  for (const [, key] of code.matchAll(/\bt\('([^']+)'/g)) assert.ok(keys.includes(key), `t('${key}') has no text`);
  for (const key of keys) {
    assert.ok(asked.has(key) || prefixes.some((prefix) => key.startsWith(prefix)), `text "${key}" is never used`);
  }
});

test('no inline style or script in the HTML: the CSP forbids them', () => {
  const page = fs.readFileSync(path.join(html, 'index.html'), 'utf8');
  assert.doesNotMatch(page, /\sstyle=|\son\w+=|<style|<script(?![^>]*\ssrc=)/);
});

test('routes survive a round trip', async () => {
  const { parseRoute, formatRoute } = await load('route.js');
  for (const hash of ['#/streams', '#/watch/live/cam1', '#/watch/live/%E5%B1%8B%E9%A1%B6', '#/wall/4',
    '#/wall/16?t=live/a,,live/b&f=2', '#/admin/grants']) {
    assert.equal(formatRoute(parseRoute(hash)), hash);
  }
  for (const [hash, view] of [['', 'streams'], ['#/nonsense', 'streams'], ['#/watch/live', 'streams'], ['#/wall', 'wall'],
    ['#/wall/7', 'wall'], ['#/watch/live/%zz', 'streams'], ['#/admin/x', 'admin']]) {
    assert.equal(parseRoute(hash).view, view, hash);
  }
  assert.equal(parseRoute('#/wall/4?f=9').focus, null);
  assert.equal(parseRoute('#/wall/4?t').slots, null);
});

test('the wall fills itself and leaves chosen tiles alone', async () => {
  const { makeSlots, fillSlots, pinSlot, resizeSlots, pinnedNames } = await load('wall-slots.js');
  const stream = (id, state) => ({ id, state, play: `/m/T/${id}.flv` });
  const names = (slots) => slots.map((slot) => slot.stream);
  let slots = fillSlots(makeSlots(4, [null, 'live/z']), [stream('live/a', 'live'), stream('live/b', 'offline'), stream('live/c', 'live')]);
  assert.deepEqual(names(slots), ['live/a', 'live/z', 'live/c', null]);

  slots = fillSlots(slots, [stream('live/a', 'offline'), stream('live/c', 'live')]);
  assert.equal(slots[0].stream, 'live/a', 'a tile keeps its last picture while nobody needs the room');
  slots = fillSlots(slots, ['d', 'e', 'c'].map((name) => stream(`live/${name}`, 'live')));
  assert.deepEqual(names(slots), ['live/e', 'live/z', 'live/c', 'live/d'], 'free tiles first, then stale ones, never chosen ones');
  slots = fillSlots(slots, [stream('live/e', 'grace'), stream('live/f', 'live')]);
  assert.ok(names(slots).includes('live/e'), 'a paused stream keeps its tile');

  slots = pinSlot(slots, 1, 'live/e');
  assert.deepEqual(names(slots).filter((name) => name === 'live/e').length, 1, 'no unchosen twin');
  assert.deepEqual(pinnedNames(slots), [null, 'live/e', null, null]);
  assert.equal(pinSlot(slots, 1, null)[1].pinned, false);
  assert.equal(resizeSlots(slots, 9).length, 9);
  assert.equal(fillSlots(makeSlots(1), [{ id: 'live/x', state: 'live' }])[0].stream, null, 'no view right, no tile');
});

test('backoff grows, is bounded, and is spread', async () => {
  const { retryDelay } = await load('timing.js');
  assert.equal(retryDelay(0, 1), 500);
  assert.equal(retryDelay(2, 1), 2000);
  assert.equal(retryDelay(50, 1), 8000);
  assert.ok(retryDelay(3, 0) < retryDelay(3, 1));
});

test('latency is chased gently, and by a jump when far behind', async () => {
  const { chase } = await load('timing.js');
  for (const [buffered, rate, jump, next] of [
    [0.5, 1, false, 1], [1.4, 1, false, 1], [1.6, 1, false, 1.1], [3, 1, false, 1.25], [1.2, 1.1, false, 1.1],
    [0.7, 1.1, false, 1], [9, 1.25, true, 1],
  ]) {
    assert.deepEqual(chase(buffered, rate), { jump, rate: next }, `${buffered} s at ${rate}`);
  }
});

test('numbers read as a person writes them', async () => {
  const format = await load('format.js');
  assert.equal(format.formatBitrate(0), '–');
  assert.equal(format.formatBitrate(940), '940 kbps');
  assert.equal(format.formatBitrate(2500), '2.5 Mbps');
  assert.equal(format.formatDuration(3_725_000), '1:02:05');
  assert.equal(format.formatSeconds(NaN), '–');
  assert.equal(format.formatPicture({ width: 1280, height: 720 }), '1280×720');
  assert.equal(format.formatCodecs({ video: 'hevc', audio: 'none' }), 'HEVC');
});
