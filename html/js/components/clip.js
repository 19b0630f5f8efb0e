// The selected span of a timeline, in words, with its download.

import { h, icon, setText } from '../dom.js';
import { formatClock, formatDuration } from '../format.js';
import { locale, t } from '../i18n.js';
import { lengthOf, recordedIn, startOfDay } from '../timeline.js';

const firstLengthMs = 60_000;
const longestMs = 6 * 3_600_000;   // the server's hub_history_clip_max

// mountClip(root, {history, timeline, where}) -> {open, close, mark, destroy}; where() is the playhead, ms
export function mountClip(root, { history, timeline, where }) {
  const range = h('span', { class: 'clip-range' });
  const length = h('span', { class: 'clip-length' });
  const download = h(
    'a',
    { class: 'button button-primary', download: true },
    icon('download'),
    h('span', {}, t('clip.download')),
  );
  const element = h(
    'div',
    { class: 'clip', role: 'group', 'aria-label': t('clip.label'), hidden: true },
    h('div', { class: 'clip-what', role: 'status' }, range, length),
    h(
      'div',
      { class: 'clip-marks' },
      h(
        'button',
        { class: 'button', type: 'button', onclick: () => mark('from') },
        h('span', { class: 'clip-key', 'aria-hidden': 'true' }, '['),
        h('span', {}, t('clip.markStart')),
      ),
      h(
        'button',
        { class: 'button', type: 'button', onclick: () => mark('to') },
        h('span', {}, t('clip.markEnd')),
        h('span', { class: 'clip-key', 'aria-hidden': 'true' }, ']'),
      ),
    ),
    h(
      'div',
      { class: 'clip-actions' },
      download,
      h(
        'button',
        { class: 'icon-button', type: 'button', 'aria-label': t('clip.close'), onclick: close },
        icon('close'),
      ),
    ),
  );
  const asked = new Set();    // days whose FLV files were requested: the server makes clips of MP4 only
  root.append(element);
  root.addEventListener('timeline:select', update);
  // The token may have been renewed since.
  for (const type of ['pointerdown', 'focus']) download.addEventListener(type, update);

  // Selects the minute before the playhead, or the part of it that is in the view.
  function open() {
    const to = where();
    timeline.select({ from: to - Math.min(firstLengthMs, lengthOf(timeline.view) / 6), to });
  }

  function close() {
    const inside = element.contains(document.activeElement);
    timeline.select(null);
    // Move the focus, which would be lost with the hidden element.
    if (inside) timeline.slider.focus({ preventScroll: true });
  }

  function mark(end) {
    const at = where();
    const { selection } = timeline;
    const kept = selection?.[end === 'from' ? 'to' : 'from'];
    const fits = kept !== undefined && (end === 'from' ? kept > at : kept < at);
    const other = fits ? kept : at + (end === 'from' ? 1 : -1) * 1000;
    timeline.select({ from: Math.min(at, other), to: Math.max(at, other) });
  }

  function update() {
    const { selection } = timeline;
    element.hidden = !selection;
    if (!selection) return;
    askForFlv(selection);
    const flv = recordedIn(history.flvIn(selection), selection);
    const recorded = Math.max(0, recordedIn(history.spans, selection) - flv);
    setText(range, `${formatClock(selection.from, locale())} – ${formatClock(selection.to, locale())}`);
    const fits = recorded > 0 && recorded <= longestMs;
    if (recorded > longestMs) setText(length, t('clip.tooLong', { hours: longestMs / 3_600_000 }));
    else setText(length, recorded > 0 ? formatDuration(recorded) : t(flv > 0 ? 'clip.flv' : 'clip.nothing'));
    // The file name has the viewer's local time, as the page shows it everywhere.
    if (fits)
      download.href = history.url('clip.mp4', { ...selection, zone: -new Date(selection.from).getTimezoneOffset() });
    else download.removeAttribute('href');
    download.setAttribute('aria-disabled', String(!fits));
  }

  function askForFlv({ from }) {
    const day = startOfDay(from);
    if (asked.has(day)) return;
    asked.add(day);
    history.flvAt(from).then(update, () => asked.delete(day));
  }

  return {
    open,
    close,
    mark,
    destroy: () => element.remove(),
  };
}
