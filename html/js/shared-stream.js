// What a link shows, as the service tells it. Of a live stream this is the list that a tile needs, with one stream;
// it asks again now and then whether that is live. Events: 'change', 'over'.

import { api } from './api.js';

const askEveryMs = 10_000;
const overStatuses = [404, 410];

export class SharedStream extends EventTarget {
  /** ask: the body of POST /api/links/open; answer: what it answered. */
  constructor(ask, answer) {
    super();
    this.ask = ask;
    this.trouble = null;
    this.take(answer);
    if (answer.kind === 'live') this.timer = setInterval(() => this.refresh(), askEveryMs);
  }

  take(answer) {
    this.answer = answer;
    const { url, title, name, state, audio, video } = answer;
    const stream = { id: 'shared', name, title, play: url, state, audio, video, recording: 'off', kbps: 0, rights: [] };
    this.streams = [stream];
  }

  find(id) {
    return this.streams.find((stream) => stream.id === id) ?? null;
  }

  /** Asks again, for the state and a new token; this counts no view. */
  async refresh() {
    let answer;
    try {
      answer = await api.openLink({ ...this.ask, again: true });
    } catch (error) {
      if (this.destroyed) return;
      if (overStatuses.includes(error.status)) this.dispatchEvent(new Event('over'));
      this.trouble = error;
      return;
    }
    if (this.destroyed) return;
    this.trouble = null;
    this.take(answer);
    this.dispatchEvent(new Event('change'));
  }

  destroy() {
    this.destroyed = true;
    clearInterval(this.timer);
  }
}
