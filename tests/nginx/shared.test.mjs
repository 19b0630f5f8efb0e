// Rules that nginx and the service share: nginx is tested with the same tables of
// cases as the service's unit tests.

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { KEY, Viewer, startHub } from '../lib/hub.mjs';
import { repo, testConfig } from '../lib/nginx.mjs';
import { amf, interFrame, keyFrame, openPublisher, openStream } from '../lib/rtmp.mjs';

const DEADLINE = { timeout: 120_000 };

const cases = (name, least) => {
  const lines = fs
    .readFileSync(path.join(repo, 'tests/unit/cases', name), 'utf8')
    .split('\n')
    .slice(0, -1)
    .filter((line) => !line.startsWith('# '));
  assert.ok(lines.length >= least, `${name}: ${lines.length} cases`);
  return lines.map((line) => line.split('\t'));
};

/** \n \r \t and \xHH as bytes. */
const bytes = (text) => Buffer.concat(text.split(/(\\x..|\\[nrt])/).map((part) => (part.startsWith('\\x')
  ? Buffer.from(part.slice(2), 'hex') : Buffer.from({ '\\n': '\n', '\\r': '\r', '\\t': '\t' }[part] ?? part))));

let hub;

before(async () => { hub = await startHub({ workers: 1 }); });
after(async () => { await hub?.stop(); });

describe('the same answer as the service', () => {
  test('for names of streams', DEADLINE, async () => {
    const wrong = [];
    for (const [name, taken] of cases('stream_names.tsv', 50)) {
      const text = bytes(name);
      const client = await openStream(hub.rtmp);
      // the raw bytes of the name, which may be invalid UTF-8
      const published = await client.publish(amf.raw([2, text.length >> 8, text.length & 255, ...text])).then(
        () => 'yes',
        () => 'no',
      );
      if (published !== taken) wrong.push(`${name}: ${published}`);
      client.close();
    }
    assert.deepEqual(wrong, []);
  });

  test('for files of token keys', DEADLINE, async () => {
    const k1 = KEY.toString('hex');
    const k2 = Buffer.alloc(32, 8).toString('hex');
    const file = path.join(fs.mkdtempSync('/tmp/duolu-keys-'), 'keys');
    const wrong = [];
    try {
      for (const [text, taken] of cases('token_keys.tsv', 30)) {
        fs.writeFileSync(file, bytes(text.replaceAll('K1', k1).replaceAll('K2', k2)));
        const { code, output } = await testConfig({
          modules: ['rtmp', 'guard', 'hub'],
          conf: `http { access_token_keys ${file}; }`,
        });
        assert.ok(code === 0 || output.includes('access_token_keys'), output);
        if ((code === 0 ? 'yes' : 'no') !== taken) wrong.push(`${text}: ${output}`);
      }
    } finally {
      fs.rmSync(path.dirname(file), { recursive: true });
    }
    assert.deepEqual(wrong, []);
  });

  test('for tokens of viewers', DEADLINE, async () => {
    const publisher = await openPublisher('cam1?key=k', hub.rtmp);
    publisher.sendVideo(0, keyFrame());
    publisher.sendVideo(40, interFrame());
    await publisher.ping();
    const wrong = [];
    for (const [what, header, body, tail, taken] of cases('tokens.tsv', 40)) {
      const now = Math.floor(Date.now() / 1000);
      const times = body.replace(/\{now([+-]\d+)?\}/g, (_, more) => String(now + Number(more ?? 0)));
      const text = [header, times].map((part) => Buffer.from(part).toString('base64url')).join('.');
      const token = `${text}.${crypto.createHmac('sha256', KEY).update(text).digest('base64url')}`
      + tail.replace(/\\x/g, '%');
      const viewer = await Viewer.open(hub.url('live/cam1', token));
      if ((viewer.status === 200 ? 'yes' : 'no') !== taken) wrong.push(`${what}: ${viewer.status}`);
      viewer.close();
    }
    publisher.close();
    assert.deepEqual(wrong, []);
  });
});
