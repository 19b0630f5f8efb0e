// A publisher that leaves and returns: every viewer, in every worker and by every
// protocol, stays and sees one stream, whose times follow the wall clock.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { makeClip, plan, replay } from '../lib/clips.mjs';
import { startHub } from '../lib/hub.mjs';
import { lagSince, measureAnswers } from '../lib/lag.mjs';
import { until } from '../lib/nginx.mjs';
import { openStream } from '../lib/rtmp.mjs';
import {
  PROTOCOLS,
  complaints,
  drift,
  failures,
  fileOf,
  gapBetween,
  media,
  more,
  stepsBack,
  untilWatchable,
  watchEverywhere,
} from '../lib/watch.mjs';

const DEADLINE = { timeout: 120_000 };
const VIDEO = 9;
const AUDIO = 8;
const TOLERANCE = 200;                 // ms that a gap in dts may differ from the gap in time
const STILL = 2000;                    // ms for which the hub waits for late frames (CLOCK_PATIENCE)
const INTERLEAVE = 400;                // ms that audio and video may be apart in file order

const clips = {};
let hub;

before(async () => {
  const kinds = {
    plain: {}, large: { size: '640x360' }, rate: { rate: 48000 }, silent: { rate: null }, sound: { size: null },
    reordered: { bframes: 3 },
  };
  for (const [name, options] of Object.entries(kinds)) clips[name] = await makeClip(options);
  hub = await startHub({
    // no viewer may skip: all frames are compared
    main: 'hub_grace 30s;', ingest: 'hub_play on; play_lag 20s;', flv: 'hub_lag 20s;',
    // a slow service, for a stream that it knows
    answer: async ({ NAME, ARGS }) => {
      if (NAME.startsWith('slow') && ARGS.includes('again'))
        await new Promise((resolve) => {
          setTimeout(resolve, 800);
        });
      return { allow: true };
    },
  });
});
after(() => hub.stop());

async function publish(name, steps, args = '') {
  const client = await openStream(hub.rtmp);
  client.setChunkSize(4096);
  client.sendMeta();
  const asked = performance.now();
  const started = client.publish(`${name}?key=mine${args}`);
  // a phone does not wait for the answer either: the gate holds its frames
  const source = replay(client, steps);
  source.done.catch(() => {});
  await started;
  measureAnswers(client);
  return { client, source, held: performance.now() - asked };
}

/** A viewer gets the first frames at once when it joins; only later ones show the time. */
const settled = (watcher) => until(() => watcher.error || watcher.ended
  || (watcher.tags.at(-1)?.at ?? 0) - (watcher.tags[0]?.at ?? 0) > 600, 'frames as they are made');

/**
 * Publishes `first`, kills it, waits, publishes `second`; returns the watchers
 * and their gaps.  `second(at)` makes the plan, where `at` is the clip's time that
 * an encoder without interruption would have reached.
 */
async function interrupted(name, { first, second, gap = 1500, wait = VIDEO, half = false, still }) {
  const began = performance.now();
  const one = await publish(name, first);
  await untilWatchable(hub, `live/${name}`);
  const watchers = await watchEverywhere(hub, `live/${name}`);
  await Promise.all(watchers.map((w) => settled(w)));
  const stopped = performance.now();
  one.source.stop();
  if (!half) await one.client.close();
  await new Promise((resolve) => { setTimeout(resolve, gap); });
  const two = await publish(name, second(performance.now() - began), '&again');
  await Promise.all(watchers.map((w) => more(w, 20, wait)));
  await still?.();
  two.source.stop();
  await two.client.close();
  assert.deepEqual(failures(watchers), [], 'every viewer is still there, its bytes are whole');
  if (half) await one.client.closed;
  watchers.forEach((w) => w.close());
  watchers.stopped = stopped;
  watchers.lag = lagSince(began) + (name.startsWith('slow') ? 0 : two.held);
  return watchers;
}

/** Every watcher's gap in dts is as long as on the wall clock, and no dts goes back. */
function holds(t, watchers, { held = false } = {}) {
  const errors = [];
  for (const watcher of watchers) {
    assert.deepEqual(stepsBack(watcher, INTERLEAVE), [], `${watcher.protocol} in ${watcher.pid}`);
    const gap = gapBetween(watcher, watchers.stopped);
    for (const track of ['video', 'audio']) {
      if (!gap[track]) continue;
      const { end, missed: { least, most } } = gap[track];
      // held frames arrive at once: only the newest of them is on time
      errors.push(held ? end.dts - end.wall : Math.max(least, 0) + Math.min(most, 0));
    }
  }
  const worst = errors.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0);
  t.diagnostic(
    `worst error over the gap ${worst.toFixed(0)} ms, ${errors.length} measured, own lag ${watchers.lag.toFixed(0)} ms`,
  );
  assert.ok(errors.length > 0, 'some track is on both sides of the gap');
  assert.ok(
    Math.abs(worst) <= TOLERANCE + watchers.lag,
    `dts advances by the gap's length within ${TOLERANCE} ms, not off by ${errors.map(Math.round)}`,
  );
}

