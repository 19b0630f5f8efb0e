// Shown for an unknown address, one that this user may not open, or one whose right
// is not known yet.

import { h, icon } from '../dom.js';
import { t } from '../i18n.js';

// why: unknown | notYours | waiting
export function mountNowhere(root, { why }) {
  const element = h(
    'main',
    { class: 'page', id: 'main', tabindex: '-1' },
    why === 'waiting'
      ? h('div', { class: 'stream-skeleton', 'aria-hidden': 'true' }, h('div', {}), h('div', {}), h('div', {}))
      : h(
          'div',
          { class: 'empty' },
          h('div', { class: 'empty-icon' }, icon('search')),
          h('h1', { class: 'empty-title' }, t('nowhere.title')),
          h('p', {}, t(`nowhere.${why}`)),
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
