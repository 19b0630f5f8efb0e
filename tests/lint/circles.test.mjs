// Files of one part of the tree call one another in one direction.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { files, read, withoutComments } from './sources.mjs';

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

/** Files that reach themselves, with a step of the way for each. */
function circles(graph) {
  const reach = (from) => {
    const seen = new Set();
    const next = [...graph.get(from).keys()];
    while (next.length) {
      const name = next.pop();
      if (seen.has(name)) continue;
      seen.add(name);
      next.push(...graph.get(name).keys());
    }
    return seen;
  };
  const reached = new Map([...graph.keys()].map((name) => [name, reach(name)]));
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
