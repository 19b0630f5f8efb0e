// Rows that the auth-service closes and deletes by itself, with a stand-in for nginx: sessions that nginx lacks,
// and what is old.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';

import { Service } from '../lib/auth.mjs';
import { until } from '../lib/nginx.mjs';

const service = new Service();
const { sql } = service;
let auth;
let nginx;

before(async () => {
  await service.start({ users: [['admin', '--admin']], streams: [['demo', 'admin']], nginx: true });
  ({ auth, nginx } = service);
});
beforeEach(() => { nginx.answer = () => [200, { ended: 0 }]; });
after(() => service.stop());

describe('rows of sessions', () => {
  const open = () => sql('SELECT gate_session FROM sessions WHERE ended_at IS NULL').map(([session]) => session).sort();
  const looks = () => nginx.looks['/sessions'];

  test('that nginx does not have are closed, but no young ones, and none while nginx is down', async () => {
    sql('DELETE FROM sessions');
    sql(`INSERT INTO sessions (kind, gate_session, user_id, stream_id, started_at) VALUES
      ('publish', 'old-there', 1, 1, NOW() - INTERVAL 1 HOUR), ('play', 'old-lost', 1, 1, NOW() - INTERVAL 1 HOUR),
      ('publish', 'young', 1, 1, NOW() + INTERVAL 1 HOUR)`);
    nginx.answer = () => [500, { error: 'no' }];
    const before = looks();
    await until(() => looks() >= before + 3, 'nginx to be asked in vain');
    assert.deepEqual(open(), ['old-lost', 'old-there', 'young']);

    nginx.answer = (url) => [200, url === '/sessions' ? { sessions: [{ id: 'old-there' }] } : { ended: 0 }];
    await until(() => !open().includes('old-lost'), 'the session that nginx lacks to be closed');
    assert.deepEqual(sql("SELECT reason FROM sessions WHERE gate_session = 'old-lost'"), [['nginx no longer has it']]);
    const from = looks();
    await until(() => looks() >= from + 3, 'further looks');
    assert.deepEqual(open(), ['old-there', 'young']);
    sql("UPDATE sessions SET ended_at = NOW() WHERE ended_at IS NULL");
  });

  test('old closed ones are deleted by age and number, as audit rows are; open ones stay', async () => {
    sql('DELETE FROM sessions');
    sql(
      "INSERT INTO sessions (kind, gate_session, user_id, stream_id, ended_at) WITH RECURSIVE n AS (SELECT 1 AS i " +
        "UNION SELECT i + 1 FROM n WHERE i < 900) SELECT 'play', IF(i = 1, 'open', i), 1, 1, IF(i = 1, NULL, " +
          "NOW()) FROM n",
    );
    sql("UPDATE sessions SET ended_at = NOW() - INTERVAL 8 DAY WHERE gate_session = '900'");
    await auth.stop();
    Object.assign(auth.environment, { DUOLU_AUDIT_DAYS: '7', DUOLU_AUDIT_ROWS: '50' });
    nginx.answer = (url) => [200, url === '/sessions' ? { sessions: [{ id: 'open' }] } : { ended: 0 }];
    await auth.start();
    const remaining = () => sql('SELECT gate_session FROM sessions').map(([session]) => session);
    await until(() => remaining().length <= 51, 'old rows to be deleted');        // the newest 50 and the open one
    assert.deepEqual(['open', '899', '900'].map((name) => remaining().includes(name)), [true, true, false]);
  });
});

describe('audit', () => {
  test('rows older than DUOLU_AUDIT_DAYS are deleted in batches, the others stay', async () => {
    sql(
      "INSERT INTO audit (at, action, outcome) WITH RECURSIVE n AS (SELECT 1 AS i UNION SELECT i + 1 FROM n WHERE " +
        "i < 900) SELECT UTC_TIMESTAMP() - INTERVAL 8 DAY, 'old', 'ok' FROM n",
    );
    sql("INSERT INTO audit (at, action, outcome) VALUES (UTC_TIMESTAMP() - INTERVAL 6 DAY, 'young', 'ok')");
    await auth.stop();
    auth.environment.DUOLU_AUDIT_DAYS = '7';
    await auth.start();
    await until(() => sql("SELECT COUNT(*) FROM audit WHERE action = 'old'")[0][0] === '0', 'old rows to be deleted');
    assert.equal(sql("SELECT COUNT(*) FROM audit WHERE action = 'young'")[0][0], '1');
  });

  test('the oldest rows beyond DUOLU_AUDIT_ROWS are deleted', async () => {
    sql(
      "INSERT INTO audit (action, outcome) WITH RECURSIVE n AS (SELECT 1 AS i UNION SELECT i + 1 FROM n WHERE i < " +
        "900) SELECT CONCAT('many ', i), 'ok' FROM n",
    );
    await auth.stop();
    auth.environment.DUOLU_AUDIT_ROWS = '50';
    await auth.start();
    await until(() => Number(sql('SELECT COUNT(*) FROM audit')[0][0]) <= 50, 'old rows to be deleted');
    assert.equal(sql("SELECT COUNT(*) FROM audit WHERE action = 'many 900'")[0][0], '1');
  });
});