/** After the gap dts follows the arrival: it neither runs ahead nor stands still. */
function keepsStep(watchers, tolerance) {
  for (const watcher of watchers) {
    const { after: at } = gapBetween(watcher, watchers.stopped);
    const tags = media(watcher).slice(at);
    for (const type of [VIDEO, AUDIO]) {
      const own = tags.filter((tag) => tag.type === type);
      if (own.length < 2) continue;
      const off = drift(own.slice(0, own.length / 2), own.slice(own.length / 2));
      assert.ok(
        Math.abs(off) <= tolerance,
        `type ${type} keeps step with the clock, ${watcher.protocol} is off by ${off} ms`,
      );
    }
  }
}

/** ffmpeg decodes one FLV viewer's bytes without complaint; the others got the same frames. */
async function decodes(watchers) {
  const [one] = watchers;
  assert.equal(await complaints(fileOf(one)), '', 'ffmpeg decodes the whole capture without a word');
  const same = (tag) => `${tag.type} ${tag.dts} ${tag.size} ${tag.mark}`;
  for (const other of watchers.slice(1)) {
    const [a, b] = [media(one).map(same), media(other).map(same)];
    const from = Math.max(0, a.indexOf(b[0]));
    const skip = Math.max(0, b.indexOf(a[from]));
    const length = Math.min(a.length - from, b.length - skip);
    assert.ok(length > 10, `${other.protocol} saw the same stream: ${length} frames`);   // if it joined late
    assert.deepEqual(
      b.slice(skip, skip + length),
      a.slice(from, from + length),
      `${other.protocol} in ${other.pid} got the same frames`,
    );
  }
}

const restart = (clip, more_ = {}) => (_at) => plan(clip, more_);
const goesOn = (clip, shift = 0) => (at) => plan(clip, { from: 1000, stamp: (t) => t.dts - 1000 + at + shift });

describe('a publisher is killed and returns', { concurrency: 4 }, () => {
  const rows = [
    ['with its timestamps at 0 again', 'zero', () => ({ first: plan(clips.plain), second: restart(clips.plain) })],
    [
      'with timestamps that continued meanwhile',
      'on',
      () => ({ first: plan(clips.plain), second: goesOn(clips.plain) }),
    ],
    [
      'with timestamps that stood still meanwhile',
      'still',
      () => ({ first: plan(clips.plain), second: goesOn(clips.plain, -1500) }),
    ],
    [
      'with a timestamp an hour ahead',
      'hour',
      () => ({ first: plan(clips.plain), second: goesOn(clips.plain, 3_600_000) }),
    ],
    [
      'across the wrap of its 32-bit timestamps',
      'wrap',
      () => ({
        first: plan(clips.plain, { stamp: (t) => t.dts - 2000 }),
        second: goesOn(clips.plain, -2000),
      }),
    ],
    [
      'with another resolution',
      'large',
      () => ({
        first: plan(clips.plain),
        second: restart(clips.large),
        still: () => until(async () => (await hub.stream('live/large')).width === 640, 'the new width'),
      }),
    ],
    ['with another audio rate', 'rate', () => ({ first: plan(clips.plain), second: restart(clips.rate) })],
    [
      'without audio',
      'mute',
      () => ({
        first: plan(clips.plain),
        second: restart(clips.silent),
        still: () =>
          until(async () => (await hub.stream('live/mute')).audio === 'none', 'newcomers to be promised no audio'),
      }),
    ],
    ['with audio after none', 'unmute', () => ({ first: plan(clips.silent), second: restart(clips.plain) })],
    ['without video', 'radio', () => ({ first: plan(clips.plain), second: restart(clips.sound), wait: AUDIO })],
    [
      'with B-frames',
      'bframes',
      () => ({ first: plan(clips.reordered), second: restart(clips.reordered) }),
    ],
    [
      'as another encoder, with other tools of H.264',
      'encoder',
      () => ({ first: plan(clips.plain), second: restart(clips.reordered) }),
    ],
    ['audio only', 'sound', () => ({ first: plan(clips.sound), second: restart(clips.sound), wait: AUDIO })],
    ['video only', 'video', () => ({ first: plan(clips.silent), second: restart(clips.silent) })],
    [
      'its encoder two seconds slower than its headers',
      'lookahead',
      () => ({
        first: plan(clips.plain),
        second: restart(clips.large, { when: (t) => t.dts + 2000 }),
      }),
    ],
    [
      'in the middle of a GOP',
      'middle',
      () => ({ first: plan(clips.plain), second: restart(clips.plain, { from: 500 }) }),
    ],
    [
      'its audio 300 ms ahead of its video',
      'ahead',
      () => ({
        first: plan(clips.plain, { when: (t) => t.dts + (t.type === VIDEO ? 300 : 0) }),
        second: restart(clips.plain, { when: (t) => t.dts + (t.type === VIDEO ? 300 : 0) }),
      }),
    ],
    [
      'while the gate takes its time',
      'slow',
      () => ({ first: plan(clips.plain), second: restart(clips.plain) }),
      { held: true },
    ],
    [
      'while its old connection is half open',
      'half',
      () => ({ first: plan(clips.plain), second: restart(clips.plain), half: true }),
    ],
  ];
  for (const [what, name, make, options = {}] of rows) {
    test(what, DEADLINE, async (t) => {
      const watchers = await interrupted(name, make());
      holds(t, watchers, options);
      if (!options.held) keepsStep(watchers, 400 + watchers.lag);
      await decodes(watchers);
    });
  }
});

