// Shows the selected span of a timeline: its times, which can be typed, its length, its download and a link to it.

import { h, icon, setText } from '../dom.js';
import { formatClock, formatDay, formatDuration } from '../format.js';
import { locale, t } from '../i18n.js';
import { lengthOf, recordedIn, startOfDay } from '../timeline.js';
import { typedSpan } from '../clip-times.js';
import { maySend, openSend } from './send.js';

const firstLengthMs = 60_000;
const longestMs = 6 * 3_600_000;   // the server's hub_history_clip_max

// mountClip(root, {history, timeline, playhead, stream}) -> {open, close, mark, destroy}; playhead() gives its time,
// ms, and stream() the stream of the list
export function mountClip(root, { history, timeline, playhead, stream }) {
  const fields = { from: timeField('from'), to: timeField('to') };
  const day = h('span', { class: 'clip-day' });
  const length = h('span', { class: 'clip-length' });
  const link = h(
    'button',
    { class: 'button', type: 'button', onclick: share },
    icon('link'),
    h('span', {}, t('clip.link')),
  );
  const download = h(
    'a',
    { class: 'button button-primary', download: true },
    icon('download'),
    h('span', {}, t('clip.download')),
  );
  const element = h(
    'div',
    { class: 'clip', role: 'group', 'aria-label': t('clip.label'), hidden: true },
    h(
      'div',
      { class: 'clip-what' },
      h('div', { class: 'clip-times' }, fields.from, h('span', { 'aria-hidden': 'true' }, '–'), fields.to),
      h('div', { class: 'clip-about', role: 'status' }, day, length),
    ),
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
      link,
      h(
        'button',
        { class: 'icon-button', type: 'button', 'aria-label': t('clip.close'), onclick: close },
        icon('close'),
      ),
    ),
  );
  const requestedDays = new Set();    // whose FLV files were requested: the server makes clips only of MP4
  root.append(element);
  root.addEventListener('timeline:select', update);
  // The link needs the current token.
  for (const type of ['pointerdown', 'focus']) download.addEventListener(type, update);

  // Selects the minute before the playhead, or the part of it that is in the view.
  function open() {
    const to = playhead();
    timeline.select({ from: to - Math.min(firstLengthMs, lengthOf(timeline.view) / 6), to });
  }

  function close() {
    const inside = element.contains(document.activeElement);
    timeline.select(null);
    // The hidden element would take the focus with it: move it.
    if (inside) timeline.slider.focus({ preventScroll: true });
  }

  function mark(end) {
    const at = playhead();
    const { selection } = timeline;
    const kept = selection?.[end === 'from' ? 'to' : 'from'];
    const fits = kept !== undefined && (end === 'from' ? kept > at : kept < at);
    const other = fits ? kept : at + (end === 'from' ? 1 : -1) * 1000;
    timeline.select({ from: Math.min(at, other), to: Math.max(at, other) });
  }

  function timeField(end) {
    const field = h('input', {
      class: 'input clip-time',
      type: 'text',
      inputmode: 'numeric',
      autocomplete: 'off',
      size: '8',
      maxlength: '8',
      'aria-label': t(`clip.${end}Time`),
      onchange: () => type(end),
      onkeydown: (event) => {
        if (event.key === 'Enter') type(end);
        if (event.key === 'Escape') timeline.slider.focus({ preventScroll: true });
      },
    });
    return field;
  }

  // Takes a typed time; shows the present one again if the text is none.
  function type(end) {
    const next = typedSpan(timeline.selection, end, fields[end].value);
    if (next) {
      timeline.select(next);
      timeline.reveal(timeline.selection[end]);
    }
    showTimes(timeline.selection);
  }

  function showTimes(selection, but = null) {
    for (const [end, field] of Object.entries(fields)) {
      if (field !== but) field.value = formatClock(selection[end], locale());
    }
  }

  function share() {
    openSend({ stream: stream(), span: timeline.selection });
  }

  function update() {
    const { selection } = timeline;
    element.hidden = !selection;
    if (!selection) return;
    // Not while it is being typed.
    showTimes(selection, document.activeElement);
    requestFlv(selection);
    const flv = recordedIn(history.flvIn(selection), selection);
    const recorded = Math.max(0, recordedIn(history.spans, selection) - flv);
    const isToday = startOfDay(selection.from) === startOfDay(Date.now());
    setText(day, isToday ? t('replay.today') : formatDay(selection.from, locale()));
    const fits = recorded > 0 && recorded <= longestMs;
    if (recorded > longestMs) setText(length, t('clip.tooLong', { hours: longestMs / 3_600_000 }));
    else setText(length, recorded > 0 ? formatDuration(recorded) : t(flv > 0 ? 'clip.flv' : 'clip.nothing'));
    // The file name has the viewer's local time, as everywhere on the page.
    if (fits)
      download.href = history.url('clip.mp4', { ...selection, zone: -new Date(selection.from).getTimezoneOffset() });
    else download.removeAttribute('href');
    download.setAttribute('aria-disabled', String(!fits));
    link.hidden = !maySend(stream(), 'clip');
    link.disabled = !fits;
  }

  function requestFlv({ from }) {
    const day = startOfDay(from);
    if (requestedDays.has(day)) return;
    requestedDays.add(day);
    history.flvAt(from).then(update, () => requestedDays.delete(day));
  }

  return {
    open,
    close,
    mark,
    destroy: () => element.remove(),
  };
}
