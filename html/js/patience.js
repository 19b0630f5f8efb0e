// Waits for an answer, and says in time that none comes, so that the user can give up or know why nothing happens.

import { cancellable } from './api.js';
import { clocksNow, msBetween, slowAfterMs } from './picture-age.js';

const sayEveryMs = 1000;

/**
 * Runs send(), which makes a call of the API at once. After three seconds without an answer it calls
 * slow({ms, cancel}) each second, and at the end slow(null).
 */
export async function patiently(send, slow) {
  const began = clocksNow();
  const { answer, cancel } = cancellable(send);
  const say = () => slow({ ms: msBetween(began, clocksNow()), cancel });
  let ticker = null;
  const timer = setTimeout(() => {
    say();
    ticker = setInterval(say, sayEveryMs);
  }, slowAfterMs);
  try {
    return await answer;
  } finally {
    clearTimeout(timer);
    clearInterval(ticker);
    slow(null);
  }
}
