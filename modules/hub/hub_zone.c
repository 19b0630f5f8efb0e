/*
 * The shared zone: layout, worker slots, and the sweep that cleans up
 * after the dead.
 */

#include "hub.h"

#define HUB_MAGIC        0x6475626cu
#define HUB_LAYOUT       10          /* change with any struct in hub.h */
#define HUB_PER_STREAM   (4 * HUB_BLOCK_SIZE)
#define HUB_PER_SESSION  4096
#define HUB_PER_WORKER   65536
#define HUB_MEASURE_MS   2000
#define HUB_COUNTS_EACH  4           /* of a session: of a user and an address,
                                        in all and on its stream */
#define HUB_COUNTS_SPARE 64          /* lost to SIGKILLs until a rebuild */

hub_t  *hub;


size_t
hub_zone_min_size(void)
{
    return 4 * 1024 * 1024;
}


uint32_t
hub_zone_workers(size_t size)
{
    return (uint32_t) ngx_min(size / HUB_PER_WORKER, HUB_WORKERS_MOST);
}


/* Cuts SIZE bytes off the zone from *AT on. */
static void *
hub_cut(u_char *base, size_t *at, size_t size)
{
    u_char  *p = base + *at;

    *at = ngx_align(*at + size, 64);

    return p;
}


static size_t
hub_ncounts(size_t nsessions)
{
    return HUB_COUNTS_EACH * nsessions + HUB_COUNTS_SPARE;
}


/* Where things lie follows from the zone's size alone.  Returns the counts
 * of what the zone has room for in H's header's terms. */
static void
hub_lay_out(hub_t *h, u_char *base, size_t size, size_t *nstreams,
    size_t *nblocks, size_t *nsessions)
{
    size_t  at = 0;

    *nstreams = size / HUB_PER_STREAM;
    *nsessions = size / HUB_PER_SESSION;
    *nblocks = size / HUB_BLOCK_SIZE;

    h->pool = hub_cut(base, &at, sizeof(ngx_slab_pool_t));
    h->header = hub_cut(base, &at, sizeof(hub_header_t));
    h->workers = hub_cut(base, &at,
                         hub_zone_workers(size) * sizeof(hub_worker_t));
    h->revoked = hub_cut(base, &at, HUB_REVOCATIONS * sizeof(hub_revocation_t));
    h->sessions = hub_cut(base, &at, *nsessions * sizeof(hub_session_t));
    h->counts = hub_cut(base, &at, hub_ncounts(*nsessions)
                                   * sizeof(hub_count_t));
    h->slots = hub_cut(base, &at, *nstreams * sizeof(hub_slot_t));
    h->streams = hub_cut(base, &at, *nstreams * sizeof(hub_stream_t));
    h->next = hub_cut(base, &at, *nblocks * sizeof(uint32_t));

    at = ngx_align(at, 4096);
    h->data = base + at;
    *nblocks = (size - at) / HUB_BLOCK_SIZE;
}


/* All of a fresh zone is free. */
static void
hub_zone_link(hub_t *h, size_t nstreams, size_t nblocks, size_t nsessions)
{
    size_t  i;

    ngx_memzero(h->sessions, nsessions * sizeof(hub_session_t));
    ngx_memzero(h->slots, nstreams * sizeof(hub_slot_t));
    ngx_memset(h->counts, 0xff, hub_ncounts(nsessions) * sizeof(hub_count_t));

    for (i = 0; i < nblocks; i++) {
        h->next[i] = i + 1 < nblocks ? (uint32_t) (i + 1) : HUB_NO_BLOCK;
    }

    for (i = 0; i < nsessions; i++) {
        h->sessions[i].next = i + 1 < nsessions ? (uint32_t) (i + 1)
                                                : (uint32_t) -1;
    }

    for (i = 0; i < nstreams; i++) {
        h->slots[i].first = HUB_NO_STREAM;
        h->slots[i].next = i + 1 < nstreams ? (uint32_t) (i + 1)
                                            : HUB_NO_STREAM;
    }
}


/*
 * nginx writes a slab pool to the start of every zone and keeps its mutex; of
 * that pool only the mutex is used, the rest of the zone is ours.
 */
ngx_int_t
hub_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    hub_t     *h = shm_zone->data;
    size_t     nstreams, nblocks, nsessions;
    ngx_log_t *log = shm_zone->shm.log;

    hub_lay_out(h, shm_zone->shm.addr, shm_zone->shm.size, &nstreams, &nblocks,
                &nsessions);

    if (data || shm_zone->shm.exists) {
        if (h->header->magic == HUB_MAGIC && h->header->layout == HUB_LAYOUT
            && h->header->size == shm_zone->shm.size)
        {
            return NGX_OK;           /* taken over with all its streams */
        }

        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "hub_zone \"%V\" has layout %uD of size %uz, expected "
                      "layout %d of size %uz: restart nginx instead of "
                      "reloading it", &shm_zone->shm.name, h->header->layout,
                      h->header->size, HUB_LAYOUT, shm_zone->shm.size);
        return NGX_ERROR;
    }

    ngx_memzero(h->header, sizeof(hub_header_t));
    ngx_memzero(h->workers, hub_zone_workers(shm_zone->shm.size)
                            * sizeof(hub_worker_t));
    ngx_memzero(h->streams, nstreams * sizeof(hub_stream_t));
    hub_zone_link(h, nstreams, nblocks, nsessions);

    /* ids of sessions are told to the database: no two runs share one */
    h->header->session_id = (uint64_t) ngx_time() * 1000;
    h->header->nsessions = (uint32_t) nsessions;
    h->header->ncounts = (uint32_t) hub_ncounts(nsessions);
    h->header->count_free = (uint32_t) -1;
    h->header->nworkers = hub_zone_workers(shm_zone->shm.size);
    h->header->size = shm_zone->shm.size;
    h->header->nstreams = (uint32_t) nstreams;
    h->header->nblocks = (uint32_t) nblocks;
    h->header->nfree = (uint32_t) nblocks;
    h->header->layout = HUB_LAYOUT;
    h->header->magic = HUB_MAGIC;

    return h->revocations ? hub_revocations_read(h, log) : NGX_OK;
}


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


