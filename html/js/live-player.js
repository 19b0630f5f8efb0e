// Plays one live stream in one <video> and keeps it alive for ever: chooses the way by
// which it comes, stays near live, skips gaps, reconnects with backoff or by another way,
// and keeps the last picture on a canvas until there is a new one.
//
// The player calls source() before every connection. It returns
// {url, watch, state, audio, video, known, renew} with the current token of the stream list, so
// a reconnect never uses an old one. state 'offline' means: do not connect. watch: the
// playlist that reaches back, for a user who may replay. audio and video are 'none', a codec,
// or undefined while unknown. known: the list is up to date. renew() fetches it, for a new token.

import { bufferedRanges, keepPicture, playOrMute } from './picture.js';
import { serverNow } from './server-clock.js';
import { beyondHole, chase, retryDelay } from './timing.js';

const tickMs = 250;
const stalledAfterMs = 1500;
const silentAfterMs = 2500;
const mostBehindS = 10;
const silentReconnectMs = 15_000;
const firstDataMs = 6000;
const firstFrameMs = 12_000;
const renewShownMs = 2000;
const steadyMs = 5000;
const eagerMs = 4000;
const jumpEveryMs = 1000;
const renewTokenEveryMs = 10_000;
const asleepMs = 20_000;

// phase: idle | connecting | playing | stalled | reconnecting | offline |
// unsupported (a browser that has none of the ways)
export class LivePlayer extends EventTarget {
  /** ways: LiveWays (live-ways.js), which outlives this player. */
  constructor(video, still, source, ways) {
    super();
    this.video = video;
    this.still = still;
    this.source = source;
    this.ways = ways;
    this.phase = 'idle';
    this.instances = new Map();
    this.way = null;          // the way of the last connection
    this.isOpen = false;      // it has one now
    this.attempt = 0;
    this.retryTimer = null;
    this.ticker = null;
    this.tickedAt = Date.now();
    this.everShown = false;
    this.eagerUntil = 0;
    this.jumpedAt = 0;
    this.renewedAt = -Infinity;
    this.stats = { kbps: 0, buffered: NaN, delay: NaN };
    this.shownAt = NaN;       // the wall clock of the picture on the screen, ms; NaN before the first
    this.listening = new AbortController();
    const { signal } = this.listening;
    video.addEventListener('error', () => this.reconnectLater('picture could not be decoded'), { signal });
    video.addEventListener('ended', () => this.reconnectLater('stream ended'), { signal });
    document.addEventListener(
      'visibilitychange',
      () => document.visibilityState === 'visible' && !this.way?.isInHand && this.toLive(),
      { signal },
    );
  }

  start() {
    this.ticker = setInterval(() => this.tick(), tickMs);
    this.connect();
  }

  destroy() {
    clearInterval(this.ticker);
    clearTimeout(this.retryTimer);
    this.listening.abort();
    this.disconnect();
    this.phase = 'idle';
  }

  // Called when the list has changed: a stream that went live ends the backoff early,
  // and a change of tracks needs a new connection.
  sourceChanged() {
    const source = this.source();
    const cameLive = source?.state === 'live' && this.lastState !== 'live';
    this.lastState = source?.state;
    if (this.phase === 'idle') return;
    const isOutdated = this.way?.isOutdated(source, cameLive);
    if (cameLive) {
      this.way?.publisherCame?.();
      // Jump close to the newest data: a second before it, playback would be in the gap.
      this.beEager('least');
    }
    if (this.isOpen) {
      if (isOutdated) this.renew();
    } else if (this.phase === 'offline' ? source?.url && source.state !== 'offline' : cameLive) {
      this.attempt = 0;
      this.connect();
    }
  }

  setPhase(phase) {
    if (this.phase === phase) return;
    this.phase = phase;
    this.dispatchEvent(new Event('phase'));
  }

  connect({ silently = false } = {}) {
    clearTimeout(this.retryTimer);
    const source = this.source();
    if (!source?.url || source.state === 'offline') {
      this.setPhase('offline');
      return;
    }
    const next = this.ways.next(performance.now());
    if (!next) {
      this.setPhase('unsupported');
      return;
    }
    if (!silently) this.setPhase(this.phase === 'idle' || this.phase === 'offline' ? 'connecting' : 'reconnecting');
    this.way = this.wayFor(next);
    this.isOpen = true;
    this.connectedAt = performance.now();
    this.movedAt = this.connectedAt;
    this.position = -1;
    this.hasPicture = false;
    this.connection = new AbortController();
    this.way.open(source);
    this.play();
    this.awaitPicture(this.connection.signal);
  }

