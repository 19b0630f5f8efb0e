// Builds the container image from docker/Dockerfile and runs its services once.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { buildImage, whyNot } from '../lib/image.mjs';
import { pushFfmpeg, start } from '../lib/media.mjs';
import { repo, until } from '../lib/nginx.mjs';
import { newHome, processesOf, run, stackEnv, startStack } from '../lib/stack.mjs';

test('compose file and Dockerfile agree with the settings', () => {
  const compose = fs.readFileSync(path.join(repo, 'docker/compose.yaml'), 'utf8');
  const example = fs.readFileSync(path.join(repo, 'docker/.env.example'), 'utf8');
  const used = new Set([...compose.matchAll(/\$\{(\w+)/g)].map((m) => m[1]));
  const named = new Set([...example.matchAll(/^(\w+)=/gm)].map((m) => m[1]));
  assert.deepEqual([...used].sort(), [...named].sort());
  for (const service of ['mariadb', 'auth-service', 'thumb', 'nginx'])
    assert.match(compose, new RegExp(`^  ${service}:`, 'm'));
  assert.equal(compose.match(/healthcheck:/g).length, 4);
  // duolu-thumb decodes strangers' video: it may read recordings and use its socket's folder, nothing else
  const helper = compose.slice(compose.indexOf('\n  thumb:'), compose.indexOf('\n  nginx:'));
  const mounts = helper.slice(helper.indexOf('    volumes:'), helper.indexOf('    depends_on:'));
  assert.deepEqual([...mounts.matchAll(/subpath: (\w+)/g)].map((m) => m[1]), ['rec', 'thumb']);
  assert.deepEqual(
    [...mounts.matchAll(/target: (\S+)/g)].map((m) => m[1]),
    ['/var/lib/duolu/rec', '/var/lib/duolu/thumb'],
  );
  assert.match(mounts, /rec\n +read_only: true/);
  assert.doesNotMatch(mounts, /- state:|mysqld/);
  assert.match(compose.slice(compose.indexOf('\n  nginx:')), /^    volumes:\n      - state:\S+\n    \w/m);
});

/* Runs a service of the image: chroot into its root, in namespaces that end with it. */
function service(root, mounts, env, args) {
  const binds = mounts.map(([from, to]) => `mkdir -p ${root}${to} && mount --bind ${from} ${root}${to}`).join(' && ');
  const script = `${binds} && mount --rbind /dev ${root}/dev && mount -t proc proc ${root}/proc && exec chroot ` +
    `${root} "$@"`;
  return [
    'unshare',
    [
      '--mount',
      '--pid',
      '--fork',
      '--kill-child',
      'bash',
      '-ec',
      script,
      'bash',
      '/usr/bin/env',
      '-i',
      ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
      '/usr/local/bin/duolu',
      ...args,
    ],
  ];
}

/* unshare itself ignores SIGTERM: the first process of its namespace gets the signal,
 * as in a container. */
async function end(one) {
  if (one.code === undefined) {
    const { pid } = one.child;
    for (const child of fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean)) {
      process.kill(Number(child), 'SIGTERM');
    }
    if (one.child.spawnfile !== 'unshare') one.child.kill('SIGTERM');
  }
  return one.ended;
}

test('the image builds, and its auth-service and nginx serve a stream', async (t) => {
  const reason = await whyNot();
  if (reason) {
    t.skip(`the image is not built on this machine: ${reason}`);
    return;
  }
  const began = Date.now();
  const image = await buildImage();
  // end the services in reverse order
  const undo = [() => image.remove()];
  t.after(async () => {
    for (const step of undo.reverse()) await step();
  });
  console.log(`# the image was built in ${Math.round((Date.now() - began) / 1000)} s`);
  assert.deepEqual(image.config.Entrypoint, ['/usr/local/bin/duolu']);

  // it uses the database of a stack on this machine, by the unix socket
  const host = await startStack({ workers: 1 });
  undo.push(() => host.stop());
  const socket = path.join(host.home, 'mysql/mysql.sock');
  const owner = fs.statSync(path.join(host.home, 'db')).uid;
  const user = (await run('id', ['-nu', String(owner)])).stdout.trim();
  await run('setpriv', [
    '--reuid',
    user,
    '--clear-groups',
    'mariadb',
    '--no-defaults',
    `--socket=${socket}`,
    `--user=${user}`,
    '-e',
    "CREATE DATABASE image; CREATE USER image@localhost IDENTIFIED BY 'of-a-test'; GRANT ALL ON image.* TO " +
      "image@localhost",
  ]);
  fs.chmodSync(path.join(host.home, 'mysql'), 0o711);

  const ports = await stackEnv();
  fs.rmSync(ports.DUOLU_HOME, { recursive: true });
  const state = newHome();
  const settings = Object.fromEntries(
    image.config.Env.map((text) => [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)]),
  );
  Object.assign(settings, {
    DUOLU_LISTEN: '127.0.0.1',
    DUOLU_HTTP: ports.DUOLU_HTTP,
    DUOLU_HTTPS: ports.DUOLU_HTTPS,
    DUOLU_RTMP: ports.DUOLU_RTMP,
    DUOLU_RTMPS: ports.DUOLU_RTMPS,
    DUOLU_DB: 'mysql://image:of-a-test@localhost/image?socket=/run/mysqld/mysql.sock',
  });
  const mounts = [[state, '/var/lib/duolu'], [path.join(host.home, 'mysql'), '/run/mysqld']];
  const call = (...args) => service(image.root, mounts, settings, args);
  // as in compose.yaml
  const helperMounts = ['rec', 'thumb'].map((name) => [path.join(state, name), `/var/lib/duolu/${name}`]);
  const callOne = (name, ...args) =>
    name === 'thumb'
      ? service(image.root, helperMounts, { PATH: settings.PATH, DUOLU_HOME: '/var/lib/duolu' }, args)
      : call(...args);
  const running = [];
  undo.push(async () => {
    for (const one of running.reverse()) await end(one);
    await until(() => processesOf(state).length === 0, 'the services of the image to end');
    fs.rmSync(state, { recursive: true, force: true });
  });

  for (const name of ['auth', 'thumb', 'nginx']) {
    const one = start(...callOne(name, name));
    running.push(one);
    await until(async () => {
      if (one.code !== undefined) throw new Error(`${name} ended (${one.code}):\n${one.text}`);
      return (await run(...callOne(name, 'healthy', name), { check: false })).code === 0;
    }, `${name} to be healthy`, 120_000);
  }

  const key = running[0].text.match(/demo\?key=([A-Za-z0-9_-]{22})/)[1];
  const publisher = pushFfmpeg(`rtmp://127.0.0.1:${settings.DUOLU_RTMP}/live/demo?key=${key}`);
  running.push(publisher);
  await until(async () => {
    assert.equal(publisher.code, undefined, publisher.text);
    return /live\/demo.*live/.test((await run(...call('ctl', 'status'))).stdout);
  }, 'the stream to be live');
  const url = (await run(...call('ctl', 'url', 'admin', 'live/demo', 'view'))).stdout.trim();
  const { stdout } = await run('bash', [
    '-c',
    'curl -sN --noproxy "*" --max-time 30 "$1" | ffprobe -v error -show_entries stream=codec_name -of csv=p=0 -',
    'bash',
    url,
  ]);
  for (const codec of ['h264', 'aac']) assert.ok(stdout.includes(codec), stdout);
});
