// The page's logic of history without DOM: wall clock and video time, the timeline's
// view, spans, selection and keys. Needs neither browser nor stack.

process.env.TZ = 'Europe/Berlin'; // days of 23 and 25 hours, and a zone that is not UTC

import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';

const html = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../html');
const load = (name) => import(pathToFileURL(path.join(html, 'js', name)));
const at = (text) => Date.parse(text);
const iso = (ms) => (Number.isFinite(ms) ? new Date(ms).toISOString() : ms);
const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const noon = at('2026-11-23T11:00:00Z'); // 12:00 on the wall

const playlist = `#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:6
#EXT-X-MAP:URI="a.mp4",BYTERANGE="800@0"
#EXT-X-PROGRAM-DATE-TIME:2026-11-23T11:00:00.500Z
#EXTINF:6.000,
#EXT-X-BYTERANGE:100@800
a.mp4
#EXTINF:4.500,
#EXT-X-BYTERANGE:100@900
a.mp4
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2026-11-23T12:00:00.000Z
#EXTINF:6.000,
#EXT-X-BYTERANGE:100@1000
a.mp4
#EXT-X-ENDLIST
`;

test('the wall clock of a playlist with a gap, there and back', async () => {
  const { readPlaylist, secondsAt, utcAt, utcEnd } = await load('time-map.js');
  const segments = readPlaylist(playlist);
  assert.deepEqual(segments.map(({ start, duration }) => [start, duration]), [[0, 6], [6, 4.5], [10.5, 6]]);
  for (const [utc, seconds, why] of [
    ['11:00:00.500', 0, 'the first frame'], ['10:00:00.000', 0, 'before the first frame'],
    ['11:00:03.500', 3, 'inside'],
    ['11:00:06.500', 6, 'where two segments meet'], ['11:00:10.999', 10.499, 'just before the gap'],
    ['11:00:11.000', 10.5, 'the gap begins'], ['11:30:00.000', 10.5, 'in the gap: the next segment'],
    ['12:00:05.000', 15.5, 'behind the gap'], ['12:00:06.000', null, 'behind the end'],
  ]) {
    const found = secondsAt(segments, at(`2026-11-23T${utc}Z`));
    assert.equal(found === null ? null : Math.round(found * 1000) / 1000, seconds, why);
  }
  for (const [seconds, utc] of [
    [0, '11:00:00.500'],
    [7, '11:00:07.500'],
    [10.4999, '11:00:11.000'],
    [10.5, '12:00:00.000'],
    [99, '12:00:06.000'],
    [-1, '11:00:00.500'],
  ]) {
    assert.equal(Math.round(utcAt(segments, seconds)), at(`2026-11-23T${utc}Z`), `${seconds} s`);
  }
  assert.equal(utcEnd(segments), at('2026-11-23T12:00:06Z'));
  assert.ok(Number.isNaN(utcAt([], 1)) && Number.isNaN(utcEnd([])));
  assert.equal(secondsAt([], noon), null);
});

test('each time in a day of segments maps to seconds and back', async () => {
  const { secondsAt, utcAt } = await load('time-map.js');
  const segments = Array.from({ length: 14_400 }, (_, n) => ({
    start: n * 6,
    duration: 6,
    programDateTime: noon + n * 6000,
  }));
  for (let utc = noon; utc < noon + 14_400 * 6000; utc += 4321)
    assert.equal(Math.round(utcAt(segments, secondsAt(segments, utc))), utc);
});

