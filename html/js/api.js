// Calls to /api/*. Every failure is an ApiError with a code that the page can put
// into words: 'network' without a connection, 'timeout' when the page cannot know
// whether the service made a change, 'cancelled' or 'givenUp' when the user stopped
// waiting (for a change: 'givenUp'), otherwise the service's own code.

export class ApiError extends Error {
  constructor(status, code, message, retryAfter = null) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

export const answerWithinMs = 15_000;

/** 'over': the service has ended the user's session. 'back': the same user has signed in again. */
export const session = new EventTarget();

const temporaryCodes = ['network', 'timeout', 'unavailable', 'database_unavailable', 'nginx_unavailable'];

/** Whether the same call may succeed a little later. */
export function mayPass({ code, status }) {
  return temporaryCodes.includes(code) || status === 429;
}

let giveUp = null;     // the AbortController of the call that cancellable() begins

/** Runs send(signal), which makes a call at once: {answer: its promise, cancel}; cancel() gives the call up. */
export function cancellable(send) {
  const controller = new AbortController();
  giveUp = controller;
  try {
    return { answer: send(controller.signal), cancel: () => controller.abort() };
  } finally {
    giveUp = null;
  }
}

// Older browsers have no AbortSignal.any().
function either(...signals) {
  const any = new AbortController();
  for (const signal of signals) signal.addEventListener('abort', () => any.abort(signal.reason), { once: true });
  return any.signal;
}

// isQuestion: although it is a POST, it changes nothing that the user would have to look after.
async function call(method, path, body, { isQuestion = method === 'GET' } = {}) {
  const givenUp = (giveUp ?? new AbortController()).signal;
  const late = AbortSignal.timeout(answerWithinMs);
  let response;
  let answer;
  try {
    response = await fetch(path, {
      method,
      // The service refuses changes without this header, which another site's
      // form cannot send.
      headers: { 'X-Duolu': '1', ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: 'no-store',
      signal: either(givenUp, late),
    });
    answer = await readJson(response);
  } catch (error) {
    throw new ApiError(0, codeOf({ givenUp, late }, isQuestion), String(error.message ?? error));
  }
  if (response.ok && answer) return answer;
  if (answer?.error === 'login_required') session.dispatchEvent(new Event('over'));
  const retryAfter = Number.parseInt(response.headers.get('Retry-After'), 10);
  throw new ApiError(
    response.status,
    answer?.error ?? (response.ok || response.status >= 500 ? 'unavailable' : 'unknown'),
    answer?.message ?? `HTTP ${response.status}`,
    Number.isFinite(retryAfter) ? retryAfter : null,
  );
}

function codeOf({ givenUp, late }, isQuestion) {
  if (givenUp.aborted) return isQuestion ? 'cancelled' : 'givenUp';
  if (late.aborted) return isQuestion ? 'unavailable' : 'timeout';
  return 'network';
}

// Null when the answer is no JSON, such as a proxy's error page.
async function readJson(response) {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const segment = encodeURIComponent;
const ask = (path, body) => call('POST', path, body, { isQuestion: true });

export const api = {
  login: (name, password, code) => ask('/api/login', { name, password, ...(code ? { code } : {}) }),
  logout: () => call('POST', '/api/logout', {}),
  me: () => call('GET', '/api/me'),
  setOwnName: (name) => call('POST', '/api/me', { display_name: name }),
  changePassword: (old, password) => call('POST', '/api/me/password', { old, new: password }),
  beginSecondStep: (password) => call('POST', '/api/me/totp', { password }),
  confirmSecondStep: (code) => call('POST', '/api/me/totp/confirm', { code }),
  endSecondStep: (password, code) => call('POST', '/api/me/totp/off', { password, code }),
  logoutEverywhere: () => call('POST', '/api/me/logout-everywhere', {}),
  streams: async () => (await call('GET', '/api/streams')).streams.map(withId),
  addStream: (stream) => call('POST', '/api/streams', stream),
  rotateKey: (app, name) => call('POST', `/api/streams/${segment(app)}/${segment(name)}/key`, {}),
  revokeStream: (app, name) => call('POST', `/api/streams/${segment(app)}/${segment(name)}/revoke`, {}),
  editStream: (app, name, changes) => call('POST', `/api/streams/${segment(app)}/${segment(name)}`, changes),
  phones: (query = {}) => call('GET', `/api/phones?${new URLSearchParams(query)}`),
  phone: (id) => call('GET', `/api/phones/${segment(id)}`),
  addPhone: (phone) => call('POST', '/api/phones', phone),
  renewPhone: (id) => call('POST', `/api/phones/${segment(id)}/renew`, {}),
  revokePhone: (id) => call('DELETE', `/api/phones/${segment(id)}`, {}),
  setRecording: (app, name, on) => call('POST', `/api/streams/${segment(app)}/${segment(name)}/record`, { on }),
  links: async (app, name) => (await call('GET', `/api/streams/${segment(app)}/${segment(name)}/links`)).links,
  addLink: (app, name, link) => call('POST', `/api/streams/${segment(app)}/${segment(name)}/links`, link),
  revokeLink: (id) => call('DELETE', `/api/links/${segment(id)}`, {}),
  // of a link, or with `open` of a stream that is open to everybody
  openLink: ({ open, ...link }) =>
    open
      ? call('GET', `/api/open/${open.split('/').map(segment).join('/')}`)
      : ask('/api/links/open', link),
  recordings: (query) => call('GET', `/api/recordings?${new URLSearchParams(query)}`),
  keepRecording: (id, keep) => call('POST', `/api/recordings/${segment(id)}`, { keep }),
  removeRecording: (id) => call('DELETE', `/api/recordings/${segment(id)}`, {}),
  openInvite: (invite) => ask('/api/invites/open', { invite }),
  useInvite: (invite, password) => call('POST', '/api/invites/use', { invite, password }),
  person: (name) => call('GET', `/api/users/${segment(name)}`),
  removeUser: (name, recordings) => call('DELETE', `/api/users/${segment(name)}?recordings=${recordings}`, {}),
  streamStorage: (app, name) => call('GET', `/api/streams/${segment(app)}/${segment(name)}/storage`),
  removeStream: (app, name, recordings) =>
    call('DELETE', `/api/streams/${segment(app)}/${segment(name)}?recordings=${recordings}`, {}),
  groups: async () => (await call('GET', '/api/groups')).groups,
  addGroup: (name) => call('POST', '/api/groups', { name }),
  removeGroup: (name) => call('DELETE', `/api/groups/${segment(name)}`, {}),
  joinGroup: (group, user) => call('POST', `/api/groups/${segment(group)}/members/${segment(user)}`, {}),
  leaveGroup: (group, user) => call('DELETE', `/api/groups/${segment(group)}/members/${segment(user)}`, {}),
  endSecondStepOf: (name) => call('POST', `/api/users/${segment(name)}/totp-off`, {}),
  inviteUser: (name) => call('POST', `/api/users/${segment(name)}/invite`, {}),
  layouts: async () => (await call('GET', '/api/layouts')).layouts,
  saveLayout: (name, layout) => call('PUT', `/api/layouts/${segment(name)}`, { layout }),
  removeLayout: (name) => call('DELETE', `/api/layouts/${segment(name)}`, {}),
  users: async () => (await call('GET', '/api/users')).users,
  addUser: (user) => call('POST', '/api/users', user),
  disableUser: (name) => call('POST', `/api/users/${segment(name)}/disable`, {}),
  revokeUser: (name) => call('POST', `/api/users/${segment(name)}/revoke`, {}),
  enableUser: (name) => call('POST', `/api/users/${segment(name)}/enable`, {}),
  editUser: (name, changes) => call('POST', `/api/users/${segment(name)}`, changes),
  grants: async () => (await call('GET', '/api/grants')).grants,
  streamGrants: async (app, name) =>
    (await call('GET', `/api/grants?${new URLSearchParams({ app, name })}`)).grants,
  addGrant: (grant) => call('POST', '/api/grants', grant),
  removeGrant: (grant) => call('DELETE', '/api/grants', grant),
  sessions: async () => (await call('GET', '/api/sessions')).sessions,
  settings: () => call('GET', '/api/settings'),
  setSettings: (settings) => call('POST', '/api/settings', settings),
  storage: () => call('GET', '/api/storage'),
  storagePlan: (settings) => ask('/api/storage/plan', settings),
  storageDelete: (what) => call('POST', '/api/storage/delete', what),
  kick: (id) => call('POST', `/api/sessions/${segment(id)}/kick`, {}),
  audit: (query) => call('GET', `/api/audit?${new URLSearchParams(query)}`),
  webhooks: () => call('GET', '/api/webhooks'),
  addWebhook: (webhook) => call('POST', '/api/webhooks', webhook),
  editWebhook: (id, changes) => call('POST', `/api/webhooks/${id}`, changes),
  removeWebhook: (id) => call('DELETE', `/api/webhooks/${id}`, {}),
  renewWebhookSecret: (id) => call('POST', `/api/webhooks/${id}/secret`, {}),
  testWebhook: (id) => call('POST', `/api/webhooks/${id}/test`, {}),
  deadLetters: (id) => call('GET', `/api/webhooks/${id}/dead?limit=200`),
  retryDeadLetters: (id, letter) => call('POST', `/api/webhooks/${id}/dead`, letter ? { id: letter } : {}),
  forgetDeadLetters: (id, letter) => call('DELETE', `/api/webhooks/${id}/dead`, letter ? { id: letter } : {}),
};

// The page identifies a stream by APP/NAME, as in its URL; events use its number.
function withId(stream) {
  return { ...stream, number: stream.id, id: `${stream.app}/${stream.name}` };
}
