#include "hls_store.h"

#include <ngx_event.h>

#include "hls_pack.h"

#define STORE_IDLE       3         /* target durations without a request */
#define STORE_SWEEP_MS   1000
#define STORE_ROOM       8         /* parts of a segment at first */

static ngx_queue_t  streams = { &streams, &streams };
static ngx_event_t  store_timer;


static hls_segment_t *
store_segment(hls_stream_t *st, uint64_t number)
{
    return &st->segments[number % HUB_SEGMENTS];
}


/* --- the hub's records --- */

static void
store_drop(hls_stream_t *st, uint64_t number)
{
    uint32_t        i;
    hls_segment_t  *segment = store_segment(st, number);

    for (i = 0; i < segment->nparts; i++) {
        hls_bytes_drop(&segment->parts[i].bytes);
    }

    hls_bytes_drop(&segment->whole);
    ngx_free(segment->parts);
    ngx_memzero(segment, sizeof(hls_segment_t));
}


static void
store_drop_rest(hls_stream_t *st)
{
    hls_bytes_drop(&st->rest.bytes);
    ngx_memzero(&st->rest, sizeof(hls_part_t));
}


static void
store_drop_all(hls_stream_t *st)
{
    store_drop_rest(st);

    for ( ; st->oldest < st->end; st->oldest++) {
        store_drop(st, st->oldest);
    }

    st->oldest = st->first = st->end = 0;
}


/* Has room for one more part in SEGMENT. */
static int
store_has_room(hls_segment_t *segment)
{
    uint32_t     i, room;
    hls_part_t  *parts;

    if (segment->nparts < segment->room) {
        return 1;
    }

    room = segment->room ? 2 * segment->room : STORE_ROOM;
    parts = ngx_alloc(room * sizeof(hls_part_t), ngx_cycle->log);

    if (parts == NULL) {
        return 0;
    }

    if (segment->nparts) {
        ngx_memcpy(parts, segment->parts, segment->nparts * sizeof(hls_part_t));
        ngx_free(segment->parts);
    }

    segment->parts = parts;
    segment->room = room;

    for (i = 0; i < segment->nparts; i++) {
        hls_bytes_moved(&parts[i].bytes);
    }

    return 1;
}


/* The part that grows is complete: entry E of the reader begins the next one, whose
 * START and SKIP these are. */
static ngx_int_t
store_end_part(hls_stream_t *st, const hub_entry_t *e, int64_t start, int64_t skip)
{
    size_t          size;
    hls_part_t     *part = &st->growing;
    part_state_t    after;
    hls_segment_t  *segment = store_segment(st, st->end - 1);

    if (!store_has_room(segment)) {
        return NGX_ERROR;
    }

    part->after = st->reader.index;
    part->ms = (uint32_t) (ngx_max(start, part->start) - part->start);
    part->next = e->dts - skip;
    part->to_picture = e->type == FLV_VIDEO;

    if (hls_pack_part(st, &segment->record, part, &size, &after) != NGX_OK) {
        return NGX_DECLINED;
    }

    segment->parts[segment->nparts++] = *part;

    part->index = part->after;
    part->start += part->ms;
    part->state = after;
    st->changes++;

    return NGX_OK;
}


/* May a player ask for a segment of the time [record->start, END), which is no longer
 * listed?  It may for as long as the segment and the longest list with it last (RFC
 * 8216bis 6.2.2).  The list is LIST ms long now, and ends at EDGE. */
static int
store_may_be_asked(const hub_segment_t *record, int64_t end, int64_t edge,
    int64_t list)
{
    return edge - end <= 2 * (list + end - record->start);
}


static void
store_forget(hls_stream_t *st)
{
    int64_t               edge, list;
    const hls_segment_t  *oldest;

    if (st->first >= st->end) {
        return;                        /* not all are read yet */
    }

    edge = hls_segment(st, st->end - 1)->record.start;
    list = edge - hls_segment(st, st->first)->record.start;

    for ( ; st->oldest < st->first; st->oldest++) {
        oldest = hls_segment(st, st->oldest);

        if (store_may_be_asked(&oldest->record,
                               hls_segment(st, st->oldest + 1)->record.start, edge,
                               list))
        {
            return;
        }

        store_drop(st, st->oldest);
    }
}


static void
store_drop_init(hls_stream_t *st, uint32_t place)
{
    hls_init_t  *init = st->inits[place];

    if (init) {
        hls_bytes_drop(&init->bytes);
        ngx_free(init);
        st->inits[place] = NULL;
    }
}


