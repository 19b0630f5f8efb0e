// Strangers attack the HTTP and TLS ports: with floods, with silence, and with tokens in
// places that logs might record.

import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import tls from 'node:tls';
import { badHeader } from '../lib/h2.mjs';
import { startHub, token } from '../lib/hub.mjs';
import { freePort, repo, until } from '../lib/nginx.mjs';
import { newHome, run, startStack } from '../lib/stack.mjs';
import { selfSigned, tlsListen } from '../lib/tls.mjs';

/* Sends one request unchanged from this address; returns the status. */
function ask(agent, url, localAddress, { method = 'GET', target, headers = {} } = {}) {
  return new Promise((resolve, reject) => {
    const { hostname, port, pathname } = new URL(url);
    const request = (url.startsWith('https') ? https : http).request(
      {
        host: hostname,
        port,
        path: target ?? pathname,
        method,
        headers,
        agent,
        localAddress,
        rejectUnauthorized: false,
      },
      (response) => {
        response.resume();
        response.on('end', () => resolve(response.statusCode));
        response.on('error', reject);
      },
    );
    request.on('error', reject);
    request.end();
  });
}

const agentFor = (maxSockets) => new https.Agent({ keepAlive: true, maxSockets });

/* The requests of a page load: all of its files and the first calls of the API. */
const packed = path.join(repo, '.build/html');
const packedFolder = () => /"([0-9a-f]{16})\/js\/main\.js"/.exec(fs.readFileSync(path.join(packed, 'index.html')))[1];
const pageFiles = () =>
  fs
    .readdirSync(path.join(packed, packedFolder()), { recursive: true })
    .filter((name) => /\.(css|js)$/.test(name))
    .map((name) => `/${packedFolder()}/${name}`)
    .concat('/', '/favicon.svg', '/manifest.webmanifest');

