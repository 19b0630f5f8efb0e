// A proxy in front of a stack, as companies have them: passes all requests on, but no WebSocket
// while `blocks` is set.

import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import tls from 'node:tls';

/** {url, blocks, refused: how many WebSockets it has refused, stop()}. */
export async function startFront({ home, https: port }) {
  const secret = (name) => fs.readFileSync(path.join(home, 'secrets', name));
  const target = { host: '127.0.0.1', port, rejectUnauthorized: false };
  const sockets = new Set();
  const front = { blocks: true, refused: 0 };
  const server = https.createServer({ cert: secret('tls.crt'), key: secret('tls.key') }, (request, response) => {
    const { method, url, headers } = request;
    const onward = https.request({ ...target, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('upgrade', (request, socket) => {
    socket.on('error', () => {});
    if (front.blocks) {
      front.refused += 1;
      socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
      return;
    }
    const onward = tls.connect(target, () => {
      const lines = request.rawHeaders.map((text, index) => text + (index % 2 ? '\r\n' : ': '));
      onward.write(`${request.method} ${request.url} HTTP/1.1\r\n${lines.join('')}\r\n`);
      onward.pipe(socket).pipe(onward);
    });
    onward.on('error', () => socket.destroy());
    socket.on('close', () => onward.destroy());
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  front.url = `https://127.0.0.1:${server.address().port}`;
  front.stop = () => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => { server.close(resolve); });
  };
  return front;
}
