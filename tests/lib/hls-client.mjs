// Clients of HLS that do as RFC 8216bis says, and hand all they get to the validator: one for low latency (blocking
// reload, hints, delta updates), and one that knows nothing of parts.
//
//   const source = new HlsSource(url);              of a multivariant playlist, for all clients of one stream
//   const other = new HlsSource(url, source);       of the same stream with another window
//   const client = new LowLatencyClient(source).start();
//   await client.until(() => client.samples > 100, '100 pictures');
//   await client.stop();
//   assert.equal(source.report.text, '');

import crypto from 'node:crypto';
import http from 'node:http';
import zlib from 'node:zlib';
import { HlsMedia } from './hls-media.mjs';
import { HlsFollower, HlsStream, endOf, partsOf, readMultivariant } from './hls-validator.mjs';
import { until } from './nginx.mjs';

const POLL = 500;                       // ms between two reloads of a client that does not block
const TRIES = 200;

/** Status, headers and bytes of a GET on a connection of its own, with the moment of its last byte. */
function fetchBytes(url, { signal, headers = {} } = {}) {
  return new Promise((resolve, reject) => {
    http.get(url, { agent: false, signal, headers }, (response) => {
      const chunks = [];
      response.on('data', (data) => chunks.push(data));
      response.on('error', reject);
      response.on('end', () => {
        const coded = Buffer.concat(chunks);
        const body = response.headers['content-encoding'] === 'gzip' ? zlib.gunzipSync(coded) : coded;
        resolve({ status: response.statusCode, headers: response.headers, body, at: performance.now() });
      });
    }).on('error', reject);
  });
}

function valid(url, answer) {
  if (answer.status !== 200) throw new Error(`${url.pathname}${url.search}: ${answer.status} ${answer.body}`);
  return answer;
}

/** What all clients know of one stream. */
export class HlsSource {
  constructor(url, { stream = new HlsStream(), media = new HlsMedia(stream), inits = new Map() } = {}) {
    Object.assign(this, { url, stream, media, inits, report: stream.report });
  }

  /** The variant of the multivariant playlist as it is now. */
  async variant() {
    const { body } = valid(new URL(this.url), await fetchBytes(this.url));
    return readMultivariant(body, this.report).variants[0];
  }

  /** Each MAP is read once. */
  init(uri, get) {
    if (!this.inits.has(uri)) this.inits.set(uri, get(uri).then(({ body }) => this.media.init(uri, body)));
    return this.inits.get(uri);
  }
}

class Client {
  constructor(source) {
    this.source = source;
    this.follower = new HlsFollower(source.stream);
    this.segments = source.media.chain();
    this.aborted = new AbortController();
    this.lists = 0;
    this.away = 0;                      // blocked reloads that waited in vain
    this.missed = 0;                    // segments or parts that were gone before this client could see them
    this.holes = [];                    // ms of real time that are not in the stream, each once
    this.breaks = 0;
    this.listed = new Map();            // URI: until when it must be there
    this.old = 0;                       // of them, read when the list no longer named them
    this.pictures = [];                 // hashes, from the segments
    this.recorded = 0;                  // segments that came from the recording
    this.cut = false;                   // the list may begin later than its window
  }

  start() {
    this.done = this.run().catch((error) => { if (!this.stopped) this.error = error; });
    return this;
  }

  async stop() {
    this.stopped = true;
    this.aborted.abort();
    await this.done;
    this.check();
  }

  /** Throws the client's error, with what the validator found before. */
  check() {
    if (this.error) throw new Error(`${this.error.message}\n${this.source.report.text}`, { cause: this.error });
  }

  /** Waits for `probe`, or throws. */
  until(probe, what, ms) {
    return until(() => {
      this.check();
      return probe();
    }, what, ms);
  }

  /** A resource that must be there. */
  async get(uri, headers) {
    const url = new URL(uri, this.base);
    return valid(url, await this.ask(url, headers, () => this.list?.ended));
  }

  /**
   * A worker that nobody asked for a stream while it was live does not know it when it has `ended`; then the next
   * connection may come to another worker.
   */
  async ask(url, headers, ended) {
    for (let i = 0; ; i++) {
      const answer = await fetchBytes(url, { signal: this.aborted.signal, headers });
      if (answer.status !== 404 || !ended() || i === TRIES) return answer;
      await new Promise((resolve) => { setTimeout(resolve, 20); });
    }
  }

  async open() {
    this.variant = await this.source.variant();
    this.base = new URL(this.variant.uri, this.source.url);
    if (this.base.searchParams.has('window')) this.window = Number(this.base.searchParams.get('window'));
    this.list = await this.load({});
  }

  async load(request) {
    const url = new URL(this.base);
    const { msn, part, skip } = request;
    for (const [name, value] of [['_HLS_msn', msn], ['_HLS_part', part], ['_HLS_skip', skip ? 'YES' : undefined]])
      if (value !== undefined) url.searchParams.set(name, value);
    const headers = this.lists++ % 2 ? { 'accept-encoding': 'gzip' } : {};
    const answer = await this.ask(url, headers, () => this.list);
    if (answer.status === 503 && msn !== undefined) {       // 6.2.5.2: the publisher is away
      this.away++;
      return this.load(request);
    }
    const { window, cut } = this;
    this.loaded = answer.at;
    return this.follower.add(valid(url, answer).body, { ...request, window, cut });
  }

