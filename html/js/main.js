// The shell: the signed-in user, the view that the URL hash names, the header, and
// the banner for a lost network. Views know none of this; the shell loads each when it is
// first shown, mounts it with its inputs, and views send custom events up. This file and all that
// it imports come before the sign-in.

import { api, session } from './api.js';
import { countingText } from './components/counting-text.js';
import { mountWaiting } from './components/waiting.js';
import { brandMark, h, icon, isTaken, setText } from './dom.js';
import { personName } from './format.js';
import { chooseLanguage, otherLanguage, startLanguage, t } from './i18n.js';
import { laterStyles } from './later-styles.js';
import { mayList, stoppedRecordings } from './live-events.js';
import { OfflineNotices } from './offline-notices.js';
import { patiently } from './patience.js';
import { formatRoute, parseRoute, viaIn } from './route.js';
import { StreamList } from './stream-list.js';
import { mountLogin } from './views/login.js';
import { mountNowhere } from './views/nowhere.js';
import { asOf, wordsFor } from './wording.js';

const views = {
  streams: () => import('./views/streams.js').then(({ mountStreams }) => mountStreams),
  watch: () => import('./views/watch.js').then(({ mountWatch }) => mountWatch),
  wall: () => import('./views/wall.js').then(({ mountWall }) => mountWall),
  recordings: () => import('./views/recordings.js').then(({ mountRecordings }) => mountRecordings),
  admin: () => import('./views/admin.js').then(({ mountAdmin }) => mountAdmin),
  shared: () => import('./views/shared.js').then(({ mountShared }) => mountShared),
  account: () => import('./views/account.js').then(({ mountAccount }) => mountAccount),
  invite: () => import('./views/invite.js').then(({ mountInvite }) => mountInvite),
};

const reloadAfterMs = 4000;

const app = document.getElementById('app');
const list = new StreamList();
const notices = new OfflineNotices(list);
let user = null;
let view = null;
let shell = null;
let inviting = false;         // the view is that of a link to set a password
let shown = null;       // the route whose view is loaded or shown
let wall = null;        // the wall of this visit; the next visit opens with what is live
let loginOver = null;    // the <dialog> with the login form over a page with things that the user has typed

document.addEventListener('login', ({ detail }) => loggedIn(detail));
app.addEventListener('logout', () => showLogin());
app.addEventListener('account', ({ detail }) => showAccount(detail));
app.addEventListener('language', async ({ detail }) => {
  await chooseLanguage(detail).catch(() => {});     // without a network the old one stays
  if (isShared()) showShared();
  else if (invited()) showInvite();
  else if (user) signedIn(user);
  else showLogin();
});
app.addEventListener('wall:go', ({ detail }) => {
  wall = null;
  location.hash = formatRoute({ view: 'wall', ...detail });
});
app.addEventListener('wall:state', ({ detail }) => {
  wall = detail;
  // Replaced, not pushed: "back" leaves the wall instead of undoing clicks.
  history.replaceState(null, '', formatRoute({ ...parseRoute(location.hash), ...detail }));
});
// While the user types the password, what comes after it.
app.addEventListener('input', () => Promise.all([laterStyles(), views.streams()]).catch(() => {}), { once: true });
session.addEventListener('over', () => user && askAgain());
document.addEventListener('keydown', onKey);
list.addEventListener('trouble', showTrouble);
list.addEventListener('trouble', reloadFailed);
setInterval(showTrouble, 1000);    // how long there has been trouble
list.addEventListener('change', showLinks);
list.addEventListener('change', showStopped);
window.addEventListener('hashchange', () => {
  if (isShared()) showShared();
  else if (document.body.dataset.view === 'shared') start();
  else showRoute();
});

// Without its texts the page can say nothing: it tries again.
startLanguage().then(start, () => setTimeout(() => location.reload(), reloadAfterMs));

// A link's page needs no account, and shows nothing of one.
function isShared() {
  return parseRoute(location.hash).view === 'shared';
}

function showShared() {
  document.body.dataset.view = 'shared';
  showAlone();
}

