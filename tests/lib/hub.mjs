// A real nginx with guard and hub, for tests that need no database: a FastCGI
// responder answers the gate, and the test decides its answers.

import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { startNginx, until } from './nginx.mjs';
import { tagOf } from './rtmp.mjs';
import { shippedHttp } from './shipped.mjs';

// ---- tokens ---------------------------------------------------------------

export const KEY = Buffer.alloc(32, 7);
const part = (object) => Buffer.from(JSON.stringify(object)).toString('base64url');

/** A token as the auth-service makes them; `over` replaces claims, `header` its header. */
export function token(stream, over = {}, { header = {}, key = KEY } = {}) {
  const now = Math.floor(Date.now() / 1000);
  const text = `${part({ alg: 'HS256', kid: 'k1', ...header })}.`
    + part({ sub: '7', s: stream, a: 'view', iat: now, exp: now + 3600, ...over });
  return `${text}.${crypto.createHmac('sha256', key).update(text).digest('base64url')}`;
}

// ---- the service for the gate -----------------------------------------------

function readRecords(buffer) {
  const params = {};
  let whole = false;
  let pairs = Buffer.alloc(0);
  const body = [];
  for (let at = 0; at + 8 <= buffer.length;) {
    const length = buffer.readUInt16BE(at + 4);
    if (at + 8 + length > buffer.length) break;
    if (buffer[at + 1] === 4) pairs = Buffer.concat([pairs, buffer.subarray(at + 8, at + 8 + length)]);
    if (buffer[at + 1] === 5) body.push(buffer.subarray(at + 8, at + 8 + length));
    if (buffer[at + 1] === 5 && length === 0) whole = true;
    at += 8 + length + buffer[at + 6];
  }
  for (let at = 0; at < pairs.length;) {
    const size = () => {
      if (pairs[at] < 128) return pairs[at++];
      at += 4;
      return pairs.readUInt32BE(at - 4) & 0x7fffffff;
    };
    const [n, v] = [size(), size()];
    params[pairs.toString('latin1', at, at + n)] = pairs.toString('utf8', at + n, at + n + v);
    at += n + v;
  }
  // not enumerable: comparisons of the parameters ignore it
  Object.defineProperty(params, 'body', { value: Buffer.concat(body) });
  return whole ? params : null;
}

function record(type, body) {
  const head = Buffer.from([1, type, 0, 1, body.length >> 8, body.length & 255, 0, 0]);
  return Buffer.concat([head, body]);
}

export const fcgiAnswer = (text) =>
  Buffer.concat([
    record(6, Buffer.from(`Content-Type: application/json\r\n\r\n${text}`)),
    record(6, Buffer.alloc(0)),
    record(3, Buffer.alloc(8)),
  ]);

/**
 * Listens on a unix socket.  `answer(params, socket)` returns an object (sent as
 * JSON), a Buffer (sent unchanged), or undefined: the test answers later.
 */
export async function startGate(answer = () => ({ allow: true })) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'duolu-gate-'));
  const gate = { path: path.join(dir, 's'), questions: [], answer };
  const sockets = new Set();
  const server = net.createServer((socket) => {
    let buffer = Buffer.alloc(0);
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    socket.on('data', async (data) => {
      buffer = Buffer.concat([buffer, data]);
      const params = readRecords(buffer);
      if (!params) return;
      gate.questions.push(params);
      if (params.SCRIPT_NAME === '/gate/done') { socket.end(fcgiAnswer('{"allow":true}')); return; }
      const reply = await gate.answer(params, socket);
      if (reply !== undefined) socket.end(Buffer.isBuffer(reply) ? reply : fcgiAnswer(JSON.stringify(reply)));
    });
  });
  await new Promise((resolve) => server.listen(gate.path, resolve));
  gate.stop = async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
    fs.rmSync(dir, { recursive: true, force: true });
  };
  return gate;
}

// ---- nginx ----------------------------------------------------------------

const CONTROL = `location /status { hub_status on; } location /sessions { hub_sessions on; }
  location /metrics { hub_metrics on; } location /control/ { hub_control on; }`;

