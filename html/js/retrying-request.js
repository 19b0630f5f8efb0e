// Repeats a request to the service until it succeeds: a few seconds after a temporary
// failure, and when the network is back. Otherwise a table would stay empty, which
// looks like an answer.

import { mayPass } from './api.js';

const retryMs = 4000;

export class RetryingRequest {
  /** send() returns a promise. take(value) gets each answer; fail(error) gets each error, and null after a success. */
  constructor(send, take, fail) {
    this.send = send;
    this.take = take;
    this.fail = fail;
    this.failed = false;
    this.count = 0;
    this.onOnline = () => this.failed && this.refresh();
    window.addEventListener('online', this.onOnline);
  }

  /** Sends the request now, and ignores the answer to an earlier one. */
  async refresh() {
    clearTimeout(this.timer);
    const mine = (this.count += 1);
    const { value, error = null } = await this.send().then(
      (answer) => ({ value: answer }),
      (reason) => ({ error: reason }),
    );
    if (mine !== this.count) return;
    this.failed = error !== null;
    this.fail(error);
    if (!error) this.take(value);
    else if (mayPass(error)) this.timer = setTimeout(() => this.refresh(), retryMs);
  }

  stop() {
    clearTimeout(this.timer);
    this.count += 1;
    window.removeEventListener('online', this.onOnline);
  }
}
