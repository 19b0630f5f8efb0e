/**
 * Whether the page's players, mpegts.js and hls.js, can play here: there is a MediaSource or, on iPhones, a
 * ManagedMediaSource.
 */
export function mayPlayHere() {
  const source = window.MediaSource ?? window.ManagedMediaSource;
  return Boolean(source?.isTypeSupported('video/mp4; codecs="avc1.42E01E,mp4a.40.2"'));
}
