// What the page may say of a picture that may be old, how it words ages, and how it waits for answers; needs neither
// browser nor stack.

import assert from 'node:assert/strict';
import path from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';

const js = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../html/js');
const load = (name) => import(pathToFileURL(path.join(js, name)));

/** Both clocks at a time in ms. */
const at = (ms) => ({ mono: ms, wall: 1_700_000_000_000 + ms });

/** Plays a picture for `ms` from `from`: a look each 500 ms. Returns the last position. */
function play(age, { from, ms, position = 0, fps = 25, ...more }) {
  let now = from;
  for (; now <= from + ms; now += 500) {
    const played = position + (now - from) / 1000;
    age.sample({ position: played, frames: Math.round(played * fps), isCovered: false, ...more }, at(now));
  }
  return position + ms / 1000;
}

test('a picture that moves is not old; one that stands still is, by its own age', async () => {
  const { PictureAge } = await load('picture-age.js');
  const age = new PictureAge(at(0));
  const position = play(age, { from: 0, ms: 10_000 });
  assert.equal(age.at(at(10_400)).isOld, false);
  for (let now = 10_500; now <= 22_000; now += 500)
    age.sample({ position, frames: 250, isCovered: false }, at(now));
  assert.deepEqual(age.at(at(22_000)), { isOld: true, ms: 12_000 });
});

test('before the first picture the age is the wait for it, and the first picture ends that at once', async () => {
  const { PictureAge } = await load('picture-age.js');
  const age = new PictureAge(at(0));
  for (let now = 0; now <= 5000; now += 500) age.sample({ position: 0, frames: 0, isCovered: true }, at(now));
  assert.deepEqual(age.at(at(5000)), { isOld: true, ms: 5000 });
  age.sample({ position: 0, frames: 1, isCovered: false }, at(5100));
  assert.deepEqual(age.at(at(5100)), { isOld: false, ms: 0 });
});

test('an earlier picture over a video that plays is old', async () => {
  const { PictureAge } = await load('picture-age.js');
  const age = new PictureAge(at(0));
  play(age, { from: 0, ms: 3000 });
  play(age, { from: 3500, ms: 4000, position: 0, isCovered: true });
  assert.equal(age.at(at(7500)).isOld, true);
});

test('sound that goes on does not make a frozen picture new', async () => {
  const { PictureAge } = await load('picture-age.js');
  const age = new PictureAge(at(0));
  play(age, { from: 0, ms: 3000, fps: 25 });
  for (let now = 3500; now <= 12_000; now += 500)
    age.sample({ position: now / 1000, frames: 75, isCovered: false }, at(now));
  assert.deepEqual(age.at(at(12_000)), { isOld: true, ms: 9000 });
  // A browser that does not count pictures, and a stream of sound alone, go by the position.
  const sound = new PictureAge(at(0));
  play(sound, { from: 0, ms: 12_000, fps: 0 });
  assert.equal(sound.at(at(12_000)).isOld, false);
  // As in a hidden tab.
  const hidden = new PictureAge(at(0));
  play(hidden, { from: 0, ms: 500 });
  hidden.sample({ position: 90, frames: 13, isCovered: false, wasHidden: true }, at(90_000));
  assert.equal(hidden.at(at(90_000)).isOld, false);
});

test('a machine that was asleep knows how old its picture is: one clock stood still', async () => {
  const { PictureAge, truthOf } = await load('picture-age.js');
  const age = new PictureAge(at(0));
  play(age, { from: 0, ms: 3000 });
  const awake = { mono: 3200, wall: at(3000).wall + 40 * 60_000 };
  assert.deepEqual(age.at(awake), { isOld: true, ms: 40 * 60_000 });
  assert.equal(truthOf({ phase: 'playing', mode: 'live', age: age.at(awake), isRecorded: true }).isLive, false);
  // A wall clock that is set back makes nothing younger.
  assert.equal(age.at({ mono: 9000, wall: 0 }).ms, 6000);
});

test('a pause of the viewer is no age; the last picture of a stream that has ended gets older', async () => {
  const { PictureAge, getsOlder } = await load('picture-age.js');
  const age = new PictureAge(at(0));
  play(age, { from: 0, ms: 3000 });
  for (const [phase, mode] of [['paused', 'history'], ['paused', 'held'], ['ended', 'history'], ['offline', 'live']])
    assert.equal(getsOlder(phase, mode), false, phase);
  for (const phase of ['playing', 'grace', 'connecting', 'ended']) assert.equal(getsOlder(phase, 'live'), true, phase);
  age.rest(at(60_000));
  assert.equal(age.at(at(60_400)).isOld, false);
});

const fresh = { isOld: false, ms: 0 };
const old = { isOld: true, ms: 12_000 };

test('the page says "live" and "recording" of a picture that moves alone', async () => {
  const { truthOf } = await load('picture-age.js');
  const phases = ['idle', 'connecting', 'playing', 'stalled', 'reconnecting', 'grace', 'ended', 'offline', 'paused',
    'unsupported'];
  for (const phase of phases) {
    for (const mode of ['live', 'history', 'held']) {
      for (const age of [fresh, old]) {
        for (const isStale of [false, true]) {
          const truth = truthOf({ phase, mode, age, isStale, isRecorded: true });
          const moves = phase === 'playing' && !age.isOld;
          const where = JSON.stringify({ phase, mode, age, isStale });
          assert.equal(truth.isLive, moves && mode === 'live', where);
          assert.equal(truth.isRecorded, moves && mode === 'live' && !isStale, where);
          if (truth.isGrey || truth.ageMs !== null) assert.equal(truth.isLive, false, where);
        }
      }
    }
  }
});

