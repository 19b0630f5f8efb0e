// Viewers over WebSocket that send data, as no honest viewer does.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { after, before, describe, test } from 'node:test';
import { feed, openIn, startHub, token, workerAt } from '../lib/hub.mjs';
import { lagSince } from '../lib/lag.mjs';
import { until } from '../lib/nginx.mjs';
import { interFrame, keyFrame, openPublisher } from '../lib/rtmp.mjs';
import { selfSigned, tlsListen } from '../lib/tls.mjs';
import { failures, media, more, untilWatchable, watchEverywhere } from '../lib/watch.mjs';

const DEADLINE = { timeout: 180_000 };
const STREAM = 'live/cam1';
const FLOODER = path.join(path.dirname(fileURLToPath(import.meta.url)), 'flooder.mjs');

describe('viewers that send at full speed', () => {
  let hub, client, source, watchers;

  before(async () => {
    hub = await startHub({ listen: tlsListen(), files: selfSigned() });
    client = await openPublisher('cam1?key=a', { ...hub.rtmp, chunkSize: 65536 });
    source = feed(client, { key: keyFrame(20_000), inter: interFrame(8000) });
    await untilWatchable(hub, STREAM);
    watchers = await watchEverywhere(hub, STREAM, ['flv']);
  });

  after(async () => {
    source?.stop();
    watchers?.forEach((watcher) => watcher.close());
    await client?.close();
    await hub?.stop();
  });

  /** Opens WSS viewers until each worker has two, lets these flood, and returns how each ended. */
  async function flood(t, mode) {
    const url = `https://127.0.0.1:${hub.nginx.ports.https}/m/${token(STREAM)}/${STREAM}.flv`;
    const child = spawn(process.execPath, [FLOODER, url, mode], { stdio: ['pipe', 'pipe', 'inherit'] });
    t.after(() => { child.kill(); });
    const lines = [];
    createInterface({ input: child.stdout }).on('line', (line) => lines.push(JSON.parse(line)));
    const tell = (command) => { child.stdin.write(`${JSON.stringify(command)}\n`); };
    const open = async () => {
      tell({ open: 20 });
      await until(() => lines.length, 'the flooder to connect');
      return lines.shift();
    };
    const of = new Map(hub.nginx.workers().map((pid) => [pid, []]));
    for (let attempt = 0; ; attempt += 3) {
      const lacking = [...of.keys()].filter((pid) => of.get(pid).length < 2);
      if (!lacking.length) break;
      const ports = await openIn(hub, lacking, attempt, open);
      for (const port of ports) of.get(workerAt(hub, hub.nginx.ports.https, port))?.push(port);
    }
    const chosen = [...of.values()].flatMap((ports) => ports.slice(0, 2));
    tell({ flood: chosen });
    await until(() => lines.length === chosen.length || failures(watchers).length,
      `nginx to close the ${chosen.length} that flood`, 60_000);
    return lines;
  }

  const longestSilence = (from) => Math.max(...watchers.flatMap((watcher) => media(watcher).map((tag) => tag.at)
    .filter((at) => at > from).map((at, i, all) => at - (i ? all[i - 1] : from))));

  for (const [mode, status, what] of [
    ['endless', 1009, 'a frame of 2^60 bytes'],
    ['messages', 1008, 'messages of 4 KB without end'],
    ['pings', 1008, 'pings without end'],
  ]) {
    test(`nginx closes a viewer that sends ${what} with ${status}; others don't notice`, DEADLINE, async (t) => {
      const workers = hub.nginx.workers();
      const from = performance.now();
      const ends = await flood(t, mode);
      await Promise.all(watchers.map((watcher) => more(watcher, 10)));
      t.diagnostic(`others' longest silence: ${Math.round(longestSilence(from))} ms `
        + `(this process itself: ${Math.round(lagSince(from))} ms); `
        + `closed after ${ends.map((end) => `${end.ms} ms`).join(', ')}`);
      assert.deepEqual(ends.map((end) => end.status), ends.map(() => status));
      assert.deepEqual(failures(watchers), []);
      assert.deepEqual(hub.nginx.workers(), workers);
      await until(async () => !(await hub.sessions()).some((session) => session.protocol === 'ws'),
        'their sessions to end');
    });
  }
});
