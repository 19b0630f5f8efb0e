// The recovery of FLV recordings (modules/dvr/recover_flv.c), under ASan and
// UBSan, with a real encoding that is cut, has zeroed blocks, or is half closed.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { FlvRecording, flvWellFormed, writeTag } from '../lib/flv.mjs';
import { FlvReader } from '../lib/hub.mjs';
import { Recordings } from '../lib/recording.mjs';
import { Driver, encodeFlv, newMemoryFolder } from '../lib/recover.mjs';

const folder = newMemoryFolder();
const FILE = 'live/demo/2026-11-23/14-00-00.123.flv';
const UTC = Date.parse('2026-11-23T14:00:00.123Z');
const SESSION = UTC - 5000;
const ROOM = 19_456;                        // size of onMetaData with its tag
const MEDIA = 13 + ROOM;
const BLOCK = 4096;

/** onMetaData as a recorder first writes it. */
function openMeta() {
  const name = (text) => Buffer.concat([Buffer.from([0, text.length]), Buffer.from(text)]);
  const number = (key, value) => {
    const v = Buffer.alloc(9);
    v.writeDoubleBE(value, 1);
    return Buffer.concat([name(key), v]);
  };
  const body = Buffer.concat([
    Buffer.from([2]),
    name('onMetaData'),
    Buffer.from([8, 0, 0, 0, 4]),
    number('duration', 0),
    number('filesize', 0),
    number('session', SESSION),
    name('filler'),
    Buffer.from([2]),
  ]);
  const rest = ROOM - 15 - body.length - 2 - 3;
  return writeTag(
    18,
    0,
    Buffer.concat([body, Buffer.from([rest >> 8, rest & 255]), Buffer.alloc(rest, 0x20), Buffer.from([0, 0, 9])]),
  );
}

let driver;
let bytes;                                  // of a file that a recorder has not closed
let ends;                                   // of all tags; the first one ends at MEDIA
let root;
const file = () => path.join(root, FILE);
const marker = () => path.join(root, '.open', FILE.replaceAll('/', '%2F'));

/** Writes the file, marks it as open, and removes all events. */
function put(content) {
  fs.rmSync(path.join(root, '.spool'), { recursive: true, force: true });
  for (const each of [file(), marker()]) fs.mkdirSync(path.dirname(each), { recursive: true });
  fs.writeFileSync(file(), content, { mode: 0o640 });
  fs.writeFileSync(marker(), '');
}

const events = () => new Recordings(root).spool();

const lastEnd = (size) => Math.max(...ends.filter((end) => end <= size));

before(() => {
  driver = Driver.make();
  const flv = new FlvReader({ bodies: true });
  flv.push(encodeFlv({ seconds: 4 }));
  const tags = flv.tags.filter(({ type }) => type !== 18).map(({ type, dts, body }) => writeTag(type, dts, body));
  ends = tags.reduce((list, each) => [...list, list.at(-1) + each.length], [MEDIA]);
  bytes = Buffer.concat([Buffer.from('464c5601050000000900000000', 'hex'), openMeta(), ...tags]);
  root = path.join(folder, 'rec');
});

after(async () => {
  fs.rmSync(folder, { recursive: true });
  await driver?.end();
});

/** Recovers the whole folder, and checks that the file is closed with SIZE bytes. */
async function closes(content, size, what) {
  put(content);
  assert.match(await driver.ask('all', root), /^done/);
  const r = new FlvRecording(root, FILE);
  flvWellFormed(r);
  assert.equal(r.bytes.length, size, what);
  assert.ok(
    r.bytes.subarray(MEDIA).equals(bytes.subarray(MEDIA, size)),
    `${what}: the tags are those that were written`,
  );
  assert.equal(r.meta.session, SESSION);
  const [event, ...more] = events();
  assert.deepEqual(more, []);
  assert.deepEqual(event, {
    event: 'close',
    file: FILE,
    stream: 'live/demo',
    format: 'flv',
    id: 0,
    session: String(SESSION),
    from: UTC,
    to: UTC + Math.round(r.meta.duration * 1000),
    bytes: size,
    state: 'interrupted',
    reason: 'the recorder was interrupted',
  });
  assert.equal(fs.existsSync(marker()), false);
  return r;
}

test('cut at any byte of three tags, and near the borders of all', async () => {
  const cuts = new Set(ends.slice(20).flatMap((end) => [end - 5, end - 1, end, end + 1, end + 11]));
  for (let at = ends[30]; at <= ends[33]; at++) cuts.add(at);
  for (const at of cuts) {
    if (at > bytes.length) continue;
    put(bytes.subarray(0, at));
    const answer = await driver.recover(root, FILE);
    assert.deepEqual(
      [answer.size, answer.cut, answer.session, answer.ended, answer.utc],
      [lastEnd(at), at - lastEnd(at), String(SESSION), 0, UTC],
      `cut at ${at}`,
    );
    assert.equal(fs.statSync(file()).size, lastEnd(at));
  }
  assert.ok(cuts.size > 1000, `${cuts.size} cuts`);
});

