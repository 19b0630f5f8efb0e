// What the page may say of the picture on the screen. An old picture is never live, never being recorded, and no clock
// runs over it: the page says how old it is. Times are {mono, wall}: performance.now() stands still while a machine
// sleeps, and the wall clock may be set back, so the larger difference counts. Pure: no DOM.

// A picture that has stood still for longer is old; shorter pauses are jitter.
export const oldAfterMs = 2000;
// The picture stands still while the sound goes on: some cameras send few pictures.
export const frozenAfterMs = 6000;
/** A request that has had no answer for so long says so. */
export const slowAfterMs = 3000;

export const clocksNow = () => ({ mono: performance.now(), wall: Date.now() });

export function msBetween(then, now) {
  return Math.max(now.mono - then.mono, now.wall - then.wall);
}

/** Tells from samples of a <video> how long ago its picture changed; before the first, how long it has been awaited. */
export class PictureAge {
  constructor(clocks) {
    this.isCovered = true;
    this.rest(clocks);
  }

  /** The viewer has paused, or nothing is to be shown: that is no age. */
  rest(clocks) {
    this.moved = clocks;      // when playback last went on
    this.changed = clocks;    // when another picture last came
  }

  /**
   * position: of playback. frames: decoded so far, 0 where the browser does not count them or there is only sound.
   * isCovered: the video shows nothing yet, or an earlier picture is over it. wasHidden: a hidden tab decodes none.
   */
  sample({ position, frames, isCovered, wasHidden }, clocks) {
    const isNew = this.isCovered && !isCovered;
    const goesOn = isNew || !isCovered && position !== this.position;
    if (goesOn) this.moved = clocks;
    if (isNew || goesOn && (wasHidden || frames === 0 || frames !== this.frames)) this.changed = clocks;
    Object.assign(this, { position, frames, isCovered });
  }

  /** {isOld, ms}: ms since the picture changed. */
  at(clocks) {
    const ms = msBetween(this.changed, clocks);
    return { ms, isOld: msBetween(this.moved, clocks) > oldAfterMs || ms > frozenAfterMs };
  }
}

const awaiting = new Set(['connecting', 'stalled', 'reconnecting', 'grace']);

/** Whether the picture gets older in this phase of a tile: not while the viewer has paused, or nothing is to come. */
export function getsOlder(phase, mode) {
  return phase === 'playing' || awaiting.has(phase) || phase === 'ended' && mode === 'live';
}

/**
 * phase and mode: the tile's. age: {isOld, ms}. isStale: no news of the stream comes. isRecorded: by the last news.
 * Returns the phase to show; isLive and isRecorded: whether the page may say so; isGrey: the picture is a past one;
 * ageMs: how old, null when that is not worth saying.
 */
export function truthOf({ phase, mode, age, isStale = false, isRecorded = false }) {
  const shown = phase === 'playing' && age.isOld ? 'stalled' : phase;
  const isLive = mode === 'live' && shown === 'playing';
  const isAwaited = awaiting.has(shown) && age.isOld;
  return {
    phase: shown,
    isLive,
    isRecorded: isLive && isRecorded && !isStale,
    isGrey: isAwaited || shown === 'ended' && mode === 'live',
    ageMs: isAwaited ? age.ms : null,
  };
}

const second = 1000;
const spokenSteps = [1800, 600, 300, 60, 30, 10, 3].map((seconds) => seconds * second);

/** The age to tell a screen reader, which must not hear each second: the largest step that it has reached. */
export function spokenAge(ms) {
  const hour = 3600 * second;
  return ms >= hour ? Math.floor(ms / hour) * hour : spokenSteps.find((step) => ms >= step) ?? ms;
}

/** An age as {unit, count}: the largest unit of which there is at least one. */
export function roundAge(ms) {
  const seconds = Math.max(0, Math.floor(ms / second));
  if (seconds < 60) return { unit: 'seconds', count: seconds };
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? { unit: 'minutes', count: minutes } : { unit: 'hours', count: Math.floor(minutes / 60) };
}
