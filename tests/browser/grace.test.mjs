// A publisher is killed and returns, with the same settings or with others: playback
// continues in the same document and the same <video>.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { pushFfmpeg, untilLive } from '../lib/media.mjs';
import { startStack } from '../lib/stack.mjs';
import { countPictures, launch, openView, picturesOf, until } from './browser.mjs';

const DEADLINE = { timeout: 180_000 };
const STREAM = 'live/demo';

let stack;
let browser;
let publisher;
let opened;

before(async () => {
  stack = await startStack();
  browser = await launch(stack);
});
after(async () => {
  await opened?.close();
  await browser?.close();
  publisher?.child.kill('SIGKILL');
  await stack?.stop();
});

async function push(options) {
  publisher = pushFfmpeg(`${stack.rtmpUrl}/${STREAM}?key=${stack.demoKey}`, options);
  await untilLive(stack, STREAM, publisher);
}

const look = () => picturesOf(opened.page);

test('the page plays the stream', DEADLINE, async () => {
  await push({});
  opened = await openView(browser, stack, '#/wall/1');
  await countPictures(opened.page);
  await until('the picture to move', look, (seen) => seen.phase === 'playing' && seen.pictures > 25);
});

for (const [change, options] of [
  ['with the same settings', {}],
  ['with another resolution', { size: '640x360' }],
  ['without audio', { size: '640x360', audio: false }],
  ['with audio again', {}],
]) {
  test(`a publisher that is killed and returns ${change}`, DEADLINE, async (t) => {
    publisher.child.kill('SIGKILL');
    await publisher.ended;
    await until('the stream to wait for its publisher', () => stack.controlGet('/status'),
      ({ streams }) => streams.find(({ name }) => name === STREAM)?.state === 'grace');
    // The page first plays the rest of its buffer.
    let last = -1;
    const frozen = await until('the picture to stand still', look, ({ at }) => {
      const standsStill = at === last;
      last = at;
      return standsStill;
    });
    await push(options);
    const began = performance.now();
    const width = Number((options.size ?? '320x180').split('x')[0]);
    const moving = await until('the picture to move again', look,
      (seen) => seen.pictures > frozen.pictures + 5 && seen.phase === 'playing' && seen.width === width);
    t.diagnostic(`${change}: moving ${(performance.now() - began).toFixed(0)} ms after the stream was live again`);
    const later = await until('50 pictures more', look,
      (seen) => seen.pictures > moving.pictures + 50 && seen.phase === 'playing' && seen.behind < 3);
    assert.ok(moving.same && later.same, 'the same document, the same video');
    assert.notEqual(later.at, moving.at, 'its time goes on');
  });
}
