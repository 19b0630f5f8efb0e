// The rules of the clip bar's time fields and of links, without DOM; needs neither browser nor stack.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';

const html = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../html');
const load = (name) => import(pathToFileURL(path.join(html, 'js', name)));

const local = (text) => new Date(`2026-03-10T${text}`).getTime();
const shown = (span) => span && [span.from, span.to].map((at) => new Date(at).toLocaleString('sv'));

test('a typed time is on the day of the end that it is typed for', async () => {
  const { timeOnDay } = await load('clip-times.js');
  const near = local('14:30:20');
  const rows = [
    ['14:05', '14:05:00'], ['14:05:10', '14:05:10'], [' 9:05 ', '09:05:00'], ['1405', '14:05:00'],
    ['140510', '14:05:10'], ['14.05.10', '14:05:10'], ['14：05', '14:05:00'], ['00:00', '00:00:00'],
    ['23:59:59', '23:59:59'], ['24:00', null], ['14:60', null], ['14:05:60', null], ['14', null], ['14:5', null],
    ['', null], ['soon', null], ['14:05:10:11', null], ['-1:05', null], ['14051', null],
  ];
  for (const [text, expected] of rows) {
    assert.equal(timeOnDay(text, near), expected && local(expected), text);
  }
});

test('a typed end keeps the span whole', async () => {
  const { typedSpan } = await load('clip-times.js');
  const span = { from: local('14:00:00'), to: local('14:01:00') };
  const rows = [
    ['from', '13:59:30', ['13:59:30', '14:01:00']],
    ['to', '14:02', ['14:00:00', '14:02:00']],
    ['from', '14:05', ['14:05:00', '14:06:00']],         // behind the end: the span moves
    ['to', '13:30', ['13:29:00', '13:30:00']],
    ['to', '14:00', ['13:59:00', '14:00:00']],
  ];
  for (const [end, text, [from, to]] of rows) {
    assert.deepEqual(shown(typedSpan(span, end, text)), shown({ from: local(from), to: local(to) }), `${end} ${text}`);
  }
  assert.equal(typedSpan(span, 'to', 'x'), null);
  const late = { from: local('23:59:00'), to: local('23:59:30') };
  assert.deepEqual(shown(typedSpan(late, 'to', '00:01')), ['2026-03-10 23:59:00', '2026-03-11 00:01:00']);
});

test('on the days when clocks change, a typed time is that of the clock', () => {
  const code = `
    import { timeOnDay } from ${JSON.stringify(pathToFileURL(path.join(html, 'js/clip-times.js')).href)};
    const say = (day, text) => new Date(timeOnDay(text, Date.parse(day))).toISOString();
    console.log(say('2026-03-29T12:00:00Z', '14:00'), say('2026-10-25T12:00:00Z', '14:00'));`;
  const { stdout, stderr } = spawnSync('node', ['--input-type=module', '-e', code], {
    encoding: 'utf8', env: { ...process.env, TZ: 'Europe/Berlin' },
  });
  assert.equal(stdout.trim(), '2026-03-29T12:00:00.000Z 2026-10-25T13:00:00.000Z', stderr);
});

test('lifetimes are said in whole hours and days, and the service allows them', async () => {
  const { lifetimes, lifetimeParts } = await load('clip-times.js');
  const { default: en } = await load('i18n/en.js');
  for (const seconds of Object.values(lifetimes).flat()) {
    assert.ok(seconds >= 60 && seconds <= 30 * 86_400);
    const { unit, count } = lifetimeParts(seconds);
    assert.ok(Number.isInteger(count) && `send.${unit}` in en, `${seconds} s`);
  }
  assert.deepEqual([3600, 7200, 86_400, 604_800].map((seconds) => lifetimeParts(seconds).unit),
    ['hour', 'hours', 'day', 'days']);
});

test('the address of a link leads to its page', async () => {
  const { linkAddress } = await load('clip-times.js');
  const { parseRoute } = await load('route.js');
  const token = 'abc-DEF_0123456789abcd';
  const address = linkAddress(token, 'https://duolu.example:8443/#/watch/live/demo?at=1');
  assert.equal(address, `https://duolu.example:8443/#/s/${token}`);
  assert.deepEqual(parseRoute(new URL(address).hash), { view: 'shared', link: token });
  for (const wrong of ['#/s', '#/s/', '#/s/short', `#/s/${token}x`, `#/s/${'%2F'.repeat(22)}`])
    assert.deepEqual(parseRoute(wrong), { view: 'unknown' }, wrong);
});
