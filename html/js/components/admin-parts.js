// Parts that the admin tabs share: labelled fields, tables, buttons.

import { h } from '../dom.js';
import { isolated } from '../format.js';

export function field(label, control, hint) {
  return h(
    'label',
    { class: 'field' },
    h('span', { class: 'field-label' }, label),
    control,
    hint && h('span', { class: 'field-hint' }, hint),
  );
}

export function table(caption, heads, body) {
  return h(
    'div',
    { class: 'table-frame', tabindex: '0', role: 'region', 'aria-label': caption },
    h(
      'table',
      { class: 'table' },
      h('caption', { class: 'sr-only' }, caption),
      h('thead', {}, h('tr', {}, ...heads.map((head) => (head ? h('th', { scope: 'col' }, head) : h('td', {}))))),
      body,
    ),
  );
}

/** A text that a user has entered: shows at most three lines, and all of it on hover. */
export function userText(text) {
  return h('bdi', { class: 'user-text', title: text }, text);
}

export function emptyRow(columns, text) {
  return h('tr', {}, h('td', { class: 'table-empty', colspan: String(columns) }, text));
}

export function smallButton(label, about, onclick, ...content) {
  return h(
    'button',
    { class: 'button button-small', type: 'button', 'aria-label': `${label}: ${isolated(about)}`, onclick },
    ...content,
    h('span', {}, label),
  );
}

/** A field for a whole number; empty is 0 and means what `empty` says. */
export function limitInput(value, empty) {
  return h('input', {
    class: 'input',
    type: 'number',
    min: '0',
    max: '10000000',
    step: '1',
    inputmode: 'numeric',
    value: value ? String(value) : '',
    placeholder: empty,
  });
}

export function limitOf(input) {
  return Math.max(0, Math.trunc(Number(input.value) || 0));
}
