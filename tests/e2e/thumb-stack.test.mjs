// Pictures of recordings in a whole stack: they show the published colours, and the
// stack goes on without duolu-thumb.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { test } from 'node:test';
import { token } from '../lib/hub.mjs';
import { start } from '../lib/media.mjs';
import { repo, until } from '../lib/nginx.mjs';
import { picture } from '../lib/picture.mjs';
import { Recordings } from '../lib/recording.mjs';
import { buildSh, processesOf, stackEnv, stopStack } from '../lib/stack.mjs';

const SECONDS_EACH = 2;
const COLOURS = { red: [255, 0, 0], lime: [0, 255, 0], blue: [0, 0, 255] };

function get(url) {
  return new Promise((resolve, reject) => {
    (url.startsWith('https') ? https : http).get(url, { agent: false, rejectUnauthorized: false }, (response) => {
      const chunks = [];
      response.on('data', (data) => chunks.push(data));
      response.on('end', () =>
        resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    }).on('error', reject);
  });
}

/** One colour after another in real time, a key frame a second. */
function publishColours(url) {
  const names = Object.keys(COLOURS);
  const parts = names.map((name) => `color=${name}:size=640x360:rate=25:d=${SECONDS_EACH}[${name}]`).join(';');
  const graph = `${parts};${names.map((name) => `[${name}]`).join('')}concat=n=${names.length}`;
  return start('ffmpeg', [
    '-v',
    'error',
    '-nostdin',
    '-re',
    '-f',
    'lavfi',
    '-i',
    graph,
    '-c:v',
    'libx264',
    '-preset',
    'ultrafast',
    '-tune',
    'zerolatency',
    '-g',
    '25',
    '-pix_fmt',
    'yuv420p',
    '-f',
    'flv',
    url,
  ]);
}

/** The begin of each segment of an index, ms since 1970. */
function timesOf(index) {
  let utc = Date.parse(index.match(/^#EXT-X-PROGRAM-DATE-TIME:(.*)$/m)[1]);
  return [...index.matchAll(/^#EXTINF:([\d.]+)/gm)].map(([, seconds]) => {
    utc += Number(seconds) * 1000;
    return Math.round(utc - Number(seconds) * 1000);
  });
}

const pidOf = (home, name) => Number(processesOf(home).find((line) => line.includes(name))?.split(' ')[0]);

test('pictures of published colours', { timeout: 180_000 }, async (t) => {
  const env = await stackEnv({ workers: 1 });
  const home = env.DUOLU_HOME;
  // in the foreground, so that build.sh looks after its services
  const up = start('env', [
    ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
    path.join(repo, 'build.sh'),
    'up',
  ]);
  const undo = [];
  t.after(async () => {
    for (const step of undo) step();
    await up.stop();
    await stopStack(env, { allow: /thumb\.sock/ });
  });
  await until(() => up.code !== undefined || up.text.includes('Ctrl-C ends everything'), 'up', 60_000);
  assert.equal(up.code, undefined, up.text);

  const secret = (name) => fs.readFileSync(path.join(home, 'secrets', name), 'utf8').trim();
  const key = Buffer.from(secret('token.keys').split(' ')[1], 'hex');
  const replay = token('live/demo', { a: 'replay', sub: '1' }, { key });
  const page = `https://127.0.0.1:${env.DUOLU_HTTPS}`;
  const thumb = (at, tok = replay, base = page) => get(`${base}/m/${tok}/rec/live/demo/thumb.jpg?at=${at}`);

  await buildSh(['ctl', 'stream', 'set', 'live/demo', 'record=always'], { env });
  const publisher = publishColours(`rtmp://127.0.0.1:${env.DUOLU_RTMP}/live/demo?key=${secret('demo.key')}`);
  t.after(() => publisher.stop());
  await publisher.ended;

  // a segment for each second; the end of grace ends the last one
  const rec = new Recordings(path.join(home, 'rec'));
  const segments = await until(() => {
    const [file] = rec.files('live/demo');
    const times = file ? timesOf(fs.readFileSync(path.join(rec.root, file.replace(/mp4$/, 'm3u8')), 'utf8')) : [];
    return times.length > 2 * SECONDS_EACH && times;
  }, 'the third colour to be recorded');

  await t.test('show it', async () => {
    const seen = [];
    for (const utc of segments) {
      const { status, headers, body } = await thumb(utc + 500);
      assert.equal(status, 200);
      assert.equal(headers['content-type'], 'image/jpeg');
      assert.equal(headers['cache-control'], 'private, max-age=86400');
      assert.equal(headers['x-content-type-options'], 'nosniff');
      const { width, height, rgb } = picture(body);
      assert.deepEqual([width, height], [320, 180]);
      const name = Object.keys(COLOURS).find((colour) =>
        COLOURS[colour].every((value, i) => Math.abs(value - rgb[i]) < 12),
      );
      assert.ok(name, `colour ${rgb}`);
      if (seen.at(-1) !== name) seen.push(name);
    }
    assert.deepEqual(seen, Object.keys(COLOURS).slice(-seen.length));
    assert.ok(seen.length >= 2, `${seen}`);
  });

  await t.test('only for users who may replay, by HTTPS', async () => {
    assert.equal((await thumb(segments[0], token('live/demo', { a: 'replay', sub: '1' }))).status, 403);
    assert.equal((await thumb(segments[0], token('live/demo', { sub: '1' }, { key }))).status, 403);
    assert.equal((await thumb(segments[0], replay, `http://127.0.0.1:${env.DUOLU_HTTP}`)).status, 404);
    // as curl --path-as-is asks: nginx normalises this to a path that is not below /m/TOKEN/
    http.get(
      { host: '127.0.0.1', port: env.DUOLU_HTTP, path: `/m/${replay}/rec/live/demo/../../../../up?x=1`, agent: false },
      (response) => response.resume(),
    );
    const log = await until(() => {
      const text = fs.readFileSync(path.join(home, 'log/access.log'), 'utf8');
      return text.includes('/up?x=1 ') && text;
    }, 'the last request to be logged');
    assert.match(log, /GET \/m\/\*\*\*\/rec\/live\/demo\/thumb\.jpg/);
    assert.ok(log.includes('GET /m/***/rec/live/demo/../../../../up?x=1 '), log);
    assert.ok(!log.includes(replay), 'a token in the log');
  });

  await t.test('a picture is made once', async () => {
    const kept = (dir) =>
      fs
        .readdirSync(dir, { withFileTypes: true })
        .flatMap((entry) => (entry.isDirectory() ? kept(path.join(dir, entry.name)) : [entry.name]));
    assert.equal(kept(path.join(home, 'cache/thumbs')).length, segments.length);
  });

  await t.test('the keeper restarts duolu-thumb', async () => {
    const first = pidOf(home, 'duolu-thumb');
    process.kill(first, 'SIGKILL');
    await until(
      () => /duolu-thumb ended by itself \(exit status 137\), and is started again in 1 s/.test(up.text),
      'a word of it',
    );
    const second = await until(
      () => fs.existsSync(path.join(home, 'thumb/thumb.sock')) && pidOf(home, 'duolu-thumb'),
      'the next duolu-thumb',
    );
    assert.notEqual(second, first);
    assert.equal(up.code, undefined);
  });

  await t.test('without duolu-thumb, cached pictures and all else work', async () => {
    // end the keeper, so that nothing restarts it
    process.kill(up.child.pid, 'SIGSTOP');
    undo.push(() => process.kill(up.child.pid, 'SIGCONT'));
    process.kill(pidOf(home, 'duolu-thumb'), 'SIGTERM');
    await until(() => !pidOf(home, 'duolu-thumb'), 'it to end');
    assert.equal((await thumb(segments[0])).status, 200);
    fs.rmSync(path.join(home, 'cache/thumbs'), { recursive: true });
    assert.equal((await thumb(segments[0])).status, 502);
    assert.equal((await get(`${page}/m/${replay}/rec/live/demo/index.m3u8`)).status, 200);
    assert.equal((await get(`${page}/api/me`)).status, 401);
    const log = fs.readFileSync(path.join(home, 'log/nginx.log'), 'utf8');
    assert.match(log, /thumb\.sock failed/);
    assert.ok(!log.includes(replay), 'a token in the log');
  });
});
