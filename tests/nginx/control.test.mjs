// Status and sessions, checked against a publisher with known frames; kick,
// revoke and refresh, for every protocol.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { WebSocket } from 'ws';
import { Follower } from '../lib/events.mjs';
import { feed, get, hubConf, startHub, token, Viewer } from '../lib/hub.mjs';
import { until } from '../lib/nginx.mjs';
import { interFrame, keyFrame, openPlayer, openPublisher } from '../lib/rtmp.mjs';

const DEADLINE = { timeout: 120_000 };
const ALLOWED = { allow: true, uid: 7, stream: 3, key: 12, max_kbps: 9000, max_viewers: 50 };
const now = () => Math.floor(Date.now() / 1000);
const subject = (args) => Number(JSON.parse(Buffer.from(args.split('.')[1], 'base64url')).sub);

/** The gate's answers: a publisher is user 7 with key 12, a player the user of its token. */
const answer = ({ SCRIPT_NAME, ARGS }) =>
  SCRIPT_NAME === '/gate/play' ? { allow: true, uid: subject(ARGS), stream: 3 } : ALLOWED;

async function start(t, options = {}) {
  const hub = await startHub({
    answer,
    main: 'hub_revocations {{dir}}/revocations;',
    ingest: 'hub_play on;',
    ...options,
  });
  t.after(() => hub.stop());
  return hub;
}

async function publish(hub, name = 'demo', localAddress = undefined) {
  const client = await openPublisher(`${name}?key=k`, { ...hub.rtmp, chunkSize: 65536, localAddress });
  client.sendVideo(0, keyFrame());
  await client.ping();
  return client;
}

const over = (claims, stream = 'live/demo') => token(stream, claims);

/** One of each: { publisher, flv, ws, rtmp, sse }, each with ended(). */
async function everybody(hub, claims = { sub: '8' }) {
  const publisher = await publish(hub, 'demo', '127.0.0.5');
  const flv = await Viewer.open(hub.url('live/demo', over(claims)));
  const socket = new WebSocket(hub.url('live/demo', over(claims)).replace('http:', 'ws:'));
  socket.on('error', () => {});
  await new Promise((resolve) => { socket.once('message', resolve); });
  const player = await openPlayer(`demo?token=${over(claims)}`, hub.rtmp);
  const events = await Follower.open(`${hub.base}/events?user=${claims.sub}&streams=*`);
  const all = {
    publisher: { ended: () => publisher.ended, close: () => publisher.close(), client: publisher },
    flv: { ended: () => flv.ended, close: () => flv.close(), viewer: flv },
    ws: { ended: () => socket.readyState === WebSocket.CLOSED, close: () => socket.terminate() },
    rtmp: { ended: () => player.ended, close: () => player.close() },
    sse: { ended: () => events.ended, close: () => events.close() },
  };
  all.close = () => Object.values(all).forEach((one) => one.close?.());
  await until(async () => (await hub.sessions()).length === 5, 'five sessions');
  return all;
}

const sessionOf = async (hub, kind) => (await hub.sessions())
  .find((row) => (kind === 'publisher' ? row.kind === 'publish' : row.kind !== 'publish' && row.protocol === kind));

