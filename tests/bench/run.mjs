// Measures what a viewer costs with Duolu, the floor, stock nginx-rtmp and other
// servers, side by side, and what recording costs (`recording`: only that).
// `tls`, `hls`: only viewers over TLS, or of HLS; `publishers`: only many publishers with a viewer each.
//
//   node run.mjs FOLDER-OF-THE-PROGRAMS [quick] [recording | tls | hls | publishers] [--save]
//
// Each round measures every cell of the table once, the servers in turn, with the
// same generator and the same frames. Figures are medians of the rounds, ratios are
// medians of each round's ratio.
//
//   BENCH_ROUNDS=3  BENCH_SECONDS=5 (length of a window)  BENCH_SET=full|quick
//   BENCH_SRS, BENCH_MEDIAMTX, BENCH_ZLMEDIAKIT: path of the program;  BENCH_HTTP_FLV: of the module

import os from 'node:os';
import { privateKb } from '../lib/nginx.mjs';
import {
  encode,
  measure,
  measureCapacity,
  measureJoin,
  measureMany,
  measureMemory,
  prepare,
  publish,
  refusalOf,
  sleep,
} from './measure.mjs';
import { hls, hlsReport } from './hls.mjs';
import { recording, recordingReport } from './recording.mjs';
import { peersGiven, peersMissing, startDuolu, startFloor, startPeer, startStock } from './servers.mjs';
import { conditions, machine, publishersReport, report, save, tlsReport } from './table.mjs';

const [programs, ...options] = process.argv.slice(2);
const quick = options.includes('quick') || process.env.BENCH_SET === 'quick';
const rounds = Number(process.env.BENCH_ROUNDS ?? (quick ? 1 : 3));
const seconds = Number(process.env.BENCH_SECONDS ?? (quick ? 3 : 5));
const tls = options.includes('tls');
const TLS_MOST = 2000;                        // encrypting takes a core
const COUNTS = quick ? [100, 1000] : [100, 500, 1000, 2000, 4000].filter((count) => !tls || count <= TLS_MOST);
const FLUSHES = quick ? ['100ms'] : ['10ms', '100ms', '350ms'].filter((flush) => !tls || flush !== '10ms');
const STREAMS = quick ? [200] : [200, 500];
const WORKERS = 2;
const JOINS = 60;                             // beside 1,000 and 4,000 viewers
const HLS_SECONDS = 6;                        // whole segments
const MEMORY_VIEWERS = 2000;
const ETHERNET_VIEWERS = 1000;
const ETHERNET_SEGMENT = 1448;                // loopback's segments have 64 KB

const began = Date.now();
const say = (text) => process.stderr.write(`${((Date.now() - began) / 1000).toFixed(0).padStart(5)} s  ${text}\n`);
const results = {
  cells: [],
  ethernet: [],
  streams: [],
  memory: {},
  joins: {},
  capacity: [],
  refused: {},
  peers: [],
  failed: [],
  late: 0,
  missing: peersMissing(),
};

/** Notes a failure for the report, so that the rest is still measured. */
async function attempt(what, work) {
  try {
    await work();
  } catch (error) {
    results.failed.push(`${what}: ${error.message}`);
    say(`${what}: ${error.message}`);
  }
}

// ---- viewers of one stream ------------------------------------------------

/** The cells over TLS, and those that they are compared with. */
function planTls(count, { duolu, floor }) {
  return playable(FLUSHES.filter((flush) => flush !== '10ms').flatMap((flush) => [
    ...(tls && count === 1000 ? [[duolu, 'ws'], [duolu, 'flv']] : []),     // their first key frames
    [duolu, 'wss'],
    [duolu, 'flvs'],
    [floor, 'flvs'],
  ].map(([server, protocol]) => ({ server, protocol, flush }))));
}

