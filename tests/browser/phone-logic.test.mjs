// Rules about phones without DOM: links that set up an app, advice while it is live, reasons why it is not.

import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';

const html = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../html');

const load = (name) => import(pathToFileURL(path.join(html, 'js', name)));

const phone = { app: 'live', name: 'mei-kitchen', key: 'AbC-_19' };

test('the fields to publish have the operator\'s port, whatever it is; RTMPS comes first where it is on', async () => {
  const { publishFields } = await load('phone-links.js');
  const { protocolsOf } = await load('publish-url.js');
  for (const [protocol, publish, server] of [
    ['rtmps', { rtmp: 1935, rtmps: 1936 }, 'rtmps://cam.example:1936/live'],
    ['rtmps', { rtmp: 1935, rtmps: 443 }, 'rtmps://cam.example:443/live'],
    ['rtmp', { rtmp: 1935, rtmps: 1936 }, 'rtmp://cam.example:1935/live'],
    ['rtmp', { rtmp: 40_123, rtmps: 1936 }, 'rtmp://cam.example:40123/live'],
    ['rtmp', { rtmp: 40_123, rtmps: 1936, host: 'push.example' }, 'rtmp://push.example:40123/live'],
  ]) {
    assert.deepEqual(publishFields(phone, protocol, publish, 'cam.example'), {
      server, streamKey: 'mei-kitchen?key=AbC-_19', url: `${server}/mei-kitchen?key=AbC-_19`,
    });
  }
  assert.deepEqual(protocolsOf({ rtmp: 1935, rtmps: 1936 }), ['rtmps', 'rtmp']);
  assert.deepEqual(protocolsOf({ rtmp: 1935, rtmps: 0 }), ['rtmp']);
  assert.deepEqual(protocolsOf({ rtmp: 1935 }), ['rtmp']);
});

test('a Larix link sets one connection, as Grove describes it', async () => {
  const { larixLink } = await load('phone-links.js');
  const url = 'rtmps://cam.example:1936/live/屋顶?key=A-_9&x=1';
  const link = larixLink(url, 'Küche & 客厅 #2');
  assert.ok(link.startsWith('larix://set/v1?conn[][url]='), 'brackets stay as they are');
  assert.doesNotMatch(link, /[^\x21-\x7e]/, 'a QR scanner passes on ASCII only');
  const fields = link.slice(link.indexOf('?') + 1).split('&').map((field) => field.split('='));
  assert.deepEqual(fields.map(([name, value]) => [name, decodeURIComponent(value)]), [
    ['conn[][url]', url], ['conn[][name]', 'Küche & 客厅 #2'], ['conn[][mode]', 'va'], ['conn[][overwrite]', 'on'],
    ['conn[][active]', 'on'], ['enc[vid][keyframe]', '2'],
  ]);
});

test('a Moblin link is URL-encoded JSON with one stream, which is selected', async () => {
  const { moblinLink } = await load('phone-links.js');
  const url = 'rtmps://cam.example:1936/live/mei-kitchen?key=A-_9';
  const link = moblinLink(url, '"Küche" {2}');
  assert.ok(link.startsWith('moblin://?%7B'));
  assert.doesNotMatch(link, /[^\x21-\x7e]/);
  assert.deepEqual(JSON.parse(decodeURIComponent(link.slice('moblin://?'.length))), {
    streams: [{
      name: '"Küche" {2}', url, selected: true,
      video: { codec: 'H.264/AVC', bFrames: false, maxKeyFrameInterval: 2 },
    }],
  });
});

test('one more phone has the next number', async () => {
  const { nextLabel } = await load('phone-links.js');
  for (const [label, next] of [['Kitchen', 'Kitchen 2'], ['Kitchen 2', 'Kitchen 3'], ['厨房 9', '厨房 10'],
    ['Gate 2b', 'Gate 2b 2'], ['7', '7 2']]) {
    assert.equal(nextLabel(label), next);
  }
});

