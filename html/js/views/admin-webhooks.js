// Webhooks: addresses that get the service's events. One card each, with what waits, what failed and the newest
// answer. The secret that signs is shown once.

import { api } from '../api.js';
import { field, limitInput, limitOf, userText } from '../components/admin-parts.js';
import { mountCopyField } from '../components/copy.js';
import { confirmDialog, formDialog, openDialog } from '../components/dialog.js';
import { h, icon, setText } from '../dom.js';
import { formatClock, formatDay } from '../format.js';
import { locale, t } from '../i18n.js';

const everyMs = 5000;
const testLookMs = 500;
const testWithinMs = 20_000;

export function mountWebhooks(root, { load, attempt, say }) {
  let events = [];
  let timer = null;
  let gone = false;
  const cards = new Map();      // id -> {element, update}
  const add = h('button', { class: 'button button-primary', type: 'button', disabled: true, onclick: () => edit(null) },
    icon('plus'), h('span', {}, t('hooks.add')));
  const body = h('ul', { class: 'hooks' });
  const empty = h('p', { class: 'hint', hidden: true }, t('hooks.none'));
  root.append(h('section', { class: 'hooks-part' },
    h('div', { class: 'hooks-head' }, h('h2', { class: 'panel-title' }, t('hooks.title')), add),
    h('p', { class: 'hint' }, t('hooks.lead')), empty, body));
  document.addEventListener('visibilitychange', onVisible);
  const request = load(api.webhooks, show);

  function onVisible() {
    if (document.visibilityState === 'visible') request.refresh();
  }

  function show(value) {
    if (gone) return;
    events = value.events;
    add.disabled = false;
    empty.hidden = value.webhooks.length > 0;
    const elements = value.webhooks.map(cardOf);
    for (const element of [...body.children]) if (!elements.includes(element)) element.remove();
    elements.forEach((element, index) => {
      if (body.children[index] !== element) body.insertBefore(element, body.children[index] ?? null);
    });
    clearTimeout(timer);
    if (document.visibilityState === 'visible') timer = setTimeout(() => request.refresh(), everyMs);
  }

  // A card is made once: only its figures change, so that its buttons keep the focus.
  function cardOf(hook) {
    if (!cards.has(hook.id)) cards.set(hook.id, makeCard(hook.id, { test, edit, renew, remove, showDead }));
    const card = cards.get(hook.id);
    card.update(hook);
    return card.element;
  }

  async function test(hook, status) {
    setText(status, t('hooks.testing'));
    const { done, value } = await attempt(() => api.testWebhook(hook.id));
    if (!done) return setText(status, '');
    const last = await resultOf(hook.id, value.delivery);
    if (!last) return setText(status, t('hooks.testLate'));
    return setText(status, last.error ? t('hooks.testFailed', { error: last.error })
      : t('hooks.testWorked', { status: last.status, ms: last.ms }));
  }

  async function resultOf(id, delivery) {
    for (const end = Date.now() + testWithinMs; Date.now() < end && !gone;) {
      const value = await api.webhooks().catch(() => null);
      const last = value?.webhooks.find((each) => each.id === id)?.last;
      if (value) show(value);
      if (last?.delivery === delivery) return last;
      await new Promise((resolve) => { setTimeout(resolve, testLookMs); });
    }
    return null;
  }

  async function edit(hook) {
    const url = h('input', {
      class: 'input', type: 'url', required: true, maxlength: '500', value: hook?.url ?? 'https://',
      pattern: 'https?://.+', spellcheck: 'false', autocapitalize: 'none', oninput: warn,
    });
    const plain = h('p', { class: 'hint hooks-plain', role: 'status' });
    const boxes = events.map((name) => h('input', {
      type: 'checkbox', class: 'checkbox', value: name, checked: hook ? hook.events.includes(name) : true,
    }));
    const minutes = limitInput(hook?.offline_minutes ?? 5, '5');
    const enabled = h('input', { type: 'checkbox', class: 'checkbox', checked: hook?.enabled ?? true });
    warn();

    function warn() {
      setText(plain, /^http:/i.test(url.value) ? t('hooks.plain') : '');
    }

    let made = null;
    const saved = await formDialog({
      title: hook ? t('hooks.edit') : t('hooks.add'),
      body: h('div', { class: 'form-fields' },
        field(t('hooks.url'), url, t('hooks.urlHint')), plain,
        h('fieldset', { class: 'hooks-events' },
          h('legend', { class: 'field-label' }, t('hooks.events')),
          ...boxes.map((box) => h('label', { class: 'check' }, box, h('span', {}, t(`hook.${box.value}`))))),
        field(t('hooks.minutes'), minutes, t('hooks.minutesHint')),
        h('label', { class: 'check' }, enabled, h('span', {}, t('hooks.enabled')))),
      save: async () => {
        const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
        const changes = {
          url: url.value.trim(), events: chosen, enabled: enabled.checked, offline_minutes: limitOf(minutes) || 5,
        };
        made = hook ? await api.editWebhook(hook.id, changes) : await api.addWebhook(changes);
      },
    });
    if (!saved) return;
    request.refresh();
    if (made.secret) await showSecret(made);
  }

  async function renew(hook) {
    const agreed = await confirmDialog({
      title: t('hooks.renewTitle'), text: t('hooks.renewText'), action: t('hooks.renew'),
    });
    if (!agreed) return;
    const { done, value } = await attempt(() => api.renewWebhookSecret(hook.id));
    if (done) await showSecret(value);
  }

  async function remove(hook) {
    const agreed = await confirmDialog({
      title: t('hooks.removeTitle', { url: hook.url }), text: t('hooks.removeText'), action: t('admin.remove'),
    });
    if (!agreed) return;
    const { done } = await attempt(() => api.removeWebhook(hook.id));
    if (done) say(t('hooks.removed'));
    request.refresh();
  }

  async function showDead(hook) {
    const { done, value } = await attempt(() => api.deadLetters(hook.id));
    if (!done) return;
    const dialog = openDialog({
      title: t('hooks.deadTitle'),
      body: h('div', { class: 'dead' },
        h('p', { class: 'hint' }, t('hooks.deadHint')),
        h('ul', { class: 'dead-list' }, ...value.dead.map(deadLetter))),
      actions: [
        h('button', { class: 'button', type: 'button', onclick: () => act(api.forgetDeadLetters, 'hooks.forgotten') },
          t('hooks.forget')),
        h('button', {
          class: 'button button-primary', type: 'button', onclick: () => act(api.retryDeadLetters, 'hooks.retried'),
        }, t('hooks.retry')),
      ],
    });

    async function act(send, words) {
      const result = await attempt(() => send(hook.id));
      dialog.close();
      if (result.done) say(t(words, { count: result.value.count }));
      request.refresh();
    }

    await dialog.closed;
  }

  return {
    destroy() {
      gone = true;
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', onVisible);
    },
  };
}