/** The cells of one number of viewers, in the order in which they are measured. */
function plan(count, servers) {
  const { duolu, floor, stock, peers } = servers;
  const cells = FLUSHES.flatMap((flush) => [
    { server: duolu, protocol: 'flv', flush },
    { server: floor, protocol: 'flv', flush },
    ...(flush === '100ms' || count === 1000
      ? ['ws', 'rtmp'].map((protocol) => ({ server: duolu, protocol, flush }))
      : []),
  ]);
  if (count <= TLS_MOST) cells.push(...planTls(count, servers));
  cells.push({ server: stock, protocol: 'rtmp' }, { server: duolu, protocol: 'flv', flush: 'auto' });
  if (count === 1000 || (count === 100 && !quick)) cells.push({ server: stock, protocol: 'hls' });
  if (count === 1000)
    cells.push(
      ...peers.flatMap((server) => ['flv', 'rtmp'].map((protocol) => ({ server, protocol, flush: server.flush }))),
    );
  return playable(cells);
}

/** Cells with the segments of a remote viewer: each fits into an Ethernet frame. */
function planEthernet({ duolu, floor, stock, peers }) {
  return playable([
    ...[
      [duolu, 'flv'],
      [floor, 'flv'],
      [duolu, 'rtmp'],
      [duolu, 'wss'],
      [floor, 'flvs'],
    ].map(([server, protocol]) => ({ server, protocol, flush: '100ms' })),
    { server: stock, protocol: 'rtmp' },
    ...peers.flatMap((server) => ['flv', 'rtmp'].map((protocol) => ({ server, protocol, flush: server.flush }))),
  ]);
}

function playable(cells) {
  return cells.filter(
    ({ server, protocol, flush }) =>
      server.play(protocol, 'bench', flush) && !results.refused[`${server.name} ${protocol}`],
  );
}

/** Finds out which protocols a server cannot play: they are reported once and left out. */
async function tryAll(all) {
  for (const server of all) {
    for (const protocol of ['flv', 'ws', 'flvs', 'wss', 'rtmp', 'hls']) {
      const url = server.play(protocol, 'bench', '100ms');
      const why = url && await refusalOf(url);
      if (why) {
        results.refused[`${server.name} ${protocol}`] = why.replace(/token=[\w.-]+/, 'token=…');
        say(`${server.name} ${protocol}: not measured: ${why}`);
      }
    }
  }
}

async function oneStream(file) {
  const duolu = await startDuolu({ workers: WORKERS, flushes: [...FLUSHES, 'auto'] });
  const open = [duolu];
  try {
    const stock = await startStock();
    open.unshift(stock);
    const peers = [];
    for (const [variable, flush] of peersGiven()) {
      await attempt(`${variable} ${flush}`, async () => {
        const peer = await startPeer(variable, flush);
        open.unshift(peer);
        // a publisher of its own, so that a peer that fails disturbs no other server
        const publisher = await publish(file, [peer.publish('bench')]);
        open.unshift({ stop: () => publisher.end() });
        peers.push(peer);
        if (!results.peers.includes(peer.name)) results.peers.push(peer.name);
      });
    }
    const publisher = await publish(
      file,
      [duolu, stock].map((server) => server.publish('bench')).concat(stock.publishHls('bench')),
    );
    open.unshift({ stop: () => publisher.end() });
    await duolu.full(1);
    const floor = await startFloor({
      source: duolu.play('flv', 'bench', FLUSHES[0]),
      flushes: FLUSHES,
      workers: WORKERS,
    });
    open.unshift(floor);
    await sleep(4000);                        // until the playlist has segments
    await tryAll([duolu, floor, stock, ...peers]);
    for (let round = 0; round < rounds; round++) await oneRound(round, { duolu, floor, stock, peers });
    results.late = Math.max(results.late, (await publisher.ask('stat')).latest_ms);
  } finally {
    for (const resource of open) await resource.stop();
  }
}

