// Full screen of an element (.screen in fullscreen.css): its picture (.screen-stage) goes from edge to
// edge, and over it lie the timeline (.screen-under) and a bar with sound, picture-in-picture and the
// way out. All that lies over the picture fades after three seconds without a move, and returns on a
// tap, a move or a key. iPhones have full screen of the <video> alone, with controls of their own.

import { h, icon, once } from '../dom.js';
import { t } from '../i18n.js';
import { recall } from '../preferences.js';
import { showShortcuts } from './shortcuts.js';

const fadeAfterMs = 3000;

function iconButton(name, label, onclick) {
  return h('button', { class: 'icon-button', type: 'button', 'aria-label': label, title: label, onclick }, icon(name));
}

/** Whether more than a <video> can be in full screen. */
export const hasFullscreen = Boolean(Element.prototype.requestFullscreen);

// mountFullscreen(element, {video, sound, shortcuts, more}) ->
// {isFull, toggle, togglePicture, showInset, showSound, destroy}. video(): the one <video> on the screen, or null.
// sound: {isOn(), toggle(), setVolume(share)}. shortcuts(): the groups of keys to show (shortcuts.js). more: further
// buttons of the bar.
export function mountFullscreen(element, { video, sound, shortcuts, more = [] }) {
  const mute = h('button', { class: 'icon-button', type: 'button', onclick: once(sound.toggle) });
  const volume = h('input', {
    class: 'range',
    type: 'range',
    min: '0',
    max: '1',
    step: '0.05',
    'aria-label': t('sound.volume'),
    oninput: () => sound.setVolume(Number(volume.value)),
  });
  const inset = iconButton('pictureInPicture', t('screen.inset'), () => togglePicture());
  const exit = iconButton('fullscreenEnd', t('screen.exit'), () => toggle());
  const keys = iconButton('keyboard', t('shortcuts.title'), () => showShortcuts(shortcuts()));
  keys.classList.add('screen-keys');
  const bar = h(
    'div',
    { class: 'screen-bar', role: 'group', 'aria-label': t('fullscreen'), hidden: true },
    mute,
    volume,
    ...more,
    h('span', { class: 'screen-space' }),
    keys,
    inset,
    exit,
  );
  element.append(bar);

  let timer = null;
  let focusBefore = null;   // what had the focus before full screen
  let wakes = false;        // this touch brings the controls back, and presses none of them
  let last = '';            // the pointer's last place: browsers report moves without any
  const listening = new AbortController();
  const on = (target, type, listener) => target.addEventListener(type, listener, { signal: listening.signal });
  on(document, 'fullscreenchange', changed);
  on(document, 'keydown', () => isFull() && wake());
  on(document, 'focusin', keepFocus);
  on(element, 'pointermove', moved);
  on(element, 'pointerdown', pressed);
  element.addEventListener('click', keepClick, { capture: true, signal: listening.signal });
  showSound();

  function isFull() {
    return document.fullscreenElement === element;
  }

  /** picture: what an iPhone shows alone. */
  function toggle(picture = video()) {
    if (isFull()) return document.exitFullscreen();
    if (hasFullscreen) return element.requestFullscreen({ navigationUI: 'hide' }).catch(() => {});
    return picture?.webkitEnterFullscreen?.();
  }

  function changed() {
    const wasFull = !bar.hidden;
    bar.hidden = !isFull();
    showInset();
    if (isFull() && !wasFull) {
      focusBefore = document.activeElement;
      element.tabIndex = -1;
      element.focus({ preventScroll: true });
    } else if (wasFull && !isFull()) {
      element.removeAttribute('tabindex');
      focusBefore?.focus({ preventScroll: true });
    }
    wake();
  }

  function showInset() {
    inset.hidden = !canLeavePage(video());
  }

  function wake() {
    clearTimeout(timer);
    element.removeAttribute('data-idle');
    if (isFull()) timer = setTimeout(fade, fadeAfterMs);
  }

  function fade() {
    clearTimeout(timer);
    wakes = false;
    if (isFull()) element.setAttribute('data-idle', '');
  }

  function moved({ pointerType, clientX, clientY, target }) {
    if (!isFull()) return;
    const place = `${clientX} ${clientY}`;
    // A finger that touches the picture trembles.
    if (place === last || pointerType === 'touch' && !isControl(target)) return;
    last = place;
    wake();
  }

  function pressed({ pointerType, target }) {
    const isTouch = isFull() && pointerType === 'touch';
    wakes = isTouch && element.hasAttribute('data-idle');
    if (isTouch && !wakes && !isControl(target)) fade();
    else wake();
  }

  // The browser looks for the button under a finger only when that leaves: by then it can be seen.
  function keepClick(event) {
    if (!wakes) return;
    wakes = false;
    event.preventDefault();
    event.stopPropagation();
  }

  // All but the full screen is out of sight, so the focus must not go there.
  function keepFocus({ target }) {
    if (isFull() && !element.contains(target) && !target.closest('dialog')) exit.focus();
  }

  /** Shows the sound's state; the view calls it after each change. */
  function showSound() {
    const isOn = sound.isOn();
    const label = t(isOn ? 'sound.mute' : 'sound.unmute');
    mute.replaceChildren(icon(isOn ? 'soundOn' : 'soundOff'));
    mute.setAttribute('aria-label', label);
    mute.title = label;
    volume.hidden = !isOn;
    volume.value = String(recall('volume', 1));
  }

  /** Takes the picture out of the page, into a window over all others, or back. */
  async function togglePicture() {
    const picture = video();
    if (!canLeavePage(picture)) return;
    try {
      if (document.pictureInPictureElement === picture) await document.exitPictureInPicture();
      else if (picture.requestPictureInPicture) await picture.requestPictureInPicture();
      else picture.webkitSetPresentationMode('picture-in-picture');
      if (isFull() && document.pictureInPictureElement === picture) await document.exitFullscreen();
    } catch {
      // There is no picture yet, or the browser forbids it: all stays as it is.
    }
  }

  return {
    get isFull() { return isFull(); },
    toggle,
    togglePicture,
    /** Another picture, or several, are on the screen. */
    showInset,
    showSound,
    destroy() {
      clearTimeout(timer);
      listening.abort();
      if (isFull()) document.exitFullscreen();
      bar.remove();
    },
  };
}

function isControl(target) {
  return target.closest('.screen-under, .screen-bar, button, a, select, input') !== null;
}

function canLeavePage(video) {
  if (!video) return false;
  if (video.requestPictureInPicture) return document.pictureInPictureEnabled;
  return video.webkitSupportsPresentationMode?.('picture-in-picture') ?? false;
}
