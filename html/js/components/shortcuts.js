// The keyboard shortcuts of a view, in a dialog.

import { h } from '../dom.js';
import { t } from '../i18n.js';
import { openDialog } from './dialog.js';

// A group's name -> its rows: the name of the text, and the keys.
const groups = {
  picture: [
    ['sound', 'M'],
    ['screen', 'F'],
    ['inset', 'I'],
  ],
  wall: [
    ['sound', 'M'],
    ['screen', 'F'],
  ],
  timeline: [
    ['pause', 'K', 'space'],
    ['step', '←', '→'],
    ['minute', 'Shift ←', 'Shift →'],
    ['ends', 'Home', 'End'],
    ['live', 'L'],
    ['zoom', '+', '−'],
    ['page', 'Page Up', 'Page Down'],
    ['recording', ',', '.'],
  ],
  clip: [
    ['mark', '[', ']'],
  ],
  page: [
    ['close', 'Esc'],
    ['help', '?'],
  ],
};

let open = null;

/** names: of the view's groups. */
export async function showShortcuts(names = []) {
  if (open) return;
  open = openDialog({
    title: t('shortcuts.title'),
    body: h(
      'dl',
      { class: 'shortcuts' },
      ...[...names, 'page'].flatMap((name) => groups[name]).map(([text, ...keys]) =>
        h('div', { class: 'shortcut' },
          h('dt', {}, ...keys.map((key) => h('kbd', {}, key === 'space' ? t('shortcuts.space') : key))),
          h('dd', {}, t(`shortcuts.${text}`)))),
    ),
  });
  await open.closed;
  open = null;
}
