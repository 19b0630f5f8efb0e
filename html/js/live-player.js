// One live stream in one <video>, kept alive for ever: connects over
// WebSocket-FLV, stays near live, steps over gaps, builds the player anew when
// sound or picture come or go, reconnects with backoff, and keeps the last
// picture on a canvas while there is no new one.
//
// source() is asked before every connection and returns
// {url, state, audio, video}: tokens are renewed by the stream list, so a
// reconnect never uses an old one. state 'offline' means: do not knock.
// audio and video are 'none', a codec, or undefined when nobody knows yet.

import { beyondHole, chase, latency, retryDelay, starvingTrack } from './timing.js';

const tickMs = 250;
const stalledAfterMs = 2500;
const starvedAfterMs = 700;
const silentReconnectMs = 15_000;
const firstFrameMs = 12_000;
const renewShownMs = 2000;
const steadyMs = 5000;
const joinBurstMs = 1800;

const config = {
  isLive: true,
  enableWorker: true,
  enableStashBuffer: false,
  lazyLoad: false,
  autoCleanupSourceBuffer: true,
  autoCleanupMaxBackwardDuration: 30,
  autoCleanupMinBackwardDuration: 10,
  fixAudioTimestampGap: false,
};

// phase: idle | connecting | playing | stalled | reconnecting | offline
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
    // A track that was promised and did not come: left out until the list
    // names other tracks or the publisher returns.
    this.without = null;
    this.stats = { kbps: 0, buffered: NaN };
    this.onVideoError = () => this.lost('picture could not be decoded');
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

  // The list changed: what it says now may be a reason not to sit out the
  // backoff, or to build the player for other tracks.
  sourceChanged() {
    const source = this.source();
    const cameLive = source?.state === 'live' && this.lastState !== 'live';
    this.lastState = source?.state;
    if (this.phase === 'idle') return;
    const mayHaveAll = cameLive && this.without !== null;
    if (cameLive) this.without = null;
    if (!this.player) {
      if (this.phase === 'offline' ? source?.url && source.state !== 'offline' : cameLive) {
        this.attempt = 0;
        this.connect();
      }
    } else if (mayHaveAll || this.builtForOthers(source)) {
      this.without = null;
      this.renew();
    }
  }

  builtForOthers(source) {
    const tracks = source && tracksOf(source);
    if (!tracks) return false;
    if (this.tracks) return tracks.audio !== this.tracks.audio || tracks.video !== this.tracks.video;
    // Built before anybody knew, and still waiting for a track that is not there.
    return !this.hasPicture && !(tracks.audio && tracks.video);
  }

  setPhase(phase) {
    if (this.phase === phase) return;
    this.phase = phase;
    this.dispatchEvent(new Event('phase'));
  }

  connect({ unseen = false } = {}) {
    clearTimeout(this.retryTimer);
    const source = this.source();
    if (!source?.url || source.state === 'offline') {
      this.setPhase('offline');
      return;
    }
    if (!unseen) this.setPhase(this.phase === 'idle' || this.phase === 'offline' ? 'connecting' : 'reconnecting');
    this.tracks = tracksOf(source);
    const { mpegts } = window;
    // Sixteen tiles would fill the console; what matters arrives as events.
    mpegts.LoggingControl.enableAll = false;
    const player = mpegts.createPlayer({
      type: 'flv',
      isLive: true,
      url: webSocketUrl(source.url),
      // Told only when missing: otherwise the FLV header says it. A header that
      // promises audio which never comes would keep the picture from starting.
      ...(this.tracks?.audio === false || this.without === 'audio' ? { hasAudio: false } : {}),
      ...(this.tracks?.video === false || this.without === 'video' ? { hasVideo: false } : {}),
    }, config);
    this.player = player;
    this.connectedAt = performance.now();
    this.heardAt = this.connectedAt;
    this.movedAt = this.connectedAt;
    this.position = -1;
    this.hasPicture = false;
    this.gotBytes = false;
    this.starvingTrack = null;

    player.on(mpegts.Events.ERROR, (type, detail) => this.player === player && this.lost(`${type}: ${detail}`));
    player.on(mpegts.Events.LOADING_COMPLETE, () => this.player === player && this.lost('connection closed'));
    player.on(mpegts.Events.STATISTICS_INFO, (info) => this.player === player && this.measured(info));
    player.attachMediaElement(this.video);
    player.load();
    this.play();
    this.awaitPicture(player);
  }

  // Other tracks than the player was built for: a new one in its place, under
  // the last picture, without a word unless it takes long.
  renew() {
    this.keepPicture();
    this.dropPlayer();
    this.connect({ unseen: true });
  }

  play() {
    this.video.play()?.catch((error) => {
      // Sound needs a click first: go on silently and let the page say so.
      if (error.name !== 'NotAllowedError' || this.video.muted) return;
      this.video.muted = true;
      this.dispatchEvent(new Event('muted'));
      this.video.play()?.catch(() => {});
    });
  }

  // A frame on the screen, not just "playing", is when the still may go.
  awaitPicture(player) {
    const shown = () => {
      if (this.player !== player || this.hasPicture) return;
      this.hasPicture = true;
      this.everShown = true;
      this.shownAt = performance.now();
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
    if (video.currentTime !== this.position) {
      this.position = video.currentTime;
      this.movedAt = now;
    }
    if (video.paused && document.visibilityState === 'visible') this.play();
    this.keepNearLive(ranges, now);
    this.judge(now);
    this.dispatchEvent(new Event('stats'));
  }

  keepNearLive(ranges, now) {
    const { video } = this;
    const behind = this.stats.buffered;
    if (!Number.isFinite(behind)) return;
    const still = now - this.movedAt;
    const [start, end] = ranges.at(-1);
    // The decoder stands although there is data: lost frames. Step over them.
    const stuck = behind > 0.3 && still > 1500 && now - this.connectedAt > 1500;
    const target = still > tickMs && beyondHole(ranges, video.currentTime);
    if (target || stuck) {
      video.currentTime = target || Math.max(start, end - latency.target);
      this.movedAt = now;
      return;
    }
    const step = chase(behind, video.playbackRate);
    if (step.jump) video.currentTime = Math.max(start, end - latency.target);
    if (video.playbackRate !== step.rate) video.playbackRate = step.rate;
  }

  // A tab in the background is slowed down and falls behind: back to live at once.
  toLive() {
    const [start, end] = bufferedRanges(this.video).at(-1) ?? [];
    if (!this.player || !(end - this.video.currentTime > latency.chaseAbove)) return;
    this.video.currentTime = Math.max(start, end - latency.target);
  }

  judge(now) {
    if (!this.hasPicture) return this.judgeStart(now);
    const silent = now - this.heardAt;
    const still = now - this.movedAt;
    const state = this.source()?.state;
    if (now - this.shownAt > steadyMs && still < stalledAfterMs) this.attempt = 0;
    if (still > starvedAfterMs && silent < stalledAfterMs && state === 'live' && this.starving(now)) {
      this.without = this.starvingTrack;
      this.renew();
    } else if (still > stalledAfterMs) {
      this.setPhase('stalled');
      // While the publisher is away the server holds this connection and goes
      // on by itself; a new connection would only show the old picture again.
      if (silent > silentReconnectMs && state !== 'grace') this.lost('nothing came');
      else if (still > silentReconnectMs && silent < stalledAfterMs) this.lost('picture stands still');
    } else {
      this.setPhase('playing');
    }
    return undefined;
  }

  // One track waits for the other for long enough that it is no hiccup. A gap
  // that has just ended counts from its end.
  starving(now) {
    const track = starvingTrack(trackEnds(this.player), this.video.currentTime);
    if (track !== this.starvingTrack) {
      this.starvingTrack = track;
      this.starvingSince = now;
    }
    return track !== null && now - this.starvingSince > starvedAfterMs;
  }

  judgeStart(now) {
    const waited = now - this.connectedAt;
    if (waited > renewShownMs && this.phase === 'playing') this.setPhase('reconnecting');
    if (waited < firstFrameMs) return;
    if (this.gotBytes) this.without = this.without ? null : 'audio';
    this.lost('no picture came');
  }

  lost(reason) {
    if (!this.player) return;
    this.reason = reason;
    this.keepPicture();
    this.dropPlayer();
    this.setPhase(this.source()?.state === 'offline' ? 'offline' : 'reconnecting');
    this.retryTimer = setTimeout(() => this.connect(), retryDelay(this.attempt));
    this.attempt += 1;
  }

  keepPicture() {
    const { video, still } = this;
    if (!video.videoWidth || video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
    // No larger than shown: sixteen 1080p stills would cost 130 MB.
    const shown = Math.max(320, video.clientWidth * (window.devicePixelRatio || 1));
    const scale = Math.min(1, shown / video.videoWidth);
    still.width = Math.round(video.videoWidth * scale);
    still.height = Math.round(video.videoHeight * scale);
    still.getContext('2d').drawImage(video, 0, 0, still.width, still.height);
    still.hidden = false;
  }

  dropPlayer() {
    const { player } = this;
    if (!player) return;
    this.player = null;
    this.stats = { kbps: 0, buffered: NaN };
    this.pictureWait?.abort();
    try {
      player.destroy();
    } catch (error) {
      // A player that failed half-way may fail again while it is taken apart;
      // the next one starts from nothing either way.
      console.warn('live player was not taken apart cleanly', error);
    }
    this.video.playbackRate = 1;
  }
}

// Which tracks a live stream has; null while nobody knows (both still missing,
// or a publisher away whose return may bring others).
function tracksOf({ state, audio, video }) {
  if (state !== 'live' || !audio || !video || (audio === 'none' && video === 'none')) return null;
  return { audio: audio !== 'none', video: video !== 'none' };
}

// {audio: seconds, video: seconds}: where the data of each track ends. The
// element tells only what both have, and mpegts.js has no public word for it.
function trackEnds(player) {
  const buffers = player._player_engine?._mse_controller?._sourceBuffers ?? {};
  return Object.fromEntries(Object.entries(buffers).filter(([, buffer]) => buffer?.buffered.length)
    .map(([track, { buffered }]) => [track, buffered.end(buffered.length - 1)]));
}

function bufferedRanges({ buffered }) {
  return Array.from({ length: buffered.length }, (_, index) => [buffered.start(index), buffered.end(index)]);
}

function webSocketUrl(path) {
  const url = new URL(path, location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}
