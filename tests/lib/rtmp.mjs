// A raw RTMP client for tests: it can send any byte, and has the server's
// messages.  No dependencies.
//
//   const c = await RtmpClient.open({ port, app: 'live' });   // TCP + handshake
//   await c.connect(); await c.createStream(); await c.publish('demo?key=x');
//   c.sendVideo(0, avcHeader()); c.sendVideo(40, keyFrame()); c.sendAudio(0, aacHeader());
//   await c.status('NetStream.Publish.Start');  // an onStatus; rejects on another error status
//   await c.wait((m) => m.type === MSG.VIDEO);  // first matching message, removed from the inbox
//   await c.closed;                             // {bytes, error} when the server ends it
//   c.raw(chunk({ csid: 4, type: 8, payload }));  c.send({ type, payload, timestamp })

import net from 'node:net';
import { until } from './nginx.mjs';
import tls from 'node:tls';

export const MSG = {
  CHUNK_SIZE: 1, ABORT: 2, ACK: 3, USER: 4, ACK_SIZE: 5, BANDWIDTH: 6, AUDIO: 8, VIDEO: 9,
  AMF3_META: 15, AMF3_SHARED: 16, AMF3_CMD: 17, META: 18, SHARED: 19, CMD: 20, AGGREGATE: 22,
};

const DEADLINE = 30_000;
const EXTENDED = 0xffffff;
const HANDSHAKE = 1536;

// ---- AMF0 ---------------------------------------------------------------

class Amf {
  constructor(bytes) { this.bytes = bytes; }
}

const u16 = (n) => Buffer.from([n >> 8 & 255, n & 255]);
const u24 = (n) => Buffer.from([n >>> 16 & 255, n >>> 8 & 255, n & 255]);
const u32 = (n) => { const b = Buffer.alloc(4); b.writeUInt32BE(n >>> 0); return b; };

function amfBody(object) {
  const parts = [];
  for (const [key, value] of Object.entries(object)) {
    parts.push(u16(Buffer.byteLength(key)), Buffer.from(key), amfEncode(value));
  }
  parts.push(Buffer.from([0, 0, 9]));
  return Buffer.concat(parts);
}

/** One JS value as AMF0: number, boolean, string, null, undefined, array, object or amf.*. */
export function amfEncode(...values) {
  return Buffer.concat(values.map((v) => {
    if (v instanceof Amf) return v.bytes;
    if (v === null) return Buffer.from([5]);
    if (v === undefined) return Buffer.from([6]);
    if (typeof v === 'number') { const b = Buffer.alloc(9); b.writeDoubleBE(v, 1); return b; }
    if (typeof v === 'boolean') return Buffer.from([1, v ? 1 : 0]);
    if (typeof v === 'string') return Buffer.concat([Buffer.from([2]), u16(Buffer.byteLength(v)), Buffer.from(v)]);
    if (Array.isArray(v)) return Buffer.concat([Buffer.from([10]), u32(v.length), ...v.map((e) => amfEncode(e))]);
    return Buffer.concat([Buffer.from([3]), amfBody(v)]);
  }));
}

export const amf = {
  raw: (bytes) => new Amf(Buffer.from(bytes)),
  ecma: (object) => new Amf(Buffer.concat([Buffer.from([8]), u32(Object.keys(object).length), amfBody(object)])),
  date: (ms) => { const b = Buffer.alloc(11); b[0] = 11; b.writeDoubleBE(ms, 1); return new Amf(b); },
  longString: (s) => new Amf(Buffer.concat([Buffer.from([12]), u32(Buffer.byteLength(s)), Buffer.from(s)])),
};

