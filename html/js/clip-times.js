// Rules for the two time fields of the clip bar, and for links. Times are ms since 1970, days and clocks the
// viewer's own. Pure: no DOM.

import { addDays, startOfDay } from './timeline.js';

const dayMs = 24 * 3_600_000;

/** The time that a text such as "14:05", "14:05:10" or "140510" names on the day of `near`; null if it names none. */
export function timeOnDay(text, near) {
  const plain = text.trim().replace(/[.：\s]/g, ':');
  const digits = /^\d{4}(\d\d)?$/.test(plain) ? plain.replace(/(\d\d)(?=\d)/g, '$1:') : plain;
  const match = /^(\d{1,2}):(\d\d)(?::(\d\d))?$/.exec(digits);
  if (!match) return null;
  const [hours, minutes, seconds] = match.slice(1).map((part) => Number(part ?? 0));
  if (hours > 23 || minutes > 59 || seconds > 59) return null;
  return new Date(startOfDay(near)).setHours(hours, minutes, seconds, 0);
}

/**
 * The span {from, to} after one of its ends was typed as `text`; null if that is no time. An end before the start is
 * one after midnight, if the span was about as long; otherwise the span moves and keeps its length.
 */
export function typedSpan({ from, to }, end, text) {
  const at = timeOnDay(text, end === 'from' ? from : to);
  if (at === null) return null;
  const length = to - from;
  if (end === 'from') return at < to ? { from: at, to } : { from: at, to: at + length };
  if (at > from) return { from, to: at };
  const next = timeOnDay(text, addDays(at, 1));
  return next - from <= Math.max(length, dayMs / 4) ? { from, to: next } : { from: at - length, to: at };
}

const hour = 3600;

/** How long a link may live, seconds; the first is the usual one. */
export const lifetimes = {
  clip: [7 * 24 * hour, hour, 24 * hour, 30 * 24 * hour],
  live: [hour, 4 * hour, 24 * hour, 7 * 24 * hour],
};

/** The unit and number in which to say a lifetime: {unit: hour | hours | day | days, count}. */
export function lifetimeParts(seconds) {
  const unit = seconds >= 24 * hour ? 'day' : 'hour';
  const count = seconds / (unit === 'day' ? 24 * hour : hour);
  return { unit: count === 1 ? unit : `${unit}s`, count };
}

/** The address of a link's page. */
export function linkAddress(token, page) {
  return new URL(`/#/s/${token}`, page).href;
}
