// The whole path: an encoder pushes with a key, viewers read with a token.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { openIn } from '../lib/hub.mjs';
import { until } from '../lib/nginx.mjs';
import { probe, pushFfmpeg, pushLibrtmp, untilLive } from '../lib/media.mjs';
import { openPublisher } from '../lib/rtmp.mjs';
import { run, startStack } from '../lib/stack.mjs';

/** Opens a URL: its status and the bytes that have arrived. */
function open(url) {
  const client = url.startsWith('https:') ? https : http;
  return new Promise((resolve, reject) => {
    const request = client.get(url, { agent: false, rejectUnauthorized: false }, (response) => {
      const viewer = { status: response.statusCode, headers: response.headers, size: 0, chunks: [] };
      response.on('data', (data) => { viewer.chunks.push(data); viewer.size += data.length; });
      response.on('error', () => {});
      response.on('end', () => { viewer.ended = true; });
      viewer.bytes = () => Buffer.concat(viewer.chunks);
      viewer.close = () => request.destroy();
      resolve(viewer);
    });
    request.on('error', reject);
  });
}

async function refusal(url) {
  const viewer = await open(url);
  await until(() => viewer.ended, `the answer of ${url} to end`);
  assert.ok(!viewer.bytes().toString('latin1').startsWith('FLV'), 'no media in a refusal');
  return viewer.status;
}

const codecs = (streams) => streams.map((stream) => stream.codec_name).sort();

test('a push with a key, watched with a token', async (t) => {
  const stack = await startStack({ workers: 2 });
  t.after(() => stack.stop());
  const publisher = pushFfmpeg(`${stack.rtmpUrl}/live/demo?key=${stack.demoKey}`);
  t.after(() => publisher.stop());
  const live = await untilLive(stack, 'live/demo', publisher);
  const url = await stack.ctl('url', 'admin', 'live/demo', 'view');
  const token = url.split('/m/')[1].split('/')[0];

  await t.test('curl piped into ffprobe names h264 and aac', async () => {
    const { stdout } = await run('bash', [
      '-c',
      'curl -sN --noproxy "*" --max-time 30 "$1" | ffprobe -v error -show_entries stream=codec_name -of csv=p=0 -',
      'bash',
      url,
    ]);
    assert.deepEqual(stdout.trim().split('\n').sort(), ['aac', 'h264']);
  });

  await t.test('viewers in the other worker get the same stream', async (t2) => {
    const viewers = [];
    t2.after(() => viewers.forEach((viewer) => viewer.close()));
    const workers = async () => (await stack.controlGet('/status')).workers;
    const pids = (await workers()).map(({ pid }) => pid);
    const others = pids.filter((pid) => pid !== live.publisher_pid);
    const nginx = { workers: () => pids, kill: (signal, pid) => process.kill(pid, signal) };
    for (let attempt = 0; !(await workers()).some(({ pid, viewers: n }) => n && others.includes(pid)); attempt += 2) {
      viewers.push(...await openIn({ nginx }, others, attempt, () =>
        Promise.all(Array.from({ length: 10 }, () => open(url)))));
    }
    for (const viewer of viewers) {
      assert.equal(viewer.status, 200);
      assert.match(viewer.headers['content-type'], /^video\/x-flv/);
    }
    await until(() => viewers.every((viewer) => viewer.size > 100_000), 'every viewer to have 100 kB');
    for (const viewer of viewers.slice(0, 5).concat(viewers.slice(-5))) {
      const streams = await probe(viewer.bytes());
      assert.deepEqual(codecs(streams), ['aac', 'h264']);
      const video = streams.find((stream) => stream.codec_name === 'h264');
      assert.deepEqual([video.width, video.height], [320, 180]);
    }
  });

  await t.test('the address that duoluctl prints for HLS plays, also over TLS', async () => {
    const list = await stack.ctl('url', 'admin', 'live/demo', 'view', '--format', 'hls');
    for (const address of [list, list.replace(stack.httpUrl, stack.httpsUrl)]) {
      const { stdout } = await run('ffprobe', ['-v', 'error', '-show_entries', 'stream=codec_name', '-of', 'csv=p=0',
        address]);
      assert.deepEqual([...new Set(stdout.match(/\w+/g))].sort(), ['aac', 'h264']);
    }
  });

  await t.test('viewers over TLS, HTTP/2 and WebSocket get it, too', async () => {
    const secure = `${stack.httpsUrl}/m/${token}/live/demo.flv`;
    const viewer = await open(secure);
    await until(() => viewer.size > 50_000, '50 kB over TLS');
    viewer.close();
    assert.deepEqual(codecs(await probe(viewer.bytes())), ['aac', 'h264']);

    const { stdout } = await run('bash', [
      '-c',
      'curl -skN --http2 --noproxy "*" --max-time 30 "$1" | ffprobe -v error -show_entries stream=codec_name -of ' +
        'csv=p=0 -',
      'bash',
      secure,
    ]);
    assert.deepEqual(stdout.trim().split('\n').sort(), ['aac', 'h264']);

    for (const address of [url.replace(/^http:/, 'ws:'), secure.replace(/^https:/, 'wss:')]) {
      const socket = new WebSocket(address, { rejectUnauthorized: false });
      const messages = [];
      socket.on('message', (data, binary) => { assert.ok(binary); messages.push(data); });
      let failure;
      socket.on('error', (error) => { failure = error; });
      await until(() => {
        if (failure) throw failure;
        return messages.reduce((sum, data) => sum + data.length, 0) > 50_000;
      }, `50 kB over ${address}`);
      socket.terminate();
      assert.equal(messages[0].subarray(0, 3).toString(), 'FLV', 'the first message starts with the FLV header');
      assert.deepEqual(codecs(await probe(Buffer.concat(messages))), ['aac', 'h264']);
    }
  });

  await t.test('no token gets 401; a wrong, expired or other stream\'s token 403; a stream not live 404', async () => {
    await stack.ctl('stream', 'add', 'live/other', '--owner', 'admin');
    const other = await stack.ctl('url', 'admin', 'live/other', 'view');
    const otherToken = other.split('/m/')[1].split('/')[0];
    const flipped = token.slice(0, -2) + (token.at(-2) === 'A' ? 'B' : 'A') + token.at(-1);
    const expired = await stack.ctl('url', 'admin', 'live/demo', 'view', '--ttl', '1');
    const expiry = JSON.parse(Buffer.from(expired.split('/m/')[1].split('.')[1], 'base64url')).exp;
    await until(() => Date.now() / 1000 > expiry + 1, 'the token to expire');
    for (const base of [stack.httpUrl, stack.httpsUrl]) {
      assert.equal(await refusal(`${base}/m/live/demo.flv`), 401);
      assert.equal(await refusal(`${base}/m/${flipped}/live/demo.flv`), 403);
      assert.equal(await refusal(`${base}/m/${otherToken}/live/demo.flv`), 403);
      assert.equal(await refusal(base + new URL(expired).pathname), 403);
      assert.equal(await refusal(`${base}/m/${otherToken}/live/other.flv`), 404);
    }
  });

  await t.test('the page\'s API shows it live, with an address that plays', async () => {
    const cookie = await stack.login('admin');
    const demo = await until(async () => {
      const { streams } = (await stack.api('GET', '/api/streams', { cookie })).json;
      return streams.find((stream) => stream.name === 'demo' && stream.live && stream.kbps > 0);
    }, 'the API to show the stream live');
    assert.deepEqual([demo.state, demo.width, demo.height, demo.video, demo.audio], ['live', 320, 180, 'h264', 'aac']);
    const viewer = await open(stack.httpsUrl + demo.play);
    assert.equal(viewer.status, 200);
    await until(() => viewer.size > 20_000, 'media from the page\'s address');
    viewer.close();
    assert.match(await stack.ctl('status'), /live\/demo/);
  });

  await t.test('no log holds a token', async () => {
    for (const name of fs.readdirSync(path.join(stack.home, 'log'))) {
      const text = fs.readFileSync(path.join(stack.home, 'log', name), 'utf8');
      assert.ok(!text.includes(token), `${name} holds a token`);
      assert.ok(!text.includes(stack.demoKey), `${name} holds the stream key`);
    }
  });

  await t.test('a second publisher with the same key, percent-encoded, takes over at once', async () => {
    const [first, ...rest] = stack.demoKey;
    const key = `%${first.charCodeAt(0).toString(16)}${rest.join('')}`;
    const again = await openPublisher(`demo?key=${key}`, { port: Number(new URL(stack.rtmpUrl).port) });
    assert.notEqual(await publisher.ended, undefined);
    await again.close();
  });
});

