// Users, streams and grants, for admins. One tab per noun, all alike: a form to
// add on top, the list below.

import { api } from '../api.js';
import { h, icon, setText } from '../dom.js';
import { t } from '../i18n.js';
import { adminTabs } from '../route.js';
import { confirmDialog } from '../components/dialog.js';
import { showPublishKey } from '../components/publish-key.js';

const rights = ['view', 'publish', 'replay', 'manage'];
const tabs = { users: mountUsers, streams: mountStreamsTab, grants: mountGrants };

export function mountAdmin(root, { list, tab, user }) {
  const message = h('p', { class: 'admin-message', role: 'alert', hidden: true });
  const nav = h('nav', { class: 'tabs', 'aria-label': t('nav.admin') },
    ...adminTabs.map((name) => h('a', { class: 'tab', href: `#/admin/${name}`, 'aria-current': name === tab ? 'page' : undefined }, t(`admin.${name}`))));
  const body = h('div', { class: 'admin-body' });
  const element = h('main', { class: 'page', id: 'main', tabindex: '-1' }, h('h1', { class: 'page-title' }, t('nav.admin')), nav, message, body);
  root.append(element);

  // Runs one change; what went wrong is said above the list, never swallowed.
  async function attempt(work, words = {}) {
    message.hidden = true;
    try {
      return { done: true, value: await work() };
    } catch (error) {
      if (!element.isConnected) return { done: false };
      setText(message, words[error.status] ?? (error.code === 'network' ? t('error.network') : t('error.other', { message: error.message })));
      message.hidden = false;
      return { done: false };
    }
  }

  const view = tabs[tab](body, { list, attempt, user });
  return { element, destroy: () => { view.destroy?.(); element.remove(); } };
}

function field(label, control) {
  return h('label', { class: 'field' }, h('span', { class: 'field-label' }, label), control);
}

function table(caption, heads, body) {
  return h('div', { class: 'table-frame', tabindex: '0', role: 'region', 'aria-label': caption },
    h('table', { class: 'table' }, h('caption', { class: 'sr-only' }, caption),
      h('thead', {}, h('tr', {}, ...heads.map((head) => (head ? h('th', { scope: 'col' }, head) : h('td', {}))))), body));
}

