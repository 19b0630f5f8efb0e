// The sessions of publishers and viewers, each with a button that ends it. Fetches
// them every three seconds while the page is visible. Keeps one row per session, so
// that the button under a finger or in focus stays in place.

import { api } from '../api.js';
import { h, icon, setText } from '../dom.js';
import { formatBytes, formatDuration, isolated } from '../format.js';
import { t } from '../i18n.js';
import { emptyRow, smallButton, table, userText } from '../components/admin-parts.js';
import { confirmDialog } from '../components/dialog.js';

const everyMs = 3000;
const kinds = ['publish', 'view', 'replay', 'events'];
const badges = { publish: 'live', view: 'watching', replay: 'watching', events: 'offline' };
const protocols = { rtmp: 'RTMP', flv: 'HTTP-FLV', ws: 'WS-FLV', sse: 'SSE', mp4: 'MP4', file: 'HTTP', hls: 'HLS' };
const manyRows = 8;

export function mountSessions(root, { load, attempt }) {
  const rows = new Map();
  let sessions = [];
  let timer = null;
  const summary = h('p', { class: 'page-summary', role: 'status' });
  const filter = h('input', {
    class: 'input input-search',
    type: 'search',
    placeholder: t('sessions.filter'),
    'aria-label': t('sessions.filter'),
    hidden: true,
    oninput: show,
  });
  const body = h('tbody', {});
  const frame = table(
    t('admin.sessions'),
    [
      t('sessions.activity'),
      t('admin.stream'),
      t('sessions.user'),
      t('sessions.protocol'),
      t('sessions.age'),
      t('sessions.bytes'),
      '',
    ],
    body,
  );
  frame.classList.add('sessions');
  root.append(h('div', { class: 'sessions-head' }, summary, filter), frame);
  document.addEventListener('visibilitychange', onVisible);
  const request = load(api.sessions, (value) => {
    sessions = value.sort(inOrder);
    show();
    clearTimeout(timer);
    if (document.visibilityState === 'visible') timer = setTimeout(() => request.refresh(), everyMs);
  });

  function onVisible() {
    if (document.visibilityState === 'visible') request.refresh();
  }

  function show() {
    const wanted = filter.value.trim().toLowerCase();
    const shown = sessions.filter((session) =>
      `${session.stream} ${session.user} ${session.address} ${session.protocol}`.toLowerCase().includes(wanted),
    );
    const count = (kind) => sessions.filter((session) => session.kind === kind).length;
    const pages = count('events');
    setText(
      summary,
      [
        t('sessions.summary', { publishers: count('publish'), viewers: count('view') }),
        pages && t('sessions.browsing', { pages }),
      ]
        .filter(Boolean)
        .join(' · '),
    );
    filter.hidden = sessions.length <= manyRows && !wanted;
    place(shown);
  }

  function place(shown) {
    const keep = new Set(shown.map((session) => session.id));
    for (const id of rows.keys()) if (!keep.has(id)) rows.delete(id);
    const elements = shown.map((session) => {
      if (!rows.has(session.id)) rows.set(session.id, makeRow(session, end));
      const row = rows.get(session.id);
      row.update(session);
      return row.element;
    });
    const wanted = elements.length ? elements : [emptyRow(7, t('sessions.none'))];
    // Move a row only when out of place: moving an element takes its focus away.
    for (const element of [...body.children]) if (!wanted.includes(element)) element.remove();
    wanted.forEach((element, index) => {
      if (body.children[index] !== element) body.insertBefore(element, body.children[index] ?? null);
    });
  }

  async function end(session) {
    const agreed = await confirmDialog({
      title: t('sessions.endTitle', { who: session.user || session.address }),
      text: t(`end.${session.kind}`),
      action: t('sessions.end'),
    });
    if (!agreed) return;
    // 404: the session has ended already, which is no error.
    await attempt(() => api.kick(session.id).catch((error) => { if (error.status !== 404) throw error; }));
    request.refresh();
  }

  return {
    destroy() {
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', onVisible);
    },
  };
}

function inOrder(a, b) {
  return (
    kinds.indexOf(a.kind) - kinds.indexOf(b.kind) ||
    (a.stream ?? '').localeCompare(b.stream ?? '') ||
    b.age_ms - a.age_ms
  );
}

function makeRow(session, end) {
  const age = h('td', { class: 'session-age' });
  const bytes = h('td', { class: 'session-bytes' });
  const target = session.stream || t('sessions.page');
  const element = h(
    'tr',
    { data: { session: session.id, kind: session.kind } },
    h(
      'td',
      { class: 'session-kind' },
      h('span', { class: 'badge', data: { state: badges[session.kind] } }, t(`kind.${session.kind}`)),
    ),
    h('th', { scope: 'row' }, userText(target)),
    h(
      'td',
      { class: 'session-who' },
      h('span', { class: 'session-user' }, userText(session.user || '–')),
      h('span', { class: 'session-address' }, session.address),
    ),
    h('td', { class: 'session-protocol' }, protocols[session.protocol] ?? session.protocol),
    age,
    bytes,
    h(
      'td',
      { class: 'table-actions' },
      smallButton(
        t('sessions.end'),
        `${isolated(session.user || session.address)}, ${isolated(target)}`,
        () => end(session),
        icon('close'),
      ),
    ),
  );
  return {
    element,
    update(now) {
      setText(age, formatDuration(now.age_ms));
      setText(bytes, formatBytes(now.bytes));
    },
  };
}