/**
 * The frames of each track that a viewer got, [[video…], [audio…]]: {dts, stamp, when},
 * the latter two as sent.  A viewer may have skipped some.
 */
function fates(watcher, steps) {
  return [VIDEO, AUDIO].map((type) => {
    const got = media(watcher).filter((tag) => tag.type === type);
    const sent = steps.filter(({ tag }) => tag.type === type && !tag.config);
    const same = (at, i) => [0, 1, 2].every((n) => !got[i + n] || sent[at + n]?.tag.body.equals(got[i + n].body));
    let at = -1;
    return got.map((tag, i) => {
      at += 1;
      if (!sent[at]?.tag.body.equals(tag.body)) at = sent.findIndex((_, n) => n >= at && same(n, i));
      assert.ok(at >= 0, `the ${watcher.protocol} viewer's frame ${i} of type ${type} is one that was sent`);
      return { dts: tag.dts, ...sent[at] };
    });
  });
}

const spread = (numbers) => (numbers.length ? Math.max(...numbers) - Math.min(...numbers) : 0);

/**
 * One publisher without interruption on the wire, watched until frame `last` (ms of the clip). If the machine stood
 * still for longer than STILL, the hub saw other steps than these, and the publisher begins again, three times at most.
 */
async function uninterrupted(name, steps, last) {
  for (let times = 1;; times++) {
    const watchers = await watched(`${name}${times}`, steps, last);
    if (watchers.lag <= STILL || times === 3) return watchers;
  }
}

async function watched(name, steps, last) {
  const began = performance.now();
  const { client, source } = await publish(name, steps);
  await untilWatchable(hub, `live/${name}`);
  const watchers = await watchEverywhere(hub, `live/${name}`);
  const enough = steps.filter(({ tag }) => !tag.config && tag.dts >= last).map(({ tag }) => tag.body);
  const reached = (tag) => enough.some((body) => tag.body.equals(body));
  await Promise.all(
    watchers.map((w) => until(
      () => w.error || w.ended || (w.tags.slice(-50).some(reached) && media(w).length > 50),
      `frames of ${last} ms`,
    )),
  );
  source.stop();
  assert.deepEqual(failures(watchers), []);
  await client.close();
  watchers.forEach((w) => w.close());
  for (const watcher of watchers)
    assert.deepEqual(stepsBack(watcher, 6000), [], `${watcher.protocol} in ${watcher.pid}`);
  watchers.lag = lagSince(began);
  return watchers;
}

