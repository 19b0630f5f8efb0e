// The audit: what users and strangers did, newest first, one page at a time. The service looks at a bounded number of
// entries for each answer, so a search for what is rare goes on by itself for a while, and says how far it is.

import { api } from '../api.js';
import { emptyRow, field, table, userText } from '../components/admin-parts.js';
import { h, icon, setText } from '../dom.js';
import { formatClock, formatDay, formatShortDay, isolated } from '../format.js';
import { locale, t } from '../i18n.js';

const pageSize = 50;
const searchAfterMs = 300;
const mostSteps = 10;       // requests for one page of a search
const known = new Set([
  'login', 'logout', 'publish', 'play', 'kick', 'csrf', 'admin only', 'user add', 'user set', 'user disable',
  'user enable', 'user revoke', 'user passwd', 'stream add', 'stream set', 'stream revoke', 'key add', 'key rotate',
  'key revoke', 'grant', 'revoke', 'record start', 'record stop', 'recording keep', 'recording free',
  'recording delete', 'recording prune', 'webhook add', 'webhook set', 'webhook remove', 'webhook test',
]);

/** An action in the viewer's language; newer ones as the service names them. */
const wordsOf = (action) => (known.has(action) ? t(`audit.${action.replaceAll(' ', '.')}`) : action);

export function mountAudit(root, { load }) {
  const text = h('input', { class: 'input', type: 'search', autocapitalize: 'none', spellcheck: 'false',
    placeholder: t('audit.textHint'), oninput: searchSoon });
  const actor = h('input', { class: 'input', autocapitalize: 'none', spellcheck: 'false', list: 'audit-names',
    oninput: searchSoon });
  const action = h('select', { class: 'select', onchange: search }, h('option', { value: '' }, t('audit.any')));
  const outcome = h('select', { class: 'select', onchange: search },
    h('option', { value: '' }, t('audit.anyOutcome')),
    ...['ok', 'denied'].map((value) => h('option', { value }, t(`audit.outcome${value}`))));
  const from = h('input', { class: 'input', type: 'datetime-local', onchange: search });
  const to = h('input', { class: 'input', type: 'datetime-local', onchange: search });
  const names = h('datalist', { id: 'audit-names' });
  const clear = h('button', { class: 'button', type: 'button', hidden: true, onclick: clearAll }, t('audit.clear'));
  const status = h('p', { class: 'table-count', role: 'status' });
  const turn = (name, label, go) =>
    h('button', { class: 'icon-button', type: 'button', 'aria-label': label, title: label, onclick: go }, icon(name));
  const newer = turn('back', t('audit.newer'), () => { cursors.pop(); refresh(); });
  const older = turn('next', t('audit.older'), () => { cursors.push(next); refresh(); });
  const body = h('tbody', {});
  const frame = table(t('admin.audit'),
    [t('audit.time'), t('audit.actor'), t('audit.action'), t('audit.target'), t('audit.details')], body);
  frame.classList.add('audit');
  root.append(
    h('form', { class: 'admin-form audit-form', role: 'search', onsubmit: (event) => event.preventDefault() },
      field(t('audit.text'), text), field(t('audit.actor'), actor), field(t('audit.action'), action),
      field(t('audit.outcome'), outcome), field(t('audit.from'), from), field(t('audit.to'), to), names, clear),
    h('div', { class: 'table-head' }, status), frame,
    h('div', { class: 'table-foot' },
      h('div', { class: 'table-pager', role: 'group', 'aria-label': t('table.pages') }, newer, older)));

  let cursors = [];     // of this page and those before it; the first page has none
  let next = null;
  let timer = null;
  load(api.users, (users) => names.replaceChildren(...users.map(({ name }) => h('option', { value: name }))));
  const request = load(findPage, show);

  function wanted() {
    const timeOf = (input) => (input.value ? String(new Date(input.value).getTime()) : '');
    return Object.entries({
      q: text.value.trim(), actor: actor.value.trim(), action: action.value, outcome: outcome.value,
      from: timeOf(from), to: timeOf(to),
    }).filter(([, value]) => value);
  }

  // Asks on until the page is full, the audit ends, or it has taken long.
  async function findPage(each) {
    const filter = wanted();
    const rows = [];
    let before = cursors.at(-1);
    let answer;
    for (let step = 0; step < mostSteps && rows.length < pageSize; step += 1) {
      const query = [...filter, ['limit', pageSize - rows.length], ...(before ? [['before', before]] : [])];
      answer = await each(() => api.audit(query));
      if (answer.actions) setActions(answer.actions);
      rows.push(...answer.rows);
      before = answer.next;
      if (!answer.more) break;
      if (rows.length < pageSize) setText(status, t('audit.searching', { at: momentOf(timeIn(before)) }));
    }
    return { rows, next: answer.more ? before : null, full: rows.length === pageSize };
  }

  function show({ rows, next: cursor, full }) {
    next = cursor;
    newer.disabled = cursors.length === 0;
    older.disabled = next === null;
    clear.hidden = wanted().length === 0;
    setText(status, next && !full ? t('audit.searchedTo', { at: momentOf(timeIn(next)) }) : spanOf(rows));
    body.replaceChildren(...(rows.length ? rows.map((row) => makeRow(row, pick)) : [emptyRow(5, t('audit.none'))]));
  }

  function setActions(actions) {
    if (action.options.length - 1 === actions.length) return;
    const { value } = action;
    action.replaceChildren(action.options[0],
      ...actions.map((name) => h('option', { value: name, selected: name === value }, wordsOf(name))));
  }

  function refresh() {
    frame.dataset.loading = '';
    request.refresh().finally(() => delete frame.dataset.loading);
  }

  function search() {
    clearTimeout(timer);
    cursors = [];
    refresh();
  }

  function searchSoon() {
    clearTimeout(timer);
    timer = setTimeout(search, searchAfterMs);
  }

  function clearAll() {
    for (const input of [text, actor, action, outcome, from, to]) input.value = '';
    text.focus();
    search();
  }

  // A click on a user or a target searches for it.
  function pick(input, value) {
    (input === 'actor' ? actor : text).value = value;
    search();
  }

  return { destroy: () => clearTimeout(timer) };
}

