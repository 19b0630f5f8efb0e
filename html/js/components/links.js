// The links of one stream: what each shows, until when, its views, and a button that revokes it.

import { api } from '../api.js';
import { h, icon } from '../dom.js';
import { formatClock, formatDay } from '../format.js';
import { locale, t } from '../i18n.js';
import { wordsFor } from '../wording.js';
import { confirmDialog } from './dialog.js';

/** "Tue, 10 Mar 2026, 14:05" */
export function formatMoment(at) {
  return t('links.moment', { day: formatDay(at, locale()), time: formatClock(at, locale(), { seconds: false }) });
}

/** What a link shows: its span, or that it is live. */
export function spanText({ kind, from, to }) {
  if (kind === 'live') return t('links.live');
  const [begin, end] = [from, to].map((at) => formatClock(at, locale()));
  return t('links.span', { day: formatDay(from, locale()), from: begin, to: end });
}

// mountLinks(root, {app, name, during}) -> {element, refresh}. during: the dialog's
export function mountLinks(root, { app, name, during }) {
  const rows = h('ul', { class: 'links-list' });
  const empty = h('p', { class: 'hint', hidden: true }, t('links.none'));
  const problem = h('p', { class: 'form-problem', role: 'alert' });
  const element = h(
    'section',
    { class: 'links', 'aria-label': t('links.title') },
    h('h3', { class: 'links-title' }, t('links.title')),
    empty,
    rows,
    problem,
  );
  root.append(element);
  refresh();

  async function refresh() {
    try {
      show(await during(() => api.links(app, name)));
      problem.textContent = '';
    } catch (error) {
      problem.textContent = wordsFor(error);
    }
  }

  function show(links) {
    empty.hidden = links.length > 0;
    rows.replaceChildren(...links.map(row));
  }

  function row(link) {
    const about = [
      t(link.over ? 'links.over' : 'links.until', { moment: formatMoment(link.expires) }),
      t(link.views === 1 ? 'links.view' : 'links.views', { count: link.views }),
      link.password && t('links.password'),
      link.by && t('links.by', { name: link.by }),
    ].filter(Boolean);
    return h(
      'li',
      { class: 'links-row', data: { over: link.over } },
      h(
        'div',
        { class: 'links-what' },
        h('span', { class: 'links-span' }, icon(link.kind === 'live' ? 'play' : 'clip'), h('span', {}, spanText(link))),
        link.label && h('bdi', { class: 'links-label' }, link.label),
        h('span', { class: 'hint' }, about.join(' · ')),
      ),
      h(
        'button',
        {
          class: 'button button-small',
          type: 'button',
          'aria-label': `${t(link.over ? 'links.remove' : 'links.revoke')}: ${spanText(link)}`,
          onclick: () => revoke(link),
        },
        h('span', {}, t(link.over ? 'links.remove' : 'links.revoke')),
      ),
    );
  }

  async function revoke(link) {
    const agreed = link.over || await confirmDialog({
      title: t('links.revokeTitle'),
      text: t('links.revokeText', { span: spanText(link) }),
      action: t('links.revoke'),
    });
    if (!agreed) return;
    try {
      await during(() => api.revokeLink(String(link.id)));
    } catch (error) {
      problem.textContent = wordsFor(error);
      return;
    }
    refresh();
  }

  return { element, refresh };
}
