// The hostile inputs that the guard stops, one row each, sent to a real nginx.
// guard.test.mjs asserts them, guard-table.mjs prints them.
//
// A row attacks; `symptom` waits for the effect on stock nginx-rtmp and describes
// it with numbers.  With the guard on the attacker is refused with a log line that
// matches `refusal`, or, if good clients do the same, `served`.  Meanwhile another
// client publishes and one plays on the same worker.

import fs from 'node:fs';
import { startNginx, until } from '../lib/nginx.mjs';
import {
  MSG, RtmpClient, amf, amfEncode, chunk, chunkHeader, basicHeader, interFrame, keyFrame,
  openPlayer, openPublisher, openStream,
} from '../lib/rtmp.mjs';

const MB = 1024 * 1024;
const HZ = 100;                         // USER_HZ of Linux

const u32 = (n) => { const b = Buffer.alloc(4); b.writeUInt32BE(n >>> 0); return b; };
const mb = (bytes) => `${(bytes / MB).toFixed(0)} MB`;

export function rss(pid) {
  const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024;
}

export function cpuSeconds(pid) {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) / HZ;
}

/** An FLV tag of an aggregate. */
export function tag(type, body) {
  const head = Buffer.alloc(11);
  head[0] = type;
  head.writeUIntBE(body.length, 1, 3);
  return Buffer.concat([head, body, u32(body.length + 11)]);
}

export const setChunkSize = (size) => chunk({ csid: 2, type: MSG.CHUNK_SIZE, payload: u32(size) });

/** `depth` nested containers. */
function nested(open, depth) {
  return amf.raw(Buffer.concat(Array(depth).fill(open)));
}

const OBJECT = Buffer.from([3, 0, 1, 0x61]);        // object, key "a"
const ECMA = Buffer.from([8, 0, 0, 0, 1, 0, 1, 0x61]);
const ARRAY = Buffer.from([10, 0, 0, 0, 1]);

async function deep(open, depth, { port }) {
  const client = await RtmpClient.open({ port });
  client.send({ type: MSG.CMD, payload: amfEncode('connect', 1, nested(open, depth)) });
  return client;
}

const types = {
  onMetaData: [MSG.META, MSG.CMD, MSG.SHARED, MSG.AMF3_META, MSG.AMF3_CMD, MSG.AMF3_SHARED],
};
types['@setDataFrame'] = types.onMetaData;

function metaMessage(name, type) {
  const amf3 = [MSG.AMF3_META, MSG.AMF3_CMD, MSG.AMF3_SHARED].includes(type);
  const typeless = [MSG.SHARED, MSG.AMF3_SHARED].includes(type);
  const string = amfEncode(name);
  return chunk({
    type,
    payload: Buffer.concat([amf3 ? Buffer.alloc(1) : Buffer.alloc(0), typeless ? string.subarray(1) : string,
      ...(name === '@setDataFrame' ? [amfEncode('onMetaData')] : []), amfEncode({ width: 1 })]),
  });
}

const metaRows = Object.entries(types).flatMap(([name, list]) => list.map((type) => ({
  name: `${name} before connect, message type ${type}`,
  attack: async ({ port }) => {
    const client = await RtmpClient.open({ port });
    client.raw(metaMessage(name, type));
    return client;
  },
  symptom: crash,
  refusal: /message type \d+ "(onMetaData|@setDataFrame)" before connect/,
})));

// otherwise the guard refuses these messages for their length
const ROOM = 'rtmp_guard_pending 1m;';

async function crash({ ng, worker }) {
  const line = await until(() => ng.log().split('\n').find((l) => l.includes(`process ${worker} exited on signal`)),
    `worker ${worker} to die`);
  return `worker dies (${/signal \d+/.exec(line)[0]})`;
}

/** Symptom: the worker grows by at least `limit` bytes. */
const grows = (limit) => async ({ worker, before }) => {
  const now = await until(() => { const more = rss(worker) - before.rss; return more > limit && more; },
    `worker ${worker} to grow by ${limit} bytes`);
  return `worker grows by more than ${mb(Math.min(now, limit))}`;
};

