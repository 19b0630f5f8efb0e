// Sets a phone up: its code to scan and its link to tap, for each app, and below it whether the phone has come. The
// key is shown this once: the service keeps only its hash.

import { api } from '../api.js';
import { h, setText } from '../dom.js';
import { t } from '../i18n.js';
import { adviceFor, whyNot } from '../phone-advice.js';
import { larixLink, moblinLink, publishFields } from '../phone-links.js';
import { recall, remember } from '../preferences.js';
import { protocolsOf } from '../publish-url.js';
import { loadQr } from '../qr-library.js';
import { formatRoute } from '../route.js';
import { wordsFor } from '../wording.js';
import { mountCopyField } from './copy.js';
import { openDialog } from './dialog.js';
import { mountTile } from './tile.js';

const apps = ['larix', 'moblin', 'other'];
const appNames = { larix: 'Larix Broadcaster', moblin: 'Moblin' };
const askEveryMs = 2000;
const nothingAfterMs = 25_000;
const codePx = 256;

/**
 * phone: an answer with a new key, {id, label, stream, app, name, owner, key, invite?}. another(phone): makes one more
 * phone; without it the dialog offers none. Resolves when the dialog closes, to that phone or null.
 */
export async function showPhoneSetup({ phone, list, publish, another = null }) {
  const { generate } = await loadQr();
  let next = null;
  const code = mountCode(phone, publish, generate);
  const invite = h('div', { class: 'setup-invite', hidden: !phone.invite });
  if (phone.invite) {
    invite.append(h('p', {}, t('setup.invite', { name: phone.owner })));
    mountCopyField(invite, { label: t('setup.inviteLink'), value: new URL(phone.invite, location.href).href });
  }
  const problem = h('p', { class: 'form-problem', role: 'alert' });
  const body = h('div', { class: 'setup' }, invite, code.element);
  const more = h('button', { class: 'button', type: 'button', onclick: addAnother }, t('phone.another'));
  const done = h('button', { class: 'button button-primary', type: 'button', onclick: () => dialog.close() },
    t('done'));
  const dialog = openDialog({
    title: t('setup.title', { name: phone.label || phone.stream }),
    body,
    actions: [another && more, done].filter(Boolean),
  });
  dialog.element.classList.add('dialog-setup');
  const arrival = mountArrival(phone, list, {
    address: () => code.address,
    onlive: () => code.fold(),
    during: dialog.during,
  });
  body.append(arrival.element, problem);
  list.refresh();

  async function addAnother() {
    more.disabled = true;
    setText(problem, '');
    try {
      next = await dialog.during(() => another(phone));
      dialog.close();
    } catch (error) {
      setText(problem, wordsFor(error));
    }
    more.disabled = false;
  }

  await dialog.closed;
  arrival.destroy();
  return next;
}

// The choice of app and encryption, with what to scan, tap or type for it.
function mountCode(phone, publish, generate) {
  const canvas = h('canvas', { class: 'qr', role: 'img', 'aria-label': t('setup.code') });
  const link = h('a', { class: 'button setup-link' }, h('span', {}));
  const steps = h('ol', { class: 'setup-steps' });
  const fields = h('div', { class: 'setup-fields' });
  const server = mountCopyField(fields, { label: t('setup.server'), value: '' });
  const streamKey = mountCopyField(fields, { label: t('setup.streamKey'), value: '', secret: true });
  const url = mountCopyField(fields, { label: t('setup.url'), value: '', secret: true });
  const hint = h('p', { class: 'hint', role: 'status' });
  const protocols = protocolsOf(publish);
  const appChoice = choice(t('setup.app'), apps, 'app', (app) => t(`app.${app}`), (app) => show({ app }));
  const safety = choice(t('setup.safety'), protocols, 'protocol', (name) => t(`safety.${name}`),
    (protocol) => show({ protocol }));
  const known = (values, name) => (values.includes(recall(name)) ? recall(name) : values[0]);
  let shown = { app: known(apps, 'phoneApp'), protocol: known(protocols, 'publishBy') };
  const summary = h('summary', {});
  const element = h('div', { class: 'setup-code' },
    appChoice,
    h('div', { class: 'setup-grid' },
      h('div', { class: 'qr-frame' }, canvas),
      h('div', { class: 'setup-how' }, steps, link, fields)),
    h('details', { class: 'setup-safety', hidden: protocols.length < 2 },
      summary, h('div', { class: 'setup-choice' }, safety, hint)),
    h('p', { class: 'hint' }, t('setup.once')));
  show({});

  function show(chosen) {
    shown = { ...shown, ...chosen };
    const { app, protocol } = shown;
    if (chosen.app) remember('phoneApp', app);
    if (chosen.protocol) remember('publishBy', protocol);
    press(appChoice, app);
    press(safety, protocol);
    setText(summary, t('setup.safetyNow', { state: t(`safety.${protocol}`) }));
    setText(hint, t(`setup.${protocol}`));
    const address = publishFields(phone, protocol, publish, location.hostname);
    const label = phone.label || phone.name;
    const links = { larix: larixLink, moblin: moblinLink };
    const text = links[app]?.(address.url, label) ?? address.url;
    drawCode(generate(text), canvas);
    link.hidden = !links[app];
    fields.hidden = Boolean(links[app]);
    if (links[app]) link.href = text;
    setText(link.firstChild, t('setup.open', { app: appNames[app] ?? '' }));
    steps.replaceChildren(...stepsFor(app).map((step) => h('li', {}, step)));
    server.update(address.server);
    streamKey.update(address.streamKey);
    url.update(address.url);
  }

  return {
    element,
    get address() { return new URL(publishFields(phone, shown.protocol, publish, location.hostname).server).host; },
    /** The phone has come: only its picture matters now. */
    fold() { element.hidden = true; },
  };
}

