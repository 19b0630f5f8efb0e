// The suite's own tools: tests/run.sh runs and counts files, the database's folder is
// prepared once, and a failing program's output is shown.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
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

/* A command's prefix by which system calls are refused to it, as in a chroot or a sandbox. */
async function without(t, calls) {
  const program = path.join(folder(t), 'without');
  await run('gcc', ['-std=gnu11', '-Wall', '-Wextra', '-Werror', '-o', program,
    path.join(repo, 'tests/tools/without.c'), '-lseccomp']);
  return [program, calls];
}

test('a C test that is skipped is told with the reason that it printed', async (t) => {
  const tree = folder(t);
  fs.mkdirSync(path.join(tree, 'tests'));
  fs.copyFileSync(path.join(repo, 'tests/run.sh'), path.join(tree, 'tests/run.sh'));
  script(path.join(tree, 'tests/fuzz/run'), 'echo "ok 1 - one"; echo "# why: no net here"; echo "not ok 2 # SKIP two"');
  fs.writeFileSync(path.join(tree, 'tests/fuzz/Makefile'), 'test:\n\t@./run\n');
  const { code, stdout } = await run(path.join(tree, 'tests/run.sh'), ['fuzz'], { check: false });
  assert.equal(code, 0, stdout);
  assert.match(stdout, /^fuzz +1 ok, 0 not ok, 1 skipped/m);
  assert.match(stdout, /^skipped: no net here \(fuzz: two\)$/m);
});

test('tests that need what this machine refuses are skipped, and say why', async (t) => {
  const { NODE_TEST_CONTEXT, ...env } = process.env;
  const there = async (calls, ...command) => {
    const [program, ...args] = await without(t, calls);
    const { stdout, stderr } = await run(program, [...args, ...command],
      { check: false, env: { ...env, NODE_TEST_CONTEXT: undefined } });
    return stdout + stderr;
  };
  const reasons = `import('${repo}/tests/lib/disks.mjs').then((disks) => {
    console.log(disks.noSmallDisk); console.log(disks.noHeldDisk()); })`;
  const { stdout: here } = await run(process.execPath, ['-e', reasons]);
  assert.match(here, /^(undefined|no disk can be mounted here: .+)\n(undefined|no process can be traced here: .+)\n$/);
  const refused = 'Operation not permitted';
  assert.match(await there('unshare,ptrace', process.execPath, '-e', reasons), new RegExp(
    `^no disk can be mounted here: .*${refused}\nno process can be traced here: .*${refused}\n$`));

  const file = (name) => [process.execPath, '--test-reporter=tap', path.join(repo, 'tests', name)];
  const skipped = async (name, why) => {
    const said = await there('unshare', ...file(name));
    assert.match(said, why);
    assert.match(said, /^# fail 0$/m);
    assert.match(said, /^# skipped 1$/m);
  };
  await skipped('nginx/grace-network.test.mjs', /^ok 1 - .* # SKIP no network of its own here: unshare: .*permitted/m);
  await skipped('e2e/docker.test.mjs', /# SKIP .*: no namespaces for its services: unshare: .*permitted/);
});
