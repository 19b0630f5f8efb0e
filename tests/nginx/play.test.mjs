// Play over RTMP out of the hub, with two workers.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openIn, startHub, workerAt } from '../lib/hub.mjs';
import { privateKb, testConfig, until } from '../lib/nginx.mjs';
import { MSG, RtmpClient, RtmpPlayer, aacFrame, openPublisher, openStream } from '../lib/rtmp.mjs';

const DEADLINE = { timeout: 120_000 };
const USER = { EOF: 1, BUFFER: 3, PING: 6, PONG: 7 };

/** Frame `n`: every byte identifies it, and its end has its length. */
function frame(n, size, key) {
  const body = Buffer.alloc(5 + size, n & 255);
  body.set([key ? 0x17 : 0x27, 1, 0, 0, 0]);
  body.writeUInt32BE(n, size - 3);
  body.writeUInt32BE(size, size + 1);
  return body;
}

/**
 * The difference between a video message and the frame() that was sent, if any; the hub may put parameter sets before
 * a key frame.
 */
function strange({ type, payload }) {
  if (type !== MSG.VIDEO || payload[1] !== 1) return undefined;
  const [n, size] = [payload.readUInt32BE(payload.length - 8), payload.readUInt32BE(payload.length - 4)];
  const key = payload[0] === 0x17;
  const whole = size < payload.length && (key || size + 5 === payload.length)
    && payload.subarray(-size).equals(frame(n, size, key).subarray(5));
  return whole ? undefined : new Error(`frame ${n} of ${payload.length} bytes is torn`);
}

/** Publishes marked frames in real time until stopped; audio beside each. */
function feed(client, { size = 900, keySize = size, gop = 25, every = 40, from = 0 } = {}) {
  const source = { n: from, running: true };
  const next = () => {
    const key = (source.n - from) % gop === 0;
    client.sendVideo(source.n * every, frame(source.n, key ? keySize : size, key));
    client.sendAudio(source.n * every, aacFrame());
    source.n++;
  };
  next();
  const timer = setInterval(() => {
    if (client.ended) clearInterval(timer);
    else if (client.socket.writableLength < 4e6) next();
  }, every);
  timer.unref();
  source.stop = () => clearInterval(timer);
  return source;
}

const openSource = async (hub, name, options) => {
  const client = await openPublisher(`${name}?key=k-${name}`, { ...hub.rtmp, chunkSize: 65536 });
  const source = feed(client, options);
  await until(async () => (await hub.stream(`live/${name}`))?.state === 'live', `live/${name}`);
  return { client, source, stop: () => { source.stop(); return client.close(); } };
};

/** Sends `count` marked frames as fast as possible, each 40 ms of media time. */
async function pump(client, { from, count, size = 90_000, gop = 10 }) {
  for (let n = from; n < from + count; n++) {
    client.sendVideo(n * 40, frame(n, size, n % gop === 0));
    await client.drained();
  }
  await client.ping();
  return from + count;
}

const play = async (hub, name) => {
  const player = await RtmpPlayer.open(`${name}?token=t`, hub.rtmp);
  player.client.on((m) => { player.error ??= strange(m); });
  return player;
};

const workerOf = (hub, player) => workerAt(hub, hub.rtmp.port, player.client.socket.localPort);

/** One player of `name` in every worker. */
async function oneInEach(hub, name) {
  const kept = new Map();
  const missing = () => hub.nginx.workers().filter((pid) => !kept.has(pid));
  for (let attempt = 0; missing().length > 0; attempt++) {
    const player = await openIn(hub, missing(), attempt, () => play(hub, name));
    const pid = workerOf(hub, player);
    if (pid === undefined || kept.has(pid)) await player.close();
    else kept.set(pid, player);
  }
  return [...kept.values()];
}

