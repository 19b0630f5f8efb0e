// The tracks of a live stream: {audio, video}, booleans. Pure: no DOM.

export const allTracks = { audio: true, video: true };

/** Null while unknown: both are still missing, or the publisher is away and may return with others. */
export function tracksOf({ state, audio, video }) {
  if (state !== 'live' || !audio || !video || (audio === 'none' && video === 'none')) return null;
  return { audio: audio !== 'none', video: video !== 'none' };
}

export function sameTracks(a, b) {
  return a.audio === b.audio && a.video === b.video;
}
