// A WebSocket client that can break every rule: it writes any bytes, and has the
// received frames.

import net from 'node:net';
import tls from 'node:tls';

export const OP = { CONTINUATION: 0, TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10 };

export const UPGRADE = ['Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', ''].join('\r\n');

/** A client's frame; `length` and `form` (7, 16 or 64 bits) may be wrong. */
export function frame(opcode, payload = Buffer.alloc(0),
  { fin = true, rsv = 0, mask = Buffer.from([1, 2, 3, 4]), length = payload.length, form } = {}) {
  const bits = form ?? (length < 126 ? 7 : length < 65536 ? 16 : 64);
  const head = Buffer.alloc(bits === 7 ? 2 : bits === 16 ? 4 : 10);
  head[0] = (fin ? 0x80 : 0) | rsv << 4 | opcode;
  head[1] = (mask ? 0x80 : 0) | (bits === 7 ? length : bits === 16 ? 126 : 127);
  if (bits === 16) head.writeUInt16BE(length, 2);
  if (bits === 64) head.writeBigUInt64BE(BigInt(length), 2);
  const masked = Buffer.from(payload);
  if (mask) for (let i = 0; i < masked.length; i++) masked[i] ^= mask[i & 3];
  return Buffer.concat([head, mask ?? Buffer.alloc(0), masked]);
}

/**
 * Opens `url` (http: or https:) with the lines of `headers`: {socket, head, frames, closed, …}.  frames:
 * [{opcode, payload, size, at}…], of media without the payload.
 */
export function openRaw(url, { headers = UPGRADE, paused = false } = {}) {
  const { protocol, port, hostname, pathname } = new URL(url);
  const options = { port, host: hostname, rejectUnauthorized: false };
  const client = { head: '', frames: [], ended: false };
  let rest = Buffer.alloc(0);
  const take = (data) => {
    rest = Buffer.concat([rest, data]);
    if (!client.head) {
      const end = rest.indexOf('\r\n\r\n');
      if (end < 0) return false;
      client.head = rest.toString('latin1', 0, end + 2);
      rest = rest.subarray(end + 4);
    }
    for (;;) {
      const code = rest[1] & 0x7f;
      const at = code === 126 ? 4 : code === 127 ? 10 : 2;
      if (rest.length < 2 || rest.length < at) return true;
      const size = code === 126 ? rest.readUInt16BE(2) : code === 127 ? Number(rest.readBigUInt64BE(2)) : code;
      if (rest.length < at + size) return true;
      const opcode = rest[0] & 15;
      const payload = opcode & 8 ? Buffer.from(rest.subarray(at, at + size)) : null;
      client.frames.push({ opcode, at: performance.now(), size, payload });
      rest = rest.subarray(at + size);
    }
  };
  return new Promise((resolve, reject) => {
    const socket = protocol === 'https:' ? tls.connect(options) : net.connect(options);
    client.socket = socket;
    client.closed = new Promise((done) => socket.on('close', () => { client.ended = true; done(client); }));
    socket.on(protocol === 'https:' ? 'secureConnect' : 'connect',
      () => socket.write(`GET ${pathname} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`));
    socket.on('data', (data) => {
      if (!take(data)) return;
      if (paused) socket.pause();
      resolve(client);
    });
    socket.on('error', reject);
    client.of = (opcode) => client.frames.filter((one) => one.opcode === opcode);
    /** Status of the received close frame, 0: none. */
    Object.defineProperty(client, 'status', { get: () => client.of(OP.CLOSE)[0]?.payload.readUInt16BE(0) ?? 0 });
  });
}
