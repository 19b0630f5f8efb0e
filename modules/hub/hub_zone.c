/*
 * The shared zone: its layout and its first state, and checks for dead workers.
 */

#include "hub.h"

#define HUB_MAGIC        0x6475626cu
#define HUB_LAYOUT       16          /* change with any struct in hub_layout.h */
#define HUB_PER_STREAM   (4 * HUB_BLOCK_SIZE)
#define HUB_PER_SESSION  4096
#define HUB_PER_WORKER   65536
#define HUB_COUNTS_EACH  4           /* of a session: of its user and address, in
                                        all and on its stream */
#define HUB_COUNTS_SPARE 64          /* SIGKILLs may leak some until a rebuild */

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


/* Takes SIZE bytes of the zone from *AT on. */
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


/* Sets the addresses of all tables, which depend only on the zone's size.  Returns
 * the numbers of streams, blocks and sessions that fit. */
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
    h->visitors = hub_cut(base, &at, *nsessions * sizeof(hub_visitor_t));
    h->counts = hub_cut(base, &at, hub_ncounts(*nsessions)
                                   * sizeof(hub_count_t));
    h->slots = hub_cut(base, &at, *nstreams * sizeof(hub_slot_t));
    h->streams = hub_cut(base, &at, *nstreams * sizeof(hub_stream_t));
    h->next = hub_cut(base, &at, *nblocks * sizeof(uint32_t));

    at = ngx_align(at, 4096);
    h->data = base + at;
    *nblocks = (size - at) / HUB_BLOCK_SIZE;
}


/* Links all rows, slots and blocks of a new zone as free. */
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
                                                : HUB_NO_ROW;
        h->visitors[i].seen_ms = 0;
        h->visitors[i].first = HUB_NO_ROW;
    }

    for (i = 0; i < nstreams; i++) {
        h->slots[i].first = HUB_NO_STREAM;
        h->slots[i].next = i + 1 < nstreams ? (uint32_t) (i + 1)
                                            : HUB_NO_STREAM;
    }
}


/*
 * nginx writes a slab pool to the start of every zone and manages its mutex.  The hub
 * uses only the mutex of that pool, and the rest of the zone for its own tables.
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
            return NGX_OK;           /* a reload keeps all streams */
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

    /* the database stores session ids, so each run of nginx needs new ones */
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
