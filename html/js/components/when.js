// The field under the timeline that takes a time as people write it, between the arrows to
// the previous and the next recording.

import { h, icon, setText } from '../dom.js';
import { t } from '../i18n.js';
import { readWhen } from '../when.js';

let nextId = 0;

// mountWhen({history, position, seek, showDay, say}) -> {element, step}; position() is where playback is, ms; say()
// takes a key of the texts
export function mountWhen({ history, position, seek, showDay, say }) {
  const id = `when-${(nextId += 1)}`;
  let steps = 0;

  const field = h('input', {
    class: 'input when-field',
    type: 'text',
    autocomplete: 'off',
    autocapitalize: 'off',
    spellcheck: 'false',
    enterkeyhint: 'go',
    maxlength: '60',
    placeholder: t('when.example'),
    'aria-label': t('when.label'),
    'aria-describedby': id,
    oninput: () => showHint(null),
    onkeydown: ({ key }) => key === 'Escape' && showHint(null),
  });
  const hint = h('p', { class: 'when-hint', id, role: 'alert', hidden: true });
  const element = h(
    'form',
    { class: 'replay-group when', onsubmit: go, novalidate: true },
    arrow(-1),
    field,
    arrow(1),
    hint,
  );

  function arrow(direction) {
    const name = direction < 0 ? 'when.previous' : 'when.next';
    return h(
      'button',
      {
        class: 'icon-button replay-step',
        type: 'button',
        'aria-label': t(name),
        title: t(name),
        onclick: () => step(direction),
      },
      icon(direction < 0 ? 'previousRecording' : 'nextRecording'),
    );
  }

  function go(event) {
    event.preventDefault();
    const { at, wholeDay, hint: problem, ...values } = readWhen(field.value, Date.now());
    showHint(problem ?? null, values);
    if (problem) return;
    field.select();
    if (wholeDay) showDay(at);
    else seek(at);
  }

  function showHint(key, values) {
    hint.hidden = !key;
    if (key) setText(hint, t(key, values));
    field.setAttribute('aria-invalid', String(Boolean(key)));
  }

  async function step(direction) {
    const own = (steps += 1);
    const at = await history.neighbour(position(), direction);
    if (own !== steps) return;
    if (at === null) say(direction < 0 ? 'when.noPrevious' : 'when.noNext');
    else seek(at);
  }

  return { element, step };
}
