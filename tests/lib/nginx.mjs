// Starts a real nginx from a test's own configuration and proves, when it
// stops, that its log is clean.
//
//   const ng = await startNginx({ conf, modules: ['rtmp', 'guard'] });
//   ng.ports.rtmp, ng.dir, ng.pid, await ng.workers(), ng.log()
//   await ng.reload();            resolves when the new workers run
//   await ng.stop();              throws when the log has an alert
//
// The template may use {{dir}}, {{port:NAME}} (a free port on 127.0.0.1, the
// same for one NAME) and {{modules}} (the place of the load_module lines, by
// default the top).  `files` are written into {{dir}} first, with the same
// replacements.  Directives that are missing (user, pid, error_log, daemon, temp
// paths of http) are added.

import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const repo = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

const DEADLINE = 60_000;                // only a failure reaches it, even on a busy machine
const DEBIAN_MODULES = '/usr/lib/nginx/modules';
const FILES = { rtmp: 'ngx_rtmp_module.so', guard: 'ngx_rtmp_guard_module.so', hub: 'ngx_hub_module.so' };
const HTTP_TEMP = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
const ALARM = /\[(alert|emerg|crit)\]/;
const SANITIZER = /ERROR: (Address|Leak|Thread)Sanitizer|runtime error:/;

// 'exit' handlers end the nginx of a test that is itself being ended
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => process.exit(1));

// Below the system's ephemeral ports. Test files run side by side, and a program may bind its port long
// after freePort(): each file claims a hundred ports by listening on the first of them as long as it runs.
const PORTS = { first: 10_000, count: 22_000, each: 100 };
let slot = process.pid;
let claimed = [];

/** A TCP port on 127.0.0.1 that is free, and that no other test file takes. */
export async function freePort() {
  for (;;) {
    while (claimed.length === 0) claimed = await claimPorts(slot++ % (PORTS.count / PORTS.each));
    const port = claimed.shift();
    const server = await listen(port);
    if (server) {
      await new Promise((resolve) => { server.close(resolve); });
      return port;
    }
  }
}

/** The ports of slot `n`, none if another process has claimed it. */
async function claimPorts(n) {
  const first = PORTS.first + n * PORTS.each;
  const server = await listen(first);
  server?.unref();
  return server ? Array.from({ length: PORTS.each - 1 }, (_, i) => first + 1 + i) : [];
}

