// Makes the folder that nginx serves from this one: few files instead of a hundred, each with
// an address that changes with its content, so that browsers keep it for ever.
//
//   node pack.mjs SOURCE VENDOR OUT
//
// OUT/index.html and the icons keep their names; all else is in OUT/HASH/. The modules stay ES
// modules: pack.mjs only puts those that are always loaded together into one file, each as a
// function of its own, and leaves comments out. It knows the few forms of import and export that
// the page uses, and refuses all others.

import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';

const first = 'js/main.js';     // loaded before all others: what it has is in no other file
const packing = { level: 9, memLevel: 9 };
const kept = 4;             // folders of earlier builds, for pages that are open meanwhile

const IMPORT = /^import (\w+|\{[^}]*\}) from '(\.[^']+)';\n/gm;
const DYNAMIC = /\bimport\('(\.[^']+)'\)/g;
const EXPORT = /^export (?:(default )|((?:async )?function\*?|class|const) (\w+))/gm;

/** The source without lines that are comments, and without indentation, but for template literals of several lines. */
export function squeezed(text, name) {
  const code = [];
  let isOpen = false;
  for (const line of text.replace(/^[ \t]*\/\*[\s\S]*?\*\/[ \t]*\n/gm, '').split('\n')) {
    const plain = isOpen ? line : line.trim();
    if (isOpen || (plain && !plain.startsWith('//'))) code.push(plain);
    else continue;
    if (plain.split('`').length % 2 === 0) isOpen = !isOpen;
  }
  if (isOpen) throw new Error(`${name}: a template literal does not end, or a comment or a string has one backtick`);
  return `${code.join('\n')}\n`;
}

const variable = (name) => `$${name.replace(/^js\/|\.js$/g, '').replace(/\W/g, '_')}`;
const isVendor = (name) => name.startsWith('vendor/');

/** Reads a module: {name, code, exports, needs: modules it imports, loads: modules it imports later}. */
function readModule(read, name) {
  const code = squeezed(read(name), name);
  const find = (target) => path.posix.join(path.posix.dirname(name), target);
  const needs = [...code.matchAll(IMPORT)].map(([, , target]) => find(target));
  const loads = [...code.matchAll(DYNAMIC)].map(([, target]) => find(target)).filter((target) => !isVendor(target));
  const exports = [...code.matchAll(EXPORT)].map(([, isDefault, , id]) => (isDefault ? 'default' : id));
  const rest = code.replace(IMPORT, '').replace(EXPORT, '').match(/^(import\b(?!\()|export\b).*/m);
  if (rest) throw new Error(`${name}: "${rest[0]}": pack.mjs does not know this form`);
  return { name, code, exports, needs, loads, find };
}

/** All modules that can be reached from the first one, by name. */
function readAll(read) {
  const modules = new Map();
  const add = (name) => {
    if (modules.has(name)) return;
    modules.set(name, readModule(read, name));
    const { needs, loads } = modules.get(name);
    [...needs, ...loads].forEach(add);
  };
  add(first);
  return modules;
}

/** The names that `name` needs, itself last, each after those that it needs. */
function inOrder(modules, name, done = new Set(), open = []) {
  if (open.includes(name)) throw new Error(`modules import one another: ${[...open, name].join(' > ')}`);
  if (!done.has(name)) {
    for (const needed of modules.get(name).needs) inOrder(modules, needed, done, [...open, name]);
    done.add(name);
  }
  return done;
}

/** Groups the modules by the entries that need them: [{file, names}], the names in order. */
function group(modules) {
  const later = [...modules.values()].flatMap(({ loads }) => loads).filter((name) => name !== first);
  const entries = [first, ...new Set(later.sort())];
  const users = new Map();
  for (const entry of entries) {
    for (const name of inOrder(modules, entry)) {
      const others = users.get(name) ?? [];
      if (others[0] !== first) users.set(name, [...others, entry]);
    }
  }
  const files = new Map();
  for (const [name, names] of users) {
    const key = names.join(' ');
    files.set(key, [...(files.get(key) ?? []), name]);
  }
  return [...files].map(([key, names]) => {
    const title = entries.includes(key) ? key.slice(3) : `with-${names.at(-1).slice(3)}`;
    return { file: `js/${title.replaceAll('/', '-')}`, names };
  });
}

/** A module as a constant that holds its exports. */
function wrapped({ name, code, exports, find }, fileOf) {
  const body = code
    .replace(IMPORT, (_, what, target) => {
      const names = what.startsWith('{') ? what.replace(/\s+/g, ' ').replace(/(\w+) as (\w+)/g, '$1: $2')
        : `{ default: ${what} }`;
      return `const ${names} = ${variable(find(target))};\n`;
    })
    .replace(EXPORT, (_, isDefault, kind, id) => (isDefault ? 'const $default = ' : `${kind} ${id}`))
    .replace(DYNAMIC, (_, target) => {
      const to = find(target);
      if (isVendor(to)) return `import('../${to}')`;
      return `import('./${path.posix.basename(fileOf.get(to))}').then((file) => file.${variable(to)})`;
    });
  const out = exports.map((id) => (id === 'default' ? 'default: $default' : id)).join(', ');
  return `const ${variable(name)} = (() => {\n${body}return { ${out} };\n})();\n`;
}

/** Packs the modules: a Map from a file's name to its text. read(name) gives a module's source. */
export function packModules(read) {
  const modules = readAll(read);
  const groups = group(modules);
  const fileOf = new Map(groups.flatMap(({ file, names }) => names.map((name) => [name, file])));
  const out = new Map();
  for (const { file, names } of groups) {
    const outside = new Map();
    for (const needed of names.flatMap((name) => modules.get(name).needs)) {
      if (fileOf.get(needed) === file) continue;
      outside.set(fileOf.get(needed), (outside.get(fileOf.get(needed)) ?? new Set()).add(variable(needed)));
    }
    const imports = [...outside].map(([other, ids]) =>
      `import { ${[...ids].join(', ')} } from './${path.posix.basename(other)}';\n`);
    const parts = names.map((name) => wrapped(modules.get(name), fileOf));
    out.set(file, `${imports.join('')}${parts.join('')}export { ${names.map(variable).join(', ')} };\n`);
  }
  return out;
}

const LINK = /<link rel="stylesheet" href="(css\/[^"]+)">\n/g;
const LATER = /^<!-- later:.*-->\n/m;
const SCRIPT = `<script src="${first}" type="module"></script>`;

