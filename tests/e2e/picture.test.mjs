// The picture of a stream in a whole stack: made by the jailed ffmpeg from what a phone sends, kept when the stream is
// offline, and gone when it is revoked.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { makeHevcClip, plan, replay } from '../lib/clips.mjs';
import { start } from '../lib/media.mjs';
import { until } from '../lib/nginx.mjs';
import { picture } from '../lib/picture.mjs';
import { openStream } from '../lib/rtmp.mjs';
import { startStack } from '../lib/stack.mjs';

let stack;
let admin;

before(async () => {
  stack = await startStack({ workers: 1 });
  admin = await stack.login('admin');
});

after(() => stack?.stop());

function get(target) {
  return new Promise((resolve, reject) => {
    https.get(`${stack.httpsUrl}${target}`, { agent: false, rejectUnauthorized: false }, (response) => {
      const chunks = [];
      response.on('data', (data) => chunks.push(data));
      response.on('end', () =>
        resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) }));
    }).on('error', reject);
  });
}

const streamOf = async (name, cookie = admin) => {
  const { json } = await stack.api('GET', '/api/streams', { cookie });
  return json.streams.find((stream) => `${stream.app}/${stream.name}` === name);
};

/** As the page asks. */
const pictureOf = async (name, cookie) => get((await streamOf(name, cookie)).play.replace(/\.flv$/, '.jpg'));

const near = (rgb, wanted) =>
  rgb.forEach((value, i) => assert.ok(Math.abs(value - wanted[i]) < 16, `colour ${rgb}, expected ${wanted}`));

const green = (url, size) => start('ffmpeg', ['-v', 'error', '-nostdin', '-re', '-f', 'lavfi', '-i',
  `color=lime:size=${size}:rate=25`, '-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', '25',
  '-pix_fmt', 'yuv420p', '-f', 'flv', url]);

const untilPicture = (name) => until(async () => {
  const answer = await pictureOf(name);
  assert.ok([200, 404].includes(answer.status), `${answer.status} ${answer.body}`);
  return answer.status === 200 && answer;
}, `a picture of ${name}`, 60_000);

test('H.264 of an upright phone: live, then the last picture with the time, then gone', async (t) => {
  const conf = path.join(stack.home, 'conf/nginx.conf');
  fs.writeFileSync(conf, fs.readFileSync(conf, 'utf8').replace(/hub_grace \w+;/, 'hub_grace 1s;'));
  process.kill(Number(fs.readFileSync(path.join(stack.home, 'pid/nginx.pid'), 'utf8')), 'SIGHUP');
  await until(() => /gracefully shutting down/.test(stack.log('nginx')), 'the reload');
  const fresh = await streamOf('live/demo');
  assert.deepEqual([fresh.state, fresh.last_seen], ['offline', 0]);
  assert.equal((await pictureOf('live/demo')).status, 404);

  const publisher = green(`${stack.rtmpUrl}/live/demo?key=${stack.demoKey}`, '360x640');
  t.after(() => publisher.stop());
  await until(async () => (await streamOf('live/demo')).state === 'live', 'live');
  const { headers, body } = await untilPicture('live/demo');
  const { width, height, rgb } = picture(body);
  assert.ok(height > width, `${width}x${height}`);
  near(rgb, [0, 255, 0]);
  assert.equal(headers['x-content-type-options'], 'nosniff');
  assert.equal(headers['cache-control'], 'private, no-cache');
  assert.ok(headers.etag && Number(headers['x-picture-age']) >= 0);

  const ended = Date.now();
  await publisher.stop();
  const gone = await until(async () => {
    const stream = await streamOf('live/demo');
    return stream.state === 'offline' && stream.last_seen > 0 && stream;
  }, 'the end', 60_000);
  assert.ok(Math.abs(gone.last_seen - ended) < 60_000, `${gone.last_seen - ended} ms`);
  const last = await untilPicture('live/demo');     // nginx may have "none" in its cache for two seconds
  near(picture(last.body).rgb, [0, 255, 0]);
  assert.deepEqual(fs.readdirSync(path.join(stack.home, 'thumb/kept')), ['live:demo']);

  // no right, no picture: not by a token of another stream, nor after the right is taken away
  await stack.ctl('user', 'add', 'bob', '--password-stdin', { input: 'a long enough password\n' });
  const bob = await stack.login('bob', 'a long enough password');
  assert.equal(await streamOf('live/demo', bob), undefined);
  await stack.ctl('grant', 'bob', 'live/demo', 'view');
  const { play } = await streamOf('live/demo', bob);
  assert.equal((await get(play.replace(/\.flv$/, '.jpg'))).status, 200);
  await stack.ctl('revoke', 'bob', 'live/demo', 'view');
  assert.equal((await get(play.replace(/\.flv$/, '.jpg'))).status, 403);

  await stack.ctl('stream', 'revoke', 'live/demo');
  assert.equal((await pictureOf('live/demo')).status, 404, 'the last picture goes with the stream');
  assert.deepEqual(fs.readdirSync(path.join(stack.home, 'thumb/kept')), []);
});

test('H.265 of a phone', async (t) => {
  const text = await stack.ctl('stream', 'add', 'live/hevc', '--owner', 'admin');
  const [, key] = text.match(/^key (\S+)$/m);
  const clip = await makeHevcClip({ seconds: 20, size: '640x360' });
  const client = await openStream({ port: Number(stack.env.DUOLU_RTMP) });
  t.after(() => client.close());
  client.setChunkSize(65536);
  await client.publish(`hevc?key=${key}`);
  const sending = replay(client, plan(clip));
  t.after(() => sending.stop());
  await until(async () => (await streamOf('live/hevc')).state === 'live', 'live');
  const { body } = await untilPicture('live/hevc');
  const { width, height } = picture(body);
  assert.deepEqual([width, height], [320, 180]);
  assert.equal(stack.log('thumb').match(/no picture/), null);
});
