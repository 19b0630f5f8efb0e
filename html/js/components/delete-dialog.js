// Asks before a stream or a user is deleted, and says what becomes of the recordings.

import { api } from '../api.js';
import { h } from '../dom.js';
import { formatBytes } from '../format.js';
import { t } from '../i18n.js';
import { wordsFor } from '../wording.js';
import { openDialog } from './dialog.js';

/**
 * Asks, then runs remove('keep' or 'delete'); while it fails the dialog stays and says why. Resolves to the
 * service's answer, or null if the user changed their mind. recorded: {files, kept, bytes} of what goes.
 */
async function deleteDialog({ title, text, recorded, action, remove }) {
  let answer = null;
  const choice = (value, label, hint) => h(
    'label',
    { class: 'choice' },
    h('input', { type: 'radio', name: 'recordings', value, required: true }),
    h('span', {}, h('span', { class: 'choice-label' }, label), h('span', { class: 'field-hint' }, hint)),
  );
  const values = { count: recorded.files, bytes: formatBytes(recorded.bytes), kept: recorded.kept };
  const problem = h('p', { class: 'form-problem', role: 'alert' });
  const form = h(
    'form',
    { id: 'delete-form', class: 'form-fields', onsubmit },
    h('p', {}, text),
    recorded.files > 0 && h(
      'fieldset',
      { class: 'choices' },
      h('legend', { class: 'field-label' }, t('delete.recordings', values)),
      choice('keep', t('delete.keep'), t('delete.keepHint')),
      choice('delete', t('delete.delete'), t(recorded.kept ? 'delete.deleteKeptHint' : 'delete.deleteHint', values)),
    ),
    recorded.files === 0 && h('p', { class: 'hint' }, t('delete.none')),
    problem,
  );
  const submit = h('button', { class: 'button button-danger', type: 'submit', form: 'delete-form' }, action);
  const dialog = openDialog({
    title,
    body: form,
    actions: [h('button', { class: 'button', type: 'button', onclick: () => dialog.close() }, t('cancel')), submit],
  });

  async function onsubmit(event) {
    event.preventDefault();
    submit.disabled = true;
    problem.textContent = '';
    try {
      // Without recordings nothing is lost by either word.
      const recordings = new FormData(form).get('recordings') ?? 'keep';
      answer = await dialog.during(() => remove(recordings));
      dialog.close();
    } catch (error) {
      problem.textContent = wordsFor(error);
      submit.disabled = false;
    }
  }

  await dialog.closed;
  return answer;
}

/**
 * For the owner of the stream and admins; during() runs the call that comes before the dialog (waiting.js). Resolves to
 * the service's answer, or null; may throw an ApiError.
 */
export async function deleteStream({ app, name, id, title }, during) {
  return deleteDialog({
    title: t('delete.streamTitle', { name: title || id }),
    text: t('delete.streamText'),
    recorded: await during(() => api.streamStorage(app, name)),
    action: t('delete.stream'),
    remove: (recordings) => api.removeStream(app, name, recordings),
  });
}

/** As deleteStream(); person: the answer of api.person(). */
export function deletePerson(person) {
  const owned = person.streams
    .filter(({ why }) => why.some(({ by }) => by === 'owner'))
    .map(({ app, name }) => `${app}/${name}`);
  return deleteDialog({
    title: t('delete.personTitle', { name: person.display_name || person.name }),
    text: owned.length ? t('delete.personText', { streams: owned }) : t('delete.personTextNone'),
    recorded: person.storage,
    action: t('delete.person'),
    remove: (recordings) => api.removeUser(person.name, recordings),
  });
}
