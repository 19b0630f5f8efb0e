/*
 * The workers' slots in the zone, and the sweep that cleans up after dead workers.
 */

#include "hub.h"

#define HUB_MEASURE_MS   2000


/* Takes a free slot, if there is one. */
static int
hub_worker_claim(hub_t *h)
{
    uint32_t  i;

    ngx_shmtx_lock(&h->pool->mutex);

    for (i = 0; i < h->header->nworkers; i++) {
        if (h->workers[i].pid == 0) {
            ngx_memzero(&h->workers[i], sizeof(hub_worker_t));
            h->workers[i].recorder = h->recorder;
            h->header->worker_end = ngx_max(h->header->worker_end, i + 1);
            hub_store(&h->workers[i].pid, (uint32_t) ngx_pid);
            h->worker = i;
            break;
        }
    }

    ngx_shmtx_unlock(&h->pool->mutex);

    return h->worker != HUB_NO_SLOT;
}


/* Frees SLOT and all that its worker holds.  The caller holds the mutex. */
static void
hub_worker_forget(hub_t *h, uint32_t slot)
{
    uint32_t       i;
    hub_stream_t  *s;

    hub_due(h, 0);                           /* it may have died in its sweep */
    hub_sessions_forget(h, slot);
    hub_visits_link(h);
    hub_record_forget(h, slot);
    hub_slots_rebuild(h);

    for (i = 0; i < h->header->stream_end; i++) {
        s = &h->streams[i];
        hub_writer_leave(s, slot);

        if (s->state == HUB_LIVE && s->worker == slot) {
            hub_stream_leave(h, s);
            hub_changed(h, s, HUB_GRACE);
        }
    }

    hub_step();                              /* free the slot last */
    ngx_memzero(&h->workers[slot], sizeof(hub_worker_t));
}


/* Measures kbps_out of all streams by the bytes of their sessions.  The caller holds
 * the mutex. */
static void
hub_measure_out(hub_t *h, uint64_t elapsed)
{
    uint32_t        i;
    uint64_t        before;
    hub_stream_t   *s;
    hub_session_t  *row;

    size_t          from = offsetof(hub_stream_t, kbps_out);
    size_t          to = offsetof(hub_stream_t, viewers_now);

    for (i = 0; i < h->header->stream_end; i++) {
        hub_stream_ahead(h, i, from, to);
        h->streams[i].bytes_out_now = h->streams[i].bytes_out;
    }

    for (i = 0; i < h->header->session_end; i++) {
        row = &h->sessions[i];

        if (row->id && row->protocol != HUB_PUBLISH
            && row->stream != HUB_NO_STREAM
            && row->generation == h->streams[row->stream].generation)
        {
            h->streams[row->stream].bytes_out_now += hub_load(&row->bytes);
        }
    }

    for (i = 0; i < h->header->stream_end; i++) {
        hub_stream_ahead(h, i, from, to);
        s = &h->streams[i];
        before = s->bytes_out_seen;
        s->bytes_out_seen = s->bytes_out_now;
        s->kbps_out = before > s->bytes_out_seen ? 0
                    : (uint32_t) ((s->bytes_out_seen - before) * 8 / elapsed);
    }
}


static void
hub_sweep_measure(hub_t *h)
{
    uint64_t  elapsed = ngx_current_msec - hub_load(&h->header->measured_ms);

    if (elapsed < HUB_MEASURE_MS) {
        return;
    }

    ngx_shmtx_lock(&h->pool->mutex);

    elapsed = ngx_current_msec - h->header->measured_ms;

    if ((int64_t) elapsed >= HUB_MEASURE_MS) {
        hub_measure_out(h, elapsed);
        hub_store(&h->header->measured_ms, ngx_current_msec);
    }

    ngx_shmtx_unlock(&h->pool->mutex);
}


/* Did the worker of SLOT die without freeing it?  Another slot with our own pid
 * belongs to a dead worker that had the same pid. */
static int
hub_slot_is_left(const hub_t *h, uint32_t slot, uint32_t pid)
{
    if (pid == (uint32_t) ngx_pid) {
        return slot != h->worker && ngx_process == NGX_PROCESS_WORKER;
    }

    return pid && hub_process_is_gone(pid);
}


