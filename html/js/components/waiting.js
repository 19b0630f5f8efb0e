// "The server has not answered for 3 s", with a button that stops waiting for it.

import { h } from '../dom.js';
import { t } from '../i18n.js';
import { patiently } from '../patience.js';
import { countingText } from './counting-text.js';

// mountWaiting() -> {element, show, during}. show({ms, cancel}, request) as patiently() calls it, show(null, request)
// when that has its answer. during(send): patiently(send), shown here.
export function mountWaiting() {
  const waits = new Map();      // a request -> {ms, cancel}
  const text = countingText();
  const stop = h(
    'button',
    { class: 'button button-small', type: 'button', onclick: () => waits.forEach(({ cancel }) => cancel()) },
    t('error.stopWaiting'),
  );
  const element = h('div', { class: 'waiting', hidden: true }, text.element, stop);

  function show(slow, request) {
    if (slow) waits.set(request, slow);
    else waits.delete(request);
    element.hidden = waits.size === 0;
    const longest = Math.max(...[...waits.values()].map(({ ms }) => ms));
    text.show(waits.size ? (age) => t('error.slow', { age }) : null, longest);
  }

  return {
    element,
    show,
    during(send) {
      const request = {};
      return patiently(send, (slow) => show(slow, request));
    },
  };
}
