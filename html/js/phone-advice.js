// What to say about a phone: one sentence on what to mend while it is live, or why it is not live. Pure: no DOM.
// Both return {text, values}, the key of a text and its values, or null.

const longestKeyFrameMs = 4000;
const fewestFps = 14;
const mostKbps = 12_000;
const minuteMs = 60_000;

/** live: the figures of GET /api/phones while the phone publishes; the worst fault for viewers comes first. */
export function adviceFor(live) {
  if (!live) return null;
  const { gaps, since_ms: since, gop_ms: gop, fps, kbps, video, height } = live;
  const minutes = Math.max(1, Math.round(since / minuteMs));
  if (gaps >= 3 && gaps / minutes >= 0.2) return { text: 'mend.drops', values: { count: gaps, minutes } };
  if (video === 'none') return { text: 'mend.noVideo', values: {} };
  if (live.gop_outgrown) return { text: 'mend.keyFrames', values: {} };
  if (gop > longestKeyFrameMs) return { text: 'mend.keyFrame', values: { seconds: Math.round(gop / 1000) } };
  if (fps > 0 && fps < fewestFps) return { text: 'mend.fps', values: { fps: Math.round(fps) } };
  if (video === 'hevc') return { text: 'mend.hevc', values: {} };
  if (kbps > mostKbps) return { text: 'mend.fast', values: { mbps: Math.round(kbps / 1000) } };
  if (kbps > 0 && kbps < fewestKbps(height)) return { text: 'mend.slow', values: { kbps } };
  return null;
}

// Below this, a moving picture of the height falls to blocks.
function fewestKbps(height) {
  if (height >= 1000) return 900;
  return height >= 700 ? 500 : 0;
}

// The gate's reasons, and how a session that the gate let in ended in nginx.
const refusals = {
  'key revoked': 'why.oldKey',
  'wrong key': 'why.wrongKey',
  'no key': 'why.wrongKey',
  'unknown stream': 'why.name',
  'unknown app': 'why.name',
  'bad stream name': 'why.name',
  'user disabled': 'why.disabled',
  'no right to publish': 'why.noRight',
  'key\'s maker may not manage': 'why.noRight',
  'database unavailable': 'why.server',
};

const ends = [
  [/already live with another key/, 'why.busy'],
  [/^no media for [^:]*$/, 'why.silent'],
  [/not carried|sequence header|can be carried/, 'why.codec'],
  [/limit of .* kbps|bitrate limit/, 'why.bitrate'],
  [/as many streams as/, 'why.tooMany'],
  [/no room|workers|respond|hub_zone/, 'why.server'],
  [/^closed by the client$|client left|^connection/, 'why.left'],
];

/** phone: of GET /api/phones/ID. The newer one of the last refusal and the last end. */
export function whyNot({ live, refused, seen, ended, created }) {
  if (live) return null;
  const endedAt = ended && seen >= created ? seen : 0;
  if (refused && refused.at >= endedAt) {
    return { text: refusals[refused.reason] ?? 'why.other', values: { reason: refused.reason } };
  }
  if (!endedAt) return null;
  const known = ends.find(([pattern]) => pattern.test(ended));
  return { text: known ? known[1] : 'why.other', values: { reason: ended } };
}

/** The program's name in what it says of itself to RTMP: '' when that names only the protocol's old player. */
export function programName(agent) {
  const inside = /^FMLE\/[\d.]+ \(compatible; ([^)]*)\)$/.exec(agent)?.[1] ?? agent;
  return /^(FMSc\/|LNX |WIN |MAC |FMLE\/)/.test(inside) ? '' : inside;
}
