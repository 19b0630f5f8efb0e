// The ways of one tile: which of them this browser has, and which one's turn it is.
//
// A way is a class that lives as long as its player, with open(source) and close() and,
// while it is open,
//   range(buffered)    [from, to]: what can play, in seconds of the video
//   limits             seconds before the end of that, as `latency` in timing.js
//   heardAt, gotBytes  when data came last, of performance.now(); whether any came
//   kbps, utc          its bitrate; the server's clock at the picture on the screen, or NaN
//   isOutdated(source, cameLive)   whether the list's change needs a new connection
//   isInHand           whether the user has the browser's own controls (only the browser's player)
// and statically isSupported(video), and answers(source): whether it is worth another try.

import { Choice, waysOf } from './live-choice.js';
import { FlvWay } from './live-flv.js';
import { LowLatencyHls, PlainHls } from './live-hls.js';
import { NativeWay } from './live-native.js';

export class LiveWays {
  /** forced: the name of the only way to use, or null. */
  constructor(video, forced) {
    this.forced = forced;
    this.classes = {
      flv: FlvWay,
      llhls: LowLatencyHls,
      hls: NativeWay.isSupported(video) ? NativeWay : PlainHls,
    };
    const can = Object.entries(this.classes).map(([name, Way]) => [name, Way.isSupported(video)]);
    this.choice = new Choice(waysOf(Object.fromEntries(can), forced));
    this.isAsking = false;
  }

  get name() {
    return this.choice.name;
  }

  get isFallback() {
    return this.choice.isFallback;
  }

  get hasOthers() {
    return this.choice.ways.length > 1;
  }

  /** The class for the next connection; undefined for none. */
  next(now) {
    const due = this.choice.due(now);
    if (due) this.choice.take(due);
    return this.classes[this.name];
  }

  works() {
    this.choice.works();
  }

  fails(now) {
    return this.choice.fails(now);
  }

  /** Whether a better way's turn has come and it answers: then the next connection takes it. */
  async returns(now, source) {
    const due = this.isAsking ? null : this.choice.due(now);
    if (!due) return false;
    this.isAsking = true;
    const answers = await this.classes[due].answers(source);
    this.isAsking = false;
    if (!answers) this.choice.notYet(due, now);
    return answers;
  }
}
