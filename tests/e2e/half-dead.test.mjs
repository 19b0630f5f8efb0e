// When a service of a stack is gone, `up` and the keeper, in the foreground or the
// background, restart it and leave the others alone.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { pushFfmpeg, untilLive } from '../lib/media.mjs';
import { repo, until } from '../lib/nginx.mjs';
import { buildSh, endKeeper, foreground, pidOf, processesOf, stackEnv, startStack, stopStack } from '../lib/stack.mjs';

const MASTER = /nginx: master/;

/* A viewer that counts bytes: `more` waits for new ones, and fails when the answer has ended. */
function watch(url) {
  return new Promise((resolve, reject) => {
    http.get(url, { agent: false }, (response) => {
      const viewer = { size: 0, ended: false };
      response.on('data', (data) => { viewer.size += data.length; });
      for (const event of ['end', 'error', 'close']) response.on(event, () => { viewer.ended = true; });
      viewer.more = async () => {
        const from = viewer.size;
        await until(() => viewer.size > from || viewer.ended, 'more of the stream');
        assert.equal(viewer.ended, false, 'the viewer was cut off');
      };
      viewer.close = () => response.destroy();
      assert.equal(response.statusCode, 200);
      resolve(viewer);
    }).on('error', reject);
  });
}

async function watched(stack, t) {
  const publisher = pushFfmpeg(`${stack.rtmpUrl}/live/demo?key=${stack.demoKey}`);
  t.after(() => publisher.stop());
  await untilLive(stack, 'live/demo', publisher);
  const url = await stack.ctl('url', 'admin', 'live/demo', 'view');
  const viewer = await watch(url);
  t.after(() => viewer.close());
  await viewer.more();
  return { viewer, publisher, url };
}

const gone = (pid) =>
  until(
    () => !fs.existsSync(`/proc/${pid}`) || /^State:\s+Z/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8')),
    `${pid} to be gone`,
  );

const nginxes = (home) =>
  processesOf(home)
    .filter((line) => / nginx: /.test(line))
    .map((line) => Number(line.split(' ')[0]));

async function kill(home, pattern) {
  const pid = pidOf(home, pattern);
  assert.ok(pid, `${pattern} runs`);
  process.kill(pid, 'SIGKILL');
  await gone(pid);
  return pid;
}

/* nginx's master, but not one that quits */
const masterOf = (home) => Number(fs.readFileSync(path.join(home, 'pid/nginx.pid'), 'utf8'));

/* Does every socket that listens on this port have as many connections waiting as it takes? */
const queuesAreFull = (port) =>
  execFileSync('ss', ['-Htln', `sport = :${port}`], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).slice(1, 3).map(Number))
    .every(([waiting, most]) => waiting > most);

