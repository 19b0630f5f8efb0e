// The first page: every stream as a card with a picture. Keeps one card per stream, so that an update does not
// take away the focus or a text selection; a search hides cards and moves none.

import { mayAddPhone, openAddPhone } from '../components/add-phone.js';
import { mountCard } from '../components/stream-card.js';
import { StreamPictures } from '../components/stream-pictures.js';
import { h, icon, setText } from '../dom.js';
import { t } from '../i18n.js';
import { recall, remember } from '../preferences.js';
import { arrange, matches, sorts } from '../stream-cards.js';

export function mountStreams(root, { list, user }) {
  const cards = new Map();
  const pictures = new StreamPictures();
  const summary = h('p', { class: 'page-summary', role: 'status' });
  const filter = h('input', {
    class: 'input input-search',
    type: 'search',
    placeholder: t('streams.filter'),
    'aria-label': t('streams.filter'),
    oninput: () => list.streams && showMatches(),
  });
  const sort = h(
    'select',
    { class: 'select stream-sort', 'aria-label': t('streams.sort'), onchange: changeSort },
    ...sorts.map((name) => h('option', { value: name }, t(`sort.${name}`))),
  );
  sort.value = sorts.includes(recall('sort')) ? recall('sort') : sorts[0];
  const openWall = h('a', { class: 'button', href: '#/wall' }, icon('wall'), h('span', {}, t('streams.openWall')));
  const addPhone = addPhoneButton();
  for (const part of [filter, sort, openWall, addPhone]) part.hidden = true; // until the list has come
  const body = h('ul', { class: 'stream-cards' });
  const empty = h('div', { class: 'empty', hidden: true });
  const skeleton = h(
    'div',
    { class: 'card-skeleton', 'aria-hidden': 'true' },
    ...Array.from({ length: 6 }, () => h('div', {})),
  );
  const element = h('main', { class: 'page page-wide', id: 'main', tabindex: '-1' },
    h('div', { class: 'page-head' },
      h('div', {}, h('h1', { class: 'page-title' }, t('streams.title')), summary),
      h('div', { class: 'page-actions stream-actions' }, filter, sort, openWall, addPhone)),
    skeleton, body, empty);
  root.append(element);
  list.addEventListener('change', update);
  list.addEventListener('trouble', update);
  update();

  function update() {
    const { streams } = list;
    skeleton.hidden = streams !== null || list.trouble !== null;
    if (!streams) return;
    const live = streams.filter(({ state }) => state === 'live');
    setText(summary, streams.length ? t('streams.summary', {
      live: live.length,
      all: streams.length,
      viewers: live.reduce((sum, { viewers }) => sum + viewers, 0),
    }) : '');
    filter.hidden = streams.length < 2;
    sort.hidden = streams.length < 2;
    openWall.hidden = !streams.some(({ play }) => play);
    // The empty page has a button of its own.
    addPhone.hidden = streams.length === 0 || !mayAddPhone(user, streams);
    placeCards(streams);
    showMatches();
  }

  function placeCards(streams) {
    const present = new Set(streams.map(({ id }) => id));
    for (const [id, card] of cards) {
      if (present.has(id)) continue;
      pictures.remove(card);
      card.forget();
      card.element.remove();
      cards.delete(id);
    }
    let before = body.firstElementChild;
    for (const stream of arrange(streams, sort.value)) {
      const card = cardOf(stream);
      card.update(stream, list.stale);
      pictures.changed(card, stream);
      if (before && card.element === before.nextElementSibling) before = card.element; // the one before it moves down
      if (card.element === before) before = before.nextElementSibling;
      else body.insertBefore(card.element, before);
    }
  }

  function cardOf(stream) {
    if (!cards.has(stream.id)) cards.set(stream.id, mountCard(stream.id));
    return cards.get(stream.id);
  }

  function showMatches() {
    const wanted = filter.hidden ? '' : filter.value.trim();
    let shown = 0;
    for (const stream of list.streams) {
      const { element: card } = cards.get(stream.id);
      const hidden = !matches(stream, wanted);
      if (card.hidden !== hidden) card.hidden = hidden;
      shown += hidden ? 0 : 1;
    }
    body.hidden = shown === 0;
    body.toggleAttribute('data-many', list.streams.length > 3);
    showEmpty(shown);
  }

  function showEmpty(shown) {
    empty.hidden = shown > 0;
    const kind = list.streams.length ? 'filter' : 'none';
    if (empty.hidden || empty.dataset.kind === kind) return;
    empty.dataset.kind = kind;
    if (kind === 'filter') empty.replaceChildren(h('p', {}, t('streams.noMatch')));
    else empty.replaceChildren(...noStreams());
  }

  function addPhoneButton() {
    return h(
      'button',
      { class: 'button button-primary add-phone', type: 'button', onclick: () => openAddPhone({ user, list }) },
      icon('plus'),
      h('span', {}, t('phone.add')),
    );
  }

  // The empty page: whoever may add a phone can do so here, all others read whom to ask.
  function noStreams() {
    const mayAdd = mayAddPhone(user, list.streams);
    return [
      h('div', { class: 'empty-icon' }, icon('camera')),
      h('h2', {}, t(mayAdd ? 'empty.addTitle' : 'empty.askTitle')),
      h('p', {}, t(mayAdd ? 'empty.add' : 'empty.ask', { name: user.name })),
      mayAdd && addPhoneButton(),
    ].filter(Boolean);
  }

  function changeSort() {
    remember('sort', sort.value);
    update();
  }

  return {
    element,
    destroy: () => {
      list.removeEventListener('change', update);
      list.removeEventListener('trouble', update);
      pictures.destroy();
      element.remove();
    },
  };
}
