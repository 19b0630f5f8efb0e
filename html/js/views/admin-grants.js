// The rights of users and groups on streams.

import { api } from '../api.js';
import { h, icon } from '../dom.js';
import { isolated } from '../format.js';
import { t } from '../i18n.js';
import { field, table, userText } from '../components/admin-parts.js';
import { confirmDialog } from '../components/dialog.js';

const rights = ['view', 'publish', 'replay', 'manage'];

export function mountGrants(root, { list, load, attempt, change }) {
  const user = h('select', { class: 'select', required: true });
  const stream = h('select', { class: 'select', required: true });
  const boxes = rights.map((right) =>
    h('input', { type: 'checkbox', class: 'checkbox', value: right, checked: right === 'view' }),
  );
  const rows = h('tbody', {});
  root.append(
    h(
      'form',
      { class: 'admin-form', onsubmit: add },
      field(t('admin.user'), user),
      field(t('admin.stream'), stream),
      h(
        'fieldset',
        { class: 'checks' },
        h('legend', { class: 'field-label' }, t('admin.rights')),
        ...boxes.map((box) => h('label', { class: 'check' }, box, h('span', {}, t(`right.${box.value}`)))),
      ),
      h('button', { class: 'button button-primary', type: 'submit' }, icon('plus'), h('span', {}, t('admin.addGrant'))),
    ),
    table(t('admin.grants'), [t('admin.user'), t('admin.stream'), t('admin.rights'), ''], rows),
  );
  list.addEventListener('change', setStreams);
  setStreams();
  load(api.users, (users) =>
    user.replaceChildren(
      ...users.filter((entry) => !entry.disabled).map((entry) => h('option', { value: entry.name }, entry.name)),
    ),
  );
  const grants = load(api.grants, show);

  function setStreams() {
    const ids = (list.streams ?? []).map((entry) => entry.id).sort();
    if (stream.dataset.signature === ids.join() || document.activeElement === stream) return;
    stream.dataset.signature = ids.join();
    const apps = [...new Set(ids.map((id) => id.split('/')[0]))];
    stream.replaceChildren(
      ...ids.map((id) => h('option', { value: id }, id)),
      ...apps.map((app) => h('option', { value: `${app}/` }, t('admin.wholeApp', { app }))),
    );
  }

  function show(value) {
    rows.replaceChildren(...value.map((grant) => {
      const target = grant.name ? `${grant.app}/${grant.name}` : t('admin.wholeApp', { app: grant.app });
      const who = grant.user ?? t('admin.group', { group: grant.group });
      return h(
        'tr',
        {},
        h('th', { scope: 'row' }, userText(who)),
        h('td', {}, userText(target)),
        h(
          'td',
          {},
          h(
            'span',
            { class: 'chips' },
            ...grant.rights.map((right) => h('span', { class: 'chip' }, t(`right.${right}`))),
          ),
        ),
        h(
          'td',
          { class: 'table-actions' },
          h(
            'button',
            {
              class: 'button button-small',
              type: 'button',
              'aria-label': `${t('admin.remove')}: ${isolated(who)}, ${isolated(target)}`,
              onclick: () => remove(grant, who, target),
            },
            t('admin.remove'),
          ),
        ),
      );
    }));
    if (!value.length)
      rows.replaceChildren(h('tr', {}, h('td', { class: 'table-empty', colspan: '4' }, t('admin.noGrants'))));
  }

  async function add(event) {
    event.preventDefault();
    const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
    if (!chosen.length) {
      boxes[0].focus();
      return;
    }
    const [app, name] = stream.value.split('/');
    const { done } = await attempt(() =>
      api.addGrant({ user: user.value, app, ...(name ? { name } : {}), rights: chosen }),
    );
    if (done) grants.refresh();
  }

  async function remove(grant, who, target) {
    if (
      !(await confirmDialog({
        title: t('admin.removeTitle', { who, target }),
        text: t('admin.removeText'),
        action: t('admin.remove'),
      }))
    )
      return;
    await change(() => api.removeGrant(grant));
    grants.refresh();
  }

  return { destroy: () => list.removeEventListener('change', setStreams) };
}
