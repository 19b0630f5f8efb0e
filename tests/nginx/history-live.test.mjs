// History of a stream that is live: the recorder writes, history reads, and
// players follow over HTTP, HTTPS and HTTP/2.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http2 from 'node:http2';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { makeClip, plan } from '../lib/clips.mjs';
import { FlvRecording } from '../lib/flv.mjs';
import { countPictures, decodesSilently, historyLocation, newFolder } from '../lib/history.mjs';
import { get, getJson, startHub, token } from '../lib/hub.mjs';
import { pushFfmpeg } from '../lib/media.mjs';
import { until } from '../lib/nginx.mjs';
import { readPlaylist } from '../lib/playlist.mjs';
import { Recordings, Source, replayed } from '../lib/recording.mjs';
import { run } from '../lib/stack.mjs';
import { selfSigned } from '../lib/tls.mjs';

const DEADLINE = { timeout: 120_000 };
const record = () => ({ allow: true, stream: 1, record: true });
const STREAM = 'live/cam1';

/** A GET over HTTP/2: status, headers, bytes. */
function fetch2(session, target, headers = {}) {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':path': target, ...headers });
    const chunks = [];
    let answer;
    stream.on('response', (fields) => { answer = fields; });
    stream.on('data', (data) => chunks.push(data));
    stream.on('end', () => resolve({ status: answer[':status'], headers: answer, body: Buffer.concat(chunks) }));
    stream.on('error', reject);
  });
}

describe('history of a live stream', () => {
  const root = newFolder();
  const tls = fs.mkdtempSync(path.join(os.tmpdir(), 'duolu-tls-'));
  const target = `/m/${token(STREAM, { a: 'replay' })}/rec/${STREAM}`;
  let hub;
  let publisher;
  let from;                                      // of the recording

  before(async () => {
    const pair = selfSigned();
    for (const name of ['crt', 'key']) fs.writeFileSync(path.join(tls, name), pair[name]);
    hub = await startHub({
      answer: record,
      main: `hub_grace 1s; thread_pool disk threads=2; thread_pool readers threads=2; dvr ${root}; dvr_threads disk;`,
      listen: `; listen 127.0.0.1:{{port:https}} ssl http2; ssl_certificate ${tls}/crt; ssl_certificate_key ${tls}/key;
        sendfile on; ${historyLocation(root, { threads: 'readers', more: 'aio threads=readers;' })}`,
    });
    publisher = pushFfmpeg(`rtmp://127.0.0.1:${hub.rtmp.port}/live/cam1?key=a`, { seconds: 10 });
    from = (await until(async () => (await getJson(`${hub.base}${target}/spans.json`)).spans[0], 'the first span'))
      .from;
  });

  after(async () => {
    await publisher.stop();
    await hub.stop();
    for (const dir of [root, tls]) fs.rmSync(dir, { recursive: true });
  });

  const list = async () => {
    const answer = await get(`${hub.base}${target}/index.m3u8?from=${from}`);
    assert.equal(answer.status, 200, answer.text);
    return answer.text;
  };

  test('it is being recorded, and its list only grows at its end', DEADLINE, async () => {
    assert.equal((await getJson(`${hub.base}${target}/spans.json`)).recording, true);
    let text = await list();
    for (let count = 0; count < 2;) {
      const next = await list();
      assert.ok(next.startsWith(text), `the list changed:\n${text}\n---\n${next}`);
      assert.equal(readPlaylist(next).type, 'EVENT');
      count = readPlaylist(next).items.length;
      text = next;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    // nothing was recorded before `from`, so without it the list is the same
    const { status, text: whole } = await get(`${hub.base}${target}/index.m3u8`);
    assert.equal(status, 200);
    assert.ok(whole.startsWith(text), `without \`from\`:\n${whole}`);
  });

  test('ffmpeg follows it from its beginning while it grows, over HTTPS', DEADLINE, async () => {
    const { stderr } = await run('ffmpeg', ['-nostdin', '-v', 'error', '-live_start_index', '0', '-i',
      `https://127.0.0.1:${hub.nginx.ports.https}${target}/index.m3u8?from=${from}`, '-t', '5', '-f', 'null', '-']);
    assert.equal(stderr, '');
  });

  test('playlist, spans and ranges over HTTP/2', DEADLINE, async () => {
    const session = http2.connect(`https://127.0.0.1:${hub.nginx.ports.https}`, { rejectUnauthorized: false });
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => fetch2(session, `${target}/index.m3u8?from=${from}`)),
    );
    const [{ map, file, offset, size }] = readPlaylist(String(answers[0].body)).items;
    for (const { status } of answers) assert.equal(status, 200);
    for (const [begin, length, box] of [[0, map.size, 'ftyp'], [offset, size, 'moof']]) {
      const { status, body } = await fetch2(session, `${target}/${file}`, {
        range: `bytes=${begin}-${begin + length - 1}`,
      });
      assert.deepEqual([status, body.length, body.toString('latin1', 4, 8)], [206, length, box]);
    }
    const left = session.request({ ':path': `${target}/index.m3u8?from=${from}` });
    left.on('error', () => {});
    left.close(http2.constants.NGHTTP2_CANCEL);
    assert.equal((await fetch2(session, `${target}/spans.json`)).status, 200);
    session.close();
  });

  test('after its end the list ends, too, and has every frame', DEADLINE, async () => {
    await publisher.ended;
    let text = await list();
    await until(async () => {
      const next = await list();
      assert.ok(next.startsWith(text), `the list changed:\n${text}\n---\n${next}`);
      text = next;
      return readPlaylist(next).ended;
    }, 'the end of the list');
    assert.equal((await getJson(`${hub.base}${target}/spans.json`)).recording, false);
    const url = `https://127.0.0.1:${hub.nginx.ports.https}${target}/index.m3u8?from=${from}`;
    assert.equal(await countPictures(url), 10 * 25);
    await decodesSilently(url);
  });
});