function makeCard(id, { test, edit, renew, remove, showDead }) {
  let hook = null;
  const url = h('h3', { class: 'hook-url' });
  const state = h('span', { class: 'badge' });
  const chips = h('p', { class: 'chips hook-events' });
  const figures = h('p', { class: 'hook-figures' });
  const last = h('p', { class: 'hook-last' });
  const result = h('p', { class: 'hook-result', role: 'status' });
  const button = (label, onclick) => h('button', { class: 'button button-small', type: 'button', onclick }, label);
  const dead = button('', () => showDead(hook));
  const element = h('li', { class: 'panel hook', data: { webhook: id } },
    h('div', { class: 'hook-head' }, url, state), chips, figures, last, result,
    h('div', { class: 'hook-actions' },
      button(t('hooks.test'), () => test(hook, result)), dead, button(t('admin.edit'), () => edit(hook)),
      button(t('hooks.renew'), () => renew(hook)), button(t('admin.remove'), () => remove(hook))));

  return {
    element,
    update(now) {
      hook = now;
      if (url.textContent !== now.url) url.replaceChildren(userText(now.url));
      state.dataset.state = now.enabled ? 'live' : 'offline';
      setText(state, t(now.enabled ? 'admin.enabled' : 'hooks.off'));
      setChips(chips, now);
      setText(figures, figuresOf(now));
      figures.hidden = !figures.textContent;
      setText(last, lastOf(now.last));
      last.dataset.failed = String(Boolean(now.last?.error));
      dead.hidden = now.dead === 0;
      setText(dead, t('hooks.dead', { count: now.dead }));
    },
  };
}

function setChips(chips, { events, offline_minutes: minutes }) {
  const words = events.map((name) =>
    (name === 'phone_offline' ? t('hooks.offlineAfter', { minutes }) : t(`hook.${name}`)));
  if (chips.dataset.words === words.join()) return;
  chips.dataset.words = words.join();
  chips.replaceChildren(...words.map((word) => h('span', { class: 'chip' }, word)));
}

function figuresOf({ waiting, dropped }) {
  return [waiting > 0 && t('hooks.waiting', { count: waiting }), dropped > 0 && t('hooks.dropped', { count: dropped })]
    .filter(Boolean).join(' · ');
}

const momentOf = (at) => `${formatDay(at, locale())} ${formatClock(at, locale())}`;

function lastOf(last) {
  if (!last) return t('hooks.nothingYet');
  const values = { event: t(`hook.${last.event}`), at: momentOf(last.at), status: last.status, error: last.error };
  return t(last.error ? 'hooks.lastFailed' : 'hooks.lastWorked', values);
}

function deadLetter({ event, payload, since, error, tries }) {
  return h('li', { class: 'dead-letter' },
    h('strong', {}, [t(`hook.${event}`), payload?.stream].filter(Boolean).join(' · ')),
    h('span', { class: 'hint' }, t('hooks.deadSince', { at: momentOf(since), tries })),
    h('span', { class: 'dead-error' }, error));
}

/** Shown once: the service never tells it again. */
function showSecret({ url, secret }) {
  const fields = h('div', { class: 'key-fields' });
  mountCopyField(fields, { label: t('hooks.secret'), value: secret, secret: true });
  return openDialog({
    title: t('hooks.secretTitle'),
    body: h('div', { class: 'key' },
      h('p', { class: 'notice notice-warning' }, t('hooks.secretOnce')), h('p', {}, userText(url)), fields,
      h('p', { class: 'hint' }, t('hooks.secretUse')),
      h('pre', { class: 'code', tabindex: '0' }, t('hooks.secretHow'))),
  }).closed;
}
