// The page's live events: by cookie, over TLS, HTTP/1.1 and HTTP/2.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http2 from 'node:http2';
import https from 'node:https';
import path from 'node:path';
import { test } from 'node:test';
import { Follower } from '../lib/events.mjs';
import { until } from '../lib/nginx.mjs';
import { keyFrame, openPublisher } from '../lib/rtmp.mjs';
import { startStack } from '../lib/stack.mjs';

/** Follower.open() over HTTP/2. */
function followHttp2(stack, cookie) {
  const session = http2.connect(stack.httpsUrl, { rejectUnauthorized: false });
  session.unref();
  const follower = new Follower();
  follower.connection = session;
  session.on('close', () => { follower.connectionEnded = true; });
  const request = session.request({ ':path': '/api/events', cookie });
  request.setEncoding('utf8');
  request.on('response', (headers) => { follower.status = headers[':status']; });
  request.on('data', (text) => follower.push(text));
  request.on('end', () => { follower.complete = true; });
  request.on('close', () => { follower.ended = true; });
  return follower;
}

async function publish(stack) {
  const client = await openPublisher(`demo?key=${stack.demoKey}`, { port: stack.rtmp });
  client.sendVideo(0, keyFrame());
  await client.ping();
  return client;
}

test('live events tell a page about its streams', async (t) => {
  const stack = await startStack({ workers: 2 });
  t.after(() => stack.stop());
  await stack.ctl('user', 'add', 'bob', '--password-stdin', { input: 'a-long-password-of-bob\n' });
  const admin = await stack.login('admin');
  const bob = await stack.login('bob', 'a-long-password-of-bob');
  const url = `${stack.httpsUrl}/api/events`;

  await t.test('only a logged-in page gets events, and nobody can ask /api/events-access', async () => {
    const stranger = await Follower.open(url);
    assert.equal(stranger.status, 401);
    stranger.close();
    const nosy = await Follower.open(`${url}-access`, { Cookie: admin });
    assert.equal(nosy.status, 404);
    nosy.close();
  });

  await t.test('other methods than GET get 401 or 405, no error of the server', async () => {
    const answer = (method, headers) => new Promise((resolve, reject) => {
      const request = https.request(url, { method, headers, rejectUnauthorized: false, agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      request.on('error', reject);
      request.end(method === 'POST' ? 'a body' : undefined);
    });
    for (const method of ['HEAD', 'POST']) {
      assert.deepEqual([await answer(method, {}), await answer(method, { cookie: bob })], [401, 405], method);
    }
  });

  await t.test('over TLS and HTTP/2: live, grace, live; a user without a right gets no event', async () => {
    const one = await Follower.open(url, { Cookie: admin });
    const two = followHttp2(stack, admin);
    const other = await Follower.open(url, { Cookie: bob });
    for (const follower of [one, two, other]) assert.deepEqual(await follower.first(), { streams: [] });
    assert.deepEqual([one.status, two.status, other.status], [200, 200, 200]);
    assert.equal(one.headers['content-type'], 'text/event-stream');
    let publisher = await publish(stack);
    const { id, width } = await one.wait((e) => e.data.state === 'live' && e.data.width, 'live, with its size');
    assert.ok(id > 0);
    assert.equal(width, 320);
    await two.wait((e) => e.data.id === id && e.data.state === 'live', 'live');
    await publisher.close();
    for (const follower of [one, two]) await follower.wait((e) => e.data.state === 'grace', 'grace');
    publisher = await publish(stack);
    for (const follower of [one, two]) await until(() => follower.states('live/demo').at(-1) === 'live', 'live again');
    await publisher.close();
    assert.deepEqual(other.events.map((e) => e.event), ['streams']);

    // a new right works at once: the page's events end, it asks again and sees the stream
    await stack.ctl('grant', 'bob', 'live/demo', 'view');
    await until(() => other.ended, 'bob\'s events to end');
    const again = await Follower.open(url, { Cookie: bob });
    assert.deepEqual((await again.first()).streams.map((stream) => stream.id), [id]);
    for (const follower of [one, again]) follower.close();
    two.connection.destroy();
  });

  await t.test('a reload ends the events, and no old worker stays for their connections', async () => {
    const one = await Follower.open(url, { Cookie: admin });
    const two = followHttp2(stack, admin);
    for (const follower of [one, two]) await follower.first();
    const pids = async () => (await stack.controlGet('/status')).workers.map((worker) => worker.pid);
    const old = await pids();
    process.kill(Number(fs.readFileSync(path.join(stack.home, 'pid/nginx.pid'), 'utf8')), 'SIGHUP');
    for (const follower of [one, two]) await until(() => follower.ended, 'their end');
    assert.deepEqual([one.complete, two.complete], [true, true]);
    await until(() => two.connectionEnded, 'the HTTP/2 connection to end');
    await until(async () => (await pids()).every((pid) => !old.includes(pid)), 'the old workers to end');
  });
});
