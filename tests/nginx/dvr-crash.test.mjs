// Recordings whose writer dies: a killed worker, a killed nginx, a power cut.  The
// files keep their content, each stream has one session, and players see only a
// gap.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { farHost, launch } from '../browser/browser.mjs';
import { makeClip, plan, replay } from '../lib/clips.mjs';
import { newFolder } from '../lib/history.mjs';
import { openIn, startHub, workerAt } from '../lib/hub.mjs';
import { repo, until } from '../lib/nginx.mjs';
import { framesOf, namesOf, plays, Recordings, sameFrames, Source, wellFormed } from '../lib/recording.mjs';
import { aacHeader, avcHeader, openStream } from '../lib/rtmp.mjs';

const DEADLINE = { timeout: 120_000 };
const VIDEO = 9;
const MAIN = 'thread_pool dvr threads=4; dvr_threads dvr; hub_grace 4s;';
// a fragment of a second, and the ticks until it is being written
const LOST_MS = 1500;
const answer = () => ({ allow: true, uid: 7, stream: 3, record: true });

/** nginx that records into `rec`, a folder that outlives it. */
async function startRecorder(rec) {
  const hub = await startHub({ answer, main: `${MAIN} dvr ${rec};`, flv: 'hub_lag 20s;', expectCrash: true });
  hub.recordings = new Recordings(rec);
  hub.recorded = (name) => until(async () => (await hub.stream(name))?.recording?.bytes > 0, `${name} to be recorded`);
  return hub;
}

const workerOfClient = (hub, client) => workerAt(hub, hub.rtmp.port, client.socket.localPort);

let sources = 100;

/** A Source connected to a worker for which `right` is true; it continues another Source. */
async function sourceIn(hub, name, right, behind) {
  for (let attempt = 0; ; attempt++) {
    const client = await openIn(hub, hub.nginx.workers().filter(right), attempt, () => openStream(hub.rtmp));
    if (!right(workerOfClient(hub, client))) { await client.close(); continue; }
    const stamp = behind?.stamp ?? 0;
    client.setChunkSize(65536);
    await client.publish(`${name}?key=k`);
    client.sendMeta();
    client.sendVideo(stamp, avcHeader());
    client.sendAudio(stamp, aacHeader());
    return Object.assign(new Source(), {
      id: ++sources,
      sent: [],
      size: 500,
      every: 40,
      gop: 25,
      audio: true,
      n: 0,
      stamp,
      heard: stamp,
      hub,
      client,
    });
  }
}

const wait = (source, ms) => {
  const to = source.stamp + ms;
  return until(() => source.stamp >= to, `${ms} ms of pictures`);
};
const eventsOf = (hub, name) => hub.recordings.spool(name).map(({ event, file, state }) => [event, file, state]);

/** In Chromium: the duration of a file or a playlist, and the picture at its end. */
async function lastPicture(name) {
  const video = document.querySelector('video');
  const { default: Hls } = await import('/hls.js');
  const failed = new Promise((_, reject) => {
    video.addEventListener('error', () => reject(new Error(video.error.message)), { once: true });
    if (!name.endsWith('.m3u8')) return;
    const hls = new Hls();
    hls.on(Hls.Events.ERROR, (event, data) => data.fatal && reject(new Error(`${data.type}: ${data.details}`)));
    hls.loadSource(name);
    hls.attachMedia(video);
  });
  if (name.endsWith('.mp4')) video.src = name;
  const come = (event, ready) =>
    ready
      ? undefined
      : Promise.race([
          failed,
          new Promise((resolve) => {
            video.addEventListener(event, resolve, { once: true });
          }),
        ]);
  await come('loadeddata', video.readyState >= 2);
  const { duration } = video;
  video.currentTime = duration - 0.1;
  await come('seeked');
  const canvas = new OffscreenCanvas(32, 18);
  const context = canvas.getContext('2d');
  context.drawImage(video, 0, 0, 32, 18);
  const { data } = context.getImageData(0, 0, 32, 18);
  const colours = new Set();
  for (let at = 0; at < data.length; at += 4) colours.add(`${data[at] >> 4},${data[at + 1] >> 4},${data[at + 2] >> 4}`);
  return { duration, width: video.videoWidth, colours: colours.size };
}

