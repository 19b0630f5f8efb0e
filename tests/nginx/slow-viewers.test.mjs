// Viewers that read slowly, or nothing: their lateness and their memory.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import net from 'node:net';
import tls from 'node:tls';
import { test } from 'node:test';
import { deafClient } from '../lib/h2.mjs';
import { feed, startHub, token } from '../lib/hub.mjs';
import { lagSince } from '../lib/lag.mjs';
import { inOwnNetwork, phone } from '../lib/netns.mjs';
import { until } from '../lib/nginx.mjs';
import { RtmpPlayer, interFrame, keyFrame, openPublisher } from '../lib/rtmp.mjs';
import { shippedBlock } from '../lib/shipped.mjs';
import { selfSigned, tlsListen } from '../lib/tls.mjs';
import { startViewing } from '../lib/viewing.mjs';
import { untilWatchable } from '../lib/watch.mjs';
import { openRaw } from '../lib/ws.mjs';

const DEADLINE = { timeout: 180_000 };
const STREAM = 'live/cam1';
const PATH = () => `/m/${token(STREAM)}/${STREAM}.flv`;

/** 4 Mbps, a key frame a second. */
async function startSource(hub) {
  const client = await openPublisher('cam1?key=a', { ...hub.rtmp, chunkSize: 65536 });
  const source = feed(client, { key: keyFrame(60_000), inter: interFrame(18_500) });
  await untilWatchable(hub, STREAM);
  return { stop: async () => { source.stop(); await client.close(); } };
}

/** RTMPS as in conf/, on {{port:rtmps}} of the addresses: `main`, `server` and `modules` for startHub(). */
function rtmps(addresses) {
  const stream = shippedBlock('stream').replace(/listen 127\.0\.0\.1:(\S+)([^;]*;)/, (_, port, how) => (
    addresses.map((address) => `listen ${address}:${port}${how}`).join(' ')));
  const [unix] = shippedBlock('rtmp').match(/listen unix:\S+rtmps\.sock[^;]*;/);
  return { main: stream, server: unix, modules: ['ngx_stream_module.so'] };
}

/** Kernel memory of nginx's send queues, by connection: sent, not sent, and allocated ahead. */
function kernelKb(ports) {
  const filter = `( ${ports.map((port) => `sport = :${port}`).join(' or ')} )`;
  const text = execFileSync('ss', ['-tmnHO', 'state', 'established', filter], { encoding: 'utf8', maxBuffer: 1 << 26 });
  return text.split('\n').map((line) => line.match(/skmem:\(.*?,f(\d+),w(\d+),/)).filter(Boolean)
    .map(([, ready, sent]) => (Number(ready) + Number(sent)) / 1024);
}

/** The same for the second connection of RTMPS, to nginx's own TLS end. */
function innerKb() {
  const text = execFileSync('ss', ['-xmnHO', 'state', 'established'], { encoding: 'utf8', maxBuffer: 1 << 26 });
  return text.split('\n').filter((line) => line.includes('/rtmps.sock '))
    .map((line) => Number(line.match(/skmem:\(.*?,t(\d+),/)[1]) / 1024);
}

/** A viewer that reads all, in a process of its own: this one is busy with the others for longer than hub_lag. */
async function honestViewer(t, hub) {
  const viewing = startViewing([], 'flv', hub.url(STREAM));
  t.after(() => viewing.child.kill());
  await more(viewing);
  return viewing;
}

/** Waits for five more pictures of a viewer in another process. */
async function more(viewing) {
  const had = viewing.tags.length;
  await until(() => viewing.code !== undefined || viewing.tags.length >= had + 5, 'five more pictures');
  assert.equal(viewing.code, undefined, `the honest viewer was disconnected: ${viewing.text.slice(-200)}`);
}

/** Connections with one viewer each that send a request and read nothing. */
function deafViewers(hub, count) {
  const { http, https, h2, rtmp, rtmps: secured } = hub.nginx.ports;
  const request = `GET ${PATH()} HTTP/1.1\r\nHost: x\r\n\r\n`;
  const asked = (connect, port) => new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false },
      () => socket.write(request, () => resolve(socket.pause())));
    socket.on('error', reject);
  });
  const player = (port, secure) => async () => {
    const { client } = await RtmpPlayer.open('cam1?token=t', { port, secure });
    return client.socket.pause();
  };
  const kinds = {
    flv: () => asked(net.connect, http),
    flvs: () => asked(tls.connect, https),
    ws: async () => (await openRaw(`http://127.0.0.1:${http}${PATH()}`, { paused: true })).socket,
    wss: async () => (await openRaw(`https://127.0.0.1:${https}${PATH()}`, { paused: true })).socket,
    h2: async () => deafClient(h2, PATH()),
    rtmp: player(rtmp, false),
    rtmps: player(secured, true),
  };
  return Promise.all(Object.values(kinds).flatMap((open) => Array.from({ length: count }, open)));
}

