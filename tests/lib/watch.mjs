// Viewers of every protocol with one interface: frames, their arrival, all of it as
// an FLV file; and checks of gaps.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { WebSocket } from 'ws';
import { FlvReader, Viewer, openIn, token } from './hub.mjs';
import { lagSince } from './lag.mjs';
import { until } from './nginx.mjs';
import { MSG, openPlayer, tagOf } from './rtmp.mjs';
import { run } from './stack.mjs';

const AUDIO = 8;
const VIDEO = 9;

class FlvWatcher {
  static async open(hub, stream) {
    const watcher = new FlvWatcher();
    watcher.viewer = await Viewer.open(hub.url(stream), new FlvReader({ bodies: true }));
    if (watcher.viewer.status !== 200) throw new Error(`viewer of ${stream}: ${watcher.viewer.status}`);
    watcher.viewer.response.on('end', () => { watcher.clean = true; });
    return watcher;
  }

  get tags() { return this.viewer.flv.tags; }
  get error() { return this.viewer.error; }
  get ended() { return this.viewer.ended; }

  /** How it ended: 'end of file' or 'broken'. */
  get ending() { return this.clean ? 'end of file' : 'broken'; }

  get ports() { return ['http', this.viewer.request.socket.localPort]; }
  close() { this.viewer.close(); }
}

class WsWatcher {
  static open(hub, stream) {
    const watcher = new WsWatcher();
    watcher.flv = new FlvReader({ bodies: true });
    watcher.socket = new WebSocket(hub.url(stream).replace(/^http/, 'ws'));
    watcher.socket.on('message', (data) => {
      try { watcher.flv.push(data); } catch (error) { watcher.error = error; }
    });
    watcher.socket.on('close', (code) => { watcher.ended = true; watcher.code = code; });
    return new Promise((resolve, reject) => {
      watcher.socket.on('error', reject);
      watcher.socket.on('open', () => { watcher.localPort = watcher.socket._socket.localPort; resolve(watcher); });
    });
  }

  get tags() { return this.flv.tags; }
  get ending() { return this.code === 1000 ? 'end of file' : `broken (${this.code})`; }
  get ports() { return ['http', this.localPort]; }
  close() { this.socket.terminate(); }
}

class RtmpWatcher {
  static async open(hub, stream) {
    const watcher = new RtmpWatcher();
    watcher.tags = [];
    watcher.client = await openPlayer(
      `${stream.split('/')[1]}?token=${hub.token?.(stream) ?? token(stream)}`,
      hub.rtmp,
    );
    for (const message of watcher.client.inbox) watcher.take(message);
    watcher.client.on((message) => watcher.take(message));
    watcher.client.closed.then(() => { watcher.ended = true; });
    watcher.localPort = watcher.client.socket.localPort;
    return watcher;
  }

  take({ type, timestamp, payload }) {
    if (type === MSG.USER && payload.readUInt16BE(0) === 1) this.clean = true;       // StreamEOF
    if (type === MSG.AUDIO || type === MSG.VIDEO) this.tags.push({ ...tagOf(type, payload, timestamp), body: payload });
  }

  get ending() { return this.clean ? 'end of file' : 'broken'; }
  get ports() { return ['rtmp', this.localPort]; }
  close() { this.client.close(); }
}

/** Protocols that viewers of the hub may use. */
export const PROTOCOLS = { flv: FlvWatcher.open, ws: WsWatcher.open, rtmp: RtmpWatcher.open };

/** Pids of the workers that hold these connections, [[port, localPort], …]; reads /proc once for all. */
function workersOf(hub, connections) {
  const inodes = new Map();
  for (const line of fs.readFileSync('/proc/net/tcp', 'utf8').split('\n')) {
    const [, local, remote, , , , , , , inode] = line.trim().split(/\s+/);
    if (remote) inodes.set(`${parseInt(local.split(':')[1], 16)} ${parseInt(remote.split(':')[1], 16)}`, inode);
  }
  const owners = new Map();
  for (const pid of hub.nginx.workers()) {
    for (const fd of fs.readdirSync(`/proc/${pid}/fd`)) {
      try { owners.set(fs.readlinkSync(`/proc/${pid}/fd/${fd}`), pid); } catch { /* closed meanwhile */ }
    }
  }
  return connections.map(([port, localPort]) => owners.get(`socket:[${inodes.get(`${port} ${localPort}`)}]`));
}