/** A server that listens on `port`, undefined if another one does. */
function listen(port) {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.on('error', (error) => (error.code === 'EADDRINUSE' ? resolve() : reject(error)));
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

/** Calls `probe` until it returns something true, and returns that; `what` names it on failure. */
export async function until(probe, what, ms = DEADLINE) {
  const end = Date.now() + ms;
  for (;;) {
    const asked = performance.now();
    const answer = probe();
    const blocked = performance.now() - asked;      // by a program, such as a client of the database: ask it less often
    const value = await answer;
    if (value) return value;
    if (Date.now() > end) throw new Error(`gave up after ${ms} ms waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, Math.min(200, Math.max(20, 10 * blocked))));
  }
}

/** Where the file of a module is. */
export function modulePath(name, sanitize = process.env.DUOLU_SANITIZE === '1') {
  const file = FILES[name] ?? name;
  if (path.isAbsolute(file)) return file;
  const debian = path.join(DEBIAN_MODULES, file);
  if (fs.existsSync(debian)) return debian;
  const ours = path.join(repo, '.build', sanitize ? 'modules-asan' : 'modules', file);
  if (!fs.existsSync(ours)) {
    throw new Error(`module "${name}": no ${ours}, run modules/build.sh${sanitize ? ' --sanitize' : ''}`);
  }
  return ours;
}

/** The load_module lines for module names or absolute paths. */
export function loadModules(modules, sanitize = false) {
  return modules.map((name) => `load_module ${modulePath(name, sanitize)};`).join('\n');
}

function complete(conf, dir) {
  const has = (directive) => new RegExp(`^\\s*${directive}\\s`, 'm').test(conf);
  const head = ['daemon off;'];
  if (!has('user') && process.getuid() === 0) head.push('user root;');
  if (!has('pid')) head.push(`pid ${dir}/nginx.pid;`);
  if (!has('error_log')) head.push(`error_log ${dir}/error.log info;`);
  // load_module must come before events
  const tail = has('events') ? '' : 'events { worker_connections 4096; }\n';
  const temp = HTTP_TEMP.map((t) => `${t}_temp_path ${dir}/tmp_${t};`).join(' ');
  const log = has('access_log') ? '' : 'access_log off; ';
  return `${head.join('\n')}\n${conf.replace(/^(\s*http\s*\{)/m, `$1 ${log}${temp}`)}\n${tail}`;
}

async function template(text, dir, ports, lines) {
  for (const [, name] of text.matchAll(/\{\{port:(\w+)\}\}/g)) ports[name] ??= await freePort();
  return text
    .replaceAll('{{dir}}', dir)
    .replaceAll('{{modules}}', () => lines)
    .replace(/\{\{port:(\w+)\}\}/g, (_, name) => ports[name]);
}

function sanitizerEnv(dir) {
  const lib = (name) => execFileSync('gcc', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim();
  return {
    LD_PRELOAD: `${lib('libasan.so')} ${lib('libubsan.so')}`,
    // nginx does not free its pools at exit: looks like a leak; each module has
    // its own ngx_module_order: looks like a violation
    ASAN_OPTIONS: `detect_leaks=0:detect_odr_violation=0:abort_on_error=1:handle_abort=0:`
        + `quarantine_size_mb=8:log_path=${dir}/sanitizer`,
    UBSAN_OPTIONS: `print_stacktrace=1:log_path=${dir}/sanitizer`,
  };
}

function canConnect(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('connect', () => { socket.destroy(); resolve(true); });
    socket.on('error', () => resolve(false));
  });
}

/** Pids of the live children of `pid`. */
function children(pid) {
  try {
    return fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .trim().split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

function commandLine(pid) {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

/** When the process with this pid began, as proc(5) has it; '' without one. A busy machine soon gives a pid again. */
export function beganAt(pid) {
  try {
    return fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ')[19];
  } catch {
    return '';
  }
}

/** True when no process has this pid any more. */
export function isGone(pid) {
  try { process.kill(pid, 0); return false; } catch { return true; }
}

/** Waits until none of the processes runs; `what` names them on failure. */
export const untilGone = (pids, what) => until(() => pids.every(isGone), `${what} to be gone`);

/** Private memory of processes, KB, without the zone, which may be mapped by one worker alone. */
export function privateKb(pids) {
  let sum = 0;
  for (const pid of pids) {
    let shared = false;
    for (const line of fs.readFileSync(`/proc/${pid}/smaps`, 'utf8').split('\n')) {
      const map = /^[0-9a-f]+-[0-9a-f]+ (\S{4}) /.exec(line);
      if (map) shared = map[1][3] === 's';
      const size = /^Private_\w+:\s+(\d+) kB/.exec(line);
      if (size && !shared) sum += Number(size[1]);
    }
  }
  return sum;
}

class Nginx {
  constructor(options) {
    Object.assign(this, options);
    this.exited = new Promise((resolve) => this.child.on('exit', (code, signal) => {
      this.exit = { code, signal };
      resolve(this.exit);
    }));
    this.pid = this.child.pid;
  }

  log() {
    const file = path.join(this.dir, 'error.log');
    const text = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
    return text + this.output.join('');
  }

  /** Pids of the workers that take connections (not of those shutting down). */
  workers() {
    return children(this.pid).filter((pid) => /worker process\s*$/.test(commandLine(pid)));
  }

  async ready(count = 1) {
    await until(() => this.exit || this.workers().length >= count, `a worker of nginx ${this.pid}`);
    for (const port of Object.values(this.tcp)) {
      await until(async () => this.exit || await canConnect(port), `port ${port}`);
    }
    if (this.exit) throw new Error(`nginx ended at start (${JSON.stringify(this.exit)}):\n${this.log()}`);
    return this;
  }

  /** Rewrites the configuration (when given), sends HUP, awaits the new workers. */
  async reload({ conf } = {}) {
    if (conf !== undefined) {
      fs.writeFileSync(path.join(this.dir, 'nginx.conf'),
        complete(await template(conf, this.dir, this.ports, this.lines), this.dir));
    }
    const old = new Set(this.workers());
    this.kill('SIGHUP');
    await until(() => {
      const now = this.workers();
      return now.length > 0 && now.every((pid) => !old.has(pid));
    }, 'new workers after a reload');
  }

  kill(signal, pid = this.pid) {
    this.asked ||= pid === this.pid && ['SIGTERM', 'SIGQUIT', 'SIGINT', 'SIGKILL'].includes(signal);
    process.kill(pid, signal);
  }

  /** The lines that must not be in a clean log. */
  alarms({ expectCrash = false, allow = [] } = {}) {
    const text = [this.log(), ...fs.readdirSync(this.dir).filter((f) => f.startsWith('sanitizer'))
      .map((f) => fs.readFileSync(path.join(this.dir, f), 'utf8'))].join('\n');
    return text.split('\n').filter((line) => (ALARM.test(line) || SANITIZER.test(line)
        || /exited on signal/.test(line))
      && !(expectCrash && /exited on signal|Sanitizer/.test(line))
      && !allow.some((pattern) => pattern.test(line)));
  }

  /** Kills the master and all workers at once, as a power cut would, and removes the folder. */
  async killAll() {
    const pids = [this.pid, ...this.workers()];
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    await this.exited;
    await untilGone(pids, 'the workers');
    process.off('exit', this.atExit);
    const bad = this.alarms({ expectCrash: true });
    if (bad.length > 0) throw new Error(`nginx was not clean before it was killed:\n${bad.join('\n')}`);
    fs.rmSync(this.dir, { recursive: true });
  }

  /**
   * Ends nginx (graceful: waits for its connections) and throws when the log
   * has an alert, a crashed worker or a sanitizer report.
   */
  async stop({ graceful = false, expectCrash = this.expectCrash, allow = [], keep = false } = {}) {
    const endedAlone = this.exit && !this.asked && !expectCrash;
    if (!this.exit) {
      this.kill(graceful ? 'SIGQUIT' : 'SIGTERM');
      const late = setTimeout(() => this.child.kill('SIGKILL'), DEADLINE);
      await this.exited;
      clearTimeout(late);
    }
    process.off('exit', this.atExit);
    const bad = this.alarms({ expectCrash, allow });
    if (this.exit.signal) bad.push(`the master ended by ${this.exit.signal}`);
    if (endedAlone) bad.push(`the master ended before this test asked it to, with ${this.exit.code}`);
    if (!keep && bad.length === 0) fs.rmSync(this.dir, { recursive: true, force: true });
    if (bad.length > 0) {
      throw new Error(`nginx was not clean (${bad.length} lines, all in ${this.dir}):\n${bad.slice(0, 20).join('\n')}`);
    }
  }
}

async function attempt({ conf, modules, files, sanitize, env, expectCrash, workers }) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'duolu-nginx-'));
  fs.chmodSync(dir, 0o755);
  const ports = {};
  const lines = loadModules(modules, sanitize);
  const write = async (name, text) => {
    fs.mkdirSync(path.dirname(path.join(dir, name)), { recursive: true });
    fs.writeFileSync(path.join(dir, name), await template(text, dir, ports, lines));
  };
  const whole = conf.includes('{{modules}}') ? conf : `{{modules}}\n${conf}`;
  const text = complete(await template(whole, dir, ports, lines), dir);
  fs.writeFileSync(path.join(dir, 'nginx.conf'), text);
  const tcp = { ...ports };             // nginx itself listens on these
  for (const name of Object.keys(tcp)) {
    if (!new RegExp(`listen\\s[^;]*\\b${tcp[name]}\\b`).test(text)) delete tcp[name];
  }
  for (const [name, content] of Object.entries(files)) await write(name, content);

  const child = spawn('/usr/sbin/nginx', ['-p', dir, '-e', `${dir}/error.log`, '-c', `${dir}/nginx.conf`], {
    env: { ...process.env, ...(sanitize ? sanitizerEnv(dir) : {}), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = [];
  child.stdout.on('data', (data) => output.push(String(data)));
  child.stderr.on('data', (data) => output.push(String(data)));
  const atExit = () => child.kill('SIGTERM');       // nothing, if it has ended: its pid may be another's by then
  process.on('exit', atExit);           // a test that throws leaves no nginx behind
  const nginx = new Nginx({ child, dir, ports, tcp, lines, output, expectCrash, atExit });
  await nginx.ready(workers);
  return nginx;
}

export async function startNginx({
  conf, modules = ['rtmp', 'guard'], files = {}, sanitize = process.env.DUOLU_SANITIZE === '1', env = {},
  expectCrash = false, workers = 1,
}) {
  for (let round = 1; ; round++) {
    try {
      return await attempt({ conf, modules, files, sanitize, env, expectCrash, workers });
    } catch (error) {
      // another process took the port before nginx's bind()
      if (round === 5 || !/bind\(\).*Address already in use/.test(error.message)) throw error;
    }
  }
}

/** Runs `nginx -t` on a template; gives {code, output}. */
export async function testConfig({ conf, modules = ['rtmp', 'guard'] }) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'duolu-nginx-'));
  const whole = conf.includes('{{modules}}') ? conf : `{{modules}}\n${conf}`;
  fs.writeFileSync(path.join(dir, 'nginx.conf'),
    complete(await template(whole, dir, {}, loadModules(modules)), dir));
  const child = spawn('/usr/sbin/nginx', ['-t', '-p', dir, '-e', `${dir}/error.log`, '-c', `${dir}/nginx.conf`]);
  let output = '';
  child.stdout.on('data', (data) => { output += data; });
  child.stderr.on('data', (data) => { output += data; });
  const code = await new Promise((resolve) => child.on('close', resolve));
  fs.rmSync(dir, { recursive: true, force: true });
  return { code, output };
}
