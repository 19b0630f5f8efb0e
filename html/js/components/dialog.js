// A modal <dialog> with a title, a body and buttons; its promise `closed` resolves when it closes, and its
// during(send) runs a call of the API and says if no answer comes (waiting.js).

import { h, icon } from '../dom.js';
import { t } from '../i18n.js';
import { wordsFor } from '../wording.js';
import { mountWaiting } from './waiting.js';

let nextId = 0;

export function openDialog({ title, body, actions = [] }) {
  const id = `dialog-${(nextId += 1)}`;
  const close = () => element.close();
  const waiting = mountWaiting();
  const element = h(
    'dialog',
    { class: 'dialog', 'aria-labelledby': id },
    h(
      'div',
      { class: 'dialog-head' },
      h('h2', { id }, title),
      h('button', { class: 'icon-button', type: 'button', 'aria-label': t('close'), onclick: close }, icon('close')),
    ),
    h('div', { class: 'dialog-body' }, body),
    waiting.element,
    h(
      'div',
      { class: 'dialog-actions' },
      ...(actions.length
        ? actions
        : [h('button', { class: 'button button-primary', type: 'button', onclick: close }, t('done'))]),
    ),
  );
  document.body.append(element);
  element.showModal();
  return {
    element,
    close,
    during: waiting.during,
    closed: new Promise((resolve) => {
      element.addEventListener('close', () => {
        element.remove();
        resolve();
      }, { once: true });
    }),
  };
}

/**
 * A dialog with a form; save() makes a call of the API. If it throws, the dialog stays open with all that was typed,
 * and shows the reason. Resolves to true once saved.
 */
export async function formDialog({ title, body, save, submit: label = t('save') }) {
  let saved = false;
  const id = `form-${(nextId += 1)}`;
  const problem = h('p', { class: 'form-problem', role: 'alert' });
  const submit = h('button', { class: 'button button-primary', type: 'submit', form: id }, label);
  const form = h('form', { id, onsubmit }, body, problem);
  form.querySelector('input:not([readonly]), select').autofocus = true;
  const dialog = openDialog({
    title,
    body: form,
    actions: [h('button', { class: 'button', type: 'button', onclick: () => dialog.close() }, t('cancel')), submit],
  });

  async function onsubmit(event) {
    event.preventDefault();
    submit.disabled = true;
    submit.textContent = t('saving');
    problem.textContent = '';
    try {
      await dialog.during(save);
      saved = true;
      dialog.close();
    } catch (error) {
      problem.textContent = wordsFor(error);
    }
    submit.disabled = false;
    submit.textContent = label;
  }

  await dialog.closed;
  return saved;
}

export async function confirmDialog({ title, text, action }) {
  let agreed = false;
  const dialog = openDialog({
    title,
    body: h('p', {}, text),
    actions: [
      h('button', { class: 'button', type: 'button', onclick: () => dialog.close() }, t('cancel')),
      h(
        'button',
        {
          class: 'button button-danger',
          type: 'button',
          onclick: () => {
            agreed = true;
            dialog.close();
          },
        },
        action,
      ),
    ],
  });
  await dialog.closed;
  return agreed;
}
