/*
 * Which streams are to be recorded, by which worker, and the state of each recording.
 * The recorder itself is in dvr/; the progress that it stores here lets another
 * worker continue the same file.
 */

#include "hub.h"


void
hub_record_set(hub_stream_t *s, int on, uint64_t from)
{
    hub_recording_t  *rec = &s->recording;

    /* record no entry twice */
    if (on && !rec->wanted && rec->worker == 0) {
        rec->next = ngx_max(rec->next, from);
    }

    hub_store(&rec->wanted, on != 0);
}


ngx_int_t
hub_record_want(hub_t *h, const u_char *name, size_t len, int on)
{
    uint64_t       key;
    hub_stream_t  *s;

    ngx_shmtx_lock(&h->pool->mutex);

    s = hub_find(h, name, len);

    if (s) {
        key = hub_load(&s->key_plus_one);
        hub_record_set(s, on, key ? key - 1 : hub_load(&s->head));
    }

    ngx_shmtx_unlock(&h->pool->mutex);

    return s ? NGX_OK : NGX_DECLINED;
}


int
hub_record_claim(hub_t *h, uint32_t i, hub_ref_t *ref)
{
    int            taken;
    hub_stream_t  *s = &h->streams[i];

    if (h->worker == HUB_NO_SLOT || !hub_load(&s->recording.wanted)
        || hub_load(&s->recording.worker)
        || !hub_stream_is_on(s)
        || (s->state == HUB_LIVE && s->worker != h->worker)
        || (s->state == HUB_GRACE && ngx_exiting))
    {
        return 0;
    }

    ngx_shmtx_lock(&h->pool->mutex);

    taken = s->recording.wanted && s->recording.worker == 0
            && hub_stream_is_on(s);

    if (taken) {
        hub_store(&s->recording.worker, h->worker + 1);
        ref->stream = s;
        ref->generation = s->generation;
    }

    ngx_shmtx_unlock(&h->pool->mutex);

    return taken;
}


/* Is this worker still the recorder of REF's stream?  The caller holds the mutex. */
static int
hub_record_holds(const hub_t *h, const hub_ref_t *ref)
{
    const hub_stream_t  *s = ref->stream;

    return s->generation == ref->generation && hub_stream_is_on(s)
           && s->recording.worker == h->worker + 1;
}


void
hub_record_save(hub_t *h, const hub_ref_t *ref, const hub_recording_t *row)
{
    hub_recording_t  *rec = &ref->stream->recording;

    ngx_shmtx_lock(&h->pool->mutex);

    if (hub_record_holds(h, ref)) {
        rec->file_utc = 0;                   /* a SIGKILL half-way: continue no file */
        hub_step();
        rec->gaps = row->gaps;
        rec->session = row->session;
        rec->next = row->next;
        rec->bytes = row->bytes;
        rec->file_dts = row->file_dts;
        rec->file_config = row->file_config;
        rec->file_size = row->file_size;
        rec->live = row->live;
        rec->live_at = row->live_at;
        hub_step();
        rec->file_utc = row->file_utc;
    }

    ngx_shmtx_unlock(&h->pool->mutex);
}


int
hub_record_goes_on(hub_t *h, const hub_ref_t *ref)
{
    uint64_t             kind = 0;
    const hub_stream_t  *s = ref->stream;

    ngx_shmtx_lock(&h->pool->mutex);

    if (hub_record_holds(h, ref)) {
        kind = s->state == HUB_LIVE && s->worker != h->worker
               ? h->workers[s->worker].recorder : h->header->recorder;
    }

    ngx_shmtx_unlock(&h->pool->mutex);

    return kind == h->recorder;
}


void
hub_record_release(hub_t *h, const hub_ref_t *ref, int done)
{
    hub_stream_t     *s = ref->stream;
    hub_recording_t  *rec = &s->recording;

    ngx_shmtx_lock(&h->pool->mutex);

    if (hub_record_holds(h, ref)) {
        if (done) {
            rec->file_utc = 0;
            rec->session = 0;
            rec->bytes = 0;
            rec->gaps = 0;
            rec->next = ngx_max(rec->next, rec->wanted && s->key_plus_one
                                           ? s->key_plus_one - 1 : s->head);
        }

        hub_store(&rec->worker, 0);

        if (done && rec->state != HUB_RECORD_OFF) {
            rec->state = HUB_RECORD_OFF;
            hub_changed(h, s, s->state);
        }
    }

    ngx_shmtx_unlock(&h->pool->mutex);
}


uint32_t
hub_record_state(hub_t *h, const hub_ref_t *ref, enum hub_record state)
{
    uint32_t       i, n = 0, waits = state > HUB_RECORD_ON;
    hub_stream_t  *s = ref->stream;

    ngx_shmtx_lock(&h->pool->mutex);

    if (hub_record_holds(h, ref) && s->recording.state != (uint32_t) state) {
        waits |= s->recording.state > HUB_RECORD_ON;
        s->recording.state = state;
        hub_changed(h, s, s->state);
    }

    for (i = 0; waits && i < h->header->stream_end; i++) {
        n += hub_stream_is_on(&h->streams[i])
             && h->streams[i].recording.state > HUB_RECORD_ON;
    }

    ngx_shmtx_unlock(&h->pool->mutex);

    return n;
}


void
hub_record_forget(hub_t *h, uint32_t slot)
{
    uint32_t  i;

    for (i = 0; i < h->header->stream_end; i++) {
        if (h->streams[i].recording.worker == slot + 1) {
            hub_store(&h->streams[i].recording.worker, 0);
        }
    }
}


const char *
hub_record_name(enum hub_record state)
{
    static const char *const  names[] = { "off", "on", "full", "failed" };

    return names[state];
}


int64_t
hub_stream_utc(const hub_stream_t *s, int64_t dts)
{
    const ngx_time_t  *tp = ngx_timeofday();

    return (int64_t) tp->sec * 1000 + (int64_t) tp->msec
           - (int64_t) ngx_current_msec + hub_load(&s->zero) + dts;
}
