// All access to internals of mpegts.js, which have no public interface: one place to
// check for a new version. A test compares the fields with the served build.

/** The path of fields from a player to its SourceBuffers by track: {audio, video}. */
export const path = ['_player_engine', '_mse_controller', '_sourceBuffers'];

const seekTime = '_seek_request_record_clocktime';      // when a seek to unloaded data was requested

/** The first of these fields that a loaded player lacks; null for none. */
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
 * shows only the part that both have. An announced track without data ends at
 * -Infinity. {} when a new mpegts.js lacks the fields: then no track counts as
 * starving.
 */
export function trackEnds(player) {
  const buffers = path.reduce((inside, field) => inside?.[field], player) ?? {};
  return Object.fromEntries(Object.entries(buffers).filter(([, buffer]) => buffer)
    .map(([track, { buffered }]) => [track, buffered.length ? buffered.end(buffered.length - 1) : -Infinity]));
}

/**
 * Destroys a player and its pending seek, whose timer would throw without the player. Its WebSocket throws in its
 * worker if it fails afterwards, as when the server is down: nothing is left that could use the reason.
 */
export function endPlayer(player) {
  const { _seeking_handler: seeking, _transmuxer: transmuxer } = player._player_engine ?? {};
  if (seeking) seeking[seekTime] = null;
  transmuxer?._worker?.addEventListener('error', (event) => event.preventDefault());
  player.destroy();
}
