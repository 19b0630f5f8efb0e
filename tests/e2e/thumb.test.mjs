// duolu-thumb by itself: pictures of recordings that ffmpeg made, its errors, and the
// jail around a hostile ffmpeg.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { buildAuth } from '../lib/auth.mjs';
import { fcgi } from '../lib/fcgi.mjs';
import { repo, until } from '../lib/nginx.mjs';
import { readFlv } from '../lib/flv.mjs';
import { picture } from '../lib/picture.mjs';

const READY_MS = 30_000;
const SANITIZER = /ERROR: (Address|Leak)Sanitizer|runtime error:/;
const RED = [255, 0, 0];
const GREEN = [0, 255, 0];
const BLUE = [0, 0, 255];

let dir;
let hostile;

before(() => {
  buildAuth();
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'duolu-thumb-'));
  fs.chmodSync(dir, 0o755);                      // started by root, ffmpeg runs as nobody
  hostile = path.join(dir, 'hostile');
  execFileSync('gcc', [
    '-std=gnu11',
    '-O1',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-o',
    hostile,
    path.join(repo, 'tests/tools/hostile.c'),
  ]);
});

after(() => fs.rmSync(dir, { recursive: true, force: true }));

class Thumb {
  constructor(env = {}) {
    this.home = fs.mkdtempSync(path.join(dir, 'home-'));
    this.rec = path.join(this.home, 'rec');
    fs.mkdirSync(path.join(this.home, 'thumb'));
    fs.mkdirSync(path.join(this.rec, 'live/demo'), { recursive: true });
    this.env = { PATH: process.env.PATH, DUOLU_HOME: this.home, ...env };
    this.lines = [];
  }

