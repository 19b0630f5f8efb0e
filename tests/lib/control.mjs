// A stand-in for nginx's control socket: records the calls, and answers them.
// The service's own requests of /status are counted separately.

import { once } from 'node:events';
import { createServer } from 'node:http';

export class Control {
  constructor(socket) {
    this.socket = socket;
    this.calls = [];
    this.looks = { '/status': 0, '/sessions': 0 };      // requests of the keeper
    this.answer = () => [200, { ended: 0 }];
  }

  async start() {
    this.server = createServer((request, response) => {
      if (request.url in this.looks) this.looks[request.url]++;
      else this.calls.push({ method: request.method, url: request.url });
      const [status, body] = this.answer(request.url);
      response.writeHead(status, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify(body));
    });
    this.server.listen(this.socket);
    await once(this.server, 'listening');
  }

  async stop() {
    if (!this.server) return;
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
    this.server = null;
  }

  // The arguments of all revocations, without the time, sorted, each once: one whose answer is late is told again.
  revoked() {
    return [...new Set(this.calls.filter(({ url }) => url.startsWith('/control/revoke'))
      .map(({ url }) => decodeURIComponent(url.slice(url.indexOf('?') + 1).replace(/&?at=\d+/, ''))))].sort();
  }

  refreshed() {
    return this.calls.filter(({ url }) => url.startsWith('/control/refresh')).map(({ url }) => url.slice(16));
  }
}
