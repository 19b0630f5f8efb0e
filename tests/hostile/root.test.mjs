// Started by root, a stack's services run as other users. Links, pipes and files that such
// a user plants in the state folder must not reach root's files.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { pushFfmpeg } from '../lib/media.mjs';
import { until } from '../lib/nginx.mjs';
import {
  buildSh,
  endKeeper,
  foreground,
  newHome,
  pidOf,
  processesOf,
  run,
  stackEnv,
  stopStack,
} from '../lib/stack.mjs';

const isRoot = process.getuid() === 0;

// all names by which root opens, runs or removes files, or once did
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
  'sock/control.sock',
  'sock/x.sock',
  'auth/gate.sock',
  'auth/x.sock',
  'mysql/mysql.sock',
  'db/mysql/x.frm',
];

function asService(script, ...args) {
  return run(
    'setpriv',
    ['--reuid', 'www-data', '--regid', 'www-data', '--init-groups', 'bash', '-c', script, 'bash', ...args],
    { check: false, cwd: '/' },
  );
}

/* Files and folders of root that an attacker would like to reach; untouched() compares them. */
function victims() {
  const dir = newHome();
  fs.writeFileSync(path.join(dir, 'file'), 'of root\n', { mode: 0o600 });
  fs.mkdirSync(path.join(dir, 'folder'));
  for (const name of ['a.sock', 'nginx.pid', 'ready'])
    fs.writeFileSync(path.join(dir, 'folder', name), 'of root\n', { mode: 0o600 });
  const snapshot = () => fs.readdirSync(dir, { recursive: true }).sort().map((name) => {
    const info = fs.statSync(path.join(dir, name));
    return [
      name,
      info.uid,
      info.mode.toString(8),
      info.isFile() ? fs.readFileSync(path.join(dir, name), 'utf8') : '',
    ].join(' ');
  });
  const before = snapshot();
  return {
    file: path.join(dir, 'file'),
    folder: path.join(dir, 'folder'),
    proof: path.join(dir, 'proof'),
    untouched() { assert.deepEqual(snapshot(), before); },
    remove() { fs.rmSync(dir, { recursive: true }); },
  };
}

/* As the service's user, makes a link to FILE under each name, if that user may make one. */
const plantLinks = (home, file) =>
  asService(
    'cd "$1" && victim=$2 && shift 2 && for name; do ln -sfn "$victim" "$name" 2>/dev/null && echo "$name"; done',
    home,
    file,
    ...NAMES,
  ).then(({ stdout }) => stdout.trim().split('\n').filter(Boolean));

/* A settings file that runs a program if a shell sources it or evaluates it as a number. */
const settingsThatRun = (proof) =>
  `touch ${proof}\nDUOLU_HTTP=$(touch ${proof})\nDUOLU_RTMPS='x[$(touch ${proof})]'\nPATH=/tmp\n`;

async function aStack() {
  const env = await stackEnv({ workers: 1 });
  await buildSh(['up', '-d'], { env });
  return env;
}

const notRoot = isRoot ? undefined : 'only root can start services as another user';
const only = (name, body) => test(name, { skip: notRoot }, body);

