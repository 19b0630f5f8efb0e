// Live by HLS in hls.js, with low latency or without. One playlist plays for ever; its
// addresses get a newer token before theirs expires. The stream's time goes on over a
// publisher's gap (modules/http/hls.md), so there is nothing to skip in the buffer.

import { loadHls } from './hls-library.js';
import { mayPlayHere } from './media-source.js';
import { sameTracks, tracksOf } from './live-tracks.js';
import { expiresSoon, playlistUrl, withTokenOf } from './media-url.js';
import { utcAt } from './time-map.js';
import { Stalls } from './timing.js';

const afterErrorMs = 1000;
const recoverEveryMs = 10_000;
// How far playback may fall behind its target.
const loose = {
  low: { chaseS: 0.2, eagerS: 0.4, jumpS: 5 },
  plain: { chaseS: 2, eagerS: 4, jumpS: 12 },
};

// hls.js takes the dates of segments for a second clock, and moves its timeline where that
// jumps: after a publisher's gap, and at the start of a stream that came in a burst. It
// keeps a tag that it does not know, so the page reads the dates there.
const dateTag = 'EXT-X-PROGRAM-DATE-TIME';
const keptTag = 'DATE';

export const withoutDates = (Loader) => class extends Loader {
  load(context, settings, callbacks) {
    super.load(context, settings, {
      ...callbacks,
      onSuccess(response, ...more) {
        response.data = response.data.replaceAll(`#${dateTag}:`, `#${keptTag}:`);
        callbacks.onSuccess(response, ...more);
      },
    });
  }
};

const dateIn = (tags) => Date.parse(tags.find(([tag]) => tag === keptTag)?.[1]);

const noRetry = { timeoutRetry: null, errorRetry: null };

const config = {
  enableWorker: false,      // fragments are passed on as they are
  backBufferLength: 10,
  maxBufferLength: 10,
  liveDurationInfinity: true,
  // The live player connects again, or another way.
  manifestLoadPolicy: { default: { maxTimeToFirstByteMs: 8000, maxLoadTimeMs: 8000, ...noRetry } },
};

class HlsWay {
  constructor(video, { failed, source, renewToken }) {
    this.video = video;
    this.failed = failed;
    this.source = source;
    this.renewToken = renewToken;
    this.hls = null;
    this.opening = null;
    this.recoveredAt = -Infinity;
    this.stalls = new Stalls();
  }

  static isSupported() {
    return mayPlayHere();
  }

  /** One open address is as good as another: only playing shows more. */
  static async answers() {
    return true;
  }

  async open(source) {
    const opening = new AbortController();
    this.opening = opening;
    this.tracks = tracksOf(source);
    this.details = null;
    this.heardAt = performance.now();
    this.gotBytes = false;
    this.kbps = 0;
    const Hls = await loadHls();
    if (opening.signal.aborted) return;
    if (!Hls) {
      this.failed('hls.js could not be loaded');
      return;
    }
    const hls = new Hls({
      ...config,
      lowLatencyMode: this.lowLatency,
      pLoader: withoutDates(Hls.DefaultConfig.loader),
      xhrSetup: (xhr, url) => xhr.open('GET', this.renewed(url), true),
    });
    this.hls = hls;
    const on = (type, handler) => hls.on(type, (_, data) => this.hls === hls && handler(data));
    on(Hls.Events.LEVEL_UPDATED, ({ details }) => {
      this.details = details;
      this.forgetStalls();
    });
    on(Hls.Events.FRAG_LOADED, (loaded) => this.measured(loaded));
    on(Hls.Events.ERROR, (error) => this.hlsFailed(Hls, error));
    hls.attachMedia(this.video);
    hls.loadSource(playlistUrl(source.url));
  }

  close() {
    this.opening.abort();
    clearTimeout(this.retryTimer);
    this.hls?.destroy();
    this.hls = null;
    this.details = null;
  }

  // An address keeps its token while that is valid: to the server, another one is another viewer.
  renewed(url) {
    const now = Date.now();
    if (!expiresSoon(url, now)) return url;
    const { url: newer } = this.source() ?? {};
    if (expiresSoon(newer, now)) this.renewToken();
    return newer ? withTokenOf(url, new URL(newer, location.href).href) : url;
  }

  measured({ frag, part, payload }) {
    this.heardAt = performance.now();
    if (frag.sn === 'initSegment') return;
    this.gotBytes = true;
    const kbps = payload?.byteLength * 8 / 1000 / (part ?? frag).duration;
    if (Number.isFinite(kbps)) this.kbps = this.kbps ? this.kbps * 0.8 + kbps * 0.2 : kbps;
  }

  hlsFailed(Hls, { type, details, fatal, response, error }) {
    if (response?.code === 403) this.renewToken();
    if (details === Hls.ErrorDetails.BUFFER_STALLED_ERROR) this.stalls.note(performance.now());
    if (!fatal) return;
    const now = performance.now();
    if (type === Hls.ErrorTypes.MEDIA_ERROR && this.gotBytes && now - this.recoveredAt > recoverEveryMs) {
      this.recoveredAt = now;
      this.hls.recoverMediaError();
    } else if (type === Hls.ErrorTypes.NETWORK_ERROR && this.gotBytes && this.source()?.state === 'grace') {
      // The playlist stands still while the publisher is away. A new connection would only show the old picture again.
      this.retryTimer = setTimeout(() => this.hls?.startLoad(), afterErrorMs);
    } else this.failed(`${details}: ${error?.message ?? ''}`);
  }

  /** The part of the stream that can play, in seconds of the video. It grows evenly between two playlists. */
  range() {
    const { fragments, edge, age, partTarget, targetduration } = this.details ?? {};
    if (!fragments?.length) return undefined;
    return [fragments[0].start, edge + Math.min(age, this.lowLatency && partTarget ? partTarget : targetduration)];
  }

  forgetStalls() {
    if (this.stalls.forget(performance.now())) this.stayNear();
  }

  /** Playback stalled since nothing was sent: the line is as good as before. */
  publisherCame() {
    this.stalls.excuse();
    this.stayNear();
  }

  stayNear() {
    const { partHoldBack, holdBack } = this.details ?? {};
    if (holdBack) this.hls.targetLatency = (this.lowLatency && partHoldBack) || holdBack;
  }

  /** The playlist tells how far to stay behind; hls.js adds to it when playback stalls. */
  get limits() {
    const target = this.hls?.targetLatency || (this.lowLatency ? 1 : 6);
    const { chaseS, eagerS, jumpS } = this.lowLatency ? loose.low : loose.plain;
    return {
      least: target,
      target,
      chaseAbove: target + chaseS,
      eagerAbove: target + eagerS,
      jumpAbove: target + jumpS,
    };
  }

  /** The server's clock at the picture on the screen, ms. */
  get utc() {
    const { fragments = [], fragmentHint } = this.details ?? {};
    const segments = fragmentHint ? [...fragments, fragmentHint] : fragments;
    const dated = segments.map(({ start, duration, tagList: tags }) => ({
      start,
      duration,
      programDateTime: dateIn(tags),
    }));
    return utcAt(dated, this.video.currentTime);
  }

  /** Whether the stream, as the list now has it, needs a new player: a SourceBuffer keeps its tracks. */
  isOutdated(source) {
    const tracks = source && tracksOf(source);
    if (!this.hls || !tracks) return false;
    this.tracks ??= tracks;
    return !sameTracks(tracks, this.tracks);
  }
}

export class LowLatencyHls extends HlsWay {
  lowLatency = true;
}

export class PlainHls extends HlsWay {
  lowLatency = false;
}
