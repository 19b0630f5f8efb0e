// The streams this user may see, asked for every 1.5 s while the page is visible.
// Events: 'change' (new list), 'trouble' (error or null), 'signedout'.

import { api } from './api.js';

const everyMs = 1500;   // a stream that begins is on the page within 3 s

export class StreamList extends EventTarget {
  constructor() {
    super();
    this.streams = null; // null until the first answer
    this.trouble = null;
    this.timer = null;
    this.asking = null;
    this.running = false;
    this.onVisible = () => {
      if (document.visibilityState === 'visible') this.refresh();
    };
  }

  start() {
    if (this.running) return;
    this.running = true;
    document.addEventListener('visibilitychange', this.onVisible);
    window.addEventListener('online', this.onVisible);
    this.refresh();
  }

  stop() {
    this.running = false;
    clearTimeout(this.timer);
    document.removeEventListener('visibilitychange', this.onVisible);
    window.removeEventListener('online', this.onVisible);
    this.streams = null;
    this.trouble = null;
  }

  find(id) {
    return this.streams?.find((stream) => stream.id === id) ?? null;
  }

  refresh() {
    clearTimeout(this.timer);
    this.asking ??= this.ask().finally(() => {
      this.asking = null;
      if (this.running && document.visibilityState === 'visible') {
        this.timer = setTimeout(() => this.refresh(), everyMs);
      }
    });
    return this.asking;
  }

  async ask() {
    try {
      const streams = await api.streams();
      if (!this.running) return;
      this.streams = sortStreams(streams);
      this.setTrouble(null);
      this.dispatchEvent(new Event('change'));
    } catch (error) {
      if (!this.running) return;
      if (error.status === 401) this.dispatchEvent(new Event('signedout'));
      else this.setTrouble(error);
    }
  }

  setTrouble(error) {
    if (this.trouble?.code === error?.code) return;
    this.trouble = error;
    this.dispatchEvent(new Event('trouble'));
  }
}

// cam2 before cam10.
const byName = new Intl.Collator(undefined, { numeric: true });
const order = { live: 0, grace: 1, offline: 2 };

export function sortStreams(streams) {
  return [...streams].sort((a, b) => order[a.state] - order[b.state] || byName.compare(a.id, b.id));
}
