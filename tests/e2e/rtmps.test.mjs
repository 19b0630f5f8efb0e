// RTMP over TLS: nginx's stream module ends TLS and passes the connection to the same
// RTMP server, which must see the client's address, not the loopback.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import tls from 'node:tls';
import { pushFfmpeg, start, untilLive } from '../lib/media.mjs';
import { until } from '../lib/nginx.mjs';
import { keyFrame, openPublisher, openStream, RtmpClient } from '../lib/rtmp.mjs';
import { run, startStack } from '../lib/stack.mjs';

const PER_ADDRESS = 64;         // rtmp_guard_conn_per_ip, by default

/** The codecs that a viewer of an address gets. */
const watch = (url) =>
  run('bash', [
    '-c',
    'curl -sN --noproxy "*" --max-time 30 "$1" | ffprobe -v error -show_entries stream=codec_name -of csv=p=0 -',
    'bash',
    url,
  ]);

test('RTMPS', async (t) => {
  const stack = await startStack({ workers: 2 });
  // nginx logs this at level crit when a client still sends while nginx closes TLS
  t.after(() => stack.stop({ allow: /SSL_shutdown\(\) failed .*application data after close notify/ }));
  const port = Number(stack.env.DUOLU_RTMPS);
  const secure = (localAddress) => ({ port, secure: true, localAddress });

  await t.test('ffmpeg publishes and plays over TLS, an FLV viewer gets both codecs', async () => {
    const publisher = pushFfmpeg(`${stack.rtmpsUrl}/live/demo?key=${stack.demoKey}`);
    try {
      const live = await untilLive(stack, 'live/demo', publisher);
      assert.deepEqual([live.video, live.audio, live.width], ['h264', 'aac', 320]);
      const { stdout } = await watch(await stack.ctl('url', 'admin', 'live/demo', 'view'));
      assert.deepEqual(stdout.trim().split('\n').sort(), ['aac', 'h264']);

      // play over TLS, too: ffmpeg decodes 3 s, and the hub knows the client's address
      const play = (await stack.ctl('url', 'admin', 'live/demo', 'view', '--format', 'rtmp'))
        .replace(/^rtmps?:\/\/[^/]+/, stack.rtmpsUrl);
      const player = start('ffmpeg', [
        '-hide_banner',
        '-nostdin',
        '-v',
        'warning',
        '-xerror',
        '-i',
        play,
        '-t',
        '3',
        '-f',
        'null',
        '-',
      ]);
      await until(async () => (await stack.controlGet('/sessions')).sessions
        .some((row) => row.kind === 'view' && row.protocol === 'rtmp'), 'the player\'s session');
      assert.equal(await player.ended, 0, player.text);
    } finally {
      await publisher.stop();
    }
  });

  await t.test('a wrong key is refused, and the log names the client', async () => {
    const client = await openStream(secure('127.0.0.5'));
    await assert.rejects(client.publish('demo?key=AAAAAAAAAAAAAAAAAAAAAA'), /BadName/);
    await client.closed;
    await until(() => /refused.*client: 127\.0\.0\.5/.test(stack.log('nginx')), 'a line about 127.0.0.5');
    assert.doesNotMatch(stack.log('nginx'), /refused.*client: 127\.0\.0\.1,/);
  });

  await t.test('plain RTMP on this port leaves one line in the log', async () => {
    const client = await RtmpClient.tcp({ port, localAddress: '127.0.0.6' });
    await assert.rejects(client.handshake(), /closed during the handshake/);
    const lines = await until(() => {
      const found = stack.log('nginx').split('\n').filter((line) => /client: 127\.0\.0\.6/.test(line));
      return found.length > 0 && found;
    }, 'a line about 127.0.0.6');
    assert.equal(lines.length, 1, lines.join('\n'));
    assert.match(lines[0], /no TLS handshake on the port for rtmps:\/\/, expected TLS \(plain rtmp:\/\/ is port \d+\)/);
  });

  await t.test('the service gets the address of the client', async () => {
    const client = await openPublisher(`demo?key=${stack.demoKey}`, secure('127.0.0.9'));
    client.sendVideo(0, keyFrame());
    await client.ping();
    const { streams } = await stack.controlGet('/status');
    assert.equal(streams.find((stream) => stream.name === 'live/demo').address, '127.0.0.9');
    client.close();
    const password = fs.readFileSync(path.join(stack.home, 'secrets/db'), 'utf8').trim();
    const { stdout } = await run(
      'mariadb',
      [
        '--no-defaults',
        `--socket=${stack.home}/mysql/mysql.sock`,
        '--user=duolu',
        '-N',
        '-B',
        '-e',
        "SELECT outcome, address FROM audit WHERE action = 'publish' ORDER BY id DESC LIMIT 1",
        'duolu',
      ],
      { env: { MYSQL_PWD: password } },
    );
    assert.deepEqual(stdout.trim().split('\t'), ['ok', '127.0.0.9']);
  });

  await t.test('connections count for their client, with and without TLS', async () => {
    const plain = [];
    while (plain.length < PER_ADDRESS) {
      plain.push(await RtmpClient.open({ port: stack.rtmp, localAddress: '127.0.0.6' }));
    }
    const one = await RtmpClient.tcp(secure('127.0.0.6'));
    await assert.rejects(one.handshake());
    await until(
      () => /one more connection of this address.*client: 127\.0\.0\.6/.test(stack.log('nginx')),
      'the refusal',
    );
    (await RtmpClient.open(secure('127.0.0.7'))).close();
    plain.forEach((client) => client.close());
  });

  await t.test('half-open TLS connections of an address are limited, too', async () => {
    const sockets = [];
    const open = () => new Promise((resolve) => {
      const socket = tls.connect({ host: '127.0.0.1', port, localAddress: '127.0.0.10', rejectUnauthorized: false });
      sockets.push(socket);
      socket.on('error', () => resolve(false));
      socket.on('secureConnect', () => resolve(true));
    });
    for (let n = 0; n < PER_ADDRESS; n++) assert.equal(await open(), true);
    assert.equal(await open(), false);
    sockets.forEach((socket) => socket.destroy());
  });

  await t.test('no port believes a stranger\'s PROXY line', async () => {
    // nginx passes it to itself by a socket in a folder that no other user may enter
    const inner = path.join(stack.home, 'tmp/rtmps.sock');
    assert.ok(fs.statSync(inner).isSocket());
    assert.equal(fs.statSync(path.dirname(inner)).mode & 0o077, 0);
    await Promise.all([secure('127.0.0.8'), { port: stack.rtmp, localAddress: '127.0.0.8' }].map(async (options) => {
      const liar = await RtmpClient.tcp(options);
      liar.raw(Buffer.from('PROXY TCP4 203.0.113.9 127.0.0.1 4711 1935\r\n'));
      await liar.handshake().catch(() => {});
      await liar.closed;
    }));
    assert.doesNotMatch(stack.log('nginx'), /203\.0\.113\.9/);
  });

  await t.test('the guard works over TLS as without', async () => {
    const client = await openStream(secure('127.0.0.7'));
    client.setChunkSize(1);
    await client.closed;
    await until(
      () => /guard: .*chunk size 1, expected.*client: 127\.0\.0\.7/.test(stack.log('nginx')),
      'a line about 127.0.0.7',
    );
  });

  await t.test('RTMPS and the page have the same certificate', async () => {
    const peer = (p) => new Promise((resolve, reject) => {
      const socket = tls.connect({ host: '127.0.0.1', port: p, rejectUnauthorized: false }, () => {
        resolve(socket.getPeerCertificate().fingerprint256);
        socket.destroy();
      });
      socket.on('error', reject);
    });
    assert.equal(await peer(port), await peer(stack.https));
  });
});
