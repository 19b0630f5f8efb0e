// Parts that the admin tabs share: labelled fields, tables, buttons, and the loader of their data.

import { h, setText } from '../dom.js';
import { isolated } from '../format.js';
import { t } from '../i18n.js';
import { RetryingRequest } from '../retrying-request.js';
import { asOf, wordsFor } from '../wording.js';
import { mountWaiting } from './waiting.js';

export function field(label, control, hint) {
  return h(
    'label',
    { class: 'field' },
    h('span', { class: 'field-label' }, label),
    control,
    hint && h('span', { class: 'field-hint' }, hint),
  );
}

export function table(caption, heads, body) {
  return h(
    'div',
    { class: 'table-frame', tabindex: '0', role: 'region', 'aria-label': caption },
    h(
      'table',
      { class: 'table' },
      h('caption', { class: 'sr-only' }, caption),
      h('thead', {}, h('tr', {}, ...heads.map((head) => (head ? h('th', { scope: 'col' }, head) : h('td', {}))))),
      body,
    ),
  );
}

/** A text that a user has entered: shows at most three lines, and all of it on hover. */
export function userText(text) {
  return h('bdi', { class: 'user-text', title: text }, text);
}

export function emptyRow(columns, text) {
  return h('tr', {}, h('td', { class: 'table-empty', colspan: String(columns) }, text));
}

export function smallButton(label, about, onclick, ...content) {
  return h(
    'button',
    { class: 'button button-small', type: 'button', 'aria-label': `${label}: ${isolated(about)}`, onclick },
    ...content,
    h('span', {}, label),
  );
}

/** A field for a whole number; empty is 0 and means what `empty` says. */
export function limitInput(value, empty) {
  return h('input', {
    class: 'input',
    type: 'number',
    min: '0',
    max: '10000000',
    step: '1',
    inputmode: 'numeric',
    value: value ? String(value) : '',
    placeholder: empty,
  });
}

export function limitOf(input) {
  return Math.max(0, Math.trunc(Number(input.value) || 0));
}

/**
 * Loads what `body` shows, and makes changes. After three seconds without an answer it says so, and the user can stop
 * waiting; after an error it says which, from when the shown data is, greys that, and tries again until it succeeds.
 * -> {notices: elements for above the body, load, attempt, change, say, destroy}
 */
export function mountLoader(body) {
  const message = h('p', { class: 'admin-message', role: 'alert', hidden: true });
  const news = h('p', { class: 'admin-news', role: 'status', hidden: true });
  const trouble = h('span', {});
  const again = h('button', { class: 'button button-small', type: 'button', onclick: retryFailed }, t('error.retry'));
  const missing = h('div', { class: 'admin-message admin-missing', role: 'alert', hidden: true }, trouble, again);
  const loading = mountWaiting();
  const changing = mountWaiting();
  const requests = new Map();     // a RetryingRequest -> {error, slow, takenAt}
  let isDestroyed = false;

  /** Loads data, retrying until it succeeds; refresh() of the returned request loads it again. */
  function load(send, take) {
    const state = { error: null, slow: null, takenAt: null };
    const set = (changes) => {
      Object.assign(state, changes);
      showState();
    };
    const request = new RetryingRequest(
      send,
      (value) => {
        set({ takenAt: Date.now() });
        take(value);
      },
      (error) => set({ error }),
      (slow) => set({ slow }),
    );
    requests.set(request, state);
    request.refresh();
    return request;
  }

  function showState() {
    const states = [...requests.values()];
    const failed = states.find(({ error }) => error);
    missing.hidden = !failed;
    if (failed) setText(trouble, [wordsFor(failed.error), asOf(failed.takenAt)].join(' ').trim());
    for (const [request, { slow }] of requests) loading.show(failed ? null : slow, request);
    body.toggleAttribute('data-old', states.some(({ error, slow }) => error || slow));
  }

  function retryFailed() {
    for (const [request, { error }] of requests) if (error) request.refresh();
  }

  /** Makes a change. Shows an error above the list; messages: texts for some statuses. */
  async function attempt(work, messages = {}) {
    message.hidden = true;
    news.hidden = true;
    try {
      return { done: true, value: await changing.during(work) };
    } catch (error) {
      if (!isDestroyed) show(message, messages[error.status] ?? wordsFor(error));
      return { done: false };
    }
  }

  function show(place, text) {
    setText(place, text);
    place.hidden = false;
  }

  /** As attempt(), for a change that may end sessions: shows how many it ended. */
  async function change(work) {
    const result = await attempt(work);
    const { ended = 0, warning } = result.value ?? {};
    if (result.done && (ended || warning))
      say(warning ?? t(ended === 1 ? 'admin.endedOne' : 'admin.ended', { count: ended }));
    return result;
  }

  function say(text) {
    show(news, text);
  }

  return {
    notices: [missing, loading.element, message, changing.element, news],
    load,
    attempt,
    change,
    say,
    destroy() {
      isDestroyed = true;
      for (const request of requests.keys()) request.stop();
    },
  };
}
