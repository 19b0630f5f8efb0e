// Live by HLS in the browser's own player: iPhones before iOS 17.1 have nothing else. It
// loads the playlist, stays near live and skips gaps by itself. A user who may replay gets
// the playlist that reaches back, since this player's own controls (full screen on an iPhone,
// AirPlay, the lock screen) can pause and go back in it.

import { expiresSoon, playlistUrl } from './media-url.js';
import { bufferedRanges } from './picture.js';

const addressIn = ({ url, watch }) => playlistUrl(watch ?? url);

export class NativeWay {
  constructor(video, { renewToken }) {
    this.video = video;
    this.renewToken = renewToken;
    // The end of what can play is already as far behind live as the playlist asks for.
    this.limits = { least: 0, target: 0, chaseAbove: Infinity, eagerAbove: 8, jumpAbove: 20 };
    this.kbps = 0;
  }

  static isSupported(video) {
    return video.canPlayType('application/vnd.apple.mpegurl') !== '';
  }

  static async answers() {
    return true;
  }

  open(source) {
    this.url = addressIn(source);
    this.heardAt = performance.now();
    this.gotBytes = false;
    this.listening = new AbortController();
    const heard = () => {
      this.heardAt = performance.now();
      this.gotBytes ||= this.video.buffered.length > 0;
    };
    for (const type of ['progress', 'loadedmetadata', 'timeupdate'])
      this.video.addEventListener(type, heard, { signal: this.listening.signal });
    this.video.disableRemotePlayback = false;     // AirPlay
    this.video.src = this.url;
  }

  close() {
    this.listening.abort();
    this.video.disableRemotePlayback = true;
    this.video.removeAttribute('src');
    this.video.load();
  }

  /** Whether the user has the player's own controls, and with them decides what plays. */
  get isInHand() {
    const { webkitPresentationMode: mode = 'inline', webkitCurrentPlaybackTargetIsWireless: isAway } = this.video;
    return mode !== 'inline' || Boolean(isAway) || document.visibilityState === 'hidden';
  }

  /** The part of the stream that can play, in seconds of the video. */
  range() {
    return bufferedRanges({ buffered: this.video.seekable }).at(-1);
  }

  /** The server's clock at the picture on the screen, ms, where the browser tells it. */
  get utc() {
    return Number(this.video.getStartDate?.() ?? NaN) + this.video.currentTime * 1000;
  }

  /** The browser's player keeps its address: it needs a new one before the token expires. */
  isOutdated(source) {
    if (!expiresSoon(this.url, Date.now())) return false;
    if (source?.url && !expiresSoon(addressIn(source), Date.now())) return true;
    this.renewToken();
    return false;
  }
}
