// One person, for admins: what the person may see and why, phones, open connections, storage, and what an admin
// does with an account. A tab of views/admin.js.

import { api } from '../api.js';
import { h, icon, setText } from '../dom.js';
import { formatBytes, formatDay, formatDuration, isolated, personName } from '../format.js';
import { locale, t } from '../i18n.js';
import { byRights, reasonKey } from '../rights-why.js';
import { formatRoute } from '../route.js';
import { emptyRow, field, smallButton, table, userText } from '../components/admin-parts.js';
import { confirmDialog, formDialog } from '../components/dialog.js';
import { deletePerson } from '../components/delete-dialog.js';
import { showInviteLink } from '../components/invite-link.js';

const connectionsEveryMs = 3000;

export function mountPerson(root, { load, attempt, change, user, name }) {
  const own = name === user.name;
  const title = h('h2', { class: 'person-title', dir: 'auto' }, name);
  const userName = h('span', { class: 'person-user' });
  const badges = h('span', { class: 'person-badges' });
  const actions = h('div', { class: 'person-actions' });
  const logins = h('p', { class: 'hint' });
  const parts = {
    streams: part('person.streams'),
    connections: part('person.connections'),
    phones: part('person.phones'),
    storage: part('person.storage'),
    groups: part('person.groups'),
  };
  root.append(
    h('a', { class: 'person-back', href: '#/admin/users' }, icon('back'), h('span', {}, t('person.all'))),
    h('div', { class: 'person-head' }, h('div', { class: 'person-names' }, title, userName, badges), actions),
    logins,
    h('div', { class: 'person-parts' }, ...Object.values(parts).map(({ element }) => element)),
  );
  let person = null;
  let timer = null;
  const request = load(() => api.person(name), show);
  const sessions = load(api.sessions, (value) => {
    showConnections(value.filter((session) => session.user === name));
    clearTimeout(timer);
    if (document.visibilityState === 'visible') timer = setTimeout(() => sessions.refresh(), connectionsEveryMs);
  });
  document.addEventListener('visibilitychange', onVisible);

  function onVisible() {
    if (document.visibilityState === 'visible') sessions.refresh();
  }

  function show(value) {
    person = value;
    setText(title, personName(person.display_name, person.name));
    setText(userName, person.display_name ? person.name : '');
    badges.replaceChildren(...badgesOf(person));
    actions.replaceChildren(...actionsOf(person));
    setText(logins, loginText(person));
    parts.streams.body.replaceChildren(...streamsOf(person));
    parts.phones.body.replaceChildren(phonesOf(person));
    parts.storage.body.replaceChildren(...storageOf(person));
    parts.groups.body.replaceChildren(...groupsOf(person));
  }

  function actionsOf({ disabled, invited, totp }) {
    const button = (key, onclick, kind = '') =>
      h('button', { class: `button button-small ${kind}`, type: 'button', onclick }, t(key));
    return [
      button('person.rename', rename),
      !disabled && button(invited ? 'person.invite' : 'person.reset', invite),
      !own && totp && button('second.off', endSecondStep),
      !own && !disabled && button('person.signOut', signOut),
      !own && (disabled ? button('admin.enable', enable) : button('admin.disable', disable)),
      !own && button('person.delete', remove, 'button-danger'),
    ].filter(Boolean);
  }

  async function rename() {
    const input = h('input', { class: 'input', maxlength: '80', dir: 'auto', value: person.display_name });
    const saved = await formDialog({
      title: t('person.renameTitle', { name }),
      body: field(t('account.name'), input, t('person.renameHint', { name })),
      save: () => api.editUser(name, { display_name: input.value.trim() }),
    });
    if (saved) request.refresh();
  }

  async function invite() {
    const { invited } = person;
    if (!invited && !(await confirmDialog({
      title: t('person.resetTitle', { name }),
      text: t('person.resetAsk'),
      action: t('person.makeLink'),
    }))) return;
    const { done, value } = await attempt(() => api.inviteUser(name));
    if (!done) return;
    request.refresh();
    await showInviteLink({ name, invite: value.invite, reset: !invited });
  }

  async function signOut() {
    if (await confirmDialog({
      title: t('admin.endUserTitle', { name }),
      text: t('admin.endAllUser'),
      action: t('person.signOut'),
    })) await changed(() => api.revokeUser(name));
  }

  async function endSecondStep() {
    if (await confirmDialog({
      title: t('second.offTitle', { name }),
      text: t('second.offText'),
      action: t('second.off'),
    })) await changed(() => api.endSecondStepOf(name));
  }

  async function disable() {
    if (await confirmDialog({
      title: t('admin.disableTitle', { name }),
      text: t('admin.disableText'),
      action: t('admin.disable'),
    })) await changed(() => api.disableUser(name));
  }

  async function enable() {
    await changed(() => api.enableUser(name));
  }

  async function remove() {
    if (await deletePerson(person)) location.hash = '#/admin/users';
  }

  async function changed(work) {
    await change(work);
    request.refresh();
    sessions.refresh();
  }

  function showConnections(list) {
    const none = h('p', { class: 'hint' }, t('person.noConnections'));
    const rows = list.map((session) => h(
      'li',
      { class: 'person-row', data: { session: session.id } },
      h('span', { class: 'badge', data: { state: session.kind === 'publish' ? 'live' : 'watching' } },
        t(`kind.${session.kind}`)),
      h('span', { class: 'person-row-main' }, userText(session.stream || t('sessions.page'))),
      h('span', { class: 'person-row-more' },
        `${session.address} · ${formatDuration(session.age_ms)} · ${formatBytes(session.bytes)}`),
      smallButton(t('sessions.end'), session.stream || t('sessions.page'), () => kick(session)),
    ));
    // Keep the list while a button in it has the focus: the next one comes in three seconds.
    if (parts.connections.body.contains(document.activeElement) && rows.length) return;
    parts.connections.body.replaceChildren(rows.length ? h('ul', { class: 'person-list' }, ...rows) : none);
  }

  async function kick(session) {
    if (!(await confirmDialog({
      title: t('sessions.endTitle', { who: personName(person?.display_name, name) }),
      text: t(`end.${session.kind}`),
      action: t('sessions.end'),
    }))) return;
    document.activeElement?.blur();
    // 404: the session has ended already, which is no error.
    await attempt(() => api.kick(session.id).catch((error) => { if (error.status !== 404) throw error; }));
    sessions.refresh();
  }

  return {
    destroy() {
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', onVisible);
    },
  };
}

