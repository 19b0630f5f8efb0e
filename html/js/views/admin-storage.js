// What recordings take of the disk, by person and stream; what is deleted and when, with what the rules would take
// before they are saved; deleting by age and by choice. Below, the other settings that apply at once.

import { api } from '../api.js';
import { emptyRow, field, smallButton, table, userText } from '../components/admin-parts.js';
import { chooseRecordings } from '../components/choose-recordings.js';
import { confirmDialog } from '../components/dialog.js';
import { mountWaiting } from '../components/waiting.js';
import { h, setText } from '../dom.js';
import { formatBytes, formatDay } from '../format.js';
import { locale, t } from '../i18n.js';
import { changesOf, numberText, partsOf, reasonsOf, shareOf, shareText } from '../storage.js';
import { startOfDay } from '../timeline.js';
import { wordsFor } from '../wording.js';

const planAfterMs = 400;    // without another change
const deletingMs = 2000;    // while the service deletes

export function mountStorage(root, { load, attempt }) {
  const disk = mountDisk();
  const rules = mountRules({ attempt, saved: () => { settings.refresh(); storage.refresh(); } });
  const people = h('tbody', {});
  const streams = h('tbody', {});
  const older = mountOlder({ attempt, deleted: () => storage.refresh() });
  const server = mountServer({ attempt, saved: () => settings.refresh() });
  root.append(
    disk.element,
    rules.element,
    h('h2', { class: 'storage-title' }, t('storage.people')),
    table(t('storage.people'), [t('admin.user'), t('storage.files'), t('storage.size'), t('storage.limit')], people),
    h('h2', { class: 'storage-title' }, t('storage.streams')),
    table(
      t('storage.streams'),
      [t('admin.stream'), t('admin.owner'), t('storage.files'), t('storage.size'), t('storage.oldest'), ''],
      streams,
    ),
    older.element,
    server.element,
  );

  const storage = load(api.storage, (value) => {
    disk.show(value);
    people.replaceChildren(...orEmpty(4, value.people.map(personRow)));
    streams.replaceChildren(...orEmpty(6, value.streams.map(streamRow)));
    older.show(value.streams);
  });
  const settings = load(api.settings, (value) => {
    rules.show(value);
    server.show(value);
  });

  function orEmpty(columns, rows) {
    return rows.length ? rows : [emptyRow(columns, t('storage.nothing'))];
  }

  function personRow({ name, count, bytes, quota, full }) {
    const limit = quota ? formatBytes(quota) : t('admin.serverLimit');
    return h(
      'tr',
      {},
      h('th', { scope: 'row' }, name ? userText(name) : t('storage.noOwner')),
      h('td', {}, t('storage.count', { count })),
      h('td', {}, formatBytes(bytes)),
      h(
        'td',
        { class: 'table-limit', data: { label: t('storage.limit') } },
        name ? limit : '',
        full && h('span', { class: 'chip storage-full' }, t('storage.full')),
      ),
    );
  }

  function streamRow({ stream, title, owner, count, bytes, from }) {
    return h(
      'tr',
      {},
      h(
        'th',
        { scope: 'row' },
        userText(title || stream),
        title && h('span', { class: 'field-hint' }, userText(stream)),
      ),
      h('td', {}, owner ? userText(owner) : t('storage.noOwner')),
      h('td', {}, t('storage.count', { count })),
      h('td', {}, formatBytes(bytes)),
      h('td', {}, formatDay(from, locale())),
      h(
        'td',
        { class: 'table-actions' },
        h('div', { class: 'actions' }, smallButton(t('storage.chooseMany'), stream, () => choose(stream))),
      ),
    );
  }

  async function choose(stream) {
    if (await chooseRecordings(stream)) storage.refresh();
  }

  return { destroy: () => rules.destroy() };
}

// ---- the disk

function mountDisk() {
  const bar = h('div', { class: 'storage-bar', 'aria-hidden': 'true' });
  const legend = h('ul', { class: 'storage-legend' });
  const text = h('p', { class: 'storage-free' });
  const element = h('section', { class: 'panel storage-disk', 'aria-label': t('storage.disk') }, text, bar, legend);

  return {
    element,
    show(value) {
      const parts = partsOf(value);
      bar.hidden = legend.hidden = parts.length === 0;
      setText(text, value.disk
        ? t('storage.freeOf', { free: formatBytes(value.disk.free), all: formatBytes(value.disk.bytes) })
        : t('storage.noDisk'));
      bar.replaceChildren(...parts.map(({ name, share }) => {
        const part = h('div', { class: 'storage-part', data: { part: name } });
        part.style.width = `${share * 100}%`;
        return part;
      }));
      legend.replaceChildren(...parts.map(({ name, bytes }) =>
        h(
          'li',
          { data: { part: name } },
          h('span', {}, t(`disk.${name}`)),
          h('span', { class: 'storage-amount' }, formatBytes(bytes)),
        )));
    },
  };
}

