// The browser's notifications of phones that go offline while the page is open. Off until the user switches them on.

import { t } from './i18n.js';
import { forgetAway, manyAtOnce, watchAway } from './offline-rules.js';
import { recall, remember } from './preferences.js';
import { formatRoute } from './route.js';

const lookMs = 1000;
const setting = 'offlineNotices';

/** Those of the page's one list. */
export class OfflineNotices {
  constructor(list) {
    this.list = list;
    this.known = new Map();
    this.open = new Map();      // tag -> Notification
    list.addEventListener('change', () => this.look());
    setInterval(() => this.look(), lookMs);
  }

  /** on, off, blocked (by the browser's settings) or missing (this browser has none). */
  get state() {
    if (!('Notification' in window)) return 'missing';
    if (Notification.permission === 'denied') return 'blocked';
    return recall(setting) === true && Notification.permission === 'granted' ? 'on' : 'off';
  }

  /** Asks the browser for permission, and shows that it works. */
  async switchOn() {
    if (!('Notification' in window)) return;
    await Notification.requestPermission();
    remember(setting, Notification.permission === 'granted');
    if (this.state === 'on') this.notify('duolu-on', t('notices.onTitle'), t('notices.onBody'));
  }

  switchOff() {
    remember(setting, false);
  }

  look() {
    if (this.list.streams === null) {
      this.known = new Map();
      return;
    }
    if (this.list.trouble) {
      this.known = forgetAway(this.known);
      return;
    }
    const { known, gone, back } = watchAway(this.known, this.list.streams, Date.now());
    this.known = known;
    for (const stream of back) this.close(stream.id);
    if (this.state !== 'on') return;
    if (gone.length > manyAtOnce) this.notifyMany(gone);
    else for (const stream of gone) this.notifyOne(stream);
  }

  notifyOne(stream) {
    this.notify(stream.id, t('notices.goneTitle', { name: stream.title || stream.id }), t('notices.goneBody'),
      formatRoute({ view: 'watch', stream: stream.id }));
  }

  notifyMany(streams) {
    this.notify('duolu-many', t('notices.manyTitle', { count: streams.length }),
      streams.map((stream) => stream.title || stream.id).join(t('listSeparator')), '#/streams');
  }

  notify(tag, title, body, target = null) {
    try {
      const notification = new Notification(title, { tag, body, icon: 'favicon.svg' });
      notification.onclick = () => {
        window.focus();
        if (target) location.hash = target;
        notification.close();
      };
      this.open.set(tag, notification);
    } catch {
      // Some phones allow them only to installed apps.
      navigator.serviceWorker?.getRegistration().then((worker) => worker?.showNotification(title, { tag, body }));
    }
  }

  close(tag) {
    this.open.get(tag)?.close();
    this.open.delete(tag);
  }
}
