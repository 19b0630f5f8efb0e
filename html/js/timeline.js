// Rules of the timeline: its view, spans, selection and keys. Times are ms since
// 1970; a view is {from, to}, a span {from, to} is recorded time without a gap.
// Days are the viewer's own. Pure: no DOM.

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;

/** The lengths of the view, widest first; the first is a whole day. */
export const zooms = [24 * hour, 6 * hour, hour, 10 * minute, 2 * minute];
const widestAtFirst = hour;
const pixelAtFirst = 5 * second;   // so that a finger hits the moment that it aims at
const headroom = 0.06;      // share of the view to the right of live
const edge = 0.1;           // share of the view that stays free beside the playhead

// ---- days

export function startOfDay(at) {
  return new Date(at).setHours(0, 0, 0, 0);
}

/** The start of the day `count` days later, in days of 23 and 25 hours too. */
export function addDays(at, count) {
  const date = new Date(at);
  return new Date(date.getFullYear(), date.getMonth(), date.getDate() + count).getTime();
}

/** The starts of the viewer's days that overlap the UTC days ("2026-11-23") of recordings. */
export function localDays(utcDays, now) {
  const starts = new Set();
  for (const day of utcDays) {
    const from = Date.parse(`${day}T00:00:00Z`);
    if (!Number.isFinite(from)) continue;
    starts.add(startOfDay(from));
    const last = startOfDay(from + 24 * hour - 1);
    if (last <= now) starts.add(last);
  }
  return [...starts].sort((a, b) => a - b);
}

// ---- the view

export function dayView(at) {
  const from = startOfDay(at);
  return { from, to: addDays(from, 1) };
}

export function lengthOf({ from, to }) {
  return to - from;
}

/** A view `length` long around `at`; the widest is the day of `at`. */
export function viewAround(at, length, { share = 0.5, now }) {
  if (length >= zooms[0]) return dayView(Math.min(at, now));
  const latest = now + length * headroom;
  const from = Math.round(Math.min(at - length * share, latest - length));
  return { from, to: from + length };
}

/** The length of the view at first, in whole minutes: an hour, or less on a bar of few pixels. */
export function firstLength(width) {
  return Math.min(widestAtFirst, Math.max(zooms.at(-1), Math.floor((width * pixelAtFirst) / minute) * minute));
}

/** The next zoom in (+1) or out (-1) of a length; the same at either end. */
export function nextZoom(length, direction) {
  if (direction > 0) return zooms.find((zoom) => zoom < length * 0.99) ?? zooms.at(-1);
  return zooms.findLast((zoom) => zoom > length * 1.01) ?? zooms[0];
}

/** Limits a length, set by pinch or wheel, to between the closest and the widest zoom. */
export function clampLength(length) {
  return Math.min(zooms[0], Math.max(zooms.at(-1), length));
}

/** The view zoomed to `length`, with `at` staying where it is on the screen. */
export function zoomTo(view, length, at, now) {
  const share = Math.min(1, Math.max(0, (at - view.from) / lengthOf(view)));
  return viewAround(at, clampLength(length), { share, now });
}

/** The view moved by `by` ms, not past live; a view of a day moves by whole days. */
export function pan(view, by, now) {
  const length = lengthOf(view);
  if (length >= zooms[0] - hour) {
    if (!by) return view;
    const from = Math.min(addDays(view.from, by > 0 ? 1 : -1), startOfDay(now));
    return dayView(from);
  }
  return viewAround(view.from + by, length, { share: 0, now });
}

/** A view that shows the playhead: the same object if it already does. */
export function follow(view, at, now) {
  const length = lengthOf(view);
  const margin = length >= zooms[0] - hour ? 0 : length * edge;
  if (at >= view.from && at <= view.to - Math.min(margin, length * headroom)) return view;
  const forward = at > view.from;
  return viewAround(at, length, { share: forward ? 1 - edge * 2 : edge * 2, now });
}

export function shareOf(view, at) {
  return (at - view.from) / lengthOf(view);
}

export function timeAt(view, share) {
  return view.from + Math.min(1, Math.max(0, share)) * lengthOf(view);
}

// ---- drawing

const steps = [
  10 * second,
  30 * second,
  minute,
  2 * minute,
  5 * minute,
  10 * minute,
  15 * minute,
  30 * minute,
  hour,
  2 * hour,
  3 * hour,
  6 * hour,
  12 * hour,
];
const quarter = 15 * minute;

/** The marks of the scale: [{at, day}], at round local times, at least the share `least` of the view apart. */
export function ticks(view, least) {
  const step = steps.find((length) => length >= lengthOf(view) * least) ?? steps.at(-1);
  // Time zones differ from UTC by whole quarters of an hour, and may change within the view.
  const unit = Math.min(step, quarter);
  const marks = [];
  for (let at = Math.ceil(view.from / unit) * unit; at <= view.to; at += unit) {
    const inDay = sinceMidnight(at);
    if (inDay % step === 0) marks.push({ at, day: inDay === 0 });
  }
  return marks;
}

