// Sequence headers that no decoder accepts: their track is left out of the
// recording, and the other one is complete.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { FlvRecording, flvWellFormed } from '../lib/flv.mjs';
import { newFolder } from '../lib/history.mjs';
import { startHub } from '../lib/hub.mjs';
import { until } from '../lib/nginx.mjs';
import { Recordings, plays, wellFormed } from '../lib/recording.mjs';
import { aacFrame, aacHeader, avcHeader, interFrame, keyFrame, openStream } from '../lib/rtmp.mjs';

const DEADLINE = { timeout: 60_000 };
const answer = () => ({ allow: true, uid: 7, stream: 3, record: true });
const VIDEO = 9;
const AUDIO = 8;

const cases = [
  { what: 'AAC of a reserved rate', name: 'rate', audio: Buffer.from('af001690', 'hex'), type: VIDEO },
  { what: 'AAC whose header is cut', name: 'cut', audio: Buffer.from('af0012', 'hex'), type: VIDEO },
  {
    what: 'H.265 whose header has no SPS',
    name: 'sps',
    video: Buffer.concat([Buffer.from('9068766331', 'hex'), Buffer.from([1]), Buffer.alloc(22)]),
    hevc: true,
    type: AUDIO,
  },
];

for (const format of ['mp4', 'flv']) {
  describe(`invalid headers, ${format}`, { concurrency: true }, () => {
    let hub;
    let rec;
    before(async () => {
      rec = newFolder();
      hub = await startHub({
        answer,
        main: `thread_pool dvr threads=2; dvr_threads dvr; dvr ${rec}; dvr_format ${format}; hub_grace 1s;`,
      });
    });
    after(async () => { await hub.stop(); fs.rmSync(rec, { recursive: true }); });

    for (const { what, name, video = avcHeader(), audio = aacHeader(), hevc, type } of cases) {
      test(what, DEADLINE, async () => {
        const client = await openStream(hub.rtmp);
        client.setChunkSize(4096);
        await client.publish(`${name}?key=k`);
        client.sendVideo(0, video);
        client.sendAudio(0, audio);
        const picture = (body) =>
          hevc
            ? Buffer.concat([Buffer.from([body[0] === 0x17 ? 0x93 : 0xa3]), Buffer.from('hvc1'), body.subarray(5)])
            : body;
        for (let n = 0; n < 50; n++) {
          client.sendVideo(n * 40, picture(n % 25 ? interFrame() : keyFrame()));
          client.sendAudio(n * 40 + 5, aacFrame());
        }
        await client.ping();
        await client.close();

        const recordings = new Recordings(rec);
        await until(
          () => recordings.spool(`live/${name}`).some(({ event }) => event === 'close'),
          'its file to be closed',
        );
        const [file, ...more] = recordings.files(`live/${name}`);
        assert.deepEqual(more, []);
        const r = format === 'mp4' ? recordings.read(file) : new FlvRecording(rec, file);
        if (format === 'mp4') wellFormed(r); else flvWellFormed(r);
        assert.equal(r.of(type).length, 50, 'what makes sense is there');
        assert.equal(r.of(VIDEO + AUDIO - type).length, 0, 'and nothing else');
        if (format === 'mp4') await plays(r);
      });
    }
  });
}
