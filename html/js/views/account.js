// The own account: name, password, second step, and signing out on all devices. Events upward: 'logout', and 'account'
// with the answer of GET /api/me when the account has changed.

import { api } from '../api.js';
import { emit, h } from '../dom.js';
import { t } from '../i18n.js';
import { field } from '../components/admin-parts.js';
import { confirmDialog } from '../components/dialog.js';
import { mountSecondStep } from '../components/second-step.js';
import { mountNewPassword } from '../components/new-password.js';
import { mountWaiting } from '../components/waiting.js';
import { wordsFor } from '../wording.js';

export function mountAccount(root, { user }) {
  const element = h(
    'main',
    { class: 'page', id: 'main', tabindex: '-1' },
    h('div', { class: 'page-head' }, h('h1', { class: 'page-title' }, t('account.title'))),
    h(
      'div',
      { class: 'account' },
      namePanel(user, (account) => emit(element, 'account', account)),
      passwordPanel(user),
      mountSecondStep({ user, changed: (account) => emit(element, 'account', account) }).element,
      everywherePanel(() => emit(element, 'logout')),
    ),
  );
  root.append(element);
  return { element, destroy: () => element.remove() };
}

/** A titled part of the account. say(good, bad) tells the outcome; during(send) runs a call of the API. */
function panel(title, ...content) {
  const done = h('p', { class: 'account-done', role: 'status' });
  const problem = h('p', { class: 'account-problem', role: 'alert' });
  const waiting = mountWaiting();
  return {
    element: h('section', { class: 'panel' }, h('h2', { class: 'panel-title' }, title), ...content, done, problem,
      waiting.element),
    during: waiting.during,
    say(good, bad = '') {
      done.textContent = good;
      problem.textContent = bad;
    },
  };
}

function namePanel(user, renamed) {
  const input = h('input', {
    id: 'account-name',
    class: 'input',
    autocomplete: 'name',
    maxlength: '80',
    dir: 'auto',
    value: user.display_name,
    placeholder: user.name,
  });
  const submit = h('button', { class: 'button', type: 'submit' }, t('save'));
  const form = h('form', { novalidate: true, onsubmit },
    field(t('account.name'), input, t('account.nameHint')), submit);
  const part = panel(
    t('account.you'),
    h('p', { class: 'hint' }, `${t('account.userName')}: `, h('strong', {}, user.name)),
    form,
  );

  async function onsubmit(event) {
    event.preventDefault();
    part.say('');
    submit.disabled = true;
    try {
      const account = await part.during(() => api.setOwnName(input.value.trim()));
      input.value = account.display_name;
      part.say(t('account.named'));
      renamed(account);
    } catch (error) {
      part.say('', error.status === 400 ? t('account.nameRefused') : wordsFor(error));
    }
    submit.disabled = false;
  }

  return part.element;
}

function passwordPanel(user) {
  const old = h('input', {
    id: 'account-old',
    class: 'input',
    type: 'password',
    autocomplete: 'current-password',
    required: true,
  });
  // For password managers, which store the new password under this name.
  const name = h('input', { class: 'sr-only', type: 'text', autocomplete: 'username', value: user.name,
    readonly: true, tabindex: '-1', 'aria-hidden': 'true' });
  const submit = h('button', { class: 'button button-primary', type: 'submit' }, t('account.change'));
  const form = h('form', { novalidate: true, onsubmit },
    name, h('label', { class: 'field' }, h('span', { class: 'field-label' }, t('account.old')), old));
  const password = mountNewPassword(form, { label: t('invite.password'), id: 'account-new' });
  form.append(submit);
  const part = panel(t('account.password'), h('p', { class: 'hint' }, t('account.passwordLead')), form);

  async function onsubmit(event) {
    event.preventDefault();
    const problem = old.value ? password.problem() : t('account.wrong');
    if (problem) {
      part.say('', problem);
      (old.value ? password.input : old).focus();
      return;
    }
    part.say('');
    submit.disabled = true;
    try {
      const { warning } = await part.during(() => api.changePassword(old.value, password.value()));
      part.say(t('account.changed'), warning);
      old.value = '';
      password.reset();
    } catch (error) {
      part.say('', wordsOf(error));
      if (error.code === 'wrong_password') old.focus();
    }
    submit.disabled = false;
  }

  return part.element;
}

function everywherePanel(signedOut) {
  const button = h('button', { class: 'button', type: 'button', onclick }, t('account.everywhere'));
  const part = panel(t('account.everywhere'), h('p', { class: 'hint' }, t('account.everywhereLead')), button);

  async function onclick() {
    const agreed = await confirmDialog({
      title: t('account.everywhereTitle'),
      text: t('account.everywhereText'),
      action: t('account.everywhere'),
    });
    if (!agreed) return;
    button.disabled = true;
    try {
      await part.during(api.logoutEverywhere);
      signedOut();
    } catch (error) {
      part.say('', wordsFor(error));
      button.disabled = false;
    }
  }

  return part.element;
}

function wordsOf(error) {
  if (error.code === 'wrong_password') return t('account.wrong');
  if (error.code === 'changed') return t('account.conflict');
  if (error.status === 429)
    return t(error.code === 'busy' ? 'login.busy' : 'login.tooMany', { seconds: error.retryAfter ?? 5 });
  return wordsFor(error);
}