test('an old picture that is awaited has its age, and is grey', async () => {
  const { truthOf } = await load('picture-age.js');
  const of = (phase, age, mode = 'live') => {
    const { phase: shown, isGrey, ageMs } = truthOf({ phase, mode, age });
    return [shown, isGrey, ageMs];
  };
  assert.deepEqual(of('playing', old), ['stalled', true, 12_000]);
  for (const phase of ['connecting', 'stalled', 'reconnecting', 'grace'])
    assert.deepEqual(of(phase, old), [phase, true, 12_000]);
  assert.deepEqual(of('grace', fresh), ['grace', false, null], 'the rest of the buffer still plays');
  assert.deepEqual(of('ended', fresh), ['ended', true, null]);
  assert.deepEqual(of('paused', old, 'history'), ['paused', false, null]);
  assert.deepEqual(of('ended', old, 'history'), ['ended', false, null]);
});

test('ages: everyone sees seconds, a screen reader hears ever fewer', async () => {
  const { roundAge, spokenAge } = await load('picture-age.js');
  const minute = 60_000;
  for (const [ms, unit, count] of [[0, 'seconds', 0], [2999, 'seconds', 2], [59_999, 'seconds', 59],
    [minute, 'minutes', 1], [60 * minute - 1, 'minutes', 59], [60 * minute, 'hours', 1],
    [49 * 60 * minute, 'hours', 49]])
    assert.deepEqual(roundAge(ms), { unit, count }, String(ms));
  const heard = new Set();
  for (let ms = 3000; ms < 10 * minute; ms += 500) heard.add(spokenAge(ms));
  assert.deepEqual([...heard], [3000, 10_000, 30_000, minute, 5 * minute]);
  assert.equal(spokenAge(150 * minute), 120 * minute);
});

// ---- waiting for answers

const wait = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

after(() => { delete globalThis.window; delete globalThis.document; });

test('a request without an answer says so after three seconds, and can be given up', async () => {
  const { api } = await load('api.js');
  const { patiently } = await load('patience.js');
  const { slowAfterMs } = await load('picture-age.js');
  assert.equal(slowAfterMs, 3000);
  const { fetch } = globalThis;
  globalThis.fetch = (url, { signal }) => new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
  });
  try {
    for (const [send, code] of [[api.users, 'cancelled'], [() => api.addUser({ name: 'x' }), 'givenUp']]) {
      const said = [];
      const began = performance.now();
      const answer = patiently(send, (slow) => {
        said.push(slow && { afterMs: performance.now() - began, ms: slow.ms });
        slow?.cancel();
      });
      await assert.rejects(answer, (error) => error.code === code && error.status === 0);
      assert.ok(said[0].afterMs >= 2990 && said[0].ms >= 2990, JSON.stringify(said));
      assert.equal(said.at(-1), null, 'the notice goes');
    }
  } finally {
    globalThis.fetch = fetch;
  }
});

test('of several calls each is waited for by itself, and the one that hangs can be given up', async () => {
  const { api } = await load('api.js');
  const { patiently } = await load('patience.js');
  const { fetch } = globalThis;
  let calls = 0;
  globalThis.fetch = (url, { signal }) => new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
    calls += 1;
    if (calls < 3) setTimeout(() => resolve(new Response('{"count":1}')), 1600);
  });
  const said = [];
  try {
    const answer = patiently(async (each) => {
      for (;;) await each(() => api.storageDelete({}));
    }, (slow) => {
      said.push(slow?.ms ?? null);
      slow?.cancel();
    });
    await assert.rejects(answer, ({ code }) => code === 'givenUp');
  } finally {
    globalThis.fetch = fetch;
  }
  assert.equal(calls, 3);
  assert.equal(said.length, 2, 'nothing is said while answers come');
  assert.ok(said[0] >= 2990 && said[0] < 6000, `${said[0]} ms, and 3200 ms of answers before`);
  assert.equal(said[1], null);
});

test('a list that could not be loaded is asked for again, and at once when the user is back', async () => {
  const listeners = new EventTarget();
  globalThis.window = listeners;
  globalThis.document = Object.assign(new EventTarget(), { visibilityState: 'visible' });
  const { ApiError, session } = await load('api.js');
  const { RetryingRequest } = await load('retrying-request.js');
  const outcomes = [];
  let answers = [new ApiError(503, 'unavailable', 'x'), new ApiError(429, 'unknown', 'x'), 'first'];
  let asked = 0;
  const request = new RetryingRequest(async () => {
    asked += 1;
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return answer;
  }, (value) => outcomes.push(value), (error) => outcomes.push(error?.status ?? 'good'));
  await request.refresh();
  const deadline = Date.now() + 30_000;
  while (asked < 3 && Date.now() < deadline) await wait(50);
  await wait(0);
  assert.deepEqual(outcomes, [503, 429, 'good', 'first'], 'it recovers by itself');

  answers = [new ApiError(401, 'login_required', 'x'), 'second'];
  outcomes.length = 0;
  await request.refresh();
  await wait(1500);
  assert.equal(asked, 4, 'no other try before the user has signed in');
  session.dispatchEvent(new Event('back'));
  while (asked < 5 && Date.now() < deadline) await wait(50);
  await wait(0);
  assert.deepEqual(outcomes, [401, 'good', 'second']);
  request.stop();
});
