/*
 * Where the segments and parts of HLS begin (../http/hls.md).  The stream's writer
 * decides it for each frame that it appends; all workers read the same flags and records.
 *
 * Continuous time is dts minus `skip`.  Time that no track has is a hole, and `skip`
 * grows by it.  The next frame follows the newest one of its own track, which keeps the
 * distance that sound and pictures had.  A track that would go back then, as the distance
 * changed, begins one more segment that takes a part of the hole back.
 *
 * The start of a segment or a part is that of its first frame, with exceptions for what
 * players are promised: starts grow, no segment is longer than CUT_OVER beyond
 * TARGETDURATION, and no listed part longer than PART-TARGET.  A frame may so begin a
 * little after the start, or before it when its track lags.
 *
 * Pictures without sound may be slower than PART-TARGET, and then there is no such part.
 * A stream that begins so has no parts in its list, for ever, since PART-TARGET is said of
 * the whole list; where a stream becomes so, single segments have none.
 *
 * A segment costs at least CUT_LEAST of dts, so that numbers do not outrun the seconds,
 * and records and headers last.  Where that is not paid no hole can be taken out, and
 * no headers can change: frames that need it are left out (HUB_HIDDEN).
 */

#include "hub.h"
#include "../media/aac.h"
#include "../media/hevc.h"

/* all in ms */
#define CUT_OVER       490      /* EXTINF is rounded to s: RFC 8216bis, 4.4.3.1 */
#define CUT_LEAST     1000      /* numbers must not outrun the seconds since 1970 */
#define CUT_SAVED     2000      /* paid ahead at most: three more segments at once */
#define CUT_HOLE      1000      /* a longer time without frames */
#define CUT_SEAM        50      /* shorter ones are none, whatever the entry says */
#define CUT_STEP      1000      /* longest expected duration of a frame */
#define CUT_STILL      300      /* pictures have stopped */
#define CUT_APART     3000      /* most between sound and picture, as in hub_clock.c */
#define CUT_BACK       100      /* sound may begin so much early: its pace hides it */
#define CUT_NEAR        20      /* dates are not moved for less */
#define CUT_SLEW       100      /* a date moves by so much, with each segment */
#define CUT_SET      10000      /* the wall clock was set */
#define CUT_WAIT      4000      /* of sound, for a key frame */

#define CUT_ENTRIES    256      /* most in a part */
#define CUT_BYTES      (1024 * 1024)
#define CUT_FULL       85       /* percent of PART-TARGET: RFC 8216bis, 4.4.4.9 */
#define CUT_BYTE_MS      5      /* headers cost so much for each byte */
#define CUT_EPOCH      1700000000       /* s; numbers are 32 bits in some players */
#define CUT_BREAKS    4096      /* DISCONTINUITY-SEQUENCE begins below it: hls.md */

/* A frame that is appended. */
typedef struct {
    const hub_t        *h;
    const hub_entry_t  *entry;
    int                 kind;       /* of its track */
    int64_t             at;         /* continuous time */
} cut_frame_t;


static uint64_t
cut_first_number(const hub_stream_t *s)
{
    return ngx_max(s->started_utc / 1000, CUT_EPOCH) - CUT_EPOCH;
}


static int64_t
cut_limit(const hub_stream_t *s)
{
    return (int64_t) s->target_s * 1000 + CUT_OVER;
}


static hub_segment_t *
cut_record(hub_stream_t *s, uint64_t number)
{
    return &s->segments[number % HUB_SEGMENTS];
}


/* Is another segment paid for? */
static int
cut_may_begin(const hub_cut_t *cut, const hub_entry_t *e)
{
    return cut->paid <= e->dts + CUT_LEAST;
}


void
hub_cut_start(const hub_t *h, hub_stream_t *s)
{
    hub_cut_t         *cut = &s->cut[s->head & 1];
    const ngx_time_t  *tp = ngx_timeofday();

    s->started_utc = (uint64_t) tp->sec * 1000 + tp->msec;
    s->segment_ms = (uint32_t) h->hls_segment;
    s->part_ms = (uint32_t) h->hls_part;
    s->target_s = (s->segment_ms + 999) / 1000;

    ngx_memzero(cut, sizeof(hub_cut_t));
    cut->end = cut_first_number(s);
    cut->breaks = (uint32_t) (cut->end % CUT_BREAKS);
    cut->key = cut->last[0] = cut->last[1] = cut->heard = -1;
    s->segment_end = cut->end;
}