async function oneRound(round, servers) {
  for (const protocol of ['flv', 'ws', 'flvs', 'wss', 'rtmp']) {
    for (const server of [servers.duolu, servers.floor]) {           // with others a join waits for a key frame
      const url = server.play(protocol, 'bench', '100ms');
      if (!url || results.refused[`${server.name} ${protocol}`]) continue;
      (results.joins[`${server.name} ${protocol}`] ??= []).push(await measureJoin(server, url));
    }
  }
  for (const count of COUNTS) {
    for (const cell of (tls ? planTls : plan)(count, servers)) await oneCell(round, count, cell, results.cells);
  }
  for (const cell of tls ? [] : planEthernet(servers))
    await oneCell(round, ETHERNET_VIEWERS, cell, results.ethernet, ETHERNET_SEGMENT);
}

async function oneCell(round, count, { server, protocol, flush = '' }, cells, segment) {
  const joins = !segment && (count === 1000 || count === 4000) ? JOINS : 0;
  const window = protocol === 'hls' ? HLS_SECONDS : count < 1000 ? Math.max(seconds - 2, 2) : seconds;
  const what = `round ${round + 1}: ${server.name} ${protocol} ${flush} ${count} ` +
    `viewers${segment ? `, segments of ${segment} bytes` : ''}`;
  await attempt(what, async () => {
    const figures = await measure(server, server.play(protocol, 'bench', flush), {
      count,
      seconds: window,
      joins,
      segment,
    });
    cells.push({ round, count, server: server.name, workers: server.workers, protocol, flush, ...figures });
    say(
      `${what}: ${figures.perGbit.toFixed(3)} CPU-s/Gbit, ${figures.behind} behind, ${figures.busy.toFixed(2)} ` +
        'cores busy',
    );
  });
}

// ---- memory of a viewer ---------------------------------------------------

/** Uses a new server for each protocol, since nginx keeps memory that it has freed. */
async function memoryOf(server, protocol, file, count) {
  try {
    if (results.refused[`${server.name} ${protocol}`]) return;
    const publisher = await publish(file, [server.publish('bench')]);
    if (server.full) await server.full(1);
    const kb = await measureMemory(server, server.play(protocol, 'bench', '100ms'), count);
    results.memory[`${server.name} ${protocol}`] = kb;
    await publisher.end();
    say(`${server.name} ${protocol}: ${kb.toFixed(1)} KB per viewer`);
  } finally {
    await server.stop();
  }
}

async function memory(file) {
  const count = quick ? 500 : MEMORY_VIEWERS;
  const startOurs = () => startDuolu({ workers: WORKERS, flushes: ['100ms'] });
  for (const protocol of ['flv', 'ws', 'flvs', 'wss', 'rtmp'])
    await attempt(`memory, ${protocol}`, async () => memoryOf(await startOurs(), protocol, file, count));
  if (!tls) await attempt('memory, nginx-rtmp', async () => memoryOf(await startStock(), 'rtmp', file, count));
}

// ---- many streams ---------------------------------------------------------

/** KB per stream: private memory and the part of its blocks that is no window, and the window. */
async function streamMemory(server, before, count) {
  const own = (privateKb(server.pids()) - before) / count;
  if (!server.status) return { own };
  const { zone, streams } = await server.status();
  const window = streams.reduce((sum, stream) => sum + stream.window_bytes, 0) / 1024;
  return { own: own + ((zone.blocks - zone.free) * 64 - window) / count, window: window / count };
}

async function manyStreams(file, count) {
  const one = await startDuolu({ workers: 1, zone: `${count + 12}m`, flushes: ['100ms', '350ms', 'auto'] });
  const open = [one];
  try {
    const two = await startDuolu({ workers: 2, zone: `${count + 12}m`, flushes: ['100ms'] });
    open.unshift(two);
    const stock = await startStock();
    open.unshift(stock);
    const all = [one, two, stock];
    const names = Array.from({ length: count }, (_, i) => `s${i}`);
    const before = all.map((server) => privateKb(server.pids()));
    const publisher = await publish(file, names.flatMap((name) => all.map((server) => server.publish(name))));
    open.unshift({ stop: () => publisher.end() });
    // Until the windows are full, each block is new to its worker and costs page faults.
    for (const server of [one, two]) await server.full(count, 9900);
    await sleep(3000);
    const memories = new Map();
    for (const [i, server] of all.entries()) memories.set(server, await streamMemory(server, before[i], count));
    for (let round = 0; round < rounds; round++) {
      for (const [server, protocol, flush] of [[one, 'flv', '100ms'], [stock, 'rtmp', ''], [two, 'flv', '100ms'],
        [one, 'flv', '350ms'], [one, 'flv', 'auto']]) {
        const figures = await measureMany(server, names.map((name) => server.play(protocol, name, flush)), { seconds });
        results.streams.push({
          round,
          count,
          server: server.name,
          workers: server.workers,
          protocol,
          flush,
          ...figures,
          memory: memories.get(server),
        });
        say(
          `round ${round + 1}: ${server.name} ${server.workers} worker(s), ${count} streams: ` +
            `${figures.perSecond.toFixed(0)} us per stream-second, ` +
            `${figures.behind} behind`,
        );
      }
    }
    results.late = Math.max(results.late, (await publisher.ask('stat')).latest_ms);
  } finally {
    for (const server of open) await server.stop();
  }
}

