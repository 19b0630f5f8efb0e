// The state of the user's streams, merged from two sources. Pure: no DOM.
//
//   list   GET /api/streams: every stream the user may see, with title, rights
//          and the URL to play it
//   live   GET /api/events: the live streams, by their numbers
//
// While events flow, only they decide which streams are live: the list is up to half a
// second old when it comes and must not undo an event. Without events the list
// decides.

export const nothingKnown = { list: null, live: null };

export function reduce(known, event) {
  switch (event.type) {
    case 'list':
      return { ...known, list: event.streams.map((stream) => stamp(stream, event.at)) };
    case 'streams':
      return withLive(known, new Map(event.streams.map((stream) => [stream.id, stamp(stream, event.at)])), event.at);
    case 'stream':
      return known.live ? withLive(known, withStream(known.live, stamp(event.stream, event.at)), event.at) : known;
    case 'stats':
      return known.live ? { ...known, live: withStats(known.live, event.streams) } : known;
    // Events have stopped: keep their last state until a list comes.
    case 'silence':
      return { list: known.list && merged(known), live: null };
    default:
      throw new Error(`event type "${event.type}" is not one of list, streams, stream, stats, silence`);
  }
}

/** The streams as the page shows them, live ones first; null before the first list. */
export function streamsOf(known) {
  return known.list && sortStreams(merged(known));
}

/** Numbers of live streams that are not in the list: created or shared since the page fetched it. */
export function unknownNumbers({ list, live }) {
  if (!list || !live) return [];
  const listed = new Set(list.map((stream) => stream.number));
  return [...live.keys()].filter((number) => !listed.has(number));
}

/** Live streams whose recording had to stop, a full disk first: {reason: full | failed, names}; null for none. */
export function stoppedRecordings(streams) {
  for (const reason of ['full', 'failed']) {
    const names = streams.filter((stream) => stream.recording === reason).map((stream) => stream.title || stream.id);
    if (names.length) return { reason, names };
  }
  return null;
}

/** Whether frames are being written: none are while the publisher is away, although the recorder stays open. */
export function isRecorded(stream) {
  return Boolean(stream) && stream.state === 'live' && stream.recording === 'on';
}

/** Whether the recordings view lists the stream's files for this user. */
export function mayList(stream) {
  return Boolean(stream) && (Boolean(stream.replay) || stream.rights.includes('manage'));
}

// since_ms is relative to the time of the answer; keep the absolute start time instead.
function stamp({ since_ms: since, ...stream }, at) {
  return { ...stream, startedAt: at - (since ?? 0) };
}

/** Streams that are live no longer were last seen now. */
function withLive({ list, live: before }, live, at) {
  const gone = new Set(before ? [...before.keys()].filter((number) => !live.has(number)) : []);
  if (!list || !gone.size) return { list, live };
  return { list: list.map((stream) => (gone.has(stream.number) ? { ...stream, last_seen: at } : stream)), live };
}

function withStream(live, stream) {
  const next = new Map(live);
  if (stream.state === 'ended') next.delete(stream.id);
  else next.set(stream.id, { ...next.get(stream.id), ...stream });
  return next;
}

function withStats(live, streams) {
  const next = new Map(live);
  for (const { id, viewers, kbps } of streams) {
    if (next.has(id)) next.set(id, { ...next.get(id), viewers, kbps });
  }
  return next;
}

function merged({ list, live }) {
  if (!live) return list;
  return list.map((stream) => {
    const now = live.get(stream.number);
    if (!now) return { ...stream, state: 'offline', viewers: 0, kbps: 0, recording: 'off' };
    const { id, name, ...facts } = now; // id and name of the list stay
    return { ...stream, ...facts };
  });
}

// Sorts cam2 before cam10.
const byName = new Intl.Collator(undefined, { numeric: true });
const order = { live: 0, grace: 1, offline: 2 };

function sortStreams(streams) {
  return [...streams].sort((a, b) => order[a.state] - order[b.state] || byName.compare(a.id, b.id));
}
