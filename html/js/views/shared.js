// The page of a link: the picture, its title, and a download, without an account. Asks for the password if the link
// has one, and says plainly when the link is over.
// Event upward: 'language'.

import { api } from '../api.js';
import { mountFullscreen } from '../components/fullscreen.js';
import { formatMoment, spanText } from '../components/links.js';
import { mountTile } from '../components/tile.js';
import { mountWaiting } from '../components/waiting.js';
import { brandMark, emit, h, icon, isTaken, once, setText } from '../dom.js';
import { formatDuration } from '../format.js';
import { otherLanguage, t } from '../i18n.js';
import { recall, remember } from '../preferences.js';
import { viaIn } from '../route.js';
import { SharedStream } from '../shared-stream.js';
import { wordsFor } from '../wording.js';

const busyRetryMs = 4000;

export function mountShared(root, { link, open: openStream }) {
  const outlet = h('div', { class: 'shared-outlet' });
  const other = otherLanguage();
  const element = h(
    'div',
    { class: 'shared' },
    h(
      'header',
      { class: 'shared-head' },
      h('span', { class: 'shared-brand' }, brandMark(), h('span', { class: 'brand-name' }, 'Duolu')),
      h(
        'button',
        {
          class: 'button button-quiet',
          type: 'button',
          lang: other === 'zh' ? 'zh-CN' : 'en',
          onclick: () => emit(element, 'language', other),
        },
        icon('language'),
        h('span', {}, other === 'zh' ? '中文' : 'English'),
      ),
    ),
    outlet,
  );
  root.append(element);
  const waiting = mountWaiting();
  let part = null;      // what the outlet shows: {element, destroy}
  let password = null;  // as it was right

  setTitle(t('shared.title'));
  open();

  async function open(given) {
    const ask = openStream ? { open: openStream } : { link, ...(given === undefined ? {} : { password: given }) };
    if (given === undefined) show(opening());
    try {
      const answer = await waiting.during(() => api.openLink(ask));
      if (!element.isConnected) return null;
      password = given ?? null;
      showAnswer(new SharedStream(ask, answer));
      return null;
    } catch (error) {
      if (!element.isConnected) return null;
      return showFailure(error);
    }
  }

  // Returns the failure if the password form is to show it.
  function showFailure(error) {
    if (error.code === 'password_required') show(passwordForm());
    else if (error.code === 'wrong_password' || (error.status === 429 && part?.isForm)) return error;
    else if (error.status === 410) showOver();
    else if (error.status === 404) show(plain('search', t('shared.unknownTitle'), t('shared.unknown')));
    else show(plain('warning', t('shared.troubleTitle'), wordsOf(error), retryButton()));
    return null;
  }

  function showOver() {
    show(plain('link', t('shared.overTitle'), t('shared.over')));
  }

  function showAnswer(shared) {
    const { kind, title } = shared.answer;
    setTitle(title);
    shared.addEventListener('over', showOver);
    show(kind === 'live' ? livePart(shared) : clipPart(shared));
  }

  function show(next) {
    part?.destroy?.();
    part = next;
    outlet.replaceChildren(next.element);
    next.focus?.();
  }

  function setTitle(title) {
    document.title = `${title} · Duolu`;
  }

  function wordsOf(error) {
    return error.status === 429 ? t('login.tooMany', { seconds: error.retryAfter ?? 5 }) : wordsFor(error);
  }

  function retryButton() {
    return h(
      'button',
      { class: 'button button-primary', type: 'button', onclick: () => open(password ?? undefined) },
      t('error.retry'),
    );
  }

  function opening() {
    return {
      element: h('main', { class: 'shared-waiting', id: 'main' }, h('span', { class: 'spinner' }), waiting.element),
    };
  }

  function plain(picture, title, text, ...more) {
    const heading = h('h1', { class: 'empty-title', tabindex: '-1' }, title);
    const content = h('div', { class: 'empty' }, h('div', { class: 'empty-icon' }, icon(picture)), heading);
    content.append(h('p', { role: 'alert' }, text), ...more);
    return { element: h('main', { class: 'shared-plain', id: 'main' }, content) };
  }

  // ---- the password

  function passwordForm() {
    const input = h('input', {
      class: 'input', type: 'password', autocomplete: 'off', required: true, maxlength: '256', name: 'link-password',
    });
    const problem = h('p', { class: 'login-error', role: 'alert' });
    const submit = h('button', { class: 'button button-primary button-wide', type: 'submit' }, t('shared.open'));
    const form = h(
      'form',
      { class: 'login-card', onsubmit, novalidate: true },
      h('h1', { class: 'login-title' }, t('shared.passwordTitle')),
      h('label', { class: 'field' }, h('span', { class: 'field-label' }, t('login.password')), input),
      problem,
      waiting.element,
      submit,
    );

    async function onsubmit(event) {
      event.preventDefault();
      if (!input.value) return;
      submit.disabled = true;
      problem.textContent = '';
      const failure = await open(input.value);
      if (!failure) return;
      submit.disabled = false;
      problem.textContent = failure.code === 'wrong_password' ? t('shared.wrongPassword') : wordsOf(failure);
      input.select();
      input.focus();
    }

    return {
      element: h('main', { class: 'shared-plain shared-password', id: 'main' }, form),
      isForm: true,
      focus: () => input.focus(),
    };
  }

  // ---- a span of the recordings

  function clipPart(shared) {
    const problem = h('p', { class: 'notice notice-warning shared-problem', role: 'status', hidden: true });
    const video = h('video', { class: 'shared-video', controls: true, playsInline: true, preload: 'metadata' });
    const download = h(
      'a',
      { class: 'button button-primary', download: true },
      icon('download'),
      h('span', {}, t('rec.download')),
    );
    const { title, from, to, expires } = shared.answer;
    let retry = null;
    video.addEventListener('error', () => onError());
    video.addEventListener('playing', () => { problem.hidden = true; });
    // The address needs a token that has not expired.
    for (const type of ['pointerdown', 'focus']) download.addEventListener(type, () => setAddress(download, 'href'));
    video.poster = shared.answer.picture;
    setAddress(video, 'src');
    setAddress(download, 'href');

    // The file's name has the viewer's local time.
    function setAddress(target, name) {
      target[name] = `${shared.answer.url}&zone=${-new Date(from).getTimezoneOffset()}`;
    }

    // A video element does not say why it failed: ask.
    async function onError() {
      const { status } = await fetch(shared.answer.url, { method: 'HEAD' }).catch(() => ({ status: 0 }));
      if (status === 404) say('shared.gone');
      else if (status === 200) say('shared.unplayable');
      else {
        say(status === 403 ? 'shared.again' : 'shared.busy');
        clearTimeout(retry);
        retry = setTimeout(again, busyRetryMs);
      }
    }

    async function again() {
      const at = video.currentTime;
      await shared.refresh();
      setAddress(video, 'src');
      video.currentTime = at;
    }

    function say(key) {
      problem.hidden = false;
      setText(problem, t(key));
    }

    return {
      element: h(
        'main',
        { class: 'shared-main', id: 'main' },
        h('div', { class: 'shared-stage' }, video),
        problem,
        h(
          'div',
          { class: 'shared-bar' },
          h(
            'div',
            { class: 'shared-names' },
            h('h1', { class: 'shared-title', dir: 'auto' }, title),
            h('p', { class: 'shared-when' }, `${spanText(shared.answer)} · ${formatDuration(to - from)}`),
          ),
          download,
        ),
        h('p', { class: 'hint' }, t('shared.until', { moment: formatMoment(expires) })),
      ),
      destroy() {
        clearTimeout(retry);
        shared.destroy();
        video.removeAttribute('src');
        video.load();
      },
    };
  }

  // ---- live

  function livePart(shared) {
    const { title, expires } = shared.answer;
    const stage = h('div', { class: 'shared-stage screen-stage' });
    const screen = h('div', { class: 'screen' }, stage);
    const sound = h('button', { class: 'button', type: 'button', onclick: once(() => setSound(tile.video.muted)) });
    const full = h(
      'button',
      { class: 'button', type: 'button', onclick: () => fullscreen.toggle(), 'aria-label': t('fullscreen') },
      icon('fullscreen'),
    );
    const main = h(
      'main',
      { class: 'shared-main', id: 'main' },
      screen,
      h(
        'div',
        { class: 'shared-bar' },
        h(
          'div',
          { class: 'shared-names' },
          h('h1', { class: 'shared-title', dir: 'auto' }, title),
          expires && h('p', { class: 'shared-when' }, t('shared.liveUntil', { moment: formatMoment(expires) })),
        ),
        h('div', { class: 'shared-buttons' }, sound, full),
      ),
    );
    const tile = mountTile(stage, { list: shared, id: 'shared', via: viaIn(location.search) });
    tile.video.volume = recall('volume', 1);
    const fullscreen = mountFullscreen(screen, {
      video: () => tile.video,
      sound: { isOn: () => !tile.video.muted, toggle: () => setSound(tile.video.muted), setVolume },
      shortcuts,
    });
    main.addEventListener('tile:muted', () => setSound(false));
    // The connection has ended: perhaps the link has, too.
    main.addEventListener('tile:phase', ({ detail }) => detail.phase === 'reconnecting' && shared.refresh());
    document.addEventListener('keydown', onKey);
    setSound(false);

    function setSound(on) {
      tile.setMuted(!on);
      sound.replaceChildren(icon(on ? 'soundOn' : 'soundOff'), h('span', {}, t(on ? 'sound.mute' : 'sound.unmute')));
      fullscreen.showSound();
    }

    function setVolume(value) {
      tile.video.volume = value;
      remember('volume', value);
    }

    function onKey(event) {
      if (isTaken(event)) return;
      if (event.key === 'm') setSound(tile.video.muted);
      else if (event.key === 'f') fullscreen.toggle();
      else if (event.key === 'i') fullscreen.togglePicture();
    }

    function shortcuts() {
      return ['picture'];
    }

    return {
      element: main,
      shortcuts,
      destroy() {
        document.removeEventListener('keydown', onKey);
        fullscreen.destroy();
        shared.destroy();
        tile.destroy();
      },
    };
  }

  return {
    element,
    shortcuts: () => part?.shortcuts?.(),
    destroy() {
      part?.destroy?.();
      element.remove();
    },
  };
}