// Shows a view that needs no account, without the shell.
async function showAlone(inputs = {}) {
  const route = parseRoute(location.hash);
  user = null;
  list.stop();
  clear();
  shown = route;
  view = mountNowhere(app, { reason: 'loading' });
  try {
    const [mount] = await Promise.all([views[route.view](), laterStyles()]);
    if (shown !== route) return;
    view.destroy();
    view = mount(app, { ...route, ...inputs });
  } catch {
    if (shown === route) showUnreachable();
  }
}

async function start() {
  if (isShared()) {
    showShared();
    return;
  }
  if (invited()) {
    showInvite();
    return;
  }
  try {
    signedIn(await patiently(api.me, (slow) => slow && showUnreachable(slow)));
  } catch (error) {
    if (error.status === 401) showLogin();
    else if (error.code === 'cancelled') start();
    else showUnreachable();
  }
}

function clear() {
  view?.destroy();
  view = null;
  shown = null;
  shell = null;
  inviting = false;
  app.replaceChildren();
}

// Keeps the address, so that users return to their view after signing in.
function showLogin({ over = false, name = '' } = {}) {
  user = null;
  wall = null;
  loginOver?.remove();
  loginOver = null;
  list.stop();
  closeDialogs();
  clear();
  document.title = `${t('login.title')} · Duolu`;
  view = mountLogin(app, { over, name });
}

function invited() {
  return parseRoute(location.hash).view === 'invite';
}

// A link to set a password. It works with and without a login; afterwards the page is that of the link's user.
function showInvite() {
  document.title = `${t('invite.title')} · Duolu`;
  showAlone({ leave: leaveInvite });
  inviting = true;
}

function leaveInvite(account) {
  // Replaced, so that "back" does not lead to a used link.
  history.replaceState(null, '', '#/streams');
  if (account) signedIn(account);
  else start();
}

// The session has ended: the login form comes, and then the same page again. If the user has typed something, the page
// with it stays below the form.
function askAgain() {
  if (loginOver) return;
  if (!hasTyped()) {
    showLogin({ over: true, name: user.name });
    return;
  }
  loginOver = h('dialog', { class: 'login-over', 'aria-label': t('login.title') });
  document.body.append(loginOver);
  // Esc closes a dialog, but this one covers what only a signed-in user may see.
  loginOver.addEventListener('cancel', (event) => event.preventDefault());
  loginOver.addEventListener('close', () => loginOver?.showModal());
  loginOver.showModal();
  mountLogin(loginOver, { over: true, name: user.name, isOverPage: true });
}

function hasTyped() {
  const typed = [...app.querySelectorAll('input:not([type=range], [type=checkbox], [type=radio], [readonly])')]
    .some(({ value, defaultValue }) => value !== defaultValue);
  return typed || document.querySelector('dialog[open]') !== null;
}

function loggedIn(account) {
  const over = loginOver;
  loginOver = null;
  over?.close();
  over?.remove();
  if (over && account.name === user.name && account.admin === user.admin) {
    user = account;
    list.resume();
    session.dispatchEvent(new Event('back'));
    return;
  }
  if (over) {
    closeDialogs();
    list.stop();
  }
  signedIn(account);
}

function closeDialogs() {
  for (const dialog of document.querySelectorAll('dialog')) dialog.close();
}

// The first request gets no answer: say so and keep trying. slow: it is still under way.
function showUnreachable(slow = null) {
  const place = document.querySelector('.unreachable') ?? mountUnreachable();
  place.dispatchEvent(new CustomEvent('state', { detail: slow }));
}

function mountUnreachable() {
  clear();
  let current = null;
  let timer = null;
  const text = countingText();
  const problem = h('p', { role: 'alert' });
  const retry = () => (current ? current.cancel() : start());
  const main = h(
    'main',
    { class: 'login unreachable' },
    h('div', { class: 'login-brand' }, brandMark(), h('span', { class: 'brand-name' }, 'Duolu')),
    h(
      'div',
      { class: 'login-card' },
      h('h1', { class: 'login-title' }, t('error.unreachableTitle')),
      h('p', {}, text.element),
      problem,
      h('button', { class: 'button button-primary', type: 'button', onclick: retry }, t('error.retry')),
    ),
  );
  main.addEventListener('state', ({ detail: slow }) => {
    current = slow;
    clearTimeout(timer);
    text.show(slow && ((age) => t('error.slow', { age })), slow?.ms);
    setText(problem, slow ? '' : t('error.unreachable'));
    if (!slow) timer = setTimeout(() => main.isConnected && start(), 5000);
  });
  app.append(main);
  return main;
}

