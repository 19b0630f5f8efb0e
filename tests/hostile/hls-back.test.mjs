// Windows of live HLS as attackers and careless players write them, and what they cost: a list is made once for each
// state, however many ask, and an honest viewer is not hurt.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { reachOf, startBack } from '../lib/hls-back.mjs';
import { HlsClient, next, publish, slowestPart } from '../lib/hls.mjs';
import { newFolder } from '../lib/history.mjs';
import { get } from '../lib/hub.mjs';
import { privateKb, until } from '../lib/nginx.mjs';

const DEADLINE = { timeout: 180_000 };
const STREAM = 'live/long';
const DAY = 86_400;
const RECORDERS = 2;                    // threads that write
const skipSizes = process.env.DUOLU_SANITIZE && 'a sanitized build has other sizes';

describe('windows of live HLS', () => {
  const root = newFolder();
  let hub;
  let source;
  let client;

  before(async () => {
    hub = await startBack({ root, workers: 1, file: '1h' });
    source = await publish(hub, 'long');
    client = new HlsClient(hub, STREAM, { agent: 'honest', over: { sub: '99', a: 'watch' } });
    await client.ready(4);
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

  /** How often each thread of the worker has waited: a thread without work waits once. */
  function waits() {
    const [pid] = hub.nginx.workers();
    return new Map(fs.readdirSync(`/proc/${pid}/task`).filter((tid) => Number(tid) !== pid).map((tid) =>
      [tid, /^voluntary_ctxt_switches:\s*(\d+)$/m
        .exec(fs.readFileSync(`/proc/${pid}/task/${tid}/status`, 'utf8'))[1]]));
  }

  test('without a window no thread reads, and there are no rows', DEADLINE, async () => {
    const [from, bytes] = [waits(), await metric('hls_bytes')];
    const viewer = other('viewer', { a: 'view' });
    for (let i = 0; i < 10; i++) {
      await client.list(next(await client.list()));
      assert.equal((await viewer.get(`live.m3u8?window=${DAY}`)).status, 200, 'a token for view has no past');
    }
    const worked = [...waits()].filter(([tid, count]) => from.get(tid) !== count);
    assert.ok(worked.length <= RECORDERS, `${worked.length} threads worked`);
    await client.list(`?window=${DAY}`);
    await until(() => [...waits()].filter(([tid, count]) => from.get(tid) !== count).length > worked.length,
      'a thread to read for a window');
    assert.ok(await metric('hls_bytes') > bytes, 'rows are counted');
  });

  test('a hundred clients with one window take one text for each state', DEADLINE, async (t) => {
    const many = Array.from({ length: 100 }, (_, i) => other(`viewer ${i}`, { sub: String(100 + i) }));
    const { end } = await client.list(`?window=${DAY}`);
    const [bytes, cpu] = [await metric('hls_bytes'), cpuOf(hub.nginx.workers()[0])];
    const answers = await Promise.all(many.map((one) => one.get(`live.m3u8?window=${DAY}&_HLS_msn=${end}`)));
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    const texts = new Map(answers.map(({ headers, text }) => [headers.etag, text]));
    assert.ok(answers.every(({ headers, text }) => texts.get(headers.etag) === text), 'one ETag, one text');
    const grown = await metric('hls_bytes') - bytes;
    const size = answers[0].text.length;
    t.diagnostic(`${texts.size} states of ${size} bytes, ${cpuOf(hub.nginx.workers()[0]) - cpu} ms of CPU, `
      + `${grown} bytes more`);
    assert.ok(texts.size <= 10, `${texts.size} texts`);
    assert.ok(grown < 12 * size + 200_000, `${grown} bytes more, a text has ${size}`);
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
        // what is written into index.m3u8 must be what was meant
        if (status === 200 && file === 'index.m3u8')
          assert.match(text, /^live\.m3u8(\?window=\d{1,6})?$/m, `window=${value.slice(0, 50)}\n${text}`);
      }
    }));
  });

  test('a thousand different windows: bounded memory, and an honest viewer is not hurt', DEADLINE, async (t) => {
    const greedy = other('greedy', { sub: '55' });
    await until(async () => await reachOf(client, DAY) > 3, 'a list that reaches back');
    await greedy.list(`?window=${DAY}`);
    const kb = privateKb(hub.nginx.workers());
    let answered = 0;
    const cpu = cpuOf(hub.nginx.workers()[0]);
    const began = performance.now();
    const slowest = await slowestPart(client, async () => {
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

  test('when nobody asks any more, all of it is freed', DEADLINE, async () => {
    await until(async () => await metric('hls_streams') === 0 && await metric('hls_bytes') === 0, 'no stream, no byte');
  });
});

/** CPU time of a process, ms. */
function cpuOf(pid) {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
  return 10 * (Number(fields[11]) + Number(fields[12]));
}