/* Takes the headers of a new segment, and forgets those that no segment has. */
static void
store_take_headers(hls_stream_t *st, const hub_segment_t *record)
{
    uint32_t     i, oldest = hls_segment(st, st->oldest)->record.init;
    hls_init_t  *init = st->inits[record->init % HUB_SEGMENTS];

    if (init && init->headers.number == record->init) {
        return;
    }

    for (i = 0; i < HUB_SEGMENTS; i++) {
        init = st->inits[i];

        if (init && (init->headers.number < oldest || init->headers.number >= record->init)) {
            store_drop_init(st, i);
        }
    }

    init = ngx_calloc(sizeof(hls_init_t), ngx_cycle->log);
    st->inits[record->init % HUB_SEGMENTS] = init;

    if (init && hub_segment_init(hub, &st->reader, record, &init->headers) != NGX_OK) {
        init->headers.number = HLS_NO_INIT;
    }
}


/* Adds the segment RECORD, whose first entry is E. */
static void
store_add_segment(hls_stream_t *st, const hub_segment_t *record, const hub_entry_t *e)
{
    hls_part_t     *part = &st->growing;
    hls_segment_t  *segment;

    if (st->end - st->oldest == HUB_SEGMENTS) {
        store_drop(st, st->oldest++);
        st->first = ngx_max(st->first, st->oldest);
    }

    segment = store_segment(st, st->end++);
    segment->record = *record;
    store_take_headers(st, record);

    ngx_memzero(part, sizeof(hls_part_t));
    part->index = record->index;
    part->start = record->start;
    part_state_init(&part->state, e->dts - record->skip, record->step, record->sound,
                    record->sound_set);

    st->first = ngx_max(st->first, record->listed);

    while (st->first + 1 < st->end
           && !hls_store_headers(st, hls_segment(st, st->first)->record.init))
    {
        st->first++;                   /* its headers are no longer known */
    }

    st->changes++;
    store_forget(st);
}


/* The next segment begins at entry E of the reader. */
static ngx_int_t
store_next_segment(hls_stream_t *st, const hub_entry_t *e)
{
    int64_t         ms;
    ngx_int_t       rc;
    hls_segment_t  *last;
    hub_segment_t   record;

    rc = hub_segment(hub, &st->reader, st->end, &record);
    if (rc != NGX_OK) {
        return rc;
    }

    if (record.index != st->reader.index) {
        return NGX_DECLINED;
    }

    rc = store_end_part(st, e, record.start, record.skip);
    if (rc != NGX_OK) {
        return rc;
    }

    last = store_segment(st, st->end - 1);
    ms = record.start - last->record.start;
    last->ms = (uint32_t) ngx_max(ms, 1);

    store_add_segment(st, &record, e);

    return NGX_OK;
}


/* Finds the oldest segment that the hub has and that a player may ask for, back from
 * NEWEST. */
static hub_segment_t
store_oldest(const hls_stream_t *st, const hub_segment_t *newest)
{
    int64_t        list = 0;
    uint64_t       first = hub_load(&st->reader.ref.stream->first);
    hub_init_t     init;
    hub_segment_t  oldest = *newest, before;

    while (oldest.number > 0 && newest->number - oldest.number < HUB_SEGMENTS - 1
           && hub_segment(hub, &st->reader, oldest.number - 1, &before) == NGX_OK
           && before.index >= first
           && (before.init == oldest.init
               || hub_segment_init(hub, &st->reader, &before, &init) == NGX_OK))
    {
        if (before.number >= newest->listed) {
            list = newest->start - before.start;

        } else if (!store_may_be_asked(&before, oldest.start, newest->start, list)) {
            break;
        }

        oldest = before;
    }

    return oldest;
}


/* Takes the reader's entry E into the newest segment. */
static void
store_step(hls_stream_t *st, const hub_entry_t *e)
{
    store_segment(st, st->end - 1)->pictures += e->type == FLV_VIDEO
                                                && !(e->flags & (HUB_CONFIG|HUB_HIDDEN));
    st->reader.index++;
}


