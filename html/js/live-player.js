// Plays one live stream in one <video> and keeps it alive for ever: connects over
// WebSocket-FLV, stays near live, skips gaps, builds a new player when
// a stream gains or loses its audio or video, reconnects with backoff, and keeps the
// last picture on a canvas until there is a new one.
//
// The player calls source() before every connection. It returns
// {url, state, audio, video} with the current token of the stream list, so a
// reconnect never uses an old one. state 'offline' means: do not connect.
// audio and video are 'none', a codec, or undefined while unknown.

import { endPlayer, trackEnds } from './mpegts-inside.js';
import { bufferedRanges, keepPicture, playOrMute } from './picture.js';
import { beyondHole, chase, latency, retryDelay, starvingTrack } from './timing.js';

const tickMs = 250;
const stalledAfterMs = 1500;
const silentAfterMs = 2500;
const mostBehindS = 10;
const starvedAfterMs = 700;
const startStarvedMs = 1500;
const tryAllMs = 5000;
const silentReconnectMs = 15_000;
const firstFrameMs = 12_000;
const renewShownMs = 2000;
const steadyMs = 5000;
const eagerMs = 4000;
const jumpEveryMs = 1000;
const joinBurstMs = 1800;

const config = {
  isLive: true,
  enableWorker: true,
  enableStashBuffer: false,
  lazyLoad: false,
  autoCleanupSourceBuffer: true,
  autoCleanupMaxBackwardDuration: 30,
  autoCleanupMinBackwardDuration: 10,
  // Without it mpegts.js moves the sound after a gap up to where it broke off, but not
  // the picture, and they stay out of step by the gap.
  fixAudioTimestampGap: true,
};

// phase: idle | connecting | playing | stalled | reconnecting | offline |
// unsupported (a browser without MediaSource)
export class LivePlayer extends EventTarget {
  constructor(video, still, source) {
    super();
    this.video = video;
    this.still = still;
    this.source = source;
    this.phase = 'idle';
    this.player = null;
    this.attempt = 0;
    this.retryTimer = null;
    this.ticker = null;
    this.everShown = false;
    this.eagerUntil = 0;
    this.jumpedAt = 0;
    // A track that was announced and did not come. The player leaves it out until the
    // list names other tracks, the publisher returns, or it is time for another try.
    this.leftOut = null;
    this.leftOutCount = 0;
    this.stats = { kbps: 0, buffered: NaN };
    this.shownAt = NaN;       // the wall clock of the picture on the screen, ms; NaN before the first
    this.onVideoError = () => this.reconnectLater('picture could not be decoded');
    this.onVisible = () => document.visibilityState === 'visible' && this.toLive();
    video.addEventListener('error', this.onVideoError);
    document.addEventListener('visibilitychange', this.onVisible);
  }

  start() {
    this.ticker = setInterval(() => this.tick(), tickMs);
    this.connect();
  }

  destroy() {
    clearInterval(this.ticker);
    clearTimeout(this.retryTimer);
    this.video.removeEventListener('error', this.onVideoError);
    document.removeEventListener('visibilitychange', this.onVisible);
    this.dropPlayer();
    this.phase = 'idle';
  }

  // Called when the list has changed: a stream that went live ends the backoff early,
  // and a change of tracks needs a new player.
  sourceChanged() {
    const source = this.source();
    const cameLive = source?.state === 'live' && this.lastState !== 'live';
    this.lastState = source?.state;
    if (this.phase === 'idle') return;
    const mayHaveAll = cameLive && this.leftOut !== null;
    if (cameLive) {
      this.expectAll();
      // Jump close to the newest data: a second before it, playback would be in the gap.
      this.beEager(latency.least);
    }
    if (!this.player) {
      if (this.phase === 'offline' ? source?.url && source.state !== 'offline' : cameLive) {
        this.attempt = 0;
        this.connect();
      }
    } else if (mayHaveAll || this.builtForOtherTracks(source)) {
      this.expectAll();
      this.renew();
    }
  }

  expectAll() {
    this.leftOut = null;
    this.leftOutCount = 0;
  }

