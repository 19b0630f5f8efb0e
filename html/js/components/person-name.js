// How a person is named: by the display name, with the user name beside it where admins must tell people apart.

import { h } from '../dom.js';
import { personName } from '../format.js';
import { formatRoute } from '../route.js';

/** Both names, if they differ. */
export function personText(name, display) {
  return h(
    'span',
    { class: 'person-name' },
    h('bdi', { class: 'user-text', title: personName(display, name) }, personName(display, name)),
    display && display !== name && h('span', { class: 'person-user' }, name),
  );
}

/** The same as a link to the person's page, which only admins may open. */
export function personLink(name, display) {
  return h('a', { class: 'person-link', href: formatRoute({ view: 'admin', tab: 'users', name }) },
    personText(name, display));
}
