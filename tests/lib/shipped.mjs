// conf/nginx.conf.in, as startNginx() takes it: what is measured or tested is what is shipped.

import fs from 'node:fs';
import path from 'node:path';
import { repo } from './nginx.mjs';

/** The block NAME, with files of DUOLU_HOME flat in {{dir}} and ports by the names of their settings. */
export function shippedBlock(name) {
  const text = fs.readFileSync(path.join(repo, 'conf/nginx.conf.in'), 'utf8');
  const [block] = text.match(new RegExp(`^${name} \\{[^]*?^\\}`, 'm'));
  return block
    .replaceAll('@HOME@/secrets/tls.', '{{dir}}/')
    .replaceAll('@HOME@/secrets/token.keys', '{{dir}}/keys')
    .replaceAll(/@HOME@\/\w+\//g, '{{dir}}/')
    .replaceAll('@REC@', '{{dir}}')
    .replaceAll('@REPO@', repo)
    .replaceAll(/@LISTEN@:@(\w+)@/g, (_, setting) => `127.0.0.1:{{port:${setting.toLowerCase()}}}`);
}

/** `http {}`, its servers at {{port:http}} and, over TLS, {{port:https}}; `locations`: more of the plain one. */
export function shippedHttp({ flush = '100ms', locations = '' } = {}) {
  return shippedBlock('http')
    .replaceAll(/^\s*\w+_temp_path .*\n/gm, '')           // startNginx() says them
    .replace(/(listen 127\.0\.0\.1:\{\{port:http\}\});/, `$1;\n${locations}`)
    .replaceAll('@HTTPS@', '{{port:https}}')
    .replaceAll('@FLUSH@', flush)
    .replaceAll('@HSTS_LINE@', 'add_header Strict-Transport-Security max-age=31536000 always;');
}
