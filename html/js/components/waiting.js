// "The server has not answered for 3 s", with a button that stops waiting for it.

import { h } from '../dom.js';
import { t } from '../i18n.js';
import { countingText } from './counting-text.js';

// mountWaiting() -> {element, show}; show({ms, cancel}) as patiently() calls it, show(null) hides
export function mountWaiting() {
  let current = null;
  const text = countingText();
  const stop = h(
    'button',
    { class: 'button button-small', type: 'button', onclick: () => current?.cancel() },
    t('error.stopWaiting'),
  );
  const element = h('div', { class: 'waiting', hidden: true }, text.element, stop);
  return {
    element,
    show(slow) {
      current = slow;
      element.hidden = !slow;
      text.show(slow && ((age) => t('error.slow', { age })), slow?.ms);
    },
  };
}
