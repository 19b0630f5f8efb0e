// The list of recordings, filtered by stream, day and text. Each can be played and, with
// the rights for it, downloaded, kept and deleted.

import { api } from '../api.js';
import { confirmDialog } from '../components/dialog.js';
import { mountWaiting } from '../components/waiting.js';
import { h, icon, once, setText } from '../dom.js';
import { formatBytes, formatClock, formatDay, formatDuration, formatShortDay, isolated } from '../format.js';
import { locale, t } from '../i18n.js';
import { mayList } from '../live-events.js';
import { downloadName, groupRecordings, streamFolder } from '../recording-groups.js';
import { RetryingRequest } from '../retrying-request.js';
import { formatRoute } from '../route.js';
import { addDays, startOfDay } from '../timeline.js';
import { asOf, wordsFor } from '../wording.js';

const pageSize = 60;
const searchAfterMs = 300;
const refreshMs = 15_000;
// Sound may come before the first picture.
const firstPictureMs = 1000;

export function mountRecordings(root, { list, stream, day, q }) {
  const wanted = { stream, day, q };
  const search = h('input', {
    class: 'input input-search',
    type: 'search',
    value: q,
    placeholder: t('rec.search'),
    'aria-label': t('rec.search'),
    oninput: searchSoon,
  });
  const streams = h('select', {
    class: 'select rec-streams',
    'aria-label': t('rec.stream'),
    onchange: () => change({ stream: streams.value }),
  });
  const date = h('input', {
    class: 'input rec-day',
    type: 'date',
    value: day,
    max: dateText(Date.now()),
    'aria-label': t('rec.day'),
    onchange: () => change({ day: date.value }),
  });
  const summary = h('p', { class: 'page-summary', role: 'status' });
  const message = h('p', { class: 'admin-message', role: 'alert', hidden: true });
  const waiting = mountWaiting();
  const skeleton = h(
    'div',
    { class: 'stream-skeleton', 'aria-hidden': 'true' },
    h('div', {}),
    h('div', {}),
    h('div', {}),
  );
  const body = h('div', { class: 'rec-list' });
  const empty = h('div', { class: 'empty', hidden: true });
  const more = h(
    'button',
    { class: 'button', type: 'button', hidden: true, onclick: () => load({ append: true }) },
    t('rec.more'),
  );
  const element = h('main', { class: 'page', id: 'main', tabindex: '-1' },
    h('div', { class: 'page-head' },
      h('div', {}, h('h1', { class: 'page-title' }, t('rec.title')), summary),
      h('div', { class: 'page-actions rec-filters' }, search, streams, date)),
    message, waiting.element, skeleton, body, empty, h('div', { class: 'rec-more' }, more));
  root.append(element);

  let recordings = null;
  let next = null;          // cursor of the next page, from the last answer
  let open = new Set();     // sessions whose files are shown
  let timer = null;
  let appending = false;
  let takenAt = null;       // when the shown list came, ms
  const request = new RetryingRequest(() => api.recordings(query(appending)), take, showOutcome, showSlow);
  list.addEventListener('change', showStreams);
  const refresher = setInterval(
    () =>
      document.visibilityState === 'visible' &&
      recordings?.length <= pageSize &&
      !body.contains(document.activeElement) &&
      load({ quiet: true }),
    refreshMs,
  );
  showStreams();
  load();

  // ---- the query

  function searchSoon() {
    clearTimeout(timer);
    timer = setTimeout(() => change({ q: search.value.trim() }), searchAfterMs);
  }

  function change(changes) {
    Object.assign(wanted, changes);
    history.replaceState(null, '', formatRoute({ view: 'recordings', ...wanted }));
    open = new Set();
    load();
  }

  function query(append) {
    const from = wanted.day ? startOfDay(new Date(`${wanted.day}T00:00:00`)) : null;
    return Object.fromEntries(Object.entries({
      limit: pageSize,
      stream: wanted.stream,
      q: wanted.q,
      from,
      to: from === null ? null : addDays(from, 1),
      before: append ? next : null,
    }).filter(([, value]) => value !== '' && value !== null));
  }

  function load({ append = false, quiet = false } = {}) {
    appending = append;
    more.disabled = true;
    if (!append && !quiet) element.dataset.loading = '';
    request.refresh();
  }

  function take(answer) {
    recordings = appending ? [...recordings, ...answer.recordings] : answer.recordings;
    next = answer.next ?? null;
    takenAt = Date.now();
    more.hidden = !answer.more;
    show();
  }

  function showOutcome(error) {
    skeleton.hidden = true;
    more.disabled = false;
    delete element.dataset.loading;
    body.toggleAttribute('data-old', error !== null);
    if (error) showError(error, asOf(takenAt));
    else message.hidden = true;
  }

  function showSlow(slow) {
    waiting.show(message.hidden ? slow : null);
    if (slow) body.toggleAttribute('data-old', true);
  }

  // ---- the list

  function showStreams() {
    const known = (list.streams ?? [])
      .filter((entry) => mayList(entry) || entry.id === wanted.stream)
      .sort((a, b) => a.id.localeCompare(b.id));
    const signature = JSON.stringify(known.map((entry) => [entry.id, entry.title]));
    if (streams.dataset.signature === signature) return;
    streams.dataset.signature = signature;
    const missing = wanted.stream && !known.some((entry) => entry.id === wanted.stream);
    streams.replaceChildren(h('option', { value: '' }, t('rec.allStreams')),
      ...known.map((entry) => h('option', { value: entry.id }, entry.title || entry.id)),
      ...(missing ? [h('option', { value: wanted.stream }, wanted.stream)] : []));
    streams.value = wanted.stream;
  }

  function show() {
    const groups = groupRecordings(recordings);
    const bytes = recordings.reduce((sum, file) => sum + file.bytes, 0);
    setText(
      summary,
      recordings.length
        ? t(more.hidden ? 'rec.summary' : 'rec.summaryMore', { count: recordings.length, bytes: formatBytes(bytes) })
        : '',
    );
    const focus = document.activeElement?.dataset?.focus;
    body.replaceChildren(...groups.map(dayGroup));
    if (focus) body.querySelector(`[data-focus="${CSS.escape(focus)}"]`)?.focus();
    empty.hidden = recordings.length > 0;
    if (!empty.hidden) empty.replaceChildren(...emptyContent());
  }

  function emptyContent() {
    const narrowed = wanted.stream || wanted.day || wanted.q;
    return [
      h('div', { class: 'empty-icon' }, icon(narrowed ? 'search' : 'recordings')),
      h('h2', {}, t(narrowed ? 'rec.noMatch' : 'rec.none')),
      h('p', {}, t(narrowed ? 'rec.noMatchHint' : 'rec.noneHint')),
      narrowed && h('button', { class: 'button', type: 'button', onclick: showAll }, t('rec.showAll')),
    ].filter(Boolean);
  }

  function showAll() {
    search.value = '';
    date.value = '';
    streams.value = '';
    change({ stream: '', day: '', q: '' });
  }

  function dayGroup({ day: start, sessions }) {
    return h('section', { class: 'rec-day-group' },
      h('h2', { class: 'rec-day-title' }, dayTitle(start)),
      h('ul', { class: 'rec-sessions' }, ...sessions.map((session) => sessionRow(session))));
  }

  function sessionRow(session) {
    const [file] = session.files;
    const single = session.files.length === 1;
    const key = `${session.stream} ${session.session} ${startOfDay(session.from)}`;
    return h(
      'li',
      { class: 'rec-session', data: { state: session.state } },
      picture(session),
      h(
        'div',
        { class: 'rec-what' },
        h(
          'a',
          { class: 'rec-title', dir: 'auto', href: watchRoute(session), data: { focus: `play ${key}` } },
          session.title || session.stream,
        ),
        h('span', { class: 'rec-stream' }, `${isolated(session.stream)} · ${formats(session)}`),
      ),
      h(
        'div',
        { class: 'rec-when' },
        h('span', { class: 'rec-times' }, times(session)),
        formatDuration(lengthOf(session.files)),
      ),
      h('div', { class: 'rec-size' }, formatBytes(session.bytes)),
      h('div', { class: 'rec-state' }, stateBadge(session.state)),
      single
        ? fileActions(file)
        : h(
            'button',
            {
              class: 'button button-small rec-unfold',
              type: 'button',
              'aria-expanded': String(open.has(key)),
              data: { focus: `files ${key}` },
              onclick: once(() => unfold(key)),
            },
            t('rec.files', { count: session.files.length }),
          ),
      !single && open.has(key) && h('ul', { class: 'rec-files' }, ...session.files.map(fileRow)),
    );
  }

  function unfold(key) {
    if (!open.delete(key)) open.add(key);
    show();
  }

  function fileRow(file) {
    return h(
      'li',
      { class: 'rec-file' },
      h('a', { class: 'rec-times', href: watchRoute(file) }, times(file)),
      h('span', { class: 'rec-length' }, formatDuration(lengthOf([file]))),
      h('span', { class: 'rec-size' }, formatBytes(file.bytes)),
      h('span', { class: 'rec-state' }, stateBadge(file.state)),
      fileActions(file),
    );
  }

  // The picture at the session's start, or a dark field without one.
  function picture(session) {
    const last = session.files.at(-1);
    const image =
      last.url &&
      h('img', {
        class: 'rec-image',
        alt: '',
        loading: 'lazy',
        src: `${streamFolder(last)}thumb.jpg?at=${Math.min(last.from + firstPictureMs, last.to ?? Infinity)}`,
        onerror: () => image.remove(),
      });
    return h(
      'a',
      { class: 'rec-picture', href: watchRoute(session), tabindex: '-1', 'aria-hidden': 'true' },
      image,
      icon('play'),
    );
  }

  function stateBadge(state) {
    return h('span', { class: 'badge', data: { state } }, t(`recstate.${state}`));
  }

  function fileActions(file) {
    const label = `${isolated(file.title || file.stream)}, ${formatDay(file.from, locale())}, ${times(file)}`;
    const { manage } = file.can;
    return h(
      'div',
      { class: 'rec-actions' },
      file.state !== 'recording' &&
        file.url &&
        h(
          'a',
          {
            class: 'icon-button',
            href: file.url,
            download: downloadName(file),
            'aria-label': `${t('rec.download')}: ${label}`,
            title: t('rec.download'),
          },
          icon('download'),
        ),
      manage &&
        h(
          'button',
          {
            class: 'icon-button rec-keep',
            type: 'button',
            'aria-pressed': String(file.keep),
            'aria-label': `${t('rec.keep')}: ${label}`,
            title: t(file.keep ? 'rec.kept' : 'rec.keep'),
            data: { focus: `keep ${file.id}` },
            onclick: once(() => keep(file)),
          },
          icon('keep'),
        ),
      manage &&
        file.state !== 'recording' &&
        h(
          'button',
          {
            class: 'icon-button',
            type: 'button',
            disabled: file.keep,
            'aria-label': `${t('rec.delete')}: ${label}`,
            title: t(file.keep ? 'rec.keptTitle' : 'rec.delete'),
            data: { focus: `delete ${file.id}` },
            onclick: () => remove(file),
          },
          icon('remove'),
        ),
    );
  }

  // ---- changes

  async function attempt(work) {
    message.hidden = true;
    try {
      await waiting.during(work);
      return true;
    } catch (error) {
      showError(error);
      return false;
    }
  }

  function showError(error, more = '') {
    setText(message, `${wordsFor(error)} ${more}`.trim());
    message.hidden = false;
  }

  async function keep(file) {
    if (!await attempt(() => api.keepRecording(file.id, !file.keep))) return;
    recordings = recordings.map((entry) => (entry.id === file.id ? { ...entry, keep: !file.keep } : entry));
    show();
  }

  async function remove(file) {
    const text = t('rec.deleteText', {
      title: file.title || file.stream,
      day: dayTitle(startOfDay(file.from)),
      times: times(file),
    });
    if (!await confirmDialog({ title: t('rec.deleteTitle'), text, action: t('rec.delete') })) return;
    if (!await attempt(() => api.removeRecording(file.id))) return;
    recordings = recordings.filter((entry) => entry.id !== file.id);
    show();
    element.focus({ preventScroll: true });
  }

  return {
    element,
    destroy() {
      clearTimeout(timer);
      clearInterval(refresher);
      request.stop();
      list.removeEventListener('change', showStreams);
      element.remove();
    },
  };
}

function watchRoute({ stream, from }) {
  return formatRoute({ view: 'watch', stream, at: from });
}

// "Today" alone would not say which day it is, in a screenshot or a message.
function dayTitle(start) {
  const today = startOfDay(Date.now());
  const name = start === today ? 'replay.today' : start === addDays(today, -1) ? 'rec.yesterday' : null;
  return `${name ? `${t(name)} · ` : ''}${formatDay(start, locale())}`;
}

// The end has its day if that is another than the start's.
function times({ from, to }) {
  const start = formatClock(from, locale());
  if (to === null) return `${start} – ${t('rec.now')}`;
  const end = formatClock(to, locale());
  return `${start} – ${startOfDay(from) === startOfDay(to) ? '' : `${formatShortDay(to, locale())}, `}${end}`;
}

function formats({ files }) {
  return [...new Set(files.map(({ format }) => format.toUpperCase()))].join(', ');
}

function lengthOf(files) {
  return files.reduce((sum, { from, to }) => sum + (to ?? Date.now()) - from, 0);
}

function dateText(at) {
  const date = new Date(at);
  const two = (number) => String(number).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}