async function signedIn(account) {
  user = account;
  const styled = await laterStyles().then(() => true, () => false);
  if (user !== account) return;
  if (!styled) {
    user = null;
    showUnreachable();
    return;
  }
  clear();
  list.start();
  shell = mountShell();
  showLinks();
  showStopped();
  showRoute();
}

// Admins manage everything, other users the streams with a manage right.
function mayManage() {
  return user.admin || Boolean(list.streams?.some((stream) => stream.rights.includes('manage')));
}

function mayListRecordings() {
  return Boolean(list.streams?.some(mayList));
}

function showLinks() {
  if (!shell) return;
  const isKnown = Boolean(list.streams);
  const link = (name) => shell.nav.querySelector(`[data-view=${name}]`);
  // Until the list is there, they keep their place, so that the others need not move.
  for (const name of ['admin', 'recordings']) link(name).classList.toggle('nav-waiting', !isKnown);
  link('admin').hidden = isKnown && !mayManage();
  link('recordings').hidden = isKnown && !mayListRecordings();
  if (document.body.dataset.view === 'waiting' && list.streams) showRoute();
}

// Shows in every view that a recording stopped while its stream goes on.
function showStopped() {
  if (!shell) return;
  const stopped = stoppedRecordings(list.streams ?? []);
  shell.stopped.hidden = !stopped;
  if (stopped) setText(shell.stopped, t(`rec.${stopped.reason}`, { names: stopped.names }));
}

function mountShell() {
  const link = (name, target) =>
    h('a', { class: 'nav-link', href: target, data: { view: name } }, icon(name), h('span', {}, t(`nav.${name}`)));
  const nav = h(
    'nav',
    { class: 'nav', 'aria-label': t('nav.label') },
    link('streams', '#/streams'),
    link('wall', '#/wall'),
    link('recordings', '#/recordings'),
    link('admin', user.admin ? '#/admin/users' : '#/admin/streams'),
  );
  const other = otherLanguage();
  const troubleText = countingText();
  const trouble = h('div', { class: 'trouble', hidden: true }, troubleText.element);
  const stopped = h('div', { class: 'trouble trouble-stopped', role: 'alert', hidden: true });
  const leaving = mountWaiting();
  const notLeft = h('div', { class: 'trouble trouble-stopped', role: 'alert', hidden: true });
  const outlet = h('div', { class: 'outlet' });
  app.append(
    h('a', { class: 'skip', href: '#main', onclick: skipToMain }, t('nav.skip')),
    h(
      'header',
      { class: 'header' },
      h(
        'a',
        { class: 'brand', href: '#/streams', 'aria-label': 'Duolu' },
        brandMark(),
        h('span', { class: 'brand-name' }, 'Duolu'),
      ),
      nav,
      h(
        'div',
        { class: 'header-end' },
        h(
          'button',
          {
            class: 'button button-quiet',
            type: 'button',
            lang: other === 'zh' ? 'zh-CN' : 'en',
            onclick: (event) =>
              event.currentTarget.dispatchEvent(new CustomEvent('language', { detail: other, bubbles: true })),
          },
          icon('language'),
          h('span', {}, other === 'zh' ? '中文' : 'English'),
        ),
        accountLink(),
        h(
          'button',
          {
            class: 'button button-quiet',
            type: 'button',
            'aria-label': t('nav.logout'),
            title: t('nav.logout.title'),
            onclick: logOut,
          },
          icon('logout'),
        ),
      ),
    ),
    trouble,
    stopped,
    leaving.element,
    notLeft,
    outlet,
  );
  return { nav, trouble, troubleText, stopped, leaving, notLeft, outlet };
}

function accountLink() {
  const name = personName(user.display_name, user.name);
  return h(
    'a',
    { class: 'header-user', href: '#/account', 'aria-label': t('account.open', { name }) },
    icon('person'),
    h('bdi', { class: 'header-user-name' }, name),
  );
}