const neverBack = (list, what) => {
  const at = list.findIndex((tag, i) => i > 0 && tag.dts < list[i - 1].dts);
  assert.equal(at, -1, `${what}: dts went from ${list[at - 1]?.dts} back to ${list[at]?.dts}`);
};
const byType = (player, type) => player.tags.filter((tag) => tag.type === type);
const marks = (tags) => tags.map((tag) => tag.mark);
const alive = (pid) => { try { return process.kill(pid, 0); } catch { return false; } };
const isUser = (m, event) => m.type === MSG.USER && m.payload.readUInt16BE(0) === event;
const hasStatus = (player, code) =>
  until(() => player.error || player.ended || player.statuses.includes(code), code).then(() => {
    assert.equal(player.error, undefined);
    assert.ok(player.statuses.includes(code), `${code}, it had ${player.statuses}`);
  });

describe('a player', { concurrency: 4 }, () => {
  let hub;
  before(async () => {
    hub = await startHub({
      ingest: 'hub_play on; play_flush 20ms; play_lag 20s;',
      main: 'hub_grace 2s;',
      answer: ({ SCRIPT_NAME, ARGS, NAME }) =>
        NAME === 'stall'
          ? undefined
          : SCRIPT_NAME === '/gate/play' && ARGS !== 'token=t'
            ? { allow: false, reason: 'wrong token' }
            : { allow: true, uid: 7, stream: 3 },
    });
  });
  after(() => hub.stop());

  test('gets the statuses of FMS, then headers and a key frame in the same write', DEADLINE, async () => {
    const source = await openSource(hub, 'start');
    await until(async () => (await hub.stream('live/start')).window_ms > 400, 'a window');
    const client = await openStream(hub.rtmp);
    const order = [];
    client.on((m) =>
      order.push(
        isUser(m, 0)
          ? 'begin'
          : m.type === MSG.CHUNK_SIZE
            ? `chunks of ${m.payload.readUInt32BE(0)}`
            : m.name === 'onStatus'
              ? m.values[3].code
              : (m.name ?? (m.payload[1] === 0 ? `header ${m.type}` : `frame ${m.type} ${m.payload[0] >> 4}`)),
      ),
    );
    const player = new RtmpPlayer(client);
    await client.play('start?token=t');
    await until(() => order.some((what) => what.startsWith('frame')), 'a frame');
    assert.deepEqual(order.slice(0, 9), ['chunks of 65536', 'begin', 'NetStream.Play.Reset', 'NetStream.Play.Start',
      '|RtmpSampleAccess', 'onMetaData', 'header 9', 'header 8', 'frame 9 1']);
    assert.equal(
      player.tags.find((tag) => tag.key).read,
      player.tags[0].read,
      'the key frame came with the answer, not with the next tick',
    );
    await player.close();
    await source.stop();
  });

  test('in either worker gets the same frames as an FLV viewer, each once', DEADLINE, async () => {
    const source = await openSource(hub, 'same', { size: 3000, keySize: 150_000 });
    const viewer = await hub.view('live/same');
    const players = await oneInEach(hub, 'same');
    await Promise.all([...players, viewer].map((one) => one.more(60)));
    source.source.stop();
    const last = source.source.n - 1;
    await until(
      () => [...players.map((p) => p.video()), viewer.flv.video()].every((list) => list.at(-1).mark === last),
      'the last frame everywhere',
    );
    assert.equal(viewer.error, undefined);
    for (const player of players) {
      assert.equal(player.error, undefined);
      const first = player.video()[0].mark;
      assert.ok(player.video()[0].key, 'it begins with a key frame');
      const flv = viewer.flv.tags.filter((tag) => tag.type === MSG.VIDEO && !tag.config && tag.mark >= first);
      assert.equal(flv[0].mark, first);
      assert.deepEqual(
        player.video().map(({ mark, dts, size }) => [mark, dts, size]),
        flv.map(({ mark, dts, size }) => [mark, dts, size]),
      );
      const audio = (tags) =>
        tags.filter((tag) => tag.type === MSG.AUDIO && !tag.config && tag.dts > flv[0].dts).map((tag) => tag.dts);
      assert.deepEqual(audio(player.tags), audio(viewer.flv.tags));
      await player.close();
    }
    viewer.close();
    await source.stop();
  });

  test('is refused with the reason, and disconnected afterwards', DEADLINE, async () => {
    const source = await openSource(hub, 'refuse');
    await Promise.all([
      ['refuse?token=bad', /StreamNotFound: wrong token/], ['refuse', /StreamNotFound: wrong token/],
      ['nothing?token=t', /StreamNotFound: not live/], ['a..b?token=t', /StreamNotFound: bad stream name: it has ".."/],
    ].map(async ([name, expected]) => {
      const client = await openStream(hub.rtmp);
      await assert.rejects(client.play(name), expected, name);
      const { error } = await client.closed;
      assert.equal(error, undefined, 'closed in order');
    }));
    await source.stop();
  });

  test('may have its token behind the application', DEADLINE, async () => {
    const source = await openSource(hub, 'apptoken');
    const client = await RtmpClient.open({ ...hub.rtmp, app: 'live?token=t' });
    await client.connect();
    await client.createStream();
    const player = new RtmpPlayer(client);
    await client.play('apptoken');
    await player.more(3);
    assert.equal(
      hub.gate.questions.find((q) => q.NAME === 'apptoken' && q.SCRIPT_NAME === '/gate/play').ARGS,
      'token=t',
    );
    await player.close();
    await source.stop();
  });

  test('cannot play or publish a second time, and its first play continues', DEADLINE, async () => {
    const source = await openSource(hub, 'once');
    const player = await play(hub, 'once');
    await player.more(3);
    await assert.rejects(
      player.client.play('once?token=t'),
      /Play\.Failed: this connection plays or publishes already/,
    );
    await assert.rejects(player.client.publish('other?key=a'), /Publish\.BadName: this connection plays already/);
    await player.more(5);
    await assert.rejects(
      source.client.play('once?token=t'),
      /Play\.Failed: this connection plays or publishes already/,
    );
    await player.more(5);
    await player.close();
    await source.stop();
  });

  test('may close its stream and play another on the same connection', DEADLINE, async () => {
    const [one, two] = [await openSource(hub, 'first'), await openSource(hub, 'second', { from: 5000 })];
    const player = await play(hub, 'first');
    await player.more(3);
    player.client.command('closeStream', null);
    await player.client.ping();
    player.tags.length = 0;
    await player.client.play('second?token=t');
    await player.more(30);
    assert.ok(
      marks(player.video()).every((mark, i, all) => mark >= 5000 && (i === 0 || mark === all[i - 1] + 1)),
      'all frames of the second, none of the first',
    );
    await player.close();
    await one.stop();
    await two.stop();
  });

  test('that repeats play causes one question at a time', DEADLINE, async () => {
    const client = await openStream(hub.rtmp);
    for (let i = 0; i < 50; i++) {
      client.command('play', null, 'stall?token=t', -2);
      client.command('closeStream', null);
    }
    await client.ping();
    await assert.rejects(client.play('stall?token=t'), /Play\.Failed/);
    const asked = () => hub.gate.questions.filter((q) => q.NAME === 'stall').length;
    await until(asked, 'the question');
    await (await openSource(hub, 'other')).stop();         // the gate has answered a later one
    assert.equal(asked(), 1);
    await client.close();
  });

  test('is reported at its end, with its bytes', DEADLINE, async () => {
    const source = await openSource(hub, 'report');
    const player = await play(hub, 'report');
    await player.more(30);
    await player.close();
    const done = await until(
      () => hub.gate.questions.find((q) => q.SCRIPT_NAME === '/gate/done' && q.NAME === 'report'),
      'the report',
    );
    const asked = hub.gate.questions.find((q) => q.SCRIPT_NAME === '/gate/play' && q.NAME === 'report');
    assert.deepEqual(
      [done.KIND, done.SESSION, done.APP, asked.ARGS, asked.REMOTE_ADDR],
      ['play', asked.SESSION, 'live', 'token=t', '127.0.0.1'],
    );
    assert.ok(Number(done.BYTES) > 30 * 900 && Number(done.SECONDS) >= 1, `${done.BYTES} bytes in ${done.SECONDS} s`);
    await source.stop();
  });

  test('is counted and listed as a session, and can be kicked', DEADLINE, async () => {
    const source = await openSource(hub, 'kick');
    const [kicked, stays] = [await play(hub, 'kick'), await play(hub, 'kick')];
    await kicked.more(3);
    const port = (player) => `${player.client.socket.localPort}`;
    const { SESSION } = hub.gate.questions.filter((q) => q.SCRIPT_NAME === '/gate/play' && q.NAME === 'kick')[0];
    const row = (await hub.sessions()).find((s) => s.id === SESSION);
    assert.deepEqual([row.kind, row.protocol, row.stream, row.uid], ['view', 'rtmp', 'live/kick', 7], port(kicked));
    assert.ok(row.bytes > 0);
    assert.equal((await hub.stream('live/kick')).viewers_by.rtmp, 2);
    assert.deepEqual(await hub.control(`kick?id=${SESSION}`), { status: 200, json: { ended: 1 } });
    const { description } = await kicked.client.status('NetStream.Play.UnpublishNotify');
    assert.equal(description, 'kicked by an administrator');
    await kicked.client.closed;
    await stays.more(5);
    await until(async () => (await hub.stream('live/kick')).viewers_by.rtmp === 1, 'the kicked one to be gone');
    await stays.close();
    await source.stop();
  });

  test('pauses, and resumes at the newest key frame without going back', DEADLINE, async () => {
    const source = await openSource(hub, 'pause', { gop: 10 });
    const [player, other] = [await play(hub, 'pause'), await play(hub, 'pause')];
    const pause = (on) => player.client.command('pause', null, on, 0);
    await player.more(5);
    pause(true);
    await hasStatus(player, 'NetStream.Pause.Notify');
    await player.client.ping();
    const stopped = player.video().length;
    await other.more(25);
    assert.equal(player.video().length, stopped, 'nothing comes while it pauses');
    pause(false);
    await hasStatus(player, 'NetStream.Unpause.Notify');
    await player.more(10);
    const after = player.video()[stopped];
    assert.ok(after.key, 'it goes on with a key frame');
    assert.ok(after.mark >= player.video()[stopped - 1].mark + 15, 'with the newest');
    neverBack(byType(player, MSG.VIDEO), 'paused');
    neverBack(byType(player, MSG.AUDIO), 'paused');
    await player.close();
    await other.close();
    await source.stop();
  });

  test('pauses within a GOP, and resumes without a lost or doubled frame', DEADLINE, async () => {
    const source = await openSource(hub, 'short', { gop: 100_000 });
    const player = await play(hub, 'short');
    for (let i = 0; i < 5; i++) {
      player.client.command('pause', null, true, 0);
      await player.client.ping(i);
      player.client.command('pause', null, false, 0);
      await player.more(4);
    }
    const all = marks(player.video());
    assert.deepEqual(all, all.map((_, i) => all[0] + i));
    await player.close();
    await source.stop();
  });

  test('gets no video or no audio after receiveVideo or receiveAudio', DEADLINE, async () => {
    const source = await openSource(hub, 'mute', { gop: 10 });
    const player = await play(hub, 'mute');
    await player.more(12);
    player.client.command('receiveVideo', null, false);
    await player.client.ping();
    const [video, audio] = [player.video().length, byType(player, MSG.AUDIO).length];
    await until(() => byType(player, MSG.AUDIO).length > audio + 15, 'audio alone');
    assert.equal(player.video().length, video);
    player.client.command('receiveVideo', null, true);
    await player.more(10);
    assert.ok(player.video()[video].key, 'video comes back with a key frame');
    player.client.command('receiveAudio', null, false);
    await player.client.ping();
    const heard = byType(player, MSG.AUDIO).length;
    await player.more(10);
    assert.equal(byType(player, MSG.AUDIO).length, heard);
    neverBack(byType(player, MSG.VIDEO), 'muted');
    await player.close();
    await source.stop();
  });

  test('that seeks gets the notification, and continues', DEADLINE, async () => {
    const source = await openSource(hub, 'seek');
    const player = await play(hub, 'seek');
    player.client.command('seek', null, 5000);
    await hasStatus(player, 'NetStream.Seek.Notify');
    await player.more(10);
    await player.close();
    await source.stop();
  });

  test('stays through a gap and a takeover, and gets the end of the stream', DEADLINE, async () => {
    let source = await openSource(hub, 'gap');
    const players = await oneInEach(hub, 'gap');
    for (const round of [1, 2]) {
      await Promise.all(players.map((player) => player.more(5)));
      if (round === 1) await source.stop();              // a gap; the second time the old one is still there
      const old = source;
      const seen = players.map((player) => player.video().length);
      source = await openSource(hub, 'gap', { from: round * 1000 });
      await Promise.all(players.map((player) => player.more(10)));
      for (const [i, player] of players.entries()) {
        assert.ok(
          player
            .video()
            .slice(seen[i])
            .find((tag) => tag.mark >= round * 1000).key,
          'the new publisher begins with a key frame',
        );
        neverBack(byType(player, MSG.VIDEO), 'gap');
        neverBack(byType(player, MSG.AUDIO), 'gap');
      }
      old.source.stop();
    }
    await source.stop();
    for (const player of players) {
      await hasStatus(player, 'NetStream.Play.UnpublishNotify');
      await player.client.wait((m) => isUser(m, USER.EOF), 'StreamEOF');
      assert.equal((await player.client.closed).error, undefined, 'closed in order');
    }
  });

  test('that does not read skips to a key frame, gets no torn message, and delays nobody', DEADLINE, async () => {
    const client = await openPublisher('slow?key=a', { ...hub.rtmp, chunkSize: 65536 });
    let n = await pump(client, { from: 0, count: 10 });
    const [slow, good] = await oneInEach(hub, 'slow');
    await until(() => slow.video().length && good.video().length, 'both to join');
    slow.client.socket.pause();
    for (let round = 0; round < 40; round++) {             // 72 MB: more than window and kernel hold
      n = await pump(client, { from: n, count: 20 });
      await until(() => good.error || good.video().at(-1).mark === n - 1, 'the last frame at the good player');
    }
    const all = marks(good.video());
    assert.equal(good.error, undefined);
    assert.deepEqual(all, all.map((_, i) => all[0] + i), 'the good one missed nothing');
    slow.client.socket.resume();
    const pulse = setInterval(() => { client.sendVideo(n * 40, frame(n, 900, n % 10 === 0)); n++; }, 40);
    await until(() => slow.ended || slow.video().at(-1).mark >= n - 3, 'the slow player to catch up or be dropped');
    clearInterval(pulse);
    assert.equal(slow.error, undefined, 'what it got is whole');
    const jumps = slow.video().filter((tag, i, list) => i > 0 && tag.mark !== list[i - 1].mark + 1);
    assert.ok(slow.ended || jumps.length > 0, 'it missed some');
    assert.ok(jumps.every((tag) => tag.key), 'after what it missed comes a key frame');
    neverBack(byType(slow, MSG.VIDEO), 'slow');
    for (const one of [slow, good, client]) await one.close();
  });

  test('gets messages of the wire layer between two of its own, never within one', DEADLINE, async () => {
    const source = await openSource(hub, 'mixed', { size: 90_000, keySize: 700_000, gop: 10, every: 20 });
    const player = await play(hub, 'mixed');
    await player.more(2);
    const pongs = [];
    player.client.on((m) => { if (isUser(m, USER.PONG)) pongs.push(m.payload.readUInt32BE(2)); });
    let asked = 0;
    const ask = () => {
      for (let i = 0; i < 3; i++)
        player.client.send({
          csid: 2,
          type: MSG.USER,
          payload: Buffer.from([0, USER.PING, 0, 0, asked >> 8, asked++ & 255]),
        });
    };
    for (let round = 0; round < 60; round++) {            // reads in bursts, so that messages are cut
      player.client.socket.pause();
      ask();
      await new Promise((resolve) => setTimeout(resolve, 20));
      ask();
      player.client.socket.resume();
      const bytes = player.client.received;
      await until(() => player.error || player.client.received > bytes + 200_000, 'more bytes');
    }
    await until(() => player.error || pongs.length === asked, 'all pongs');
    assert.equal(player.error, undefined);
    assert.deepEqual(pongs, Array.from({ length: asked }, (_, i) => i));
    await player.close();
    await source.stop();
  });
});

