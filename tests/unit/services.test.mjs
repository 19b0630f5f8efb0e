// The shell functions by which `build.sh` and its keeper look at services: each look ends,
// and slowness is not taken for death.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { repo, until } from '../lib/nginx.mjs';
import { newHome, run } from '../lib/stack.mjs';

/* Runs a script with the functions of conf/, as a user whose stack has this folder: {code, stdout, stderr}. */
const withFunctions = (home, script) =>
  run('bash', ['-c', `set -uo pipefail
repo=${repo} build=$repo/.build
for part in say packages settings home services keeper; do . "$repo/conf/$part.sh"; done
read_settings
for service in nginx auth db thumb; do user_of[$service]=$(id -un); done
${script}`], { env: { DUOLU_HOME: home }, check: false, timeout: 60_000 });

function folder(t) {
  const home = newHome();
  for (const name of ['conf', 'log', 'mysql']) fs.mkdirSync(path.join(home, name));
  t.after(() => fs.rmSync(home, { recursive: true }));
  return home;
}

test('nginx -t that stands still ends, and counts as a refusal that says so', async (t) => {
  const home = folder(t);
  await run('mkfifo', [path.join(home, 'pipe')]);         // nobody reads it: opening it waits
  fs.writeFileSync(path.join(home, 'conf/nginx.conf'),
    `pid ${home}/pid; error_log ${home}/pipe; events {}\n`);
  const { code, signal, stderr } = await withFunctions(home, 'nginx_conf_is_good 1');
  assert.equal(signal, null, 'it ended by itself');
  assert.equal(code, 124, stderr);
  assert.match(fs.readFileSync(path.join(home, 'log/nginx-test.log'), 'utf8'), /nginx -t did not end within 1 s\n$/);
});

test('a database that takes a connection and says nothing is not waited for without end', async (t) => {
  const home = folder(t);
  const server = net.createServer(() => {});
  await new Promise((resolve) => { server.listen(path.join(home, 'mysql/mysql.sock'), resolve); });
  t.after(() => server.close());
  const { code, signal, stderr } = await withFunctions(home, 'database_root 1 <<<"SELECT 1"');
  assert.equal(signal, null, 'it ended by itself');
  assert.equal(code, 124, stderr);
});

test('a worker that is not ready yet, and bears its master\'s title, is no sign of an nginx that was told to quit',
  async (t) => {
    const home = folder(t);
    const accepts = async (title) => {
      const script = `(exec -a '${title}' sleep 300) & wait`;
      const master = spawn('bash', ['-c', script], { stdio: 'ignore', detached: true });
      try {
        const read = (file) => fs.readFileSync(path.join('/proc', file), 'utf8');
        const child = () => read(`${master.pid}/task/${master.pid}/children`).trim();
        await until(() => child() && read(`${child()}/cmdline`).startsWith(title), title);
        return (await withFunctions(home, `pid_of[nginx]=${master.pid}; nginx_accepts`)).code === 0;
      } finally {
        process.kill(-master.pid);
      }
    };
    assert.equal(await accepts('nginx: worker process'), true);
    assert.equal(await accepts('nginx: master process /usr/sbin/nginx -c nginx.conf'), true);
    assert.equal(await accepts('nginx: worker process is shutting down'), false);
    assert.equal(await accepts('nginx: cache manager process'), false);
  });

test('a program that a build has replaced is told by name while the old one runs', async (t) => {
  const home = folder(t);
  const file = path.join(home, 'build/duolu-auth');
  fs.mkdirSync(path.dirname(file));
  const put = () => {
    fs.copyFileSync('/bin/sleep', `${file}.new`);
    fs.renameSync(`${file}.new`, file);
  };
  put();
  const service = spawn(file, ['300'], { cwd: home, stdio: 'ignore' });
  t.after(() => service.kill());
  await until(() => fs.readFileSync(`/proc/${service.pid}/comm`, 'utf8') === 'duolu-auth\n', 'it to run');
  const outdated = async () => (await withFunctions(home, 'build=$home/build; outdated_services')).stdout;
  assert.equal(await outdated(), '');
  put();
  assert.equal(await outdated(), 'duolu-auth\n');
});
