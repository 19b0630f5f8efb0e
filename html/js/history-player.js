// Plays recordings of one stream in one <video>, by the wall clock: the playlist of a
// day, or one that grows while the stream is recorded, using the times in it. Gaps
// take no time in a playlist: playback continues behind a gap and the clock jumps.
// Recordings in FLV are in no playlist: the player plays such a file directly.
//
// history makes addresses with valid tokens (history.js).
// Events: 'phase', 'time', 'muted', 'end' (the playlist or file has ended, at
// endedAt; the listener decides what to play next).

import { FlvFile } from './flv-file.js';
import { loadHls } from './hls-library.js';
import { loadMpegts } from './mpegts-library.js';
import { bufferedRanges, keepPicture, playOrMute } from './picture.js';
import { secondsAt, readPlaylist, utcAt, utcEnd } from './time-map.js';
import { addDays, spanAt, startOfDay } from './timeline.js';
import { retryDelay } from './timing.js';

const tickMs = 250;
const listAgainMs = 5000;
const stalledAfterMs = 400;
const endedAfterMs = 1500;
const steadyMs = 10_000;
// Added to a seek, so that rounding does not show the frame before the requested one.
const intoFrameS = 0.002;
// Within this time before now, play a growing playlist, which begins this long before the target.
const recentMs = 10 * 60_000;
const atEndS = 2.5;
const beforeEndS = 4;
const unlistedMs = 20_000;
const bufferS = 20;
const holeAfterMs = 1000;
const elsewhereMs = 2000;

// phase: idle | connecting | playing | paused | stalled | reconnecting | ended |
// unsupported (FLV, in a browser without MediaSource)
export class HistoryPlayer extends EventTarget {
  constructor(video, still, history) {
    super();
    this.video = video;
    this.still = still;
    this.history = history;
    this.phase = 'idle';
    this.rate = 1;
    this.paused = false;
    this.everShown = false;
    this.stats = { kbps: 0, buffered: NaN };
    this.window = null; // {from, to, whole} of the playlist: to is null when it grows, whole for a day that is over
    this.segments = [];
    this.growing = false; // the playlist will list more
    this.target = NaN; // target of a seek under way, ms; NaN when it has arrived
    this.attempt = 0;
    this.opening = null; // AbortController of the requests of the open playlist or file
    this.flv = null; // the FlvFile that plays, for recordings in no playlist
    this.listening = new AbortController();
    const on = (type, handler) => video.addEventListener(type, handler, { signal: this.listening.signal });
    video.autoplay = false;
    on('ended', () => this.finish());
    on('seeked', () => this.arrived());
    // The viewer paused it by a headset's button, or by the controls of a phone's full screen.
    on('pause', () => this.hasArrived && !video.ended && !this.paused && this.setPaused(true));
    on('play', () => this.hasArrived && this.paused && this.setPaused(false));
    on('error', () => this.native && this.reopenLater(video.error?.message ?? 'picture could not be decoded'));
    this.ticker = setInterval(() => this.tick(), tickMs);
  }

  destroy() {
    clearInterval(this.ticker);
    clearTimeout(this.retryTimer);
    this.listening.abort();
    this.unload();
    this.phase = 'idle';
  }

  /** The position, or the target of a seek under way, ms since 1970. */
  get position() {
    return Number.isNaN(this.target) ? utcAt(this.segments, this.video.currentTime) : this.target;
  }

  /** Seeks to `utc` if it is recorded, otherwise to the next recording. */
  seek(utc) {
    clearTimeout(this.retryTimer);
    this.target = utc;
    this.attempt = 0;
    if (!this.covers(utc) || this.isElsewhere(utc)) return this.open(utc);
    return this.goTo(this.secondsOf(utc));
  }

  goTo(seconds) {
    if (seconds === null) return this.finish();
    this.hasArrived = false;
    if (this.flv) this.flv.seek(seconds + intoFrameS);
    else this.video.currentTime = seconds + intoFrameS;
    if (!this.paused) this.play();
    this.setPhase(this.everShown ? this.phase : 'connecting');
    return undefined;
  }

  // Maps a time that is recorded but not listed yet to the end of the list.
  secondsOf(utc) {
    const seconds = secondsAt(this.segments, utc);
    if (seconds !== null || !this.growing || utc - utcEnd(this.segments) > unlistedMs) return seconds;
    const last = this.segments.at(-1);
    return last ? Math.max(0, last.start + last.duration - beforeEndS) : null;
  }

  covers(utc) {
    return this.segments.length > 0 && utc >= this.window.from && utc < (this.window.to ?? Infinity);
  }

  /** Whether `utc` is recorded, but not in the loaded playlist. */
  isElsewhere(utc) {
    const seconds = secondsAt(this.segments, utc);
    if (this.flv) return !this.flv.reaches(seconds);
    const listed = seconds === null ? Infinity : utcAt(this.segments, seconds);
    return listed - utc > elsewhereMs && spanAt(this.history.spans, utc) !== null && utc < utcEnd(this.segments);
  }

