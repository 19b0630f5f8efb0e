// HLS: a segment that several ask for is a file in memory, which plain connections are sent without a copy.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { HlsClient, publish, startHls } from '../lib/hls.mjs';
import { get, getBytes, startHub } from '../lib/hub.mjs';
import { until } from '../lib/nginx.mjs';
import { interFrame, keyFrame } from '../lib/rtmp.mjs';
import { selfSigned, tlsListen } from '../lib/tls.mjs';

const DEADLINE = { timeout: 120_000 };
const STREAM = 'live/large';

/** Body of a GET over TLS. */
const overTls = (url, headers) => new Promise((resolve, reject) => {
  https.get(url, { agent: false, rejectUnauthorized: false, headers }, (response) => {
    const chunks = [];
    response.on('data', (data) => chunks.push(data));
    response.on('end', () => resolve(Buffer.concat(chunks)));
  }).on('error', reject);
});

/** The same over HTTP/2. */
const overHttp2 = (url, headers) => new Promise((resolve, reject) => {
  const { origin, pathname } = new URL(url);
  const session = http2.connect(origin, { rejectUnauthorized: false }).on('error', reject);
  const chunks = [];
  session.request({ ':path': pathname, ...headers })
    .on('data', (data) => chunks.push(data))
    .on('error', reject)
    .on('end', () => { session.close(); resolve(Buffer.concat(chunks)); });
});

/** Files in memory that the hub's only worker has open. */
function filesOpen(hub) {
  const [pid] = hub.nginx.workers();
  return fs.readdirSync(`/proc/${pid}/fd`)
    .filter((fd) => fs.readlinkSync(`/proc/${pid}/fd/${fd}`).includes('memfd:duolu-hls')).length;
}

/** Publishes the stream, with segments of 60 KB a second. */
const publishLarge = (hub) => publish(hub, 'large', { key: keyFrame(20_000), inter: interFrame(1_500) });

describe('HLS of large segments', () => {
  let hub;
  let source;
  let client;

  before(async () => {
    const location = 'location /m/ { access_token_keys {{dir}}/keys; hls on; hub_flush 10ms;';
    hub = await startHls({
      workers: 1, main: 'hub_grace 60s; thread_pool files threads=2;', files: selfSigned(),
      http: `server { listen 127.0.0.1:{{port:copied}}; ${location} } }
        server { listen 127.0.0.1:{{port:threads}}; ${location} sendfile on; aio threads=files; } }
        server { listen 127.0.0.1:{{port:tls}}${tlsListen().replace(/^; listen \S+/, '')}; ${location} sendfile on; } }
        server { listen 127.0.0.1:{{port:h2}}${tlsListen('http2').replace(/^; listen \S+/, '')};
          ${location} sendfile on; } }`,
    });
    source = await publishLarge(hub);
    client = new HlsClient(hub, STREAM);
    await client.ready(3);
  });

  after(async () => {
    await source?.stop();
    await hub?.stop();
  });

  const metric = async (name) => {
    const { text } = await get(`${hub.base}/metrics`);
    return Number(new RegExp(`^duolu_${name} (\\d+)$`, 'm').exec(text)[1]);
  };

  /** {name: body} of FILE by all ways to send it. */
  async function allWays(file, headers = {}) {
    const { ports } = hub.nginx;
    const at = (scheme, port) => `${scheme}://127.0.0.1:${port}${client.path(file)}`;
    return {
      'a file': (await client.get(file, { headers })).body,
      'a copy': (await getBytes(at('http', ports.copied), { headers })).body,
      threads: (await getBytes(at('http', ports.threads), { headers })).body,
      TLS: await overTls(at('https', ports.tls), headers),
      'HTTP/2': await overHttp2(at('https', ports.h2), headers),
    };
  }

  test('the bytes are the same by sendfile, by a copy, with threads, over TLS and HTTP/2, in ranges, too',
    DEADLINE, async () => {
      const segment = (await client.list()).segments.at(-1);
      const parts = await Promise.all(segment.parts.map(({ uri }) => client.get(uri)));
      const whole = Buffer.concat(parts.map(({ body }) => body));
      assert.ok((await client.get(segment.uri)).body.equals(whole));
      const [before_, bytes] = [filesOpen(hub), await metric('hls_bytes')];
      assert.ok((await client.get(segment.uri)).body.equals(whole));
      assert.equal(filesOpen(hub), before_ + 1, 'the second request makes a file');
      assert.ok(await metric('hls_bytes') < bytes + whole.length / 2, 'and its parts are no longer held');
      const [first, second] = parts.map(({ body }) => body.length);
      const last = whole.length - 1;
      const ranges = [[0, last], [first + 7, last - 9], [first - 1, first], [first, first + second - 1], [last, last]];
      for (const [from, to] of ranges) {
        const bodies = await allWays(segment.uri, { range: `bytes=${from}-${to}` });
        for (const [way, body] of Object.entries(bodies))
          assert.ok(body.equals(whole.subarray(from, to + 1)), `${way}, bytes ${from} to ${to}: ${body.length} bytes`);
      }
      for (const [way, body] of Object.entries(await allWays(segment.parts[1].uri)))
        assert.ok(body.equals(parts[1].body), way);
      assert.equal((await client.get(segment.uri, { method: 'HEAD' })).body.length, 0);
    });

  test('a client that reads late gets its bytes whole, although their file is closed', DEADLINE, async () => {
    const file = (await client.list()).segments.at(-1).uri;
    const { body } = await client.get(file);
    await client.get(file);
    assert.ok(filesOpen(hub) > 0);
    const socket = net.connect(hub.nginx.ports.hls, '127.0.0.1');
    socket.pause();
    socket.write(`GET ${client.path(file)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    await until(async () => await metric('hls_bytes') === 0, 'no byte for HLS', 60_000);
    assert.equal(filesOpen(hub), 0);
    const other = new HlsClient(hub, STREAM, { agent: 'other' });
    const { segments } = await other.list();
    for (const { uri } of [...segments, ...segments]) await other.get(uri);    // takes pages that are free
    assert.ok(filesOpen(hub) > 0);

    const chunks = [];
    socket.on('data', (data) => chunks.push(data));
    await new Promise((resolve) => { socket.on('close', resolve).resume(); });
    const answer = Buffer.concat(chunks);
    assert.ok(answer.subarray(answer.indexOf('\r\n\r\n') + 4).equals(body));
  });
});

test('as shipped: a segment goes out from a file, without the headers that a page needs', DEADLINE, async (t) => {
  const main = 'thread_pool history threads=1;';
  const hub = await startHub({ shipped: true, workers: 1, main, files: selfSigned() });
  t.after(() => hub.stop());
  const source = await publishLarge(hub);
  t.after(() => source.stop());
  const client = new HlsClient(hub, STREAM, { base: hub.base });
  const { uri } = (await client.ready(2)).segments.at(-1);
  const answers = [];
  for (let i = 0; i < 3; i++) answers.push(await client.get(uri));
  assert.equal(filesOpen(hub), 1);
  for (const { status, headers, body } of answers) {
    assert.equal(status, 200);
    assert.ok(body.equals(answers[0].body));
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['content-security-policy'], undefined);
  }
});
