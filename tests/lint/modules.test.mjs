// Rules for the tree of the nginx modules: layers, names, directives and exports.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { files, includes, read, repo, withoutComments, wrongIncludes } from './sources.mjs';

// rules <- media <- hub <- {ingest <- rtmp, http, dvr}, and the gate knows none of
// them; feature folders never include one another
const MAY_INCLUDE = {
  rules: [],
  media: ['rules'],
  gate: [],
  hub: ['media', 'rules'],
  ingest: ['media', 'rules', 'hub', 'gate'],
  rtmp: ['media', 'rules', 'hub', 'gate', 'ingest'],
  http: ['media', 'rules', 'hub'],
  dvr: ['media', 'rules', 'hub'],
};
const PLAIN = ['media', 'rules'];     // C without nginx

const sources = files(/^modules\/[^/]+\/[^/]+\.[ch]$/);
const layerOf = (name) => name.split('/')[1];

test('includes point one way through the layers', () => {
  assert.deepEqual(wrongIncludes('modules', MAY_INCLUDE), []);
});

test('media and rules include nothing of nginx', () => {
  const plain = sources.filter((source) => PLAIN.includes(layerOf(source)));
  assert.deepEqual(plain.flatMap((name) => includes(name).filter((header) => /^ngx_/.test(header))
    .map((header) => `${name} includes nginx's ${header}`)), []);
});

