// The wall's rules without DOM: where tiles go, which stream is on which, and how players
// keep in step. Needs neither browser nor stack.

import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';

const html = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../html');
const load = (name) => import(pathToFileURL(path.join(html, 'js', name)));
const landscape = 16 / 9;
const portrait = 9 / 16;
const desktop = { width: 1408, height: 780 };
const area = ({ width, height }) => width * height;
const apart = (a, b) =>
  a.x + a.width <= b.x + 0.01 || b.x + b.width <= a.x + 0.01 ||
  a.y + a.height <= b.y + 0.01 || b.y + b.height <= a.y + 0.01;

function assertFits(places, { width, height }, what) {
  for (const [index, place] of places.entries()) {
    assert.ok(place.x >= -0.01 && place.x + place.width <= width + 0.01, `${what}: ${index} is inside across`);
    assert.ok(place.y >= -0.01 && place.y + place.height <= height + 0.01, `${what}: ${index} is inside down`);
    for (const other of places.slice(0, index)) assert.ok(apart(place, other), `${what}: ${index} covers no other`);
  }
}

test('one to sixteen tiles fill the wall: one place per picture, none empty, none covered', async () => {
  const { wallLayout } = await load('wall-layout.js');
  const rooms = [[desktop, 0.73], [{ width: 788, height: 980 }, 0.6], [{ width: 1920, height: 1080 }, 0.73]];
  for (const [room, least] of rooms) {
    for (let count = 1; count <= 16; count += 1) {
      const what = `${count} on ${room.width}×${room.height}`;
      const { places, height } = wallLayout(Array(count).fill(landscape), room);
      assert.equal(places.length, count, what);
      assert.equal(height, room.height);
      assertFits(places, room, what);
      const covered = places.reduce((sum, place) => sum + area(place), 0) / area(room);
      // One in a tall room, or two side by side, cannot cover more.
      assert.ok(covered >= (count <= 3 ? 0.44 : least), `${what}: ${covered.toFixed(2)} of the room`);
      const widths = places.map(({ width }) => width);
      assert.ok(Math.max(...widths) / Math.min(...widths) < 2.6, `${what}: no tile is tiny beside another`);
      for (const place of places)
        assert.ok(Math.abs(place.width / place.height / landscape - 1) < 0.03, `${what}: in the picture's shape`);
    }
  }
});

test('portrait pictures get portrait places beside landscape ones', async () => {
  const { shapeOf, wallLayout } = await load('wall-layout.js');
  const shapes = [portrait, landscape, landscape];
  const { places } = wallLayout(shapes, desktop);
  assertFits(places, desktop, 'one portrait, two landscape');
  assert.equal(Math.round(places[0].height), desktop.height, 'the phone that is held upright has the whole height');
  assert.ok(places[1].x > places[0].x + places[0].width && places[2].y > places[1].y, 'the others stand beside it');
  const others = [[portrait, portrait], [landscape, portrait, landscape, portrait, landscape], [1, portrait, 2.39]];
  for (const mixed of others) {
    const all = wallLayout(mixed, desktop).places;
    assertFits(all, desktop, mixed.join());
    all.forEach((place, index) => assert.ok(Math.abs(place.width / place.height / mixed[index] - 1) < 0.01));
  }
  assert.equal(shapeOf({ width: 720, height: 1280 }), portrait);
  assert.equal(shapeOf({}), landscape, 'as long as nobody knows');
  assert.ok(shapeOf({ width: 10, height: 9000 }) > 0.4, 'a strip still gets a place that can be seen');
});

test('a narrow window scrolls: whole width for few, two abreast for many', async () => {
  const { wallLayout } = await load('wall-layout.js');
  const room = { width: 374, height: 700, scrolls: true };
  const three = wallLayout(Array(3).fill(landscape), room);
  assert.deepEqual(three.places.map(({ width }) => Math.round(width)), [374, 374, 374]);
  const nine = wallLayout(Array(9).fill(landscape), room);
  assertFits(nine.places, { width: 374, height: nine.height }, 'nine on a phone');
  const widths = nine.places.map(({ width }) => Math.round(width));
  assert.deepEqual(widths, [...Array(8).fill(184), 374], 'the last has the row');
  const tall = wallLayout([portrait], room);
  assert.ok(tall.height < room.height * 0.75, 'a portrait picture leaves the buttons in sight');
  assert.deepEqual(wallLayout([], room).places, []);
  assert.deepEqual(wallLayout([1], { width: 0, height: 0 }).places, [], 'not laid out yet');
});

const stream = (id, state = 'live') => ({ id, state, play: `/m/T/${id}.flv` });

