// modules/http/hls_playlist.c, judged by the validator that is written from the RFC's text: the lists of cases/hls, and
// those of 5 minutes of live (list_hls.c).

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Report } from '../lib/hls-rules.mjs';
import { HlsFollower, HlsStream, readMedia, readMultivariant } from '../lib/hls-validator.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));

function run(command, ...args) {
  const done = spawnSync(command, args, { maxBuffer: 1 << 28, timeout: 120_000 });
  assert.equal(done.status, 0, `${command}: ${done.error ?? done.stderr}`);
  return done.stdout;
}

/** What list_hls prints: [{msn, part, skip, text}]. */
function* listsOf(bytes) {
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf('\n', at) + 1;
    const [msn, part, skip, size] = bytes.subarray(at, end).toString().split(' ').map(Number);
    at = end + size;
    yield { msn, part, skip: skip === 1, text: bytes.subarray(end, at) };
  }
}

test('the validator finds nothing in the lists of cases/hls', () => {
  const folder = path.join(here, 'cases/hls');
  const names = fs.readdirSync(folder);
  assert.ok(names.length >= 10, `${names}`);
  for (const name of names) {
    const report = new Report();
    const read = name.startsWith('index') ? readMultivariant : readMedia;
    read(fs.readFileSync(path.join(folder, name)), report);
    assert.equal(report.text, '', name);
  }
});

test('the validator finds nothing in 5 minutes of lists, full and as delta updates', () => {
  run('make', '-s', '-C', here, 'list_hls');
  const stream = new HlsStream();
  const player = new HlsFollower(stream), reader = new HlsFollower(stream);
  const seen = { delta: 0, breaks: 0, full: 0 };
  let updated;
  for (const { text, ...request } of listsOf(run(path.join(here, '../../.build/unit/list_hls')))) {
    if (request.skip) {
      updated = player.add(text, request);
      seen.delta += updated.delta ? 1 : 0;
      continue;
    }
    const full = reader.add(text);
    stream.report.need(full.segments.length === updated.segments.length, 'delta-true', 'another length');
    reader.compareFull(updated, full);
    seen.full++;
    seen.breaks = Math.max(seen.breaks, full.discontinuitySequence);
    if (stream.report.problems.length > 0) break;
  }
  assert.equal(stream.report.text, '');
  assert.ok(updated.ended, 'the last list has EXT-X-ENDLIST');
  assert.ok(seen.full > 850 && seen.delta > seen.full * 0.8 && seen.breaks > 95442402, JSON.stringify(seen));
});
