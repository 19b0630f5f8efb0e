// The recordings of several streams as one history, for the wall: what any of them has
// recorded. It has the interface of History (history.js), as far as a timeline uses it.

import { History } from './history.js';
import { isRecorded } from './live-events.js';
import { spanAt, unitedSpans } from './timeline.js';

export class GroupHistory extends EventTarget {
  constructor(list) {
    super();
    this.list = list;
    this.members = new Map();     // name of a stream -> its History
    this.spans = [];
    this.onChange = () => this.changed();
    this.onTrouble = () => this.dispatchEvent(new Event('trouble'));
  }

  /** Sets whose recordings it has; keeps those it already knows. */
  setStreams(ids) {
    if (ids.length === this.members.size && ids.every((id) => this.members.has(id))) return;
    for (const [id, history] of this.members) {
      if (ids.includes(id)) continue;
      this.members.delete(id);
      this.leave(history);
    }
    for (const id of ids) {
      if (this.members.has(id)) continue;
      const history = new History(this.list, id);
      this.members.set(id, history);
      history.addEventListener('change', this.onChange);
      history.addEventListener('trouble', this.onTrouble);
      if (this.view) history.loadView(this.view);
    }
    this.changed();
  }

  leave(history) {
    history.removeEventListener('change', this.onChange);
    history.removeEventListener('trouble', this.onTrouble);
    history.destroy();
  }

  destroy() {
    for (const history of this.members.values()) this.leave(history);
    this.members.clear();
  }

  changed() {
    this.spans = unitedSpans(this.all.map(({ spans }) => spans));
    this.dispatchEvent(new Event('change'));
  }

  /** The histories that this user may replay. */
  get all() {
    return [...this.members.values()].filter(({ base }) => base);
  }

  /** As of one stream: live if any is, to replay if any may be. */
  get stream() {
    const streams = [...this.members.values()].map(({ stream }) => stream).filter(Boolean);
    const isLive = streams.some(({ state }) => state === 'live');
    return { replay: this.base, state: isLive ? 'live' : 'offline' };
  }

  get base() {
    return this.all[0]?.base ?? null;
  }

  get days() {
    const known = this.all.map(({ days }) => days).filter(Boolean);
    return known.length ? [...new Set(known.flat())].sort((a, b) => a - b) : null;
  }

  get first() {
    return this.spans[0]?.from ?? this.days?.[0] ?? null;
  }

  get last() {
    return this.spans.at(-1)?.to ?? null;
  }

  get recording() {
    return this.all.some(({ recording }) => recording);
  }

  get writing() {
    return this.all.some(({ stream }) => isRecorded(stream));
  }

  get trouble() {
    return this.all.find(({ trouble }) => trouble)?.trouble ?? null;
  }

  hasLoaded(at) {
    return this.all.every((history) => history.hasLoaded(at));
  }

  /** An address of the stream that has a recording at the time in the query. */
  url(name, query = {}) {
    const holder = this.all.find(({ spans }) => spanAt(spans, query.at) !== null) ?? this.all[0];
    return holder.url(name, query);
  }

  loadView(view) {
    this.view = view;
    return Promise.all(this.all.map((history) => history.loadView(view)));
  }

  refresh() {
    return Promise.all(this.all.map((history) => history.refresh()));
  }

  /** Where a seek to `at` begins to play: where the first of them has something. */
  async playable(at) {
    return extreme(await Promise.all(this.all.map((history) => history.playable(at))), Math.min);
  }

  async neighbour(at, direction) {
    const starts = await Promise.all(this.all.map((history) => history.neighbour(at, direction)));
    return extreme(starts, direction > 0 ? Math.min : Math.max);
  }
}

function extreme(times, choose) {
  const known = times.filter((at) => at !== null);
  return known.length ? choose(...known) : null;
}