// The user has changed the own account; the view stays as it is.
function showAccount(account) {
  user = account;
  app.querySelector('.header-user')?.replaceWith(accountLink());
}

function skipToMain(event) {
  event.preventDefault(); // the hash is the route
  document.getElementById('main')?.focus();
}

async function logOut() {
  const { leaving, notLeft } = shell;
  notLeft.hidden = true;
  try {
    await leaving.during(api.logout);
  } catch (error) {
    // The login form would say that the session is over; only after a 401 it is.
    if (error.status !== 401) {
      setText(notLeft, t('nav.stillIn', { why: wordsFor(error) }));
      notLeft.hidden = false;
      return;
    }
  }
  showLogin();
}

async function showRoute() {
  if (invited()) {
    showInvite();
    return;
  }
  if (!user && inviting) start();
  if (!shell) return;
  let route = parseRoute(location.hash);
  // Wait for the list: before it comes, the page does not know which streams this user manages.
  if (route.view === 'admin' && !mayManage()) route = { view: list.streams ? 'notYours' : 'waiting' };
  view?.destroy();
  for (const link of shell.nav.children) {
    const current = link.dataset.view === route.view || (route.view === 'watch' && link.dataset.view === 'streams');
    if (current) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.body.dataset.view = route.view;
  document.title = `${titleOf(route)} · Duolu`;
  shell.notLeft.hidden = true;
  shown = route;
  view = views[route.view] ? mountNowhere(shell.outlet, { reason: 'loading' }) : mountView(route);
  showTrouble();
  window.scrollTo(0, 0);
  if (!views[route.view]) return;
  const mount = await view.during((_, signal) => unlessStopped(views[route.view](), signal)).catch(() => null);
  if (shown !== route) return;
  view.destroy();
  view = mount ? mountView(route, mount) : mountNowhere(shell.outlet, { reason: 'failed' });
}

// A file cannot be given up: only the wait for it ends.
function unlessStopped(loading, signal) {
  return Promise.race([loading, new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
  })]);
}

// A browser does not ask again for a file that it did not get: the whole page has to.
function reloadFailed() {
  if (!list.trouble && view?.reason === 'failed') location.reload();
}

function titleOf(route) {
  if (route.view === 'watch') return route.stream;
  if (route.view === 'account') return t('account.title');
  if (['unknown', 'notYours', 'waiting'].includes(route.view)) return t('nowhere.title');
  return t(`nav.${route.view}`);
}

// mount: of the view that the route names, if it is one of `views`.
function mountView(route, mount) {
  const { outlet } = shell;
  const via = route.via ?? viaIn(location.search);
  if (route.view === 'watch') return mount(outlet, { list, user, id: route.stream, at: route.at, via });
  if (route.view === 'recordings') return mount(outlet, { list, ...route });
  if (route.view === 'admin') return mount(outlet, { list, user, notices, ...route });
  if (route.view === 'account') return mount(outlet, { user });
  if (route.view === 'streams') return mount(outlet, { list, user });
  if (route.view !== 'wall') return mountNowhere(outlet, { reason: route.view });
  // The hash decides, then the wall that this visit has left, then all that is live.
  const wanted = route.size || route.slots || !wall ? route : { ...route, ...wall, at: route.at };
  history.replaceState(null, '', formatRoute(wanted));
  return mount(outlet, { list, ...wanted, via });
}

// Says what the page does not get from the server and since when, and until when the shown states are known.
function showTrouble() {
  if (!shell) return;
  const { trouble, stale } = list;
  shell.trouble.hidden = !trouble;
  document.body.toggleAttribute('data-stale', stale);
  const known = stale && list.streams ? ` ${asOf(list.knownAt)}` : '';
  shell.troubleText.show(
    trouble && ((age) => t(troubleKey(trouble.code), { age }) + known),
    Date.now() - list.troubleSince,
  );
}

function troubleKey(code) {
  if (code === 'network') return 'trouble.network';
  return list.stale ? 'trouble.silent' : 'trouble.service';
}

async function onKey(event) {
  if (event.key !== '?' || isTaken(event)) return;
  const groups = view?.shortcuts?.();
  if (!shell && !groups) return;
  event.preventDefault();
  const { showShortcuts } = await import('./components/shortcuts.js');
  showShortcuts(groups);
}
