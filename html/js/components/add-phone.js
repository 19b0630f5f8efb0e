// "Add a phone": one field for a user, and for an admin whose it is; then the screen that sets it up.

import { api } from '../api.js';
import { h, setText } from '../dom.js';
import { t } from '../i18n.js';
import { nextLabel } from '../phone-links.js';
import { field } from './admin-parts.js';
import { formDialog } from './dialog.js';
import { showPhoneSetup } from './phone-setup.js';

const mostBytes = 64;   // of a label, in the database
const bytesOf = (text) => new TextEncoder().encode(text).length;

/** An admin may, and whoever owns a stream already: others only watch, and the service refuses them. */
export function mayAddPhone(user, streams) {
  return user.admin || Boolean(streams?.some((stream) => stream.owner === user.name));
}

/**
 * user: of GET /api/me; owner: whose phone, instead of the user's; stream: APP/NAME of a stream that the phone is
 * for, instead of one of its own. Resolves when all is closed.
 */
export async function openAddPhone({ user, list, publish = user.publish, owner = user.name, stream = null }) {
  const name = h('input', {
    class: 'input',
    required: true,
    maxlength: String(mostBytes),
    placeholder: t('phone.example'),
    autocomplete: 'off',
    oninput: () => name.setCustomValidity(bytesOf(name.value) > mostBytes ? t('phone.tooLong') : ''),
  });
  const whose = h('input', {
    class: 'input',
    required: true,
    maxlength: '64',
    pattern: '[A-Za-z0-9._@\\-]+',
    title: t('phone.nameRule'),
    value: owner,
    autocapitalize: 'none',
    autocomplete: 'off',
    spellcheck: 'false',
    list: 'phone-owners',
    oninput: showPerson,
  });
  const names = h('datalist', { id: 'phone-owners' });
  const person = h('p', { class: 'hint', role: 'status' });
  const asksWhose = user.admin && !stream;
  let users = null;   // the names of all, once known
  let answer = null;
  if (asksWhose) api.users().then(showUsers, () => {});

  function showUsers(all) {
    users = all.map((entry) => entry.name);
    names.replaceChildren(...users.map((value) => h('option', { value })));
    showPerson();
  }

  function isNew() {
    return Boolean(users) && whose.value !== '' && !users.includes(whose.value);
  }

  function showPerson() {
    setText(person, isNew() ? t('phone.newPerson', { name: whose.value }) : '');
  }

  const saved = await formDialog({
    title: t('phone.add'),
    submit: t('phone.next'),
    body: h('div', { class: 'form-fields' },
      field(t('phone.name'), name),
      asksWhose && field(t('phone.whose'), whose),
      asksWhose && names,
      asksWhose && person),
    async save() {
      const label = name.value.trim();
      if (stream) answer = await api.addPhone({ name: label, stream });
      else if (asksWhose) answer = await api.addPhone({ name: label, owner: whose.value, person: isNew() });
      else answer = await api.addPhone({ name: label });
    },
  });
  // One more phone of the same person is one more tap.
  const another = (phone) => api.addPhone({ name: nextLabel(phone.label), owner: phone.owner });
  for (let phone = saved ? answer : null; phone;) phone = await showPhoneSetup({ phone, list, publish, another });
}
