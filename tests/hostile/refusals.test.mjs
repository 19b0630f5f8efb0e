// Refusals that strangers cause without a login fill neither the database nor the log.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Service } from '../lib/auth.mjs';

const service = new Service();
const { sql } = service;
let database;
let auth;
const many = 1500;
const full = 10;            // REFUSALS_FULL
const together = 120;       // REFUSALS_TOGETHER
const places = 256;         // REFUSALS_MOST

before(async () => {
  await service.start({ users: [['alice']], streams: [['demo', 'alice']] });
  ({ auth, database } = service);
});

after(() => service.stop());

async function flood(attempt) {
  let i = 0;
  await Promise.all(Array.from({ length: 4 }, async () => { while (i < many) await attempt(i++); }));
}

// Counts the rows of an action, and the refusals that they stand for.
function rows(action) {
  const reasons = sql(`SELECT reason FROM audit WHERE action = '${action}'`).map(([reason]) => reason);
  const numbers = reasons.map((reason) => reason.match(/^(\d+) more in \d+ s: /)?.[1]).filter(Boolean).map(Number);
  return { rows: reasons.length, refusals: reasons.length - numbers.length + numbers.reduce((sum, n) => sum + n, 0) };
}

describe('refusals are counted, not written one by one', () => {
  test('of a POST without Origin, a wrong key, and a wrong key from ever new addresses', async () => {
    const linesBefore = auth.lines.length;
    await flood(async (i) => {
      const { status } = await auth.api('POST', '/api/login', {
        body: { name: 'a', password: `${i}` },
        headers: { HTTP_ORIGIN: '', REMOTE_ADDR: '203.0.113.1' },
      });
      assert.equal(status, 403);
    });
    assert.equal(rows('csrf').rows, full);

    await flood(async (i) => {
      const { json } = await auth.gate('publish', { ARGS: `key=wrong${i}`, REMOTE_ADDR: '203.0.113.2' });
      assert.equal(json.allow, false);
    });
    assert.equal(rows('publish').rows, full);

    await flood(async (i) => {
      const { json } = await auth.gate('play', { ARGS: 'token=wrong', REMOTE_ADDR: `198.51.${i >> 8}.${i & 255}` });
      assert.equal(json.allow, false);
    });
    assert.ok(rows('play').rows <= together);

    // none is lost: at its end the service writes the remaining counts
    await auth.stop();
    for (const action of ['csrf', 'publish', 'play']) assert.equal(rows(action).refusals, many, action);
    const all = sql("SELECT COUNT(*) FROM audit WHERE outcome = 'denied'")[0][0];
    assert.ok(Number(all) <= 2 * together + places, `${all} rows of ${3 * many} refusals`);
    const lines = auth.lines.length - linesBefore;
    assert.ok(lines <= 2 * together + places + 10, `${lines} lines of ${3 * many} refusals`);
    assert.match(
      auth.lines.join('\n'),
      /info refused csrf address=203\.0\.113\.1 more=1490 seconds=\d+ reason="other origin or no X-Duolu header"/,
    );
    await auth.start();
  });

  test('without the database the log stays small, too', async () => {
    await database.stop();
    const linesBefore = auth.lines.length;
    await flood(async (i) => {
      const login =
        i % 2
          ? auth.gate('publish', { ARGS: 'key=wrong', REMOTE_ADDR: '203.0.113.3' })
          : auth.api('POST', '/api/login', {
              body: { name: 'a', password: `${i}` },
              headers: { REMOTE_ADDR: '203.0.113.3' },
            });
      await login;
    });
    const lines = auth.lines.slice(linesBefore);
    assert.ok(lines.length <= 3 * full + 10, lines.join('\n'));
    await database.start();
  });
});