/* The caller holds the mutex. */
static void
hub_worker_forget(hub_t *h, uint32_t slot)
{
    uint32_t       i;
    hub_stream_t  *s;

    hub_due(h, 0);                           /* it may have died in a sweep */
    hub_sessions_forget(h, slot);
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

    hub_step();                              /* the slot is free when all is */
    ngx_memzero(&h->workers[slot], sizeof(hub_worker_t));
}


/* Gives back what an ending stream holds, unless it is still appended to. */
static void
hub_stream_release(hub_t *h, hub_stream_t *s)
{
    if (!hub_writer_is_out(h, s)) {
        hub_due(h, ngx_current_msec);
        return;
    }

    /* their numbers stay: a reader that still looks up an entry may find another
     * stream's, and sees the changed generation by the check after use */
    hub_blocks_give(h, s, UINT64_MAX, UINT64_MAX);
    hub_step();
    hub_store(&s->state, HUB_FREE);
    hub_step();
    hub_slot_give(h, s);
}


/* The sessions on it stay: each finds out on its own that it is over. */
void
hub_stream_end(hub_t *h, hub_stream_t *s)
{
    hub_writer_stop(s);
    hub_store(&s->generation, s->generation + 1);
    hub_step();
    hub_store(&s->state, HUB_ENDING);
    hub_name_unlink(h, s);
    hub_changed(h, s, HUB_FREE);
    hub_stream_release(h, s);
}


/* How fast streams are sent, from what their sessions counted.  The caller
 * holds the mutex. */
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


/* A process that is not yet waited for by its parent counts as alive. */
static int
hub_process_is_gone(uint32_t pid)
{
    return kill((pid_t) pid, 0) == -1 && ngx_errno == NGX_ESRCH;
}


int
hub_worker_is_gone(const hub_t *h, uint32_t slot)
{
    uint32_t  pid = hub_load(&h->workers[slot].pid);

    return pid == 0 || hub_process_is_gone(pid);
}


/* Is it the slot of a worker that is gone without a word?  One with our own pid
 * that is not ours is of a process that had the pid before us. */
static int
hub_slot_is_left(const hub_t *h, uint32_t slot, uint32_t pid)
{
    if (pid == (uint32_t) ngx_pid) {
        return slot != h->worker && ngx_process == NGX_PROCESS_WORKER;
    }

    return pid && hub_process_is_gone(pid);
}


/* Gives back what such workers held. */
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
                          "hub: worker %uD is gone, its streams await their "
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
                      "hub: all %uD worker slots of hub_zone \"%V\" are held, "
                      "by workers that earlier reloads left with their viewers "
                      "too: this one refuses publishers and viewers until a "
                      "slot is free", h->header->nworkers,
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


void
hub_due(hub_t *h, uint64_t ms)
{
    uint64_t  due;

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    due = hub_load(&h->header->due_ms);

    while (ms < due
           && !__atomic_compare_exchange_n(&h->header->due_ms, &due, ms, 0,
                                           __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
    { /* void */ }
}


/* Is its grace over, or has it ended and waits to be freed? */
static int
hub_stream_is_due(const hub_stream_t *s)
{
    uint32_t  state = hub_load(&s->state);

    return state == HUB_ENDING
           || (state == HUB_GRACE
               && (int64_t) (ngx_current_msec - s->grace_until_ms) >= 0);
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

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "hub: stream \"%*s\" ended, its publisher did not return",
                  (size_t) s->name_len, s->name);
    hub_stream_end(h, s);
}


/* A stream is made to wait before due_ms is lowered.  So whoever lowers it after
 * it was raised here does it once more, and one that lowered it before is seen. */
static void
hub_sweep_streams(hub_t *h, ngx_log_t *log)
{
    uint32_t       i;
    hub_stream_t  *s;

    if (ngx_current_msec < hub_load(&h->header->due_ms)) {
        return;
    }

    hub_store(&h->header->due_ms, UINT64_MAX);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    for (i = 0; i < hub_load(&h->header->stream_end); i++) {
        s = &h->streams[i];

        if (hub_stream_is_due(s)) {
            ngx_shmtx_lock(&h->pool->mutex);
            hub_sweep_stream(h, s, log);
            ngx_shmtx_unlock(&h->pool->mutex);

        } else if (hub_load(&s->state) == HUB_GRACE) {
            hub_due(h, s->grace_until_ms);
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
    hub_deaf_sweep(h, log);
    hub_session_sweep(h);
}