test('strangers at the HTTP and TLS ports', async (t) => {
  // a wrapper records how `up` calls the database's client
  const tools = newHome();
  fs.writeFileSync(path.join(tools, 'calls'), '', { mode: 0o666 });
  fs.chmodSync(path.join(tools, 'calls'), 0o666);
  const client = (await run('which', ['mariadb'])).stdout.trim();
  fs.writeFileSync(path.join(tools, 'mariadb'), `#!/bin/sh\necho "$@" >>${tools}/calls\nexec ${client} "$@"\n`, {
    mode: 0o755,
  });
  const stack = await startStack({ workers: 2, env: { DUOLU_HSTS: '600', PATH: `${tools}:${process.env.PATH}` } });
  t.after(async () => {
    await stack.stop();
    fs.rmSync(tools, { recursive: true });
  });

  await t.test('an office behind one address loads the page forty times at once without a refusal', async () => {
    const browsers = Array.from({ length: 40 }, () => agentFor(6));
    const files = pageFiles();
    assert.ok(files.length > 20, `${files}`);
    const seen = await Promise.all(browsers.flatMap((agent) => [...files, '/api/me', '/api/streams']
      .map((file) => ask(agent, stack.httpsUrl, '127.0.0.2', { target: file }))));
    browsers.forEach((agent) => agent.destroy());
    console.log(`# ${seen.length} requests`);
    assert.deepEqual([...new Set(seen)].sort(), [200, 401]);
  });

  await t.test(
    'a flood of requests from one address gets 429, fills no log, and does not affect another address',
    async () => {
      const logged = () => stack.log('access').length + stack.log('nginx').length + stack.log('auth').length;
      const agent = agentFor(100);
      const before = logged();
      const seen = await Promise.all(
        Array.from({ length: 6000 }, (_, i) =>
          i % 2
            ? ask(agent, stack.httpsUrl, '127.0.0.3', { method: 'POST', target: '/api/login' })
            : ask(agent, stack.httpsUrl, '127.0.0.3', { target: '/api/me' }),
        ),
      );
      const refused = seen.filter((status) => status === 429).length;
      assert.ok(refused > 3000, `${refused} of ${seen.length}`);
      assert.equal(await ask(agent, stack.httpsUrl, '127.0.0.4', { target: '/api/me' }), 401);
      agent.destroy();
      const lines = stack
        .log('access')
        .split('\n')
        .filter((line) => line.startsWith('127.0.0.3 ')).length;
      console.log(`# ${refused} refused; ${lines} lines, ${logged() - before} bytes in the logs`);
      assert.ok(lines < seen.length - refused + refused / 10, `${lines} lines`);
      assert.doesNotMatch(stack.log('nginx'), /limiting requests/);
    },
  );

  await t.test('silent connections of one address are limited, and another address gets in', async () => {
    const silent = Array.from({ length: 4200 }, (_, i) => {
      const socket = net.connect({
        port: i % 2 ? stack.http : stack.https,
        host: '127.0.0.1',
        localAddress: '127.0.0.6',
      });
      const end = () => { socket.ended = true; };
      return socket.on('error', end).on('close', end).resume();
    });
    const began = Date.now();
    assert.equal(await ask(false, stack.httpsUrl, '127.0.0.4', { target: '/' }), 200);
    await until(() => silent.filter(({ ended }) => ended).length >= 200, 'nginx to close those above the limit');
    console.log(`# 200 of 4200 closed after ${Date.now() - began} ms`);
    assert.match(stack.log('nginx'), /connections: 127\.0\.0\.6 has as many open as hub_connections \(4000\)/);
    silent.forEach((socket) => socket.destroy());
  });

  await t.test('both ports soon close a connection that sends nothing, with TLS and before it', async () => {
    const began = Date.now();
    const silent = [net.connect(stack.http, '127.0.0.1'), net.connect(stack.https, '127.0.0.1'),
      tls.connect({ port: stack.https, host: '127.0.0.1', rejectUnauthorized: false })];
    const slow = net.connect(stack.http, '127.0.0.1');
    slow.write('GET /m/');
    const drip = setInterval(() => slow.write('x'), 1000);
    await Promise.all([...silent, slow].map((socket) => new Promise((resolve) => {
      socket.on('error', () => {});
      socket.on('close', resolve);
      socket.resume();
    })));
    clearInterval(drip);
    const seconds = (Date.now() - began) / 1000;
    console.log(`# closed after ${seconds.toFixed(1)} s`);
    assert.ok(seconds < 40, `${seconds} s`);
  });

  await t.test('no log records a token, wherever it stands and however it is spelled', async () => {
    const url = await stack.ctl('url', 'admin', 'live/demo', 'view');
    const token = url.split('/m/')[1].split('/')[0];
    const [head, body, mac] = token.split('.');
    const hex = (text) => [...text].map((c) => `%${c.charCodeAt(0).toString(16)}`).join('');
    const spellings = [
      token,
      `${head}%2E${body}%2e${mac}`,
      `%65${token.slice(1)}`,
      `${head}%252E${body}%252E${mac}`,
      hex(token),
    ];
    const places = [
      (s) => `/m/${s}/live/demo.flv`,
      (s) => `/m/${s}`,
      (s) => `/m/${s}/`,
      (s) => `/${s}`,
      (s) => `/x?token=${s}`,
      (s) => `/m/x/../${s}/y`,
      (s) => `/${packedFolder()}/js/${s}.js`,
      (s) => `/m/x/live/${s}.flv`,
      (s) => `/m/${s}/rec/live/demo/${s}.m3u8`,
      (s) => `/m/${s}/rec/live/demo/index.m3u8?from=${s}`,
      (s) => `/api/${s}`,
      (s) => `/${packedFolder()}/vendor/${s}`,
    ];
    for (const base of [stack.httpUrl, stack.httpsUrl]) {
      for (const place of places) {
        for (const spelling of spellings) {
          await ask(false, base, '127.0.0.5', {
            target: place(spelling),
            headers: { Referer: `${base}/m/${spelling}/`, 'User-Agent': `player ${spelling}` },
          });
        }
      }
    }
    const last = '/the-last-of-them';
    await ask(false, stack.httpUrl, '127.0.0.5', { target: last });
    await until(() => stack.log('access').includes(last), 'the last request to be logged');
    for (const name of ['access', 'nginx', 'auth']) {
      const text = stack.log(name);
      for (const part of [mac, hex(mac), body])
        assert.ok(!text.includes(part), `${name}.log: ${text.split('\n').find((line) => line.includes(part))}`);
    }
    assert.match(stack.log('access'), /GET \/m\/\*\*\*\/live\/demo\.flv/);
  });

  await t.test('nginx serves only the page\'s own files of the page\'s folder', async () => {
    for (const name of [...fs.readdirSync(path.join(repo, 'html')), ...fs.readdirSync(packed)]) {
      const wanted = /^(index\.html|manifest\.webmanifest|[\w-]+\.(svg|png))$/.test(name) ? 200 : 404;
      assert.equal(await ask(false, stack.httpsUrl, '127.0.0.1', { target: `/${name}` }), wanted, name);
    }
    const folder = packedFolder();
    for (const target of [
      '/js/main.js',
      `/${folder}/`,
      `/${folder}/js/`,
      `/${folder}/js/.npmrc`,
      `/${folder}/js/../.npmrc`,
      `/${folder}/css/../../build.sh`,
      `/${folder}/vendor/`,
      `/${folder}/vendor/../../auth-service/duolu-auth`,
      `/${folder}/js/x.js.md`,
      '/.git/config',
    ]) {
      assert.equal(await ask(false, stack.httpsUrl, '127.0.0.1', { target }), 404, target);
    }
    const above = `/${folder}/css/../../../build.sh`;
    assert.equal(await ask(false, stack.httpsUrl, '127.0.0.1', { target: above }), 400, above);
  });

  await t.test('with DUOLU_HSTS only the TLS port sends the header', async () => {
    const headers = async (url) => (await new Promise((resolve, reject) => {
      (url.startsWith('https') ? https : http)
        .get(url, { agent: false, rejectUnauthorized: false }, resolve)
        .on('error', reject);
    })).headers['strict-transport-security'];
    for (const file of ['', 'js/main.js', 'api/me', 'nothing'])
      assert.equal(await headers(`${stack.httpsUrl}/${file}`), 'max-age=600', file);
    assert.equal(await headers(`${stack.httpUrl}/x`), undefined);
  });

  await t.test('no argument of a process holds the database\'s password', () => {
    const password = fs.readFileSync(path.join(stack.home, 'secrets/db'), 'utf8').trim();
    const calls = fs.readFileSync(path.join(tools, 'calls'), 'utf8');
    assert.match(calls, /--socket=/);
    assert.ok(!calls.includes(password), calls);
  });
});