/* NGX_AGAIN: no segment has begun. */
static ngx_int_t
store_begin(hls_stream_t *st)
{
    ngx_int_t      rc;
    hub_entry_t    e;
    hub_segment_t  newest, oldest;

    rc = hub_segment_newest(hub, &st->reader, &newest);
    if (rc != NGX_OK) {
        return rc;
    }

    oldest = store_oldest(st, &newest);
    st->reader.index = oldest.index;

    rc = hub_reader_entry(hub, &st->reader, &e);
    if (rc != NGX_OK) {
        return rc;
    }

    st->oldest = st->first = st->end = oldest.number;
    store_add_segment(st, &oldest, &e);
    st->first = ngx_max(newest.listed, oldest.number);
    store_step(st, &e);

    return NGX_OK;
}


/* Handles the reader's entry. */
static ngx_int_t
store_read_entry(hls_stream_t *st)
{
    int64_t      start, skip;
    ngx_int_t    rc;
    hub_entry_t  e;

    rc = hub_reader_entry(hub, &st->reader, &e);

    if (rc == NGX_OK && (e.flags & HUB_SEGMENT)) {
        rc = store_next_segment(st, &e);

    } else if (rc == NGX_OK && (e.flags & HUB_PART)) {
        skip = store_segment(st, st->end - 1)->record.skip;
        start = hub_part_start(st->part_ms - 1, st->growing.start, e.dts - skip);
        rc = store_end_part(st, &e, start, skip);
    }

    if (rc == NGX_OK) {
        store_step(st, &e);
    }

    return rc;
}


static ngx_int_t
store_read_entries(hls_stream_t *st)
{
    ngx_int_t  rc = st->end == st->oldest ? store_begin(st) : NGX_OK;

    while (rc == NGX_OK) {
        rc = store_read_entry(st);
    }

    return rc;
}


/* --- the stream's end --- */

/* Makes a part of the frames that came behind the last complete one. */
static void
store_make_rest(hls_stream_t *st)
{
    size_t                size;
    hls_part_t           *rest = &st->rest;
    mp4_track_t           tracks[2];
    part_state_t          after;
    const hub_segment_t  *record = &store_segment(st, st->end - 1)->record;

    store_drop_rest(st);

    if (st->growing.index == st->reader.index) {
        return;
    }

    *rest = st->growing;
    rest->after = st->reader.index;
    rest->next = -1;
    rest->to_picture = 0;

    if (hls_pack_part(st, record, rest, &size, &after) != NGX_OK
        || hls_pack_bytes(st, record, rest) != NGX_OK)
    {
        store_drop_rest(st);
        return;
    }

    hls_store_tracks(hls_store_headers(st, record->init), tracks);
    rest->ms = hub_rest_ms(record, st->target_s, st->part_ms - 1,
                           st->parts == HUB_PARTS_LISTED, rest->start,
                           part_state_end(&after, tracks[MP4_AUDIO].timescale));
}


static int
store_is_away(const hls_stream_t *st)
{
    return hub_reader_alive(&st->reader)
           && hub_load(&st->reader.ref.stream->state) == HUB_GRACE;
}


/* The publisher is away, or the stream has ended.  The hub will forget it, and the last
 * list names what players have not read yet: makes all of it, once. */
static void
store_save(hls_stream_t *st)
{
    uint32_t      i;
    uint64_t      n;
    hls_bytes_t  *bytes;

    if (st->saved == st->reader.index || st->end == st->oldest) {
        return;
    }

    st->saved = st->reader.index;

    for (n = st->first; n < st->end; n++) {
        for (i = 0; i < hls_segment(st, n)->nparts; i++) {
            if (hls_store_part(st, n, i, &bytes) == NGX_OK) {
                hls_bytes_give(bytes);
            }
        }
    }

    store_make_rest(st);
}


/* Is it known whether the list has parts?  Another stream may have the row. */
static void
store_take_parts(hls_stream_t *st)
{
    uint32_t  parts = hub_load(&st->reader.ref.stream->parts);

    if (st->parts == HUB_PARTS_UNKNOWN && hub_reader_has_row(&st->reader)) {
        st->parts = parts;
    }
}


/* The stream is over: its last segment has the parts that are complete, and the rest. */
static void
store_end_stream(hls_stream_t *st)
{
    hls_part_t     *part;
    hls_segment_t  *last;

    st->ended = 1;
    st->used_ms = ngx_current_msec;
    st->changes++;

    if (st->end == st->oldest) {
        return;
    }

    last = store_segment(st, st->end - 1);

    if (st->rest.bytes && store_has_room(last)) {
        part = &last->parts[last->nparts++];
        *part = st->rest;
        hls_bytes_moved(&part->bytes);
        ngx_memzero(&st->rest, sizeof(hls_part_t));
        st->growing.start += part->ms;
    }

    last->ms = (uint32_t) ngx_max(st->growing.start - last->record.start, 1);

    if (last->nparts == 0) {
        store_drop(st, --st->end);
        st->first = ngx_min(st->first, st->end);
    }
}


