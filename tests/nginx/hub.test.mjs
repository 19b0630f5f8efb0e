// The hub in a real nginx with two workers.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { feed, oneInEach, openIn, startHub, viewersEverywhere } from '../lib/hub.mjs';
import { modulePath, testConfig, until } from '../lib/nginx.mjs';
import { aacFrame, interFrame, keyFrame, openPublisher, openStream } from '../lib/rtmp.mjs';

const DEADLINE = { timeout: 120_000 };
const MEDIA = { key: keyFrame(2000), inter: interFrame(600) };
const closeAll = (viewers) => viewers.forEach((viewer) => viewer.close());

/** Publishes a stream, again and again until the wanted worker has it. */
async function publishOn(hub, name, wanted) {
  for (let attempt = 0; ; attempt++) {
    const client = await openIn(hub, hub.nginx.workers().filter(wanted), attempt, () =>
      openPublisher(`${name}?key=k-${name}`, { ...hub.rtmp, chunkSize: 4096 }));
    const stream = await until(() => hub.stream(`live/${name}`), `live/${name}`);
    if (wanted(stream.publisher_pid)) return client;
    await client.close();
    await until(
      async () => (await hub.stream(`live/${name}`)).state === 'grace',
      `live/${name} to be without publisher`,
    );
  }
}

