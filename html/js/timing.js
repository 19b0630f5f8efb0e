// The numbers that decide how a live picture is kept alive. Pure: no DOM.

const firstRetryMs = 500;
const longestRetryMs = 8000;

// Doubles from 0.5 s to 8 s; the random part keeps the 16 tiles of a wall (and
// a thousand pages) from knocking at the same moment after an outage.
export function retryDelay(attempt, random = Math.random()) {
  const ceiling = Math.min(longestRetryMs, firstRetryMs * 2 ** attempt);
  return Math.round(ceiling * (0.6 + 0.4 * random));
}

export const latency = { target: 0.8, chaseAbove: 1.5, jumpAbove: 4 };

// How to get back to about a second behind live: far behind, jump; a little
// behind, play faster until the target is reached; else leave it alone.
export function chase(buffered, rate) {
  if (buffered > latency.jumpAbove) return { jump: true, rate: 1 };
  if (buffered > latency.chaseAbove) return { jump: false, rate: buffered > 2.5 ? 1.25 : 1.1 };
  if (rate > 1 && buffered > latency.target) return { jump: false, rate };
  return { jump: false, rate: 1 };
}
