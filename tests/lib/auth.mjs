// The real duolu-auth and duoluctl, built with sanitizers, in a temporary
// DUOLU_HOME with the test's own database.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';

import { Control } from './control.mjs';
import { fcgi } from './fcgi.mjs';
import { Mariadb } from './mariadb.mjs';
import { repo } from './nginx.mjs';
import { runSync } from './stack.mjs';

export const password = 'correct horse battery';      // of all users of a Service

const readyWithinMs = 30_000;
const sanitizerWords = /ERROR: (Address|Leak)Sanitizer|runtime error:/;
const binaries = path.join(repo, '.build/auth-service-asan');

export function buildAuth() {
  runSync('make', ['-s', '-C', path.join(repo, 'auth-service'), 'SANITIZE=1']);
}

export class Auth {
  constructor(dsn, environment = {}) {
    this.home = mkdtempSync(path.join(tmpdir(), 'duolu-auth-'));
    for (const folder of ['auth', 'sock', 'secrets']) mkdirSync(path.join(this.home, folder), { mode: 0o700 });
    this.environment = { PATH: process.env.PATH, DUOLU_HOME: this.home, DUOLU_DB: dsn, ...environment };
    this.lines = [];
  }

  get gateSocket() { return path.join(this.home, 'auth/gate.sock'); }

  get apiSocket() { return path.join(this.home, 'auth/api.sock'); }

  async start() {
    this.process = spawn(path.join(binaries, 'duolu-auth'), [], {
      env: this.environment,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const child = this.process;
    this.exited = once(child, 'exit');
    await new Promise((resolve, reject) => {
      const fail = (why) => reject(new Error(`duolu-auth ${why}:\n${this.lines.join('\n')}`));
      const timer = setTimeout(() => fail(`is not ready within ${readyWithinMs} ms`), readyWithinMs);
      child.once('close', (code) => { clearTimeout(timer); fail(`ended with ${code}`); });
      createInterface({ input: child.stderr }).on('line', (line) => {
        this.lines.push(line);
        if (line.includes('duolu-auth ready')) { clearTimeout(timer); resolve(); }
      });
    });
  }

  // Ends it and checks that it was healthy until then; returns the milliseconds it took.
  async stop(signal = 'SIGTERM') {
    const started = process.hrtime.bigint();
    this.process.kill(signal);
    const [code] = await this.exited;
    const took = Number(process.hrtime.bigint() - started) / 1e6;
    this.process = null;
    const bad = this.lines.filter((line) => sanitizerWords.test(line));
    if (signal === 'SIGTERM' && (code !== 0 || bad.length)) {
      throw new Error(`duolu-auth ended with ${code}:\n${this.lines.slice(-60).join('\n')}`);
    }
    return took;
  }

  remove() {
    if (this.process) this.process.kill('SIGKILL');
    rmSync(this.home, { recursive: true, force: true });
  }

  #run(program, args, input) {
    return new Promise((resolve, reject) => {
      const child = spawn(path.join(binaries, program), args, { env: this.environment });
      let stdout = '';
      let stderr = '';
      child.stdout.on('data', (text) => { stdout += text; });
      child.stderr.on('data', (text) => { stderr += text; });
      child.on('error', reject);
      child.on('close', (code) => resolve({ code, stdout, stderr }));
      child.stdin.on('error', () => { /* it did not read its input */ });
      child.stdin.end(input);
    });
  }

  migrate() { return this.#run('duolu-auth', ['--migrate']); }

  ctl(args, input = '') { return this.#run('duoluctl', args, input); }

  // Runs duoluctl, which must succeed; returns its output, parsed if it is JSON
  async done(args, input) {
    const { code, stdout, stderr } = await this.ctl(args, input);
    if (code !== 0) throw new Error(`duoluctl ${args.join(' ')}: ${code}: ${stderr}`);
    return args.includes('--json') ? JSON.parse(stdout) : stdout;
  }

  gate(question, params) {
    return fcgi(this.gateSocket, {
      SCRIPT_NAME: `/gate/${question}`, REQUEST_METHOD: 'GET', APP: 'live', NAME: 'demo', ARGS: '',
      REMOTE_ADDR: '192.0.2.7', SESSION: 's-1', ...params,
    });
  }

  api(method, address, { body, cookie, headers = {} } = {}) {
    const content = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body);
    const [script, query = ''] = address.split('?');
    return fcgi(this.apiSocket, {
      SCRIPT_NAME: script, QUERY_STRING: query, REQUEST_METHOD: method, REMOTE_ADDR: '192.0.2.8', HTTPS: 'on',
      HTTP_HOST: 'duolu.example:8443', CONTENT_LENGTH: content ? Buffer.byteLength(content) : '',
      CONTENT_TYPE: 'application/json',
      ...(method === 'GET' ? {} : { HTTP_ORIGIN: 'https://duolu.example:8443', HTTP_X_DUOLU: '1' }),
      ...(cookie ? { HTTP_COOKIE: cookie } : {}), ...headers,
    }, content);
  }

  // Logs in; returns the cookie.
  async login(name, password) {
    const answer = await this.api('POST', '/api/login', { body: { name, password } });
    if (answer.status !== 200) throw new Error(`login of ${name}: ${answer.status} ${answer.text}`);
    return answer.headers['set-cookie'].split(';')[0];
  }
}

// The programs with their own database, and on request a stand-in for nginx.
export class Service {
  /**
   * Users as [name, ...options of duoluctl], streams of app live as [name, owner, title]. prepare()
   * runs before duolu-auth starts; nginx: so does the stand-in for nginx.
   */
  async start({ users = [], streams = [], prepare, nginx = false } = {}) {
    buildAuth();
    this.database = new Mariadb();
    await this.database.start();
    this.auth = new Auth(this.database.create('duolu'));
    const { code, stderr } = await this.auth.migrate();
    assert.equal(code, 0, stderr);
    for (const [name, ...options] of users) {
      await this.auth.done(['user', 'add', name, '--password-stdin', ...options], `${password}\n`);
    }
    for (const [name, owner, title = ''] of streams) {
      await this.auth.done(['stream', 'add', `live/${name}`, '--owner', owner, '--title', title]);
    }
    await prepare?.();
    if (nginx) {
      this.nginx = new Control(path.join(this.auth.home, 'sock/control.sock'));
      await this.nginx.start();
    }
    await this.auth.start();
  }

  async stop() {
    try {
      await this.nginx?.stop();
      if (this.auth?.process) await this.auth.stop();
    } finally {
      this.auth?.remove();
      await this.database?.remove();
    }
  }

  login = (name) => this.auth.login(name, password);

  sql = (text) => this.database.query(text, 'duolu');
}