describe('one stream, viewers in every worker', () => {
  let hub;
  before(async () => { hub = await startHub({ main: 'hub_grace 60s;' }); });
  after(() => hub.stop());

  test('all viewers get whole tags: headers first, then a key frame', DEADLINE, async () => {
    const client = await openPublisher('spread?key=a', { ...hub.rtmp, chunkSize: 4096 });
    const source = feed(client, MEDIA);
    await until(async () => (await hub.stream('live/spread'))?.window_ms > 500, 'half a second of window');
    const viewers = await viewersEverywhere(hub, 'live/spread');
    await Promise.all(viewers.map((viewer) => viewer.more(30)));
    for (const { flv } of viewers) {
      const [meta, video, audio, first] = flv.tags;
      assert.deepEqual([meta.type, video.type, audio.type, first.type], [18, 9, 8, 9]);
      assert.ok(video.config && audio.config && first.key, 'metadata, both sequence headers, a key frame');
      const dts = flv.video().map((tag) => tag.dts);
      assert.ok(dts.every((ms, i) => i === 0 || ms > dts[i - 1]), 'dts goes up');
    }
    const stream = await hub.stream('live/spread');
    assert.deepEqual([stream.viewers, stream.width, stream.height, stream.video, stream.audio],
      [viewers.length, 320, 180, 'h264', 'aac']);
    closeAll(viewers);
    await until(async () => (await hub.stream('live/spread')).viewers === 0, 'no viewer to be counted');
    source.stop();
    await client.close();
  });

  test('an audio-only stream is joined at any frame', DEADLINE, async () => {
    const client = await openStream(hub.rtmp);
    await client.publish('radio?key=a');
    client.sendAudio(0, Buffer.from([0xaf, 0, 0x12, 0x10]));
    for (let i = 0; i < 50; i++) client.sendAudio(i * 23, aacFrame());
    await until(async () => (await hub.stream('live/radio'))?.audio === 'aac', 'live/radio');
    const viewers = await oneInEach(hub, 'live/radio');
    client.sendAudio(51 * 23, aacFrame());
    for (const { flv } of viewers)
      await until(() => flv.tags.filter((tag) => tag.type === 8 && !tag.config).length > 1, 'audio');
    closeAll(viewers);
    await client.close();
  });

  test('the byte cap holds, whatever the bitrate', DEADLINE, async () => {
    const client = await openPublisher('heavy?key=a', { ...hub.rtmp, chunkSize: 65536 });
    const [key, inter] = [keyFrame(1_000_000), interFrame(1_000_000)];
    for (let i = 0; i < 40; i++) {
      client.sendVideo(i * 10, i % 4 === 0 ? key : inter);
      await client.drained();
    }
    await client.ping();
    const stream = await hub.stream('live/heavy');
    assert.ok(stream.bytes_in > 40_000_000, `${stream.bytes_in} bytes came in`);
    assert.ok(stream.window_bytes <= 16 * 1024 * 1024, `window is ${stream.window_bytes} bytes`);
    const viewers = await oneInEach(hub, 'live/heavy');
    for (const { flv } of viewers) await until(() => flv.video()[0]?.key, 'a key frame out of the window');
    closeAll(viewers);
    await client.close();
  });

  test('a viewer that does not read skips or is dropped, the others are not affected', DEADLINE, async () => {
    const STEP = 4;                    // ms of media time a frame, sent faster, so that no clock runs ahead
    const client = await openPublisher('slow?key=a', { ...hub.rtmp, chunkSize: 65536 });
    client.sendVideo(0, keyFrame(50_000));
    await until(async () => (await hub.stream('live/slow'))?.window_bytes > 50_000, 'a first frame');
    const [slow, good] = await oneInEach(hub, 'live/slow');
    await until(() => slow.flv.video().length > 0 && good.flv.video().length > 0, 'both viewers to join');
    slow.response.pause();
    for (let i = 1; i < 600; i++) {
      client.sendVideo(i * STEP, i % 25 === 0 ? keyFrame(100_000) : interFrame(100_000));
      await client.drained();
      if (i % 20 === 0)
        await until(() => good.error || good.flv.video().length >= i - 5, `frame ${i} at the good viewer`);
    }
    await until(() => good.error || good.flv.video().length >= 600, 'the last frame at the good viewer');
    assert.equal(good.error, undefined);
    assert.equal(good.flv.video().length, 600, 'the good viewer has every frame');
    slow.response.resume();
    // it is dropped, or continues at a key frame, but never gets a torn tag
    await until(
      () => slow.ended || slow.flv.video().at(-1).dts >= good.flv.video()[590].dts,
      'the slow viewer to end or to catch up',
    );
    assert.equal(slow.error, undefined, 'what it got is whole');
    assert.ok(slow.flv.video().length < 600, 'it did not get everything');
    closeAll([slow, good]);
    await client.close();
  });

  test('the same key takes over at once, another key is refused', DEADLINE, async () => {
    const first = await openPublisher('owned?key=mine', { ...hub.rtmp, chunkSize: 4096 });
    const one = feed(first, MEDIA);
    await until(async () => (await hub.stream('live/owned'))?.window_ms > 200, 'live/owned');
    const viewers = await oneInEach(hub, 'live/owned');
    await Promise.all(viewers.map((viewer) => viewer.more(3)));

    const thief = await openStream(hub.rtmp);
    await assert.rejects(thief.publish('owned?key=other'), /BadName: stream is already live with another key/);
    await thief.closed;

    one.stop();
    const second = await openPublisher('owned?key=mine', { ...hub.rtmp, chunkSize: 4096 });
    const two = feed(second, { ...MEDIA, from: 5 });
    await Promise.all(viewers.map((viewer) => viewer.more(30)));
    first.sendVideo(one.last, MEDIA.inter);
    await first.closed;
    for (const { flv } of viewers) {
      const dts = flv.video().map((tag) => tag.dts);
      assert.ok(dts.every((ms, i) => i === 0 || ms >= dts[i - 1]), `dts goes back: ${dts}`);
    }
    two.stop();
    await second.close();
    closeAll(viewers);
  });
});

