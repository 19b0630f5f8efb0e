// The dialog that makes a link to a span of a stream's recordings, or to the stream live, for people without an
// account; and lists the stream's links.

import { api } from '../api.js';
import { lifetimeParts, lifetimes, linkAddress } from '../clip-times.js';
import { h, icon } from '../dom.js';
import { formatDuration } from '../format.js';
import { t } from '../i18n.js';
import { wordsFor } from '../wording.js';
import { field } from './admin-parts.js';
import { mountCopyField } from './copy.js';
import { openDialog } from './dialog.js';
import { formatMoment, mountLinks, spanText } from './links.js';

/** kind: clip | live. The service decides; this only hides a button that it would refuse. */
export function maySend(stream, kind) {
  return Boolean(stream?.rights.includes('manage') && stream.rights.includes(kind === 'clip' ? 'replay' : 'view'));
}

function lifetimeOptions([usual, ...others]) {
  return [usual, ...others].sort((a, b) => a - b).map((seconds) => {
    const { unit, count } = lifetimeParts(seconds);
    return h('option', { value: String(seconds), selected: seconds === usual }, t(`send.${unit}`, { count }));
  });
}

// span: {from, to} for a clip; null: live
export function openSend({ stream, span }) {
  const kind = span ? 'clip' : 'live';
  const lifetime = h('select', { class: 'select', onchange: showUntil }, ...lifetimeOptions(lifetimes[kind]));
  const until = h('span', { class: 'send-until', role: 'status' });
  const label = h('input', {
    class: 'input', type: 'text', maxlength: '200', autocomplete: 'off', dir: 'auto',
    placeholder: stream.title || stream.name,
  });
  const password = h('input', {
    class: 'input', type: 'text', maxlength: '256', autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false',
    placeholder: t('send.noPassword'),
  });
  const problem = h('p', { class: 'form-problem', role: 'alert' });
  const submit = h(
    'button',
    { class: 'button button-primary', type: 'submit' },
    icon('link'),
    h('span', {}, t('send.make')),
  );
  const form = h(
    'form',
    { class: 'send-form', onsubmit: make },
    h(
      'div',
      { class: 'send-fields' },
      field(t('send.lifetime'), lifetime, until),
      field(t('send.label'), label),
      field(t('send.password'), password, t('send.passwordHint')),
    ),
    problem,
    h('div', { class: 'send-submit' }, submit),
  );
  const result = h('div', { class: 'send-result', hidden: true });
  const body = h('div', { class: 'send' }, h('p', { class: 'send-what' }, whatText()), form, result);
  showUntil();
  const dialog = openDialog({
    title: t(span ? 'send.clipTitle' : 'send.liveTitle'),
    body,
    // Not primary: that is the form's.
    actions: [h('button', { class: 'button', type: 'button', onclick: () => dialog.close() }, t('close'))],
  });
  const links = mountLinks(body, { ...stream, during: dialog.during });
  lifetime.focus();

  function whatText() {
    if (!span) return t('send.live');
    return `${spanText({ kind, ...span })} · ${formatDuration(span.to - span.from)}`;
  }

  function showUntil() {
    until.textContent = t('links.until', { moment: formatMoment(Date.now() + lifetime.value * 1000) });
  }

  async function make(event) {
    event.preventDefault();
    submit.disabled = true;
    problem.textContent = '';
    try {
      const wanted = { kind, ...span, lifetime: Number(lifetime.value), label: label.value.trim() };
      const link = await dialog.during(() =>
        api.addLink(stream.app, stream.name, { ...wanted, password: password.value }));
      show(link, linkAddress(link.link, location.href));
      links.refresh();
    } catch (error) {
      problem.textContent = error.code === 'bad_password' ? t('send.passwordHint') : wordsFor(error);
    }
    submit.disabled = false;
  }

  function show(link, address) {
    form.hidden = true;
    result.hidden = false;
    result.replaceChildren();
    mountCopyField(result, { label: t('send.link'), value: address });
    const hints = [
      t('send.made', { moment: formatMoment(link.expires) }),
      link.kind === 'clip' && isWider(link) && t('send.widened', { span: spanText(link) }),
      link.password && t('send.tellPassword'),
    ];
    result.append(...hints.filter(Boolean).map((text) => h('p', { class: 'hint' }, text)));
    const title = link.label || stream.title || stream.name;
    if (navigator.share) result.append(shareButton({ title, url: address }));
    copy(address);
    result.querySelector('.copy-text').focus();
  }

  // Recordings are cut at key frames: the link shows up to some seconds more than was marked.
  function isWider(link) {
    return link.from < span.from - 999 || link.to > span.to + 999;
  }

  // Where this is refused, the field with its button is there.
  function copy(address) {
    const copied = h('p', { class: 'send-copied', role: 'status' }, icon('check'), h('span', {}, t('send.copied')));
    navigator.clipboard?.writeText(address).then(() => result.prepend(copied), () => {});
  }

  function shareButton(what) {
    return h(
      'button',
      { class: 'button button-wide', type: 'button', onclick: () => navigator.share(what).catch(() => {}) },
      icon('share'),
      h('span', {}, t('send.away')),
    );
  }

  return dialog;
}
