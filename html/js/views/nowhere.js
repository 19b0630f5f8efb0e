// Shown for an unknown address, for one that this user may not open, until the page knows
// whether the user may open it, while a view loads, and when it cannot be loaded.

import { h, icon } from '../dom.js';
import { t } from '../i18n.js';
import { mountWaiting } from '../components/waiting.js';

// mountNowhere(root, {reason}) -> {element, reason, during, destroy}. reason: unknown | notYours | waiting | loading |
// failed. during(send): what it waits for (waiting.js).
export function mountNowhere(root, { reason }) {
  const waiting = mountWaiting();
  const element = h('main', { class: 'page', id: 'main', tabindex: '-1' }, waiting.element, contentFor(reason));
  root.append(element);
  return { element, reason, during: waiting.during, destroy: () => element.remove() };
}

function contentFor(reason) {
  if (reason === 'waiting')
    return h('div', { class: 'stream-skeleton', 'aria-hidden': 'true' }, h('div', {}), h('div', {}), h('div', {}));
  // The style sheet shows it only if it takes a while.
  if (reason === 'loading')
    return h(
      'div',
      { class: 'loading', role: 'status' },
      h('div', { class: 'spinner' }),
      h('span', { class: 'sr-only' }, t('nowhere.loading')),
    );
  const isFailed = reason === 'failed';
  return h(
    'div',
    { class: 'empty' },
    h('div', { class: 'empty-icon' }, icon(isFailed ? 'warning' : 'search')),
    h('h1', { class: 'empty-title' }, t(isFailed ? 'nowhere.failedTitle' : 'nowhere.title')),
    h('p', { role: isFailed && 'alert' }, t(`nowhere.${reason}`)),
    // A newer page on the server has other files than this one asks for.
    isFailed
      ? h(
          'button',
          { class: 'button button-primary', type: 'button', onclick: () => location.reload() },
          t('error.retry'),
        )
      : h(
          'a',
          { class: 'button button-primary', href: '#/streams' },
          icon('streams'),
          h('span', {}, t('streams.title')),
        ),
  );
}
