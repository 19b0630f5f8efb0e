// How the page chooses the way by which live comes, and what it computes for it; needs
// neither browser nor stack.

import assert from 'node:assert/strict';
import path from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';

const js = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../html/js');
const load = (name) => import(pathToFileURL(path.join(js, name)));
const minute = 60_000;

after(() => { delete globalThis.window; });

/** The ways of a browser, best first. */
async function waysHere({ mse = true, managed = false, native = false, forced = null }) {
  const { LiveWays } = await load('live-ways.js');
  const source = { isTypeSupported: () => true };
  globalThis.window = {
    ...(mse ? { MediaSource: source } : {}),
    ...(managed ? { ManagedMediaSource: source } : {}),
  };
  const video = { canPlayType: (type) => (native && type === 'application/vnd.apple.mpegurl' ? 'maybe' : '') };
  return new LiveWays(video, forced);
}

test('a browser gets the best way that it has', async () => {
  const both = ['flv', 'llhls', 'hls'];
  for (const [browser, names, Last] of [
    [{}, both, 'PlainHls'],
    [{ native: true }, both, 'NativeWay'],
    [{ mse: false, managed: true, native: true }, both, 'NativeWay'],
    [{ mse: false, native: true }, ['hls'], 'NativeWay'],
    [{ mse: false }, [], 'PlainHls'],
    [{ forced: 'llhls' }, ['llhls'], 'PlainHls'],
    [{ mse: false, native: true, forced: 'flv' }, [], 'NativeWay'],
  ]) {
    const ways = await waysHere(browser);
    assert.deepEqual(ways.choice.ways.map(({ name }) => name), names, JSON.stringify(browser));
    assert.equal(ways.classes.hls.name, Last, JSON.stringify(browser));
    assert.equal(ways.next(0), ways.classes[names[0]]);
  }
});

test('a way that never played has one try; one that played has three, since a network may be away', async () => {
  const { Choice } = await load('live-choice.js');
  const choice = new Choice(['flv', 'llhls', 'hls']);
  assert.equal(choice.fails(0), true);
  assert.deepEqual([choice.name, choice.isFallback], ['llhls', true]);
  choice.works();
  assert.equal(choice.fails(0) || choice.fails(0), false);
  assert.equal(choice.name, 'llhls');
  assert.equal(choice.fails(0), true);
  assert.equal(choice.name, 'hls');
  assert.equal(choice.fails(0), false, 'all have failed: the best one again, after a pause');
  assert.equal(choice.name, 'flv');
  assert.equal(choice.isFallback, false);

  const only = new Choice(['hls']);
  assert.equal(only.fails(0), false);
  assert.equal(only.name, 'hls');
});

test('the best way comes back after a minute, and later each time that it fails again', async () => {
  const { Choice } = await load('live-choice.js');
  const choice = new Choice(['flv', 'llhls']);
  choice.fails(0);
  choice.works();
  assert.equal(choice.due(minute - 1), null);
  assert.equal(choice.due(minute), 'flv');
  choice.notYet('flv', minute);
  assert.equal(choice.due(3 * minute - 1), null);
  assert.equal(choice.due(3 * minute), 'flv');
  choice.take('flv');
  assert.equal(choice.due(3 * minute), null, 'nothing is better than the best');
  assert.equal(choice.fails(3 * minute), true);
  assert.equal(choice.due(7 * minute), 'flv');
  for (let time = 7 * minute; time < 60 * minute; time += minute) if (choice.due(time)) choice.notYet('flv', time);
  assert.equal(choice.due(75 * minute), 'flv', 'a quarter of an hour at most');
  choice.take('flv');
  choice.works();
  for (let misses = 0; misses < 3; misses += 1) choice.fails(80 * minute);
  assert.equal(choice.due(81 * minute), 'flv', 'after it worked, a minute again');
});

test('a better way is taken again only if it answers, and asked once at a time', async () => {
  const ways = await waysHere({});
  let answer;
  let asked = 0;
  ways.classes.flv = class {
    static answers() {
      asked += 1;
      return new Promise((resolve) => { answer = resolve; });
    }
  };
  ways.fails(0);
  assert.equal(await ways.returns(0, {}), false);
  assert.equal(asked, 0);
  const first = ways.returns(minute, {});
  assert.equal(await ways.returns(minute, {}), false);
  assert.equal(asked, 1);
  answer(false);
  assert.equal(await first, false);
  assert.equal(ways.name, 'llhls');
  const second = ways.returns(3 * minute, {});
  answer(true);
  assert.equal(await second, true);
  assert.equal(ways.next(3 * minute), ways.classes.flv);
  assert.equal(ways.name, 'flv');
});