  builtForOtherTracks(source) {
    const tracks = source && tracksOf(source);
    if (!tracks) return false;
    const expected = this.tracks ?? allTracks;
    const changed = !same(tracks, expected);
    const built = {
      audio: expected.audio && this.leftOut !== 'audio',
      video: expected.video && this.leftOut !== 'video',
    };
    // The list now names the tracks that this player has found out by itself.
    if (changed && same(tracks, built)) {
      this.tracks = tracks;
      this.expectAll();
    }
    return changed && !same(tracks, built);
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
    if (!window.mpegts.isSupported()) {
      this.setPhase('unsupported');
      return;
    }
    if (!silently) this.setPhase(this.phase === 'idle' || this.phase === 'offline' ? 'connecting' : 'reconnecting');
    this.tracks = tracksOf(source);
    if (this.leftOut && this.tracks?.[this.leftOut] === false) this.expectAll();
    const { mpegts } = window;
    // Sixteen tiles would fill the console; errors arrive as events.
    mpegts.LoggingControl.enableAll = false;
    const player = mpegts.createPlayer({
      type: 'flv',
      isLive: true,
      url: webSocketUrl(source.url),
      // Set only for a missing track: otherwise the FLV header decides. If the header
      // announces audio that never comes, the picture would not start.
      ...(this.tracks?.audio === false || this.leftOut === 'audio' ? { hasAudio: false } : {}),
      ...(this.tracks?.video === false || this.leftOut === 'video' ? { hasVideo: false } : {}),
    }, config);
    this.player = player;
    this.connectedAt = performance.now();
    this.heardAt = this.connectedAt;
    this.movedAt = this.connectedAt;
    this.position = -1;
    this.hasPicture = false;
    this.gotBytes = false;
    this.starvingTrack = null;

    player.on(
      mpegts.Events.ERROR,
      (type, detail) => this.player === player && this.reconnectLater(`${type}: ${detail}`),
    );
    player.on(mpegts.Events.LOADING_COMPLETE, () => this.player === player && this.reconnectLater('connection closed'));
    player.on(mpegts.Events.STATISTICS_INFO, (info) => this.player === player && this.measured(info));
    player.attachMediaElement(this.video);
    player.load();
    this.play();
    this.awaitPicture(player);
  }

  // Replaces the player by one for other tracks, while the last picture stays. Shows a
  // message only if this takes long.
  renew() {
    this.keepPicture();
    this.dropPlayer();
    this.connect({ silently: true });
  }

  play() {
    playOrMute(this.video, () => this.dispatchEvent(new Event('muted')));
  }

  // Hides the still picture once a frame is on the screen; "playing" comes too early.
  awaitPicture(player) {
    const shown = () => {
      if (this.player !== player || this.hasPicture) return;
      this.hasPicture = true;
      this.everShown = true;
      this.firstShownAt = performance.now();
      this.beEager(latency.target);
      this.still.hidden = true;
      this.setPhase('playing');
    };
    if (this.video.requestVideoFrameCallback) this.video.requestVideoFrameCallback(shown);
    // Sound without a picture has no frames to wait for.
    this.video.addEventListener('timeupdate', () => {
      if (this.video.currentTime > 0 && (!this.video.requestVideoFrameCallback || this.video.videoWidth === 0)) shown();
    }, { signal: (this.pictureWait = new AbortController()).signal });
  }

  measured(info) {
    if (!(info.speed > 0)) return;
    this.gotBytes = true;
    this.heardAt = performance.now();
    // The join burst (a whole GOP at once) is not the stream's bitrate.
    if (this.heardAt - this.connectedAt < joinBurstMs) return;
    const kbps = info.speed * 8;
    this.stats.kbps = this.stats.kbps ? this.stats.kbps * 0.6 + kbps * 0.4 : kbps;
  }

  tick() {
    if (!this.player) return;
    const now = performance.now();
    const { video } = this;
    const ranges = bufferedRanges(video);
    const end = ranges.at(-1)?.[1] ?? NaN;
    this.stats.buffered = end - video.currentTime;
    if (now - this.heardAt > silentAfterMs) this.stats.kbps = 0;
    if (video.currentTime !== this.position) {
      this.position = video.currentTime;
      this.movedAt = now;
      if (this.hasPicture)
        this.shownAt = Date.now() - Math.min(mostBehindS, Math.max(0, this.stats.buffered || 0)) * 1000;
    }
    if (video.paused && document.visibilityState === 'visible') this.play();
    this.keepNearLive(ranges, now);
    this.updatePhase(now);
    this.dispatchEvent(new Event('stats'));
  }

  keepNearLive(ranges, now) {
    const { video } = this;
    const behind = this.stats.buffered;
    if (!Number.isFinite(behind)) return;
    const frozenMs = now - this.movedAt;
    const [start, end] = ranges.at(-1);
    // The decoder stands still although there is data: frames were lost. Skip them.
    const stuck = behind > 0.3 && frozenMs > 1500 && now - this.connectedAt > 1500;
    const target = frozenMs > tickMs && beyondHole(ranges, video.currentTime);
    if (target || stuck) {
      video.currentTime = target || Math.max(start, end - latency.target);
      this.movedAt = now;
      return;
    }
    const step = chase(behind, video.playbackRate);
    if (this.isEager(behind, now)) this.toLive(this.eagerTarget);
    else if (step.jump) video.currentTime = Math.max(start, end - latency.target);
    if (video.playbackRate !== step.rate) video.playbackRate = step.rate;
  }

