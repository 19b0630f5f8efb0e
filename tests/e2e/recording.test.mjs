// Recordings of a whole stack: it records the streams that the database says, the rows
// match the files, whichever service was down meanwhile, and recordings play.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { start } from '../lib/media.mjs';
import { until } from '../lib/nginx.mjs';
import { Recordings, Source, namesOf, plays, sameFrames, wellFormed } from '../lib/recording.mjs';
import { buildSh, endKeeper, run, startStack } from '../lib/stack.mjs';

const DEADLINE = { timeout: 240_000 };
const POLICIES = ['always', 'never', 'demand'];

let stack;
let hub;                       // for Source
let recordings;
const keys = {};

before(async () => {
  stack = await startStack({ workers: 2 });
  hub = { rtmp: { port: stack.rtmp } };
  recordings = new Recordings(path.join(stack.home, 'rec'));
  for (const name of [...POLICIES, 'service', 'database', 'crash']) {
    keys[name] = JSON.parse(await stack.ctl('stream', 'add', `live/${name}`, '--owner', 'admin', '--json')).key;
  }
  for (const name of POLICIES) await stack.ctl('stream', 'set', `live/${name}`, `record=${name}`);
  for (const name of ['service', 'database', 'crash'])
    await stack.ctl('stream', 'set', `live/${name}`, 'record=always');
});

// tests kill nginx: allow its messages
after(() => stack?.stop());

// ---- questions ------------------------------------------------------------

const publish = async (name, options) => (await Source.open(hub, name, { key: keys[name], ...options })).run();

const live = async (name) => (await stack.controlGet('/status')).streams.find((entry) => entry.name === `live/${name}`);

const recorded = (name, ms = 0) => until(async () => {
  const { recording, window_ms: window } = await live(name) ?? {};
  return recording?.state === 'on' && recording.bytes > 0 && window >= ms;
}, `live/${name} to be recorded`);

/** Rows of a stream, oldest first, their times in ms. */
async function rows(name) {
  const { recordings: all } = JSON.parse(await stack.ctl('rec', 'list', `live/${name}`, '--json'));
  return all
    .map((row) => ({ ...row, from: Date.parse(row.from), to: row.to && Date.parse(row.to) }))
    .sort((a, b) => a.from - b.from);
}

const untilRows = (name, match, title) => until(async () => {
  const all = await rows(name);
  return match(all) && all;
}, title, 60_000);

const complete = (name, count = 1) =>
  untilRows(
    name,
    (all) => all.length === count && all.every(({ state }) => state === 'complete'),
    `${count} complete row(s) of live/${name}`,
  );

/** The row matches the file. */
function tellsTheFile(row, state = 'complete') {
  const r = recordings.read(row.file);
  // duolu-thumb reads by the group; started by root, an ACL lets duolu-auth delete
  wellFormed(r, { modes: ['640', process.getuid() === 0 ? '770' : '750'] });
  assert.deepEqual(
    [row.stream, row.format, row.from, row.bytes, row.state],
    [r.stream, 'mp4', r.start, r.bytes.length, state],
  );
  assert.ok(Math.abs(row.to - r.start - r.end) <= 50, `the row ends at ${row.to}, the file at ${r.start + r.end}`);
  return r;
}

function control(action) {
  return new Promise((resolve, reject) => {
    http
      .request(
        {
          socketPath: path.join(stack.home, 'sock/control.sock'),
          path: `/control/${action}`,
          method: 'POST',
          agent: false,
        },
        (response) => {
          response.resume();
          response.on('end', () => resolve(response.statusCode));
        },
      )
      .on('error', reject)
      .end();
  });
}

// ---- stopping and starting services ---------------------------------------

/** PIDs of the stack's processes of this name. */
const pidsOf = (name) => fs.readdirSync('/proc').filter((pid) => /^\d+$/.test(pid)).filter((pid) => {
  try {
    return (
      fs.readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === name &&
      [stack.home, path.join(stack.home, 'db')].includes(fs.readlinkSync(`/proc/${pid}/cwd`))
    );
  } catch {
    return false;              // it ended meanwhile
  }
}).map(Number);

/** Ends a service; returns a function that has `up` start it again. */
async function take(name, signal) {
  const [pid] = pidsOf(name);
  await endKeeper(stack.home);
  process.kill(pid, signal);
  await until(() => pidsOf(name).length === 0, `${name} to end`);
  return () => buildSh(['up', '-d'], { env: stack.env });
}

