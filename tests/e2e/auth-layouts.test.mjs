// Walls that users save by name: the page's calls against a real MariaDB.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Service } from '../lib/auth.mjs';

const service = new Service();
let auth;
let ann;
let bob;

before(async () => {
  await service.start({ users: [['ann'], ['bob']] });
  ({ auth } = service);
  [ann, bob] = [await service.login('ann'), await service.login('bob')];
});

after(() => service.stop());

const address = (name) => `/api/layouts/${name}`;
const put = (cookie, name, layout) => auth.api('PUT', address(name), { cookie, body: { layout } });
const layoutsOf = async (cookie) => (await auth.api('GET', '/api/layouts', { cookie })).json.layouts;

test('a wall is saved, replaced, listed and deleted by its owner alone, and each change is audited', async () => {
  const wall = { size: 3, slots: ['live/屋顶', 'live/b', null] };
  assert.equal((await put(ann, '港口 Harbour', wall)).status, 200);
  assert.equal((await put(ann, '港口 Harbour', wall)).status, 200, 'the same once more');
  assert.deepEqual(await layoutsOf(ann), [{ name: '港口 Harbour', layout: wall }]);
  assert.deepEqual(await layoutsOf(bob), []);
  assert.equal((await put(ann, '港口 Harbour', { size: null })).status, 200);
  assert.deepEqual(await layoutsOf(ann), [{ name: '港口 Harbour', layout: { size: null } }]);

  const removal = (cookie, name) => auth.api('DELETE', address(name), { cookie, body: {} });
  assert.equal((await removal(bob, '港口 Harbour')).status, 404, 'the wall of another user');
  assert.equal((await removal(ann, '港口 Harbour')).status, 200);
  assert.deepEqual(await layoutsOf(ann), []);
  assert.deepEqual(
    service.sql("SELECT actor, action, outcome, target FROM audit WHERE action LIKE 'layout%' ORDER BY id"),
    [...Array(3).fill(['ann', 'layout save', 'ok', '港口 Harbour']), ['ann', 'layout delete', 'ok', '港口 Harbour']],
  );
});

test('a layout that is too large, nameless or no object is refused with the reason', async () => {
  const fits = { a: 'x'.repeat(4096 - '{"a":""}'.length) };
  assert.equal((await put(bob, 'full', fits)).status, 200);
  assert.deepEqual(await layoutsOf(bob), [{ name: 'full', layout: fits }], 'all of its 4096 bytes');
  for (const [name, layout, status, code] of [
    ['more', { a: `${fits.a}x` }, 413, 'too_large'],
    ['list', [], 400, 'bad_request'],
    ['text', 'x', 400, 'bad_request'],
    ['gate\u202egnp', {}, 400, 'bad_name'],
    ['n'.repeat(65), {}, 400, 'bad_name'],
  ]) {
    const answer = await put(bob, name, layout);
    assert.deepEqual([answer.status, answer.json.error], [status, code], name);
  }
  assert.equal((await put(bob, '港'.repeat(64), {})).status, 200, 'characters count, not bytes');
  assert.equal((await auth.api('PUT', address('none'), { cookie: bob, body: {} })).json.error, 'bad_request');
  for (const [method, cookie, headers, status] of [
    ['PUT', undefined, {}, 401],
    ['PUT', bob, { HTTP_ORIGIN: 'https://evil.example' }, 403],
    ['POST', bob, {}, 405],
  ]) {
    const answer = await auth.api(method, address('mine'), { cookie, headers, body: { layout: {} } });
    assert.equal(answer.status, status, `${method} ${JSON.stringify(headers)}`);
  }
});

test('a user has at most 50 walls; the 51st is refused, an old one can still be changed', async () => {
  const held = (await layoutsOf(bob)).length;
  for (let count = held; count < 50; count += 1) assert.equal((await put(bob, `wall ${count}`, {})).status, 200);
  const answer = await put(bob, 'one too many', {});
  assert.deepEqual([answer.status, answer.json.error], [409, 'too_many']);
  assert.equal((await put(bob, 'wall 49', { size: 4 })).status, 200);
  assert.equal((await layoutsOf(bob)).length, 50);
  assert.equal((await put(ann, 'of another user', {})).status, 200);
});