/** All AMF0 values in a buffer, up to one that cannot be read. */
export function amfDecode(buffer) {
  let at = 0;
  const string = (length) => { const s = buffer.toString('utf8', at, at + length); at += length; return s; };
  const object = () => {
    const result = {};
    while (at + 3 <= buffer.length) {
      const length = buffer.readUInt16BE(at); at += 2;
      if (length === 0 && buffer[at] === 9) { at++; break; }
      const key = string(length);
      result[key] = value();
    }
    return result;
  };
  const value = () => {
    const type = buffer[at++];
    switch (type) {
      case 0: at += 8; return buffer.readDoubleBE(at - 8);
      case 1: return buffer[at++] !== 0;
      case 2: at += 2; return string(buffer.readUInt16BE(at - 2));
      case 3: return object();
      case 5: return null;
      case 6: return undefined;
      case 8: at += 4; return object();
      case 10: { at += 4; return Array.from({ length: buffer.readUInt32BE(at - 4) }, value); }
      case 11: at += 10; return new Date(buffer.readDoubleBE(at - 10));
      case 12: at += 4; return string(buffer.readUInt32BE(at - 4));
      default: throw new RangeError(`AMF0 type ${type} at ${at - 1}`);
    }
  };
  const values = [];
  try {
    while (at < buffer.length) values.push(value());
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return values;
}

// ---- chunks -------------------------------------------------------------

export function basicHeader(fmt, csid) {
  if (csid < 64) return Buffer.from([fmt << 6 | csid]);
  if (csid < 320) return Buffer.from([fmt << 6, csid - 64]);
  return Buffer.from([fmt << 6 | 1, csid - 64 & 255, csid - 64 >> 8]);
}

/** A chunk's header; `length` is the message length it announces. */
export function chunkHeader({ fmt = 0, csid = 3, timestamp = 0, length = 0, type = 0, msid = 0 }) {
  const parts = [basicHeader(fmt, csid)];
  const extended = timestamp >= EXTENDED;
  if (fmt <= 2) parts.push(u24(extended ? EXTENDED : timestamp));
  if (fmt <= 1) parts.push(u24(length), Buffer.from([type]));
  if (fmt === 0) { const b = Buffer.alloc(4); b.writeUInt32LE(msid); parts.push(b); }
  if (extended && fmt <= 2) parts.push(u32(timestamp));
  return Buffer.concat(parts);
}

/**
 * A whole message as chunks.  `timestamp` is a delta for fmt 1 and 2.  The
 * extended timestamp is repeated in continuation chunks unless repeat is false.
 */
export function chunk({
  fmt = 0, csid = 3, timestamp = 0, type, msid = 0, payload = Buffer.alloc(0), chunkSize = 128, repeat = true,
}) {
  const parts = [chunkHeader({ fmt, csid, timestamp, length: payload.length, type, msid })];
  const next = [basicHeader(3, csid)];
  if (repeat && timestamp >= EXTENDED) next.push(u32(timestamp));
  const between = Buffer.concat(next);
  for (let at = 0; at < payload.length; at += chunkSize) {
    if (at > 0) parts.push(between);
    parts.push(payload.subarray(at, at + chunkSize));
  }
  return Buffer.concat(parts);
}

/** Reads chunks out of a byte stream; calls `emit` for each whole message. */
class ChunkReader {
  constructor(emit) {
    this.emit = emit;
    this.chunkSize = 128;
    this.streams = new Map();
    this.buffer = Buffer.alloc(0);
  }

  push(data) {
    this.buffer = this.buffer.length ? Buffer.concat([this.buffer, data]) : data;
    for (;;) {
      const used = this.one();
      if (used === 0) return;
      this.buffer = this.buffer.subarray(used);
    }
  }

  one() {
    const b = this.buffer;
    if (b.length < 1) return 0;
    const fmt = b[0] >> 6;
    let csid = b[0] & 63;
    let at = 1;
    if (csid < 2) {
      const more = csid + 1;
      if (b.length < 1 + more) return 0;
      csid = 64 + b[1] + (more === 2 ? b[2] * 256 : 0);
      at += more;
    }
    const st = this.streams.get(csid) ?? { parts: [], have: 0, timestamp: 0, delta: 0 };
    this.streams.set(csid, st);
    const size = [11, 7, 3, 0][fmt];
    if (b.length < at + size) return 0;
    const next = { length: st.length, type: st.type, msid: st.msid, extended: st.extended, value: st.value };
    if (fmt <= 2) { next.value = b.readUIntBE(at, 3); next.extended = next.value === EXTENDED; }
    if (fmt <= 1) { next.length = b.readUIntBE(at + 3, 3); next.type = b[at + 6]; }
    if (fmt === 0) next.msid = b.readUInt32LE(at + 7);
    at += size;
    if (next.extended) {
      if (b.length < at + 4) return 0;
      const value = b.readUInt32BE(at);
      // continuation chunks may repeat it or not
      if (fmt <= 2 || value === st.value) { next.value = value; at += 4; }
    }
    const part = Math.min(this.chunkSize, next.length - st.have);
    if (b.length < at + part) return 0;
    if (st.have === 0) {
      if (fmt === 0) { next.timestamp = next.value; next.delta = 0; } else {
        if (fmt <= 2) next.delta = next.value; else next.delta = st.delta;
        next.timestamp = st.timestamp + next.delta >>> 0;
      }
    }
    Object.assign(st, next);
    st.parts.push(Buffer.from(b.subarray(at, at + part)));
    st.have += part;
    if (st.have >= st.length) {
      const message = { csid, type: st.type, msid: st.msid, timestamp: st.timestamp, payload: Buffer.concat(st.parts) };
      st.parts = [];
      st.have = 0;
      this.emit(message);
    }
    return at + part;
  }
}

// ---- the client ---------------------------------------------------------

export class RtmpClient {
  /** Connects TCP and sends nothing.  `secure`: RTMPS, with any certificate. */
  static tcp({ port, host = '127.0.0.1', app = 'live', localAddress, secure = false } = {}) {
    return new Promise((resolve, reject) => {
      const options = { port, host, localAddress, noDelay: true };
      const socket = secure ? tls.connect({ ...options, rejectUnauthorized: false }) : net.connect(options);
      socket.once('error', reject);
      socket.once(secure ? 'secureConnect' : 'connect', () => {
        socket.off('error', reject);
        resolve(new RtmpClient(socket, { app, host, port, secure }));
      });
    });
  }

  /** TCP and the simple handshake. */
  static async open(options) {
    const client = await RtmpClient.tcp(options);
    await client.handshake();
    return client;
  }

  constructor(socket, { app, host, port, secure }) {
    this.socket = socket;
    this.app = app;
    this.tcUrl = `rtmp${secure ? 's' : ''}://${host}:${port}/${app}`;
    this.chunkSize = 128;               // of sent chunks
    this.msid = 1;
    this.transaction = 0;
    this.inbox = [];                    // messages that nobody waited for, newest last
    this.keep = 2000;
    this.counts = {};                   // type -> messages received
    this.received = 0;
    this.reads = 0;                     // number of data events
    this.pongs = true;                  // answer pings
    this.waiters = new Set();
    this.listeners = [];
    this.handshaking = Buffer.alloc(0);
    this.ended = false;
    this.reader = new ChunkReader((m) => this.message(m));
    this.closed = new Promise((resolve) => {
      let failure;
      socket.on('error', (error) => { failure = error.code; });
      socket.on('close', () => {
        this.ended = true;
        for (const w of [...this.waiters]) w.fail(new Error(`connection closed while waiting for ${w.what}`));
        resolve({ bytes: this.received, error: failure });
      });
    });
    socket.on('data', (data) => this.data(data));
  }

  data(data) {
    this.received += data.length;
    this.reads++;
    if (this.handshaking) {
      this.handshaking = Buffer.concat([this.handshaking, data]);
      const want = 1 + 2 * HANDSHAKE;
      if (this.handshaking.length < want) return;
      const rest = this.handshaking.subarray(want);
      this.handshaking = null;
      this.shaken?.();
      if (rest.length) this.reader.push(rest);
      return;
    }
    this.reader.push(data);
  }

  message(m) {
    this.counts[m.type] = (this.counts[m.type] ?? 0) + 1;
    if (m.type === MSG.CHUNK_SIZE) this.reader.chunkSize = m.payload.readUInt32BE(0) & 0x7fffffff;
    if (this.pongs && m.type === MSG.USER && m.payload.readUInt16BE(0) === 6) {
      this.send({ csid: 2, type: MSG.USER, msid: 0, payload: Buffer.concat([u16(7), m.payload.subarray(2, 6)]) });
    }
    if (m.type === MSG.CMD || m.type === MSG.META) {
      m.values = amfDecode(m.payload);
      m.name = m.values[0];
    }
    for (const listener of this.listeners) listener(m);
    for (const w of this.waiters) {
      const verdict = w.match(m);
      if (verdict instanceof Error) { w.fail(verdict); return; }
      if (verdict) { w.done(m); return; }
    }
    this.inbox.push(m);
    if (this.inbox.length > this.keep) this.inbox.shift();
  }

  /** Calls `listener` with every message from now on. */
  on(listener) { this.listeners.push(listener); }

  /** First message (received already or later) for which `match` is true. */
  wait(match, what = 'a message', ms = DEADLINE) {
    for (const [i, m] of this.inbox.entries()) {
      const verdict = match(m);
      if (!verdict) continue;
      this.inbox.splice(i, 1);
      return verdict instanceof Error ? Promise.reject(verdict) : Promise.resolve(m);
    }
    if (this.ended) return Promise.reject(new Error(`connection is closed, waited for ${what}`));
    return new Promise((resolve, reject) => {
      const end = () => { clearTimeout(timer); this.waiters.delete(waiter); };
      const waiter = {
        match, what,
        done: (m) => { end(); resolve(m); },
        fail: (error) => { end(); reject(error); },
      };
      const timer = setTimeout(() => waiter.fail(new Error(`no ${what} within ${ms} ms`)), ms);
      this.waiters.add(waiter);
    });
  }

  /** The onStatus with this code; another status of level error rejects. */
  async status(code) {
    const m = await this.wait((msg) => {
      if (msg.name !== 'onStatus') return false;
      const info = msg.values[3] ?? {};
      if (info.code === code) return true;
      return info.level === 'error' ? new Error(`status ${info.code}: ${info.description}, expected ${code}`) : false;
    }, `status ${code}`);
    return m.values[3];
  }

  /** Any onStatus: its info object. */
  async anyStatus() {
    return (await this.wait((m) => m.name === 'onStatus', 'a status')).values[3];
  }

  raw(bytes) {
    if (!this.socket.destroyed) this.socket.write(bytes);
  }

  /** Writes and resolves when the kernel has the bytes. */
  flush(bytes) {
    return new Promise((resolve) => { this.socket.write(bytes, resolve); });
  }

  async handshake() {
    const done = new Promise((resolve) => { this.shaken = resolve; });
    this.raw(Buffer.concat([Buffer.from([3]), Buffer.alloc(HANDSHAKE)]));
    this.raw(Buffer.alloc(HANDSHAKE));    // C2: nothing checks the echo
    await Promise.race([done, this.closed.then(() => { throw new Error('closed during the handshake'); })]);
  }

  /** A message in chunks of this client's chunk size. */
  send({ csid = 3, type, timestamp = 0, msid = 0, payload, ...more }) {
    this.raw(chunk({ csid, type, timestamp, msid, payload, chunkSize: this.chunkSize, ...more }));
  }

  command(name, ...values) {
    const msid = ['publish', 'play', 'closeStream'].includes(name) ? this.msid : 0;
    this.transaction++;
    this.send({ type: MSG.CMD, msid, payload: amfEncode(name, this.transaction, ...values) });
    return this.transaction;
  }

  async reply(transaction, what) {
    return this.wait((m) => m.type === MSG.CMD && m.values[1] === transaction
      && (m.name === '_result' || (m.name === '_error' && new Error(`${what}: ${JSON.stringify(m.values[3])}`))), what);
  }

  /** Waits for the answer to a ping: then the server has handled all earlier bytes. */
  async ping(value = 1) {
    const payload = Buffer.concat([u16(6), u32(value)]);
    this.send({ csid: 2, type: MSG.USER, payload });
    await this.wait(
      (m) => m.type === MSG.USER && m.payload.readUInt16BE(0) === 7 && m.payload.readUInt32BE(2) === value,
      'a pong',
    );
  }

  setChunkSize(size) {
    this.send({ csid: 2, type: MSG.CHUNK_SIZE, payload: u32(size) });
    this.chunkSize = size;
  }

  /** The connect command; `more` adds members to (or replaces those of) its object. */
  connect(more = {}) {
    const t = this.command('connect', { app: this.app, type: 'nonprivate', tcUrl: this.tcUrl, ...more });
    return this.reply(t, 'connect');
  }

  async createStream() {
    const m = await this.reply(this.command('createStream', null), 'createStream');
    this.msid = m.values[3];
    return this.msid;
  }

  async publish(name, { expect = 'NetStream.Publish.Start' } = {}) {
    this.command('publish', null, name, 'live');
    return expect && this.status(expect);
  }

  async play(name, { expect = 'NetStream.Play.Start' } = {}) {
    this.command('play', null, name, -2);
    return expect && this.status(expect);
  }

  sendVideo(timestamp, payload, more = {}) {
    this.send({ csid: 6, type: MSG.VIDEO, timestamp, msid: this.msid, payload, ...more });
  }

  sendAudio(timestamp, payload, more = {}) {
    this.send({ csid: 4, type: MSG.AUDIO, timestamp, msid: this.msid, payload, ...more });
  }

  sendMeta(object = { width: 320, height: 180, framerate: 25, videocodecid: 7, audiocodecid: 10 }) {
    this.send({
      csid: 5,
      type: MSG.META,
      msid: this.msid,
      payload: amfEncode('@setDataFrame', 'onMetaData', amf.ecma(object)),
    });
  }

  /** True when every byte given to the socket has left the process. */
  drained() {
    if (this.socket.writableLength === 0) return Promise.resolve();
    return new Promise((resolve) => { this.socket.once('drain', resolve); this.socket.once('close', resolve); });
  }

  close() {
    this.socket.destroy();
    return this.closed;
  }
}

/** Open, connect, createStream. */
export async function openStream(options) {
  const client = await RtmpClient.open(options);
  await client.connect();
  await client.createStream();
  return client;
}

/** A client that publishes `name`, with metadata and both sequence headers sent. */
export async function openPublisher(name, options) {
  const client = await openStream(options);
  if (options.chunkSize) client.setChunkSize(options.chunkSize);
  await client.publish(name);
  client.sendMeta();
  client.sendVideo(options.timestamp ?? 0, avcHeader());
  client.sendAudio(options.timestamp ?? 0, aacHeader());
  return client;
}

/** A client that plays `name`. */
export async function openPlayer(name, options) {
  const client = await openStream(options);
  await client.play(name);
  return client;
}

/** Describes an FLV tag, or an RTMP message, that has just arrived. */
export function tagOf(type, body, dts) {
  return {
    type, size: body.length, dts, at: performance.now(),
    key: type === MSG.VIDEO && body[0] >> 4 === 1 && body[1] === 1, config: type !== MSG.META && body[1] === 0,
    mark: body.length > 24 ? body.readUInt32BE(body.length - 8) : 0,
  };
}

const PLAY_CHUNK_STREAMS = { [MSG.META]: 5, [MSG.AUDIO]: 6, [MSG.VIDEO]: 7 };

/** Plays `name` and checks the format; `tags` has the media, `statuses` the codes. */
export class RtmpPlayer {
  static async open(name, options) {
    const player = new RtmpPlayer(await openStream(options));
    await player.client.play(name);
    return player;
  }

  constructor(client) {
    Object.assign(this, { client, tags: [], statuses: [], error: undefined });
    client.keep = 100;
    client.on((m) => { this.error ??= this.message(m); });
  }

  get ended() { return this.client.ended; }

  message(m) {
    if (!Object.values(MSG).includes(m.type)) return new Error(`message type ${m.type}: the bytes are torn`);
    if (m.name === 'onStatus') this.statuses.push(m.values[3].code);
    const csid = PLAY_CHUNK_STREAMS[m.type];
    if (!csid) return undefined;
    if (m.csid !== csid || m.msid !== 1)
      return new Error(`type ${m.type} on chunk stream ${m.csid}, message stream ${m.msid}`);
    this.tags.push({ ...tagOf(m.type, m.payload, m.timestamp), read: this.client.reads });
    return undefined;
  }

  video() { return this.tags.filter((t) => t.type === MSG.VIDEO && !t.config); }

  /** Waits for `count` more video frames. */
  async more(count = 5) {
    const want = this.video().length + count;
    await until(() => this.error || this.ended || this.video().length >= want, `${count} more frames`);
    if (this.error) throw this.error;
    if (this.video().length < want) throw new Error('the player was disconnected');
  }

  close() { return this.client.close(); }
}

// ---- media: 320x180 H.264 baseline made by x264, AAC-LC 44.1 kHz stereo --

const SPS = Buffer.from('6742c00cda05067e7c0440000003004000000c83c50aa8', 'hex');
const PPS = Buffer.from('68ce039c80', 'hex');
const IDR = Buffer.from(`6588843a26${'e4'.repeat(19)}${'ebaeba'.repeat(55)}f0`, 'hex');
const INTER = Buffer.from('419a228078c0', 'hex');

const nal = (bytes) => Buffer.concat([u32(bytes.length), bytes]);
const videoTag = (key, type, cts, data) =>
  Buffer.concat([Buffer.from([(key ? 0x10 : 0x20) | 7, type]), u24(cts), data]);

/** A filler NAL unit that takes `size` bytes with its length field. */
function filler(size) {
  const bytes = Buffer.alloc(Math.max(size - 4, 3), 0xff);
  bytes[0] = 12;
  bytes[bytes.length - 1] = 0x80;
  return nal(bytes);
}

/** AVC sequence header (AVCDecoderConfigurationRecord in a video tag body). */
export function avcHeader() {
  return videoTag(
    true,
    0,
    0,
    Buffer.concat([
      Buffer.from([1, SPS[1], SPS[2], SPS[3], 0xff, 0xe1]),
      u16(SPS.length),
      SPS,
      Buffer.from([1]),
      u16(PPS.length),
      PPS,
    ]),
  );
}

/** A decodable key frame; `size` pads it with a filler NAL unit. */
export function keyFrame(size = 0) {
  const body = nal(IDR);
  return videoTag(true, 1, 0, size > body.length + 5 ? Buffer.concat([body, filler(size - body.length - 5)]) : body);
}

export function interFrame(size = 0) {
  const body = nal(INTER);
  return videoTag(false, 1, 0, size > body.length + 5 ? Buffer.concat([body, filler(size - body.length - 5)]) : body);
}

export const aacHeader = () => Buffer.from([0xaf, 0, 0x12, 0x10]);
export const aacFrame = () => Buffer.from([0xaf, 1, 0x21, 0x10, 0x04, 0x60, 0x8c, 0x1c]);
