// The audit by GET /api/audit and duoluctl, with more rows than one answer looks at.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Service } from '../lib/auth.mjs';

const service = new Service();
const { sql } = service;
const count = 45_000;       // one answer looks at 20,000
const minute = 60_000;
const start = Date.UTC(2026, 0, 1);
let auth;
let cookie;

before(async () => {
  await service.start({ users: [['admin', '--admin']] });
  auth = service.auth;
  // row i of the minute i; two of them, 1 and 30,000, are what is looked for
  sql(`DELETE FROM audit; INSERT INTO audit (at, actor, action, outcome, target, address, reason)
    SELECT TIMESTAMP('2026-01-01') + INTERVAL seq MINUTE, CONCAT('user', seq % 3), IF(seq % 2, 'publish', 'play'),
      IF(seq % 5 = 0, 'denied', 'ok'), IF(seq IN (1, 30000), 'live/Dächer', CONCAT('live/cam', seq % 100)),
      '192.0.2.9', IF(seq % 5 = 0, 'wrong key', '') FROM seq_1_to_${count}`);
  cookie = await service.login('admin');
  sql("DELETE FROM audit WHERE action NOT IN ('publish', 'play')");
});

after(() => service.stop());

const get = async (query) => {
  const { status, json } = await auth.api('GET', `/api/audit?${new URLSearchParams(query)}`, { cookie });
  assert.equal(status, 200, JSON.stringify(json));
  return json;
};

/** All rows of a filter, page by page, as the number of their minute. */
async function all(query) {
  const rows = [];
  const pages = [];
  for (let before, more = true; more;) {
    const answer = await get({ ...query, ...(before ? { before } : {}) });
    rows.push(...answer.rows.map(({ at }) => (at - start) / minute));
    pages.push(answer.rows.length);
    ({ more, next: before } = answer);
  }
  return { rows, pages };
}

test('a row has everything, the newest comes first, and the first page names the actions', async () => {
  const { rows, more, actions } = await get({ limit: 2 });
  const { id, ...newest } = rows[0];
  assert.ok(id > 0);
  assert.deepEqual(newest, {
    at: start + count * minute, actor: 'user0', action: 'play', outcome: 'denied', target: 'live/cam0',
    address: '192.0.2.9', reason: 'wrong key',
  });
  assert.equal(rows[1].at, start + (count - 1) * minute);
  assert.equal(more, true);
  assert.deepEqual(actions, ['play', 'publish']);
});

test('pages follow each other without a gap or a twin, also in one second', async () => {
  sql(`UPDATE audit SET at = '2026-01-01 00:10:00' WHERE at <= '2026-01-01 00:20:00'`);
  const { rows } = await all({ limit: 7, to: start + 60 * minute });
  assert.equal(rows.length, 60);
  assert.equal(rows.filter((row) => row === 10).length, 20);
  sql(`UPDATE audit SET at = TIMESTAMP('2026-01-01') + INTERVAL id - (SELECT * FROM (SELECT MIN(id) FROM audit) m) + 1
    MINUTE WHERE at = '2026-01-01 00:10:00'`);
});

test('each filter, and filters together', async () => {
  const expected = (test_) => Array.from({ length: count }, (_, i) => count - i).filter(test_);
  const check = async (query, test_) => assert.deepEqual((await all({ limit: 500, ...query })).rows,
    expected(test_), JSON.stringify(query));
  const from = start + 1000 * minute;
  const to = start + 2000 * minute;
  const between = (i) => i >= 1000 && i <= 2000;
  await check({ from, to }, between);
  await check({ from, to, actor: 'user1' }, (i) => between(i) && i % 3 === 1);
  await check({ from, to, action: 'play' }, (i) => between(i) && i % 2 === 0);
  await check({ from, to, outcome: 'denied' }, (i) => between(i) && i % 5 === 0);
  await check({ target: 'live/cam7', from, to }, (i) => between(i) && i % 100 === 7);
  await check({ actor: 'user2', action: 'publish', outcome: 'denied', from, to },
    (i) => between(i) && i % 3 === 2 && i % 2 === 1 && i % 5 === 0);
  await check({ target: 'live/cam8', actor: 'user0', outcome: 'denied' }, () => false);
  await check({ target: 'live/Dächer' }, (i) => i === 1 || i === 30_000);
});

test('a search for what is rare looks at 20,000 rows for each answer, and goes on where it stopped', async () => {
  const { rows, pages } = await all({ q: 'DÄCHER' });
  assert.deepEqual(rows, [30_000, 1]);
  assert.deepEqual(pages, [1, 0, 1], 'three answers for 45,000 rows');
  const none = await all({ q: 'nowhere', actor: 'user1' });
  assert.deepEqual([none.rows, none.pages], [[], [0]], '15,000 rows of one user');
});

test('wrong arguments are refused', async () => {
  for (const query of ['outcome=maybe', 'from=yesterday', 'limit=0', 'limit=501', 'before=1', 'actor=%ff']) {
    const { status, json } = await auth.api('GET', `/api/audit?${query}`, { cookie });
    assert.deepEqual([status, json.error], [400, 'bad_request'], query);
  }
  const { rows } = await get({ actor: "' OR 1=1 -- ", q: '%' });
  assert.deepEqual(rows, []);
});

test('duoluctl lists the same', async () => {
  const { rows } = await auth.done(['audit', 'target=live/Dächer', '--json']);
  assert.deepEqual(rows.map(({ at, target }) => [at, target]), [
    [new Date(start + 30_000 * minute).toISOString(), 'live/Dächer'],
    [new Date(start + minute).toISOString(), 'live/Dächer'],
  ]);
  const text = await auth.done(['audit', 'outcome=denied', 'limit=3']);
  assert.equal(text.split('\n').length, 4);
  assert.match(text, /^2026-\S+ denied user0: play live\/cam0 from 192\.0\.2\.9: wrong key$/m);
  assert.equal((await auth.done(['audit', 'text=däcHer', 'limit=1'])).split('\n').length, 2);
  const { code, stderr } = await auth.ctl(['audit', 'who=bob']);
  assert.equal(code, 2);
  assert.match(stderr, /filter "who=bob"; expected actor=/);
});
