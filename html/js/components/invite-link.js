// Shows a link by which a user sets a password, once: the service keeps only its fingerprint.

import { h } from '../dom.js';
import { t } from '../i18n.js';
import { mountCopyField } from './copy.js';
import { openDialog } from './dialog.js';

/** invite: "/#/invite/TOKEN", of the service's answer; reset: the user has a password already. */
export function showInviteLink({ name, invite, reset }) {
  const url = new URL(invite, location.href).href;
  const text = t(reset ? 'person.resetText' : 'person.inviteText', { name });
  const body = h('div', { class: 'form-fields' }, h('p', {}, text));
  mountCopyField(body, { label: t('person.link'), value: url, secret: true });
  body.append(h('p', { class: 'hint' }, t('person.linkHint')));
  if (navigator.share) {
    body.append(h('button', { class: 'button', type: 'button',
      // Rejects when the user closes the share sheet: the link is still there to copy.
      onclick: () => navigator.share({ title: t('invite.title'), url }).catch(() => {}) }, t('person.share')));
  }
  return openDialog({ title: t(reset ? 'person.resetTitle' : 'person.inviteTitle', { name }), body }).closed;
}
