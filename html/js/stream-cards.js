// Rules for the cards of streams: their order, the search, whose picture is fetched next.
// Pure: no DOM.

export const sorts = ['live', 'name', 'seen'];

const byName = new Intl.Collator(undefined, { numeric: true }); // cam2 before cam10
const stateOrder = { live: 0, grace: 1, offline: 2 };

const nameOf = (stream) => stream.title || stream.name;

/** When the stream was last there; while it is, that is now. */
const seenAt = (stream) => (stream.state === 'offline' ? stream.last_seen || 0 : Infinity);

const compareNames = (a, b) => byName.compare(nameOf(a), nameOf(b)) || byName.compare(a.id, b.id);

const orders = {
  live: (a, b) => stateOrder[a.state] - stateOrder[b.state] || compareNames(a, b),
  name: compareNames,
  // Infinity - Infinity is no number: those that are there are in the order of their names.
  seen: (a, b) => (seenAt(b) - seenAt(a) || 0) || compareNames(a, b),
};

export function arrange(streams, sort) {
  return [...streams].sort(orders[sort] ?? orders.live);
}

/** Whether every word of the search is in the stream's name, title or owner. */
export function matches(stream, search) {
  const text = `${stream.id} ${stream.title} ${stream.owner} ${stream.owner_display ?? ''}`.toLowerCase();
  return search.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

export function isSoundOnly(stream) {
  return stream.state !== 'offline' && stream.video === 'none' && stream.audio !== 'none';
}

/** Which picture a card wants: 'fresh', again and again; 'last', once; or 'none'. */
export function wantedPicture(stream) {
  if (!stream.play || isSoundOnly(stream)) return 'none';
  return stream.state === 'live' ? 'fresh' : 'last';
}

/** One text for all that a card shows: while it is the same, the card need not change. */
export function signatureOf(stream, detailed) {
  const { state, title, owner, owner_display: person, viewers, recording, video, audio, last_seen: seen } = stream;
  const facts = [state, title, owner, person, viewers, recording, video, audio, seen];
  facts.push(Boolean(stream.play), Boolean(stream.replay));
  if (detailed) facts.push(stream.kbps, stream.width, stream.height, stream.startedAt);
  return facts.join('\n');
}

// ---- whose picture is next

export const refreshMs = 5000;
export const oldMs = 30_000;     // a live picture that is older is no longer one
const pauseMs = 500;             // between refreshes: a page asks for at most two a second
const atOnce = 3;

function dueAt(place) {
  if (place.busy || !place.visible || place.wanted === 'none') return Infinity;
  if (place.at === null) return place.notBefore;
  return place.wanted === 'fresh' ? Math.max(place.notBefore, place.at + refreshMs) : Infinity;
}

/**
 * places: [{ visible, wanted, busy, at: when it was last asked for or null, notBefore }]. Returns {start: those to ask
 * for now, wait: in how many ms to look again; Infinity: when something changes}. Pictures that were never asked for
 * come first and without a pause.
 */
export function nextPictures(places, now, lastRefresh) {
  let room = atOnce - places.filter((place) => place.busy).length;
  const due = places.map((place) => ({ place, at: dueAt(place) })).filter(({ at }) => at < Infinity);
  const first = due.filter(({ place, at }) => place.at === null && at <= now).slice(0, Math.max(0, room));
  const start = first.map(({ place }) => place);
  room -= start.length;

  const waiting = due.filter(({ place }) => !start.includes(place)).sort((a, b) => a.at - b.at);
  const mayRefresh = lastRefresh + pauseMs;
  if (room > 0 && waiting.length && waiting[0].at <= now && mayRefresh <= now) {
    start.push(waiting.shift().place);
    return { start, wait: waiting.length ? Math.max(pauseMs, waiting[0].at - now) : Infinity };
  }
  if (!waiting.length || room <= 0) return { start, wait: Infinity };
  return { start, wait: Math.max(waiting[0].at, waiting[0].place.at === null ? 0 : mayRefresh) - now };
}
