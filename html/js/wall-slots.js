// Assigns streams to tiles. A slot is {stream, pinned}: the viewer chose the pinned
// ones, and they stay; the others show streams that are live. A slot without a stream has
// no tile. Pure: no DOM.

// The tile of a stream that ended keeps its last picture for this long.
const keepsMs = 60_000;

export function makeSlots(size, pinned = []) {
  return Array.from({ length: size }, (_, index) => ({
    stream: pinned[index] ?? null,
    pinned: Boolean(pinned[index]),
  }));
}

export function resizeSlots(slots, size) {
  return Array.from({ length: size }, (_, index) => slots[index] ?? { stream: null, pinned: false });
}

export function pinSlot(slots, index, stream) {
  return slots.map((slot, at) => {
    if (at === index) return { stream, pinned: stream !== null };
    // Show each stream only once: free the unpinned tile that has the same stream.
    if (stream !== null && !slot.pinned && slot.stream === stream) return { stream: null, pinned: false };
    return slot;
  });
}

/**
 * Gives free tiles the live streams that are on no tile. A tile whose stream went away keeps it, and its last picture,
 * for a minute, unless another live stream needs the room.
 */
export function fillSlots(slots, streams, now = 0) {
  const state = new Map(streams.map((stream) => [stream.id, stream.state]));
  const placed = new Set(slots.map((slot) => slot.stream));
  const waiting = waitingStreams(streams, placed);
  const isFree = (slot) => !slot.pinned && slot.stream === null;
  const isStale = (slot) => !slot.pinned && slot.stream !== null && (state.get(slot.stream) ?? 'offline') === 'offline';

  let filled = slots.map((slot) => {
    if (!isStale(slot)) return slot.since === undefined ? slot : { stream: slot.stream, pinned: slot.pinned };
    if (now - (slot.since ?? now) > keepsMs) return { stream: null, pinned: false };
    return { ...slot, since: slot.since ?? now };
  });
  for (const mayTake of [isFree, isStale]) {
    filled = filled.map((slot) =>
      waiting.length && mayTake(slot) ? { stream: waiting.shift(), pinned: false } : slot,
    );
  }
  return filled;
}

/** The live streams that have no tile, in the order of the list. */
export function waitingStreams(streams, placed) {
  return streams
    .filter((stream) => stream.state === 'live' && stream.play && !placed.has(stream.id))
    .map((stream) => stream.id);
}

/** Exactly the chosen streams: those that have a tile keep their order, new ones follow. */
export function chosenSlots(slots, chosen) {
  const kept = slots.map((slot) => slot.stream).filter((stream) => chosen.includes(stream));
  const order = [...kept, ...chosen.filter((stream) => !kept.includes(stream))];
  return order.map((stream) => ({ stream, pinned: true }));
}

export function pinnedNames(slots) {
  return slots.map((slot) => (slot.pinned ? slot.stream : null));
}
