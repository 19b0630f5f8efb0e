// One tile of the wall: its picture, and tools that show while the pointer moves or the
// keyboard is there, and then fade, so that they do not cover the camera's own clock.

import { h, icon, once, setText } from '../dom.js';
import { formatClock } from '../format.js';
import { locale, t } from '../i18n.js';
import { recall } from '../preferences.js';
import { formatRoute } from '../route.js';
import { shapeOf } from '../wall-layout.js';
import { mountTile } from './tile.js';

const awakeMs = 3500;

// mountCell(root, {list, via, index, on}) -> {element, tile, shape, stream, update, place, setFocus, setLarge, say,
// destroy}. on: {select(), enlarge(wasFocused), whole(), replace(), resized()}
export function mountCell(root, { list, via, index, on }) {
  const hit = h('button', { class: 'cell-hit', type: 'button', onclick: once(touched) });
  const replace = tool('swap', 'wall.replace', on.replace);
  const enlarge = tool('expand', 'wall.enlarge', () => on.enlarge(false));
  const whole = h('button', { class: 'icon-button cell-whole', type: 'button', onclick: on.whole,
    'aria-label': t('wall.full', { tile: index + 1 }), title: t('fullscreen') }, icon('fullscreen'));
  const open = h('a', { class: 'icon-button', 'aria-label': t('wall.open'), title: t('wall.open') }, icon('enlarge'));
  const speaker = h('span', { class: 'cell-speaker', hidden: true }, icon('soundOn'));
  const saidName = h('span', { class: 'cell-said-name', dir: 'auto' });
  const saidWhy = h('span', { role: 'status' });
  const said = h('div', { class: 'cell-said', hidden: true }, saidName, saidWhy);
  const element = h(
    'div',
    { class: 'cell', data: { index: String(index) }, hidden: true, onpointermove: looked, ondblclick: doubled },
    said,
    hit,
    speaker,
    h('div', { class: 'cell-tools' }, replace, enlarge, whole, open),
  );
  root.append(element);
  let tile = null;
  let stream = null;
  let timer = null;
  let isFocused = false;
  let wasFocused = false;     // when the first click of a double click came

  function tool(picture, name, act) {
    return h('button', { class: 'icon-button', type: 'button', onclick: act, 'aria-label': t(name), title: t(name) },
      icon(picture));
  }

  function wake() {
    element.classList.add('cell-awake');
    clearTimeout(timer);
    timer = setTimeout(() => element.classList.remove('cell-awake'), awakeMs);
  }

  function looked(event) {
    if (event.pointerType !== 'touch') wake();
  }

  // A finger has no way to only look: its first touch shows the tools of the tile that has the sound.
  function touched(event) {
    const onlyLooks = isFocused && event.pointerType === 'touch' && !element.classList.contains('cell-awake');
    wasFocused = isFocused;
    wake();
    if (!onlyLooks) on.select();
  }

  function doubled(event) {
    if (event.target === hit) on.enlarge(wasFocused);
  }

  function show(next) {
    tile?.destroy();
    tile = next ? mountTile(element, { list, id: next, via }) : null;
    tile?.video.addEventListener('resize', on.resized);
    if (tile) tile.video.volume = recall('volume', 1);
    stream = next;
    say(null);
    if (tile) wake();
  }

  /** Says over the picture why there is none of this moment. */
  function say(reason, until = null) {
    said.hidden = !reason;
    if (!reason) return;
    const clock = until !== null && formatClock(until, locale());
    setText(saidName, list.find(stream)?.title || stream);
    setText(saidWhy, clock ? t('past.gapUntil', { time: clock }) : t(`past.${reason}`));
  }

  return {
    element,
    say,
    get tile() { return tile; },
    get stream() { return stream; },
    /** width / height of its picture; of the stream's, until there is one. */
    get shape() {
      const { videoWidth: width, videoHeight: height } = tile?.video ?? {};
      return shapeOf(width > 0 ? { width, height } : list.find(stream) ?? {});
    },
    update(slot) {
      if (slot.stream !== stream) show(slot.stream);
      element.hidden = !stream;
      if (!stream) return;
      open.href = formatRoute({ view: 'watch', stream });
      hit.setAttribute('aria-label', t('wall.focus', { tile: index + 1, name: list.find(stream)?.title || stream }));
    },
    /** null hides it behind the enlarged one. */
    place(place) {
      element.classList.toggle('cell-behind', !place);
      element.inert = !place;
      if (!place) return;
      for (const [name, property] of [['x', 'left'], ['y', 'top'], ['width', 'width'], ['height', 'height']])
        element.style[property] = `${place[name].toFixed(2)}px`;
    },
    setFocus(focused, audible) {
      isFocused = focused;
      element.classList.toggle('cell-focused', focused);
      hit.setAttribute('aria-pressed', String(focused));
      speaker.hidden = !audible;
      if (tile && tile.video.muted === audible) tile.setMuted(!audible);
    },
    setLarge(isLarge) {
      if (enlarge.dataset.face === String(isLarge)) return;
      enlarge.dataset.face = String(isLarge);
      element.classList.toggle('cell-large', isLarge);
      const name = t(isLarge ? 'wall.shrink' : 'wall.enlarge');
      enlarge.setAttribute('aria-label', name);
      enlarge.title = name;
      enlarge.replaceChildren(icon(isLarge ? 'shrink' : 'expand'));
    },
    destroy() {
      clearTimeout(timer);
      tile?.destroy();
      element.remove();
    },
  };
}
