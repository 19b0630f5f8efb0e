// Rules for notifications of phones that go offline. Pure: no DOM.

/** A phone that is back within this time was in a tunnel: no notification. */
export const awayMs = 15_000;

/** More at once become one notification. */
export const manyAtOnce = 3;

const mine = (stream) => stream.rights.some((right) => right === 'publish' || right === 'manage');

/**
 * Compares the streams with what was known before, a Map of id -> {since, told}; since is null while the stream is
 * live. Returns {known, gone, back}: the streams that have been away for awayMs and were live before, each once, and
 * the told ones that are live again.
 */
export function watchAway(before, streams, now) {
  const known = new Map();
  const gone = [];
  const back = [];
  for (const stream of streams.filter(mine)) {
    const last = before.get(stream.id);
    if (stream.state === 'live') {
      if (last?.told) back.push(stream);
      known.set(stream.id, { since: null, told: false });
    } else if (last) {
      const since = last.since ?? now;
      const due = !last.told && now - since >= awayMs;
      if (due) gone.push(stream);
      known.set(stream.id, { since, told: last.told || due });
    }
  }
  return { known, gone, back };
}

/** While the page does not know the states, nobody has been away. */
export function forgetAway(known) {
  return new Map([...known].map(([id, state]) => [id, state.told ? state : { since: null, told: false }]));
}