/* --- headers --- */

/* Copies SIZE bytes of codec data to OUT, if they fit there.  Returns their size. */
static size_t
cut_copy_header(enum flv_codec codec, const uint8_t *data, size_t size, uint8_t *out,
    size_t max)
{
    size_t  trimmed = 0;

    if (codec == FLV_CODEC_HEVC) {
        trimmed = hevc_trim_config(data, size, out, max);
    }

    if (trimmed == 0 && size <= max) {
        ngx_memcpy(out, data, size);
    }

    return trimmed ? trimmed : size;
}


/* Copies the codec data of the stored headers to INIT. */
static void
cut_read_headers(const hub_stream_t *s, hub_init_t *init)
{
    int                  kind, rc;
    size_t               at = 0, room, size;
    flv_frame_t          frame;
    const hub_config_t  *config;

    ngx_memzero(init, sizeof(hub_init_t));

    for (kind = 0; kind < 2; kind++) {
        config = &s->config[kind ? HUB_CONFIG_AUDIO : HUB_CONFIG_VIDEO];
        rc = kind ? flv_parse_audio(config->body, config->size, &frame)
                  : flv_parse_video(config->body, config->size, &frame);

        if (rc != FLV_OK) {
            continue;
        }

        size = (frame.end ? frame.end : config->size) - frame.payload;
        room = HUB_INIT_MAX - ngx_min(at, HUB_INIT_MAX);
        size = cut_copy_header(frame.codec, config->body + frame.payload, size,
                               init->data + HUB_INIT_MAX - room, room);
        init->size[kind] = (uint16_t) size;
        init->codec[kind] = (uint8_t) frame.codec;
        at += size;
    }

    init->width = s->width;
    init->height = s->height;
}


/* A rate that changes begins another clock, as its ticks are other ones. */
static void
cut_set_rate(hub_cut_t *cut, const hub_init_t *init)
{
    uint32_t      rate = 0;
    aac_config_t  aac;

    if (init->size[1] && init->size[0] + init->size[1] <= HUB_INIT_MAX
        && aac_parse_config(init->data + init->size[0], init->size[1], &aac) == 0)
    {
        rate = aac.rate;
    }

    if (rate != cut->rate) {
        cut->rate = rate;
        cut->sound.set = 0;
    }
}


static size_t
cut_headers_size(const hub_init_t *init)
{
    size_t  size = init->size[0] + init->size[1];

    return offsetof(hub_init_t, data) + (size <= HUB_INIT_MAX ? size : 0);
}


/* Did the headers change since the newest frame?  *NOW is the new ones then. */
static int
cut_headers_changed(const hub_stream_t *s, hub_cut_t *cut, hub_init_t *now)
{
    size_t          head = offsetof(hub_init_t, data);
    const uint8_t  *old = s->headers + cut->headers % HUB_HEADERS;

    if (cut->begun && cut->config_seq == s->config_seq) {
        return 0;
    }

    cut->config_seq = s->config_seq;
    cut_read_headers(s, now);
    now->number = cut->init;

    return !cut->begun || ngx_memcmp(old, now, head) != 0
           || ngx_memcmp(old + head, now->data, cut_headers_size(now) - head) != 0;
}


/* Stores the new headers NOW.  A reader that copies those whose place they take sees that
 * by `headers_end`. */
static void
cut_store_headers(hub_stream_t *s, hub_cut_t *cut, hub_init_t *now)
{
    size_t    size = ngx_align(cut_headers_size(now), 8);
    uint64_t  left = HUB_HEADERS - cut->headers_end % HUB_HEADERS;

    now->number = cut->init += cut->begun;
    cut->headers = cut->headers_end + (size > left ? left : 0);
    cut->headers_end = cut->headers + size;
    cut_set_rate(cut, now);

    hub_raise(&s->headers_end, cut->headers_end);
    hub_step();
    ngx_memcpy(s->headers + cut->headers % HUB_HEADERS, now, size);
}


/* --- time --- */

/* Where the newest frame of both tracks ends. */
static int64_t
cut_newest(const hub_cut_t *cut)
{
    int64_t  video = cut->last[0] < 0 ? 0 : cut->last[0] + cut->step[0];
    int64_t  audio = cut->last[1] < 0 ? 0 : cut->last[1] + cut->step[1];

    return ngx_max(video, audio);
}


