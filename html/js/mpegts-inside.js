// What the page takes from inside mpegts.js, which has no public word for it:
// all of it here, so that a new version is looked through in one place. A test
// holds the fields against the build that is served.

/** The way from a player to its SourceBuffers by track: {audio, video}. */
export const path = ['_player_engine', '_mse_controller', '_sourceBuffers'];

const seekTime = '_seek_request_record_clocktime';      // when a place was asked for that is not loaded

/** The first field of that way which a loaded player does not have; null for none. */
export function missingField(player) {
  const { _seeking_handler: seeking } = player._player_engine ?? {};
  if (!seeking || !(seekTime in seeking)) return seekTime;
  let inside = player;
  for (const field of path) {
    if (inside[field] === undefined || inside[field] === null) return field;
    inside = inside[field];
  }
  return ['audio', 'video'].find((track) => !(track in inside)) ?? null;
}

/**
 * {audio: seconds, video: seconds}: where the data of each track ends; the element
 * tells only what both have. A track that was promised and of which nothing came
 * ends before all time. {} when mpegts.js does not tell any more: then no track is
 * ever held for one that starves.
 */
export function trackEnds(player) {
  const buffers = path.reduce((inside, field) => inside?.[field], player) ?? {};
  return Object.fromEntries(Object.entries(buffers).filter(([, buffer]) => buffer)
    .map(([track, { buffered }]) => [track, buffered.length ? buffered.end(buffered.length - 1) : -Infinity]));
}

/** Ends a player, and a seek that is not done yet: its timer would throw at a player that is gone. */
export function endPlayer(player) {
  const { _seeking_handler: seeking } = player._player_engine ?? {};
  if (seeking) seeking[seekTime] = null;
  player.destroy();
}
