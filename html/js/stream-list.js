// The current streams that this user may see. Fetches the list once, then applies the
// server's events. Polls the list, slowly, only while no events come.
// Events: 'change' (new list), 'trouble' (error or null). A state has an age: `stale` tells
// that no news comes, and knownAt until when the state is known.

import { api } from './api.js';
import { patiently } from './patience.js';
import { nothingKnown, reduce, streamsOf, unknownNumbers } from './live-events.js';

// The server ends an event stream every ten minutes, to check rights again; the
// browser opens the next one well within this time.
const quietMs = 3000;
// The server sends an event at least every 4 s: after this silence it hangs, or the connection is dead.
const silentMs = 9000;
const slowPollMs = 15_000;
// The server ends every event stream before this age: an older connection is dead.
const oldestEventsMs = 11 * 60_000;
const asleepMs = 60_000;
const gatherMs = 300;
const retryMs = 5000;

export class StreamList extends EventTarget {
  constructor() {
    super();
    this.running = false;
    this.forget();
    this.onOnline = () => this.reopen();
    this.onOffline = () => this.setTrouble({ code: 'network' });
    this.onVisibility = () => {
      if (document.visibilityState === 'hidden') this.hiddenAt = Date.now();
      // After the machine slept, the connection may be dead.
      else if (Date.now() - this.hiddenAt > asleepMs) this.reopen();
    };
  }

  forget() {
    this.heardAt = Date.now();   // when the last news came
    this.isSilent = false;       // the server has fallen silent since
    this.known = nothingKnown;
    this.streams = null; // null until the first answer
    this.trouble = null;
    this.hiddenAt = Infinity;
    this.missed = false;    // events may have been lost since the last list
    this.polls = 0;
    this.requestedNumbers = new Set();
  }

  start() {
    if (this.running) return;
    this.running = true;
    this.heardAt = Date.now();
    document.addEventListener('visibilitychange', this.onVisibility);
    window.addEventListener('online', this.onOnline);
    window.addEventListener('offline', this.onOffline);
    this.refresh();
    this.listen();
  }

  stop() {
    this.running = false;
    this.hush();
    for (const timer of [this.gatherTimer, this.retryTimer]) clearTimeout(timer);
    document.removeEventListener('visibilitychange', this.onVisibility);
    window.removeEventListener('online', this.onOnline);
    window.removeEventListener('offline', this.onOffline);
    this.forget();
  }

  find(id) {
    return this.streams?.find((stream) => stream.id === id) ?? null;
  }

  /** Asks for no more news until resume(): the user has to sign in again. */
  hush() {
    this.events?.close();
    this.events = null;
    for (const timer of [this.pollTimer, this.oldTimer, this.silenceTimer]) clearTimeout(timer);
    this.pollTimer = null;
  }

  resume() {
    this.polls = 0;
    this.reopen();
    this.refresh();
  }

  get hasEvents() {
    return this.events?.readyState === EventSource.OPEN;
  }

  /** Whether the state is stale: neither list nor events come. */
  get stale() {
    if (this.isSilent || (this.trouble !== null && !this.hasEvents)) return true;
    return Date.now() - this.heardAt > (this.hasEvents ? silentMs : 2 * slowPollMs);
  }

  /** The time up to which the shown state is known to be correct, ms. */
  get knownAt() {
    return this.stale ? this.heardAt : Date.now();
  }

  /** Since when there is trouble, ms: while events come, only the list is missing. */
  get troubleSince() {
    return this.stale ? this.heardAt : this.troubleAt;
  }

  heard() {
    this.heardAt = Date.now();
    this.isSilent = false;
    this.awaitNews();
  }

  awaitNews() {
    clearTimeout(this.silenceTimer);
    this.silenceTimer = setTimeout(() => this.fellSilent(), silentMs);
  }

  // The connection is dead, although the browser reports nothing, or the server hangs.
  fellSilent() {
    this.isSilent = true;
    this.poll();
    this.reopen();
  }

