// Groups of people, for admins: members, and what the group gives them. A tab of views/admin.js.

import { api } from '../api.js';
import { h, icon } from '../dom.js';
import { isolated } from '../format.js';
import { t } from '../i18n.js';
import { field } from '../components/admin-parts.js';
import { confirmDialog } from '../components/dialog.js';
import { personLink } from '../components/person-name.js';

const rights = ['view', 'replay', 'publish', 'manage'];

export function mountGroups(root, { list, load, attempt, change }) {
  const name = h('input', {
    class: 'input',
    required: true,
    maxlength: '64',
    pattern: '[A-Za-z0-9._@\\-]+',
    title: t('groups.nameRule'),
    autocomplete: 'off',
    autocapitalize: 'none',
    spellcheck: 'false',
  });
  const form = h('form', { class: 'admin-form', onsubmit: add },
    field(t('groups.name'), name, t('groups.nameRule')),
    h('button', { class: 'button button-primary', type: 'submit' }, icon('plus'), h('span', {}, t('groups.add'))));
  const cards = h('div', { class: 'groups' });
  root.append(h('p', { class: 'hint groups-lead' }, t('groups.lead')), form, cards);
  const known = { groups: null, users: [], grants: [] };
  const requests = {
    groups: load(api.groups, (value) => take('groups', value)),
    users: load(api.users, (value) => take('users', value)),
    grants: load(api.grants, (value) => take('grants', value.filter(({ group }) => group))),
  };

  function take(part, value) {
    known[part] = value;
    if (!known.groups) return;
    const focused = cards.contains(document.activeElement) && document.activeElement.getAttribute('aria-label');
    cards.replaceChildren(...known.groups.map(card));
    if (!known.groups.length) cards.replaceChildren(h('p', { class: 'hint' }, t('groups.none')));
    // The new cards must not take the keyboard's place away.
    if (focused) cards.querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus();
  }

  function card(group) {
    const others = known.users.filter((entry) => !group.members.some((member) => member.name === entry.name));
    return h(
      'section',
      { class: 'panel group', 'aria-label': t('admin.group', { group: group.name }) },
      h('div', { class: 'group-head' },
        h('h2', { class: 'group-name' }, h('bdi', {}, group.name)),
        h('button', { class: 'button button-small', type: 'button', onclick: () => remove(group),
          'aria-label': `${t('groups.delete')}: ${isolated(group.name)}` }, t('groups.delete'))),
      h('h3', { class: 'panel-title' }, t('groups.members')),
      group.members.length
        ? h('ul', { class: 'share-list' }, ...group.members.map((member) => memberRow(group, member)))
        : h('p', { class: 'hint' }, t('groups.noMembers')),
      others.length > 0 && addMember(group, others),
      h('h3', { class: 'panel-title' }, t('groups.grants')),
      grantsOf(group),
      addGrant(group),
    );
  }

  function memberRow(group, member) {
    return h('li', { class: 'share-row' }, personLink(member.name, member.display_name),
      removeButton(`${isolated(member.name)}, ${isolated(group.name)}`,
        () => changed(() => api.leaveGroup(group.name, member.name), 'groups')));
  }

  function addMember(group, others) {
    const select = h('select', { class: 'select', 'aria-label': t('groups.addMember', { group: group.name }) },
      ...others.map((entry) => h('option', { value: entry.name },
        entry.display_name ? `${isolated(entry.display_name)} (${entry.name})` : entry.name)));
    return h('form', { class: 'group-add', onsubmit: (event) => {
      event.preventDefault();
      changed(() => api.joinGroup(group.name, select.value), 'groups');
    } }, select, h('button', { class: 'button', type: 'submit',
      'aria-label': `${t('groups.join')}: ${isolated(group.name)}` }, t('groups.join')));
  }

  function grantsOf(group) {
    const grants = known.grants.filter((grant) => grant.group === group.name);
    if (!grants.length) return h('p', { class: 'hint' }, t('groups.noGrants'));
    return h('ul', { class: 'share-list' }, ...grants.map((grant) => {
      const target = grant.name ? `${grant.app}/${grant.name}` : t('admin.wholeApp', { app: grant.app });
      return h('li', { class: 'share-row' }, h('bdi', { class: 'user-text' }, target),
        h('span', { class: 'share-what' }, grant.rights.map((right) => t(`share.${right}`)).join(t('listSeparator'))),
        removeButton(`${isolated(target)}, ${isolated(group.name)}`,
          () => changed(() => api.removeGrant(grant), 'grants')));
    }));
  }

  function addGrant(group) {
    const ids = (list.streams ?? []).map(({ id }) => id).sort();
    const apps = [...new Set(ids.map((id) => id.split('/')[0]))];
    if (!ids.length) return null;
    const stream = h('select', { class: 'select', 'aria-label': t('groups.addGrant', { group: group.name }) },
      ...ids.map((id) => h('option', { value: id }, id)),
      ...apps.map((app) => h('option', { value: `${app}/` }, t('admin.wholeApp', { app }))));
    const boxes = rights.map((right) =>
      h('input', { type: 'checkbox', class: 'checkbox', value: right, checked: right === 'view' }));
    return h('form', { class: 'group-add', onsubmit: (event) => {
      event.preventDefault();
      const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
      if (!chosen.length) {
        boxes[0].focus();
        return;
      }
      const [app, only] = stream.value.split('/');
      const grant = { group: group.name, app, ...(only ? { name: only } : {}), rights: chosen };
      changed(() => api.addGrant(grant), 'grants');
    } }, stream,
    h('div', { class: 'share-rights', role: 'group', 'aria-label': t('admin.rights') },
      ...boxes.map((box) => h('label', { class: 'check' }, box, h('span', {}, t(`share.${box.value}`))))),
    h('button', { class: 'button', type: 'submit', 'aria-label': `${t('admin.addGrant')}: ${isolated(group.name)}` },
      t('admin.addGrant')));
  }

  function removeButton(about, onclick) {
    return h('button', { class: 'button button-small', type: 'button', onclick,
      'aria-label': `${t('admin.remove')}: ${about}` }, t('admin.remove'));
  }

  async function add(event) {
    event.preventDefault();
    const { done } = await attempt(() => api.addGroup(name.value), { 409: t('admin.exists', { name: name.value }) });
    if (!done) return;
    form.reset();
    requests.groups.refresh();
  }

  async function changed(work, part) {
    await change(work);
    requests[part].refresh();
  }

  async function remove(group) {
    if (!(await confirmDialog({
      title: t('groups.deleteTitle', { group: group.name }),
      text: t('groups.deleteText', { count: group.members.length }),
      action: t('groups.delete'),
    }))) return;
    await changed(() => api.removeGroup(group.name), 'groups');
    requests.grants.refresh();
  }

  return {};
}
