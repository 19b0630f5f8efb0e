// A table for any number of rows: a search above it, one page of rows at a time. A row stays the same element
// while nothing in it changes, so that a button in focus or under a finger stays in place.

import { h, icon, setText } from '../dom.js';
import { t } from '../i18n.js';
import { matching, pageOf } from '../paging.js';
import { emptyRow, table } from './admin-parts.js';

const fewRows = 8;      // they need no search

/**
 * keyOf(entry) identifies a row, stateOf(entry) is a text that changes when the row must be made anew, textOf(entry)
 * is what the search looks at. row(entry) returns the <tr>; fresh(element, entry), if given, is called with each
 * entry that is shown. head: elements that stand before the search.
 */
export function pagedTable({ caption, heads, search, none, keyOf, stateOf, textOf, row, fresh, head = [] }) {
  const rows = new Map();       // key -> {state, element}
  let entries = null;
  let page = 0;
  const filter = h('input', {
    class: 'input input-search', type: 'search', placeholder: search, 'aria-label': search, hidden: true,
    oninput: () => { page = 0; place(); },
  });
  const count = h('p', { class: 'table-count', role: 'status' });
  const turn = (name, label, by) =>
    h('button', {
      class: 'icon-button', type: 'button', 'aria-label': label, title: label, onclick: () => turnPage(by),
    }, icon(name));
  const before = turn('back', t('table.before'), -1);
  const after = turn('next', t('table.after'), 1);
  const pager = h('div', { class: 'table-pager', role: 'group', 'aria-label': t('table.pages') }, before, after);
  const body = h('tbody', {});
  const frame = table(caption, heads, body);
  const element = h('div', { class: 'paged-table' },
    h('div', { class: 'table-head' }, ...head, h('div', { class: 'table-tools' }, count, filter)),
    frame,
    h('div', { class: 'table-foot' }, pager));

  function turnPage(by) {
    page += by;
    place();
    // A disabled button would lose the focus.
    if (before.disabled) after.focus();
    else if (after.disabled) before.focus();
    element.scrollIntoView({ block: 'nearest' });
  }

  function place() {
    if (!entries) return;
    const found = matching(entries, filter.value, textOf);
    const shown = pageOf(found, page);
    page = shown.page;
    filter.hidden = entries.length <= fewRows && !filter.value;
    setText(count, shown.pages > 1 ? t('table.count', { first: shown.first, last: shown.last, all: found.length })
      : filter.value && found.length ? t('table.found', { count: found.length }) : '');
    pager.hidden = shown.pages === 1;
    before.disabled = page === 0;
    after.disabled = page === shown.pages - 1;
    put(shown.rows.length ? shown.rows.map(elementOf)
      : [emptyRow(heads.length, filter.value.trim() ? t('table.noMatch', { text: filter.value.trim() }) : none)]);
    const kept = new Set(shown.rows.map(keyOf));
    for (const key of rows.keys()) if (!kept.has(key)) rows.delete(key);
  }

  function elementOf(entry) {
    const key = keyOf(entry);
    const state = stateOf(entry);
    let known = rows.get(key);
    if (!known || known.state !== state) {
      const old = known?.element;
      known = { state, element: row(entry) };
      rows.set(key, known);
      if (old?.isConnected) replaceRow(old, known.element);
    }
    fresh?.(known.element, entry);
    return known.element;
  }

  // Moves a row only when it is out of place: moving an element takes its focus away.
  function put(wanted) {
    const keep = new Set(wanted);
    for (const element of [...body.children]) if (!keep.has(element)) element.remove();
    wanted.forEach((element, index) => {
      if (body.children[index] !== element) body.insertBefore(element, body.children[index] ?? null);
    });
  }

  return {
    element,
    show(next) {
      entries = next;
      place();
    },
  };
}

// The focus stays on the same button of the new row.
function replaceRow(old, next) {
  const index = [...old.querySelectorAll('button, a')].indexOf(document.activeElement);
  old.replaceWith(next);
  if (index >= 0) next.querySelectorAll('button, a')[index]?.focus();
}
