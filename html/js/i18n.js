// t('key', {values}) returns a text in the viewer's language. The texts are in
// i18n/{en,zh}.js; a test compares the keys of the two.

import { isolated } from './format.js';
import en from './i18n/en.js';
import zh from './i18n/zh.js';
import { recall, remember } from './preferences.js';

const tables = { en, zh };
export const languages = Object.keys(tables);

let current = 'en';

export function language() {
  return current;
}

/** For dates and times: a 24-hour clock in both. */
export function locale() {
  return current === 'zh' ? 'zh-CN' : 'en-GB';
}

export function otherLanguage() {
  return current === 'zh' ? 'en' : 'zh';
}

export function pickLanguage(preferred) {
  for (const tag of preferred) {
    const primary = tag.toLowerCase().split('-')[0];
    if (primary in tables) return primary;
  }
  return 'en';
}

export function startLanguage() {
  const saved = recall('language');
  current = saved in tables ? saved : pickLanguage(navigator.languages ?? [navigator.language]);
  document.documentElement.lang = current === 'zh' ? 'zh-CN' : 'en';
}

export function setLanguage(name) {
  remember('language', name);
  startLanguage();
}

export function t(key, values = {}) {
  const text = tables[current][key];
  if (text === undefined) throw new Error(`i18n key "${key}" is missing in ${current}`);
  return text.replace(/\{(\w+)\}/g, (_, name) => filledIn(values[name]));
}

function filledIn(value) {
  return Array.isArray(value) ? value.map(isolated).join(t('listSeparator')) : isolated(String(value));
}