/** `shipped`: with the http{} of conf/nginx.conf.in, where `http`, `listen`, `flv` and `events` say nothing. */
export function hubConf({
  gate,
  workers = 2,
  zone = '64m',
  main = '',
  rtmp = '',
  server = '',
  ingest = '',
  flv = '',
  events = '',
  listen = '',
  http = '',
  shipped = false,
}) {
  // on a busy machine this process, which has the gate and the clients, may be late
  const patience = (directive, given) => (given.includes(directive) ? '' : `${directive} 60s;`);
  return `
worker_processes ${workers};
{{modules}}
hub_zone test ${zone};
${main}
events { worker_connections 4096; }
rtmp { access_log off; max_message 4m; ${rtmp} server { listen 127.0.0.1:{{port:rtmp}}; rtmp_guard_conn_per_ip 2000;
  ${patience('rtmp_guard_deadline', server)} ${server}
  application live { ingest on; gate unix:${gate.path};
    ${patience('gate_timeout', ingest)} ${patience('ingest_timeout', ingest)} ${ingest} } } }
${shipped ? shippedHttp({ locations: CONTROL }) : `
http { request_pool_size 6k; ${http} server { listen 127.0.0.1:{{port:http}} backlog=2048 ${listen};
  location /m/ { access_token_keys {{dir}}/keys; hub_flv on;
    add_header Access-Control-Allow-Origin https://app.example always; ${flv} }
  ${CONTROL}
  location = /events { hub_events on; hub_events_user $arg_user; hub_events_streams $arg_streams; ${events} } } }`}
`;
}

/**
 * nginx with the hub, and by default a gate that allows everybody.  `ours` are the modules under test, or copies of
 * them; edit() changes the text of the configuration.
 */
export async function startHub({ answer, files, ours = ['guard', 'hub'], edit = (conf) => conf, ...options } = {}) {
  const gate = await startGate(answer);
  const nginx = await startNginx({
    conf: edit(hubConf({ gate, ...options })),
    modules: ['rtmp', ...ours, ...(options.modules ?? [])],
    files: { keys: `# test\nk1 ${KEY.toString('hex')}\n`, ...files },
    workers: options.workers ?? 2,
    expectCrash: options.expectCrash,
  }).catch(async (error) => {
    await gate.stop();
    throw error;
  });       // a gate that listens would keep the test running
  const hub = {
    nginx, gate, rtmp: { port: nginx.ports.rtmp },
    url: (stream, t = token(stream)) => `http://127.0.0.1:${nginx.ports.http}/m/${t}/${stream}.flv`,
    base: `http://127.0.0.1:${nginx.ports.http}`,
    status: () => getJson(`${hub.base}/status`),
    sessions: async () => (await getJson(`${hub.base}/sessions`)).sessions,
    /** POST /control/…: { status, json }. */
    async control(action) {
      const { status, text } = await get(`${hub.base}/control/${action}`, { method: 'POST' });
      return { status, json: JSON.parse(text) };
    },
    stream: async (name) => (await hub.status()).streams.find((s) => s.name === name),
    view: (stream) => Viewer.open(hub.url(stream)),
    async stop(how) {
      try { await nginx.stop(how); } finally { await gate.stop(); }
    },
    async killAll() {
      try { await nginx.killAll(); } finally { await gate.stop(); }
    },
  };
  return hub;
}

export function getJson(url) {
  return new Promise((resolve, reject) => {
    http.get(url, { agent: false }, (response) => {
      let text = '';
      response.on('data', (data) => { text += data; });
      response.on('end', () => { try { resolve(JSON.parse(text)); } catch { reject(new Error(`${url}: ${text}`)); } });
    }).on('error', reject);
  });
}

/** Status code and text of a request that is expected to end. */
export function get(url, options = {}) {
  return new Promise((resolve, reject) => {
    http.request(url, { agent: false, ...options }, (response) => {
      let text = '';
      response.on('data', (data) => { text += data; });
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, text }));
    }).on('error', reject).end();
  });
}

/** Status, headers and bytes of a request that is expected to end. */
export function getBytes(url, { headers = {}, method = 'GET', localAddress } = {}) {
  return new Promise((resolve, reject) => {
    http.request(url, { agent: false, headers, method, localAddress }, (response) => {
      const chunks = [];
      response.on('data', (data) => chunks.push(data));
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    }).on('error', reject).end();
  });
}

/** The same for a part: `range` as in "bytes=0-99". */
export const getRange = (url, range, headers = {}) => getBytes(url, { headers: { range, ...headers } });

// ---- viewers --------------------------------------------------------------

/** Reads FLV as it arrives and checks the format; `tags` has the tags (with `bodies` their media, too). */
export class FlvReader {
  constructor({ bodies = false } = {}) {
    this.bodies = bodies;
    this.rest = Buffer.alloc(0);
    this.tags = [];
    this.bytes = 0;
    this.header = null;
  }

  push(data) {
    this.bytes += data.length;
    this.rest = this.rest.length ? Buffer.concat([this.rest, data]) : data;
    if (!this.header) {
      if (this.rest.length < 13) return;
      this.header = this.rest.subarray(0, 13);
      if (this.header.toString('latin1', 0, 3) !== 'FLV')
        throw new Error(`no FLV header: ${this.header.toString('hex')}`);
      this.rest = this.rest.subarray(13);
    }
    for (;;) {
      if (this.rest.length < 11) return;
      const size = this.rest.readUIntBE(1, 3);
      if (this.rest.length < 15 + size) return;
      const type = this.rest[0];
      if (![8, 9, 18].includes(type)) throw new Error(`tag type ${type}: the bytes are torn`);
      const back = this.rest.readUInt32BE(11 + size);
      if (back !== 11 + size) throw new Error(`back-pointer ${back}, expected ${11 + size}`);
      const body = this.rest.subarray(11, 11 + size);
      const tag = tagOf(type, body, (this.rest.readUIntBE(4, 3) | this.rest[7] << 24) >>> 0);
      if (this.bodies) tag.body = Buffer.from(body);
      this.tags.push(tag);
      this.rest = this.rest.subarray(15 + size);
    }
  }

