// conf/edge.conf in front of a hub whose configuration is the shipped one.

import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { get, KEY, token } from './hub.mjs';
import { repo, startNginx } from './nginx.mjs';

/**
 * The shipped file with its folders in {{dir}}, its ports free ones, a line for each request in its log, and the
 * origin at `port`, over TLS.
 */
export function edgeConf(port) {
  return fs.readFileSync(path.join(repo, 'conf/edge.conf'), 'utf8')
    .replace(/^(user|pid|error_log|load_module|worker_rlimit_nofile) .*\n/gm, '')
    .replace(/^hub_zone/m, '{{modules}}\nhub_zone')
    .replace('worker_processes auto;', 'worker_processes 2;')
    .replaceAll(/\/(etc|var\/lib|var\/cache)\/duolu-edge/g, '{{dir}}')
    .replaceAll('/var/log/nginx', '{{dir}}')
    .replace('/etc/ssl/certs/ca-certificates.crt', '{{dir}}/origin.crt')
    .replace('origin.example:8443', `127.0.0.1:${port}`)
    .replaceAll('origin.example', 'localhost')
    .replace('listen 443 ', 'listen 127.0.0.1:{{port:https}} ')
    .replace('listen 8444 ', 'listen 127.0.0.1:{{port:control}} ')
    .replace(' if=$kept', '')
    .replace('keys_zone=hls:8m', 'keys_zone=hls:1m');
}

/** An edge of the origin at `port`, whose certificate and the edge's is {crt, key}; `keys` sign and verify tokens. */
export async function startEdge({ port, certificate, key = KEY, conf = edgeConf(port), ...options }) {
  const nginx = await startNginx({
    ...options,
    conf,
    modules: ['rtmp', 'guard', 'hub'],
    workers: 2,
    files: {
      'tls.crt': certificate.crt, 'tls.key': certificate.key, 'origin.crt': certificate.crt,
      'token.keys': `k1 ${key.toString('hex')}\n`, 'control.passwd': 'duolu:{PLAIN}geheim\n',
    },
  });
  const agent = new https.Agent({ keepAlive: true, maxSockets: Infinity, rejectUnauthorized: false });
  const socket = path.join(nginx.dir, 'control.sock');
  return {
    nginx,
    url: (stream, file, t = token(stream)) => `https://127.0.0.1:${nginx.ports.https}/m/${t}/${stream}/${file}`,
    /** Over a connection of an agent. */
    get: (url, headers = {}, over = agent) => new Promise((resolve, reject) => {
      https.get(url, { agent: over, headers }, (response) => {
        const chunks = [];
        response.on('data', (data) => chunks.push(data));
        response.on('error', reject);
        response.on('end', () => resolve({
          status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks),
        }));
      }).on('error', reject);
    }),
    /** POST /control/…: { status, text }. */
    control: (action) => get(`http://duolu/control/${action}`, { socketPath: socket, method: 'POST' }),
    status: () => get('http://duolu/status', { socketPath: socket }),
    streams: async () => JSON.parse((await get('http://duolu/status', { socketPath: socket })).text).streams,
    sessions: async () => JSON.parse((await get('http://duolu/sessions', { socketPath: socket })).text).sessions,
    metrics: () => get('http://duolu/metrics', { socketPath: socket }),
    log: () => fs.readFileSync(path.join(nginx.dir, 'access.log'), 'utf8'),
    async stop() {
      agent.destroy();
      await nginx.stop();
    },
  };
}