/** Symptom: the attacker is still connected after `ms`. */
const staysOpen = (ms) => async (ctx, client) => {
  const closed = await Promise.race([client.closed.then(() => true),
    new Promise((resolve) => { setTimeout(resolve, ms, false); })]);
  if (closed) throw new Error(`stock closed the connection within ${ms} ms`);
  return `still open after ${ms / 1000} s, ends never`;
};

function trickle(client, bytes) {
  let at = 0;
  const timer = setInterval(() => client.raw(bytes.subarray(at, ++at)), 50);
  client.closed.then(() => clearInterval(timer));
  return client;
}

/** A player of `name` with a promise for the first frame of `payload`. */
async function watcher(name, port, payload) {
  const player = await openPlayer(name, { port });
  player.frame = player.wait((m) => m.type === MSG.VIDEO && m.payload.equals(payload), 'the frame');
  player.frame.catch(() => {});
  return player;
}

/** Symptom: a good client's frame arrives changed. */
async function frameLost(ctx, client) {
  // a later frame, or the publisher's end, proves that it is not just late
  const lost = await Promise.race([
    client.player.frame.then(() => false),
    client.player.wait((m) => m.type === MSG.VIDEO && m.payload.length > 100
      && !m.payload.equals(client.expected), 'a broken frame').then(() => 'broken', () => 'lost'),
    client.closed.then(() => 'lost, publisher cut'),
    new Promise((resolve) => { setTimeout(resolve, 1500, 'swallowed, the parser is out of step'); }),
  ]);
  await client.player.close();
  if (!lost) throw new Error('stock delivered the frame');
  return `frame ${lost}`;
}

async function frameComes(ctx, client) {
  await client.player.frame;
  await client.player.close();
  return 'served: the frame comes out as it went in';
}