test('the window keeps its seconds, and its last key frame', DEADLINE, async (t) => {
  const hub = await startHub({ main: 'hub_window 3s;' });
  t.after(() => hub.stop());
  const client = await openPublisher('window?key=a', { ...hub.rtmp, chunkSize: 65536 });
  const source = feed(client, { ...MEDIA, gop: 10 });
  const window = async () => (await hub.stream('live/window'))?.window_ms ?? 0;
  await until(() => source.last > 7000, '7 s of frames');
  const kept = await window();
  assert.ok(kept >= 2900 && kept <= 3900, `window is ${kept} ms of ${source.last} ms sent`);
  const viewers = await oneInEach(hub, 'live/window');
  for (const { flv } of viewers) await until(() => flv.video()[0]?.key, 'a key frame out of the window');
  source.stop();
  const long = feed(client, { ...MEDIA, gop: 1000, from: source.last });
  await until(() => long.last - source.last > 5500, 'a GOP of 5 s');
  await client.ping();
  assert.ok(await window() >= 5000, `a GOP of 5 s stays joinable, the window is ${await window()} ms`);
  long.stop();
  closeAll(viewers);
  await client.close();
});

describe('reload and crash', () => {
  test('a reload drops nobody, and new viewers get the old publisher\'s frames', DEADLINE, async (t) => {
    const hub = await startHub();
    t.after(() => hub.stop());
    const client = await openPublisher('reload?key=a', { ...hub.rtmp, chunkSize: 4096 });
    const source = feed(client, MEDIA);
    await until(async () => (await hub.stream('live/reload'))?.window_ms > 200, 'live/reload');
    const before_ = await viewersEverywhere(hub, 'live/reload');
    await hub.nginx.reload();
    const fresh = hub.nginx.workers();
    const stream = await hub.stream('live/reload');
    assert.equal(stream.state, 'live');
    assert.ok(!fresh.includes(stream.publisher_pid), 'the publisher stays on an old worker');
    const after_ = await viewersEverywhere(hub, 'live/reload', fresh);
    await Promise.all([...before_, ...after_].map((viewer) => viewer.more(20)));
    assert.equal((await hub.stream('live/reload')).viewers, before_.length + after_.length);
    closeAll([...before_, ...after_]);
    source.stop();
    await client.close();
    // the old workers exit when they have no clients
    await until(
      async () => (await hub.status()).workers.every((w) => fresh.includes(w.pid)),
      'the old workers to leave',
      120_000,
    );
  });

  test('a reload after a build keeps the loaded modules, drops nobody, and says so', DEADLINE, async (t) => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'duolu-modules-'));
    t.after(() => fs.rmSync(dir, { recursive: true }));
    const ours = ['guard', 'hub'].map((name) => path.join(dir, path.basename(modulePath(name))));
    /* Installs a module as modules/build.sh does; `change` returns other bytes of it. */
    const put = (file, change = (bytes) => bytes) => {
      fs.writeFileSync(`${file}.new`, change(fs.readFileSync(modulePath(path.basename(file)))));
      fs.renameSync(`${file}.new`, file);
    };
    ours.forEach((file) => put(file));
    const hub = await startHub({ ours, main: 'hub_grace 60s;' });
    t.after(() => hub.stop());
    const publishers = [];
    const media = async (name) => {
      const client = await openPublisher(`${name}?key=a`, { ...hub.rtmp, chunkSize: 4096 });
      publishers.push({ client, source: feed(client, MEDIA) });
      await until(async () => (await hub.stream(`live/${name}`))?.window_ms > 200, `live/${name}`);
    };
    await media('old');
    const viewers = await viewersEverywhere(hub, 'live/old');

    // the new ones know no hub_grace, which a new nginx would find out
    const rename = (bytes) => {
      const at = bytes.indexOf('hub_grace\0');
      assert.ok(at > 0);
      bytes.write('hub_grave', at);
      return bytes;
    };
    put(ours[0]);
    put(ours[1], rename);
    const warnings = (file) =>
      hub.nginx.log().split(`"${file}" is another file than when nginx was started`).length - 1;
    for (const times of [1, 2]) {
      await hub.nginx.reload();
      for (const file of ours) assert.equal(warnings(file), times, file);
      await media(`new${times}`);
      viewers.push(...await viewersEverywhere(hub, `live/new${times}`, hub.nginx.workers()));
      viewers.push(...await viewersEverywhere(hub, 'live/old', hub.nginx.workers()));
      await Promise.all(viewers.map((viewer) => viewer.more(20)));
    }
    closeAll(viewers);
    publishers.forEach(({ source }) => source.stop());
    await Promise.all(publishers.map(({ client }) => client.close()));
    const fresh = hub.nginx.workers();
    await until(
      async () => (await hub.status()).workers.every((w) => fresh.includes(w.pid)),
      'the old workers to leave',
      120_000,
    );
  });

  test('a killed worker loses only its own connections', DEADLINE, async (t) => {
    const hub = await startHub({ expectCrash: true });
    t.after(() => hub.stop());
    const [one, two] = hub.nginx.workers();
    const lost = await publishOn(hub, 'lost', (pid) => pid === one);
    const kept = await publishOn(hub, 'kept', (pid) => pid === two);
    const sources = [feed(lost, MEDIA), feed(kept, MEDIA)];
    await until(async () => (await hub.status()).streams.every((s) => s.window_ms > 200), 'both streams');
    const viewers = [...await viewersEverywhere(hub, 'live/kept'), ...await viewersEverywhere(hub, 'live/lost')];

    hub.nginx.kill('SIGKILL', one);
    await until(
      async () => (await hub.stream('live/lost')).state === 'grace',
      'the lost stream to be in grace',
    );
    await until(async () => (await hub.status()).workers.length === 2, 'a new worker in place of the dead');
    assert.equal((await hub.stream('live/kept')).state, 'live');

    await until(() => viewers.some((viewer) => viewer.ended), 'viewers of the dead worker to notice');
    const alive = viewers.filter((viewer) => !viewer.ended);
    assert.ok(alive.length > 0 && alive.length < viewers.length);
    await until(async () => {
      const { workers, streams } = await hub.status();
      const counted = streams.reduce((sum, s) => sum + s.viewers, 0);
      const left = viewers.filter((viewer) => !viewer.ended).length;
      return counted === left && workers.reduce((sum, w) => sum + w.viewers, 0) === left;
    }, 'the counts to be right again');

    // the lost publisher returns to any worker; its viewers have stayed
    sources[0].stop();
    const again = await openPublisher('lost?key=k-lost', { ...hub.rtmp, chunkSize: 4096 });
    const source = feed(again, MEDIA);
    await Promise.all(viewers.filter((viewer) => !viewer.ended).map((viewer) => viewer.more(10)));
    const fresh = await hub.view('live/lost');
    await fresh.more(3);
    [...sources, source].forEach((s) => s.stop());
    closeAll([...viewers, fresh]);
    await Promise.all([again.close(), kept.close(), lost.close()]);
  });

  test('after its grace a stream ends, and so do its viewers', DEADLINE, async (t) => {
    const hub = await startHub({ main: 'hub_grace 1s;' });
    t.after(() => hub.stop());
    const client = await openPublisher('brief?key=a', { ...hub.rtmp, chunkSize: 4096 });
    client.sendVideo(0, MEDIA.key);
    await until(async () => (await hub.stream('live/brief'))?.window_bytes > 2000, 'live/brief');
    const viewers = await oneInEach(hub, 'live/brief');
    await client.close();
    await until(() => viewers.every((viewer) => viewer.ended), 'the viewers to end');
    assert.equal(await hub.stream('live/brief'), undefined);
    const { zone } = await hub.status();
    assert.equal(zone.free, zone.blocks, 'every block came back');
  });
});

