// Plays the recordings of several tiles in step: one clock, and each tile's history player
// follows it (in-step.js). It has the interface of HistoryPlayer (history-player.js), so that
// one timeline works for one stream and for a wall.
//
// Each tile plays, waits for the others after a seek, or has nothing recorded at this time;
// it says so through its `say`.
// Events: 'phase', 'time', 'end' (none of them has anything at endedAt).

import { GroupClock, stepFor } from './in-step.js';
import { spanAt, startOfDay } from './timeline.js';

const tickMs = 100;
const tellEveryMs = 250;
const startWithinMs = 6000;
const seekAgainMs = 2500;
const unlistedMs = 30_000;
const readyBeforeMs = 4000;
const besideMs = 500;
const pausedDriftMs = 250;
const usualSeekMs = 400;
const longestSeekMs = 3000;

// phase: idle | connecting | playing | paused | ended
export class StepPlayer extends EventTarget {
  constructor() {
    super();
    this.phase = 'idle';
    this.paused = false;
    this.rate = 1;
    this.clock = new GroupClock();
    this.members = [];
    this.waitUntil = 0;
    this.toldAt = -Infinity;
    this.ticker = setInterval(() => this.tick(), tickMs);
  }

  destroy() {
    clearInterval(this.ticker);
    this.phase = 'idle';
    for (const { say } of this.members) say(null);
  }

  /** Sets whom it leads: [{tile, history, say}]; say(null, or a reason and the time when it is over). */
  setTiles(tiles) {
    const known = this.members;
    this.members = tiles.map(({ tile, history, say }) => {
      const player = tile.toHistory(history);
      const member = known.find((one) => one.player === player);
      return member ?? new Member(player, history, say, this.rate);
    });
  }

  get position() {
    return this.clock.at(performance.now());
  }

  seek(utc) {
    const now = performance.now();
    this.clock.stop(now);
    this.clock.set(utc, now);
    this.waitUntil = now + startWithinMs;
    for (const member of this.members) member.isSent = false;
    this.setPhase(this.paused ? 'paused' : 'connecting');
    this.tick();
  }

  setPaused(paused) {
    this.paused = paused;
    if (this.phase === 'ended') return;
    this.tick();
  }

  setRate(rate) {
    this.rate = rate;
    this.clock.setRate(rate, performance.now());
    for (const { player } of this.members) player.setRate(rate);
  }

  setPhase(phase) {
    if (this.phase === phase) return;
    this.phase = phase;
    this.dispatchEvent(new Event('phase'));
  }

  tick() {
    if (this.phase === 'idle' || this.phase === 'ended' || !this.members.length) return;
    const now = performance.now();
    const at = this.clock.at(now);
    const states = this.members.map((member) => member.stateAt(at));
    const plays = states.some((state) => state === 'coming' || state === 'there');
    if (!plays && !states.includes('trouble')) {
      this.finish(at, now);
      return;
    }
    const waits = !plays || (now < this.waitUntil && states.includes('coming'));
    if (this.paused || waits) this.clock.stop(now);
    else {
      this.waitUntil = 0;
      this.clock.run(now);
    }
    const runs = this.clock.since !== null;
    this.members.forEach((member, index) => member.follow(states[index], { at, now, runs, rate: this.rate }));
    this.setPhase(this.paused ? 'paused' : waits ? 'connecting' : 'playing');
    if (now - this.toldAt < tellEveryMs) return;
    this.toldAt = now;
    this.dispatchEvent(new Event('time'));
  }

  finish(at, now) {
    this.clock.stop(now);
    for (const member of this.members) member.rest();
    this.endedAt = at;
    this.setPhase('ended');
    this.dispatchEvent(new Event('end'));
  }
}

// One tile and its player.
class Member {
  constructor(player, history, say, rate) {
    Object.assign(this, { player, history, say });
    this.isSent = false;        // a seek to the clock's time has been sent
    this.sentAt = -Infinity;
    this.seekMs = usualSeekMs;  // how long its seeks take
    player.setRate(rate);
  }

  /** refused, gap, trouble, unsupported, coming or there. */
  stateAt(at) {
    const { history, player } = this;
    if (!history.base) return 'refused';
    if (!history.hasLoaded(at)) history.loadDay(startOfDay(at));
    if (!this.isRecorded(at)) return history.hasLoaded(at) ? 'gap' : history.trouble ? 'trouble' : 'coming';
    if (player.phase === 'unsupported') return 'unsupported';
    return this.isSent && player.hasArrived && player.phase !== 'ended' ? 'there' : 'coming';
  }

  isRecorded(at) {
    const { history } = this;
    if (spanAt(history.spans, at)) return true;
    // Recorded since the page last fetched the spans.
    return history.writing && at >= history.last && at - history.last < unlistedMs;
  }

  follow(state, { at, now, runs, rate }) {
    const { player } = this;
    if (state === 'refused' || state === 'trouble') this.say(state);
    else if (state !== 'gap') this.say(null);
    if (state === 'gap') this.beReady(at, now, rate);
    else if (state === 'there') this.step(player.position - at, { at, now, runs, rate });
    else if (state === 'coming' && this.isDue(at, now)) this.send(at, now, runs);
    else this.setPaused(!runs);
  }

  isDue(at, now) {
    const isOver = this.player.phase === 'ended' && now - this.sentAt > seekAgainMs;
    return this.history.hasLoaded(at) && (!this.isSent || isOver);
  }

  step(drift, { at, now, runs, rate }) {
    const { player } = this;
    this.learn(now);
    if (!runs) {
      this.setPaused(true);
      if (Math.abs(drift) > pausedDriftMs && now - this.sentAt > seekAgainMs) this.send(at, now, runs);
      return;
    }
    const step = stepFor(drift, rate);
    this.setPaused(step.do === 'wait');
    if (step.do === 'play' && player.video.playbackRate !== step.rate) player.video.playbackRate = step.rate;
    // Ahead by the time that the seek takes: then it waits for the clock, or is in step.
    if (step.do === 'seek' && now - this.sentAt > seekAgainMs) this.send(at + this.seekMs * rate, now, runs);
  }

  learn(now) {
    if (this.hasLearned) return;
    this.hasLearned = true;
    this.seekMs = Math.min(longestSeekMs, (this.seekMs + now - this.sentAt) / 2);
  }

  send(at, now, runs) {
    const { player } = this;
    this.isSent = true;
    this.sentAt = now;
    this.hasLearned = false;
    player.paused = !runs;
    player.seek(at);
    if (!runs) player.video.pause();
  }

  // In a gap: stands still, and shortly before its end goes to the first picture behind it.
  beReady(at, now, rate) {
    const { player, history } = this;
    const next = history.spans.find(({ from }) => from > at)?.from ?? null;
    this.say('gap', next);
    this.setPaused(true);
    const isNear = next !== null && next - at < readyBeforeMs * Math.max(1, rate);
    if (isNear && !(Math.abs(player.position - next) < besideMs) && now - this.sentAt > seekAgainMs)
      this.send(next, now, false);
  }

  rest() {
    this.setPaused(true);
  }

  setPaused(paused) {
    if (this.player.paused !== paused) this.player.setPaused(paused);
  }
}
