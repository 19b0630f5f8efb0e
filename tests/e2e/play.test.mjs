// Playing over RTMP with common players: ffmpeg (the library of ffplay and VLC),
// rtmpdump (librtmp), two of GStreamer, and VLC.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { FlvReader, Viewer, startHub } from '../lib/hub.mjs';
import { pushFfmpeg, start, untilLive } from '../lib/media.mjs';
import { until } from '../lib/nginx.mjs';
import { run, startStack } from '../lib/stack.mjs';

const DEADLINE = { timeout: 240_000 };

/** VLC refuses to be root. */
const asNobody = process.getuid() === 0
  ? ['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups'] : ['setpriv'];

/** Players that write the stream to a file; each runs until it is stopped or the stream ends. */
const PLAYERS = {
  ffmpeg: (url, file) => ['ffmpeg', '-nostdin', '-v', 'error', '-i', url, '-c', 'copy', '-y', file],
  rtmpdump: (url, file) => ['rtmpdump', '-q', '--live', '-r', url, '-o', file],
  rtmpsrc: (url, file) => [
    'gst-launch-1.0',
    '-q',
    'rtmpsrc',
    `location=${url} live=1`,
    '!',
    'flvdemux',
    'name=d',
    'flvmux',
    'name=m',
    'streamable=true',
    '!',
    'filesink',
    `location=${file}`,
    'd.audio',
    '!',
    'queue',
    '!',
    'aacparse',
    '!',
    'm.',
    'd.video',
    '!',
    'queue',
    '!',
    'h264parse',
    '!',
    'm.',
  ],
  rtmp2src: (url, file) => ['gst-launch-1.0', '-q', 'rtmp2src', `location=${url}`, '!', 'filesink', `location=${file}`],
  vlc: (url, file) => [
    ...asNobody,
    'env',
    `HOME=${path.dirname(file)}`,
    'vlc',
    '-I',
    'dummy',
    '-q',
    '--play-and-exit',
    url,
    '--sout',
    `#std{access=file,mux=avformat{mux=flv},dst=${file}}`,
  ],
};

function startPlayers(url) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'duolu-play-'));
  fs.chmodSync(dir, 0o777);
  const players = Object.entries(PLAYERS).map(([name, command]) => {
    const file = path.join(dir, `${name}.flv`);
    const [program, ...args] = command(url, file);
    return {
      name,
      file,
      process: start(program, args),
      size: () => (fs.existsSync(file) ? fs.statSync(file).size : 0),
    };
  });
  return { players, remove: () => fs.rmSync(dir, { recursive: true, force: true }) };
}

const untilHas = (player, size) => until(() => {
  assert.equal(player.process.code, undefined, `${player.name} ended: ${player.process.text}`);
  return player.size() > size;
}, `${player.name} to write ${size} bytes`, 60_000);

async function untilEnded(player) {
  await until(() => player.process.code !== undefined, `${player.name} to end`, 60_000);
  return player.process.code;
}

/** Decodes a capture without any message of ffmpeg; returns its video frames and audio packets. */
async function decoded(player) {
  const { code, stderr } = await run(
    'ffmpeg',
    ['-nostdin', '-v', 'error', '-xerror', '-i', player.file, '-f', 'null', '-'],
    { check: false },
  );
  assert.deepEqual([code, stderr], [0, ''], `${player.name}: ${player.file}`);
  const { stdout } = await run('ffprobe', [
    '-v',
    'error',
    '-of',
    'json',
    '-count_packets',
    '-show_entries',
    'stream=codec_name,nb_read_packets',
    player.file,
  ]);
  return Object.fromEntries(JSON.parse(stdout).streams.map((s) => [s.codec_name, Number(s.nb_read_packets)]));
}

/** An address with an expired token. */
async function expired(stack) {
  const url = await stack.ctl('url', 'admin', 'live/demo', 'view', '--format', 'rtmp', '--ttl', '1');
  const { exp } = JSON.parse(Buffer.from(url.replace(/.*token=/, '').split('.')[1], 'base64url'));
  await until(() => Date.now() / 1000 > exp + 1, 'the token to expire');
  return url;
}

