// The rules of the first page's cards, without a browser.

import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';

const js = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../html/js');
const load = (name) => import(pathToFileURL(path.join(js, name)));

const stream = (name, facts = {}) => ({
  id: `live/${name}`, name, title: '', owner: 'alice', state: 'offline', viewers: 0, last_seen: 0,
  play: `/m/T/live/${name}.flv`, video: 'none', audio: 'none', ...facts,
});
const live = (name, facts) => stream(name, { state: 'live', video: 'h264', audio: 'aac', ...facts });

test('three orders: live first, by name, last seen first', async () => {
  const { arrange, sorts } = await load('stream-cards.js');
  const streams = [
    stream('cam10', { last_seen: 500 }),
    stream('cam2', { last_seen: 100 }),
    stream('never'),
    live('cam3'),
    stream('cam1', { state: 'grace' }),
    live('z', { title: 'Attic' }),
  ];
  const order = (sort) => arrange(streams, sort).map(({ name }) => name).join(' ');
  assert.deepEqual(sorts, ['live', 'name', 'seen']);
  assert.equal(order('live'), 'z cam3 cam1 cam2 cam10 never');
  assert.equal(order('name'), 'z cam1 cam2 cam3 cam10 never');
  assert.equal(order('seen'), 'z cam1 cam3 cam10 cam2 never');
  assert.equal(order('nonsense'), order('live'));
});

test('the search takes words of name, title and owner, in any order', async () => {
  const { matches } = await load('stream-cards.js');
  const roof = stream('cam1', { title: 'Roof 屋顶', owner: 'Bob' });
  for (const search of ['', 'roof', 'BOB cam1', '屋顶', 'live/cam1 roof']) assert.ok(matches(roof, search), search);
  for (const search of ['alice', 'roof alice']) assert.ok(!matches(roof, search), search);
});

test('a live stream wants fresh pictures, others their last one, sound and strangers none', async () => {
  const { wantedPicture } = await load('stream-cards.js');
  assert.equal(wantedPicture(live('a')), 'fresh');
  assert.equal(wantedPicture(live('a', { video: 'none' })), 'none');
  assert.equal(wantedPicture(live('a', { video: 'none', audio: 'none' })), 'fresh', 'nothing is known yet');
  assert.equal(wantedPicture(live('a', { play: undefined })), 'none');
  assert.equal(wantedPicture(stream('a', { state: 'grace' })), 'last');
  assert.equal(wantedPicture(stream('a')), 'last');
});

test('a card changes only with what it shows', async () => {
  const { signatureOf } = await load('stream-cards.js');
  const same = (one, other, detailed) =>
    signatureOf(live('a', one), detailed) === signatureOf(live('a', other), detailed);
  assert.ok(same({ kbps: 1 }, { kbps: 2 }, false), 'the bitrate is among the details');
  assert.ok(!same({ kbps: 1 }, { kbps: 2 }, true));
  for (const change of [{ viewers: 1 }, { state: 'grace' }, { title: 'x' }, { recording: 'on' }, { play: undefined }])
    assert.ok(!same({}, change, false), JSON.stringify(change));
  assert.ok(same({ play: '/m/A/live/a.flv' }, { play: '/m/B/live/a.flv' }, false), 'a new token changes nothing');
});

const place = (facts = {}) => ({ visible: true, wanted: 'fresh', busy: false, at: null, notBefore: 0, ...facts });

test('first pictures come at once, three at a time; then two refreshes a second, the oldest first', async () => {
  const { nextPictures } = await load('stream-cards.js');
  const places = Array.from({ length: 5 }, () => place());
  const first = nextPictures(places, 1000, 0);
  assert.deepEqual([first.start.length, first.wait], [3, Infinity], 'their ends look again');
  for (const one of places.slice(0, 3)) one.busy = true;
  assert.equal(nextPictures(places, 1010, 0).start.length, 0);
  places.slice(0, 3).forEach((one, i) => Object.assign(one, { busy: false, at: 1100 + i }));
  assert.deepEqual(nextPictures(places, 1200, 0).start, places.slice(3));
  places.slice(3).forEach((one, i) => Object.assign(one, { at: 1300 + i }));
  assert.deepEqual(nextPictures(places, 2000, 0), { start: [], wait: 4100 });
  assert.deepEqual(nextPictures(places, 6200, 0).start, [places[0]], 'one at a time');
  assert.deepEqual(nextPictures(places, 6300, 6200), { start: [], wait: 400 });
});

test('nothing is asked for out of sight, without a right, or again while offline', async () => {
  const { nextPictures } = await load('stream-cards.js');
  const none = { start: [], wait: Infinity };
  assert.deepEqual(nextPictures([], 9e9, 0), none);
  assert.deepEqual(nextPictures([place({ visible: false })], 9e9, 0), none);
  assert.deepEqual(nextPictures([place({ wanted: 'none' })], 9e9, 0), none);
  assert.deepEqual(nextPictures([place({ wanted: 'last', at: 5 })], 9e9, 0), none);
  assert.equal(nextPictures([place({ wanted: 'last' })], 9e9, 0).start.length, 1);
  assert.deepEqual(nextPictures([place({ notBefore: 5000 })], 1000, 0), { start: [], wait: 4000 });
  assert.deepEqual(nextPictures([place({ at: 10, notBefore: 40_000 })], 6000, 0), { start: [], wait: 34_000 });
});

test('a stream that ends while the page is open was last seen then', async () => {
  const { nothingKnown, reduce, streamsOf } = await load('live-events.js');
  const listed = { id: 'live/a', number: 1, state: 'live', rights: [], last_seen: 7 };
  const after = (...events) => streamsOf(events.reduce(reduce, nothingKnown))[0];
  const list = { type: 'list', streams: [listed], at: 1 };
  const on = { type: 'streams', streams: [{ id: 1, state: 'live' }], at: 2 };
  assert.equal(after(list, on).last_seen, 7);
  assert.equal(after(list, on, { type: 'stream', stream: { id: 1, state: 'ended' }, at: 3 }).last_seen, 3);
  assert.equal(after(list, on, { type: 'streams', streams: [], at: 4 }).last_seen, 4);
});

test('when a stream was last seen, in few words', async () => {
  const { formatSeen } = await load('format.js');
  const now = new Date(2026, 10, 24, 18, 0).getTime();
  const at = (...date) => formatSeen(new Date(...date).getTime(), now, 'en-GB');
  assert.equal(at(2026, 10, 24, 14, 5), '14:05');
  assert.equal(at(2026, 10, 23, 23, 59), '23 Nov 23:59');
  assert.match(at(2025, 10, 24, 14, 5), /24 Nov 2025 14:05$/);
});
