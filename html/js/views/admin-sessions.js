// The sessions of publishers and viewers, each with a button that ends it and, on request, takes the access that it
// uses. Fetches them every three seconds while the page is visible.

import { accessOf } from '../access-taken.js';
import { api } from '../api.js';
import { h, icon, setText } from '../dom.js';
import { formatBytes, formatDuration, isolated } from '../format.js';
import { t } from '../i18n.js';
import { smallButton, userText } from '../components/admin-parts.js';
import { askKick } from '../components/kick-dialog.js';
import { pagedTable } from '../components/paged-table.js';

const everyMs = 3000;
const kinds = ['publish', 'view', 'replay', 'events'];
const badges = { publish: 'live', view: 'watching', replay: 'watching', events: 'offline' };
const protocols = { rtmp: 'RTMP', flv: 'HTTP-FLV', ws: 'WS-FLV', sse: 'SSE', mp4: 'MP4', file: 'HTTP', hls: 'HLS' };

export function mountSessions(root, { list, load, attempt, change, user }) {
  let timer = null;
  const summary = h('p', { class: 'page-summary', role: 'status' });
  const rows = pagedTable({
    caption: t('admin.sessions'),
    heads: [
      t('sessions.activity'), t('admin.stream'), t('sessions.user'), t('sessions.protocol'), t('sessions.age'),
      t('sessions.bytes'), '',
    ],
    search: t('sessions.filter'),
    none: t('sessions.none'),
    head: [summary],
    keyOf: (session) => session.id,
    stateOf: (session) => `${session.kind} ${session.stream} ${session.user}`,
    textOf: ({ stream, user: name, user_display: display, address, protocol, kind }) =>
      [stream, name, display, address, protocol, t(`kind.${kind}`)].join(' '),
    row: (session) => makeRow(session, end),
    fresh: showFigures,
  });
  rows.element.classList.add('sessions');
  root.append(rows.element);
  document.addEventListener('visibilitychange', onVisible);
  const request = load(api.sessions, (value) => {
    showSummary(value);
    rows.show(value.sort(inOrder));
    clearTimeout(timer);
    if (document.visibilityState === 'visible') timer = setTimeout(() => request.refresh(), everyMs);
  });

  function onVisible() {
    if (document.visibilityState === 'visible') request.refresh();
  }

  function showSummary(sessions) {
    const count = (kind) => sessions.filter((session) => session.kind === kind).length;
    const pages = count('events');
    setText(summary, [
      t('sessions.summary', { publishers: count('publish'), viewers: count('view') }),
      pages && t('sessions.browsing', { pages }),
    ].filter(Boolean).join(' · '));
  }

  // Managers see the grants of their streams alone, admins those of whole apps, too.
  async function accessFor(session) {
    if (!session.stream || session.kind === 'events') return null;
    const [app, name] = session.stream.split('/');
    const grants = await (user.admin ? api.grants() : api.streamGrants(app, name));
    return accessOf(session, grants, list.find(session.stream));
  }

  async function end(session) {
    const found = await attempt(() => accessFor(session));
    const taken = found.done ? await askKick(session, found.value) : null;
    if (!taken) return;
    for (const grant of taken) await change(() => api.removeGrant(grant));
    // 404: the session has ended already, which is no error.
    const kick = () => api.kick(session.id).catch((error) => { if (error.status !== 404) throw error; });
    await (taken.length ? kick().catch(() => {}) : attempt(kick));
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
  const target = session.stream || t('sessions.page');
  return h(
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
    h('td', { class: 'session-age' }),
    h('td', { class: 'session-bytes' }),
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
}

function showFigures(row, session) {
  setText(row.querySelector('.session-age'), formatDuration(session.age_ms));
  setText(row.querySelector('.session-bytes'), formatBytes(session.bytes));
}
