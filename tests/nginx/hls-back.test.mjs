// A live HLS playlist that reaches back into the recording: one list without a seam, the same media from the hub and
// from the file, and no recorded past for those who may only view.
//
// DUOLU_HLS_SECONDS makes it longer.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { makeClip, plan, replay } from '../lib/clips.mjs';
import { holdDisk, noHeldDisk } from '../lib/disks.mjs';
import { LowLatencyClient, PlainClient } from '../lib/hls-client.mjs';
import { ALL, Reacher, bytesOf, decoded, judge, packetTimes, reachOf, sourceOf, startBack, steady }
  from '../lib/hls-back.mjs';
import { HlsClient, publish } from '../lib/hls.mjs';
import { countPictures, newFolder } from '../lib/history.mjs';
import { workerAt } from '../lib/hub.mjs';
import { lagSince } from '../lib/lag.mjs';
import { start } from '../lib/media.mjs';
import { until, untilGone } from '../lib/nginx.mjs';
import { Recordings } from '../lib/recording.mjs';
import { keyFrame, openStream } from '../lib/rtmp.mjs';
import { untilWatchable } from '../lib/watch.mjs';

const SECONDS = Number(process.env.DUOLU_HLS_SECONDS ?? 30);
const DEADLINE = { timeout: 180_000 + 4000 * SECONDS };
const HEARD = 1024 / 44100;             // seconds of a frame of sound
const PACE = 0.013;                     // seconds that the recorder may move sound: SOUND_DRIFT
const VIDEO = 9;

const root = newFolder();
const recordings = new Recordings(root);
let hub;
before(async () => {
  hub = await startBack({ root, workers: 3, expectCrash: true, listenHls: 'sndbuf=32k' });
});
after(async () => {
  await hub?.stop();
  fs.rmSync(root, { recursive: true });
});

const watcher = (stream, { agent = 'watcher', ...over } = {}) =>
  new HlsClient(hub, stream, { agent, over: { a: 'watch', ...over } });

/** A client of STREAM, and a list of it whose first COUNT segments only the recording has. */
async function reaching(stream, count = 2, options) {
  const client = watcher(stream, options);
  await client.ready(2);
  let list;
  let answer;
  await until(async () => {
    list = await client.list(`?window=${ALL}`);
    answer = await client.get(list.segments[Math.min(count, list.segments.length) - 1].uri, { method: 'HEAD' });
    return list.segments.length > count && isRecorded(answer);
  }, `${count} segments of ${stream} to be in the recording alone`)
    .catch((error) => assert.fail(`${error.message}: ${answer?.status} ${answer?.headers.etag}\n${list?.text}`));
  return { client, list };
}

const isRecorded = ({ headers: { etag } }) => /-r"$/.test(etag);

/** Publishes NAME until the test ends. */
async function live(t, name, media) {
  const source = await publish(hub, name, media);
  t.after(() => source.stop());
  return source;
}

const filesOf = (stream) => recordings.files(stream).map((file) => path.join(root, file));

/** As the service does when a recording is too old. */
function remove(file) {
  fs.rmSync(file.replace(/mp4$/, 'm3u8'));
  fs.rmSync(file);
}

const ended = async (stream) => {
  await until(async () => !await hub.stream(stream), `the end of ${stream}`);
};

/** Sends the plan as the owner of NAME; {client, done}. */
async function play(t, name, steps) {
  const client = await openStream(hub.rtmp);
  t.after(() => client.close());
  client.setChunkSize(4096);
  client.sendMeta();
  await client.publish(`${name}?key=mine`);
  const { done } = replay(client, steps);
  done.catch(() => {});
  return { client, done };
}

function clients(t, name, { window = ALL, like, Kind = PlainClient } = {}) {
  const source = sourceOf(hub, `live/${name}`, { window, like });
  const client = new Kind(source).start();
  t.after(() => client.stop().catch(() => {}));
  return client;
}

/** All clients see the end of the list. If the machine stood still, one for low latency may have missed parts. */
const atEnd = async (all) => {
  for (const client of all) {
    await client.until(() => client.list?.ended, 'the end of the list');
    await client.done;
    client.check();
  }
  assert.equal(all[0].source.report.text, '');
  const stood = lagSince(-Infinity) > 1000;
  const strict = all.filter((client) => !(stood && client instanceof LowLatencyClient));
  assert.deepEqual(strict.map(({ missed }) => missed), strict.map(() => 0), 'segments or parts that were gone');
};

