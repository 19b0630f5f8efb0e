// Error messages for the user.

import { answerWithinMs, mayPass } from './api.js';
import { t } from './i18n.js';

const known = {
  network: 'error.network',
  timeout: 'error.timeout',
  kept: 'rec.isKept',
  recording: 'rec.isRecording',
  full: 'phone.full',
};

/** words: set by a caller who knows better than the code. */
export function wordsFor(error) {
  if (error.words) return error.words;
  const key = known[error.code] ?? (mayPass(error) ? 'error.unavailable' : null);
  return key ? t(key, { seconds: answerWithinMs / 1000 }) : t('error.other', { message: error.message });
}
