// Repeats a request to the service until it succeeds: after a failure ever more rarely, at
// once when the network is back, the tab is in front again or the user has signed in again.
// Otherwise a table would stay empty or old, which looks like an answer.

import { mayPass, session } from './api.js';
import { patiently } from './patience.js';
import { retryDelay } from './timing.js';

// A right may be given later, or a fault of the service mended.
const hopelessRetryMs = 30_000;

export class RetryingRequest {
  /**
   * send() returns a promise. take(value) gets each answer; fail(error) gets each error, and null after a success;
   * slow({ms, cancel}) is called while no answer comes, and slow(null) afterwards (patience.js).
   */
  constructor(send, take, fail, slow = () => {}) {
    this.send = send;
    this.take = take;
    this.fail = fail;
    this.slow = slow;
    this.failed = false;
    this.count = 0;
    this.attempt = 0;
    this.listening = new AbortController();
    const again = () => this.failed && this.refresh();
    const on = (target, type, listener) => target.addEventListener(type, listener, { signal: this.listening.signal });
    on(window, 'online', again);
    on(session, 'back', again);
    on(document, 'visibilitychange', () => document.visibilityState === 'visible' && again());
  }

  /** Sends the request now, and ignores the answer to an earlier one. */
  async refresh() {
    clearTimeout(this.timer);
    const mine = (this.count += 1);
    const isMine = () => mine === this.count;
    const { value, error = null } = await patiently(this.send, (slow) => isMine() && this.slow(slow)).then(
      (answer) => ({ value: answer }),
      (reason) => ({ error: reason }),
    );
    if (!isMine()) return;
    this.failed = error !== null;
    this.fail(error);
    if (error) this.retryLater(error);
    else {
      this.attempt = 0;
      this.take(value);
    }
  }

  retryLater(error) {
    // After a 401 the login form comes; and the user who has stopped waiting wants no other try yet.
    if (error.status === 401 || error.code === 'cancelled') return;
    this.timer = setTimeout(() => this.refresh(), mayPass(error) ? retryDelay(this.attempt) : hopelessRetryMs);
    this.attempt += 1;
  }

  stop() {
    clearTimeout(this.timer);
    this.count += 1;
    this.listening.abort();
  }
}
