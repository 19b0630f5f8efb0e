// Disks that are slow, blocked or small.

import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { repo, until } from './nginx.mjs';
import { runSync } from './stack.mjs';

let slowdisk;

function slowdiskProgram() {
  if (!slowdisk) {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'duolu-slowdisk-'));
    process.on('exit', () => fs.rmSync(dir, { recursive: true, force: true }));
    runSync('gcc', ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror', '-o', path.join(dir, 'slowdisk'),
      path.join(repo, 'tests/tools/slowdisk.c')]);
    slowdisk = path.join(dir, 'slowdisk');
  }
  return slowdisk;
}

/** Why holdDisk() cannot work on this machine, to be the `skip` of a test; undefined where it can. */
export function noHeldDisk() {
  // this process, like nginx, is not a child of the program that traces it
  const { stdout, stderr } = spawnSync(slowdiskProgram(), [String(process.pid)], { input: '', encoding: 'utf8' });
  return stdout.startsWith('ready\n') ? undefined : `no process can be traced here: ${stderr.trim()}`;
}

/** Holds the threads of a process at their disk; {held()} after release(). */
export async function holdDisk(pid, ms) {
  const child = spawn(slowdiskProgram(), [pid, ms].filter((word) => word !== undefined).map(String), {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const ended = new Promise((resolve) => { child.on('close', resolve); });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => { said += data; });
  await until(() => said.startsWith('ready\n') || child.exitCode !== null, 'the threads to be watched');
  if (!said.startsWith('ready\n')) throw new Error(said);
  return {
    /** Lets the calls continue; returns how many were blocked. */
    async release() {
      child.stdin.end();
      await ended;
      return Number(said.slice(6));
    },
  };
}

const mounting = (size, folder, more) =>
  ['unshare', ['-rm', 'sh', '-c', `mount -t tmpfs -o size=${size} tmpfs "$0" && ${more}`, folder]];

/** The reason why smallDisk() cannot work on this machine, for a test's `skip`; undefined if it can. */
export const noSmallDisk = (() => {
  const { error, status, stderr } = spawnSync(...mounting('1m', os.tmpdir(), 'true'), { encoding: 'utf8' });
  return status === 0 ? undefined : `no disk can be mounted here: ${error?.message ?? stderr.trim()}`;
})();

/** A disk of `size` (of tmpfs, such as "3m") that ends with this process: {root, stop}. */
export async function smallDisk(size) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'duolu-disk-'));
  // only this child's mount namespace has the mount, so reach it through the child
  const child = spawn(...mounting(size, dir, 'echo ready && exec cat'), { stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => { said += data; });
  const ended = new Promise((resolve) => { child.on('close', resolve); });
  await until(() => said.startsWith('ready\n') || child.exitCode !== null, 'a small disk');
  if (!said.startsWith('ready\n')) throw new Error(`no disk of ${size}: ${said}`);
  return {
    root: path.join(`/proc/${child.pid}/root`, dir),
    async stop() {
      child.stdin.end();
      await ended;
      fs.rmdirSync(dir);
    },
  };
}
