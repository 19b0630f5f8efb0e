// One live stream in one <video>, kept alive for ever: connects over
// WebSocket-FLV, chases latency, notices silence, reconnects with backoff, and
// keeps the last picture on a canvas while there is no new one.
//
// source() is asked before every connection and returns
// {url, state, audio, video}: tokens are renewed by the stream list, so a
// reconnect never uses an old one. state 'offline' means: do not knock.

import { chase, latency, retryDelay } from './timing.js';

const tickMs = 500;
const stalledAfterMs = 2500;
const silentReconnectMs = 15000;
const firstFrameMs = 12000;
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
    this.assumeNoAudio = false;
    this.stats = { kbps: 0, buffered: NaN };
    this.onVideoError = () => this.lost('picture could not be decoded');
    video.addEventListener('error', this.onVideoError);
  }

  start() {
    this.ticker = setInterval(() => this.tick(), tickMs);
    this.connect();
  }

  destroy() {
    clearInterval(this.ticker);
    clearTimeout(this.retryTimer);
    this.video.removeEventListener('error', this.onVideoError);
    this.dropPlayer();
    this.phase = 'idle';
  }

  // The list says the stream is there (again): no reason to sit out the backoff.
  nudge() {
    if (this.phase !== 'offline') return;
    this.attempt = 0;
    this.connect();
  }

  setPhase(phase) {
    if (this.phase === phase) return;
    this.phase = phase;
    this.dispatchEvent(new Event('phase'));
  }

  connect() {
    clearTimeout(this.retryTimer);
    const source = this.source();
    if (!source?.url || source.state === 'offline') {
      this.setPhase('offline');
      return;
    }
    this.setPhase(this.phase === 'idle' || this.phase === 'offline' ? 'connecting' : 'reconnecting');
    const hasAudio = source.audio !== 'none' && !this.assumeNoAudio;
    const { mpegts } = window;
    // Sixteen tiles would fill the console; what matters arrives as events.
    mpegts.LoggingControl.enableAll = false;
    const player = mpegts.createPlayer(
      // Told only when known: otherwise the FLV header says it. A header that
      // promises audio which never comes would keep the picture from starting.
      { type: 'flv', isLive: true, url: webSocketUrl(source.url), ...(hasAudio ? {} : { hasAudio: false }) },
      config,
    );
    this.player = player;
    this.connectedAt = performance.now();
    this.heardAt = this.connectedAt;
    this.movedAt = this.connectedAt;
    this.position = -1;
    this.hasPicture = false;
    this.gotBytes = false;

    player.on(mpegts.Events.ERROR, (type, detail) => this.player === player && this.lost(`${type}: ${detail}`));
    player.on(mpegts.Events.LOADING_COMPLETE, () => this.player === player && this.lost('connection closed'));
    player.on(mpegts.Events.STATISTICS_INFO, (info) => this.player === player && this.measured(info));
    player.attachMediaElement(this.video);
    player.load();
    this.play();
    this.awaitPicture(player);
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
      this.attempt = 0;
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
    const end = video.buffered.length ? video.buffered.end(video.buffered.length - 1) : NaN;
    this.stats.buffered = end - video.currentTime;
    if (video.currentTime !== this.position) {
      this.position = video.currentTime;
      this.movedAt = now;
    }
    if (video.paused && document.visibilityState === 'visible') this.play();
    this.keepNearLive(end, now);
    this.judge(now);
    this.dispatchEvent(new Event('stats'));
  }

  keepNearLive(end, now) {
    const { video } = this;
    const behind = this.stats.buffered;
    if (!Number.isFinite(behind)) return;
    // Data ahead but no movement: a hole in the buffer (a takeover, lost
    // frames). Step over it.
    if (behind > 0.3 && now - this.movedAt > 1500 && now - this.connectedAt > 1500) {
      video.currentTime = Math.max(video.buffered.start(video.buffered.length - 1), end - latency.target);
      this.movedAt = now;
      return;
    }
    const step = chase(behind, video.playbackRate);
    if (step.jump) video.currentTime = end - latency.target;
    if (video.playbackRate !== step.rate) video.playbackRate = step.rate;
  }

  judge(now) {
    if (!this.hasPicture) {
      if (now - this.connectedAt < firstFrameMs) return;
      if (this.gotBytes) this.assumeNoAudio = !this.assumeNoAudio;
      this.lost('no picture came');
      return;
    }
    const silent = now - this.heardAt;
    const still = now - this.movedAt;
    if (still > stalledAfterMs) {
      this.setPhase('stalled');
      // While the publisher is away the server holds this connection and goes
      // on by itself; a new connection would only show the old picture again.
      if (silent > silentReconnectMs && this.source()?.state !== 'grace') this.lost('nothing came');
      else if (still > silentReconnectMs && silent < stalledAfterMs) this.lost('picture stands still');
    } else {
      this.setPhase('playing');
    }
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

function webSocketUrl(path) {
  const url = new URL(path, location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}
