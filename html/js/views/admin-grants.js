// The rights of users and groups on streams.

import { api } from '../api.js';
import { h, icon } from '../dom.js';
import { t } from '../i18n.js';
import { field, smallButton, userText } from '../components/admin-parts.js';
import { confirmDialog } from '../components/dialog.js';
import { pagedTable } from '../components/paged-table.js';

const rights = ['view', 'publish', 'replay', 'manage'];

export function mountGrants(root, { list, load, attempt, change, say }) {
  const user = h('select', { class: 'select', required: true });
  const stream = h('select', { class: 'select', required: true });
  const boxes = rights.map((right) =>
    h('input', { type: 'checkbox', class: 'checkbox', value: right, checked: right === 'view' }),
  );
  const rows = pagedTable({
    caption: t('admin.grants'),
    heads: [t('admin.user'), t('admin.stream'), t('admin.rights'), ''],
    search: t('admin.findGrant'),
    none: t('admin.noGrants'),
    keyOf: (grant) => JSON.stringify([grant.user, grant.group, grant.app, grant.name]),
    stateOf: (grant) => grant.rights.join(),
    textOf: (grant) => [holder(grant), target(grant), ...grant.rights.map((right) => t(`right.${right}`))].join(' '),
    row,
  });
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
    rows.element,
  );
  list.addEventListener('change', setStreams);
  setStreams();
  load(api.users, (users) =>
    user.replaceChildren(
      ...users.filter((entry) => !entry.disabled).map((entry) => h('option', { value: entry.name }, entry.name)),
    ),
  );
  const grants = load(api.grants, rows.show);

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

  function row(grant) {
    return h(
      'tr',
      {},
      h('th', { scope: 'row' }, userText(holder(grant))),
      h('td', {}, userText(target(grant))),
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
        smallButton(t('admin.remove'), `${holder(grant)}, ${target(grant)}`, () => remove(grant)),
      ),
    );
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
    if (!done) return;
    say(t('admin.grantAdded', { who: user.value, target: target({ app, name }) }));
    grants.refresh();
  }

  async function remove(grant) {
    if (
      !(await confirmDialog({
        title: t('admin.removeTitle', { who: holder(grant), target: target(grant) }),
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

const holder = (grant) => grant.user ?? t('admin.group', { group: grant.group });
const target = ({ app, name }) => (name ? `${app}/${name}` : t('admin.wholeApp', { app }));
