// The cost of viewers of HLS: 1,000 of one stream, in low latency and plain, over HTTP and
// TLS, beside the floor of FLV and nginx-rtmp's files in the same round.

import path from 'node:path';
import { measure, measureHeld, measureMemory, publish, sleep } from './measure.mjs';
import { HLS_FLUSH, startBenchEdge, startDuolu, startFloor, startStock } from './servers.mjs';
import { goalRow, ratio, rowsOf, table } from './table.mjs';
import { repo, until } from '../lib/nginx.mjs';
import { runSync } from '../lib/stack.mjs';

const COUNT = 1000;
const PART_MS = 333;
const SEGMENTS_S = 6;                         // of a window of plain HLS: whole segments
const WORKERS = 2;

/** {server, protocol} of one round, each beside what it is compared with. */
function plan({ duolu, floor, stock }) {
  return [
    [floor, 'flv'], [duolu, 'llhls'], [duolu, 'flv'],
    [stock, 'hls'], [duolu, 'hls'],
    [floor, 'flvs'], [duolu, 'llhlss'], [duolu, 'hlss'],
  ].map(([server, protocol]) => ({ server, protocol, flush: server === stock ? '' : HLS_FLUSH }));
}

async function viewers(file, { rounds, seconds, attempt, say }, cells) {
  const duolu = await startDuolu({ workers: WORKERS, flushes: [HLS_FLUSH] });
  const open = [duolu];
  try {
    const stock = await startStock();
    open.unshift(stock);
    const publisher = await publish(file, [duolu.publish('bench'), stock.publishHls('bench')]);
    open.unshift({ stop: () => publisher.end() });
    await duolu.full(1);
    const source = duolu.play('flv', 'bench', HLS_FLUSH);
    const floor = await startFloor({ source, flushes: [HLS_FLUSH], workers: WORKERS });
    open.unshift(floor);
    await sleep(8000);                        // until the playlists have segments
    for (let round = 0; round < rounds; round++) {
      for (const { server, protocol, flush } of plan({ duolu, floor, stock })) {
        await attempt(`${server.name} ${protocol}`, async () => {
          const window = protocol.startsWith('hls') ? SEGMENTS_S : seconds;
          const url = server.play(protocol, 'bench', flush);
          const figures = await measure(server, url, { count: COUNT, seconds: window });
          const { name, workers } = server;
          cells.push({ round, count: COUNT, server: name, workers, protocol, flush, ...figures });
          say(`round ${round + 1}: ${server.name} ${protocol}: ${figures.perGbit.toFixed(3)} CPU-s/Gbit, ` +
            `${figures.busy.toFixed(2)} cores busy, ${figures.stalls} stalls, ${figures.lost} lost`);
        });
      }
    }
    return (await publisher.ask('stat')).latest_ms;
  } finally {
    for (const resource of open) await resource.stop();
  }
}

/** KB of a viewer beside the cache, bytes of the cache and of the window, and both when nobody watches. */
async function memory(file, say) {
  const duolu = await startDuolu({ workers: WORKERS, flushes: [HLS_FLUSH] });
  try {
    const publisher = await publish(file, [duolu.publish('bench')]);
    await duolu.full(1);
    await sleep(8000);
    const muxed = await duolu.metric('hls_parts_total');
    const cached = [];
    const sample = setInterval(() => duolu.metric('hls_bytes').then((bytes) => cached.push(bytes), () => {}), 250);
    const viewer = await measureMemory(duolu, duolu.play('llhls', 'bench', HLS_FLUSH), COUNT)
      .finally(() => clearInterval(sample));
    const { streams: [stream] } = await duolu.status();
    await until(async () => await duolu.metric('hls_bytes') === 0, 'the cache to be freed');
    const before = await duolu.metric('hls_parts_total');
    await sleep(3000);
    const after = await duolu.metric('hls_parts_total');
    await publisher.end();
    const figures = { viewer, cache: Math.max(...cached) / WORKERS, window: stream.window_bytes,
      unwatched: muxed + after - before };
    say(JSON.stringify(figures));
    return figures;
  } finally {
    await duolu.stop();
  }
}

/** KB of a request that nginx itself holds, on a server that has held none before. */
async function heldByNginx(say) {
  const duolu = await startDuolu({ workers: WORKERS, flushes: [HLS_FLUSH] });
  try {
    const each = await measureHeld(duolu, duolu.play('llhls', 'bench', HLS_FLUSH), COUNT);
    say(`${each.toFixed(1)} KB for a request that limit_req holds`);
    return each;
  } finally {
    await duolu.stop();
  }
}