export const rows = [
  ...metaRows,
  {
    name: 'objects nested 200,000 deep',
    conf: ROOM,
    attack: (ctx) => deep(OBJECT, 200_000, ctx),
    symptom: crash,
    refusal: /nested deeper than 16/,
  },
  {
    name: 'ECMA arrays nested 120,000 deep',
    conf: ROOM,
    attack: (ctx) => deep(ECMA, 120_000, ctx),
    symptom: crash,
    refusal: /nested deeper than 16/,
  },
  {
    name: 'strict arrays nested 200,000 deep',
    conf: ROOM,
    attack: (ctx) => deep(ARRAY, 200_000, ctx),
    symptom: crash,
    refusal: /nested deeper than 16/,
  },
  {
    name: 'aggregates nested 60,000 deep',
    conf: ROOM,
    attack: async ({ port }) => {
      const client = await RtmpClient.open({ port });
      await client.connect();
      client.setChunkSize(65536);
      const depth = 60_000;
      const body = Buffer.alloc(depth * 15);
      for (let i = 0; i < depth; i++) {
        body[i * 11] = MSG.AGGREGATE;
        body.writeUIntBE((depth - i - 1) * 15, i * 11 + 1, 3);
      }
      client.send({ type: MSG.AGGREGATE, payload: body });
      return client;
    },
    symptom: crash,
    refusal: /message type 22 in an aggregate/,
  },
  {
    name: 'an aggregate of 40,000 SetChunkSize',
    conf: ROOM,
    attack: async ({ port }) => {
      const client = await RtmpClient.open({ port });
      await client.connect();
      client.setChunkSize(65536);
      client.send({
        type: MSG.AGGREGATE,
        payload: Buffer.concat(Array.from({ length: 40_000 }, (_, i) => tag(MSG.CHUNK_SIZE, u32(128 + (i % 2))))),
      });
      return client;
    },
    symptom: grows(100 * MB),
    refusal: /message type 1 in an aggregate/,
  },
  {
    name: 'a header in the middle of a message with a smaller length',
    attack: async ({ port }) => {
      const client = await RtmpClient.open({ port });
      await client.connect();
      const part = Buffer.alloc(128);
      client.raw(
        Buffer.concat([
          chunkHeader({ csid: 4, type: MSG.AUDIO, length: 1000 }),
          part,
          chunkHeader({ csid: 4, type: MSG.AUDIO, length: 50 }),
          part,
        ]),
      );
      const more = Buffer.concat([basicHeader(3, 4), part]);
      client.raw(Buffer.concat(Array(240_000).fill(more)));
      return client;
    },
    symptom: grows(30 * MB),
    refusal: /length 50 in the middle of a message of type 8 and length 1000/,
  },
  ...[0, 1].map((size) => ({
    name: `chunk size ${size}`,
    conf: ROOM,
    attack: async ({ port }) => {
      const client = await RtmpClient.open({ port });
      // stock drops bytes that come in one packet with a smaller chunk size:
      // header byte and payload are the same here, so it stays in step
      const same = basicHeader(3, 4);
      client.raw(
        Buffer.concat([
          chunkHeader({ csid: 4, type: MSG.AUDIO, length: 900_000 }),
          Buffer.alloc(128, same),
          setChunkSize(size),
          Buffer.alloc(1_600_000, same),
        ]),
      );
      return client;
    },
    symptom: grows(60 * MB),
    refusal: new RegExp(`chunk size ${size}, expected 128 to 2147483647`),
  })),
  {
    name: 'chunk size 10,000,000 and small messages',
    good: true,
    attack: async ({ port }) => {
      const client = await RtmpClient.open({ port });
      await client.connect();
      const small = chunk({ csid: 4, type: MSG.AUDIO, payload: Buffer.alloc(1) });
      client.raw(setChunkSize(10_000_000));
      client.raw(Buffer.concat(Array(200_000).fill(small)));
      return client;
    },
    symptom: async ({ worker, before }) => {
      const spent = await until(() => {
        const s = cpuSeconds(worker) - before.cpu;
        return s > 1 && s;
      }, '1 s of CPU');
      return `more than ${Math.floor(spent)} s of CPU for 2.6 MB`;
    },
    served: async ({ worker, before }, client) => {
      await client.ping(1);
      return `served: ${(cpuSeconds(worker) - before.cpu).toFixed(2)} s of CPU for 2.6 MB`;
    },
  },
  {
    name: 'chunk size shrinks in the middle of a message',
    attack: async ({ port }) => {
      const client = await openPublisher('shrink', { port, chunkSize: 4096 });
      client.expected = keyFrame(20_000);
      client.player = await watcher('shrink', port, client.expected);
      const frame = client.expected;
      client.raw(
        Buffer.concat([
          chunkHeader({ csid: 6, type: MSG.VIDEO, msid: client.msid, length: frame.length, timestamp: 40 }),
          frame.subarray(0, 4096),
          basicHeader(3, 6),
          frame.subarray(4096, 8192),
          setChunkSize(128),
        ]),
      );
      const rest = [];
      for (let at = 8192; at < frame.length; at += 128) rest.push(basicHeader(3, 6), frame.subarray(at, at + 128));
      client.raw(Buffer.concat(rest));
      return client;
    },
    symptom: frameLost,
    refusal: /chunk size 128 with 8192 bytes of unfinished messages/,
  },
  {
    name: 'chunk size shrinks between messages of one packet',
    good: true,
    attack: async ({ port }) => {
      const client = await openPublisher('shrink2', { port, chunkSize: 65536 });
      client.expected = keyFrame(20_000);
      client.player = await watcher('shrink2', port, client.expected);
      client.raw(
        Buffer.concat([
          setChunkSize(128),
          chunk({
            csid: 6,
            type: MSG.VIDEO,
            msid: client.msid,
            timestamp: 40,
            payload: client.expected,
            chunkSize: 128,
          }),
        ]),
      );
      return client;
    },
    symptom: frameLost,
    served: frameComes,
  },
  {
    name: 'handshake, one byte at a time',
    conf: 'rtmp_guard_deadline 1s;',
    attack: async ({ port }) =>
      trickle(await RtmpClient.tcp({ port }), Buffer.concat([Buffer.from([3]), Buffer.alloc(3072)])),
    symptom: staysOpen(3000),
    refusal: /still in the handshake after 1000 ms/,
  },
  {
    name: 'idle after the handshake, except for pings',
    conf: 'rtmp_guard_deadline 1s;',
    attack: async ({ port }) => {
      const client = await RtmpClient.open({ port });
      const ping = chunk({ csid: 2, type: MSG.USER, payload: Buffer.from([0, 6, 0, 0, 0, 1]) });
      return trickle(client, Buffer.concat(Array(100).fill(ping)));
    },
    symptom: staysOpen(3000),
    refusal: /still without connect after 1000 ms/,
  },
  {
    name: 'idle after connect',
    conf: 'rtmp_guard_deadline 1s;',
    attack: ({ port }) => openStream({ port }),
    symptom: staysOpen(3000),
    refusal: /still connected without publish or play after 1000 ms/,
  },
  {
    name: '28 unfinished messages before publish',
    attack: async ({ port }) => {
      const client = await RtmpClient.open({ port });
      await client.connect();
      client.setChunkSize(4096);
      const part = Buffer.alloc(4096);
      for (let csid = 4; csid < 32; csid++) {
        client.raw(
          Buffer.concat([
            chunkHeader({ csid, type: MSG.AUDIO, length: MB }),
            part,
            ...Array(249).fill(Buffer.concat([basicHeader(3, csid), part])),
          ]),
        );
      }
      return client;
    },
    symptom: grows(20 * MB),
    refusal:
      /a message of 1048576 bytes with 0 bytes of unfinished messages held before publish, expected at most 131072/,
  },
  {
    name: '28 unfinished messages of 64 KB before publish',
    attack: async ({ port }) => {
      const client = await RtmpClient.open({ port });
      await client.connect();
      client.setChunkSize(4096);
      const part = Buffer.alloc(4096);
      for (let csid = 4; csid < 32; csid++) {
        client.raw(
          Buffer.concat([
            chunkHeader({ csid, type: MSG.AUDIO, length: 65536 }),
            part,
            ...Array(14).fill(Buffer.concat([basicHeader(3, csid), part])),
          ]),
        );
      }
      return client;
    },
    symptom: grows(1.5 * MB),
    refusal: /a message of 65536 bytes with 122880 bytes of unfinished messages held before publish/,
  },
  {
    name: 'a message larger than max_message',
    attack: async ({ port }) => {
      const client = await openPublisher('big', { port });
      client.raw(chunkHeader({ csid: 6, type: MSG.VIDEO, length: 5 * MB, msid: client.msid }));
      return client;
    },
    symptom: async (ctx, client) => {
      await client.closed;
      return 'closed, logged as "too big message: (the limit)"';
    },
    refusal: /a message of 5242880 bytes, expected at most 1048576 \(max_message\)/,
  },
  {
    name: 'Abort of a half-sent frame, then a whole one',
    good: true,
    attack: async ({ port }) => {
      const client = await openPublisher('abort', { port });
      client.expected = keyFrame(600);
      client.player = await watcher('abort', port, client.expected);
      client.raw(
        Buffer.concat([
          chunkHeader({ csid: 6, type: MSG.VIDEO, msid: client.msid, length: 5000, timestamp: 40 }),
          Buffer.alloc(128),
          chunk({ csid: 2, type: MSG.ABORT, payload: u32(6) }),
        ]),
      );
      client.sendVideo(80, client.expected);
      return client;
    },
    symptom: frameLost,
    served: frameComes,
  },
  {
    name: 'Date, LongString, XML, typed object, Reference in connect',
    good: true,
    attack: async ({ port }) => {
      const client = await RtmpClient.open({ port });
      client.connected = client.connect({
        since: amf.date(1e12),
        note: amf.longString('x'.repeat(70_000)),
        doc: amf.raw([15, 0, 0, 0, 1, 65]),
        typed: amf.raw([16, 0, 1, 65, 0, 1, 98, 5, 0, 0, 9]),
        ref: amf.raw([7, 0, 1]),
        nothing: amf.raw([13]),
        flashVer: 'X 1',
      });
      client.connected.catch(() => {});
      return client;
    },
    symptom: async (ctx, client) => {
      await client.closed;
      return 'closed';
    },
    served: async (ctx, client) => {
      const reply = await client.connected;
      await client.createStream();
      await client.publish('dated');
      return `served: ${reply.values[3].code}, then publishes`;
    },
  },
  {
    name: '40 connections of one address',
    conf: 'rtmp_guard_conn_per_ip 20;',
    attack: async ({ port }) => {
      const all = await Promise.all(Array.from({ length: 40 }, () => RtmpClient.tcp({ port })));
      const counts = { closed: 0, open: all.length };
      for (const c of all) {
        c.closed.then(() => {
          counts.closed++;
          counts.open--;
        });
        c.handshake().catch(() => {});
      }
      await until(() => counts.closed + all.filter((c) => !c.handshaking).length >= 40, '40 answers');
      const client = all[39];
      client.counts.open = counts.open;
      client.others = all;
      client.hangUp = () => Promise.all(all.map((c) => c.close()));
      client.closed = counts.closed > 0 ? Promise.resolve() : client.closed;
      return client;
    },
    symptom: async (ctx, client) => {
      if (client.counts.open !== 40) throw new Error(`stock holds ${client.counts.open}`);
      return 'holds 40 (and any number)';
    },
    // two of the twenty are the other clients
    refusal: /one more connection of this address, expected at most 20/,
    bound: (client) => {
      if (client.counts.open !== 18) throw new Error(`${client.counts.open} connections are held, expected 18`);
      return 'holds 20, two of them the other clients';
    },
  },
];

