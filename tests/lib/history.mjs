// Folders of recordings that nginx writes and serves, and what ffmpeg finds at
// a URL of history or in a file.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { run } from './stack.mjs';

/** An empty temporary folder that any user may write to. */
export function newFolder() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'duolu-rec-'));
  fs.chmodSync(folder, 0o777);
  return folder;
}

/**
 * For startHub()'s `listen`: serves the recordings in `root` to readers on the pool `threads`; `more` are further
 * directives of that location.  The `root` directive at its end makes all other paths 404.
 */
export const historyLocation = (root, { threads = 'disk', more = '' } = {}) =>
  `location ~ ^/m/[^/]+/rec/ { access_token_keys {{dir}}/keys; hub_history ${root}; hub_history_threads ${threads};
    ${more} } root /nonexistent`;

/** Number of video packets at a URL or in a file; `silent`: ffprobe must not complain. */
export async function countPictures(input, { silent = true } = {}) {
  const { stdout, stderr } = await run('ffprobe', ['-v', silent ? 'error' : 'quiet', '-count_packets',
    '-select_streams', 'v', '-of', 'json', '-show_entries', 'stream=nb_read_packets', input]);
  assert.equal(stderr, '', `ffprobe about ${input}`);
  return Number(JSON.parse(stdout).streams[0].nb_read_packets);
}

/** ffmpeg decodes all of a URL or file without a complaint. */
export async function decodesSilently(input) {
  const { stderr } = await run('ffmpeg', ['-nostdin', '-v', 'error', '-i', input, '-f', 'null', '-']);
  assert.equal(stderr, '', `ffmpeg about ${input}`);
}
