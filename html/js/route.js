// The URL hash is the page's state: #/streams, #/watch/APP/NAME?at=MS,
// #/wall/MOST?t=APP/NAME,,…&f=TILE&at=MS (without MOST: as many tiles as streams are live),
// #/recordings?stream=APP/NAME&day=DAY&q=TEXT, #/admin/TAB, #/admin/users/NAME, #/account,
// #/invite/TOKEN and #/s/LINK (both also without a login), #/open/APP/NAME (without one); anything
// else is 'unknown'. Pure: no DOM here.
// watch and wall may also have via=flv|llhls|hls; before the hash (/?via=hls#/wall/4) it
// holds for all views, until the page is left.

import { wayNames } from './live-choice.js';

export const mostTiles = 16;    // on a wall
export const adminTabs = ['users', 'groups', 'streams', 'phones', 'grants', 'sessions', 'storage', 'alerts', 'audit'];

export function parseRoute(hash) {
  const [path, query = ''] = hash.replace(/^#\/?/, '').split('?');
  const parts = path.split('/').map(decode);
  const [view, first, second] = parts;
  if (view === 'watch' && first && second)
    return { view, stream: `${first}/${second}`, at: timeIn(fieldsOf(query).get('at')), via: viaIn(query) };
  if (view === 's') return /^[\w-]{22}$/.test(first ?? '') ? { view: 'shared', link: first } : { view: 'unknown' };
  if (view === 'open' && first && second) return { view: 'shared', open: `${first}/${second}` };
  if (view === 'recordings') return parseRecordings(fieldsOf(query));
  if (view === 'wall') return parseWall(Number(first), query);
  if (view === 'admin') return parseAdmin(first, second);
  if (view === 'invite') return { view, invite: /^[\w-]{43}$/.test(first ?? '') ? first : '' };
  if (path === 'account') return { view };
  return { view: path === '' || path === 'streams' ? 'streams' : 'unknown' };
}

function fieldsOf(query) {
  return new Map(query.split('&').filter((field) => field.includes('=')).map((field) => field.split('=')));
}

/** The way that a query forces: of the hash, or of location.search; null for none. */
export function viaIn(query) {
  const via = fieldsOf(query.replace(/^\?/, '')).get('via');
  return wayNames.includes(via) ? via : null;
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

// name: of the one user whom the page is about.
function parseAdmin(tab, name) {
  if (!adminTabs.includes(tab)) return { view: 'admin', tab: adminTabs[0] };
  return { view: 'admin', tab, ...(tab === 'users' && name ? { name } : {}) };
}

function parseWall(count, query) {
  const fields = fieldsOf(query);
  const size = Number.isInteger(count) && count >= 1 && count <= mostTiles ? count : null;
  const named = fields.has('t') ? fields.get('t').split(',').map(decode) : null;
  const focus = Number.parseInt(fields.get('f'), 10);
  return {
    view: 'wall',
    size,
    slots: named && named.map((name) => (/^[^/]+\/[^/]+$/.test(name) ? name : null)),
    focus: focus >= 0 && focus < (size ?? mostTiles) ? focus : null,
    at: timeIn(fields.get('at')),
    via: viaIn(query),
  };
}

export function formatRoute(route) {
  if (route.view === 'watch') return formatWatch(route);
  if (route.view === 'recordings') return formatRecordings(route);
  if (route.view === 'wall') return formatWall(route);
  if (route.view === 'admin')
    return `#/admin/${route.tab ?? adminTabs[0]}${route.name ? `/${encodeURIComponent(route.name)}` : ''}`;
  return route.view === 'account' ? '#/account' : '#/streams';
}

function formatWatch({ stream, at, via }) {
  return `#/watch/${encodeStream(stream)}${queryOf([at && `at=${Math.round(at)}`, via && `via=${via}`])}`;
}

function formatRecordings({ stream, day, q }) {
  const fields = [
    stream && `stream=${encodeStream(stream)}`,
    day && `day=${day}`,
    q && `q=${encodeURIComponent(q)}`,
  ];
  return `#/recordings${queryOf(fields)}`;
}

function formatWall({ size, slots, focus, at, via }) {
  const named = (slots ?? []).slice(0, (slots ?? []).findLastIndex(Boolean) + 1);
  const fields = [
    named.length && `t=${named.map((name) => (name ? encodeStream(name) : '')).join(',')}`,
    focus !== null && focus !== undefined && `f=${focus}`,
    at && `at=${Math.round(at)}`,
    via && `via=${via}`,
  ];
  return `#/wall${size ? `/${size}` : ''}${queryOf(fields)}`;
}

function queryOf(fields) {
  const given = fields.filter(Boolean);
  return given.length ? `?${given.join('&')}` : '';
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