  // For some seconds after the first picture or a publisher's return, jump to the newest
  // data: the viewer misses only the join burst, or the gap with its frozen picture.
  beEager(target) {
    this.eagerTarget = target;
    this.eagerUntil = performance.now() + eagerMs;
  }

  isEager(behind, now) {
    if (now > this.eagerUntil || behind <= latency.chaseAbove || now - this.jumpedAt < jumpEveryMs) return false;
    this.jumpedAt = now;
    return true;
  }

  // Jumps back to live: browsers slow down background tabs, which fall behind.
  toLive(target = latency.target) {
    const [start, end] = bufferedRanges(this.video).at(-1) ?? [];
    if (!this.player || !(end - this.video.currentTime > latency.chaseAbove)) return;
    this.video.currentTime = Math.max(start, end - target);
  }

  updatePhase(now) {
    if (!this.hasPicture) return this.awaitStart(now);
    const silentMs = now - this.heardAt;
    const frozenMs = now - this.movedAt;
    const state = this.source()?.state;
    if (now - this.firstShownAt > steadyMs && frozenMs < silentAfterMs) this.forgetFailures();
    if (this.isStarving(now, frozenMs > starvedAfterMs && silentMs < silentAfterMs && state === 'live')) {
      this.leaveOut(this.starvingTrack, now);
    } else if (this.leftOut && now > this.tryAllAt && (this.leftOut === 'video' || !this.video.muted)) {
      this.leftOut = null;
      this.renew();
    } else if (frozenMs > stalledAfterMs) {
      this.setPhase('stalled');
      // While the publisher is away, the server keeps this connection and later continues
      // on it. A new connection would only show the old picture again.
      if (silentMs > silentReconnectMs && state !== 'grace') this.reconnectLater('no data came');
      else if (frozenMs > silentReconnectMs && silentMs < silentAfterMs) this.reconnectLater('picture stands still');
    } else {
      this.setPhase('playing');
    }
    return undefined;
  }

  // Whether one track has starved too long for a hiccup. This counts only while playback
  // stands still although data arrives.
  isStarving(now, standsStill) {
    const track = standsStill ? starvingTrack(trackEnds(this.player), this.video.currentTime) : null;
    if (track !== this.starvingTrack) {
      this.starvingTrack = track;
      this.starvingSince = now;
    }
    return track !== null && now - this.starvingSince > starvedAfterMs;
  }

  // Plays without the track. Each time, the next try comes later, since a try stops
  // the picture for about a second.
  leaveOut(track, now) {
    this.leftOut = track;
    this.tryAllAt = now + tryAllMs * 2 ** this.leftOutCount;
    this.leftOutCount += 1;
    this.renew();
  }

  forgetFailures() {
    this.attempt = 0;
    if (!this.leftOut) this.leftOutCount = 0;
  }

  awaitStart(now) {
    const waited = now - this.connectedAt;
    if (waited > renewShownMs && this.phase === 'playing') this.setPhase('reconnecting');
    if (this.isStarving(now, waited > startStarvedMs && this.gotBytes && !this.leftOut)) {
      this.leaveOut(this.starvingTrack, now);
      return;
    }
    if (waited < firstFrameMs) return;
    if (this.gotBytes) this.leftOut = this.leftOut ? null : 'audio';
    this.reconnectLater('no picture came');
  }

  reconnectLater(reason) {
    if (!this.player) return;
    this.reason = reason;
    this.keepPicture();
    this.dropPlayer();
    this.setPhase(this.source()?.state === 'offline' ? 'offline' : 'reconnecting');
    this.retryTimer = setTimeout(() => this.connect(), retryDelay(this.attempt));
    this.attempt += 1;
  }

  keepPicture() {
    keepPicture(this.video, this.still);
  }

  dropPlayer() {
    const { player } = this;
    if (!player) return;
    this.player = null;
    this.stats = { kbps: 0, buffered: NaN };
    this.pictureWait?.abort();
    try {
      endPlayer(player);
    } catch (error) {
      // A player that failed half-way may fail again while it is destroyed. The next
      // one does not depend on it.
      console.warn('the live player could not be destroyed cleanly', error);
    }
    this.video.playbackRate = 1;
  }
}

// The tracks of a live stream; null while unknown (both still missing, or the
// publisher is away and may return with others).
function tracksOf({ state, audio, video }) {
  if (state !== 'live' || !audio || !video || (audio === 'none' && video === 'none')) return null;
  return { audio: audio !== 'none', video: video !== 'none' };
}

const allTracks = { audio: true, video: true };

function same(a, b) {
  return a.audio === b.audio && a.video === b.video;
}

function webSocketUrl(path) {
  const url = new URL(path, location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}