describe('a publisher whose frames come late or early', { concurrency: 5 }, () => {
  const rows = [
    [
      'stalls for 8 s, and all of its frames come at once',
      'stall',
      { when: (t) => (t.dts > 3500 && t.dts < 11500 ? 11500 : t.dts) },
      13000,
    ],
    [
      'stalls for 8 s, and half of its frames come at once',
      'thin',
      { when: (t) => (t.dts > 3500 && t.dts < 11500 ? 11500 : t.dts), keep: (t) => t.dts <= 3500 || t.dts >= 7000 },
      13000,
    ],
    ['brings a backlog of 4 s first', 'backlog', { when: (t) => Math.max(0, t.dts - 4000) }, 9000],
    // by the end of the clip, even on a busy machine, they are less than 3 s off, so no clock is set
    ['is slower than real time', 'slowly', { when: (t) => t.dts * 1.1 }, 8000],
    ['is faster than real time', 'fast', { when: (t) => t.dts / 1.2 }, 9000],
    ['starts its audio 5 s after its video', 'late', { keep: (t) => t.type === VIDEO || t.dts >= 5000 }, 8000],
    ['starts its video 5 s after its audio', 'blind', { keep: (t) => t.type === AUDIO || t.dts >= 5000 }, 8000],
    ['starts 2 s before its 32-bit timestamps wrap', 'wraps', { stamp: (t) => t.dts - 5000 }, 8000],
    ['starts 2 s before the sign bit of its timestamps', 'sign', { stamp: (t) => 0x80000000 - 5000 + t.dts }, 8000],
  ];
  for (const [what, name, options, last] of rows) {
    test(what, DEADLINE, async () => {
      const steps = plan(clips.plain, options);
      const watchers = await uninterrupted(name, steps, last);
      for (const watcher of watchers) {
        const all = fates(watcher, steps).flat().map(({ dts, stamp }) => dts - stamp);
        assert.ok(all.length > 20, `${all.length} frames`);
        assert.equal(spread(all), 0, `one clock for both tracks, all the time (${watcher.protocol})`);
      }
      await decodes(watchers);
    });
  }
});

describe('a publisher whose clock is set', { concurrency: 5 }, () => {
  const both = (by) => ({ stamp: (t) => t.dts + (t.dts > 5000 ? by : 0) });
  const rows = [
    ['back by a minute', 'back60', both(-60_000)],
    ['back by 2 s', 'back2', both(-2000)],
    ['back by half a second', 'back05', both(-500)],
    ['ahead by 5 s', 'ahead5', both(5000)],
    ['ahead by an hour', 'ahead3600', both(3_600_000)],
    ['ahead by 40 days', 'ahead40', both(40 * 86_400_000)],
    [
      'in its audio alone, back by a minute',
      'audio60',
      { stamp: (t) => t.dts - (t.type === AUDIO && t.dts > 5000 ? 60_000 : 0) },
      false,
    ],
    [
      'in its video alone, ahead by a minute',
      'video60',
      { stamp: (t) => t.dts + (t.type === VIDEO && t.dts > 5000 ? 60_000 : 0) },
      false,
    ],
    ['5 s apart for audio and video', 'apart', { stamp: (t) => t.dts + (t.type === AUDIO ? 5000 : 0) }, false],
    ['5 s apart the other way round', 'apart2', { stamp: (t) => t.dts + (t.type === VIDEO ? 5000 : 0) }, false],
  ];
  for (const [what, name, options, together = true] of rows) {
    test(what, DEADLINE, async (t) => {
      const steps = plan(clips.plain, options);
      const watchers = await uninterrupted(name, steps, 7500);
      let worst = 0;
      for (const watcher of watchers) {
        const [video, audio] = fates(watcher, steps);
        const off = [...video, ...audio].map(({ dts, when }) => dts - when - (video[0].dts - video[0].when));
        worst = Math.max(worst, ...off.map(Math.abs));
        // sound and picture that were sent together are together
        if (together)
          assert.ok(
            Math.abs(video.at(-1).dts - video.at(-1).tag.dts - audio.at(-1).dts + audio.at(-1).tag.dts) <= 3,
            'audio and video stay together',
          );
      }
      t.diagnostic(`dts strays ${worst.toFixed(0)} ms at most from the clock, own lag ${watchers.lag.toFixed(0)} ms`);
      assert.ok(worst <= TOLERANCE + watchers.lag, `dts follows the clock within ${TOLERANCE} ms, not ${worst}`);
      await decodes(watchers);
    });
  }
});