test('a tile whose stream ended keeps its picture for a minute, then the others take its room', async () => {
  const { fillSlots, makeSlots } = await load('wall-slots.js');
  const names = (slots) => slots.map((slot) => slot.stream);
  let slots = fillSlots(makeSlots(16), [stream('live/a'), stream('live/b')], 1000);
  const ended = [stream('live/a', 'offline'), stream('live/b')];
  slots = fillSlots(slots, ended, 2000);
  slots = fillSlots(slots, ended, 61_000);
  assert.deepEqual(names(slots).filter(Boolean), ['live/a', 'live/b'], 'for a minute it may return');
  slots = fillSlots(slots, [stream('live/a'), stream('live/b')], 61_500);
  slots = fillSlots(slots, ended, 62_000);
  slots = fillSlots(slots, ended, 120_000);
  assert.deepEqual(names(slots).filter(Boolean), ['live/a', 'live/b'], 'a return starts the minute anew');
  slots = fillSlots(slots, ended, 123_000);
  assert.deepEqual(names(slots).filter(Boolean), ['live/b']);
  const pinned = fillSlots(fillSlots(makeSlots(2, ['live/a']), ended, 0), ended, 1e6);
  assert.equal(pinned[0].stream, 'live/a', 'a chosen stream stays');
});

test('streams without a tile are counted, and a choice keeps the order of the wall', async () => {
  const { chosenSlots, fillSlots, makeSlots, waitingStreams } = await load('wall-slots.js');
  const streams = ['a', 'b', 'c', 'd'].map((name) => stream(`live/${name}`));
  const slots = fillSlots(makeSlots(2), streams);
  assert.deepEqual(waitingStreams(streams, new Set(slots.map((slot) => slot.stream))), ['live/c', 'live/d']);
  assert.deepEqual(
    chosenSlots(slots, ['live/d', 'live/b']),
    [{ stream: 'live/b', pinned: true }, { stream: 'live/d', pinned: true }],
  );
});

test('the address of a wall: any number of tiles, none at all, and a time in the past', async () => {
  const { formatRoute, parseRoute } = await load('route.js');
  const past = '#/wall/2?t=live/a,live/b&at=1795418065007';
  for (const hash of ['#/wall', '#/wall?f=2', '#/wall/7', past, '#/wall?t=,live/a'])
    assert.equal(formatRoute(parseRoute(hash)), hash);
  assert.equal(formatRoute(parseRoute('#/wall/4?t=live/a,,,&f=1')), '#/wall/4?t=live/a&f=1', 'an old link');
  assert.equal(parseRoute('#/wall/17').size, null);
  assert.equal(parseRoute('#/wall/2.5').size, null);
  assert.equal(parseRoute('#/wall/2?at=yesterday').at, null);
});

test('a group\'s clock stands, runs at its speed, and keeps its time when that changes', async () => {
  const { GroupClock } = await load('in-step.js');
  const clock = new GroupClock();
  clock.set(1_000_000, 0);
  assert.equal(clock.at(500), 1_000_000);
  clock.run(500);
  clock.run(900);
  assert.equal(clock.at(1500), 1_001_000);
  clock.setRate(4, 1500);
  assert.equal(clock.at(1500), 1_001_000);
  assert.equal(clock.at(2000), 1_003_000);
  clock.stop(2000);
  assert.equal(clock.at(9000), 1_003_000);
});

test('a player that is early waits, one that is late hurries, and one that is far behind jumps', async () => {
  const { stepFor } = await load('in-step.js');
  assert.deepEqual(stepFor(0, 1), { do: 'play', rate: 1 });
  assert.deepEqual(stepFor(-30, 2), { do: 'play', rate: 2 });
  assert.deepEqual(stepFor(400, 1), { do: 'wait' });
  assert.deepEqual(stepFor(-5000, 1), { do: 'seek' });
  assert.deepEqual(stepFor(60_000, 1), { do: 'seek' });
  assert.ok(stepFor(-300, 1).rate > 1.1 && stepFor(-800, 1).rate <= 1.26);
  assert.ok(stepFor(100, 1).rate < 1);
  // Whoever obeys is in step soon: 50 ms per look, from any drift that needs no jump.
  for (const rate of [0.5, 1, 4]) {
    for (let drift = -850; drift <= 900; drift += 50) {
      let now = drift;
      for (let look = 0; look < 200; look += 1) {
        const step = stepFor(now, rate);
        now += ((step.do === 'wait' ? 0 : step.rate) - rate) * 50;
      }
      assert.ok(Math.abs(now) <= 160, `from ${drift} ms at ${rate}: ${now}`);
    }
  }
});
