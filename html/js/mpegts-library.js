// Loads mpegts.js, a classic script, when a player first needs it: the sign-in and the lists never do.
// Null when it cannot be loaded; the next call tries again.

let loading = null;

export function loadMpegts() {
  loading ??= new Promise((resolve) => {
    const script = document.createElement('script');
    script.src = new URL('../vendor/mpegts.js', import.meta.url).href;
    script.onload = () => resolve(window.mpegts);
    script.onerror = () => {
      loading = null;
      script.remove();
      resolve(null);
    };
    document.head.append(script);
  });
  return loading;
}
