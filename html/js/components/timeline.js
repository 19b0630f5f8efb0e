// The bar from the past to live: shows the recorded spans, the playhead and the
// picture under the pointer, and lets the viewer seek, zoom and select.
// Events that bubble up: timeline:seek {at}, timeline:select {from, to},
// timeline:view {from, to}.

import { emit, h, setText } from '../dom.js';
import { formatClock, formatDay, formatShortDay, tickLabels } from '../format.js';
import { locale, t } from '../i18n.js';
import {
  clampLength,
  drawnSpans,
  follow,
  lengthOf,
  makeSelection,
  moveEnd,
  nextZoom,
  pan,
  shareOf,
  spanAt,
  startOfDay,
  ticks,
  timeAt,
  viewAround,
  zoomTo,
  zooms,
} from '../timeline.js';

const wheelFactor = 1.0015;
const thumbAfterMs = 140;
const loadAfterMs = 150;
const dragAfterPx = 4;
const labelPx = 76;
const stepMs = 1000;
const unlistedMs = 30_000;
// Dragging this close to an end of the bar scrolls the view slowly.
const edgeShare = 0.03;
const scrollEveryMs = 80;
const scrollShare = 0.02;
// After a seek outside the view, the new view shows this share of itself before the target.
const beginShare = 0.1;

