// The URL hash is the page's state: #/streams, #/watch/APP/NAME?at=MS,
// #/wall/COUNT?t=APP/NAME,,…&f=TILE, #/recordings?stream=APP/NAME&day=DAY&q=TEXT,
// #/admin/TAB; anything else is 'unknown'. Pure: no DOM here.

export const wallSizes = [1, 4, 9, 16];
export const adminTabs = ['users', 'streams', 'grants', 'sessions'];

export function parseRoute(hash) {
  const [path, query = ''] = hash.replace(/^#\/?/, '').split('?');
  const parts = path.split('/').map(decode);
  const [view, first, second] = parts;
  if (view === 'watch' && first && second)
    return { view, stream: `${first}/${second}`, at: timeIn(fieldsOf(query).get('at')) };
  if (view === 'recordings') return parseRecordings(fieldsOf(query));
  if (view === 'wall') return parseWall(Number(first), query);
  if (view === 'admin') return { view, tab: adminTabs.includes(first) ? first : adminTabs[0] };
  return { view: path === '' || path === 'streams' ? 'streams' : 'unknown' };
}

function fieldsOf(query) {
  return new Map(query.split('&').filter((field) => field.includes('=')).map((field) => field.split('=')));
}

function timeIn(text) {
  return /^\d{12,14}$/.test(text ?? '') ? Number(text) : null;
}

function parseRecordings(fields) {
  const stream = (fields.get('stream') ?? '').split('/').map(decode).join('/');
  return {
    view: 'recordings',
    stream: /^[^/]+\/[^/]+$/.test(stream) ? stream : '',
    day: /^\d{4}-\d\d-\d\d$/.test(fields.get('day') ?? '') ? fields.get('day') : '',
    q: decode(fields.get('q') ?? ''),
  };
}

function parseWall(count, query) {
  const fields = fieldsOf(query);
  const size = wallSizes.includes(count) ? count : null;
  const named = fields.has('t') ? fields.get('t').split(',').map(decode) : null;
  const focus = Number.parseInt(fields.get('f'), 10);
  return {
    view: 'wall',
    size,
    slots: named && named.map((name) => (/^[^/]+\/[^/]+$/.test(name) ? name : null)),
    focus: focus >= 0 && focus < (size ?? 16) ? focus : null,
  };
}

export function formatRoute(route) {
  if (route.view === 'watch')
    return `#/watch/${encodeStream(route.stream)}${route.at ? `?at=${Math.round(route.at)}` : ''}`;
  if (route.view === 'recordings') return formatRecordings(route);
  if (route.view === 'wall') return formatWall(route);
  if (route.view === 'admin') return `#/admin/${route.tab ?? adminTabs[0]}`;
  return '#/streams';
}

function formatRecordings({ stream, day, q }) {
  const fields = [
    stream && `stream=${encodeStream(stream)}`,
    day && `day=${day}`,
    q && `q=${encodeURIComponent(q)}`,
  ].filter(Boolean);
  return `#/recordings${fields.length ? `?${fields.join('&')}` : ''}`;
}

function formatWall({ size, slots, focus }) {
  if (!size) return '#/wall';
  const fields = [];
  if (slots?.some(Boolean)) fields.push(`t=${slots.map((name) => (name ? encodeStream(name) : '')).join(',')}`);
  if (focus !== null && focus !== undefined) fields.push(`f=${focus}`);
  return `#/wall/${size}${fields.length ? `?${fields.join('&')}` : ''}`;
}

function encodeStream(stream) {
  return stream.split('/').map(encodeURIComponent).join('/');
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return ''; // a half-typed %-escape in the address bar
  }
}
