// Users, streams, access and sessions: one tab per noun, all alike, a form to
// add on top where there is one, the list below. Who only manages some streams
// has the tabs for those.

import { h, setText } from '../dom.js';
import { t } from '../i18n.js';
import { mountGrants } from './admin-grants.js';
import { mountSessions } from './admin-sessions.js';
import { mountStreamsTab } from './admin-streams.js';
import { mountUsers } from './admin-users.js';

const tabs = { users: mountUsers, streams: mountStreamsTab, grants: mountGrants, sessions: mountSessions };
const managerTabs = ['streams', 'sessions'];

export function mountAdmin(root, { list, tab, user }) {
  const names = user.admin ? Object.keys(tabs) : managerTabs;
  const shown = names.includes(tab) ? tab : names[0];
  const message = h('p', { class: 'admin-message', role: 'alert', hidden: true });
  const news = h('p', { class: 'admin-news', role: 'status', hidden: true });
  const nav = h('nav', { class: 'tabs', 'aria-label': t('nav.admin') },
    ...names.map((name) => h('a', { class: 'tab', href: `#/admin/${name}`, 'aria-current': name === shown ? 'page' : undefined }, t(`admin.${name}`))));
  const body = h('div', { class: 'admin-body' });
  const element = h('main', { class: 'page', id: 'main', tabindex: '-1' }, h('h1', { class: 'page-title' }, t('nav.admin')), nav, message, news, body);
  root.append(element);

  // Runs one change; what went wrong is said above the list, never swallowed.
  async function attempt(work, words = {}) {
    message.hidden = true;
    try {
      return { done: true, value: await work() };
    } catch (error) {
      if (!element.isConnected) return { done: false };
      setText(message, words[error.status] ?? (error.code === 'network' ? t('error.network') : t('error.other', { message: error.message })));
      message.hidden = false;
      return { done: false };
    }
  }

  // The same for a change that may end what is live; how much it ended is said.
  async function change(work, words) {
    const result = await attempt(work, words);
    const { ended = 0, warning } = result.value ?? {};
    news.hidden = !result.done || (!ended && !warning);
    setText(news, warning ?? t(ended === 1 ? 'admin.endedOne' : 'admin.ended', { count: ended }));
    return result;
  }

  const view = tabs[shown](body, { list, attempt, change, user });
  return { element, destroy: () => { view.destroy?.(); element.remove(); } };
}
