// Builds docker/Dockerfile without Docker: buildah with chroot isolation, on a
// Debian 12 that debootstrap makes from this machine's own package archive.
// Everything lies in .build/image.

import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { repo } from './nginx.mjs';
import { buildSh, run } from './stack.mjs';

const dir = path.join(repo, '.build/image');
const BASE = 'localhost/duolu-base';
const IMAGE = 'localhost/duolu';
const LONG = 3_000_000;

/** The reason why an image cannot be built here, or undefined. */
export async function whyNot() {
  if (process.getuid() !== 0) return 'not root, and debootstrap needs it';
  const spaces = await run('unshare', ['--mount', '--pid', '--fork', 'true'], { check: false });
  if (spaces.code !== 0) return `no namespaces for its services: ${spaces.stderr.trim()}`;
  const installed = await buildSh(['packages', 'image'], { check: false });
  if (installed.code !== 0) return `buildah or debootstrap cannot be installed: ${installed.stderr.trim()}`;
  for (const driver of ['overlay', 'vfs']) {
    const made = await buildah(['from', 'scratch'], { driver, check: false });
    if (made.code !== 0) continue;
    const container = made.stdout.trim();
    // where / is no mount point (a bare chroot) buildah can make a layer, but not keep it
    let usable = true;
    for (const step of [['mount', container], ['copy', '-q', container, fileURLToPath(import.meta.url), '/probe'],
      ['commit', '-q', container, 'localhost/duolu-probe'], ['rmi', 'localhost/duolu-probe']]) {
      usable &&= (await buildah(step, { driver, check: false })).code === 0;
    }
    await buildah(['rm', container], { driver, check: false });
    if (usable) {
      storageDriver = driver;
      return undefined;
    }
  }
  return 'buildah can keep no image here, neither with overlay nor with vfs storage';
}

let storageDriver;

export function buildah(args, { driver = storageDriver, ...options } = {}) {
  return run('buildah', ['--root', `${dir}/storage-${driver}`, '--runroot', `${dir}/run-${driver}`,
    '--storage-driver', driver, ...args], { timeout: LONG, ...options });
}

async function archive() {
  const { stdout } = await run('apt-cache', ['policy', 'libnginx-mod-rtmp']);
  const found = stdout.match(/\s(https?:\S+) bookworm\S* /);
  if (!found) throw new Error(`apt-cache policy libnginx-mod-rtmp names no archive of bookworm:\n${stdout}`);
  return found[1];
}

/* This machine may need a proxy for its archive, and its own certificate authorities. */
async function copyNetworkSettings(root) {
  const { stdout } = await run('apt-config', ['dump', 'Acquire']);
  const kept = stdout.split('\n').filter((line) => /^Acquire::(https?::Proxy|Check-)/.test(line));
  fs.writeFileSync(path.join(root, 'etc/apt/apt.conf.d/90host'), `${kept.join('\n')}\n`);
  const authorities = '/usr/local/share/ca-certificates';
  if (fs.existsSync(authorities)) fs.cpSync(authorities, root + authorities, { recursive: true, dereference: true });
  await run('chroot', [root, 'update-ca-certificates']);
}

/* As in Debian's slim image: no documentation, and dpkg does not wait for the disk after each file. */
const SLIM = `force-unsafe-io
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
`;

async function makeBase() {
  const has = await buildah(['images', '-q', BASE], { check: false });
  if (has.code === 0 && has.stdout.trim()) return;
  const container = (await buildah(['from', 'scratch'])).stdout.trim();
  try {
    const root = (await buildah(['mount', container])).stdout.trim();
    fs.mkdirSync(path.join(root, 'etc/dpkg/dpkg.cfg.d'), { recursive: true });
    fs.writeFileSync(path.join(root, 'etc/dpkg/dpkg.cfg.d/slim'), SLIM);
    await run('debootstrap', ['--variant=minbase', '--include=ca-certificates', 'bookworm', root, await archive()], {
      timeout: LONG,
    });
    await copyNetworkSettings(root);
    await buildah(['commit', '-q', container, BASE]);
  } finally {
    await buildah(['rm', container], { check: false });
  }
}

/** Builds the image and mounts it; returns the path of its root, and a function that removes it. */
export async function buildImage() {
  await makeBase();
  // package registries may need these settings of the environment
  const passed = ['http_proxy', 'https_proxy', 'no_proxy'].filter((name) => process.env[name])
    .flatMap((name) => ['--build-arg', `${name}=${process.env[name]}`]);
  const { stdout } = await buildah([
    'bud',
    '--isolation',
    'chroot',
    '--pull-never',
    '--build-arg',
    `BASE=${BASE}`,
    ...passed,
    '--ignorefile',
    'docker/Dockerfile.dockerignore',
    '-f',
    'docker/Dockerfile',
    '-t',
    IMAGE,
    '.',
  ]);
  await buildah(['rmi', '--prune'], { check: false });     // untagged images of earlier builds
  const container = (await buildah(['from', '--pull-never', IMAGE])).stdout.trim();
  const root = (await buildah(['mount', container])).stdout.trim();
  const config = JSON.parse((await buildah(['inspect', '--type', 'image', IMAGE])).stdout).OCIv1.config;
  return { root, config, log: stdout, remove: () => buildah(['rm', container]) };
}
