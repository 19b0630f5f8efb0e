// t('key', {values}) returns a text in the viewer's language. The texts are in
// i18n/{en,zh}.js, of which only the viewer's is loaded; a test compares the keys of the two.

import { isolated } from './format.js';
import { recall, remember } from './preferences.js';

const tables = {
  en: () => import('./i18n/en.js').then((module) => module.default),
  zh: () => import('./i18n/zh.js').then((module) => module.default),
};
export const languages = Object.keys(tables);

let current = 'en';
let table = {};

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

/** Loads the texts; rejects when they cannot be loaded, and nothing has changed then. */
export async function useLanguage(name) {
  table = await tables[name]();
  current = name;
}

/** The language that the user chose, else the browser's. */
export async function startLanguage() {
  const saved = recall('language');
  await setLanguage(saved in tables ? saved : pickLanguage(navigator.languages ?? [navigator.language]));
}

async function setLanguage(name) {
  await useLanguage(name);
  document.documentElement.lang = name === 'zh' ? 'zh-CN' : 'en';
}

export async function chooseLanguage(name) {
  await setLanguage(name);
  remember('language', name);
}

export function t(key, values = {}) {
  const text = table[key];
  if (text === undefined) throw new Error(`i18n key "${key}" is missing in ${current}`);
  return text.replace(/\{(\w+)\}/g, (_, name) => filledIn(values[name]));
}

function filledIn(value) {
  return Array.isArray(value) ? value.map(isolated).join(t('listSeparator')) : isolated(String(value));
}