test(
  'a player further behind than play_lag skips to a key frame, unless it asked for a larger buffer',
  DEADLINE,
  async (t) => {
    const hub = await startHub({
      ingest: 'hub_play on; play_lag 1s;',
      main: 'hub_window 60s; hub_stream_max 60m;',
      zone: '128m',
    });
    t.after(() => hub.stop());
    const client = await openPublisher('lag?key=a', { ...hub.rtmp, chunkSize: 65536 });
    let n = await pump(client, { from: 0, count: 10 });
    const [plain, buffers] = [await play(hub, 'lag'), await play(hub, 'lag')];
    buffers.client.send({
      csid: 2,
      type: MSG.USER,
      payload: Buffer.from([0, USER.BUFFER, 0, 0, 0, 1, 0, 0, 50_000 >> 8, 50_000 & 255]),
    });
    await buffers.client.ping();
    await until(() => plain.video().length && buffers.video().length, 'both to join');
    for (const player of [plain, buffers]) player.client.socket.pause();
    n = await pump(client, { from: n, count: 500 }); // 45 MB and 20 s: more than the kernel takes, within the window
    for (const player of [plain, buffers]) player.client.socket.resume();
    await until(
      () => [plain, buffers].every((player) => player.error || player.ended || player.video().at(-1).mark === n - 1),
      'the last frame',
    );
    for (const player of [plain, buffers]) {
      assert.deepEqual([player.error, player.ended], [undefined, false]);
      neverBack(byType(player, MSG.VIDEO), 'lag');
    }
    const all = marks(buffers.video());
    assert.deepEqual(
      all,
      all.map((_, i) => all[0] + i),
      'the one with a buffer got everything',
    );
    const jumps = plain.video().filter((tag, i, list) => i > 0 && tag.mark !== list[i - 1].mark + 1);
    assert.ok(jumps.length > 0 && jumps.every((tag) => tag.key), 'the other skipped, to key frames');
    for (const one of [plain, buffers, client]) await one.close();
  },
);

