// The timeline under the picture of one stream, with its buttons. Switches the tile
// between live and history.

import { emit, h, icon, once, setText } from '../dom.js';
import { formatClock, formatDay, formatNearDay } from '../format.js';
import { History } from '../history.js';
import { locale, t } from '../i18n.js';
import { clocksNow, msBetween, slowAfterMs, spokenAge } from '../picture-age.js';
import { recall, remember } from '../preferences.js';
import { wordsForAge } from '../wording.js';
import { addDays, dayView, firstLength, keyAction, lengthOf, startOfDay, viewAround, zooms } from '../timeline.js';
import { mountClip } from './clip.js';
import { mountTimeline } from './timeline.js';
import { mountWhen } from './when.js';

const rates = [0.5, 1, 1.5, 2, 4, 8];
const skipMs = 10_000;
// The playlist lists new segments some seconds late, so history this close to now would
// stall: a seek forward into this range goes to live.
const nearestMs = 15_000;
const liveWithinMs = 12_000;
const hereIsLiveMs = 2000;
const unwrittenMs = 15_000;
const readMs = 6000;
// A seek into a gap that ends later than this says so.
const farMs = 60_000;

// mountReplay(root, {list, id, tile, at}) -> {element, key, seek, destroy}. A group of tiles has one timeline, too: it
// passes its own history and no id, and has no clips.
export function mountReplay(root, { list, id, tile, at, history = new History(list, id) }) {
  let heldAt = null;        // time at which the viewer paused live, ms
  let wanted = null;        // target of a seek that no player has got yet
  let wantedSince = null;   // when that seek began, as clocksNow()
  let lastEnd = null;       // where playback last ended, unless it has gone on since
  let addressApplied = false;   // the time in the page's address has been applied
  let answeredAt = 0;       // when the notice last answered the viewer

  const pause = h('button', { class: 'button replay-pause', type: 'button', onclick: once(togglePause) });
  const backward = skipButton(-skipMs);
  const forward = skipButton(skipMs);
  const clock = h('span', { class: 'replay-clock' });
  const day = h('span', { class: 'replay-day' });
  const rate = h(
    'select',
    { class: 'select replay-rate', 'aria-label': t('replay.rate'), onchange: () => setRate(Number(rate.value)) },
    ...rates.map((value) => h('option', { value: String(value), selected: value === 1 }, `${value}×`)),
  );
  const clipButton = h(
    'button',
    { class: 'button', type: 'button', 'aria-pressed': 'false', onclick: once(toggleClip) },
    icon('clip'),
    h('span', {}, t('clip.button')),
  );
  const live = h(
    'button',
    { class: 'button replay-live', type: 'button', onclick: goLive },
    h('span', { class: 'dot' }),
    h('span', {}, t('replay.live')),
  );
  const days = h('select', {
    class: 'select replay-days',
    'aria-label': t('replay.day'),
    onchange: () => showDay(Number(days.value)),
  });
  const before = h(
    'button',
    {
      class: 'icon-button replay-step',
      type: 'button',
      onclick: () => timeline.page(-1),
      'aria-label': t('replay.earlier'),
    },
    icon('back'),
  );
  const after = h(
    'button',
    {
      class: 'icon-button replay-step',
      type: 'button',
      onclick: () => timeline.page(1),
      'aria-label': t('replay.later'),
    },
    icon('next'),
  );
  const zoomOut = h(
    'button',
    {
      class: 'icon-button replay-step',
      type: 'button',
      onclick: () => zoom(-1),
      'aria-label': t('replay.zoomOut'),
    },
    icon('minus'),
  );
  const zoomIn = h(
    'button',
    {
      class: 'icon-button replay-step',
      type: 'button',
      onclick: () => zoom(1),
      'aria-label': t('replay.zoomIn'),
    },
    icon('plus'),
  );
  const zoomed = h('span', { class: 'replay-zoom' });
  const notice = h('p', { class: 'replay-said', role: 'status' });
  const stop = h('button', { class: 'button button-small', type: 'button', hidden: true, onclick: giveUpSeek },
    t('error.stopWaiting'));
  const when = mountWhen({ history, position: () => positionNow(), seek, showDay, say: showNotice });
  const element = h('section', { class: 'replay', 'aria-label': t('replay.label'), hidden: true },
    h('div', { class: 'replay-bar' },
      h('div', { class: 'replay-transport' }, backward, pause, forward),
      h('div', { class: 'replay-where' }, clock, day),
      h('div', { class: 'replay-tools' }, clipButton, rate),
      live),
    h('div', { class: 'replay-range' },
      h('div', { class: 'replay-group' }, before, days, after), when.element, notice, stop,
      h('div', { class: 'replay-group' }, zoomOut, zoomed, zoomIn)));
  root.append(element);

  const timeline = mountTimeline(element, {
    history,
    length: zooms.includes(recall('barZoom')) ? recall('barZoom') : firstLength(Infinity),
  });
  const playhead = () => positionNow();
  const clip = id ? mountClip(element, { history, timeline, playhead, stream: () => list.find(id) }) : noClip;
  clipButton.hidden = !id;
  element.addEventListener('timeline:seek', ({ detail }) => seek(detail.at));
  element.addEventListener('timeline:view', showRange);
  element.addEventListener('timeline:select', () =>
    clipButton.setAttribute('aria-pressed', String(timeline.selection !== null)),
  );
  tile.element.addEventListener('tile:phase', update);
  history.addEventListener('change', showRange);
  history.addEventListener('trouble', showState);
  list.addEventListener('change', update);
  const ticker = setInterval(update, 500);
  update();

  // ---- where playback is

  function positionNow() {
    if (wanted !== null) return wanted;
    if (tile.mode === 'history') return tile.player.position;
    return heldAt ?? liveNow();
  }

  // The time of the picture on the screen, not of the camera: a frozen picture keeps its time.
  function liveNow() {
    return Number.isNaN(tile.shownAt) ? Date.now() : tile.shownAt;
  }

  function playing() {
    return tile.mode === 'live' || (tile.mode === 'history' && !tile.player.paused && tile.player.phase !== 'ended');
  }

  // ---- seeking

  async function seek(to) {
    if (!history.base) return;
    const now = Date.now();
    if (to >= now - hereIsLiveMs && isLive()) {
      goLive();
      return;
    }
    wanted = Math.min(to, isLive() ? now - nearestMs : now);
    wantedSince = clocksNow();
    update();
    const asked = wanted;
    const next = await history.playable(asked) ?? justBefore(asked);
    if (wanted !== asked) return;      // another seek has replaced this one, or the viewer has given up
    wantedSince = clocksNow();
    showState();
    if (next === null) {
      wanted = null;
      if (isLive()) goLive();
      else showNotice('replay.nothing');
      return;
    }
    lastEnd = null;
    playFrom(next);
    if (next - asked > farMs) showNotice('replay.skipped', { asked: timeText(asked), next: timeText(next) });
  }

  function timeText(utc) {
    const isToday = startOfDay(utc) === startOfDay(Date.now());
    return isToday ? formatClock(utc, locale()) : `${formatDay(utc, locale())}, ${formatClock(utc, locale())}`;
  }

  // The latest recorded time, if the frames from `asked` may not be written yet.
  function justBefore(asked) {
    return history.recording && asked - history.last < unwrittenMs ? history.last - 1000 : null;
  }

  function playFrom(utc) {
    const paused = tile.mode === 'held' || (tile.mode === 'history' && tile.player.paused);
    if (tile.mode !== 'history') {
      const player = tile.toHistory(history);
      player.paused = paused;
      player.setRate(Number(rate.value));
      player.addEventListener('end', onEnd);
      player.addEventListener('time', update);
    }
    heldAt = null;
    wanted = null;
    timeline.reveal(utc);
    tile.player.seek(utc);
    emit(element, 'replay:at', { at: utc });
    update();
  }

  async function onEnd({ target: ending }) {
    const { endedAt } = ending;
    // Playback ended twice at one place: the recording there does not play, so skip ahead.
    const stuck = lastEnd !== null && Math.abs(endedAt - lastEnd) < 2000;
    lastEnd = endedAt;
    if (endedAt > Date.now() - 60_000) await history.refresh();
    const next = await history.playable(endedAt + (stuck ? 5000 : 0));
    if (tile.player !== ending || wanted !== null) return;
    const behind = Date.now() - (next ?? Infinity);
    if (next !== null && (behind > liveWithinMs || !isLive())) {
      if (stuck && next - endedAt < 2000) return;
      ending.seek(next);
    } else if (isLive()) goLive();
    else update();
  }

  function isLive() {
    return history.stream?.state === 'live';
  }

  function goLive() {
    heldAt = null;
    wanted = null;
    tile.toLive();
    rate.value = '1';
    emit(element, 'replay:at', { at: null });
    update();
  }

  function skip(by) {
    const to = positionNow() + by;
    if (by > 0 && tile.mode === 'live') return;
    if (by > 0 && to > Date.now() - liveWithinMs && isLive()) goLive();
    else seek(Math.max(to, history.first ?? to));
  }

  function togglePause() {
    if (pause.disabled) return;
    if (tile.mode === 'live') {
      heldAt = liveNow();
      tile.hold();
    } else if (tile.mode === 'held') {
      // Repeat some seconds rather than miss any.
      seek(heldAt).then(() => tile.mode === 'history' && tile.player.setPaused(false));
    } else if (tile.player.phase === 'ended') {
      if (isLive()) goLive();
    } else {
      tile.player.setPaused(!tile.player.paused);
    }
    update();
  }

  function setRate(value) {
    rate.value = String(value);
    if (tile.mode === 'history') tile.player.setRate(value);
    else if (value < 1 || value > 1) seek(positionNow() - skipMs); // live has one speed
  }

  // ---- days and zoom

  // Shows the whole day at once, and plays where its first recording is.
  async function showDay(start) {
    const view = dayView(start);
    timeline.setView(view);
    const first = await history.playable(start);
    if (timeline.view !== view || wanted !== null) return;      // the viewer has gone on
    if (first === null || first >= view.to) showNotice('replay.noneOnDay');
    else seek(first);
  }

  function zoom(direction) {
    timeline.zoom(direction);
    if (zooms.includes(lengthOf(timeline.view))) remember('barZoom', lengthOf(timeline.view));
  }

  function showRange() {
    const { view } = timeline;
    const now = Date.now();
    const middle = Math.min(now, (view.from + view.to) / 2);
    const starts = [...new Set([...(history.days ?? []), startOfDay(middle), startOfDay(now)])].sort((a, b) => b - a);
    const signature = starts.join();
    if (days.dataset.signature !== signature) {
      days.dataset.signature = signature;
      days.replaceChildren(
        ...starts.map((start) =>
          h(
            'option',
            { value: String(start) },
            start === startOfDay(now) ? t('replay.today') : formatNearDay(start, locale()),
          ),
        ),
      );
    }
    days.value = String(startOfDay(middle));
    before.disabled = history.first !== null && view.from <= Math.min(history.first, history.days?.[0] ?? Infinity);
    after.disabled = view.to >= now;
    const length = lengthOf(view);
    zoomIn.disabled = length <= zooms.at(-1);
    zoomOut.disabled = length >= zooms[0] - 3_600_000;
    setText(zoomed, spanText(length));
    showState();
  }

  // An answer to what the viewer did; it stays long enough to be read.
  function showNotice(key, values) {
    answeredAt = Date.now();
    setText(notice, t(key, values));
  }

  function showState() {
    const waitedMs = wanted === null ? 0 : msBetween(wantedSince, clocksNow());
    stop.hidden = waitedMs < slowAfterMs;
    if (!stop.hidden) {
      setText(notice, t('error.slow', { age: wordsForAge(spokenAge(waitedMs)) }));
      return;
    }
    if (Date.now() - answeredAt < readMs) return;
    const key = stateKey();
    setText(notice, key ? t(key) : '');
  }

  function stateKey() {
    if (history.trouble) return 'replay.trouble';
    if (!history.days) return null;
    if (!history.days.length) return history.writing ? 'replay.begun' : 'replay.none';
    const { view } = timeline;
    return history.spans.some(({ from, to }) => to > view.from && from < view.to) ? null : 'replay.noneHere';
  }

  // ---- the rest

  function toggleClip() {
    if (timeline.selection) clip.close();
    else clip.open();
  }

  function update() {
    const { stream } = history;
    element.hidden = !stream?.replay;
    if (element.hidden) {
      // The user has lost the right to replay.
      if (stream && tile.mode !== 'live') goLive();
      return;
    }
    if (!addressApplied) applyAddress();
    const now = Date.now();
    const position = positionNow();
    const isAtLive = tile.mode === 'live' && wanted === null;
    // Before the first picture there is no time to show.
    const shownTime = isAtLive ? tile.shownAt : position;
    setText(clock, formatClock(shownTime, locale()));
    setText(day, Number.isNaN(shownTime) ? '' : formatDay(shownTime, locale()));
    const isOnAir = isAtLive && tile.phase === 'playing';
    live.classList.toggle('replay-live-on', isOnAir);
    live.setAttribute('aria-pressed', String(isAtLive));
    live.querySelector('.dot').dataset.state = isOnAir ? 'live' : '';
    forward.disabled = isAtLive;
    const isOver = tile.mode === 'history' && tile.player.phase === 'ended';
    pause.disabled = (isAtLive || isOver) && !isLive();
    const face = playing() ? 'pause' : 'play';
    if (pause.dataset.face !== face) {
      pause.dataset.face = face;
      pause.replaceChildren(icon(face));
      pause.setAttribute('aria-label', t(`replay.${face}`));
    }
    timeline.show({ position, onAir: isOnAir, now });
    showState();
  }

  // Gives up a seek that gets no answer: playback stays where it is.
  function giveUpSeek() {
    wanted = null;
    showState();
    update();
  }

  // If the address names a time, playback starts there.
  function applyAddress() {
    addressApplied = true;
    const length = recall('barZoom') ? lengthOf(timeline.view) : firstLength(timeline.width);
    timeline.setView(viewAround(at ?? Date.now(), length, { share: at ? 0.5 : 1, now: Date.now() }), {
      byHand: false,
    });
    if (at) seek(at);
  }

  function skipButton(by) {
    const name = by < 0 ? 'replay.back10' : 'replay.forward10';
    return h(
      'button',
      { class: 'button replay-skip', type: 'button', onclick: () => skip(by), 'aria-label': t(name), title: t(name) },
      icon(by < 0 ? 'rewind' : 'forward'),
      h('span', { 'aria-hidden': 'true' }, '10'),
    );
  }

  /** Handles a key pressed anywhere in the view; returns whether it was for the timeline. */
  function key(event) {
    const action = keyAction(event);
    if (element.hidden || !action) return false;
    const onBar = event.target === timeline.slider;
    if (action.do === 'unselect' && wanted !== null) {
      giveUpSeek();
      return true;
    }
    if (action.do === 'unselect' && !timeline.selection) return false;
    // A focused button or link, or the page itself, uses these keys.
    if (action.do === 'pause' && event.key === ' ' && event.target.closest('button, a, summary')) return false;
    if (['first', 'last', 'page'].includes(action.do) && !onBar) return false;
    const actions = {
      step: () => skip(action.by),
      first: () => history.first !== null && seek(dayStart()),
      last: () => (isLive() ? goLive() : seek((history.last ?? Date.now()) - skipMs)),
      zoom: () => zoom(action.by),
      live: () => isLive() && goLive(),
      pause: togglePause,
      markStart: () => clip.mark('from'),
      markEnd: () => clip.mark('to'),
      unselect: clip.close,
      page: () => timeline.page(action.by),
      recording: () => when.step(action.by),
    };
    timeline.hidePeek();
    actions[action.do]();
    return true;
  }

  // The Home key goes to the start of the day's recording, and from there to the day before.
  function dayStart() {
    const start = startOfDay(positionNow());
    const first = history.spans.find(({ to }) => to > start);
    if (first && positionNow() - Math.max(first.from, start) > 1000) return Math.max(first.from, start);
    return (history.days ?? []).findLast((entry) => entry < start) ?? addDays(start, -1);
  }

  return {
    element,
    key,
    seek,
    destroy() {
      clearInterval(ticker);
      tile.element.removeEventListener('tile:phase', update);
      list.removeEventListener('change', update);
      clip.destroy();
      timeline.destroy();
      history.destroy();
      element.remove();
    },
  };
}

const noClip = { open() {}, close() {}, mark() {}, destroy() {} };

function spanText(ms) {
  const minutes = ms / 60_000;
  return minutes >= 60
    ? t('replay.hours', { count: Math.round(minutes / 60) })
    : t('replay.minutes', { count: Math.max(1, Math.round(minutes)) });
}
