// Formats numbers and times for people. Pure: no DOM.

export function formatBitrate(kbps) {
  if (!(kbps > 0)) return '–';
  if (kbps >= 10000) return `${Math.round(kbps / 1000)} Mbps`;
  if (kbps >= 1000) return `${(kbps / 1000).toFixed(1)} Mbps`;
  return `${Math.round(kbps)} kbps`;
}

export function formatDuration(ms) {
  if (!(ms >= 0)) return '–';
  const seconds = Math.floor(ms / 1000);
  const pad = (value) => String(value).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  const rest = `${pad(Math.floor(seconds / 60) % 60)}:${pad(seconds % 60)}`;
  return hours ? `${hours}:${rest}` : rest;
}

export function formatBytes(bytes) {
  if (!(bytes > 0)) return '–';
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log(bytes) / Math.log(1000)));
  const value = bytes / 1000 ** power;
  return `${value < 10 && power > 0 ? value.toFixed(1) : Math.round(value)} ${units[power]}`;
}

export function formatSeconds(seconds) {
  return Number.isFinite(seconds) ? `${Math.max(0, seconds).toFixed(1)} s` : '–';
}

export function formatPicture({ width, height }) {
  return width > 0 && height > 0 ? `${width}×${height}` : '–';
}

const codecNames = { h264: 'H.264', hevc: 'HEVC', aac: 'AAC' };

export function formatCodecs({ video, audio }) {
  return [video, audio].map((codec) => codecNames[codec]).filter(Boolean).join(' · ') || '–';
}

// Right-to-left letters reorder the text beside them, and so do direction marks.
const rightToLeft = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;
const directionMarks = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** Makes a name or title safe inside a sentence: it cannot reorder the words around it or imitate another name. */
export function isolated(text) {
  const plain = text.replace(directionMarks, '');
  return rightToLeft.test(plain) ? `\u2068${plain}\u2069` : plain;
}

/** The name by which a person is shown: the display name, or else the user name. */
export function personName(display, name) {
  return display || name;
}

// Times of day and days, as the viewer's own clock shows them.

const formats = new Map();

function dateFormat(locale, options) {
  const key = locale + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(locale, options));
  return formats.get(key);
}

export function formatClock(at, locale, { seconds = true } = {}) {
  if (!Number.isFinite(at)) return '–';
  return dateFormat(locale, {
    hour: '2-digit',
    minute: '2-digit',
    ...(seconds ? { second: '2-digit' } : {}),
    hourCycle: 'h23',
  }).format(at);
}

export function formatDay(at, locale) {
  if (!Number.isFinite(at)) return '–';
  return dateFormat(locale, { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' }).format(at);
}

/** The time of day if it is today, else with its day. */
export function formatMoment(at, locale, now = Date.now()) {
  const clock = formatClock(at, locale, { seconds: false });
  const isToday = new Date(at).toDateString() === new Date(now).toDateString();
  return isToday ? clock : `${formatShortDay(at, locale)} ${clock}`;
}

/** Without the year, for a day of the present year. */
export function formatNearDay(at, locale) {
  const isNear = new Date(at).getFullYear() === new Date().getFullYear();
  return isNear ? dateFormat(locale, { weekday: 'short', day: 'numeric', month: 'short' }).format(at)
    : formatDay(at, locale);
}

export function formatShortDay(at, locale) {
  return dateFormat(locale, { day: 'numeric', month: 'short' }).format(at);
}

const dayOf = (at) => new Date(at).toDateString();

/** A moment in the past, as short as it is clear: 14:05, 24 Nov 14:05, or with the year. */
export function formatSeen(at, now, locale) {
  const clock = formatClock(at, locale, { seconds: false });
  if (dayOf(at) === dayOf(now)) return clock;
  const sameYear = new Date(at).getFullYear() === new Date(now).getFullYear();
  return `${sameYear ? formatShortDay(at, locale) : formatDay(at, locale)} ${clock}`;
}

function zoneName(at, locale) {
  return dateFormat(locale, { timeZoneName: 'shortOffset' })
    .formatToParts(at)
    .find(({ type }) => type === 'timeZoneName').value;
}

/**
 * The labels of a scale's marks [{at, day}], without duplicates: where clocks are set back, the repeated hour has its
 * time zone.
 */
export function tickLabels(marks, locale) {
  const seconds = marks.some(({ at }) => at % 60_000 !== 0);
  const used = new Set();
  return marks.map(({ at, day }) => {
    const text = day ? formatShortDay(at, locale) : formatClock(at, locale, { seconds });
    const label = used.has(text) ? `${text} ${zoneName(at, locale)}` : text;
    used.add(label);
    return label;
  });
}
