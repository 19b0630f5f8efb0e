// Started by root, a stack's services run as other users. What such a user plants
// in the state folder must reach nothing of root's.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { until } from '../lib/nginx.mjs';
import { buildSh, endKeeper, newHome, pidOf, processesOf, run, stackEnv, stopStack } from '../lib/stack.mjs';

const isRoot = process.getuid() === 0;

// every name by which root opened, ran or removed something, once
const NAMES = [
  '.duolu',
  '.keeper',
  'conf/settings',
  'conf/settings.new',
  'conf/nginx.conf',
  'conf/nginx.conf.new',
  'conf/mariadb.cnf.new',
  'tmp/ready',
  'secrets/admin',
  'secrets/db',
  'secrets/demo.key',
  'secrets/token.keys',
  'secrets/tls.key',
  'secrets/tls.crt',
  'secrets/tls.names',
  'secrets/revocations',
  ...[
    'auth',
    'mariadb',
    'nginx',
    'access',
    'thumb',
    'keeper',
    'migrate',
    'setup',
    'openssl',
    'nginx-test',
    'mariadb-install',
    'mariadb-user',
  ].map((name) => `log/${name}.log`),
  'log/auth.log.1',
  'pid/nginx.pid',
  'sock/gate.sock',
  'sock/x.sock',
];

function asService(script, ...args) {
  return run(
    'setpriv',
    ['--reuid', 'www-data', '--regid', 'www-data', '--init-groups', 'bash', '-c', script, 'bash', ...args],
    { check: false, cwd: '/' },
  );
}

/* What an attacker would like to reach: files and folders of root's, seen again later. */
function victims() {
  const dir = newHome();
  fs.writeFileSync(path.join(dir, 'file'), 'of root\n', { mode: 0o600 });
  fs.mkdirSync(path.join(dir, 'folder'));
  for (const name of ['a.sock', 'nginx.pid', 'ready'])
    fs.writeFileSync(path.join(dir, 'folder', name), 'of root\n', { mode: 0o600 });
  const look = () => fs.readdirSync(dir, { recursive: true }).sort().map((name) => {
    const info = fs.statSync(path.join(dir, name));
    return [
      name,
      info.uid,
      info.mode.toString(8),
      info.isFile() ? fs.readFileSync(path.join(dir, name), 'utf8') : '',
    ].join(' ');
  });
  const before = look();
  return {
    file: path.join(dir, 'file'),
    folder: path.join(dir, 'folder'),
    proof: path.join(dir, 'proof'),
    untouched() { assert.deepEqual(look(), before); },
    remove() { fs.rmSync(dir, { recursive: true }); },
  };
}

/* As the service user: a link to FILE under each name, wherever that user may make one. */
const plantLinks = (home, file) =>
  asService(
    'cd "$1" && victim=$2 && shift 2 && for name; do ln -sfn "$victim" "$name" 2>/dev/null && echo "$name"; done',
    home,
    file,
    ...NAMES,
  ).then(({ stdout }) => stdout.trim().split('\n').filter(Boolean));

/* A settings file that runs a program when it is sourced, or taken for a number. */
const settingsThatRun = (proof) =>
  `touch ${proof}\nDUOLU_HTTP=$(touch ${proof})\nDUOLU_RTMPS='x[$(touch ${proof})]'\nPATH=/tmp\n`;

async function aStack() {
  const env = await stackEnv({ workers: 1 });
  await buildSh(['up', '-d'], { env });
  return env;
}

const only = isRoot ? test : (name) => test(name, () => console.log('# only root can start services as another user'));

