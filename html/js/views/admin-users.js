// Users and their limits: streams published at once, and the quota of their recordings.

import { api } from '../api.js';
import { h, icon } from '../dom.js';
import { t } from '../i18n.js';
import { field, limitInput, limitOf, smallButton } from '../components/admin-parts.js';
import { confirmDialog, formDialog } from '../components/dialog.js';
import { showInviteLink } from '../components/invite-link.js';
import { personLink } from '../components/person-name.js';
import { pagedTable } from '../components/paged-table.js';

const gigabyte = 1e9;

export function mountUsers(root, { load, attempt, change, say, user }) {
  const name = h('input', {
    class: 'input',
    required: true,
    maxlength: '64',
    autocomplete: 'off',
    autocapitalize: 'none',
    spellcheck: 'false',
  });
  const password = h('input', {
    class: 'input',
    type: 'password',
    placeholder: t('person.inviteInstead'),
    minlength: '8',
    maxlength: '1024',
    autocomplete: 'new-password',
  });
  const admin = h('input', { type: 'checkbox', class: 'checkbox' });
  const rows = pagedTable({
    caption: t('admin.users'),
    heads: [t('login.name'), t('admin.role'), t('admin.maxPublishers'), t('admin.state'), ''],
    search: t('admin.findUser'),
    none: '',
    keyOf: (entry) => entry.name,
    stateOf: (entry) => JSON.stringify(entry),
    textOf: (entry) => [entry.name, entry.display_name, t(entry.admin ? 'admin.roleAdmin' : 'admin.roleUser'),
      t(entry.disabled ? 'admin.disabled' : 'admin.enabled')].join(' '),
    row,
  });
  const form = h('form', { class: 'admin-form', onsubmit: add },
    field(t('login.name'), name), field(t('login.password'), password),
    h('label', { class: 'check' }, admin, h('span', {}, t('admin.isAdmin'))),
    h('button', { class: 'button button-primary', type: 'submit' }, icon('plus'), h('span', {}, t('admin.addUser'))));
  root.append(form, rows.element);
  const users = load(api.users, rows.show);

  function row(entry) {
    return h(
      'tr',
      {},
      h('th', { scope: 'row' }, personLink(entry.name, entry.display_name)),
      h('td', {}, entry.admin ? t('admin.roleAdmin') : t('admin.roleUser')),
      h(
        'td',
        { class: 'table-limit', data: { label: t('admin.maxPublishers') } },
        entry.max_publishers ? String(entry.max_publishers) : t('admin.noLimit'),
      ),
      h(
        'td',
        {},
        h(
          'span',
          { class: 'badge', data: { state: entry.disabled ? 'offline' : 'live' } },
          t(entry.disabled ? 'admin.disabled' : entry.invited ? 'person.invited' : 'admin.enabled'),
        ),
      ),
      h(
        'td',
        { class: 'table-actions' },
        h(
          'div',
          { class: 'actions' },
          smallButton(t('admin.edit'), entry.name, () => edit(entry)),
          entry.name !== user.name &&
            !entry.disabled &&
            smallButton(t('admin.endUser'), entry.name, () => endAll(entry.name)),
          entry.name !== user.name &&
            (entry.disabled
              ? smallButton(t('admin.enable'), entry.name, () => enable(entry.name))
              : smallButton(t('admin.disable'), entry.name, () => disable(entry.name))),
        ),
      ),
    );
  }

  async function add(event) {
    event.preventDefault();
    // Without a password the user gets a link to set one.
    const how = password.value ? { password: password.value } : { invite: true };
    const { done, value } = await attempt(
      () => api.addUser({ name: name.value, ...how, admin: admin.checked }),
      { 409: t('admin.exists', { name: name.value }) },
    );
    if (!done) return;
    say(t('admin.userAdded', { name: name.value }));
    form.reset();
    users.refresh();
    if (value.invite) await showInviteLink({ name: value.name, invite: value.invite, reset: false });
    name.focus();
  }

  async function edit(entry) {
    const most = limitInput(entry.max_publishers, t('admin.noLimit'));
    const before = entry.rec_quota ? Math.max(1, Math.round(entry.rec_quota / gigabyte)) : 0;
    const quota = limitInput(before, t('admin.serverLimit'));
    const saved = await formDialog({
      title: t('admin.editUser', { name: entry.name }),
      body: h('div', { class: 'form-fields' },
        field(t('admin.maxPublishers'), most, t('admin.maxPublishersHint')),
        field(t('admin.recQuota'), quota, t('admin.recQuotaHint'))),
      save: () => api.editUser(entry.name, {
        max_publishers: limitOf(most),
        // Send the quota only if it was edited: the field rounds it to gigabytes.
        ...(limitOf(quota) === before ? {} : { rec_quota: limitOf(quota) * gigabyte }),
      }),
    });
    if (saved) users.refresh();
  }

  async function endAll(entry) {
    if (
      !(await confirmDialog({
        title: t('admin.endUserTitle', { name: entry }),
        text: t('admin.endAllUser'),
        action: t('admin.endUser'),
      }))
    )
      return;
    await change(() => api.revokeUser(entry));
  }

  async function disable(entry) {
    if (
      !(await confirmDialog({
        title: t('admin.disableTitle', { name: entry }),
        text: t('admin.disableText'),
        action: t('admin.disable'),
      }))
    )
      return;
    await change(() => api.disableUser(entry));
    users.refresh();
  }

  async function enable(entry) {
    const { done } = await attempt(() => api.enableUser(entry));
    if (done) say(t('admin.userEnabled', { name: entry }));
    users.refresh();
  }

  return {};
}