/** Opens one viewer in every worker by every protocol: [{protocol, pid, …}]. */
export async function watchEverywhere(hub, stream, protocols = Object.keys(PROTOCOLS)) {
  const pids = hub.nginx.workers();
  const all = await Promise.all(protocols.map(async (protocol) => {
    const kept = new Map();
    for (let tries = 0; kept.size < pids.length; tries++) {
      const missing = pids.filter((pid) => !kept.has(pid));
      const batch = await openIn(hub, missing, tries, () =>
        Promise.all(Array.from({ length: 4 }, () => PROTOCOLS[protocol](hub, stream))));
      const owners = workersOf(hub, batch.map(({ ports: [name, port] }) => [hub.nginx.ports[name], port]));
      for (const [i, watcher] of batch.entries()) {
        watcher.pid = owners[i];
        watcher.protocol = protocol;
        if (watcher.pid === undefined || kept.has(watcher.pid)) watcher.close();
        else kept.set(watcher.pid, watcher);
      }
    }
    return [...kept.values()];
  }));
  return all.flat();
}

/** A watcher's media, without metadata and sequence headers. */
export const media = (watcher) => watcher.tags.filter((tag) => tag.type !== 18 && !tag.config);

/** Waits until a watcher has `count` more frames (of `type`, when given). */
export async function more(watcher, count, type) {
  const have = () => media(watcher).filter((tag) => type === undefined || tag.type === type).length;
  const want = have() + count;
  await until(() => watcher.error || watcher.ended || have() >= want, `${count} more frames by ${watcher.protocol}`);
  if (watcher.error) throw watcher.error;
  if (have() < want) throw new Error(`the ${watcher.protocol} viewer was disconnected (${watcher.ending})`);
}

/**
 * The longest silence that ended between two moments: {wall, after, video,
 * audio}.  A track with frames on both sides has the steps of its dts and of the wall
 * clock from its last frame before to its first after (begin), and to its last in
 * that time (end).
 */
export function gapBetween(watcher, from, to = Infinity) {
  const tags = media(watcher).filter((tag) => tag.at < to);
  let after = -1;
  for (let i = 1; i < tags.length; i++) {
    if (tags[i].at > from && (after < 0 || tags[i].at - tags[i - 1].at > tags[after].at - tags[after - 1].at))
      after = i;
  }
  assert.ok(after > 0, `something came by ${watcher.protocol} after the gap`);
  const gap = { after, wall: Math.round(tags[after].at - tags[after - 1].at) };
  for (const [name, type] of [['video', VIDEO], ['audio', AUDIO]]) {
    const all = tags.slice(0, after).filter((t) => t.type === type);
    const before = all.at(-1);
    const behind = tags.slice(after).filter((t) => t.type === type);
    const way = (tag) => ({ dts: tag.dts - before.dts, wall: tag.at - before.at });
    if (before && behind.length) {
      gap[name] = {
        begin: way(behind[0]),
        end: way(behind.at(-1)),
        missed: missedBy(all.slice(-50), behind),
        late: drift(all.slice(-50), all),      // the publisher, before the gap: it could not keep up
      };
    }
  }
  return gap;
}

/**
 * How much more dts advanced than the wall clock from some frames to others, ms. On a busy machine frames arrive late,
 * never early, so the earliest of many show the clock.
 */
export function drift(before, behind) {
  const ahead = (tags) => Math.max(...tags.map((tag) => tag.dts - tag.at));
  return Math.round(ahead(behind) - ahead(before));
}

/** The drift over a gap: {least, most}; the hub set its clock by the first frame after it. */
const missedBy = (before, behind) => ({
  least: drift(before, behind.slice(0, 1)),
  most: drift(before, behind.slice(0, 50)),
});