test('days are the viewer\'s own, short and long ones too', async () => {
  const { addDays, dayView, localDays, startOfDay } = await load('timeline.js');
  assert.equal(iso(startOfDay(noon)), '2026-11-22T23:00:00.000Z');
  const spring = startOfDay(at('2026-03-29T12:00:00Z'));
  assert.equal((addDays(spring, 1) - spring) / hour, 23);
  const autumn = startOfDay(at('2026-10-25T12:00:00Z'));
  assert.equal((addDays(autumn, 1) - autumn) / hour, 25);
  assert.deepEqual(Object.values(dayView(autumn + hour)).map(iso), [
    '2026-10-24T22:00:00.000Z',
    '2026-10-25T23:00:00.000Z',
  ]);
  // A UTC day overlaps two local days; one that has not begun is left out.
  assert.deepEqual(localDays(['2026-11-22', '2026-11-23'], noon).map(iso), [
    '2026-11-21T23:00:00.000Z',
    '2026-11-22T23:00:00.000Z',
  ]);
  assert.deepEqual(localDays(['2026-11-23', 'nonsense'], noon + day).map(iso), [
    '2026-11-22T23:00:00.000Z',
    '2026-11-23T23:00:00.000Z',
  ]);
});

test('zoom keeps the time under the pointer in place, and shows little of the future', async () => {
  const { lengthOf, nextZoom, shareOf, viewAround, zoomTo, zooms } = await load('timeline.js');
  assert.equal(nextZoom(24 * hour, 1), 6 * hour);
  assert.equal(nextZoom(24 * hour, -1), 24 * hour);
  assert.equal(nextZoom(zooms.at(-1), 1), zooms.at(-1));
  assert.equal(nextZoom(7 * hour, 1), 6 * hour, 'from a length between two zooms');
  assert.equal(nextZoom(7 * hour, -1), 24 * hour);
  const view = viewAround(noon - 3 * hour, 6 * hour, { now: noon });
  const under = noon - 4 * hour;
  const closer = zoomTo(view, hour, under, noon);
  assert.equal(lengthOf(closer), hour);
  assert.ok(Math.abs(shareOf(closer, under) - shareOf(view, under)) < 0.001);
  const latest = viewAround(noon, hour, { share: 0, now: noon });
  assert.ok(latest.to > noon && latest.to <= noon + 0.1 * hour, 'only a little room to the right of live');
  const whole = zoomTo(view, 24 * hour, under, noon);
  assert.deepEqual([iso(whole.from), lengthOf(whole)], ['2026-11-22T23:00:00.000Z', day]);
  assert.equal(lengthOf(zoomTo(view, 1, under, noon)), zooms.at(-1));
});

test('the view pans by its length, and a view of a day pans by days', async () => {
  const { dayView, lengthOf, pan } = await load('timeline.js');
  const today = dayView(noon);
  assert.equal(pan(today, day, noon).from, today.from, 'no day after today');
  assert.equal(iso(pan(today, -day, noon).from), '2026-11-21T23:00:00.000Z');
  assert.equal(pan(pan(today, -day, noon), day, noon).from, today.from);
  const autumn = dayView(at('2026-10-26T12:00:00Z'));
  assert.equal(lengthOf(pan(autumn, -day, noon)), 25 * hour);
  const view = { from: noon - 3 * hour, to: noon - 2 * hour };
  assert.deepEqual(pan(view, -hour, noon), { from: noon - 4 * hour, to: noon - 3 * hour });
  assert.ok(pan(view, 30 * day, noon).to < noon + hour);
});

test('the view follows the playhead only when it leaves the view', async () => {
  const { follow, shareOf } = await load('timeline.js');
  const view = { from: noon - hour, to: noon };
  const now = noon + day;
  assert.equal(follow(view, noon - minute * 30, now), view);
  const on = follow(view, noon + 1000, now);
  assert.ok(shareOf(on, noon + 1000) > 0 && shareOf(on, noon + 1000) < 1);
  const back = follow(view, noon - 5 * hour, now);
  assert.ok(
    shareOf(back, noon - 5 * hour) > 0 && shareOf(back, noon - 5 * hour) < 0.5,
    'going back, most of the view is ahead',
  );
  const live = follow({ from: noon - hour, to: noon + 3 * minute }, noon + 3 * minute - 1, noon + 3 * minute - 1);
  assert.ok(live.to > noon + 3 * minute, 'live stays in view');
});

