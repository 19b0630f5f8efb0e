// The URL hash is the page's state: #/streams, #/watch/APP/NAME,
// #/wall/COUNT?t=APP/NAME,,…&f=TILE, #/admin/TAB. Pure: no DOM here.

export const wallSizes = [1, 4, 9, 16];
export const adminTabs = ['users', 'streams', 'grants', 'sessions'];

export function parseRoute(hash) {
  const [path, query = ''] = hash.replace(/^#\/?/, '').split('?');
  const parts = path.split('/').map(decode);
  const [view, first, second] = parts;
  if (view === 'watch' && first && second) return { view, stream: `${first}/${second}` };
  if (view === 'wall') return parseWall(Number(first), query);
  if (view === 'admin') return { view, tab: adminTabs.includes(first) ? first : adminTabs[0] };
  return { view: 'streams' };
}

function parseWall(count, query) {
  const fields = new Map(query.split('&').filter((field) => field.includes('=')).map((field) => field.split('=')));
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
  if (route.view === 'watch') return `#/watch/${encodeStream(route.stream)}`;
  if (route.view === 'wall') return formatWall(route);
  if (route.view === 'admin') return `#/admin/${route.tab ?? adminTabs[0]}`;
  return '#/streams';
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
