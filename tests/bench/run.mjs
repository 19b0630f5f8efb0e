// What a viewer costs: nginx with the hub against the floor, side by side.
//
//   node run.mjs FOLDER-OF-THE-PROGRAMS [--save]
//
// Each round measures nginx and then the floor with the same generator, the
// same stream and the same flush interval; figures are medians of the rounds,
// a ratio is the median of the rounds' own ratios.

import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';
import { startHub } from '../lib/hub.mjs';
import { until } from '../lib/nginx.mjs';

const WORKERS = 2;
const FLUSHES = [10, 100];                    // ms
const COUNTS = [500, 1000];                   // viewers, rising: memory is taken in round one
const ROUNDS = 3;
const WINDOW = 6000;                          // ms
const SETTLE = 500;                           // ms, join bursts are over
const JOINS = 50;                             // per round, beside the largest count
const STREAM = 'live/bench';

const here = path.dirname(fileURLToPath(import.meta.url));
const [programs, ...options] = process.argv.slice(2);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

// ---- programs that speak JSON lines ---------------------------------------

class Program {
  constructor(name, args) {
    this.name = name;
    this.child = spawn(path.join(programs, name), args.map(String), { stdio: ['pipe', 'pipe', 'inherit'] });
    this.child.stdin.on('error', () => {});
    this.exited = new Promise((resolve) => this.child.on('close', (code, signal) => resolve(code ?? signal)));
    this.lines = readline.createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  async next() {
    const { value, done } = await this.lines.next();
    if (done) throw new Error(`${this.name} ended (${await this.exited}) instead of answering`);
    return JSON.parse(value);
  }

  say(line) { this.child.stdin.write(`${line}\n`); }

  async end() {
    this.child.stdin.end();
    return this.exited;
  }
}

// ---- what the kernel knows about processes --------------------------------

/** Write calls so far. */
function writes(pids) {
  return pids.reduce((sum, pid) =>
    sum + Number(/^syscw: (\d+)/m.exec(fs.readFileSync(`/proc/${pid}/io`, 'utf8'))[1]), 0);
}

/** KB that are a process's own.  The zone, though touched by one worker alone, is not. */
function privateKb(pids) {
  let sum = 0;
  for (const pid of pids) {
    let shared = false;
    for (const line of fs.readFileSync(`/proc/${pid}/smaps`, 'utf8').split('\n')) {
      const map = /^[0-9a-f]+-[0-9a-f]+ (\S{4}) /.exec(line);
      if (map) shared = map[1][3] === 's';
      const size = /^Private_\w+:\s+(\d+) kB/.exec(line);
      if (size && !shared) sum += Number(size[1]);
    }
  }
  return sum;
}

// ---- the stream -----------------------------------------------------------

function encode(file) {
  const { status, stderr } = spawnSync('ffmpeg', ['-nostdin', '-loglevel', 'error', '-y',
    '-f', 'lavfi', '-i', 'testsrc2=size=640x360:rate=25', '-f', 'lavfi', '-i', 'anoisesrc=amplitude=0.1:sample_rate=44100',
    '-t', '20', '-c:v', 'libx264', '-preset', 'veryfast', '-tune', 'zerolatency', '-pix_fmt', 'yuv420p',
    '-g', '50', '-keyint_min', '50', '-sc_threshold', '0', '-nal-hrd', 'cbr',
    '-b:v', '900k', '-minrate', '900k', '-maxrate', '900k', '-bufsize', '900k',
    '-c:a', 'aac', '-b:a', '96k', '-f', 'flv', '-flvflags', 'no_duration_filesize', file], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`ffmpeg could not make ${file} (${status}): ${stderr}`);
}

/** The encoded file over RTMP in real time, round and round, no encoder at work. */
async function publish(hub, file) {
  const child = spawn('ffmpeg', ['-nostdin', '-loglevel', 'error', '-re', '-stream_loop', '-1', '-i', file,
    '-c', 'copy', '-f', 'flv', `rtmp://127.0.0.1:${hub.rtmp.port}/${STREAM}?key=bench`], { stdio: ['ignore', 'ignore', 'inherit'] });
  const exited = new Promise((resolve) => child.on('close', resolve));
  const stop = async () => { child.kill('SIGTERM'); await exited; };
  try {
    await until(async () => {
      if (child.exitCode !== null) throw new Error(`the publisher ended (${child.exitCode})`);
      const stream = await hub.stream(STREAM);
      return stream?.state === 'live' && stream.video === 'h264' && stream.window_ms > 4000;
    }, `${STREAM} to have a window of 4 s`);
  } catch (error) {
    await stop();
    throw error;
  }
  return { stop };
}

// ---- measuring ------------------------------------------------------------

/** One window of `count` viewers; `extra` is called while they still watch. */
async function measure({ port, path: where, pids, count, extra }) {
  const generator = new Program('viewers', ['127.0.0.1', port, where, '--viewers', count, '--pids', pids.join(',')]);
  try {
    const ready = await generator.next();
    if (ready.viewers !== count) throw new Error(`${ready.viewers} of ${count} viewers started`);
    await sleep(SETTLE);
    const before = writes(pids);
    generator.say('begin');
    await sleep(WINDOW);
    generator.say('end');
    const window = await generator.next();
    const calls = writes(pids) - before;
    const gbit = window.bytes * 8 / 1e9;
    return {
      ready, window, kb: privateKb(pids), extra: await extra?.(),
      perGbit: window.cpu / gbit,
      perViewerSecond: window.cpu * 1e6 / (count * window.seconds),
      writesPerSecond: calls / (count * window.seconds),
      kbps: window.bytes * 8 / 1000 / (count * window.seconds),
      load: (window.cpu + window.own_cpu) / window.seconds,
    };
  } finally {
    await generator.end();
  }
}

async function joins(port, where) {
  const generator = new Program('viewers', ['127.0.0.1', port, where, '--joins', JOINS]);
  try {
    return await generator.next();
  } finally {
    await generator.end();
  }
}

async function measureFlush(flush, file) {
  const hub = await startHub({ workers: WORKERS, flv: `hub_flush ${flush}ms;` });
  const rounds = [];
  let publisher;
  let floor;
  try {
    publisher = await publish(hub, file);
    const { port, pathname } = new URL(hub.url(STREAM));
    floor = new Program('floor', ['127.0.0.1', port, pathname, flush, WORKERS]);
    const bare = await floor.next();
    const pids = hub.nginx.workers();
    const idle = privateKb(pids);
    for (let round = 0; round < ROUNDS; round++) {
      for (const count of COUNTS) {
        const extra = count === Math.max(...COUNTS) ? () => joins(port, pathname) : undefined;
        const ours = await measure({ port, path: pathname, pids, count, extra });
        const base = await measure({ port: bare.port, path: '/', pids: bare.pids, count });
        rounds.push({ flush, round, count, ours, base, memory: (ours.kb - idle) / count });
        process.stderr.write(`flush ${flush} ms, ${count} viewers, round ${round + 1}: `
          + `${ours.perGbit.toFixed(3)} against ${base.perGbit.toFixed(3)} CPU-s/Gbit\n`);
      }
    }
  } finally {
    await floor?.end();
    await publisher?.stop();
    await hub.stop();
  }
  return rounds;
}

// ---- the table ------------------------------------------------------------

function row(flush, count, rounds) {
  const mine = rounds.filter((r) => r.flush === flush && r.count === count);
  const mid = (pick, digits) => median(mine.map(pick)).toFixed(digits);
  const ratios = mine.map((r) => r.ours.perGbit / r.base.perGbit);
  const joined = mine.map((r) => r.ours.extra).filter(Boolean);
  const wait = (of) => (joined.length ? median(joined.map((j) => j.first_key_ms[of])).toFixed(1) : '');
  return [`${flush} ms`, count,
    mid((r) => r.ours.perGbit, 3), mid((r) => r.base.perGbit, 3),
    `**${median(ratios).toFixed(2)}** (${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)})`,
    mid((r) => r.ours.perViewerSecond, 0), mid((r) => r.base.perViewerSecond, 0),
    mid((r) => r.ours.writesPerSecond, 1), mid((r) => r.base.writesPerSecond, 1),
    mine[0].memory.toFixed(1),                // later rounds reuse what nginx kept
    wait('median'), wait('p99'), wait('max'),
    mine.reduce((sum, r) => sum + r.ours.window.stalls, 0), mine.reduce((sum, r) => sum + r.ours.window.lost, 0),
    mid((r) => r.ours.kbps, 0), mid((r) => r.base.kbps, 0), mid((r) => r.ours.load, 2)].map(String);
}

const HEAD = ['flush', 'viewers', 'CPU-s/Gbit', 'floor', 'ratio (rounds)', 'us/viewer-s', 'floor', 'writes/viewer-s', 'floor',
  'KB/viewer', 'key frame ms', 'p99', 'max', 'stalls', 'lost', 'kbit/s', 'floor', 'cores busy'];

function table(rounds) {
  const rows = FLUSHES.flatMap((flush) => COUNTS.map((count) => row(flush, count, rounds)));
  const width = HEAD.map((head, i) => Math.max(head.length, ...rows.map((cells) => cells[i].length)));
  const line = (cells) => `| ${cells.map((cell, i) => cell.padStart(width[i])).join(' | ')} |`;
  return [line(HEAD), line(width.map((n) => `${'-'.repeat(n - 1)}:`)), ...rows.map(line)].join('\n');
}

function machine() {
  const debian = /PRETTY_NAME="(.*)"/.exec(fs.readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown system';
  return `${os.cpus().length} shared cores (${os.cpus()[0].model.trim()}), ${debian}, Linux ${os.release()}, `
    + `nginx ${WORKERS} workers, node ${process.versions.node}`;
}

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'duolu-bench-'));
try {
  const began = Date.now();
  const loadBefore = os.loadavg()[0];
  const file = path.join(folder, 'stream.flv');
  encode(file);
  const rounds = [];
  for (const flush of FLUSHES) rounds.push(...await measureFlush(flush, file));
  const text = `Machine: ${machine()}.\nLoad average before: ${loadBefore.toFixed(2)}; `
    + `${ROUNDS} rounds of ${WINDOW / 1000} s, ${((Date.now() - began) / 1000).toFixed(0)} s in all, `
    + `${new Date().toISOString().slice(0, 10)}.\n\n${table(rounds)}\n`;
  console.log(`\n${text}`);
  if (options.includes('--save')) {
    const page = path.join(here, 'RESULTS.md');
    const old = fs.readFileSync(page, 'utf8');
    fs.writeFileSync(page, old.replace(/(<!-- table -->\n)[\s\S]*(<!-- end -->)/, (_, from, to) => `${from}${text}${to}`));
  }
} finally {
  fs.rmSync(folder, { recursive: true, force: true });
}