function part(key) {
  const body = h('div', {});
  return { body, element: h('section', { class: 'panel' }, h('h3', { class: 'panel-title' }, t(key)), body) };
}

function badgesOf({ admin, disabled, invited, totp }) {
  const badge = (state, key) => h('span', { class: 'badge', data: { state } }, t(key));
  return [
    admin && badge('watching', 'admin.roleAdmin'),
    disabled && badge('offline', 'admin.disabled'),
    invited && badge('grace', 'person.invited'),
    totp && badge('live', 'second.title'),
  ].filter(Boolean);
}

function loginText({ invited, invite, logins }) {
  const until = invite && formatDay(invite.expires * 1000, locale());
  if (invited) return t(invite ? 'person.invitedUntil' : 'person.invitedOver', { day: until });
  return [t(logins === 1 ? 'person.loginOne' : 'person.logins', { count: logins }),
    invite && t('person.resetUntil', { day: until })].filter(Boolean).join(' ');
}

function streamsOf({ admin, streams, more }) {
  const rows = h('tbody', {}, ...byRights(streams).map((stream) => {
    const id = `${stream.app}/${stream.name}`;
    return h(
      'tr',
      {},
      h('th', { scope: 'row' },
        h('a', { href: formatRoute({ view: 'watch', stream: id }) }, userText(stream.title || id)),
        stream.title && h('span', { class: 'person-user' }, id)),
      h('td', {}, h('span', { class: 'chips' },
        ...stream.rights.map((right) => h('span', { class: 'chip' }, t(`right.${right}`))),
        stream.rights.length === 0 && h('span', { class: 'hint' }, t('person.noRights')))),
      h('td', { class: 'person-why' }, ...stream.why.map((why) => h('span', {}, reasonText(why)))),
    );
  }));
  if (!streams.length) rows.append(emptyRow(3, t('person.noStreams')));
  return [
    admin && h('p', { class: 'notice' }, t('person.everything')),
    (streams.length > 0 || !admin) &&
      table(t('person.streams'), [t('admin.stream'), t('person.may'), t('person.why')], rows),
    more && h('p', { class: 'hint' }, t('person.more', { count: streams.length })),
  ].filter(Boolean);
}

function reasonText(why) {
  const rights = (why.rights ?? []).map((right) => t(`right.${right}`)).join(t('listSeparator'));
  return t(reasonKey(why), { group: why.group ?? '', app: why.app ?? '', rights });
}

function phonesOf({ keys }) {
  if (!keys.length) return h('p', { class: 'hint' }, t('person.noPhones'));
  return h('ul', { class: 'person-list' }, ...keys.map((key) => h(
    'li',
    { class: 'person-row' },
    icon('key'),
    h('span', { class: 'person-row-main' }, userText(key.label || t('person.unnamedPhone'))),
    h('span', { class: 'person-row-more' }, `${isolated(`${key.app}/${key.name}`)} · ${seenText(key.seen)}`),
  )));
}

function seenText(seen) {
  return seen ? t('person.seen', { day: formatDay(seen, locale()) }) : t('person.neverSeen');
}

function storageOf({ storage, rec_quota: quota, streams }) {
  if (!storage.files) return [h('p', { class: 'hint' }, t('delete.none'))];
  const owned = streams.filter(({ why }) => why.some(({ by }) => by === 'owner'));
  return [
    h('p', {}, t(quota ? 'person.usedOf' : 'person.used',
      { bytes: formatBytes(storage.bytes), quota: formatBytes(quota), count: storage.files })),
    quota > 0 && h('meter', { class: 'person-meter', min: '0', max: String(quota), value: String(storage.bytes),
      'aria-label': t('person.storage') }),
    ...owned.map(({ app, name }) => h('p', {},
      h('a', { href: formatRoute({ view: 'recordings', stream: `${app}/${name}` }) },
        t('person.recordingsOf', { stream: `${app}/${name}` })))),
  ].filter(Boolean);
}

function groupsOf({ groups }) {
  return [
    groups.length
      ? h('p', { class: 'chips' }, ...groups.map((group) => h('span', { class: 'chip' }, h('bdi', {}, group))))
      : h('p', { class: 'hint' }, t('person.noGroups')),
    h('p', {}, h('a', { href: '#/admin/groups' }, t('person.editGroups'))),
  ];
}
