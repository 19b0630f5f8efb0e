// Streams: an admin adds them, and managers change their settings, end their sessions
// and give them new keys.

import { api } from '../api.js';
import { h, icon } from '../dom.js';
import { formatBitrate } from '../format.js';
import { t } from '../i18n.js';
import { field, limitInput, limitOf, smallButton, userText } from '../components/admin-parts.js';
import { confirmDialog, formDialog } from '../components/dialog.js';
import { pagedTable } from '../components/paged-table.js';
import { showPhoneSetup } from '../components/phone-setup.js';

// Sorts cam2 before cam10.
const byName = new Intl.Collator(undefined, { numeric: true });

export function mountStreamsTab(root, { list, load, attempt, change, user }) {
  const rows = pagedTable({
    caption: t('admin.streams'),
    heads: [t('admin.stream'), t('admin.streamTitle'), t('admin.owner'), t('admin.limits'), t('admin.state'), ''],
    search: t('streams.filter'),
    none: t('admin.noStreams'),
    keyOf: (stream) => stream.id,
    stateOf: (stream) => JSON.stringify([stream.title, stream.owner, stream.state, stream.visibility, stream.record,
      stream.max_kbps, stream.max_viewers, stream.record_stopped]),
    textOf: (stream) => `${stream.id} ${stream.title} ${stream.owner} ${t(`state.${stream.state}`)}`,
    row,
  });
  if (user.admin) root.append(mountAddForm({ list, load, attempt, user }));
  root.append(rows.element);
  list.addEventListener('change', update);
  update();

  function update() {
    if (!list.streams) return;
    rows.show(list.streams
      .filter((stream) => user.admin || stream.rights.includes('manage'))
      .sort((a, b) => byName.compare(a.id, b.id)));
  }

  function row(stream) {
    return h(
      'tr',
      {},
      h('th', { scope: 'row' }, userText(stream.id)),
      h('td', {}, userText(stream.title)),
      h('td', {}, userText(stream.owner)),
      h('td', { class: 'table-limit', data: { label: t('admin.limits') } }, limitsText(stream)),
      h('td', {}, h('span', { class: 'badge', data: { state: stream.state } }, t(`state.${stream.state}`))),
      h(
        'td',
        { class: 'table-actions' },
        h(
          'div',
          { class: 'actions' },
          smallButton(t('admin.edit'), stream.id, () => edit(stream)),
          smallButton(t('admin.endAll'), stream.id, () => endAll(stream)),
          smallButton(t('admin.rotate'), stream.id, () => rotate(stream), icon('key')),
        ),
      ),
    );
  }

  // Only the owner or an admin may open a stream to everybody; a manager may leave it so.
  function mayOpen({ owner, visibility }) {
    return user.admin || owner === user.name || visibility === 'open';
  }

  async function edit(stream) {
    const title = h('input', { class: 'input', maxlength: '200', value: stream.title });
    const visibility = h(
      'select',
      { class: 'select' },
      ...['private', 'public', mayOpen(stream) && 'open'].filter(Boolean).map((value) =>
        h('option', { value, selected: value === stream.visibility }, t(`visibility.${value}`)),
      ),
    );
    const address = `${location.origin}/#/open/${stream.id.split('/').map(encodeURIComponent).join('/')}`;
    const openHint = h('span', {}, t('visibility.openAddress', { address }));
    const showHint = () => { openHint.hidden = visibility.value !== 'open'; };
    visibility.addEventListener('change', showHint);
    showHint();
    const record = h(
      'select',
      { class: 'select' },
      ...['never', 'always', 'demand'].map((value) =>
        h('option', { value, selected: value === stream.record }, t(`policy.${value}`)),
      ),
    );
    const kbps = limitInput(stream.max_kbps, t('admin.serverLimit'));
    const viewers = limitInput(stream.max_viewers, t('admin.noLimit'));
    const saved = await formDialog({
      title: t('admin.editStream', { name: stream.id }),
      body: h('div', { class: 'form-fields' },
        field(t('admin.streamTitle'), title), field(t('admin.visibility'), visibility, openHint),
        field(t('admin.record'), record, t('admin.recordHint')),
        // The limits protect the server, so only admins may change them, not managers of a stream.
        user.admin && field(t('admin.maxKbps'), kbps, t('admin.maxKbpsHint')),
        user.admin && field(t('admin.maxViewers'), viewers, t('admin.maxViewersHint'))),
      save: () => api.editStream(stream.app, stream.name, {
        title: title.value,
        visibility: visibility.value,
        record: record.value,
        ...(user.admin ? { max_kbps: limitOf(kbps), max_viewers: limitOf(viewers) } : {}),
      }),
    });
    if (saved) list.refresh();
  }

  async function endAll(stream) {
    if (
      !(await confirmDialog({
        title: t('admin.endAllTitle', { name: stream.id }),
        text: t('admin.endAllStream'),
        action: t('admin.endAll'),
      }))
    )
      return;
    await change(() => api.revokeStream(stream.app, stream.name));
  }

  async function rotate(stream) {
    if (
      !(await confirmDialog({
        title: t('admin.rotateTitle', { name: stream.id }),
        text: t('admin.rotateText'),
        action: t('admin.rotate'),
      }))
    )
      return;
    const { done, value } = await change(() => api.rotateKey(stream.app, stream.name));
    if (done) await showPhoneSetup({ phone: phoneOf(value, stream), list, publish: user.publish });
  }

  return { destroy: () => list.removeEventListener('change', update) };
}

