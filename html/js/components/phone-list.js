// Phones, each with its own key: when it was last there, what it sends, what to mend, and "revoke". Rows stay when
// figures change, so that an update does not take away the focus.

import { api } from '../api.js';
import { h, icon, setText } from '../dom.js';
import { formatBitrate, formatCodecs, formatMoment, formatPicture, isolated } from '../format.js';
import { locale, t } from '../i18n.js';
import { adviceFor, programName, whyNot } from '../phone-advice.js';
import { emptyRow, smallButton, table, userText } from './admin-parts.js';
import { confirmDialog } from './dialog.js';
import { showPhoneSetup } from './phone-setup.js';

const refreshMs = 4000;

/**
 * owner: of this user's streams alone; load, change: of the admin view. Returns {element, refresh, destroy}.
 */
export function mountPhoneList(root, { list, load, change, publish, owner = '' }) {
  const rows = new Map();
  const body = h('tbody', {});
  const old = h('input', { class: 'checkbox', type: 'checkbox', onchange: () => show() });
  const oldChoice = h('label', { class: 'check', hidden: true }, old, h('span', {}, t('phone.showRevoked')));
  const more = h('p', { class: 'hint', hidden: true }, t('phone.onlySome'));
  const element = h('div', { class: 'phones' },
    table(t('admin.phones'), [t('phone.phone'), t('admin.state'), t('phone.sends'), ''], body), oldChoice, more);
  root.append(element);
  let phones = null;
  const request = load(() => api.phones(owner ? { owner } : {}), (answer) => {
    phones = answer.phones;
    more.hidden = !answer.more;
    show();
  });
  const timer = setInterval(() => document.visibilityState === 'visible' && request.refresh(), refreshMs);

  function show() {
    oldChoice.hidden = !phones.some((phone) => phone.revoked);
    const shown = phones.filter((phone) => !phone.revoked || old.checked);
    const keep = new Set(shown.map((phone) => phone.id));
    for (const [id, row] of rows) {
      if (keep.has(id)) continue;
      row.element.remove();
      rows.delete(id);
    }
    body.querySelector('.table-empty')?.parentElement.remove();
    if (!shown.length) body.append(emptyRow(4, t('phone.none')));
    shown.forEach((phone, index) => {
      let row = rows.get(phone.id);
      if (!row) rows.set(phone.id, (row = makeRow({ renew, revoke })));
      row.update(phone);
      if (body.children[index] !== row.element) body.insertBefore(row.element, body.children[index] ?? null);
    });
  }

  async function renew(phone) {
    const agreed = phone.revoked || (await confirmDialog({
      title: t('phone.renewTitle', { name: nameOf(phone) }),
      text: t('phone.renewText'),
      action: t('phone.renew'),
    }));
    if (!agreed) return;
    const { done, value } = await change(() => api.renewPhone(phone.id));
    if (!done) return;
    request.refresh();
    await showPhoneSetup({ phone: value, list, publish });
  }

  async function revoke(phone) {
    const agreed = await confirmDialog({
      title: t('phone.revokeTitle', { name: nameOf(phone) }),
      text: t('phone.revokeText'),
      action: t('phone.revoke'),
    });
    if (agreed && (await change(() => api.revokePhone(phone.id))).done) request.refresh();
  }

  return {
    element,
    refresh: () => request.refresh(),
    destroy() {
      clearInterval(timer);
      element.remove();
    },
  };
}

function nameOf(phone) {
  return phone.label || phone.title || phone.stream;
}

function makeRow({ renew, revoke }) {
  let shown = null;
  const badge = h('span', { class: 'badge' });
  const seen = h('span', { class: 'phone-seen' });
  const name = h('span', {});
  const about = h('span', { class: 'phone-about', dir: 'auto' });
  const figures = h('span', { class: 'phone-figures' });
  const advice = h('span', { class: 'phone-advice', hidden: true }, icon('warning'), h('span', {}));
  const actions = h('div', { class: 'actions' });
  const element = h('tr', {},
    h('th', { scope: 'row', class: 'phone-name' }, name, about),
    h('td', {}, badge, seen),
    h('td', { class: 'phone-sends' }, figures, advice),
    h('td', { class: 'table-actions' }, actions));

  function update(phone) {
    if (!shown || shown.revoked !== phone.revoked || nameOf(shown) !== nameOf(phone)) {
      name.replaceChildren(userText(nameOf(phone)));
      actions.replaceChildren(...buttonsFor(phone));
    }
    shown = phone;
    const state = stateOf(phone);
    badge.dataset.state = state;
    setText(badge, t(`phonestate.${state}`));
    setText(seen, seenText(phone, state));
    setText(about, [phone.stream, phone.owner].map(isolated).join(' · '));
    setText(figures, figuresText(phone));
    const mend = adviceFor(phone.live);
    advice.hidden = !mend;
    setText(advice.lastChild, mend ? t(mend.text, mend.values) : '');
  }

  // The handlers take the phone as last shown, not as it was when the buttons were made.
  function buttonsFor(phone) {
    const label = t(phone.revoked ? 'phone.setUpAgain' : 'phone.renew');
    return [
      smallButton(label, nameOf(phone), () => renew(shown), icon('key')),
      !phone.revoked && smallButton(t('phone.revoke'), nameOf(phone), () => revoke(shown)),
    ].filter(Boolean);
  }

  return { element, update };
}

function stateOf(phone) {
  if (phone.revoked) return 'revoked';
  if (phone.live) return 'live';
  return phone.seen ? 'offline' : 'waiting';
}

function seenText(phone, state) {
  const program = programName(phone.agent);
  const at = state === 'live' || !phone.seen ? '' : t('phone.seen', { time: formatMoment(phone.seen, locale()) });
  return [at, phone.address, program].filter(Boolean).join(' · ');
}

// Names what went wrong the last time, if that is known; most phones simply stop.
function lastEnd(phone) {
  const why = whyNot({ ...phone, created: 0 });
  return why && !['why.left', 'why.other'].includes(why.text)
    ? t('phone.ended', { reason: t(why.text, why.values) }) : '';
}

function figuresText(phone) {
  const { live } = phone;
  if (!live) return lastEnd(phone);
  return [
    formatBitrate(live.kbps),
    live.fps > 0 && t('phone.fps', { count: Math.round(live.fps) }),
    formatPicture(live),
    formatCodecs(live),
    live.gop_ms > 0 && t('phone.keyFrames', { seconds: Math.round(live.gop_ms / 100) / 10 }),
    t('phone.drops', { count: live.gaps }),
  ].filter((part) => part && part !== '–').join(' · ');
}
