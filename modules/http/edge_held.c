#include "edge_held.h"

#include "../hub/hub.h"

/* A hash leads to a bucket.  A place there has 32 other bits of the hash, and the pid of
 * the worker that took it; 0: it is free. */
#define HELD_BUCKETS  512
#define HELD_PLACES   32           /* of a bucket: of four users, or more */
#define HELD_SIZE     (HELD_BUCKETS * HELD_PLACES * sizeof(uint64_t))
#define HELD_SPARE    65536        /* for the slab pool's own tables */

static uint64_t  *held;            /* of this worker's cycle; NULL: it is no edge */


static ngx_int_t
held_init(ngx_shm_zone_t *zone, void *data)
{
    ngx_slab_pool_t  *pool = (ngx_slab_pool_t *) zone->shm.addr;

    if (data == NULL && !zone->shm.exists) {
        pool->data = ngx_slab_calloc(pool, HELD_SIZE);
    }

    zone->data = pool->data;           /* a reload keeps it: old workers go on */

    return zone->data ? NGX_OK : NGX_ERROR;
}


ngx_shm_zone_t *
edge_held_zone(ngx_conf_t *cf, ngx_module_t *module)
{
    ngx_str_t        name = ngx_string("hub_edge");
    ngx_shm_zone_t  *zone = ngx_shared_memory_add(cf, &name, HELD_SIZE + HELD_SPARE,
                                                  module);

    if (zone) {
        zone->init = held_init;
    }

    return zone;
}


void
edge_held_start(const ngx_shm_zone_t *zone)
{
    uint64_t    word;
    uint32_t    pid;
    ngx_uint_t  i;

    held = zone->data;

    for (i = 0; i < HELD_BUCKETS * HELD_PLACES; i++) {
        word = hub_load(&held[i]);
        pid = (uint32_t) word;

        if (word && (pid == (uint32_t) ngx_pid || hub_process_is_gone(pid))) {
            (void) __atomic_compare_exchange_n(&held[i], &word, 0, 0, __ATOMIC_ACQ_REL,
                                               __ATOMIC_ACQUIRE);
        }
    }
}


static uint64_t *
held_bucket(uint64_t id)
{
    return &held[id % HELD_BUCKETS * HELD_PLACES];
}


ngx_uint_t
edge_held_count(uint64_t id)
{
    uint64_t    word;
    ngx_uint_t  i, n = 0;

    for (i = 0; i < HELD_PLACES; i++) {
        word = hub_load(&held_bucket(id)[i]);
        n += word && word >> 32 == id >> 32;
    }

    return n;
}


uint64_t *
edge_held_take(uint64_t id)
{
    uint64_t    empty, *place = held_bucket(id);
    ngx_uint_t  i;

    for (i = 0; i < HELD_PLACES; i++, place++) {
        empty = 0;

        if (__atomic_compare_exchange_n(place, &empty, (id >> 32 << 32) | (uint32_t) ngx_pid,
                                        0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        {
            return place;
        }
    }

    return NULL;
}


uint64_t *
edge_held_give(uint64_t *place)
{
    if (place) {
        hub_store(place, 0);
    }

    return NULL;
}
