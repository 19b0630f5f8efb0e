// The tables of the bench, and its goals.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const sorted = (list) => [...list].sort((a, b) => a - b);
export const median = (list) => sorted(list)[Math.floor(list.length / 2)];
const at = (list, share) => sorted(list)[Math.ceil(list.length * share) - 1];
const spread = (name, list) => (list.length ? { [`${name}50`]: median(list), [`${name}99`]: at(list, 0.99) } : {});
const fixed = (value, digits) => (value === undefined || Number.isNaN(value) ? '' : value.toFixed(digits));

const HEAD = [
  'server',
  'workers',
  'plays',
  'flush',
  'streams',
  'viewers',
  'CPU-s/Gbit',
  'x floor',
  'x nginx-rtmp',
  'us/viewer-s',
  'KB/viewer',
  'KB/stream',
  'join ms CPU',
  'key frame ms',
  'p99',
  'delay ms',
  'p99',
  'behind',
  'stalled',
  'lost',
  'kbit/s',
  'cores busy',
];

// ---- rows -----------------------------------------------------------------

/** The cells of all rounds in groups of the same server, protocol, flush and count, in their order. */
function grouped(cells) {
  const groups = new Map();
  for (const cell of cells) {
    const key = [cell.server, cell.workers, cell.protocol, cell.flush, cell.count].join(' ');
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(cell);
  }
  return [...groups.values()];
}

/** The median of the rounds' ratios of this group's figure to another server's; undefined without that server. */
export function ratio(group, cells, pick, figure = 'perGbit') {
  const ratios = group.map((cell) => {
    const other = cells.find((c) => c.round === cell.round && c.count === cell.count && pick(c, cell));
    return other && cell[figure] / other[figure];
  }).filter(Boolean);
  return ratios.length ? median(ratios) : undefined;
}

const overTls = (cell) => ['flvs', 'wss', 'hlss', 'llhlss'].includes(cell.protocol);
const sameFloor = (c, cell) => c.server === 'floor' && c.flush === cell.flush && overTls(c) === overTls(cell);
const stockRtmp = (c) => c.server === 'nginx-rtmp' && c.protocol === 'rtmp';

function figures(group, cells) {
  const mid = (name) => median(group.map((cell) => cell[name]));
  const sum = (name) => group.reduce((total, cell) => total + cell[name], 0);
  const [first] = group;
  return {
    ...first,
    perGbit: mid('perGbit'),
    perSecond: mid('perSecond'),
    ...spread(
      'delay',
      group.flatMap((cell) => cell.delays),
    ),
    floor: first.server === 'floor' ? undefined : ratio(group, cells, sameFloor),
    stock: ratio(group, cells, (c, cell) => stockRtmp(c) && !stockRtmp(cell)),
    peers: (name) => (first.server === name ? undefined
      : ratio(group, cells, (c, cell) => c.server === name && c.protocol === cell.protocol && c.flush === cell.flush)),
    ...spread('key', group.flatMap((cell) => cell.keys?.first_key_ms ?? [])),
    behind: sum('behind'), stalls: sum('stalls'), lost: sum('lost'), kbps: mid('kbps'), busy: mid('busy'),
  };
}

/** The rows of cells, in the order of their first ones. */
export const rowsOf = (cells) => grouped(cells).map((group) => figures(group, cells));

function allRows(results) {
  const one = rowsOf(results.cells).sort((a, b) => a.count - b.count);
  const many = grouped(results.streams).map((group) => ({ ...figures(group, results.streams), streams: group[0].count,
    stock: ratio(group, results.streams, (c, cell) => stockRtmp(c) && !stockRtmp(cell), 'perSecond') }));
  const ethernet = rowsOf(results.ethernet);
  return { one, many, ethernet };
}

/** Only one row of each server and protocol has memory and the cost of a join. */
function line(row, results) {
  const id = `${row.server} ${row.protocol}`;
  const once = !row.streams && row.count === 1000 && (row.flush === '100ms' || row.flush === '');
  return [
    row.server,
    row.workers,
    row.protocol,
    row.flush,
    row.streams ?? 1,
    row.count,
    fixed(row.perGbit, 3),
    fixed(row.floor, 2),
    fixed(row.stock, 2),
    fixed(row.perSecond, 0),
    once ? fixed(results.memory[id], 1) : '',
    fixed(row.memory?.own, 0),
    once && results.joins[id] ? fixed(median(results.joins[id]), 2) : '',
    fixed(row.key50, 1),
    fixed(row.key99, 1),
    row.server === 'floor' ? '' : fixed(row.delay50, 1),
    row.server === 'floor' ? '' : fixed(row.delay99, 1),
    row.behind,
    row.stalls,
    row.lost,
    fixed(row.kbps, 0),
    fixed(row.busy, 2),
    ...results.peers.map((name) => fixed(row.peers(name), 2)),
  ].map(String);
}

