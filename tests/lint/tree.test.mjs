// Rules that hold for the whole tree.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { files, includes, read, repo, withoutComments, wrongIncludes } from './sources.mjs';

const TOP = [
  '.ci',
  '.editorconfig',
  '.gitignore',
  'README.md',
  'auth-service',
  'build.sh',
  'conf',
  'docker',
  'html',
  'modules',
  'sql',
  'tests',
];
const code = files(/\.(c|h|mjs|js|sh|css|html|sql|in|conf)$/).filter((name) => !name.startsWith('tests/lint/'));

test('the top level is the agreed one', () => {
  assert.deepEqual(
    [...new Set(files(/./).map((name) => name.split('/')[0]))].filter((name) => !TOP.includes(name)),
    [],
  );
});

test('SQL stands in auth-service/store/ alone', () => {
  // statements, not words: a verb together with the word that must follow it
  const statement =
    /"[^"]*\b(SELECT\s+[\w*`(.]+|INSERT\s+(IGNORE\s+)?INTO|REPLACE\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM)\b/;
  const wrong = files(/^(auth-service|modules)\/.*\.[ch]$/)
    .filter((name) => !/^auth-service\/store\//.test(name))
    .filter((name) => statement.test(withoutComments(read(name))));
  assert.deepEqual(wrong, []);
});

// what each folder of the service may use beside itself; a folder uses those above it alone
const SERVICE = {
  base: [],
  limits: ['base'],
  store: ['base'],
  hooks: ['base', 'store'],
  rights: ['base', 'store'],
  rec: ['base', 'store', 'hooks'],
  api: ['base', 'limits', 'store', 'hooks', 'rights', 'rec'],
  ctl: ['base', 'store', 'hooks', 'rights', 'rec'],
  thumb: ['base', 'limits'],
  service: ['base', 'limits', 'store', 'hooks', 'rights', 'rec', 'api'],
};

test('includes point one way through the folders of the auth-service', () => {
  const folders = Object.keys(SERVICE);
  folders.forEach((folder, i) => assert.ok(SERVICE[folder].every((used) => folders.indexOf(used) < i), folder));
  assert.deepEqual(wrongIncludes('auth-service', SERVICE), []);
});

test('of modules/ the auth-service takes the shared rules alone', () => {
  const wrong = files(/^auth-service\/.*\.[ch]$/).flatMap((name) => includes(name)
    .filter((header) => header.includes('modules') && !header.startsWith('../../modules/rules/'))
    .map((header) => `${name} includes ${header}`));
  assert.deepEqual(wrong, []);
});

test('lock files record no download address', () => {
  const locks = files(/(^|\/)package-lock\.json$/);
  assert.ok(locks.length > 0, 'no package-lock.json in the repo');
  assert.deepEqual(locks.filter((name) => /"resolved"/.test(read(name))), []);
});

test('no note to do something later', () => {
  const wrong = code.filter((name) => /\b(TODO|FIXME|XXX|HACK)\b/.test(read(name)));
  assert.deepEqual(wrong, []);
});

test('a file stays below 900 lines, or says at its top why it is "one file because"', () => {
  const wrong = files(/\.(c|h|mjs|js|sh|css|md)$/)
    .map((name) => [name, read(name).split('\n').length])
    .filter(([name, lines]) => lines > 900 && !/one file because/i.test(read(name).slice(0, 2000)));
  assert.deepEqual(wrong, []);
});

test('lines of C and JavaScript have at most the width that .editorconfig names', () => {
  const widthOf = (section) => {
    const rules = read('.editorconfig').split(/^\[/m).find((part) => part.startsWith(`${section}]`));
    return Number(rules.match(/max_line_length = (\d+)/)[1]);
  };
  const widths = [[/\.[ch]$/, widthOf('*.{c,h}')], [/\.(mjs|js)$/, widthOf('*.{js,mjs}')]];

  const wrong = widths.flatMap(([pattern, width]) => files(pattern).flatMap((name) => read(name).split('\n')
    .map((line, i) => [`${name}:${i + 1}`, [...line].length]).filter(([, columns]) => columns > width)
    .map(([place, columns]) => `${place} has ${columns} columns, ${width} at most`)));
  assert.deepEqual(wrong, []);
});

test('the README stays short', () => {
  assert.ok(read('README.md').split('\n').length < 200);
});

test('every table of sql/ has a primary key', () => {
  const tables = files(/^sql\/.*\.sql$/).flatMap((name) =>
    [...read(name).matchAll(/CREATE TABLE\s+(?:IF NOT EXISTS\s+)?`?(\w+)`?([^;]*);/gi)]
      .map((m) => ({ name: m[1], file: name, keyed: /PRIMARY KEY/i.test(m[2]) })));
  assert.ok(tables.length > 0, 'no CREATE TABLE in sql/');
  assert.deepEqual(tables.filter((table) => !table.keyed).map((table) => `${table.file}: ${table.name}`), []);
});

test('shell and JavaScript parse', () => {
  for (const name of files(/\.sh$/).concat('.ci/run', files(/^tests\/tools\/bin\//))) {
    const result = spawnSync('bash', ['-n', path.join(repo, name)], { encoding: 'utf8' });
    assert.equal(result.status, 0, `${name}:\n${result.stderr}`);
  }
  // one process for all: a module that is not linked was parsed, no more
  const parse = `
    const { SourceTextModule } = require('node:vm');
    for (const [name, source] of JSON.parse(require('node:fs').readFileSync(0))) {
      try { new SourceTextModule(source, { identifier: name }); }
      catch (error) { console.log(error.stack); process.exitCode = 1; }
    }`;
  const sources = files(/\.(mjs|js)$/).map((name) => [name, read(name)]);
  const result = spawnSync(process.execPath, ['--experimental-vm-modules', '--no-warnings', '-e', parse],
    { encoding: 'utf8', input: JSON.stringify(sources) });
  assert.equal(result.status, 0, `${result.stdout}${result.stderr}`);
});

test('scripts that are run are executable', () => {
  const scripts = ['build.sh', 'tests/run.sh', 'modules/build.sh', 'html/build.sh', '.ci/run'];
  for (const name of scripts.concat(files(/^tests\/tools\/bin\//))) {
    assert.ok(fs.statSync(path.join(repo, name)).mode & 0o100, `${name} is not executable`);
  }
});