inOwnNetwork(import.meta.url, () => {
  test('viewers that read nothing take little kernel memory, and are dropped after hub_lag', DEADLINE, async (t) => {
    const secured = rtmps(['127.0.0.1']);
    const hub = await startHub({
      ...secured, server: `${secured.server} out_queue 32;`,
      listen: `${tlsListen()}; listen 127.0.0.1:{{port:h2}} http2`, files: selfSigned(),
      flv: 'hub_lag 2s;', ingest: 'hub_play on; play_lag 2s;',
    });
    t.after(() => hub.stop());
    const source = await startSource(hub);
    t.after(() => source.stop());
    const good = await honestViewer(t, hub);
    const sockets = await deafViewers(hub, 50);
    t.after(() => sockets.forEach((socket) => socket.destroy()));
    const opened = performance.now();
    const { http, https, h2, rtmp, rtmps: port } = hub.nginx.ports;
    let most = 0, both = 0, all = 0, late = 0;
    await until(async () => {
      const own = kernelKb([http, https, h2, rtmp]);
      const [outer, inner] = [kernelKb([port]), innerKb()];
      both = Math.max(both, Math.max(0, ...outer) + Math.max(0, ...inner));
      const each = [...own, ...outer, ...inner];
      most = Math.max(most, ...each);
      all = Math.max(all, each.reduce((sum, kb) => sum + kb, 0));
      const views = (await hub.sessions()).filter((session) => session.kind === 'view');
      late = Math.max(late, ...views.map((session) => session.late_ms));
      return views.length <= 1;
    }, 'those that read nothing to be gone', 60_000);
    await more(good);
    t.diagnostic(
      `${sockets.length} viewers: at most ${Math.round(most)} KB of one, ${Math.round(both)} KB of one over RTMPS, ` +
        `${Math.round(all / 1024)} MB of all; ` +
        `gone ${Math.round(performance.now() - opened)} ms after the last came, up to ${late} ms late`,
    );
    assert.ok(most > 0 && most <= 256, `${Math.round(most)} KB for one`);
    assert.ok(both > 0 && both <= 256, `${Math.round(both)} KB for one over RTMPS`);
    // unless this process, which is slow itself, looked too seldom
    assert.ok(late > 1000 || lagSince(opened) > 500, `/sessions said that they were ${late} ms late`);
    assert.match(hub.nginx.log(), /viewer dropped: it read nothing for 2000 ms \(hub_lag\)/);
    assert.match(hub.nginx.log(), /play live\/cam1 dropped: it read nothing for 2000 ms \(play_lag\)/);
    await until(() => kernelKb([h2]).length === 0, 'their connections of HTTP/2 to be closed');
  });

  test('over a slow link viewers skip to key frames, and are not later than hub_lag', DEADLINE, async (t) => {
    const LAG = 3000;
    const protocols = { flv: 'http', ws: 'http', wss: 'https', h2: 'https', rtmp: 'rtmp', rtmps: 'rtmps' };
    const phones = await Promise.all(Object.keys(protocols).map(() => phone()));
    t.after(() => phones.forEach((device) => device.remove()));
    for (const { device } of phones) {
      execFileSync('tc', ['qdisc', 'add', 'dev', device, 'root', ...'tbf rate 1mbit burst 8kb limit 48kb'.split(' ')]);
    }
    const near = phones.map(({ address }) => address);
    const secured = rtmps(['127.0.0.1', ...near]);
    const hub = await startHub({
      ...secured,
      listen: [tlsListen('http2'), ...near.flatMap((address) => [`listen ${address}:{{port:http}}`,
        `listen ${address}:{{port:https}} ssl http2`])].join('; '),
      files: selfSigned(),
      server: [secured.server, ...near.map((address) => `listen ${address}:{{port:rtmp}};`)].join(' '),
      flv: `hub_lag ${LAG}ms;`, ingest: `hub_play on; play_lag ${LAG}ms;`,
    });
    t.after(() => hub.stop());
    const source = await startSource(hub);
    t.after(() => source.stop());
    const good = await honestViewer(t, hub);
    const from = performance.now();
    const viewings = Object.entries(protocols).map(([protocol, port], i) => {
      const base = `${port}://${near[i]}:${hub.nginx.ports[port]}`;
      const viewing = startViewing(phones[i].inside, protocol.replace('wss', 'ws').replace('rtmps', 'rtmp'),
        ...(port.startsWith('rtmp') ? [base, 'cam1?token=t'] : [base + PATH()]));
      t.after(() => viewing.child.kill());
      return { protocol, viewing };
    });
    const skips = ({ tags }) => tags.filter(([dts], i) => i && dts - tags[i - 1][0] > 500).length;
    await until(() => viewings.every(({ viewing }) => viewing.code !== undefined || skips(viewing) >= 3),
      'each to skip three times', 90_000);
    const said = (await hub.sessions()).filter(({ address }) => phones.some((device) => device.farAddress === address))
      .map((session) => session.late_ms);
    await more(good);
    const came = new Map(good.tags);
    const limit = 2 * LAG + lagSince(from);          // for a busy machine; without a limit it is three times LAG
    for (const { protocol, viewing } of viewings) {
      assert.equal(viewing.code, undefined, `${protocol}: ${viewing.text.slice(-200)}`);
      const late = viewing.tags.filter(([dts]) => came.has(dts)).map(([dts, at]) => Math.round(at - came.get(dts)));
      const most = Math.max(...late);
      t.diagnostic(`${protocol}: ${late.length} pictures, ${skips(viewing)} skips, at most ${most} ms late`);
      assert.ok(most > 1000 && most <= limit, `${protocol}: ${most} ms late, expected ${LAG} and up to ${limit}`);
    }
    assert.ok(said.length === phones.length && said.every((ms) => ms > 0 && ms < limit), `late_ms: ${said}`);
  });
});
