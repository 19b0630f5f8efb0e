// GOPs with more entries than an index block, and GOPs larger than the window:
// viewers that join in the middle of them.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { get, startHub } from '../lib/hub.mjs';
import { until } from '../lib/nginx.mjs';
import { MSG, RtmpPlayer, aacFrame, interFrame, keyFrame, openPublisher } from '../lib/rtmp.mjs';
import { PROTOCOLS, media } from '../lib/watch.mjs';

const DEADLINE = { timeout: 120_000 };
// before a listener exists a client does not keep a burst of thousands of messages
const OPEN = { ...PROTOCOLS, rtmp: (hub, stream) => RtmpPlayer.open(`${stream.split('/')[1]}?token=t`, hub.rtmp) };
const BIG = 100_000;
const WINDOW = 4 * 1024 * 1024;
const video = (watcher) => watcher.tags.filter((tag) => tag.type === MSG.VIDEO && !tag.config);
const sound = (watcher) => watcher.tags.filter((tag) => tag.type === MSG.AUDIO && !tag.config);
const headers = (watcher) => watcher.tags.filter((tag) => tag.config).map((tag) => tag.type);
const open = (hub, name) => openPublisher(`${name}?key=k-${name}`, { ...hub.rtmp, chunkSize: 65536 });
const outgrown = async (hub, name) => (await hub.stream(`live/${name}`)).gop_outgrown;

/** A key frame, then frames of 100 KB and sound until the key frame has left the window. */
async function outgrow(hub, client, name, from = 0) {
  client.sendVideo(from, keyFrame(BIG));
  for (let n = 1; n <= WINDOW / BIG + 2; n++) {
    client.sendVideo(from + n * 10, interFrame(BIG));
    client.sendAudio(from + n * 10, aacFrame());
    await client.drained();
  }
  await client.ping();
  await until(() => outgrown(hub, name), 'the GOP to outgrow its window');
  return from + WINDOW / BIG * 10 + 30;
}

/** Sends sound and small inter frames until stopped. */
function goOn(client, from) {
  const source = { at: from };
  const timer = setInterval(() => {
    source.at += 20;
    client.sendAudio(source.at, aacFrame());
    client.sendVideo(source.at, interFrame());
  }, 20);
  source.stop = () => clearInterval(timer);
  return source;
}

