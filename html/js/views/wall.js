// The wall: 1, 4, 9 or 16 tiles. Free tiles fill themselves with live streams;
// sound comes from the focused tile alone. The state goes up as 'wall:state'
// and the shell puts it into the URL hash and localStorage.

import { emit, h, icon, once, setText } from '../dom.js';
import { isolated } from '../format.js';
import { t } from '../i18n.js';
import { formatRoute, wallSizes } from '../route.js';
import { fillSlots, makeSlots, pinnedNames, pinSlot, resizeSlots } from '../wall-slots.js';
import { toggleFullscreen } from '../components/fullscreen.js';
import { mountTile } from '../components/tile.js';

export function mountWall(root, { list, size, pinned, focus, via }) {
  let slots = makeSlots(size, pinned);
  let focused = focus;
  // Sound needs a click in this visit, so it is never restored.
  let soundOn = false;
  let cells = [];

  const layouts = h(
    'div',
    { class: 'segmented', role: 'group', 'aria-label': t('wall.layout') },
    ...wallSizes.map((count) =>
      h(
        'button',
        {
          type: 'button',
          class: 'segment',
          data: { size: String(count) },
          'aria-label': t('wall.tiles', { count }),
          onclick: () => setSize(count),
        },
        String(count),
      ),
    ),
  );
  const sound = h('button', { class: 'button', type: 'button', onclick: once(toggleSound) });
  const full = h(
    'button',
    { class: 'button', type: 'button', onclick: () => toggleFullscreen(grid), 'aria-label': t('fullscreen') },
    icon('fullscreen'),
    h('span', { class: 'wide-only' }, t('fullscreen')),
  );
  const hint = h('p', { class: 'wall-hint', role: 'status' });
  const grid = h('div', { class: 'wall-grid' });
  const element = h('main', { class: 'wall', id: 'main', tabindex: '-1' },
    h('h1', { class: 'sr-only' }, t('nav.wall')),
    h('div', { class: 'wall-stage' }, grid),
    h('div', { class: 'wall-bar' }, layouts, hint, sound, full));
  root.append(element);

  list.addEventListener('change', update);
  document.addEventListener('keydown', onKey);
  element.addEventListener('tile:muted', () => { soundOn = false; showFocus(); });
  build();

  function build() {
    cells.forEach((cell) => cell.destroy());
    grid.dataset.size = String(slots.length);
    cells = slots.map((_, index) => mountCell(grid, index));
    for (const button of layouts.children)
      button.setAttribute('aria-pressed', String(Number(button.dataset.size) === slots.length));
    update();
  }

  function update() {
    if (list.streams) slots = fillSlots(slots, list.streams);
    cells.forEach((cell, index) => cell.update(slots[index]));
    showFocus();
  }

  function setSize(count) {
    if (count === slots.length) return;
    // A smaller wall keeps the focused tile.
    const kept = focused !== null && focused >= count ? [slots[focused], ...slots] : slots;
    if (focused !== null && focused >= count) focused = 0;
    slots = resizeSlots(kept, count);
    build();
    emitState();
  }

  function focusTile(index) {
    if (focused === index) {
      toggleSound();
      return;
    }
    focused = index;
    soundOn = true;
    showFocus();
    emitState();
  }

  function toggleSound() {
    soundOn = !soundOn;
    if (focused === null) {
      focused = Math.max(0, slots.findIndex((slot) => slot.stream));
      emitState();
    }
    showFocus();
  }

  function showFocus() {
    cells.forEach((cell, index) => cell.setFocus(index === focused, index === focused && soundOn));
    const slot = focused === null ? null : slots[focused];
    sound.classList.toggle('button-lit', soundOn);
    const action = t(soundOn ? 'sound.mute' : 'sound.unmute');
    if (sound.getAttribute('aria-label') !== action) {      // a click on what is replaced meanwhile would be lost
      sound.setAttribute('aria-label', action);
      sound.replaceChildren(icon(soundOn ? 'soundOn' : 'soundOff'), h('span', { class: 'wide-only' }, action));
    }
    const name = slot?.stream && (list.find(slot.stream)?.title || slot.stream);
    setText(hint, name ? t(soundOn ? 'wall.listening' : 'wall.focused', { name }) : t('wall.hint'));
  }

  function emitState() {
    emit(element, 'wall:state', { size: slots.length, slots: pinnedNames(slots), focus: focused });
  }

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, select, textarea, dialog'))
      return;
    if (event.key === 'm') toggleSound();
    if (event.key === 'f') toggleFullscreen(grid);
  }

  function mountCell(parent, index) {
    const hit = h('button', { class: 'cell-hit', type: 'button', onclick: once(() => focusTile(index)) });
    const select = h('select', {
      class: 'select cell-select',
      'aria-label': t('wall.choose', { tile: index + 1 }),
      onchange: choose,
    });
    const open = h(
      'a',
      { class: 'icon-button', 'aria-label': t('wall.enlarge'), title: t('wall.enlarge') },
      icon('enlarge'),
    );
    const speaker = h('span', { class: 'cell-speaker', hidden: true }, icon('soundOn'));
    const emptyNote = h('p', { class: 'cell-empty' }, icon('plus'), h('span', {}, t('wall.empty')));
    const cell = h(
      'div',
      { class: 'cell', data: { index: String(index) } },
      emptyNote,
      hit,
      speaker,
      h('div', { class: 'cell-tools' }, select, open),
    );
    parent.append(cell);
    let tile = null;
    let shown = null;

    function choose() {
      slots = pinSlot(slots, index, select.value || null);
      update();
      emitState();
    }

    function setOptions(slot) {
      const streams = (list.streams ?? []).filter((stream) => stream.play);
      const signature = JSON.stringify([
        slot.pinned && slot.stream,
        streams.map((stream) => [stream.id, stream.title, stream.state === 'live']),
      ]);
      // An open drop-down must not be rebuilt under the finger.
      if (select.dataset.signature === signature || document.activeElement === select) return;
      select.dataset.signature = signature;
      const options = streams.map((stream) => [
        stream.id,
        `${stream.state === 'live' ? '● ' : '○ '}${isolated(stream.title || stream.id)}`,
      ]);
      if (slot.pinned && !streams.some((stream) => stream.id === slot.stream))
        options.push([slot.stream, `○ ${slot.stream}`]);
      select.replaceChildren(
        ...[['', t('wall.auto')], ...options].map(([value, text]) => h('option', { value }, text)),
      );
      select.value = slot.pinned ? slot.stream : '';
    }

    return {
      update(slot) {
        if (slot.stream !== shown) {
          tile?.destroy();
          tile = slot.stream ? mountTile(cell, { list, id: slot.stream, via }) : null;
          shown = slot.stream;
        }
        cell.classList.toggle('cell-free', !slot.stream);
        emptyNote.hidden = Boolean(slot.stream);
        open.hidden = !slot.stream;
        if (slot.stream) open.href = formatRoute({ view: 'watch', stream: slot.stream });
        const name = slot.stream ? list.find(slot.stream)?.title || slot.stream : t('wall.empty');
        hit.setAttribute('aria-label', t('wall.focus', { tile: index + 1, name }));
        setOptions(slot);
      },
      setFocus(isFocused, audible) {
        cell.classList.toggle('cell-focused', isFocused);
        hit.setAttribute('aria-pressed', String(isFocused));
        speaker.hidden = !audible;
        if (tile && tile.video.muted === audible) tile.setMuted(!audible);
      },
      destroy() {
        tile?.destroy();
        cell.remove();
      },
    };
  }

  return {
    element,
    destroy() {
      list.removeEventListener('change', update);
      document.removeEventListener('keydown', onKey);
      cells.forEach((cell) => cell.destroy());
      element.remove();
    },
  };
}