/* Is there a hole before frame F?  Moves `skip` and the frame's time if so. */
static int
cut_at_hole(hub_cut_t *cut, cut_frame_t *f)
{
    int64_t  newest = cut_newest(cut), last = cut->last[f->kind];
    int64_t  own = last + cut->step[f->kind], move;

    if (f->at < last - (f->kind ? CUT_BACK : 0)) {
        move = f->at - ngx_max(own, 0);      /* the hole was shorter for this track */
        cut->key -= cut->key < 0 ? 0 : move;

    } else if ((cut->jumped && cut_may_begin(cut, f->entry))
               || f->at - newest > CUT_HOLE)
    {
        own = last < 0 || newest - own > CUT_APART ? newest : own;
        move = ngx_max(f->at - own, 0);

        if (move < CUT_SEAM) {
            return 0;
        }

    } else {
        return 0;
    }

    cut->skip += move;
    f->at -= move;

    return 1;
}


/* --- segments --- */

/* May frame F end a part, and a long segment?  A picture may, as it tells how long the
 * one before it lasts.  Sound may when pictures have stopped, and between slow ones. */
static int
cut_leads(const hub_stream_t *s, const hub_cut_t *cut, const cut_frame_t *f)
{
    return f->kind == 0 || cut->last[0] < 0
           || s->track[0].wall_ms + CUT_STILL <= s->track[1].wall_ms
           || (cut->step[0] > s->part_ms / 5
               && f->at <= cut->last[0] + 2 * (int64_t) cut->step[0]);
}


/* Should a segment begin at frame F, where viewers may join? */
static int
cut_at_key(const hub_stream_t *s, const hub_cut_t *cut, const cut_frame_t *f)
{
    int64_t  elapsed = f->at - cut->start;

    if (f->kind) {
        return elapsed >= s->segment_ms;
    }

    return elapsed >= ngx_max((int64_t) s->segment_ms * 9 / 10, CUT_LEAST)
           || (cut->pictured && cut->key >= 0 && cut_may_begin(cut, f->entry)
               && elapsed + f->at - cut->key > cut_limit(s));
}


/* Must a segment begin at frame F, which is no key frame?  A GOP that is longer than the
 * limit is cut into equal pieces, the last of which ends about at the next key frame. */
static int
cut_at_limit(const hub_stream_t *s, const hub_cut_t *cut, const cut_frame_t *f)
{
    int64_t   elapsed = f->at - cut->start, limit = cut_limit(s);
    uint32_t  piece, step = cut->step[f->kind];

    if (elapsed + step > limit) {
        return 1;
    }

    if (cut->gop <= limit || elapsed < limit / 4 || !cut_may_begin(cut, f->entry)) {
        return 0;
    }

    piece = cut->gop / (uint32_t) ((cut->gop + limit - 1) / limit);

    return elapsed + step / 2 >= piece && cut->key + cut->gop - f->at >= piece / 2;
}


/* The first segment that a list should name which ends with the next segment.  A list has at
 * most half of the records and of the headers' bytes, so that both last as long again. */
static uint64_t
cut_listed(const hub_t *h, hub_stream_t *s, const hub_cut_t *cut)
{
    int64_t   start = cut_record(s, cut->end)->start;
    uint64_t  least = cut_first_number(s), first = hub_load(&s->first);
    uint64_t  n, number = cut->end;

    n = number > least ? cut_record(s, number - 1)->listed : number;

    while (n < number
           && (number - n >= HUB_SEGMENTS / 2 - 1
               || cut->headers_end - cut_record(s, n)->headers > HUB_HEADERS / 2
               || cut_record(s, ngx_max(n, least + 1) - 1)->index < first
               || start - cut_record(s, n + 1)->start >= (int64_t) h->hls_window))
    {
        n++;
    }

    return n;
}


/* The UTC of a segment with the start AT.  Dates go on evenly, and follow what is known
 * better by now in small steps: where they jump, some players move their timeline, and
 * dates that overlap are ambiguous (RFC 8216bis 6.2.1).  HOLE: media is missing before the
 * segment, so its date jumps. */
static int64_t
cut_utc(hub_stream_t *s, const hub_cut_t *cut, int64_t at, int hole)
{
    int64_t               utc = hub_stream_utc(s, at + cut->skip), even, off;
    const hub_segment_t  *before;

    if (!cut->begun || hole) {
        return utc;
    }

    before = cut_record(s, cut->end - 1);
    even = before->utc + at - before->start;
    off = utc - even;

    if (ngx_abs(off) <= CUT_NEAR) {
        return even;
    }

    return ngx_abs(off) >= CUT_SET ? utc
                                   : even + ngx_max(-CUT_SLEW, ngx_min(off, CUT_SLEW));
}


