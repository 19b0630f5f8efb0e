// Repeats a question to the service until it is answered: a few seconds after a
// temporary failure, and when the network is back. Without this a table would stay
// empty, which looks like an answer.

import { mayPass } from './api.js';

const againMs = 4000;

export class Asking {
  /** ask() returns a promise; take(value) gets its answer, fail(error) its error, or null once it succeeds again. */
  constructor(ask, take, fail) {
    this.ask = ask;
    this.take = take;
    this.fail = fail;
    this.failed = false;
    this.asked = 0;
    this.onOnline = () => this.failed && this.refresh();
    window.addEventListener('online', this.onOnline);
  }

  /** Asks now and ignores the answer to an earlier question. */
  async refresh() {
    clearTimeout(this.timer);
    const mine = (this.asked += 1);
    const { value, error = null } = await this.ask().then(
      (answer) => ({ value: answer }),
      (reason) => ({ error: reason }),
    );
    if (mine !== this.asked) return;
    this.failed = error !== null;
    this.fail(error);
    if (!error) this.take(value);
    else if (mayPass(error)) this.timer = setTimeout(() => this.refresh(), againMs);
  }

  stop() {
    clearTimeout(this.timer);
    this.asked += 1;
    window.removeEventListener('online', this.onOnline);
  }
}