/** Publishes a real encoding until nginx dies or `enough` ms are sent. */
async function broadcast(hub, name, clip, enough) {
  const client = await openStream(hub.rtmp);
  client.setChunkSize(4096);
  client.sendMeta();
  await client.publish(`${name}?key=k`);
  const steps = plan(clip, { to: enough });
  const began = Date.now();
  const { done, stop } = replay(client, steps);
  done.catch(() => {});
  return { name: `live/${name}`, steps, began, stop, client };
}

describe('a writer dies', { concurrency: 2 }, () => {
  describe('a worker is killed', { concurrency: 4 }, () => {
    /** Each test has its own nginx, since it kills a worker. */
    async function withRecorder(run) {
      const rec = newFolder();
      const hub = await startRecorder(rec);
      try { await run(hub); } finally { await hub.stop(); }
      fs.rmSync(rec, { recursive: true });
    }

    test(
      'the recorder’s, with the publisher in another: the file continues, no frame is lost or doubled',
      DEADLINE,
      () =>
        withRecorder(async (hub) => {
          const first = (await sourceIn(hub, 'moved', (pid) => pid)).run();
          const recorder = workerOfClient(hub, first.client);
          await hub.recorded('live/moved');
          await wait(first, 1000);
          await first.stop().client.ping();
          const second = (await sourceIn(hub, 'moved', (pid) => pid && pid !== recorder, first)).run();
          await wait(second, 1300);
          process.kill(recorder, 'SIGKILL');
          await wait(second, 2500);
          await second.end();

          const [r, ...more] = await until(
            async () => (await hub.stream('live/moved')) === undefined && hub.recordings.closed('live/moved'),
            'the end of the stream',
            60_000,
          );
          assert.deepEqual(
            more.map(({ file }) => file),
            [],
            'files besides the first',
          );
          wellFormed(r);
          assert.deepEqual(namesOf(r.frames), namesOf([...first.sent, ...second.sent]));
          const numbers = r.playlist.lives.map(({ number }) => number);
          assert.ok(numbers.at(-1) - numbers[0] <= numbers.length, `at most one of ${numbers} is missing`);
          assert.deepEqual(eventsOf(hub, 'live/moved'), [
            ['open', r.file, undefined],
            ['close', r.file, 'complete'],
          ]);
          await until(() => !hub.recordings.markers().some((name) => name.includes('moved')), 'its marker to be gone');
        }),
    );

    test(
      'and the headers change then: the file keeps the frames of the old ones, a new file has the rest',
      DEADLINE,
      () =>
        withRecorder(async (hub) => {
          const first = (await sourceIn(hub, 'other', (pid) => pid)).run();
          const recorder = workerOfClient(hub, first.client);
          await hub.recorded('live/other');
          await first.stop().client.ping();
          const second = await sourceIn(hub, 'other', (pid) => pid && pid !== recorder, first);
          second.gop = 50;
          second.run();
          await wait(second, 3300); // in the middle of a GOP
          second.client.sendAudio(Math.round(second.heard), Buffer.from([0xaf, 0, 0x11, 0x90])); // 48 kHz
          await second.client.ping();
          process.kill(recorder, 'SIGKILL');
          await wait(second, 2500);
          await second.end();

          const all = await until(
            async () => (await hub.stream('live/other')) === undefined && hub.recordings.closed('live/other', 2),
            'the end of the stream',
            60_000,
          );
          for (const r of all) wellFormed(r);
          assert.deepEqual(
            all.map(({ movie }) => movie.tracks[1].timescale),
            [44100, 48000],
          );
          const names = namesOf(all.flatMap(({ frames }) => frames));
          const key = namesOf(second.sent)[100];
          assert.equal(namesOf(all[1].frames)[0], key, 'the new one begins with the next key frame');
          assert.deepEqual(
            names.slice(names.indexOf(key)),
            namesOf(second.sent).slice(100),
            'and has all that follows',
          );
          assert.equal(new Set(names).size, names.length, 'no frame is doubled');
        }),
    );

    test('just after it had closed the file: the file stays as it is, a new one has the rest', DEADLINE, () =>
      withRecorder(async (hub) => {
        const first = (await sourceIn(hub, 'shut', (pid) => pid)).run();
        const recorder = workerOfClient(hub, first.client);
        await hub.recorded('live/shut');
        await first.stop().client.ping();
        const second = (await sourceIn(hub, 'shut', (pid) => pid && pid !== recorder, first)).run();
        await wait(second, 1300);
        const [marker] = hub.recordings.markers();
        fs.rmSync(path.join(hub.recordings.root, '.open', marker)); // its last step
        process.kill(recorder, 'SIGKILL');
        await until(() => hub.recordings.files('live/shut').length === 2, 'a new file');
        const [shut, went] = hub.recordings.files('live/shut');
        const size = fs.statSync(path.join(hub.recordings.root, shut)).size;
        await wait(second, 1500);
        await second.end();
        const [, r] = await until(
          async () => (await hub.stream('live/shut')) === undefined && hub.recordings.closed('live/shut', 1),
          'the end of the stream',
          60_000,
        );
        wellFormed(r);
        assert.equal(fs.statSync(path.join(hub.recordings.root, shut)).size, size);
        assert.deepEqual(eventsOf(hub, 'live/shut'), [
          ['open', shut, undefined],
          ['open', went, undefined],
          ['close', went, 'complete'],
        ]);
        const names = namesOf(hub.recordings.files('live/shut').flatMap((file) => hub.recordings.read(file).frames));
        assert.equal(new Set(names).size, names.length, 'no frame is doubled');
      }),
    );

    test('and another process has locked the file: the recorder waits, then begins a new one', DEADLINE, () =>
      withRecorder(async (hub) => {
        const first = (await sourceIn(hub, 'lock', (pid) => pid)).run();
        const recorder = workerOfClient(hub, first.client);
        await hub.recorded('live/lock');
        await first.stop().client.ping();
        const second = (await sourceIn(hub, 'lock', (pid) => pid && pid !== recorder, first)).run();
        await wait(second, 1300);
        const [locked] = hub.recordings.files('live/lock');
        const holder = spawn('flock', [path.join(hub.recordings.root, locked), 'sh', '-c', 'echo ready; exec cat'], {
          stdio: ['pipe', 'pipe', 'inherit'],
        });
        await until(
          () => fs.readFileSync('/proc/locks', 'utf8').includes(`-> FLOCK  ADVISORY  WRITE ${holder.pid} `),
          'the recorder to wait for the lock',
        );
        process.kill(recorder, 'SIGKILL');
        await once(holder.stdout, 'data');
        await until(() => hub.recordings.files('live/lock').length === 2, 'a new file');
        await wait(second, 1500);
        await second.end();
        holder.stdin.end();
        await once(holder, 'exit');
        // the locked one is closed too, as interrupted, whichever comes first
        const [, last] = hub.recordings.files('live/lock');
        const close = await until(
          () => eventsOf(hub, 'live/lock').find(([event, file]) => event === 'close' && file === last),
          'the new one to be closed',
          60_000,
        );
        assert.deepEqual(close, ['close', last, 'complete']);
        const names = namesOf(hub.recordings.files('live/lock').flatMap((file) => hub.recordings.read(file).frames));
        assert.equal(new Set(names).size, names.length, 'no frame is doubled');
      }),
    );

    test('the recorder’s, which is the publisher’s: it returns into the same session, after a gap', DEADLINE, () =>
      withRecorder(async (hub) => {
        const first = (await sourceIn(hub, 'back', (pid) => pid)).run();
        await hub.recorded('live/back');
        await wait(first, 2200);
        await first.stop().client.ping();
        process.kill(workerOfClient(hub, first.client), 'SIGKILL');
        await first.client.closed;
        await new Promise((resolve) => setTimeout(resolve, 1600)); // long enough for a gap
        const second = await sourceIn(hub, 'back', (pid) => pid, { stamp: 0 });
        const returned = await second.begin();
        await wait(second, 2500);
        await second.end();

        const files = await until(
          async () => (await hub.stream('live/back')) === undefined && hub.recordings.closed('live/back'),
          'the end of the stream',
          60_000,
        );
        for (const r of files) wellFormed(r);
        assert.equal(new Set(files.map(({ session }) => session)).size, 1, 'one session');
        assert.deepEqual(files.map(({ file }) => file).slice(1), [], 'files besides the first');
        const [r] = files;
        assert.equal(r.playlist.segments.filter(({ gap }) => gap).length, 1, 'one gap');
        assert.deepEqual(namesOf(r.frames), namesOf([...first.sent, ...second.sent]), 'what the hub had, it still has');
        const back = r.playlist.segments.find(({ gap }) => gap);
        assert.ok(
          back.utc > returned.from - 500 && back.utc < returned.to + 500,
          `the gap ends at ${back.utc}, the publisher was back between ${returned.from} and ${returned.to}`,
        );
      }),
    );
  });

  describe('all of nginx dies', () => {
    const NAMES = ['real', 'tail', 'index', 'zeros', 'head', 'both'];
    let hub;
    let clip;
    let rec;
    let copy;
    let killed;
    let streams;
    let browser;

    before(async () => {
      rec = newFolder();
      copy = newFolder();
      [hub, clip, browser] = await Promise.all([startRecorder(rec), makeClip({ seconds: 9 }), launch()]);
      streams = await Promise.all(NAMES.map((name) => broadcast(hub, name, clip, 9000)));
      await Promise.all(streams.map(({ name }) => hub.recorded(name)));
      await until(() => Date.now() - streams[0].began > 4300, 'some seconds of pictures');
      fs.cpSync(rec, copy, { recursive: true });                             // what the disk has when the power goes
      await until(() => Date.now() - streams[0].began > 5100, 'some more');
      killed = Date.now();
      await hub.killAll();
      for (const { stop } of streams) stop();
    });

    after(async () => {
      await browser?.close();
      for (const folder of [rec, copy]) fs.rmSync(folder, { recursive: true });
    });

    /** The frames of a stream that were sent until MS: they begin with those of the file. */
    function beginning({ steps }, r) {
      const sent = framesOf(steps.map(({ tag, stamp }) => ({ ...tag, dts: stamp })));
      const [video, audio] = [r.video.length, r.audio.length];
      sameFrames(
        [r],
        [
          ...sent.filter(({ type }) => type === VIDEO).slice(0, video),
          ...sent.filter(({ type }) => type !== VIDEO).slice(0, audio),
        ],
      );
      return sent.filter(({ type }) => type === VIDEO)[video - 1].dts + 40;
    }

    test('its next start closes all files as interrupted, and at most a second is lost', DEADLINE, async () => {
      const open = new Recordings(rec).spool();
      assert.equal(open.length, NAMES.length, 'an event for each file that was begun');
      const again = await startRecorder(rec);
      const { recordings } = again;
      try {
        for (const stream of streams) {
          const [r, ...more] = await recordings.closed(stream.name);
          assert.equal(more.length, 0);
          assert.equal(r.playlist.interrupted, true);
          const began = open.find((event) => event.stream === stream.name);
          wellFormed(r, { session: began.session });
          const whole = beginning(stream, r);
          const lost = killed - stream.began - whole;
          assert.ok(lost < LOST_MS, `${stream.name}: ${lost} ms before the end are lost`);
          const [first, second, ...rest] = recordings.spool(stream.name);
          assert.deepEqual([first, rest], [began, []]);
          const { id, event, to, bytes, state, reason, ...same } = second;
          assert.deepEqual(
            [id, event, bytes, state, reason],
            [0, 'close', r.bytes.length, 'interrupted', 'the recorder was interrupted'],
          );
          assert.deepEqual({ ...same, event: 'open', id: 3 }, began);
          assert.ok(
            Math.abs(to - r.start - r.end) <= 50,
            `it says that the file ends at ${to}, its frames at ${r.start + r.end}`,
          );
        }
        assert.deepEqual(recordings.markers(), []);
        const [r] = await recordings.closed('live/real');
        await plays(r);

        // the recovered index is the one that the file's fragments imply; these know nothing of HLS
        const lines = (text) => text.split('\n').filter((line) => !/INTERRUPTED|ENDLIST|LIVE/.test(line)).join('\n');
        const before = lines(fs.readFileSync(r.index, 'utf8'));
        fs.rmSync(r.index);
        fs.writeFileSync(path.join(rec, '.open', r.file.replaceAll('/', '%2F')), '');
        await again.nginx.reload();
        await until(() => recordings.spool('live/real').length === 3, 'another end');
        const session = /SESSION=\d+/;
        assert.equal(lines(fs.readFileSync(r.index, 'utf8')).replace(session, ''), before.replace(session, ''));
      } finally {
        await again.stop();
      }
    });

    test('after a power cut whole fragments stay, and they play', DEADLINE, async () => {
      const before = new Recordings(copy);
      const files = Object.fromEntries(NAMES.map((name) => [name, before.files(`live/${name}`)[0]]));
      const change = (file, how) => fs.writeFileSync(file, how(fs.readFileSync(file)));
      const media = (name) => path.join(copy, files[name]);
      const index = (name) => media(name).replace('.mp4', '.m3u8');
      for (const marker of before.markers())
        fs.writeFileSync(path.join(copy, '.open', marker), 'another boot of the machine');
      const zeroed = (bytes) => bytes.fill(0, Math.max(0, bytes.length - 9000) & ~4095);
      change(media('tail'), (bytes) => bytes.subarray(0, -700));
      change(index('index'), (text) => text.subarray(0, -37));
      change(media('zeros'), zeroed);
      change(index('zeros'), zeroed);
      change(media('head'), (bytes) => bytes.subarray(0, 600));
      change(media('both'), (bytes) => bytes.subarray(0, bytes.length >> 1));
      fs.rmSync(index('both'));

      const again = await startRecorder(copy);
      try {
        for (const stream of streams) {
          const name = stream.name.slice(5);
          if (name === 'head') continue;
          const [r] = await again.recordings.closed(stream.name);
          wellFormed(r);
          const whole = beginning(stream, r);
          assert.ok(whole > (name === 'both' ? 1000 : 2000), `${name}: ${whole} ms are whole`);
          await plays(r);
        }
        await until(() => again.recordings.spool('live/head').length === 2, 'the end of what cannot be played');
        const { bytes, state } = again.recordings.spool('live/head')[1];
        assert.deepEqual([bytes, state], [0, 'interrupted']);
        assert.deepEqual(again.recordings.files('live/head'), []);
        await until(() => again.recordings.markers().length === 0, 'no marker to be left');

        const [r] = await again.recordings.closed('live/tail');
        await shows(r);
      } finally {
        await again.stop();
      }
    });

    /** Chromium plays the file directly, and its index by hls.js: both know its duration and show its end. */
    async function shows(r) {
      const type = {
        '.html': 'text/html',
        '.js': 'text/javascript',
        '.m3u8': 'application/vnd.apple.mpegurl',
        '.mp4': 'video/mp4',
      };
      const page = await browser.newPage();
      await page.route(`http://${farHost}/**`, (route) => {
        const name = path.basename(new URL(route.request().url()).pathname);
        const file =
          name === 'hls.js' ? path.join(repo, '.build/html-vendor', name) : path.join(path.dirname(r.path), name);
        const body =
          name === 'page.html'
            ? Buffer.from('<video muted></video>')
            : fs.existsSync(file)
              ? fs.readFileSync(file)
              : undefined;
        if (!body) return route.fulfill({ status: 404 });
        const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(route.request().headers().range ?? '') ?? [];
        const end = to ? Number(to) + 1 : body.length;
        return route.fulfill({
          status: from ? 206 : 200,
          body: body.subarray(Number(from ?? 0), end),
          contentType: type[path.extname(name)],
          headers: from ? { 'content-range': `bytes ${from}-${end - 1}/${body.length}` } : {},
        });
      });
      for (const name of [path.basename(r.path), path.basename(r.index)]) {
        await page.goto(`http://${farHost}/page.html`);
        const seen = await page.evaluate(lastPicture, name);
        assert.ok(
          Math.abs(seen.duration * 1000 - r.end) < 60,
          `${name}: Chromium says ${seen.duration} s, the frames end at ${r.end} ms`,
        );
        assert.equal(seen.width, 320, name);
        assert.ok(seen.colours > 20, `${name}: a picture of ${seen.colours} colours`);
      }
      await page.close();
    }
  });
});
