// "My streams", live ones first. Keeps one row per stream, so that an update does not
// take away the focus or a text selection.

import { h, icon, setText } from '../dom.js';
import { formatBitrate, formatCodecs, formatDuration, formatPicture, isolated, personName } from '../format.js';
import { t } from '../i18n.js';
import { isRecorded, mayList } from '../live-events.js';
import { publishServer } from '../publish-url.js';
import { formatRoute } from '../route.js';

export function mountStreams(root, { list, user }) {
  const rows = new Map();
  const summary = h('p', { class: 'page-summary', role: 'status' });
  const filter = h('input', {
    class: 'input input-search',
    type: 'search',
    placeholder: t('streams.filter'),
    'aria-label': t('streams.filter'),
    oninput: update,
  });
  const openWall = h(
    'a',
    { class: 'button button-primary', href: '#/wall' },
    icon('wall'),
    h('span', {}, t('streams.openWall')),
  );
  const body = h('ul', { class: 'stream-list' });
  const empty = h('div', { class: 'empty', hidden: true });
  const skeleton = h(
    'div',
    { class: 'stream-skeleton', 'aria-hidden': 'true' },
    h('div', {}),
    h('div', {}),
    h('div', {}),
  );
  const element = h('main', { class: 'page', id: 'main', tabindex: '-1' },
    h('div', { class: 'page-head' },
      h('div', {}, h('h1', { class: 'page-title' }, t('streams.title')), summary),
      h('div', { class: 'page-actions' }, filter, openWall)),
    skeleton, body, empty);
  root.append(element);
  list.addEventListener('change', update);
  const clock = setInterval(update, 1000); // how long each has been live
  update();

  function update() {
    const streams = list.streams;
    skeleton.hidden = streams !== null || list.trouble !== null;
    if (!streams) return;
    const wanted = filter.value.trim().toLowerCase();
    const shown = streams.filter((stream) =>
      `${stream.id} ${stream.title} ${stream.owner} ${stream.owner_display}`.toLowerCase().includes(wanted),
    );
    const live = streams.filter((stream) => stream.state === 'live');
    setText(summary, streams.length ? t('streams.summary', {
      live: live.length,
      all: streams.length,
      viewers: live.reduce((sum, stream) => sum + stream.viewers, 0),
      bitrate: formatBitrate(live.reduce((sum, stream) => sum + stream.kbps, 0)),
    }) : '');
    filter.hidden = streams.length < 2;
    openWall.hidden = !streams.some((stream) => stream.play);
    placeRows(shown);
    showEmpty(streams, shown);
  }

  function placeRows(shown) {
    const keep = new Set(shown.map((stream) => stream.id));
    for (const [id, row] of rows) {
      if (keep.has(id)) continue;
      row.element.remove();
      rows.delete(id);
    }
    shown.forEach((stream, index) => {
      let row = rows.get(stream.id);
      if (!row) rows.set(stream.id, (row = makeRow()));
      row.update(stream, list.knownAt);
      if (body.children[index] !== row.element) body.insertBefore(row.element, body.children[index] ?? null);
    });
    body.hidden = shown.length === 0;
  }

  function showEmpty(streams, shown) {
    empty.hidden = shown.length > 0;
    const kind = streams.length ? 'filter' : 'none';
    if (empty.hidden || empty.dataset.kind === kind) return;
    empty.dataset.kind = kind;
    if (kind === 'filter') empty.replaceChildren(h('p', {}, t('streams.noMatch')));
    else empty.replaceChildren(...noStreams(user));
  }

  return {
    element,
    destroy: () => {
      clearInterval(clock);
      list.removeEventListener('change', update);
      element.remove();
    },
  };
}

function makeRow() {
  const link = h('a', { class: 'stream-link', dir: 'auto' });
  const badge = h('span', { class: 'badge' });
  const recording = h('span', { class: 'badge badge-rec', hidden: true, title: t('rec.on') }, t('rec.sign'));
  const id = h('span', { class: 'stream-id' });
  const fields = {
    viewers: h('dd', {}),
    bitrate: h('dd', {}),
    picture: h('dd', {}),
    codecs: h('dd', { class: 'stream-codecs' }),
    since: h('dd', {}),
  };
  const action = h('span', { class: 'stream-action', 'aria-hidden': 'true' }, icon('play'));
  const element = h(
    'li',
    { class: 'stream-row' },
    h('div', { class: 'stream-state' }, badge, recording),
    h('div', { class: 'stream-name' }, link, id),
    h(
      'dl',
      { class: 'stream-facts' },
      ...Object.entries(fields).map(([name, value]) =>
        h('div', { class: `fact fact-${name}` }, h('dt', {}, t(`fact.${name}`)), value),
      ),
    ),
    action,
  );

  function update(stream, knownAt) {
    const live = stream.state === 'live';
    element.dataset.state = stream.state;
    badge.dataset.state = stream.state;
    setText(badge, t(`state.${stream.state}`));
    recording.hidden = !isRecorded(stream);
    setText(link, stream.title || stream.name);
    setText(id, `${isolated(stream.id)} · ${isolated(personName(stream.owner_display, stream.owner))}`);
    const opens = Boolean(stream.play || mayList(stream));
    if (opens) link.href = formatRoute({ view: 'watch', stream: stream.id });
    else link.removeAttribute('href');
    action.hidden = !opens;
    setText(fields.viewers, String(stream.viewers ?? 0));
    setText(fields.bitrate, live ? formatBitrate(stream.kbps) : '–');
    setText(fields.picture, formatPicture(stream));
    setText(fields.codecs, formatCodecs(stream));
    setText(fields.since, live ? formatDuration(knownAt - stream.startedAt) : '–');
  }

  return { element, update };
}

// The empty list: says what to do next, with an example command.
function noStreams(user) {
  const example = `ffmpeg -re -i FILE -c copy -f flv \\\n  ` +
    `"${publishServer('rtmp', user.publish, location.hostname)}/live/NAME?key=KEY"`;
  return [
    h('div', { class: 'empty-icon' }, icon('streams')),
    h('h2', {}, t('empty.title')),
    h('p', {}, t(user.admin ? 'empty.admin' : 'empty.user')),
    user.admin &&
      h(
        'a',
        { class: 'button button-primary', href: '#/admin/streams' },
        icon('plus'),
        h('span', {}, t('admin.addStream')),
      ),
    h('p', { class: 'empty-how' }, t('empty.push')),
    h('pre', { class: 'code', tabindex: '0' }, example),
    h('p', { class: 'hint' }, t('empty.phone')),
  ].filter(Boolean);
}