test('marks of the scale are at round local times', async () => {
  const { ticks } = await load('timeline.js');
  const label = ({ at: time }) => new Date(time).toTimeString().slice(0, 8);
  const hours = ticks({ from: noon, to: noon + 6 * hour }, 1 / 8);
  assert.deepEqual(hours.map(label), [
    '12:00:00',
    '13:00:00',
    '14:00:00',
    '15:00:00',
    '16:00:00',
    '17:00:00',
    '18:00:00',
  ]);
  const whole = ticks({ from: at('2026-10-24T22:00:00Z'), to: at('2026-10-25T23:00:00Z') }, 1 / 12);
  assert.deepEqual(
    [...new Set(whole.map(label))],
    ['00:00:00', '03:00:00', '06:00:00', '09:00:00', '12:00:00', '15:00:00', '18:00:00', '21:00:00'],
  );
  assert.equal(whole.filter((mark) => mark.day).length, 2, 'both midnights of a day of 25 hours');
  for (const length of [2 * minute, 10 * minute, hour, 6 * hour, day]) {
    const marks = ticks({ from: noon - 7, to: noon + length - 7 }, 1 / 10);
    assert.ok(marks.length >= 3 && marks.length <= 11, `${length}: ${marks.length}`);
  }
});

test('spans loaded range by range are merged', async () => {
  const { playableAt, recordedIn, replaceSpans, spanAt } = await load('timeline.js');
  const span = (from, to) => ({ from: noon + from * 1000, to: noon + to * 1000 });
  let spans = replaceSpans([], span(0, 100), [span(10, 20), span(40, 60)]);
  assert.deepEqual(spans, [span(10, 20), span(40, 60)]);
  spans = replaceSpans(spans, span(50, 90), [span(50, 80)]);
  assert.deepEqual(spans, [span(10, 20), span(40, 80)], 'a span that continues stays one');
  spans = replaceSpans(spans, span(15, 50), []);
  assert.deepEqual(spans, [span(10, 15), span(50, 80)], 'deleted recordings disappear');
  spans = replaceSpans(spans, span(-100, 0), [span(-200, -50)]);
  assert.deepEqual(spans, [span(-100, -50), span(10, 15), span(50, 80)]);
  assert.deepEqual(replaceSpans(spans, span(80, 90), [span(81, 90)]).at(-1), span(50, 90), 'a second is no gap');

  const seconds = (ms) => (ms - noon) / 1000;
  assert.deepEqual(spanAt(spans, noon + 12_000), span(10, 15));
  assert.equal(spanAt(spans, noon + 15_000), null);
  for (const [asked, found] of [
    [12, 12],
    [15, 50],
    [-300, -100],
    [79, 79],
  ])
    assert.equal(seconds(playableAt(spans, noon + asked * 1000)), found);
  assert.equal(playableAt(spans, noon + 80_000), null);
  assert.equal(recordedIn(spans, span(12, 55)), 8000);
});

test('spans with a gap of less than a pixel are drawn as one', async () => {
  const { drawnSpans } = await load('timeline.js');
  const spans = Array.from({ length: 1000 }, (_, n) => ({ from: noon + n * 10_000, to: noon + n * 10_000 + 9000 }));
  const view = { from: noon, to: noon + 10_000_000 };
  assert.equal(drawnSpans(spans, view, 5000).length, 1);
  assert.equal(drawnSpans(spans, view, 500).length, 1000);
  assert.deepEqual(drawnSpans(spans, { from: noon + 5000, to: noon + 12_000 }, 500), [
    { from: noon + 5000, to: noon + 9000 },
    { from: noon + 10_000, to: noon + 12_000 },
  ]);
});

