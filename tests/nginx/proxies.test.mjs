// Viewers behind a stock nginx as a proxy with its defaults: it buffers answers,
// and closes silent connections.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startHub } from '../lib/hub.mjs';
import { startNginx, until } from '../lib/nginx.mjs';
import { MSG, aacFrame, aacHeader, interFrame, keyFrame, openPublisher, openStream } from '../lib/rtmp.mjs';
import { PROTOCOLS, complaints, failures, fileOf, media, more, untilWatchable } from '../lib/watch.mjs';

const DEADLINE = { timeout: 120_000 };
const IDLE_MS = 2000;                  // the proxy closes a silent connection then
const KEEPALIVE_MS = 500;

describe('viewers behind a stock proxy', () => {
  let hub, proxy, proxied;

  before(async () => {
    hub = await startHub({
      main: 'hub_grace 60s;', flv: `hub_keepalive ${KEEPALIVE_MS}ms;`,
      ingest: `hub_play on; play_keepalive ${KEEPALIVE_MS}ms;`,
    });
    const { http, rtmp } = hub.nginx.ports;
    const pass = `proxy_pass http://127.0.0.1:${http}; proxy_read_timeout ${IDLE_MS}ms;`;
    proxy = await startNginx({ modules: ['ngx_stream_module.so'], conf: `
      stream { server { listen 127.0.0.1:{{port:rtmp}}; proxy_pass 127.0.0.1:${rtmp}; proxy_timeout ${IDLE_MS}ms; } }
      http {
        server { listen 127.0.0.1:{{port:http}}; location / { ${pass} } }
        server { listen 127.0.0.1:{{port:ws}}; location / { ${pass} proxy_http_version 1.1;
          proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; } }
      }` });
    const behind = (name) => (stream) => hub.url(stream).replace(`:${http}/`, `:${proxy.ports[name]}/`);
    const through = { rtmp: { port: proxy.ports.rtmp } };
    proxied = {
      flv: { ...through, url: behind('http') }, ws: { ...through, url: behind('ws') }, rtmp: through,
    };
  });

  after(async () => {
    await proxy?.stop();
    await hub?.stop();
  });

  test('sound alone arrives as early as without the proxy', DEADLINE, async (t) => {
    const client = await openStream({ ...hub.rtmp });
    t.after(() => client.close());
    await client.publish('radio?key=a');
    client.sendAudio(0, aacHeader());
    let n = 0;
    const timer = setInterval(() => client.sendAudio(23 * n++, aacFrame()), 23);
    t.after(() => clearInterval(timer));
    await untilWatchable(hub, 'live/radio');
    const direct = await PROTOCOLS.flv(hub, 'live/radio');
    const behind = await PROTOCOLS.flv(proxied.flv, 'live/radio');
    t.after(() => [direct, behind].forEach((watcher) => watcher.close()));
    // 4 KB, the proxy's buffer, are 4 s of sound: with it, only the frames of one second in four are less than a second
    // late
    await until(() => {
      assert.deepEqual(failures([direct, behind]), []);
      const came = new Map(media(direct).map((tag) => [tag.dts, tag.at]));
      const late = media(behind).filter((tag) => came.has(tag.dts)).slice(-150).map((tag) => tag.at - came.get(tag.dts))
        .sort((a, b) => a - b);
      if (late.length < 150 || late.at(-1) >= 1000) return false;
      const [half, most] = [late[75], late.at(-1)].map(Math.round);
      t.diagnostic(`behind the proxy ${half} ms later, at most ${most} ms`);
      return true;
    }, '150 frames in a row that are less than a second late');
  });

  test('a viewer in grace is not closed for silence, and players ignore the keepalive', DEADLINE, async (t) => {
    const first = await openPublisher('gone?key=a', { ...hub.rtmp });
    const push = async (client, from) => {
      for (let n = 0; n < 50; n++) client.sendVideo(from + 40 * n, n % 25 ? interFrame() : keyFrame());
      await client.ping();
    };
    await push(first, 0);
    await untilWatchable(hub, 'live/gone');
    const watchers = await Promise.all(Object.entries(PROTOCOLS).map(async ([protocol, open]) => {
      const watcher = await open(proxied[protocol], 'live/gone');
      const emptyTags = () => watcher.tags.filter((tag) => tag.type === 18 && tag.size === 0).length;
      watcher.pings = 0;
      watcher.socket?.on('ping', () => { watcher.pings++; });
      watcher.client?.on((m) => { watcher.pings += m.type === MSG.USER && m.payload.readUInt16BE(0) === 6 ? 1 : 0; });
      return Object.assign(watcher, { protocol, alive: protocol === 'flv' ? emptyTags : () => watcher.pings });
    }));
    t.after(() => watchers.forEach((watcher) => watcher.close()));
    first.close();
    await until(async () => (await hub.stream('live/gone')).state === 'grace', 'the grace');
    const silent = performance.now();
    const enough = 2 * IDLE_MS / KEEPALIVE_MS;
    await until(() => failures(watchers).length || watchers.every((watcher) => watcher.alive() >= enough),
      `${enough} signs of life by each`);
    await until(() => performance.now() - silent > 2 * IDLE_MS, 'the proxy to have had time');
    assert.deepEqual(failures(watchers), []);
    const again = await openPublisher('gone?key=a', { ...hub.rtmp });
    t.after(() => again.close());
    await Promise.all([push(again, 0), ...watchers.map((watcher) => more(watcher, 20))]);
    for (const watcher of watchers) {
      assert.equal(await complaints(fileOf(watcher)), '', `ffmpeg on ${watcher.protocol}`);
    }
  });
});
