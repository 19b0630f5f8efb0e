// Users, streams, access and sessions: one tab for each, with a form to add on top
// where there is one, and the list below. Managers who are no admins get only the tabs
// for their streams.

import { Asking } from '../asking.js';
import { h, setText } from '../dom.js';
import { t } from '../i18n.js';
import { wordsFor } from '../wording.js';
import { mountGrants } from './admin-grants.js';
import { mountSessions } from './admin-sessions.js';
import { mountStreamsTab } from './admin-streams.js';
import { mountUsers } from './admin-users.js';

const tabs = { users: mountUsers, streams: mountStreamsTab, grants: mountGrants, sessions: mountSessions };
const managerTabs = ['streams', 'sessions'];
const saidToWaitMs = 1000;

export function mountAdmin(root, { list, tab, user }) {
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
  const again = h('button', { class: 'button button-small', type: 'button', onclick: askAgain }, t('error.retry'));
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

  // Loads data of the tab until it succeeds, and again by refresh() of the returned Asking.
  const askings = new Map();      // -> its error, or null
  function load(ask, take) {
    const asking = new Asking(ask, take, (error) => { askings.set(asking, error); showMissing(); });
    askings.set(asking, null);
    asking.refresh();
    return asking;
  }

  function showMissing() {
    const error = [...askings.values()].find(Boolean);
    missing.hidden = !error;
    if (error) setText(trouble, wordsFor(error));
  }

  function askAgain() {
    for (const [asking, error] of askings) if (error) asking.refresh();
  }

  // Runs one change. Shows an error above the list, or that the change takes long.
  async function attempt(work, words = {}) {
    message.hidden = true;
    news.hidden = true;
    const slow = setTimeout(() => say(news, t('error.waiting')), saidToWaitMs);
    try {
      return { done: true, value: await work() };
    } catch (error) {
      if (element.isConnected) say(message, words[error.status] ?? wordsFor(error));
      return { done: false };
    } finally {
      clearTimeout(slow);
      news.hidden = true;
    }
  }

  function say(place, text) {
    setText(place, text);
    place.hidden = false;
  }

  // The same for a change that may end sessions; shows how many it ended.
  async function change(work, words) {
    const result = await attempt(work, words);
    const { ended = 0, warning } = result.value ?? {};
    if (result.done && (ended || warning))
      say(news, warning ?? t(ended === 1 ? 'admin.endedOne' : 'admin.ended', { count: ended }));
    return result;
  }

  const view = tabs[shown](body, { list, load, attempt, change, user });
  return {
    element,
    destroy() {
      view.destroy?.();
      for (const asking of askings.keys()) asking.stop();
      element.remove();
    },
  };
}
