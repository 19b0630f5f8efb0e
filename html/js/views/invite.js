// A link by which a user sets a password: an invitation, or a reset. leave(account): the page goes on as
// `account`, the answer of GET /api/me; without one it starts anew.

import { api } from '../api.js';
import { brandMark, emit, h, icon } from '../dom.js';
import { otherLanguage, t } from '../i18n.js';
import { mountNewPassword } from '../components/new-password.js';
import { mountWaiting } from '../components/waiting.js';
import { wordsFor } from '../wording.js';

export function mountInvite(root, { invite, leave }) {
  const card = h('div', { class: 'login-card invite-card' });
  const waiting = mountWaiting();
  const element = h(
    'main',
    { class: 'login', id: 'main', tabindex: '-1' },
    h(
      'div',
      { class: 'login-brand' },
      brandMark(),
      h('span', { class: 'brand-name' }, 'Duolu'),
      h('span', { class: 'brand-name-zh', lang: 'zh-CN' }, '多路'),
    ),
    h('p', { class: 'login-lead' }, t('login.lead')),
    card,
    h(
      'button',
      {
        class: 'button button-quiet login-language',
        type: 'button',
        lang: otherLanguage() === 'zh' ? 'zh-CN' : 'en',
        onclick: () => emit(element, 'language', otherLanguage()),
      },
      icon('language'),
      h('span', {}, otherLanguage() === 'zh' ? '中文' : 'English'),
    ),
  );
  root.append(element);
  open();

  async function open() {
    card.replaceChildren(
      h('h1', { class: 'login-title' }, t('invite.title')),
      h('p', { role: 'status' }, t('invite.opening')),
      waiting.element,
    );
    try {
      // A link that was cut while it was copied is unknown to the service too: do not ask.
      if (!invite) showGone();
      else showForm(await waiting.during(() => api.openInvite(invite)));
    } catch (error) {
      if (!element.isConnected) return;
      if (error.status === 404) showGone();
      else showTrouble(error);
    }
  }

  function showGone() {
    card.replaceChildren(
      h('h1', { class: 'login-title' }, t('invite.goneTitle')),
      h('p', { role: 'alert' }, t('invite.gone')),
      h('button', { class: 'button button-primary button-wide', type: 'button', onclick: () => leave(null) },
        t('invite.signIn')),
    );
  }

  function showTrouble(error) {
    card.replaceChildren(
      h('h1', { class: 'login-title' }, t('invite.title')),
      h('p', { role: 'alert' }, wordsOf(error)),
      h('button', { class: 'button button-primary button-wide', type: 'button', onclick: open }, t('error.retry')),
    );
  }

  function showForm({ name, kind }) {
    if (!element.isConnected) return;
    const reset = kind === 'reset';
    const problem = h('p', { class: 'login-error', role: 'alert' });
    const submit = h('button', { class: 'button button-primary button-wide', type: 'submit' }, t('invite.submit'));
    // For password managers, which store the new password under this name.
    const user = h('input', { class: 'sr-only', type: 'text', name: 'name', autocomplete: 'username', value: name,
      readonly: true, tabindex: '-1', 'aria-hidden': 'true' });
    const form = h('form', { class: 'invite-form', novalidate: true, onsubmit });
    const password = mountNewPassword(form, { label: t('invite.password'), id: 'invite-password' });
    form.append(user, problem, waiting.element, submit);
    card.replaceChildren(
      h('h1', { class: 'login-title' }, t(reset ? 'invite.resetTitle' : 'invite.welcome', { name })),
      h('p', {}, t(reset ? 'invite.resetLead' : 'invite.lead')),
      h('p', { class: 'hint', hidden: reset }, t('invite.yourName', { name })),
      form,
    );
    password.input.focus();

    async function onsubmit(event) {
      event.preventDefault();
      problem.textContent = password.problem();
      if (problem.textContent) {
        password.input.focus();
        return;
      }
      submit.disabled = true;
      submit.textContent = t('login.working');
      try {
        await waiting.during(() => api.useInvite(invite, password.value()));
        // Over plain http the browser drops the cookie: then the login form says so.
        leave(await waiting.during(api.me).catch(() => null));
      } catch (error) {
        if (!element.isConnected) return;
        submit.disabled = false;
        submit.textContent = t('invite.submit');
        if (error.status === 404) showGone();
        else problem.textContent = wordsOf(error);
      }
    }
  }

  return { element, destroy: () => element.remove() };
}

function wordsOf(error) {
  if (error.status !== 429) return wordsFor(error);
  return t(error.code === 'busy' ? 'login.busy' : 'invite.tooMany', { seconds: error.retryAfter ?? 5 });
}
