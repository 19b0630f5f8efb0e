// Live HLS that reaches back into the recording (modules/http/hls.md, "Reaching back"): a server that records, clients
// that follow a list with a window, and what decoders say of its media.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { HlsSource } from './hls-client.mjs';
import { Report } from './hls-rules.mjs';
import { HlsFollower, HlsStream } from './hls-validator.mjs';
import { HlsClient, startHls } from './hls.mjs';
import { token } from './hub.mjs';
import { until } from './nginx.mjs';
import { run } from './stack.mjs';

export const ALL = 3600;                // a window that is longer than any test

/** startHls() with a small window, that records into `root` what is not named off…; a file lasts `file`. */
export function startBack({ root, file = '5s', main = '', hls = '', ...options }) {
  return startHls({
    main: `hub_grace 3s; hls_window 6s; thread_pool disk threads=2; thread_pool readers threads=2;
      dvr ${root}; dvr_threads disk; dvr_file ${file}; dvr_free 0; dvr_changes 60; ${main}`,
    hls: `hls_history ${root}; hls_history_threads readers; aio threads=readers; ${hls}`,
    answer: ({ NAME }) => ({ allow: true, uid: 7, stream: 3, record: !NAME.startsWith('off') }),
    ...options,
  });
}

/** For the clients of hls-client.mjs; `like` is another source of the same stream. */
export const sourceOf = (hub, stream, { window = ALL, action = 'watch', like } = {}) => new HlsSource(
  `${hub.hlsBase}/m/${token(stream, { a: action })}/${stream}/index.m3u8${window ? `?window=${window}` : ''}`, like);

/** The list that reaches back, and the one of the same moment that does not: how many segments the first has more. */
export async function reachOf(client, window = ALL) {
  const [far, near] = await Promise.all([client.list(`?window=${window}`), client.list()]);
  return near.sequence - far.sequence;
}

/** Follows the list of one window; all that a list names has to be there. */
export class Reacher {
  constructor(hub, stream, { window = ALL, agent = 'reacher', action = 'watch', shared = new HlsStream() } = {}) {
    this.client = new HlsClient(hub, stream, { agent, over: { a: action } });
    this.window = window;
    this.follower = new HlsFollower(shared);
    this.report = this.follower.report;
    this.cut = false;                   // its list may begin later than its window
    this.lists = 0;
    this.recorded = new Set();          // URIs that came from the recording
    this.missing = [];                  // URIs that a list named in vain, with the answer
    this.refused = 0;                   // connections that a worker took with it when it died
  }

  /** A worker that is killed ends its connections. */
  async get(file, options) {
    for (let i = 0; ; i++) {
      try { return await this.client.get(file, options); } catch (error) {
        if (!/ECONNRESET|ECONNREFUSED|socket hang up|aborted/.test(String(error)) || i === 20) throw error;
        this.refused++;
      }
    }
  }

  /** One list, parsed; undefined when there is none. */
  async look({ names = true } = {}) {
    const answer = await this.get(`live.m3u8?window=${this.window}`);
    this.status = answer.status;
    if (answer.status !== 200) return undefined;
    this.lists++;
    const list = this.follower.add(answer.text, { window: this.window, cut: this.cut });
    const files = names ? new Set(list.segments.flatMap(({ uri, map }) => [uri, map.uri])) : [];
    await Promise.all([...files].map(async (uri) => {
      const { status, headers, text } = await this.get(uri, { method: 'HEAD' });
      if (status !== 200) this.missing.push(`${uri}: ${status} ${text}`);
      if (/-r"$/.test(headers.etag)) this.recorded.add(uri);
    }));
    return { ...list, text: answer.text, etag: answer.headers.etag };
  }

  /** Looks until DONE(list) is true; returns that list. */
  until(done, what) {
    return until(async () => {
      const list = await this.look();
      return list && done(list) ? list : undefined;
    }, what);
  }

  /** Looks for MS. */
  async follow(ms) {
    const began = performance.now();
    let list;
    while (performance.now() - began < ms) list = (await this.look()) ?? list;
    return list;
  }

  check() {
    assert.equal(this.report.text, '');
    assert.deepEqual(this.missing, [], 'a list named what was not there');
  }
}

/** Judges one list alone. */
export function judge(text) {
  const report = new Report();
  const list = new HlsFollower(new HlsStream(report)).add(text);
  assert.equal(report.text, '', text);
  return list;
}

// ---- media ------------------------------------------------------------------

/** All of a list as one file, as it is now: init segments where they change, and segments. */
export async function bytesOf(client, list) {
  const chunks = [];
  let map;
  for (const segment of list.segments) {
    for (const uri of segment.map.uri === map ? [segment.uri] : [segment.map.uri, segment.uri]) {
      const { status, body, text } = await client.get(uri);
      assert.equal(status, 200, `${uri}: ${text}`);
      chunks.push(body);
    }
    map = segment.map.uri;
  }
  return Buffer.concat(chunks);
}

async function withFile(bytes, use) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'duolu-back-'));
  const file = path.join(dir, 'media.mp4');
  fs.writeFileSync(file, bytes);
  try { return await use(file); } finally { fs.rmSync(dir, { recursive: true }); }
}

/** What ffmpeg decodes from the bytes: [{kind, pts (s), hash}]; it must not complain. */
export const decoded = (bytes) => withFile(bytes, async (file) => {
  const { stdout, stderr } = await run('ffmpeg', ['-nostdin', '-v', 'error', '-copyts', '-i', file, '-map', '0',
    '-enc_time_base', '-1', '-fps_mode', 'passthrough', '-f', 'framemd5', '-']);
  assert.equal(stderr, '', 'ffmpeg has a complaint');
  const [kinds, bases] = [{}, {}];
  for (const [, i, kind] of stdout.matchAll(/^#media_type (\d+): (\w+)$/gm)) kinds[i] = kind;
  for (const [, i, num, den] of stdout.matchAll(/^#tb (\d+): (\d+)\/(\d+)$/gm)) bases[i] = num / den;
  return stdout.split('\n').filter((line) => /^\d/.test(line)).map((line) => {
    const [i, , pts, , , hash] = line.split(/,\s*/);
    return { kind: kinds[i], pts: pts * bases[i], hash };
  });
});

/** The times (s) of the packets in the bytes, as ffprobe reads them: {video: [dts…], audio: […]}. */
export const packetTimes = (bytes) => withFile(bytes, async (file) => {
  const { stdout, stderr } = await run('ffprobe', ['-v', 'error', '-of', 'csv=p=0', '-show_entries',
    'packet=codec_type,dts_time', file]);
  assert.equal(stderr, '', 'ffprobe has a complaint');
  const times = { video: [], audio: [] };
  for (const [, kind, dts] of stdout.matchAll(/^(video|audio),(-?[\d.]+)/gm)) times[kind].push(Number(dts));
  return times;
});

/** No step between two times is other than `step` (s) by more than `apart`. */
export function steady(times, { step, apart, what }) {
  const wrong = times.findIndex((time, i) => i > 0 && Math.abs(time - times[i - 1] - step) > apart);
  assert.equal(wrong, -1, `${what} ${wrong} of ${times.length} is at ${times[wrong]} s, the one before at `
    + `${times[wrong - 1]} s`);
}
