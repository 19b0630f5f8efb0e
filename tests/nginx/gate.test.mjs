// The gate and ingest: the status that a publisher gets for each answer, and without one.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { feed, fcgiAnswer, startHub } from '../lib/hub.mjs';
import { until } from '../lib/nginx.mjs';
import {
  MSG,
  amfEncode,
  aacFrame,
  aacHeader,
  avcHeader,
  interFrame,
  keyFrame,
  openPublisher,
  openStream,
  RtmpClient,
} from '../lib/rtmp.mjs';

const DEADLINE = { timeout: 120_000 };

/** Publishes and expects a refusal with this reason, as status and in the log. */
async function refused(hub, name, reason, { line = reason, ...more } = {}) {
  const from = hub.nginx.log().length;
  const client = await openStream(hub.rtmp);
  await assert.rejects(client.publish(name, more), (error) => {
    assert.match(error.message, /NetStream\.Publish\.(BadName|Failed)/);
    assert.match(error.message, reason);
    return true;
  });
  await client.closed;
  const lines = hub.nginx
    .log()
    .slice(from)
    .split('\n')
    .filter((l) => /publish \S+ (refused|ended)|bad name/.test(l) && line.test(l));
  assert.equal(lines.length, 1, `one log line of the reason: ${lines}`);
  assert.match(lines[0], /client: 127\.0\.0\.1/);
}