describe('status and sessions', () => {
  test('every field is right for a publisher with known frames', DEADLINE, async (t) => {
    const hub = await start(t);
    const all = await everybody(hub);
    t.after(() => all.close());
    const media = feed(all.publisher.client, { key: keyFrame(4000), inter: interFrame(4000), from: 40 });
    const stream = await until(async () => {
      const s = await hub.stream('live/demo');
      return s.kbps_out > 0 && s.fps > 15 && s.kbps_in > 500 && s;
    }, 'rates to be measured');

    const row = await sessionOf(hub, 'publisher');
    assert.deepEqual([stream.id, stream.uid, stream.state, stream.address], [3, 7, 'live', '127.0.0.5']);
    assert.equal(stream.session, row.id);
    assert.equal(stream.session, hub.gate.questions.find((q) => q.SCRIPT_NAME === '/gate/publish').SESSION);
    assert.deepEqual([stream.video, stream.audio, stream.width, stream.height], ['h264', 'aac', 320, 180]);
    assert.deepEqual([stream.viewers, stream.viewers_by], [3, { flv: 1, ws: 1, rtmp: 1, hls: 0 }]);
    assert.deepEqual([stream.max_kbps, stream.max_viewers, stream.gaps], [9000, 50, 0]);
    // 25 frames of 4000 bytes a second; timers of a busy machine are late
    assert.ok(stream.fps > 15 && stream.fps < 30, `fps ${stream.fps}`);
    assert.ok(stream.kbps_in > 500 && stream.kbps_in < 1000, `kbps_in ${stream.kbps_in}`);
    await until(async () => (await hub.stream('live/demo')).gop_ms === 1000, 'a GOP of 1 s');
    const out = await until(async () => {
      const s = await hub.stream('live/demo');
      return s.kbps_out > 2 * s.kbps_in && s;
    }, 'three viewers\' rate');
    assert.ok(out.kbps_out < 4 * out.kbps_in, `kbps_out ${out.kbps_out} of ${out.kbps_in}`);
    media.stop();

    const { zone, workers } = await hub.status();
    assert.equal(zone.sessions, 5);
    assert.ok(zone.sessions_max >= 1000, `sessions_max ${zone.sessions_max}`);
    assert.deepEqual(Object.values(zone.refused).filter(Boolean), []);
    assert.equal(workers.reduce((sum, worker) => sum + worker.sessions, 0), 5);
    assert.deepEqual(workers.map((worker) => worker.pid).sort(), hub.nginx.workers().sort());
  });

  test('sessions: user, stream, age and bytes', DEADLINE, async (t) => {
    const hub = await start(t);
    const all = await everybody(hub);
    t.after(() => all.close());
    const rows = await hub.sessions();
    const shape = rows.map(({ kind, protocol, stream, uid, key, address }) =>
      [kind, protocol, stream, uid, key, address].join(' '),
    );
    assert.deepEqual(shape.sort(), [
      'events sse  8 0 127.0.0.1', 'publish rtmp live/demo 7 12 127.0.0.5',
      'view flv live/demo 8 0 127.0.0.1', 'view rtmp live/demo 8 0 127.0.0.1', 'view ws live/demo 8 0 127.0.0.1']);
    assert.equal(new Set(rows.map((row) => row.id)).size, 5);
    for (const row of rows) {
      assert.match(row.id, /^[1-9]\d*$/);
      assert.ok(row.age_ms >= 0 && row.age_ms < 60_000, `age_ms ${row.age_ms}`);
      assert.ok(hub.nginx.workers().includes(row.worker));
    }
    for (let n = 1; n <= 50; n++) all.publisher.client.sendVideo(40 * n, interFrame(1000));
    await all.publisher.client.ping();
    const { flv } = all.flv.viewer;
    await until(() => flv.video().length === 51, '51 frames');
    assert.equal((await sessionOf(hub, 'flv')).bytes, flv.bytes);
    const stream = await hub.stream('live/demo');
    const { bytes } = await sessionOf(hub, 'publisher');         // without the hub's framing
    assert.ok(bytes > 50_000 && bytes < stream.bytes_in, `${bytes} of ${stream.bytes_in}`);
    const sent = async () =>
      (await hub.sessions()).filter((row) => row.kind === 'view').reduce((sum, row) => sum + row.bytes, 0);
    assert.equal((await hub.stream('live/demo')).bytes_out, await sent());
    // the bytes of a viewer stay counted when it has left
    const before = await sent();
    all.flv.close();
    await until(async () => (await hub.stream('live/demo')).viewers === 2, 'a viewer to be gone');
    assert.equal((await hub.stream('live/demo')).bytes_out, before);
  });

  test('a return counts as a gap, a refusal by its reason', DEADLINE, async (t) => {
    const hub = await start(t);
    const first = await publish(hub);
    await first.close();
    await until(async () => (await hub.stream('live/demo')).state === 'grace', 'grace');
    assert.equal((await hub.stream('live/demo')).publisher_pid, 0);
    const second = await publish(hub);
    second.sendVideo(40, keyFrame());
    await until(async () => (await hub.stream('live/demo')).gaps === 1, 'a gap');
    await get(hub.url('live/demo', 'x.y.z'));
    hub.gate.answer = () => ({ allow: false, reason: 'wrong key' });
    await assert.rejects(openPublisher('other?key=x', hub.rtmp), /wrong key/);
    const { refused } = (await hub.status()).zone;
    assert.deepEqual([refused.token, refused.denied], [1, 1]);
  });

  test('other methods than GET are refused', DEADLINE, async (t) => {
    const hub = await start(t, { workers: 1 });
    for (const page of ['status', 'sessions', 'metrics']) {
      assert.equal((await get(`${hub.base}/${page}`, { method: 'POST' })).status, 405);
    }
  });
});

