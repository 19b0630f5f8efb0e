// Shows a new publish key, once: the service keeps only its hash.

import { h } from '../dom.js';
import { t } from '../i18n.js';
import { mountCopyField } from './copy.js';
import { openDialog } from './dialog.js';

// answer is the API's; it may bring the full URL with the port the operator chose.
export async function showPublishKey({ app, name, answer }) {
  const server = `rtmp://${location.hostname}/${app}`;
  // Not percent-encoded: RTMP carries the name as it is, and names hold no / ? & # %.
  const url = answer.publish_url ?? `${server}/${name}?key=${answer.key}`;
  // Loaded only here: viewers never need it.
  const { generate } = await import('../../vendor/lean-qr.js');
  const canvas = h('canvas', { class: 'qr', role: 'img', 'aria-label': t('key.qr') });
  generate(url).toCanvas(canvas, { on: [13, 16, 19, 255], off: [255, 255, 255, 255] });
  const fields = h('div', { class: 'key-fields' });
  mountCopyField(fields, { label: t('key.url'), value: url, secret: true });
  mountCopyField(fields, { label: t('key.server'), value: url.slice(0, url.lastIndexOf('/')) });
  mountCopyField(fields, { label: t('key.streamKey'), value: url.slice(url.lastIndexOf('/') + 1), secret: true });
  return openDialog({
    title: t('key.title', { stream: `${app}/${name}` }),
    body: h('div', { class: 'key' },
      h('p', { class: 'notice notice-warning' }, t('key.once')),
      h('div', { class: 'key-grid' }, h('div', { class: 'qr-frame' }, canvas), fields)),
  }).closed;
}
