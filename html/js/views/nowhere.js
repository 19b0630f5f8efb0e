// Shown for an unknown address, for one that this user may not open, and until the
// page knows whether the user may open it.

import { h, icon } from '../dom.js';
import { t } from '../i18n.js';

// reason: unknown | notYours | waiting
export function mountNowhere(root, { reason }) {
  const element = h(
    'main',
    { class: 'page', id: 'main', tabindex: '-1' },
    reason === 'waiting'
      ? h('div', { class: 'stream-skeleton', 'aria-hidden': 'true' }, h('div', {}), h('div', {}), h('div', {}))
      : h(
          'div',
          { class: 'empty' },
          h('div', { class: 'empty-icon' }, icon('search')),
          h('h1', { class: 'empty-title' }, t('nowhere.title')),
          h('p', {}, t(`nowhere.${reason}`)),
          h(
            'a',
            { class: 'button button-primary', href: '#/streams' },
            icon('streams'),
            h('span', {}, t('streams.title')),
          ),
        ),
  );
  root.append(element);
  return { element, destroy: () => element.remove() };
}