describe('a live list that reaches back', { concurrency: 8 }, () => {
  test('is one run from the recording into the hub, of the same media in both', DEADLINE, async (t) => {
    const clip = await makeClip({ seconds: SECONDS, fps: 30, gop: 30, bframes: 2 });
    const steps = plan(clip);
    const sent = clip.frames.filter(({ type }) => type === VIDEO).length;
    const { client: publisher, done } = await play(t, 'film', steps);
    await untilWatchable(hub, 'live/film');
    const early = clients(t, 'film', { Kind: LowLatencyClient });
    await early.until(() => early.list, 'the first list');
    const { client, list: first } = await reaching('live/film', 3);
    const kept = new Map();             // of the segments that are in the hub: their bytes
    const near = await client.list();
    const [one] = near.segments;
    const init = (await client.get(one.map.uri)).body;
    kept.set(one.uri, await client.get(one.uri));
    assert.doesNotMatch(kept.get(one.uri).headers.etag, /-r"$/, 'it is in the hub');

    // two more clients begin at the oldest segment of the window, one of them in the recording
    const like = early.source;
    const late = clients(t, 'film', { like });
    const short = clients(t, 'film', { window: 8, like });
    const player = start('ffmpeg', ['-nostdin', '-v', 'error', '-live_start_index', '0', '-i', late.source.url,
      '-c', 'copy', '-f', 'mpegts', path.join(root, 'film.ts')]);
    const gst = start('gst-launch-1.0', ['-q', 'souphttpsrc', `location=${late.source.url}`, '!', 'hlsdemux', '!',
      'qtdemux', 'name=d', 'd.video_0', '!', 'queue', '!', 'h264parse', '!', 'mpegtsmux', '!', 'filesink',
      `location=${path.join(root, 'gst.ts')}`]);
    t.after(() => Promise.all([player, gst].map((one) => one.stop())));
    await done;
    await publisher.ping();
    await publisher.close();
    await atEnd([late, early, short]);
    t.diagnostic(`${late.lists} lists; ${late.recorded} segments from the recording, ${late.source.media.again} from `
      + `both; ${late.pictures.length} of ${sent} pictures; low latency: ${early.lists} lists, ${early.deltas} deltas`);
    assert.ok(late.recorded >= 3, `${late.recorded} segments came from the recording`);
    assert.ok(late.source.media.again >= 3, `${late.source.media.again} segments came from both`);
    assert.equal(late.list.sequence, first.sequence, 'an hour has not passed');
    for (const each of [early, late]) assert.equal(each.pictures.length, sent, 'all pictures');
    assert.deepEqual(late.holes.filter((ms) => Math.abs(ms) > 100), []);

    // the hub has no byte of it any more
    await ended('live/film');
    const whole = await bytesOf(client, late.list);
    const frames = await decoded(whole);
    assert.equal(frames.filter(({ kind }) => kind === 'video').length, sent);
    const times = await packetTimes(whole);
    steady(times.video, { step: 1 / 30, apart: 0.0011, what: 'picture' });
    steady(times.audio, { step: HEARD, apart: PACE, what: 'frame of sound' });

    const again = await client.get(one.uri);
    assert.match(again.headers.etag, /-r"$/, 'it is in the recording alone');
    const [was, is] = await Promise.all([kept.get(one.uri), again]
      .map(({ body }) => decoded(Buffer.concat([init, body]))));
    assert.equal(is.length, was.length);
    for (const kind of ['video', 'audio']) {
      const [from, to] = [was, is].map((list) => list.filter((frame) => frame.kind === kind));
      assert.deepEqual(to.map(({ hash }) => hash), from.map(({ hash }) => hash), `decoded ${kind}`);
      to.forEach(({ pts }, i) => assert.ok(Math.abs(pts - from[i].pts) <= (kind === 'video' ? 0.0006 : 2 * PACE),
        `${kind} ${i} is at ${pts} s, was at ${from[i].pts} s`));
    }

    for (const [name, one] of Object.entries({ ffmpeg: player, hlsdemux: gst })) {
      await until(() => one.code !== undefined, `${name} to see the end of the list`);
      assert.deepEqual([one.code, one.text], [0, ''], name);
    }
    t.diagnostic(`hlsdemux: ${await countPictures(path.join(root, 'gst.ts'), { silent: false })} pictures`);
    assert.equal(await countPictures(path.join(root, 'film.ts'), { silent: false }), sent, 'what ffmpeg played');
  });

  test('goes on over a publisher that is away, and over other headers', DEADLINE, async (t) => {
    const [small, large] = await Promise.all([{ bframes: 2 }, { size: '640x360' }]
      .map((more) => makeClip({ seconds: 22, fps: 25, gop: 25, ...more })));
    let name;
    let early;
    let second;
    for (let times = 1; ; times++) {
      name = `turns${times}`;
      const first = await play(t, name, plan(small, { to: 6000 }));
      await untilWatchable(hub, `live/${name}`);
      early = clients(t, name, { Kind: LowLatencyClient });
      await first.done;
      await first.client.close();
      await until(async () => (await hub.stream(`live/${name}`)).state === 'grace', 'grace');
      await new Promise((resolve) => { setTimeout(resolve, 2000); });
      // its sound comes before its first key frame, and HLS leaves it out
      second = await play(t, name, plan(small, { from: 8800,
        keep: ({ type, dts }) => type !== VIDEO || dts >= 9000 }));
      await second.done;
      // Once, beside eight busy loops, this list had nothing from the recording. A list never goes back to what the
      // recorder wrote too late, so the publisher begins again, and the list is printed.
      const list = await watcher(`live/${name}`).list(`?window=${ALL}`);
      const [, , third] = list.segments;
      if (third && isRecorded(await watcher(`live/${name}`).get(third.uri, { method: 'HEAD' }))) break;
      t.diagnostic(`${name}: not from the recording: ${third?.uri}\n${list.text}`);
      assert.ok(times < 3, 'the list reaches into the recording');
      await early.stop();
      await second.client.close();
    }
    const late = clients(t, name, { like: early.source });
    await late.until(() => late.recorded >= 2, 'segments from the recording');
    await second.client.close();
    const third = await play(t, name, plan(large, { to: 6000 }));
    await third.done;
    await third.client.ping();
    await third.client.close();
    await atEnd([late, early]);
    assert.ok(late.recorded >= 2, `${late.recorded} segments came from the recording`);
    assert.equal(late.breaks, 1, 'EXT-X-DISCONTINUITY where the size changes, and there alone');
    assert.equal(late.source.inits.size, 2);
    assert.equal(late.pictures.length, early.pictures.length, 'the early and the late client saw the same');
    const [away, ...others] = [...late.holes].sort((x, y) => y - x);
    assert.ok(away > 1500, `the dates tell that the publisher was away: ${late.holes}`);
    assert.ok(others.every((ms) => ms <= 1000 + lagSince(-Infinity)), `and nothing else: ${late.holes}`);
  });

  test('ends where recording was off, and reaches back again later', DEADLINE, async (t) => {
    await live(t, 'pause');
    await reaching('live/pause', 3);
    const reacher = new Reacher(hub, 'live/pause');
    const { sequence } = await reacher.look();
    reacher.cut = true;
    await hub.control('record?stream=live/pause&on=0');
    const short = await reacher.until((list) => list.sequence > sequence + 3 && list.segments.length < 10,
      'the list to be the hub\'s alone');
    await reacher.follow(2000);
    await hub.control('record?stream=live/pause&on=1');
    const long = await reacher.until((list) => list.segments.length > 10, 'the list to reach back again');
    assert.ok(long.sequence > short.sequence, 'not over what is not recorded');
    reacher.check();
    assert.ok(reacher.recorded.size > 3);
  });

  test('begins later when its oldest file is removed', DEADLINE, async (t) => {
    await live(t, 'old');
    await until(() => filesOf('live/old').length >= 3, 'three files', 60_000);
    const { client, list } = await reaching('live/old', 4);
    const reacher = new Reacher(hub, 'live/old');
    await reacher.look();
    const slow = client.hold(list.segments[0].uri);
    reacher.cut = true;
    const before_ = new Set(list.segments.map(({ uri }) => uri));
    remove(filesOf('live/old')[0]);
    await reacher.until(({ sequence }) => sequence > list.sequence, 'another beginning');
    assert.ok([200, 404, undefined].includes((await slow.answer)?.status), 'who was reading gets it, or an end');
    reacher.missing = [];
    const left = await reacher.follow(3000);
    reacher.check();
    assert.ok(left.segments.length > 3 && left.sequence > list.sequence);
    const gone = await Promise.all([...before_].map(async (uri) => [uri, (await client.get(uri)).status]));
    const listed = new Set(left.segments.map(({ uri }) => uri));
    assert.ok(gone.every(([uri, status]) => status === (listed.has(uri) ? 200 : 404)), JSON.stringify(gone));
    assert.ok(gone.some(([, status]) => status === 404));
  });

  test('has nothing of an earlier stream of that name', DEADLINE, async (t) => {
    const first = await publish(hub, 'again');
    const { list: old, client } = await reaching('live/again', 3);
    await first.stop();
    await ended('live/again');
    await live(t, 'again');
    const reacher = new Reacher(hub, 'live/again');
    await until(async () => await reacher.look({ names: false }), 'a list');
    const list = await reacher.until(({ segments }) => segments.length > 12, 'recorded segments of the new stream');
    const session = ([{ uri }]) => uri.split('-')[0];
    assert.notEqual(session(list.segments), session(old.segments));
    assert.ok(list.sequence >= old.end, `numbers grow: ${list.sequence}, before ${old.end}`);
    reacher.check();
    for (const { uri } of old.segments.slice(0, 3)) {
      const { status, body } = await client.get(uri);
      assert.ok(status === 404 || (status === 200 && body.length > 4000), `${uri}: ${status}`);
    }
  });

  test('that nobody records is the hub\'s alone', DEADLINE, async (t) => {
    await live(t, 'off');
    const client = watcher('live/off');
    const [gone] = (await client.ready(3)).segments;
    await until(async () => (await client.get(gone.uri)).status === 404, 'a segment to be gone');
    assert.equal(await reachOf(client), 0);
  });

  test('ended: what it named can be read on, though the stream is gone', DEADLINE, async () => {
    const source = await publish(hub, 'ending');
    await reaching('live/ending', 3);
    const reacher = new Reacher(hub, 'live/ending');
    await reacher.look();
    await source.stop();
    const list = await reacher.until((one) => one.ended, 'the end of the list');
    await ended('live/ending');
    const began = performance.now();
    while (performance.now() - began < 12_000) {
      for (const { uri, map } of list.segments) {
        for (const file of [uri, map.uri]) {
          const { status, text } = await reacher.get(file, { method: 'HEAD' });
          assert.equal(status, 200, `${file} after ${Math.round(performance.now() - began)} ms: ${text}`);
        }
      }
    }
    reacher.check();
  });
});

describe('rights to the recorded past', { concurrency: 4 }, () => {
  const STREAM = 'live/secret';
  let source;
  let watch;
  let list;
  let view;
  let recorded;                         // {uri, etag} of a segment that the hub no longer has

  before(async () => {
    source = await publish(hub, 'secret');
    ({ client: watch, list } = await reaching(STREAM, 4));
    view = new HlsClient(hub, STREAM, { agent: 'viewer' });
    const [{ uri }] = list.segments;
    const { status, headers, body } = await watch.get(uri);
    assert.equal(status, 200);
    assert.match(headers.etag, /-r"$/);
    recorded = { uri, etag: headers.etag, size: body.length };
  });
  after(() => source?.stop());

  /** The statuses of 12 requests, each on a connection of its own, so that all workers answer. */
  async function statuses(client, file, options) {
    const found = new Set();
    for (let i = 0; i < 12; i++) {
      const { status, body } = await client.get(file, options);
      found.add(status);
      if (status >= 300) assert.ok(body.length < 500, 'a refusal has no media');
    }
    return [...found];
  }

  test('a token for view gets the hub\'s list, whatever window it names', DEADLINE, async () => {
    for (let i = 0; i < 12; i++) {
      await watch.list(`?window=${ALL}`);                   // this text is not for others
      const [far, near] = await Promise.all([view.get(`live.m3u8?window=${ALL}`), view.get('live.m3u8')]);
      assert.equal(far.status, 200);
      const [with_, without] = [far, near].map(({ text }) => judge(text));
      assert.ok(with_.segments.length <= without.segments.length + 1, `${with_.segments.length} segments`);
      if (far.headers.etag === near.headers.etag) assert.equal(far.text, near.text);
    }
    const index = await view.get(`index.m3u8?window=${ALL}`);
    assert.equal(index.status, 200);
  });

  const asks = {
    'GET': {},
    'HEAD': { method: 'HEAD' },
    'Range': { headers: { range: 'bytes=0-99' } },
    'If-Range': () => ({ headers: { 'range': 'bytes=0-99', 'if-range': recorded.etag } }),
    'If-None-Match with its ETag': () => ({ headers: { 'if-none-match': recorded.etag } }),
    'If-None-Match: *': { headers: { 'if-none-match': '*' } },
    'If-Modified-Since': { headers: { 'if-modified-since': new Date(Date.now() + 3600_000).toUTCString() } },
  };
  for (const [name, options] of Object.entries(asks)) {
    test(`a recorded segment is 404 for a token for view: ${name}`, DEADLINE, async () => {
      const how = typeof options === 'function' ? options() : options;
      assert.equal((await watch.get(recorded.uri, how)).status < 400, true);
      assert.deepEqual(await statuses(view, recorded.uri, how), [404]);
      assert.deepEqual(await statuses(view, `${recorded.uri}?window=${ALL}`, how), [404]);
    });
  }

  test('what the hub has is there for both', DEADLINE, async () => {
    const near = await view.list();
    for (const uri of [near.segments.at(-1).uri, near.parts.at(-1).uri, near.parts.at(-1).map.uri, near.hint])
      for (const client of [view, watch]) assert.deepEqual(await statuses(client, uri), [200], uri);
  });

  test('tokens for replay, publish, or another stream: 403', DEADLINE, async () => {
    for (const [over, stream] of [[{ a: 'replay' }, STREAM], [{ a: 'publish' }, STREAM], [{ a: 'watchx' }, STREAM],
      [{ a: 'watch', s: 'live/other' }, STREAM]]) {
      const client = new HlsClient(hub, stream, { agent: 'odd', over });
      for (const file of [`live.m3u8?window=${ALL}`, recorded.uri])
        assert.deepEqual(await statuses(client, file), [403], `${JSON.stringify(over)} ${file}`);
    }
  });

  test('the names of another stream: 404', DEADLINE, async (t) => {
    await live(t, 'other');
    const { client, list: others } = await reaching('live/other', 2);
    assert.deepEqual(await statuses(client, recorded.uri), [404]);
    assert.deepEqual(await statuses(watch, others.segments[0].uri), [404]);
    const [, session, number] = /^([0-9a-f]+)-(\d+)/.exec(recorded.uri);
    for (const odd of [`${session}-${number - 100000}.m4s`, `${session}-${number}.0.m4s`, `${session}-init-99.mp4`,
      `${session}-0${number}.m4s`, `../other/${others.segments[0].uri}`, `..%2fother%2f${others.segments[0].uri}`]) {
      const [status, ...more] = await statuses(watch, odd);
      assert.ok([400, 403, 404].includes(status) && more.length === 0, `${odd}: ${status} ${more}`);
    }
  });

  test('Range, If-None-Match and If-Range for a token for watch', DEADLINE, async () => {
    const whole = await watch.get(recorded.uri);
    assert.equal(Number(whole.headers['content-length']), whole.body.length);
    assert.equal(whole.headers['content-type'], 'video/mp4');
    assert.match(whole.headers['cache-control'], /immutable/);
    const head = await watch.get(recorded.uri, { method: 'HEAD' });
    for (const name of ['content-length', 'etag', 'content-type', 'cache-control'])
      assert.equal(head.headers[name], whole.headers[name], name);
    const size = whole.body.length;
    for (const [value, from, to] of [['bytes=0-0', 0, 1], ['bytes=100-1999', 100, 2000],
      ['bytes=-77', size - 77, size], [`bytes=${size - 9}-`, size - 9, size]]) {
      const { status, headers, body } = await watch.get(recorded.uri, { headers: { range: value } });
      assert.equal(status, 206, value);
      assert.equal(headers['content-range'], `bytes ${from}-${to - 1}/${size}`);
      assert.ok(body.equals(whole.body.subarray(from, to)), value);
    }
    const ask = async (headers) => (await watch.get(recorded.uri, { headers })).status;
    assert.equal(await ask({ range: `bytes=${size}-` }), 416);
    assert.equal(await ask({ 'if-none-match': recorded.etag }), 304);
    assert.equal(await ask({ 'if-none-match': '"other"' }), 200);
    assert.equal(await ask({ 'range': 'bytes=0-9', 'if-range': recorded.etag }), 206);
    const live_ = recorded.etag.replace(/-r"$/, '"');
    assert.equal(await ask({ 'range': 'bytes=0-9', 'if-range': live_ }), 200, 'a range of other bytes');
    for (const answer of await watch.getFromAll(recorded.uri)) assert.ok(answer.body.equals(whole.body), 'all workers');
  });

  test('a revocation ends a held list and a slow answer within 2 s, and refuses the rest', DEADLINE, async (t) => {
    await live(t, 'heavy', { key: keyFrame(1_000_000) });
    const { client, list: heavy } = await reaching('live/heavy', 2, { sub: '78', agent: 'gone' });
    const near = await client.list();
    const held = client.hold(`live.m3u8?window=${ALL}&_HLS_msn=${near.end + 1}`);
    const slow = client.hold(heavy.segments[0].uri);
    const reading = new Promise((resolve) => {
      slow.request.on('response', (response) => { response.pause(); resolve(response); });
    });
    const response = await reading;
    const closed = new Promise((resolve) => { response.on('close', resolve); response.on('aborted', resolve); });
    await until(() => held.request.socket?.bytesWritten > 0, 'the request to be sent');
    await client.list();
    const began = performance.now();
    await hub.control('revoke?user=78');
    assert.equal((await held.answer).status, 403);
    assert.ok(performance.now() - began < 2500, `${performance.now() - began} ms`);
    for (const file of [`live.m3u8?window=${ALL}`, 'live.m3u8', heavy.segments[0].uri, heavy.segments[0].map.uri])
      assert.deepEqual(await statuses(client, file), [403], file);
    await until(() => performance.now() - began > 2500, '2.5 s to pass');
    response.resume();
    await closed;
    assert.equal(response.complete, false, 'a slow answer ended before its end');

    // who may no longer replay gets another token, for view, and watches on
    const viewer = new HlsClient(hub, 'live/heavy', { agent: 'gone', over: { sub: '78',
      iat: Math.floor(Date.now() / 1000) + 1 } });
    await until(async () => (await viewer.get('live.m3u8')).status === 200, 'a later token to be good');
    assert.deepEqual(await statuses(viewer, heavy.segments[0].uri), [404]);
  });
});

describe('a list that reaches back, in trouble', () => {
  test('never goes back where the disk was late', { ...DEADLINE, skip: noHeldDisk() }, async (t) => {
    const source = await live(t, 'slow');
    await reaching('live/slow', 3);
    const reacher = new Reacher(hub, 'live/slow');
    const before_ = await reacher.look();
    reacher.cut = true;
    const held = await holdDisk(workerAt(hub, hub.nginx.ports.rtmp, source.client.socket.localPort));
    try {
      const far = before_.sequence + before_.segments.length + 8;
      await until(async () => (await reacher.client.list()).end > far, 'segments that no file has yet');
      await reacher.look({ names: false });
    } finally {
      t.diagnostic(`${await held.release()} calls were held`);
    }
    reacher.missing = [];
    const behind = await reacher.follow(2000);
    const list = await reacher.until(({ segments }) => segments.length > behind.segments.length + 3, 'a longer list');
    t.diagnostic(`from ${before_.sequence} to ${behind.sequence}, then from ${list.sequence}`);
    reacher.check();
  });

  test('loses nothing by a reload, and goes on after the SIGKILL of each worker', DEADLINE, async (t) => {
    let source = await publish(hub, 'tough');
    let going = true;
    t.after(() => { going = false; return source.stop(); });
    source.client.closed.then(async function again() {      // as encoders do
      if (!going) return;
      source = await publish(hub, 'tough').catch(() => source);
      source.client.closed.then(again);
    });
    await reaching('live/tough', 3);
    const reacher = new Reacher(hub, 'live/tough');
    const first = await reacher.look();
    const old = hub.nginx.workers();
    await hub.nginx.reload();
    const behind = await reacher.until(({ segments }) => segments.length > first.segments.length + 3, 'more segments');
    assert.equal(behind.sequence, first.sequence, 'new workers list what the old ones did');
    reacher.check();
    reacher.cut = true;                                   // what was not yet written may be lost
    source.client.close();                                // it is in an old worker, which ends then
    await untilGone(old, 'the replaced workers');
    await until(async () => (await hub.stream('live/tough'))?.state === 'live', 'the publisher to be back');
    for (const victim of hub.nginx.workers()) {
      hub.nginx.kill('SIGKILL', victim);
      await until(async () => {
        const now = hub.nginx.workers();
        const listed = (await hub.status()).workers.map(({ pid }) => pid);
        return now.length === 3 && !listed.includes(victim) && now.every((pid) => listed.includes(pid));
      }, 'another worker instead of the killed one');
      await reacher.follow(1500);
      reacher.check();
    }
    await until(async () => (await hub.stream('live/tough'))?.state === 'live', 'the publisher to be back');
    const { end } = await reacher.client.list();
    await reacher.until((list) => list.sequence + list.segments.length > end + 8 && list.segments.length > 10,
      'the list to reach back again');
    reacher.check();
    t.diagnostic(`${reacher.lists} lists, ${reacher.refused} connections ended with their worker`);
  });
});
