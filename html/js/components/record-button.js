// Starts and stops the recording of a stream, for users who manage it.

import { api } from '../api.js';
import { h, icon, once, setText } from '../dom.js';
import { t } from '../i18n.js';
import { wordsFor } from '../wording.js';
import { mountWaiting } from './waiting.js';

// mountRecordButton(root, {list, id}) -> {update}
export function mountRecordButton(root, { list, id }) {
  const button = h('button', { class: 'button button-record', type: 'button', hidden: true, onclick: once(toggle) });
  const message = h('p', { class: 'record-said', role: 'status', hidden: true });
  const waiting = mountWaiting();
  root.append(button, message, waiting.element);

  async function toggle() {
    const stream = list.find(id);
    button.disabled = true;
    showMessage('');
    try {
      await waiting.during(() => api.setRecording(stream.app, stream.name, !stream.record_on));
      await list.refresh();
    } catch (error) {
      showMessage(wordsFor(error));
    }
    button.disabled = false;
  }

  let stopped = '';     // why the recording does not run although it is switched on

  function showMessage(text) {
    setText(message, text);
    message.hidden = !text;
  }

  return {
    update() {
      const stream = list.find(id);
      const reason = stream?.record_stopped ? t('record.quota') : '';
      if (reason !== stopped) showMessage(reason);
      stopped = reason;
      button.hidden = !stream || stream.record !== 'demand' || !stream.rights.includes('manage');
      const face = stream?.record_on ? 'stop' : 'record';
      if (button.hidden || button.dataset.face === face) return;
      button.dataset.face = face;
      button.replaceChildren(icon(face), h('span', {}, t(`record.${face}`)));
    },
  };
}
