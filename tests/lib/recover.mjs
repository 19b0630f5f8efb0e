// The recovery of recordings (tests/unit/dvr_recover.c) as a program that
// obeys: one command, one answer.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';

const repo = fileURLToPath(new URL('../..', import.meta.url));

export class Driver {
  /** Compiles it, and `more` targets of tests/unit. */
  static make(...more) {
    const made = spawnSync('make', ['-s', '-C', path.join(repo, 'tests/unit'), 'dvr_recover', ...more], {
      timeout: 120_000,
    });
    assert.equal(made.status, 0, `make dvr_recover: ${made.error ?? made.stderr}`);
    return new Driver();
  }

  constructor() {
    this.child = spawn(path.join(repo, '.build/unit/dvr_recover'), { stdio: ['pipe', 'pipe', 'pipe'] });
    this.errors = '';
    this.child.stderr.on('data', (data) => { this.errors += data; });
    this.closed = new Promise((resolve) => { this.child.on('close', resolve); });
    this.lines = readline.createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  /** The last line that answers a command; its log lines are in `log`. */
  async ask(...words) {
    this.log = [];
    this.child.stdin.write(`${words.join(' ')}\n`);
    for (;;) {
      const { value, done } = await this.lines.next();
      assert.ok(!done, `dvr_recover ended on: ${words.join(' ')}\n${this.errors}`);
      if (!value.startsWith('log: ')) return value;
      this.log.push(value.slice(5));
    }
  }

  /** recover_file() of FILE below ROOT: what it fills in, or {error}. */
  async recover(root, file) {
    const answer = await this.ask('recover', root, file);
    assert.match(answer, /^(\{|error |killed)/);
    return answer[0] === '{' ? JSON.parse(answer) : { error: answer };
  }

  /** Throws when a sanitizer had something to say. */
  async end() {
    this.child.stdin.end();
    await this.closed;
    assert.equal(this.errors, '', 'a sanitizer spoke');
    assert.equal(this.child.exitCode, 0);
  }
}
