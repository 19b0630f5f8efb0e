#include "hls_playlist.h"

#include "../rules/rec_path.h"

#define VERSION_MAP    "6"       /* EXT-X-MAP needs it (RFC 8216bis, section 8) */
#define VERSION_SKIP   "9"       /* EXT-X-SKIP needs it */
#define SKIP_TARGETS   6         /* the least CAN-SKIP-UNTIL (4.4.3.8) */
#define HOLD_TARGETS   3         /* the least HOLD-BACK (4.4.3.8) */
#define PART_TARGETS   3         /* older parts are not listed (6.2.2) */
#define HOLD_PARTS(ms) ((ms) * 31 / 10)      /* a little more than the least, 3 */
#define AHEAD          2         /* segments that a request may name (6.2.5.2) */
#define PART_HEAD      256       /* bytes that a part has besides its samples */
#define KBPS_UNKNOWN   1000


/* --- the list --- */

static uint64_t
parts_ms(const hls_segment_t *s)
{
    uint32_t  i;
    uint64_t  ms = 0;

    for (i = 0; i < s->nparts; i++) {
        ms += s->parts[i].ms;
    }

    return ms;
}


uint64_t
hls_playlist_complete(const hls_stream_t *st)
{
    return st->end > st->first && hls_segment(st, st->end - 1)->ms == 0
           ? st->end - 1 : st->end;
}


/* The end of a segment, or of the growing one's parts, in HLS's time. */
static int64_t
end_ms(const hls_stream_t *st, uint64_t number)
{
    const hls_segment_t  *s = hls_segment(st, number);

    return s->record.start + (int64_t) (s->ms ? s->ms : parts_ms(s));
}


/* The first segment that a delta update does not skip (6.2.5.1): it ends no further from
 * the end of the last complete segment than CAN-SKIP-UNTIL. */
static uint64_t
list_skip_end(const hls_list_t *list)
{
    int64_t              border, start;
    uint64_t             end, n = list->st->first;
    const hls_stream_t  *st = list->st;

    end = hls_playlist_complete(st);

    if (st->ended || n >= end) {
        return list->from;
    }

    border = end_ms(st, end - 1) - SKIP_TARGETS * 1000 * (int64_t) st->target_s;
    start = hls_segment(st, n)->record.start;

    while (n > list->from && start >= border) {
        n--;                                 /* it ends at START */
        start -= hls_list_ms(list, n);
    }

    while (n >= st->first && n < end && end_ms(st, n) < border) {
        n++;
    }

    return n;
}


/* The part that is complete next: part *PART of the segment returned. */
static uint64_t
list_next(const hls_stream_t *st, uint64_t *part)
{
    uint64_t  number = hls_playlist_complete(st);

    *part = number < st->end ? hls_segment(st, number)->nparts : 0;

    return number;
}


/* The first segment whose parts are listed, if it is not too old.  Where a segment has
 * none, those before it have none either: players count them. */
static uint64_t
list_parted(const hls_stream_t *st)
{
    uint64_t  n = st->end;

    if (st->parts != HUB_PARTS_LISTED) {
        return n;
    }

    while (n > st->first && !hls_segment(st, n - 1)->record.whole) {
        n--;
    }

    return n;
}


/* Is the next part listed? */
static int
list_grows_by_parts(const hls_stream_t *st)
{
    return st->parts == HUB_PARTS_LISTED && st->end > st->first
           && !hls_segment(st, st->end - 1)->record.whole;
}


/* --- the media playlist --- */

enum hls_form
hls_playlist_form(const hls_list_t *list, const hls_query_t *q)
{
    return q->skip && list_skip_end(list) > list->from ? HLS_DELTA : HLS_FULL;
}


static void
add_name(text_t *t, const hls_stream_t *st, enum hls_file file,
    uint64_t number, uint64_t part)
{
    char    name[HLS_NAME_MAX];
    size_t  len;

    len = hls_name_write(name, file, st->session, number, part);
    text_append(t, (u_char *) name, len);
}


static void
add_tag(text_t *t, const char *tag, uint64_t value)
{
    text_word(t, tag);
    text_number(t, value);
    text_word(t, "\n");
}


/* Tags that apply to the whole list must not change, up to the last one (6.2.1).  So
 * there is no EXT-X-INDEPENDENT-SEGMENTS: a long GOP may still come.  A list without parts
 * does not tell players to hold back by parts. */
