// A recorded FLV file in a <video>, by mpegts.js: it is read by ranges, and its
// key frames stand in its onMetaData, so that any place of it is one request away.

import { endPlayer } from './mpegts-inside.js';

const config = {
  enableWorker: true,
  // Read ahead by so much, then wait: an hour is not loaded for a look at it.
  lazyLoadMaxDuration: 40,
  lazyLoadRecoverDuration: 20,
  deferLoadAfterSourceOpen: false,
  // The picture that is asked for, not the key frame before it.
  accurateSeek: true,
  fixAudioTimestampGap: true,
  autoCleanupSourceBuffer: true,
};

// mpegts.js takes the first key frame of an index for a header, and would go to the
// second one instead. The beginning of a file is loaded as it stands anyway.
const beginningS = 10;

export class FlvFile {
  /** Begins at `seconds`. failed(reason, status) is called when it can't go on. */
  constructor(video, url, seconds, failed) {
    const { mpegts } = window;
    mpegts.LoggingControl.enableAll = false;
    const player = mpegts.createPlayer({ type: 'flv', isLive: false, url }, config);
    this.video = video;
    this.player = player;
    this.waits = true;      // the first picture may be another than the one asked for
    this.waiting = new AbortController();
    player.on(
      mpegts.Events.ERROR,
      (type, detail, info) => this.player === player && failed(`${type}: ${detail}`, info?.code),
    );
    player.attachMediaElement(video);
    player.load();
    // What lies in the beginning is waited for, all else is asked for by its key frame.
    const go = () => {
      if (seconds < beginningS && !this.has(seconds)) return;
      this.waiting.abort();
      this.waits = false;
      video.currentTime = seconds;
    };
    for (const type of ['loadedmetadata', 'progress', 'timeupdate'])
      video.addEventListener(type, go, { signal: this.waiting.signal });
  }

  static isSupported() {
    return window.mpegts.isSupported();
  }

  has(seconds) {
    const { buffered } = this.video;
    for (let index = 0; index < buffered.length; index += 1) {
      if (buffered.start(index) <= seconds + 0.1 && seconds < buffered.end(index)) return true;
    }
    return false;
  }

  /** Whether seek() leads to `seconds`; otherwise the file is to be opened anew there. */
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
