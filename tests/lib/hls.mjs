// nginx with HLS, publishers for it, and clients of HLS.

import http from 'node:http';
import { endOf, partsOf, readMedia } from './hls-validator.mjs';
import { Report } from './hls-rules.mjs';
import { feed, getBytes, openIn, startHub, token, workerAt } from './hub.mjs';
import { until } from './nginx.mjs';
import { aacFrame, interFrame, keyFrame, openPublisher } from './rtmp.mjs';

/** startHub() with HLS at {{port:hls}}; `hls` are more directives of its location, `listenHls` of its listener. */
export async function startHls({ main = '', http: more = '', hls = '', listenHls = '', ...options } = {}) {
  const hub = await startHub({
    main: `hls_segment 1s; hls_part 200ms; ${main}`,
    http: `${more} server { listen 127.0.0.1:{{port:hls}} backlog=2048 ${listenHls};
      location /m/ { access_token_keys {{dir}}/keys; hub_flv on; hls on; hub_flush 10ms;
        sendfile on; tcp_nopush on; ${hls} } }`,
    ...options,
  });
  hub.hlsBase = `http://127.0.0.1:${hub.nginx.ports.hls}`;
  return hub;
}

/** Publishes NAME with a key frame a second and sound, until stopped: {client, stop()}. */
export async function publish(hub, name, { key = keyFrame(4000), inter = interFrame(800), every = 40, gop = 25 } = {}) {
  const client = await openPublisher(`${name}?key=a`, { ...hub.rtmp, chunkSize: 65536 });
  const source = feed({
    get ended() { return client.ended; },
    sendVideo(dts, body) {
      client.sendVideo(dts, body);
      client.sendAudio(dts, aacFrame());
      client.sendAudio(dts + 20, aacFrame());
    },
  }, { key, inter, every, gop });
  return { client, source, async stop() { source.stop(); await client.close(); } };
}

/** A client of one stream: {status, headers, body, text} for each file. */
export class HlsClient {
  constructor(hub, stream, { over, base = hub.hlsBase, agent = 'test', localAddress } = {}) {
    Object.assign(this, { hub, base: `${base}/m/${token(stream, over)}/${stream}/`, agent, localAddress });
  }

  url(file) { return this.base + file; }

  /** Of the URL: path and query. */
  path(file) {
    const { pathname, search } = new URL(this.url(file));
    return pathname + search;
  }

  async get(file, { headers = {}, ...options } = {}) {
    const answer = await getBytes(this.url(file), {
      headers: { 'user-agent': this.agent, ...headers }, localAddress: this.localAddress, ...options,
    });
    return { ...answer, text: answer.body.toString() };
  }

  /** The playlist for QUERY, parsed; throws unless the answer is 200 and a valid list. */
  async list(query = '') {
    const answer = await this.get(`live.m3u8${query}`);
    if (answer.status !== 200) throw new Error(`live.m3u8${query}: ${answer.status} ${answer.text}`);
    const report = new Report();
    const p = readMedia(answer.text, report);
    if (report.text) throw new Error(`live.m3u8${query}:\n${report.text}\n${answer.text}`);
    const part = p.hints.find(({ TYPE }) => TYPE === 'PART')?.URI;
    return { ...p, headers: answer.headers, text: answer.text, end: endOf(p), parts: partsOf(p), hint: part,
      growing: p.tail?.parts.length ?? 0 };
  }

  /** A list with at least COUNT complete segments. */
  async ready(count = 2) {
    let list;
    await until(async () => {
      const { status } = await this.get('live.m3u8');
      if (status !== 200) return false;
      list = await this.list();
      return list.segments.length >= count;
    }, `${count} segments of ${this.base.replace(/.*\/m\/[^/]+/, '')}`);
    return list;
  }

  /** The answers of all workers for FILE. */
  async getFromAll(file) {
    const { hub } = this;
    const pids = hub.nginx.workers();
    const answers = new Map();
    for (let attempt = 0; answers.size < pids.length; attempt++) {
      const missing = pids.filter((pid) => !answers.has(pid));
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });      // keeps the socket, to see whose it is
      const one = await openIn(hub, missing, attempt, async () => {
        const held = this.hold(file, { agent });
        return { answer: await held.answer, port: held.request.socket.localPort };
      });
      const pid = workerAt(hub, hub.nginx.ports.hls, one.port);
      agent.destroy();
      if (missing.includes(pid)) answers.set(pid, one.answer);
    }
    return [...answers.values()];
  }

  /** A request that the test may abandon: {answer, close()}; the answer is undefined after close(). */
  hold(file, { headers = {}, agent = false } = {}) {
    let request;
    const answer = new Promise((resolve, reject) => {
      request = http.get(this.url(file), { agent, headers: { 'user-agent': this.agent, ...headers } },
        (response) => {
          const chunks = [];
          response.on('data', (data) => chunks.push(data));
          response.on('error', () => resolve(undefined));
          response.on('end', () => {
            const body = Buffer.concat(chunks);
            resolve({ status: response.statusCode, headers: response.headers, body, text: body.toString() });
          });
        });
      request.on('error', (error) => (request.destroyed ? resolve(undefined) : reject(error)));
    });
    return { answer, request, close: () => request.destroy() };
  }
}

/** The directives that ask for the part behind the newest one of LIST, or for one further on. */
export const next = (list, ahead = 0) => `?_HLS_msn=${list.end}&_HLS_part=${list.growing + ahead}`;

/** Part after part as CLIENT gets them: the longest time between two of them, in ms, while `attack` runs. */
export async function slowestPart(client, attack) {
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
