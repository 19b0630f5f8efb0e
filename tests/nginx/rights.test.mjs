// Rights that change while a page's event stream opens.

import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { Follower } from '../lib/events.mjs';
import { startHub } from '../lib/hub.mjs';
import { until } from '../lib/nginx.mjs';

const DEADLINE = { timeout: 120_000 };
const nextSecond = (from = Math.floor(Date.now() / 1000)) =>
  until(() => Math.floor(Date.now() / 1000) > from, 'the next second');

/** A hub whose service calls `meanwhile(hub)` before it allows the user to follow. */
async function start(t, meanwhile) {
  let hub;
  const service = http.createServer(async (request, response) => {
    await meanwhile(hub);
    response.writeHead(204).end();
  });
  await new Promise((resolve) => service.listen(0, '127.0.0.1', resolve));
  t.after(() => service.close());
  const location = `location = /access { internal; proxy_pass http://127.0.0.1:${service.address().port}; }`;
  hub = await startHub({ listen: `; ${location} root /nonexistent`, events: 'auth_request /access;' });
  t.after(() => hub.stop());
  hub.follow = () => Follower.open(`${hub.base}/events?user=7&streams=3`);
  return hub;
}

test('a refresh after the service\'s answer: the page must ask again', DEADLINE, async (t) => {
  const rounds = [(hub) => hub.control('refresh?user=7'), () => {}];
  const hub = await start(t, (self) => rounds.shift()(self));
  const early = await hub.follow();
  assert.equal(early.status, 200);
  await until(() => early.ended, 'its end');
  const again = await hub.follow();
  await again.first();
  await hub.control('kick?id=1');
  assert.deepEqual((await hub.sessions()).map(({ kind, uid }) => ({ kind, uid })), [{ kind: 'events', uid: 7 }]);
  again.close();
});

test('a revocation after the question, even a second ago: the page is refused', DEADLINE, async (t) => {
  const hub = await start(t, async (self) => { await self.control('revoke?user=7'); await nextSecond(); });
  const { status } = await hub.follow();
  assert.equal(status, 403);
  assert.deepEqual(await hub.sessions(), []);
});
