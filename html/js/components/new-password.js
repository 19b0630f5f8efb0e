// A field for a new password, with a box that shows it. Never limits the length in the field: a paste that is
// cut silently would be another password.

import { h } from '../dom.js';
import { t } from '../i18n.js';

const shortest = 8;             // bytes, as the service counts
const encoder = new TextEncoder();

export function mountNewPassword(root, { label, id }) {
  const hintId = `${id}-hint`;
  const input = h('input', {
    id,
    class: 'input',
    type: 'password',
    name: 'new-password',
    autocomplete: 'new-password',
    autocapitalize: 'none',
    spellcheck: 'false',
    required: true,
    'aria-describedby': hintId,
  });
  const show = h('input', { type: 'checkbox', class: 'checkbox', onchange: () => setShown(show.checked) });
  const element = h(
    'div',
    { class: 'new-password' },
    h('label', { class: 'field-label', for: id }, label),
    input,
    h('p', { class: 'field-hint', id: hintId }, t('invite.passwordHint')),
    h('label', { class: 'check' }, show, h('span', {}, t('invite.show'))),
  );
  root.append(element);

  function setShown(on) {
    input.type = on ? 'text' : 'password';
  }

  return {
    element,
    input,
    value: () => input.value,
    /** The reason why the service would refuse it, in words, or ''. */
    problem: () => (encoder.encode(input.value).length < shortest ? t('password.short') : ''),
    reset() {
      input.value = '';
      show.checked = false;
      setShown(false);
    },
  };
}
