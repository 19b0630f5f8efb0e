/*
 * The segments of live HLS (../http/hls.md) in a recording.  A fragment ends before
 * each of them, so that a segment consists of whole fragments, and the index gets a line
 * for each segment whose frames are all in the file.  A live playlist goes back over
 * these.
 */

#include "recorder.h"

#include "../media/part.h"

static part_t  live_part;            /* of one segment at a time */


/* Where the segment that goes on ends in the file, as far as that is written. */
static uint64_t
live_size(const recorder_t *rec)
{
    return (rec->live.end ? rec->live.end : rec->at.size) - rec->live.offset;
}


/* Describes the segment THIS, which ends where NEXT begins. */
static void
live_describe(const recorder_t *rec, const hub_segment_t *this,
    const hub_segment_t *next, rec_live_t *live)
{
    ngx_memzero(live, sizeof(rec_live_t));
    live->number = this->number;
    live->stream = rec->reader.ref.stream->started_utc;
    live->offset = rec->live.offset;
    live->size = live_size(rec);
    live->ms = (uint32_t) ngx_max(next->start - this->start, 1);
    live->utc = this->utc;
    live->shift = rec->base - this->skip;
    live->sound = this->sound_set ? (int64_t) this->sound : -1;
    live->sound_end = next->sound_set ? (int64_t) next->sound : -1;
    live->headers = this->init;
    live->breaks = this->breaks;
    live->anew = this->anew & 1;
}


ngx_int_t
recorder_live_end(recorder_t *rec)
{
    ngx_int_t      rc;
    rec_live_t     live;
    hub_segment_t  this, next;

    if (rec->live.number == 0) {
        return NGX_OK;
    }

    rc = hub_segment(hub, &rec->reader, rec->live.number, &this);

    if (rc == NGX_OK && this.index == rec->reader.index) {
        return NGX_OK;                   /* its first entry is tried again */
    }

    if (rc == NGX_OK) {
        rc = hub_segment(hub, &rec->reader, rec->live.number + 1, &next);
    }

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (rc == NGX_OK && next.index == rec->reader.index && live_size(rec) > 0) {
        live_describe(rec, &this, &next, &live);
        rec->live_line_len = rec_index_live(rec->live_line, &live);
    }

    rec->live.number = 0;

    return NGX_OK;
}


/* The tracks of segment S, without their headers. */
static ngx_int_t
live_tracks(const recorder_t *rec, const hub_segment_t *s, mp4_track_t tracks[2])
{
    int         kind;
    size_t      at = 0;
    hub_init_t  init;

    if (hub_segment_init(hub, &rec->reader, s, &init) != NGX_OK) {
        return NGX_DECLINED;
    }

    for (kind = 0; kind < 2; kind++) {
        (void) mp4_track(&tracks[kind], init.codec[kind], init.data + at, init.size[kind]);
        tracks[kind].config = NULL;
        tracks[kind].config_size = 0;
        at += init.size[kind];
    }

    return NGX_OK;
}


/* --- the stream's end --- */

/* Adds entry E of segment S to the part. */
static ngx_int_t
live_add(const hub_reader_t *r, const hub_segment_t *s, const hub_entry_t *e)
{
    int          kind = hub_track(e->type);
    ngx_int_t    rc;
    flv_frame_t  frame;

    if (e->flags & HUB_HIDDEN) {
        return NGX_OK;
    }

    rc = hub_reader_frame(hub, r, e, &frame);

    if (rc == NGX_OK) {
        (void) part_add(&live_part, kind, e->dts - s->skip, e->cts,
                        kind == MP4_VIDEO && frame.key,
                        (uint32_t) hub_frame_size(e, &frame), e->offset);
    }

    return rc == NGX_DONE ? NGX_OK : rc;
}


/* Makes the parts of segment S, to the reader's entry.  Sets STATE to the end of its
 * TRACKS, and *START to where the last part begins. */
static ngx_int_t
live_parts(const recorder_t *rec, const hub_segment_t *s, const mp4_track_t tracks[2],
    part_state_t *state, int64_t *start)
{
    int64_t       at;
    hub_entry_t   e;
    hub_reader_t  r = rec->reader;

    *start = s->start;

    for (r.index = s->index; r.index < rec->reader.index; r.index++) {
        if (hub_reader_entry(hub, &r, &e) != NGX_OK) {
            return NGX_DECLINED;
        }

        at = e.dts - s->skip;

        if (r.index == s->index) {
            part_state_init(state, at, s->step, s->sound, s->sound_set);
            part_begin(&live_part, tracks, state);

        } else if (e.flags & HUB_PART) {
            (void) part_end(&live_part, 1, at, e.type == FLV_VIDEO, state);
            part_begin(&live_part, tracks, state);
            *start = hub_part_start(r.ref.stream->part_ms, *start, at);
        }

        if (live_add(&r, s, &e) != NGX_OK) {
            return NGX_DECLINED;
        }
    }

    return part_end(&live_part, 1, -1, 0, state) ? NGX_OK : NGX_DECLINED;
}