/* Begins a segment at frame F, with its start AT.  HOLE: media is missing before it. */
static void
cut_begin(hub_stream_t *s, hub_cut_t *cut, const cut_frame_t *f, int64_t at, int hole,
    int anew, int whole, int key)
{
    int64_t         headers = (int64_t) (cut->headers_end - cut->headers) * CUT_BYTE_MS;
    hub_segment_t  *record = cut_record(s, cut->end);

    hub_store(&record->number, (uint64_t) -1);
    hub_step();

    record->index = s->head;
    record->start = at;
    record->skip = cut->skip;
    record->utc = cut_utc(s, cut, at, hole);
    record->sound = cut->sound.next;
    record->sound_set = (uint8_t) cut->sound.set;
    record->bytes = f->entry->offset;
    record->breaks = cut->breaks;
    record->init = cut->init;
    record->headers = cut->headers;
    record->anew = (uint8_t) anew;
    record->key = (uint8_t) key;
    record->whole = (uint8_t) whole;
    record->step = (uint16_t) ngx_min(cut->step[0], 65535);
    record->listed = cut_listed(f->h, s, cut);

    hub_store(&record->number, cut->end);

    cut->end++;
    cut->breaks += (uint32_t) anew;
    cut->paid = ngx_max(cut->paid, f->entry->dts - CUT_SAVED)
                + (anew ? ngx_max(CUT_LEAST, headers) : CUT_LEAST);
    cut->begun = 1;
    cut->start = at;
    cut->frames = 0;
    cut->pictured = 0;
    cut->heard = -1;
}


/* Has the newest segment too few frames for parts, if it ends AT? */
static int
cut_is_slow(const hub_stream_t *s, const hub_cut_t *cut, int64_t at)
{
    return (int64_t) cut->frames * (s->part_ms + 1) < at - cut->start;
}


/* Does the list name the newest segment's parts, if it ends AT? */
static int
cut_has_parts(hub_stream_t *s, const hub_cut_t *cut, int64_t at)
{
    if (s->parts == HUB_PARTS_UNKNOWN) {
        hub_store(&s->parts, cut_is_slow(s, cut, at) ? HUB_PARTS_NONE : HUB_PARTS_LISTED);
    }

    return s->parts == HUB_PARTS_LISTED && !cut_record(s, cut->end - 1)->whole;
}


/* The start of a segment that begins at frame F.  When its track does not lead, it may
 * lag, and the newest picture's end is meant.  *WHOLE: the list will not name its parts. */
static int64_t
cut_segment_start(hub_stream_t *s, const hub_cut_t *cut, const cut_frame_t *f, int hole,
    int *whole)
{
    int64_t  at = f->at;

    *whole = 0;

    if (!cut->begun) {
        return at;
    }

    if (hole) {
        at = cut_newest(cut);
    } else if (!cut_leads(s, cut, f)) {
        at = cut->last[0] + cut->step[0];
    }

    *whole = cut_is_slow(s, cut, at);

    if (cut_has_parts(s, cut, at)) {
        at = ngx_min(at, cut->part + s->part_ms + 1);
    }

    return ngx_max(cut->part + 1, ngx_min(at, cut->start + cut_limit(s)));
}


/* --- parts --- */

static int
cut_at_part(const hub_stream_t *s, const hub_cut_t *cut, const cut_frame_t *f, int leads)
{
    int64_t  length = f->at - cut->part, most = s->part_ms + 1;

    if (s->head - cut->part_index >= CUT_ENTRIES
        || f->entry->offset + f->entry->size - cut->part_offset > CUT_BYTES)
    {
        return 1;
    }

    return leads && (length >= most
                     || (length * 100 >= most * CUT_FULL
                         && length + cut->step[f->kind] > most));
}


static void
cut_begin_part(const hub_stream_t *s, hub_cut_t *cut, const cut_frame_t *f, int64_t at)
{
    cut->part = at;
    cut->part_index = s->head;
    cut->part_offset = f->entry->offset;
    cut->sounded = 0;
}


/* --- frames --- */

