// HTTP/2, byte by byte.

import net from 'node:net';

const frame = (type, flags, stream, payload) => {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.set([type, flags], 3);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
};
/** An integer with a prefix of 7 bits (RFC 7541, 5.1), below 16,510. */
function hpackLength(n) {
  if (n < 127) return [n];
  return n < 255 ? [127, n - 127] : [127, (n - 127) % 128 + 128, (n - 127) >> 7];
}

const literal = (index, text) => Buffer.from([index, ...hpackLength(text.length), ...Buffer.from(text)]);

/** Requests `path` over HTTP/2 without TLS, with the largest windows, and reads nothing. */
export function deafClient(port, path) {
  const socket = net.connect({ port, host: '127.0.0.1' });
  socket.pause();
  socket.on('error', () => {});
  socket.write(Buffer.concat([
    Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    frame(4, 0, 0, Buffer.from([0, 4, 0x7f, 0xff, 0xff, 0xff])),         // SETTINGS
    frame(8, 0, 0, Buffer.from([0x7f, 0xfe, 0, 0])),                     // WINDOW_UPDATE
    frame(1, 5, 1, Buffer.from([0x82, 0x86, ...literal(4, path), ...literal(1, 'x')])),
  ]));
  return socket;
}

/** Requests `path` over HTTP/2 without TLS, with a space in a header's name; resolves when the server closes. */
export function badHeader(port, path, name) {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1' }).on('error', () => {}).on('close', resolve).resume();
    socket.end(Buffer.concat([
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
      frame(4, 0, 0, Buffer.alloc(0)),
      frame(1, 5, 1, Buffer.from([0x82, 0x86, ...literal(4, path), ...literal(0, `Bad ${name}`), 1, 0x78])),
    ]));
  });
}
