// Users, streams, phones, access, sessions, alerts and the audit: one tab for each. A tab has a list, and most
// have a form above it that adds an entry. Managers who are not admins see only the
// tabs for their streams.

import { h } from '../dom.js';
import { t } from '../i18n.js';
import { mountLoader } from '../components/admin-parts.js';
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

// notices: for the tab "alerts"; name: of the user to whom the tab "users" narrows.
export function mountAdmin(root, { list, tab, user, notices, name }) {
  const names = user.admin ? Object.keys(tabs) : managerTabs;
  const shown = names.includes(tab) ? tab : names[0];
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
  const body = h('div', { class: 'admin-body' });
  const loader = mountLoader(body);
  const element = h(
    'main',
    { class: 'page', id: 'main', tabindex: '-1' },
    h('h1', { class: 'page-title' }, t('nav.admin')),
    nav,
    ...loader.notices,
    body,
  );
  root.append(element);
  // on a phone the tabs may be wider than the screen
  nav.querySelector('[aria-current]').scrollIntoView({ block: 'nearest', inline: 'nearest' });

  const { load, attempt, change, say } = loader;
  const mount = name && shown === 'users' ? mountPerson : tabs[shown];
  const view = mount(body, { list, load, attempt, change, say, user, notices, name });
  nav.querySelector('[aria-current]').scrollIntoView({ block: 'nearest', inline: 'center' });
  return {
    element,
    destroy() {
      view.destroy?.();
      loader.destroy();
      element.remove();
    },
  };
}