// ---- fields for settings

/** {element, value(), show(text, anyway)}: what the user is editing stays, unless anyway. */
function numberField(label, hint) {
  const input = h('input', { class: 'input', type: 'number', min: '0', step: '1', inputmode: 'numeric' });
  let shown = '';
  return {
    element: field(label, input, hint),
    value: () => numberText(input.value),
    show(text, anyway = false) {
      if (!anyway && numberText(input.value) !== numberText(shown)) return;      // the user is editing it
      shown = text === '0' ? '' : text;
      input.value = shown;
      input.placeholder = t('admin.noLimit');
    },
  };
}

function shareField(label, hint, { percent = true } = {}) {
  const amount = h('input', { class: 'input', type: 'number', min: '0', step: 'any', inputmode: 'decimal' });
  const unit = h(
    'select',
    { class: 'select', 'aria-label': t('storage.unit', { what: label }) },
    h('option', { value: 'GB' }, 'GB'),
    percent && h('option', { value: '%' }, '%'),
  );
  let text = '0';
  let shown = { amount: '', unit: 'GB' };
  const isEdited = () => amount.value !== shown.amount || (percent && unit.value !== shown.unit);
  return {
    element: h(
      'div',
      { class: 'field' },
      h(
        'div',
        { class: 'storage-share' },
        h('label', {}, h('span', { class: 'field-label' }, label), amount),
        percent ? unit : h('span', { class: 'storage-gb' }, 'GB'),
      ),
      h('span', { class: 'field-hint' }, hint),
    ),
    value: () => (isEdited() ? shareText({ amount: amount.value, unit: unit.value }) : text),
    show(value, anyway = false) {
      if (!anyway && isEdited()) return;
      text = value;
      shown = shareOf(value);
      amount.value = shown.amount;
      amount.placeholder = t('admin.noLimit');
      unit.value = shown.unit;
    },
  };
}

/** A form for some of the settings: {fields, show(answer), changes(), taken()}. */
function settingsOf(fields) {
  let known = {};
  return {
    show({ settings }) {
      known = Object.fromEntries(settings.map(({ name, value }) => [name, value]));
      for (const [name, each] of Object.entries(fields)) each.show(known[name]);
    },
    changes: () =>
      changesOf(known, Object.fromEntries(Object.entries(fields).map(([name, each]) => [name, each.value()]))),
    /** They were saved: what the fields hold is no longer an edit. */
    taken(answer) {
      known = Object.fromEntries(answer.settings.map(({ name, value }) => [name, value]));
      for (const [name, each] of Object.entries(fields)) each.show(known[name], true);
    },
  };
}

// ---- what is deleted, and when

function mountRules({ attempt, saved }) {
  const fields = {
    rec_days: numberField(t('storage.days'), t('storage.daysHint')),
    rec_total: shareField(t('storage.total'), t('storage.totalHint'), { percent: false }),
    rec_free: shareField(t('storage.floor'), t('storage.floorHint')),
    rec_quota: shareField(t('storage.quota'), t('storage.quotaHint')),
  };
  const form = settingsOf(fields);
  const plan = h('p', { class: 'storage-plan', role: 'status' });
  const waiting = mountWaiting();
  const reasons = h('ul', { class: 'storage-reasons' });
  const save = h('button', { class: 'button button-primary', type: 'submit', disabled: true }, t('save'));
  const element = h(
    'form',
    { class: 'panel storage-rules', onsubmit, oninput: () => later() },
    h('h2', { class: 'panel-title' }, t('storage.rules')),
    h('div', { class: 'storage-fields' }, ...Object.values(fields).map((each) => each.element)),
    h('div', { class: 'storage-save' }, h('div', {}, plan, reasons), save),
    waiting.element,
  );
  let timer = null;
  let asked = 0;
  let planned = null;
  let isDeleting = false;

  function later() {
    save.disabled = Object.keys(form.changes()).length === 0;
    clearTimeout(timer);
    timer = setTimeout(ask, planAfterMs);
  }

  // What the rules would take now, as they are in the form.
  async function ask() {
    clearTimeout(timer);
    const mine = (asked += 1);
    try {
      const answer = await waiting.during(() => api.storagePlan(form.changes()));
      if (mine !== asked || !element.isConnected) return;
      showPlan(answer);
    } catch (error) {
      if (mine === asked) showPlan(null, wordsFor(error));
    }
  }

  function showPlan(answer, problem = '') {
    const wasDeleting = isDeleting;
    const changed = Object.keys(form.changes()).length > 0;
    planned = answer;
    isDeleting = Boolean(answer?.count) && !changed;
    if (isDeleting) timer = setTimeout(ask, deletingMs);
    else if (wasDeleting) saved();
    plan.classList.toggle('storage-plan-loss', Boolean(answer?.count));
    if (!answer) setText(plan, problem);
    else if (!answer.count) setText(plan, t(answer.broken ? 'storage.planKept' : 'storage.planNone'));
    else
      setText(plan, t(changed ? 'storage.planChanged' : 'storage.planNow',
        { count: answer.count, size: formatBytes(answer.bytes) }));
    reasons.replaceChildren(...(answer ? reasonsOf(answer) : []).map(({ key, count, bytes }) =>
      h('li', {}, t(key, { count, size: formatBytes(bytes) }))));
  }

  async function onsubmit(event) {
    event.preventDefault();
    const changes = form.changes();
    await ask();
    if (!planned) return;       // the form says why
    if (planned.count && !(await confirmDialog({
      title: t('storage.saveTitle', { count: planned.count }),
      text: t('storage.saveText', { size: formatBytes(planned.bytes) }),
      action: t('storage.saveAction'),
    }))) return;
    const { done, value } = await attempt(() => api.setSettings(changes));
    if (!done) return;
    form.taken(value);
    save.disabled = true;
    saved();
    ask();
  }

  return {
    element,
    show(answer) {
      form.show(answer);
      later();
    },
    destroy: () => clearTimeout(timer),
  };
}