/* Adds frame F to its track. */
static void
cut_add(hub_cut_t *cut, const cut_frame_t *f)
{
    int64_t  step = f->at - cut->last[f->kind];

    if (step > 0 && cut->last[f->kind] >= 0) {
        cut->step[f->kind] = (uint32_t) ngx_min(step, CUT_STEP);
    }

    cut->last[f->kind] = ngx_max(f->at, cut->last[f->kind]);
    cut->frames++;

    if (f->kind == 0) {
        cut->pictured = 1;

        if (f->entry->flags & HUB_KEY) {
            cut->gop = cut->key < 0 ? 0 : (uint32_t) ngx_max(f->at - cut->key, 0);
            cut->key = f->at;
        }

    } else if (cut->rate) {
        cut->heard = ngx_max(f->at, cut->heard + 1);
        (void) sound_clock_frame(&cut->sound,
                                 (uint64_t) cut->heard * cut->rate / 1000, cut->rate,
                                 !cut->sounded);
        cut->sounded = 1;
    }
}


/* Does a segment, or a part, begin at frame F?  *AT is its start then.  FRESH: its
 * headers are new; HOLE: media is missing before it; *WHOLE as cut_segment_start(). */
static uint8_t
cut_decide(hub_stream_t *s, const hub_cut_t *cut, const cut_frame_t *f, int fresh,
    int hole, int64_t *at, int *whole)
{
    int  leads = cut_leads(s, cut, f);

    if (!fresh && !hole && !((f->entry->flags & HUB_KEY) && cut_at_key(s, cut, f))
        && !(leads && cut_at_limit(s, cut, f)))
    {
        if (!cut_at_part(s, cut, f, leads)) {
            return 0;
        }

        *at = hub_part_start(s->part_ms, cut->part, f->at);

        if (*at < cut->start + cut_limit(s)) {
            return HUB_PART;
        }
    }

    *at = cut_segment_start(s, cut, f, hole, whole);

    return HUB_SEGMENT|HUB_PART;
}


/* Must sound wait for the first picture of a publisher that returned?  HLS would have no
 * pictures for up to a GOP, and players would stop there. */
static int
cut_waits(const hub_stream_t *s, const hub_writer_t *w, const hub_cut_t *cut,
    const cut_frame_t *f)
{
    return f->kind && w->wait_key && (w->configured & (1u << HUB_CONFIG_VIDEO))
           && cut->last[0] >= 0 && cut->last[1] - cut->last[0] <= CUT_STEP
           && ngx_current_msec - s->started_ms < CUT_WAIT;
}


/* Leaves the next frame out.  CUT becomes the state before it, but for a jump. */
static uint8_t
cut_leave_out(const hub_stream_t *s, hub_cut_t *cut)
{
    uint8_t  jumped = cut->jumped;

    *cut = s->cut[s->head & 1];
    cut->jumped = jumped;

    return HUB_HIDDEN;
}


uint8_t
hub_cut_entry(const hub_t *h, const hub_writer_t *w, const hub_entry_t *e)
{
    int            fresh, hole, anew, whole = 0;
    uint8_t        flags;
    int64_t        at = 0;
    hub_init_t     now;
    hub_stream_t  *s = w->ref.stream;
    hub_cut_t     *cut = &s->cut[(s->head + 1) & 1];
    cut_frame_t    f = { h, e, hub_track(e->type), 0 };

    *cut = s->cut[s->head & 1];

    if (e->flags & HUB_CONFIG) {
        return 0;
    }

    f.at = e->dts - cut->skip;
    cut->jumped |= (e->flags & HUB_DISCONTINUITY) != 0;

    fresh = cut_headers_changed(s, cut, &now);
    hole = cut->begun && cut_at_hole(cut, &f);
    anew = fresh && cut->begun;

    if (cut_waits(s, w, cut, &f) || ((anew || hole) && !cut_may_begin(cut, e))) {
        return cut_leave_out(s, cut);
    }

    cut->jumped = 0;

    if (fresh) {
        cut_store_headers(s, cut, &now);
    }

    flags = cut_decide(s, cut, &f, fresh, hole, &at, &whole);

    if (flags & HUB_SEGMENT) {
        cut_begin(s, cut, &f, at, hole, anew, whole,
                  (e->flags & HUB_KEY) || s->video == FLV_CODEC_NONE || w->wait_key);
    }

    if (flags) {
        cut_begin_part(s, cut, &f, at);
    }

    cut_add(cut, &f);

    if (f.kind && s->parts == HUB_PARTS_UNKNOWN) {
        hub_store(&s->parts, HUB_PARTS_LISTED);  /* frames of sound are short */
    }

    return flags;
}


