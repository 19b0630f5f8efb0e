// The login form. Event upward: 'login' with the answer of GET /api/me.

import { api } from '../api.js';
import { brandMark, emit, h, icon } from '../dom.js';
import { otherLanguage, t } from '../i18n.js';
import { wordsFor } from '../wording.js';
import { mountWaiting } from '../components/waiting.js';

const httpsPortGuess = 8443;

// over: the session of the user `name` expired while the page was open. isOverPage: the page stays below the form, and
// keeps its language.
export function mountLogin(root, { over, name: lastName, isOverPage = false }) {
  const waiting = mountWaiting();
  const error = h('p', { class: 'login-error', role: 'alert' });
  const name = h('input', {
    id: 'login-name',
    class: 'input',
    name: 'name',
    autocomplete: 'username',
    autocapitalize: 'none',
    spellcheck: 'false',
    required: true,
    maxlength: '64',
    value: lastName,
  });
  const password = h('input', {
    id: 'login-password',
    class: 'input',
    name: 'password',
    type: 'password',
    autocomplete: 'current-password',
    required: true,
    maxlength: '1024',
  });
  // Shown once the service has asked for it.
  const code = h('input', {
    id: 'login-code',
    class: 'input',
    name: 'code',
    autocomplete: 'one-time-code',
    autocapitalize: 'none',
    spellcheck: 'false',
    maxlength: '32',
  });
  const codeField = h('label', { class: 'field', hidden: true },
    h('span', { class: 'field-label' }, t('login.code')), code,
    h('span', { class: 'field-hint' }, t('login.codeHint')));
  const submit = h('button', { class: 'button button-primary button-wide', type: 'submit' }, t('login.submit'));
  const form = h('form', { class: 'login-card', onsubmit: logIn, novalidate: true },
    h('h1', { class: 'login-title' }, t('login.title')),
    over && h('p', { class: 'notice', role: 'status' }, t('login.over')),
    !window.isSecureContext && insecureNotice(),
    h('label', { class: 'field' }, h('span', { class: 'field-label' }, t('login.name')), name),
    h('label', { class: 'field' }, h('span', { class: 'field-label' }, t('login.password')), password),
    codeField,
    error,
    waiting.element,
    submit,
  );
  const element = h(
    isOverPage ? 'div' : 'main',
    { class: 'login' },
    h(
      'div',
      { class: 'login-brand' },
      brandMark(),
      h('span', { class: 'brand-name' }, 'Duolu'),
      h('span', { class: 'brand-name-zh', lang: 'zh-CN' }, '多路'),
    ),
    h('p', { class: 'login-lead' }, t('login.lead')),
    form,
    !isOverPage && h(
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
  (lastName ? password : name).focus();

  let waitTimer = null;

  async function logIn(event) {
    event.preventDefault();
    if (!name.value || !password.value) {
      showError(t('login.empty'));
      (name.value ? password : name).focus();
      return;
    }
    submit.disabled = true;
    submit.textContent = t('login.working');
    error.textContent = '';
    try {
      await waiting.during(() => api.login(name.value, password.value, code.value.trim()));
      // Over plain http the browser drops the cookie silently: check that the login holds.
      emit(element, 'login', await waiting.during(api.me));
    } catch (failure) {
      showFailure(failure);
    }
  }

  function showFailure(failure) {
    if (!element.isConnected) return;
    submit.textContent = t('login.submit');
    if (failure.status === 429) {
      holdFor(failure.retryAfter ?? 5, failure.code === 'busy' ? 'login.busy' : 'login.tooMany');
      return;
    }
    submit.disabled = false;
    if (failure.code === 'givenUp' || failure.code === 'cancelled') return;
    if (failure.code === 'code_required' || failure.code === 'bad_code') {
      showError(failure.code === 'bad_code' ? t('login.badCode') : '');
      codeField.hidden = false;
      code.select();
      code.focus();
      return;
    }
    if (failure.status === 401 && failure.retryAfter === null) {
      showError(t(window.isSecureContext ? 'login.wrong' : 'login.wrongOrInsecure'));
      password.select();
      password.focus();
    } else showError(wordsFor(failure));
  }

  // Too many tries, or a busy server: disable the form and count down.
  function holdFor(seconds, message) {
    submit.disabled = true;
    showError(t(message, { seconds }));
    clearTimeout(waitTimer);
    waitTimer = setTimeout(() => {
      if (!element.isConnected) return;
      if (seconds > 1) {
        holdFor(seconds - 1, message);
        return;
      }
      submit.disabled = false;
      error.textContent = '';
      (codeField.hidden ? password : code).focus();
    }, 1000);
  }

  function showError(text) {
    error.textContent = text;
  }

  return { element, destroy: () => { clearTimeout(waitTimer); element.remove(); } };
}

// The session cookie has the __Host- prefix: browsers keep it only from https or localhost.
function insecureNotice() {
  const url = new URL(location.href);
  url.protocol = 'https:';
  url.port = String(httpsPortGuess);
  return h(
    'div',
    { class: 'notice notice-warning', role: 'note' },
    icon('warning'),
    h(
      'div',
      {},
      h('p', {}, t('insecure.text')),
      h('p', {}, h('a', { href: url.href }, url.origin), ' ', t('insecure.port')),
    ),
  );
}
