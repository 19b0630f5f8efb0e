// The recordings of one stream: their days and spans, fetched as they come into view,
// and their addresses. An address carries a token that the stream list renews, so the
// page makes each address when it uses it.
// Events: 'change', 'trouble' (trouble: an error or null).

import { api } from './api.js';
import { isRecorded } from './live-events.js';
import { expiresSoon, withTokenOf } from './media-url.js';
import { addDays, localDays, neighbourStart, playableAt, replaceSpans, startOfDay } from './timeline.js';

const refreshMs = 10_000;
const recentMs = 15 * 60_000;
// At usual key frame intervals, a frame's segment is in the index within this time.
const settleMs = 6000;
const answerWithinMs = 15_000;
// A gap between two files that is shorter than joinedMs counts as none. A seek never goes to the last leastMs of
// a file.
const joinedMs = 1500;
const leastMs = 100;

export class History extends EventTarget {
  constructor(list, id) {
    super();
    this.list = list;
    this.id = id;
    this.days = null;           // starts of the viewer's days; null until the first answer
    this.spans = [];
    this.trouble = null;
    this.requests = new Map();  // start of a day -> the promise of its spans
    this.loadedDays = new Set(); // starts of the days whose spans are loaded
    this.flv = new Map();       // start of a day -> its FLV files
    this.view = null;           // the view that was loaded last
    this.loadedTo = 0;          // the end of the latest range loaded
    this.timer = setInterval(() => this.tick(), refreshMs);
  }

  destroy() {
    clearInterval(this.timer);
    this.destroyed = true;
  }

  get stream() {
    return this.list.find(this.id);
  }

  /** Whether the spans of that day are loaded. */
  hasLoaded(at) {
    return this.loadedDays.has(startOfDay(at));
  }

  /** Whether more is being recorded now. */
  get recording() {
    return this.stream?.recording === 'on';
  }

  /** Whether frames are being written now: not while the publisher is away, and unknown while no news comes. */
  get writing() {
    return !this.list.stale && isRecorded(this.stream);
  }

  /** The base URL of the stream's recordings, with a token; null without the right. */
  get base() {
    return this.stream?.replay ? new URL(this.stream.replay, location.href).href : null;
  }

  url(name, query = {}) {
    const url = new URL(name, this.base);
    for (const [key, value] of Object.entries(query)) {
      if (value !== null && value !== undefined) url.searchParams.set(key, String(Math.round(value)));
    }
    return url.href;
  }

  /** An earlier address with the current token. */
  renewed(url) {
    return withTokenOf(url, this.base);
  }

  /** The FLV file that holds `utc`, if the files of its day are loaded; null for none. */
  knownFlv(utc) {
    const files = this.flv.get(startOfDay(utc)) ?? [];
    return files.find(({ from, to }) => from <= utc + joinedMs && (to === null || utc < to - leastMs)) ?? null;
  }

  /** The same, after loading the day's files from the service: FLV files are in no playlist. */
  async flvAt(utc) {
    const known = this.knownFlv(utc);
    if (known?.to) return known;
    const from = startOfDay(utc);
    const { recordings } = await api.recordings({ stream: this.id, from, to: addDays(from, 1), limit: 500 });
    this.flv.set(from, recordings.filter(({ format, url }) => format === 'flv' && url).sort((a, b) => a.from - b.from));
    return this.knownFlv(utc);
  }

  /** The spans of {from, to} that are in FLV files, as far as those are loaded. */
  flvIn({ from, to }) {
    return [...this.flv.values()].flat().filter((file) => file.from < to && (file.to ?? Infinity) > from)
      .map((file) => ({ from: file.from, to: file.to ?? to }));
  }

  get first() {
    return this.spans[0]?.from ?? this.days?.[0] ?? null;
  }

  get last() {
    return this.spans.at(-1)?.to ?? null;
  }

  /** Loads the days of the view that are not loaded yet. */
  loadView({ from, to }) {
    this.view = { from, to };
    const now = Date.now();
    const wanted = [];
    for (let day = startOfDay(from); day < Math.min(to, now); day = addDays(day, 1)) wanted.push(this.loadDay(day));
    return Promise.all(wanted);
  }

  loadDay(day) {
    if (!this.requests.has(day)) {
      const request = this.loadRange(day, Math.min(addDays(day, 1), Date.now()));
      this.requests.set(day, request);
      request.then((done) => (done ? this.loadedDays.add(day) : this.requests.delete(day)));
    }
    return this.requests.get(day);
  }

  async loadRange(from, to) {
    if (!this.base) return false;
    try {
      const answer = await this.fetchSpans(from, to);
      if (this.destroyed) return false;
      this.addSpans({ from, to }, answer);
      this.setTrouble(null);
      return true;
    } catch (error) {
      // The token has expired: the stream list brings a new one.
      if (error.status === 403) this.list.refresh();
      this.setTrouble(error);
      return false;
    }
  }

  async fetchSpans(from, to) {
    const response = await fetch(this.url('spans.json', { from, to }), { signal: AbortSignal.timeout(answerWithinMs) });
    if (response.status === 404) return { spans: [], days: [] };
    if (!response.ok) throw Object.assign(new Error(`HTTP ${response.status}`), { status: response.status });
    return response.json();
  }

  addSpans(range, { spans, days }) {
    this.days = localDays(days, Date.now());
    this.loadedTo = Math.max(this.loadedTo, range.to);
    this.spans = replaceSpans(this.spans, range, spans);
    this.dispatchEvent(new Event('change'));
  }

  setTrouble(error) {
    if (this.trouble === null && error === null) return;
    this.trouble = error;
    this.dispatchEvent(new Event('trouble'));
  }

  // Loads the spans recorded since the last time, and renews a token that is about to expire.
  tick() {
    if (document.visibilityState !== 'visible' || !this.base) return;
    const now = Date.now();
    if (expiresSoon(this.base, now)) this.list.refresh();
    if (this.trouble && this.view) this.loadView(this.view);
    if (this.recording || this.trouble) this.refresh();
  }

  refresh() {
    const now = Date.now();
    const today = startOfDay(now);
    if (!this.requests.has(today)) return this.loadDay(today);
    return this.loadRange(Math.max(today, now - recentMs), now);
  }

  /** Where a seek to `at` begins to play: there, or at the next recording; null for none. */
  async playable(at) {
    if (this.recording && at > this.loadedTo - settleMs) await this.refresh();
    const days = [startOfDay(at), ...(this.days ?? []).filter((day) => day > at)];
    for (const day of days) {
      // The spans could not be loaded: let the player try.
      if (!await this.loadDay(day) && day <= at) return at;
      const next = playableAt(this.spans, at);
      if (next !== null && next < addDays(day, 1)) return next;
    }
    return playableAt(this.spans, at);
  }

  /** The start of the next (+1) recording after `at`, or of the previous (-1) one; null for none. */
  async neighbour(at, direction) {
    const isAhead = (day) => (direction > 0 ? day >= startOfDay(at) : day <= startOfDay(at));
    const known = new Set([startOfDay(at), ...(this.days ?? [])]);
    const days = [...known].filter(isAhead).sort((a, b) => (a - b) * direction);
    for (const day of days) {
      await this.loadDay(day);
      // What begins at midnight may continue the recording of the day before.
      if (this.spans.some(({ from }) => from === day)) await this.loadDay(addDays(day, -1));
      const start = neighbourStart(this.spans, at, direction);
      const isKnown = direction > 0 ? start < addDays(day, 1) : start >= day;
      if (start !== null && isKnown) return start;
    }
    return neighbourStart(this.spans, at, direction);
  }
}