describe('invalid timestamps, new viewers, takeovers', { concurrency: 4 }, () => {
  test('with random timestamps dts still follows the clock', DEADLINE, async (t) => {
    let seed = 1;
    const random = () => (seed = seed * 48271 % 2147483647) / 2147483647;
    // small and large jumps, back and forth, for 4 s; then correct timestamps
    const stamp = ({ dts }) =>
      dts > 3000 && dts < 7000 ? Math.round(dts + (random() - 0.5) * (random() < 0.8 ? 5000 : 1e9)) : dts;
    const steps = plan(clips.plain, { stamp });
    const watchers = await uninterrupted('nonsense', steps, 9000);
    for (const watcher of watchers) {
      const [video, audio] = fates(watcher, steps);
      const off = [...video, ...audio].map(({ dts, when }) => dts - when - (video[0].dts - video[0].when));
      t.diagnostic(`${watcher.protocol}: dts strays ${Math.min(...off)} to ${Math.max(...off)} ms`);
      assert.ok(
        Math.max(...off) < 5000 && Math.min(...off) > -1000,
        `${watcher.protocol}: ${Math.min(...off)} to ${Math.max(...off)} ms`,
      );
    }
  });

  /** A clip ten times, for a machine that takes long to join viewers. */
  const overAndOver = (clip) => {
    const length = clip.frames.at(-1).dts + 40;
    return Array.from({ length: 10 }, (_, n) => {
      const later = (tag) => tag.dts + n * length;
      return plan(clip, { when: later, stamp: later, headersAt: n * length });
    }).flat();
  };

  test('a viewer that joins in grace, or after a return with other settings, gets all frames', DEADLINE, async () => {
    const late = [];
    const join = async () => late.push(...await Promise.all(Object.entries(PROTOCOLS)
      .map(async ([protocol, open]) => Object.assign(await open(hub, 'live/newcomers'), { protocol }))));
    for (const clip of [clips.plain, clips.large, clips.rate, clips.silent, clips.reordered]) {
      const { client, source } = await publish('newcomers', overAndOver(clip));
      for (const wait of [0, 150, 400]) {
        await new Promise((resolve) => { setTimeout(resolve, wait); });
        await join();
      }
      await Promise.all(late.map((w) => more(w, 10, VIDEO)));
      source.stop();
      await client.close();
      await until(async () => (await hub.stream('live/newcomers')).state === 'grace', 'the publisher to be gone');
      await join();
      await Promise.all(late.slice(-3).map((w) => until(() => media(w).length > 0, 'the last picture of who is away')));
    }
    assert.deepEqual(failures(late), []);
    late.forEach((w) => w.close());
    for (const watcher of late) assert.deepEqual(stepsBack(watcher, INTERLEAVE), [], watcher.protocol);
    while (late.length) {
      await Promise.all(late.splice(0, 6).map(async (watcher) =>
        assert.equal(await complaints(fileOf(watcher)), '', `ffmpeg decodes what came by ${watcher.protocol}`)));
    }
  });

  test('the same key takes over from a publisher that is still sending', DEADLINE, async (t) => {
    const began = performance.now();
    const one = await publish('twice', plan(clips.plain));
    await untilWatchable(hub, 'live/twice');
    const watchers = await watchEverywhere(hub, 'live/twice');
    await Promise.all(watchers.map(settled));
    const other = await openStream(hub.rtmp);
    await assert.rejects(other.publish('twice?key=other'), /BadName: stream is already live with another key/);

    const asked = performance.now();
    const two = await publish('twice', plan(clips.large));
    t.diagnostic(`taken over ${(performance.now() - asked).toFixed(0)} ms after the question`);
    await one.client.closed;
    t.diagnostic(`the old connection was ended ${(performance.now() - asked).toFixed(0)} ms after it`);
    await Promise.all(watchers.map((w) => more(w, 60)));
    two.source.stop();
    assert.deepEqual(failures(watchers), []);
    for (const watcher of watchers) {
      assert.deepEqual(stepsBack(watcher, INTERLEAVE), []);
      const off = drift(media(watcher).filter((tag) => tag.at < asked), media(watcher).slice(-60));
      const allowed = TOLERANCE + lagSince(began);
      assert.ok(Math.abs(off) < allowed, `dts keeps step with the clock within ${allowed} ms, not ${off}`);
    }
    await decodes(watchers);
    await two.client.close();
    watchers.forEach((w) => w.close());
  });

  test(
    'while a stream waits for its publisher, another key that the gate allows continues it',
    DEADLINE,
    async () => {
      const one = await publish('heir', plan(clips.plain));
      await untilWatchable(hub, 'live/heir');
      const watchers = await watchEverywhere(hub, 'live/heir');
      await one.client.close();
      await until(async () => (await hub.stream('live/heir')).state === 'grace', 'live/heir to wait');
      const two = await openStream(hub.rtmp);
      two.setChunkSize(4096);
      await two.publish('heir?key=another');
      const source = replay(two, plan(clips.plain));
      await Promise.all(watchers.map((w) => more(w, 20)));
      source.stop();
      await two.close();
      watchers.forEach((w) => w.close());
    },
  );
});
