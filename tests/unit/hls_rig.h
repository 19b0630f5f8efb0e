/*
 * A stream of HLS as the store has it, for one test program: segments and parts with
 * times, but without bytes.
 */

#ifndef DUOLU_UNIT_HLS_RIG_H
#define DUOLU_UNIT_HLS_RIG_H

#include "../../modules/http/hls_playlist.h"

#define FIRST  95442400u                     /* the first segment of a stream */
#define UTC    1795442400123                 /* 2026-11-23T14:00:00.123Z */
#define KBYTE  125                           /* bytes in 1 ms of 1 Mbps */
#define PARTS  16                            /* of a segment, at most */


/* --- functions of nginx that text_buffer.c calls; not used here --- */

u_char *
ngx_vslprintf(u_char *buf, u_char *last, const char *fmt, va_list args)
{
    (void) buf, (void) last, (void) fmt, (void) args;
    abort();
}


uintptr_t
ngx_escape_json(u_char *dst, u_char *src, size_t size)
{
    (void) dst, (void) src, (void) size;
    abort();
}


/* --- a stream, as the store has it --- */

static hls_stream_t  st;
static hls_part_t    parts[HUB_SEGMENTS][PARTS];

static inline hls_segment_t *segment(uint64_t number)
{
    return &st.segments[number % HUB_SEGMENTS];
}


static inline void new_stream(uint32_t target_s, uint32_t part_ms)
{
    memset(&st, 0, sizeof(st));
    memset(parts, 0, sizeof(parts));
    st.session = UTC;
    st.oldest = st.first = st.end = FIRST;
    st.target_s = target_s;
    st.part_ms = part_ms;
    st.parts = HUB_PARTS_LISTED;
}


static inline uint64_t grown_ms(const hls_segment_t *s)
{
    uint32_t  i;
    uint64_t  ms = 0;

    for (i = 0; i < s->nparts; i++) {
        ms += s->parts[i].ms;
    }

    return ms;
}


/* Completes the newest segment, and begins the next one. */
static inline hub_segment_t *begin_segment(void)
{
    hub_segment_t  before = { .utc = UTC, .breaks = FIRST, .number = FIRST - 1 };
    hls_segment_t  *s;

    if (st.end > st.oldest) {
        s = segment(st.end - 1);
        s->ms = (uint32_t) grown_ms(s);
        before = s->record;
        before.start += s->ms;
        before.utc += s->ms;
        before.bytes += (uint64_t) s->ms * KBYTE;
        before.breaks += before.anew;
    }

    s = segment(st.end);
    memset(s, 0, sizeof(hls_segment_t));
    s->record = before;
    s->record.number = st.end;
    s->record.anew = s->record.whole = 0;
    s->record.key = 1;
    s->record.listed = st.first;
    s->parts = parts[st.end % HUB_SEGMENTS];
    st.end++;

    return &s->record;
}


static inline void add_part(uint32_t ms, int key)
{
    hls_segment_t  *s = segment(st.end - 1);

    if (s->nparts == PARTS) {
        abort();
    }
    s->parts[s->nparts].start = s->record.start + (int64_t) grown_ms(s);
    s->parts[s->nparts].ms = ms;
    s->parts[s->nparts].key = key != 0;
    s->nparts++;
}


/* Adds N parts of MS to the growing segment; the first has a key frame if that has. */
static inline void add_parts(int n, uint32_t ms)
{
    int             i;
    hls_segment_t  *s = segment(st.end - 1);

    for (i = 0; i < n; i++) {
        add_part(ms, s->record.key && s->nparts == 0);
    }
}


/* Adds N complete segments of COUNT parts of MS, and begins the next one. */
static inline void add_segments(int n, int count, uint32_t ms)
{
    if (st.end == st.oldest) {
        (void) begin_segment();
    }

    while (n--) {
        add_parts(count, ms);
        (void) begin_segment();
    }
}


/* The parts of the growing segment are its last ones; without parts it is gone. */
static inline void end_stream(void)
{
    hls_segment_t  *s = segment(st.end - 1);

    s->ms = (uint32_t) grown_ms(s);
    st.end -= s->nparts == 0;
    st.ended = 1;
}


/* The text, with a zero. */
static inline const char *text_of(text_t *t)
{
    text_append(t, (const u_char *) "", 1);
    if (t->failed) {
        abort();
    }

    return (const char *) t->start;
}

/* The list of what the hub has. */
static inline const hls_list_t *hub_list(void)
{
    static hls_list_t  list;

    list = (hls_list_t) { &st, NULL, st.first, st.first };

    return &list;
}

#endif