  async open(utc) {
    this.target = utc;
    this.hasArrived = false;
    keepPicture(this.video, this.still);
    this.unload();
    this.setPhase(this.everShown ? 'stalled' : 'connecting');
    this.window = windowAround(utc, Date.now());
    this.opening = new AbortController();
    const { signal } = this.opening;
    const file = this.history.knownFlv(utc);
    if (file?.to) {
      this.openFlv(file);
      return;
    }
    const Hls = await loadHls();
    if (signal.aborted || !this.history.base) return;
    if (!Hls) {
      this.reopenLater('hls.js could not be loaded');
      return;
    }
    const url = this.history.url('index.m3u8', { from: this.window.from, to: this.window.to });
    if (Hls.isSupported()) this.openHls(Hls, url);
    else this.openNative(url, signal);
  }

  openHls(Hls, url) {
    const hls = new Hls({
      autoStartLoad: false,
      enableWorker: false,      // fragments are passed on as they are
      maxBufferLength: bufferS,
      backBufferLength: 30,
      xhrSetup: (xhr, address) => xhr.open('GET', this.history.renewed(address), true),
    });
    this.hls = hls;
    hls.on(Hls.Events.LEVEL_UPDATED, (_, { details }) => this.hls === hls && this.listed(details));
    hls.on(Hls.Events.ERROR, (_, data) => this.hls === hls && this.hlsFailed(Hls, data));
    hls.attachMedia(this.video);
    hls.loadSource(url);
  }

  listed(details) {
    const first = !this.segments.length;
    this.segments = details.fragments;
    this.growing = details.live;
    if (first) this.startLoading();
  }

  startLoading() {
    if (this.isElsewhere(this.target)) {
      this.findFlv();
      return;
    }
    this.startAt(this.secondsOf(this.target));
  }

  startAt(seconds) {
    if (seconds === null) {
      this.finish();
      return;
    }
    this.begin();
    this.hls.startLoad(seconds + intoFrameS);
  }

  /** Looks for an FLV file, since no playlist has the target. */
  async findFlv() {
    const { opening: { signal } } = this;
    const at = this.target;
    const file = await this.history.flvAt(at).catch((error) => !signal.aborted && this.reopenLater(error.message));
    if (signal.aborted || file === undefined) return;
    if (file) this.openFlv(file);
    else this.startAt(this.segments.length ? this.secondsOf(at) : null);
  }

  async openFlv(file) {
    this.hls?.destroy();
    this.hls = null;
    if (!FlvFile.isSupported()) {
      this.setPhase('unsupported');
      return;
    }
    this.segments = [];         // a seek meanwhile opens anew
    const { opening: { signal } } = this;
    const mpegts = await loadMpegts();
    if (signal.aborted) return;
    if (!mpegts) {
      this.reopenLater('mpegts.js could not be loaded');
      return;
    }
    // A file that is being written plays up to its present end; the page then fetches it again.
    const { from, to = null } = file;
    const end = to ?? Date.now();
    this.window = { from, to: end, whole: true };
    this.segments = [{ start: 0, duration: (end - from) / 1000, programDateTime: from }];
    this.growing = false;
    const seconds = Math.max(0, (this.target - from) / 1000);
    this.flv = new FlvFile(
      mpegts,
      this.video,
      this.history.renewed(new URL(file.url, location.href).href),
      seconds + intoFrameS,
      (reason, status) => {
        if (status === 403) this.history.list.refresh();
        this.reopenLater(reason);
      },
    );
    this.begin();
  }

  // For browsers that play HLS themselves and have no MediaSource (iPhones before iOS 17).
  async openNative(url, signal) {
    this.native = true;
    try {
      await this.listNative(url, signal);
    } catch (error) {
      if (error.status === 403) this.history.list.refresh();
      if (!signal.aborted) this.loadFailed(error.status, error.message);
      return;
    }
    const seconds = this.secondsOf(this.target);
    if (seconds === null) {
      this.finish();
      return;
    }
    this.video.addEventListener(
      'loadedmetadata',
      () => {
        this.video.currentTime = seconds + intoFrameS;
      },
      { once: true, signal },
    );
    this.video.src = url;
    this.begin();
  }

  // The browser's player does not expose its playlist: the page fetches its own copy, and again while it grows.
  async listNative(url, signal) {
    const response = await fetch(url, { signal });
    if (!response.ok) throw Object.assign(new Error(`HTTP ${response.status}`), { status: response.status });
    const text = await response.text();
    if (signal.aborted) return;
    this.segments = readPlaylist(text);
    this.growing = !text.includes('#EXT-X-ENDLIST');
    if (!this.growing) return;
    let timer = null;
    const later = () => { timer = setTimeout(() => this.listNative(url, signal).catch(later), listAgainMs); };
    later();
    signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  }

  begin() {
    this.awaitPicture();
    this.video.playbackRate = this.rate;
    this.video.defaultPlaybackRate = this.rate;
    if (!this.paused) this.play();
  }

