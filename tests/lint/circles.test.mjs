// Files of one part of the tree call one another in one direction.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { files, read, repo, withoutComments } from './sources.mjs';

/** The functions that a C file defines for others. */
function definitions(text) {
  const found = [];
  for (const match of text.matchAll(/^([\w *]*?)\b(\w+)\([^;{}]*\)\n\{/gm)) {
    const before = match[1] || text.slice(0, match.index).split('\n').at(-2);
    if (!/^static\b/.test(before)) found.push(match[2]);
  }
  return found;
}

/** Maps each C file of ROOT to the files whose functions it names, with one such function. */
function calls(root) {
  const code = (name) => withoutComments(read(name)).replace(/"(?:\\.|[^"\\\n])*"/g, '""');
  const texts = new Map(files(new RegExp(`^${root}/.*\\.c$`)).map((name) => [name, code(name)]));
  const home = new Map();
  for (const [name, text] of texts) for (const symbol of definitions(text)) home.set(symbol, name);

  const graph = new Map();
  for (const [name, text] of texts) {
    const uses = new Map();
    for (const [symbol] of text.matchAll(/\b[a-z]\w+\b/g)) {
      const other = home.get(symbol);
      if (other && other !== name) uses.set(other, symbol);
    }
    graph.set(name, uses);
  }
  return graph;
}

/** Maps each module of the page to those that it imports before it runs, as esbuild has read them. */
function imports() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'duolu-circles-'));
  const meta = path.join(folder, 'meta.json');
  try {
    execFileSync('esbuild', ['js/main.js', '--bundle', '--splitting', '--format=esm', '--external:../vendor/*',
      '--log-level=warning', `--outdir=${folder}`, `--metafile=${meta}`], { cwd: path.join(repo, 'html') });
    return new Map(Object.entries(JSON.parse(fs.readFileSync(meta, 'utf8')).inputs).map(([name, module]) => {
      const needed = module.imports.filter(({ kind }) => kind === 'import-statement');
      return [name, new Map(needed.map((other) => [other.path, 'import']))];
    }));
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

/** All files that this one uses, and those that they use. */
function reach(graph, from) {
  const seen = new Set();
  const next = [...graph.get(from).keys()];
  while (next.length) {
    const name = next.pop();
    if (seen.has(name)) continue;
    seen.add(name);
    next.push(...graph.get(name).keys());
  }
  return seen;
}

/** Files that reach themselves, with a step of the way for each. */
function circles(graph) {
  const reached = new Map([...graph.keys()].map((name) => [name, reach(graph, name)]));
  return [...graph.keys()].filter((name) => reached.get(name).has(name)).flatMap((name) =>
    [...graph.get(name)].filter(([other]) => reached.get(other).has(name))
      .map(([other, symbol]) => `${name} -> ${other} (${symbol})`));
}

for (const root of ['modules', 'auth-service']) {
  test(`no circle among the files of ${root}`, () => {
    const graph = calls(root);
    assert.ok([...graph.values()].some((uses) => uses.size > 0), 'no file calls another');
    assert.deepEqual(circles(graph), []);
  });
}

test('no circle among the modules of the page, all are used, and the sign-in has few components', () => {
  const graph = imports();
  assert.deepEqual(circles(graph), []);
  assert.deepEqual(files(/^html\/js\//).filter((name) => !graph.has(name.slice('html/'.length))), []);
  const signIn = reach(graph, 'js/main.js');
  assert.ok(signIn.has('js/views/login.js'));
  // those that say how long no answer has come
  assert.deepEqual([...signIn].filter((name) => name.startsWith('js/components/')).sort(),
    ['js/components/counting-text.js', 'js/components/waiting.js']);
});