// ---- delete older than

function mountOlder({ attempt, deleted }) {
  const day = h('input', { class: 'input', type: 'date', required: true });
  const stream = h('select', { class: 'select' }, h('option', { value: '' }, t('storage.allStreams')));
  const status = h('p', { class: 'hint', role: 'status' });
  const button = h('button', { class: 'button button-danger', type: 'submit' }, t('storage.olderAction'));
  const element = h(
    'form',
    { class: 'panel storage-older', onsubmit },
    h('h2', { class: 'panel-title' }, t('storage.older')),
    h(
      'div',
      { class: 'storage-fields' },
      field(t('storage.olderDay'), day, t('storage.olderHint')),
      field(t('admin.stream'), stream),
    ),
    h('div', { class: 'storage-save' }, status, button),
  );

  async function onsubmit(event) {
    event.preventDefault();
    const [year, month, date] = day.value.split('-').map(Number);
    const before = startOfDay(new Date(year, month - 1, date, 12).getTime());
    const what = { before, ...(stream.value ? { stream: stream.value } : {}) };
    const { done, value } = await attempt(() => api.storageDelete({ ...what, dry: true }));
    if (!done) return;
    if (!value.count) {
      setText(status, t('storage.olderNone'));
      return;
    }
    const names = { count: value.count, size: formatBytes(value.bytes), day: formatDay(before, locale()) };
    const title = t('storage.olderTitle', names);
    const text = t('storage.olderText', names);
    if (!(await confirmDialog({ title, text, action: t('storage.olderAction') }))) return;
    button.disabled = true;
    await attempt((each) => removeAll(what, value.count, each));
    button.disabled = false;
    deleted();
  }

  // The service deletes some at each call.
  async function removeAll(what, total, each) {
    let count = 0;
    let answer = null;
    do {
      answer = await each(() => api.storageDelete(what));
      count += answer.count;
      setText(status, t('storage.progress', { done: count, total: Math.max(total, count) }));
    } while (answer.more && answer.count > 0 && element.isConnected);
    setText(status, t(answer.failed ? 'storage.olderFailed' : 'storage.olderDone', { count }));
  }

  return {
    element,
    show(streams) {
      const { value } = stream;
      stream.replaceChildren(
        h('option', { value: '' }, t('storage.allStreams')),
        ...streams.map((each) => h('option', { value: each.stream }, each.title || each.stream)),
      );
      stream.value = streams.some((each) => each.stream === value) ? value : '';
    },
  };
}

// ---- settings that have nothing to do with recordings

function mountServer({ attempt, saved }) {
  const fields = {
    max_kbps: numberField(t('storage.maxKbps'), t('storage.maxKbpsHint')),
    audit_days: numberField(t('storage.auditDays'), t('storage.auditDaysHint')),
    audit_rows: numberField(t('storage.auditRows'), t('storage.auditRowsHint')),
  };
  const form = settingsOf(fields);
  const status = h('p', { class: 'hint', role: 'status' });
  const save = h('button', { class: 'button button-primary', type: 'submit', disabled: true }, t('save'));
  const element = h(
    'form',
    { class: 'panel storage-server', onsubmit, oninput: showSave },
    h('h2', { class: 'panel-title' }, t('storage.server')),
    h('div', { class: 'storage-fields' }, ...Object.values(fields).map((each) => each.element)),
    h('div', { class: 'storage-save' }, status, save),
  );

  function showSave() {
    save.disabled = Object.keys(form.changes()).length === 0;
    setText(status, '');
  }

  async function onsubmit(event) {
    event.preventDefault();
    const { done, value } = await attempt(() => api.setSettings(form.changes()));
    if (!done) return;
    form.taken(value);
    showSave();
    setText(status, t('storage.serverSaved'));
    saved();
  }

  return { element, show: (answer) => { form.show(answer); showSave(); } };
}
