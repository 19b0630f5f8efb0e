// Separate networks for tests: no foreign packets, and links that can be cut.
//
//   inOwnNetwork(import.meta.url, () => { test(…); });   the file's tests, in an empty network
//   const device = await phone();      a network namespace behind a link
//   start(...device.inside, 'ffmpeg', …)
//   device.cut(); device.mend();       cut: packets are lost without an error

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { until } from './nginx.mjs';
import { run, runSync } from './stack.mjs';

const ip = (...args) => runSync('ip', args);
// without root: become root of a new user namespace
const unshare = ['--net', ...(process.getuid() === 0 ? [] : ['--map-root-user'])];

/**
 * The tests that `define` defines in the module at `url`, run in a fresh network namespace that has only 127.0.0.0/8.
 */
export function inOwnNetwork(url, define) {
  if (process.env.DUOLU_TEST_NETWORK === 'own') {
    ip('link', 'set', 'lo', 'up');
    define();
    return;
  }
  const file = fileURLToPath(url);
  // the wire of a phone, which some kernels do not have
  const wire = ['ip', 'link', 'add', 'near0', 'type', 'veth', 'peer', 'name', 'far0'];
  const { error, status, stderr } = spawnSync('unshare', [...unshare, ...wire], { encoding: 'utf8' });
  const skip = status === 0 ? undefined : `no network of its own here: ${error?.message ?? stderr.trim()}`;
  test(`${path.basename(file)} in a network of its own`, { timeout: 600_000, skip }, async (t) => {
    const { NODE_TEST_CONTEXT, ...env } = process.env;
    const { code, stdout, stderr } = await run('unshare', [...unshare, process.execPath, '--test-reporter=tap', file],
      { check: false, env: { ...env, NODE_TEST_CONTEXT: undefined, DUOLU_TEST_NETWORK: 'own' } });
    const said = stdout
      .split('\n')
      .filter((line) =>
        /^\s*((not )?ok|# (?!Subtest|tests|suites|pass|fail|cancelled|skipped|todo|duration))/.test(line),
      );
    said.forEach((line) => t.diagnostic(line.trim()));
    assert.equal(code, 0, `${stdout}${stderr}`);
  });
}

let phones = 0;

/**
 * A network namespace behind a link: {device, address: the link's near end, farAddress, inside: a command's prefix,
 * cut, mend, remove}.
 */
export async function phone() {
  const n = ++phones;
  const [near, far, subnet] = [`near${n}`, `far${n}`, `10.77.${n}`];
  const keeper = spawn('unshare', ['--net', 'sleep', '1000'], { stdio: 'ignore' });
  const space = () => { try { return fs.readlinkSync(`/proc/${keeper.pid}/ns/net`); } catch { return undefined; } };
  await until(() => space() && space() !== fs.readlinkSync('/proc/self/ns/net'), 'a namespace of the phone');
  const inside = ['nsenter', `--net=/proc/${keeper.pid}/ns/net`];
  const there = (...args) => runSync(inside[0], [...inside.slice(1), 'ip', ...args]);
  ip('link', 'add', near, 'type', 'veth', 'peer', 'name', far, 'netns', String(keeper.pid));
  ip('addr', 'add', `${subnet}.1/24`, 'dev', near);
  ip('link', 'set', near, 'up');
  there('addr', 'add', `${subnet}.2/24`, 'dev', far);
  there('link', 'set', far, 'up');
  return {
    device: near,
    address: `${subnet}.1`,
    farAddress: `${subnet}.2`,
    inside,
    cut: () => there('link', 'set', far, 'down'),
    mend: () => there('link', 'set', far, 'up'),
    remove() {
      ip('link', 'del', near);
      keeper.kill('SIGKILL');
    },
  };
}
