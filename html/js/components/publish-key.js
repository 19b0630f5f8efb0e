// Shows a new publish key, once: the service keeps only its hash.

import { h } from '../dom.js';
import { t } from '../i18n.js';
import { recall, remember } from '../preferences.js';
import { protocols, publishServer } from '../publish-url.js';
import { mountCopyField } from './copy.js';
import { openDialog } from './dialog.js';

// answer: the API's answer with the new key; publish: the publish address from GET /api/me.
export async function showPublishKey({ app, name, answer, publish }) {
  // Loaded only here: viewers never need it.
  const { generate } = await import('../../vendor/lean-qr.js');
  // Not percent-encoded: RTMP carries the name as it is, and names hold no / ? & # %.
  const streamKey = `${name}?key=${answer.key}`;
  const canvas = h('canvas', { class: 'qr', role: 'img', 'aria-label': t('key.qr') });
  const choice = h(
    'div',
    { class: 'segmented', role: 'group', 'aria-label': t('key.protocol') },
    ...protocols.map((protocol) =>
      h(
        'button',
        { type: 'button', class: 'segment', data: { protocol }, onclick: () => show(protocol) },
        protocol.toUpperCase(),
      ),
    ),
  );
  const hint = h('p', { class: 'hint', role: 'status' });
  const fields = h('div', { class: 'key-fields' });
  const url = mountCopyField(fields, { label: t('key.url'), value: '', secret: true });
  const server = mountCopyField(fields, { label: t('key.server'), value: '' });
  mountCopyField(fields, { label: t('key.streamKey'), value: streamKey, secret: true });

  function show(protocol) {
    remember('publishBy', protocol);
    for (const button of choice.children)
      button.setAttribute('aria-pressed', String(button.dataset.protocol === protocol));
    const address = `${publishServer(protocol, publish, location.hostname)}/${app}`;
    server.update(address);
    url.update(`${address}/${streamKey}`);
    generate(`${address}/${streamKey}`).toCanvas(canvas, { on: [13, 16, 19, 255], off: [255, 255, 255, 255] });
    hint.textContent = t(`key.${protocol}`);
  }

  show(protocols.includes(recall('publishBy')) ? recall('publishBy') : protocols[0]);
  return openDialog({
    title: t('key.title', { stream: `${app}/${name}` }),
    body: h('div', { class: 'key' },
      h('p', { class: 'notice notice-warning' }, t('key.once')),
      h('div', { class: 'key-protocol' }, choice, hint),
      h('div', { class: 'key-grid' }, h('div', { class: 'qr-frame' }, canvas), fields)),
  }).closed;
}
