// A dialog with one stream's recordings, oldest pages further down: choose many, then keep, free or delete them.

import { api } from '../api.js';
import { h, setText } from '../dom.js';
import { formatBytes, formatClock, formatDay, formatDuration } from '../format.js';
import { locale, t } from '../i18n.js';
import { actable, bytesOf } from '../storage.js';
import { wordsFor } from '../wording.js';
import { openDialog } from './dialog.js';

const perPage = 100;
const atOnce = 4;       // requests

/** Resolves to whether anything was changed. */
export async function chooseRecordings(stream) {
  const recordings = [];
  const chosen = new Set();
  let before = null;
  let changed = false;
  let closed = false;

  const all = h('input', { type: 'checkbox', class: 'checkbox', onchange: chooseAll });
  const allText = h('span', {}, t('storage.chooseAll'));
  const rows = h('ul', { class: 'choose-list' });
  const status = h('p', { class: 'hint choose-status', role: 'status' });
  const problem = h('p', { class: 'form-problem', role: 'alert' });
  const more = h(
    'button',
    { class: 'button button-small', type: 'button', hidden: true, onclick: load },
    t('storage.more'),
  );
  const keep = h('button', { class: 'button', type: 'button', onclick: () => act('keep') }, t('storage.keep'));
  const free = h('button', { class: 'button', type: 'button', onclick: () => act('free') }, t('storage.release'));
  const remove = h(
    'button',
    { class: 'button button-danger', type: 'button', onclick: () => askOrRemove() },
    t('storage.delete'),
  );
  const dialog = openDialog({
    title: t('storage.chooseTitle', { stream }),
    body: h('div', { class: 'choose' }, h('label', { class: 'check' }, all, allText), rows, more, status, problem),
    actions: [keep, free, remove],
  });

  load();
  await dialog.closed;
  closed = true;
  return changed;

  async function load() {
    more.disabled = true;
    problem.textContent = '';
    try {
      const query = { stream, limit: perPage, ...(before ? { before } : {}) };
      const answer = await dialog.during(() => api.recordings(query));
      if (closed) return;
      recordings.push(...answer.recordings);
      rows.append(...answer.recordings.map(row));
      before = answer.more ? answer.next : null;
      more.hidden = !before;
    } catch (error) {
      more.hidden = false;
      problem.textContent = wordsFor(error);
    }
    more.disabled = false;
    show();
  }

  function row(recording) {
    const { id, from, to, bytes } = recording;
    const onchange = () => { choose(id, box.checked); show(); };
    const box = h('input', { type: 'checkbox', class: 'checkbox', onchange });
    const badge = h('span', { class: 'chip', hidden: true });
    const element = h(
      'li',
      { data: { id: String(id) } },
      h(
        'label',
        { class: 'choose-row' },
        box,
        h(
          'span',
          { class: 'choose-when' },
          `${formatDay(from, locale())}, ${formatClock(from, locale(), { seconds: false })}`,
        ),
        badge,
        h('span', { class: 'choose-size' }, `${formatDuration((to ?? Date.now()) - from)} · ${formatBytes(bytes)}`),
      ),
    );
    Object.assign(recording, { element, box, badge });
    showBadge(recording);
    return element;
  }

  function showBadge({ keep: isKept, state, badge }) {
    badge.hidden = !isKept && state !== 'recording';
    setText(badge, isKept ? t('storage.kept') : t('storage.writing'));
  }

  function choose(id, is) {
    if (is) chosen.add(id);
    else chosen.delete(id);
  }

  function chooseAll() {
    for (const { id, box } of recordings) {
      box.checked = all.checked;
      choose(id, all.checked);
    }
    show();
  }

  function show() {
    all.checked = recordings.length > 0 && chosen.size === recordings.length;
    all.disabled = recordings.length === 0;
    for (const [button, action] of [[keep, 'keep'], [free, 'free'], [remove, 'remove']])
      button.disabled = actable(recordings, chosen, action).length === 0;
    remove.textContent = t('storage.delete');
    remove.dataset.sure = '';
    // Without an answer nobody knows whether there are any.
    const what = recordings.length ? 'storage.choose' : problem.textContent ? null : 'storage.noRecordings';
    const summary = chosen.size
      ? t('storage.chosen', { count: chosen.size, size: formatBytes(bytesOf(recordings, chosen)) })
      : what && t(what);
    setText(status, summary ?? '');
  }

  // The second click deletes: the first says how many.
  function askOrRemove() {
    if (remove.dataset.sure) {
      act('remove');
      return;
    }
    remove.dataset.sure = 'yes';
    remove.textContent = t('storage.deleteSure', { count: actable(recordings, chosen, 'remove').length });
  }

  async function act(action) {
    const ids = actable(recordings, chosen, action);
    const total = ids.length;
    const failures = [];
    problem.textContent = '';
    for (const button of [keep, free, remove]) button.disabled = true;
    const work = async () => {
      for (let id = ids.shift(); id !== undefined && !closed; id = ids.shift()) {
        await dialog.during(() => send(action, id)).then(() => { done(action, id); }, (error) => {
          failures.push(error);
          if (error.code === 'givenUp') ids.length = 0;     // the user has stopped waiting: no more of them
        });
        setText(status, t('storage.progress', { done: total - ids.length, total }));
      }
    };
    await Promise.all(Array.from({ length: atOnce }, work));
    show();
    const [why] = failures;
    if (why) problem.textContent = t('storage.failed', { count: failures.length, why: wordsFor(why) });
  }

  function send(action, id) {
    return action === 'remove' ? api.removeRecording(id) : api.keepRecording(id, action === 'keep');
  }

  function done(action, id) {
    changed = true;
    const at = recordings.findIndex((recording) => recording.id === id);
    const recording = recordings[at];
    recording.keep = action === 'keep';
    if (action !== 'remove') {
      showBadge(recording);
      return;
    }
    recording.element.remove();
    recordings.splice(at, 1);
    chosen.delete(id);
  }
}
