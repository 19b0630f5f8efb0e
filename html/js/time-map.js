// Converts between the wall clock and the time of a <video> that plays a history
// playlist: a list of segments [{start, duration, programDateTime}], as hls.js
// has them: `start` and `duration` in seconds of the video, the third in ms
// since 1970. Time that was not recorded takes no room in the video. Pure: no DOM.

/** The segments of a media playlist (RFC 8216, 4.3), for players that do not expose theirs. */
export function readPlaylist(text) {
  const segments = [];
  let start = 0;
  let utc = NaN;
  let duration = 0;
  for (const line of text.split('\n')) {
    if (line.startsWith('#EXT-X-PROGRAM-DATE-TIME:')) utc = Date.parse(line.slice(25));
    else if (line.startsWith('#EXTINF:')) duration = Number.parseFloat(line.slice(8));
    else if (line && !line.startsWith('#')) {
      segments.push({ start, duration, programDateTime: utc });
      start += duration;
      utc += duration * 1000;
    }
  }
  return segments;
}

// The last segment for which before(segment) holds; -1 for none.
function lastWhere(segments, before) {
  let low = 0;
  let high = segments.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (before(segments[middle])) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The wall clock (ms) at `seconds` of the video; NaN without segments. */
export function utcAt(segments, seconds) {
  const segment = segments[Math.max(0, lastWhere(segments, ({ start }) => start <= seconds))];
  if (!segment) return NaN;
  const into = Math.min(Math.max(0, seconds - segment.start), segment.duration);
  return segment.programDateTime + into * 1000;
}

/** Seconds of the video at `utc`; a time in a gap maps to the next segment. Null behind the end. */
export function secondsAt(segments, utc) {
  const index = lastWhere(segments, ({ programDateTime }) => programDateTime <= utc);
  const segment = segments[Math.max(0, index)];
  if (!segment) return null;
  const into = (utc - segment.programDateTime) / 1000;
  if (into < segment.duration) return segment.start + Math.max(0, into);
  return segments[index + 1]?.start ?? null;
}

/** Where the recording ends, ms; NaN without segments. */
export function utcEnd(segments) {
  const last = segments.at(-1);
  return last ? last.programDateTime + last.duration * 1000 : NaN;
}