describe('workers that are killed within an operation', () => {
  test('no lock stays held', DEADLINE, async (t) => {
    const hub = await startHub({ zone: '8m', expectCrash: true });
    t.after(() => hub.stop());
    const big = keyFrame(70_000);                // each append moves a block, under the mutex
    let flood = true;
    const publish = async (n) => {
      const client = await openPublisher(`busy${n}?key=a`, { ...hub.rtmp, chunkSize: 65536 });
      client.sendVideo(0, big);
      let at = 0;
      const more = () => {
        if (flood && !client.ended) {
          for (let i = 0; i < 5; i++) client.sendVideo((at += 5), big);
          client.drained().then(() => setImmediate(more));
        }
      };
      more();
      return client;
    };
    let clients = await Promise.all([1, 2, 3, 4].map(publish));
    for (let round = 0; round < 10; round++) {
      const [victim] = hub.nginx.workers();
      await until(
        async () => (await hub.status()).streams.filter((s) => s.state === 'live').length === 4,
        'all to be live',
      );
      hub.nginx.kill('SIGKILL', victim);
      await until(async () => {
        const pids = (await hub.status()).workers.map((w) => w.pid);   // takes the mutex
        return pids.length === 2 && !pids.includes(victim);
      }, 'a worker in place of the killed one');
      const { streams } = await hub.status();
      clients = await Promise.all(clients.map(async (client, i) => {
        if (streams.find((s) => s.name === `live/busy${i + 1}`).state === 'live') return client;
        await client.closed;
        return publish(i + 1);
      }));
    }
    flood = false;
    await Promise.all(clients.map((client) => client.ping()));
    const source = feed(clients[0], { ...MEDIA, from: 1_000_000 });
    const viewers = await oneInEach(hub, 'live/busy1');
    await Promise.all(viewers.map((viewer) => viewer.more(5)));
    source.stop();
    closeAll(viewers);
    await Promise.all(clients.map((client) => client.close()));
  });
});

