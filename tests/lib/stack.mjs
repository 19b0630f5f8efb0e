// A test's own stack (MariaDB, auth-service, nginx), started by build.sh.
//
//   const stack = await startStack();
//   stack.httpsUrl, stack.rtmpUrl, stack.adminPassword, stack.demoKey
//   await stack.ctl('user', 'list')            standard output of duoluctl
//   await stack.controlGet('/status')          parsed JSON of nginx's control socket
//   const cookie = await stack.login('admin')  of the page
//   await stack.api('GET', '/api/me', { cookie })      { status, headers, json }
//   await stack.stop()          throws when a process survives or a log has an alert

import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import { freePort, repo, until } from './nginx.mjs';

const ALARM = /\[(alert|emerg|crit)\]|ERROR: \w+Sanitizer|runtime error:/;

/** Runs a program; returns its output, or throws with both streams in the message. */
export function run(command, args, { env, input, cwd = repo, check = true, timeout = 300_000 } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: 'pipe', timeout });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (data) => { stdout += data; });
    child.stderr.on('data', (data) => { stderr += data; });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (check && code !== 0) {
        reject(new Error(`${command} ${args.join(' ')}: ${signal ?? `exit status ${code}`}\n${stdout}${stderr}`));
      } else {
        resolve({ code, signal, stdout, stderr });
      }
    });
    // a program that reads no input may have ended before the write
    child.stdin.on('error', () => {});
    child.stdin.end(input ?? '');
  });
}

/** The same for hooks and constructors that cannot wait; returns its standard output. */
export function runSync(command, args, options) {
  const { error, status, signal, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', ...options });
  if (status !== 0) {
    const how = error?.message ?? signal ?? `exit status ${status}`;
    throw new Error(`${command} ${args.join(' ')}: ${how}\n${stdout ?? ''}${stderr ?? ''}`);
  }
  return stdout;
}

export const buildSh = (args, options) => run(path.join(repo, 'build.sh'), args, options);

/** `up` in the foreground: {text: its output so far, ended, child}. */
export function foreground(env) {
  const child = spawn(path.join(repo, 'build.sh'), ['up'],
    { cwd: repo, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const state = { text: '', child, ended: new Promise((resolve) => { child.on('close', (code) => resolve(code)); }) };
  child.stdout.on('data', (data) => { state.text += data; });
  child.stderr.on('data', (data) => { state.text += data; });
  /* Waits until all runs; throws with the whole text when that does not come. */
  state.ready = async () => {
    const ready = () => /Ctrl-C ends everything/.test(state.text);
    await until(() => ready() || child.exitCode !== null, 'up', 120_000).catch(() => {});
    if (!ready()) throw new Error(`up is not ready (exit status ${child.exitCode}):\n${state.text}`);
  };
  return state;
}

/** A new folder for one stack's state, which the service user can reach. */
export function newHome() {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'duolu-'));
  fs.chmodSync(home, 0o711);
  return home;
}

/** Settings of a stack that shares nothing with others: its own state and ports. */
export async function stackEnv({ workers = 2, env = {} } = {}) {
  return {
    DUOLU_HOME: newHome(),
    DUOLU_HTTP: String(await freePort()),
    DUOLU_HTTPS: String(await freePort()),
    DUOLU_RTMP: String(await freePort()),
    DUOLU_RTMPS: String(await freePort()),
    DUOLU_LISTEN: '127.0.0.1',
    DUOLU_HOST: '',
    DUOLU_WORKERS: String(workers),
    DUOLU_DB: '',
    DUOLU_FLUSH: '',
    DUOLU_REC: '',
    DUOLU_LOG_SIZE: '',
    DUOLU_HSTS: '',
    DUOLU_BUILT: 'yes',
    ...env,
  };
}

/** Processes whose working directory is in `home`: after `down` there must be none. */
export function processesOf(home) {
  const found = [];
  for (const pid of fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const cwd = fs.readlinkSync(`/proc/${pid}/cwd`);
      if (cwd === home || cwd.startsWith(`${home}/`)) {
        found.push(`${pid} ${fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')}`);
      }
    } catch {
      // the process has ended meanwhile
    }
  }
  return found;
}

function logsOf(home) {
  const dir = path.join(home, 'log');
  if (!fs.existsSync(dir)) return [];
  return fs.readdirSync(dir).map((name) => [name, fs.readFileSync(path.join(dir, name), 'utf8')]);
}

