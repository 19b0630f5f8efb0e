// The suite's own tools: tests/run.sh runs and counts files, the database's folder is
// prepared once, and a failing program's output is shown.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { noSmallDisk } from '../lib/disks.mjs';
import { repo } from '../lib/nginx.mjs';
import { run, runSync } from '../lib/stack.mjs';

/** An empty folder, which is removed after the test. */
function folder(t) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'duolu-suite-'));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  return dir;
}

function script(file, text) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, `#!/bin/bash\n${text}\n`, { mode: 0o755 });
}

/** Runs tests/run.sh on a tree with these files as its lint suite: {code, lines}. */
async function suite(t, files) {
  const tree = folder(t);
  fs.mkdirSync(path.join(tree, 'tests/lint'), { recursive: true });
  fs.copyFileSync(path.join(repo, 'tests/run.sh'), path.join(tree, 'tests/run.sh'));
  for (const [name, text] of Object.entries(files)) {
    fs.writeFileSync(path.join(tree, `tests/lint/${name}.test.mjs`), `import { test } from 'node:test';\n${text}`);
  }
  const { NODE_TEST_CONTEXT, ...env } = process.env;
  const { code, stdout } = await run(path.join(tree, 'tests/run.sh'), ['lint'],
    { check: false, env: { ...env, NODE_TEST_CONTEXT: undefined } });
  return { code, lines: stdout.trimEnd().split('\n') };
}

test('the suite counts what passed, failed and was skipped, and says why; a file that dies has failed', async (t) => {
  const good = await suite(t, { a: "test('one', () => {}); test('two', { skip: 'no disk here' }, () => {});" });
  assert.equal(good.code, 0, good.lines.join('\n'));
  assert.equal(good.lines.at(-1), '1 passed, 0 failed');
  assert.equal(good.lines.at(-2), 'skipped: no disk here (tests/lint/a.test.mjs: two)');
  assert.ok(good.lines.some((line) => /^lint +1 ok, 0 not ok, 1 skipped, \d+ s$/.test(line)), good.lines.join('\n'));

  const bad = await suite(t, {
    a: "test('one', () => {}); test('two', () => { throw new Error('this is why'); });", b: 'process.exit(3);',
  });
  assert.equal(bad.code, 1);
  assert.equal(bad.lines.at(-1), '1 passed, 2 failed');
  assert.ok(bad.lines.some((line) => line.includes('this is why')));
  assert.ok(bad.lines.includes('# tests/lint/b.test.mjs: failed (exit status 3)'), bad.lines.join('\n'));

  const none = await suite(t, {});
  assert.deepEqual([none.code, none.lines.at(-1)], [1, '0 passed, 1 failed']);
});

test('the folder of a database is made once for the same arguments, and copied', async (t) => {
  const dir = folder(t);
  const calls = path.join(dir, 'calls');
  script(path.join(dir, 'bin/mariadb-install-db'),
    `echo "$@" >>${calls}; for word; do case $word in --datadir=*) echo new >"\${word#*=}/system" ;; esac; done`);
  fs.mkdirSync(path.join(dir, 'prepared'));
  const tools = path.join(repo, 'tests/tools/bin');
  const install = (name, options, prepared = path.join(dir, 'prepared')) => {
    fs.mkdirSync(path.join(dir, name), { recursive: true });
    return run('mariadb-install-db', [...options, `--datadir=${path.join(dir, name)}`, `--tmpdir=${dir}`],
      { env: { PATH: `${tools}:${path.join(dir, 'bin')}:${process.env.PATH}`, DUOLU_PREPARED: prepared } });
  };
  const made = () => fs.readFileSync(calls, 'utf8').trim().split('\n').length;
  await Promise.all([install('one', ['--a']), install('two', ['--a'])]);
  assert.equal(made(), 1, 'two at once: one makes it, one waits and copies');
  for (const name of ['one', 'two']) assert.equal(fs.readFileSync(path.join(dir, name, 'system'), 'utf8'), 'new\n');
  await install('three', ['--b']);
  assert.equal(made(), 2, 'other arguments, another folder');
  await install('four', ['--a'], '');
  assert.equal(made(), 3, 'nothing is prepared: it is really made');
});

test('a program that fails in a hook is told with all that it said', () => {
  assert.throws(() => runSync('sh', ['-c', 'echo out of space; echo giving up >&2; exit 4']),
    /exit status 4\nout of space\ngiving up\n/);
  assert.throws(() => runSync('no-such-program', []), /no-such-program.*ENOENT/);
  assert.equal(runSync('echo', ['well']), 'well\n');
});

test('a machine that mounts nothing is a reason to skip, in words', () => {
  assert.ok(noSmallDisk === undefined || /^no disk can be mounted here: \S/.test(noSmallDisk), noSmallDisk);
});
