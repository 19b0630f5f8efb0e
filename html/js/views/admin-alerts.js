// Alerts: the browser's own notifications for everyone here, and webhooks for admins.

import { h, setText } from '../dom.js';
import { t } from '../i18n.js';
import { mountWebhooks } from './admin-webhooks.js';

export function mountAlerts(root, { load, attempt, say, user, notices }) {
  root.append(mountSwitch(notices));
  const webhooks = user.admin ? mountWebhooks(root, { load, attempt, say }) : null;
  return { destroy: () => webhooks?.destroy() };
}

function mountSwitch(notices) {
  const box = h('input', { type: 'checkbox', class: 'checkbox', role: 'switch', onchange: toggle });
  const hint = h('p', { class: 'hint', role: 'status' });
  show();

  async function toggle() {
    if (box.checked) await notices.switchOn();
    else notices.switchOff();
    show();
  }

  function show() {
    const { state } = notices;
    box.checked = state === 'on';
    box.disabled = state === 'missing' || state === 'blocked';
    setText(hint, t(`notices.${state}`));
  }

  return h('section', { class: 'panel alerts-here' },
    h('h2', { class: 'panel-title' }, t('notices.title')),
    h('label', { class: 'check' }, box, h('span', {}, t('notices.switch'))),
    hint);
}
