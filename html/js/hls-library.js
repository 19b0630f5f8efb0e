// Loads hls.js when a player first needs it: viewers by FLV never do. Null when it cannot be loaded.
export function loadHls() {
  return import('../vendor/hls.js').then((module) => module.default, () => null);
}