test('a refused publisher gets an error', async (t) => {
  const stack = await startStack({ workers: 2 });
  t.after(() => stack.stop());
  const cases = [
    ['a wrong key', 'live/demo?key=AAAAAAAAAAAAAAAAAAAAAA'],
    ['no key', 'live/demo'],
    ['a stream that does not exist', `live/nobody?key=${stack.demoKey}`],
  ];
  for (const [mistake, target] of cases) {
    await t.test(`${mistake}: ffmpeg prints the status`, async () => {
      const publisher = pushFfmpeg(`${stack.rtmpUrl}/${target}`);
      const code = await publisher.ended;
      assert.notEqual(code, 0, publisher.text);
      assert.match(publisher.text, /NetStream\.Publish|Server error/, publisher.text);
    });
  }

  await t.test('librtmp publishes with the right key, and stops with a wrong one', async () => {
    const wrong = pushLibrtmp(`${stack.rtmpUrl}/live/demo?key=AAAAAAAAAAAAAAAAAAAAAA`);
    assert.notEqual(await wrong.ended, 0, wrong.text);
    const right = pushLibrtmp(`${stack.rtmpUrl}/live/demo?key=${stack.demoKey}`);
    try {
      const live = await untilLive(stack, 'live/demo', right);
      assert.deepEqual([live.video, live.audio], ['h264', 'aac']);
      const url = await stack.ctl('url', 'admin', 'live/demo', 'view');
      const { stdout } = await run('bash', [
        '-c',
        'curl -sN --noproxy "*" --max-time 30 "$1" | ffprobe -v error -show_entries stream=codec_name -of csv=p=0 -',
        'bash',
        url,
      ]);
      assert.deepEqual(stdout.trim().split('\n').sort(), ['aac', 'h264']);
    } finally {
      await right.stop();
    }
  });

  await t.test('after a rotation the old key no longer works', async () => {
    const fresh = (await stack.ctl('stream', 'key', 'rotate', 'live/demo')).match(/[A-Za-z0-9_-]{22}/)[0];
    const old = pushFfmpeg(`${stack.rtmpUrl}/live/demo?key=${stack.demoKey}`);
    assert.notEqual(await old.ended, 0, old.text);
    const publisher = pushFfmpeg(`${stack.rtmpUrl}/live/demo?key=${fresh}`);
    try {
      await untilLive(stack, 'live/demo', publisher);
    } finally {
      await publisher.stop();
    }
  });
});