// In local time, so that 14:00 is 14 hours also on days of 25 hours.
function sinceMidnight(at) {
  const date = new Date(at);
  return date.getHours() * hour + date.getMinutes() * minute + date.getSeconds() * second + date.getMilliseconds();
}

/** The spans in the view; joins those separated by a gap shorter than `least` ms. */
export function drawnSpans(spans, view, least) {
  const drawn = [];
  for (const { from, to } of spans) {
    if (to <= view.from || from >= view.to) continue;
    const last = drawn.at(-1);
    if (last && from - last.to < least) last.to = Math.max(last.to, to);
    else drawn.push({ from: Math.max(from, view.from), to });
  }
  for (const span of drawn) span.to = Math.min(span.to, view.to);
  return drawn;
}

// ---- spans

const joined = 1500;

/** The spans of `known`, replaced by those of `news` between `from` and `to`. */
export function replaceSpans(known, { from, to }, news) {
  const before = known
    .filter((span) => span.from < from)
    .map((span) => ({ from: span.from, to: Math.min(span.to, from) }));
  const after = known.filter((span) => span.to > to).map((span) => ({ from: Math.max(span.from, to), to: span.to }));
  const inside = news
    .filter((span) => span.to > from && span.from < to)
    .map((span) => ({ from: Math.max(span.from, from), to: Math.min(span.to, to) }));
  const all = [];
  for (const span of [...before, ...inside, ...after]) {
    const last = all.at(-1);
    if (last && span.from - last.to <= joined) last.to = Math.max(last.to, span.to);
    else all.push(span);
  }
  return all;
}

export function spanAt(spans, at) {
  return spans.find(({ from, to }) => from <= at && at < to) ?? null;
}

/** Where a seek to `at` begins to play: there, or at the next span; null behind all of them. */
export function playableAt(spans, at) {
  const span = spans.find(({ to }) => at < to);
  return span ? Math.max(at, span.from) : null;
}

const sameRecording = minute;
const atItsStart = 5 * second;

/** The starts of the recordings: spans less than a minute apart are one, since a phone may have lost its network. */
export function recordingStarts(spans) {
  return spans.filter(({ from }, index) => !(from - spans[index - 1]?.to < sameRecording)).map(({ from }) => from);
}

/** The start of the next (+1) recording after `at` or of the previous (-1) one; null for none in the spans. */
export function neighbourStart(spans, at, direction) {
  const starts = recordingStarts(spans);
  if (direction > 0) return starts.find((start) => start > at) ?? null;
  // Like every player: back to the start of this one first.
  return starts.findLast((start) => start < at - atItsStart) ?? null;
}

/** The time covered by any of the lists of spans. */
export function unitedSpans(lists) {
  const all = [];
  for (const { from, to } of lists.flat().sort((a, b) => a.from - b.from)) {
    const last = all.at(-1);
    if (last && from <= last.to) last.to = Math.max(last.to, to);
    else all.push({ from, to });
  }
  return all;
}

/** How much of {from, to} is recorded, ms. */
export function recordedIn(spans, { from, to }) {
  return spans.reduce((sum, span) => sum + Math.max(0, Math.min(span.to, to) - Math.max(span.from, from)), 0);
}

// ---- a selected span

export const shortestSelection = second;

/** The selection {from, to} between two ends in either order, within the limits and not shorter than a second. */
export function makeSelection(a, b, { least = -Infinity, most = Infinity } = {}) {
  const within = (at) => Math.round(Math.min(most, Math.max(least, at)));
  const from = within(Math.min(a, b));
  const to = within(Math.max(a, b));
  if (to - from >= shortestSelection) return { from, to };
  return from + shortestSelection <= most
    ? { from, to: from + shortestSelection }
    : { from: to - shortestSelection, to };
}

/** The selection after moving one of its ends to `at`; pushes the other end if necessary. */
export function moveEnd(selection, end, at, limits) {
  if (end === 'from') return makeSelection(at, Math.max(selection.to, at + shortestSelection), limits);
  return makeSelection(Math.min(selection.from, at - shortestSelection), at, limits);
}

// ---- keys

/** The timeline's action for a key: {do, by?}; null for all other keys. */
export function keyAction({ key, shiftKey }) {
  if (key === 'ArrowLeft' || key === 'ArrowRight') {
    return { do: 'step', by: (key === 'ArrowLeft' ? -1 : 1) * (shiftKey ? minute : 5 * second) };
  }
  return {
    Home: { do: 'first' }, End: { do: 'last' },
    '+': { do: 'zoom', by: 1 }, '=': { do: 'zoom', by: 1 }, '-': { do: 'zoom', by: -1 }, _: { do: 'zoom', by: -1 },
    l: { do: 'live' }, L: { do: 'live' }, ' ': { do: 'pause' }, k: { do: 'pause' },
    '[': { do: 'markStart' }, ']': { do: 'markEnd' },
    ',': { do: 'recording', by: -1 }, '.': { do: 'recording', by: 1 },
    Escape: { do: 'unselect' },
    PageUp: { do: 'page', by: -1 }, PageDown: { do: 'page', by: 1 },
  }[key] ?? null;
}
