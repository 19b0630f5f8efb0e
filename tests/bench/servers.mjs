// The servers of the bench: Duolu, the floor, Debian's stock nginx-rtmp, and others
// whose path is in the environment.  Each is an object
//   { name, workers, pids(), publish(stream), play(protocol, stream, flush), stop() }
// whose play() returns undefined for a protocol that the server does not support.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { startEdge } from '../lib/edge.mjs';
import { KEY, get, getJson, startGate, token } from '../lib/hub.mjs';
import { freePort, startNginx, until } from '../lib/nginx.mjs';
import { shippedHttp } from '../lib/shipped.mjs';
import { selfSigned } from '../lib/tls.mjs';
import { Program, writeFile } from './measure.mjs';

/** A certificate with an elliptic-curve key, as most sites have. */
const certificate = selfSigned();
const FILES = 16384;                          // connections of a worker; run.sh raises the shell's limit
const limits = (workers) => `worker_processes ${workers}; pcre_jit on;
events { worker_connections ${FILES}; }`;

// ---- Duolu ----------------------------------------------------------------

const CONTROL = 'location /status { hub_status on; } location /control/ { hub_control on; } ' +
  'location /metrics { hub_metrics on; }';
export const HLS_FLUSH = '100ms';
const HELD_ZONE = 'limit_req_zone $binary_remote_addr zone=held:1m rate=1r/m;';
const HELD = 'location /held/ { limit_req zone=held burst=100000; }';     // requests that nginx itself holds

/** The shipped http{}: a location for each flush interval instead of /m/, and no limit that these viewers reach. */
const duoluHttp = (flushes) => shippedHttp({ locations: CONTROL, flush: HLS_FLUSH })
  .replaceAll(/location \/m\/ \{([^]*?\n) {8}\}/g, (_, body) => flushes
    .map((flush) => `location /${flush}/ {${body.replace(/hub_flush \S+;/, `hub_flush ${flush};`)}}`).join('\n'))
  .replaceAll(/\blimit_req zone=[^;]*;/g, '')
  .replaceAll(/\b(limit_conn connections|hub_connections) \d+;/g, '$1 60000;')
  .replaceAll(/(listen 127\.0\.0\.1:[^;]*);/g, '$1 backlog=4096 reuseport;')
  .replace('http {', `http { ${HELD_ZONE}`)
  .replace('location /status', `${HELD} location /status`);

