// One stream's picture with its name, numbers and state, for the wall and the player
// view. The player view can switch it to the stream's history and back, in the same
// <video>.
// Events that bubble up: tile:stats, tile:muted, tile:phase.

import { emit, h, icon, setText } from '../dom.js';
import { formatBitrate, formatSeconds } from '../format.js';
import { t } from '../i18n.js';
import { HistoryPlayer } from '../history-player.js';
import { isRecorded } from '../live-events.js';
import { LivePlayer } from '../live-player.js';
import { LiveWays } from '../live-ways.js';
import { keepPicture } from '../picture.js';
import { tilePhase } from '../timing.js';

// mountTile(root, {list, id, via}) ->
// {element, video, ways, mode, player, phase, setMuted, toLive, toHistory, hold, destroy}
export function mountTile(root, { list, id, via }) {
  const video = h('video', {
    class: 'tile-picture',
    muted: true,
    autoplay: true,
    playsInline: true,
    disableRemotePlayback: true,
  });
  const still = h('canvas', { class: 'tile-picture tile-still', hidden: true });
  const badge = h('span', { class: 'tile-badge' });
  const title = h('span', { class: 'tile-title', dir: 'auto' });
  const recording = h(
    'span',
    { class: 'tile-rec', hidden: true, title: t('rec.on') },
    h('span', { class: 'sr-only' }, t('rec.on')),
  );
  const bitrate = h('span', { class: 'tile-number' });
  const behind = h('span', { class: 'tile-number' });
  const message = h('p', { role: 'status' });
  const soundOnly = h(
    'p',
    { class: 'tile-sound-only', hidden: true },
    icon('soundOn'),
    h('span', {}, t('tile.soundOnly')),
  );
  const element = h('div', { class: 'tile', data: { stream: id, phase: 'idle' } },
    video,
    still,
    soundOnly,
    h('div', { class: 'tile-cover' }, h('div', { class: 'tile-state' }, h('span', { class: 'spinner' }), message)),
    h('div', { class: 'tile-top' }, badge, title, recording, h('span', { class: 'tile-numbers' }, bitrate, behind)),
  );
  video.tabIndex = -1;
  root.prepend(element);

  const ways = new LiveWays(video, via);
  let player = null;
  let mode = null;      // live, history, or held: live is stopped under its last picture
  let shown = false;    // an earlier player has shown a picture

  function liveSource() {
    const stream = list.find(id);
    if (!stream) return null;
    // The list cannot be fetched and may be stale: try to connect anyway.
    const state = list.trouble ? 'live' : stream.state;
    const { play: url, watch, audio, video: codec } = stream;
    return { url, watch, state, audio, video: codec, known: !list.trouble, renew: () => list.refresh() };
  }

  function switchTo(next, nextMode) {
    shown ||= Boolean(player?.everShown);
    if (player) keepPicture(video, still);
    player?.destroy();
    player = next;
    mode = nextMode;
    element.dataset.mode = mode;
    player?.addEventListener('phase', showPhase);
    player?.addEventListener('stats', showStats);
    player?.addEventListener('time', showStats);
    player?.addEventListener('muted', () => emit(element, 'tile:muted', {}));
    showPhase();
  }

  function showPhase() {
    const stream = list.find(id);
    const allowed = stream ? Boolean(stream.play) : !list.streams;
    const refused = mode === 'live' && !allowed;
    const phase = refused ? 'offline' : phaseNow(stream);
    element.dataset.phase = phase;
    // The sign says that this picture is being recorded: show it only beside a moving one.
    recording.hidden = !(mode === 'live' && phase === 'playing' && isRecorded(stream));
    if (mode === 'history') showHistoryPhase(phase);
    else {
      setText(badge, t(`phase.${phase}`));
      setText(message, refused ? t('tile.notAllowed') : t(`tile.${phase}`));
    }
    emit(element, 'tile:phase', { phase, mode });
  }

  function showHistoryPhase(phase) {
    setText(badge, t(phase === 'playing' || phase === 'ended' ? 'phase.history' : `phase.${phase}`));
    setText(message, t(historyMessage(phase)));
  }

  function historyMessage(phase) {
    if (phase === 'unsupported') return 'tile.flvUnsupported';
    return phase === 'ended' ? 'tile.historyEnd' : `tile.${phase}`;
  }

  function phaseNow(stream) {
    if (mode === 'held') return 'paused';
    if (mode === 'history') return player.phase;
    return tilePhase(player.phase, {
      state: list.trouble ? undefined : stream?.state,
      shown: shown || player.everShown,
    });
  }

  function showStats() {
    const { kbps = 0, buffered = NaN, delay = NaN } = player?.stats ?? {};
    // The server's bitrate, until this page has measured its own.
    setText(bitrate, formatBitrate(kbps || list.find(id)?.kbps));
    const isDelay = Number.isFinite(delay);
    const seconds = formatSeconds(isDelay ? delay : buffered);
    setText(behind, t(isDelay ? 'delay.value' : 'buffer.value', { seconds }));
    behind.title = t(isDelay ? 'delay.explained' : 'buffer.explained');
    soundOnly.hidden = player?.phase !== 'playing' || video.videoWidth > 0;
    emit(element, 'tile:stats', { kbps, buffered, delay });
  }

  function update() {
    const stream = list.find(id);
    setText(title, stream?.title || id);
    if (mode === 'live') player.sourceChanged();
    showPhase();
  }

  function toLive() {
    if (mode === 'live') return;
    switchTo(new LivePlayer(video, still, liveSource, ways), 'live');
    player.sourceChanged();
    player.start();
  }

  list.addEventListener('change', update);
  toLive();
  update();
  showStats();

  return {
    element,
    video,
    ways,
    get mode() { return mode; },
    get player() { return player; },
    get phase() { return element.dataset.phase; },
    setMuted(muted) {
      video.muted = muted;
      if (!muted && mode === 'live') player.play();
    },
    toLive,
    /** Replaces the live player by one for the stream's history. */
    toHistory(history) {
      if (mode !== 'history') switchTo(new HistoryPlayer(video, still, history), 'history');
      return player;
    },
    /** Stops live and keeps its last picture. */
    hold() {
      switchTo(null, 'held');
    },
    destroy() {
      list.removeEventListener('change', update);
      player?.destroy();
      element.remove();
    },
  };
}