/** Stops and starts recording `times` times, which makes as many files. */
async function manyFiles(name, times) {
  for (let n = 0; n < times; n++) {
    await recorded(name);
    assert.equal(await control(`record?stream=live/${name}&on=0`), 200);
    await until(async () => (await live(name)).recording.state === 'off', `the end of file ${n + 1}`);
    assert.equal(await control(`record?stream=live/${name}&on=1`), 200);
  }
  await recorded(name);
}

// ---- tests ----------------------------------------------------------------

test('nginx follows the policies always, never and demand at once', DEADLINE, async () => {
  const sources = await Promise.all(POLICIES.map((name) => publish(name)));
  await recorded('always', 500);
  await until(async () => (await live('demand'))?.window_ms > 500, 'live/demand');
  assert.deepEqual([(await live('never')).recording.state, (await live('demand')).recording.state], ['off', 'off']);
  const [writing] = await untilRows('always', (all) => all.length === 1, 'the row of the running recording');
  assert.deepEqual([writing.state, writing.to], ['recording', null]);
  await assert.rejects(stack.ctl('rec', 'start', 'live/never'), /record=demand/);

  for (let round = 1; round <= 2; round++) {
    await stack.ctl('rec', 'start', 'live/demand');
    await recorded('demand');
    const had = sources[2].n;
    await until(() => sources[2].n > had + 30, 'a second of it');
    await stack.ctl('rec', 'stop', 'live/demand');
    await complete('demand', round);
  }

  await stack.ctl('stream', 'set', 'live/never', 'record=always');
  await recorded('never', 1000);
  for (const name of ['always', 'never']) await stack.ctl('stream', 'set', `live/${name}`, 'record=never');
  const [always, never] = [(await complete('always'))[0], (await complete('never'))[0]];
  for (const source of sources) await source.end();

  const first = tellsTheFile(always);
  assert.equal(namesOf(first.frames)[0], namesOf(sources[0].sent)[0], 'recorded from its first frame on');
  await plays(first);
  await plays(tellsTheFile(never));
  const demanded = (await rows('demand')).map((row) => tellsTheFile(row));
  const names = namesOf(sources[2].sent);
  for (const r of demanded) {
    const from = names.indexOf(namesOf(r.frames)[0]);
    assert.deepEqual(namesOf(r.frames), names.slice(from, from + r.video.length), 'a row of frames as they were sent');
  }
  assert.notEqual(demanded[0].session, demanded[1].session);
  assert.ok(demanded[1].video[0].utc > demanded[0].video.at(-1).utc);
  await until(() => recordings.markers().length === 0, 'no marker to be left');
});

test('history plays in ffmpeg, also during recording', DEADLINE, async () => {
  await stack.ctl('stream', 'set', 'live/always', 'record=always');
  const source = await publish('always');
  await recorded('always', 4000);
  const url = (await stack.ctl('url', 'admin', 'live/always', 'replay')).split('\n').at(-1);
  assert.match(url, /^http:.*\/rec\/live\/always\/index\.m3u8$/);

  // the playlist grows: ffmpeg loads it again
  const [{ from }] = (await rows('always')).slice(-1);
  const growing = start('ffmpeg', [
    '-nostdin',
    '-v',
    'error',
    '-live_start_index',
    '0',
    '-i',
    `${url}?from=${from}`,
    '-t',
    '6',
    '-map',
    '0',
    '-c',
    'copy',
    '-f',
    'null',
    '-',
  ]);
  assert.equal(await growing.ended, 0, growing.text);
  assert.equal(growing.text, '');
  await stack.ctl('stream', 'set', 'live/always', 'record=never');
  const all = await complete('always', 2);
  await source.end();
  const files = all.map((row) => tellsTheFile(row));
  assert.ok(files[1].end >= 6000, 'ffmpeg played more than there was at its start');

  // a span of the past has both files, with the gap between them
  const { stdout, stderr } = await run('ffprobe', [
    '-v',
    'error',
    '-count_packets',
    '-show_entries',
    'stream=codec_type,nb_read_packets',
    '-of',
    'json',
    `${url}?from=${all[0].from}&to=${all[1].to + 1000}`,
  ]);
  assert.equal(stderr, '');
  for (const { codec_type: type, nb_read_packets: n } of JSON.parse(stdout).streams) {
    assert.equal(Number(n), files[0][type].length + files[1][type].length, `${type} packets`);
  }
});