const timeIn = (cursor) => Number(cursor.split('-')[0]);
const momentOf = (at) => `${formatDay(at, locale())} ${formatClock(at, locale())}`;

function spanOf(rows) {
  if (rows.length < 2) return '';
  return t('audit.span', { from: momentOf(rows.at(-1).at), to: momentOf(rows[0].at) });
}

function makeRow(row, pick) {
  const refused = row.outcome === 'denied';
  const link = (input, value) => h('button', {
    class: 'audit-pick', type: 'button', 'aria-label': t('audit.pick', { text: isolated(value) }),
    onclick: () => pick(input, value),
  }, userText(value));
  return h('tr', { data: { outcome: row.outcome } },
    h('td', { class: 'audit-time' },
      h('time', { datetime: new Date(row.at).toISOString(), title: momentOf(row.at) },
        h('span', {}, formatClock(row.at, locale())),
        h('span', { class: 'audit-day' }, formatShortDay(row.at, locale())))),
    h('td', { class: 'audit-actor' }, row.actor ? link('actor', row.actor) : '–'),
    h('th', { scope: 'row', class: 'audit-action' }, wordsOf(row.action),
      refused && h('span', { class: 'badge', data: { state: 'interrupted' } }, t('audit.outcomedenied'))),
    h('td', { class: 'audit-target' }, row.target && link('text', row.target)),
    h('td', { class: 'audit-details' }, h('span', { class: 'audit-reason' }, row.reason && userText(row.reason)),
      row.address && h('span', { class: 'audit-address' }, row.address)));
}
