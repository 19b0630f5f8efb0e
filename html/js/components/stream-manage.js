// A panel beside the picture for those who may manage the stream: who may watch it, and deleting it.

import { h, icon } from '../dom.js';
import { t } from '../i18n.js';
import { wordsFor } from '../wording.js';
import { deleteStream } from './delete-dialog.js';
import { openShare } from './share.js';
import { mountWaiting } from './waiting.js';

/** user: of GET /api/me. Shows itself once the list says that the user may manage the stream. */
export function mountStreamManage(root, { list, id, user }) {
  const problem = h('p', { class: 'form-problem', role: 'alert' });
  const waiting = mountWaiting();
  const share = h('button', { class: 'button button-wide', type: 'button', onclick: onShare },
    icon('person'), h('span', {}, t('share.button')));
  const remove = h('button', { class: 'button button-wide', type: 'button', onclick: onRemove },
    icon('remove'), h('span', {}, t('delete.stream')));
  const element = h('section', { class: 'panel stream-manage', hidden: true },
    h('h2', { class: 'panel-title' }, t('manage.title')), share, remove, problem, waiting.element);
  root.append(element);

  function onShare() {
    openShare({ stream: list.find(id), user, changed: () => list.refresh() });
  }

  async function onRemove() {
    problem.textContent = '';
    try {
      if (await deleteStream(list.find(id), waiting.during)) {
        list.refresh();
        location.hash = '#/streams';
      }
    } catch (error) {
      problem.textContent = wordsFor(error);
    }
  }

  return {
    element,
    update() {
      const stream = list.find(id);
      element.hidden = !stream?.rights.includes('manage');
      remove.hidden = !(user.admin || stream?.owner === user.name);
    },
  };
}
