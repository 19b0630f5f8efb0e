// A certificate for tests.

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { runSync } from './stack.mjs';

/** {crt, key} in PEM, self-signed, for localhost; as `files` of startHub() they are {{dir}}/crt and {{dir}}/key. */
export function selfSigned() {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'duolu-tls-'));
  try {
    runSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
      '-days', '2', '-subj', '/CN=localhost', '-keyout', `${dir}/key`, '-out', `${dir}/crt`]);
    return { crt: fs.readFileSync(`${dir}/crt`, 'utf8'), key: fs.readFileSync(`${dir}/key`, 'utf8') };
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

/** For hubConf()'s `listen`: a second listener, over TLS, at {{port:https}}. */
export const tlsListen = (more = '') => `; listen 127.0.0.1:{{port:https}} ssl ${more} backlog=2048;
  ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {{dir}}/crt; ssl_certificate_key {{dir}}/key`;
