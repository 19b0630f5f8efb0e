// Loads the style sheets that the sign-in does without: see README.md. Unpacked, the page has none such.

let loading = null;

function load(link) {
  return new Promise((resolve, reject) => {
    link.addEventListener('load', resolve, { once: true });
    link.addEventListener('error', () => reject(new Error(`${link.href} could not be loaded`)), { once: true });
    link.disabled = false;
  });
}

/** Resolves when they are there. Rejects when they cannot be loaded; the next call tries again. */
export function laterStyles() {
  loading ??= Promise.all([...document.querySelectorAll('link[disabled]')].map(load)).catch((error) => {
    loading = null;
    for (const link of document.querySelectorAll('link[rel=stylesheet]')) if (!link.sheet) link.disabled = true;
    throw error;
  });
  return loading;
}
