// One stream as a picture: mountCard(id) -> {element, update(stream, isStale), showPicture, forget, showAge}. isStale:
// no news of streams comes. Over an old picture the card says neither "live" nor "recording".
// It changes nothing in the document while what it shows is the same: hundreds of cards are updated every second.

import { h, icon, setText } from '../dom.js';
import {
  formatBitrate,
  formatClock,
  formatCodecs,
  formatPicture,
  formatSeen,
  isolated,
  personName,
} from '../format.js';
import { locale, t } from '../i18n.js';
import { isRecorded, mayList } from '../live-events.js';
import { formatRoute } from '../route.js';
import { isSoundOnly, oldMs, signatureOf } from '../stream-cards.js';
import { wordsForAge } from '../wording.js';

export function mountCard(id) {
  const blank = h('div', { class: 'card-blank' }, icon('camera'), h('span', {}));
  const recording = h('span', { class: 'card-rec', hidden: true, title: t('rec.on') }, t('rec.sign'));
  const old = h('p', { class: 'card-old', hidden: true });
  const picture = h('div', { class: 'card-picture' }, blank, recording, old);
  const dot = h('span', { class: 'dot' });
  const link = h('a', { class: 'stream-link', dir: 'auto' });
  const state = h('span', { class: 'card-state' });
  const owner = h('bdi', { class: 'card-owner' });
  const facts = h('dl', { class: 'card-facts' });
  const summary = h('summary', {}, t('card.details'));
  const details = h('details', { class: 'card-details', ontoggle: () => update(stream, stale, true) }, summary, facts);
  const element = h(
    'li',
    { class: 'stream-card' },
    picture,
    h(
      'div',
      { class: 'card-text' },
      h('div', { class: 'card-name' }, dot, link),
      h('p', { class: 'card-note' }, state, owner),
      details,
    ),
  );

  let stream = null;
  let stale = false;
  let waits = false;      // its picture is old, although the stream should be live
  let signature = '';
  let images = [];

  function update(next, isStale, anyway = false) {
    stream = next;
    stale = isStale;
    const isLive = stream.state === 'live' && !waits && !stale;
    const now = `${signatureOf(stream, details.open)}\n${isLive}`;
    if (now === signature && !anyway) return;
    signature = now;
    if (element.dataset.state !== stream.state) element.dataset.state = stream.state;
    dot.dataset.state = stream.state === 'live' && !isLive ? 'waiting' : stream.state;
    recording.hidden = !isLive || !isRecorded(stream);
    showName(stream.title || stream.name);
    showLink(Boolean(stream.play || mayList(stream)));
    setText(state, stateText(isLive));
    setText(owner, personName(stream.owner_display, stream.owner));
    setText(blank.lastChild, isSoundOnly(stream) ? t('tile.soundOnly') : '');
    if (details.open) showFacts();
  }

  function showName(name) {
    if (link.title === name) return;
    setText(link, name);
    link.title = name;
    summary.setAttribute('aria-label', `${t('card.details')}: ${isolated(name)}`);
  }

  function showLink(opens) {
    if (link.hasAttribute('href') === opens) return;
    if (opens) link.href = formatRoute({ view: 'watch', stream: id });
    else link.removeAttribute('href');
  }

  function stateText(isLive) {
    if (isLive) return t('card.live', { viewers: stream.viewers ?? 0 });
    if (stream.state === 'live') return t('phase.stalled');
    if (stream.state === 'grace') return t('card.grace');
    if (!stream.last_seen) return t('state.offline');
    return t('card.seen', { when: formatSeen(stream.last_seen, Date.now(), locale()) });
  }

  function showFacts() {
    const live = stream.state === 'live';
    const rows = [
      ['card.address', isolated(id)],
      ['fact.bitrate', live ? formatBitrate(stream.kbps) : '–'],
      ['fact.picture', live ? formatPicture(stream) : '–'],
      ['fact.codecs', live ? formatCodecs(stream) : '–'],
      ['card.since', live ? formatClock(stream.startedAt, locale(), { seconds: false }) : '–'],
    ];
    if (facts.children.length !== rows.length)
      facts.replaceChildren(...rows.map(([key]) => h('div', {}, h('dt', {}, t(key)), h('dd', {}))));
    rows.forEach(([, text], index) => setText(facts.children[index].lastChild, text));
  }

  /** Replaces the picture. An upright one stands before itself, blurred. */
  function showPicture(image) {
    const before = images;
    const tall = image.naturalWidth < image.naturalHeight;
    image.className = 'card-image';
    image.alt = '';
    images = tall ? [h('img', { class: 'card-behind', src: image.src, alt: '' }), image] : [image];
    picture.prepend(...images);
    if (!blank.hidden) blank.hidden = true;
    for (const gone of before) gone.remove();
    if (before.length) URL.revokeObjectURL(before[0].src);
  }

  function forget() {
    for (const image of images) image.remove();
    if (images.length) URL.revokeObjectURL(images[0].src);
    images = [];
    blank.hidden = false;
    showAge(null);
  }

  /** ms: the age of a picture that should be live; null: of another one. */
  function showAge(ms) {
    const isOld = ms !== null && ms > oldMs;
    element.toggleAttribute('data-old', isOld);
    const silent = !isOld || ms === Infinity;
    if (old.hidden !== silent) old.hidden = silent;
    if (!silent) setText(old, t('tile.noPicture', { age: wordsForAge(ms) }));
    if (waits === !silent) return;
    waits = !silent;
    update(stream, stale);
  }

  return { element, update, showPicture, forget, showAge };
}