test('no error log records a token of a request that is not read completely: at any level, in any file, by ' +
  'syslog', async (t) => {
  const { crt, key } = selfSigned();
  const port = await freePort();
  const syslog = [];
  const receiver = dgram.createSocket('udp4').on('message', (message) => syslog.push(String(message)));
  await new Promise((resolve) => {
    receiver.bind(port, '127.0.0.1', resolve);
  });
  t.after(() => receiver.close());
  const secret = token('live/demo');
  const [, body, mac] = secret.split('.');
  const hub = await startHub({
    main: `error_log {{dir}}/error.log debug; error_log syslog:server=127.0.0.1:${port} info;`,
    http: `client_header_timeout 1s; server { listen 127.0.0.1:{{port:own}}; error_log {{dir}}/own.log info;
      error_log syslog:server=127.0.0.1:${port},tag=own info; }
      server { listen 127.0.0.1:{{port:h2}} http2; }`,
    listen: tlsListen(),
    files: { crt, key },
  });
  t.after(() => hub.stop());
  const { http: plain, https: secure, own, h2 } = hub.nginx.ports;
  const send = (to, text) =>
    new Promise((resolve) => {
      net
        .connect(to, '127.0.0.1', function connected() {
          this.write(text);
        })
        .on('error', () => {})
        .on('close', resolve)
        .resume();
    });
  const leave = (to, text) =>
    new Promise((resolve) => {
      net
        .connect(to, '127.0.0.1', function connected() {
          this.end(text);
        })
        .on('error', () => {})
        .on('close', resolve)
        .resume();
    });
  const target = `/m/${secret}/live/demo.flv`;
  for (const to of [plain, own]) {
    await leave(to, `GET ${target} HTTP/1.1\r\nHost:`);
    await leave(to, `GET ${target}`);
    await send(to, `GET ${target} HTTP/1.1\r\nHost: x\r\n`); // times out
    await send(to, `GET ${target} HTTP/1.1\r\nHost: x\r\nRef erer ${target}\r\nConnection: close\r\n\r\n`);
    await send(to, `GET ${target}/${'x/'.repeat(6000)}${'y/'.repeat(20_000)} HTTP/1.1\r\n\r\n`);
    await send(to, `GET / HTTP/1.1\r\nReferer: ${target}/${'x/'.repeat(20_000)}\r\n\r\n`);
    await send(to, `G@T ${target} HTTP/1.1\r\n\r\n`);
    await send(to, `GET ${target} HTTP/1.1\r\nHost: a b\r\n\r\n`);
  }
  await send(secure, `GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
  await badHeader(h2, target, secret);
  const [whole, ownLog] = ['error.log', 'own.log'].map((name) =>
    fs.readFileSync(path.join(hub.nginx.dir, name), 'utf8'),
  );
  await until(
    () =>
      syslog.some((line) => /own: .*\/m\/\*\*\*\//.test(line)) &&
      syslog.some((line) => /nginx: .*\/m\/\*\*\*\//.test(line)),
    'lines by syslog',
  );
  for (const text of [whole, ownLog, syslog.join('\n')]) {
    for (const part of [mac, body])
      assert.ok(
        !text.includes(part),
        text.split('\n').find((line) => line.includes(part)),
      );
  }
  for (const text of [whole, ownLog]) {
    for (const reason of [
      /prematurely closed connection while reading client request line/,
      /prematurely closed connection while reading client request headers/,
      /client timed out .*request: "GET \/m\/\*\*\*\//,
      /invalid header line: .*request: "GET \/m\/\*\*\*\/live\/demo\.flv/,
      /client sent too long URI/,
      /client sent too long header line: "Referer: \/m\/\*\*\*\//,
      /client sent invalid method/,
      /invalid host in request line|invalid host header/,
    ]) {
      assert.match(text, reason);
    }
  }
  assert.match(whole, /plain HTTP request to HTTPS port .*"GET \/m\/\*\*\*\//);
  assert.match(whole, /invalid header name: "Bad \*\*\*"/);
});
