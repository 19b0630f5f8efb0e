// Rules by which several players show the same moment: one clock for all, and what each
// has to do to follow it. Pure: no DOM.

const inStepMs = 40;
const waitAboveMs = 150;
const waitAtMostMs = 20_000;
const seekBehindMs = 900;
const mostFaster = 0.25;
const mendWithinMs = 1500;
const finest = 0.02;        // so that the speed does not change at every look

/** The clock of a group: stands still until run(). Times are ms; `now` is a clock that never jumps. */
export class GroupClock {
  constructor() {
    this.utc = NaN;
    this.since = null;      // `now` when it began to run; null while it stands
    this.rate = 1;
  }

  at(now) {
    return this.since === null ? this.utc : this.utc + (now - this.since) * this.rate;
  }

  set(utc, now) {
    this.utc = utc;
    if (this.since !== null) this.since = now;
  }

  run(now) {
    this.since ??= now;
  }

  stop(now) {
    this.utc = this.at(now);
    this.since = null;
  }

  setRate(rate, now) {
    this.set(this.at(now), now);
    this.rate = rate;
  }
}

/**
 * What a player `drift` ms ahead of the clock (negative: behind it) has to do while the clock runs at `rate`:
 * {do: 'play', rate}, {do: 'wait'} until the clock has caught up, or {do: 'seek'}.
 */
export function stepFor(drift, rate) {
  if (drift > waitAtMostMs * rate || drift < -seekBehindMs * Math.max(1, rate)) return { do: 'seek' };
  if (drift > waitAboveMs * Math.max(1, rate)) return { do: 'wait' };
  if (Math.abs(drift) <= inStepMs * rate) return { do: 'play', rate };
  const by = Math.min(mostFaster, Math.max(-mostFaster, -drift / mendWithinMs / rate));
  return { do: 'play', rate: rate * (1 + Math.round(by / finest) * finest) };
}