test('a recording in FLV ends where onMetaData says, whatever the file\'s mtime', DEADLINE, async (t) => {
  const root = newFolder();
  const hub = await startHub({
    answer: record,
    main: `hub_grace 100ms; thread_pool disk threads=2; dvr ${root}; dvr_format flv; dvr_threads disk;`,
    listen: `; location @thumb { return 200
          "$hub_history_file $hub_history_init $hub_history_offset $hub_history_size $hub_history_cache"; }
      ${historyLocation(root, { more: 'hub_history_thumbs @thumb;' })}`,
  });
  t.after(async () => { await hub.stop(); fs.rmSync(root, { recursive: true }); });
  const source = await Source.open(hub, 'flv');
  source.burst(2000);
  await source.end();
  const recordings = new Recordings(root);
  await until(() => recordings.spool('live/flv').some(({ event }) => event === 'close'), 'the end of the recording');
  const [file] = recordings.files('live/flv');
  fs.utimesSync(path.join(root, file), new Date(), new Date(Date.now() + 3_000_000));
  const url = `${hub.base}/m/${token('live/flv', { a: 'replay' })}/rec/live/flv`;
  const { spans } = await getJson(`${url}/spans.json?to=${Date.now() + 3_600_000}`);
  assert.equal(spans.length, 1);
  assert.ok(Math.abs(spans[0].to - spans[0].from - 2000) <= 60, JSON.stringify(spans));
  const answer = await get(`${url}/${file.slice('live/flv/'.length)}`);
  assert.deepEqual([answer.status, answer.text.slice(0, 3)], [200, 'FLV']);

  // its pictures: the newest key frame until then, and the headers that a decoder needs
  const r = new FlvRecording(root, file);
  const keys = r.video.filter(({ key }) => key);
  assert.equal(keys.length, 2);
  const size = (at) => r.bytes.readUIntBE(at + 1, 3) + 15;
  for (const [at, key] of [[0, 0], [keys[1].dts - 1, 0], [keys[1].dts, 1], [1999, 1]]) {
    const found = await get(`${url}/thumb.jpg?at=${r.start + Math.ceil(Math.max(at, keys[0].dts))}`);
    assert.equal(
      found.text,
      `${r.path} ${r.frames[0].at} ${keys[key].at} ${size(keys[key].at)} private, max-age=86400`,
      `at ${at}`,
    );
  }
  assert.equal((await get(`${url}/thumb.jpg?at=${r.start - 1}`)).status, 404);
});

