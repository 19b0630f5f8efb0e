// A viewer in a separate process, for networks that the test is not in:
//
//   node viewing.mjs flv|ws|h2|rtmp ADDRESS STREAM     prints [dts, ms since 1970] of each picture
//
// or, from a test:  const viewing = startViewing(inside, 'ws', address, stream);
// viewing.tags, viewing.ended (its exit), viewing.stop()

import http2 from 'node:http2';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { FlvReader, Viewer } from './hub.mjs';
import { start } from './media.mjs';
import { RtmpPlayer } from './rtmp.mjs';

const SELF = fileURLToPath(import.meta.url);

// each watches until the stream ends, and returns how it ended
const OPEN = {
  async flv(url, flv) {
    const viewer = await Viewer.open(url, flv);
    return new Promise((resolve) => { viewer.response.on('close', () => resolve('closed')); });
  },
  ws: (url, flv) => new Promise((resolve) => {
    const socket = new WebSocket(url.replace(/^http/, 'ws'), { rejectUnauthorized: false });
    socket.on('message', (data) => flv.push(data));
    socket.on('error', () => {});
    socket.on('close', (code) => resolve(`closed with ${code}`));
  }),
  h2: (url, flv) => new Promise((resolve) => {
    const { origin, pathname } = new URL(url);
    const session = http2.connect(origin, { rejectUnauthorized: false });
    const stream = session.request({ ':path': pathname });
    stream.on('data', (data) => flv.push(data));
    for (const one of [session, stream]) one.on('error', () => {});
    stream.on('close', () => { session.close(); resolve(`closed with ${stream.rstCode}`); });
  }),
};

async function rtmp(address, name, told) {
  const { protocol, hostname, port } = new URL(address);
  const player = await RtmpPlayer.open(name, { host: hostname, port, secure: protocol === 'rtmps:' });
  setInterval(() => told(player.video()), 50);
  await player.client.closed;
  return 'closed';
}

if (process.argv[1] === SELF) {
  const [protocol, address, name] = process.argv.slice(2);
  let said = 0;
  const tell = (tags) => {
    for (; said < tags.length; said++) {
      const { dts, at } = tags[said];
      console.log(JSON.stringify([dts, Math.round(performance.timeOrigin + at)]));
    }
  };
  const flv = new FlvReader();
  setInterval(() => tell(flv.video()), 50);
  console.error(await (protocol === 'rtmp' ? rtmp(address, name, tell) : OPEN[protocol](address, flv)));
  process.exit(0);
}

/** Starts a viewer behind the command prefix `inside`. */
export function startViewing(inside, ...args) {
  const [command, ...first] = [...inside, process.execPath, SELF, ...args];
  const viewing = start(command, first);
  const tags = () => viewing.text.split('\n').filter((line) => /^\[.*\]$/.test(line)).map((line) => JSON.parse(line));
  Object.defineProperty(viewing, 'tags', { get: tags });
  return viewing;
}
