// Groups recordings by day, and within a day by session: the files of one unbroken
// run of a stream. Pure: no DOM.

import { startOfDay } from './timeline.js';

const worst = ['recording', 'interrupted', 'complete'];

/** [{day, sessions: [{stream, title, from, to, bytes, state, files}]}] in the order of the files, newest first. */
export function groupRecordings(recordings) {
  const days = [];
  for (const file of recordings) {
    const start = startOfDay(file.from);
    let day = days.find((entry) => entry.day === start);
    if (!day) days.push((day = { day: start, sessions: [] }));
    let session = day.sessions.find((entry) => entry.stream === file.stream && entry.session === file.session);
    if (!session)
      day.sessions.push((session = { stream: file.stream, session: file.session, title: file.title, files: [] }));
    session.files.push(file);
  }
  for (const { sessions } of days) for (const session of sessions) sumUp(session);
  return days;
}

function sumUp(session) {
  const { files } = session;
  session.from = Math.min(...files.map((file) => file.from));
  session.to = files.some((file) => file.to === null) ? null : Math.max(...files.map((file) => file.to));
  session.bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  session.state = worst.find((state) => files.some((file) => file.state === state)) ?? 'complete';
}

/** The name for saving a file: cam-2026-11-23-14-00-00.mp4, in the viewer's local time, as on the page. */
export function downloadName({ stream, from, format }) {
  const date = new Date(from);
  const time = [date.getMonth() + 1, date.getDate(), date.getHours(), date.getMinutes(), date.getSeconds()].map(
    (part) => String(part).padStart(2, '0'),
  );
  return `${stream.split('/')[1]}-${date.getFullYear()}-${time.join('-')}.${format}`;
}

/** The URL of the stream's folder that holds the file; its pictures and playlists are there too. */
export function streamFolder({ url }) {
  return url.replace(/[^/]+\/[^/]+$/, '');
}
