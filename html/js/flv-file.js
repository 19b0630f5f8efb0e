// Plays a recorded FLV file in a <video> by mpegts.js, which reads it by ranges. Its
// onMetaData lists the key frames, so a seek takes one request.

import { mayPlayHere } from './media-source.js';
import { endPlayer } from './mpegts-inside.js';

const config = {
  enableWorker: true,
  // Read ahead only this far, so that a short look does not load an hour of video.
  lazyLoadMaxDuration: 40,
  lazyLoadRecoverDuration: 20,
  deferLoadAfterSourceOpen: false,
  // Seek to the picture itself, not to the key frame before it.
  accurateSeek: true,
  fixAudioTimestampGap: true,
  autoCleanupSourceBuffer: true,
};

// mpegts.js takes the first key frame of an index for a header and would seek to the
// second one instead. It loads the beginning of a file anyway, so no seek is needed there.
const beginningS = 10;

export class FlvFile {
  /** Plays from `seconds`. Calls failed(reason, status) when playback cannot continue. */
  constructor(mpegts, video, url, seconds, failed) {
    mpegts.LoggingControl.enableAll = false;
    const player = mpegts.createPlayer({ type: 'flv', isLive: false, url }, config);
    this.video = video;
    this.player = player;
    this.waits = true;      // until the seek: the first picture may not be the requested one
    this.waiting = new AbortController();
    player.on(
      mpegts.Events.ERROR,
      (type, detail, info) => this.player === player && failed(`${type}: ${detail}`, info?.code),
    );
    player.attachMediaElement(video);
    player.load();
    // Wait until the beginning is loaded; mpegts.js reaches any other place by its key frame.
    const seekWhenLoaded = () => {
      if (seconds < beginningS && !this.has(seconds)) return;
      this.waiting.abort();
      this.waits = false;
      video.currentTime = seconds;
    };
    for (const type of ['loadedmetadata', 'progress', 'timeupdate'])
      video.addEventListener(type, seekWhenLoaded, { signal: this.waiting.signal });
  }

  static isSupported() {
    return mayPlayHere();
  }

  has(seconds) {
    const { buffered } = this.video;
    for (let index = 0; index < buffered.length; index += 1) {
      if (buffered.start(index) <= seconds + 0.1 && seconds < buffered.end(index)) return true;
    }
    return false;
  }

  /** Whether seek() can reach `seconds`. Otherwise a new FlvFile has to start there. */
  reaches(seconds) {
    return seconds >= beginningS || this.has(seconds);
  }

  seek(seconds) {
    this.waiting.abort();
    this.waits = false;
    this.video.currentTime = seconds;
  }

  destroy() {
    this.waiting.abort();
    const { player } = this;
    this.player = null;
    if (player) endPlayer(player);
  }
}