/** nginx-rtmp cuts a name with its token at 255 bytes: url moves the token, or reports that it does not fit. */
async function longNames(stack) {
  const long = `live/${'n'.repeat(44)}`;
  const key = (await stack.ctl('stream', 'add', long, '--owner', 'admin')).match(/(?<![\w-])[\w-]{22}(?![\w-])/)[0];
  const url = await stack.ctl('url', 'admin', long, 'view', '--format', 'rtmp');
  assert.match(url, /\/live\?token=[\w.-]+\/n{44}$/);
  const publisher = pushFfmpeg(`${stack.rtmpUrl}/${long}?key=${key}`);
  try {
    await untilLive(stack, long, publisher);
    await run('ffmpeg', ['-nostdin', '-v', 'error', '-xerror', '-i', url, '-t', '1', '-f', 'null', '-']);
  } finally {
    await publisher.stop();
  }

  const longer = `live/${'n'.repeat(100)}`;
  await stack.ctl('stream', 'add', longer, '--owner', 'admin');
  await assert.rejects(stack.ctl('url', 'admin', longer, 'view', '--format', 'rtmp'),
    /makes a token of \d+ bytes; expected at most 244 for RTMP: use --format flv/);
}

test('each player plays the address of duoluctl, and no other one', DEADLINE, async (t) => {
  const stack = await startStack();
  t.after(() => stack.stop());
  const publisher = pushFfmpeg(`${stack.rtmpUrl}/live/demo?key=${stack.demoKey}`);
  t.after(() => publisher.stop());
  await untilLive(stack, 'live/demo', publisher);
  await stack.ctl('user', 'add', 'viewer', '--password-stdin', { input: 'correct horse battery\n' });
  await stack.ctl('grant', 'viewer', 'live/demo', 'view');
  const url = await stack.ctl('url', 'viewer', 'live/demo', 'view', '--format', 'rtmp');

  const { players, remove } = startPlayers(url);
  t.after(remove);
  for (const player of players) await untilHas(player, 150_000);
  const rows = (await stack.controlGet('/sessions')).sessions.filter(
    (row) => row.protocol === 'rtmp' && row.kind === 'view',
  );
  assert.equal(rows.length, players.length, 'each is a session');
  assert.equal((await untilLive(stack, 'live/demo', publisher)).viewers_by.rtmp, players.length);
  await stack.ctl('user', 'disable', 'viewer');           // only rtmpsrc reconnects, and nginx refuses it
  for (const player of players) {
    await untilEnded(player);
    const packets = await decoded(player);
    assert.ok(packets.h264 > 25 && packets.aac > 25, `${player.name}: ${JSON.stringify(packets)}`);
  }

  const good = await stack.ctl('url', 'admin', 'live/demo', 'view', '--format', 'rtmp');
  const flipped = good.slice(0, -5) + (good.at(-5) === 'A' ? 'B' : 'A') + good.slice(-4);
  for (const [wrong, reason] of [
    [flipped, /wrong token/],
    [good.replace(/\?.*/, ''), /no token/],
    [url, /user disabled/],
    [await expired(stack), /token expired/],
  ]) {
    const { code, stderr } = await run(
      'ffmpeg',
      ['-nostdin', '-v', 'error', '-i', wrong, '-t', '1', '-f', 'null', '-'],
      { check: false },
    );
    assert.notEqual(code, 0);
    assert.match(stderr, reason);
  }
  await longNames(stack);
  const token = good.replace(/.*token=/, '');
  for (const name of fs.readdirSync(path.join(stack.home, 'log'))) {
    assert.ok(!fs.readFileSync(path.join(stack.home, 'log', name), 'utf8').includes(token), `${name} holds a token`);
  }
});

test('each player ends with the stream and has received every frame since it joined', DEADLINE, async (t) => {
  const hub = await startHub({ ingest: 'hub_play on;', main: 'hub_grace 1s;' });
  t.after(() => hub.stop());
  const publisher = pushFfmpeg(`rtmp://127.0.0.1:${hub.rtmp.port}/live/whole?key=a`,
    { seconds: 10, bframes: 2, gop: 250 });
  t.after(() => publisher.stop());
  await until(async () => (await hub.stream('live/whole'))?.video === 'h264', 'the stream', 60_000);
  const viewer = await Viewer.open(hub.url('live/whole'), new FlvReader());
  const { players, remove } = startPlayers(`rtmp://127.0.0.1:${hub.rtmp.port}/live/whole?token=t`);
  t.after(remove);
  await until(() => viewer.ended, 'the FLV viewer to end', 60_000);
  const media = (type) => viewer.flv.tags.filter((tag) => tag.type === type && !tag.config).length;

  for (const player of players) {
    const code = await untilEnded(player);
    const packets = await decoded(player);
    assert.equal(code, 0, `${player.name}: ${player.process.text}`);
    // the stream is one GOP, so all players began with the same frame
    assert.deepEqual([player.name, packets.h264], [player.name, media(9)]);
    assert.ok(packets.aac >= media(8) - 10,             // VLC's packetizer keeps the last for itself
      `${player.name}: ${packets.aac} of ${media(8)} audio frames`);
  }
});
