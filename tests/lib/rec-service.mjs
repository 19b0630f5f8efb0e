// The auth-service with a folder of recordings that the test writes as the recorder
// would, a real MariaDB and a stand-in for nginx.
//
//   const service = new RecService();
//   const { sql, lay, insert, at } = service;      the folder is service.rec
//   before(() => service.start()); after(() => service.stop());

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { Service } from './auth.mjs';
import { fileName, indexHead, indexSegment } from './recordings.mjs';

export const iso = (ms) => new Date(ms).toISOString();

export class RecService extends Service {
  /** Users admin, bob and eve; streams live/demo and live/相机+1 of admin, live/bobs of bob. */
  async start() {
    await super.start({
      users: [['admin', '--admin'], ['bob'], ['eve']],
      streams: [
        ['demo', 'admin', 'Front door'],
        ['bobs', 'bob', 'Garage 100%'],
        ['相机+1', 'admin'],
      ],
      nginx: true,
      prepare: () => {
        this.rec = path.join(this.auth.home, 'rec');
        fs.mkdirSync(this.at('.spool'), { recursive: true, mode: 0o750 });
      },
    });
  }

  rows = (where = '1 = 1') =>
    this.sql(
      `SELECT file, state, bytes, COALESCE(ended_ms, 0), keep FROM recordings WHERE ${where} ORDER BY started_ms, id`,
    );

  at = (file) => path.join(this.rec, file);

  there = (file) => fs.existsSync(this.at(file));

  indexOf = (file) => this.at(file).replace(/mp4$/, 'm3u8');

  /** Writes a recording: an MP4 of so many bytes and its index. */
  lay = ({ stream = 'live/demo', from, seconds = 60, bytes = 1000, session = from, end = '#EXT-X-ENDLIST\n' }) => {
    const file = `${stream}/${fileName(from)}`;
    fs.mkdirSync(path.dirname(this.at(file)), { recursive: true });
    fs.writeFileSync(this.at(file), Buffer.alloc(bytes, 7));
    fs.writeFileSync(
      this.indexOf(file),
      indexHead({ stream, session, init: 100, utc: from }) +
        indexSegment({ utc: from, duration: seconds * 1000, offset: 100, size: bytes - 100 }, path.basename(file)) +
        end,
    );
    return { file, stream, from, to: from + seconds * 1000, bytes, session };
  };

  /** Writes an FLV with one tag at its start and one at its end (Adobe FLV 10.1, annex E). */
  layFlv = ({ stream = 'live/demo', from, seconds = 60 }) => {
    const file = `${stream}/${fileName(from, 'flv')}`;
    const tag = (ms) => {
      const bytes = Buffer.alloc(11 + 2 + 4);
      bytes[0] = 9;
      bytes.writeUIntBE(2, 1, 3);
      bytes.writeUIntBE(ms & 0xffffff, 4, 3);
      bytes[7] = ms >>> 24;
      bytes.writeUInt32BE(13, 13);
      return bytes;
    };
    fs.mkdirSync(path.dirname(this.at(file)), { recursive: true });
    fs.writeFileSync(
      this.at(file),
      Buffer.concat([Buffer.from('FLV\x01\x05\0\0\0\x09\0\0\0\0', 'latin1'), tag(0), tag(seconds * 1000)]),
    );
    return { file, stream, from, to: from + seconds * 1000, bytes: 13 + 34 };
  };

  /** Inserts the row of a recording from lay() or layFlv(). */
  insert = ({ file, stream, from, to = 0, bytes = 0, session = from, state = 'complete', keep = 0 }) => {
    const [app, name] = stream.split('/');
    this.sql(`INSERT INTO recordings (stream_id, app, name, file, format, session, started_ms, ended_ms,
      bytes, state, keep)
      VALUES ((SELECT id FROM streams WHERE app = '${app}' AND name = '${name}'), '${app}', '${name}', '${file}',
      '${file.slice(-3)}', ${session}, ${from}, ${to || 'NULL'}, ${bytes}, '${state}', ${keep})`);
  };

  clear = () => {
    this.sql('DELETE FROM recordings');
    for (const name of fs.readdirSync(this.rec)) fs.rmSync(this.at(name), { recursive: true });
    fs.mkdirSync(this.at('.spool'), { mode: 0o750 });
  };

  /** Acts as the file's writer: marker and lock; stop() removes both, or only the lock. */
  writer = async (file) => {
    const child = spawn('flock', [this.at(file), 'sh', '-c', 'echo locked && exec cat'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    fs.mkdirSync(this.at('.open'), { recursive: true });
    const marker = this.at(`.open/${file.replaceAll('/', '%2F')}`);
    fs.writeFileSync(marker, '');
    return {
      async stop({ marked = false } = {}) {
        if (!marked) fs.rmSync(marker);
        child.stdin.end();
        await once(child, 'exit');
      },
    };
  };

  /** Runs duoluctl with other settings: {code, stdout, stderr}. */
  ctl = (args, environment = {}) => {
    const before = this.auth.environment;
    this.auth.environment = { ...before, ...environment };
    const ended = this.auth.ctl(args); // spawned with them, whatever comes next
    this.auth.environment = before;
    return ended;
  };
}
