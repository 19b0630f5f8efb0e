// The page's logic without DOM; needs neither browser nor stack.

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

test('every text that the code uses exists, and the code uses every text', async () => {
  const { default: en } = await load('i18n/en.js');
  const keys = Object.keys(en);
  const code = sources()
    .filter((file) => !file.includes('i18n/'))
    .map((file) => fs.readFileSync(file, 'utf8').replace(/^\s*\/\/.*$/gm, ''))
    .join('\n');
  const used = new Set([...code.matchAll(/'((?:[a-z]+\.)?[A-Za-z]+)'/g)].map(([, key]) => key));
  const prefixes = [...code.matchAll(/t\(`([a-z]+\.)\$\{/g)].map(([, prefix]) => prefix);
  for (const [, key] of code.matchAll(/\bt\('([^']+)'/g)) assert.ok(keys.includes(key), `t('${key}') has no text`);
  for (const key of keys) {
    assert.ok(used.has(key) || prefixes.some((prefix) => key.startsWith(prefix)), `text "${key}" is unused`);
  }
});

test('no inline style or script in the HTML: the CSP forbids them', () => {
  const page = fs.readFileSync(path.join(html, 'index.html'), 'utf8');
  assert.doesNotMatch(page, /\sstyle=|\son\w+=|<style|<script(?![^>]*\ssrc=)/);
});

test('routes survive a round trip', async () => {
  const { parseRoute, formatRoute } = await load('route.js');
  for (const hash of ['#/streams', '#/watch/live/cam1', '#/watch/live/%E5%B1%8B%E9%A1%B6', '#/wall/4',
    '#/wall/16?t=live/a,,live/b&f=2', '#/admin/grants', '#/admin/users/ann%40home', '#/account',
    '#/watch/live/cam1?at=1795418065007', '#/recordings',
    '#/recordings?stream=live/%E5%B1%8B&day=2026-11-23&q=north%20gate']) {
    assert.equal(formatRoute(parseRoute(hash)), hash);
  }
  for (const [hash, view] of [
    ['', 'streams'],
    ['#/', 'streams'],
    ['#/nonsense', 'unknown'],
    ['#/watch/live', 'unknown'],
    ['#/wall', 'wall'],
    ['#/wall/7', 'wall'],
    ['#/watch/live/%zz', 'unknown'],
    ['#/admin/x', 'admin'],
    ['#/invite/short', 'invite'],
    ['#/account/x', 'unknown'],
    ['#/recordings?stream=x&day=today', 'recordings'],
  ]) {
    assert.equal(parseRoute(hash).view, view, hash);
  }
  assert.equal(parseRoute('#/wall/4?f=9').focus, null);
  assert.equal(parseRoute('#/watch/live/cam1?at=yesterday').at, null);
  assert.deepEqual(parseRoute('#/recordings?stream=x&day=today'), { view: 'recordings', stream: '', day: '', q: '' });
  assert.equal(parseRoute('#/wall/4?t').slots, null);
  assert.deepEqual(parseRoute('#/admin/users/ann@home'), { view: 'admin', tab: 'users', name: 'ann@home' });
  assert.deepEqual(parseRoute('#/admin/streams/ann'), { view: 'admin', tab: 'streams' });
});

test('a link to set a password is opened only when it is whole', async () => {
  const { parseRoute } = await load('route.js');
  const token = 'aZ09_-'.repeat(8).slice(0, 43);
  assert.equal(parseRoute(`#/invite/${token}`).invite, token);
  for (const cut of ['', token.slice(1), `${token}x`, `${token.slice(1)}%2e`, `${token.slice(1)}.`])
    assert.equal(parseRoute(`#/invite/${cut}`).invite, '', cut);
});

test('the reason of a right is put into words, and streams with the most rights come first', async () => {
  const { byRights, reasonKey } = await load('rights-why.js');
  const { default: en } = await load('i18n/en.js');
  const keys = [{ by: 'owner' }, { by: 'public' }, { by: 'grant' }, { by: 'grant', app: 'live' },
    { by: 'group', group: 'crew' }, { by: 'group', group: 'crew', app: 'live' }].map(reasonKey);
  assert.equal(new Set(keys).size, keys.length);
  for (const key of keys) assert.ok(en[key], key);
  const stream = (name, ...rights) => ({ app: 'live', name, rights });
  const sorted = byRights([stream('b', 'view'), stream('a', 'view'), stream('c', 'view', 'manage'), stream('d')]);
  assert.deepEqual(sorted.map(({ name }) => name), ['c', 'a', 'b', 'd']);
});

test('a person is shown by the display name, or else by the user name', async () => {
  const { personName } = await load('format.js');
  assert.equal(personName('王小明', 'ming'), '王小明');
  assert.equal(personName('', 'ming'), 'ming');
  assert.equal(personName(undefined, 'ming'), 'ming');
});

test('free tiles take live streams, and chosen tiles stay as they are', async () => {
  const { makeSlots, fillSlots, pinSlot, resizeSlots, pinnedNames } = await load('wall-slots.js');
  const stream = (id, state) => ({ id, state, play: `/m/T/${id}.flv` });
  const names = (slots) => slots.map((slot) => slot.stream);
  let slots = fillSlots(makeSlots(4, [null, 'live/z']), [
    stream('live/a', 'live'),
    stream('live/b', 'offline'),
    stream('live/c', 'live'),
  ]);
  assert.deepEqual(names(slots), ['live/a', 'live/z', 'live/c', null]);

  slots = fillSlots(slots, [stream('live/a', 'offline'), stream('live/c', 'live')]);
  assert.equal(slots[0].stream, 'live/a', 'a tile keeps its stream while no live stream needs the room');
  slots = fillSlots(slots, ['d', 'e', 'c'].map((name) => stream(`live/${name}`, 'live')));
  assert.deepEqual(
    names(slots),
    ['live/e', 'live/z', 'live/c', 'live/d'],
    'free tiles first, then stale ones, never chosen ones',
  );
  slots = fillSlots(slots, [stream('live/e', 'grace'), stream('live/f', 'live')]);
  assert.ok(names(slots).includes('live/e'), 'a stream in grace keeps its tile');

  slots = pinSlot(slots, 1, 'live/e');
  assert.deepEqual(names(slots).filter((name) => name === 'live/e').length, 1, 'the stream leaves its unpinned tile');
  assert.deepEqual(pinnedNames(slots), [null, 'live/e', null, null]);
  assert.equal(pinSlot(slots, 1, null)[1].pinned, false);
  assert.equal(resizeSlots(slots, 9).length, 9);
  assert.equal(fillSlots(makeSlots(1), [{ id: 'live/x', state: 'live' }])[0].stream, null, 'no view right, no tile');
});

test('backoff grows up to a limit and is randomized', async () => {
  const { retryDelay } = await load('timing.js');
  assert.equal(retryDelay(0, 1), 500);
  assert.equal(retryDelay(2, 1), 2000);
  assert.equal(retryDelay(50, 1), 8000);
  assert.ok(retryDelay(3, 0) < retryDelay(3, 1));
});

test('playback catches up slightly faster, and jumps when far behind', async () => {
  const { chase } = await load('timing.js');
  for (const [buffered, rate, jump, next] of [
    [0.5, 1, false, 1], [1.4, 1, false, 1], [1.6, 1, false, 1.05], [3, 1, false, 1.1], [1.2, 1.1, false, 1.1],
    [0.9, 1.1, false, 1], [4.9, 1.1, false, 1.1], [9, 1.1, true, 1],
  ]) {
    assert.deepEqual(chase(buffered, rate), { jump, rate: next }, `${buffered} s at ${rate}`);
  }
});

test('playback skips a publisher\'s gap, and waits at the end of the data', async () => {
  const { beyondHole } = await load('timing.js');
  for (const [ranges, position, target, why] of [
    [[[0, 10]], 9.9, null, 'the end of the data'],
    [[[0, 10], [35, 35.5]], 9.9, 35, 'a gap of 25 s'],
    [[[0, 10], [35, 38]], 10, 37, 'as close to live as the target allows'],
    [[[0, 10], [35, 38]], 5, null, 'the data before the gap is played first'],
    [[[0, 10], [35, 35.05]], 9.9, null, 'too little data behind the gap'],
    [[[3, 3.5]], 0, 3, 'a stream that starts late'],
    [[], 0, null, 'no data'],
  ]) {
    assert.equal(beyondHole(ranges, position), target, why);
  }
});

test('a track without data while the other has some counts as starving; both without is a slow network', async () => {
  const { starvingTrack } = await load('timing.js');
  for (const [ends, position, track] of [
    [{ audio: 10.1, video: 12 }, 10, 'audio'],
    [{ audio: 12, video: 10 }, 10, 'video'],
    [{ audio: 10.2, video: 10.1 }, 10, null],
    [{ video: 12 }, 10, null],
    [{ audio: -Infinity, video: 3 }, 0, 'audio'],
    [{ audio: 14, video: 15 }, 10, null],
    [{}, 0, null],
  ]) {
    assert.equal(starvingTrack(ends, position), track, JSON.stringify(ends));
  }
});

test('the phase of a tile follows from player and stream', async () => {
  const { tilePhase } = await load('timing.js');
  for (const [phase, state, shown, expected] of [
    ['playing', 'live', true, 'playing'],
    ['playing', 'grace', true, 'grace'],
    ['stalled', 'grace', true, 'grace'],
    ['connecting', 'grace', false, 'grace'],
    ['stalled', 'live', true, 'stalled'],
    ['reconnecting', 'live', true, 'reconnecting'],
    ['playing', 'offline', true, 'playing'],
    ['stalled', 'offline', true, 'ended'],
    ['reconnecting', 'offline', true, 'ended'],
    ['offline', 'offline', true, 'ended'],
    ['offline', 'offline', false, 'offline'],
    ['offline', 'grace', false, 'offline'],
    ['reconnecting', undefined, true, 'reconnecting'],
  ]) {
    assert.equal(tilePhase(phase, { state, shown }), expected, `${phase}, ${state}`);
  }
});

const listed = (number, state = 'offline') => ({
  number,
  id: `live/s${number}`,
  name: `s${number}`,
  title: `S ${number}`,
  play: '/m/T',
  state,
  viewers: 0,
  kbps: 0,
  since_ms: 500,
});
const onAir = (id, facts = {}) => ({
  id,
  name: `live/s${id}`,
  state: 'live',
  viewers: 1,
  kbps: 900,
  video: 'h264',
  audio: 'aac',
  width: 640,
  height: 360,
  since_ms: 4000,
  ...facts,
});

async function stateAfter(...events) {
  const { nothingKnown, reduce, streamsOf, unknownNumbers } = await load('live-events.js');
  const known = events.reduce((before, event) => reduce(before, { at: 10_000, ...event }), nothingKnown);
  const streams = streamsOf(known);
  return {
    streams,
    unknown: unknownNumbers(known),
    of: (number) => streams.find((stream) => stream.number === number),
  };
}

test('events decide which streams are live; all else comes from the list', async () => {
  const list = { type: 'list', streams: [listed(1), listed(2, 'live'), listed(10)] };
  const first = { type: 'streams', streams: [onAir(10), onAir(1, { state: 'grace' })] };
  assert.equal((await stateAfter(first)).streams, null, 'nothing is shown before the list');

  const { streams, of } = await stateAfter(first, list);
  assert.deepEqual(
    streams.map(({ id, state }) => [id, state]),
    [
      ['live/s10', 'live'],
      ['live/s1', 'grace'],
      ['live/s2', 'offline'],
    ],
  );
  assert.deepEqual([of(10).name, of(10).title, of(10).play, of(10).startedAt], ['s10', 'S 10', '/m/T', 6000]);
  assert.equal((await stateAfter(list, first)).of(2).state, 'offline', 'in either order');
  assert.equal((await stateAfter(list)).of(2).state, 'live', 'without events the list decides');

  const change = (stream) => ({ type: 'stream', stream });
  const back = await stateAfter(list, first, change(onAir(1, { width: 320, height: 180, audio: 'none' })));
  assert.deepEqual([back.of(1).state, back.of(1).width, back.of(1).audio], ['live', 320, 'none']);
  const ended = await stateAfter(list, first, change(onAir(10)), change({ id: 10, state: 'ended' }));
  assert.deepEqual([ended.of(10).state, ended.of(10).viewers], ['offline', 0]);
  const counted = await stateAfter(list, first, {
    type: 'stats',
    streams: [
      { id: 10, viewers: 7, kbps: 1200 },
      { id: 99, viewers: 1, kbps: 1 },
    ],
  });
  assert.deepEqual([counted.of(10).viewers, counted.of(10).kbps, counted.of(10).width], [7, 1200, 640]);
});

test('an old list does not undo an event; unknown streams are reported; silence keeps the last state', async () => {
  const list = { type: 'list', streams: [listed(1)] };
  const live = [{ type: 'streams', streams: [] }, { type: 'stream', stream: onAir(1) }];
  assert.equal((await stateAfter(list, ...live, list)).of(1).state, 'live');
  assert.deepEqual((await stateAfter(list, ...live, { type: 'stream', stream: onAir(5) })).unknown, [5]);
  assert.deepEqual((await stateAfter(list, ...live)).unknown, []);
  assert.equal((await stateAfter(list, ...live, { type: 'silence' })).of(1).state, 'live');
  assert.equal((await stateAfter(list, ...live, { type: 'silence' }, list)).of(1).state, 'offline');
  assert.equal(
    (await stateAfter(list, ...live, { type: 'streams', streams: [] })).of(1).state,
    'offline',
    'a new event stream replaces the state',
  );
});

test('stopped recordings are reported with their reason, a full disk first', async () => {
  const { stoppedRecordings } = await load('live-events.js');
  const stream = (id, recording) => ({ id, title: '', recording });
  assert.equal(stoppedRecordings([stream('live/a', 'on'), stream('live/b', 'off'), stream('live/c', undefined)]), null);
  assert.deepEqual(stoppedRecordings([stream('live/a', 'failed')]), { reason: 'failed', names: ['live/a'] });
  assert.deepEqual(
    stoppedRecordings([
      stream('live/a', 'failed'),
      stream('live/b', 'full'),
      { id: 'live/c', title: 'C', recording: 'full' },
    ]),
    { reason: 'full', names: ['live/b', 'C'] },
  );
  const full = { type: 'stream', stream: onAir(1, { recording: 'full' }) };
  const list = { type: 'list', streams: [{ ...listed(1), recording: 'on' }] };
  assert.equal((await stateAfter(list, { type: 'streams', streams: [] }, full)).of(1).recording, 'full');
  assert.equal(
    (await stateAfter(list, { type: 'streams', streams: [] })).of(1).recording,
    'off',
    'a stream that is not live is not recorded',
  );
});

test('the publish URL has the operator\'s port, and a host that reaches the server', async () => {
  const { publishServer } = await load('publish-url.js');
  const cam = 'cam.example';
  for (const [protocol, publish, pageHost, address] of [
    ['rtmp', { rtmp: 1935, rtmps: 1936 }, cam, 'rtmp://cam.example:1935'],
    ['rtmp', { rtmp: 19350, rtmps: 1936 }, cam, 'rtmp://cam.example:19350'],
    ['rtmps', { rtmp: 1935, rtmps: 1936 }, cam, 'rtmps://cam.example:1936'],
    ['rtmps', { rtmp: 1935, rtmps: 443 }, '[2001:db8::1]', 'rtmps://[2001:db8::1]:443'],
    ['rtmp', { host: 'push.example', rtmp: 1935 }, cam, 'rtmp://push.example:1935'],
    ['rtmp', { host: '127.0.0.1', rtmp: 1935 }, '192.168.1.5', 'rtmp://192.168.1.5:1935'],
    ['rtmp', { host: '127.0.0.1', rtmp: 1935 }, 'localhost', 'rtmp://127.0.0.1:1935'],
  ]) {
    assert.equal(publishServer(protocol, publish, pageHost), address);
  }
});

test('a name cannot reorder the sentence around it', async () => {
  const { isolated } = await load('format.js');
  assert.equal(isolated('live/cam 1 屋顶'), 'live/cam 1 屋顶', 'unchanged without right-to-left letters');
  assert.equal(isolated('كاميرا 1'), '\u2068كاميرا 1\u2069');
  assert.equal(isolated('gate\u202egnp.exe\u2069'), 'gategnp.exe', 'direction marks are removed');
  const { t, useLanguage } = await load('i18n.js');
  await useLanguage('en');
  assert.equal(t('admin.editStream', { name: 'live/كاميرا' }), 'Edit \u2068live/كاميرا\u2069');
});

test('numbers are formatted for people', async () => {
  const format = await load('format.js');
  assert.equal(format.formatBitrate(0), '–');
  assert.equal(format.formatBitrate(940), '940 kbps');
  assert.equal(format.formatBitrate(2500), '2.5 Mbps');
  assert.equal(format.formatDuration(3_725_000), '1:02:05');
  assert.equal(format.formatSeconds(NaN), '–');
  assert.equal(format.formatPicture({ width: 1280, height: 720 }), '1280×720');
  assert.equal(format.formatCodecs({ video: 'hevc', audio: 'none' }), 'HEVC');
});
