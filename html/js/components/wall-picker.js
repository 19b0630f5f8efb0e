// A dialog that chooses streams for the wall by their pictures: all of the wall, or one for
// a tile.

import { h, icon, setText } from '../dom.js';
import { isolated } from '../format.js';
import { t } from '../i18n.js';
import { mayList } from '../live-events.js';
import { mostTiles } from '../route.js';
import { openDialog } from './dialog.js';

// openPicker({list, chosen, size}) -> null, {streams: [NAME…]}, or {size}: everything live, on at most so many tiles
export async function openPicker({ list, chosen, size }) {
  const wanted = new Set(chosen);
  let answer = null;
  const count = h('p', { class: 'picker-count', role: 'status' });
  const most = h(
    'select',
    { class: 'select picker-most', 'aria-label': t('picker.most') },
    h('option', { value: '' }, t('picker.noMost')),
    ...Array.from({ length: mostTiles }, (_, index) =>
      h('option', { value: String(index + 1) }, t('picker.atMost', { count: index + 1 }))),
  );
  most.value = size ? String(size) : '';
  const everything = h(
    'button',
    { class: 'button', type: 'button', onclick: () => give({ size: Number(most.value) || null }) },
    icon('wall'),
    h('span', {}, t('picker.everything')),
  );
  const show = h(
    'button',
    { class: 'button button-primary', type: 'button', onclick: () => give({ streams: [...wanted] }) },
    t('picker.show'),
  );
  const cards = mountCards(list, { chosen: wanted, pick: toggle });
  const dialog = openDialog({
    title: t('picker.title'),
    body: h('div', { class: 'picker' },
      h('div', { class: 'picker-live' }, everything, most),
      h('p', { class: 'picker-or' }, t('picker.or')),
      cards.element),
    actions: [count, cancelButton(() => dialog.close()), show],
  });
  dialog.element.classList.add('dialog-wide');
  update();

  function toggle(id) {
    if (!wanted.delete(id) && wanted.size < mostTiles) wanted.add(id);
    update();
  }

  function update() {
    setText(count, t('picker.count', { count: wanted.size, most: mostTiles }));
    show.disabled = wanted.size === 0;
    cards.update();
  }

  function give(result) {
    answer = result;
    dialog.close();
  }

  await dialog.closed;
  cards.destroy();
  return answer;
}

// openSinglePicker({list, chosen}) -> undefined, a stream's NAME, or null for "automatic"
export async function openSinglePicker({ list, chosen }) {
  let answer;
  const give = (id) => {
    answer = id;
    dialog.close();
  };
  const cards = mountCards(list, { chosen: new Set([chosen]), pick: give });
  const dialog = openDialog({
    title: t('picker.single'),
    body: h('div', { class: 'picker' }, cards.element),
    actions: [
      h('button', { class: 'button', type: 'button', onclick: () => give(null) }, t('picker.automatic')),
      cancelButton(() => dialog.close()),
    ],
  });
  dialog.element.classList.add('dialog-wide');
  cards.update();
  await dialog.closed;
  cards.destroy();
  return answer;
}

function cancelButton(onclick) {
  return h('button', { class: 'button', type: 'button', onclick }, t('cancel'));
}

// The search field and one card per stream that has anything to show.
function mountCards(list, { chosen, pick }) {
  const known = new Map();
  const field = h('input', {
    class: 'input picker-search',
    type: 'search',
    placeholder: t('streams.filter'),
    'aria-label': t('streams.filter'),
    // On a phone the keyboard would cover the pictures.
    autofocus: window.matchMedia('(hover: hover)').matches,
    oninput: update,
  });
  const body = h('ul', { class: 'picker-cards' });
  const none = h('p', { class: 'picker-none', hidden: true }, t('streams.noMatch'));
  list.addEventListener('change', update);

  function update() {
    const text = field.value.trim().toLowerCase();
    const shown = (list.streams ?? []).filter((stream) =>
      (stream.play || mayList(stream)) && `${stream.id} ${stream.title} ${stream.owner}`.toLowerCase().includes(text));
    none.hidden = shown.length > 0;
    const wanted = shown.map((stream) => {
      if (!known.has(stream.id)) known.set(stream.id, makeCard(stream.id, pick));
      const card = known.get(stream.id);
      card.update(stream, chosen.has(stream.id));
      return card.element;
    });
    // Moves nothing that is in its place, so that the focus stays.
    wanted.forEach((element, index) => {
      if (body.children[index] !== element) body.insertBefore(element, body.children[index] ?? null);
    });
    while (body.children.length > wanted.length) body.lastElementChild.remove();
  }

  return {
    element: h('div', { class: 'picker-list' }, field, body, none),
    update,
    destroy: () => list.removeEventListener('change', update),
  };
}

function makeCard(id, pick) {
  const place = h('span', { class: 'picker-picture' }, icon('streams'));
  const dot = h('span', { class: 'dot' });
  const name = h('span', { class: 'picker-name', dir: 'auto' });
  const state = h('span', { class: 'sr-only' });
  const button = h(
    'button',
    { class: 'picker-card', type: 'button', data: { stream: id }, onclick: () => pick(id) },
    place,
    h('span', { class: 'picker-words' }, dot, name, state),
    h('span', { class: 'picker-check' }, icon('check')),
  );

  function update(stream, isChosen) {
    button.setAttribute('aria-pressed', String(isChosen));
    dot.dataset.state = stream.state;
    setText(name, isolated(stream.title || stream.id));
    setText(state, t(`state.${stream.state}`));
    // The picture of some seconds ago, if there is one.
    if (!stream.play || place.childElementCount > 1) return;
    const url = stream.play.replace(/\.flv$/, '.jpg');
    const image = h('img', { alt: '', loading: 'lazy', src: url, onerror: () => { image.hidden = true; } });
    place.append(image);
  }

  return { element: h('li', {}, button), update };
}
