// build.sh for its users: up, up again, ctl, down, and failures.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { until } from '../lib/nginx.mjs';
import { buildSh, foreground, newHome, processesOf, stackEnv, startStack, stopStack } from '../lib/stack.mjs';

const SERVICES = /mariadbd|duolu-auth|nginx:/;

async function refused(args, env, ...patterns) {
  const result = await buildSh(args, { env, check: false });
  const text = result.stdout + result.stderr;
  assert.notEqual(result.code, 0, text);
  for (const pattern of patterns) assert.match(text, pattern);
  return text;
}

function listen(port) {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.on('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

test('a stack and another beside it', async (t) => {
  // this stack makes its database, as for an operator; other tests may copy a prepared one
  const one = await startStack({ env: { DUOLU_PREPARED: '' } });
  t.after(() => one.stop());

  await t.test('up writes secrets to files that no other user can read', () => {
    const root = process.getuid() === 0;
    const modes = {
      '.': root ? '711' : '700',
      admin: '600',
      'demo.key': '600',
      db: '600',
      'token.keys': root ? '640' : '600',
      'tls.key': root ? '640' : '600',
    };
    for (const [name, mode] of Object.entries(modes)) {
      const info = fs.statSync(path.join(one.home, 'secrets', name));
      assert.equal((info.mode & 0o777).toString(8), mode, name);
      assert.equal(info.uid, process.getuid(), name);
    }
    assert.match(one.demoKey, /^[A-Za-z0-9_-]{22}$/);
    assert.ok(one.adminPassword.length >= 16);
  });

  await t.test('another up says that the stack runs and prints the addresses again', async () => {
    const { stdout } = await buildSh(['up', '-d'], { env: one.env });
    assert.match(stdout, /already running/);
    assert.match(stdout, new RegExp(one.httpsUrl));
    assert.ok(stdout.includes(`demo?key=${one.demoKey}`));
    assert.ok(!stdout.includes(one.adminPassword), 'the admin password is printed once');
  });

  await t.test('ctl finds the stack by DUOLU_HOME alone', async () => {
    const { stdout } = await buildSh(['ctl', 'user', 'list'], { env: { DUOLU_HOME: one.home } });
    assert.match(stdout, /admin/);
    const url = await one.ctl('url', 'admin', 'live/demo', 'view');
    assert.ok(url.includes(`:${one.http}/`) || url.includes(`:${one.https}/`), url);
  });

  await t.test('a second stack runs beside it', async () => {
    const two = await startStack({ workers: 1 });
    try {
      assert.notEqual(two.demoKey, one.demoKey);
      assert.notEqual(two.adminPassword, one.adminPassword);
      await two.ctl('user', 'add', 'visitor', '--password-stdin', { input: 'a-long-password-of-two\n' });
      assert.match(await two.ctl('user', 'list'), /visitor/);
      assert.doesNotMatch(await one.ctl('user', 'list'), /visitor/);
    } finally {
      await two.stop();
    }
    assert.match(await one.ctl('user', 'list'), /admin/);
  });

  await t.test('up names a port in use and the variable that changes it', async () => {
    for (const name of ['DUOLU_HTTP', 'DUOLU_HTTPS', 'DUOLU_RTMP', 'DUOLU_RTMPS']) {
      const env = await stackEnv();
      const server = await listen(Number(env[name]));
      try {
        await refused(['up', '-d'], env, new RegExp(`port ${env[name]} `), new RegExp(`set ${name} `));
      } finally {
        server.close();
      }
      assert.deepEqual(processesOf(env.DUOLU_HOME), []);
      fs.rmSync(env.DUOLU_HOME, { recursive: true });
    }
  });

  await t.test('down, then up again: same secrets, and the second up builds nothing', async () => {
    await buildSh(['down'], { env: one.env });
    assert.deepEqual(processesOf(one.home), []);
    for (const name of ['auth', 'mysql', 'sock', 'thumb'])
      assert.deepEqual(fs.readdirSync(path.join(one.home, name)), [], name);
    const began = Date.now();
    fs.mkdirSync(path.join(one.home, 'rec/.spool'));
    const { stdout, stderr } = await buildSh(['up', '-d'], {
      env: { ...one.env, DUOLU_BUILT: 'no', DUOLU_REC: path.join(one.home, 'other') },
    });
    assert.match(
      stderr,
      new RegExp(
        `warning: recordings are in ${one.home}/rec, .*none of them is shown from ${one.home}/other: set DUOLU_REC=`,
      ),
    );
    console.log(`# second up took ${((Date.now() - began) / 1000).toFixed(1)} s`);
    assert.ok(stdout.includes(`demo?key=${one.demoKey}`));
    assert.match(await one.ctl('user', 'list'), /admin/);
  });

  await t.test('a second down succeeds', async () => {
    await buildSh(['down'], { env: one.env });
    const { stdout } = await buildSh(['down'], { env: one.env });
    assert.match(stdout, /no service of .* is running/);
  });
});

test('Ctrl-C in the foreground ends everything', async () => {
  const env = await stackEnv();
  const up = foreground(env);
  try {
    await up.ready();
    assert.ok(processesOf(env.DUOLU_HOME).filter((line) => SERVICES.test(line)).length >= 4);
    // as a terminal does: send the signal to the whole foreground group
    process.kill(-up.child.pid, 'SIGINT');
    assert.equal(await up.ended, 130, up.text);
    assert.deepEqual(processesOf(env.DUOLU_HOME), []);
  } finally {
    await stopStack(env);
  }
});

test('up refuses settings that cannot work before it makes anything', async () => {
  const env = await stackEnv();
  await refused(['up', '-d'], { ...env, DUOLU_HTTP: 'eighty' }, /DUOLU_HTTP is 'eighty': expected a port/);
  await refused(['up', '-d'], { ...env, DUOLU_WORKERS: '0' }, /DUOLU_WORKERS is '0': expected/);
  await refused(['up', '-d'], { ...env, DUOLU_LISTEN: 'everywhere' }, /DUOLU_LISTEN is 'everywhere': expected/);
  await refused(['up', '-d'], { ...env, DUOLU_HOST: 'my host' }, /DUOLU_HOST is 'my host': expected a host name/);
  await refused(
    ['up', '-d'],
    { ...env, DUOLU_RTMP: env.DUOLU_RTMPS },
    /DUOLU_RTMP and DUOLU_RTMPS are both \d+: expected four different/,
  );
  await refused(['up', '-d'], { ...env, DUOLU_FLUSH: 'soon' }, /DUOLU_FLUSH is 'soon': expected/);
  await refused(
    ['up', '-d'],
    { ...env, DUOLU_REC: '/tmp/my recordings' },
    /DUOLU_REC is '\/tmp\/my recordings': it may hold no space/,
  );
  await refused(
    ['up', '-d'],
    { ...env, DUOLU_REC_DAYS: 'week' },
    /DUOLU_REC_DAYS is 'week': expected a number of days/,
  );
  await refused(
    ['up', '-d'],
    { ...env, DUOLU_REC_DAYS: '36501' },
    /DUOLU_REC_DAYS is '36501': expected a number of days up to 36500/,
  );
  await refused(['up', '-d'], { ...env, DUOLU_REC_FREE: '1gb' }, /DUOLU_REC_FREE is '1gb': expected bytes such as/);
  await refused(['up', '-d'], { ...env, DUOLU_LOG_SIZE: 'big' }, /DUOLU_LOG_SIZE is 'big': expected bytes such as/);
  await refused(['up', '-d'], { ...env, DUOLU_HSTS: 'yes' }, /DUOLU_HSTS is 'yes': expected seconds/);
  await refused(
    ['up', '-d'],
    { ...env, DUOLU_DB: 'mysql://a:b\\c@d/e' },
    /DUOLU_DB may hold no space, control character or backslash/,
  );
  await refused(
    ['up', '-d'],
    { ...env, DUOLU_REC_QUOTA: '100%' },
    /DUOLU_REC_QUOTA is '100%': expected bytes .* or a part of the disk such as 5%/,
  );
  await refused(['up', '-d'], { ...env, DUOLU_MAX_KBPS: 'all' }, /DUOLU_MAX_KBPS is 'all': expected kbit\/s/);
  const long = path.join(env.DUOLU_HOME, 'x'.repeat(120));
  await refused(['up', '-d'], { ...env, DUOLU_HOME: long }, /too long for unix sockets: .* at most 107 are allowed/);
  await refused(['up', '--now'], env, /'--now' is not an option/);
  await refused(['start'], env, /'start' is not a command/);
  assert.deepEqual(fs.readdirSync(env.DUOLU_HOME), []);

  fs.writeFileSync(path.join(env.DUOLU_HOME, 'letter.txt'), 'not a stack');
  await refused(['up', '-d'], env, /was not made by Duolu/);
  assert.deepEqual(fs.readdirSync(env.DUOLU_HOME), ['letter.txt']);
  fs.rmSync(env.DUOLU_HOME, { recursive: true });
});

test('a failed up shows the log, names its file, and leaves no process', async () => {
  const env = await stackEnv();
  env.DUOLU_DB = `mysql://duolu@localhost/duolu?socket=${newHome()}/no.sock`;
  env.DUOLU_REC = newHome();
  fs.chmodSync(env.DUOLU_REC, 0o555);
  const text = await refused(['up', '-d'], env, /tables up to date/, /failed/, /log\/migrate\.log/,
    /the services run as root|cannot write to DUOLU_REC \(\S+, of \S+, mode 555\): nothing will be recorded/);
  assert.match(text, /--- end of/);
  fs.rmdirSync(env.DUOLU_REC);
  await stopStack(env);
});

test('a relative DUOLU_HOME starts at the current folder', async () => {
  const env = await stackEnv();
  const parent = path.dirname(env.DUOLU_HOME);
  const name = path.basename(env.DUOLU_HOME);
  try {
    await buildSh(['up', '-d'], { env: { ...env, DUOLU_HOME: name }, cwd: parent });
    // recordings leave space for a database on the same disk
    assert.match(fs.readFileSync(path.join(env.DUOLU_HOME, 'conf/nginx.conf'), 'utf8'), /^dvr_free 5% 1g;/m);
  } finally {
    await stopStack(env);
  }
});

test('in a folder that other users cannot read, services run as the user who started them', async () => {
  const env = await stackEnv();
  const parent = env.DUOLU_HOME;
  fs.chmodSync(parent, 0o700);
  env.DUOLU_HOME = path.join(parent, 'run');
  try {
    await buildSh(['up', '-d'], { env });
    const running = processesOf(env.DUOLU_HOME).filter((line) => SERVICES.test(line));
    assert.ok(running.some((line) => line.includes('mariadbd')), running.join('\n'));
    for (const line of running) assert.equal(fs.statSync(`/proc/${line.split(' ')[0]}`).uid, process.getuid(), line);
    const { stdout } = await buildSh(['ctl', 'status'], { env });
    assert.match(stdout, /worker/i);
  } finally {
    await stopStack(env);
    fs.rmSync(parent, { recursive: true });
  }
});