test('up names the missing service, starts it, and leaves live streams alone', async (t) => {
  const stack = await startStack({ workers: 2 });
  t.after(() => stack.stop({ allow: /open socket #\d+ left in connection|aborting|unlink\(\) \S*nginx\.pid/ }));
  const first = await watched(stack, t);
  const portsClosed = () =>
    until(
      () =>
        fetch(stack.httpUrl, { redirect: 'manual' }).then(
          () => false,
          () => true,
        ),
      'its ports to be closed',
    );
  const up = async () => {
    const { stdout, stderr } = await buildSh(['up', '-d'], { env: stack.env });
    return stdout + stderr;
  };

  await t.test('an nginx that is too busy to take a connection is left alone', async () => {
    const pids = nginxes(stack.home);
    const waiting = [];
    try {
      for (const pid of pids) process.kill(pid, 'SIGSTOP');
      await until(() => {
        for (let n = 0; n < 50; n++) waiting.push(net.connect(stack.https, '127.0.0.1').on('error', () => {}));
        return queuesAreFull(stack.https);
      }, 'its queue to be full');
      assert.match(await up(), /already running/);
    } finally {
      for (const pid of pids) process.kill(pid, 'SIGCONT');
      for (const socket of waiting) socket.destroy();
    }
    assert.deepEqual(nginxes(stack.home), pids);
    await first.viewer.more();
  });

  for (const [name, pattern] of [
    ['duolu-auth', /duolu-auth/],
    ['mariadbd', /mariadbd/],
    ['duolu-thumb', /duolu-thumb/],
  ]) {
    await t.test(`${name} killed`, async () => {
      await endKeeper(stack.home);
      const before = await kill(stack.home, pattern);
      assert.match(await up(), new RegExp(`but without ${name}: starting that`));
      assert.notEqual(pidOf(stack.home, pattern), before);
      await first.viewer.more();
      assert.match(await stack.ctl('user', 'list'), /admin/);
      assert.match(await up(), /already running/);
    });
  }

  for (const signal of ['SIGQUIT', 'SIGKILL']) {
    await t.test(
      `nginx's master ended by ${signal}: up ends its workers, and their clients reconnect to the new nginx`,
      async (t2) => {
        const session = signal === 'SIGQUIT' ? first : await watched(stack, t2);
        await endKeeper(stack.home);
        const before = masterOf(stack.home);
        const old = nginxes(stack.home);
        process.kill(before, signal);
        await (signal === 'SIGQUIT' ? portsClosed() : gone(before));
        await session.viewer.more();
        const text = await up();
        assert.match(text, /but without nginx: starting that/);
        assert.match(
          text,
          /ending the remaining processes of the previous nginx \([\d ]+\): its viewers and publishers reconnect/,
        );
        assert.deepEqual(
          nginxes(stack.home).filter((pid) => old.includes(pid)),
          [],
        );
        await session.publisher.ended;
        await until(() => session.viewer.ended, 'its viewer to end');
        assert.equal((await fetch(`${stack.httpUrl}/x`, { redirect: 'manual' })).status, 308);
        assert.match(await up(), /already running/);
      },
    );
  }

  await t.test('nginx\'s master ends its workers on SIGTERM', async () => {
    await endKeeper(stack.home);
    process.kill(masterOf(stack.home), 'SIGTERM');
    await portsClosed();
    assert.match(await up(), /but without nginx: starting that/);
    assert.match(await up(), /already running/);
  });
});

test('two ups at once make one stack, and one of them reports that it waited', async (t) => {
  const env = await stackEnv({ workers: 1 });
  t.after(() => stopStack(env));
  const outputs = (await Promise.all([1, 2].map(() => buildSh(['up', '-d'], { env })))).map(({ stdout }) => stdout);
  assert.equal(
    outputs.filter((text) => /another \.\/build\.sh starts or ends .*: waiting for it[\s\S]*already running/.test(text))
      .length,
    1,
    outputs.join('\n'),
  );
  assert.equal(outputs.filter((text) => /ready after/.test(text)).length, 1);
  for (const name of [/mariadbd/, /duolu-auth/, /duolu-thumb/, MASTER, /build\.sh keep/]) {
    // a second keeper sees the first one and ends
    await until(() => processesOf(env.DUOLU_HOME).filter((line) => name.test(line)).length === 1, `one ${name}`);
  }
});

test('up -d starts the keeper before it reports ready; the PID that a dead keeper left harms no process', async (t) => {
  const env = await stackEnv({ workers: 1 });
  const home = env.DUOLU_HOME;
  t.after(() => stopStack(env));
  const up = spawn(path.join(repo, 'build.sh'), ['up', '-d'],
    { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = new Promise((resolve) => { up.on('close', resolve); });
  let text = '';
  up.stdout.on('data', (data) => {
    text += data;
    if (/ready after/.test(text)) up.stdout.destroy();          // as `up -d | head` does
  });
  await ended;
  assert.match(text, /ready after/);
  const keeper = Number(fs.readFileSync(path.join(home, '.keeper'), 'utf8'));
  assert.match(fs.readFileSync(`/proc/${keeper}/cmdline`, 'utf8'), /build\.sh\0keep/);

  // the keeper is gone, another process has its PID, and another shell asks for the keeper
  process.kill(keeper, 'SIGKILL');
  await gone(keeper);
  const stranger = spawn('sleep', ['300'], { stdio: 'ignore' });
  t.after(() => stranger.kill());
  fs.writeFileSync(path.join(home, '.keeper'), `${stranger.pid}\n`);
  const asking = spawn('flock', [path.join(home, '.keeper'), 'sh', '-c', 'echo asks; read line'],
    { stdio: ['pipe', 'pipe', 'ignore'] });
  await new Promise((resolve) => { asking.stdout.once('data', resolve); });
  const down = buildSh(['down'], { env });
  const holders = () => processesOf(home).filter((line) => /mariadbd|nginx: master/.test(line)).length;
  const waits = new RegExp(`^flock -w \\d+ ${home}/.keeper`, 'm');
  await until(() => waits.test(execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' })), '`down` to wait for it');
  assert.equal(holders(), 2);
  asking.stdin.end();
  await down;
  assert.equal(stranger.signalCode, null);
});

test('up in the foreground restarts services that end by themselves, and media goes on', async (t) => {
  const env = await stackEnv({ workers: 1 });
  const up = foreground(env);
  t.after(() => stopStack(env));
  await up.ready();
  const home = env.DUOLU_HOME;
  const stack = {
    rtmpUrl: `rtmp://127.0.0.1:${env.DUOLU_RTMP}`,
    demoKey: fs.readFileSync(path.join(home, 'secrets/demo.key'), 'utf8').trim(),
    ctl: async (...args) => (await buildSh(['ctl', ...args], { env })).stdout.trim(),
    controlGet: (target) => new Promise((resolve, reject) => {
      http.get({ socketPath: path.join(home, 'sock/control.sock'), path: target, agent: false }, async (response) => {
        let text = '';
        for await (const data of response) text += data;
        resolve(JSON.parse(text));
      }).on('error', reject);
    }),
  };
  const { viewer } = await watched(stack, t);
  for (const [name, pattern, pause] of [
    ['duolu-auth', /duolu-auth/, 1],
    ['mariadbd', /mariadbd/, 1],
    ['duolu-auth', /duolu-auth/, 2],
  ]) {
    const before = await kill(home, pattern);
    await until(
      () =>
        new RegExp(`${name} ended by itself \\(exit status 137\\), and is started again in ${pause} s`).test(up.text),
      `a word of ${name}`,
    );
    await until(() => (pidOf(home, pattern) ?? before) !== before, `the next ${name}`);
    await viewer.more();
  }
  await until(
    async () => (await buildSh(['ctl', 'user', 'list'], { env, check: false })).code === 0,
    'the service and the database',
  );
  assert.equal(up.child.exitCode, null, up.text);

  // `down` in another shell is not a failure
  await buildSh(['down'], { env });
  assert.equal(await up.ended, 0, up.text);
  assert.match(up.text, /duolu: ended/);
});

test('the keeper of a background stack restarts services; a killed master leaves no worker and no revoked ' +
  'viewer', async (t) => {
  const stack = await startStack({ workers: 2 });
  t.after(() => stack.stop({
    allow: /open socket #\d+ left in connection|aborting|unlink\(\) \S*nginx\.pid|no_such_directive/,
  }));
  const session = await watched(stack, t);
  const logged = (text) => until(() => text.test(stack.log('keeper')), `the keeper to log ${text}`);
  const answers = () => stack.controlGet('/status').then(() => true, () => false);
  const nextNginx = (old) =>
    until(async () => nginxes(stack.home).every((pid) => !old.includes(pid)) && await answers(), 'only the next nginx');

  for (const [name, pattern] of [
    ['duolu-auth', /duolu-auth/],
    ['mariadbd', /mariadbd/],
    ['duolu-thumb', /duolu-thumb/],
  ]) {
    const before = await kill(stack.home, pattern);
    await logged(
      new RegExp(
        `^\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d ${name} ended by itself, and is started again in 1 s`,
        'm',
      ),
    );
    await until(() => (pidOf(stack.home, pattern) ?? before) !== before, `the next ${name}`);
    await session.viewer.more();
  }
  await until(
    async () => (await buildSh(['ctl', 'user', 'list'], { env: stack.env, check: false })).code === 0,
    'the service and the database',
  );

  // a configuration that the next nginx refuses: what is left of this one goes on
  const conf = path.join(stack.home, 'conf/nginx.conf');
  const good = fs.readFileSync(conf);
  fs.appendFileSync(conf, 'no_such_directive on;\n');
  const old = nginxes(stack.home);
  const master = await kill(stack.home, MASTER);
  await logged(/ nginx is not started, since nginx -t refuses \S+\/nginx\.conf \(.*"no_such_directive".* in 2 s/);
  await logged(/ nginx is not started, .* in 4 s/);
  await session.viewer.more();
  assert.deepEqual(nginxes(stack.home), old.filter((pid) => pid !== master));
  const status = await buildSh(['ctl', 'status'], { env: stack.env });
  assert.match(status.stdout, /live\/demo/);
  assert.match(status.stderr, /not running: nginx\. \S+\/keeper\.log says why/);
  fs.writeFileSync(conf, good);

  await stack.ctl('user', 'revoke', 'admin');
  await until(() => session.viewer.ended, 'the viewer to end');
  await nextNginx(old);
  await logged(/ nginx ended by itself, and is started again in 1 s/);
  await logged(/ending the remaining processes of the previous nginx/);
  await session.publisher.ended;
  const again = await watched(stack, t);
  assert.equal((await fetch(session.url)).status, 403);

  const quitting = nginxes(stack.home);
  process.kill(masterOf(stack.home), 'SIGQUIT');
  await logged(/ nginx takes no new connections, and is started again in \d+ s/);
  await until(() => again.viewer.ended, 'who was there to be told to come again');
  await nextNginx(quitting);
  await watched(stack, t);
});

test('the keeper of a background stack rotates every log at its size and deletes old ones', async (t) => {
  const env = await stackEnv({ workers: 1, env: { DUOLU_LOG_SIZE: '64k' } });
  await buildSh(['up', '-d'], { env });
  t.after(() => stopStack(env));
  const log = (name) => path.join(env.DUOLU_HOME, 'log', `${name}.log`);
  const ask = () => fetch(`http://127.0.0.1:${env.DUOLU_HTTP}/x`, { redirect: 'manual' });
  const holders = (file) => processesOf(env.DUOLU_HOME).filter((line) => {
    const dir = `/proc/${line.split(' ')[0]}/fd`;
    try {
      return fs.readdirSync(dir).some((fd) => fs.readlinkSync(path.join(dir, fd)) === file);
    } catch {
      return false;         // it ended, or closed one, meanwhile
    }
  });

  const names = ['nginx', 'access', 'auth', 'thumb', 'mariadb'];
  for (const name of names) {
    // the old ones first: from the moment that a log is too large, the keeper may move them
    for (let i = 1; i <= 9; i++) fs.writeFileSync(`${log(name)}.${i}`, `old ${i}\n`);
    fs.appendFileSync(log(name), `${'x'.repeat(127)}\n`.repeat(600));
  }
  for (const name of names) {
    await until(
      () => fs.existsSync(`${log(name)}.1`) && fs.readFileSync(`${log(name)}.1`, 'utf8').includes('xxx'),
      `${name}.log.1`,
    );
    await until(
      () => holders(`${log(name)}.1`).length === 0 && holders(log(name)).length > 0,
      `${name}.log to be open again`,
    );
    assert.equal(fs.readFileSync(`${log(name)}.9`, 'utf8'), 'old 8\n', name);
    assert.ok(!fs.existsSync(`${log(name)}.10`), name);
  }
  await ask();
  await until(() => fs.readFileSync(log('access'), 'utf8').includes('GET /x '), 'a line in the new access.log');
  const size = fs.statSync(log('auth')).size;
  process.kill(pidOf(env.DUOLU_HOME, /duolu-auth/), 'SIGTERM');
  await until(() => fs.statSync(log('auth')).size > size, 'a line in the new auth.log');
});