  // Hides the still picture once a frame is on the screen.
  awaitPicture() {
    const { opening: { signal }, video } = this;
    const shown = () => {
      if (signal.aborted || this.showing) return;
      if (this.flv?.waits) {
        video.requestVideoFrameCallback?.(shown);
        return;
      }
      this.showing = true;
      this.everShown = true;
      this.still.hidden = true;
      this.arrived();
    };
    this.showing = false;
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(shown);
    // Sound without a picture has no frames to wait for.
    video.addEventListener('timeupdate', () => {
      if (
        video.currentTime > 0 &&
        video.readyState >= 2 &&
        (!video.requestVideoFrameCallback || video.videoWidth === 0)
      )
        shown();
    }, { signal });
  }

  arrived() {
    if (!this.showing || this.video.seeking || this.hasArrived) return;
    this.hasArrived = true;
    this.target = NaN;
    this.movedAt = performance.now();
    this.setPhase(this.paused ? 'paused' : 'playing');
    this.dispatchEvent(new Event('time'));
  }

  play() {
    playOrMute(this.video, () => this.dispatchEvent(new Event('muted')));
  }

  setPaused(paused) {
    this.paused = paused;
    if (paused) this.video.pause();
    else this.play();
    if (this.hasArrived) this.setPhase(paused ? 'paused' : 'playing');
  }

  setRate(rate) {
    this.rate = rate;
    this.video.playbackRate = rate;
    this.video.defaultPlaybackRate = rate;
    if (this.hls) this.hls.config.maxBufferLength = bufferS * Math.max(1, rate);
  }

  setPhase(phase) {
    if (this.phase === phase) return;
    this.phase = phase;
    this.dispatchEvent(new Event('phase'));
  }

  tick() {
    const { video } = this;
    const now = performance.now();
    if (!this.hasArrived) return;
    if (video.currentTime !== this.lastTime) {
      this.lastTime = video.currentTime;
      this.movedAt = now;
      if (!this.openedAt) this.openedAt = now;
      if (now - this.openedAt > steadyMs) this.attempt = 0;
    }
    this.stats = {
      kbps: 0,
      buffered:
        (bufferedRanges(video).findLast(([start]) => start <= video.currentTime)?.[1] ?? NaN) - video.currentTime,
    };
    if (!this.paused) this.updatePhase(now - this.movedAt);
    if (this.flv && !this.paused && now - this.movedAt > holeAfterMs) this.skipHole();
    this.dispatchEvent(new Event('time'));
  }

  updatePhase(frozenMs) {
    const remainingS = (utcEnd(this.segments) - this.position) / 1000;
    // The end of a growing playlist is nearly live: end only when playing faster than it grows, or after a stall.
    if (this.growing && remainingS < atEndS && (this.rate > 1 || frozenMs > endedAfterMs)) this.finish();
    else if (frozenMs > stalledAfterMs) this.setPhase('stalled');
    else this.setPhase('playing');
  }

  // A publisher's gap takes time in an FLV file: skip it.
  skipHole() {
    const { video } = this;
    const next = bufferedRanges(video).find(([start]) => start > video.currentTime);
    if (next) this.flv.seek(next[0] + intoFrameS);
  }

  finish() {
    const { whole, to } = this.window;
    const end = utcEnd(this.segments);
    if (whole) this.endedAt = Math.max(to, Number.isNaN(end) ? to : end);
    else this.endedAt = Number.isNaN(end) ? this.target : end;
    this.setPhase('ended');
    this.dispatchEvent(new Event('end'));
  }

  hlsFailed(Hls, { type, details, fatal, response, error }) {
    // The stream list brings a new token, for the next try.
    if (response?.code === 403) this.history.list.refresh();
    if (!fatal) return;
    if (type === Hls.ErrorTypes.MEDIA_ERROR && this.attempt === 0) {
      this.attempt += 1;
      this.hls.recoverMediaError();
      return;
    }
    this.loadFailed(response?.code, `${details}: ${error?.message ?? ''}`);
  }

  loadFailed(status, reason) {
    if (status === 404 && !this.segments.length) this.findFlv();
    else this.reopenLater(reason);
  }

  // Opens the recording again at the same place; skips ahead after repeated failures there.
  reopenLater(reason) {
    const at = this.position;
    this.reason = reason;
    keepPicture(this.video, this.still);
    this.unload();
    this.setPhase('reconnecting');
    const skip = this.attempt > 2 ? 5000 : 0;
    this.target = at + skip;
    this.retryTimer = setTimeout(() => this.open(at + skip), retryDelay(this.attempt));
    this.attempt += 1;
  }

  unload() {
    this.opening?.abort();
    this.segments = [];
    this.growing = false;
    this.openedAt = 0;
    this.hasArrived = false;
    this.flv?.destroy();
    this.flv = null;
    this.hls?.destroy();
    this.hls = null;
    if (this.native) {
      this.native = false;
      this.video.removeAttribute('src');
      this.video.load();
    }
    this.video.playbackRate = 1;
  }
}

/** The range of the playlist that holds `utc`: its day, or close to now one that grows. */
function windowAround(utc, now) {
  if (utc > now - recentMs) return { from: utc - recentMs, to: null };
  const from = startOfDay(utc);
  const to = addDays(from, 1);
  return { from, to: Math.min(to, now), whole: to <= now };
}
