// Reads a QR code from a picture, as a phone's camera app does: by zbar, which is an element of GStreamer.

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { run } from './stack.mjs';

/** The text of the QR code in a PNG; throws when there is none. */
export async function readQr(png) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'duolu-qr-'));
  const file = path.join(folder, 'code.png');
  fs.writeFileSync(file, png);
  try {
    const { stdout } = await run('gst-launch-1.0', ['-m', 'filesrc', `location=${file}`, '!', 'pngdec', '!',
      'videoconvert', '!', 'zbar', '!', 'fakesink']);
    const [, symbol] = /barcode,.*type=\(string\)QR-Code, symbol=\(string\)(.*?), quality=/.exec(stdout) ?? [];
    if (symbol === undefined) throw new Error(`no QR code in the picture:\n${stdout}`);
    // GStreamer quotes a text that is not a plain word, and escapes characters in it.
    return symbol.startsWith('"') ? symbol.slice(1, -1).replace(/\\(.)/g, '$1') : symbol;
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}
