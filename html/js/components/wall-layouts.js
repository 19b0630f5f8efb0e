// A dialog with the user's saved walls: open one, save the present one under a name, delete
// one, or copy the link of the present one.

import { api } from '../api.js';
import { h, icon, setText } from '../dom.js';
import { t } from '../i18n.js';
import { wordsFor } from '../wording.js';
import { mountCopyField } from './copy.js';
import { openDialog } from './dialog.js';

const longestName = 64;

// openLayouts({present, link}) -> the layout {size, slots} to open, or null
export async function openLayouts({ present, link }) {
  let answer = null;
  const rows = h('ul', { class: 'layout-list' });
  const none = h('p', { class: 'hint', hidden: true }, t('layouts.none'));
  const problem = h('p', { class: 'form-problem', role: 'alert' });
  const name = h('input', {
    class: 'input',
    type: 'text',
    maxlength: String(longestName),
    placeholder: t('layouts.example'),
    'aria-label': t('layouts.name'),
  });
  const save = h('button', { class: 'button button-primary', type: 'submit' }, t('save'));
  const form = h('form', { class: 'layout-form', onsubmit }, name, save);
  const links = h('div', { class: 'layout-link' });
  const dialog = openDialog({
    title: t('layouts.title'),
    body: h('div', { class: 'layouts' },
      rows, none,
      h('h3', {}, t('layouts.present')), form, problem, links),
  });
  mountCopyField(links, { label: t('layouts.link'), value: link });
  show();

  async function show() {
    const layouts = await attempt(() => api.layouts());
    if (!layouts) return;
    none.hidden = layouts.length > 0;
    rows.replaceChildren(...layouts.map(row));
  }

  async function attempt(work) {
    setText(problem, '');
    try {
      return await dialog.during(work);
    } catch (error) {
      setText(problem, error.code === 'too_many' ? t('layouts.full') : wordsFor(error));
      return null;
    }
  }

  function row({ name: saved, layout }) {
    const slots = slotsOf(layout);
    const count = slots.filter(Boolean).length;
    return h('li', { class: 'layout-row' },
      h('button', { class: 'layout-open', type: 'button', onclick: () => give({ size: layout.size, slots }) },
        icon('layouts'),
        h('span', { class: 'layout-name', dir: 'auto' }, saved),
        h('span', { class: 'hint' }, count ? t('layouts.streams', { count }) : t('picker.everything'))),
      h('button', {
        class: 'icon-button',
        type: 'button',
        'aria-label': t('layouts.remove', { name: saved }),
        title: t('layouts.remove', { name: saved }),
        onclick: () => remove(saved),
      }, icon('remove')));
  }

  async function onsubmit(event) {
    event.preventDefault();
    const wanted = name.value.trim();
    if (!wanted) {
      setText(problem, t('layouts.nameMissing'));
      name.focus();
      return;
    }
    save.disabled = true;
    if (await attempt(() => api.saveLayout(wanted, present))) {
      name.value = '';
      await show();
    }
    save.disabled = false;
  }

  async function remove(saved) {
    await attempt(() => api.removeLayout(saved));
    await show();
    name.focus();
  }

  function give(layout) {
    answer = layout;
    dialog.close();
  }

  await dialog.closed;
  return answer;
}

// The service keeps whatever JSON it was given.
function slotsOf({ slots }) {
  return Array.isArray(slots) ? slots.map((name) => (typeof name === 'string' ? name : null)) : [];
}