void
hub_cut_publish(hub_stream_t *s)
{
    uint64_t  end = s->cut[s->head & 1].end;

    if (s->segment_end != end) {
        hub_store(&s->segment_end, end);
    }
}


/* --- readers --- */

ngx_int_t
hub_segment(const hub_t *h, const hub_reader_t *r, uint64_t number,
    hub_segment_t *segment)
{
    uint64_t              end, stored;
    const hub_stream_t   *s = r->ref.stream;
    const hub_segment_t  *record = &s->segments[number % HUB_SEGMENTS];

    end = hub_load(&s->segment_end);
    stored = hub_load(&record->number);
    ngx_memcpy(segment, record, sizeof(hub_segment_t));
    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    if (!hub_reader_has_row(r)) {
        return NGX_DECLINED;
    }

    if (number >= end) {
        return NGX_AGAIN;
    }

    /* an earlier stream of the slot may have left lower numbers */
    return number >= cut_first_number(s) && stored == number
           && hub_load(&record->number) == number ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
hub_segment_newest(const hub_t *h, const hub_reader_t *r, hub_segment_t *segment)
{
    uint64_t             end = hub_load(&r->ref.stream->segment_end);
    const hub_stream_t  *s = r->ref.stream;

    if (end == cut_first_number(s)) {
        return hub_reader_has_row(r) ? NGX_AGAIN : NGX_DECLINED;
    }

    return hub_segment(h, r, end - 1, segment);
}


ngx_int_t
hub_segment_init(const hub_t *h, const hub_reader_t *r, const hub_segment_t *segment,
    hub_init_t *init)
{
    size_t               at = segment->headers % HUB_HEADERS, size;
    const hub_stream_t  *s = r->ref.stream;

    ngx_memzero(init, sizeof(hub_init_t));
    at = ngx_min(at, HUB_HEADERS - offsetof(hub_init_t, data));
    ngx_memcpy(init, s->headers + at, offsetof(hub_init_t, data));

    size = init->size[0] + init->size[1];
    at += offsetof(hub_init_t, data);
    ngx_memcpy(init->data, s->headers + at,
               ngx_min(ngx_min(size, HUB_INIT_MAX), HUB_HEADERS - at));
    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    return hub_reader_has_row(r)
           && hub_load(&s->headers_end) - segment->headers <= HUB_HEADERS
           && size <= HUB_INIT_MAX ? NGX_OK : NGX_DECLINED;
}


/* Workers ask on each of their ticks; most of them change no memory that the writer
 * reads. */
void
hub_segments_want(hub_stream_t *s)
{
    if (ngx_current_msec - hub_load(&s->wanted_ms) >= HUB_WANTED_MS / 10) {
        hub_store(&s->wanted_ms, ngx_current_msec);
    }
}


uint64_t
hub_segments_cut(const hub_reader_t *r, uint64_t number)
{
    hub_stream_t  *s = r->ref.stream;

    if (!hub_reader_alive(r)) {
        return number;
    }

    hub_raise(&s->listed_from, number);

    return hub_load(&s->listed_from);
}


int
hub_segments_wanted(const hub_stream_t *s)
{
    uint64_t  ms = hub_load(&s->wanted_ms);

    return ms && (int64_t) (ngx_current_msec - ms) < HUB_WANTED_MS;
}


int64_t
hub_segments_window(const hub_t *h, const hub_stream_t *s, int64_t dts)
{
    int64_t               window = (int64_t) h->window, holes = 0;
    uint64_t              n;
    const hub_cut_t      *cut = &s->cut[s->head & 1];
    const hub_segment_t  *ring = s->segments;

    if (!hub_segments_wanted(s)) {
        return window;
    }

    /* the list, and as long again, do not count holes; one may be before DTS */
    if (cut->begun) {
        n = ring[(cut->end - 1) % HUB_SEGMENTS].listed;
        n = ring[n % HUB_SEGMENTS].listed;
        holes = dts - cut_newest(cut) - ring[n % HUB_SEGMENTS].skip;
    }

    return ngx_max(window, 2 * (int64_t) h->hls_window + s->target_s * 1000 + 2000
                           + ngx_max(holes, 0));
}
