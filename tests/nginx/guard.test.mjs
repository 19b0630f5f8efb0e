// The guard in a real nginx: every hostile row, with the guard on and off, and
// good clients, which it must not disturb.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { startNginx, testConfig, until } from '../lib/nginx.mjs';
import {
  MSG, RtmpClient, aacFrame, amfEncode, avcHeader, chunk, interFrame, keyFrame, openPlayer, openPublisher, openStream,
} from '../lib/rtmp.mjs';
import { bystanders, configuration, rows, run, setChunkSize, tag } from './guard-rows.mjs';

const DEADLINE = { timeout: 120_000 };

function program(t, name, args) {
  const child = spawn(name, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  child.text = '';
  child.bytes = 0;
  child.stderr.on('data', (data) => { child.text += data; });
  child.stdout.on('data', (data) => { child.bytes += data.length; });
  child.ended = new Promise((resolve) => { child.on('close', (code) => resolve(code)); });
  t.after(async () => { child.kill('SIGKILL'); await child.ended; });
  return child;
}

const frames = (client, count, match = (m) => m.type === MSG.VIDEO && m.payload[1] === 1) =>
  Array.from({ length: count }).reduce(
    (p) => p.then(async (list) => [...list, await client.wait(match, 'a frame')]),
    Promise.resolve([]),
  );

describe('hostile input', { concurrency: 2 }, () => {
  for (const row of rows) {
    test(`guard: ${row.name}`, DEADLINE, () => run(row, { guard: true }));
    test(`stock: ${row.name}`, DEADLINE, () => run(row, { guard: false }));
  }
});

describe('good clients', () => {
  let ng;
  let port;

  before(async () => {
    ng = await startNginx({ conf: configuration(true, 'max_message 4m; rtmp_guard_conn_per_ip 64;') });
    port = ng.ports.rtmp;
  });

  after(async () => {
    const refused = ng.log().split('\n').filter((line) => line.includes('guard: refused'));
    await ng.stop();
    assert.deepEqual(refused, []);
  });

  test('ffmpeg publishes, a player gets its frames', DEADLINE, async (t) => {
    const ffmpeg = program(t, 'ffmpeg', ['-v', 'error', '-re', '-f', 'lavfi', '-i', 'testsrc=s=320x180:r=25',
      '-f', 'lavfi', '-i', 'sine', '-c:v', 'libx264', '-preset', 'ultrafast', '-g', '25', '-c:a', 'aac',
      '-t', '30', '-f', 'flv', `rtmp://127.0.0.1:${port}/live/ffmpeg`]);
    await until(() => ng.log().includes("publish: name='ffmpeg'") || ffmpeg.exitCode !== null, 'ffmpeg to publish');
    const player = await openPlayer('ffmpeg', { port });
    await frames(player, 30);
    await frames(player, 30, (m) => m.type === MSG.AUDIO);
    assert.equal(ffmpeg.text, '');
    await player.close();
  });

  test('ffmpeg and rtmpdump play', DEADLINE, async (t) => {
    const pair = await bystanders(port);
    t.after(() => pair.close());
    const url = `rtmp://127.0.0.1:${port}/live/bystander`;
    const ffmpeg = program(t, 'ffmpeg', ['-v', 'error', '-i', url, '-frames:v', '10', '-c', 'copy', '-f', 'flv', '-']);
    const rtmpdump = program(t, 'rtmpdump', ['-q', '-r', url, '--live', '-o', '-']);
    await until(() => rtmpdump.bytes > 3000 || rtmpdump.exitCode !== null, 'rtmpdump to receive');
    assert.ok(rtmpdump.bytes > 3000, rtmpdump.text);
    assert.equal(await ffmpeg.ended, 0, ffmpeg.text);
    assert.ok(ffmpeg.bytes > 500, `ffmpeg wrote ${ffmpeg.bytes} bytes`);
  });

  test('GStreamer rtmp2sink publishes', DEADLINE, async (t) => {
    const gst = program(t, 'gst-launch-1.0', [
      '-q',
      'videotestsrc',
      'is-live=true',
      '!',
      'video/x-raw,width=320,height=180,framerate=25/1',
      '!',
      'x264enc',
      'tune=zerolatency',
      'speed-preset=ultrafast',
      'key-int-max=25',
      '!',
      'h264parse',
      '!',
      'flvmux',
      'streamable=true',
      'name=m',
      '!',
      'rtmp2sink',
      `location=rtmp://127.0.0.1:${port}/live/gst`,
      'audiotestsrc',
      'is-live=true',
      '!',
      'voaacenc',
      '!',
      'aacparse',
      '!',
      'm.',
    ]);
    await until(() => ng.log().includes("publish: name='gst'") || gst.exitCode !== null, 'rtmp2sink to publish');
    const player = await openPlayer('gst', { port });
    await frames(player, 30);
    await frames(player, 30, (m) => m.type === MSG.AUDIO);
    assert.equal(gst.exitCode, null, gst.text);
    await player.close();
  });

  for (const chunkSize of [128, 4096, 65536, 1048576]) {
    test(`key frames of 1.5 MB in chunks of ${chunkSize}`, DEADLINE, async () => {
      const name = `big${chunkSize}`;
      const publisher = await openPublisher(name, { port, chunkSize });
      const player = await openPlayer(name, { port });
      const big = keyFrame(1_500_000);
      const sizes = [big.length, interFrame(30_000).length, aacFrame().length];
      for (let i = 1; i <= 4; i++) {
        publisher.sendVideo(i * 80, big);
        publisher.sendAudio(i * 80, aacFrame());
        publisher.sendVideo(i * 80 + 40, interFrame(30_000));
        await publisher.ping(i);
        // stock's out_queue drops frames for a player that lags
        const [key] = await frames(player, 1, (m) => m.type === MSG.VIDEO && m.payload.length === sizes[0]);
        assert.ok(key.payload.equals(big), 'the key frame comes out as it went in');
        assert.equal(key.timestamp, i * 80);
        await frames(player, 1, (m) => m.type === MSG.VIDEO && m.payload.length === sizes[1]);
      }
      await publisher.close();
      await player.close();
    });
  }

  for (const [what, first] of [['24 bits', 16_777_215 - 100], ['32 bits', 2 ** 32 - 100]]) {
    test(`timestamps run past ${what}`, DEADLINE, async () => {
      const name = `time${first}`;
      const publisher = await openPublisher(name, { port, timestamp: first });
      const player = await openPlayer(name, { port });
      const sent = Array.from({ length: 12 }, (_, i) => (first + i * 20) % 2 ** 32);
      // large enough for continuation chunks, which repeat the extended timestamp
      for (const [i, time] of sent.entries())
        publisher.sendVideo(time, i === 0 ? keyFrame(9000) : interFrame(2000 + i));
      const got = await frames(player, 12);
      // stock counts a player's times from its join: compare the steps
      const steps = got.slice(1).map((m, i) => m.timestamp - got[i].timestamp >>> 0);
      assert.deepEqual(steps, Array(11).fill(20));
      assert.deepEqual(got.map((m) => m.payload.length), [9000, ...Array.from({ length: 11 }, (_, i) => 2001 + i)]);
      await publisher.close();
      await player.close();
    });
  }

  test('header formats 1, 2 and 3 as encoders use them', DEADLINE, async () => {
    const publisher = await openPublisher('formats', { port });
    const player = await openPlayer('formats', { port });
    const frame = (i) => { const b = interFrame(300); b[20] = i; return b; };
    publisher.sendVideo(40, keyFrame(300));
    for (const [i, fmt] of [1, 2, 3, 3, 1, 2].entries()) {
      publisher.sendVideo(fmt === 3 ? 0 : 40, frame(i), { fmt });
    }
    const got = await frames(player, 7);
    assert.deepEqual(got.slice(1).map((m) => m.payload[20]), [0, 1, 2, 3, 4, 5]);
    assert.deepEqual(got.map((m) => m.timestamp - got[0].timestamp), [0, 40, 80, 120, 160, 200, 240]);
    await publisher.close();
    await player.close();
  });

  test('a client that sends everything at once, and one that sends byte by byte', DEADLINE, async () => {
    const whole = (name) => {
      const big = keyFrame(6000);
      return Buffer.concat([Buffer.from([3]), Buffer.alloc(3072),
        chunk({ type: MSG.CMD, payload: amfEncode('connect', 1, { app: 'live', tcUrl: 'rtmp://x/live' }) }),
        setChunkSize(500),
        chunk({ type: MSG.CMD, payload: amfEncode('createStream', 2, null), chunkSize: 500 }),
        chunk({ type: MSG.CMD, msid: 1, payload: amfEncode('publish', 3, null, name, 'live'), chunkSize: 500 }),
        chunk({ csid: 6, type: MSG.VIDEO, msid: 1, payload: avcHeader(), chunkSize: 500 }),
        chunk({ csid: 6, type: MSG.VIDEO, msid: 1, timestamp: 2 ** 24, payload: big, chunkSize: 500 }),
        chunk({ csid: 300 % 32, type: MSG.AUDIO, msid: 1, payload: aacFrame(), chunkSize: 500 })]);
    };
    for (const step of [Infinity, 1]) {
      const name = `split${step}`;
      const player = await openStream({ port });
      await player.play(name);
      const client = await RtmpClient.tcp({ port });
      const bytes = whole(name);
      for (let at = 0; at < bytes.length; at += step) await client.flush(bytes.subarray(at, at + step));
      const [got] = await frames(player, 1, (m) => m.type === MSG.VIDEO && m.payload.length === 6000);
      assert.ok(got.payload.equals(keyFrame(6000)));
      await client.close();
      await player.close();
    }
  });

  test('a relay that nginx opens itself works', DEADLINE, async () => {
    const relay = await startNginx({
      conf: configuration(true).replace('live on; }', `live on; push rtmp://127.0.0.1:{{port:rtmp}}/copy; }
        application copy { live on; }`),
    });
    const player = await openPlayer('p', { port: relay.ports.rtmp, app: 'copy' });
    const publisher = await openPublisher('p', { port: relay.ports.rtmp });
    await until(() => relay.log().split("publish: name='p'").length === 3, 'the relay to publish');
    for (let i = 1; i <= 10; i++) publisher.sendVideo(i * 40, keyFrame(5000));
    await frames(player, 5);
    await player.close();
    await publisher.close();
    assert.doesNotMatch(relay.log(), /guard: refused/);
    await relay.stop();
  });

  test('an aggregate of audio and video is accepted', DEADLINE, async () => {
    const publisher = await openPublisher('aggregate', { port });
    const player = await openPlayer('aggregate', { port });
    publisher.send({
      csid: 6,
      type: MSG.AGGREGATE,
      msid: 1,
      timestamp: 40,
      payload: Buffer.concat([
        tag(MSG.VIDEO, keyFrame(700)),
        tag(MSG.AUDIO, aacFrame()),
        tag(MSG.VIDEO, interFrame(200)),
      ]),
    });
    const got = await frames(player, 2);
    assert.deepEqual(got.map((m) => m.payload.length), [700, 200]);
    await publisher.close();
    await player.close();
  });

  test('the deadline does not end a session that publishes or plays', DEADLINE, async () => {
    const short = await startNginx({ conf: configuration(true, 'rtmp_guard_deadline 1s;') });
    const publisher = await openPublisher('long', { port: short.ports.rtmp });
    const player = await openPlayer('long', { port: short.ports.rtmp });
    const idle = await openStream({ port: short.ports.rtmp });
    await idle.closed;                  // the deadline of all three has passed
    publisher.sendVideo(40, keyFrame());
    await frames(player, 1);
    await publisher.close();
    await player.close();
    await short.stop();
  });
});

describe('bounds', () => {
  test(
    'connections per address count over all workers and survive a killed worker and a reload',
    DEADLINE,
    async () => {
      const ng = await startNginx({
        conf: configuration(true, 'rtmp_guard_conn_per_ip 12;').replace('worker_processes 1', 'worker_processes 2'),
        expectCrash: true,
        workers: 2,
      });
      const port = ng.ports.rtmp;
      const attempt = async () => {
        const client = await RtmpClient.tcp({ port });
        return client.handshake().then(
          () => client,
          () => null,
        );
      };
      const fill = async (want) => {
        const open = [];
        for (let client = await attempt(); client; client = await attempt()) {
          open.push(client);
          assert.ok(open.length <= want, `more than ${want} connections are let in`);
        }
        return open;
      };
      const count = async (open, want, what) => {
        await until(async () => {
          for (let client = open.length < want && (await attempt()); client; client = await attempt())
            open.push(client);
          return open.length >= want;
        }, what);
        assert.equal(open.length, want, what);
      };

      let open = [];
      await count(open, 12, 'twelve connections');
      assert.deepEqual(await fill(0), []);

      // one leaves, one may come
      await open.pop().close();
      await count(open, 12, 'the place that became free');

      const [victim] = ng.workers();
      ng.kill('SIGKILL', victim);
      await until(() => ng.workers().length === 2 && !ng.workers().includes(victim), 'the worker to be replaced');
      await until(() => open.some((c) => c.ended) || ng.workers().length === 2, 'its connections to end');
      await Promise.all(open.map((c) => c.ping().catch(() => {})));
      open = open.filter((c) => !c.ended);
      await count(open, 12, 'the places of the dead worker');
      assert.deepEqual(await fill(0), []);

      await ng.reload(); // the old workers keep theirs
      assert.deepEqual(await fill(0), []);
      await Promise.all(open.splice(0).map((c) => c.close()));
      await count(open, 12, 'all places after a reload');
      await Promise.all(open.map((c) => c.close()));
      await ng.stop();
    },
  );

  test('behind a proxy the address of the PROXY line counts', DEADLINE, async () => {
    const ng = await startNginx({
      conf: configuration(true, 'rtmp_guard_conn_per_ip 2;').replace('{{port:rtmp}};', '{{port:rtmp}} proxy_protocol;'),
    });
    const from = async (address) => {
      const client = await RtmpClient.tcp({ port: ng.ports.rtmp });
      client.raw(`PROXY TCP4 ${address} 10.9.9.9 1000 1935\r\n`);
      await client.handshake();
      await client.connect();
      return client;
    };
    const open = [await from('10.0.0.1'), await from('10.0.0.1'), await from('10.0.0.2')];
    await assert.rejects(from('10.0.0.1'), /closed/);
    assert.match(
      ng.log(),
      /guard: refused one more connection of this address, expected at most 2, client: 10\.0\.0\.1,/,
    );
    await Promise.all(open.map((c) => c.close()));
    await ng.stop();
  });

  test('refusals are logged at most 20 times a second', DEADLINE, async () => {
    const ng = await startNginx({ conf: configuration(true) });
    const meta = chunk({ type: MSG.META, payload: amfEncode('onMetaData', { a: 1 }) });
    const once = async () => {
      const client = await RtmpClient.open({ port: ng.ports.rtmp });
      client.raw(meta);
      await client.closed;
    };
    const start = Date.now();
    const silent = () =>
      [...ng.log().matchAll(/guard: refused (\d+) more connections/g)].reduce((n, m) => n + Number(m[1]), 0);
    let total = 0;
    await until(async () => {
      await Promise.all(Array.from({ length: 40 }, once));
      total += 40;
      return silent() > 0;
    }, 'the line that counts the silent refusals');
    const seconds = Math.ceil((Date.now() - start) / 1000) + 1;
    const lines = ng.log().split('\n').filter((line) => /guard: refused message/.test(line)).length;
    assert.ok(lines <= 20 * seconds, `${lines} lines in ${seconds} s`);
    assert.ok(lines + silent() <= total, `${lines} lines and ${silent()} silent of ${total}`);
    await ng.stop();
  });

  test('a flood on one connection leaves the worker responsive', DEADLINE, async () => {
    const ng = await startNginx({ conf: configuration(true, 'max_message 4m;') });
    const pair = await bystanders(ng.ports.rtmp);
    const flood = await openPublisher('flood', { port: ng.ports.rtmp, chunkSize: 65536 });
    const frame = chunk({ csid: 6, type: MSG.VIDEO, msid: 1, payload: interFrame(1_000_000), chunkSize: 65536 });
    let sent = 0;
    let stopped = false;
    const pump = (async () => { while (!stopped) { await flood.flush(frame); sent += frame.length; } })();
    await until(() => sent > 50e6, '50 MB of flood');
    await pair.undisturbed(25);
    stopped = true;
    await pump;
    await flood.close();
    await pair.close();
    await ng.stop();
  });

  test('a client that closes in the middle of a chunk header leaves no memory', DEADLINE, async () => {
    const ng = await startNginx({ conf: configuration(true) });
    for (const bytes of ['04', '0400', '04000000', 'c4', '00', '01ff', '0400000000000108']) {
      const client = await RtmpClient.open({ port: ng.ports.rtmp });
      await client.flush(Buffer.from(bytes, 'hex'));
      await client.close();
    }
    const socket = net.connect(ng.ports.rtmp, '127.0.0.1');
    await new Promise((resolve) => { socket.on('connect', resolve); });
    socket.destroy();
    const pair = await bystanders(ng.ports.rtmp);
    await pair.close();
    await ng.stop();
  });
});

describe('configuration', () => {
  const cases = [
    ['without nginx-rtmp', { modules: ['guard'] }, /ngx_rtmp_guard_module\.so needs nginx-rtmp: put "load_module/],
    ['before nginx-rtmp', { modules: ['guard', 'rtmp'] }, /before the load_module of the guard/],
    [
      'chunk size',
      { line: 'rtmp_guard_chunk_size 200 1m;' },
      /"rtmp_guard_chunk_size" is "200 1m", expected a minimum of 1 to 128/,
    ],
    ['AMF depth', { line: 'rtmp_guard_amf_depth 65;' }, /"rtmp_guard_amf_depth" is 65, expected 1 to 64/],
    ['zone', { line: '', head: 'rtmp_guard_zone 4k;' }, /"rtmp_guard_zone" is 4096 bytes, expected at least 32768/],
  ];
  for (const [what, { modules = ['rtmp', 'guard'], line = '', head = '' }, sentence] of cases) {
    test(`nginx -t names the error: ${what}`, DEADLINE, async () => {
      const { code, output } = await testConfig({
        modules, conf: configuration(true, line).replace('access_log off;', `access_log off; ${head}`),
      });
      assert.notEqual(code, 0);
      assert.match(output, sentence);
    });
  }
});
