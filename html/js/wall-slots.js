// Assigns streams to tiles. A slot is {stream, pinned}: the viewer chose the pinned
// ones, and they stay; the others show streams that are live. Pure: no DOM.

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

// Gives free tiles the live streams that are on no tile. A tile whose stream
// went away keeps it (and its last picture) until another live stream needs room.
export function fillSlots(slots, streams) {
  const state = new Map(streams.map((stream) => [stream.id, stream.state]));
  const placed = new Set(slots.map((slot) => slot.stream));
  const waiting = streams
    .filter((stream) => stream.state === 'live' && stream.play && !placed.has(stream.id))
    .map((stream) => stream.id);
  const isFree = (slot) => !slot.pinned && slot.stream === null;
  const isStale = (slot) => !slot.pinned && slot.stream !== null && (state.get(slot.stream) ?? 'offline') === 'offline';

  let filled = slots;
  for (const mayTake of [isFree, isStale]) {
    filled = filled.map((slot) =>
      waiting.length && mayTake(slot) ? { stream: waiting.shift(), pinned: false } : slot,
    );
  }
  return filled;
}

export function pinnedNames(slots) {
  return slots.map((slot) => (slot.pinned ? slot.stream : null));
}