test('a selection is ordered, has a minimum length and stays within limits', async () => {
  const { makeSelection, moveEnd } = await load('timeline.js');
  const limits = { least: noon, most: noon + 100_000 };
  const seconds = ({ from, to }) => [(from - noon) / 1000, (to - noon) / 1000];
  const select = (a, b) => seconds(makeSelection(noon + a * 1000, noon + b * 1000, limits));
  assert.deepEqual(select(50, 20), [20, 50]);
  assert.deepEqual(select(-20, 300), [0, 100]);
  assert.deepEqual(select(50, 50), [50, 51]);
  assert.deepEqual(select(100, 100), [99, 100]);
  const selection = { from: noon + 20_000, to: noon + 50_000 };
  const moved = (end, to) => seconds(moveEnd(selection, end, noon + to * 1000, limits));
  assert.deepEqual(moved('from', 30), [30, 50]);
  assert.deepEqual(moved('from', 70), [70, 71], 'the other end is pushed');
  assert.deepEqual(moved('to', 10), [9, 10]);
  assert.deepEqual(moved('to', 500), [20, 100]);
});

test('keys have their actions', async () => {
  const { keyAction } = await load('timeline.js');
  for (const [event, meaning] of [
    [{ key: 'ArrowLeft' }, { do: 'step', by: -5000 }],
    [
      { key: 'ArrowRight', shiftKey: true },
      { do: 'step', by: minute },
    ],
    [{ key: 'Home' }, { do: 'first' }],
    [{ key: 'End' }, { do: 'last' }],
    [{ key: '+' }, { do: 'zoom', by: 1 }],
    [{ key: '-' }, { do: 'zoom', by: -1 }],
    [{ key: 'l' }, { do: 'live' }],
    [{ key: ' ' }, { do: 'pause' }],
    [{ key: '[' }, { do: 'markStart' }],
    [{ key: ']' }, { do: 'markEnd' }],
    [{ key: ',' }, { do: 'recording', by: -1 }],
    [{ key: '.' }, { do: 'recording', by: 1 }],
    [{ key: 'x' }, null],
    [{ key: 'Tab' }, null],
  ]) {
    assert.deepEqual(keyAction(event), meaning, event.key);
  }
});

test('recordings are grouped by day and session', async () => {
  const { groupRecordings, streamFolder } = await load('recording-groups.js');
  const file = (id, stream, session, from, to, facts = {}) => ({
    id,
    stream,
    title: '',
    session,
    from,
    to,
    bytes: 10,
    state: 'complete',
    ...facts,
  });
  const groups = groupRecordings([
    file(5, 'live/a', '1', noon, null, { state: 'recording' }),
    file(4, 'live/b', '2', noon - hour, noon),
    file(3, 'live/a', '1', noon - hour, noon, { state: 'interrupted' }),
    file(2, 'live/a', '0', noon - 2 * hour, noon - hour - 1, { state: 'interrupted' }),
    file(1, 'live/a', '0', noon - 13 * hour, noon - 12 * hour),
  ]);
  assert.deepEqual(
    groups.map((group) => [iso(group.day), group.sessions.map((session) => session.files.map(({ id }) => id))]),
    [
      ['2026-11-22T23:00:00.000Z', [[5, 3], [4], [2]]],
      ['2026-11-21T23:00:00.000Z', [[1]]],
    ],
  );
  const [{ sessions: [first, , third] }] = groups;
  assert.deepEqual([first.from, first.to, first.bytes, first.state], [noon - hour, null, 20, 'recording']);
  assert.deepEqual([third.to, third.state], [noon - hour - 1, 'interrupted']);
  assert.equal(streamFolder({ url: '/m/T/rec/live/a/2026-11-23/12-00-00.000.mp4' }), '/m/T/rec/live/a/');
});

test('the expiry of a token is read from its address', async () => {
  const { tokenExpiry } = await load('media-url.js');
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  assert.equal(
    tokenExpiry(`https://h/m/${part({ alg: 'HS256' })}.${part({ sub: '>>>???', exp: 1_795_418_065 })}.sig/rec/live/a/`),
    1_795_418_065_000,
  );
  assert.equal(tokenExpiry('https://h/m/opaque/rec/live/a/'), Infinity);
  assert.equal(tokenExpiry(null), Infinity);
});