  async start() {
    this.child = spawn(path.join(repo, '.build/auth-service-asan/duolu-thumb'), [], {
      env: this.env,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.exited = once(this.child, 'exit');
    createInterface({ input: this.child.stderr }).on('line', (line) => this.lines.push(line));
    await until(
      () => this.child.exitCode !== null || this.log().includes('duolu-thumb ready'),
      'duolu-thumb to be ready',
      READY_MS,
    );
    assert.equal(this.child.exitCode, null, this.log());
    return this;
  }

  log() { return this.lines.join('\n'); }

  async stop() {
    this.child.kill('SIGTERM');
    const [code] = await this.exited;
    assert.equal(code, 0, this.log());
    assert.deepEqual(this.lines.filter((line) => SANITIZER.test(line)), []);
  }

  kill() { if (this.child?.exitCode === null) this.child.kill('SIGKILL'); }

  file(name) { return path.join(this.rec, 'live/demo', name); }

  ask(name, { init, offset, size, user = 1 }) {
    const file = path.isAbsolute(name) ? name : this.file(name);
    const params = { FILE: file, INIT: init, OFFSET: offset, SIZE: size, USER: user };
    return fcgi(path.join(this.home, 'thumb/thumb.sock'), params);
  }

  /** A live stream: the frame is in the body, or there is none, and the last picture is asked for. */
  live(stream, body, { size = body?.length ?? '', since = 0, user = 1 } = {}) {
    const params = { STREAM: stream, SIZE: size, SINCE: since, USER: user };
    return fcgi(path.join(this.home, 'thumb/thumb.sock'), params, body);
  }

  /** A recording whose only fragment is an order for the stand-in of ffmpeg. */
  order(text, { padding = 0, user } = {}) {
    const name = `order-${text.replace(/\W/g, '_').slice(0, 40)}.mp4`;
    const init = box('ftyp', 'vide');
    fs.writeFileSync(this.file(name), Buffer.concat([init, box('moof', ''), box('mdat', `DO:${text}\n`, padding)]));
    return this.ask(name, { init: init.length, offset: init.length, size: fs.statSync(this.file(name)).size, user });
  }

  /** Its child processes. */
  children() {
    const tasks = `/proc/${this.child.pid}/task`;
    return fs.readdirSync(tasks).flatMap((task) => {
      try {
        return fs.readFileSync(`${tasks}/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
      } catch {
        return [];                       // the thread ended meanwhile
      }
    });
  }
}

function box(type, text, padding = 0) {
  const body = Buffer.concat([Buffer.from(text), Buffer.alloc(padding)]);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(body.length + 8);
  head.write(type, 4, 'latin1');
  return Buffer.concat([head, body]);
}

/** One colour after another, a second each, with ffmpeg's own fragments. */
function record(
  file,
  { size = '640x360', codec = ['libx264', '-preset', 'veryfast'], colours = ['red', 'lime', 'blue'] } = {},
) {
  const inputs = colours.flatMap((colour) => ['-f', 'lavfi', '-t', '1', '-i', `color=${colour}:size=${size}:rate=25`]);
  execFileSync('ffmpeg', [
    '-v',
    'error',
    '-nostdin',
    ...inputs,
    '-filter_complex',
    `concat=n=${colours.length}`,
    '-c:v',
    ...codec,
    '-g',
    '25',
    '-pix_fmt',
    'yuv420p',
    '-movflags',
    'frag_keyframe+empty_moov+default_base_moof',
    file,
  ]);
  return layout(file);
}

/** The size of ftyp and moov, and the segments behind them, as an index lists them. */
function layout(file) {
  const bytes = fs.readFileSync(file);
  const boxes = [];
  for (let at = 0; at < bytes.length; at += bytes.readUInt32BE(at)) {
    boxes.push({ type: bytes.toString('latin1', at + 4, at + 8), at, size: bytes.readUInt32BE(at) });
  }
  const moofs = boxes.filter(({ type }) => type === 'moof');
  const init = moofs[0].at;
  return moofs.map(({ at, size }) => ({
    init,
    offset: at,
    size: size + boxes.find((next) => next.at === at + size).size,
  }));
}

function near(rgb, wanted) {
  rgb.forEach((value, i) => assert.ok(Math.abs(value - wanted[i]) < 12, `colour ${rgb}, expected ${wanted}`));
}

/** record() for FLV: each key frame's tag, behind the header and the tags that a decoder needs. */
function recordFlv(file) {
  const inputs = ['red', 'lime', 'blue'].flatMap((colour) => [
    '-f',
    'lavfi',
    '-t',
    '1',
    '-i',
    `color=${colour}:size=640x360:rate=25`,
  ]);
  execFileSync('ffmpeg', [
    '-v',
    'error',
    '-nostdin',
    ...inputs,
    '-filter_complex',
    'concat=n=3',
    '-c:v',
    'libx264',
    '-preset',
    'veryfast',
    '-g',
    '25',
    '-pix_fmt',
    'yuv420p',
    file,
  ]);
  const video = readFlv(fs.readFileSync(file)).tags.filter(({ type }) => type === 9);
  return video
    .filter(({ body }) => body[0] === 0x17 && body[1] === 1)
    .map(({ at, body }) => ({ init: video[1].at, offset: at, size: body.length + 15 }));
}

test('pictures of recordings', async (t) => {
  const thumb = await new Thumb({ DUOLU_DB: 'mysql://nobody@localhost/none?socket=/nowhere' }).start();
  t.after(() => thumb.kill());

  await t.test('each key frame of an FLV gives its picture, other tags give none', async () => {
    const keys = recordFlv(thumb.file('a.flv'));
    assert.equal(keys.length, 3);
    for (const [i, key] of keys.entries()) {
      const answer = await thumb.ask('a.flv', key);
      assert.equal(answer.status, 200, thumb.log());
      near(picture(answer.bytes).rgb, [RED, GREEN, BLUE][i]);
    }
    for (const wrong of [
      { offset: keys[1].offset + 1 },
      { size: keys[1].size - 1 },
      { size: keys[1].size + 1 },
      { init: 0 },
      { offset: 99_999_999 },
    ]) {
      assert.equal((await thumb.ask('a.flv', { ...keys[1], ...wrong })).status, 404, JSON.stringify(wrong));
    }
  });

  await t.test('each key frame gives its picture, 320 wide', async () => {
    const segments = record(thumb.file('a.mp4'));
    const colours = [RED, GREEN, BLUE];
    assert.equal(segments.length, 3);
    for (const [i, segment] of segments.entries()) {
      const answer = await thumb.ask('a.mp4', segment);
      assert.equal(answer.status, 200, thumb.log());
      assert.equal(answer.headers['content-type'], 'image/jpeg');
      assert.equal(Number(answer.headers['content-length']), answer.bytes.length);
      const { width, height, rgb } = picture(answer.bytes);
      assert.deepEqual([width, height], [320, 180]);
      near(rgb, colours[i]);
    }
  });

  await t.test('video of an upright phone, and HEVC', async () => {
    const [segment] = record(thumb.file('upright.mp4'), {
      size: '720x1280',
      colours: ['lime'],
      codec: ['libx265', '-preset', 'ultrafast', '-tag:v', 'hvc1', '-x265-params', 'log-level=none'],
    });
    const answer = await thumb.ask('upright.mp4', segment);
    assert.equal(answer.status, 200, thumb.log());
    const { width, height, rgb } = picture(answer.bytes);
    assert.deepEqual([width, height], [320, 568]);
    near(rgb, GREEN);
  });

  await t.test('a segment being written gives a picture when its fragment is on the disk', async () => {
    const segments = record(thumb.file('growing.mp4'));
    const last = segments[2];
    fs.truncateSync(thumb.file('growing.mp4'), last.offset + last.size);
    assert.equal((await thumb.ask('growing.mp4', last)).status, 200);
    fs.truncateSync(thumb.file('growing.mp4'), last.offset + last.size - 1);
    assert.equal((await thumb.ask('growing.mp4', last)).status, 404);
    assert.equal((await thumb.ask('growing.mp4', segments[1])).status, 200);
  });

  await t.test('a live stream: the frame in the body gives its picture, which stays as the last one', async () => {
    const [first, second] = record(thumb.file('live.mp4'));
    const bytes = fs.readFileSync(thumb.file('live.mp4'));
    const body = ({ init, offset, size }) =>
      Buffer.concat([bytes.subarray(0, init), bytes.subarray(offset, offset + size)]);
    assert.equal((await thumb.live('live/屋顶')).status, 404, 'it has no picture yet');
    for (const [frame, colour] of [[first, RED], [second, GREEN]]) {
      const answer = await thumb.live('live/屋顶', body(frame));
      assert.equal(answer.status, 200, thumb.log());
      near(picture(answer.bytes).rgb, colour);
    }
    const last = await thumb.live('live/屋顶');
    assert.deepEqual([last.status, last.headers['x-accel-expires']], [200, '2']);
    near(picture(last.bytes).rgb, GREEN);

    assert.equal((await thumb.live('live/other')).status, 404, 'of this stream alone');
    const later = { since: 1_800_000_000 };
    assert.equal((await thumb.live('live/屋顶', undefined, later)).status, 404, 'revoked since then');
    assert.equal((await thumb.live('live/屋顶')).status, 404, 'and then deleted');
    assert.deepEqual(fs.readdirSync(path.join(thumb.home, 'thumb/kept')), []);
  });

  await t.test('a live stream: nothing but a whole frame is decoded, and no name is a path', async () => {
    const before = thumb.lines.length;
    assert.equal((await thumb.live('live/a', Buffer.alloc(0), { size: 0 })).status, 503, 'the hub had no frame');
    assert.equal((await thumb.live('live/a', Buffer.from('short'), { size: 6 })).status, 503, 'less than it said');
    for (const size of [9 * 1024 * 1024, -1, 'x', '1x'])
      assert.equal((await thumb.live('live/a', Buffer.from('x'), { size })).status, 404, size);
    assert.equal((await thumb.live('live/a', Buffer.from('no video'))).status, 500);
    assert.match(thumb.lines.slice(before).join('\n'), /no picture of "live\/a" at 0: ffmpeg: /);
    const [frame] = record(thumb.file('name.mp4'), { colours: ['red'] });
    const whole = fs.readFileSync(thumb.file('name.mp4')).subarray(0, frame.offset + frame.size);
    for (const name of ['../../x', 'live/../x', 'live/a/b', '/etc', 'live/', 'x'.repeat(300)])
      assert.equal((await thumb.live(name, whole)).status, 200, `${name}: a picture, which is not kept`);
    assert.deepEqual(fs.readdirSync(path.join(thumb.home, 'thumb/kept')), []);
    assert.deepEqual(fs.readdirSync(thumb.home).sort(), ['rec', 'thumb']);
  });

  await t.test('the last pictures of 4,000 streams are kept, the newest ones', async () => {
    const other = new Thumb();
    t.after(() => other.kill());
    const kept = path.join(other.home, 'thumb/kept');
    const old = new Date('2026-01-01');
    fs.mkdirSync(kept);
    for (let i = 0; i < 4100; i++) {
      fs.writeFileSync(path.join(kept, `live:old${i}`), '0\nx');
      fs.utimesSync(path.join(kept, `live:old${i}`), old, old);
    }
    await other.start();
    const [frame] = record(other.file('many.mp4'), { colours: ['red'] });
    const whole = fs.readFileSync(other.file('many.mp4')).subarray(0, frame.offset + frame.size);
    assert.equal((await other.live('live/new', whole)).status, 200);
    const names = fs.readdirSync(kept);
    assert.deepEqual([names.length, names.includes('live:new')], [4000, true]);
    await other.stop();
  });

  await t.test('a frame that does not exist is 404', async () => {
    const [first] = layout(thumb.file('a.mp4'));
    const end = fs.statSync(thumb.file('a.mp4')).size;
    fs.symlinkSync(path.join(thumb.rec, 'live'), path.join(thumb.rec, 'linked'));
    execFileSync('ffmpeg', ['-v', 'error', '-nostdin', '-f', 'lavfi', '-t', '1', '-i', 'sine', '-c:a', 'aac',
      '-movflags', 'frag_keyframe+empty_moov+default_base_moof', thumb.file('sound.mp4')]);
    for (const [name, frame] of [
      ['none.mp4', first],
      [`${'n'.repeat(300)}.mp4`, first],
      [path.join(thumb.rec, 'linked/demo/a.mp4'), first],
      ['a.mp4/b.mp4', first],
      ['a.mp4', { ...first, offset: first.offset + 1 }],
      ['a.mp4', { ...first, offset: end }],
      ['a.mp4', { ...first, offset: 2 ** 52 }],
      ['a.mp4', { ...first, offset: '18446744073709551615' }],
      ['a.mp4', { ...first, offset: '99999999999999999999' }],
      ['a.mp4', { ...first, offset: -1 }],
      ['a.mp4', { ...first, offset: '' }],
      ['a.mp4', { ...first, offset: `${first.offset}x` }],
      ['a.mp4', { ...first, init: 0 }],
      ['a.mp4', { ...first, init: 70_000, offset: 70_000 }],
      ['a.mp4', { ...first, size: first.size - 1 }],
      ['sound.mp4', layout(thumb.file('sound.mp4'))[0]],
    ]) {
      const answer = await thumb.ask(name, frame);
      assert.equal(answer.status, 404, `${name} ${JSON.stringify(frame)}`);
      assert.equal(answer.json.error, 'not_found');
      assert.equal(answer.headers['cache-control'], 'no-store');
    }
  });

  await t.test('a fragment of more than 8 MB is 404', async () => {
    const init = box('ftyp', 'vide');
    const file = thumb.file('large.mp4');
    fs.writeFileSync(file, Buffer.concat([init, box('moof', ''), box('mdat', '', 8 * 1024 * 1024)]));
    assert.equal((await thumb.ask('large.mp4', { init: init.length, offset: init.length, size: 2 ** 40 })).status, 404);
  });

  await t.test('it reads only recordings', async () => {
    const [segment] = layout(thumb.file('a.mp4'));
    const outside = path.join(thumb.home, 'outside.mp4');
    fs.copyFileSync(thumb.file('a.mp4'), outside);
    fs.mkdirSync(path.join(thumb.rec, '.open'));
    fs.copyFileSync(outside, path.join(thumb.rec, '.open/a.mp4'));
    fs.copyFileSync(outside, thumb.file('a.txt'));
    fs.symlinkSync(outside, thumb.file('link.mp4'));
    fs.mkdirSync(thumb.file('folder.mp4'));
    execFileSync('mkfifo', [thumb.file('pipe.mp4')]);
    const before = thumb.lines.length;
    const wrong = [
      outside,
      `${thumb.rec}/../outside.mp4`,
      `${thumb.rec}/live/../../outside.mp4`,
      `${thumb.rec}x/a.mp4`,
      `${thumb.rec}//live/demo/a.mp4`,
      `${thumb.rec}/./live/demo/a.mp4`,
      `${thumb.rec}/.open/a.mp4`,
      'a.txt',
      'link.mp4',
      'folder.mp4',
      'pipe.mp4',
      '/etc/passwd',
      '/',
      `${thumb.file('x')}\n"forged.mp4/..`,
    ];
    for (const name of wrong) {
      const answer = await thumb.ask(name, segment);
      assert.equal(answer.status, 404, name);
    }
    assert.equal(thumb.lines.length - before, wrong.length, thumb.log());
    assert.match(thumb.log(), /cannot read "[^"]*link\.mp4" at \d+/);
    assert.match(thumb.log(), /\\x0a\\x22forged/);
  });

  await t.test('a damaged frame is 500, and the log has the file, the offset and ffmpeg\'s message', async () => {
    const file = thumb.file('damaged.mp4');
    const [segment] = record(file);
    const bytes = fs.readFileSync(file);
    bytes.fill(0xff, segment.offset + 1200, segment.offset + segment.size);
    fs.writeFileSync(file, bytes);
    const answer = await thumb.ask('damaged.mp4', segment);
    assert.equal(answer.status, 500);
    assert.match(thumb.log(), new RegExp(`no picture of "${file}" at ${segment.offset}: ffmpeg: .*\\w{3}`));
  });

  await t.test('a head that names an unknown codec is 500', async () => {
    const bytes = fs.readFileSync(thumb.file('a.mp4'));
    const [segment] = layout(thumb.file('a.mp4'));
    bytes.write('zzzz', bytes.indexOf('avc1'), 'latin1');
    fs.writeFileSync(thumb.file('codec.mp4'), bytes);
    assert.equal((await thumb.ask('codec.mp4', segment)).status, 500);
    assert.equal((await thumb.ask('a.mp4', segment)).status, 200);
  });

  await t.test('it ends cleanly', () => thumb.stop());
});

test('a hostile ffmpeg', async (t) => {
  const thumb = new Thumb({ DUOLU_THUMB_THREADS: '6' });
  thumb.env.DUOLU_FFMPEG = hostile;
  await thumb.start();
  t.after(() => thumb.kill());
  assert.match(thumb.log(), /jailed by seccomp/);
  const landlock = /and Landlock/.test(thumb.log());

  const secret = path.join(thumb.home, 'secret');
  fs.writeFileSync(secret, 'a secret');

  const works = async () => {
    const answer = await thumb.order('picture');
    assert.equal(answer.status, 200, thumb.log());
    assert.equal(answer.bytes.length, 15);
  };

  /** The log lines about a refused order. */
  const tried = async (name, argument = '') => {
    const answer = await thumb.order(`${name} ${argument}`);
    assert.equal(answer.status, 500, `${name}: ${answer.status}`);
    assert.equal(answer.json.error, 'internal');
    return until(
      () => thumb.lines.find((line) => line.includes(`order-${name.replace('-', '_')}_`)),
      `a log line about ${name}`,
    );
  };

  // these take seconds, so they run beside the others
  const slow = ['hang', 'hang-silently', 'spin'].map((name) => [name, tried(name)]);

  await works();
  for (const name of [
    'socket',
    'unix',
    'netlink',
    'pair',
    'create',
    'write',
    'both',
    'truncate',
    'tmpfile',
    'memfd',
    'mkdir',
    'unlink',
    'rename',
    'link',
    'chmod',
    'fork',
    'vfork',
    'clone',
    'thread',
    'exec',
    'execveat',
    'exec-again',
    'kill',
    'ptrace',
    'peek',
    'mount',
    'unshare',
    'chroot',
    'uid',
    'root',
    'dumpable',
    'bpf',
    'keys',
    'ring',
    'events',
    'dup',
    'pipe',
    'stdin',
    'limit',
    'code',
    'inherit',
  ]) {
    await t.test(`may not: ${name}`, async () => {
      assert.match(
        await tried(name, name === 'create' || name === 'mkdir' ? `${secret}-new` : secret),
        /: (Operation not permitted|Permission denied|Function not implemented)$/,
      );
    });
  }

  for (const name of ['read', 'list', 'proc']) {
    await t.test(`reads nothing but libraries: ${name}`, async () => {
      assert.match(await tried(name, secret), landlock ? /: Permission denied$/ : /: ALLOWED$/);
    });
  }

  await t.test('gets few descriptors and bounded memory', async () => {
    assert.match(await tried('files'), /: Too many open files$/);
    assert.match(await tried('memory'), /: Cannot allocate memory$/);
  });

  await t.test('is killed when it writes too much, as a picture or as messages', async () => {
    assert.match(await tried('flood'), /its picture is larger than 256 KB, and was killed/);
    assert.match(await tried('chatter'), /it wrote more than 64 KB to standard error, and was killed/);
  });

  await t.test('output that is not a JPEG is not passed on', async () => {
    assert.match(await tried('nothing'), /its 0 bytes are not a JPEG/);
    assert.match(await tried('page'), /its 6 bytes are not a JPEG/);
    assert.match(await tried('crash'), /ended by signal 11 \(a crash\)/);
  });

  await t.test('may leave a part of its input unread', async () => {
    const init = box('ftyp', 'vide');
    const file = thumb.file('early.mp4');
    fs.writeFileSync(file, Buffer.concat([init, box('moof', ''), box('mdat', 'DO:picture\n', 6 * 1024 * 1024)]));
    assert.equal((await thumb.ask('early.mp4', { init: init.length, offset: init.length, size: 2 ** 24 })).status, 200);
  });

  assert.equal(fs.readFileSync(secret, 'utf8'), 'a secret');
  assert.equal(fs.existsSync(`${secret}-new`), false);
  await works();
  for (const [name, line] of slow) {
    await t.test(`is ended: ${name}`, async () => {
      assert.match(
        await line,
        name === 'spin' ? /ended by signal 9|was not done in time/ : /it was not done in time, and was killed/,
      );
    });
  }
  await works();
  assert.deepEqual(thumb.children(), []);
  await thumb.stop();
});

test('requests beyond the queue get 503 with Retry-After', async (t) => {
  const thumb = new Thumb({ DUOLU_THUMB_THREADS: '1' });
  thumb.env.DUOLU_FFMPEG = hostile;
  await thumb.start();
  t.after(() => thumb.kill());

  const answers = await Promise.all(Array.from({ length: 30 }, () => thumb.order('slowly')));
  const refused = answers.filter(({ status }) => status === 503);
  // one runs and sixteen wait; a request that comes when the first is done may take its place
  assert.ok(refused.length >= 3, `${answers.map(({ status }) => status)}`);
  for (const { headers, json } of refused) {
    assert.equal(headers['retry-after'], '1');
    assert.equal(json.error, 'busy');
  }
  // the one that ran, and of those that waited as many as a busy machine makes in time
  const made = answers.filter(({ status }) => status === 200);
  assert.ok(made.length >= 2 && made.length + refused.length === 30, `${answers.map(({ status }) => status)}`);
  assert.equal((await thumb.order('picture')).status, 200);
  await thumb.stop();
});

test('one user\'s 200 endless requests do not delay another user', async (t) => {
  const thumb = new Thumb({ DUOLU_THUMB_THREADS: '2' });
  thumb.env.DUOLU_FFMPEG = hostile;
  await thumb.start();
  t.after(() => thumb.kill());

  const refused = [];
  const flood = Array.from({ length: 200 }, () =>
    thumb.order('hang').then(
      ({ status }) => refused.push(status),
      () => {},
    ),
  );
  await until(() => refused.length >= 200 - 2 - 32, 'the flood to have all places');
  assert.equal(thumb.children().length, 2);
  assert.deepEqual([...new Set(refused)], [503]);
  for (let i = 0; i < 3; i++) {
    const answer = await thumb.order('picture', { user: 2 });
    assert.equal(answer.status, 200, answer.text);
  }
  await thumb.stop();
  await Promise.all(flood);
});

test('nginx.conf passes all parameters that duolu-thumb reads', () => {
  const location = fs.readFileSync(path.join(repo, 'conf/nginx.conf.in'), 'utf8').match(/location @thumb \{[^}]*\}/)[0];
  const params = [...location.matchAll(/fastcgi_param (\w+) +\$hub_history_(\w+);/g)].map(([, name, variable]) => [
    name,
    variable,
  ]);
  assert.deepEqual(params, [
    ['FILE', 'file'],
    ['INIT', 'init'],
    ['OFFSET', 'offset'],
    ['SIZE', 'size'],
    ['USER', 'user'],
  ]);
});

for (const signal of ['SIGTERM', 'SIGKILL']) {
  test(`ffmpeg ends with duolu-thumb: ${signal}`, async (t) => {
    const thumb = new Thumb();
    thumb.env.DUOLU_FFMPEG = hostile;
    await thumb.start();
    t.after(() => thumb.kill());
    const asked = thumb.order('hang').then(() => 'answered', () => 'closed');
    const [pid] = await until(() => (thumb.children().length ? thumb.children() : null), 'an ffmpeg');
    thumb.child.kill(signal);
    await thumb.exited;
    assert.equal(await asked, 'closed');
    await until(() => !fs.existsSync(`/proc/${pid}`), `ffmpeg ${pid} to end`);
  });
}

test('duolu-thumb names the setting with which it cannot start', async (t) => {
  for (const [env, message] of [
    [{ DUOLU_FFMPEG: '/nowhere/ffmpeg' }, /\/nowhere\/ffmpeg: No such file or directory; expected the program ffmpeg/],
    [{ DUOLU_FFMPEG: 'ffmpeg' }, /DUOLU_FFMPEG is "ffmpeg"; expected the absolute path/],
    [{ DUOLU_REC: 'rec' }, /DUOLU_REC is "rec"; expected an absolute path/],
  ]) {
    const thumb = new Thumb(env);
    t.after(() => thumb.kill());
    await assert.rejects(thumb.start(), message);
  }
});
