// Uses localStorage, which may be missing, full or forbidden: then the page only
// forgets its settings between visits.

const prefix = 'duolu.';

export function recall(name, fallback = null) {
  try {
    const text = localStorage.getItem(prefix + name);
    return text === null ? fallback : JSON.parse(text);
  } catch {
    return fallback;
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(prefix + name, JSON.stringify(value));
  } catch {
    // Private mode or quota: the URL hash still carries the state.
  }
}