describe('players, reloads and killed workers', { concurrency: 3 }, () => {
  test('an old worker keeps its players over a reload', DEADLINE, async (t) => {
    const hub = await startHub({ ingest: 'hub_play on;' });
    t.after(() => hub.stop());
    const source = await openSource(hub, 'reload');
    const before = await oneInEach(hub, 'reload');
    await Promise.all(before.map((player) => player.more(5)));
    const old = hub.nginx.workers();
    await hub.nginx.reload();
    const behind = await oneInEach(hub, 'reload');
    await Promise.all([...before, ...behind].map((player) => player.more(30)));
    for (const player of before) {
      const all = marks(player.video());
      assert.deepEqual(all, all.map((_, i) => all[0] + i), 'nothing was lost or came twice');
    }
    for (const player of [...before, ...behind]) await player.close();
    await source.stop();
    await until(() => !old.some(alive), 'the old workers to end with their last client');
  });

  test('players in other workers survive the worker that is killed with the publisher', DEADLINE, async (t) => {
    const hub = await startHub({ ingest: 'hub_play on;', expectCrash: true });
    t.after(() => hub.stop());
    let source = await openSource(hub, 'crash');
    const players = await oneInEach(hub, 'crash');
    await Promise.all(players.map((player) => player.more(5)));
    const { publisher_pid: pid } = await hub.stream('live/crash');
    const stays = players.find((player) => workerOf(hub, player) !== pid);
    hub.nginx.kill('SIGKILL', pid);
    await until(() => players.some((player) => player.ended), 'its own player to be gone');
    source = await openSource(hub, 'crash', { from: 1000 });
    await until(
      () => stays.error || stays.ended || stays.video().at(-1).mark > 1010,
      'the new publisher at the old player',
    );
    assert.equal(stays.error, undefined);
    neverBack(byType(stays, MSG.VIDEO), 'crash');
    await stays.close();
    await source.stop();
  });

  test('a player that answers no ping, or does not read, is ended', DEADLINE, async (t) => {
    const hub = await startHub({
      ingest: 'hub_play on;',
      server: 'ping 1s; ping_timeout 1s; timeout 2s;',
      main: 'hub_grace 60s; hub_window 60s; hub_stream_max 60m;',
      zone: '128m',
    });
    t.after(() => hub.stop());
    const quiet = await openSource(hub, 'quiet');
    const [mute, polite] = [await play(hub, 'quiet'), await play(hub, 'quiet')];
    mute.client.pongs = false;
    await mute.more(3);
    await quiet.stop();                                   // grace: there is nothing to send
    await mute.client.closed;
    assert.equal(polite.ended, false, 'one that answers stays');
    const client = await openPublisher('full?key=a', { ...hub.rtmp, chunkSize: 65536 });
    await pump(client, { from: 0, count: 10 });
    const full = await play(hub, 'full');
    await until(() => full.video().length, 'it to join');
    full.client.socket.pause();
    await pump(client, { from: 10, count: 500 });
    await until(async () => (await hub.stream('live/full')).viewers === 0, 'the one that reads nothing to be closed');
    assert.match(hub.nginx.log(), /client timed out/);
    for (const one of [full, polite, client]) await one.close();
  });
});

