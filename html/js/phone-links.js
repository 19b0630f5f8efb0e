// What an encoder needs to publish: the fields to type, and links that set up an app on a phone. Pure: no DOM.
//
// Sources: "Larix Grove", softvelum.com/larix/grove (larix://set/v1?conn[][url]=…), and Larix's own writer of such
// links; the README of eerimoq/moblin, "Import settings using moblin:// (custom URL)", whose JSON is declared in
// MoblinSettingsUrl.swift.

import { publishServer } from './publish-url.js';

const keyFrameSeconds = 2;

/** {server, streamKey, url} of a stream {app, name} and its key. */
export function publishFields({ app, name, key }, protocol, publish, pageHost) {
  const server = `${publishServer(protocol, publish, pageHost)}/${app}`;
  // Not percent-encoded: RTMP carries the name as it is, and names hold no / ? & # %.
  const streamKey = `${name}?key=${key}`;
  return { server, streamKey, url: `${server}/${streamKey}` };
}

/** Overwrites the connection of this name, so that a phone that is set up again has one, with the newest key. */
export function larixLink(url, label) {
  const fields = [
    ['conn[][url]', url],
    ['conn[][name]', label],
    ['conn[][mode]', 'va'], // video and audio
    ['conn[][overwrite]', 'on'],
    ['conn[][active]', 'on'],
    ['enc[vid][keyframe]', keyFrameSeconds],
  ];
  return `larix://set/v1?${fields.map(([field, value]) => `${field}=${encodeURIComponent(value)}`).join('&')}`;
}

/** H.264, since Moblin's own default, HEVC, does not play in every browser. */
export function moblinLink(url, label) {
  const video = { codec: 'H.264/AVC', bFrames: false, maxKeyFrameInterval: keyFrameSeconds };
  const settings = { streams: [{ name: label, url, selected: true, video }] };
  return `moblin://?${encodeURIComponent(JSON.stringify(settings))}`;
}

/** The label of one more phone: "Kitchen 2" after "Kitchen". */
export function nextLabel(label) {
  const [, words, number] = /^(.*?)(?: (\d{1,3}))?$/.exec(label);
  return `${words} ${Number(number ?? 1) + 1}`;
}