test('media and rules take no memory, read no clock and write no log', () => {
  const wrong = [];
  for (const name of sources.filter((source) => PLAIN.includes(layerOf(source)))) {
    for (const call of withoutComments(read(name)).matchAll(
      /\b(malloc|calloc|realloc|free|time|gettimeofday|clock_gettime|printf|fprintf|syslog)\s*\(/g,
    )) {
      wrong.push(`${name} calls ${call[1]}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('the headers of media and rules compile alone', () => {
  const headers = files(/^modules\/(media|rules)\/[^/]+\.h$/);
  assert.ok(headers.length > 0, 'no header in modules/media and modules/rules');
  for (const name of headers) {
    const result = spawnSync('gcc', ['-std=gnu11', '-Wall', '-Wextra', '-Werror', '-fsyntax-only', '-x', 'c', '-'],
      { cwd: repo, input: `#include "${path.join(repo, name)}"\n`, encoding: 'utf8' });
    assert.equal(result.status, 0, `${name}:\n${result.stderr}`);
  }
});

test('every source is compiled: modules/config names it', () => {
  const config = read('modules/config');
  const named = new Set([...config.matchAll(/\$ngx_addon_dir\/([\w/]+\.c)\b/g)].map((m) => m[1]));
  const present = new Set(sources.filter((name) => name.endsWith('.c')).map((name) => name.replace('modules/', '')));
  assert.deepEqual([...present].filter((name) => !named.has(name)), [], 'left out of modules/config');
  assert.deepEqual([...named].filter((name) => !present.has(name)), [], 'in modules/config, but no such file');
});

test('gate and ingest know no protocol', () => {
  const wrong = sources.filter((name) => ['gate', 'ingest'].includes(layerOf(name)))
    .filter((name) => /\bngx_(rtmp|http)_/i.test(withoutComments(read(name))));
  assert.deepEqual(wrong, []);
});

/* In a backtrace `step` or `push` could be anything. */
test('the name of a function has a noun', () => {
  const verbs = ['add', 'append', 'check', 'close', 'decode', 'descend', 'expect', 'fill', 'find', 'get',
    'give', 'hash', 'join', 'joins', 'look', 'make', 'must', 'open', 'parse', 'place', 'push', 'put', 'read',
    'recover', 'run', 'send', 'set', 'skip', 'split', 'start', 'step', 'stop', 'take', 'update', 'write'];
  const bare = new RegExp(`^(${verbs.join('|')})\\(`);
  const wrong = sources.filter((name) => name.endsWith('.c')).flatMap((name) =>
    withoutComments(read(name)).split('\n').filter((line) => bare.test(line)).map((line) => `${name}: ${line}`));
  assert.deepEqual(wrong, []);
});

test('basenames are unique: objects of an addon collide by them', () => {
  const seen = new Map();
  for (const name of sources) {
    const base = path.basename(name);
    assert.ok(!seen.has(base), `${name} and ${seen.get(base)} have one name`);
    seen.set(base, name);
  }
});

/* A directive stands in an ngx_command_t table, as { ngx_string("name"), on the
 * first line of its entry. */
function directivesInCode() {
  const found = new Map();
  for (const name of sources.filter((source) => source.endsWith('.c'))) {
    const text = withoutComments(read(name));
    for (const table of text.matchAll(/ngx_command_t\s+\w+\s*\[\s*\]\s*=\s*\{([\s\S]*?)ngx_null_command/g)) {
      for (const entry of table[1].matchAll(/\{\s*ngx_string\("([a-z0-9_]+)"\)/g)) {
        found.set(entry[1], name);
      }
    }
  }
  return found;
}

/* As on nginx.org: Syntax, Default and Context, in any markup around the words. */
function directivesInDocs() {
  const found = new Map();
  for (const name of files(/^modules\/.*\.md$/)) {
    for (const entry of read(name).split(/(?=\bSyntax\b)/).slice(1)) {
      const directive = entry.match(/^Syntax[\s|*`:]*([a-z][a-z0-9_]*)/);
      assert.ok(directive, `${name}: no directive after ${entry.slice(0, 40)}`);
      for (const line of ['Default', 'Context']) {
        assert.match(entry, new RegExp(`\\b${line}\\b`), `${name}: ${directive[1]} has no ${line}`);
      }
      found.set(directive[1], name);
    }
  }
  return found;
}

test('each directive is documented, each documented directive exists', () => {
  const code = directivesInCode();
  const docs = directivesInDocs();
  assert.ok(code.size > 0, 'no ngx_command_t table found');
  assert.deepEqual([...code].filter(([name]) => !docs.has(name)).map(([name, file]) => `${name} (${file})`), [],
    'no Syntax line in modules/*.md');
  assert.deepEqual([...docs].filter(([name]) => !code.has(name)).map(([name, file]) => `${name} (${file})`), [],
    'documented, but in no ngx_command_t table');
});

test('a directive of conf/nginx.conf.in is nginx\'s, the wire layer\'s or documented here', () => {
  const docs = directivesInDocs();
  const ours = [
    ...read('conf/nginx.conf.in').matchAll(/^\s*((?:hub|gate|guard|ingest|access_token|rtmp_guard)\w*)\s/gm),
  ].map((m) => m[1]);
  assert.ok(ours.length > 0, 'conf/nginx.conf.in uses none of our directives');
  assert.deepEqual(ours.filter((name) => !docs.has(name)), []);
});

/* A sender that is faster than we are would keep a worker for itself. */
const BOUNDED_OTHERWISE = {
  gate_read: 'the answer of our own service, refused beyond GATE_MAX_ANSWER bytes',
  ngx_rtmp_guard_recv: 'replaces recv() itself: ngx_rtmp_guard_read_more() has the budget',
  publisher_recv: 'replaces recv() itself: one call of the guard\'s',
};

test('a function that reads a socket has a budget per turn, and posts an event for the rest', () => {
  const wrong = [];
  const found = [];
  for (const name of sources.filter((source) => source.endsWith('.c'))) {
    for (const [, head, body] of withoutComments(read(name)).matchAll(/^(\w+)\([^;{}]*\)\n\{\n([\s\S]*?)^\}/gm)) {
      if (!/(?:\b|->)(?:recv|recv_chain|recvmsg|recvfrom|ngx_unix_recv|SSL_read)\s*\(/.test(body)) continue;
      found.push(head);
      if (BOUNDED_OTHERWISE[head]) continue;
      if (!/\w+_TURN\b/.test(body) || !/ngx_post_event\([^;]*&ngx_posted_next_events\)/.test(body)) {
        wrong.push(`${name}: ${head}() has no …_TURN, or does not post the event for the next turn`);
      }
    }
  }
  assert.ok(found.length >= 3, `functions that read sockets: ${found.join(' ')}`);
  assert.deepEqual(wrong, []);
});

// nginx loads modules into one global scope: a name of ours there would meet anybody's
test('built modules export module objects and the interface of the guard alone', () => {
  const loader = ['ngx_modules', 'ngx_module_names', 'ngx_module_order'];
  const exported = /^(ngx_\w+_module|ngx_rtmp_guard_refusal|address_table_\w+)$/;
  for (const name of ['ngx_rtmp_guard_module', 'ngx_hub_module']) {
    const result = spawnSync('nm', ['-D', '--defined-only', '--format=posix', `.build/modules/${name}.so`],
      { cwd: repo, encoding: 'utf8' });
    assert.equal(result.status, 0, result.stderr);
    const names = result.stdout.trim().split('\n').map((line) => line.split(' ')[0]);
    assert.ok(names.includes('ngx_modules') && names.includes(name), `${name}.so exports ${names}`);
    assert.deepEqual(names.filter((each) => !loader.includes(each) && !exported.test(each)), [], `${name}.so`);
  }
});