/** Each flush interval has an RTMP port and an HTTP location. recorded: configures the recorder. */
export async function startDuolu({ workers = 2, zone = '64m', flushes, recorded = false }) {
  const gate = await startGate();
  const conf = `{{modules}}
${limits(workers)}
hub_zone bench ${zone}; hub_user_share 100%; hub_address_share 100%; thread_pool history threads=4;
${recorded ? 'thread_pool dvr threads=4; dvr_threads dvr; dvr {{dir}}/rec;' : ''}
rtmp { access_log off; max_message 4m; out_queue 32; rtmp_guard_conn_per_ip 60000;
${flushes
  .map(
    (flush) => `  server { listen 127.0.0.1:{{port:rtmp_${flush}}};
    application live { ingest on; hub_play on; play_flush ${flush}; gate unix:${gate.path}; } }`,
  )
  .join('\n')} }
${duoluHttp(flushes)}
`;
  const nginx = await startNginx({
    conf,
    modules: ['rtmp', 'guard', 'hub'],
    files: { ...certificate, keys: `k1 ${KEY.toString('hex')}\n`, 'rec/.keep': '' },
    workers,
  }).catch(async (error) => {
    await gate.stop();
    throw error;
  });
  const { ports } = nginx;
  const status = () => getJson(`http://127.0.0.1:${ports.http}/status`);
  return {
    name: 'Duolu',
    workers,
    status,
    /** A metric's number, or the sum of its numbers. */
    async metric(name) {
      const { text } = await get(`http://127.0.0.1:${ports.http}/metrics`);
      const lines = new RegExp(`^duolu_${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm');
      const values = [...text.matchAll(lines)].map(([, value]) => Number(value));
      if (values.length === 0) throw new Error(`no metric duolu_${name}`);
      return values.reduce((sum, value) => sum + value, 0);
    },
    pids: () => nginx.workers(),
    httpsPort: ports.https,
    recordings: path.join(nginx.dir, 'rec'),
    record: (stream, on) =>
      get(`http://127.0.0.1:${ports.http}/control/record?stream=live/${stream}&on=${on ? 1 : 0}`, { method: 'POST' }),
    publish: (stream) => `rtmp://127.0.0.1:${ports[`rtmp_${flushes[0]}`]}/live/${stream}?key=bench`,
    play(protocol, stream, flush) {
      const t = token(`live/${stream}`);
      if (/^(ll)?hlss?$/.test(protocol)) {
        const port = protocol.endsWith('ss') ? ports.https : ports.http;
        return flush === HLS_FLUSH ? `${protocol}://127.0.0.1:${port}/m/${t}/live/${stream}/live.m3u8` : undefined;
      }
      const [scheme, port] =
        { flv: ['http', ports.http], ws: ['ws', ports.http], flvs: ['https', ports.https], wss: ['wss', ports.https] }[
          protocol
        ] ?? [];
      if (scheme) return `${scheme}://127.0.0.1:${port}/${flush}/${t}/live/${stream}.flv`;
      return protocol === 'rtmp' ? `rtmp://127.0.0.1:${ports[`rtmp_${flush}`]}/live/${stream}?token=${t}` : undefined;
    },
    full: (streams, ms = 3000) =>
      until(async () => {
        const { streams: all } = await status();
        return all.length >= streams && all.every((s) => s.state === 'live' && s.video === 'h264' && s.window_ms >= ms);
      }, `${streams} streams with a window of ${ms} ms`),
    async stop() {
      try {
        await nginx.stop();
      } finally {
        await gate.stop();
      }
    },
  };
}

/** conf/edge.conf in front of a server of startDuolu(), for viewers of HLS over TLS. */
export async function startBenchEdge(duolu) {
  const edge = await startEdge({ port: duolu.httpsPort, certificate });
  return {
    name: 'edge', workers: 2, pids: () => edge.nginx.workers(),
    play: (protocol, stream) => edge.url(`live/${stream}`, 'live.m3u8').replace('https:', `${protocol}:`),
    /** The numbers of the requests that viewers made, and of those that went on to the origin. */
    requests() {
      const lines = edge.log().trim().split('\n');
      return { viewers: lines.length, origin: lines.filter((line) => !/ (HIT|UPDATING|STALE|-)$/.test(line)).length };
    },
    stop: () => edge.stop(),
  };
}

// ---- the floor ------------------------------------------------------------

/** Relays the bytes that one viewer of Duolu receives by bare writev or SSL_write. */
export async function startFloor({ source, flushes, workers }) {
  const { hostname, port, pathname } = new URL(source);
  const pem = writeFile(certificate.crt + certificate.key);
  const program = new Program('floor', [
    hostname,
    port,
    pathname,
    flushes.map((flush) => parseInt(flush, 10)).join(','),
    workers,
    pem,
  ]);
  const { ports, tls, pids } = await program.next();
  return {
    name: 'floor', workers, pids: () => pids,
    play(protocol, stream, flush) {
      if (protocol === 'flvs') return `https://127.0.0.1:${tls[parseInt(flush, 10)]}/`;
      return protocol === 'flv' ? `http://127.0.0.1:${ports[parseInt(flush, 10)]}/` : undefined;
    },
    stop: () => program.end(),
  };
}

// ---- stock nginx-rtmp -----------------------------------------------------

/**
 * A usual configuration with one worker. Workers share a stream only by `rtmp_auto_push`,
 * which does not work in a dynamic module such as Debian's: it creates its socket after
 * nginx has begun to listen, so nothing answers there.
 */
export async function startStock() {
  const conf = `{{modules}}
${limits(1)}
rtmp { access_log off; server { listen 127.0.0.1:{{port:rtmp}};
  application live { live on; wait_key on; }
  application hls { live on; hls on; hls_path {{dir}}/hls; hls_fragment 2s; hls_playlist_length 12s; } } }
http { server { listen 127.0.0.1:{{port:http}} backlog=4096; sendfile on; tcp_nopush on; keepalive_requests 100000;
  location /hls/ { root {{dir}}; types { application/vnd.apple.mpegurl m3u8; video/mp2t ts;
    } add_header Cache-Control no-cache; } } }
`;
  const nginx = await startNginx({ conf, modules: ['rtmp'], files: { 'hls/.keep': '' } });
  fs.chmodSync(path.join(nginx.dir, 'hls'), 0o777);
  const { ports } = nginx;
  return {
    name: 'nginx-rtmp', workers: 1, pids: () => nginx.workers(),
    publish: (stream) => `rtmp://127.0.0.1:${ports.rtmp}/live/${stream}`,
    publishHls: (stream) => `rtmp://127.0.0.1:${ports.rtmp}/hls/${stream}`,
    play(protocol, stream) {
      if (protocol === 'hls') return `hls://127.0.0.1:${ports.http}/hls/${stream}.m3u8`;
      return protocol === 'rtmp' ? `rtmp://127.0.0.1:${ports.rtmp}/live/${stream}` : undefined;
    },
    stop: () => nginx.stop(),
  };
}

// ---- others, by a path in the environment ---------------------------------
// files() and command() get the ports {rtmp, http}, a folder and the flush in ms. A peer
// starts once for each of its flushes ('': its default).

const PEERS = {
  BENCH_SRS: {
    name: 'SRS',
    flushes: ['100ms', '350ms'],
    // max_connections and 128 descriptors of its own must fit into the limit
    files: ({ rtmp, http, dir, flush }) => ({
      'srs.conf': `listen 127.0.0.1:${rtmp}; max_connections 12000; daemon off; pid ${dir}/srs.pid; srs_log_tank file;
        srs_log_file ${dir}/srs.log;
http_server { enabled on; listen 127.0.0.1:${http}; dir ${dir}; }
vhost __defaultVhost__ { play { mw_latency ${flush}; }
      http_remux { enabled on; mount [vhost]/[app]/[stream].flv; } }\n`,
    }),
    command: ({ dir }) => ['-c', `${dir}/srs.conf`],
    flv: ({ http }, stream) => `http://127.0.0.1:${http}/live/${stream}.flv`,
  },
  BENCH_MEDIAMTX: {
    name: 'MediaMTX',
    flushes: [''],
    files: ({ rtmp }) => ({
      'mediamtx.yml':
        `rtmp: yes\nrtmpAddress: 127.0.0.1:${rtmp}\nrtsp: no\nhls: no\nwebrtc: no\nsrt: ` +
        `no\npaths:\n  all_others:\n`,
    }),
    command: ({ dir }) => [`${dir}/mediamtx.yml`],
  },
  BENCH_ZLMEDIAKIT: {
    name: 'ZLMediaKit',
    flushes: ['', '100ms'],
    // by default it makes every format of every stream
    files: ({ rtmp, http, dir, flush }) => ({
      'zlm.ini':
        `[general]\nlisten_ip=127.0.0.1\nmergeWriteMS=${flush}\n` +
        '[protocol]\nenable_rtmp=1\nenable_hls=0\nenable_hls_fmp4=0\n' +
        'enable_mp4=0\nenable_rtsp=0\nenable_ts=0\nenable_fmp4=0\n' +
        `[http]\nport=${http}\nsslport=0\nrootPath=${dir}\n` +
        `[rtmp]\nport=${rtmp}\nsslport=0\n[rtsp]\nport=0\nsslport=0\n` +
        '[rtc]\nport=0\ntcpPort=0\n[srt]\nport=0\n[rtp_proxy]\nport=0\n[shell]\nport=0\n',
    }),
    command: ({ dir }) => ['-c', `${dir}/zlm.ini`],
    flv: ({ http }, stream) => `http://127.0.0.1:${http}/live/${stream}.live.flv`,
  },
  BENCH_HTTP_FLV: {
    name: 'nginx-http-flv',
    flushes: [''],
    program: '/usr/sbin/nginx', // the variable has the path of the module
    // with the default chunk_size it sends 128 bytes at a time, over HTTP too
    files: ({ rtmp, http, dir }, module) => ({
      'nginx.conf': `daemon off; pid ${dir}/pid; error_log ${dir}/log; load_module ${module};
${limits(1)}
rtmp { access_log off; chunk_size 4096; out_queue 4096; out_cork 8; max_streams 512;
  server { listen 127.0.0.1:${rtmp}; application live { live on; gop_cache on; } } }
http { access_log off; server { listen 127.0.0.1:${http} backlog=4096; location /live { flv_live on;
  chunked_transfer_encoding on; } } }\n`,
    }),
    command: ({ dir }) => ['-p', dir, '-e', `${dir}/log`, '-c', `${dir}/nginx.conf`],
    flv: ({ rtmp, http }, stream) => `http://127.0.0.1:${http}/live?port=${rtmp}&app=live&stream=${stream}`,
  },
};

/** [[variable, flush], …]: the peers whose path is in the environment. */
export const peersGiven = () => Object.entries(PEERS).filter(([variable]) => process.env[variable])
  .flatMap(([variable, { flushes }]) => flushes.map((flush) => [variable, flush]));
export const peersMissing = () => Object.entries(PEERS).filter(([variable]) => !process.env[variable])
  .map(([variable, { name }]) => `${name} (${variable})`);

const isListening = (port) => new Promise((resolve) => {
  const socket = net.connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true); });
  socket.on('error', () => resolve(false));
});

