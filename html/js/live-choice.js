// Chooses one of the ways by which a live stream can come. Pure: no DOM.
//
//   flv     FLV over a WebSocket, by mpegts.js
//   llhls   low-latency HLS, by hls.js
//   hls     HLS, by the browser itself or by hls.js without low latency
//
// The best is used until it fails: once if it has never shown a picture, else three times
// in a row, since a network that is away for a moment is no reason to leave it. Then the
// next one is, and after a minute the best one may be tried again, later each time that
// it fails again. When all have failed, the best one's turn comes at once.

export const wayNames = ['flv', 'llhls', 'hls'];

const missesAtFirst = 1;
const missesOnceShown = 3;
const backMs = 60_000;
const longestBackMs = 15 * 60_000;

/** The ways that a browser has, best first. can: {flv, llhls, hls}, booleans. `forced` leaves only one. */
export function waysOf(can, forced) {
  return wayNames.filter((name) => can[name] && (!forced || name === forced));
}

export class Choice {
  /** names: best first. */
  constructor(names) {
    this.ways = names.map((name) => ({ name, misses: 0, shown: false, backs: 0, backAt: -Infinity }));
    [this.current] = this.ways;
  }

  get name() {
    return this.current?.name ?? null;
  }

  /** Whether a better way than the current one has failed. */
  get isFallback() {
    return this.ways.indexOf(this.current) > 0;
  }

  /** The current way plays. */
  works() {
    Object.assign(this.current, { misses: 0, shown: true, backs: 0 });
  }

  /** The current way failed before it played for a while. Returns whether another one has its turn now. */
  fails(now) {
    const { current } = this;
    current.misses += 1;
    if (this.ways.length < 2 || current.misses < (current.shown ? missesOnceShown : missesAtFirst)) return false;
    this.putOff(current, now);
    const next = this.ways.slice(this.ways.indexOf(current)).find(({ backAt }) => backAt <= now);
    if (!next) for (const way of this.ways) Object.assign(way, { backs: 0, backAt: -Infinity });
    this.current = next ?? this.ways[0];
    return Boolean(next);
  }

  putOff(way, now) {
    Object.assign(way, { misses: 0, shown: false, backAt: now + Math.min(longestBackMs, backMs * 2 ** way.backs) });
    way.backs += 1;
  }

  /** The name of a better way whose time has come to be tried again; null for none. */
  due(now) {
    const better = this.ways.slice(0, Math.max(0, this.ways.indexOf(this.current)));
    return better.find(({ backAt }) => backAt <= now)?.name ?? null;
  }

  /** Makes a way that is due the current one. */
  take(name) {
    this.current = this.ways.find((way) => way.name === name);
  }

  /** A way that is due still fails. */
  notYet(name, now) {
    this.putOff(this.ways.find((way) => way.name === name), now);
  }
}