/** The error of each track's dts over each gap that began at `stops`, ms: [{least, most, late}…]. */
const gapErrors = (watcher, stops) => stops.map((stop, i) => {
  const { video, audio } = gapBetween(watcher, stop, stops[i + 1]);
  return [video, audio].filter(Boolean).map(({ missed, late }) => ({ ...missed, late }));
});

/** The same in words. */
export const gapsInWords = (watcher, stops) => gapErrors(watcher, stops)
  .map((tracks) => tracks.map(({ least, most }) => `${least}…${most}`).join('/')).join(', ');

/** The places where dts goes back within a track, or by more than `tolerance` ms in file order. */
export function stepsBack(watcher, tolerance) {
  const last = {};
  let newest = -Infinity;
  const found = [];
  for (const [i, tag] of media(watcher).entries()) {
    if (tag.dts < (last[tag.type] ?? -Infinity))
      found.push(`tag ${i}: type ${tag.type} goes from ${last[tag.type]} to ${tag.dts}`);
    if (tag.dts < newest - tolerance) found.push(`tag ${i}: type ${tag.type} at ${tag.dts}, the file was at ${newest}`);
    last[tag.type] = tag.dts;
    newest = Math.max(newest, tag.dts);
  }
  return found;
}

/** A watcher's tags as an FLV file. */
export function fileOf(watcher) {
  const parts = [Buffer.from([0x46, 0x4c, 0x56, 1, 5, 0, 0, 0, 9, 0, 0, 0, 0])];
  for (const tag of watcher.tags) {
    const head = Buffer.alloc(11);
    head[0] = tag.type;
    head.writeUIntBE(tag.body.length, 1, 3);
    head.writeUIntBE(tag.dts & 0xffffff, 4, 3);
    head[7] = tag.dts >>> 24;
    const back = Buffer.alloc(4);
    back.writeUInt32BE(11 + tag.body.length);
    parts.push(head, tag.body, back);
  }
  return Buffer.concat(parts);
}

/** ffmpeg's complaints about an FLV file, '' if it has none. */
export async function complaints(file) {
  // vfr: ffmpeg's own output would be in ticks of a frame rate that it guesses
  // from the first seconds, gap included, and two frames may meet in one tick
  const { code, stderr } = await run('ffmpeg', ['-nostdin', '-v', 'error', '-threads', '1', '-f', 'flv', '-i', 'pipe:0',
    '-fps_mode', 'vfr', '-f', 'null', '-'], { input: file, check: false });
  return stderr + (code ? `exit status ${code}` : '');
}

/** The watchers that ended or got invalid bytes, in words. */
export const failures = (watchers) =>
  watchers.filter((w) => w.error || w.ended).map((w) => `${w.protocol} in ${w.pid}: ${w.error ?? w.ending}`);

/** Waits until a stream has media. */
export const untilWatchable = (hub, stream) => until(async () => {
  const { state, window_ms: ms } = (await hub.stream(stream)) ?? {};
  return state === 'live' && ms > 300;
}, `${stream} to be live`);

/** Every gap of every watcher has its wall-clock length in dts, no dts goes back, and ffmpeg decodes all of it. */
export async function soundOver(t, watchers, stops, { tolerance = 200, interleave = 400 } = {}) {
  const allowed = tolerance + lagSince(stops[0] - 1000);
  for (const watcher of watchers) {
    assert.deepEqual(stepsBack(watcher, interleave), [], watcher.protocol);
    const words = `${watcher.protocol}: dts misses the gaps by ${gapsInWords(watcher, stops)} ms`;
    t.diagnostic(words);
    assert.ok(
      gapErrors(watcher, stops).flat().every(({ least, most, late }) => least - late <= allowed && most >= -allowed),
      `${words}, more than ${allowed}`,
    );
  }
  for (const protocol of new Set(watchers.map((w) => w.protocol))) {
    assert.equal(
      await complaints(fileOf(watchers.find((w) => w.protocol === protocol))),
      '',
      `ffmpeg decodes what came by ${protocol}`,
    );
  }
}