describe('answers of the service', () => {
  let hub;
  before(async () => { hub = await startHub({ ingest: 'gate_timeout 2s; ingest_timeout 5s;' }); });
  after(() => hub.stop());

  test('the gate asks with stream, key and address, and reports the end', DEADLINE, async () => {
    hub.gate.answer = () => ({ allow: true, uid: 7, stream: 3, record: false, max_kbps: 8000 });
    const client = await openPublisher('cam1?key=secret&x=1', { ...hub.rtmp, chunkSize: 4096 });
    const asked = hub.gate.questions.at(-1);
    assert.deepEqual([asked.SCRIPT_NAME, asked.REQUEST_METHOD, asked.APP, asked.NAME, asked.ARGS, asked.REMOTE_ADDR],
      ['/gate/publish', 'GET', 'live', 'cam1', 'key=secret&x=1', '127.0.0.1']);
    assert.match(asked.SESSION, /^\d+$/);
    assert.equal(asked.AGENT, undefined, 'a program that does not name itself');
    client.sendVideo(0, keyFrame(5000));
    await until(async () => (await hub.stream('live/cam1')).bytes_in > 5000, 'the frame');
    await client.close();
    const done = await until(
      () => hub.gate.questions.find((q) => q.SCRIPT_NAME === '/gate/done'),
      'the report of the end',
    );
    assert.deepEqual(
      [done.KIND, done.NAME, done.SESSION, done.REASON],
      ['publish', 'cam1', asked.SESSION, 'closed by the client'],
    );
    assert.ok(Number(done.BYTES) > 5000);
  });

  test('the gate passes on how the publisher\'s program names itself', DEADLINE, async () => {
    hub.gate.answer = () => ({ allow: true, uid: 7, stream: 3 });
    const client = await RtmpClient.open(hub.rtmp);
    await client.connect({ flashVer: 'Larix/1.3.10 (相机)' });
    await client.createStream();
    await client.publish('cam9?key=secret');
    assert.equal(hub.gate.questions.at(-1).AGENT, 'Larix/1.3.10 (相机)');
    await client.close();
  });

  test('a refusal reaches the publisher with its reason', DEADLINE, async () => {
    hub.gate.answer = () => ({ allow: false, reason: 'wrong key' });
    await refused(hub, 'cam2?key=x', /wrong key/);
    assert.equal(await hub.stream('live/cam2'), undefined);
  });

  test('no answer in time is a refusal', DEADLINE, async () => {
    hub.gate.answer = () => undefined;
    await refused(hub, 'cam3?key=x', /did not answer in time/);
  });

  const garbage = [
    ['text', fcgiAnswer('it works!')],
    ['JSON without allow', fcgiAnswer('{"uid":7}')],
    ['allow as a number', fcgiAnswer('{"allow":1}')],
    ['allow as a string', fcgiAnswer('{"allow":"true"}')],
    ['no FastCGI', Buffer.from('HTTP/1.0 200 OK\r\n\r\n{"allow":true}')],
    ['half an answer', fcgiAnswer('{"allow":true}').subarray(0, 30)],
    ['nothing', Buffer.alloc(0)],
    ['too much', fcgiAnswer(`{"allow":true,"x":"${'y'.repeat(20_000)}"}`)],
  ];
  for (const [name, bytes] of garbage) {
    test(`garbage is a refusal: ${name}`, DEADLINE, async () => {
      hub.gate.answer = () => bytes;
      await refused(hub, 'cam4?key=x', /auth service sent an (invalid|incomplete) answer|auth service unavailable/);
    });
  }

  test('a publisher that leaves before the answer disturbs nobody', DEADLINE, async () => {
    let release;
    hub.gate.answer = () => new Promise((resolve) => { release = () => resolve({ allow: true }); });
    const client = await openStream(hub.rtmp);
    client.publish('gone?key=x').catch(() => {});
    await until(() => release, 'the question');
    await client.close();
    release();
    hub.gate.answer = () => ({ allow: true });
    const next = await openPublisher('after?key=x', hub.rtmp);
    await next.close();
    assert.equal(await hub.stream('live/gone'), undefined);
  });

  test('frames sent before the answer are not lost', DEADLINE, async () => {
    let release;
    hub.gate.answer = () => new Promise((resolve) => { release = () => resolve({ allow: true }); });
    const client = await openStream(hub.rtmp);
    client.setChunkSize(65536);
    const started = client.publish('eager?key=x');
    client.sendMeta();
    client.sendVideo(0, avcHeader());
    client.sendAudio(0, aacHeader());
    for (let i = 0; i < 25; i++) client.sendVideo(i * 40, i === 0 ? keyFrame(20_000) : interFrame(5_000));
    await client.ping();
    await until(() => release, 'the question');
    release();
    await started;
    const viewer = await hub.view('live/eager');
    await until(() => viewer.flv.video().length === 25, 'all 25 frames');
    assert.deepEqual(viewer.flv.video().map((tag) => tag.dts), Array.from({ length: 25 }, (_, i) => i * 40));
    viewer.close();
    await client.close();
    hub.gate.answer = () => ({ allow: true });
  });

  const names = [
    'a/b',
    '..',
    'a..b',
    'a b',
    'a\tb',
    'a\u0001b',
    'x'.repeat(129),
    'a"b',
    'a#b',
    'a%2fb',
    'a\\b',
    Buffer.from([0x61, 0xff]).toString('latin1'),
  ];
  for (const name of names) {
    test(`a bad name is refused: ${JSON.stringify(name.slice(0, 12))}`, DEADLINE, async (t) => {
      if (name === 'a\u00ff') {
        // U+00FF is a letter: as UTF-8 it is a good name
        const client = await openPublisher(`${name}?key=x`, hub.rtmp);
        t.after(() => client.close());
        assert.ok(await hub.stream(`live/${name}`));
        return;
      }
      await refused(hub, `${name}?key=x`, /bad stream name/);
    });
  }

  test('a name of 128 bytes is good', DEADLINE, async () => {
    const name = 'n'.repeat(128);
    const client = await openPublisher(`${name}?key=x`, hub.rtmp);
    assert.ok(await hub.stream(`live/${name}`));
    await client.close();
  });

  test('an unknown application ends the connection', DEADLINE, async () => {
    await assert.rejects(
      openStream({ ...hub.rtmp, app: 'nowhere' }),
      /NetConnection\.Connect\.Rejected.*expected \\"live\\"/,
    );
    assert.match(hub.nginx.log(), /guard: refused connect to application "nowhere", expected "live"/);
  });

  test('a silent publisher is ended after ingest_timeout', DEADLINE, async () => {
    const from = hub.nginx.log().length;
    const client = await openPublisher('silent?key=x', hub.rtmp);
    const status = await client.anyStatus();
    assert.equal(status.code, 'NetStream.Publish.Failed');
    assert.match(status.description, /no media for \d+ ms/);
    await client.closed;
    assert.match(hub.nginx.log().slice(from), /publish live\/silent ended: no media for/);
    assert.equal((await hub.stream('live/silent')).state, 'grace');
  });

  test('a takeover needs the same key by its number from the gate, whatever its text', DEADLINE, async () => {
    const { answer } = hub.gate;
    hub.gate.answer = ({ ARGS }) => ({ allow: true, key: ARGS.includes('other') ? 6 : 5 });
    const first = await openPublisher('numbered?key=one', hub.rtmp);
    await assert.rejects(openPublisher('numbered?key=other', hub.rtmp), /already live with another key/);
    const second = await openPublisher('numbered?x=1&key=%6fne&y', hub.rtmp);
    await first.closed;
    const third = await openPublisher('numbered?token=two', hub.rtmp);
    await second.closed;
    hub.gate.answer = answer;
    await third.close();
  });

  test('without numbers from the gate, decoded keys are compared', DEADLINE, async () => {
    const first = await openPublisher('texts?key=a%62c', hub.rtmp);
    for (const other of ['key=ab', 'key=abcd', 'key=abC', 'key=', 'key=a%2562c']) {
      await assert.rejects(openPublisher(`texts?${other}`, hub.rtmp), /already live with another key/);
    }
    const second = await openPublisher('texts?x=key%3dno&key=abc&key=no', hub.rtmp);
    await first.closed;
    await second.close();
  });

  test('a second publish on a connection is refused, the first continues', DEADLINE, async () => {
    const client = await openPublisher('twice?key=x', { ...hub.rtmp, chunkSize: 4096 });
    const source = feed(client, { key: keyFrame(), inter: interFrame() });
    await assert.rejects(client.publish('other?key=x'), /publishes already/);
    const viewer = await hub.view('live/twice');
    await viewer.more(3);
    viewer.close();
    source.stop();
    await client.close();
  });

  test('a client that repeats publish and close causes one question at a time', DEADLINE, async () => {
    const { answer } = hub.gate;
    let release;
    const released = new Promise((resolve) => {
      release = resolve;
    });
    hub.gate.answer = async (q) => {
      if (q.NAME === 'stall') await released;
      return { allow: true };
    };
    const client = await openStream(hub.rtmp);
    for (let n = 0; n < 50; n++) {
      client.command('publish', null, 'stall?key=x', 'live');
      client.command('closeStream', null);
    }
    await client.ping();
    await assert.rejects(client.publish('stall?key=x'), /publishes already/);
    const other = await openPublisher('later?key=x', { ...hub.rtmp, chunkSize: 4096 }); // asked after all of those
    assert.equal(hub.gate.questions.filter((q) => q.NAME === 'stall').length, 1);
    release();
    await until(
      () =>
        client.publish('free?key=x').then(
          () => true,
          () => false,
        ),
      'the connection to publish again',
    );
    hub.gate.answer = answer;
    await other.close();
    await client.close();
  });

  const nonsense = [
    [
      'a video message of one byte',
      (c) => c.sendVideo(0, Buffer.from([0x17])),
      /video message of 1 bytes is shorter than its header/,
    ],
    ['Sorenson video', (c) => c.sendVideo(0, Buffer.from([0x12, 0, 0, 0, 0, 0])), /video codec 2 is not carried/],
    ['MP3 audio', (c) => c.sendAudio(0, Buffer.from([0x2f, 0, 0, 0])), /audio codec 2 is not carried/],
    [
      'an invalid AVC header',
      (c) => c.sendVideo(0, Buffer.from([0x17, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8])),
      /H\.264 sequence header makes no sense/,
    ],
    [
      'a sequence header of 5 KB',
      (c) => c.sendVideo(0, Buffer.concat([avcHeader(), Buffer.alloc(5000)])),
      /sequence header is longer than 4096 bytes/,
    ],
    [
      'an unknown FourCC',
      (c) => c.sendVideo(0, Buffer.from('90786d6c31000000', 'hex')),
      /video codec xml1 is not carried/,
    ],
    [
      'a FourCC that is not text',
      (c) => c.sendVideo(0, Buffer.from('9000ff0a7f000000', 'hex')),
      /video codec \?\?\?\? is not carried/,
    ],
  ];
  for (const [name, send, reason] of nonsense) {
    test(`${name} is ended with its reason`, DEADLINE, async () => {
      const from = hub.nginx.log().length;
      const client = await openStream(hub.rtmp);
      await client.publish('nonsense?key=x');
      send(client);
      const status = await client.anyStatus();
      assert.equal(status.code, 'NetStream.Publish.Failed');
      assert.match(status.description, reason);
      await client.closed;
      assert.match(hub.nginx.log().slice(from), new RegExp(`publish live/nonsense ended: .*${reason.source}`));
    });
  }

  test('harmless messages of real encoders are skipped', DEADLINE, async () => {
    const client = await openPublisher('habits?key=x', { ...hub.rtmp, chunkSize: 4096 });
    client.sendVideo(0, Buffer.alloc(0));
    client.sendAudio(0, Buffer.alloc(0));
    client.sendVideo(0, Buffer.from([0x17, 2, 0, 0, 0]));                  // end of sequence
    client.sendVideo(0, Buffer.from([0x57, 0]));                           // command frame
    client.sendVideo(0, avcHeader());                                      // the same header again
    client.sendVideo(0, keyFrame());
    client.sendAudio(10, aacFrame());
    await client.ping();
    const viewer = await hub.view('live/habits');
    await until(() => viewer.flv.tags.length === 5, 'headers and two frames');
    viewer.close();
    await client.close();
  });
});

