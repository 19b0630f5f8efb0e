// Reads a time in the past as people write it: "14:05", "yesterday 14:05", "23.11. 14:05",
// "2026-11-23 14:05", "昨天 14:05", "10 min ago". Both languages are always understood. Days
// and times are the viewer's own. Input with two meanings is not guessed. Pure: no DOM.

import { addDays, startOfDay } from './timeline.js';

const second = 1000;
const units = { s: second, m: 60 * second, h: 3600 * second, d: 86_400 * second };
const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const monthName = `(${months.join('|')})[a-z]*`;
const weekdays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const chineseDays = '日一二三四五六';

// The time of a day: [pattern, groups => [hours, minutes, seconds, half of the day]].
const halves = '上午|早上|凌晨|下午|晚上|中午';
const clocks = [
  [/(\d{1,2}):(\d{1,2})(?::(\d{1,2}))?\s*([ap]m)\b/, ([hours, minutes, seconds, half]) =>
    [hours, minutes, seconds, half]],
  [/\b(\d{1,2})\s*([ap]m)\b/, ([hours, half]) => [hours, '0', '0', half]],
  [new RegExp(`(${halves})?\\s*(\\d{1,2}):(\\d{2})(?::(\\d{2}))?`), ([half, ...time]) => [...time, half]],
  [new RegExp(`(${halves})?\\s*(\\d{1,2})[点时](半)?(?:(\\d{1,2})分?)?(?:(\\d{1,2})秒)?`),
    ([half, hours, isHalf, minutes, seconds]) => [hours, isHalf ? '30' : minutes, seconds, half]],
];

// The day: [pattern, (groups, now) => {year, month, day} | {start} | {hint}].
const days = [
  [/(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})(?:\s*[日号]|\b)/, ([year, month, day]) =>
    ({ year, month, day })],
  [/(\d{1,2})月(\d{1,2})[日号]?/, ([month, day]) => ({ month, day })],
  [/(\d{1,2})\.\s?(\d{1,2})\.(?:\s?(\d{4}|\d{2})(?![\d:点时]))?/, ([day, month, year]) => ({ year, month, day })],
  [/(\d{1,2})\/(\d{1,2})(?:\/(\d{4}|\d{2}))?(?![\d/])/, slashed],
  [new RegExp(`(\\d{1,2})(?:st|nd|rd|th|\\.)? ${monthName}\\.?(?:,? (\\d{4}))?`), ([day, month, year]) =>
    ({ year, month: monthOf(month), day })],
  [new RegExp(`${monthName}\\.? (\\d{1,2})(?:st|nd|rd|th)?\\b(?!:)(?:,? (\\d{4}))?`), ([month, day, year]) =>
    ({ year, month: monthOf(month), day })],
  [/the day before yesterday|前天/, (_, now) => ({ start: addDays(now, -2) })],
  [/yesterday|昨天|昨日|昨晚/, (_, now) => ({ start: addDays(now, -1) })],
  [/today|今天|今日/, (_, now) => ({ start: startOfDay(now) })],
  [/(?:last )?\b(sun|mon|tue|wed|thu|fri|sat)[a-z]*/, ([name]) => ({ weekday: weekdays.indexOf(name) })],
  [/(?:上?周|上?星期|上?礼拜)([日天一二三四五六])/, ([name]) =>
    ({ weekday: chineseDays.indexOf(name.replace('天', '日')) })],
];

/**
 * The time that a text names: {at, wholeDay} (ms; wholeDay: it names no time of the day), or {hint, ...values}: a key
 * of the texts that says what is wrong with it.
 */
