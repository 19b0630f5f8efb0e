// The folder that html/build.sh makes for nginx; needs neither browser nor stack.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { repo } from '../lib/nginx.mjs';

const build = fs.mkdtempSync(path.join(os.tmpdir(), 'duolu-pack-'));
const out = path.join(build, 'html');
const isFolder = (name) => /^[0-9a-f]{16}$/.test(name);

function pack() {
  return promisify(execFile)(path.join(repo, 'html/build.sh'), { env: { ...process.env, DUOLU_BUILD: build } });
}

const read = (name) => fs.readFileSync(path.join(out, name), 'utf8');
const namesIn = (html) => [...html.matchAll(/(?:href|src)="([^"]+)"/g)].map(([, name]) => name);

before(async () => {
  // what npm has installed for this tree
  fs.symlinkSync(path.join(repo, '.build/npm'), path.join(build, 'npm'));
  await Promise.all([pack(), pack()]);
});

after(() => fs.rmSync(build, { recursive: true }));

test('two builds at once make one whole folder, and index.html names what is in it', () => {
  assert.deepEqual(fs.readdirSync(build).sort(), ['html', 'html-vendor', 'npm'], 'nothing unfinished stays');
  const [folder, ...others] = fs.readdirSync(out).filter(isFolder);
  assert.deepEqual(others, []);
  const files = fs.readdirSync(path.join(out, folder), { recursive: true }).filter((name) => !name.endsWith('.gz'))
    .filter((name) => fs.statSync(path.join(out, folder, name)).isFile());
  assert.ok(files.includes('vendor/hls.js.LICENSE'));
  for (const name of files) {
    const file = path.join(out, folder, name);
    assert.deepEqual(gunzipSync(fs.readFileSync(`${file}.gz`)), fs.readFileSync(file), name);
    assert.match(name, /^(css|js|vendor)\/[\w-]+(\.[\w-]+)*$/, 'nginx serves it');
  }
  for (const name of namesIn(read('index.html'))) assert.ok(fs.existsSync(path.join(out, name)), name);
});

test('the page names each file that its first module imports, so that none waits for another', () => {
  const html = read('index.html');
  const main = namesIn(html).find((name) => name.endsWith('/js/main.js'));
  const imported = [...read(main).matchAll(/(?:from|import)"\.\/([\w-]+\.js)"/g)].map(([, name]) => name);
  const named = [...html.matchAll(/<link rel="modulepreload" href="\w+\/js\/([\w-]+\.js)">/g)].map(([, name]) => name);
  assert.ok(imported.length > 0);
  assert.deepEqual(named.sort(), imported.sort());
  assert.match(html, /<body>\n<div id="app">/, 'the rest of index.html is there');
});

test('style sheets: those above the line come first, all others when the sign-in is done', () => {
  const html = read('index.html');
  const sheets = [...html.matchAll(/<link rel="stylesheet" href="\w+\/css\/([^"]*)"([^>]*)>/g)];
  assert.deepEqual(sheets.map(([, name, rest]) => name + rest), ['first.css', 'later.css disabled']);
  const [first, later] = sheets.map(([, name]) => read(`${fs.readdirSync(out).find(isFolder)}/css/${name}`));
  assert.ok(first.includes('.login-card{') && !first.includes('.wall-grid{'));
  assert.ok(later.includes('.wall-grid{') && !later.includes('.login-card{'));
});

test('players, and the folders of four earlier builds stay for pages that are open meanwhile', async () => {
  const vendor = ['hls.js', 'lean-qr.js', 'mpegts.js'];
  assert.deepEqual(fs.readdirSync(path.join(build, 'html-vendor')).filter((name) => name.endsWith('.js')), vendor);
  const now = fs.readdirSync(out).find(isFolder);
  const earlier = [1, 2, 3, 4, 5].map((day) => {
    const name = `${day}`.repeat(16);
    fs.mkdirSync(path.join(out, name));
    fs.utimesSync(path.join(out, name), day * 86400, day * 86400);
    return name;
  });
  await pack();
  assert.deepEqual(fs.readdirSync(out).filter(isFolder).sort(), [now, ...earlier.slice(1)].sort());
});
