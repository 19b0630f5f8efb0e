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
import { clocksNow, getsOlder, PictureAge, truthOf } from '../picture-age.js';
import { tilePhase } from '../timing.js';
import { countingText } from './counting-text.js';

const lookEveryMs = 500;

// mountTile(root, {list, id, via}) ->
// {element, video, ways, mode, player, phase, shownAt, pictureAt, setMuted, toLive, toHistory, hold, destroy}
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
  const message = h('p', { class: 'tile-reason', role: 'status' });
  const ageText = countingText();
  const aged = h('p', { class: 'tile-age', hidden: true }, ageText.element);
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
    h('div', { class: 'tile-cover' },
      h('div', { class: 'tile-state' }, h('span', { class: 'spinner' }), h('div', {}, aged, message))),
    h('div', { class: 'tile-top' }, badge, title, recording, h('span', { class: 'tile-numbers' }, bitrate, behind)),
  );
  video.tabIndex = -1;
  root.prepend(element);

  const ways = new LiveWays(video, via);
  let player = null;
  let mode = null;      // live, history, or held: live is stopped under its last picture
  let shown = false;    // an earlier player has shown a picture
  let age = new PictureAge(clocksNow());
  let wasHidden = document.hidden;
  let shownAt = NaN;    // the time of the last live picture, ms
  let told = '';        // the mode and phase of the last tile:phase

  function liveSource() {
    const stream = list.find(id);
    if (!stream) return null;
    // No news comes, so the state may be another: try to connect anyway.
    const state = list.stale ? 'live' : stream.state;
    const { play: url, watch, audio, video: codec } = stream;
    return { url, watch, state, audio, video: codec, known: !list.trouble, renew: () => list.refresh() };
  }

  function switchTo(next, nextMode) {
    shown ||= Boolean(player?.everShown);
    if (player) keepPicture(video, still);
    player?.destroy();
    player = next;
    mode = nextMode;
    age = new PictureAge(clocksNow());
    shownAt = NaN;
    told = '';
    element.dataset.mode = mode;
    player?.addEventListener('phase', look);
    player?.addEventListener('stats', showStats);
    player?.addEventListener('time', showStats);
    player?.addEventListener('muted', () => emit(element, 'tile:muted', {}));
    showPhase();
  }

  // Looks at the picture itself: what the players and the list report may be old.
  function look() {
    const clocks = clocksNow();
    const isShowing = mode === 'live' ? player.hasPicture : player?.showing;
    const { totalVideoFrames: frames = 0 } = video.videoWidth ? video.getVideoPlaybackQuality?.() ?? {} : {};
    age.sample({ position: video.currentTime, frames, isCovered: !still.hidden || !isShowing, wasHidden }, clocks);
    if (!getsOlder(phaseNow(list.find(id)), mode) || player?.isPausedByUser) age.rest(clocks);
    wasHidden = document.hidden;
    showPhase();
  }

  // A tab that was asleep must not show an old picture as live until the next look.
  function onVisible() {
    if (!document.hidden) look();
  }

  function showPhase() {
    const stream = list.find(id);
    const allowed = stream ? Boolean(stream.play) : !list.streams;
    const refused = mode === 'live' && !allowed;
    const truth = truthOf({
      phase: refused ? 'offline' : phaseNow(stream),
      mode,
      age: age.at(clocksNow()),
      isStale: list.stale,
      isRecorded: isRecorded(stream),
    });
    const { phase, ageMs } = truth;
    if (element.dataset.phase !== phase) element.dataset.phase = phase;
    element.toggleAttribute('data-old', truth.isGrey);
    recording.hidden = !truth.isRecorded;
    aged.hidden = ageMs === null;
    ageText.show(ageMs === null ? null : (words) => t('tile.noPicture', { age: words }), ageMs);
    if (mode === 'history') showHistoryPhase(phase);
    else {
      setText(badge, t(`phase.${phase}`));
      setText(message, refused ? t('tile.notAllowed') : t(`tile.${phase}`));
    }
    if (told === `${mode} ${phase}`) return;
    told = `${mode} ${phase}`;
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
      state: list.stale ? undefined : stream?.state,
      shown: shown || player.everShown,
    });
  }

  function showStats() {
    const { kbps = 0, buffered = NaN, delay = NaN } = player?.stats ?? {};
    // The server's bitrate, until this page has measured its own.
    setText(bitrate, formatBitrate(kbps || list.find(id)?.kbps));
    const isDelay = Number.isFinite(delay);
    const seconds = formatSeconds(isDelay ? delay : buffered);
    setText(behind, t('behind.value', { seconds }));
    behind.title = t(isDelay ? 'behind.measured' : 'behind.received');
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
  document.addEventListener('visibilitychange', onVisible);
  window.addEventListener('pageshow', onVisible);
  toLive();
  update();
  showStats();
  const watcher = setInterval(look, lookEveryMs);

  return {
    element,
    video,
    ways,
    get mode() { return mode; },
    get player() { return player; },
    get phase() { return element.dataset.phase; },
    /** The time of the live picture on the screen, ms: it stands while the picture is old. NaN before the first. */
    get shownAt() {
      if (Number.isNaN(shownAt) || !age.at(clocksNow()).isOld) shownAt = player?.shownAt ?? shownAt;
      return shownAt;
    },
    /** When the picture on the screen came, ms: now, unless it is old. */
    get pictureAt() {
      const { isOld, ms } = age.at(clocksNow());
      return Date.now() - (isOld ? ms : 0);
    },
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
      clearInterval(watcher);
      list.removeEventListener('change', update);
      document.removeEventListener('visibilitychange', onVisible);
      window.removeEventListener('pageshow', onVisible);
      player?.destroy();
      element.remove();
    },
  };
}
