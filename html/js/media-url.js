// The addresses of a stream's media: /m/TOKEN/APP/NAME.flv and what is beside it. Pure: no DOM.

const prefix = /^.*?\/m\/[^/]+\//;

/** The address for a WebSocket, of a path or an address. */
export function webSocketUrl(path, page = location.href) {
  const url = new URL(path, page);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}

/** The playlist for HLS: beside the address for FLV, or the one that reaches back. */
export function playlistUrl(path, page = location.href) {
  return new URL(path.replace(/\.flv$/, '/index.m3u8'), page).href;
}

/** `url` with the host and the token of another address. */
export function withTokenOf(url, other) {
  const [newer] = other?.match(prefix) ?? [];
  return newer ? url.replace(prefix, () => newer) : url;
}

/** When the token in an address expires, ms; Infinity when that cannot be read. */
export function tokenExpiry(url) {
  try {
    const [, payload] = url.match(/\/m\/([^/]+)\//)[1].split('.');
    return JSON.parse(atob(payload.replaceAll('-', '+').replaceAll('_', '/'))).exp * 1000 || Infinity;
  } catch {
    return Infinity;
  }
}

const renewBeforeMs = 3 * 60_000;

/** Whether it is time to fetch the stream list, which has a newer token. */
export function expiresSoon(url, now) {
  return tokenExpiry(url) - now < renewBeforeMs;
}