  // Each way remembers what it has learned about the stream's tracks.
  wayFor(Way) {
    if (!this.instances.has(Way)) {
      const way = new Way(this.video, {
        source: this.source,
        failed: (reason) => this.way === way && this.reconnectLater(reason),
        renewToken: () => this.renewToken(),
      });
      this.instances.set(Way, way);
    }
    return this.instances.get(Way);
  }

  renewToken() {
    const now = performance.now();
    if (now - this.renewedAt < renewTokenEveryMs) return;
    this.renewedAt = now;
    this.source()?.renew();
  }

  // Replaces the connection, while the last picture stays. Shows a message only if this takes long.
  renew() {
    keepPicture(this.video, this.still);
    this.disconnect();
    this.connect({ silently: true });
  }

  play() {
    playOrMute(this.video, () => this.dispatchEvent(new Event('muted')));
  }

  // Hides the still picture once a frame is on the screen; "playing" comes too early.
  awaitPicture(signal) {
    const { video } = this;
    const shown = () => {
      if (signal.aborted || this.hasPicture) return;
      this.hasPicture = true;
      this.everShown = true;
      this.firstShownAt = performance.now();
      this.beEager('target');
      this.still.hidden = true;
      this.setPhase('playing');
    };
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(shown);
    // Sound without a picture has no frames to wait for.
    video.addEventListener('timeupdate', () => {
      if (video.currentTime > 0 && (!video.requestVideoFrameCallback || video.videoWidth === 0)) shown();
    }, { signal });
  }

  tick() {
    const hasSlept = Date.now() - this.tickedAt > asleepMs;
    this.tickedAt = Date.now();
    if (!this.isOpen) return;
    if (hasSlept && this.isLeftBehind()) {
      this.reconnectLater('the machine was asleep');
      return;
    }
    const now = performance.now();
    const buffered = bufferedRanges(this.video);
    this.measure(buffered, now);
    this.followPosition(now);
    if (this.hasPicture && this.way.isInHand) this.leaveToUser(now);
    else {
      if (this.video.paused && document.visibilityState === 'visible') this.play();
      this.keepNearLive(buffered, now);
      this.updatePhase(now);
    }
    this.dispatchEvent(new Event('stats'));
  }

  // After a machine's sleep its connections are dead, though nothing says so; a hidden tab only has slow timers.
  isLeftBehind() {
    const { video, way, position } = this;
    const isWatched = document.visibilityState === 'visible' && !way.isInHand;
    return this.hasPicture && isWatched && video.currentTime === position && this.source()?.state !== 'grace';
  }

  /** The user has paused with controls that are not the page's. */
  get isPausedByUser() {
    return Boolean(this.hasPicture && this.way?.isInHand && this.video.paused);
  }

  // The user may pause and go back with controls that are not the page's. A pause is neither silence nor a frozen
  // picture; all else that fails is still mended.
  leaveToUser(now) {
    if (this.video.paused) this.movedAt = this.way.heardAt = now;
    else this.updatePhase(now);
  }

  measure(buffered, now) {
    const { heardAt, kbps, utc } = this.way;
    this.stats = {
      kbps: now - heardAt > silentAfterMs ? 0 : kbps,
      buffered: (buffered.at(-1)?.[1] ?? NaN) - this.video.currentTime,
      delay: this.hasPicture && utc > 0 ? (serverNow() - utc) / 1000 : NaN,
    };
  }

  followPosition(now) {
    if (this.video.currentTime === this.position) return;
    this.position = this.video.currentTime;
    this.movedAt = now;
    const { buffered, delay } = this.stats;
    const behind = Number.isNaN(delay) ? Math.min(mostBehindS, buffered || 0) : delay;
    if (this.hasPicture) this.shownAt = Date.now() - Math.max(0, behind) * 1000;
  }

