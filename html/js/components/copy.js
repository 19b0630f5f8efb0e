// A read-only field with a copy button beside it.

import { h, icon } from '../dom.js';
import { t } from '../i18n.js';

const copiedShownMs = 2000;

export function mountCopyField(root, { label, value, secret = false }) {
  const input = h('input', {
    class: 'copy-text',
    type: 'text',
    readonly: true,
    value,
    spellcheck: 'false',
    'aria-label': label,
  });
  const status = h('span', { class: 'sr-only', role: 'status' });
  const button = h(
    'button',
    { class: 'button button-small', type: 'button', onclick: copy, 'aria-label': `${t('copy')}: ${label}` },
    icon('copy'),
    h('span', {}, t('copy')),
  );
  const element = h(
    'div',
    { class: 'copy-field', data: secret ? { secret: '' } : {} },
    h('span', { class: 'copy-label', 'aria-hidden': 'true' }, label),
    h('div', { class: 'copy-row' }, input, button, status),
  );
  root.append(element);
  input.addEventListener('focus', () => input.select());
  let timer = null;

  async function copy() {
    try {
      await navigator.clipboard.writeText(input.value);
    } catch {
      // No clipboard outside secure contexts: leave the text selected for Ctrl+C.
      input.focus();
      input.select();
      return;
    }
    button.replaceChildren(icon('check'), h('span', {}, t('copied')));
    status.textContent = t('copied');
    clearTimeout(timer);
    timer = setTimeout(() => {
      button.replaceChildren(icon('copy'), h('span', {}, t('copy')));
      status.textContent = '';
    }, copiedShownMs);
  }

  return {
    element,
    update(next) {
      if (input.value !== next && document.activeElement !== input) input.value = next;
    },
  };
}
