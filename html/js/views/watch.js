// The player view of one stream: picture, timeline, sound, full screen, statistics, and a
// URL for other players.

import { h, icon, isTaken, once, setText } from '../dom.js';
import {
  formatBitrate, formatCodecs, formatDuration, formatPicture, formatSeconds, isolated, personName,
} from '../format.js';
import { t } from '../i18n.js';
import { isRecorded, mayList } from '../live-events.js';
import { playlistUrl } from '../media-url.js';
import { formatRoute, parseRoute } from '../route.js';
import { mountCopyField } from '../components/copy.js';
import { mountFullscreen } from '../components/fullscreen.js';
import { mountRecordButton } from '../components/record-button.js';
import { mountReplay } from '../components/replay.js';
import { maySend, openSend } from '../components/send.js';
import { mountStreamManage } from '../components/stream-manage.js';
import { showShortcuts } from '../components/shortcuts.js';
import { mountTile } from '../components/tile.js';
import { recall, remember } from '../preferences.js';

export function mountWatch(root, { list, user, id, at, via }) {
  const title = h('h1', { class: 'watch-title', dir: 'auto' }, id);
  const subtitle = h('p', { class: 'watch-subtitle' });
  const badge = h('span', { class: 'badge' });
  const recording = h('span', { class: 'badge badge-rec', hidden: true, title: t('rec.on') }, t('rec.sign'));
  const sound = h('button', {
    class: 'button button-sound',
    type: 'button',
    onclick: once(() => setSound(tile.video.muted)),
  });
  const volume = h('input', {
    class: 'range',
    type: 'range',
    min: '0',
    max: '1',
    step: '0.05',
    value: String(recall('volume', 1)),
    'aria-label': t('sound.volume'),
    oninput: () => setVolume(Number(volume.value)),
  });
  const recordPlace = h('div', { class: 'watch-record' });
  const send = h(
    'button',
    { class: 'button', type: 'button', hidden: true, onclick: () => openSend({ stream: list.find(id), span: null }) },
    icon('share'),
    h('span', {}, t('send.button')),
  );
  const full = h(
    'button',
    { class: 'button', type: 'button', onclick: () => fullscreen.toggle(), 'aria-label': t('fullscreen') },
    icon('fullscreen'),
    h('span', { class: 'wide-only' }, t('fullscreen')),
  );
  const keys = h(
    'button',
    {
      class: 'icon-button screen-keys',
      type: 'button',
      'aria-label': t('shortcuts.title'),
      title: t('shortcuts.title'),
      onclick: () => showShortcuts(shortcuts()),
    },
    icon('keyboard'),
  );
  // Two quick taps of a finger show and hide the controls.
  const hasMouse = window.matchMedia('(hover: hover)');
  const stage = h('div', {
    class: 'watch-stage screen-stage',
    ondblclick: () => hasMouse.matches && fullscreen.toggle(),
  });
  const under = h('div', { class: 'screen-under' });
  const screen = h('div', { class: 'screen' }, stage, under);
  const facts = {
    // One of the two: as the server's clock tells, or as far as this page knows.
    behind: h('dd', { title: t('behind.received') }, '–'),
    delay: h('dd', { title: t('behind.measured') }),
    received: h('dd', {}, '–'),
    bitrate: h('dd', {}),
    viewers: h('dd', {}),
    picture: h('dd', {}),
    codecs: h('dd', {}),
    since: h('dd', {}),
    way: h('dd', {}),
  };
  const wayNote = h('p', { class: 'hint watch-way', hidden: true });
  const recordings = h(
    'a',
    { class: 'button button-wide', href: formatRoute({ view: 'recordings', stream: id }), hidden: true },
    icon('recordings'),
    h('span', {}, t('watch.recordings')),
  );
  const links = h('section', { class: 'panel' }, h('h2', { class: 'panel-title' }, t('watch.otherPlayers')));
  const othersList = h('ul', { class: 'others' });
  const others = h(
    'nav',
    { class: 'panel', 'aria-label': t('watch.others') },
    h('h2', { class: 'panel-title' }, t('watch.others')),
    othersList,
  );
  const element = h(
    'main',
    { class: 'page page-wide watch', id: 'main', tabindex: '-1' },
    h(
      'div',
      { class: 'watch-main' },
      screen,
      h(
        'div',
        { class: 'watch-bar' },
        h('div', { class: 'watch-names' }, h('div', { class: 'watch-heading' }, title, badge, recording), subtitle),
        h('div', { class: 'watch-controls' }, recordPlace, sound, volume, send, keys, full),
      ),
    ),
    h(
      'aside',
      { class: 'watch-side', 'aria-label': t('watch.about') },
      h(
        'section',
        { class: 'panel' },
        h('h2', { class: 'panel-title' }, t('watch.numbers')),
        h(
          'dl',
          { class: 'facts' },
          ...Object.entries(facts).map(([name, value]) =>
            h('div', { class: 'facts-row', data: { fact: name } }, h('dt', {}, t(`fact.${name}`)), value),
          ),
        ),
        wayNote,
      ),
      recordings,
      links,
      others,
    ),
  );
  root.append(element);

  const tile = mountTile(stage, { list, id, via });
  tile.video.volume = Number(volume.value);
  const record = mountRecordButton(recordPlace, { list, id });
  const replay = mountReplay(under, { list, id, tile, at });
  const manage = mountStreamManage(element, { list, id, user });
  links.before(manage.element);
  const fullscreen = mountFullscreen(screen, {
    video: () => tile.video,
    sound: { isOn: () => !tile.video.muted, toggle: () => setSound(tile.video.muted), setVolume },
    shortcuts,
  });
  const flvUrl = mountCopyField(links, { label: t('watch.flvUrl'), value: '' });
  const hlsUrl = mountCopyField(links, { label: t('watch.hlsUrl'), value: '' });
  links.append(h('p', { class: 'hint' }, t('watch.urlHint')));

  element.addEventListener('tile:stats', ({ detail }) => {
    const isMeasured = Number.isFinite(detail.delay);
    const isMoving = tile.phase === 'playing';
    setText(facts.behind, isMoving ? formatSeconds(detail.buffered) : '–');
    setText(facts.delay, isMoving ? formatSeconds(detail.delay) : '–');
    setText(facts.received, formatBitrate(detail.kbps));
    facts.delay.parentElement.hidden = !isMeasured;
    facts.behind.parentElement.hidden = isMeasured;
    showWay();
  });
  element.addEventListener('tile:phase', update);
  element.addEventListener('tile:muted', () => setSound(false));
  // Replaced, not pushed: "back" leaves the stream instead of undoing seeks.
  element.addEventListener('replay:at', ({ detail }) =>
    history.replaceState(null, '', formatRoute({ ...parseRoute(location.hash), at: detail.at })),
  );
  document.addEventListener('keydown', onKey);
  list.addEventListener('change', update);
  const clock = setInterval(update, 1000); // how long it has been live
  update();
  setSound(false);

  function onKey(event) {
    if (isTaken(event)) return;
    if (event.key === 'm') setSound(tile.video.muted);
    else if (event.key === 'f') fullscreen.toggle();
    else if (event.key === 'i') fullscreen.togglePicture();
    else if (replay.key(event)) event.preventDefault();
  }

  function setSound(on) {
    tile.setMuted(!on);
    sound.classList.toggle('button-primary', !on);
    sound.replaceChildren(icon(on ? 'soundOn' : 'soundOff'), h('span', {}, t(on ? 'sound.mute' : 'sound.unmute')));
    volume.hidden = !on;
    fullscreen.showSound();
  }

  function setVolume(value) {
    tile.video.volume = value;
    volume.value = String(value);
    remember('volume', value);
  }

  function shortcuts() {
    return replay.element.hidden ? ['picture'] : ['picture', 'timeline', 'clip'];
  }

  function update() {
    const stream = list.find(id);
    const state = stream?.state ?? 'offline';
    setText(title, stream?.title || id);
    setText(
      subtitle,
      stream ? `${isolated(stream.id)} · ${isolated(ownerOf(stream))}` : list.streams ? t('tile.notAllowed') : '',
    );
    showState(stream, state);
    setText(facts.bitrate, formatBitrate(state === 'live' && !list.stale ? stream.kbps : 0));
    setText(facts.viewers, list.stale ? '–' : String(stream?.viewers ?? 0));
    setText(facts.picture, formatPicture(stream ?? {}));
    setText(facts.codecs, formatCodecs(stream ?? {}));
    setText(facts.since, state === 'live' ? formatDuration(knownAt() - stream.startedAt) : '–');
    recordings.hidden = !mayList(stream);
    send.hidden = !maySend(stream, 'live');
    record.update();
    manage.update();
    element.classList.toggle('watch-with-replay', Boolean(stream?.replay));
    links.hidden = !stream?.play;
    if (stream?.play) {
      flvUrl.update(new URL(stream.play, location.href).href);
      hlsUrl.update(playlistUrl(stream.watch ?? stream.play));
    }
    showOthers();
  }

  // No clock runs on while the picture is old or no news comes.
  function knownAt() {
    return Math.min(list.knownAt, tile.mode === 'live' ? tile.pictureAt : Infinity);
  }

  // By which way live comes, and why if not by the best.
  function showWay() {
    const { name, forced, isFallback } = tile.ways;
    facts.way.parentElement.hidden = tile.mode !== 'live' || !name;
    if (name) setText(facts.way, t(`way.${name}`));
    wayNote.hidden = facts.way.parentElement.hidden || !(forced || isFallback);
    setText(wayNote, t(forced ? 'way.forced' : 'way.fallback'));
  }

  // Shows neither "live" nor "recording" beside a frozen live picture.
  function showState(stream, state) {
    const frozen = tile.mode === 'live' && tile.phase !== 'playing';
    const shown = state === 'live' && (frozen || list.stale) ? 'waiting' : state;
    badge.dataset.state = shown;
    setText(badge, shown === 'waiting' ? t(frozen ? `phase.${tile.phase}` : 'phase.stalled') : t(`state.${state}`));
    recording.hidden = shown !== 'live' || !isRecorded(stream);
  }

  function showOthers() {
    const streams = (list.streams ?? []).filter((stream) => stream.id !== id && stream.state === 'live' && stream.play);
    others.hidden = streams.length === 0;
    const signature = JSON.stringify([list.stale, ...streams.map((stream) => [stream.id, stream.title])]);
    if (othersList.dataset.signature === signature) return;
    othersList.dataset.signature = signature;
    othersList.replaceChildren(
      ...streams.map((stream) =>
        h(
          'li',
          {},
          h(
            'a',
            { href: formatRoute({ view: 'watch', stream: stream.id }) },
            h('span', { class: 'dot', data: { state: list.stale ? '' : 'live' } }),
            h('span', { class: 'others-name', dir: 'auto' }, stream.title || stream.id),
          ),
        ),
      ),
    );
  }

  return {
    element,
    shortcuts,
    destroy() {
      clearInterval(clock);
      document.removeEventListener('keydown', onKey);
      list.removeEventListener('change', update);
      fullscreen.destroy();
      replay.destroy();
      tile.destroy();
      element.remove();
    },
  };
}

function ownerOf(stream) {
  return personName(stream.owner_display, stream.owner);
}
