// Floods WebSocket connections from a process of its own, so that it does not slow
// down the measuring test:  node flooder.mjs URL COUNT MODE
//
// It opens COUNT connections, prints their local ports as JSON, reads from stdin the
// ports that should flood, and prints {port, status, bytes, ms} when the server closes one.

import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { OP, frame, openRaw } from '../lib/ws.mjs';

const [url, count, mode] = process.argv.slice(2);
const chunks = {
  endless: Buffer.alloc(256 * 1024, 0x55),
  pings: Buffer.concat(Array.from({ length: 4096 }, () => frame(OP.PING))),
  messages: Buffer.concat(Array.from({ length: 64 }, () => frame(OP.BINARY, Buffer.alloc(4000)))),
};
const clients = await Promise.all(Array.from({ length: Number(count) }, () => openRaw(url)));
const portOf = new Map(clients.map((client) => [client, client.socket.localPort]));
console.log(JSON.stringify([...portOf.values()]));

async function flood(client) {
  const began = performance.now();
  let bytes = 0;
  client.socket.on('error', () => {});
  if (mode === 'endless') client.socket.write(frame(OP.BINARY, undefined, { length: 2n ** 60n, form: 64 }));
  while (!client.ended) {
    bytes += chunks[mode].length;
    if (client.socket.write(chunks[mode])) await new Promise(setImmediate);
    else await Promise.race([once(client.socket, 'drain').catch(() => {}), client.closed]);
  }
  const ms = Math.round(performance.now() - began);
  console.log(JSON.stringify({ port: portOf.get(client), status: client.status, bytes, ms }));
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const chosen = JSON.parse(line);
  for (const [client, port] of portOf) {
    if (chosen.includes(port)) flood(client);
    else client.socket.destroy();
  }
}).on('close', () => process.exit(0));