export function configuration(guard, extra = '') {
  return `worker_processes 1;
rtmp {
    access_log off;
    server {
        listen 127.0.0.1:{{port:rtmp}};
        rtmp_guard ${guard ? 'on' : 'off'};
        ${extra}
        application live { live on; }
    }
}`;
}

/** A publisher that sends a frame every 20 ms and its player. */
export async function bystanders(port) {
  const publisher = await openPublisher('bystander', { port });
  let time = 0;
  const timer = setInterval(() => {
    time += 20;
    publisher.sendVideo(time, time % 1000 === 20 ? keyFrame() : interFrame());
  }, 20);
  const player = await openPlayer('bystander', { port });
  const frame = () => player.wait((m) => m.type === MSG.VIDEO && m.payload[1] === 1, 'a frame of the other client');
  await frame();
  return {
    /** Fails unless frames sent from now on still arrive. */
    async undisturbed(count = 5) {
      player.inbox.length = 0;
      for (let i = 0; i < count; i++) await frame();
    },
    async close() { clearInterval(timer); await publisher.close(); await player.close(); },
  };
}

/** Runs one row; resolves to a description of the outcome. */
export async function run(row, { guard }) {
  const ng = await startNginx({ conf: configuration(guard, row.conf), expectCrash: !guard });
  let others;
  let client;
  let clean = false;
  try {
    const port = ng.ports.rtmp;
    others = await bystanders(port);
    const [worker] = ng.workers();
    const ctx = { ng, port, worker, before: { rss: rss(worker), cpu: cpuSeconds(worker) } };
    client = await row.attack(ctx);
    let said;
    if (!guard) {
      said = await row.symptom(ctx, client);
    } else if (row.served) {
      said = await row.served(ctx, client);
    } else {
      await client.closed;
      const line = await until(
        () =>
          ng
            .log()
            .split('\n')
            .find((l) => l.includes('guard: refused ') && row.refusal.test(l)),
        `a log line ${row.refusal}`,
      );
      if (!/, client: 127\.0\.0\.1, /.test(line)) throw new Error(`no client address in: ${line}`);
      said = row.bound?.(client) ?? `refused: ${/guard: refused (.*?), client:/.exec(line)[1]}`;
    }
    if (guard) {
      await others.undisturbed();
      if (ng.workers()[0] !== worker) throw new Error(`worker ${worker} was replaced`);
      const more = rss(worker) - ctx.before.rss;
      if (more > 8 * MB) throw new Error(`the worker grew by ${mb(more)} with the guard on`);
      const spent = cpuSeconds(worker) - ctx.before.cpu;
      if (spent > 2) throw new Error(`the worker spent ${spent} s with the guard on`);
    }
    clean = true;
    return said;
  } finally {
    await (client?.hangUp?.() ?? client?.close());
    await client?.player?.close();
    await others?.close();
    await ng.stop({ allow: guard ? [] : [/too big RTMP chunk size/] }).catch((error) => { if (clean) throw error; });
  }
}