// mountTimeline(root, {history, length}) -> {element, slider, view, selection, show, setView, reveal, zoom, select,
// page}
export function mountTimeline(root, { history, length }) {
  const spans = h('div', { class: 'timeline-spans' });
  const growing = h('div', { class: 'timeline-span timeline-growing', hidden: true });
  const future = h('div', { class: 'timeline-future' });
  const head = h('div', { class: 'timeline-head' });
  const pointer = h('div', { class: 'timeline-pointer', hidden: true });
  const slider = h(
    'div',
    {
      class: 'timeline-track',
      role: 'slider',
      tabindex: '0',
      'aria-label': t('timeline.label'),
      'aria-orientation': 'horizontal',
      'aria-describedby': 'timeline-keys',
    },
    spans,
    growing,
    future,
    head,
    pointer,
  );
  const chosen = h('div', { class: 'timeline-chosen', hidden: true });
  const handles = { from: makeHandle('from'), to: makeHandle('to') };
  const scale = h('div', { class: 'timeline-scale', 'aria-hidden': 'true' });
  const thumb = h('img', { class: 'timeline-thumb', alt: '', hidden: true });
  const peekTime = h('span', { class: 'timeline-peek-time' });
  const peek = h('div', { class: 'timeline-peek', 'aria-hidden': 'true', hidden: true }, thumb, peekTime);
  const bar = h('div', { class: 'timeline-bar' }, slider, chosen, handles.from, handles.to, peek);
  const element = h(
    'div',
    { class: 'timeline' },
    bar,
    scale,
    h('p', { class: 'sr-only', id: 'timeline-keys' }, t('timeline.keys')),
  );
  root.append(element);

  let now = Date.now();
  let view = viewAround(now, length, { share: 1, now });
  let position = now;
  let onAir = false;
  let selection = null;
  let drawn = '';
  let dragged = null;     // time to which the viewer drags the playhead, ms
  let loadTimer = null;
  let thumbTimer = null;
  let scrollTimer = null;
  let thumbAt = null;     // of the picture under the pointer, ms
  let movedAt = 0;        // when the viewer last moved the view: playback does not move it back at once

  const watcher = new ResizeObserver(() => draw());
  watcher.observe(bar);
  listenToPointers();
  history.addEventListener('change', draw);

  // ---- drawing

  /** Shows where playback is: {position, onAir, now}; onAir: the viewer sees live. */
  function show(next) {
    ({ position, onAir, now } = next);
    if (dragged === null && !selection && now - movedAt > 8000) {
      const followed = follow(view, position, now);
      if (followed !== view) setView(followed, { byHand: false });
    }
    place();
  }

  function setView(next, { byHand = true } = {}) {
    if (byHand) movedAt = Date.now();
    view = next;
    clearTimeout(loadTimer);
    loadTimer = setTimeout(() => history.loadView(view), loadAfterMs);
    draw();
    emit(element, 'timeline:view', view);
  }

  /** Moves the view to `at`, where playback goes, unless it already shows that time. */
  function reveal(at) {
    if (at < view.from || at > view.to)
      setView(viewAround(at, lengthOf(view), { share: beginShare, now }), { byHand: false });
  }

  function draw() {
    const width = bar.clientWidth;
    if (!width) return;
    const pxMs = lengthOf(view) / width;
    const marks = ticks(view, labelPx / width);
    const shown = drawnSpans(history.spans, view, pxMs);
    const signature = JSON.stringify([view, shown, width]);
    if (signature !== drawn) {
      drawn = signature;
      spans.replaceChildren(...shown.map(({ from, to }) => {
        const span = h('div', { class: 'timeline-span' });
        setRange(span, from, Math.max(to, from + pxMs * 2));
        return span;
      }));
      const labels = tickLabels(marks, locale());
      scale.replaceChildren(...marks.map(({ at, day }, index) => {
        const mark = h('span', { class: day ? 'timeline-tick timeline-midnight' : 'timeline-tick' }, labels[index]);
        mark.style.left = percent(at);
        return mark;
      }));
    }
    place();
  }

  function place() {
    const at = dragged ?? position;
    const share = shareOf(view, at);
    head.hidden = !(share >= 0 && share <= 1);
    head.style.left = percent(at);
    head.classList.toggle('timeline-head-live', onAir && dragged === null);
    const rest = Math.max(0, 1 - shareOf(view, now));
    future.style.width = `${Math.min(1, rest) * 100}%`;
    // The part that was recorded since the page last fetched spans.json.
    growing.hidden = !(history.writing && now - history.last < unlistedMs && history.last < view.to && now > view.from);
    if (!growing.hidden) setRange(growing, history.last, now);
    slider.setAttribute('aria-valuemin', String(Math.round((history.first ?? view.from) / stepMs)));
    slider.setAttribute('aria-valuemax', String(Math.round(now / stepMs)));
    slider.setAttribute('aria-valuenow', String(Math.round(Math.min(at, now) / stepMs)));
    slider.setAttribute(
      'aria-valuetext',
      onAir && dragged === null ? t('timeline.live') : `${formatClock(at, locale())}, ${formatDay(at, locale())}`,
    );
    placeSelection();
  }

  function placeSelection() {
    chosen.hidden = !selection;
    for (const [end, handle] of Object.entries(handles)) {
      const share = selection ? shareOf(view, selection[end]) : -1;
      handle.hidden = !(share >= -0.001 && share <= 1.001);
      if (!selection) continue;
      handle.style.left = percent(selection[end]);
      handle.setAttribute('aria-valuemin', String(Math.round((history.first ?? view.from) / stepMs)));
      handle.setAttribute('aria-valuemax', String(Math.round(now / stepMs)));
      handle.setAttribute('aria-valuenow', String(Math.round(selection[end] / stepMs)));
      handle.setAttribute('aria-valuetext', dayAndClock(selection[end]));
    }
    if (selection) setRange(chosen, selection.from, selection.to);
  }

  // The day only if it is another than today.
  function dayAndClock(at) {
    const clock = formatClock(at, locale());
    return startOfDay(at) === startOfDay(now) ? clock : `${formatShortDay(at, locale())}, ${clock}`;
  }

  function percent(at) {
    return `${Math.min(1, Math.max(0, shareOf(view, at))) * 100}%`;
  }

  function setRange(part, from, to) {
    const left = Math.min(1, Math.max(0, shareOf(view, from)));
    const right = Math.min(1, Math.max(0, shareOf(view, to)));
    part.style.left = `${left * 100}%`;
    part.style.width = `${(right - left) * 100}%`;
  }

  function limits() {
    return { least: history.first ?? -Infinity, most: now };
  }

  function select(next) {
    selection = next && makeSelection(next.from, next.to, limits());
    placeSelection();
    emit(element, 'timeline:select', selection);
  }

  // ---- pointers, wheel and pinch

  function timeUnder(event) {
    const { left, width } = bar.getBoundingClientRect();
    return timeAt(view, (event.clientX - left) / width);
  }

  function listenToPointers() {
    const fingers = new Map();
    let hold = null; // {kind: scrub | select | handle | pinch, …}

    bar.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      fingers.set(event.pointerId, event.clientX);
      bar.setPointerCapture(event.pointerId);
      const end = event.target.dataset?.end;
      if (fingers.size === 2) hold = beginPinch();
      else if (end) hold = { kind: 'handle', end };
      else if (event.shiftKey) hold = { kind: 'select', from: timeUnder(event) };
      else {
        hold = { kind: 'scrub', x: event.clientX, touch: event.pointerType !== 'mouse' };
        dragged = Math.min(timeUnder(event), now);
        place();
      }
    });

    bar.addEventListener('pointermove', (event) => {
      if (fingers.has(event.pointerId)) fingers.set(event.pointerId, event.clientX);
      if (!hold || hold.kind !== 'pinch') showPeek(event);
      if (!hold) return;
      if (hold.kind === 'pinch') pinch();
      else if (hold.kind === 'handle') select(moveEnd(selection, hold.end, timeUnder(event), limits()));
      else if (hold.kind === 'select') select({ from: hold.from, to: timeUnder(event) });
      else if (hold.moved || Math.abs(event.clientX - hold.x) > dragAfterPx) {
        hold.moved = true;
        hold.event = event;
        dragged = Math.min(timeUnder(event), now);
        place();
      }
    });

    function scrollAtEdge() {
      if (!hold?.moved) return;
      const { left, width } = bar.getBoundingClientRect();
      const share = (hold.event.clientX - left) / width;
      const direction = share < edgeShare ? -1 : share > 1 - edgeShare ? 1 : 0;
      // The day view does not scroll into another day.
      if (!direction || lengthOf(view) >= zooms[0] - 3_600_000) return;
      setView(pan(view, direction * lengthOf(view) * scrollShare, now));
      dragged = Math.min(timeUnder(hold.event), now);
      showPeek(hold.event);
      place();
    }
    scrollTimer = setInterval(scrollAtEdge, scrollEveryMs);

    const release = (event) => {
      if (!fingers.delete(event.pointerId) || !hold) return;
      const { kind } = hold;
      const at = dragged;
      if (kind === 'pinch' && fingers.size) return; // the pinch ends with the last finger
      hold = null;
      dragged = null;
      if (kind === 'scrub' && event.type === 'pointerup') emit(element, 'timeline:seek', { at });
      if (event.pointerType !== 'mouse') hidePeek();
      place();
    };
    bar.addEventListener('pointerup', release);
    bar.addEventListener('pointercancel', release);
    bar.addEventListener('pointerleave', () => !hold && hidePeek());

    function beginPinch() {
      dragged = null;
      hidePeek();
      const [a, b] = [...fingers.values()];
      return { kind: 'pinch', view, apart: Math.max(20, Math.abs(a - b)), middle: (a + b) / 2 };
    }

    function pinch() {
      const [a, b] = [...fingers.values()];
      if (b === undefined) return;
      const { left, width } = bar.getBoundingClientRect();
      const anchor = timeAt(hold.view, (hold.middle - left) / width);
      const span = clampLength(lengthOf(hold.view) * hold.apart / Math.max(20, Math.abs(a - b)));
      setView(viewAround(anchor, span, { share: ((a + b) / 2 - left) / width, now }));
    }

    bar.addEventListener('wheel', (event) => {
      const sideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
      const px = (sideways && event.deltaX) || event.deltaY;
      const next = sideways
        ? pan(view, px * lengthOf(view) / bar.clientWidth, now)
        : zoomTo(view, lengthOf(view) * wheelFactor ** px, timeUnder(event), now);
      // At the widest and closest zoom, let the page scroll.
      if (next.from === view.from && next.to === view.to) return;
      event.preventDefault();
      setView(next);
      showPeek(event);
    }, { passive: false });
  }

  // ---- the picture under the pointer

  function showPeek(event) {
    const at = timeUnder(event);
    const { width } = bar.getBoundingClientRect();
    const past = at <= now;
    pointer.hidden = !past;
    peek.hidden = !past;
    if (!past) return;
    pointer.style.left = percent(at);
    const span = spanAt(history.spans, at);
    const clock = dayAndClock(at);
    setText(peekTime, span || !history.hasLoaded(at) ? clock : `${clock} · ${t('timeline.gap')}`);
    showThumb(span && at);
    const half = peek.offsetWidth / 2;
    peek.style.left = `${Math.min(width - half, Math.max(half, shareOf(view, at) * width))}px`;
  }

  // Ask for one picture per few pixels of the bar, so that the browser's cache can answer the next time.
  function showThumb(at) {
    clearTimeout(thumbTimer);
    if (at === null) {
      thumb.hidden = true;
      thumbAt = null;
      return;
    }
    const grid = Math.max(1000, Math.round(lengthOf(view) / bar.clientWidth * 4));
    const span = spanAt(history.spans, at);
    const rounded = Math.max(span.from, Math.floor(at / grid) * grid);
    if (rounded === thumbAt) return;
    thumbTimer = setTimeout(() => {
      if (!history.base) return;
      thumbAt = rounded;
      const next = new Image();
      next.onload = () => {
        if (thumbAt !== rounded) return;
        thumb.src = next.src;
        thumb.hidden = false;
      };
      next.onerror = () => { if (thumbAt === rounded) thumb.hidden = true; };
      next.src = history.url('thumb.jpg', { at: rounded });
    }, thumbAfterMs);
  }

  function hidePeek() {
    clearTimeout(thumbTimer);
    peek.hidden = true;
    pointer.hidden = true;
  }

  // ---- handles of the selection

  function makeHandle(end) {
    return h('div', {
      class: `timeline-handle timeline-handle-${end}`,
      role: 'slider',
      tabindex: '0',
      hidden: true,
      data: { end },
      'aria-label': t(`clip.${end}`),
      onkeydown: (event) => moveHandle(event, end),
    });
  }

  function moveHandle(event, end) {
    const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    select(moveEnd(selection, end, selection[end] + by * (event.shiftKey ? 10_000 : stepMs), limits()));
  }

  return {
    element,
    slider,
    get view() { return view; },
    get width() { return bar.clientWidth; },
    get selection() { return selection; },
    show,
    setView,
    select,
    reveal,
    hidePeek,
    zoom(direction) {
      setView(
        zoomTo(
          view,
          nextZoom(lengthOf(view), direction),
          position >= view.from && position <= view.to ? position : (view.from + view.to) / 2,
          now,
        ),
      );
    },
    page(direction) {
      setView(pan(view, direction * lengthOf(view), now));
    },
    destroy() {
      clearTimeout(loadTimer);
      clearTimeout(thumbTimer);
      clearInterval(scrollTimer);
      watcher.disconnect();
      history.removeEventListener('change', draw);
      element.remove();
    },
  };
}