only('root neither runs nor follows files that a service plants in the state folder', async (t) => {
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
  assert.ok(planted.includes('tmp/ready'), 'a service may write to its own folders');
  assert.deepEqual(planted.filter((name) => !/^(tmp|pid|sock)\//.test(name)), [], 'names that root opens');
  assert.ok(fs.statSync(path.join(home, 'conf/settings')).uid === 0);

  const auth = processesOf(home).find((line) => /duolu-auth/.test(line)).split(' ')[0];
  await endKeeper(home);
  process.kill(Number(auth), 'SIGKILL');
  await until(() => !processesOf(home).some((line) => line.startsWith(`${auth} `)), 'the service to end');
  await buildSh(['up', '-d'], { env });
  await buildSh(['ctl', 'user', 'list'], { env });
  victim.untouched();
  await buildSh(['down'], { env });
  await plantLinks(home, victim.file);
  await buildSh(['up', '-d'], { env });
  victim.untouched();
});

only('root ends no other process for a PID that a service wrote, or for its name', async (t) => {
  const env = await aStack();
  const home = env.DUOLU_HOME;
  // another user's program named nginx, in that folder
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
  "root takes over an older state folder, which the service owned, and runs or follows nothing in it",
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
        fs.rmSync(path.join(home, `${name}.old`), { recursive: true, force: true }); // take_over left links there
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

    // again, after the service has planted links in it
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

    // and after it has replaced folders by links
    for (const name of ['sock', 'tmp', 'pid', 'thumb', 'auth', 'mysql', 'conf', 'log', 'secrets', 'cache']) {
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

only('duolu-thumb runs as a user of its own, which can read recordings and nothing else', async (t) => {
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
      'log/{auth,nginx,access}.log sock/* db/* cache/* tmp/*; do cat "$name"; done; ls auth mysql sock db cache ' +
        'secrets',
  );
  assert.equal(stdout, '');
  assert.equal((await asHelper('ls rec')).code, 0);
});

only('what an interrupted attempt left of a database is deleted by its own user, never by root', async (t) => {
  const env = await aStack();
  const home = env.DUOLU_HOME;
  const victim = victims();
  t.after(async () => {
    await stopStack(env);
    victim.remove();
  });
  await buildSh(['down'], { env });
  const left = path.join(home, 'db.new');
  const ofRoot = path.join(left, 'mysql/of-root');
  const owner = fs.statSync(path.join(home, 'db')).uid;
  fs.rmSync(path.join(home, 'db'), { recursive: true });
  fs.mkdirSync(path.join(left, 'mysql'), { recursive: true });
  fs.writeFileSync(path.join(left, 'ibdata1'), 'half of it');
  fs.symlinkSync(victim.folder, path.join(left, 'link'));
  await run('chown', ['-Rh', String(owner), left]);
  fs.mkdirSync(ofRoot);
  fs.writeFileSync(path.join(ofRoot, 'file'), 'not of the database');

  const { code, stderr } = await buildSh(['up', '-d'], { env, check: false });
  assert.equal(code, 1);
  assert.match(stderr, /db\.new holds files that \S+, as whom MariaDB runs, cannot delete: remove \S+\/db\.new/);
  assert.equal(fs.readFileSync(path.join(ofRoot, 'file'), 'utf8'), 'not of the database');
  fs.rmSync(ofRoot, { recursive: true });
  await buildSh(['up', '-d'], { env });
  assert.equal(fs.existsSync(left), false);
  victim.untouched();
});

const PROGRAMS = { nginx: /nginx: master/, auth: /duolu-auth/, db: /mariadbd/, thumb: /duolu-thumb/ };

/* The services that may do each thing; `in` means to add and replace names in that folder. */
const ALLOWED = {
  'connect auth/gate.sock': 'nginx auth',
  'connect auth/api.sock': 'nginx auth',
  'connect sock/control.sock': 'nginx auth',
  'connect tmp/rtmps.sock': 'nginx',
  'connect mysql/mysql.sock': 'auth db',
  'connect thumb/thumb.sock': 'nginx thumb',
  'in auth': 'auth',
  'in cache': 'nginx',
  'in conf': '',
  'in db': 'db',
  'in log': '',
  'in mysql': 'db',
  'in pid': 'nginx',
  'in rec/live/cam': 'nginx auth',
  'in rec/.spool': 'nginx auth',
  'in secrets': '',
  'in sock': 'nginx',
  'in thumb': 'thumb',
  'in tmp': 'nginx',
  'read conf/settings': '',
  'read db/ibdata1': 'db',
  'read log/access.log': 'nginx',
  'read log/auth.log': 'auth',
  'read log/mariadb.log': 'db',
  'read log/nginx.log': 'nginx',
  'read log/thumb.log': 'thumb',
  'read mysql/mariadbd.pid': 'db',
  'read rec/live/cam/FILE': 'nginx auth thumb',
  'read secrets/admin': '',
  'read secrets/db': '',
  'read secrets/demo.key': '',
  'read revoked/revocations': 'nginx',
  'read secrets/tls.key': 'nginx',
  'read secrets/token.keys': 'nginx auth',
  'write rec/live/cam/FILE': 'nginx',
  'write revoked/revocations': 'nginx',
  'write secrets/tls.key': '',
  'write secrets/token.keys': '',
  'environment nginx': 'nginx',
  'environment auth': 'auth',
  'environment db': 'db',
  'environment thumb': 'thumb',
};

/* The user and groups of a running process. */
function identityOf(pid) {
  const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  const [uid] = status.match(/(?<=^Uid:\s+)\d+/m);
  const [gid] = status.match(/(?<=^Gid:\s+)\d+/m);
  const groups = status.match(/^Groups:(.*)$/m)[1].trim().split(' ').filter(Boolean);
  return {
    uid,
    options: ['--reuid', uid, '--regid', gid, ...(groups.length ? ['--groups', groups.join(',')] : ['--clear-groups'])],
  };
}

/* The lines of ALLOWED that a user can really do. */
const TRY = `cd "$1" || exit; while read -r verb name; do
  case "$verb" in
    connect) curl -s -o /dev/null --max-time 5 --unix-socket "$name" http://duolu/; [ $? -ne 7 ] ;;
    in) (: >"$name/planted" && mv "$name/planted" "$name/planted.x" && rm "$name/planted.x") ;;
    read) head -c 1 "$name" >/dev/null ;;
    write) (: >>"$name") ;;
    environment) head -c 1 "/proc/$name/environ" | grep -qa . ;;
  esac 2>/dev/null && echo "$verb $name"
done; true`;

const recOf = (env) => env.DUOLU_REC || path.join(env.DUOLU_HOME, 'rec');

async function record(env, name) {
  await buildSh(['ctl', 'stream', 'add', `live/${name}`, '--owner', 'admin'], { env });
  await buildSh(['ctl', 'stream', 'set', `live/${name}`, 'record=always'], { env });
  const { stdout } = await buildSh(['ctl', 'stream', 'key', 'rotate', `live/${name}`], { env });
  const publisher = pushFfmpeg(`rtmp://127.0.0.1:${env.DUOLU_RTMP}/live/${name}?key=${stdout.match(/^key (\S+)/m)[1]}`);
  const rows = () => recorded(env, name);
  await until(async () => (await rows())[0]?.state === 'recording', 'a recording');
  await until(() => fs.statSync(path.join(recOf(env), `live/${name}`)).isDirectory(), 'its folder');
  return { publisher, rows };
}

const recorded = async (env, name) =>
  JSON.parse((await buildSh(['ctl', 'rec', 'list', `live/${name}`, '--json'], { env })).stdout).recordings;

async function finished(env, name) {
  const { publisher, rows } = await record(env, name);
  const url = (await buildSh(['ctl', 'url', 'admin', `live/${name}`, 'view'], { env })).stdout.trim();
  const seen = await run('bash', ['-c', 'curl -skN --max-time 30 "$1" | head -c 20000 | wc -c', 'bash', url]);
  assert.equal(seen.stdout.trim(), '20000', 'a viewer');
  await publisher.stop();
  await buildSh(['ctl', 'stream', 'set', `live/${name}`, 'record=never'], { env });
  await until(async () => (await rows())[0].state === 'complete', 'its end', 30_000);
  return (await rows())[0].file;
}

/* With duoluctl, which runs as the auth-service's user. */
async function prune(env, file) {
  await buildSh(['ctl', 'user', 'set', 'admin', 'rec_quota=1k'], { env });
  await buildSh(['ctl', 'rec', 'prune'], { env });
  assert.equal(fs.existsSync(path.join(recOf(env), file)), false, file);
}

only('each service reaches its own files and those shared with it, and no others', async (t) => {
  const env = await stackEnv({ workers: 1 });
  const home = env.DUOLU_HOME;
  const up = foreground(env);
  t.after(async () => {
    up.child.kill('SIGINT');
    await up.ended;
    await stopStack(env, { allow: /open socket #\d+ left in connection|aborting|unlink\(\) \S*nginx\.pid/ });
  });
  await up.ready();
  const file = await finished(env, 'cam');
  const pids = () =>
    Object.fromEntries(Object.entries(PROGRAMS).map(([name, pattern]) => [name, pidOf(home, pattern)]));

  await t.test('each user can do exactly the allowed things', async () => {
    const running = pids();
    const identities = Object.fromEntries(Object.entries(running).map(([name, pid]) => [name, identityOf(pid)]));
    assert.equal(new Set(Object.values(identities).map(({ uid }) => uid)).size, 4, 'a user for each');
    const lines = Object.keys(ALLOWED).map((line) =>
      line
        .replace('live/cam/FILE', file)
        .replace(/^(environment) (\w+)$/, (all, verb, name) => `${verb} ${running[name]}`),
    );
    for (const name of Object.keys(PROGRAMS)) {
      const { stdout } = await run('setpriv', [...identities[name].options, 'bash', '-c', TRY, 'bash', home], {
        input: `${lines.join('\n')}\n`,
        cwd: '/',
      });
      const could = stdout.split('\n');
      assert.deepEqual(Object.keys(ALLOWED).filter((_, n) => could.includes(lines[n])),
        Object.keys(ALLOWED).filter((line) => ALLOWED[line].split(' ').includes(name)), name);
    }
  });

  await t.test('a recording plays, has a picture, and the auth-service can delete it', async () => {
    const replay = (await buildSh(['ctl', 'url', 'admin', 'live/cam', 'replay'], { env })).stdout.trim()
      .replace(/^http:[^/]*\/\/[^/]+/, `https://127.0.0.1:${env.DUOLU_HTTPS}`);
    const index = (await run('curl', ['-sk', '--max-time', '30', replay])).stdout;
    const at = Date.parse(index.match(/PROGRAM-DATE-TIME:(.*)/)[1]);
    const { stdout } = await run('curl', [
      '-sk',
      '--max-time',
      '30',
      '-o',
      '/dev/null',
      '-w',
      '%{http_code} %{content_type}',
      replay.replace(/index\.m3u8.*/, `thumb.jpg?at=${at}`),
    ]);
    assert.equal(stdout, '200 image/jpeg');
    await prune(env, file);
    assert.deepEqual(await recorded(env, 'cam'), []);
  });

  await t.test('nginx gets a revocation, and killed services come back as the same users', async () => {
    const { stderr } = await buildSh(['ctl', 'stream', 'revoke', 'live/cam'], { env });
    assert.doesNotMatch(stderr, /warning/);
    assert.ok(fs.statSync(path.join(home, 'revoked/revocations')).size > 0);
    const before = pids();
    const uids = (of) => Object.values(of).map((pid) => identityOf(pid).uid);
    const were = uids(before);
    for (const name of ['thumb', 'auth', 'db']) process.kill(before[name], 'SIGKILL');
    await until(
      () =>
        Object.values(pids()).every(Boolean) && ['thumb', 'auth', 'db'].every((name) => pids()[name] !== before[name]),
      'the next ones',
      60_000,
    );
    await until(
      async () =>
        (
          await run('curl', [
            '-sk',
            '-o',
            '/dev/null',
            '-w',
            '%{http_code}',
            `https://127.0.0.1:${env.DUOLU_HTTPS}/api/me`,
          ])
        ).stdout === '401',
      'the service',
      60_000,
    );
    await until(
      async () => (await buildSh(['ctl', 'user', 'list'], { env, check: false })).code === 0,
      'the database',
      60_000,
    );
    assert.deepEqual(uids(pids()), were);
  });
});

only('if recordings cannot be shared, the auth-service runs as nginx\'s user and deletes them', async (t) => {
  const env = await stackEnv({ workers: 1, env: { DUOLU_REC: newHome() } });
  const home = env.DUOLU_HOME;
  t.after(async () => {
    await stopStack(env);
    fs.rmSync(env.DUOLU_REC, { recursive: true });
  });
  // an operator's own folder, for the group www-data
  await run('chown', ['root:www-data', env.DUOLU_REC]);
  fs.chmodSync(env.DUOLU_REC, 0o770);
  const { stderr } = await buildSh(['up', '-d'], { env });
  assert.match(stderr, /warning: duolu-auth cannot be let into DUOLU_REC .*the auth-service runs as www-data/);
  const uid = (name) => identityOf(pidOf(home, PROGRAMS[name])).uid;
  assert.equal(uid('auth'), uid('nginx'));
  assert.notEqual(uid('db'), uid('nginx'));
  await prune(env, await finished(env, 'cam'));
  // once nginx owns them, the next start shares them
  await buildSh(['down'], { env });
  await run('chown', ['www-data:', env.DUOLU_REC]);
  assert.doesNotMatch((await buildSh(['up', '-d'], { env })).stderr, /warning/);
  assert.notEqual(uid('auth'), uid('nginx'));
  await prune(env, await finished(env, 'cam2'));
});

only('an older stack, whose files nginx\'s user owned, goes on with a user for each service', async (t) => {
  const env = await aStack();
  const home = env.DUOLU_HOME;
  t.after(() => stopStack(env));
  await buildSh(['ctl', 'user', 'add', 'visitor', '--password-stdin'], { env, input: 'a-long-password-of-one\n' });
  const file = await finished(env, 'old');
  const sql = async (text) =>
    (
      await run(
        'setpriv',
        [
          ...identityOf(pidOf(home, /mariadbd/)).options,
          'mariadb',
          '--no-defaults',
          '-N',
          `--socket=${home}/mysql/mysql.sock`,
          '--user=duolu-db',
        ],
        { input: text, cwd: '/' },
      )
    ).stdout.trim();
  await sql(`CREATE OR REPLACE USER 'www-data'@localhost IDENTIFIED VIA unix_socket;
    GRANT ALL ON *.* TO 'www-data'@localhost WITH GRANT OPTION; DROP USER 'duolu-db'@localhost;`);
  await buildSh(['down'], { env });
  for (const name of ['auth', 'mysql']) fs.rmSync(path.join(home, name), { recursive: true });
  await run('setfacl', ['-R', '-b', '-k', path.join(home, 'rec')]);
  await run('chmod', ['-R', 'g=rX,o=', path.join(home, 'rec')]);
  for (const name of ['cache', 'db', 'pid', 'rec', 'sock', 'tmp'])
    await run('chown', ['-Rh', 'www-data:www-data', path.join(home, name)]);
  fs.writeFileSync(path.join(home, 'log/auth.log.1'), 'of before\n', { mode: 0o600 });
  for (const name of ['auth.log', 'mariadb.log', 'auth.log.1'])
    await run('chown', ['www-data:www-data', path.join(home, 'log', name)]);

  const early = await buildSh(['ctl', 'user', 'list'], { env, check: false });
  assert.match(early.stderr, /an older release started what runs in .*: \.\/build\.sh down, then up/);
  const { stderr } = await buildSh(['up', '-d'], { env });
  assert.doesNotMatch(stderr, /warning/);
  assert.match((await buildSh(['ctl', 'user', 'list'], { env })).stdout, /visitor/);
  assert.equal((await recorded(env, 'old'))[0].file, file);
  assert.equal(
    await sql("SELECT GROUP_CONCAT(user ORDER BY user) FROM mysql.user WHERE user IN ('www-data', 'duolu-db')"),
    'duolu-db',
  );
  const owners = Object.fromEntries(
    ['db', 'db/ibdata1', 'log/auth.log', 'log/auth.log.1', 'rec', `rec/${file}`].map((name) => [
      name,
      fs.statSync(path.join(home, name)).uid,
    ]),
  );
  const uid = (name) => Number(identityOf(pidOf(home, PROGRAMS[name])).uid);
  assert.deepEqual(owners, {
    db: uid('db'),
    'db/ibdata1': uid('db'),
    'log/auth.log': uid('auth'),
    'log/auth.log.1': uid('auth'),
    rec: uid('nginx'),
    [`rec/${file}`]: uid('nginx'),
  });
  // the older recording can be deleted, too
  await buildSh(['ctl', 'reindex'], { env });
  await prune(env, file);
});
