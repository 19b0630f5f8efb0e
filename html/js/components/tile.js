// One stream's picture with its name, numbers and state. The wall and the
// player view both use it.  Events upward: none; the owner calls update().

import { emit, h, icon, setText } from '../dom.js';
import { formatBitrate, formatSeconds } from '../format.js';
import { t } from '../i18n.js';
import { LivePlayer } from '../live-player.js';
import { tilePhase } from '../timing.js';

// mountTile(root, {list, id}) -> {element, video, setMuted, update, destroy}
export function mountTile(root, { list, id }) {
  const video = h('video', { class: 'tile-picture', muted: true, autoplay: true, playsInline: true, disableRemotePlayback: true });
  const still = h('canvas', { class: 'tile-picture tile-still', hidden: true });
  const badge = h('span', { class: 'tile-badge' });
  const title = h('span', { class: 'tile-title' });
  const bitrate = h('span', { class: 'tile-number' });
  const buffer = h('span', { class: 'tile-number', title: t('buffer.explained') });
  const message = h('p', { role: 'status' });
  const soundOnly = h('p', { class: 'tile-sound-only', hidden: true }, icon('soundOn'), h('span', {}, t('tile.soundOnly')));
  const element = h('div', { class: 'tile', data: { stream: id, phase: 'idle' } },
    video,
    still,
    soundOnly,
    h('div', { class: 'tile-cover' }, h('div', { class: 'tile-state' }, h('span', { class: 'spinner' }), message)),
    h('div', { class: 'tile-top' }, badge, title, h('span', { class: 'tile-numbers' }, bitrate, buffer)),
  );
  video.tabIndex = -1;
  root.prepend(element);

  const player = new LivePlayer(video, still, () => {
    const stream = list.find(id);
    if (!stream) return null;
    // With the list itself out of reach its last word may be old: knock anyway.
    const state = list.trouble ? 'live' : stream.state;
    return { url: stream.play, state, audio: stream.audio, video: stream.video };
  });

  function showPhase() {
    const stream = list.find(id);
    const phase = tilePhase(player.phase, { state: list.trouble ? undefined : stream?.state, shown: player.everShown });
    const allowed = stream ? Boolean(stream.play) : !list.streams;
    element.dataset.phase = allowed ? phase : 'offline';
    setText(badge, t(`phase.${element.dataset.phase}`));
    setText(message, allowed ? t(`tile.${phase}`) : t('tile.notAllowed'));
  }

  function showStats() {
    // What the server says, until this page has measured for itself.
    setText(bitrate, formatBitrate(player.stats.kbps || list.find(id)?.kbps));
    setText(buffer, t('buffer.value', { seconds: formatSeconds(player.stats.buffered) }));
    soundOnly.hidden = player.phase !== 'playing' || video.videoWidth > 0;
    emit(element, 'tile:stats', player.stats);
  }

  function update() {
    const stream = list.find(id);
    setText(title, stream?.title || id);
    player.sourceChanged();
    showPhase();
  }

  player.addEventListener('phase', showPhase);
  player.addEventListener('stats', showStats);
  player.addEventListener('muted', () => emit(element, 'tile:muted', {}));
  list.addEventListener('change', update);
  update();
  showStats();
  player.start();

  return {
    element,
    video,
    setMuted(muted) {
      video.muted = muted;
      if (!muted) player.play();
    },
    destroy() {
      list.removeEventListener('change', update);
      player.destroy();
      element.remove();
    },
  };
}
