// The rules of HLS that the validator knows, as name: [level, section of RFC 8216bis
// (draft-pantos-hls-rfc8216bis), what must hold].  MUST and SHOULD are the RFC's; OURS follows from its definitions, or
// from modules/http/hls.md.  Each rule has a case in tests/unit/hls-validator.test.mjs that breaks it.  Not judged: how
// soon lists grow (6.2.1), as no server can keep that while its publisher is away.

export const RULES = {
  // --- text ---
  'utf8': ['MUST', '4.1', 'a playlist is UTF-8'],
  'no-bom': ['MUST', '4.1', 'a playlist begins without a byte order mark'],
  'no-control-characters': ['MUST', '4.1', 'a playlist has no control characters but CR and LF'],
  'no-whitespace': ['MUST', '4.1', 'whitespace stands only where an element allows it'],
  'last-line-ends': ['MUST', '4.1', 'each line ends with LF or CRLF'],
  'first-line': ['MUST', '4.4.1.1', '#EXTM3U is the first line'],
  'judged-tag': ['OURS', '4.4', 'the validator can judge each tag'],
  'one-kind': ['MUST', '4.4.6', 'a playlist is either a media or a multivariant playlist'],
  'tag-once': ['MUST', '4.4.2', 'a tag for the whole playlist appears once'],
  'tag-value': ['MUST', '4.4', 'the value of a tag has the tag\'s form'],
  'attribute-syntax': ['MUST', '4.2', 'attributes are NAME=VALUE, separated by single commas'],
  'attribute-once': ['MUST', '4.2', 'an attribute appears once in a list'],
  'attribute-type': ['MUST', '4.2', 'the value of an attribute has the attribute\'s type'],
  'attribute-known': ['OURS', '4.4', 'the validator knows each attribute'],
  'attribute-required': ['MUST', '4.4', 'required attributes are there'],
  'version': ['MUST', '8', 'the version is at least what the tags and attributes need'],
  'version-least': ['SHOULD', '6.2.1', 'the version is not greater than what they need'],

  // --- a media playlist ---
  'target-duration': ['MUST', '4.4.3.1', 'EXT-X-TARGETDURATION is there and at least 1'],
  'segment-duration': ['MUST', '4.4.3.1', 'EXTINF, rounded, is at most the target duration'],
  'sequence-first': ['MUST', '4.4.3.2', 'EXT-X-MEDIA-SEQUENCE stands before the first segment'],
  'discontinuity-sequence-first': ['MUST', '4.4.3.3',
    'EXT-X-DISCONTINUITY-SEQUENCE stands before the first segment and before any EXT-X-DISCONTINUITY'],
  'extinf-needed': ['MUST', '4.4.4.1', 'each segment has an EXTINF'],
  'segment-uri': ['MUST', '4.4.4', 'a URI follows the tags of a segment'],
  'range-follows': ['MUST', '4.4.4.2', 'a range without offset follows a range of the same resource'],
  'map-needed': ['MUST', '3.1.2', 'each fMP4 segment has an EXT-X-MAP'],
  'date-precise': ['SHOULD', '4.4.4.6', 'a date has a time zone and milliseconds'],
  'date-forward': ['MUST', '6.2.1', 'dates of segments overlap by less than a second, and only partially'],
  'date-discontinuity': ['SHOULD', '6.2.1', 'in a list with dates a segment with EXT-X-DISCONTINUITY has one'],
  'part-inf-needed': ['MUST', '4.4.3.7', 'a playlist with parts has EXT-X-PART-INF'],
  'part-hold-back-needed': ['MUST', '4.4.3.8', 'a playlist with EXT-X-PART-INF has PART-HOLD-BACK'],
  'part-hold-back': ['MUST', '4.4.3.8', 'PART-HOLD-BACK is at least two part targets'],
  'part-hold-back-three': ['SHOULD', '4.4.3.8', 'PART-HOLD-BACK is at least three part targets'],
  'hold-back': ['MUST', '4.4.3.8', 'HOLD-BACK is at least three target durations'],
  'skip-boundary': ['MUST', '4.4.3.8', 'CAN-SKIP-UNTIL is at least six target durations'],
  'skip-dateranges': ['MUST', '4.4.3.8', 'CAN-SKIP-DATERANGES comes with CAN-SKIP-UNTIL'],
  'part-long': ['MUST', '4.4.4.9', 'a part is at most the part target long'],
  'part-short': ['MUST', '4.4.4.9', 'a part is at least 85 % of the part target long, with four exceptions'],
  'part-behind-tags': ['MUST', '4.4.4.9',
    'EXT-X-DISCONTINUITY, -MAP and -PROGRAM-DATE-TIME stand before the first part of their segment'],
  'parts-sum': ['MUST', '3.2', 'the parts of a segment last as long as the segment'],
  'parts-whole': ['OURS', '3.2', 'a segment without parts follows no segment with parts'],
  'parts-recent': ['SHOULD', '6.2.2', 'parts older than three target durations are no longer listed'],
  'gap-parts': ['MUST', '6.2.1', 'the parts of a segment with EXT-X-GAP have GAP=YES'],
  'hint-after-end': ['MUST', '4.4.5.3', 'a playlist with EXT-X-ENDLIST has no hint'],
  'hint-once': ['SHOULD', '6.2.6', 'there is one hint of each type'],
  'hint-new': ['OURS', '4.4.5.3', 'a hint names a resource that is not yet listed'],
  'skip-first': ['MUST', '4.4.5.2', 'EXT-X-SKIP replaces the oldest segments'],
  'skip-some': ['MUST', '4.4.5.2', 'EXT-X-SKIP replaces at least one segment'],
  'skip-offered': ['MUST', '6.2.5.1', 'a delta update comes only from a server that offers CAN-SKIP-UNTIL'],
  'skip-old': ['MUST', '6.2.5.1', 'a delta update has all segments within the skip boundary'],
  'report-relative': ['MUST', '4.4.5.4', 'the URI of a rendition report is relative'],

  // --- the profile for low latency ---
  'profile-blocking': ['MUST', 'B.1', 'a low-latency playlist offers CAN-BLOCK-RELOAD'],
  'profile-skip': ['MUST', 'B.1', 'a low-latency playlist offers CAN-SKIP-UNTIL'],
  'profile-hint': ['MUST', 'B.1', 'a live playlist with parts hints its next part'],
  'profile-date': ['MUST', 'B.1', 'a low-latency playlist has EXT-X-PROGRAM-DATE-TIME'],

  // --- a multivariant playlist ---
  'variants': ['MUST', '4.4.6.2', 'there is a variant'],
  'variant-uri': ['MUST', '4.4.6.2', 'a URI follows EXT-X-STREAM-INF'],
  'variant-codecs': ['SHOULD', '4.4.6.2', 'a variant has CODECS'],
  'codec-format': ['MUST', '4.4.6.2', 'CODECS are as RFC 6381 defines them'],
  'variant-picture': ['SHOULD', '4.4.6.2', 'a variant with video has RESOLUTION and FRAME-RATE'],
  'frame-rate-decimals': ['MUST', '4.4.6.2', 'FRAME-RATE is rounded to three decimals'],
  'average-bandwidth': ['OURS', '4.4.6.2', 'AVERAGE-BANDWIDTH is at most BANDWIDTH'],

  // --- a playlist over time ---
  'sequence-back': ['MUST', '6.2.2', 'the media sequence number does not decrease'],
  'segment-changed': ['MUST', '6.2.1', 'a listed segment does not change, and numbers count removed segments'],
  'segment-lost': ['MUST', '6.2.1', 'segments are removed in order, and only from the start'],
  'removed-early': ['MUST', '6.2.2', 'a removal leaves at least three target durations'],
  'discontinuity-number': ['MUST', '6.2.2', 'EXT-X-DISCONTINUITY-SEQUENCE counts removed EXT-X-DISCONTINUITY'],
  'discontinuity-counted': ['MUST', '6.2.2',
    'a playlist that loses EXT-X-DISCONTINUITY tags has EXT-X-DISCONTINUITY-SEQUENCE'],
  'uri-once': ['OURS', '6.2.1', 'a URI names one segment or part for ever'],
  'window-long': ['OURS', '6.2.2', 'a list begins with a segment that starts within its window before the newest one'],
  'window-kept': ['OURS', '6.2.2', 'a segment is listed as long as it starts within the window'],
  'uri-number': ['OURS', '4.4.3.2', 'the number in the name of a segment is its media sequence number'],
  'uri-session': ['OURS', '6.2.1', 'all segments of a list are of one session'],
  'header-changed': ['MUST', '6.2.1', 'what concerns the whole playlist does not change'],
  'event-removed': ['MUST', '6.2.1', 'a playlist of type EVENT loses no segment'],
  'vod-changed': ['MUST', '6.2.1', 'a playlist of type VOD does not change'],
  'part-changed': ['MUST', '6.2.1', 'a listed part does not change'],
  'part-lost': ['OURS', '6.2.2',
    'a part is listed until its segment is two target durations old, or until no part is listed at all'],
  'hint-true': ['MUST', '4.4.5.3', 'the next part has the URI that was hinted'],
  'after-end': ['MUST', '4.4.3.4', 'nothing is added after EXT-X-ENDLIST'],
  'delta-known': ['MUST', '6.2.5.1', 'a delta update skips only what the playlist listed'],
  'delta-given': ['MUST', '6.2.5.1', 'the answer to _HLS_skip is a delta update if there is something to skip'],
  'delta-asked': ['MUST', '6.2.5.1', 'a delta update answers _HLS_skip'],
  'delta-true': ['MUST', '6.2.5.1', 'a delta update gives the same playlist as a full one'],
  'reload-blocked': ['MUST', '6.2.5.2', 'the answer to _HLS_msn and _HLS_part has what they name'],

  // --- media ---
  'init-brand': ['MUST', '3.1.2', 'a media initialization section has a brand compatible with iso6 or later'],
  'init-empty': ['MUST', '3.1.2', 'its durations and sample counts are zero'],
  'init-mvex': ['MUST', '3.1.2', 'mvex follows the last trak'],
  'boxes': ['MUST', '3.1.2', 'segments and parts are fMP4 by ISO/IEC 14496-12, and fit their MAP'],
  'fragment': ['MUST', '3.1.2', 'a segment has a moof'],
  'tfdt': ['MUST', '3.1.2', 'each traf has a tfdt'],
  'moof-relative': ['MUST', '3.1.2', 'addresses are relative to the moof'],
  'time-continues': ['MUST', '3', 'timestamps continue where the segment or part before ends'],
  'tracks-together': ['OURS', '3', 'sound and picture of a part are of the same time'],
  'duration-true': ['MUST', '4.4.4.1', 'EXTINF and DURATION are the media\'s, within a frame'],
  'order-true': ['OURS', '3', 'no two pictures have the same presentation time'],
  'independent-true': ['MUST', '4.4.4.9', 'a part that is INDEPENDENT has a key frame'],
  'independent-marked': ['SHOULD', '4.4.4.9', 'a part with a key frame is INDEPENDENT'],
  'independent-segments': ['MUST', '4.4.2.1',
    'with EXT-X-INDEPENDENT-SEGMENTS each segment begins with a key frame'],
  'segment-is-parts': ['MUST', '3.2', 'a segment is its parts, one after another'],
  'bytes-once': ['OURS', '6.2.1', 'a URI has the same bytes for ever, under one ETag'],
  'media-once': ['OURS', '6.2.1', 'all bytes of a URI are the same frames at the same times'],
  'discontinuity-needed': ['MUST', '6.2.1', 'EXT-X-DISCONTINUITY comes where tracks or their format change'],
  'codecs-true': ['MUST', '6.2.4', 'CODECS names the formats of the media'],
  'resolution-true': ['OURS', '4.4.6.2', 'RESOLUTION is the size of the pictures'],
  'frame-rate-true': ['OURS', '4.4.6.2', 'FRAME-RATE is the rate of the pictures'],
  'bandwidth-true': ['SHOULD', '4.4.6.2', 'BANDWIDTH is near the peak bit rate of the segments'],
};

const SHOWN = 50;

/** Collects problems, each once: {rule, level, section, must, what, where, times}. */
export class Report {
  problems = [];

  /** `what` is a sentence with the value; `where` a line's number, or the name of a playlist or resource. */
  add(rule, what, where = '') {
    if (!RULES[rule]) throw new Error(`there is no rule "${rule}"`);
    const line = /^line /.test(where);                // the lines of a list move
    const known = this.problems.find((one) => one.rule === rule && one.what === what && (line || one.where === where));
    const [level, section, must] = RULES[rule];
    if (known) known.times++;
    else this.problems.push({ rule, level, section, must, what, where, times: 1 });
  }

  /** Adds a problem unless `holds`. */
  need(holds, rule, what, where) {
    if (!holds) this.add(rule, typeof what === 'function' ? what() : what, where);
    return Boolean(holds);
  }

  /** All of them, or the first ones. */
  get text() {
    return this.problems.slice(0, SHOWN)
      .map(({ rule, level, section, must, what, where, times }) =>
        [times > 1 ? `${times} times ` : '', where ? `${where}: ` : '', what,
          ` [${rule}: ${level}, ${section}: ${must}]`].join(''))
      .join('\n');
  }
}