  /**
   * 6.2.2: reads something that the list no longer names, but that must be there: a segment for as long as the longest
   * list and itself, and a part for three target durations.
   */
  async readOld(list) {
    const now = performance.now();
    const named = new Set([...list.segments, ...partsOf(list)].map(({ uri }) => uri));
    const seconds = list.segments.reduce((n, { duration }) => n + duration, 0);
    for (const { uri } of list.segments)
      if (!this.listed.has(uri)) this.listed.set(uri, now + 1000 * (seconds + list.target));
    for (const { uri } of partsOf(list)) this.listed.set(uri, now + 3000 * list.target);
    for (const [uri, end] of this.listed) {
      if (end > now && !named.has(uri)) {
        await this.get(uri);
        this.old++;
        return;
      }
    }
  }

  /** Reads the segments of a list that are new. */
  async takeSegments(list) {
    for (const segment of list.segments) {
      const { number, map, duration, uri, parts } = segment;
      if (number < (this.next ?? 0)) continue;
      this.missed += number - (this.next ?? number);
      this.next = number + 1;
      this.breaks += segment.discontinuity ? 1 : 0;
      if (this.first !== undefined && segment.hole) this.holes.push(segment.hole);
      this.first ??= number;
      await this.source.init(map.uri, (init) => this.get(init));
      const { body, headers: { etag } } = await this.get(uri);
      const recorded = /-r"$/.test(etag);
      this.recorded += recorded ? 1 : 0;
      const how = { parts: parts.length, independent: list.independent, etag, recorded };
      const tracks = this.segments.segment(segment, body, how);
      this.seconds = (this.seconds ?? 0) + duration;
      this.pictures.push(...this.hashes(tracks, map, body));
    }
  }

  /** Of the pictures, or of the sound's frames if there are none. */
  hashes(tracks, { uri }, body) {
    const main = tracks?.find(({ kind }) => kind === 'video') ?? tracks?.[0];
    const head = this.source.media.inits.get(uri)?.bytes.length;
    return (main?.samples ?? []).map(({ offset, size }) => hashOf(body.subarray(offset - head, offset - head + size)));
  }

  /** Compares the multivariant playlist, as it is now, with the media. */
  async finish(how) {
    this.source.media.finish(await this.source.variant(), { target: this.list.target, ...how });
  }
}

export const hashOf = (bytes) => crypto.createHash('sha1').update(bytes).digest('base64');

/** Knows no parts: it reloads now and then, and reads segments. */
export class PlainClient extends Client {
  async run() {
    await this.open();
    for (;;) {
      await this.takeSegments(this.list);
      if (this.list.ended || this.stopped) return;
      await this.readOld(this.list);
      await new Promise((resolve) => { setTimeout(resolve, POLL).unref(); });
      this.list = await this.load({});
    }
  }
}

/** Holds one reload and one hinted part open, and reads each segment, too, when it is complete. */
export class LowLatencyClient extends Client {
  constructor(source, { delta = true } = {}) {
    super(source);
    this.delta = delta;
    this.parts = source.media.chain();
    this.hints = new Map();             // URI: the answer that is awaited
    this.arrivals = [];                 // {part, at, pictures}: hinted parts
    this.deltas = 0;
  }

  get samples() { return this.parts.samples; }

  async run() {
    await this.open();
    for (;;) {
      this.follow(this.list);
      await this.takeParts(this.list);
      await this.takeSegments(this.list);
      if (this.list.ended || this.stopped) return;
      this.list = await this.load(this.nextOf(this.list));
      this.deltas += this.list.delta ? 1 : 0;
    }
  }

  /**
   * 6.2.5.2: the part behind the last one of the list, or the next segment of a list without parts; a delta update
   * only for a list that is not old (6.3.7).
   */
  nextOf(list) {
    const age = (performance.now() - this.loaded) / 1000;
    const skip = this.delta && age < list.control?.['CAN-SKIP-UNTIL'] / 2;
    const parted = list.tail || list.hints.length > 0;
    return { msn: endOf(list), part: parted ? list.tail?.parts.length ?? 0 : undefined, skip };
  }

  /** Asks for the hinted part, which does not exist yet. */
  follow(list) {
    const hint = list.hints.find(({ TYPE }) => TYPE === 'PART');
    if (!hint || this.hints.has(hint.URI)) return;
    const answer = fetchBytes(new URL(hint.URI, this.base), { signal: this.aborted.signal });
    answer.catch(() => {});
    this.hints.set(hint.URI, answer);
  }

  async takeParts(list) {
    const segments = new Map([...list.segments, ...(list.tail ? [list.tail] : [])].map((s) => [s.number, s]));
    for (const part of partsOf(list)) {
      const { number, index, uri, map } = part;
      const { last } = this.parts;
      if (last && (number < last.number || (number === last.number && index <= last.index))) continue;
      if (last && !this.parts.follows(part)) this.missed++;
      await this.source.init(map.uri, (init) => this.get(init));
      const { body, at } = await this.bytesOf(uri);
      const discontinuity = index === 0 && segments.get(number).discontinuity;
      const tracks = this.parts.part(part, body, { discontinuity });
      if (at !== undefined) this.arrivals.push({ part, at, pictures: this.hashes(tracks, map, body) });
    }
  }

  /** A part's bytes; `at` if it was hinted. */
  async bytesOf(uri) {
    const hinted = await this.hints.get(uri);
    this.hints.delete(uri);
    if (hinted && hinted.status !== 503) return valid(new URL(uri, this.base), hinted);
    return { ...await this.get(uri), at: undefined };
  }
}