  video() { return this.tags.filter((t) => t.type === 9 && !t.config); }
}

export class Viewer {
  static open(url, flv = new FlvReader()) {
    return new Promise((resolve, reject) => {
      const viewer = new Viewer(flv);
      viewer.request = http.get(url, { agent: false }, (response) => {
        viewer.response = response;
        viewer.status = response.statusCode;
        response.on('data', (data) => {
          if (viewer.status !== 200) return;
          try { viewer.flv.push(data); } catch (error) { viewer.error = error; }
        });
        response.on('error', () => {});
        response.on('close', () => { viewer.ended = true; });
        resolve(viewer);
      });
      viewer.request.on('socket', (socket) => socket.unref());   // a failed test still ends
      viewer.request.on('error', reject);
    });
  }

  constructor(flv) { this.flv = flv; }

  /** Waits for `count` more video frames. */
  async more(count = 5) {
    const want = this.flv.video().length + count;
    await until(() => this.error || this.ended || this.flv.video().length >= want, `${count} more frames`);
    if (this.error) throw this.error;
    if (this.flv.video().length < want) throw new Error('the viewer was disconnected');
  }

  close() { this.request.destroy(); }
}

/**
 * Opens a connection. An idle worker may take all of them: after ten attempts that missed every worker of `pids`, the
 * other workers stand still meanwhile, for half a second at most, as one of them may hold a lock.
 */
export async function openIn(hub, pids, attempt, open) {
  if (attempt < 10) return open();
  if (attempt > 100) throw new Error(`100 connections, and none of the workers ${pids.join()} took one`);
  const pid = pids[attempt % pids.length];
  const signal = (name) => {
    for (const other of hub.nginx.workers()) if (other !== pid) hub.nginx.kill(name, other);
  };
  signal('SIGSTOP');
  const opened = open();
  try {
    await Promise.race([opened, new Promise((resolve) => { setTimeout(resolve, 500); })]);
  } finally {
    signal('SIGCONT');
  }
  return opened;
}

/** Opens viewers of `stream` until every worker has at least one. */
export async function viewersEverywhere(hub, stream, pids = hub.nginx.workers()) {
  const viewers = [];
  let missing = pids;
  for (let attempt = 0; missing.length > 0; attempt += 5) {
    const open = () => Promise.all(Array.from({ length: 20 }, () => hub.view(stream)));
    const more = await openIn(hub, missing, attempt, open);
    const served = new Set(more.map((viewer) => workerOf(hub, viewer)));
    missing = missing.filter((pid) => !served.has(pid));
    viewers.push(...more);
  }
  return viewers;
}

/** Pid of the worker that serves a viewer (or any object with a `request`), by the socket's inode. */
export function workerOf(hub, viewer) {
  return workerAt(hub, hub.nginx.ports.http, viewer.request.socket.localPort);
}

/** Pid of the worker that holds the connection from `localPort` to its `port`. */
export function workerAt(hub, port, localPort) {
  if (localPort === undefined) return undefined;                             // closed
  const hex = (number) => `:${number.toString(16).toUpperCase().padStart(4, '0')}`;
  const line = fs.readFileSync('/proc/net/tcp', 'utf8').split('\n').map((text) => text.trim().split(/\s+/))
    .find((f) => f[1]?.endsWith(hex(port)) && f[2]?.endsWith(hex(localPort)));
  return hub.nginx.workers().find((pid) => fs.readdirSync(`/proc/${pid}/fd`).some((fd) => {
    try { return fs.readlinkSync(`/proc/${pid}/fd/${fd}`) === `socket:[${line?.[9]}]`; } catch { return false; }
  }));
}

/** Opens exactly one viewer of `stream` in every worker: [viewer, …]. */
export async function oneInEach(hub, stream) {
  const all = await viewersEverywhere(hub, stream);
  const kept = new Map();
  for (const viewer of all) {
    if (viewer.ended || viewer.status !== 200)
      throw new Error(`a viewer of ${stream} got ${viewer.status} and was ended`);
    const pid = workerOf(hub, viewer);
    if (pid === undefined || kept.has(pid)) viewer.close();
    else kept.set(pid, viewer);
  }
  await until(async () => (await hub.stream(stream)).viewers === kept.size, 'the others to be gone');
  return [...kept.values()];
}

// ---- publishers -----------------------------------------------------------

/** Sends a key frame and inter frames every `every` ms until stopped; frames that are late go at once. */
export function feed(client, { key, inter, from = 0, every = 40, gop = 25 }) {
  let n = 0;
  const began = performance.now();
  const timer = setInterval(() => {
    if (client.ended) { clearInterval(timer); return; }
    for (; (n + 1) * every <= performance.now() - began; n++) {
      client.sendVideo(from + n * every, n % gop === 0 ? key : inter);
    }
  }, every);
  timer.unref();
  return { stop: () => clearInterval(timer), get last() { return from + n * every; } };
}
