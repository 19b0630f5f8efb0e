// The numbers that decide how a live picture is kept alive. Pure: no DOM.

const firstRetryMs = 500;
const longestRetryMs = 8000;

// Doubles from 0.5 s to 8 s; the random part keeps the 16 tiles of a wall (and
// a thousand pages) from reconnecting at the same moment after an outage.
export function retryDelay(attempt, random = Math.random()) {
  const ceiling = Math.min(longestRetryMs, firstRetryMs * 2 ** attempt);
  return Math.round(ceiling * (0.6 + 0.4 * random));
}

// In seconds behind the newest data. least: after a publisher's gap. eagerAbove: for some seconds
// after the first picture, and when the tab is in front again, jump from here on.
export const latency = { least: 0.4, target: 1, chaseAbove: 1.5, eagerAbove: 1.5, jumpAbove: 5 };

const hurryS = 1.5;

// How to return to `target` seconds behind live: jump if far behind; if a little
// behind, play slightly faster, which is not audible, until the target is reached.
export function chase(behind, rate, { target, chaseAbove, jumpAbove } = latency) {
  if (behind > jumpAbove) return { jump: true, rate: 1 };
  if (behind > chaseAbove) return { jump: false, rate: behind > target + hurryS ? 1.1 : 1.05 };
  if (rate > 1 && behind > target) return { jump: false, rate };
  return { jump: false, rate: 1 };
}

const atEndS = 0.2;
const worthAJumpS = 0.1;

// ranges: [[start, end], …] of the buffer. Returns where to continue when playback
// has reached a hole: a publisher's gap, or before the first range. Null when there
// is no hole or no data behind it yet.
export function beyondHole(ranges, position) {
  const next = ranges.find(([start, end]) => start > position && end - start > worthAJumpS);
  if (!next) return null;
  const here = ranges.find(([start, end]) => start <= position && position <= end);
  if (here && here[1] - position > atEndS) return null;
  const [, end] = ranges.at(-1);
  return Math.max(next[0], end - latency.target);
}

const starvedS = 0.3;
const goesOnS = 1;

// The track that has run out of data while the other has some: the browser would wait
// for it for ever. ends: {audio, video}, in seconds of the same clock.
export function starvingTrack({ audio, video }, position) {
  if (audio === undefined || video === undefined) return null;
  if (audio < position + starvedS && video > position + goesOnS) return 'audio';
  if (video < position + starvedS && audio > position + goesOnS) return 'video';
  return null;
}

// The phase to show, from the player's phase and the stream's state on the server. A
// publisher that is away is not a broken connection; and the player still plays the
// rest of the buffer after a stream has ended.
export function tilePhase(phase, { state, shown }) {
  if (state === 'grace' && phase !== 'idle' && phase !== 'offline') return 'grace';
  if (phase === 'playing') return 'playing';
  if (state === 'offline' || phase === 'offline') return shown ? 'ended' : 'offline';
  return phase;
}

/**
 * After a stall hls.js plays a second further behind, for ever. This tells when the stalls may be forgotten: after
 * ten seconds without one, and each time twice as late, up to ten minutes, as they may come again.
 */
export class Stalls {
  at = undefined;
  calmMs = 10_000;

  note(now) {
    this.at = now;
  }

  /** The stalls so far tell nothing of the line. */
  excuse() {
    this.at = undefined;
  }

  /** True once, when all stalls so far may be forgotten. */
  forget(now) {
    if (this.at === undefined || now - this.at < this.calmMs) return false;
    this.at = undefined;
    this.calmMs = Math.min(2 * this.calmMs, 600_000);
    return true;
  }
}
