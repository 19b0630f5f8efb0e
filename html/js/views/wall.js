// The wall: what is live, or what the viewer chose, on as many tiles as there are streams
// (wall-layout.js says where). Sound comes from the focused tile alone; a double click
// enlarges a tile. One timeline leads all tiles into the past. The state goes up as
// 'wall:state', and the shell puts it into the URL hash; 'wall:go' asks for another wall.

import { emit, h, icon, isTaken, once, setText } from '../dom.js';
import { t } from '../i18n.js';
import { formatRoute, mostTiles, parseRoute } from '../route.js';
import { wallLayout } from '../wall-layout.js';
import { chosenSlots, fillSlots, makeSlots, pinnedNames, pinSlot, waitingStreams } from '../wall-slots.js';
import { hasFullscreen, mountFullscreen } from '../components/fullscreen.js';
import { mountCell } from '../components/wall-cell.js';
import { openLayouts } from '../components/wall-layouts.js';
import { mountPast } from '../components/wall-past.js';
import { openPicker, openSinglePicker } from '../components/wall-picker.js';
import { remember } from '../preferences.js';

const lookEveryMs = 5000;
const gapPx = 6;
const narrow = window.matchMedia('(max-width: 640px)');

export function mountWall(root, { list, size, slots: pinned, focus, at = null, via }) {
  let slots = makeSlots(size ?? mostTiles, pinned ?? []);
  let focused = focus;
  // Sound needs a click in this visit, so it is never restored.
  let soundOn = false;
  let large = null;         // the enlarged tile
  let alone = false;        // it is enlarged for full screen only
  let cells = [];
  let past = null;
  let placed = '';          // what the present places were made for

  const button = (picture, name, onclick) =>
    h('button', { class: 'button', type: 'button', onclick: once(onclick), 'aria-label': t(name), title: t(name) },
      icon(picture), h('span', { class: 'wide-only' }, t(name)));
  const choose = button('streams', 'wall.choose', chooseStreams);
  const layouts = button('layouts', 'wall.layouts', chooseLayout);
  const timeline = button('recordings', 'wall.past', togglePast);
  const timelineOnScreen = h('button', { class: 'icon-button', type: 'button', onclick: once(togglePast),
    'aria-label': t('wall.past'), title: t('wall.past') }, icon('recordings'));
  const more = h('button', { class: 'button button-small wall-more', type: 'button', hidden: true,
    onclick: once(chooseStreams) });
  const sound = h('button', { class: 'button wall-sound', type: 'button', onclick: once(toggleSound) });
  const full = button('fullscreen', 'fullscreen', () => fullscreen.toggle());
  full.hidden = !hasFullscreen;     // an iPhone shows one <video>: each tile has a button for that
  const hint = h('p', { class: 'wall-hint', role: 'status' });
  const grid = h('div', { class: 'wall-grid' });
  const empty = h('div', { class: 'empty wall-empty', hidden: true },
    h('div', { class: 'empty-icon' }, icon('wall')),
    h('h2', {}, t('wall.nothingLive')),
    h('p', {}, t('wall.nothingLiveHint')),
    h('button', { class: 'button button-primary', type: 'button', onclick: once(chooseStreams) },
      icon('streams'), h('span', {}, t('wall.choose'))));
  const pastPlace = h('div', { class: 'wall-past screen-under' });
  const screen = h('div', { class: 'screen' }, h('div', { class: 'wall-stage screen-stage' }, grid, empty), pastPlace);
  const element = h('main', { class: 'wall', id: 'main', tabindex: '-1' },
    h('h1', { class: 'sr-only' }, t('nav.wall')),
    screen,
    h('div', { class: 'wall-bar' }, choose, layouts, timeline, hint, more, sound, full));
  root.append(element);

  const watcher = new ResizeObserver(() => place());
  watcher.observe(grid);
  watcher.observe(grid.parentElement);
  list.addEventListener('change', update);
  narrow.addEventListener('change', place);
  const fullscreen = mountFullscreen(screen, {
    video: () => (shownNow().length === 1 ? shownNow()[0].tile?.video ?? null : null),
    sound: { isOn: () => soundOn, toggle: toggleSound, setVolume },
    shortcuts,
    more: [timelineOnScreen],
  });
  screen.addEventListener('fullscreenchange', screenChanged);
  document.addEventListener('keydown', onKey);
  element.addEventListener('tile:muted', () => { soundOn = false; showFocus(); });
  element.addEventListener('replay:at', ({ detail }) => {
    at = detail.at;
    emitState();
    update();
  });
  const looker = setInterval(update, lookEveryMs);  // at tiles whose stream ended a while ago
  build();

  // ---- tiles

  function build() {
    cells.forEach((cell) => cell.destroy());
    large = null;
    cells = slots.map((_, index) => mountCell(grid, { list, via, index, on: {
      select: () => select(index),
      enlarge: (wasFocused) => enlarge(index, wasFocused),
      whole: () => showWhole(index),
      replace: () => replace(index),
      resized: () => place(),
    } }));
    update();
  }

  function update() {
    if (!list.streams) return;
    if (!isPast()) slots = fillSlots(slots, list.streams, Date.now());
    cells.forEach((cell, index) => cell.update(slots[index]));
    if (large !== null && !cells[large].stream) large = null;
    past?.setCells(shownCells());
    if (at && !past) openPast();
    showBar();
    showFocus();
    place();
  }

  // In the past the tiles stay, whatever goes live or ends.
  function isPast() {
    return (at !== null && shownNames().length > 0) || (past !== null && past.mode !== 'live');
  }

  function shownNames() {
    return slots.map((slot) => slot.stream).filter(Boolean);
  }

  function shownCells() {
    return cells.filter((cell) => cell.stream);
  }

  function showBar() {
    const waiting = waitingStreams(list.streams, new Set(shownNames())).length;
    more.hidden = waiting === 0;
    if (waiting) setText(more, t('wall.more', { count: waiting }));
    empty.hidden = shownCells().length > 0;
    for (const each of [timeline, timelineOnScreen]) {
      each.hidden = !past && !shownCells().some((cell) => list.find(cell.stream)?.replay);
      each.setAttribute('aria-pressed', String(Boolean(past)));
    }
  }

  // All, or the enlarged one alone.
  function shownNow() {
    return large === null ? shownCells() : [cells[large]];
  }

  function place() {
    const shown = shownNow();
    const scrolls = narrow.matches && large === null;
    const width = grid.clientWidth;
    const { isFull } = fullscreen;
    const height = isFull || narrow.matches ? document.documentElement.clientHeight : grid.parentElement.clientHeight;
    const shapes = shown.map((cell) => cell.shape);
    const key = JSON.stringify([width, height, scrolls, isFull, shapes, shown.map((cell) => cell.stream), large]);
    if (key === placed) return;
    placed = key;
    const share = narrow.matches && !scrolls && !isFull ? 0.72 : 1;
    const layout = wallLayout(shapes, { width, height: height * share, scrolls }, gapPx);
    grid.style.height = narrow.matches ? `${layout.height}px` : '';
    for (const cell of cells) cell.place(layout.places[shown.indexOf(cell)] ?? null);
    fullscreen.showInset();
  }

  // ---- focus, sound and the enlarged tile

  function select(index) {
    if (focused === index) {
      toggleSound();
      return;
    }
    focused = index;
    soundOn = true;
    showFocus();
    emitState();
  }

  function enlarge(index, wasFocused) {
    // The first click of the double click has switched the sound: undo it.
    if (wasFocused && focused === index) soundOn = !soundOn;
    setLarge(large === null ? index : null);
  }

  function setLarge(next) {
    large = next;
    alone = false;
    place();
    showFocus();
  }

  // One tile in full screen, which ends with it.
  function showWhole(index) {
    if (hasFullscreen && large === null) {
      setLarge(index);
      alone = true;
    }
    fullscreen.toggle(cells[index].tile?.video);
  }

  function screenChanged() {
    if (!fullscreen.isFull && alone) setLarge(null);
    place();
  }

  function setVolume(value) {
    remember('volume', value);
    for (const { tile } of shownCells()) tile.video.volume = value;
  }

  function toggleSound() {
    soundOn = !soundOn;
    if (focused === null || !slots[focused]?.stream) {
      focused = Math.max(0, slots.findIndex((slot) => slot.stream));
      emitState();
    }
    showFocus();
  }

  function shortcuts() {
    return past ? ['wall', 'timeline'] : ['wall'];
  }

  function showFocus() {
    fullscreen.showSound();
    cells.forEach((cell, index) => {
      cell.setFocus(index === focused, index === focused && soundOn);
      cell.setLarge(index === large);
    });
    const slot = focused === null ? null : slots[focused];
    sound.classList.toggle('button-lit', soundOn);
    const name = t(soundOn ? 'sound.mute' : 'sound.unmute');
    if (sound.getAttribute('aria-label') !== name) {
      sound.setAttribute('aria-label', name);
      sound.replaceChildren(icon(soundOn ? 'soundOn' : 'soundOff'), h('span', { class: 'wide-only' }, name));
    }
    const heard = slot?.stream && (list.find(slot.stream)?.title || slot.stream);
    setText(hint, heard ? t(soundOn ? 'wall.listening' : 'wall.focused', { name: heard }) : t('wall.hint'));
  }

  function emitState() {
    // A link into the past names all streams: it must not depend on what is live when it is opened.
    const names = at === null ? pinnedNames(slots) : slots.map((slot) => slot.stream);
    emit(element, 'wall:state', { size, slots: names, focus: focused, at });
  }

  // ---- other streams, other walls

  async function replace(index) {
    const stream = await openSinglePicker({ list, chosen: slots[index].stream });
    if (stream === undefined || !element.isConnected) return;
    slots = pinSlot(slots, index, stream);
    update();
    emitState();
  }

  async function chooseStreams() {
    // The number of chosen streams is no limit for what is live.
    const most = slots.every((slot) => slot.pinned) ? null : size;
    const answer = await openPicker({ list, chosen: shownNames(), size: most });
    if (!answer || !element.isConnected) return;
    if (answer.streams) go({ size: answer.streams.length, slots: pinnedNames(chosenSlots(slots, answer.streams)), at });
    else go({ size: answer.size, slots: [], at });
  }

  async function chooseLayout() {
    const present = { size, slots: pinnedNames(slots) };
    const layout = await openLayouts({ present, link: location.href });
    if (layout && element.isConnected) go({ ...layout, at });
  }

  // Through the address, so that whatever was saved passes the same checks as a link.
  function go(wall) {
    const { view, ...route } = parseRoute(formatRoute({ view: 'wall', ...wall, focus: null, via: null }));
    emit(element, 'wall:go', { ...route, via: parseRoute(location.hash).via });
  }

  // ---- the past

  function openPast() {
    past = mountPast(pastPlace, { list, cells: shownCells(), at, stage: grid });
    showBar();
  }

  function togglePast() {
    if (!past) {
      openPast();
      return;
    }
    past.destroy({ toLive: true });
    past = null;
    at = null;
    emitState();
    update();
  }

  function onKey(event) {
    if (isTaken(event)) return;
    if (event.key === 'm') toggleSound();
    else if (event.key === 'f') fullscreen.toggle();
    else if (event.key === 'i') fullscreen.togglePicture();
    else if (event.key === 'Escape' && large !== null) setLarge(null);
    else if (past?.key(event)) event.preventDefault();
  }

  return {
    element,
    shortcuts,
    destroy() {
      clearInterval(looker);
      watcher.disconnect();
      list.removeEventListener('change', update);
      narrow.removeEventListener('change', place);
      fullscreen.destroy();
      document.removeEventListener('keydown', onKey);
      past?.destroy();
      cells.forEach((cell) => cell.destroy());
      element.remove();
    },
  };
}