  listen() {
    const events = new EventSource('/api/events');
    this.events = events;
    clearTimeout(this.oldTimer);
    this.oldTimer = setTimeout(() => this.reopen(), oldestEventsMs);
    const take = (type, read) =>
      events.addEventListener(
        type,
        ({ data }) => {
          if (this.events !== events) return;
          this.heard();
          this.apply({ type, ...read(JSON.parse(data)) });
        },
      );
    take('streams', ({ streams }) => ({ streams }));
    take('stats', ({ streams }) => ({ streams }));
    take('stream', (stream) => ({ stream }));
    events.addEventListener('alive', () => this.events === events && this.heard());
    if (!this.polls) this.awaitNews();
    events.onopen = () => this.events === events && this.eventsOpened();
    events.onerror = () => this.events === events && this.eventsFailed();
  }

  reopen() {
    this.events?.close();
    this.missed = true;
    this.listen();
  }

  eventsOpened() {
    clearTimeout(this.pollTimer);
    this.pollTimer = null;
    this.polls = 0;
    this.heard();
    if (this.missed) this.refresh();
    this.missed = false;
  }

  // The browser reconnects by itself, unless the server has refused.
  eventsFailed() {
    this.missed = true;
    clearTimeout(this.silenceTimer);
    const refused = this.events.readyState === EventSource.CLOSED;
    if (refused) this.events = null;
    if (refused && !this.polls) this.poll();
    else this.pollTimer ??= setTimeout(() => this.poll(), quietMs);
  }

  poll() {
    clearTimeout(this.pollTimer);
    this.polls += 1;
    this.apply({ type: 'silence' });
    this.refresh();
    // Refused, or without an answer for long.
    if (!this.hasEvents && this.polls > 1) this.reopen();
    this.pollTimer = setTimeout(() => this.poll(), this.polls > 1 ? slowPollMs : quietMs);
  }

  apply(event) {
    this.known = reduce(this.known, { at: Date.now(), ...event });
    this.streams = streamsOf(this.known);
    if (!this.streams) return;
    this.dispatchEvent(new Event('change'));
    this.fetchUnknown();
  }

  // Fetches the list only once for each number: if the stream is still missing, this user may not see it.
  fetchUnknown() {
    const numbers = unknownNumbers(this.known).filter((number) => !this.requestedNumbers.has(number));
    if (!numbers.length) return;
    for (const number of numbers) this.requestedNumbers.add(number);
    clearTimeout(this.gatherTimer);
    this.gatherTimer = setTimeout(() => this.refresh(), gatherMs);
  }

  /** Fetches the list; if a request is under way, fetches it once more afterwards. */
  refresh() {
    if (this.request) {
      this.refreshAgain = true;
      return this.request;
    }
    this.request = this.fetchList().finally(() => {
      this.request = null;
      const again = this.refreshAgain && this.running;
      this.refreshAgain = false;
      if (again) this.refresh();
    });
    return this.request;
  }

  async fetchList() {
    try {
      const streams = await patiently(
        api.streams,
        (slow) => slow && this.setTrouble({ code: 'silent' }, Date.now() - slow.ms),
      );
      if (!this.running) return;
      if (!this.hasEvents) {
        this.heardAt = Date.now();
        this.isSilent = false;
      }
      this.apply({ type: 'list', streams });
      this.setTrouble(null);
    } catch (error) {
      if (!this.running) return;
      if (error.status === 401) {
        this.hush();
        return;
      }
      this.setTrouble(error);
      // Needs a timer of its own: while events flow, nothing else fetches the list.
      clearTimeout(this.retryTimer);
      this.retryTimer = setTimeout(() => this.running && this.refresh(), retryMs);
    }
  }

  setTrouble(error, since = Date.now()) {
    if (this.trouble?.code === error?.code) return;
    if (!this.trouble) this.troubleAt = since;
    this.trouble = error;
    this.dispatchEvent(new Event('trouble'));
  }
}
