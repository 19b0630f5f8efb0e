// The rules of the storage page; needs neither browser nor stack.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  actable, bytesOf, changesOf, numberText, partsOf, reasonsOf, shareOf, shareText,
} from '../../html/js/storage.js';

test('a size is shown in GB or %, and what is not edited stays as it was', () => {
  for (const [text, shown] of [
    ['0', { amount: '', unit: 'GB' }],
    ['0%', { amount: '', unit: '%' }],
    ['5%', { amount: '5', unit: '%' }],
    ['500g', { amount: '537', unit: 'GB' }],
    ['2t', { amount: '2200', unit: 'GB' }],
    ['20000000000', { amount: '20', unit: 'GB' }],
    ['1500', { amount: '0.0000015', unit: 'GB' }],
    ['many', { amount: '', unit: 'GB' }],
  ]) assert.deepEqual({ ...shareOf(text), amount: String(Number(shareOf(text).amount) || '') },
    { ...shown, amount: String(Number(shown.amount) || '') }, text);
  for (const [field, text] of [
    [{ amount: '', unit: 'GB' }, '0'],
    [{ amount: '-3', unit: '%' }, '0'],
    [{ amount: '20.5', unit: 'GB' }, '20500000000'],
    [{ amount: '5', unit: '%' }, '5%'],
    [{ amount: '300', unit: '%' }, '99%'],
    [{ amount: '0.2', unit: '%' }, '1%'],
  ]) assert.equal(shareText(field), text);
  assert.deepEqual([numberText(''), numberText('30'), numberText('-1'), numberText('7.9')], ['0', '30', '0', '7']);
  assert.deepEqual(changesOf({ a: '1', b: '2' }, { a: '1', b: '3' }), { b: '3' });
});

test('the parts of the disk add up, whatever the rows say', () => {
  const sum = (parts) => parts.reduce((all, { share }) => all + share, 0);
  const bytes = (parts) => parts.map((part) => part.bytes);
  const parts = partsOf({ disk: { bytes: 1000, free: 300 }, bytes: 500, kept: 100 });
  assert.deepEqual(parts.map(({ name }) => name), ['kept', 'recordings', 'other', 'free']);
  assert.deepEqual(bytes(parts), [100, 400, 200, 300]);
  // rows of files that are on another disk, or gone
  assert.deepEqual(bytes(partsOf({ disk: { bytes: 1000, free: 300 }, bytes: 5000, kept: 900 })), [700, 0, 0, 300]);
  assert.equal(sum(parts), 1);
  assert.deepEqual(partsOf({ disk: null, bytes: 5, kept: 0 }), []);
});

test('a plan names its reasons, the largest first', () => {
  const reasons = {
    'older than rec_days': { count: 2, bytes: 5 },
    'over rec_total': { count: 1, bytes: 9 },
    new: { count: 1, bytes: 1 },
  };
  assert.deepEqual(reasonsOf({ reasons }).map(({ key }) => key),
    ['storage.reasonTotal', 'storage.reasonAge', 'storage.reasonOther']);
});

test('a selection deletes neither what is kept nor what is being written', () => {
  const list = [
    { id: 1, bytes: 10, keep: false, state: 'complete' },
    { id: 2, bytes: 20, keep: true, state: 'complete' },
    { id: 3, bytes: 40, keep: false, state: 'recording' },
    { id: 4, bytes: 80, keep: false, state: 'complete' },
  ];
  const chosen = new Set([1, 2, 3]);
  assert.deepEqual(actable(list, chosen, 'remove'), [1]);
  assert.deepEqual(actable(list, chosen, 'keep'), [1, 3]);
  assert.deepEqual(actable(list, chosen, 'free'), [2]);
  assert.equal(bytesOf(list, chosen), 70);
});
