// The part of the account for the second step of a login: codes of an authenticator app, and recovery codes.

import { api } from '../api.js';
import { h } from '../dom.js';
import { t } from '../i18n.js';
import { loadQr } from '../qr-library.js';
import { wordsFor } from '../wording.js';
import { field } from './admin-parts.js';
import { mountCopyField } from './copy.js';
import { formDialog, openDialog } from './dialog.js';
import { mountWaiting } from './waiting.js';

/** changed(account): it was turned on or off; account is the answer of GET /api/me. */
export function mountSecondStep({ user, changed }) {
  const state = h('p', { class: 'account-done', role: 'status' });
  const problem = h('p', { class: 'account-problem', role: 'alert' });
  const waiting = mountWaiting();
  const button = h('button', { class: 'button', type: 'button', onclick });
  const element = h('section', { class: 'panel second-step' },
    h('h2', { class: 'panel-title' }, t('second.title')), h('p', { class: 'hint' }, t('second.lead')),
    state, button, problem, waiting.element);
  let on = user.totp;
  show();

  function show() {
    button.textContent = t(on ? 'second.off' : 'second.on');
    state.textContent = on ? t('second.isOn') : '';
  }

  async function onclick() {
    problem.textContent = '';
    try {
      if (!(await (on ? turnOff() : turnOn()))) return;
      const account = await waiting.during(api.me);
      on = account.totp;
      show();
      changed(account);
    } catch (error) {
      problem.textContent = wordsFor(error);
    }
  }

  return { element };
}

async function turnOn() {
  const begun = await askPassword();
  return begun !== null && confirmApp(begun);
}

async function askPassword() {
  let begun = null;
  const password = passwordField();
  await formDialog({
    title: t('second.on'),
    body: field(t('account.old'), password, t('second.passwordHint')),
    save: async () => { begun = await worded(() => api.beginSecondStep(password.value)); },
  });
  return begun;
}

async function confirmApp({ secret, url }) {
  const { generate } = await loadQr();
  let recovery = null;
  const canvas = h('canvas', { class: 'qr', role: 'img', 'aria-label': t('second.qr') });
  generate(url).toCanvas(canvas, { on: [13, 16, 19, 255], off: [255, 255, 255, 255] });
  const fields = h('div', { class: 'key-fields' });
  mountCopyField(fields, { label: t('second.secret'), value: secret, secret: true });
  const code = codeField();
  await formDialog({
    title: t('second.scanTitle'),
    body: h('div', { class: 'form-fields' },
      h('p', {}, t('second.scan')),
      h('div', { class: 'key-grid' }, h('div', { class: 'qr-frame' }, canvas), fields),
      field(t('login.code'), code, t('second.firstHint'))),
    save: async () => { ({ recovery } = await worded(() => api.confirmSecondStep(code.value.trim()))); },
  });
  if (!recovery) return false;
  await showRecovery(recovery);
  return true;
}

// Shown once: the service keeps only fingerprints.
async function showRecovery(codes) {
  const list = h('ul', { class: 'recovery' }, ...codes.map((code) => h('li', {}, code)));
  const copies = h('div', {});
  mountCopyField(copies, { label: t('second.all'), value: codes.join(' '), secret: true });
  await openDialog({
    title: t('second.recoveryTitle'),
    body: h('div', { class: 'form-fields' },
      h('p', { class: 'notice notice-warning' }, t('second.recovery')), list, copies),
  }).closed;
}

function turnOff() {
  const password = passwordField();
  const code = codeField();
  return formDialog({
    title: t('second.off'),
    body: h('div', { class: 'form-fields' },
      field(t('account.old'), password), field(t('login.code'), code, t('login.codeHint'))),
    save: () => worded(() => api.endSecondStep(password.value, code.value.trim())),
  });
}

function passwordField() {
  return h('input', { class: 'input', type: 'password', autocomplete: 'current-password', required: true });
}

function codeField() {
  return h('input', { class: 'input', autocomplete: 'one-time-code', autocapitalize: 'none', spellcheck: 'false',
    maxlength: '32', required: true });
}

const words = { wrong_password: 'account.wrong', bad_code: 'login.badCode', code_required: 'login.badCode' };

/** As work(); a failure that the user can mend has words of its own. */
async function worded(work) {
  try {
    return await work();
  } catch (error) {
    if (words[error.code]) error.words = t(words[error.code]);
    else if (error.status === 429) error.words = t('login.tooMany', { seconds: error.retryAfter ?? 5 });
    throw error;
  }
}