  keepNearLive(buffered, now) {
    const { video } = this;
    const range = this.way.range(buffered);
    if (!range) return;
    const [start, end] = range;
    const behind = end - video.currentTime;
    const frozenMs = now - this.movedAt;
    // The decoder stands still although there is data: frames were lost. Skip them.
    const stuck = this.stats.buffered > 0.3 && frozenMs > 1500 && now - this.connectedAt > 1500;
    const { limits } = this.way;
    const target = this.way.leavesHoles && frozenMs > tickMs && beyondHole(buffered, video.currentTime);
    if (target || stuck) {
      video.currentTime = target || Math.max(start, end - limits.target);
      this.movedAt = now;
      return;
    }
    const step = chase(behind, video.playbackRate, limits);
    if (this.isEager(behind, now)) this.toLive(limits[this.eagerFor]);
    else if (step.jump) video.currentTime = Math.max(start, end - limits.target);
    if (video.playbackRate !== step.rate) video.playbackRate = step.rate;
  }

  // For some seconds after the first picture or a publisher's return, jump to the newest
  // data: the viewer misses only the join burst, or the gap with its frozen picture.
  beEager(limit) {
    this.eagerFor = limit;
    this.eagerUntil = performance.now() + eagerMs;
  }

  isEager(behind, now) {
    if (now > this.eagerUntil || now - this.jumpedAt < jumpEveryMs) return false;
    if (behind <= this.way.limits.eagerAbove) return false;
    this.jumpedAt = now;
    return true;
  }

  // Jumps back to live: browsers slow down background tabs, which fall behind.
  toLive(target = this.way?.limits.target) {
    const [start, end] = (this.isOpen && this.way.range(bufferedRanges(this.video))) || [];
    if (!(end - this.video.currentTime > this.way?.limits.eagerAbove)) return;
    this.video.currentTime = Math.max(start, end - target);
  }

  updatePhase(now) {
    const { way, hasPicture } = this;
    const silentMs = now - way.heardAt;
    const frozenMs = now - this.movedAt;
    const { state } = this.source() ?? {};
    if (hasPicture && now - this.firstShownAt > steadyMs && frozenMs < silentAfterMs) this.forgetFailures(now);
    if (way.isLame?.({ now, frozenMs, hasPicture, state })) this.renew();
    else if (!hasPicture) this.awaitStart(now);
    else if (frozenMs > stalledAfterMs) {
      this.setPhase('stalled');
      // While the publisher is away, the server keeps this connection and later continues
      // on it. A new connection would only show the old picture again.
      if (silentMs > silentReconnectMs && state !== 'grace') this.reconnectLater('no data came');
      else if (frozenMs > silentReconnectMs && silentMs < silentAfterMs) this.reconnectLater('picture stands still');
    } else this.setPhase('playing');
  }

  awaitStart(now) {
    const waited = now - this.connectedAt;
    if (waited > renewShownMs && this.phase === 'playing') this.setPhase('reconnecting');
    if (waited < (this.way.gotBytes || !this.ways.hasOthers ? firstFrameMs : firstDataMs)) return;
    if (this.way.gotBytes) this.way.noPicture?.();
    this.reconnectLater('no picture came');
  }

  forgetFailures(now) {
    this.attempt = 0;
    this.way.isSteady?.();
    this.ways.works();
    this.returnToBetter(now);
  }

  // Takes a better way again if that has data; meanwhile the present one plays.
  async returnToBetter(now) {
    const { connection } = this;
    const source = this.source();
    if (source?.state !== 'live' || !source.known) return;
    if (await this.ways.returns(now, source) && this.connection === connection && this.isOpen) this.renew();
  }

  reconnectLater(reason) {
    if (!this.isOpen) return;
    this.reason = reason;
    keepPicture(this.video, this.still);
    const wasSteady = this.hasPicture && performance.now() - this.firstShownAt > steadyMs;
    this.disconnect();
    const source = this.source();
    const isWaysFault = !wasSteady && source?.state === 'live' && source.known && navigator.onLine;
    if (isWaysFault && this.ways.fails(performance.now())) {
      this.connect({ silently: this.phase === 'connecting' });
      return;
    }
    this.setPhase(source?.state === 'offline' ? 'offline' : 'reconnecting');
    this.retryTimer = setTimeout(() => this.connect(), retryDelay(this.attempt));
    this.attempt += 1;
  }

  disconnect() {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.connection.abort();
    this.stats = { kbps: 0, buffered: NaN, delay: NaN };
    this.way.close();
    this.video.playbackRate = 1;
  }
}
