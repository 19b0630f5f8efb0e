// A FastCGI client (FastCGI 1.0 specification, responder role): one request on
// one connection to a unix socket, as nginx sends them here.

import { createConnection } from 'node:net';

const version = 1;
const beginRequest = 1;
const endRequest = 3;
const paramsRecord = 4;
const stdinRecord = 5;
const stdoutRecord = 6;
const responder = 1;
const recordMax = 65535;

function record(type, content = Buffer.alloc(0)) {
  const header = Buffer.alloc(8);
  header.writeUInt8(version, 0);
  header.writeUInt8(type, 1);
  header.writeUInt16BE(1, 2);
  header.writeUInt16BE(content.length, 4);
  return Buffer.concat([header, content]);
}

function stream(type, content) {
  const records = [];
  for (let from = 0; from < content.length; from += recordMax) {
    records.push(record(type, content.subarray(from, from + recordMax)));
  }
  return [...records, record(type)];
}

function length(size) {
  if (size < 128) return Buffer.from([size]);
  const four = Buffer.alloc(4);
  four.writeUInt32BE((size | 0x80000000) >>> 0);
  return four;
}

function pairs(params) {
  return Buffer.concat(Object.entries(params).flatMap(([name, value]) => {
    const nameBytes = Buffer.from(name);
    const valueBytes = Buffer.isBuffer(value) ? value : Buffer.from(String(value));
    return [length(nameBytes.length), length(valueBytes.length), nameBytes, valueBytes];
  }));
}

export function encode(params, body = Buffer.alloc(0)) {
  const begin = Buffer.alloc(8);
  begin.writeUInt16BE(responder, 0);
  return Buffer.concat([
    record(beginRequest, begin),
    ...stream(paramsRecord, pairs(params)),
    ...stream(stdinRecord, body),
  ]);
}

function decode(bytes) {
  const out = [];
  let ended = false;
  for (let at = 0; at + 8 <= bytes.length;) {
    const type = bytes.readUInt8(at + 1);
    const size = bytes.readUInt16BE(at + 4);
    const padding = bytes.readUInt8(at + 6);
    if (type === stdoutRecord) out.push(bytes.subarray(at + 8, at + 8 + size));
    if (type === endRequest) ended = true;
    at += 8 + size + padding;
  }
  return { ended, bytes: Buffer.concat(out) };
}

// {status, headers, cookies, bytes, text, json}; headers by lower-case name, the first of each
export async function fcgi(path, params, body = '', deadlineMs = 60_000) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask(path, params, body, deadlineMs);
    } catch (error) {
      // libfcgi closes connections that are silent for 2 s, which happens on a busy machine
      if (error.code !== 'EPIPE' || tries === 10) throw error;
    }
  }
}

function ask(path, params, body, deadlineMs) {
  return new Promise((resolve, reject) => {
    const chunks = [];
    const socket = createConnection(path);
    socket.setTimeout(deadlineMs, () => socket.destroy(new Error(`no answer from ${path} within ${deadlineMs} ms`)));
    socket.on('error', reject);
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('close', () => {
      const { ended, bytes } = decode(Buffer.concat(chunks));
      const split = bytes.indexOf('\r\n\r\n');
      if (!ended || split < 0)
        return reject(new Error(`${path} closed without a whole answer: ${JSON.stringify(bytes.toString())}`));
      const headers = {};
      const cookies = [];
      for (const line of bytes.toString('utf8', 0, split).split('\r\n')) {
        const colon = line.indexOf(':');
        const name = line.slice(0, colon).toLowerCase();
        const value = line.slice(colon + 1).trim();
        headers[name] ??= value;
        if (name === 'set-cookie') cookies.push(value);
      }
      const content = bytes.toString('utf8', split + 4);
      let json = null;
      try { json = JSON.parse(content); } catch { /* the test looks at the text */ }
      resolve({
        status: Number.parseInt(headers.status ?? '200', 10),
        headers,
        cookies,
        bytes: bytes.subarray(split + 4),
        text: content,
        json,
      });
    });
    socket.write(encode(params, Buffer.from(body)));
  });
}