describe('little memory', () => {
  test('a publisher without room is refused with the reason, others continue', DEADLINE, async (t) => {
    const hub = await startHub({ zone: '4m', main: 'hub_stream_max 1m;' });
    t.after(() => hub.stop());
    const clients = [];
    const big = keyFrame(60_000);
    let refusal;
    for (let n = 0; n < 64 && !refusal; n++) {
      try {
        const client = await openPublisher(`crowd${n}?key=a`, { ...hub.rtmp, chunkSize: 65536 });
        for (let i = 0; i < 10; i++) client.sendVideo(i * 40, big);
        await client.ping();
        clients.push(client);
      } catch (error) {
        refusal = error;
      }
    }
    assert.match(refusal?.message ?? '', /hub_zone has no room for another stream/);
    assert.ok(clients.length >= 4, `${clients.length} streams fit`);
    assert.match(hub.nginx.log(), /publish live\/crowd\d+ refused: hub_zone has no room/);
    const viewers = await oneInEach(hub, 'live/crowd0');
    const source = feed(clients[0], { key: big, inter: big, from: 400 });
    await Promise.all(viewers.map((viewer) => viewer.more(5)));
    source.stop();
    closeAll(viewers);
    const { zone } = await hub.status();
    assert.equal(zone.refused.room, 1);
    await Promise.all(clients.map((client) => client.close()));
  });
});

