// Floods WebSocket connections from a process of its own, so that it does not slow
// down the measuring test:  node flooder.mjs URL MODE
//
// For a line {"open": N} it opens N connections, and prints their local ports. For {"flood": PORTS} these
// flood, the others leave, and it prints {port, status, bytes, ms} when the server closes one.

import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { OP, frame, openRaw } from '../lib/ws.mjs';

const [url, mode] = process.argv.slice(2);
const chunks = {
  endless: Buffer.alloc(256 * 1024, 0x55),
  pings: Buffer.concat(Array.from({ length: 4096 }, () => frame(OP.PING))),
  messages: Buffer.concat(Array.from({ length: 64 }, () => frame(OP.BINARY, Buffer.alloc(4000)))),
};
const portOf = new Map();
const say = (value) => console.log(JSON.stringify(value));

async function open(count) {
  const clients = await Promise.all(Array.from({ length: count }, () => openRaw(url)));
  for (const client of clients) portOf.set(client, client.socket.localPort);
  say(clients.map((client) => portOf.get(client)));
}

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
  say({ port: portOf.get(client), status: client.status, bytes, ms });
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const command = JSON.parse(line);
  if (command.open) open(command.open);
  for (const [client, port] of command.flood ? portOf : []) {
    if (command.flood.includes(port)) flood(client);
    else client.socket.destroy();
  }
}).on('close', () => process.exit(0));