describe('a GOP', { concurrency: 4 }, () => {
  let hub;
  before(async () => {
    hub = await startHub({
      main: `hub_stream_max ${WINDOW}; thread_pool dvr threads=2; dvr {{dir}}/rec; dvr_threads dvr;`,
      ingest: 'hub_play on;',
      answer: ({ NAME }) => ({ allow: true, uid: 7, stream: 3, record: NAME === 'recorded' }),
    });
  });
  after(() => hub.stop());

  // 60 s at 30 fps with sound are 4,620 frames; the clock's tolerance lets them come in 2.5 s of stream time
  for (const protocol of Object.keys(OPEN)) {
    test(
      `of 5,000 frames: a viewer by ${protocol} gets all of it from its key frame on`,
      DEADLINE,
      async () => {
        const name = `long-${protocol}`;
        const client = await open(hub, name);
        client.sendVideo(0, keyFrame());
        for (let n = 1; n < 5000; n++) {
          if (n % 2) client.sendAudio(n >> 1, aacFrame());
          else client.sendVideo(n >> 1, interFrame());
          if (n % 500 === 0) await client.drained();
        }
        await client.ping();
        const watcher = await OPEN[protocol](hub, `live/${name}`);
        await until(() => watcher.error || watcher.ended || media(watcher).length >= 5000, '5,000 frames');
        assert.equal(media(watcher).length, 5000);
        assert.ok(media(watcher)[0].key);
        assert.equal(await outgrown(hub, name), false);
        watcher.close();
        await client.close();
      },
    );

    test(
      `larger than the window: a viewer by ${protocol} gets headers and sound at once, the picture at the next ` +
        'key frame',
      DEADLINE,
      async () => {
        const name = `large-${protocol}`;
        const client = await open(hub, name);
        const source = goOn(client, await outgrow(hub, client, name));
        const watcher = await OPEN[protocol](hub, `live/${name}`);
        await until(() => watcher.error || watcher.ended || sound(watcher).length > 10, 'sound');
        assert.deepEqual(headers(watcher).sort(), [MSG.AUDIO, MSG.VIDEO], 'both headers');
        assert.equal(video(watcher).length, 0, 'no picture that nobody could decode');
        assert.match((await get(`${hub.base}/metrics`)).text, /^duolu_streams_outgrown [1-9]/m);

        client.sendVideo(source.at, keyFrame());
        await until(() => watcher.error || watcher.ended || video(watcher).length > 10, 'the picture');
        assert.ok(video(watcher)[0].key, 'it begins with the key frame');
        assert.equal(await outgrown(hub, name), false);
        source.stop();

        await outgrow(hub, client, name, source.at + 20);
        const lines = hub.nginx
          .log()
          .split('\n')
          .filter((line) => line.includes(`stream "live/${name}" has a GOP that outgrew its window`));
        assert.equal(lines.length, 1, `one line for each publisher: ${lines.join('\n')}`);
        watcher.close();
        await client.close();
      },
    );
  }

  test(
    'larger than the window and without sound: headers at once, the picture at the next key frame',
    DEADLINE,
    async () => {
      const client = await open(hub, 'mute');
      await outgrow(hub, client, 'mute');
      const watcher = await OPEN.flv(hub, 'live/mute');
      await until(() => headers(watcher).length === 2, 'both headers');
      client.sendVideo(600, interFrame());
      client.sendVideo(620, keyFrame());
      client.sendVideo(640, interFrame());
      await until(() => video(watcher).length === 2, 'the picture');
      assert.ok(video(watcher)[0].key);
      watcher.close();
      await client.close();
    },
  );

  test(
    'larger than the window: a player that paused in it resumes with sound, then with the picture',
    DEADLINE,
    async () => {
      const client = await open(hub, 'paused');
      client.sendVideo(0, keyFrame());
      await client.ping();
      const player = await RtmpPlayer.open('paused?token=t', hub.rtmp);
      const pause = (on) => player.client.command('pause', null, on, 0);
      await until(() => player.video().length === 1, 'the key frame');
      pause(true);
      await until(() => player.statuses.includes('NetStream.Pause.Notify'), 'the pause');
      for (let n = 1; n <= (2 * WINDOW) / BIG; n++) {
        client.sendVideo(n * 10, interFrame(BIG));
        await client.drained();
      }
      await client.ping();
      const source = goOn(client, ((2 * WINDOW) / BIG) * 10);
      const before_ = player.video().length;
      pause(false);
      await until(() => player.error || player.ended || sound(player).length > 10, 'sound');
      assert.equal(player.video().length, before_, 'no picture that it could not decode');
      client.sendVideo(source.at, keyFrame());
      await player.more(5);
      assert.ok(player.video()[before_].key, 'the picture begins with the key frame');
      source.stop();
      await player.close();
      await client.close();
    },
  );

  test('larger than the window is recorded without a gap', DEADLINE, async () => {
    const client = await open(hub, 'recorded');
    client.sendVideo(0, keyFrame(BIG));
    const frames = 2 * WINDOW / BIG;
    for (let n = 1; n <= frames; n++) {                      // in real time: the recorder reads ten times a second
      client.sendVideo(n * 40, interFrame(BIG));
      await client.drained();
      await sleep(40);
      if (n === 30)                                          // the first file begins after a second
        await until(async () => (await hub.stream('live/recorded'))?.recording.state === 'on', 'the recording');
    }
    const sent = (Math.floor(frames) - 30) * BIG;
    await until(
      async () => (await hub.stream('live/recorded')).recording.bytes > sent,
      'all but the last second to be written',
    );
    assert.equal(await outgrown(hub, 'recorded'), true);
    assert.equal((await hub.stream('live/recorded')).recording.gaps, 0);
    await client.close();
  });
});
