// For tests of the recovery of recordings: tests/unit/dvr_recover.c as a program
// that answers commands, real encodings, and a folder.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';
import { runSync } from './stack.mjs';

const repo = fileURLToPath(new URL('../..', import.meta.url));

/** A temporary folder, in memory if possible: there thousands of fdatasync() cost nothing. */
export const newMemoryFolder = () =>
  fs.mkdtempSync(path.join(fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir(), 'duolu-recover-'));

/**
 * The FLV of a test picture of `size` (null: none) and a tone of `tone` Hz (null: none), which ends after
 * `toneSeconds` if given; `more` are further arguments of ffmpeg.
 */
export function encodeFlv({
  size = '320x180', rate = 25, gop = 25, tone = 44100, toneSeconds, seconds, more = [],
}) {
  const picture = ['-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=${rate}`];
  const sound = ['-f', 'lavfi', ...(toneSeconds ? ['-t', String(toneSeconds)] : []),
    '-i', `sine=frequency=440:sample_rate=${tone}`];
  const x264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-g', String(gop), '-bf', '0', '-pix_fmt', 'yuv420p'];
  return runSync('ffmpeg', ['-nostdin', '-v', 'error', ...(size ? picture : []), ...(tone ? sound : []),
    '-t', String(seconds), ...(size ? x264 : []), ...(tone ? ['-c:a', 'aac'] : []), ...more,
    '-flvflags', 'no_duration_filesize+no_sequence_end', '-f', 'flv', '-'],
  { encoding: 'buffer', maxBuffer: 1 << 28, timeout: 60_000 });
}

export class Driver {
  /** Compiles the program, and `more` targets of tests/unit. */
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

  /** The last line of the answer to a command; its log lines are in `log`. */
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

  /** Calls recover_file() for FILE below ROOT: its recovered_t, or {error}. */
  async recover(root, file) {
    const answer = await this.ask('recover', root, file);
    assert.match(answer, /^(\{|error |killed)/);
    return answer[0] === '{' ? JSON.parse(answer) : { error: answer };
  }

  /** Ends the program, and throws when a sanitizer has complained. */
  async end() {
    this.child.stdin.end();
    await this.closed;
    assert.equal(this.errors, '', 'no sanitizer report');
    assert.equal(this.child.exitCode, 0);
  }
}
