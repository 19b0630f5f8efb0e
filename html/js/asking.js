// Something that is asked of the service until an answer comes: once more a few
// seconds after a failure that may pass, and when the network is back. An empty
// table that stays would look like an answer.

import { mayPass } from './api.js';

const againMs = 4000;

export class Asking {
  /** ask() gives a promise; take(value) gets its answer, fail(error) what went wrong, null when it is right again. */
  constructor(ask, take, fail) {
    this.ask = ask;
    this.take = take;
    this.fail = fail;
    this.failed = false;
    this.asked = 0;
    this.onOnline = () => this.failed && this.refresh();
    window.addEventListener('online', this.onOnline);
  }

  /** Asks now; an answer to an earlier question is not waited for any more. */
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
