// A stream that ends while viewers have a part of a message of it.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startHub } from '../lib/hub.mjs';
import { until } from '../lib/nginx.mjs';
import { RtmpPlayer, interFrame, keyFrame, openPublisher } from '../lib/rtmp.mjs';

const DEADLINE = { timeout: 120_000 };

describe('a player that does not read, when its stream ends', () => {
  for (const how of ['revoked', 'over']) {
    test(`${how}: it is closed, and its worker lives`, DEADLINE, async (t) => {
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
