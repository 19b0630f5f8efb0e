// How many publishers the service lets in a second, with the database that `up` starts, while users log in:
//
//   tests/bench/run.sh gate [quick]
//
// Questions come at a given rate, whether or not earlier ones are answered, as phones do after an outage; the time of
// an answer counts from the moment when its question was due. Each question is a connection of its own, as nginx's,
// with a right key, so that each answer takes a session row and an audit row; its end is reported as nginx does.

import fs from 'node:fs';
import path from 'node:path';
import { fcgi } from '../lib/fcgi.mjs';
import { pidOf, startStack } from '../lib/stack.mjs';
import { machine } from './table.mjs';

const RATES = [100, 250, 500, 750, 1000, 1250, 1500, 2000];
const LOGINS = 20;              // a second
const USERS = 20;
const MOST_OPEN = 900;          // below the socket's backlog
const LATE_MS = 250;            // p99 beyond this is no answer in time
const PASSWORD = 'a password of the bench';
const TICK_MS = 4;

const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
const at = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;

/** Calls send() at this rate for so many seconds; resolves to {sent, skipped, times: sorted ms, failed}. */
async function atRate(rate, seconds, send) {
  const out = { sent: 0, skipped: 0, failed: 0, times: [] };
  const began = performance.now();
  const open = new Set();
  for (let due = 0; performance.now() < began + seconds * 1000; await sleep(TICK_MS)) {
    for (const now = performance.now(); began + (due * 1000) / rate <= now; due += 1) {
      if (open.size >= MOST_OPEN) {
        out.skipped += 1;
        continue;
      }
      const since = began + (due * 1000) / rate;
      out.sent += 1;
      const asked = send(out.sent).then(
        (good) => { if (good) out.times.push(performance.now() - since); else out.failed += 1; },
        () => { out.failed += 1; },
      ).finally(() => open.delete(asked));
      open.add(asked);
    }
  }
  await Promise.all(open);
  out.seconds = (performance.now() - began) / 1000;
  out.times.sort((a, b) => a - b);
  return out;
}

function cpuSeconds(pid) {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function measure(stack, rate, seconds) {
  const gate = path.join(stack.home, 'auth/gate.sock');
  const pids = { service: pidOf(stack.home, /duolu-auth/), database: pidOf(stack.home, /mariadbd|mysqld/) };
  const before = Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, pid ? cpuSeconds(pid) : NaN]));
  const run = `${rate}-${process.pid}`;
  const params = { REQUEST_METHOD: 'GET', APP: 'live', NAME: 'demo', ARGS: `key=${stack.demoKey}` };

  const publish = async (number) => {
    const common = { ...params, REMOTE_ADDR: `10.1.${number >> 8 & 255}.${number & 255}`, SESSION: `${run}-${number}` };
    const { json } = await fcgi(gate, { ...common, SCRIPT_NAME: '/gate/publish' });
    // its end, which nobody waits for
    fcgi(gate, { ...common, SCRIPT_NAME: '/gate/done', KIND: 'publish', BYTES: 1, SECONDS: 1, REASON: 'bench' })
      .catch(() => {});
    return json?.allow === true;
  };
  const login = async (number) => {
    const body = { name: `bench${number % USERS}`, password: PASSWORD };
    return (await stack.api('POST', '/api/login', { body })).status === 200;
  };

  const [decisions, logins] = await Promise.all([atRate(rate, seconds, publish), atRate(LOGINS, seconds, login)]);
  const used = (name) => (pids[name] ? (cpuSeconds(pids[name]) - before[name]) / decisions.seconds : NaN);
  return { rate, decisions, logins, service: used('service'), database: used('database') };
}

function row({ rate, decisions, logins, service, database }) {
  const cells = [
    rate,
    Math.round(decisions.times.length / decisions.seconds),
    ...[0.5, 0.99, 1].map((share) => at(decisions.times, share).toFixed(1)),
    decisions.failed + decisions.skipped,
    (logins.times.length / logins.seconds).toFixed(1),
    at(logins.times, 0.5).toFixed(0),
    at(logins.times, 0.99).toFixed(0),
    service.toFixed(2),
    database.toFixed(2),
  ];
  return `| ${cells.join(' | ')} |`;
}

const holds = ({ rate, decisions }) =>
  decisions.failed + decisions.skipped === 0 && decisions.times.length / decisions.seconds > rate * 0.95
  && at(decisions.times, 0.99) <= LATE_MS;

const quick = process.argv.includes('quick');
const seconds = quick ? 4 : 15;
const stack = await startStack();
try {
  const cookie = await stack.login('admin');
  for (let i = 0; i < USERS; i += 1) {
    const body = { name: `bench${i}`, password: PASSWORD };
    const { status, json } = await stack.api('POST', '/api/users', { cookie, body });
    if (status !== 201) throw new Error(`user bench${i}: ${status} ${json.message}`);
  }
  await measure(stack, 50, 2);        // connections and statements are there
  console.log(`${machine()}\n`);
  console.log(`Publish decisions, while ${LOGINS} users a second log in, ${seconds} s for each rate:\n`);
  const heads = ['asked/s', 'answered/s', 'p50 ms', 'p99 ms', 'longest', 'failed', 'logins/s', 'login p50', 'login p99',
    'service cores', 'database cores'];
  console.log(`| ${heads.join(' | ')} |\n|${' --- |'.repeat(heads.length)}`);
  let best = 0;
  for (const rate of quick ? RATES.filter((each) => [250, 500, 1000].includes(each)) : RATES) {
    const result = await measure(stack, rate, seconds);
    console.log(row(result));
    if (!holds(result)) break;
    best = rate;
  }
  console.log(`\nThe highest rate with every answer given and p99 within ${LATE_MS} ms: ${best}/s`);
} finally {
  await stack.stop();
}
