// Rules of the storage page: sizes as people write them and as the service takes them, what the disk holds, and which
// settings were changed. Pure: no DOM.

const units = { k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };
const gigabyte = 1e9;

/** A setting's text, "500g" or "5%", as {amount, unit}: a number of GB or %, or '' for no limit. */
export function shareOf(text) {
  const [, number, unit] = /^(\d+)([kmgt%]?)$/i.exec(text) ?? [null, '0', ''];
  if (Number(number) === 0) return { amount: '', unit: unit === '%' ? '%' : 'GB' };
  if (unit === '%') return { amount: number, unit };
  const bytes = Number(number) * (units[unit.toLowerCase()] ?? 1);
  // Three digits are enough to recognise it; what is not edited is not sent.
  return { amount: String(Number((bytes / gigabyte).toPrecision(3))), unit: 'GB' };
}

/** The text for the service. */
export function shareText({ amount, unit }) {
  const number = Number(amount) || 0;
  if (number <= 0) return '0';
  return unit === '%' ? `${Math.min(99, Math.max(1, Math.round(number)))}%` : String(Math.round(number * gigabyte));
}

/** A number's setting: the field shows nothing for no limit. */
export function numberText(amount) {
  return String(Math.max(0, Math.trunc(Number(amount) || 0)));
}

/** What differs, of two objects with the same names. */
export function changesOf(before, now) {
  return Object.fromEntries(Object.entries(now).filter(([name, value]) => value !== before[name]));
}

/** The parts of the disk, with their shares of 1: recordings that are kept, all others, other files, free. */
export function partsOf({ disk, bytes, kept }) {
  if (!disk) return [];
  const used = Math.max(0, disk.bytes - disk.free);
  const recordings = Math.min(bytes, used);
  const parts = {
    kept: Math.min(kept, recordings),
    recordings: recordings - Math.min(kept, recordings),
    other: used - recordings,
    free: Math.min(disk.free, disk.bytes),
  };
  return Object.entries(parts).map(([name, size]) => ({ name, bytes: size, share: size / disk.bytes }));
}

const reasonKeys = {
  'older than rec_days': 'storage.reasonAge',
  'over rec_total': 'storage.reasonTotal',
  'rec_free is not free': 'storage.reasonFree',
  "over the owner's rec_quota": 'storage.reasonQuota',
};

/** The reasons of a plan: [{key, count, bytes}], most bytes first. */
export function reasonsOf({ reasons }) {
  return Object.entries(reasons)
    .map(([text, { count, bytes }]) => ({ key: reasonKeys[text] ?? 'storage.reasonOther', count, bytes }))
    .sort((a, b) => b.bytes - a.bytes);
}

/** The recordings that a selection's action can change: [ids]. Those being written can only be kept. */
export function actable(recordings, chosen, action) {
  return recordings
    .filter(({ id }) => chosen.has(id))
    .filter(({ keep, state }) => {
      if (action === 'remove') return !keep && state !== 'recording';
      return action === 'keep' ? !keep : keep;
    })
    .map(({ id }) => id);
}

export function bytesOf(recordings, chosen) {
  return recordings.filter(({ id }) => chosen.has(id)).reduce((sum, { bytes }) => sum + bytes, 0);
}
