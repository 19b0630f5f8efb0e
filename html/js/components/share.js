// The dialog in which a stream's owner, or a user who may manage it, decides who may watch it.

import { api } from '../api.js';
import { h, icon } from '../dom.js';
import { isolated } from '../format.js';
import { t } from '../i18n.js';
import { wordsFor } from '../wording.js';
import { openDialog } from './dialog.js';
import { personText } from './person-name.js';

const rights = ['view', 'replay', 'publish', 'manage'];

/**
 * stream: of the list; user: of GET /api/me; changed(): after each change of who can watch. Names that the user
 * may not list are typed.
 */
export function openShare({ stream, user, changed }) {
  const { app, name } = stream;
  const mayGiveManage = user.admin || stream.owner === user.name;
  const message = h('p', { class: 'form-problem', role: 'alert' });
  const news = h('p', { class: 'hint', role: 'status' });
  const rows = h('ul', { class: 'share-list' });
  const visibility = h(
    'select',
    { class: 'select', onchange: () => attempt(() => api.editStream(app, name, { visibility: visibility.value })) },
    ...['private', 'public'].map((value) =>
      h('option', { value, selected: value === stream.visibility }, t(`visibility.${value}`))),
  );
  const who = h('input', {
    class: 'input',
    required: true,
    maxlength: '64',
    autocapitalize: 'none',
    autocomplete: 'off',
    spellcheck: 'false',
    list: 'share-names',
  });
  const names = h('datalist', { id: 'share-names' });
  const boxes = rights
    .filter((right) => right !== 'manage' || mayGiveManage)
    .map((right) => h('input', { type: 'checkbox', class: 'checkbox', value: right, checked: right === 'view' }));
  const add = h('button', { class: 'button button-primary', type: 'submit' },
    icon('plus'), h('span', {}, t('share.add')));
  const form = h(
    'form',
    { class: 'share-form', onsubmit },
    h('label', { class: 'field' }, h('span', { class: 'field-label' }, t('share.who')), who,
      h('span', { class: 'field-hint' }, t(user.admin ? 'share.whoHint' : 'share.whoTyped'))),
    names,
    h(
      'fieldset',
      { class: 'share-rights' },
      h('legend', { class: 'field-label' }, t('share.may')),
      ...boxes.map((box) => h('label', { class: 'check' }, box, h('span', {}, t(`share.${box.value}`)))),
    ),
    add,
  );
  const dialog = openDialog({
    title: t('share.title', { name: stream.title || stream.id }),
    body: h(
      'div',
      { class: 'share' },
      h('label', { class: 'field' }, h('span', { class: 'field-label' }, t('share.open')), visibility),
      form,
      message,
      news,
      h('div', {}, h('h3', { class: 'panel-title' }, t('share.list')), rows),
    ),
  });
  show();
  if (user.admin) offerNames();

  async function offerNames() {
    const [users, groups] = await Promise.all([api.users(), api.groups()]).catch(() => [[], []]);
    names.replaceChildren(
      ...users.filter(({ disabled }) => !disabled)
        .map((entry) => h('option', { value: entry.name }, entry.display_name ?? '')),
      ...groups.map((group) => h('option', { value: `group:${group.name}` }, t('admin.group', { group: group.name }))),
    );
  }

  async function show() {
    try {
      const grants = await dialog.during(() => api.streamGrants(app, name));
      rows.replaceChildren(...ownRow(), ...grants.map(row));
    } catch (error) {
      message.textContent = wordsFor(error);
    }
  }

  function ownRow() {
    return [h('li', { class: 'share-row' }, personText(stream.owner, stream.owner_display),
      h('span', { class: 'share-what' }, t('share.owner')))];
  }

  function row(grant) {
    const label = grant.user ?? t('admin.group', { group: grant.group });
    // A manager may not take the right to manage: the service would refuse.
    const taken = grant.rights.filter((right) => right !== 'manage' || mayGiveManage);
    return h(
      'li',
      { class: 'share-row' },
      grant.user ? personText(grant.user, grant.user_display) : h('bdi', { class: 'user-text' }, label),
      h('span', { class: 'share-what' }, grant.rights.map((right) => t(`share.${right}`)).join(t('listSeparator'))),
      taken.length > 0 && h(
        'button',
        {
          class: 'button button-small',
          type: 'button',
          'aria-label': `${t('admin.remove')}: ${isolated(label)}`,
          onclick: () => attempt(() => api.removeGrant({ ...target(grant), rights: taken })),
        },
        t('admin.remove'),
      ),
    );
  }

  function target(grant) {
    return { ...(grant.user ? { user: grant.user } : { group: grant.group }), app, name };
  }

  async function onsubmit(event) {
    event.preventDefault();
    const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
    if (!chosen.length) {
      boxes[0].focus();
      return;
    }
    const group = /^group:(.+)$/.exec(who.value.trim())?.[1];
    const grantee = group ? { group } : { user: who.value.trim() };
    const done = await attempt(() => api.addGrant({ ...grantee, app, name, rights: chosen }));
    if (!done) return;
    who.value = '';
    who.focus();
  }

  async function attempt(work) {
    message.textContent = '';
    news.textContent = '';
    add.disabled = true;
    let done = true;
    try {
      const { ended = 0, warning } = await dialog.during(work);
      if (ended || warning)
        news.textContent = warning ?? t(ended === 1 ? 'admin.endedOne' : 'admin.ended', { count: ended });
      changed?.();
    } catch (error) {
      done = false;
      message.textContent = error.status === 404 ? t('share.unknown') : wordsFor(error);
    }
    add.disabled = false;
    await show();
    return done;
  }

  return dialog.closed;
}
