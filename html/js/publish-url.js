// Where encoders publish to, as GET /api/me says: the ports, and the host if
// the operator named one. Pure: no DOM.

const usualPorts = { rtmp: 1935, rtmps: 443 };
export const protocols = Object.keys(usualPorts);

/** rtmp://HOST or rtmps://HOST:PORT; without a named host it is where this page came from. */
export function publishServer(protocol, publish, pageHost) {
  const port = publish[protocol] === usualPorts[protocol] ? '' : `:${publish[protocol]}`;
  return `${protocol}://${hostOf(publish, pageHost)}${port}`;
}

// A named host of the server's own machine leads nobody else there.
function hostOf({ host }, pageHost) {
  return host && (!isLoopback(host) || isLoopback(pageHost)) ? host : pageHost;
}

function isLoopback(host) {
  return host === 'localhost' || host === '[::1]' || /^127\./.test(host);
}