test('a live phone gets one sentence on what to mend, the worst for its viewers, or none', async () => {
  const { adviceFor } = await load('phone-advice.js');
  const good = {
    kbps: 2500, fps: 30, gop_ms: 2000, gop_outgrown: false, gaps: 0, width: 1280, height: 720, video: 'h264',
    audio: 'aac', since_ms: 600_000,
  };
  assert.equal(adviceFor(null), null);
  assert.equal(adviceFor(good), null);
  for (const [change, text, values] of [
    [{ gop_ms: 10_000 }, 'mend.keyFrame', { seconds: 10 }],
    [{ gop_ms: 4100 }, 'mend.keyFrame', { seconds: 4 }],
    [{ gop_ms: 0, gop_outgrown: true }, 'mend.keyFrames', {}],
    [{ fps: 9.6 }, 'mend.fps', { fps: 10 }],
    [{ gaps: 5 }, 'mend.drops', { count: 5, minutes: 10 }],
    [{ gaps: 3, gop_ms: 10_000, since_ms: 20_000 }, 'mend.drops', { count: 3, minutes: 1 }],
    [{ video: 'hevc' }, 'mend.hevc', {}],
    [{ video: 'none', fps: 0, width: 0, height: 0, gop_ms: 0 }, 'mend.noVideo', {}],
    [{ kbps: 20_000 }, 'mend.fast', { mbps: 20 }],
    [{ kbps: 300 }, 'mend.slow', { kbps: 300 }],
  ]) {
    assert.deepEqual(adviceFor({ ...good, ...change }), { text, values }, JSON.stringify(change));
  }
  for (const change of [{ gaps: 3, since_ms: 8 * 3_600_000 }, { kbps: 300, height: 180 }, { fps: 0 }, { kbps: 0 }]) {
    assert.equal(adviceFor({ ...good, ...change }), null, JSON.stringify(change));
  }
});

test('a phone that is not live has the newest reason since it was added', async () => {
  const { whyNot } = await load('phone-advice.js');
  const { default: en } = await load('i18n/en.js');
  const made = { live: null, seen: null, ended: '', created: 1000 };
  assert.equal(whyNot(made), null, 'nothing has come yet');
  assert.equal(whyNot({ ...made, live: { kbps: 1 }, refused: { at: 5000, reason: 'key revoked' } }), null);
  for (const [reason, text] of [
    ['key revoked', 'why.oldKey'], ['wrong key', 'why.wrongKey'], ['no key', 'why.wrongKey'],
    ['unknown stream', 'why.name'], ['unknown app', 'why.name'], ['bad stream name', 'why.name'],
    ['user disabled', 'why.disabled'], ['no right to publish', 'why.noRight'],
    ['key\'s maker may not manage', 'why.noRight'], ['database unavailable', 'why.server'],
    ['a new reason', 'why.other'],
  ]) {
    assert.equal(whyNot({ ...made, refused: { at: 2000, reason } }).text, text, reason);
    assert.ok(text in en, text);
  }
  for (const [ended, text] of [
    ['stream is already live with another key', 'why.busy'],
    ['no media for 15000 ms', 'why.silent'],
    ['no media for 15000 ms that can be carried: video codec 2 is not carried', 'why.codec'],
    ['video codec av01 is not carried (packet type sequence start), expected H.264 (7, avc1) or H.265 (12, hvc1)',
      'why.codec'],
    ['stream exceeds its limit of 4000 kbps for too long', 'why.bitrate'],
    ['user publishes as many streams as their limit allows', 'why.tooMany'],
    ['hub_zone has no room for another stream', 'why.server'],
    ['closed by the client', 'why.left'],
    ['refused chunk size 1, expected 128 to 65536', 'why.other'],
  ]) {
    assert.equal(whyNot({ ...made, seen: 3000, ended }).text, text, ended);
    assert.ok(text in en, text);
  }
  const both = { ...made, seen: 3000, ended: 'closed by the client' };
  assert.equal(whyNot({ ...both, refused: { at: 2000, reason: 'key revoked' } }).text, 'why.left');
  assert.equal(whyNot({ ...both, refused: { at: 4000, reason: 'key revoked' } }).text, 'why.oldKey');
  assert.equal(whyNot({ ...both, created: 9000 }), null, 'before it was added again');
});

test('a program has the name that people know', async () => {
  const { programName } = await load('phone-advice.js');
  for (const [agent, name] of [
    ['FMLE/3.0 (compatible; Lavf59.27.100)', 'Lavf59.27.100'], ['FMLE/3.0 (compatible; FMSc/1.0)', ''],
    ['Larix/1.3.10', 'Larix/1.3.10'], ['LNX 9,0,124,2', ''], ['', ''],
  ]) assert.equal(programName(agent), name);
});

test('a moment of today is a time, another one has its day', async () => {
  const { formatMoment } = await load('format.js');
  const now = new Date(2026, 10, 29, 15, 0).getTime();
  assert.equal(formatMoment(new Date(2026, 10, 29, 14, 5).getTime(), 'en-GB', now), '14:05');
  assert.equal(formatMoment(new Date(2026, 10, 28, 14, 5).getTime(), 'en-GB', now), '28 Nov 14:05');
});