ngx_int_t
hls_store_read(hls_stream_t *st)
{
    ngx_int_t  rc;
    uint64_t   before = st->changes;

    if (st->ended) {
        return NGX_AGAIN;
    }

    if (!hub_reader_alive(&st->reader)) {
        (void) store_read_entries(st);     /* the hub may still have its row */
        store_take_parts(st);
        store_save(st);
        store_end_stream(st);
        return NGX_OK;
    }

    hub_segments_want(st->reader.ref.stream);
    rc = store_read_entries(st);
    store_take_parts(st);

    if (rc == NGX_DECLINED && st->end > st->oldest
        && hub_reader_alive(&st->reader))
    {
        store_drop_all(st);            /* this worker was too slow: begin again */
        st->changes++;
        (void) store_read_entries(st);
    }

    if (store_is_away(st)) {
        store_save(st);
    } else {
        store_drop_rest(st);
    }

    return st->changes == before ? NGX_AGAIN : NGX_OK;
}


/* --- life --- */

static void
store_count(int more)
{
    static uint32_t  n;

    n += more;

    if (hub->worker != HUB_NO_SLOT) {
        hub_store(&hub->workers[hub->worker].hls_streams, n);
    }
}


static void
store_free(hls_stream_t *st)
{
    uint32_t  i;

    if (st->live_free) {
        st->live_free(st);
    }

    store_drop_all(st);

    for (i = 0; i < HUB_SEGMENTS; i++) {
        store_drop_init(st, i);
    }

    ngx_queue_remove(&st->queue);
    ngx_free(st);
    store_count(-1);
}


/* A stream that has ended stays for a time, however often it is asked for: its viewers
 * have no sessions any more. */
static void
store_use(hls_stream_t *st)
{
    if (!st->ended) {
        st->used_ms = ngx_current_msec;
    }
}


/* How long a stream stays that nobody asks for: after its end, until players have
 * fetched the segments of its last list. */
static ngx_msec_t
store_stays(const hls_stream_t *st)
{
    ngx_msec_t  ms = STORE_IDLE * 1000 * (ngx_msec_t) st->target_s;

    if (st->ended && st->end > st->first) {
        ms += (ngx_msec_t) (hls_segment(st, st->end - 1)->record.start
                            - hls_segment(st, st->first)->record.start);
    }

    return ms;
}


/* Frees the streams that nobody has asked for, and saves those whose publisher is away, or
 * that have ended: the hub keeps their rows so long.
 * The timer runs only while there are streams, and does not keep an exiting worker
 * alive. */
static void
store_idle(ngx_event_t *ev)
{
    ngx_queue_t   *q, *next;
    hls_stream_t  *st;

    for (q = ngx_queue_head(&streams); q != ngx_queue_sentinel(&streams); q = next) {
        next = ngx_queue_next(q);
        st = ngx_queue_data(q, hls_stream_t, queue);

        if (st->refs > 0) {
            continue;
        }

        if (store_is_away(st)) {
            (void) hls_store_read(st);
            st->used_ms = ngx_current_msec;  /* viewers of any worker may read on */

        } else if (ngx_current_msec - st->used_ms > store_stays(st)) {
            store_free(st);

        } else if (!hub_reader_alive(&st->reader)) {
            (void) hls_store_read(st);
        }
    }

    if (!ngx_queue_empty(&streams)) {
        ngx_add_timer(ev, STORE_SWEEP_MS);
    }
}


static hls_stream_t *
store_new(const u_char *name, size_t len, const hub_reader_t *r)
{
    hls_stream_t        *st = ngx_calloc(sizeof(hls_stream_t), ngx_cycle->log);
    const hub_stream_t  *s = r->ref.stream;

    if (st == NULL) {
        return NULL;
    }

    st->reader = *r;
    st->name_len = len;
    ngx_memcpy(st->name, name, len);
    st->session = s->started_utc;
    st->target_s = s->target_s;
    st->part_ms = s->part_ms + 1;     /* as hub_part_start() has it */

    ngx_queue_insert_tail(&streams, &st->queue);
    store_count(1);

    if (!store_timer.timer_set) {
        store_timer.handler = store_idle;
        store_timer.log = ngx_cycle->log;
        store_timer.cancelable = 1;
        ngx_add_timer(&store_timer, STORE_SWEEP_MS);
    }

    return st;
}


