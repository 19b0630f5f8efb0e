/*
 * The segments of live HLS (../http/hls.md) in a recording.  A fragment ends before
 * each of them, so that a segment consists of whole fragments, and the index gets a line
 * for each segment whose frames are all in the file.  A live playlist goes back over
 * these.
 */

#include "recorder.h"


/* Describes the segment THIS, which ends where NEXT begins. */
static void
live_describe(const recorder_t *rec, const hub_segment_t *this,
    const hub_segment_t *next, rec_live_t *live)
{
    ngx_memzero(live, sizeof(rec_live_t));
    live->number = this->number;
    live->stream = rec->reader.ref.stream->started_utc;
    live->offset = rec->live.offset;
    live->size = rec->at.size - rec->live.offset;
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

    if (rc == NGX_OK && next.index == rec->reader.index
        && rec->at.size > rec->live.offset)
    {
        live_describe(rec, &this, &next, &live);
        rec->live_line_len = rec_index_live(rec->live_line, &live);
    }

    rec->live.number = 0;

    return NGX_OK;
}


/* Has the file the tracks of segment S?  When sound begins, a file may be written anew
 * with it, and then also begins with frames that HLS has without it. */
static int
live_has_tracks(const recorder_t *rec, const hub_segment_t *s)
{
    int          kind, there;
    size_t       at = 0;
    hub_init_t   init;
    mp4_track_t  track;

    if (hub_segment_init(hub, &rec->reader, s, &init) != NGX_OK) {
        return 0;
    }

    for (kind = 0; kind < 2; kind++) {
        there = mp4_track(&track, init.codec[kind], init.data + at, init.size[kind]) == 0
                && track.codec != FLV_CODEC_NONE;

        if (there != fragment_has(&rec->fragment, kind)) {
            return 0;
        }

        at += init.size[kind];
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
    }

    return NGX_OK;
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
    }
}
