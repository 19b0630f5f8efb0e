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

/** The headers that a C file names. */
export function includes(name) {
  return [...withoutComments(read(name)).matchAll(/^\s*#\s*include\s*[<"]([^>"]+)[>"]/gm)].map((m) => m[1]);
}

/**
 * Checks the includes between the folders of ROOT against MAY_INCLUDE, which names for each folder
 * those it may use.  Returns a text for each that is wrong, and for each folder that is not in it.
 */
export function wrongIncludes(root, mayInclude) {
  const folderOf = (name) => name.split('/')[1];
  const sources = files(new RegExp(`^${root}/[^/]+/[^/]+\\.[ch]$`));
  const home = new Map(
    sources.filter((name) => name.endsWith('.h')).map((name) => [path.basename(name), folderOf(name)]),
  );

  return sources.flatMap((name) => {
    const allowed = mayInclude[folderOf(name)];
    if (!allowed) return [`${name}: ${root}/${folderOf(name)} is not one of ${Object.keys(mayInclude).join(', ')}`];
    return includes(name).map((header) => [header, home.get(path.basename(header))])
      .filter(([, folder]) => folder && folder !== folderOf(name) && !allowed.includes(folder))
      .map(([header, folder]) => `${name} includes ${header} of ${root}/${folder}`);
  });
}

export { repo };