only('what a service plants in the state folder is neither run nor followed by root', async (t) => {
  const env = await aStack();
  const home = env.DUOLU_HOME;
  const victim = victims();
  t.after(async () => {
    await stopStack(env);
    victim.remove();
  });

  const planted = await plantLinks(home, victim.file);
  await asService(`cat >"$1/conf/settings"; mv "$1/conf" "$1/conf.x"; mv "$1/log" "$1/log.x"; rm -rf "$1/secrets"
    for dir in tmp pid sock; do ln -sfn "$2" "$1/$dir/link"; done`, home, victim.folder);
  console.log(`# planted: ${planted.join(' ')}`);
  assert.ok(planted.includes('tmp/ready'), 'the services\' own folders are theirs');
  assert.deepEqual(planted.filter((name) => !/^(tmp|pid|sock)\//.test(name)), [], 'names that root opens');
  assert.ok(fs.statSync(path.join(home, 'conf/settings')).uid === 0);

  const auth = processesOf(home).find((line) => /duolu-auth/.test(line)).split(' ')[0];
  await endKeeper(home);
  process.kill(Number(auth), 'SIGKILL');
  await until(() => !processesOf(home).some((line) => line.startsWith(`${auth} `)), 'the service to be gone');
  await buildSh(['up', '-d'], { env });
  await buildSh(['ctl', 'user', 'list'], { env });
  victim.untouched();
  await buildSh(['down'], { env });
  await plantLinks(home, victim.file);
  await buildSh(['up', '-d'], { env });
  victim.untouched();
});

only('nobody\'s process is ended for a pid that a service wrote, or for its name', async (t) => {
  const env = await aStack();
  const home = env.DUOLU_HOME;
  // another user's program that is called nginx, in that folder
  const tool = path.join(newHome(), 'nginx');
  fs.copyFileSync('/bin/sleep', tool);
  fs.chmodSync(tool, 0o755);
  const foreign = spawn(tool, ['600'], { cwd: home, uid: 65534, gid: 65534, stdio: 'ignore' });
  const ofRoot = spawn('/bin/sleep', ['600'], { cwd: '/', stdio: 'ignore' });
  t.after(() => {
    foreign.kill('SIGKILL');
    ofRoot.kill('SIGKILL');
    fs.rmSync(path.dirname(tool), { recursive: true });
  });
  await until(() => fs.readlinkSync(`/proc/${foreign.pid}/cwd`) === home, 'it to run');
  await asService(
    'for name in nginx mariadbd duolu-auth; do echo "$2" >"$1/pid/$name.pid"; done',
    home,
    String(ofRoot.pid),
  );
  await buildSh(['down'], { env });
  assert.equal(foreign.exitCode ?? foreign.signalCode, null, 'the program of another user');
  assert.equal(ofRoot.exitCode ?? ofRoot.signalCode, null, 'the pid in the service\'s file');
  assert.deepEqual(processesOf(home).filter((line) => !line.startsWith(`${foreign.pid} `)), []);
  foreign.kill('SIGKILL');
  await until(() => foreign.signalCode, 'it to end');
  await stopStack(env);
});

only(
  "a state folder of before, all of it the service's, is taken over without running or following anything in it",
  async (t) => {
    const env = await aStack();
    const home = env.DUOLU_HOME;
    const victim = victims();
    t.after(async () => {
      await stopStack(env);
      victim.remove();
    });
    const key = fs.readFileSync(path.join(home, 'secrets/demo.key'), 'utf8');
    await buildSh(['ctl', 'user', 'add', 'visitor', '--password-stdin'], { env, input: 'a-long-password-of-one\n' });
    await buildSh(['down'], { env });

    const disown = async () => {
      for (const name of ['conf', 'log', 'secrets']) {
        fs.rmSync(path.join(home, `${name}.old`), { recursive: true, force: true }); // links are left there
        fs.mkdirSync(path.join(home, name), { recursive: true });
        fs.chmodSync(path.join(home, name), 0o700);
      }
      await run('chown', ['-Rh', 'www-data:', home]);
    };
    await disown();
    await buildSh(['up', '-d'], { env });
    assert.equal(fs.readFileSync(path.join(home, 'secrets/demo.key'), 'utf8'), key);
    assert.match((await buildSh(['ctl', 'user', 'list'], { env })).stdout, /visitor/);
    for (const name of [
      '',
      '.duolu',
      'conf',
      'conf/settings',
      'conf/nginx.conf',
      'log',
      'secrets',
      'secrets/demo.key',
      'secrets/tls.key',
    ]) {
      assert.equal(fs.statSync(path.join(home, name)).uid, 0, name);
    }
    await buildSh(['down'], { env });

    // the same, when the service used its years in it
    await disown();
    const hostile = settingsThatRun(victim.proof);
    const planted = await plantLinks(home, victim.file);
    assert.deepEqual(planted, NAMES);
    fs.rmSync(path.join(home, 'conf/settings'));
    fs.rmSync(path.join(home, 'secrets/demo.key'));
    fs.writeFileSync(path.join(home, 'conf/settings'), hostile);
    fs.linkSync(victim.file, path.join(home, 'secrets/demo.key'));
    await run('chown', ['-h', 'www-data:', path.join(home, 'conf/settings')]);
    for (const args of [['ctl', 'user', 'list'], ['down'], ['up', '-d'], ['ctl', 'user', 'list'], ['down']]) {
      await buildSh(args, { env, check: false });
      victim.untouched();
    }

    // and where it put links in the place of folders
    for (const name of ['sock', 'tmp', 'pid', 'thumb', 'conf', 'log', 'secrets', 'cache']) {
      await disown();
      fs.rmSync(path.join(home, name), { recursive: true });
      await asService('ln -s "$2" "$1"', path.join(home, name), victim.folder);
      const { code, stderr } = await buildSh(['up', '-d'], { env, check: false });
      assert.equal(code, 1);
      assert.match(stderr, new RegExp(`${home}/${name} is a link: expected a folder`));
      await buildSh(['down'], { env, check: false });
      victim.untouched();
      fs.rmSync(path.join(home, name));
    }
  },
);

only('what decodes strangers\' video is a user of its own, which reads recordings and nothing else', async (t) => {
  const env = await aStack();
  const home = env.DUOLU_HOME;
  t.after(() => stopStack(env));
  const status = (pattern) => fs.readFileSync(`/proc/${pidOf(home, pattern)}/status`, 'utf8');
  const uid = (text) => text.match(/^Uid:\s+(\d+)/m)[1];
  const helper = status(/duolu-thumb/);
  for (const other of [/nginx: master/, /duolu-auth/, /mariadbd/]) assert.notEqual(uid(helper), uid(status(other)));
  assert.match(helper, /^Groups:\s*$/m);
  assert.match(helper, /^NoNewPrivs:\s+1$/m);

  const gid = helper.match(/^Gid:\s+(\d+)/m)[1];
  const asHelper = (script) =>
    run(
      'setpriv',
      ['--reuid', uid(helper), '--regid', gid, '--clear-groups', 'bash', '-c', `cd "$1"; ${script}`, 'bash', home],
      { check: false, cwd: '/' },
    );
  const { stdout } = await asHelper(
    'for name in conf/settings secrets/* secrets/{admin,db,demo.key,token.keys,tls.key} ' +
      'log/{auth,nginx,access}.log sock/* db/* cache/* tmp/*; do cat "$name"; done; ls sock db cache secrets',
  );
  assert.equal(stdout, '');
  for (const name of ['gate', 'api', 'control', 'mysql', 'rtmps']) {
    assert.equal((await asHelper(`curl -s --max-time 5 --unix-socket sock/${name}.sock http://duolu/`)).code, 7, name);
  }
  assert.equal((await asHelper('ls rec')).code, 0);
  // and nginx reaches it
  assert.equal(
    (await asService('curl -s --max-time 5 --unix-socket "$1/thumb/thumb.sock" http://duolu/', home)).code === 7,
    false,
  );
});
