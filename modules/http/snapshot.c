#include "snapshot.h"

#define SNAPSHOT_SPARE  64         /* room for streams and sessions added meanwhile */


/* The caller holds the mutex. */
static void
snapshot_copy_stream(hub_t *h, const hub_stream_t *s, snapshot_stream_t *row)
{
    uint64_t  first = hub_load(&s->first), head = hub_load(&s->head);
    uint64_t  tail = hub_load(&s->tail);     /* before `end`, which is never less */

    ngx_memzero(row, sizeof(snapshot_stream_t));

    if (!hub_stream_is_on(s)) {
        return;
    }

    row->state = hub_load(&s->state);

    row->generation = s->generation;
    row->name_len = s->name_len;
    ngx_memcpy(row->name, s->name, sizeof(row->name));
    ngx_memcpy(row->address, s->address, sizeof(row->address));
    row->id = s->id;
    row->uid = s->uid;
    row->session = s->session;
    row->publisher_pid = row->state == HUB_LIVE
                         ? h->workers[s->worker].pid : 0;
    row->since_ms = ngx_current_msec - s->started_ms;
    row->dts = s->dts;
    row->window_bytes = hub_load(&s->end) - tail;
    row->window_ms = first < head ? s->dts - hub_entry(h, s, first)->dts : 0;
    row->bytes_in = s->bytes_in;
    row->bytes_out = s->bytes_out;
    row->kbps_in = s->kbps_in;
    row->kbps_out = s->kbps_out;
    row->fps_milli = s->fps_milli;
    row->gop_ms = s->gop_ms;
    row->gaps = s->gaps;
    row->width = s->width;
    row->height = s->height;
    row->video = s->video;
    row->audio = s->audio;
    row->max_kbps = s->max_kbps;
    row->max_viewers = s->max_viewers;
    row->viewers = s->viewers;
    row->outgrown = hub_outgrown(s);
    row->recording = s->recording;
}


/* The caller holds the mutex. */
static void
snapshot_copy(hub_t *h, snapshot_t *s, int sessions)
{
    uint32_t             i;
    const hub_header_t  *z = h->header;

    s->nworkers = z->worker_end;
    s->workers_max = z->nworkers;
    s->streams_max = z->nstreams;
    ngx_memcpy(s->workers, h->workers, s->nworkers * sizeof(hub_worker_t));
    ngx_memcpy(s->admitted, z->admitted, sizeof(s->admitted));
    ngx_memcpy(s->refused, z->refused, sizeof(s->refused));
    s->size = z->size;
    s->nblocks = z->nblocks;
    s->nfree = z->nfree;
    s->sessions_max = z->nsessions;
    s->changes = z->changes;
    s->bytes_in = z->bytes_in;
    s->bytes_out = z->bytes_out;
    s->recorded = hub_load(&z->recorded);
    s->record_gaps = hub_load(&z->record_gaps);
    s->hls_parts = hub_load(&z->hls_parts);
    s->hls_frames = hub_load(&z->hls_frames);

    for (i = 0; i < s->nstreams; i++) {
        hub_stream_ahead(h, i, 0, offsetof(hub_stream_t, first_block));
        snapshot_copy_stream(h, &h->streams[i], &s->streams[i]);
    }

    for (i = 0; sessions && i < z->session_end; i++) {
        if (h->sessions[i].id) {
            s->sessions[s->nsessions++] = h->sessions[i];
        }
    }
}


/* Adds the bytes of session ROW to the totals, and to those of its STREAM, if any. */
static void
snapshot_add_bytes(snapshot_t *s, snapshot_stream_t *stream, const hub_session_t *row)
{
    if (row->protocol == HUB_PUBLISH) {
        s->bytes_in += row->bytes;
        return;
    }

    s->bytes_out += row->bytes;

    if (stream) {
        stream->bytes_out += row->bytes;
    }
}


/* Counts the copied sessions, after the mutex was unlocked, and drops barred ones. */
static void
snapshot_count(snapshot_t *s)
{
    uint32_t              i, n = 0;
    snapshot_stream_t    *stream;
    const hub_session_t  *row;

    for (i = 0; i < s->nsessions; i++) {
        row = &s->sessions[i];
        stream = (snapshot_stream_t *) snapshot_stream_of(s, row);
        snapshot_add_bytes(s, stream, row);

        if (hub_session_is_barred(row)) {
            continue;
        }

        s->by[row->protocol]++;

        if (stream) {
            stream->by[row->protocol]++;
        }

        s->sessions[n++] = *row;
    }

    s->nsessions = n;
}


snapshot_t *
snapshot_take(hub_t *h, enum snapshot_scope scope)
{
    uint32_t     room = 0, n;
    snapshot_t  *s;

    for ( ;; ) {
        n = hub_load(&h->header->stream_end) + SNAPSHOT_SPARE;

        if (scope == SNAPSHOT_SESSIONS) {
            room = hub_load(&h->header->session_end) + SNAPSHOT_SPARE;
        }

        s = calloc(1, sizeof(snapshot_t) + n * sizeof(snapshot_stream_t)
                      + room * sizeof(hub_session_t)
                      + h->header->nworkers * sizeof(hub_worker_t));
        if (s == NULL) {
            return NULL;
        }

        s->streams = (snapshot_stream_t *) (s + 1);
        s->sessions = (hub_session_t *) (s->streams + n);
        s->workers = (hub_worker_t *) (s->sessions + room);

        ngx_shmtx_lock(&h->pool->mutex);

        s->nstreams = h->header->stream_end;

        if (s->nstreams <= n
            && (scope != SNAPSHOT_SESSIONS || h->header->session_end <= room))
        {
            break;
        }

        ngx_shmtx_unlock(&h->pool->mutex);       /* the tables grew meanwhile */
        free(s);
    }

    snapshot_copy(h, s, scope == SNAPSHOT_SESSIONS);
    ngx_shmtx_unlock(&h->pool->mutex);

    snapshot_count(s);

    return s;
}


void
snapshot_free(snapshot_t *s)
{
    free(s);
}


void
snapshot_stream(hub_t *h, uint32_t slot, uint32_t generation,
    snapshot_stream_t *row)
{
    ngx_shmtx_lock(&h->pool->mutex);

    snapshot_copy_stream(h, &h->streams[slot], row);

    ngx_shmtx_unlock(&h->pool->mutex);

    if (row->generation != generation) {
        row->state = HUB_FREE;
    }
}


const snapshot_stream_t *
snapshot_stream_of(const snapshot_t *s, const hub_session_t *session)
{
    const snapshot_stream_t  *stream;

    if (session->stream >= s->nstreams) {
        return NULL;
    }

    stream = &s->streams[session->stream];

    return stream->state != HUB_FREE && stream->generation == session->generation
           ? stream : NULL;
}
