// Prometheus's checker: the machine's, or the one that build.sh fetched.

import fs from 'node:fs';
import path from 'node:path';
import { repo } from './nginx.mjs';

export function promtool() {
  const fetched = path.join(repo, '.build/tools/promtool');
  if (fs.existsSync(fetched)) return fetched;
  const found = (process.env.PATH ?? '')
    .split(':')
    .map((dir) => path.join(dir, 'promtool'))
    .find((file) => fs.existsSync(file));
  if (!found) throw new Error(`no promtool in PATH and no ${fetched}: run ./build.sh test nginx, which fetches it`);
  return found;
}
