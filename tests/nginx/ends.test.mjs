// Ends of streams and sessions while a client has received a part and does not read on.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { deafClient } from '../lib/h2.mjs';
import { startHub } from '../lib/hub.mjs';
import { until } from '../lib/nginx.mjs';
import { RtmpPlayer, interFrame, keyFrame, openPublisher } from '../lib/rtmp.mjs';

const DEADLINE = { timeout: 120_000 };

describe('a player that does not read, when its stream ends', () => {
  for (const how of ['revoked', 'over']) {
    test(`${how}: it is closed, and its worker survives`, DEADLINE, async (t) => {
      const hub = await startHub({ workers: 1, ingest: 'hub_play on; play_flush 20ms;', main: 'hub_grace 1s;' });
      t.after(() => hub.stop());
      const workers = hub.nginx.workers();
      const client = await openPublisher('demo?key=k', { ...hub.rtmp, chunkSize: 65536 });
      client.sendVideo(0, keyFrame());
      const player = await RtmpPlayer.open('demo?token=t', hub.rtmp);
      await until(() => player.video().length, 'it to join');
      player.client.socket.pause();
      for (let n = 1; n < 150; n++) {                    // 13 MB: more than the kernel takes
        client.sendVideo(n * 40, interFrame(90_000));
        await client.drained();
      }
      await client.ping();
      if (how === 'revoked') await hub.control('revoke?stream=live/demo');
      await client.close();
      await until(async () => (await hub.status()).streams.length === 0, 'the stream to end');
      player.client.socket.resume();
      await until(() => player.ended, 'the player to be closed');
      assert.equal(player.error, undefined, 'what it got is whole');
      await until(async () => (await hub.sessions()).length === 0, 'all to be gone');
      assert.deepEqual(hub.nginx.workers(), workers);
    });
  }
});

test('a page over HTTP/2 that reads no events is dropped, and gets only its own events', DEADLINE, async (t) => {
  const hub = await startHub({
    workers: 1,
    listen: 'http2 sndbuf=16k',
    answer: () => ({ allow: true, uid: 7, stream: 3 }),
  });
  t.after(() => hub.stop());
  const names = Array.from({ length: 30 }, (_, n) => `${1000 + n}${'x'.repeat(124)}`);
  const publishers = await Promise.all(
    names.map((name) => openPublisher(`${name}?key=k`, { ...hub.rtmp, chunkSize: 65536 })),
  );
  const deaf = deafClient(hub.nginx.ports.http, '/events?user=9&streams=*');
  let all = Buffer.alloc(0), said = 0;
  for (let turn = 1; turn <= 30; turn++) {                 // 18 KB of events each, told of one by one
    for (const half of [0, 1])
      publishers.forEach((client) => client.sendAudio(0, Buffer.from([0xaf, 0, 0x12, 2 * turn + half])));
    await Promise.all(publishers.map((client) => client.ping()));
    said += 2 * names.length * 300;
    await new Promise((resolve) => setTimeout(resolve, 110));
  }
  deaf.on('data', (data) => { all = Buffer.concat([all, data]); });
  deaf.resume();
  let text = Buffer.alloc(0), at = 0;
  await until(() => {
    for (let size; at + 9 <= all.length && at + 9 + (size = all.readUIntBE(at, 3)) <= all.length; at += 9 + size) {
      if (all[at + 3] === 0) text = Buffer.concat([text, all.subarray(at + 9, at + 9 + size)]);
      if (all[at + 3] === 3) return true;                  // RST_STREAM
    }
    return deaf.closed;
  }, 'its end');
  assert.ok(text.length > 50_000 && text.length < said, `${text.length} of ${said} bytes came`);
  assert.doesNotMatch(text.toString('latin1'), /[^\n -~]/);
  deaf.destroy();
});