test(
  'a frame larger than hub_stream_max is skipped, and the stream continues with the next key frame',
  DEADLINE,
  async (t) => {
    const hub = await startHub({ zone: '8m', main: 'hub_stream_max 1m;' });
    t.after(() => hub.stop());
    const client = await openPublisher('large?key=x', { ...hub.rtmp, chunkSize: 65536 });
    const viewer = await hub.view('live/large');
    const sizes = [0, 0, 1_500_000, 0, 0, 0].map((size, n) => (n % 4 ? interFrame(size) : keyFrame(size)));
    sizes.forEach((body, n) => client.sendVideo(n * 40, body));
    await until(() => viewer.flv.video().length === 4, 'the frames that are none of its GOP');
    await client.ping();
    assert.deepEqual(
      viewer.flv.video().map(({ dts }) => dts),
      [0, 40, 160, 200],
    );
    viewer.close();
    await client.close();
    await until(
      () => /publish live\/large ended: closed by the client, 1 message was skipped/.test(hub.nginx.log()),
      'its end',
    );
    assert.match(hub.nginx.log(), /message skipped: message of 1500000 bytes is larger than hub_stream_max allows/);
  },
);

describe('the gate reports the end of every client that the service allowed', () => {
  let hub;
  let name = 0;
  before(async () => {
    hub = await startHub({ workers: 1, ingest: 'hub_play on; ingest_timeout 30s;', main: 'hub_viewers_max 1;' });
  });
  after(() => hub.stop());

  // The one report of the session that was asked for `stream`.
  async function report(stream, kind) {
    const asked = await until(
      () => hub.gate.questions.find((q) => q.NAME === stream && q.SCRIPT_NAME === `/gate/${kind}`),
      'the question',
    );
    const done = await until(
      () => hub.gate.questions.filter((q) => q.SCRIPT_NAME === '/gate/done' && q.SESSION === asked.SESSION)[0],
      `the report of ${stream}`,
    );
    assert.deepEqual([done.KIND, done.NAME, done.SECONDS], [kind, stream, '0']);
    return done;
  }
  const admit = (more) => { hub.gate.answer = () => ({ allow: true, uid: 7, stream: 3, ...more }); };
  const open = (stream, key = 'a') => openPublisher(`${stream}?key=${key}`, { ...hub.rtmp, chunkSize: 4096 });

  test('a stream that another key publishes, and one more than the user\'s limit', DEADLINE, async () => {
    admit();
    const first = await open('busy');
    hub.gate.questions.length = 0;
    const second = await openStream(hub.rtmp);
    await assert.rejects(second.publish('busy?key=b'), /BadName/);
    assert.match((await report('busy', 'publish')).REASON, /already live with another key/);
    admit({ max_publishers: 1 });
    const third = await openStream(hub.rtmp);
    await assert.rejects(third.publish('limit?key=c'), /BadName/);
    assert.match((await report('limit', 'publish')).REASON, /user publishes as many/);
    await first.close();
  });

  test('a player of a stream that is not live, and one beyond the limit', DEADLINE, async () => {
    admit();
    await assert.rejects((await openStream(hub.rtmp)).play('nothing?token=t'), /not live/);
    assert.equal((await report('nothing', 'play')).REASON, 'not live');
    const source = await open('crowd');
    source.sendVideo(0, keyFrame(5000));
    const one = await openStream(hub.rtmp);
    await one.play('crowd?token=t');
    await until(
      async () => (await hub.status()).streams.find((s) => s.name === 'live/crowd')?.viewers === 1,
      'the viewer',
    );
    hub.gate.questions.length = 0;
    await assert.rejects((await openStream(hub.rtmp)).play('crowd?token=t'), /Play\.Failed/);
    assert.match((await report('crowd', 'play')).REASON, /viewers/);
    await one.close();
    await source.close();
  });

  for (const kind of ['publish', 'play']) {
    for (const how of ['leaves', 'closes its stream']) {
      test(`a client that wants to ${kind} and ${how} before the answer`, DEADLINE, async () => {
        const stream = `gone${name++}`;
        let release;
        hub.gate.answer = () => new Promise((resolve) => { release = () => resolve({ allow: true, uid: 7 }); });
        const client = await openStream(hub.rtmp);
        client[kind](`${stream}?key=x&token=t`).catch(() => {});
        await until(() => release, 'the question');
        if (how === 'leaves') {
          await client.close();
        } else {
          client.command('closeStream', null);
          await client.ping();
        }
        release();
        const done = await report(stream, kind);
        assert.match(done.REASON, /left before the answer|closed by the client/);
        assert.equal(
          hub.gate.questions.filter((q) => q.SCRIPT_NAME === '/gate/done' && q.SESSION === done.SESSION).length,
          1,
        );
        await client.close();
      });
    }
  }

  test('no report of a client that was refused', DEADLINE, async () => {
    hub.gate.answer = () => ({ allow: false, reason: 'wrong key' });
    await assert.rejects((await openStream(hub.rtmp)).publish('no?key=x'), /wrong key/);
    admit();
    await (await open('yes')).close();
    await until(
      () => hub.gate.questions.some((q) => q.SCRIPT_NAME === '/gate/done' && q.NAME === 'yes'),
      'a later report',
    );
    assert.ok(!hub.gate.questions.some((q) => q.SCRIPT_NAME === '/gate/done' && q.NAME === 'no'));
  });
});