describe('streams that take one another\'s blocks', () => {
  test('ten streams in a zone for five: no viewer gets another stream\'s bytes', DEADLINE, async (t) => {
    const hub = await startHub({ zone: '6m', main: 'hub_stream_max 4m;', flv: 'hub_lag 1s;' });
    t.after(() => hub.stop());
    const body = (n, key) => Buffer.concat([Buffer.from([key ? 0x17 : 0x27, 1, 0, 0, 0]), Buffer.alloc(30_000, n)]);
    const streams = await Promise.all(Array.from({ length: 10 }, async (_, i) => {
      const n = i + 1;
      const client = await openPublisher(`full${n}?key=a`, { ...hub.rtmp, chunkSize: 65536 });
      const source = feed(client, { key: body(n, true), inter: body(n, false), every: 20, gop: 5 });
      await until(async () => (await hub.stream(`live/full${n}`))?.window_bytes > 30_000, `live/full${n}`);
      return { n, client, source };
    }));
    await until(async () => (await hub.status()).zone.free < 4, 'the zone to be full');
    // windows last for 400 ms: on a busy machine a viewer may fall out of one, and a new one continues
    const watch = async (n) => {
      for (let frames = 0; frames < 100;) {
        const viewer = await hub.view(`live/full${n}`);
        const whole = await viewer.more(100 - frames).catch(() => viewer.error);
        assert.equal(whole, undefined);
        const strange = viewer.flv.video().filter((tag) => tag.mark !== n * 0x01010101);
        assert.deepEqual(strange, [], `stream ${n} has frames of another`);
        frames += viewer.flv.video().length;
        viewer.close();
      }
    };
    await Promise.all(streams.flatMap(({ n }) => [1, 2, 3, 4].map(() => watch(n))));
    for (const { client, source } of streams) { source.stop(); await client.close(); }
  });
});

describe('nginx -t', () => {
  const cases = [
    ['hub without the wire layer', { modules: ['hub'], conf: '' }, /needs ngx_rtmp_module\.so loaded before it/],
    [
      'hub without the guard',
      { modules: ['rtmp', 'hub'], conf: '' },
      /needs ngx_rtmp_guard_module\.so loaded before it/,
    ],
    ['a zone too small', { conf: 'hub_zone z 64k;' }, /hub_zone "z" has size "64k", expected at least/],
    ['two zones', { conf: 'hub_zone a 8m; hub_zone b 8m;' }, /"hub_zone" directive is duplicate/],
    [
      'ingest without gate',
      { conf: 'rtmp { server { listen 127.0.0.1:{{port:r}}; application live { ingest on; } } }' },
      /"ingest on" has no "gate"/,
    ],
    [
      'a gate that is not an address',
      { conf: 'rtmp { server { listen 127.0.0.1:{{port:r}}; application live { gate localhost; } } }' },
      /gate is "localhost", expected unix:/,
    ],
    [
      'viewers without keys',
      { conf: 'http { server { listen 127.0.0.1:{{port:h}}; location /m/ { hub_flv on; } } }' },
      /"hub_flv on" has no "access_token_keys"/,
    ],
    [
      'a flush out of range',
      { conf: 'http { hub_flush 5s; server { listen 127.0.0.1:{{port:h}}; } }' },
      /hub_flush is "5s", expected 1ms to 1s/,
    ],
    [
      'auto with a maximum below the minimum',
      { conf: 'http { hub_flush auto 1ms; }' },
      /hub_flush is "1ms", expected 2ms to 1s, or auto with a maximum in that range/,
    ],
    [
      'a flush that is neither a time nor auto',
      { conf: 'http { hub_flush 10ms 20ms; }' },
      /hub_flush has "10ms 20ms", expected TIME or auto \[MAX\]/,
    ],
    ['two flushes', { conf: 'http { hub_flush auto; hub_flush 10ms; }' }, /"hub_flush" directive is duplicate/],
    [
      'a file of revocations that cannot be written',
      { conf: 'hub_revocations /nonexistent/r; hub_zone z 8m;' },
      /open\(\) "\/nonexistent\/r" failed/,
    ],
    [
      'a missing key file',
      { conf: 'http { access_token_keys /nonexistent/keys; }' },
      /access_token_keys cannot open "\/nonexistent\/keys"/,
    ],
    [
      'an invalid key file',
      { conf: 'http { access_token_keys /etc/passwd; }' },
      /access_token_keys "\/etc\/passwd" line 1: expected "KID HEX"/,
    ],
  ];
  for (const [name, options, expected] of cases) {
    test(name, DEADLINE, async () => {
      const { code, output } = await testConfig({ modules: ['rtmp', 'guard', 'hub'], ...options });
      assert.notEqual(code, 0);
      assert.match(output, expected);
    });
  }
});