// ---- one worker and two ---------------------------------------------------

async function capacity(file) {
  const limits = { first: 2000, step: 400, most: 9600 };
  for (let round = 0; round < Math.min(rounds, 2); round++) {
    for (const workers of [1, 2]) {
      const duolu = await startDuolu({ workers, flushes: ['100ms'] });
      try {
        const publisher = await publish(file, [duolu.publish('bench')]);
        await duolu.full(1);
        const held = await measureCapacity(duolu, duolu.play('flv', 'bench', '100ms'), limits);
        await publisher.end();
        results.capacity.push({ round, workers, ...held });
        say(
          `${workers} worker(s) hold ${held.held} viewers of 8 Mbps${held.bound ? ' and more' : ''}: ` +
            `${JSON.stringify(held.load)}`,
        );
      } finally {
        await duolu.stop();
      }
    }
  }
}

// ---------------------------------------------------------------------------

async function overTls() {
  await attempt('one stream', async () => oneStream(encode(1000)));
  await memory(encode(300));           // viewers keep up, also on a busy machine
  return tlsReport(results, { rounds, seconds, loadBefore, took: (Date.now() - began) / 1000 });
}

async function ofHls() {
  const start = Date.now();
  const figures = await hls(encode(1000), { rounds, seconds, attempt, say });
  const run = { rounds, seconds, loadBefore, took: (Date.now() - start) / 1000 };
  return hlsReport(figures, `Machine: ${machine()}.\n${conditions({ late: figures.late ?? NaN }, run)}`);
}

async function ofPublishers() {
  const start = Date.now();
  for (const count of STREAMS) await attempt(`${count} streams`, async () => manyStreams(encode(300), count));
  return publishersReport(results, { rounds, seconds, loadBefore, took: (Date.now() - start) / 1000 });
}

async function viewing() {
  await attempt('one stream', async () => oneStream(encode(1000)));
  await memory(encode(300));           // viewers keep up, also on a busy machine
  if (!quick) await attempt('one worker and two', async () => capacity(encode(8000)));
  return report(results, { rounds, seconds, quick, loadBefore, took: (Date.now() - began) / 1000, counts: COUNTS });
}

prepare(programs);
const loadBefore = os.loadavg()[0];
const texts = [];
const only = options.find((option) => ['tls', 'hls', 'publishers', 'recording'].includes(option));
if (only === 'tls') texts.push([await overTls(), 'tls']);
if (!only) texts.push([await viewing(), 'table']);
if (!only || only === 'publishers') texts.push([await ofPublishers(), 'publishers']);
if (!only || only === 'hls') texts.push([await ofHls(), 'hls']);
if (!only || only === 'recording') await attempt('recording', async () => {
  const figures = { rounds: Math.max(rounds, 2), seconds: 2 * seconds, say };
  texts.push([
    recordingReport(await recording(encode(1000), figures), { seconds: figures.seconds, loadBefore }),
    'recording',
  ]);
});
for (const [text, name] of texts) {
  console.log(`\n${text}`);
  if (options.includes('--save')) save(text, name);
}
process.exit(results.failed.length ? 1 : 0);
