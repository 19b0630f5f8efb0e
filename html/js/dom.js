// The only DOM helpers: build an element, build an icon, empty a node.
// Text always goes in as text nodes, so no stream title can become markup.

const SVG = 'http://www.w3.org/2000/svg';

export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'class') element.className = value;
    else if (name === 'data') Object.assign(element.dataset, value);
    else if (name in element && typeof value !== 'string') element[name] = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// 24x24 outlines, drawn with the current colour.
const paths = {
  streams: 'M4 6h16M4 12h16M4 18h10',
  wall: 'M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z',
  admin:
    'M12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM19 12l2-1.5-2-3.5-2.4 1a7 7 0 0 0-1.8-1L14.5 4.5h-5L9.2 7a7 7 0 0 0-1.8 ' +
      '1L5 7 3 10.5 5 12l-2 1.5L5 17l2.4-1a7 7 0 0 0 1.8 1l.3 2.5h5l.3-2.5a7 7 0 0 0 1.8-1l2.4 1 2-3.5z',
  logout: 'M10 4H5v16h5M15 8l4 4-4 4M19 12H9',
  language: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM3 12h18M12 3c3 3 3 15 0 18M12 3c-3 3-3 15 0 18',
  soundOn: 'M4 9v6h4l5 4V5L8 9zM16.5 8.5a5 5 0 0 1 0 7M19 6a8.5 8.5 0 0 1 0 12',
  soundOff: 'M4 9v6h4l5 4V5L8 9zM17 9.5l5 5M22 9.5l-5 5',
  fullscreen: 'M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5',
  fullscreenEnd: 'M9 4v5H4M20 9h-5V4M15 20v-5h5M4 15h5v5',
  pictureInPicture: 'M20 11V5H3v14h7M13 13h8v6h-8z',
  keyboard: 'M3 6h18v12H3zM7 10h.01M11 10h.01M15 10h.01M17 10h.01M8 14h8',
  enlarge: 'M13 4h7v7M20 4l-8 8M18 14v5a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V7a1 1 0 0 1 1-1h5',
  expand: 'M14 4h6v6M20 4l-7 7M10 20H4v-6M4 20l7-7',
  shrink: 'M20 10h-6V4M14 10l7-7M4 14h6v6M10 14l-7 7',
  swap: 'M7 4L3 8l4 4M3 8h14M17 12l4 4-4 4M21 16H7',
  layouts: 'M4 4h16v7H4zM4 14h6v6H4zM13 14h7v6h-7z',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  check: 'M5 12.5l4.5 4.5L19 7',
  play: 'M7 5l12 7-12 7z',
  back: 'M15 5l-7 7 7 7',
  plus: 'M12 5v14M5 12h14',
  key: 'M14.5 9.5a4.5 4.5 0 1 1-3-4.2M11 13l-7 7M6 18l2 2M15 9h.01M13.7 11.3L20 5',
  warning: 'M12 4l9 16H3zM12 10v4M12 17v.01',
  close: 'M6 6l12 12M18 6L6 18',
  next: 'M9 5l7 7-7 7',
  minus: 'M5 12h14',
  previousRecording: 'M6 5v14M19 5l-9 7 9 7z',
  nextRecording: 'M18 5v14M5 5l9 7-9 7z',
  pause: 'M8 5v14M16 5v14',
  rewind: 'M11 6l-6 6 6 6M19 6l-6 6 6 6',
  forward: 'M13 6l6 6-6 6M5 6l6 6-6 6',
  record: 'M12 18a6 6 0 1 0 0-12 6 6 0 0 0 0 12z',
  stop: 'M7 7h10v10H7z',
  clip: 'M4 5v14M20 5v14M4 12h16M8 9l-4 3 4 3M16 9l4 3-4 3',
  link:
    'M10 14a4 4 0 0 0 5.7 0l3.6-3.6a4 4 0 0 0-5.7-5.7L12 6.3M14 10a4 4 0 0 0-5.7 0l-3.6 3.6a4 4 0 0 0 5.7 5.7L12 17.7',
  share: 'M12 15V4M8 8l4-4 4 4M6 12H5v8h14v-8h-1',
  download: 'M12 4v11M7 11l5 5 5-5M5 20h14',
  recordings: 'M3 12a9 9 0 1 0 3-6.7M3 4v5h5M12 7v5l3.5 2',
  keep: 'M7 4h10v16l-5-4-5 4z',
  remove: 'M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13',
  person: 'M12 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM5 20c.6-3.9 3.4-6 7-6s6.4 2.1 7 6',
  viewers: 'M2 12s4-7 10-7 10 7 10 7-4 7-10 7S2 12 2 12zM12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6z',
  camera: 'M3 7h12v10H3zM15 11l6-3v8l-6-3z',
  search: 'M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM16 16l4.5 4.5',
};

export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', paths[name]);
  svg.append(path);
  return svg;
}

export function brandMark() {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 20 20');
  svg.setAttribute('class', 'brand-mark');
  svg.setAttribute('aria-hidden', 'true');
  for (const [x, y] of [[0, 0], [0, 11], [11, 11], [11, 0]]) {
    const rect = document.createElementNS(SVG, 'rect');
    for (const [name, value] of Object.entries({ x, y, width: 9, height: 9, rx: 2 })) rect.setAttribute(name, value);
    if (x === 11 && y === 0) rect.setAttribute('class', 'brand-lit');
    svg.append(rect);
  }
  return svg;
}

/** A click handler for toggles: ignores the second click of a double click, which would undo the first. */
export function once(handler) {
  return (event) => event.detail < 2 && handler(event);
}

// Sets text only when it changed: views update every second, which must not disturb
// a screen reader or a text selection.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function emit(element, type, detail) {
  element.dispatchEvent(new CustomEvent(type, { detail, bubbles: true }));
}

/** Whether a key belongs to the control that has the focus, or to the browser: the page's shortcuts leave it alone. */
export function isTaken({ target, key, ctrlKey, metaKey, altKey }) {
  if (ctrlKey || metaKey || altKey) return true;
  if (target.closest('input[type=range]')) return /^(Arrow|Home|End|Page)/.test(key);
  return target.closest('input, select, textarea, dialog') !== null;
}