export function table(rows, results) {
  const head = [...HEAD, ...results.peers.map((name) => `x ${name}`)];
  const lines = rows.map((row) => line(row, results));
  const width = head.map((text, i) => Math.max(text.length, ...lines.map((cells) => cells[i].length)));
  const print = (cells) =>
    `| ${cells.map((cell, i) => (i < 4 ? cell.padEnd(width[i]) : cell.padStart(width[i]))).join(' | ')} |`;
  return [print(head), print(width.map((n, i) => '-'.repeat(n - 1) + (i < 4 ? '-' : ':'))), ...lines.map(print)].join(
    '\n',
  );
}

// ---- goals ----------------------------------------------------------------

/** Collects rows of the table of goals, each the worst of some rows of the table. */
function collector() {
  const lines = ['| what | at most | worst | reached |', '| --- | --: | --: | --- |'];
  const worst = (what, rows, figure, limit, digits = 2) => {
    const known = rows.filter((row) => figure(row) !== undefined);
    if (known.length === 0) { lines.push(`| ${what} | ${limit} | not measured | |`); return; }
    const row = known.reduce((a, b) => (figure(b) > figure(a) ? b : a));
    lines.push(goalRow(what, figure(row), limit, digits, row.label ?? ` (${row.count} viewers, ${row.flush})`));
  };
  return { lines, worst };
}

const single = (value) => [{ value, label: '' }];
const ofDuolu = (rows, protocol, pick = () => true) =>
  rows.filter((row) => row.server === 'Duolu' && row.protocol === protocol && pick(row));

/** The goals of viewers over TLS, for each flush. */
function tlsGoals(worst, one, results) {
  for (const flush of ['100ms', '350ms']) {
    const at = (row) => row.flush === flush;
    const ratio = `at ${flush}, ratio to the floor over TLS`;
    worst(`FLV over TLS ${ratio}`, ofDuolu(one, 'flvs', at), (r) => r.floor, 1.25);
    worst(`WSS ${ratio}`, ofDuolu(one, 'wss', at), (r) => r.floor, 1.25);
  }
  for (const [protocol, plain] of [['flvs', 'flv'], ['wss', 'ws']]) {
    const rows = ofDuolu(one, protocol).map((row) => {
      const other = ofDuolu(one, plain, (r) => r.count === row.count && r.flush === row.flush)[0];
      return { ...row, times: other?.key50 && row.key50 && row.key50 / other.key50 };
    });
    worst(`time to the first key frame, ratio of ${protocol} to ${plain}`, rows, (r) => r.times, 1.25);
  }
  for (const protocol of ['flvs', 'wss'])
    worst(`KB of a viewer, ${protocol}`, single(results.memory[`Duolu ${protocol}`]), (r) => r.value, 24, 1);
}

/** A row of the table of goals. */
export const goalRow = (what, value, limit, digits, label = '') =>
  `| ${what} | ${limit} | ${value.toFixed(digits)}${label} | ${value <= limit ? 'yes' : 'no'} |`;

function goals({ one }, results) {
  const { lines, worst } = collector();
  const duolu = (protocol, pick) => ofDuolu(one, protocol, pick);
  const large = (row) => row.count >= 1000 && row.flush !== 'auto';
  worst('FLV, CPU-s/Gbit, ratio to the floor', duolu('flv', large), (r) => r.floor, 1.25);
  worst('WS, ratio to the floor', duolu('ws', large), (r) => r.floor, 1.3);
  worst('RTMP, ratio to the floor', duolu('rtmp', large), (r) => r.floor, 1.5);
  worst(
    'RTMP at 100 ms, ratio to nginx-rtmp',
    duolu('rtmp', (r) => r.flush === '100ms' && r.count >= 1000),
    (r) => r.stock,
    0.4,
  );
  tlsGoals(worst, one, results);
  for (const [protocol, limit] of [['flv', 5], ['ws', 5], ['rtmp', 12]]) {
    worst(`KB of a viewer, ${protocol}`, single(results.memory[`Duolu ${protocol}`]), (r) => r.value, limit, 1);
  }
  worst(
    'ms to the first key frame at 1,000, median',
    one.filter((r) => r.server === 'Duolu' && r.count === 1000),
    (r) => r.key50,
    5,
  );
  worst(
    'ms to the first key frame at 1,000, p99',
    one.filter((r) => r.server === 'Duolu' && r.count === 1000),
    (r) => r.key99,
    50,
  );
  for (const protocol of ['flv', 'ws', 'rtmp']) {
    const taken = results.joins[`Duolu ${protocol}`];
    worst(`ms of CPU for a join, ${protocol}`, single(taken && median(taken)), (r) => r.value, 0.2);
  }
  for (const flush of ['10ms', '100ms', '350ms']) {
    const ms = parseInt(flush, 10);
    const rows = one.filter((row) => row.server === 'Duolu' && row.flush === flush);
    worst(`ms of delay, p50, flush ${flush}`, rows, (r) => r.delay50, ms / 2 + 3, 1);
    worst(`ms of delay, p99, flush ${flush}`, rows, (r) => r.delay99, ms + 10, 1);
  }
  return lines.join('\n');
}

