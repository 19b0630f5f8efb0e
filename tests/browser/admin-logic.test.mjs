// Rules of the admin views without DOM; needs neither browser nor stack.

import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';

const js = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../html/js');
const load = (name) => import(pathToFileURL(path.join(js, name)));

test('a search finds rows that have every word, in any case and width', async () => {
  const { matching } = await load('paging.js');
  const rows = ['live/Front door', 'live/back-door', 'live/屋顶１'];
  const found = (query) => matching(rows, query, (row) => row);
  assert.deepEqual(found(''), rows);
  assert.deepEqual(found('  '), rows);
  assert.deepEqual(found('DOOR'), rows.slice(0, 2));
  assert.deepEqual(found('door front'), rows.slice(0, 1));
  assert.deepEqual(found('屋顶1'), rows.slice(2));
  assert.deepEqual(found('.*'), []);
});

test('a page has fifty rows; a page that is gone becomes the last one', async () => {
  const { pageOf } = await load('paging.js');
  const rows = Array.from({ length: 120 }, (_, i) => i);
  const facts = ({ page, pages, first, last, rows: shown }) => [page, pages, first, last, shown.length];
  assert.deepEqual(facts(pageOf(rows, 0)), [0, 3, 1, 50, 50]);
  assert.deepEqual(facts(pageOf(rows, 2)), [2, 3, 101, 120, 20]);
  assert.deepEqual(facts(pageOf(rows, 9)), [2, 3, 101, 120, 20]);
  assert.deepEqual(facts(pageOf(rows, -1)), [0, 3, 1, 50, 50]);
  assert.deepEqual(facts(pageOf([], 0)), [0, 1, 0, 0, 0]);
});

test('the access that ends with a session is the user\'s own, of the right that the session uses', async () => {
  const { accessOf, grantWithout } = await load('access-taken.js');
  const session = (kind, user = 'bob') => ({ kind, user, stream: 'live/cam' });
  const own = { user: 'bob', app: 'live', name: 'cam', rights: ['view', 'replay'] };
  const app = { user: 'bob', app: 'live', rights: ['view'] };
  const grants = [
    own, app,
    { user: 'bob', app: 'live', name: 'cam2', rights: ['view'] },
    { user: 'bob', app: 'liv', rights: ['view'] },
    { user: 'eve', app: 'live', name: 'cam', rights: ['view'] },
    { group: 'crew', app: 'live', rights: ['view', 'publish'] },
  ];
  const stream = { owner: 'ann', visibility: 'private' };
  assert.deepEqual(accessOf(session('view'), grants, stream),
    { right: 'view', take: [own, app], groups: ['crew'], owner: false, isPublic: false });
  assert.deepEqual(accessOf(session('replay'), grants, stream).take, [own]);
  assert.deepEqual(accessOf(session('publish'), grants, stream).take, []);
  assert.deepEqual(accessOf(session('publish'), grants, stream).groups, ['crew']);
  assert.equal(accessOf(session('events'), grants, stream), null);
  assert.equal(accessOf(session('view', ''), grants, stream), null);
  const open = { owner: 'bob', visibility: 'public' };
  assert.deepEqual([accessOf(session('view'), grants, open).owner, accessOf(session('view'), grants, open).isPublic],
    [true, true]);
  assert.equal(accessOf(session('replay'), grants, open).isPublic, false);
  assert.equal(accessOf(session('view'), grants, undefined).owner, false);
  assert.deepEqual(grantWithout(own, 'view'), { user: 'bob', app: 'live', name: 'cam', rights: ['view'] });
  assert.deepEqual(grantWithout(app, 'view'), { user: 'bob', app: 'live', rights: ['view'] });
});

test('a phone that was live and stays away is told once; a short pause and other users\' streams are not', async () => {
  const { awayMs, forgetAway, watchAway } = await load('offline-rules.js');
  let known = new Map();
  const look = (states, now) => {
    const streams = Object.entries(states).map(([id, state]) =>
      ({ id, state, rights: id.startsWith('their') ? ['view'] : ['view', 'manage'] }));
    const seen = watchAway(known, streams, now);
    known = seen.known;
    return [seen.gone.map(({ id }) => id), seen.back.map(({ id }) => id)];
  };
  assert.deepEqual(look({ a: 'live', b: 'offline', their: 'live' }, 0), [[], []]);
  assert.deepEqual(look({ a: 'grace', b: 'offline', their: 'offline' }, 1000), [[], []]);
  assert.deepEqual(look({ a: 'live' }, 1000 + awayMs), [[], []], 'back in time');
  assert.deepEqual(look({ a: 'grace', b: 'offline', their: 'offline' }, 100_000), [[], []]);
  assert.deepEqual(look({ a: 'offline', b: 'offline' }, 100_000 + awayMs - 1), [[], []]);
  assert.deepEqual(look({ a: 'offline', b: 'offline', their: 'offline' }, 100_000 + awayMs), [['a'], []]);
  assert.deepEqual(look({ a: 'offline' }, 200_000), [[], []], 'once');
  assert.deepEqual(look({ a: 'live' }, 300_000), [[], ['a']]);
  look({ a: 'grace' }, 400_000);
  known = forgetAway(known);    // the page lost its connection: it does not know
  assert.deepEqual(look({ a: 'grace' }, 500_000), [[], []]);
  assert.deepEqual(look({ a: 'grace' }, 500_000 + awayMs), [['a'], []]);
});
