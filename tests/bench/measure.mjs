// Runs the bench's programs, and measures one server with one number of viewers.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { privateKb } from '../lib/nginx.mjs';

export const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

let programs;
let folder;

/** Sets the folder of the compiled programs, and makes a folder for their input files. */
export function prepare(programFolder) {
  programs = programFolder;
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'duolu-bench-'));
  process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
}

let files = 0;
export function writeFile(text) {
  const file = path.join(folder, `file-${files++}`);
  fs.writeFileSync(file, text);
  return file;
}

// ---- programs that answer in JSON lines -----------------------------------

export class Program {
  constructor(name, args) {
    this.name = name;
    this.errors = '';
    this.child = spawn(path.join(programs, name), args.map(String), { stdio: ['pipe', 'pipe', 'pipe'] });
    this.child.stdin.on('error', () => {});
    this.child.stderr.on('data', (data) => { this.errors += data; });
    this.exited = new Promise((resolve) => { this.child.on('close', (code, signal) => resolve(code ?? signal)); });
    this.lines = readline.createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  async next() {
    const { value, done } = await this.lines.next();
    if (done) throw new Error(`${this.name} ended (${await this.exited}) instead of answering: ${this.errors.trim()}`);
    return JSON.parse(value);
  }

  say(line) { this.child.stdin.write(`${line}\n`); }

  ask(line) { this.say(line); return this.next(); }

  async end() {
    this.child.stdin.end();
    return this.exited;
  }
}

const viewers = (urls, options) => new Program('viewers', [writeFile(`${urls.join('\n')}\n`), ...Object.entries(options)
  .flatMap(([name, value]) => [`--${name}`, Array.isArray(value) ? value.join(',') : value])]);

// ---- the stream -----------------------------------------------------------

/** Makes 10 s of H.264 and AAC with a key frame every 2 s, padded to a constant rate. */
export function encode(kbps) {
  const file = path.join(folder, `${kbps}.flv`);
  if (fs.existsSync(file)) return file;
  const video = kbps > 500 ? kbps - 90 : kbps - 42;
  const { status, stderr } = spawnSync(
    'ffmpeg',
    [
      '-nostdin',
      '-loglevel',
      'error',
      '-y',
      '-f',
      'lavfi',
      '-i',
      'testsrc2=size=640x360:rate=25',
      '-f',
      'lavfi',
      '-i',
      'anoisesrc=amplitude=0.1:sample_rate=44100',
      '-t',
      '10',
      '-c:v',
      'libx264',
      '-preset',
      'veryfast',
      '-tune',
      'zerolatency',
      '-pix_fmt',
      'yuv420p',
      '-g',
      '50',
      '-keyint_min',
      '50',
      '-sc_threshold',
      '0',
      '-nal-hrd',
      'cbr',
      '-b:v',
      `${video}k`,
      '-minrate',
      `${video}k`,
      '-maxrate',
      `${video}k`,
      '-bufsize',
      `${video}k`,
      '-c:a',
      'aac',
      '-b:a',
      kbps > 500 ? '80k' : '32k',
      '-f',
      'flv',
      '-flvflags',
      'no_duration_filesize',
      file,
    ],
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`ffmpeg could not make ${file} (${status}): ${stderr}`);
  return file;
}

export async function publish(file, urls) {
  const publisher = new Program('publisher', [file, writeFile(`${urls.join('\n')}\n`)]);
  await publisher.next();
  return publisher;
}

// ---- CPU time -------------------------------------------------------------

/** CPU seconds of processes, including all their threads. */
export function workerSeconds(pids) {
  let ns = 0;
  for (const pid of pids) {
    for (const tid of fs.readdirSync(`/proc/${pid}/task`))
      ns += Number(fs.readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'utf8').split(' ')[0]);
  }
  return ns / 1e9;
}

/** CPU seconds that the machine has been idle. */
function idleSeconds() {
  const [, , , idle, wait] = fs.readFileSync('/proc/stat', 'utf8').split('\n')[0].split(/\s+/).slice(1).map(Number);
  return (idle + wait) / 100;
}

// ---- one measurement ------------------------------------------------------

/** Why a viewer gets no picture from `url`; undefined if it gets one. */
export async function refusalOf(url) {
  const program = viewers([url], { probes: 1 });
  try {
    const { viewers: started } = await program.next();
    return started === 1 ? undefined : program.errors.trim() || 'no key frame came';
  } catch (error) {
    return error.message;
  } finally {
    await program.end();
  }
}

