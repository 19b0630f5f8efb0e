// Phones: those of the streams that the user manages; an admin's, all.

import { h, icon } from '../dom.js';
import { t } from '../i18n.js';
import { mayAddPhone, openAddPhone } from '../components/add-phone.js';
import { mountPhoneList } from '../components/phone-list.js';

export function mountPhonesTab(root, { list, load, change, user }) {
  root.append(h('div', { class: 'phones-head' },
    h('p', { class: 'hint' }, t('phone.lead')),
    mayAddPhone(user, list.streams) && h('button',
      { class: 'button button-primary', type: 'button', onclick: add }, icon('plus'), h('span', {}, t('phone.add')))));
  const phones = mountPhoneList(root, { list, load, change, publish: user.publish });

  async function add() {
    await openAddPhone({ user, list });
    phones.refresh();
  }

  return phones;
}
