// The repo's own files, as git knows them, so that build output is never read.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { repo } from '../lib/nginx.mjs';

const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: repo })
  .toString().split('\0').filter((name) => name && fs.existsSync(path.join(repo, name)));

/** Paths from the repo's top, those that match. */
export function files(pattern) {
  return [...new Set(listed)].filter((name) => pattern.test(name)).sort();
}

export function read(name) {
  return fs.readFileSync(path.join(repo, name), 'utf8');
}

/** C without its comments, lines kept. */
export function withoutComments(text) {
  return text.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"/g,
    (part) => (part.startsWith('"') ? part : part.replace(/[^\n]/g, ' ')));
}

export { repo };
