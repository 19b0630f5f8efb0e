// Starts and stops the recording of a stream, for users who manage it.

import { api } from '../api.js';
import { h, icon, once, setText } from '../dom.js';
import { t } from '../i18n.js';
import { wordsFor } from '../wording.js';

// mountRecordButton(root, {list, id}) -> {update}
export function mountRecordButton(root, { list, id }) {
  const button = h('button', { class: 'button button-record', type: 'button', hidden: true, onclick: once(toggle) });
  const said = h('p', { class: 'record-said', role: 'status', hidden: true });
  root.append(button, said);

  async function toggle() {
    const stream = list.find(id);
    button.disabled = true;
    say('');
    try {
      await api.setRecording(stream.app, stream.name, !stream.record_on);
      await list.refresh();
    } catch (error) {
      say(wordsFor(error));
    }
    button.disabled = false;
  }

  let stopped = '';     // the reason why a wanted recording does not run

  function say(text) {
    setText(said, text);
    said.hidden = !text;
  }

  return {
    update() {
      const stream = list.find(id);
      const why = stream?.record_stopped ? t('record.quota') : '';
      if (why !== stopped) say(why);
      stopped = why;
      button.hidden = !stream || stream.record !== 'demand' || !stream.rights.includes('manage');
      const face = stream?.record_on ? 'stop' : 'record';
      if (button.hidden || button.dataset.face === face) return;
      button.dataset.face = face;
      button.replaceChildren(icon(face), h('span', {}, t(`record.${face}`)));
    },
  };
}