/* Finds NAME among this worker's streams.  The newest one is the last. */
static hls_stream_t *
store_find(const u_char *name, size_t len, uint64_t session)
{
    ngx_queue_t   *q;
    hls_stream_t  *st;

    for (q = ngx_queue_last(&streams); q != ngx_queue_sentinel(&streams);
         q = ngx_queue_prev(q))
    {
        st = ngx_queue_data(q, hls_stream_t, queue);

        if (st->name_len == len && ngx_memcmp(st->name, name, len) == 0
            && (session == 0 || st->session == session))
        {
            return st;
        }
    }

    return NULL;
}


ngx_int_t
hls_store_open(const u_char *name, size_t len, uint64_t session,
    hls_stream_t **st)
{
    hub_reader_t   r;
    hls_stream_t  *found = store_find(name, len, session);

    if (found) {
        (void) hls_store_read(found);
    }

    if ((found == NULL || (found->ended && session == 0))
        && hub_reader_open(hub, name, len, &r) == NGX_OK
        && (session == 0 || session == r.ref.stream->started_utc))
    {
        found = store_new(name, len, &r);
        if (found == NULL) {
            return NGX_ERROR;
        }
        (void) hls_store_read(found);
    }

    if (found == NULL || (found->ended && found->end == found->oldest)) {
        return NGX_DECLINED;
    }

    store_use(found);
    *st = found;

    return NGX_OK;
}


void
hls_store_keep(hls_stream_t *st)
{
    st->refs++;
}


void
hls_store_give(hls_stream_t *st)
{
    st->refs--;
    store_use(st);
}


/* --- bytes --- */

ngx_int_t
hls_store_part(hls_stream_t *st, uint64_t number, uint32_t part,
    hls_bytes_t **bytes)
{
    ngx_int_t       rc;
    hls_part_t     *p;
    hls_segment_t  *segment = store_segment(st, number);

    if (!hls_store_has(st, number)) {
        return number == st->end && part == 0 && !st->ended ? NGX_AGAIN
                                                            : NGX_DECLINED;
    }

    if (part >= segment->nparts) {
        return part == segment->nparts && segment->ms == 0 ? NGX_AGAIN
                                                           : NGX_DECLINED;
    }

    p = &segment->parts[part];

    if (p->bytes == NULL) {
        rc = hls_pack_bytes(st, &segment->record, p);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    hls_bytes_used(p->bytes);
    *bytes = hls_bytes_keep(p->bytes);

    return NGX_OK;
}


ngx_int_t
hls_store_segment(hls_stream_t *st, uint64_t number, hls_bytes_t **bytes)
{
    uint32_t              i;
    ngx_int_t             rc;
    const hls_segment_t  *segment = hls_segment(st, number);

    if (!hls_store_has(st, number)) {
        return number == st->end && !st->ended ? NGX_AGAIN : NGX_DECLINED;
    }

    if (segment->ms == 0) {
        return NGX_AGAIN;
    }

    for (i = 0; i < segment->nparts; i++) {
        rc = hls_store_part(st, number, i, &bytes[i]);

        if (rc != NGX_OK) {
            while (i > 0) {
                hls_bytes_give(bytes[--i]);
            }
            return rc;
        }
    }

    return NGX_OK;
}


ngx_int_t
hls_store_init(hls_stream_t *st, uint32_t number, hls_bytes_t **bytes)
{
    size_t             size;
    u_char             text[MP4_INIT_MAX(HUB_INIT_MAX)];
    hls_init_t        *init = st->inits[number % HUB_SEGMENTS];
    mp4_track_t        tracks[2];
    hls_bytes_t       *made;

    if (hls_store_headers(st, number) == NULL) {
        return NGX_DECLINED;
    }

    if (init->bytes == NULL) {
        hls_store_tracks(&init->headers, tracks);
        size = mp4_write_init(text, sizeof(text), tracks, NULL);

        made = size ? hls_bytes_new(size) : NULL;
        if (made == NULL) {
            return size ? NGX_BUSY : NGX_DECLINED;
        }

        ngx_memcpy(made->data, text, size);
        hls_bytes_offer(made, &init->bytes);
    }

    hls_bytes_used(init->bytes);
    *bytes = hls_bytes_keep(init->bytes);

    return NGX_OK;
}