/** Packs the style sheets into those for the sign-in and all others: {css: Map, page(folder): the HTML}. */
export function packStyles(html, read) {
  const parts = html.split(LATER);
  if (parts.length !== 2 || !html.includes(SCRIPT))
    throw new Error(`index.html: expected one line "<!-- later: … -->" between the style sheets, and ${SCRIPT}`);
  const css = new Map(parts.map((part, i) => [
    i ? 'css/later.css' : 'css/first.css',
    [...part.matchAll(LINK)].map(([, name]) => squeezedStyle(read(name), name)).join(''),
  ]));
  const rest = parts.join('').replace(LINK, '');
  if (/"css\//.test(rest)) throw new Error(`index.html: each style sheet takes a line like ${LINK.source}`);
  // "disabled": the browser loads it when later-styles.js asks for it
  const links = (folder) => [...css.keys()].map((name, i) =>
    `<link rel="stylesheet" href="${folder}/${name}"${i ? ' disabled' : ''}>\n`).join('');
  return {
    css,
    page: (folder) => rest.replace('</head>', `${links(folder)}</head>`)
      .replace(SCRIPT, SCRIPT.replace('js/', `${folder}/js/`)),
  };
}

function squeezedStyle(text, name) {
  const odd = text.match(/@import.*|url\((?!"?data:).*/);
  if (odd) throw new Error(`${name}: "${odd[0]}": a style sheet may name no other file`);
  return `${text.replace(/\/\*[\s\S]*?\*\//g, '').split('\n').map((line) => line.trim()).filter(Boolean).join('\n')}\n`;
}

function pack(source, vendor, out) {
  const read = (name) => fs.readFileSync(path.join(source, name), 'utf8');
  const html = read('index.html');
  const { css, page } = packStyles(html, read);
  const files = new Map([...packModules(read), ...css]);
  for (const name of fs.readdirSync(vendor).filter((each) => !each.endsWith('.part')))
    files.set(`vendor/${name}`, fs.readFileSync(path.join(vendor, name)));

  const hash = createHash('sha256').update(html);
  for (const [name, text] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) hash.update(`${name}\n`).update(text);
  const folder = hash.digest('hex').slice(0, 16);

  fs.mkdirSync(out, { recursive: true });
  writeFolder(path.join(out, folder), files);
  for (const name of fs.readdirSync(source).filter((each) => /\.(svg|png|webmanifest)$/.test(each)))
    writeWhole(path.join(out, name), fs.readFileSync(path.join(source, name)));
  // last, since from then on browsers ask for the folder
  writeWhole(path.join(out, 'index.html'), page(folder));
  forgetOld(out, folder);
}

/** Writes a folder that is there as a whole or not at all, also while another build writes the same. */
function writeFolder(folder, files) {
  if (fs.existsSync(folder)) {
    fs.utimesSync(folder, new Date(), new Date());
    return;
  }
  const part = `${folder}.${process.pid}.part`;
  for (const [name, text] of files) {
    fs.mkdirSync(path.join(part, path.dirname(name)), { recursive: true });
    fs.writeFileSync(path.join(part, name), text);
    fs.writeFileSync(path.join(part, `${name}.gz`), gzipSync(text, packing));     // for gzip_static
  }
  try {
    fs.renameSync(part, folder);
  } catch (error) {
    fs.rmSync(part, { recursive: true });
    if (!fs.existsSync(folder)) throw error;
  }
}

function writeWhole(file, text) {
  const part = `${file}.${process.pid}.part`;
  fs.writeFileSync(part, text);
  fs.renameSync(part, file);
}

function forgetOld(out, folder) {
  const age = (name) => fs.statSync(path.join(out, name)).mtimeMs;
  const old = fs.readdirSync(out).filter((name) => /^[0-9a-f]{16}$/.test(name) && name !== folder);
  for (const name of old.sort((a, b) => age(b) - age(a)).slice(kept))
    fs.rmSync(path.join(out, name), { recursive: true, force: true });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) pack(...process.argv.slice(2));