function mountUsers(root, { attempt, user }) {
  const name = h('input', { class: 'input', required: true, maxlength: '64', autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false' });
  const password = h('input', { class: 'input', type: 'password', required: true, minlength: '8', maxlength: '1024', autocomplete: 'new-password' });
  const admin = h('input', { type: 'checkbox', class: 'checkbox' });
  const rows = h('tbody', {});
  const form = h('form', { class: 'admin-form', onsubmit: add },
    field(t('login.name'), name), field(t('login.password'), password),
    h('label', { class: 'check' }, admin, h('span', {}, t('admin.isAdmin'))),
    h('button', { class: 'button button-primary', type: 'submit' }, icon('plus'), h('span', {}, t('admin.addUser'))));
  root.append(form, table(t('admin.users'), [t('login.name'), t('admin.role'), t('admin.state'), ''], rows));
  refresh();

  async function refresh() {
    const { done, value } = await attempt(api.users);
    if (!done) return;
    rows.replaceChildren(...value.map((entry) => h('tr', {},
      h('th', { scope: 'row' }, entry.name),
      h('td', {}, entry.admin ? t('admin.roleAdmin') : t('admin.roleUser')),
      h('td', {}, h('span', { class: 'badge', data: { state: entry.disabled ? 'offline' : 'live' } }, t(entry.disabled ? 'admin.disabled' : 'admin.enabled'))),
      h('td', { class: 'table-actions' }, !entry.disabled && entry.name !== user.name
        && h('button', { class: 'button button-small', type: 'button', 'aria-label': `${t('admin.disable')}: ${entry.name}`, onclick: () => disable(entry.name) }, t('admin.disable'))))));
  }

  async function add(event) {
    event.preventDefault();
    const { done } = await attempt(() => api.addUser({ name: name.value, password: password.value, admin: admin.checked }), { 409: t('admin.exists', { name: name.value }) });
    if (!done) return;
    form.reset();
    name.focus();
    refresh();
  }

  async function disable(entry) {
    if (!await confirmDialog({ title: t('admin.disableTitle', { name: entry }), text: t('admin.disableText'), action: t('admin.disable') })) return;
    await attempt(() => api.disableUser(entry));
    refresh();
  }

  return {};
}

function mountStreamsTab(root, { list, attempt, user }) {
  const app = h('input', { class: 'input', required: true, value: 'live', maxlength: '32', pattern: '[A-Za-z0-9_\\-]+', autocapitalize: 'none', spellcheck: 'false' });
  const name = h('input', { class: 'input', required: true, maxlength: '128', pattern: '[^\\s\\/?&#%"<>\\\\]+', title: t('admin.nameRule'), autocapitalize: 'none', spellcheck: 'false' });
  const title = h('input', { class: 'input', maxlength: '200' });
  const owner = h('input', { class: 'input', required: true, value: user.name, maxlength: '64', autocapitalize: 'none', spellcheck: 'false', list: 'owner-names' });
  const names = h('datalist', { id: 'owner-names' });
  const rows = h('tbody', {});
  const form = h('form', { class: 'admin-form', onsubmit: add },
    field(t('admin.app'), app), field(t('admin.streamName'), name), field(t('admin.streamTitle'), title), field(t('admin.owner'), owner), names,
    h('button', { class: 'button button-primary', type: 'submit' }, icon('plus'), h('span', {}, t('admin.addStream'))));
  root.append(form, table(t('admin.streams'), [t('admin.stream'), t('admin.streamTitle'), t('admin.owner'), t('admin.state'), ''], rows));
  list.addEventListener('change', update);
  update();
  attempt(api.users).then(({ value }) => names.replaceChildren(...(value ?? []).map((entry) => h('option', { value: entry.name }))));

  function update() {
    const streams = [...(list.streams ?? [])].sort((a, b) => a.id.localeCompare(b.id));
    const signature = JSON.stringify(streams.map((stream) => [stream.id, stream.title, stream.owner, stream.state]));
    if (rows.dataset.signature === signature) return;
    rows.dataset.signature = signature;
    rows.replaceChildren(...streams.map((stream) => h('tr', {},
      h('th', { scope: 'row' }, stream.id), h('td', {}, stream.title || '–'), h('td', {}, stream.owner),
      h('td', {}, h('span', { class: 'badge', data: { state: stream.state } }, t(`state.${stream.state}`))),
      h('td', { class: 'table-actions' }, h('button', { class: 'button button-small', type: 'button', 'aria-label': `${t('admin.rotate')}: ${stream.id}`, onclick: () => rotate(stream) }, icon('key'), h('span', {}, t('admin.rotate')))))));
    if (list.streams && !streams.length) rows.replaceChildren(h('tr', {}, h('td', { class: 'table-empty', colspan: '5' }, t('admin.noStreams'))));
  }

  async function add(event) {
    event.preventDefault();
    const stream = { app: app.value, name: name.value, title: title.value, owner: owner.value };
    const { done, value } = await attempt(() => api.addStream(stream), { 409: t('admin.exists', { name: `${stream.app}/${stream.name}` }) });
    if (!done) return;
    form.reset();
    list.refresh();
    await showPublishKey({ ...stream, answer: value });
    name.focus();
  }

  async function rotate(stream) {
    if (!await confirmDialog({ title: t('admin.rotateTitle', { name: stream.id }), text: t('admin.rotateText'), action: t('admin.rotate') })) return;
    const { done, value } = await attempt(() => api.rotateKey(stream.app, stream.name));
    if (done) await showPublishKey({ ...stream, answer: value });
  }

  return { destroy: () => list.removeEventListener('change', update) };
}

function mountGrants(root, { list, attempt }) {
  const user = h('select', { class: 'select', required: true });
  const stream = h('select', { class: 'select', required: true });
  const boxes = rights.map((right) => h('input', { type: 'checkbox', class: 'checkbox', value: right, checked: right === 'view' }));
  const rows = h('tbody', {});
  root.append(
    h('form', { class: 'admin-form', onsubmit: add },
      field(t('admin.user'), user), field(t('admin.stream'), stream),
      h('fieldset', { class: 'checks' }, h('legend', { class: 'field-label' }, t('admin.rights')),
        ...boxes.map((box) => h('label', { class: 'check' }, box, h('span', {}, t(`right.${box.value}`))))),
      h('button', { class: 'button button-primary', type: 'submit' }, icon('plus'), h('span', {}, t('admin.addGrant')))),
    table(t('admin.grants'), [t('admin.user'), t('admin.stream'), t('admin.rights'), ''], rows));
  list.addEventListener('change', setStreams);
  setStreams();
  attempt(api.users).then(({ value }) => user.replaceChildren(...(value ?? []).filter((entry) => !entry.disabled).map((entry) => h('option', { value: entry.name }, entry.name))));
  refresh();

  function setStreams() {
    const ids = (list.streams ?? []).map((entry) => entry.id).sort();
    if (stream.dataset.signature === ids.join() || document.activeElement === stream) return;
    stream.dataset.signature = ids.join();
    const apps = [...new Set(ids.map((id) => id.split('/')[0]))];
    stream.replaceChildren(...ids.map((id) => h('option', { value: id }, id)), ...apps.map((app) => h('option', { value: `${app}/` }, t('admin.wholeApp', { app }))));
  }

  async function refresh() {
    const { done, value } = await attempt(api.grants);
    if (!done) return;
    rows.replaceChildren(...value.map((grant) => {
      const target = grant.name ? `${grant.app}/${grant.name}` : t('admin.wholeApp', { app: grant.app });
      const who = grant.user ?? t('admin.group', { group: grant.group });
      return h('tr', {}, h('th', { scope: 'row' }, who), h('td', {}, target),
        h('td', {}, h('span', { class: 'chips' }, ...grant.rights.map((right) => h('span', { class: 'chip' }, t(`right.${right}`))))),
        h('td', { class: 'table-actions' }, h('button', { class: 'button button-small', type: 'button', 'aria-label': `${t('admin.remove')}: ${who}, ${target}`, onclick: () => remove(grant) }, t('admin.remove'))));
    }));
    if (!value.length) rows.replaceChildren(h('tr', {}, h('td', { class: 'table-empty', colspan: '4' }, t('admin.noGrants'))));
  }

  async function add(event) {
    event.preventDefault();
    const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
    if (!chosen.length) {
      boxes[0].focus();
      return;
    }
    const [app, name] = stream.value.split('/');
    const { done } = await attempt(() => api.addGrant({ user: user.value, app, ...(name ? { name } : {}), rights: chosen }));
    if (done) refresh();
  }

  async function remove(grant) {
    await attempt(() => api.removeGrant(grant));
    refresh();
  }

  return { destroy: () => list.removeEventListener('change', setStreams) };
}