test('without a service clients are refused, and it is asked again when it is back', DEADLINE, async (t) => {
  const hub = await startHub();
  t.after(() => hub.nginx.stop({ allow: [/connect\(\) to unix:.* failed/] }));
  await hub.gate.stop();
  await refused(hub, 'cam?key=x', /auth service unavailable/);
});

test('a data message named as a command starts nothing, and the deadline stays', DEADLINE, async (t) => {
  const hub = await startHub({ server: 'rtmp_guard_deadline 1s;' });
  t.after(() => hub.stop());
  const client = await openStream(hub.rtmp);
  client.send({ type: MSG.META, payload: amfEncode('play', 0, null) });
  assert.match((await client.anyStatus()).description, /still connected without publish or play after 1000 ms/);
  await client.closed;
});

test('500 publish attempts at once leave a running stream alone', DEADLINE, async (t) => {
  const hub = await startHub({ ingest: 'gate_timeout 60s;', flv: 'hub_lag 20s;' });
  t.after(() => hub.stop());
  const client = await openPublisher('running?key=x', { ...hub.rtmp, chunkSize: 4096 });
  const source = feed(client, { key: keyFrame(2000), inter: interFrame(500) });
  await until(async () => (await hub.stream('live/running'))?.window_ms > 500, 'live/running');
  const viewer = await hub.view('live/running');
  await viewer.more(10);

  let waiting = [];
  hub.gate.answer = () => new Promise((resolve) => { waiting.push(resolve); });
  const attempts = Array.from({ length: 500 }, async (_, i) => {
    const one = await openStream(hub.rtmp);
    await assert.rejects(one.publish(`try${i}?key=x`), /wrong key/);
    await one.close();
  });
  await until(() => waiting.length >= 64, 'questions to be under way');
  await viewer.more(25);                       // media flows while the service thinks
  const count = () => hub.gate.questions.filter((q) => q.NAME.startsWith('try')).length;
  const pump = setInterval(() => {
    for (const resolve of waiting.splice(0)) resolve({ allow: false, reason: 'wrong key' });
  }, 20);
  try {
    await Promise.all(attempts);
  } finally {
    clearInterval(pump);
  }
  waiting = [];
  assert.equal(count(), 500);
  const dts = viewer.flv.video().map((tag) => tag.dts);
  assert.ok(dts.every((ms, i) => i === 0 || ms - dts[i - 1] === 40), 'no frame is missing');
  viewer.close();
  source.stop();
  await client.close();
});
