// A client of server-sent events, which checks their format.

import http from 'node:http';
import https from 'node:https';
import { until } from './nginx.mjs';

export class Follower {
  /** Resolves when the answer's head has come; `status` may be an error. */
  static open(url, headers = {}) {
    const client = url.startsWith('https:') ? https : http;
    return new Promise((resolve, reject) => {
      const follower = new Follower();
      follower.request = client.get(url, { agent: false, rejectUnauthorized: false, headers }, (response) => {
        response.socket.unref();                 // a failed test still ends
        follower.status = response.statusCode;
        follower.headers = response.headers;
        response.setEncoding('utf8');
        response.on('data', (text) => follower.push(text));
        response.on('end', () => { follower.complete = response.complete; });
        response.on('error', () => {});
        response.on('close', () => { follower.ended = true; });
        resolve(follower);
      });
      follower.request.on('error', reject);
    });
  }

  constructor() {
    this.rest = '';
    this.events = [];          // { event, data }, in order
    this.alive = 0;            // how often the server sent nothing but that
  }

  push(text) {
    this.rest += text;
    for (let end; (end = this.rest.indexOf('\n\n')) >= 0; this.rest = this.rest.slice(end + 2)) {
      const block = this.rest.slice(0, end);
      const fields = {};
      for (const line of block.split('\n')) {
        const [, name, value] = line.match(/^(retry|event|data): (.*)$/) ?? [];
        if (!name) throw new Error(`no line of an event stream: "${line}"`);
        fields[name] = value;
      }
      if (fields.retry) this.retry = Number(fields.retry);
      if (fields.event === 'alive') this.alive++;
      else if (fields.data) this.events.push({ event: fields.event, data: JSON.parse(fields.data) });
    }
  }

  /** The states of a stream, in order: ['live', 'grace', …]. */
  states(name) {
    return this.events.filter((e) => e.event === 'stream' && e.data.name === name).map((e) => e.data.state);
  }

  /** The first event, received or still to come, for which `match` is true. */
  async wait(match, what = 'an event') {
    await until(() => this.ended || this.events.some(match), what);
    const found = this.events.find(match);
    if (!found) throw new Error(`the events ended before ${what} came`);
    return found.data;
  }

  first() { return this.wait((e) => e.event === 'streams', 'the first event'); }

  close() { this.request.destroy(); }
}