function stepsFor(app) {
  if (app === 'other') return [t('setup.type'), t('setup.start')];
  return [t('setup.install', { app: appNames[app] }), t('setup.scan', { app: appNames[app] }), t('setup.start')];
}

// A whole number of pixels for each module, so that all are squares.
function drawCode(code, canvas) {
  code.toCanvas(canvas, { on: [13, 16, 19, 255], off: [255, 255, 255, 255] });
  const side = canvas.width * Math.max(2, Math.floor(codePx / canvas.width));
  canvas.style.width = `${side}px`;
  canvas.style.height = `${side}px`;
}

function choice(label, values, kind, words, onchoose) {
  return h('div', { class: 'segmented', role: 'group', 'aria-label': label }, ...values.map((value) =>
    h('button', { type: 'button', class: 'segment', data: { [kind]: value, value }, onclick: () => onchoose(value) },
      words(value))));
}

function press(group, value) {
  for (const button of group.children) button.setAttribute('aria-pressed', String(button.dataset.value === value));
}

// Waits for the phone, shows its first picture, or says why there is none. address(): where the phone has to connect;
// onlive(): the phone publishes; during: the dialog's.
function mountArrival(phone, list, { address, onlive, during }) {
  const spinner = h('span', { class: 'spinner' });
  const words = h('p', { class: 'arrival-words', role: 'status' });
  const more = h('p', { class: 'hint', hidden: true });
  const stage = h('div', { class: 'arrival-stage', hidden: true });
  const watch = h('a', { class: 'button', href: formatRoute({ view: 'watch', stream: phone.stream }), hidden: true },
    t('setup.watch'));
  const element = h('div', { class: 'arrival', data: { state: 'waiting' } },
    stage, h('div', { class: 'arrival-line' }, spinner, h('div', { class: 'arrival-said' }, words, more), watch));
  watch.addEventListener('click', () => element.closest('dialog').close());
  const began = Date.now();
  let tile = null;
  let latest = null;      // the phone, as last asked for
  let timer = null;
  let asking = false;
  let gone = false;
  list.addEventListener('change', changed);
  ask();

  // The stream may be live by another phone, so only the service's word about this one counts.
  function isLive() {
    return Boolean(latest?.live);
  }

  function changed() {
    if (list.find(phone.stream)?.state === 'live' && !isLive()) ask();
    update();
  }

  async function ask() {
    if (asking) return;
    asking = true;
    clearTimeout(timer);
    // A failed request changes nothing: the next one follows.
    latest = await during(() => api.phone(phone.id)).catch(() => latest);
    asking = false;
    if (gone) return;
    update();
    timer = setTimeout(ask, askEveryMs);
  }

  function update() {
    if (isLive() && !tile && list.find(phone.stream)?.play) showTile();
    say(tile ? stateOf(tile.phase) : isLive() ? 'live' : 'waiting');
  }

  function showTile() {
    stage.hidden = false;
    tile = mountTile(stage, { list, id: phone.stream });
    tile.element.addEventListener('tile:phase', update);
    onlive();
  }

  function stateOf(phase) {
    if (phase === 'playing') return 'live';
    return ['live', 'gone'].includes(element.dataset.state) ? 'gone' : 'coming';
  }

  function say(state) {
    const why = state === 'waiting' && latest ? whyNot(latest) : null;
    element.dataset.state = why ? 'refused' : state;
    spinner.hidden = state === 'live' || Boolean(why);
    watch.hidden = state !== 'live';
    setText(words, why ? t(why.text, why.values) : t(`arrival.${state}`));
    const hint = hintFor(state, why);
    more.hidden = !hint;
    setText(more, hint ? t(hint.text, hint.values) : '');
  }

  function hintFor(state, why) {
    if (state === 'live') return adviceFor(latest?.live);
    const isLate = state === 'waiting' && !why && Date.now() - began > nothingAfterMs;
    return isLate ? { text: 'arrival.nothing', values: { address: address() } } : null;
  }

  return {
    element,
    destroy() {
      gone = true;
      clearTimeout(timer);
      list.removeEventListener('change', changed);
      tile?.destroy();
    },
  };
}
