// A private MariaDB in a temporary folder, as an unprivileged user, on a unix
// socket, and on request on 127.0.0.1 with TLS. It does not read the machine's
// configuration.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { runSync } from './stack.mjs';

const readyWithinMs = 60_000;
const stopWithinMs = 60_000;

function identity() {
  if (process.getuid() !== 0) return {};
  const id = (flag) => Number(runSync('id', [flag, 'www-data']));
  return { uid: id('-u'), gid: id('-g') };
}

// Everything below is in the folder `root`, which remove() deletes.
export class Mariadb {
  constructor() {
    this.identity = identity();
    this.root = mkdtempSync(join(tmpdir(), 'duolu-db-'));
    this.socket = join(this.root, 'my.sock');
    chmodSync(this.root, 0o755);
    for (const folder of ['data', 'tmp']) mkdirSync(join(this.root, folder));
    if (this.identity.uid !== undefined) {
      for (const folder of ['', 'data', 'tmp'])
        chownSync(join(this.root, folder), this.identity.uid, this.identity.gid);
    }
    runSync('mariadb-install-db', [
      '--no-defaults', `--datadir=${join(this.root, 'data')}`, '--auth-root-authentication-method=normal',
      '--skip-test-db', '--skip-name-resolve', '--innodb-log-file-size=8M',
    ], { ...this.identity, cwd: this.root });
  }

  // options: more arguments for mariadbd, such as TLS and a port
  async start(options = ['--skip-networking']) {
    this.process = spawn('mariadbd', [
      '--no-defaults', `--datadir=${join(this.root, 'data')}`, `--tmpdir=${join(this.root, 'tmp')}`,
      `--socket=${this.socket}`, `--pid-file=${join(this.root, 'pid')}`,
      '--innodb-log-file-size=8M', '--innodb-buffer-pool-size=16M', '--innodb-flush-log-at-trx-commit=2',
      '--skip-name-resolve', ...options,
    ], { ...this.identity, stdio: ['ignore', 'ignore', 'pipe'], cwd: this.root });
    this.exited = once(this.process, 'exit');
    await this.#ready();
  }

  #ready() {
    const child = this.process;
    const lines = [];
    return new Promise((resolve, reject) => {
      const fail = (why) => reject(new Error(`mariadbd ${why}:\n${lines.join('\n')}`));
      const timer = setTimeout(() => fail(`is not ready within ${readyWithinMs} ms`), readyWithinMs);
      child.once('error', (error) => fail(error.message));
      const ended = (code) => { clearTimeout(timer); fail(`ended with ${code}`); };
      child.once('exit', ended);
      createInterface({ input: child.stderr }).on('line', (line) => {
        lines.push(line);
        if (/ready for connections/.test(line)) {
          clearTimeout(timer);
          child.off('exit', ended);
          resolve();
        }
      });
    });
  }

  async stop(signal = 'SIGTERM') {
    if (!this.process) return;
    const timer = setTimeout(() => this.process.kill('SIGKILL'), stopWithinMs);
    this.process.kill(signal);
    await this.exited;
    clearTimeout(timer);
    this.process = null;
  }

  // Runs SQL as the server's root through the command line client; rows of texts.
  query(sql, database = '') {
    const text = runSync('mariadb', ['--no-defaults', `--socket=${this.socket}`, '--user=root', '--batch',
      '--skip-column-names', '--default-character-set=utf8mb4', ...(database ? [database] : [])],
    { input: sql, maxBuffer: 1 << 28 });
    return text.split('\n').slice(0, -1).map((line) => line.split('\t'));
  }

  // Creates an empty database and a user of that name, without a password, for the socket.
  create(name) {
    this.query(`CREATE DATABASE ${name}; CREATE USER ${name}@localhost; GRANT ALL ON ${name}.* TO ${name}@localhost;`);
    return `mysql://${name}@localhost/${name}?socket=${this.socket}`;
  }

  async remove() {
    await this.stop('SIGKILL');
    rmSync(this.root, { recursive: true, force: true });
  }
}
