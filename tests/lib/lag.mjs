// How late this process and the server got the CPU on a busy machine: measured
// times are not more accurate than that.

const lags = [];            // {at, late, own: not a server's}, in ms of performance.now()
const tickMs = 20;

const timer = setInterval(() => {
  const now = performance.now();
  lags.push({ at: now, late: now - (timer.last ?? now) - tickMs, own: true });
  timer.last = now;
}, tickMs);
timer.unref();

/** The longest delay of the process, or of a server that answers pings, since `from` (of performance.now()). */
export const lagSince = (from) => Math.max(0, ...lags.filter(({ at }) => at >= from).map(({ late }) => late));

/** For how long of a time the process itself stood still, ms. */
export const lagBetween = (from, to) => lags.reduce((sum, { at, late, own }) => (
  sum + (own ? Math.max(0, Math.min(at, to) - Math.max(at - late, from)) : 0)), 0);

/**
 * Calls `attempt`, which returns how many ms it took, until one took less than `limit`: three times at most, since a
 * busy machine delays some. Returns the shortest.
 */
export async function quickest(limit, attempt) {
  let best = Infinity;
  for (let times = 0; times < 3 && best >= limit; times++) best = Math.min(best, await attempt(times));
  return best;
}

/** Pings the worker of an RTMP client until the client disconnects. */
export async function measureAnswers(client) {
  while (!client.ended) {
    const asked = performance.now();
    try { await client.ping(0x1a9); } catch { return; }
    const now = performance.now();
    lags.push({ at: now, late: now - asked });
    await new Promise((resolve) => { setTimeout(resolve, 2 * tickMs).unref(); });
  }
}