test('?via= forces a way, in the hash or before it', async () => {
  const { formatRoute, parseRoute, viaIn } = await load('route.js');
  assert.equal(viaIn('?via=llhls'), 'llhls');
  assert.equal(viaIn('?x=1&via=hls'), 'hls');
  assert.equal(viaIn('?via=quic'), null);
  assert.equal(viaIn(''), null);
  for (const hash of ['#/watch/live/cam1?at=1795418065007&via=hls', '#/watch/live/cam1?via=flv',
    '#/wall/4?t=live/a&f=2&via=llhls']) {
    assert.equal(formatRoute(parseRoute(hash)), hash);
  }
  assert.equal(parseRoute('#/wall/4?via=no').via, null);
});

test('HLS lies beside FLV; an address takes the token of another', async () => {
  const { expiresSoon, playlistUrl, webSocketUrl, withTokenOf } = await load('media-url.js');
  const page = 'https://cam.example:8443/#/streams';
  const tokenUntil = (exp) => `${btoa('{}')}.${btoa(JSON.stringify({ exp }))}.sig`;
  assert.equal(playlistUrl('/m/T/live/cam.flv.flv', page), 'https://cam.example:8443/m/T/live/cam.flv/index.m3u8');
  assert.equal(webSocketUrl('/m/T/live/cam.flv', page), 'wss://cam.example:8443/m/T/live/cam.flv');
  const part = 'https://h/m/OLD/live/m/x/live.m3u8?_HLS_msn=2';
  assert.equal(withTokenOf(part, 'https://h/m/N$&W/live/m/x.flv'), 'https://h/m/N$&W/live/m/x/live.m3u8?_HLS_msn=2');
  assert.equal(withTokenOf(part, null), part);
  assert.equal(expiresSoon(`/m/${tokenUntil(1000)}/live/a.flv`, 1000_000 - 4 * minute), false);
  assert.equal(expiresSoon(`/m/${tokenUntil(1000)}/live/a.flv`, 1000_000 - 2 * minute), true);
});

test('HLS keeps its token until shortly before that expires: another one is another viewer', async (t) => {
  const { LowLatencyHls } = await load('live-hls.js');
  globalThis.location = { href: 'https://cam.example/#/' };
  t.after(() => { delete globalThis.location; });
  const urlUntil = (minutes, name) => {
    const payload = btoa(JSON.stringify({ exp: Math.round((Date.now() + minutes * minute) / 1000) }));
    return `/m/e30.${payload}.sig/live/cam${name}`;
  };
  const page = 'https://cam.example';
  let listed = urlUntil(700, '.flv');
  let renewals = 0;
  const way = new LowLatencyHls({}, { source: () => ({ url: listed }), renewToken: () => { renewals += 1; } });
  const valid = page + urlUntil(600, '/live.m3u8');
  assert.equal(way.renewed(valid), valid);
  const old = page + urlUntil(2, '/live.m3u8?_HLS_msn=7');
  assert.equal(way.renewed(old), page + listed.replace('.flv', '/live.m3u8?_HLS_msn=7'));
  assert.equal(renewals, 0);
  listed = urlUntil(2, '.flv');
  assert.equal(way.renewed(old), page + listed.replace('.flv', '/live.m3u8?_HLS_msn=7'));
  assert.equal(renewals, 1, 'the list has no newer one: it is fetched');
});

test('the browser\'s own player gets the playlist that reaches back, where the user may replay', async (t) => {
  const { NativeWay } = await load('live-native.js');
  globalThis.location = { href: 'https://cam.example/#/' };
  t.after(() => { delete globalThis.location; });
  const until = (minutes) => `e30.${btoa(JSON.stringify({ exp: Math.round(Date.now() / 1000) + 60 * minutes }))}.sig`;
  const source = (view, watch) => ({
    url: `/m/${until(view)}/live/cam.flv`,
    ...(watch ? { watch: `/m/${until(watch)}/live/cam/index.m3u8?window=600` } : {}),
  });
  const opened = (given) => {
    const video = Object.assign(new EventTarget(), { buffered: [] });
    let renewals = 0;
    const way = new NativeWay(video, { renewToken: () => { renewals += 1; } });
    way.open(given);
    return { way, video, get renewals() { return renewals; } };
  };
  const plain = source(600);
  assert.equal(opened(plain).video.src, `https://cam.example${plain.url.replace('.flv', '/index.m3u8')}`);
  const both = source(600, 600);
  assert.equal(opened(both).video.src, `https://cam.example${both.watch}`);

  // it keeps its token until shortly before that expires
  const old = opened(source(600, 2));
  assert.equal(opened(both).way.isOutdated(both), false);
  assert.equal(old.way.isOutdated(source(600, 2)), false);
  assert.equal(old.renewals, 1, 'the list has no newer one: it is fetched');
  assert.equal(old.way.isOutdated(both), true);
});