/* Frees the slots of dead workers, and all that they held. */
static void
hub_sweep_workers(hub_t *h, ngx_log_t *log)
{
    uint32_t  i, pid;

    for (i = 0; i < hub_load(&h->header->worker_end); i++) {
        pid = hub_load(&h->workers[i].pid);

        if (!hub_slot_is_left(h, i, pid)) {
            continue;
        }

        ngx_shmtx_lock(&h->pool->mutex);
        if (h->workers[i].pid == pid) {
            ngx_log_error(NGX_LOG_WARN, log, 0,
                          "hub: worker %uD died, its streams wait for their "
                          "publishers", pid);
            hub_worker_forget(h, i);
        }
        ngx_shmtx_unlock(&h->pool->mutex);
    }
}


void
hub_worker_start(hub_t *h, ngx_log_t *log)
{
    hub_sessions_start();
    hub_deaf_start();
    hub_sweep_workers(h, log);

    if (!hub_worker_claim(h)) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "hub: workers, also old ones that still have viewers "
                      "after a reload, hold all %uD worker slots of hub_zone "
                      "\"%V\": this worker refuses publishers and viewers until "
                      "a slot is free", h->header->nworkers,
                      &h->shm_zone->shm.name);
    }
}


void
hub_worker_stop(hub_t *h)
{
    if (h->worker == HUB_NO_SLOT) {
        return;
    }

    ngx_shmtx_lock(&h->pool->mutex);
    hub_worker_forget(h, h->worker);
    ngx_shmtx_unlock(&h->pool->mutex);

    h->worker = HUB_NO_SLOT;
}


/* Does the stream wait for its end, or to be freed? */
static int
hub_stream_waits(const hub_stream_t *s)
{
    uint32_t  state = hub_load(&s->state);

    return state == HUB_ENDING || state == HUB_GRACE
           || (state == HUB_CARRIED && s->viewers == 0);
}


/* Is that over? */
static int
hub_stream_is_due(const hub_stream_t *s)
{
    return hub_stream_waits(s)
           && (int64_t) (ngx_current_msec - hub_load(&s->grace_until_ms)) >= 0;
}


static void
hub_sweep_stream(hub_t *h, hub_stream_t *s, ngx_log_t *log)
{
    if (!hub_stream_is_due(s)) {
        return;
    }

    if (s->state == HUB_ENDING) {
        hub_stream_release(h, s);
        return;
    }

    ngx_log_error(NGX_LOG_NOTICE, log, 0, "hub: stream \"%*s\" ended: %s",
                  (size_t) s->name_len, s->name,
                  s->state == HUB_GRACE ? "its publisher did not return"
                                        : "it has no viewers here any more");
    hub_stream_end(h, s);
}


/* A worker stores the state grace before it lowers due_ms.  If it lowers due_ms before
 * the store here, the loop sees the state; if after, the lower value remains. */
static void
hub_sweep_streams(hub_t *h, ngx_log_t *log)
{
    uint32_t       i;
    hub_stream_t  *s;

    if (ngx_current_msec < hub_load(&h->header->due_ms)) {
        return;
    }

    /* other workers sweep then, should this one stop in the loop */
    hub_store(&h->header->due_ms, ngx_current_msec + 10 * HUB_SWEEP_MS);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    for (i = 0; i < hub_load(&h->header->stream_end); i++) {
        s = &h->streams[i];

        if (hub_stream_is_due(s)) {
            ngx_shmtx_lock(&h->pool->mutex);
            hub_sweep_stream(h, s, log);
            ngx_shmtx_unlock(&h->pool->mutex);

        } else if (hub_stream_waits(s)) {
            hub_due(h, s->grace_until_ms);

        } else if (hub_load(&s->state) == HUB_CARRIED) {
            hub_due(h, ngx_max(hub_load(&s->grace_until_ms),
                               ngx_current_msec + HUB_CARRY_MS));
        }
    }
}


void
hub_sweep(hub_t *h, ngx_log_t *log)
{
    hub_sweep_workers(h, log);

    if (h->worker == HUB_NO_SLOT && !ngx_exiting && hub_worker_claim(h)) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0, "hub: this worker got a slot of "
                      "hub_zone \"%V\"", &h->shm_zone->shm.name);
    }

    hub_sweep_streams(h, log);
    hub_sweep_measure(h);
    hub_visit_sweep(h);
    hub_deaf_sweep(h, log);
    hub_session_sweep(h);
}
