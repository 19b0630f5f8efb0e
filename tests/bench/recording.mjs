// Measures what recording costs: one server with 100 streams records all of them and
// none of them in turn, so that nothing else differs.

import fs from 'node:fs';
import path from 'node:path';
import { readMp4 } from '../lib/mp4.mjs';
import { privateKb, until } from '../lib/nginx.mjs';
import { publish, sleep, workerSeconds } from './measure.mjs';
import { startDuolu } from './servers.mjs';
import { goalRow, machine, median } from './table.mjs';

export const RECORDED = 100;
const WORKERS = 2;
const SETTLE_MS = 4000;                       // until files are open or closed, and buffers have their final size

/** Switches the recording of all streams on or off, and waits until all have changed. */
async function setRecording(server, names, on) {
  for (const name of names) await server.record(name, on);
  await until(
    async () => (await server.status()).streams.every(({ recording }) => recording.state === (on ? 'on' : 'off')),
    `the recording of ${names.length} streams to be ${on ? 'on' : 'off'}`,
  );
  await sleep(SETTLE_MS);
}

async function coresUsed(server, seconds) {
  const pids = server.pids();
  const began = process.hrtime.bigint();
  const cpu = workerSeconds(pids);
  await sleep(seconds * 1000);
  return (workerSeconds(pids) - cpu) / (Number(process.hrtime.bigint() - began) / 1e9);
}

/** Sizes in bytes: of files, of indexes, and of the frames in the files. */
function sizes(root) {
  const total = { files: 0, index: 0, media: 0, ms: 0 };
  const walk = (dir) => {
    for (const entry of fs.readdirSync(dir, { withFileTypes: true })) {
      const name = path.join(dir, entry.name);
      if (entry.isDirectory()) walk(name);
      else if (name.endsWith('.m3u8')) total.index += fs.statSync(name).size;
      else if (name.endsWith('.mp4')) {
        const bytes = fs.readFileSync(name);
        const movie = readMp4(bytes);
        total.files += bytes.length;
        total.ms += movie.durationMs;
        for (const { samples } of movie.tracks) for (const { size } of samples) total.media += size;
      }
    }
  };
  walk(root);
  return total;
}

/** Returns {rounds: [{off, on}] in cores, memory: KB per stream, sizes}. */
export async function recording(file, { rounds, seconds, say }) {
  const names = Array.from({ length: RECORDED }, (_, i) => `r${i}`);
  const server = await startDuolu({
    workers: WORKERS,
    zone: `${RECORDED * 2 + 32}m`,
    flushes: ['100ms'],
    recorded: true,
  });
  const results = { rounds: [] };
  try {
    const publisher = await publish(file, names.map((name) => server.publish(name)));
    try {
      await server.full(RECORDED, 9900);
      await sleep(3000);
      const before = privateKb(server.pids());
      for (let round = 0; round < rounds; round++) {
        const off = await coresUsed(server, seconds);
        await setRecording(server, names, true);
        const on = await coresUsed(server, seconds);
        if (round === 0) results.memory = (privateKb(server.pids()) - before) / RECORDED;
        await setRecording(server, names, false);
        results.rounds.push({ off, on });
        say(`round ${round + 1}: ${RECORDED} streams of 1 Mbps: ${off.toFixed(3)} cores, recorded ${on.toFixed(3)}`);
      }
      results.late = (await publisher.ask('stat')).latest_ms;
    } finally {
      await publisher.end();
    }
    results.sizes = sizes(server.recordings);
  } finally {
    await server.stop();
  }
  return results;
}

export function recordingReport({ rounds, memory, sizes: bytes, late }, { seconds, loadBefore }) {
  const cores = median(rounds.map(({ off, on }) => on - off));
  const overhead = ((bytes.files + bytes.index) / bytes.media - 1) * 100;
  const row = (name) => rounds.map((round) => round[name].toFixed(3)).join(', ');
  return [
    `Machine: ${machine()}. Load average before: ${loadBefore.toFixed(2)}, ${new Date().toISOString().slice(0, 10)}.`,
    `${RECORDED} streams of 1 Mbps, no viewers, ${WORKERS} workers; ${rounds.length} round(s) of ${seconds} s ` +
      'not recorded, then recorded. ' +
      `The publisher's latest frame: ${late.toFixed(0)} ms late.`,
    '',
    `Cores: not recorded ${row('off')}; recorded ${row('on')}. Written: ${(bytes.files / 2 ** 20).toFixed(0)} MB ` +
      'of files, ' +
      `${(bytes.index / 1024).toFixed(0)} KB of indexes, ${(bytes.ms / 1000).toFixed(0)} s in all.`,
    '',
    '| what | at most | worst | reached |',
    '| --- | --: | --: | --- |',
    goalRow(`cores for recording ${RECORDED} streams`, cores, 0.1, 3),
    goalRow('KB of a recorded stream beside its window', memory, 2048, 0),
    goalRow('overhead of files and indexes over the frames in them, %', overhead, 2, 2),
    '',
  ].join('\n');
}