test('full screen on an iPhone, AirPlay and the lock screen have controls of their own', async (t) => {
  const { NativeWay } = await load('live-native.js');
  globalThis.document = { visibilityState: 'visible' };
  t.after(() => { delete globalThis.document; });
  const isInHand = (video) => new NativeWay(video, {}).isInHand;
  assert.equal(isInHand({}), false, 'a browser that knows none of them');
  assert.equal(isInHand({ webkitPresentationMode: 'inline', webkitCurrentPlaybackTargetIsWireless: false }), false);
  assert.equal(isInHand({ webkitPresentationMode: 'fullscreen' }), true);
  assert.equal(isInHand({ webkitPresentationMode: 'picture-in-picture' }), true);
  assert.equal(isInHand({ webkitCurrentPlaybackTargetIsWireless: true }), true);
  document.visibilityState = 'hidden';
  assert.equal(isInHand({}), true);
});

test('hls.js sees no dates, which would move its timeline after a gap; the page reads them', async () => {
  const { LowLatencyHls, withoutDates } = await load('live-hls.js');
  const list = '#EXTM3U\n#EXT-X-PROGRAM-DATE-TIME:2026-11-29T05:14:41.890Z\n#EXTINF:2,\na.m4s\n';
  const Loader = withoutDates(class {
    load(context, settings, { onSuccess }) { onSuccess({ data: list }, 'stats'); }
  });
  let got;
  new Loader().load({}, {}, { onSuccess: (...all) => { got = all; } });
  assert.deepEqual(got, [{ data: list.replace('EXT-X-PROGRAM-DATE-TIME', 'DATE') }, 'stats']);

  const way = new LowLatencyHls({ currentTime: 5 }, {});
  assert.equal(way.utc, NaN);
  const segment = (start, duration, date) => ({ start, duration, tagList: [['INF', '2'], ['DATE', date]] });
  way.details = {
    fragments: [segment(0, 2, '2026-11-29T05:00:00Z'), segment(2, 2, '2026-11-29T05:10:00Z')],
    fragmentHint: segment(4, 1.5, '2026-11-29T05:10:02Z'),
  };
  assert.equal(new Date(way.utc).toISOString(), '2026-11-29T05:10:03.000Z');
});

test('the fastest of some answers tells the server\'s clock', async () => {
  const { bestBase } = await load('server-clock.js');
  const base = 1_795_418_065_000;
  const sample = (sent, there, back) => ({ sent, received: sent + there + back, server: base + sent + there });
  assert.equal(bestBase([sample(0, 300, 20), sample(400, 10, 10), sample(500, 5, 60)]), base);
});

test('with HLS playback stays as far behind live as the playlist asks for', async () => {
  const { chase } = await load('timing.js');
  const limits = { target: 1.2, chaseAbove: 1.4, jumpAbove: 6.4 };
  for (const [behind, rate, jump, next] of [
    [1.3, 1, false, 1], [1.5, 1, false, 1.05], [1.3, 1.05, false, 1.05], [1.1, 1.05, false, 1], [3, 1, false, 1.1],
    [7, 1, true, 1],
  ]) {
    assert.deepEqual(chase(behind, rate, limits), { jump, rate: next }, `${behind} s at ${rate}`);
  }
});

test('stalls are forgotten after ten seconds without one, and later each time', async () => {
  const { Stalls } = await load('timing.js');
  const stalls = new Stalls();
  assert.equal(stalls.forget(1e6), false, 'there was none');
  let now = 0;
  for (const calm of [10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 600_000, 600_000]) {
    stalls.note(now);
    assert.equal(stalls.forget(now + calm - 1), false);
    stalls.note(now + 5);
    assert.equal(stalls.forget(now + calm), false, 'since the last one');
    assert.equal(stalls.forget(now + calm + 5), true);
    assert.equal(stalls.forget(now + calm + 6), false, 'once');
    now += calm + 10;
  }
});

test('low latency returns to the distance that the playlist asks for when stalls are forgotten', async () => {
  const { LowLatencyHls, PlainHls } = await load('live-hls.js');
  for (const [Way, distance] of [[LowLatencyHls, 1], [PlainHls, 6]]) {
    const way = new Way({}, {});
    way.hls = {};
    way.details = { partHoldBack: 1, holdBack: 6 };
    way.forgetStalls();
    assert.equal(way.hls.targetLatency, undefined);
    way.hlsFailed({ ErrorDetails: { BUFFER_STALLED_ERROR: 'stalled' } }, { details: 'stalled', fatal: false });
    way.stalls.calmMs = 0;
    way.forgetStalls();
    assert.equal(way.hls.targetLatency, distance);

    // the publisher was away: that stall is forgotten at once, and later ones as soon as before
    way.hls.targetLatency = distance + 1;
    way.stalls.calmMs = 10_000;
    way.hlsFailed({ ErrorDetails: { BUFFER_STALLED_ERROR: 'stalled' } }, { details: 'stalled', fatal: false });
    way.publisherCame();
    assert.deepEqual([way.hls.targetLatency, way.stalls.at, way.stalls.calmMs], [distance, undefined, 10_000]);
  }
});