function capacity(results) {
  if (results.capacity.length === 0) return '';
  const held = (workers) => results.capacity.filter((c) => c.workers === workers);
  const text = (workers) => held(workers).map((c) => `${c.held}${c.bound ? ' (the largest tried)' : ''}`).join(', ');
  const ratios = held(2).map((two) => two.held / held(1).find((c) => c.round === two.round).held);
  const loads = results.capacity.map(
    (c) =>
      `${c.workers} worker${c.workers > 1 ? 's' : ''}: workers ${c.load.workers.toFixed(2)}, ` +
      `generator ${c.load.generator.toFixed(2)}, idle ${c.load.idle.toFixed(2)}`,
  );
  const limited = held(2).some((c) => !c.bound && c.load.workers < 0.9 * 2);
  return (
    `Viewers of one 8 Mbps stream before one falls more than 1 s behind, flush 100 ms: 1 worker ${text(1)}; ` +
    `2 workers ${text(2)}; ratio ${median(ratios).toFixed(2)} (goal: 1.7, if the generator is not the limit). ` +
    `Cores busy at that point: ${loads.join('; ')}.` +
    (limited
      ? ' The 2 workers did not get both cores: the generator, the publisher and the rest of the kernel were the limit.'
      : '')
  );
}

// ---- the page -------------------------------------------------------------

export function machine() {
  const cpu = os.cpus();
  const debian = /PRETTY_NAME="(.*)"/.exec(fs.readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown system';
  const version = (name) => execFileSync('dpkg-query', ['-W', '-f', '${Version}', name], { encoding: 'utf8' });
  return (
    `${cpu.length} cores (${cpu[0].model.trim()}), ${Math.round(os.totalmem() / 2 ** 30)} GB, ${debian}, Linux ` +
      `${os.release()}, ` +
    `nginx ${version('nginx')}, libnginx-mod-rtmp ${version('libnginx-mod-rtmp')}, node ${process.versions.node}`
  );
}

export const conditions = (results, { rounds, seconds, loadBefore, took }) =>
  `Load average before: ${loadBefore.toFixed(2)}; ${rounds} round(s), windows of ${seconds} s, ` +
  `${took.toFixed(0)} s in all, ${new Date().toISOString().slice(0, 10)}. The publisher's latest frame: ` +
  `${results.late.toFixed(0)} ms late.`;

const failures = ({ failed }) => (failed.length ? [`Failed: ${failed.join('; ')}.`, ''] : []);

/** Of viewers over TLS alone. */
export function publishersReport(results, run) {
  const { many } = allRows(results);
  const { lines, worst } = collector();
  const duolu = many.filter((row) => row.server === 'Duolu');
  worst('KB of a stream beside its window', duolu, (r) => r.memory.own, 256, 0);
  for (const row of duolu.filter(({ flush }) => flush !== 'auto')) {
    worst(
      `${row.count} streams, CPU per stream-second, ratio to nginx-rtmp, ${row.workers} worker(s), ${row.flush}`,
      [row],
      (r) => r.stock,
      0.6,
    );
  }
  return [
    `Machine: ${machine()}.`,
    conditions(results, run),
    '',
    table(many, results),
    '',
    ...failures(results),
    ...lines,
    '',
  ].join('\n');
}

export function tlsReport(results, run) {
  const { one } = allRows(results);
  const { lines, worst } = collector();
  tlsGoals(worst, one, results);
  return [
    `Machine: ${machine()}.`,
    conditions(results, run),
    '',
    table(one, results),
    '',
    ...failures(results),
    ...lines,
    '',
  ].join('\n');
}

export function report(results, run) {
  const rows = allRows(results);
  const left = [
    ...Object.entries(results.refused).map(([what, why]) => `${what} (${why})`),
    ...results.missing.map((name) => `${name}: no path given`),
  ];
  return [
    `Machine: ${machine()}.`,
    `${run.quick ? 'The quick set, for orientation only. ' : ''}${conditions(results, run)}`,
    '',
    table(rows.one, results),
    '',
    'With viewers whose connections take segments of 1,448 bytes, as over Ethernet:',
    '',
    table(rows.ethernet, { ...results, memory: {}, joins: {} }),
    '',
    `Not run: ${left.join('; ') || 'nothing'}.`,
    '',
    ...failures(results),
    '### Goals',
    '',
    goals(rows, results),
    '',
    capacity(results),
    '',
  ].join('\n');
}

/** Writes a text into RESULTS.md, between `<!-- NAME -->` and the next `<!-- end -->`. */
export function save(text, name = 'table') {
  const page = path.join(here, 'RESULTS.md');
  const old = fs.readFileSync(page, 'utf8');
  const place = new RegExp(`(<!-- ${name} -->\\n)[\\s\\S]*?(<!-- end -->)`);
  if (!place.test(old)) throw new Error(`${page} has no <!-- ${name} --> … <!-- end -->`);
  fs.writeFileSync(page, old.replace(place, (_, from, to) => `${from}${text}${to}`));
}