describe('kick', () => {
  test('ends only that session, for each protocol', DEADLINE, async (t) => {
    const hub = await start(t);
    const all = await everybody(hub);
    t.after(() => all.close());
    const kinds = ['sse', 'rtmp', 'ws', 'flv', 'publisher'];
    for (const [at, kind] of kinds.entries()) {
      const { id } = await sessionOf(hub, kind);
      assert.deepEqual(await hub.control(`kick?id=${id}`), { status: 200, json: { ended: 1 } });
      const told = Date.now();
      await until(() => all[kind].ended(), `${kind} to end`);
      console.log(`# ${kind} ended after ${Date.now() - told} ms`);
      for (const rest of kinds.slice(at + 1)) assert.ok(!all[rest].ended(), `${rest} goes on`);
      await until(async () => (await hub.sessions()).length === kinds.length - at - 1, 'its row to be gone');
      const again = await hub.control(`kick?id=${id}`);
      assert.deepEqual(again, { status: 404, json: { error: `no session "${id}"` } });
    }
  });

  test('the error names an invalid argument', DEADLINE, async (t) => {
    const hub = await start(t, { workers: 1 });
    for (const [action, status, error] of [
      ['kick', 400, /expected id=SESSION/],
      ['kick?id=', 400, /argument id is "", expected a number above 0/],
      ['kick?id=12x', 400, /argument id is "12x", expected a number/],
      ['kick?id=99999999999999999999', 400, /argument id is "99999999999999999999"/],
      ['kick?id=1&id=2', 400, /argument "id" is given twice/],
      ['kick?session=1', 400, /argument "session" is not known, .*: id/],
      ['kick?id', 400, /argument "id" is not known, expected NAME=VALUE/],
      ['kick?id=4711', 404, /no session "4711"/],
      ['revoke', 400, /expected user=ID, stream=APP\/NAME or key=ID/],
      ['revoke?user=0', 400, /argument user is "0", expected a number above 0/],
      ['revoke?key=-1', 400, /argument key is "-1"/],
      ['revoke?stream=demo', 400, /argument stream is "demo", expected APP\/NAME/],
      ['revoke?stream=live%2Fa%0Ab', 400, /argument stream is "live\/a/],
      ['revoke?stream=%FFx', 400, /argument stream is "\?x"/],
      ['revoke?at=5', 400, /expected user=ID/],
      ['refresh?user=admin', 400, /argument user is "admin"/],
      ['restart', 404, /action "restart" is not known, expected kick, revoke, refresh or record/],
    ]) {
      const answer = await hub.control(action);
      assert.equal(answer.status, status, action);
      assert.match(answer.json.error, error, action);
    }
    assert.equal((await get(`${hub.base}/control/kick?id=1`)).status, 405);
  });
});

/** Waits until new tokens are newer than a revocation at `at`. */
const pass = (at) => until(() => now() > at, 'the second to pass');

async function refused(hub, claims, stream = 'live/demo') {
  const from = hub.nginx.log().length;
  const { status } = await get(hub.url(stream, over(claims, stream)));
  assert.equal(status, 403);
  assert.match(hub.nginx.log().slice(from), /refused: access was revoked/);
}

describe('revoke', () => {
  test('a user: all their sessions end in 2 s, old tokens are void, new ones are valid', DEADLINE, async (t) => {
    const hub = await start(t);
    const claims = { sub: '8', iat: now() };
    const all = await everybody(hub, claims);
    t.after(() => all.close());
    const other = await Viewer.open(hub.url('live/demo', over({ sub: '9', iat: claims.iat })));
    const { status, json } = await hub.control('revoke?user=8');
    const told = Date.now();
    assert.equal(status, 200);
    assert.equal(json.ended, 4);
    assert.ok(Math.abs(json.at - now()) <= 2, `at ${json.at}`);
    for (const kind of ['flv', 'ws', 'rtmp', 'sse']) await until(() => all[kind].ended(), `${kind} to end`);
    console.log(`# four protocols ended after ${Date.now() - told} ms`);
    assert.ok(!all.publisher.ended() && !other.ended, 'others go on');
    await refused(hub, claims);
    await pass(json.at);
    const again = await Viewer.open(hub.url('live/demo', over({ sub: '8' })));
    assert.equal(again.status, 200);
    again.close();
    other.close();
  });

  test('a stream: publisher and viewers end, and so does the stream', DEADLINE, async (t) => {
    const hub = await start(t);
    const claims = { sub: '8', iat: now() };
    const all = await everybody(hub, claims);
    t.after(() => all.close());
    await publish(hub, 'other');
    const other = await Viewer.open(hub.url('live/other'));
    const { json } = await hub.control('revoke?stream=live%2Fdemo');
    assert.equal(json.ended, 4);
    for (const kind of ['publisher', 'flv', 'ws', 'rtmp']) await until(() => all[kind].ended(), `${kind} to end`);
    await until(async () => !(await hub.stream('live/demo')), 'the stream to end');
    assert.ok(!all.sse.ended() && !other.ended);
    await refused(hub, claims);
    await pass(json.at);
    await publish(hub);
    assert.equal((await hub.stream('live/demo')).state, 'live');
    other.close();
  });

  test('a fast publisher gets the reason, and so does the gate', DEADLINE, async (t) => {
    const hub = await start(t);
    for (const what of ['revoke?user=7', 'revoke?key=12', 'revoke?stream=live%2Fdemo']) {
      hub.gate.questions.length = 0;
      const publisher = await publish(hub);
      let at = 0;
      const frames = setInterval(() => {
        for (let n = 0; n < 5; n++) publisher.sendVideo((at += 1), interFrame(10));
      }, 1);
      try {
        const { json } = await hub.control(what);
        const done = await until(
          () => hub.gate.questions.find((q) => q.SCRIPT_NAME === '/gate/done'),
          'the gate to be told',
        );
        assert.match(done.REASON, /revoked/, what);
        await pass(json.at);
      } finally {
        clearInterval(frames);
        publisher.close();
      }
    }
  });

  test('a stream in grace ends too, and no other', DEADLINE, async (t) => {
    const hub = await start(t);
    for (const name of ['demo', 'other']) await (await publish(hub, name)).close();
    for (const name of ['live/demo', 'live/other'])
      await until(async () => (await hub.stream(name))?.state === 'grace', 'grace');
    const viewer = await Viewer.open(hub.url('live/demo'));
    assert.deepEqual((await hub.control(`revoke?stream=live/demo&at=${now() - 100}`)).json.ended, 0);
    assert.equal((await hub.stream('live/demo')).state, 'grace', 'it began later');
    assert.equal((await hub.control('revoke?user=8&stream=live/demo')).json.ended, 0);
    assert.equal((await hub.stream('live/demo')).state, 'grace', 'user 8 does not publish it');
    await hub.control('revoke?stream=live/demo');
    await until(() => viewer.ended, 'the viewer to end');
    assert.deepEqual((await hub.status()).streams.map((stream) => stream.name), ['live/other']);
  });

  test('a key: only its publisher ends', DEADLINE, async (t) => {
    const hub = await start(t);
    const all = await everybody(hub);
    t.after(() => all.close());
    assert.equal((await hub.control('revoke?key=13')).json.ended, 0);
    assert.equal((await hub.control('revoke?key=12')).json.ended, 1);
    await until(() => all.publisher.ended(), 'the publisher to end');
  });

  test('a key that is revoked while the gate asks: the answer comes too late', DEADLINE, async (t) => {
    const hub = await start(t, { answer: async () => { await hub.control('revoke?key=12'); return ALLOWED; } });
    await assert.rejects(openPublisher('demo?key=k', hub.rtmp), /revoked/);
    assert.equal((await hub.status()).zone.refused.revoked, 1);
    assert.deepEqual(await hub.sessions(), []);
  });

  test('a publisher and a player that come in its second, when the gate knows it, stay', DEADLINE, async (t) => {
    let known = {};
    const hub = await start(t, { answer: (params) => ({ ...answer(params), ...known }) });
    const at = now() + 60;                          // the test cannot be slower than that second
    const ended = async (user, second) => (await hub.control(`revoke?user=${user}&at=${second}`)).json.ended;
    const revoke = async (second) => [await ended(8, second), await ended(7, second)];
    const play = () => openPlayer(`demo?token=${over({ sub: '8', iat: at + 1 })}`, hub.rtmp);
    await revoke(at);
    await assert.rejects(publish(hub), /revoked/);
    known = { not_before: at };
    const publisher = await publish(hub);
    const player = await play();
    assert.deepEqual(await revoke(at), [0, 0], 'it is told once more');
    await publisher.ping();
    await player.ping();
    assert.deepEqual(await revoke(at + 1), [1, 1]);
    await until(() => publisher.ended && player.ended, 'both to end');
    await assert.rejects(publish(hub), /revoked/);
    known = { not_before: at + 1 };
    await (await publish(hub)).close();
    await until(async () => (await hub.stream('live/demo'))?.state === 'grace', 'grace');
    await revoke(at + 1);
    assert.equal((await hub.stream('live/demo')).state, 'grace', 'its publisher came later');
    await revoke(at + 2);
    assert.deepEqual((await hub.status()).streams, []);
  });

  test('a user on a stream: other streams of theirs stay', DEADLINE, async (t) => {
    const hub = await start(t);
    await publish(hub);
    await publish(hub, 'other');
    const claims = { sub: '8', iat: now() };
    const here = await Viewer.open(hub.url('live/demo', over(claims)));
    const there = await Viewer.open(hub.url('live/other', over(claims, 'live/other')));
    const neighbour = await Viewer.open(hub.url('live/demo', over({ sub: '9' })));
    assert.equal((await hub.control('revoke?user=8&stream=live/demo')).json.ended, 1);
    await until(() => here.ended, 'it to end');
    assert.ok(!there.ended && !neighbour.ended);
    await refused(hub, claims);
    const more = await Viewer.open(hub.url('live/other', over(claims, 'live/other')));
    assert.equal(more.status, 200);
    for (const viewer of [there, neighbour, more]) viewer.close();
  });

  test('a late revocation with `at`: later sessions stay', DEADLINE, async (t) => {
    const hub = await start(t);
    await publish(hub);
    const at = now() - 100;
    const old = await Viewer.open(hub.url('live/demo', over({ sub: '8', iat: at })));
    const young = await Viewer.open(hub.url('live/demo', over({ sub: '8', iat: at + 1 })));
    assert.deepEqual((await hub.control(`revoke?user=8&at=${at}`)).json, { ended: 1, at });
    await until(() => old.ended, 'the old one to end');
    assert.ok(!young.ended);
    await refused(hub, { sub: '8', iat: at });
    young.close();
  });

  test('a revocation that cannot be stored is in force, and the answer says so', DEADLINE, async (t) => {
    const hub = await startHub({ answer, main: 'hub_revocations /dev/full;' });
    t.after(() => hub.stop({ allow: [/a revocation could not be written to "\/dev\/full"/] }));
    await publish(hub);
    const claims = { sub: '8', iat: now() };
    const viewer = await Viewer.open(hub.url('live/demo', over(claims)));
    const { status, json } = await hub.control('revoke?user=8');
    assert.equal(status, 500);
    assert.match(json.error, /revoked, 1 sessions ended, but the revocation could not be stored/);
    await until(() => viewer.ended, 'the viewer to end');
    await refused(hub, claims);
  });

  test('a revocation survives a reload and a restart', DEADLINE, async (t) => {
    let hub = await startHub({ answer, main: 'hub_revocations {{dir}}/revocations;' });
    const claims = { sub: '8', iat: now() };
    let kept;
    try {
      const publisher = await publish(hub);
      await hub.control('revoke?user=8');
      await hub.control('revoke?stream=live%2Fwith%E2%82%AC');
      await hub.nginx.reload();
      await refused(hub, claims);
      kept = fs.readFileSync(path.join(hub.nginx.dir, 'revocations'), 'utf8');
      assert.match(kept, /^\d+ user=8\n\d+ stream=live\/with€\n$/);
      const told = Number(kept.match(/^\d+/)[0]);
      await hub.control(`revoke?user=8&at=${told}`);         // repeated: no further line
      await hub.control(`revoke?user=8&at=${told - 1}`);
      assert.equal(fs.readFileSync(path.join(hub.nginx.dir, 'revocations'), 'utf8'), kept);
      await publisher.close();             // else its worker would be ended with it
      await until(async () => (await hub.status()).workers.length === 2, 'the old worker to be gone');
    } finally {
      await hub.stop();
    }
    hub = await startHub({ answer, main: 'hub_revocations {{dir}}/revocations;', files: { revocations: kept } });
    t.after(() => hub.stop());
    await publish(hub);
    await refused(hub, claims);
    assert.equal((await Viewer.open(hub.url('live/demo', over({ sub: '9' })))).status, 200);
  });
});

test('a start leaves one line for each entry in the file of revocations, and adds behind them', DEADLINE, async () => {
  const file = (hub) => fs.readFileSync(path.join(hub.nginx.dir, 'revocations'), 'utf8');
  const restarted = async (revocations, look) => {
    const hub = await startHub({ answer, main: 'hub_revocations {{dir}}/revocations;', files: { revocations } });
    try {
      await look(hub, await publish(hub));
      return file(hub);
    } finally {
      await hub.stop();
    }
  };

  const voided = async (hub, claims) => assert.equal((await get(hub.url('live/demo', over(claims)))).status, 403);

  const at = now() - 1000;
  const three = (_, n) => `${at + n % 7} user=8\n${at} user=8 stream=live/demo\n${at - n} key=5\n`;
  const again = Array.from({ length: 3000 }, three).join('');
  const few = await restarted(`${again}nonsense\n${at} user=9`, async (hub, publisher) => {
    assert.equal(file(hub), `${at} user=8 stream=live/demo\n${at} key=5\n${at + 6} user=8\n`);
    assert.deepEqual(fs.readdirSync(hub.nginx.dir).filter((name) => name.startsWith('revocations')), ['revocations']);
    await voided(hub, { sub: '8', iat: at + 6 });
    for (let n = 0; n < 50; n++) await hub.control(`revoke?user=10&at=${at + n}`);
    assert.equal(file(hub).split('\n').length - 1, 53);
    await publisher.close();
    await hub.nginx.reload();
    assert.equal(file(hub).split('\n').length - 1, 53, 'a reload, when old workers may add lines, leaves it as it is');
    assert.equal((await hub.control('revoke?user=11')).status, 200);
    await until(async () => (await hub.status()).workers.length === 2, 'the old workers to be gone');
  });
  assert.equal(few.split('\n').length - 1, 54);
  const fewer = await restarted(few, (hub) => voided(hub, { sub: '11', iat: at }));
  assert.match(fewer, /^(\d+ .*\n){3}\d+ user=10\n\d+ user=11\n$/);
  assert.equal(await restarted(fewer, (hub) => voided(hub, { sub: '11', iat: at })), fewer, 'each line says more');

  // 4,096 entries, one of them for everybody, into which the oldest are merged
  const many = Array.from({ length: 5000 }, (_, n) => `${at - 10_000 + n} user=${n + 100}\n`).join('');
  const folded = await restarted(many, (hub) => voided(hub, { sub: '8', iat: at - 9_500 }));
  assert.equal(folded.split('\n').length - 1, 4096);
  assert.match(folded, new RegExp(`^${at - 9_096} everybody\n${at - 9_095} user=1005\n`));
  assert.equal(await restarted(folded, (hub) => voided(hub, { sub: '8', iat: at - 9_500 })), folded);
});

test('workers compact the file of revocations while they append to it', DEADLINE, async () => {
  const lines = (hub) => fs.readFileSync(path.join(hub.nginx.dir, 'revocations'), 'utf8').trimEnd().split('\n');
  const at = now() - 10_000;
  const hub = await startHub({ answer, workers: 4, main: 'hub_revocations {{dir}}/revocations;' });
  try {
    let told = 0;
    const teller = async () => {
      while (told < 1200) {
        const n = told++;
        assert.equal((await hub.control(`revoke?user=${100 + n % 5}&at=${at + n}`)).status, 200);
        assert.ok(lines(hub).length <= 2 * 6 + 256 + 4);
      }
    };
    await Promise.all([teller(), teller(), teller(), teller()]);
    await hub.nginx.reload();
    assert.equal((await hub.control(`revoke?user=7&at=${at}`)).status, 200);
    assert.deepEqual(fs.readdirSync(hub.nginx.dir).filter((name) => name.startsWith('revocations')), ['revocations']);
    assert.match(hub.nginx.log(), /hub_revocations "\S+" had 26\d lines and was rewritten with 5/);
    const kept = lines(hub);
    for (let n = 1195; n < 1200; n++) assert.ok(kept.includes(`${at + n} user=${100 + n % 5}`));
    assert.ok(kept.includes(`${at} user=7`));
  } finally {
    await hub.stop();
  }
});

test('a revocation that nginx confirms during a reload with another zone holds after it', DEADLINE, async (t) => {
  const hub = await start(t, { zone: '32m' });
  const confirmed = [];
  let user = 1000, again = 0, done = false;
  const teller = async () => {
    while (!done) {
      const sub = user++;
      const told = await hub.control(`revoke?user=${sub}`);
      if (told.status === 200) confirmed.push(sub);
      if (told.status !== 503) continue;
      again++;
      assert.match(told.json.error, /a reload replaced this hub_zone by another.*send it again/);
    }
  };
  const claims = (sub) => over({ sub: `${sub}`, iat: now() - 100 });
  await hub.control('revoke?user=999');
  const tellers = [teller(), teller(), teller()];
  await until(() => confirmed.length > 20, 'some to be told before');
  const main = 'hub_revocations {{dir}}/revocations;';
  await hub.nginx.reload({ conf: hubConf({ gate: hub.gate, zone: '16m', main }) });
  const then = confirmed.length;
  await until(() => confirmed.length > then + 20, 'some to be told after it');
  done = true;
  await Promise.all(tellers);
  const publisher = await publish(hub);
  const lost = [];
  for (const sub of [999, ...confirmed]) {
    const viewer = await Viewer.open(hub.url('live/demo', claims(sub)));
    if (viewer.status !== 403) lost.push(sub);
    viewer.close();
  }
  assert.deepEqual(lost, [], `of ${confirmed.length} confirmed, ${again} got 503`);
  await publisher.close();
});

test('refresh ends the event streams of a user, or of all users, and nothing else', DEADLINE, async (t) => {
  const hub = await start(t);
  const all = await everybody(hub);
  t.after(() => all.close());
  assert.deepEqual((await hub.control('refresh?user=9')).json, { ended: 0 });
  assert.deepEqual((await hub.control('refresh')).json, { ended: 1 });
  await until(() => all.sse.ended(), 'the events to end');
  for (const kind of ['publisher', 'flv', 'ws', 'rtmp']) assert.ok(!all[kind].ended(), `${kind} goes on`);
});
