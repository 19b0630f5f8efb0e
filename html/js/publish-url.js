// The publish address for encoders, from GET /api/me: the ports, and the host if
// the operator set one. Pure: no DOM.

const usualPorts = { rtmp: 1935, rtmps: 443 };
export const protocols = Object.keys(usualPorts);

/** rtmp://HOST or rtmps://HOST:PORT; without a configured host, the page's host. */
export function publishServer(protocol, publish, pageHost) {
  const port = publish[protocol] === usualPorts[protocol] ? '' : `:${publish[protocol]}`;
  return `${protocol}://${hostOf(publish, pageHost)}${port}`;
}

// Ignores a configured loopback host, which other machines cannot use.
function hostOf({ host }, pageHost) {
  return host && (!isLoopback(host) || isLoopback(pageHost)) ? host : pageHost;
}

function isLoopback(host) {
  return host === 'localhost' || host === '[::1]' || /^127\./.test(host);
}
