// A text that counts: everybody sees each second of it, and a screen reader hears it when it begins and later ever more
// rarely.

import { h, setText } from '../dom.js';
import { spokenAge } from '../picture-age.js';
import { wordsForAge } from '../wording.js';

// countingText() -> {element, show}; show(words, ms): words(age) makes the text of an age in words; null shows nothing
export function countingText() {
  const seen = h('span', { 'aria-hidden': 'true' });
  const heard = h('span', { class: 'sr-only', role: 'status' });
  return {
    element: h('span', { class: 'counting' }, seen, heard),
    show(words, ms) {
      setText(seen, words ? words(wordsForAge(ms)) : '');
      setText(heard, words ? words(wordsForAge(spokenAge(ms))) : '');
    },
  };
}