/** Viewers behind an edge: its cell, and the numbers of their requests and of those that reached the origin. */
async function behindEdge(file, { seconds, say }) {
  const duolu = await startDuolu({ workers: 1, flushes: [HLS_FLUSH] });
  const open = [duolu];
  try {
    const publisher = await publish(file, [duolu.publish('bench')]);
    open.unshift({ stop: () => publisher.end() });
    await duolu.full(1);
    const edge = await startBenchEdge(duolu);
    open.unshift(edge);
    await sleep(8000);
    const figures = await measure(edge, edge.play('llhlss', 'bench'), { count: COUNT, seconds });
    const requests = edge.requests();
    say(`edge: ${JSON.stringify(requests)}, ${figures.perGbit.toFixed(3)} CPU-s/Gbit`);
    const { name, workers } = edge;
    return { cell: { round: 0, count: COUNT, server: name, workers, protocol: 'llhlss', flush: '', ...figures },
      requests };
  } finally {
    for (const resource of open) await resource.stop();
  }
}

/** GB/s of media of 1 Mbps, from the unit test of the packager's speed. */
function packager() {
  const program = path.join(repo, '.build/unit/hls_store_speed');
  runSync('make', ['-s', '-C', path.join(repo, 'tests/unit'), program]);
  return Number(runSync(program, []).match(/# 1000 kbps: ([\d.]+) GB\/s/)[1]);
}

/** Measures all and returns {cells, late, memory, own, packager}; what failed is missing. */
export async function hls(file, run) {
  const results = { cells: [] };
  await run.attempt('viewers of HLS', async () => { results.late = await viewers(file, run, results.cells); });
  await run.attempt('memory of HLS', async () => { results.memory = await memory(file, run.say); });
  await run.attempt('memory of a held request', async () => { results.own = await heldByNginx(run.say); });
  await run.attempt('edge', async () => {
    const { cell, requests } = await behindEdge(file, run);
    results.cells.push(cell);
    results.edge = requests;
  });
  await run.attempt('packager', async () => { results.packager = packager(); });
  return results;
}

/** The goals: [[what, at most, the figure or undefined, digits]]. */
function goals({ cells, memory: kept, own, packager: speed }) {
  const of = (protocol) => cells.filter((c) => c.server === 'Duolu' && c.protocol === protocol);
  const over = (protocol, server, other) =>
    ratio(of(protocol), cells, (c) => c.server === server && c.protocol === other);
  const late = of('llhls').flatMap((cell) => cell.delays).sort((a, b) => a - b);
  return [
    ['low latency, CPU-s/Gbit, ratio to the floor of FLV', 2.5, over('llhls', 'floor', 'flv'), 2],
    ['the same over TLS', 2.5, over('llhlss', 'floor', 'flvs'), 2],
    ['plain HLS, ratio to nginx-rtmp\'s files', 1.2, over('hls', 'nginx-rtmp', 'hls'), 2],
    ['ms from a frame to its part, p99', PART_MS + parseInt(HLS_FLUSH, 10) + 10,
      late[Math.ceil(late.length * 0.99) - 1], 0],
    ['windows of the stream that a worker\'s cache has', 2, kept && kept.cache / kept.window, 2],
    ['KB of a held request and its connection', 3, kept?.viewer, 1],
    ['the same, over a request that nginx\'s limit_req holds', 3, kept && own && kept.viewer - own, 1],
    ['CPU-s of the packager alone for 1 GB of media', 1, speed && 1 / speed, 2],
    ['parts made while nobody watches', 0, kept?.unwatched, 0],
  ];
}

export function hlsReport(results, conditions) {
  return [
    conditions,
    '',
    table(rowsOf(results.cells), { memory: {}, joins: {}, peers: [] }),
    '',
    '| what | at most | measured | reached |',
    '| --- | --: | --: | --- |',
    ...goals(results).map(([what, limit, value, digits]) => (value === undefined
      ? `| ${what} | ${limit} | not measured | |` : goalRow(what, value, limit, digits))),
    '',
    ...(results.edge ? [`Behind an edge, ${COUNT} viewers made ${results.edge.viewers} requests, of which ` +
      `${results.edge.origin} went on to the origin.`] : []),
    'Only media counts as delivered by HLS: neither playlists nor headers.',
    '',
  ].join('\n');
}
