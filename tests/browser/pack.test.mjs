// How html/pack.mjs puts the page's modules and style sheets together; needs neither browser nor stack.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { repo } from '../lib/nginx.mjs';
import { packModules, packStyles, squeezed } from '../../html/pack.mjs';

const modules = {
  'js/main.js': `
import { shared as common } from './shared.js';
import table from './table.js';
// a comment
export const order = [];
export const views = { a: () => import('./views/a.js'), b: () => import('./views/b.js') };
order.push(common('main'), table.word);
`,
  'js/views/a.js': `
import {
  both,
} from '../both.js';
/** Of a. */
export function a() { return \`a of \${both()}\`; }
`,
  'js/views/b.js': "import { both } from '../both.js';\nexport const b = () => `b of ${both()}`;\n",
  'js/both.js': `
import { shared } from './shared.js';
let count = 0;
export function both() { count += 1; return shared(count); }
`,
  'js/shared.js': 'export function shared(text) { return `<${text}>`; }\n',
  'js/table.js': "export default { word: 'table' };\n",
};

/** Packs the modules, and imports the first file. */
async function packed(t, sources) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'duolu-pack-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  fs.mkdirSync(path.join(folder, 'js'));
  fs.writeFileSync(path.join(folder, 'package.json'), '{"type":"module"}');
  const files = packModules((name) => sources[name]);
  for (const [name, text] of files) fs.writeFileSync(path.join(folder, name), text);
  return { files, main: await import(pathToFileURL(path.join(folder, 'js/main.js'))) };
}

test('a module runs once, after those that it imports, and what two views need comes once', async (t) => {
  const { files, main } = await packed(t, modules);
  assert.deepEqual([...files.keys()], ['main', 'with-both', 'views-a', 'views-b'].map((name) => `js/${name}.js`));
  const { order, views } = main.$main;
  assert.deepEqual(order, ['<main>', 'table']);
  assert.equal((await views.a()).a(), 'a of <1>');
  assert.equal((await views.b()).b(), 'b of <2>', 'one module for both');
});

test('forms of import and export that it does not know are refused, and circles', () => {
  const wrong = (text) => () => packModules((name) => (name === 'js/main.js' ? text : modules[name]));
  for (const text of [
    "import * as all from './shared.js';\n",
    "export { shared } from './shared.js';\n",
    'export let changing = 1;\n',
    "import './shared.js';\n",
  ]) assert.throws(wrong(text), /pack\.mjs does not know this form/, text);
  const circle = { 'js/main.js': "import { a } from './a.js';\n", 'js/a.js': "import { b } from './main.js';\n" };
  assert.throws(() => packModules((name) => circle[name]), /import one another: js\/main\.js > js\/a\.js/);
  assert.throws(() => squeezed('const two = `a;\n', 'x.js'), /does not end/);
  const kept = 'const two = `a ${one\n    ? `b` : 2}\n  // c\n`;\n';
  assert.equal(squeezed(`  // comment\n  ${kept}  end();\n`, 'x.js'), `${kept}end();\n`);
});

test('the page itself: the sign-in needs no module of a view', () => {
  const files = packModules((name) => fs.readFileSync(path.join(repo, 'html', name), 'utf8'));
  const main = files.get('js/main.js');
  assert.ok(main.includes('const $views_login ='));
  for (const name of ['components_tile', 'components_dialog', 'views_streams', 'live_player'])
    assert.ok(!main.includes(`const $${name} =`), `${name} is in the first file`);
  for (const name of ['streams', 'watch', 'wall', 'recordings', 'admin'])
    assert.ok(files.has(`js/views-${name}.js`), `${name} has no file of its own: ${[...files.keys()].join(' ')}`);
});

test('style sheets: those above the line come first, all others when the sign-in is done', () => {
  const html = fs.readFileSync(path.join(repo, 'html/index.html'), 'utf8');
  const { css, page } = packStyles(html, (name) => `/* of ${name} */\n.${name.replace(/\W/g, '_')} { color: red; }\n`);
  assert.match(css.get('css/first.css'), /css_base_css[\s\S]*css_login_css/);
  assert.match(css.get('css/later.css'), /css_shell_css/);
  assert.ok(!/\/\*/.test(css.get('css/later.css')), 'comments are left out');
  assert.deepEqual(page('f').match(/"f\/[^>]*/g),
    ['"f/js/main.js" type="module"', '"f/css/first.css"', '"f/css/later.css" disabled']);
  assert.throws(() => packStyles(html, () => '.x { background: url(x.png); }'), /may name no other file/);
});
