// Error messages and ages in words for the user.

import { answerWithinMs, mayPass } from './api.js';
import { formatClock } from './format.js';
import { locale, t } from './i18n.js';
import { roundAge } from './picture-age.js';

const known = {
  network: 'error.network',
  timeout: 'error.timeout',
  cancelled: 'error.cancelled',
  givenUp: 'error.givenUp',
  login_required: 'error.session',
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

/** "12 s", "3 min", "2 h". */
export function wordsForAge(ms) {
  const { unit, count } = roundAge(ms);
  return t(`age.${unit}`, { count });
}

/** From when the data is that is still shown; '' if none has come yet (null). */
export function asOf(takenAt) {
  return takenAt === null ? '' : t('error.asOf', { time: formatClock(takenAt, locale()) });
}