test('all labels of a scale differ, at any length and width, and when clocks change', async () => {
  const { ticks, viewAround, zooms } = await load('timeline.js');
  const { tickLabels } = await load('format.js');
  const now = at('2026-11-23T11:00:00Z');
  for (const middle of [noon, at('2026-10-25T00:30:00Z'), at('2026-03-29T01:00:00Z')]) {
    for (const length of [...zooms, 3 * minute, 5 * minute, 17 * minute, 3 * hour]) {
      for (const width of [300, 870, 1400]) {
        const marks = ticks(viewAround(middle, length, { now }), 62 / width);
        const labels = tickLabels(marks, 'en-GB');
        assert.equal(new Set(labels).size, labels.length, `${length / minute} min on ${width} px: ${labels.join(' ')}`);
      }
    }
  }
  const back = ticks({ from: at('2026-10-24T23:00:00Z'), to: at('2026-10-25T03:00:00Z') }, 1 / 6);
  assert.deepEqual(tickLabels(back, 'en-GB'), ['01:00', '02:00', '02:00 GMT+1', '03:00', '04:00']);
});

test('a downloaded file is named by the viewer\'s local time', async () => {
  const { downloadName } = await load('recording-groups.js');
  const name = (text) => downloadName({ stream: 'live/cam', from: at(text), format: 'mp4' });
  assert.equal(name('2026-11-23T23:30:05.123Z'), 'cam-2026-11-24-00-30-05.mp4');
  assert.equal(name('2026-07-01T08:00:00Z'), 'cam-2026-07-01-10-00-00.mp4');
});

test('a time is read as people write it, in both languages', async () => {
  const { readWhen } = await load('when.js');
  const written = (text) => {
    const { at: found, wholeDay, hint } = readWhen(text, noon);
    if (hint) return hint;
    const date = new Date(found);
    const two = (number) => String(number).padStart(2, '0');
    const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
    return wholeDay ? day : `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':')}`;
  };
  // Now is Monday, 2026-11-23 12:00.
  for (const [text, meaning] of [
    ['11:05', '2026-11-23 11:05:00'], ['14:05', '2026-11-22 14:05:00'], ['11:05:30', '2026-11-23 11:05:30'],
    ['yesterday 14:05', '2026-11-22 14:05:00'], ['Yesterday at 2:05 pm', '2026-11-22 14:05:00'],
    ['昨天 14:05', '2026-11-22 14:05:00'], ['昨天14：05', '2026-11-22 14:05:00'],
    ['昨天下午2点半', '2026-11-22 14:30:00'],
    ['前天 9点', '2026-11-21 09:00:00'], ['中午12:30', '2026-11-22 12:30:00'],
    ['今天 09:00', '2026-11-23 09:00:00'],
    ['23.11. 11:05', '2026-11-23 11:05:00'], ['22.11.14:05', '2026-11-22 14:05:00'],
    ['22.11.26 14:05', '2026-11-22 14:05:00'], ['24.12. 18:00', '2025-12-24 18:00:00'],
    ['2026-11-22 14:05', '2026-11-22 14:05:00'], ['2026-11-22T14:05:10', '2026-11-22 14:05:10'],
    ['2026年11月22日 14:05', '2026-11-22 14:05:00'], ['11月22日14点05分', '2026-11-22 14:05:00'],
    ['22/11 14:05', '2026-11-22 14:05:00'], ['11/22 14:05', '2026-11-22 14:05:00'],
    ['11/11 9:00', '2026-11-11 09:00:00'],
    ['22 Nov 2026, 14:05', '2026-11-22 14:05:00'], ['nov 22 14:05', '2026-11-22 14:05:00'],
    ['monday 14:05', '2026-11-16 14:05:00'], ['周日 10:00', '2026-11-22 10:00:00'], ['12am', '2026-11-23 00:00:00'],
    ['10 min ago', '2026-11-23 11:50:00'], ['2h ago', '2026-11-23 10:00:00'], ['10分钟前', '2026-11-23 11:50:00'],
    ['2 小时前', '2026-11-23 10:00:00'], ['now', '2026-11-23 12:00:00'],
    ['yesterday', '2026-11-22'], ['22.11.', '2026-11-22'], ['2026-11-22', '2026-11-22'], ['昨天', '2026-11-22'],
  ]) assert.equal(written(text), meaning, text);
});

