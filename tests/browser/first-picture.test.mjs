// Measures how long an open page takes to show a stream that begins: from its first
// frame at the server to its first picture on the page.

import { test } from 'node:test';
import { startStack } from '../lib/stack.mjs';
import { launch, openView, tiles } from './browser.mjs';
import { publish } from './publisher.mjs';

test('a stream that begins shows its picture on an open page', { timeout: 180_000 }, async (t) => {
  const stack = await startStack();
  t.after(() => stack.stop());
  const browser = await launch(stack);
  t.after(() => browser.close());
  const { page } = await openView(browser, stack, '#/wall/1');
  const publisher = publish([`${stack.rtmpUrl}/live/demo?key=${stack.demoKey}`]);
  t.after(() => publisher.stop());

  const timeWhen = async (look) => {
    for (;;) {
      if (await look()) return performance.now();
      await new Promise((resolve) => { setTimeout(resolve, 20); });
    }
  };
  const frame = await timeWhen(async () => {
    const { streams } = await stack.controlGet('/status');
    return streams.some((stream) => stream.window_bytes > 1000);
  });
  const picture = await timeWhen(async () => Object.values(await tiles(page)).some((tile) => tile.frames > 0));
  t.diagnostic(`first picture ${(picture - frame).toFixed(0)} ms after the first frame`);
});