static void
add_control(text_t *t, const hls_stream_t *st)
{
    uint64_t  target = 1000 * (uint64_t) st->target_s;

    text_word(t, "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=");
    text_seconds(t, SKIP_TARGETS * target);
    text_word(t, ",HOLD-BACK=");
    text_seconds(t, HOLD_TARGETS * target);

    if (st->parts == HUB_PARTS_LISTED) {
        text_word(t, ",PART-HOLD-BACK=");
        text_seconds(t, HOLD_PARTS((uint64_t) st->part_ms));
        text_word(t, "\n#EXT-X-PART-INF:PART-TARGET=");
        text_seconds(t, st->part_ms);
    }

    text_word(t, "\n");
}


/* The tags of a segment before its parts. */
typedef struct {
    int64_t   utc;
    uint32_t  headers, breaks;
    unsigned  anew:1;
} start_t;


static start_t
list_start(const hls_list_t *list, uint64_t n)
{
    const hls_row_t      *row;
    const hub_segment_t  *r;

    if (n < list->hub) {
        row = hls_past_row(list->past, n);
        return (start_t) { row->utc, row->headers, row->breaks, row->anew };
    }

    r = &hls_segment(list->st, n)->record;

    return (start_t) { r->utc, r->init, r->breaks, r->anew & 1 };
}


static void
add_head(text_t *t, const hls_list_t *list, enum hls_form form)
{
    text_word(t, "#EXTM3U\n#EXT-X-VERSION:");
    text_word(t, form == HLS_DELTA ? VERSION_SKIP "\n" : VERSION_MAP "\n");
    add_tag(t, "#EXT-X-TARGETDURATION:", list->st->target_s);
    add_control(t, list->st);
    add_tag(t, "#EXT-X-MEDIA-SEQUENCE:", list->from);

    if (list->from < list->st->end) {
        add_tag(t, "#EXT-X-DISCONTINUITY-SEQUENCE:",
                list_start(list, list->from).breaks);
    }
}


/* The tags that segment N has before its first part. */
static void
add_start(text_t *t, const hls_list_t *list, uint64_t n)
{
    char     utc[UTC_TEXT_MAX];
    start_t  s = list_start(list, n);

    if (s.anew) {
        text_word(t, "#EXT-X-DISCONTINUITY\n");
    }

    if (n == list->from || s.headers != list_start(list, n - 1).headers) {
        text_word(t, "#EXT-X-MAP:URI=\"");
        add_name(t, list->st, HLS_INIT, s.headers, 0);
        text_word(t, "\"\n");
    }

    if (utc_write(utc, s.utc)) {
        text_word(t, "#EXT-X-PROGRAM-DATE-TIME:");
        text_word(t, utc);
        text_word(t, "\n");
    }
}


static void
add_parts(text_t *t, const hls_stream_t *st, uint64_t n)
{
    uint32_t              i;
    const hls_segment_t  *s = hls_segment(st, n);

    for (i = 0; i < s->nparts; i++) {
        text_word(t, "#EXT-X-PART:DURATION=");
        text_seconds(t, s->parts[i].ms);
        text_word(t, ",URI=\"");
        add_name(t, st, HLS_PART, n, i);
        text_word(t, s->parts[i].key ? "\",INDEPENDENT=YES\n" : "\"\n");
    }
}


static void
add_media(text_t *t, const hls_stream_t *st, uint64_t n, uint32_t ms)
{
    text_word(t, "#EXTINF:");
    text_seconds(t, ms);
    text_word(t, ",\n");
    add_name(t, st, HLS_SEGMENT, n, 0);
    text_word(t, "\n");
}


/* A segment has all of its parts in the list or none: players count them.  They are listed
 * from segment PARTED on. */
static void
add_segment(text_t *t, const hls_list_t *list, uint64_t n, uint64_t parted)
{
    int64_t               border;
    const hls_stream_t   *st = list->st;
    const hls_segment_t  *s = hls_segment(st, n);

    if (s->ms == 0 && (s->nparts == 0 || n < parted)) {
        return;
    }

    border = end_ms(st, st->end - 1) - PART_TARGETS * 1000 * (int64_t) st->target_s;

    add_start(t, list, n);

    if (n >= parted && end_ms(st, n) > border) {
        add_parts(t, st, n);
    }

    if (s->ms) {
        add_media(t, st, n, s->ms);
    }
}