test('a time with two meanings, or none, gets a hint instead of a guess', async () => {
  const { readWhen } = await load('when.js');
  assert.deepEqual(readWhen('5/11 14:05', noon), { hint: 'when.slashed', text: '5/11', one: '5.11.', other: '11.5.' });
  assert.deepEqual(readWhen('14.05', noon), { hint: 'when.dotted', time: '14:05', day: '14.05.' });
  for (const [text, hint] of [
    ['', 'when.empty'], ['  ', 'when.empty'], ['soon', 'when.unclear'], ['1405', 'when.unclear'],
    ['3 months ago', 'when.unclear'], ['14:05 15:05', 'when.unclear'],
    ['25:00', 'when.noTime'], ['12:61', 'when.noTime'],
    ['13:00 pm', 'when.noTime'], ['31.2. 10:00', 'when.noDay'], ['2026-13-01', 'when.noDay'],
    ['today 14:05', 'when.future'], ['2027-01-01', 'when.future'],
  ]) assert.equal(readWhen(text, noon).hint, hint, text);
  const { default: en } = await load('i18n/en.js');
  assert.ok(en['when.slashed'].includes('{one}') && en['when.dotted'].includes('{time}'), 'they name both meanings');
});

test('at first a pixel of the bar is at most 5 s, on any screen', async () => {
  const { firstLength } = await load('timeline.js');
  for (const [width, length] of [[1050, hour], [760, hour], [366, 30 * minute], [336, 28 * minute], [20, 2 * minute]])
    assert.equal(firstLength(width), length, `${width} px`);
  for (let width = 24; width < 4000; width += 7) assert.ok(firstLength(width) / width <= 5000, `${width} px`);
});

test('the next and the previous recording; a lost minute makes no new one', async () => {
  const { neighbourStart, recordingStarts } = await load('timeline.js');
  const span = (from, to) => ({ from: noon + from * minute, to: noon + to * minute });
  const spans = [span(0, 10), span(10.5, 20), span(60, 70), span(200, 300)];
  const minutes = (time) => (time === null ? null : (time - noon) / minute);
  assert.deepEqual(recordingStarts(spans).map(minutes), [0, 60, 200]);
  for (const [from, next, previous] of [
    [-5, 0, null], [5, 60, 0], [15, 60, 0], [60, 200, 0], [60.05, 200, 0], [61, 200, 60], [500, null, 200],
  ]) {
    assert.equal(minutes(neighbourStart(spans, noon + from * minute, 1)), next, `after ${from}`);
    assert.equal(minutes(neighbourStart(spans, noon + from * minute, -1)), previous, `before ${from}`);
  }
  assert.equal(neighbourStart([], noon, 1), null);
});

test('the recordings of several streams on one bar', async () => {
  const { unitedSpans } = await load('timeline.js');
  const span = (from, to) => ({ from, to });
  const lists = [[span(0, 10), span(50, 60)], [span(5, 20)], [span(20, 30), span(90, 95)]];
  assert.deepEqual(unitedSpans(lists), [span(0, 30), span(50, 60), span(90, 95)]);
  assert.deepEqual(lists[0][0], span(0, 10), 'the lists stay as they are');
  assert.deepEqual(unitedSpans([]), []);
});