/** Measures one window with `count` viewers and some probes of one URL. */
export async function measure(server, url, { count, seconds, joins = 0, segment }) {
  const pids = server.pids();
  const options = segment ? { segment } : {};
  const mass = viewers([url], { probes: 1, viewers: count, pids, ...options });
  const probe = viewers([url], { probes: 8, ...options });
  try {
    const [ready] = await Promise.all([mass.next(), probe.next()]);
    await sleep(400);                         // let the join bursts end
    const idle = idleSeconds();
    probe.say('begin');
    mass.say('begin');
    await sleep(seconds * 1000);
    const window = await mass.ask('end');
    const close = await probe.ask('end');
    const busy = os.cpus().length - (idleSeconds() - idle) / window.seconds;
    const all = window.viewers + close.viewers;
    const behind = window.behind + close.behind + (count + 1 - ready.viewers);
    return {
      ...figures(window, close, all), busy, behind, lost: window.lost + close.lost + ready.lost,
      // Joins make no sense on a server that cannot keep up with the viewers it has.
      keys: joins && behind < count / 10 ? await probe.ask(`joins ${joins} 15000`) : undefined,
    };
  } finally {
    await Promise.all([mass.end(), probe.end()]);
  }
}

function figures(window, close, all) {
  const gbit = (window.bytes + (close?.bytes ?? 0)) * 8 / 1e9;
  return {
    perGbit: window.cpu / gbit, perSecond: window.cpu * 1e6 / (all * window.seconds),
    kbps: gbit * 1e6 / (all * window.seconds), delays: (close ?? window).delay_ms,
    stalls: window.stalls + (close?.stalls ?? 0), own: window.own_cpu / window.seconds,
  };
}

/** Measures with one viewer for each URL, of which every 20th is a probe. */
export async function measureMany(server, urls, { seconds }) {
  const probes = Math.ceil(urls.length / 20);
  const program = viewers(urls, { probes, viewers: urls.length - probes, pids: server.pids() });
  try {
    const ready = await program.next();
    await sleep(1000);
    const idle = idleSeconds();
    program.say('begin');
    await sleep(seconds * 1000);
    const window = await program.ask('end');
    const busy = os.cpus().length - (idleSeconds() - idle) / window.seconds;
    return { ...figures(window, undefined, window.viewers), busy, behind: window.behind + urls.length - ready.viewers,
      lost: window.lost + ready.lost };
  } finally {
    await program.end();
  }
}

/** Milliseconds of CPU that one join costs, without the CPU that the server uses anyway. */
export async function measureJoin(server, url, count = 200) {
  const program = viewers([url], { probes: 1, pids: server.pids() });
  try {
    await program.next();
    program.say('begin');
    await sleep(1000);
    const idle = await program.ask('end');
    const joins = await program.ask(`joins ${count} 3000`);
    return Math.max(joins.cpu - idle.cpu / idle.seconds * joins.seconds, 0) * 1000 / count;
  } finally {
    await program.end();
  }
}

/** Private KB for each of `count` viewers, on a server that had no viewers before. */
export async function measureMemory(server, url, count) {
  const first = viewers([url], { probes: 16 });       // of all workers: a worker's first one costs more
  try {
    await first.next();
    const before = privateKb(server.pids());
    const mass = viewers([url], { viewers: 0 });
    try {
      let { viewers: started } = await mass.next();
      // in steps, since those still in their handshake after a step's 15 s would hold more
      for (let i = 0; i < count; i += count / 20) ({ viewers: started } = await mass.ask(`add ${count / 20}`));
      if (started < count) throw new Error(`${started} of ${count} viewers started: no figure of their memory`);
      await sleep(1000);
      return (privateKb(server.pids()) - before) / count;
    } finally {
      await mass.end();
    }
  } finally {
    await first.end();
  }
}

/** Private KB for each of `count` requests that nginx's own limit_req holds, as long as those for `url`. */
export async function measureHeld(server, url, count) {
  const { host, port, pathname } = new URL(url.replace(/^\w+:/, 'http:'));
  const path_ = `/held/${'x'.repeat(pathname.length - 6)}`;
  const sockets = [];
  const open = async (n) => {
    for (let i = 0; i < n; i++) {
      const socket = net.connect(port, '127.0.0.1');
      sockets.push(socket);
      socket.write(`GET ${path_} HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: viewer ${i}\r\n\r\n`);
    }
    await Promise.all(sockets.map((socket) => (socket.connecting ? once(socket, 'connect') : undefined)));
    await sleep(1000);
  };
  try {
    await open(16);
    const before = privateKb(server.pids());
    await open(count);
    return (privateKb(server.pids()) - before) / count;
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

/** Adds viewers until some fall behind. Returns {held, load: cores used at that point, bound: true if none did}. */
export async function measureCapacity(server, url, { first, step, most }) {
  const program = viewers([url], { probes: 1, viewers: first, pids: server.pids() });
  try {
    await program.next();
    let held = 0;
    let last = await program.ask('check');
    for (let count = first; ; count += step) {
      const idle = idleSeconds();
      const began = Date.now();
      await sleep(1500);
      const check = await program.ask('check');
      const seconds = (Date.now() - began) / 1000;
      const load = { workers: (check.cpu - last.cpu) / seconds, generator: (check.own_cpu - last.own_cpu) / seconds,
        idle: (idleSeconds() - idle) / seconds };
      if (check.behind + check.lost > 0) return { held, load };
      held = count;
      if (count + step > most) return { held, load, bound: true };
      await program.ask(`add ${step}`);
      last = await program.ask('check');
    }
  } finally {
    await program.end();
  }
}