static void
add_end(text_t *t, const hls_stream_t *st)
{
    uint64_t  number, part;

    if (st->ended) {
        text_word(t, "#EXT-X-ENDLIST\n");

    } else if (list_grows_by_parts(st)) {
        number = list_next(st, &part);
        text_word(t, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"");
        add_name(t, st, HLS_PART, number, part);
        text_word(t, "\"\n");
    }
}


void
hls_playlist_write(text_t *t, const hls_list_t *list, enum hls_form form)
{
    uint64_t             n = list->from, parted = list_parted(list->st);
    const hls_stream_t  *st = list->st;

    add_head(t, list, form);

    if (form == HLS_DELTA) {
        n = list_skip_end(list);
        add_tag(t, "#EXT-X-SKIP:SKIPPED-SEGMENTS=", n - list->from);
    }

    for ( ; n < list->hub; n++) {
        add_start(t, list, n);
        add_media(t, st, n, hls_list_ms(list, n));
    }

    for ( ; n < st->end; n++) {
        add_segment(t, list, n, parted);
    }

    add_end(t, st);
}


/* --- the multivariant playlist --- */

/* The bytes of segment N, when the next one has begun.  FLV adds more to a frame than
 * fMP4 does, so only a part's boxes come on top. */
static uint64_t
segment_bytes(const hls_stream_t *st, uint64_t n)
{
    const hls_segment_t  *s = hls_segment(st, n);

    return hls_segment(st, n + 1)->record.bytes - s->record.bytes
           + PART_HEAD * (uint64_t) s->nparts;
}


static uint64_t
bits_per_second(uint64_t bytes, uint64_t ms)
{
    return (bytes * 8000 + ms - 1) / ms;
}


/* The peak (4.4.6.2: of successive segments that last 0.5 to 1.5 targets together)
 * from segment N on. */
static uint64_t
peak_from(const hls_stream_t *st, uint64_t n, uint64_t end)
{
    uint64_t  bytes = 0, ms = 0, peak = 0, rate;

    for ( ; n < end; n++) {
        bytes += segment_bytes(st, n);
        ms += hls_segment(st, n)->ms;

        if (ms > 1500 * (uint64_t) st->target_s) {
            break;
        }
        if (ms >= 500 * (uint64_t) st->target_s) {
            rate = bits_per_second(bytes, ms);
            peak = ngx_max(peak, rate);
        }
    }

    return peak;
}


static void
measure(const hls_stream_t *st, uint32_t kbps, uint64_t *peak,
    uint64_t *average)
{
    uint64_t  n, rate, bytes = 0, ms = 0, end = hls_playlist_complete(st);

    if (end == st->end && end > st->first) {
        end--;                               /* the next record has its bytes */
    }
    *peak = 0;

    for (n = st->first; n < end; n++) {
        bytes += segment_bytes(st, n);
        ms += hls_segment(st, n)->ms;
        rate = peak_from(st, n, end);
        *peak = ngx_max(*peak, rate);
    }

    *average = ms ? bits_per_second(bytes, ms)
                  : 1000 * (uint64_t) (kbps ? kbps : KBPS_UNKNOWN);
    *peak = ngx_max(*peak, *average);
}


/* Pictures for each 1,000 s of the complete segments, 0: there are none. */
static uint32_t
picture_rate(const hls_stream_t *st)
{
    uint64_t  n, pictures = 0, ms = 0, end = hls_playlist_complete(st);

    for (n = st->first; n < end; n++) {
        pictures += hls_segment(st, n)->pictures;
        ms += hls_segment(st, n)->ms;
    }

    return ms ? (uint32_t) (pictures * 1000000 / ms) : 0;
}


/* The usual rate that is within 1 % of the measured one, else a whole number. */
static uint32_t
usual_rate(uint32_t milli)
{
    size_t    i;
    uint32_t  best = ngx_max((milli + 500) / 1000, 1) * 1000;
    uint32_t  apart = milli / 100, a;

    static const uint32_t  usual[] = {
        10000, 12000, 12500, 15000, 20000, 23976, 24000, 25000, 29970, 30000, 48000,
        50000, 59940, 60000, 90000, 100000, 119880, 120000,
    };

    for (i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
        a = milli > usual[i] ? milli - usual[i] : usual[i] - milli;
        if (a <= apart) {
            apart = a;
            best = usual[i];
        }
    }

    return best;
}