/* No segment will begin behind the last one, so its end is made of its frames, as the
 * list has it (../http/hls_store.c). */
void
recorder_live_last(recorder_t *rec)
{
    int64_t              start;
    rec_live_t           live;
    mp4_track_t          tracks[2];
    part_state_t         state;
    hub_segment_t        this, next;
    const hub_stream_t  *s = rec->reader.ref.stream;

    if (rec->live.number == 0 || live_size(rec) == 0
        || rec->reader.index != hub_load(&s->head)
        || hub_segment(hub, &rec->reader, rec->live.number, &this) != NGX_OK
        || this.index >= rec->reader.index
        || hub_segment(hub, &rec->reader, this.number + 1, &next) != NGX_AGAIN
        || live_tracks(rec, &this, tracks) != NGX_OK
        || live_parts(rec, &this, tracks, &state, &start) != NGX_OK)
    {
        return;
    }

    next.start = start + hub_rest_ms(&this, s->target_s, s->part_ms,
                                     hub_load(&s->parts) == HUB_PARTS_LISTED, start,
                                     part_state_end(&state, tracks[MP4_AUDIO].timescale));
    next.sound = state.sound;
    next.sound_set = state.sound_set;

    live_describe(rec, &this, &next, &live);
    rec->live_line_len = rec_index_live(rec->live_line, &live);
    rec->live.number = 0;
}


/* --- a segment's beginning --- */

/* Has the file the tracks of segment S?  When sound begins, a file may be written anew
 * with it, and then also begins with frames that HLS has without it. */
static int
live_has_tracks(const recorder_t *rec, const hub_segment_t *s)
{
    int          kind;
    mp4_track_t  tracks[2];

    if (live_tracks(rec, s, tracks) != NGX_OK) {
        return 0;
    }

    for (kind = 0; kind < 2; kind++) {
        if ((tracks[kind].codec != FLV_CODEC_NONE)
            != fragment_has(&rec->fragment, kind))
        {
            return 0;
        }
    }

    return 1;
}


ngx_int_t
recorder_live_begin(recorder_t *rec)
{
    ngx_int_t      rc;
    hub_segment_t  s;

    rec->live.number = 0;

    /* a file that goes back to a key frame has later headers than its first frames */
    if (!rec->format->indexed || rec->stale || rec->reader.index < rec->config_at) {
        return NGX_OK;
    }

    rc = hub_segment_newest(hub, &rec->reader, &s);

    if (rc == NGX_AGAIN || (rc == NGX_OK && s.index < rec->reader.index)) {
        return NGX_AGAIN;                /* entries are there before their segment */
    }

    while (rc == NGX_OK && s.index > rec->reader.index && s.number > 0) {
        rc = hub_segment(hub, &rec->reader, s.number - 1, &s);
    }

    if (rc == NGX_OK && s.index == rec->reader.index && live_has_tracks(rec, &s)) {
        rec->live.number = s.number;
        rec->live.offset = rec->at.size;
        rec->live.end = 0;
    }

    return NGX_OK;
}


/* Sound of a publisher that returns comes before its first picture, and HLS leaves it
 * out: a segment may end before such frames, and has none amid it. */
void
recorder_live_frame(recorder_t *rec, const hub_entry_t *e, int left_out)
{
    if (!(e->flags & HUB_HIDDEN)) {
        if (left_out || rec->live.end) {
            rec->live.number = 0;
        }

    } else if (!left_out && rec->live.end == 0) {
        if (fragment_empty(&rec->fragment)) {
            rec->live.end = rec->at.size;
        } else {
            rec->live.number = 0;
        }
    }
}


void
recorder_live_line(recorder_t *rec)
{
    ngx_memcpy(rec->job.lines + rec->job.lines_len, rec->live_line,
               rec->live_line_len);
    rec->job.lines_len += rec->live_line_len;
    rec->live_line_len = 0;
}


void
recorder_live_drop(recorder_t *rec)
{
    rec->live.number = 0;
    rec->live_line_len = 0;
}


void
recorder_live_resume(recorder_t *rec)
{
    recorder_live_drop(rec);

    if (rec->row.live && rec->row.file_size == rec->at.size) {
        rec->live.number = rec->row.live;
        rec->live.offset = rec->row.live_at;
        rec->live.end = 0;
    }
}
