// Asks whether to end a session, and whether to take its user's access away, too: says which grant that takes, and
// what lets the user come back.

import { grantWithout } from '../access-taken.js';
import { h } from '../dom.js';
import { t } from '../i18n.js';
import { openDialog } from './dialog.js';

/** access: of accessOf(), or null. Resolves to null, or to the grants to take: [] for none. */
export async function askKick(session, access) {
  let answer = null;
  const who = session.user || session.address;
  const box = h('input', { type: 'checkbox', class: 'checkbox' });
  const dialog = openDialog({
    title: t('sessions.endTitle', { who }),
    body: h('div', { class: 'kick' },
      h('p', {}, t(`end.${session.kind}`)),
      access?.take.length > 0 && h('label', { class: 'check kick-take' }, box,
        h('span', {}, access.take.map((grant) => takeText(who, grant, access.right)).join(' '))),
      ...notesOf(who, access).map((note) => h('p', { class: 'hint' }, note))),
    actions: [
      h('button', { class: 'button', type: 'button', onclick: () => dialog.close() }, t('cancel')),
      h('button', { class: 'button button-danger', type: 'button', onclick: agree }, t('sessions.end')),
    ],
  });

  function agree() {
    answer = box.checked ? access.take.map((grant) => grantWithout(grant, access.right)) : [];
    dialog.close();
  }

  await dialog.closed;
  return answer;
}

function takeText(who, { app, name }, right) {
  return t('kick.take', {
    who,
    right: t(`right.${right}`),
    target: name ? `${app}/${name}` : t('admin.wholeApp', { app }),
  });
}

function notesOf(who, access) {
  if (!access) return [];
  const notes = [];
  if (access.isPublic) notes.push(t('kick.public'));
  if (access.owner) notes.push(t('kick.owner', { who }));
  else if (!access.take.length && !access.groups.length && !access.isPublic) notes.push(t('kick.none', { who }));
  if (access.groups.length) notes.push(t('kick.groups', { groups: access.groups }));
  return notes;
}