test('after the service and then the database were down, every row comes once and in order', DEADLINE, async () => {
  const sources = {};
  for (const name of ['service', 'database']) {
    sources[name] = await publish(name);
    await recorded(name);
  }
  const startService = await take('duolu-auth', 'SIGKILL');
  await manyFiles('service', 3);
  assert.ok(recordings.spool('live/service').length >= 6, 'events wait on the disk');
  await startService();
  const after_ = await untilRows(
    'service',
    (all) => all.length === 4 && all.slice(0, 3).every(({ state }) => state === 'complete'),
    'four rows',
  );
  assert.equal(after_[3].state, 'recording');

  const startDatabase = await take('mariadbd', 'SIGTERM');
  await manyFiles('database', 3);
  assert.ok(recordings.spool('live/database').length >= 6, 'events wait on the disk');
  await startDatabase();
  await until(() => stack.ctl('rec', 'list').then(() => true, () => false), 'the database');
  const rows_ = await untilRows(
    'database',
    (all) => all.length === 4 && all.slice(0, 3).every(({ state }) => state === 'complete'),
    'four rows',
  );
  assert.equal(rows_[3].state, 'recording');

  for (const name of ['service', 'database']) {
    await stack.ctl('stream', 'set', `live/${name}`, 'record=never');
    const all = await complete(name, 4);
    await sources[name].end();
    const ids = all.map(({ id }) => id);
    assert.deepEqual(ids, [...ids].sort((a, b) => a - b), 'numbers in the order of their beginnings');
    assert.deepEqual(all.map(({ file }) => file), recordings.files(`live/${name}`));
    for (const row of all) tellsTheFile(row);
  }
  await until(() => recordings.spool().length === 0, 'the spool to be empty');
});

test(
  'a killed nginx leaves its file, whose row is interrupted when nginx is back; reindex agrees',
  DEADLINE,
  async () => {
    const source = await publish('crash');
    await recorded('crash', 3000);
    const master = Number(fs.readFileSync(path.join(stack.home, 'pid/nginx.pid'), 'utf8'));
    await endKeeper(stack.home);
    for (const pid of [master, ...pidsOf('nginx').filter((pid) => pid !== master)]) process.kill(pid, 'SIGKILL');
    const killed = source.n;
    source.stop();
    await until(() => pidsOf('nginx').length === 0, 'nginx to end');
    assert.equal((await rows('crash'))[0].state, 'recording');
    await buildSh(['down'], { env: stack.env });
    await buildSh(['up', '-d'], { env: stack.env });
    const [row, ...more] = await untilRows(
      'crash',
      ([first]) => first?.state === 'interrupted',
      'the row to be closed',
    );
    assert.deepEqual(more, []);
    const r = tellsTheFile(row, 'interrupted');
    assert.ok(r.playlist.interrupted);
    const have = namesOf(r.frames);
    assert.deepEqual(have, namesOf(source.sent).slice(0, have.length), 'from the first frame on, none missing');
    assert.ok(
      killed - have.length <= 60,
      `of ${killed} frames the last ${killed - have.length} are gone, at most those of two fragments`,
    );
    await plays(r);

    // record the same stream again: history has both files
    const again = await publish('crash');
    await recorded('crash', 500);
    await stack.ctl('stream', 'set', 'live/crash', 'record=never');
    await untilRows('crash', (all) => all.length === 2 && all[1].state === 'complete', 'the second file');
    await again.end();

    const known = ({ id, reason, ...rest }) => rest;
    const before_ = JSON.parse(await stack.ctl('rec', 'list', '--json')).recordings.map(known);
    const { uid } = fs.statSync(path.join(stack.home, 'mysql/mysql.sock'));
    const user = (await run('id', ['-nu', String(uid)])).stdout.trim();
    await run('setpriv', [
      '--reuid',
      String(uid),
      '--clear-groups',
      'mariadb',
      '--no-defaults',
      `--socket=${path.join(stack.home, 'mysql/mysql.sock')}`,
      `--user=${user}`,
      '-e',
      'DELETE FROM duolu.recordings',
    ]);
    assert.deepEqual(JSON.parse(await stack.ctl('rec', 'list', '--json')).recordings, []);
    await stack.ctl('reindex');
    const order = (list) => list.sort((a, b) => (a.file < b.file ? -1 : 1));
    assert.deepEqual(order(JSON.parse(await stack.ctl('rec', 'list', '--json')).recordings.map(known)), order(before_));
    assert.ok(before_.length >= 14, `${before_.length} rows`);
    sameFrames(
      [recordings.read((await rows('crash'))[1].file)],
      again.sent.slice(0, recordings.read((await rows('crash'))[1].file).frames.length),
    );
  },
);
