// Loads hls.js when a player first needs it: viewers by FLV never do. Null when it cannot be loaded.
export function loadHls() {
  return import('../vendor/hls.js').then((module) => module.default, () => null);
}

/** Whether hls.js can play here: there is a Media Source or, on iPhones, a ManagedMediaSource. */
export function mayPlayHls() {
  const source = window.MediaSource ?? window.ManagedMediaSource;
  return Boolean(source?.isTypeSupported('video/mp4; codecs="avc1.42E01E,mp4a.40.2"'));
}
