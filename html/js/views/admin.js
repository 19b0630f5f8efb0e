// Users, streams, phones, access, sessions, alerts and the audit: one tab for each. A tab has a list, and most
// have a form above it that adds an entry. Managers who are not admins see only the
// tabs for their streams.

import { h, setText } from '../dom.js';
import { t } from '../i18n.js';
import { RetryingRequest } from '../retrying-request.js';
import { wordsFor } from '../wording.js';
import { mountAlerts } from './admin-alerts.js';
import { mountAudit } from './admin-audit.js';
import { mountGrants } from './admin-grants.js';
import { mountGroups } from './groups.js';
import { mountPerson } from './person.js';
import { mountPhonesTab } from './admin-phones.js';
import { mountSessions } from './admin-sessions.js';
import { mountStorage } from './admin-storage.js';
import { mountStreamsTab } from './admin-streams.js';
import { mountUsers } from './admin-users.js';

const tabs = {
  users: mountUsers,
  groups: mountGroups,
  streams: mountStreamsTab,
  phones: mountPhonesTab,
  grants: mountGrants,
  sessions: mountSessions,
  storage: mountStorage,
  alerts: mountAlerts,
  audit: mountAudit,
};
const managerTabs = ['streams', 'phones', 'sessions', 'alerts'];
const waitingNoticeAfterMs = 1000;

// notices: for the tab "alerts"; name: of the user to whom the tab "users" narrows.
export function mountAdmin(root, { list, tab, user, notices, name }) {
  const names = user.admin ? Object.keys(tabs) : managerTabs;
  const shown = names.includes(tab) ? tab : names[0];
  const message = h('p', { class: 'admin-message', role: 'alert', hidden: true });
  const news = h('p', { class: 'admin-news', role: 'status', hidden: true });
  const nav = h(
    'nav',
    { class: 'tabs', 'aria-label': t('nav.admin') },
    ...names.map((name) =>
      h(
        'a',
        { class: 'tab', href: `#/admin/${name}`, 'aria-current': name === shown ? 'page' : undefined },
        t(`admin.${name}`),
      ),
    ),
  );
  const trouble = h('span', {});
  const again = h('button', { class: 'button button-small', type: 'button', onclick: retryFailed }, t('error.retry'));
  const missing = h('div', { class: 'admin-message admin-missing', role: 'alert', hidden: true }, trouble, again);
  const body = h('div', { class: 'admin-body' });
  const element = h(
    'main',
    { class: 'page', id: 'main', tabindex: '-1' },
    h('h1', { class: 'page-title' }, t('nav.admin')),
    nav,
    missing,
    message,
    news,
    body,
  );
  root.append(element);
  // on a phone the tabs may be wider than the screen
  nav.querySelector('[aria-current]').scrollIntoView({ block: 'nearest', inline: 'nearest' });

  // Loads data for the tab, retrying until it succeeds; refresh() of the returned request loads it again.
  const requests = new Map();     // a RetryingRequest -> its last error, or null
  function load(send, take) {
    const request = new RetryingRequest(send, take, (error) => { requests.set(request, error); showMissing(); });
    requests.set(request, null);
    request.refresh();
    return request;
  }

  function showMissing() {
    const error = [...requests.values()].find(Boolean);
    missing.hidden = !error;
    if (error) setText(trouble, wordsFor(error));
  }

  function retryFailed() {
    for (const [request, error] of requests) if (error) request.refresh();
  }

  // Makes a change. Shows an error above the list, and a notice if the change takes long.
  async function attempt(work, messages = {}) {
    message.hidden = true;
    news.hidden = true;
    const slow = setTimeout(() => show(news, t('error.waiting')), waitingNoticeAfterMs);
    try {
      return { done: true, value: await work() };
    } catch (error) {
      if (element.isConnected) show(message, messages[error.status] ?? wordsFor(error));
      return { done: false };
    } finally {
      clearTimeout(slow);
      news.hidden = true;
    }
  }

  function show(place, text) {
    setText(place, text);
    place.hidden = false;
  }

  // As attempt(), for a change that may end sessions: shows how many it ended.
  async function change(work) {
    const result = await attempt(work);
    const { ended = 0, warning } = result.value ?? {};
    if (result.done && (ended || warning))
      show(news, warning ?? t(ended === 1 ? 'admin.endedOne' : 'admin.ended', { count: ended }));
    return result;
  }

  const mount = name && shown === 'users' ? mountPerson : tabs[shown];
  const say = (text) => show(news, text);
  const view = mount(body, { list, load, attempt, change, say, user, notices, name });
  nav.querySelector('[aria-current]').scrollIntoView({ block: 'nearest', inline: 'center' });
  return {
    element,
    destroy() {
      view.destroy?.();
      for (const request of requests.keys()) request.stop();
      element.remove();
    },
  };
}