/** Pids of a process and all its descendants. */
function processTree(pid) {
  const children = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  return [pid, ...children.flatMap(processTree)];
}

export async function startPeer(variable, flush) {
  const peer = PEERS[variable];
  const given = process.env[variable];
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'duolu-peer-'));
  const place = { dir, rtmp: await freePort(), http: await freePort(), flush: parseInt(flush, 10) || 0 };
  for (const [name, text] of Object.entries(peer.files(place, given))) fs.writeFileSync(path.join(dir, name), text);
  const child = spawn(peer.program ?? given, peer.command(place), { cwd: dir, stdio: ['ignore', 'ignore', 'inherit'] });
  const exited = new Promise((resolve) => { child.on('error', resolve).on('close', resolve); });
  process.on('exit', () => child.kill());
  await until(async () => {
    if (child.pid === undefined || child.exitCode !== null)
      throw new Error(`${variable}="${given}" ended at start (${child.exitCode})`);
    return isListening(place.rtmp);
  }, `${peer.name} to listen`);
  return {
    name: peer.name, workers: '', flush, pids: () => processTree(child.pid),
    publish: (stream) => `rtmp://127.0.0.1:${place.rtmp}/live/${stream}`,
    play: (protocol, stream) => (protocol === 'rtmp' ? `rtmp://127.0.0.1:${place.rtmp}/live/${stream}`
      : protocol === 'flv' ? peer.flv?.(place, stream) : undefined),
    async stop() { child.kill('SIGTERM'); await exited; fs.rmSync(dir, { recursive: true, force: true }); },
  };
}