test('play without a gate fails nginx -t', DEADLINE, async () => {
  const { code, output } = await testConfig({
    modules: ['rtmp', 'guard', 'hub'],
    conf: 'rtmp { server { listen 127.0.0.1:{{port:r}}; application live { hub_play on; } } }',
  });
  assert.notEqual(code, 0);
  assert.match(output, /"hub_play on" has no "gate"/);
});

test('players of an application without hub_play are refused with the reason', DEADLINE, async (t) => {
  const hub = await startHub();
  t.after(() => hub.stop());
  const client = await openStream(hub.rtmp);
  await assert.rejects(
    client.play('anything'),
    /Play\.StreamNotFound: streams of this application are not played over RTMP/,
  );
  await client.closed;
});

// sanitized, sizes are others
const skip = process.env.DUOLU_SANITIZE && 'a sanitized build has other sizes';
test('a player fits in the 4 KB of its connection\'s pool, with the texts of its connect',
  { ...DEADLINE, skip }, async (t) => {
    const COUNT = 64;
    const hub = await startHub({ ingest: 'hub_play on; play_flush 20ms;', server: 'out_queue 32;', workers: 1 });
    t.after(() => hub.stop());
    const source = await openSource(hub, 'small');
    const players = [];
    const join = async (count) => {
      for (let i = 0; i < count; i++) {        // one after another: each reuses the last one's memory
        const client = await RtmpClient.open(hub.rtmp);
        await client.connect({ flashVer: 'LNX 9,0,124,2', swfUrl: 'x'.repeat(160), pageUrl: 'y'.repeat(160) });
        await client.createStream();
        const player = new RtmpPlayer(client);
        players.push(player);
        await client.play('small?token=t');
        await until(() => player.video().length > 0, `the picture of player ${i}`);
      }
      return privateKb(hub.nginx.workers());
    };
    const first = await join(8);
    const each = (await join(COUNT) - first) / COUNT;
    t.diagnostic(`${each.toFixed(1)} KB for a player`);
    assert.ok(each < 10.5, `${each} KB for a player`);
    await Promise.all(players.map((player) => player.close()));
    await source.stop();
  });