void
hls_playlist_index(text_t *t, const hls_stream_t *st,
    const hls_rendition_t *rendition, uint64_t window)
{
    uint32_t  rate = picture_rate(st);
    uint64_t  peak, average;

    measure(st, rendition->kbps, &peak, &average);

    text_word(t, "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=");
    text_number(t, peak);
    text_word(t, ",AVERAGE-BANDWIDTH=");
    text_number(t, average);

    if (rendition->codecs && *rendition->codecs) {
        text_word(t, ",CODECS=\"");
        text_word(t, rendition->codecs);
        text_word(t, "\"");
    }

    if (rendition->width && rendition->height) {
        text_word(t, ",RESOLUTION=");
        text_number(t, rendition->width);
        text_word(t, "x");
        text_number(t, rendition->height);

        rate = rate ? rate : rendition->fps_milli;

        if (rate) {
            text_word(t, ",FRAME-RATE=");
            text_seconds(t, usual_rate(rate));
        }
    }

    text_word(t, "\n");
    add_name(t, st, HLS_LIST, 0, 0);

    if (window) {
        text_word(t, "?window=");
        text_number(t, window);
    }

    text_word(t, "\n");
}


/* --- requests that wait --- */

/* Parts ahead of the last one that a request may name (6.2.5.2). */
static uint64_t
parts_ahead(const hls_stream_t *st)
{
    return st->part_ms && st->part_ms < 1000 ? 3000 / st->part_ms : 3;
}


static enum hls_verdict
part_verdict(const hls_stream_t *st, const hls_query_t *q, char why[HLS_WHY_MAX])
{
    uint64_t  number, next, known = 0, msn = q->msn, part = q->part;

    number = list_next(st, &next);           /* of the first incomplete segment */
    next = list_grows_by_parts(st) ? next : 0;

    if (msn < st->first) {
        return HLS_READY;
    }

    if (msn <= number) {
        known = msn < number ? hls_segment(st, msn)->nparts : next;
    }

    if (part >= known + parts_ahead(st)) {
        (void) snprintf(why, HLS_WHY_MAX, "_HLS_part is %llu, expected at most %llu "
                        "for segment %llu now", (unsigned long long) part,
                        (unsigned long long) (known + parts_ahead(st)) - 1,
                        (unsigned long long) msn);
        return HLS_REFUSED;
    }

    if (msn < number && part >= known) {
        msn++;                               /* behind a segment's last part: the next */
        part = 0;                            /* one's first (6.2.5.2) */
    }

    return msn < number || (msn == number && part < next) ? HLS_READY : HLS_WAIT;
}


enum hls_verdict
hls_playlist_ready(const hls_stream_t *st, const hls_query_t *q,
    char why[HLS_WHY_MAX])
{
    uint64_t  end = hls_playlist_complete(st);

    why[0] = '\0';

    if (st->ended) {
        return HLS_READY;
    }

    if (st->end <= st->first || st->parts == HUB_PARTS_UNKNOWN) {
        return HLS_WAIT;
    }

    if (!q->has_msn) {
        return end > st->first ? HLS_READY : HLS_WAIT;
    }

    if (q->msn > end - 1 + AHEAD) {
        (void) snprintf(why, HLS_WHY_MAX, "_HLS_msn is %llu, expected at most %llu "
                        "now", (unsigned long long) q->msn,
                        (unsigned long long) end - 1 + AHEAD);
        return HLS_REFUSED;
    }

    if (q->has_part) {
        return part_verdict(st, q, why);
    }

    return q->msn < end ? HLS_READY : HLS_WAIT;
}


enum hls_verdict
hls_part_ready(const hls_stream_t *st, uint64_t number, uint64_t part)
{
    uint64_t  next, hint = list_next(st, &next);

    if (number >= st->oldest && number < st->end
        && part < hls_segment(st, number)->nparts)
    {
        return HLS_READY;
    }

    return !st->ended && list_grows_by_parts(st) && number == hint && part == next
           ? HLS_WAIT : HLS_REFUSED;
}
