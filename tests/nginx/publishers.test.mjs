// The table of publishers: sends all rows of publisher-rows.mjs at once to one
// nginx that records, with a viewer for each.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { replay } from '../lib/clips.mjs';
import { historyLocation, newFolder } from '../lib/history.mjs';
import { get, startHub, token } from '../lib/hub.mjs';
import { lagSince, measureAnswers } from '../lib/lag.mjs';
import { until } from '../lib/nginx.mjs';
import { readPlaylist } from '../lib/playlist.mjs';
import { Recordings, capture, frameOf, plays, sameFrames, wellFormed } from '../lib/recording.mjs';
import { openStream } from '../lib/rtmp.mjs';
import { AUDIO, VIDEO, normal, rows } from './publisher-rows.mjs';

const DEADLINE = { timeout: 120_000 };

/** The frames of a list of tags, with their whole bodies. */
const framesOf = (tags) => tags.flatMap((tag) => {
  const frame = frameOf(tag);
  return frame ? [{ ...frame, body: tag.body }] : [];
});

/** A viewer's frames are the expected ones: each once, in order, at its time, in the same form. */
function sameAsSeen(tags, seen) {
  const came = framesOf(tags);
  // sound alone can be joined at any frame: the first tenths of a second may be missing
  const missed = seen.some(({ type }) => type === VIDEO) ? 0 : seen.length - came.length;
  assert.ok(missed >= 0 && missed < 20, `a viewer has ${came.length} frames, ${seen.length} were sent`);
  seen = seen.slice(missed);
  for (const [what, type] of [['video', VIDEO], ['audio', AUDIO]]) {
    const [have, want] = [came, seen].map((list) => list.filter((frame) => frame.type === type));
    assert.equal(have.length, want.length, `${what} frames that a viewer has`);
    for (const [i, frame] of have.entries()) {
      assert.ok(frame.body.equals(want[i].body), `${what} frame ${i}: ${frame.body.toString('hex', 0, 20)}, `
        + `${frame.body.length} bytes, not ${want[i].body.toString('hex', 0, 20)}, ${want[i].body.length} bytes`);
      assert.equal(frame.dts - came[0].dts, want[i].dts - seen[0].dts, `${what} frame ${i}: dts`);
    }
  }
}

describe('publishers', { concurrency: 12 }, () => {
  let hub;
  let root;

  before(async () => {
    root = newFolder();
    hub = await startHub({
      answer: () => ({ allow: true, uid: 7, stream: 3, record: true }),
      ingest: 'ingest_timeout 15s;',
      main: `thread_pool disk threads=2; dvr_threads disk; dvr ${root}; hub_grace 1s;`,
      listen: `; ${historyLocation(root)}`,
    });
  });
  after(async () => { await hub.stop(); fs.rmSync(root, { recursive: true }); });

  const linesOf = (name) => hub.nginx.log().split('\n').filter((line) => new RegExp(`live/${name}[ :]`).test(line));

  /** Publishes a row until it ends or is refused; returns a viewer's tags. */
  async function sent(row, steps) {
    const client = await openStream(hub.rtmp);
    client.setChunkSize(4096);
    await client.publish(`${row.name}?${row.args ?? 'key=k'}`);
    const viewer = await capture(hub, `live/${row.name}`);
    if (row.ms) measureAnswers(client);
    const plain = () => replay(client, row.change ? row.change(steps) : steps).done;
    const sending = row.publish ? row.publish(client, steps, hub) : plain();
    if (row.wire) {
      sending.catch(() => {});                           // nginx may end it
      const error = ({ values }) => values?.[3]?.level === 'error';
      const { values: [, , , { code, description }] } = await client.wait(error, 'the status that ends it', 60_000);
      assert.equal(code, 'NetStream.Publish.Failed');
      assert.match(description, row.wire);
      await client.closed;
    } else {
      const last = await sending ?? client;
      last.command('closeStream', null);
      await last.status('NetStream.Unpublish.Success');
      await last.close();
    }
    await until(() => viewer.ended, `the viewer of ${row.name} to be ended`);
    assert.equal(viewer.error, undefined);
    return viewer.flv.tags;
  }

  function checkLog(row) {
    const lines = linesOf(row.name);
    const warnings = lines.filter((line) => /\[(warn|error|crit|alert)\]/.test(line));
    const right = [...(row.log ?? []), ...(row.wire ? [row.wire] : [])];
    for (const one of right) {
      assert.equal(warnings.filter((line) => one.test(line)).length, 1, `one line of ${one}: ${warnings.join('\n')}`);
    }
    assert.deepEqual(warnings.filter((line) => !right.some((one) => one.test(line))), [], 'warnings beside');
    const ends = lines.filter((line) => /publish \S+ ended:/.test(line));
    assert.equal(ends.length, row.ends ?? 1, 'one line of each end');
    assert.match(ends.at(-1), row.ended ?? row.wire ?? /ended: closed by the client[, ]/);
  }

  /** The recording has the same frames, and history lists them. */
  async function checkHistory(row, seen) {
    const recordings = new Recordings(root);
    const stream = `live/${row.name}`;
    if (row.history) { await row.history({ recordings, stream, hub, row }); return; }
    const base = `${hub.base}/m/${token(stream, { a: 'replay' })}/rec/${stream}`;
    if (seen.length === 0) {
      assert.deepEqual(recordings.files(stream), []);
      assert.equal((await get(`${base}/index.m3u8`)).status, 404);
      return;
    }
    const [r, ...more] = await recordings.closed(stream);
    assert.deepEqual(more, [], 'one file');
    wellFormed(r);
    sameFrames([r], seen);
    if (row.decode) await plays(r);
    const { status, text } = await get(`${base}/index.m3u8`);
    assert.equal(status, 200, text);
    const { items } = readPlaylist(text);
    const length = items.reduce((sum, { duration }) => sum + duration, 0);
    assert.ok(Math.abs(length - r.end) <= 100, `the history has ${length} ms, the recording ${r.end}`);
  }

  for (const row of rows) {
    test(row.name, DEADLINE, async () => {
      const steps = await (row.stream ?? normal)(row.ms);
      const right = row.seen ? row.seen(steps) : steps;
      const seen = framesOf(right.map(({ tag, stamp }) => ({ ...tag, dts: stamp })));
      const began = performance.now();
      const tags = await sent(row, steps);
      checkLog(row);
      if (row.viewer) row.viewer({ tags, row, lag: lagSince(began) }); else sameAsSeen(tags, seen);
      await checkHistory(row, seen);
    });
  }
});