// An answer with a new key of a stream, as the setup of a phone takes it.
function phoneOf(answer, { app, name, title }) {
  return { ...answer, stream: `${app}/${name}`, label: title || name };
}

function mountAddForm({ list, load, attempt, user }) {
  const app = h('input', {
    class: 'input',
    required: true,
    value: 'live',
    maxlength: '32',
    pattern: '[A-Za-z0-9_\\-]+',
    autocapitalize: 'none',
    spellcheck: 'false',
  });
  const name = h('input', {
    class: 'input',
    required: true,
    maxlength: '128',
    pattern: '[^\\s\\/?&#%"<>\\\\]+',
    title: t('admin.nameRule'),
    autocapitalize: 'none',
    spellcheck: 'false',
  });
  const title = h('input', { class: 'input', maxlength: '200' });
  const owner = h('input', {
    class: 'input',
    required: true,
    value: user.name,
    maxlength: '64',
    autocapitalize: 'none',
    spellcheck: 'false',
    list: 'owner-names',
  });
  const names = h('datalist', { id: 'owner-names' });
  const form = h(
    'form',
    { class: 'admin-form', onsubmit: add },
    field(t('admin.app'), app),
    field(t('admin.streamName'), name),
    field(t('admin.streamTitle'), title),
    field(t('admin.owner'), owner),
    names,
    h('button', { class: 'button button-primary', type: 'submit' }, icon('plus'), h('span', {}, t('admin.addStream'))),
  );
  load(api.users, (users) => names.replaceChildren(...users.map((entry) => h('option', { value: entry.name }))));

  async function add(event) {
    event.preventDefault();
    const stream = { app: app.value, name: name.value, title: title.value, owner: owner.value };
    const { done, value } = await attempt(() => api.addStream(stream), {
      409: t('admin.exists', { name: `${stream.app}/${stream.name}` }),
    });
    if (!done) return;
    form.reset();
    list.refresh();
    await showPhoneSetup({ phone: phoneOf(value, stream), list, publish: user.publish });
    name.focus();
  }

  return form;
}

function limitsText(stream) {
  const limits = [
    stream.max_kbps && `≤ ${formatBitrate(stream.max_kbps)}`,
    stream.max_viewers && t('admin.viewersMost', { count: stream.max_viewers }),
    stream.record_stopped && t('record.quota'),
  ].filter(Boolean);
  return limits.length ? limits.join(' · ') : t('admin.serverLimit');
}
