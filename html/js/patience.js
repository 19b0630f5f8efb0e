// Waits for an answer, and says in time that none comes, so that the user can give up or know why nothing happens.

import { cancellable } from './api.js';
import { clocksNow, msBetween, slowAfterMs } from './picture-age.js';

const sayEveryMs = 1000;

/**
 * Runs send(each), which makes a call of the API at once. After three seconds without an answer this calls
 * slow({ms, cancel}) each second, and at the end slow(null). A send() of several calls makes each by each(() => call):
 * the user waits for one answer at a time. What is no call of the API gets a signal: send(each, signal).
 */
export async function patiently(send, slow) {
  let timer = null;
  let ticker = null;
  let isSlow = false;

  function say(next) {
    isSlow = next !== null;
    slow(next);
  }

  function rest() {
    clearTimeout(timer);
    clearInterval(ticker);
  }

  function each(call) {
    rest();
    if (isSlow) say(null);
    const began = clocksNow();
    let cancel = null;
    const tell = () => say({ ms: msBetween(began, clocksNow()), cancel });
    timer = setTimeout(() => {
      tell();
      ticker = setInterval(tell, sayEveryMs);
    }, slowAfterMs);
    const begun = cancellable(call);
    ({ cancel } = begun);
    return begun.answer;
  }

  try {
    return await each((signal) => send(each, signal));
  } finally {
    rest();
    slow(null);
  }
}
