// The server's clock, measured as NTP does: the answer to a small request has the server's
// time, which is that of the middle of the request; of some requests, the fastest one
// tells it best. Counted from performance.now(), since a phone's own clock may be set.

const requests = 5;
const againMs = 5 * 60_000;
const failedAgainMs = 20_000;

let base = NaN;             // the server's clock when performance.now() was 0, ms
let nextAt = -Infinity;     // when to measure again, by this browser's clock: it goes on while the machine sleeps

/** The server's time, ms; NaN until it is known. */
export function serverNow() {
  if (Date.now() > nextAt) measure();
  return base + performance.now();
}

async function measure() {
  nextAt = Date.now() + failedAgainMs;
  try {
    const samples = [];
    while (samples.length < requests) samples.push(await ask());
    base = bestBase(samples);
    nextAt = Date.now() + againMs;
  } catch {
    // Without an answer, the last measurement stays.
  }
}

async function ask() {
  const sent = performance.now();
  const response = await fetch('/time', { cache: 'no-store' });
  const received = performance.now();
  const server = Number(await response.text()) * 1000;
  if (!response.ok || !(server > 0)) throw new Error(`GET /time: HTTP ${response.status}`);
  return { sent, received, server };
}

/** samples: [{sent, received, server}], ms. */
export function bestBase(samples) {
  const took = ({ sent, received }) => received - sent;
  const best = samples.reduce((one, other) => (took(other) < took(one) ? other : one));
  return best.server - (best.sent + best.received) / 2;
}