/** The times of all packets of INPUT: {video: [seconds, …], audio: [seconds, …]}. */
async function packets(input) {
  const { stdout, stderr } = await run('ffprobe',
    ['-v', 'error', '-show_entries', 'packet=codec_type,dts_time', '-of', 'csv=p=0', input]);
  assert.equal(stderr, '', `ffprobe about ${input}`);
  const found = { video: [], audio: [] };
  for (const line of stdout.trim().split('\n')) {
    const [type, time] = line.split(',');
    found[type].push(Number(time));
  }
  return found;
}

/** Each of FILES plays alone, from 0; together they have as many packets as ALL. */
async function playAlone(files, all) {
  const sum = { video: 0, audio: 0 };
  for (const file of files) {
    await decodesSilently(file);
    for (const [type, times] of Object.entries(await packets(file))) {
      sum[type] += times.length;
      assert.ok(Math.abs(times[0]) < 0.2, `${file}: its ${type} begins at ${times[0]} s`);
    }
  }
  assert.deepEqual(sum, { video: all.video.length, audio: all.audio.length });
}

test(
  'over the borders of files time continues, with and without B-frames: ffmpeg and VLC show every picture',
  DEADLINE,
  async (t) => {
    const [root, home] = [newFolder(), newFolder()];
    const hub = await startHub({
      answer: record,
      main: `hub_grace 100ms; thread_pool disk threads=2; dvr ${root}; dvr_file 3s; dvr_threads disk;`,
      listen: `; ${historyLocation(root)}`,
    });
    t.after(async () => {
      await hub.stop();
      for (const dir of [root, home]) fs.rmSync(dir, { recursive: true });
    });
    const recordings = new Recordings(root);
    const seconds = 10;
    await Promise.all(
      [
        ['plain', 0],
        ['bframes', 2],
      ].map(async ([name, bframes]) => {
        await replayed(hub, name, plan(await makeClip({ seconds, bframes })));
        const count = recordings.files(`live/${name}`).length;
        assert.ok(count >= 4, `${count} files`);
        await recordings.closed(`live/${name}`, count);
        const url =
          `${hub.base}/m/${token(`live/${name}`, { a: 'replay' })}/rec/live/${name}/index.m3u8` +
          `?from=${Date.now() - 3600_000}&to=${Date.now()}`;
        const { items } = readPlaylist((await get(url)).text);
        assert.equal(new Set(items.map(({ file }) => file)).size, count);
        assert.deepEqual(
          items.filter(({ discontinuity }) => discontinuity),
          [],
          name,
        );

        const all = await packets(url);
        const times = all.video;
        assert.equal(times.length, seconds * 25);
        times
          .slice(1)
          .forEach((time, i) =>
            assert.ok(
              Math.abs(time - times[i] - 0.04) < 0.002,
              `${name}: picture ${i + 1} comes ${time - times[i]} s after the one before`,
            ),
          );
        await playAlone(recordings.files(`live/${name}`).map((one) => path.join(root, one)), all);
        await decodesSilently(url);

        const file = path.join(home, `${name}.ts`);
        const nobody = process.getuid() === 0 ? ['--reuid=nobody', '--regid=nogroup', '--clear-groups'] : [];
        await run('setpriv', [
          ...nobody,
          'env',
          `HOME=${home}`,
          'vlc',
          '-I',
          'dummy',
          '-q',
          '--play-and-exit',
          url,
          '--sout',
          `#std{access=file,mux=ts,dst=${file}}`,
        ]);
        // VLC leaves out some at the end; if it stopped at the first border it would have a third
        const pictures = await countPictures(file, { silent: false });
        assert.ok(pictures > (seconds - 1) * 25, `${name}: VLC passed on ${pictures} pictures`);
      }),
    );
  },
);
