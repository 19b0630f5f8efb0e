// The publish address for encoders, from GET /api/me: the ports, and the host if
// the operator set one. Pure: no DOM.

/** The protocols that are on, the encrypted one first. */
export function protocolsOf(publish) {
  return ['rtmps', 'rtmp'].filter((protocol) => publish[protocol] > 0);
}

/** rtmps://HOST:PORT, always with its port: the defaults of apps differ. Without a configured host, the page's. */
export function publishServer(protocol, publish, pageHost) {
  return `${protocol}://${hostOf(publish, pageHost)}:${publish[protocol]}`;
}

// Ignores a configured loopback host, which other machines cannot use.
function hostOf({ host }, pageHost) {
  return host && (!isLoopback(host) || isLoopback(pageHost)) ? host : pageHost;
}

function isLoopback(host) {
  return host === 'localhost' || host === '[::1]' || /^127\./.test(host);
}