test('a cut file is closed: duration, key frames, event', async () => {
  for (const at of [bytes.length, bytes.length - 1, ends[100] + 7, ends[40]])
    await closes(bytes.subarray(0, at), lastEnd(at), `cut at ${at}`);
});

test('the recorder that continues the file learns where each track ended', async () => {
  put(bytes);
  const answer = await driver.recover(root, FILE);
  const r = new FlvRecording(root, FILE);
  assert.deepEqual(answer.dts, [r.video.at(-1).dts, r.audio.at(-1).dts]);
  assert.ok(r.bytes.equals(bytes), 'nothing is changed: it is to go on');
});

test('lost blocks: all before the first one stays', async () => {
  const blocks = [];
  for (let at = Math.ceil(ends[10] / BLOCK) * BLOCK; at + BLOCK < bytes.length; at += 7 * BLOCK) blocks.push(at);
  assert.ok(blocks.length > 3);
  for (const at of blocks)
    await closes(Buffer.from(bytes).fill(0, at, at + BLOCK), lastEnd(at), `a lost block at ${at}`);
  await closes(Buffer.concat([bytes, Buffer.alloc(3 * BLOCK)]), bytes.length, 'zeros behind all of it');
});

test('a tag that is larger than one read is kept whole', async () => {
  const large = Buffer.concat([
    bytes,
    writeTag(9, 5000, Buffer.concat([Buffer.from([0x27, 1, 0, 0, 0]), Buffer.alloc(3_000_000, 0x55)])),
    writeTag(9, 5040, Buffer.from([0x27, 1, 0, 0, 0, 1])),
  ]);
  for (const cut of [0, 1, 30]) {
    put(large.subarray(0, large.length - cut));
    const answer = await driver.recover(root, FILE);
    assert.equal(answer.size, cut === 0 ? large.length : cut === 1 ? large.length - 21 : bytes.length);
  }
});

test('a file that its recorder ended is complete; half ended it is not', async () => {
  const { bytes: closed } = await closes(bytes, bytes.length, 'all of it');
  const states = async (content) => {
    put(content);
    await driver.ask('all', root);
    return events().map(({ state, bytes: size, to }) => [state, size, to]);
  };
  const to = UTC + Math.round(new FlvRecording(root, FILE).meta.duration * 1000);
  assert.deepEqual(await states(closed), [['complete', bytes.length, to]]);
  assert.ok(fs.readFileSync(file()).equals(closed));
  for (const half of [40, 200, 300, 4096 - 13, ROOM - 10]) {
    if (
      closed.subarray(0, 13 + half).equals(bytes.subarray(0, 13 + half)) ||
      closed.subarray(13 + half, MEDIA).equals(bytes.subarray(13 + half, MEDIA))
    )
      continue;
    const content = Buffer.concat([closed.subarray(0, 13 + half), bytes.subarray(13 + half)]);
    assert.deepEqual(
      await states(content),
      [['interrupted', bytes.length, to]],
      `${half} bytes of onMetaData were written`,
    );
    assert.ok(fs.readFileSync(file()).equals(closed), 'and now all of it');
  }
});

test('a file that cannot be played is deleted', async () => {
  const other = Buffer.from(bytes);
  other[13 + 20] ^= 1;
  for (const [what, content] of Object.entries({
    empty: Buffer.alloc(0),
    'a head that is cut': bytes.subarray(0, MEDIA - 1),
    'headers alone': bytes.subarray(0, ends[2]),
    zeros: Buffer.alloc(100_000),
    'another onMetaData': other,
  })) {
    put(content);
    assert.match(await driver.ask('all', root), /^done/);
    assert.equal(fs.existsSync(file()), false, what);
    assert.deepEqual(
      events().map(({ event, state, bytes: size }) => [event, state, size]),
      [['close', 'interrupted', 0]],
      what,
    );
  }
});

test('whichever call to the disk fails, no whole tag is lost and the next recovery finishes', async () => {
  const content = bytes.subarray(0, bytes.length - 30);
  const { bytes: good } = await closes(content, lastEnd(content.length), 'without a fault');
  put(content);
  const calls = Number((await driver.ask('all', root)).split(' ')[1]);
  assert.ok(calls >= 8, `${calls} calls`);
  for (const fault of ['EIO', 'ENOSPC', 'kill']) {
    for (let n = 1; n <= calls; n++) {
      const where = `${fault} at call ${n} of ${calls}`;
      put(content);
      await driver.ask('fault', n, fault);
      assert.match(await driver.ask('all', root), fault === 'kill' ? /^killed$/ : /^done/, where);
      await driver.ask('fault', 0, fault);
      assert.ok(
        fs.readFileSync(file()).subarray(MEDIA, good.length).equals(good.subarray(MEDIA)),
        `${where}: the tags`,
      );
      await driver.ask('all', root);
      assert.ok(fs.readFileSync(file()).equals(good), where);
      assert.equal(events().at(-1).bytes, good.length, where);
      assert.equal(fs.existsSync(marker()), false, where);
    }
  }
});
