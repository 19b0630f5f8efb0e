// A webhook's receiver: a real HTTP server that notes every request, and answers as the test says.
//
//   const receiver = new Receiver(); await receiver.start(); receiver.url
//   receiver.answer = (request, response) => { … }         by default 200
//   await receiver.got(2)         the first two requests: { body, headers, at }

import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { until } from './nginx.mjs';

export class Receiver {
  constructor() {
    this.requests = [];
    this.answer = (request, response) => response.end('thanks');
  }

  async start() {
    this.server = createServer(async (request, response) => {
      let text = '';
      for await (const part of request) text += part;
      this.requests.push({ url: request.url, headers: request.headers, text, body: JSON.parse(text), at: Date.now() });
      this.answer(request, response);
    });
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.url = `http://127.0.0.1:${this.server.address().port}/hook`;
  }

  async stop() {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  get events() { return this.requests.map(({ body }) => body); }

  /** Waits for so many requests, and returns all. */
  async got(count) {
    await until(() => this.requests.length >= count, `${count} requests, there are ${this.requests.length}`);
    return this.requests;
  }
}

/** The signature that a receiver expects. */
export function signed({ headers, text }, secret) {
  const [, time, hex] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(headers['duolu-signature']);
  return { time: Number(time), right: createHmac('sha256', secret).update(`${time}.${text}`).digest('hex') === hex };
}