/** Runs `down` and checks that no process is left. */
export async function stopStack(env, { allow } = {}) {
  const home = env.DUOLU_HOME;
  await buildSh(['down'], { env });
  const left = processesOf(home);
  const alarms = logsOf(home).flatMap(([name, text]) => text.split('\n')
    .filter((line) => ALARM.test(line) && !(allow && allow.test(line)))
    .map((line) => `${name}: ${line}`));
  fs.rmSync(home, { recursive: true, force: true });
  if (left.length) throw new Error(`processes left after down:\n${left.join('\n')}`);
  if (alarms.length) throw new Error(`alerts in the logs:\n${alarms.join('\n')}`);
}

function get(socketPath, target) {
  return new Promise((resolve, reject) => {
    const request = http.get({ socketPath, path: target, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text) => { body += text; });
      response.on('end', () => resolve({ status: response.statusCode, body }));
    });
    request.on('error', reject);
  });
}

/** A call of the page's API. */
function callApi(httpsUrl, method, target, { body, cookie } = {}) {
  const text = body ? JSON.stringify(body) : '';
  return new Promise((resolve, reject) => {
    const headers = {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(text),
      'X-Duolu': '1',
      Origin: httpsUrl,
      ...(cookie ? { Cookie: cookie } : {}),
    };
    const options = { method, headers, rejectUnauthorized: false, agent: false };
    const request = https.request(httpsUrl + target, options, (response) => {
      let answer = '';
      response.setEncoding('utf8');
      response.on('data', (data) => { answer += data; });
      response.on('end', () =>
        resolve({ status: response.statusCode, headers: response.headers, json: JSON.parse(answer) }));
    });
    request.on('error', reject);
    request.end(text);
  });
}

/** The process of a stack whose command line matches, or undefined. */
export const pidOf = (home, pattern) => {
  const line = processesOf(home).find((text) => pattern.test(text));
  return line && Number(line.split(' ')[0]);
};

/** Ends the process that restarts a stack's services; `up` starts it again. */
export async function endKeeper(home) {
  const pid = pidOf(home, /build\.sh keep/);
  if (!pid) throw new Error(`nothing looks after ${home}`);
  process.kill(pid, 'SIGUSR1');
  await until(() => !fs.existsSync(`/proc/${pid}`), `${pid}, which looks after ${home}, to leave`);
}

export async function startStack(options = {}) {
  const env = await stackEnv(options);
  const home = env.DUOLU_HOME;
  try {
    await buildSh(['up', '-d'], { env });
  } catch (error) {
    fs.rmSync(home, { recursive: true, force: true });
    throw error;
  }
  const secret = (name) => fs.readFileSync(path.join(home, 'secrets', name), 'utf8').trim();
  return {
    home,
    env,
    http: Number(env.DUOLU_HTTP),
    https: Number(env.DUOLU_HTTPS),
    rtmp: Number(env.DUOLU_RTMP),
    httpUrl: `http://127.0.0.1:${env.DUOLU_HTTP}`,
    httpsUrl: `https://127.0.0.1:${env.DUOLU_HTTPS}`,
    rtmpUrl: `rtmp://127.0.0.1:${env.DUOLU_RTMP}`,
    rtmpsUrl: `rtmps://127.0.0.1:${env.DUOLU_RTMPS}`,
    adminPassword: secret('admin'),
    demoKey: secret('demo.key'),
    log: (name) => fs.readFileSync(path.join(home, 'log', `${name}.log`), 'utf8'),
    /** Runs duoluctl and returns its standard output; a last argument { input } is its standard input. */
    async ctl(...args) {
      const input = typeof args.at(-1) === 'object' ? args.pop().input : undefined;
      return (await buildSh(['ctl', ...args], { env, input })).stdout.trim();
    },
    async controlGet(target) {
      const { status, body } = await get(path.join(home, 'sock/control.sock'), target);
      if (status !== 200) throw new Error(`control ${target}: ${status} ${body}`);
      return JSON.parse(body);
    },
    api: (...call) => callApi(`https://127.0.0.1:${env.DUOLU_HTTPS}`, ...call),
    /** Logs in to the page; gives the cookie. */
    async login(name, password = secret('admin')) {
      const { status, headers, json } = await this.api('POST', '/api/login', { body: { name, password } });
      if (status !== 200) throw new Error(`login of ${name}: ${status} ${json.message}`);
      return headers['set-cookie'][0].split(';')[0];
    },
    stop: (stopOptions) => stopStack(env, stopOptions),
  };
}
