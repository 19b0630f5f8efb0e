// Workers that drain, or have lost their master: they keep their clients as long
// as revocations reach their zone, and no longer.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { feed, hubConf, startHub, token, Viewer } from '../lib/hub.mjs';
import { beganAt, isGone, until } from '../lib/nginx.mjs';
import { interFrame, keyFrame, openPublisher } from '../lib/rtmp.mjs';

const DEADLINE = { timeout: 120_000 };
const UNIX = 'server { listen unix:{{dir}}/control.sock; location /control/ { hub_control on; } }';
const SAID =
  /for 10 s no worker of hub_zone "test" has accepted connections, .* this draining worker ends its \d+ sessions/;

/** A hub with a publisher and a viewer. */
async function start(t) {
  const hub = await startHub({ workers: 1, http: UNIX, answer: () => ({ allow: true, uid: 7, stream: 3, key: 12 }) });
  const publisher = await openPublisher('demo?key=k', { ...hub.rtmp, chunkSize: 65536 });
  publisher.sendVideo(0, keyFrame());
  const media = feed(publisher, { key: keyFrame(), inter: interFrame(), from: 40 });
  const viewer = await Viewer.open(hub.url('live/demo', token('live/demo', { sub: '8' })));
  t.after(() => { media.stop(); viewer.close(); publisher.close(); });
  await viewer.more();
  return { hub, publisher, viewer, workers: hub.nginx.workers() };
}

/** Both continue for longer than the 10 s after which a worker ends its clients. */
async function goOn({ viewer, publisher }) {
  for (let second = 0; second < 13; second++) await viewer.more(25);
  assert.equal(publisher.ended, false);
}

const ended = ({ viewer, publisher, workers }) =>
  until(
    () => viewer.ended && publisher.ended && workers.every(isGone),
    'the viewer, the publisher and the workers to be gone',
  );

/** Kills only the master; the end of the test ends the workers. */
async function killMaster(t, { hub, workers }) {
  const began = workers.map(beganAt);
  const left = () => workers.filter((pid, i) => beganAt(pid) === began[i]);
  t.after(async () => {
    for (const pid of left()) process.kill(pid, 'SIGTERM');
    await until(() => left().length === 0, 'the workers to be gone');
    assert.deepEqual(hub.nginx.alarms(), []);
    fs.rmSync(hub.nginx.dir, { recursive: true });
    await hub.gate.stop();
  });
  process.kill(hub.nginx.pid, 'SIGKILL');
  await hub.nginx.exited;
  process.off('exit', hub.nginx.atExit);
}

describe('viewers and publishers of workers that drain', { concurrency: 6 }, () => {
  test('after a quit they are ended 10 s later, the log has the reason, and nginx exits', DEADLINE, async (t) => {
    const one = await start(t);
    t.after(() => one.hub.stop());
    one.hub.nginx.kill('SIGQUIT');
    await until(() => /gracefully shutting down/.test(one.hub.nginx.log()), 'the worker to drain');
    await one.viewer.more(25);
    await ended(one);
    await one.hub.nginx.exited;
    assert.match(one.hub.nginx.log(), SAID);
    assert.match(one.hub.nginx.log(), /server has shut down: connect again/);
  });

  test('after a reload they stay with the old worker, and a revocation reaches it', DEADLINE, async (t) => {
    const one = await start(t);
    t.after(() => one.hub.stop());
    await one.hub.nginx.reload();
    await goOn(one);
    assert.equal((await one.hub.control('revoke?user=8')).json.ended, 1);
    await until(() => one.viewer.ended, 'the viewer to be gone');
    assert.equal(one.publisher.ended, false);
    assert.doesNotMatch(one.hub.nginx.log(), SAID);
    one.publisher.close();
    await until(() => one.workers.every(isGone), 'the old worker to leave');
  });

  test('after a reload with another zone, out of reach of its revocations, they are ended', DEADLINE, async (t) => {
    const one = await start(t);
    t.after(() => one.hub.stop());
    await one.hub.nginx.reload({ conf: hubConf({ gate: one.hub.gate, workers: 1, http: UNIX, zone: '32m' }) });
    await one.viewer.more(25);
    await ended(one);
    assert.match(one.hub.nginx.log(), SAID);
  });

  test('without a master a worker continues, and a revocation reaches it', DEADLINE, async (t) => {
    const one = await start(t);
    await killMaster(t, one);
    await goOn(one);
    assert.equal((await one.hub.control('revoke?user=8')).json.ended, 1);
    await until(() => one.viewer.ended, 'the viewer to be gone');
    const next = await one.hub.view('live/demo');
    assert.equal(next.status, 200, 'others come in');
    next.close();
    await one.hub.control('revoke?stream=live/demo');
    await until(() => one.publisher.ended, 'the publisher to be gone');
  });

  test(
    "without a master and without its socket a worker refuses new clients and ends the others",
    DEADLINE,
    async (t) => {
      const one = await start(t);
      await killMaster(t, one);
      fs.rmSync(path.join(one.hub.nginx.dir, 'control.sock'));
      await until(
        () =>
          one.hub.view('live/demo').then(
            (viewer) => {
              viewer.close();
              return false;
            },
            () => true,
          ),
        'its ports to be closed',
      );
      await ended(one);
      assert.match(
        one.hub.nginx.log(),
        /this worker quits: its master is gone, and its unix sockets were replaced or removed/,
      );
      assert.match(one.hub.nginx.log(), SAID);
    },
  );
});
