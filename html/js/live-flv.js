// Live by FLV over a WebSocket, in mpegts.js. A browser waits for ever for an announced
// track that does not come: this way then leaves it out, and tries again with it later.

import { mayPlayHere } from './media-source.js';
import { allTracks, sameTracks, tracksOf } from './live-tracks.js';
import { webSocketUrl } from './media-url.js';
import { endPlayer, trackEnds } from './mpegts-inside.js';
import { loadMpegts } from './mpegts-library.js';
import { latency, starvingTrack } from './timing.js';

const silentAfterMs = 2500;
const starvedAfterMs = 700;
const startStarvedMs = 1500;
const tryAllMs = 5000;
const joinBurstMs = 1800;
const answerWithinMs = 5000;

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

export class FlvWay {
  constructor(video, { failed }) {
    this.video = video;
    this.failed = failed;
    this.limits = latency;
    this.leavesHoles = true;  // nothing but the page skips frames that are missing
    this.player = null;
    this.opening = null;
    // A track that was announced and did not come. The player leaves it out until the
    // list names other tracks, the publisher returns, or it is time for another try.
    this.leftOut = null;
    this.leftOutCount = 0;
  }

  static isSupported() {
    return mayPlayHere();
  }

  /** Whether a connection gets data, without the player. */
  static answers({ url }) {
    return new Promise((resolve) => {
      const socket = new WebSocket(webSocketUrl(url));
      const timer = setTimeout(() => end(false), answerWithinMs);
      function end(answer) {
        clearTimeout(timer);
        socket.onclose = null;
        socket.close();
        resolve(answer);
      }
      socket.onmessage = () => end(true);
      socket.onclose = () => end(false);
    });
  }

  async open(source) {
    const opening = new AbortController();
    this.opening = opening;
    this.tracks = tracksOf(source);
    if (this.leftOut && this.tracks?.[this.leftOut] === false) this.expectAll();
    this.openedAt = performance.now();
    this.heardAt = this.openedAt;
    this.gotBytes = false;
    this.kbps = 0;
    this.starvingTrack = null;
    const mpegts = await loadMpegts();
    if (opening.signal.aborted) return;
    if (!mpegts) {
      this.failed('mpegts.js could not be loaded');
      return;
    }
    this.openedAt = performance.now();
    this.heardAt = this.openedAt;
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
    player.on(mpegts.Events.ERROR, (type, detail) => this.player === player && this.failed(`${type}: ${detail}`));
    player.on(mpegts.Events.LOADING_COMPLETE, () => this.player === player && this.failed('connection closed'));
    player.on(mpegts.Events.STATISTICS_INFO, (info) => this.player === player && this.measured(info));
    player.attachMediaElement(this.video);
    player.load();
  }

  close() {
    const { player } = this;
    this.player = null;
    this.opening.abort();
    if (!player) return;
    try {
      endPlayer(player);
    } catch (error) {
      // A player that failed half-way may fail again while it is destroyed. The next
      // one does not depend on it.
      console.warn('the live player could not be destroyed cleanly', error);
    }
  }

  measured(info) {
    if (!(info.speed > 0)) return;
    this.gotBytes = true;
    this.heardAt = performance.now();
    // The join burst (a whole GOP at once) is not the stream's bitrate.
    if (this.heardAt - this.openedAt < joinBurstMs) return;
    const kbps = info.speed * 8;
    this.kbps = this.kbps ? this.kbps * 0.6 + kbps * 0.4 : kbps;
  }

  /** The part of the stream that can play, in seconds of the video. */
  range(buffered) {
    return buffered.at(-1);
  }

  /** FLV does not tell the server's clock. */
  get utc() {
    return NaN;
  }

  // ---- tracks

  expectAll() {
    this.leftOut = null;
    this.leftOutCount = 0;
  }

  /** Whether the stream, as the list now has it, needs a new player. */
  isOutdated(source, cameLive) {
    const mayHaveAll = cameLive && this.leftOut !== null;
    if (cameLive) this.expectAll();
    if (!this.player || !(mayHaveAll || this.builtForOtherTracks(source))) return false;
    this.expectAll();
    return true;
  }

  builtForOtherTracks(source) {
    const tracks = source && tracksOf(source);
    if (!tracks) return false;
    const expected = this.tracks ?? allTracks;
    const changed = !sameTracks(tracks, expected);
    const built = {
      audio: expected.audio && this.leftOut !== 'audio',
      video: expected.video && this.leftOut !== 'video',
    };
    // The list now names the tracks that this player has found out by itself.
    if (changed && sameTracks(tracks, built)) {
      this.tracks = tracks;
      this.expectAll();
    }
    return changed && !sameTracks(tracks, built);
  }

  /** Whether a new player is needed: without a track that does not come, or again with it. */
  isLame({ now, frozenMs, hasPicture, state }) {
    const standsStill = hasPicture
      ? frozenMs > starvedAfterMs && now - this.heardAt < silentAfterMs && state === 'live'
      : now - this.openedAt > startStarvedMs && this.gotBytes && !this.leftOut;
    if (this.isStarving(now, standsStill)) this.leaveOut(this.starvingTrack, now);
    else if (hasPicture && this.leftOut && now > this.tryAllAt && (this.leftOut === 'video' || !this.video.muted))
      this.leftOut = null;
    else return false;
    return true;
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
  }

  /** Data came, but no picture: perhaps since the sound did not. */
  noPicture() {
    this.leftOut = this.leftOut ? null : 'audio';
  }

  /** It has played for a while. */
  isSteady() {
    if (!this.leftOut) this.leftOutCount = 0;
  }
}
