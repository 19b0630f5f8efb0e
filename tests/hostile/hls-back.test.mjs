// Windows of live HLS as attackers and careless players write them, and what a list of hours costs: it is made once for
// each state, however many ask, and an honest viewer is not hurt.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, describe, test } from 'node:test';
import zlib from 'node:zlib';
import { lengthen, startBack } from '../lib/hls-back.mjs';
import { HlsClient, next, publish } from '../lib/hls.mjs';
import { newFolder } from '../lib/history.mjs';
import { get } from '../lib/hub.mjs';
import { privateKb, until } from '../lib/nginx.mjs';
import { Recordings } from '../lib/recording.mjs';

const DEADLINE = { timeout: 180_000 };
const STREAM = 'live/long';
const DAY = 86_400;
const HOURS = 9000;                     // segments of a second that are recorded: more than a list may have
const MOST = 8192;
const skipSizes = process.env.DUOLU_SANITIZE && 'a sanitized build has other sizes';

describe('windows of hours', () => {
  const root = newFolder();
  let hub;
  let source;
  let client;

  before(async () => {
    hub = await startBack({ root, workers: 1, file: '1h' });
    source = await publish(hub, 'long');
    await until(() => {
      const [r] = new Recordings(root).files(STREAM);
      return r && /#EXT-X-DUOLU-LIVE/.test(fs.readFileSync(`${root}/${r.replace(/mp4$/, 'm3u8')}`, 'utf8'));
    }, 'a recorded segment');
    lengthen(root, STREAM, HOURS);
    client = new HlsClient(hub, STREAM, { agent: 'honest', over: { sub: '99', a: 'watch' } });
    await client.ready(2);
  });
  after(async () => {
    await source?.stop();
    await hub?.stop();
    fs.rmSync(root, { recursive: true });
  });

  const metric = async (name) => {
    const { text } = await get(`${hub.base}/metrics`);
    const found = new RegExp(`^duolu_${name} (\\d+)$`, 'm').exec(text);
    assert.ok(found, `there is no metric ${name}`);
    return Number(found[1]);
  };
  const other = (agent, over) => new HlsClient(hub, STREAM, { agent, over: { a: 'watch', ...over } });

  /** The longest time between two parts as an honest viewer gets them, ms, while `attack` runs. */
  async function slowestPart(attack) {
    let slowest = 0;
    let ends = false;
    const ended = attack().finally(() => { ends = true; });
    let list = await client.list();
    for (let at = performance.now(); !ends; at = performance.now()) {
      list = await client.list(next(list));
      slowest = Math.max(slowest, performance.now() - at);
    }
    await ended;
    return slowest;
  }

  test('without a window nothing of the recording is read', DEADLINE, async () => {
    for (let i = 0; i < 5; i++) await client.list(next(await client.list()));
    assert.equal(await metric('hls_past_bytes'), 0);
    const viewer = other('viewer', { a: 'view' });
    for (let i = 0; i < 5; i++) assert.equal((await viewer.get(`live.m3u8?window=${DAY}`)).status, 200);
    assert.equal(await metric('hls_past_bytes'), 0, 'nor for a token for view');
  });

  test('a list has 8,192 segments at most', DEADLINE, async (t) => {
    let list;
    await until(async () => (list = await client.list(`?window=${DAY}`)).segments.length > 100, 'a long list');
    const began = performance.now();
    const packed = await client.get(`live.m3u8?window=${DAY}`, { headers: { 'accept-encoding': 'gzip' } });
    t.diagnostic(`${list.segments.length} segments, ${list.text.length} bytes, gzip ${packed.body.length} bytes in `
      + `${Math.round(performance.now() - began)} ms; rows take ${await metric('hls_past_bytes')} bytes`);
    assert.match(zlib.gunzipSync(packed.body).toString(), /^#EXTM3U\n[^]*\n$/);
    assert.ok(list.segments.length > MOST / 2 && list.segments.length <= MOST + 10, `${list.segments.length} segments`);
    const delta = await client.get(`live.m3u8?window=${DAY}&_HLS_skip=YES`);
    assert.ok(delta.text.length < 8000, `a delta update has ${delta.text.length} bytes`);
    assert.match(delta.text, new RegExp(`SKIPPED-SEGMENTS=${list.segments.length - 20}|SKIPPED-SEGMENTS=\\d{4}\n`));
  });

  test('a hundred clients with one window take one text for each state', DEADLINE, async (t) => {
    const many = Array.from({ length: 100 }, (_, i) => other(`viewer ${i}`, { sub: String(100 + i) }));
    const { end } = await client.list();
    const [kb, cpu] = [privateKb(hub.nginx.workers()), cpuOf(hub.nginx.workers()[0])];
    const before_ = await metric('hls_texts_total');
    const answers = await Promise.all(many.map((one) => one.get(`live.m3u8?window=${DAY}&_HLS_msn=${end}`)));
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    const states = new Set(answers.map(({ headers }) => headers.etag)).size;
    const made = await metric('hls_texts_total') - before_;
    t.diagnostic(`${made} texts, ${states} states, ${cpuOf(hub.nginx.workers()[0]) - cpu} ms of CPU, `
      + `${privateKb(hub.nginx.workers()) - kb} KB`);
    assert.ok(states <= 10 && made <= 3 * states + 12, `${made} texts for ${states} states`);
  });

  const ABSURD = ['0', '1', '-1', '+5', '1e9', '0x10', '4294967296', '18446744073709551615', '99999999999999999999',
    '9'.repeat(3000), '0'.repeat(300), '', 'abc', '10s', '1h', '%31%30', '1%00', '10;11', '10,11', '1.5', ' 10',
    '\u00e9', '10&window=20', '10&window', 'YES'];

  test('absurd windows: 200 or 400, and never more than the bounds', DEADLINE, async () => {
    await Promise.all(ABSURD.map(async (value) => {
      for (const file of ['live.m3u8', 'index.m3u8']) {
        const { status, text } = await client.get(encodeURI(`${file}?window=${value}`).replaceAll('%25', '%'));
        assert.ok([200, 400, 414].includes(status), `${file}?window=${value.slice(0, 50)}: ${status} ${text}`);
        if (status === 400) assert.ok(JSON.parse(text).error.length > 20, text);
        assert.ok(status !== 200 || text.split('\n').length < 4 * (MOST + 100), `window=${value.slice(0, 50)}`);
        // what is written into index.m3u8 must be what was meant
        if (status === 200 && file === 'index.m3u8')
          assert.match(text, /^live\.m3u8(\?window=\d{1,6})?$/m, `window=${value.slice(0, 50)}\n${text}`);
      }
    }));
  });

  test('a thousand different windows: bounded memory, and an honest viewer is not hurt', DEADLINE, async (t) => {
    const greedy = other('greedy', { sub: '55' });
    await greedy.list(`?window=${DAY}`);
    const kb = privateKb(hub.nginx.workers());
    let answered = 0;
    const cpu = cpuOf(hub.nginx.workers()[0]);
    const began = performance.now();
    const slowest = await slowestPart(async () => {
      for (let round = 0; round < 50; round++) {
        const asked = Array.from({ length: 20 }, (_, i) => greedy.get(`live.m3u8?window=${8000 - 20 * round - i}`,
          { headers: i % 2 ? { 'accept-encoding': 'gzip' } : {} }));
        for (const { status } of await Promise.all(asked)) {
          assert.ok([200, 429, 503].includes(status), `status ${status}`);
          answered += status === 200 ? 1 : 0;
        }
      }
    });
    const grown = privateKb(hub.nginx.workers()) - kb;
    const ms = Math.round(performance.now() - began);
    t.diagnostic(`${answered} of 1000 answered in ${ms} ms, ${cpuOf(hub.nginx.workers()[0]) - cpu} ms of CPU; a part `
      + `after ${Math.round(slowest)} ms; ${grown} KB more`);
    assert.ok(slowest < 5000, `a part after ${Math.round(slowest)} ms`);
    if (!skipSizes) assert.ok(grown < 40_000, `${grown} KB more`);
  });

  test('when nobody asks for a window any more, its rows are freed', DEADLINE, async () => {
    await until(async () => await metric('hls_past_bytes') === 0 && await metric('hls_bytes') === 0, 'no row, no byte');
  });
});

/** CPU time of a process, ms. */
function cpuOf(pid) {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
  return 10 * (Number(fields[11]) + Number(fields[12]));
}