export function readWhen(input, now) {
  const text = input.normalize('NFKC').trim().toLowerCase()
    .replace(/(\d)t(\d)/, '$1 $2').replace(/[\s,，]+/g, ' ');
  if (!text) return { hint: 'when.empty' };
  if (/^(now|现在)$/.test(text)) return { at: now, wholeDay: false };
  const ago = readAgo(text, now);
  if (ago) return ago;
  // German clocks have a dot as German dates do.
  const dotted = /^(\d{1,2})\.(\d{1,2})$/.exec(text);
  if (dotted) return { hint: 'when.dotted', time: `${dotted[1]}:${dotted[2]}`, day: `${text}.` };
  const day = take(text, days, now);
  const clock = take(day.rest, clocks, now);
  if (clock.rest.replace(/\b(at|on)\b|的/g, '').trim() || !(day.found || clock.found))
    return { hint: 'when.unclear' };
  if (day.found?.hint) return day.found;
  const time = clock.found ? readClock(clock.found) : { ms: 0 };
  if (time.hint) return time;
  return join(day.found, time, { now, wholeDay: !clock.found });
}

function take(text, patterns, now) {
  for (const [pattern, read] of patterns) {
    const match = pattern.exec(text);
    if (match) return { found: read(match.slice(1), now), rest: text.replace(match[0], ' ') };
  }
  return { found: null, rest: text };
}

function readAgo(text, now) {
  const english = /^(\d{1,4}) ?(s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:(?:ou)?rs?)?|d(?:ays?)?) ago$/.exec(text);
  const chinese = /^(\d{1,4}) ?(秒|分|小时|天)钟?[之以]?前$/.exec(text);
  if (!english && !chinese) return null;
  const unit = english ? english[2][0] : { 秒: 's', 分: 'm', 小时: 'h', 天: 'd' }[chinese[2]];
  return { at: now - Number((english ?? chinese)[1]) * units[unit], wholeDay: false };
}

function readClock([hours, minutes, seconds, half]) {
  const [h, m, s] = [hours, minutes ?? 0, seconds ?? 0].map(Number);
  const isTwelve = /^[ap]m$/.test(half ?? '');
  if (h > (isTwelve ? 12 : 23) || (isTwelve && h === 0) || m > 59 || s > 59) return { hint: 'when.noTime' };
  const isLate = half === 'pm' || ['下午', '晚上', '中午'].includes(half);
  const isEarly = half === 'am' || ['上午', '早上', '凌晨'].includes(half);
  const hour = isLate && h < 12 && !(half === '中午' && h > 10) ? h + 12 : isEarly && h === 12 ? 0 : h;
  return { h: hour, m, s };
}

// 5/11 is the 5th of November or the 11th of May, depending on the writer's country.
function slashed([first, other, year]) {
  const [a, b] = [Number(first), Number(other)];
  if (a > 12) return { year, month: other, day: first };
  if (b > 12 || a === b) return { year, month: first, day: other };
  return { hint: 'when.slashed', text: `${first}/${other}`, one: `${a}.${b}.`, other: `${b}.${a}.` };
}

function monthOf(name) {
  return months.indexOf(name.slice(0, 3)) + 1;
}

function join(day, { h = 0, m = 0, s = 0 }, { now, wholeDay }) {
  const on = (start) => {
    const date = new Date(start);
    return new Date(date.getFullYear(), date.getMonth(), date.getDate(), h, m, s).getTime();
  };
  const found = (at) => (at > now ? { hint: 'when.future' } : { at, wholeDay });
  if (!day) return found(on(now) > now ? on(addDays(now, -1)) : on(now));
  if (day.start !== undefined) return found(on(day.start));
  if (day.weekday !== undefined) {
    const start = addDays(now, -((new Date(now).getDay() - day.weekday + 7) % 7));
    return found(on(start) > now ? on(addDays(start, -7)) : on(start));
  }
  return onDate(day, { on, found, now });
}

function onDate({ year, month, day }, { on, found, now }) {
  const asked = year && Number(year) + (year.length === 2 ? 2000 : 0);
  const start = dateOf(asked ?? new Date(now).getFullYear(), Number(month), Number(day));
  const last = asked ? NaN : dateOf(new Date(now).getFullYear() - 1, Number(month), Number(day));
  if (!asked && !(start <= now) && !Number.isNaN(last)) return found(on(last));
  return Number.isNaN(start) ? { hint: 'when.noDay' } : found(on(start));
}

function dateOf(year, month, day) {
  const date = new Date(year, month - 1, day);
  return date.getMonth() === month - 1 && date.getDate() === day ? date.getTime() : NaN;
}
