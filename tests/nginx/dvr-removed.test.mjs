// Recordings whose file is removed while it is written, and recordings whose
// headers change all the time.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startHub } from '../lib/hub.mjs';
import { until } from '../lib/nginx.mjs';
import { Recordings, Source, wellFormed } from '../lib/recording.mjs';
import { aacFrame, avcHeader, keyFrame, openStream } from '../lib/rtmp.mjs';

const DEADLINE = { timeout: 120_000 };
const answer = () => ({ allow: true, uid: 7, stream: 3, record: true });

describe('a recording', { concurrency: 5 }, () => {
  let hub;
  let root;
  let recordings;

  before(async () => {
    hub = await startHub({
      answer,
      main: 'thread_pool dvr threads=2; dvr_threads dvr; dvr {{dir}}/rec; hub_grace 20s;',
    });
    root = path.join(hub.nginx.dir, 'rec');
    recordings = new Recordings(root);
  });
  after(() => hub.stop());

  const removed = (file) =>
    hub.nginx
      .log()
      .split('\n')
      .filter((line) => line.includes(`${file} or its index was removed`)).length;
  const closed = (stream, file) =>
    recordings.spool(stream).find((event) => event.event === 'close' && event.file === file);
  const bytesOf = async (name) => (await hub.stream(`live/${name}`))?.recording?.bytes ?? 0;

  /** A stream that is being recorded, and its file. */
  async function recorded(name) {
    const source = (await Source.open(hub, name)).run();
    await until(async () => await bytesOf(name) > 0, `${name} to be recorded`);
    return { source, file: recordings.files(`live/${name}`)[0] };
  }

  const cases = [
    ['file', (file) => fs.rmSync(path.join(root, file))],
    ['folder', (file) => fs.rmSync(path.dirname(path.dirname(path.join(root, file))), { recursive: true })],
    ['index', (file) => fs.rmSync(path.join(root, file.replace(/mp4$/, 'm3u8')))],
  ];
  for (const [what, remove] of cases) {
    test(`whose ${what} is removed begins a new file, and the removed one is not "complete"`, DEADLINE, async () => {
      const name = `rm-${what}`;
      const stream = `live/${name}`;
      const { source, file } = await recorded(name);
      remove(file);
      const again = await until(() => recordings.files(stream).find((other) => other !== file), 'another file');
      assert.equal(removed(file), 1);
      const before_ = await bytesOf(name);
      await until(async () => await bytesOf(name) > before_, 'more of it');
      assert.equal((await hub.stream(`live/${name}`)).recording.state, 'on');
      await until(() => closed(stream, file), 'the end of what was removed to be told');
      await source.end();
      const { state, bytes } = closed(stream, file);
      assert.equal(state, 'interrupted');
      if (what === 'index') wellFormed(recordings.read(file));
      else assert.deepEqual([bytes, fs.existsSync(path.join(root, file))], [0, false]);
      assert.ok(fs.existsSync(path.join(root, again)));
    });
  }

  test('notices a removed file even while its publisher is away', DEADLINE, async () => {
    const { source, file } = await recorded('rm-grace');
    source.stop().client.socket.destroy();
    await until(async () => (await hub.stream('live/rm-grace')).state === 'grace', 'grace');
    cases[1][1](file);
    await until(() => removed(file) === 1, 'the removal to be noticed');
    await until(() => closed('live/rm-grace', file), 'its end to be told');
    assert.equal(closed('live/rm-grace', file).state, 'interrupted');
  });

  test('whose file is removed just before the stream ends is not "complete" either', DEADLINE, async () => {
    const { source, file } = await recorded('rm-end');
    source.stop();
    cases[0][1](file);
    await hub.control('record?stream=live/rm-end&on=0');
    await until(() => closed('live/rm-end', file), 'its end to be told');
    assert.equal(closed('live/rm-end', file).state, 'interrupted');
  });

  test('gets a few files a minute for headers that change all the time', DEADLINE, async () => {
    const rates = ['af001210', 'af001190'].map((hex) => Buffer.from(hex, 'hex'));
    const client = await openStream(hub.rtmp);
    client.setChunkSize(4096);
    await client.publish('flips?key=k');
    const line =
      /recording of live\/flips has a gap: its headers change more often than the 6 times a minute that dvr_changes/;
    client.sendVideo(0, avcHeader());
    const began = Date.now();
    for (let n = 0; n < 66; n++) {
      client.sendAudio(n * 60, rates[n % 2]);
      client.sendVideo(n * 60, keyFrame());
      client.sendAudio(n * 60 + 5, aacFrame());
      await until(() => Date.now() - began >= n * 60, 'its time');
    }
    await until(() => line.test(hub.nginx.log()), 'the log line');
    await client.ping();
    const files = recordings.files('live/flips').length;
    assert.ok(files >= 3 && files <= 8, `${files} files`);
    assert.equal(hub.nginx.log().split('\n').filter((text) => line.test(text)).length, 1);
    await client.close();
  });
});
