#include "ngx_rtmp_guard_zone.h"


#define ADDRESS_LEN  16
#define NONE         NGX_RTMP_GUARD_ZONE_NONE


typedef struct {
    u_char          addr[ADDRESS_LEN];
    ngx_pid_t       pid;
    uint32_t        bucket;
    uint32_t        next;               /* in the bucket or the free list */
} ngx_rtmp_guard_entry_t;


typedef struct {
    uint32_t                 size;      /* of entries and of buckets */
    uint32_t                 free;
    uint32_t                *buckets;
    ngx_rtmp_guard_entry_t  *entries;
} ngx_rtmp_guard_table_t;


static ngx_int_t ngx_rtmp_guard_zone_init(ngx_shm_zone_t *zone, void *data);
static void ngx_rtmp_guard_zone_address(struct sockaddr *sa, u_char *addr);
static void ngx_rtmp_guard_zone_bucket_sweep(ngx_rtmp_guard_table_t *table,
    uint32_t bucket, ngx_uint_t fresh);


ngx_shm_zone_t *
ngx_rtmp_guard_zone_add(ngx_conf_t *cf, size_t size, void *tag)
{
    ngx_str_t        name = ngx_string("rtmp_guard");
    ngx_shm_zone_t  *zone;

    zone = ngx_shared_memory_add(cf, &name, size, tag);

    if (zone) {
        zone->init = ngx_rtmp_guard_zone_init;
    }

    return zone;
}


static ngx_int_t
ngx_rtmp_guard_zone_init(ngx_shm_zone_t *zone, void *data)
{
    size_t                   avail;
    uint32_t                 i;
    ngx_slab_pool_t         *shpool;
    ngx_rtmp_guard_table_t  *table;

    if (data) {                          /* a reload: the old table goes on */
        zone->data = data;
        return NGX_OK;
    }

    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    if (zone->shm.exists) {
        zone->data = shpool->data;
        return NGX_OK;
    }

    table = ngx_slab_calloc(shpool, sizeof(ngx_rtmp_guard_table_t));
    if (table == NULL) {
        return NGX_ERROR;
    }

    avail = shpool->pfree * ngx_pagesize;
    table->size = avail / (sizeof(ngx_rtmp_guard_entry_t) + sizeof(uint32_t));
    table->entries = ngx_slab_alloc(shpool, avail);

    if (table->entries == NULL) {
        return NGX_ERROR;
    }

    table->buckets = (uint32_t *) (table->entries + table->size);

    for (i = 0; i < table->size; i++) {
        table->buckets[i] = NONE;
        table->entries[i].next = i + 1;
    }

    table->entries[table->size - 1].next = NONE;
    table->free = 0;

    shpool->data = table;
    zone->data = table;

    return NGX_OK;
}


/* IPv6: a /64 is one client */

static void
ngx_rtmp_guard_zone_address(struct sockaddr *sa, u_char *addr)
{
    ngx_memzero(addr, ADDRESS_LEN);

#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;

    if (sa->sa_family == AF_INET6) {
        sin6 = (struct sockaddr_in6 *) sa;

        if (IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr)) {
            ngx_memcpy(addr, &sin6->sin6_addr.s6_addr[12], 4);

        } else {
            addr[ADDRESS_LEN - 1] = 6;
            ngx_memcpy(addr, &sin6->sin6_addr, 8);
        }

        return;
    }
#endif

    ngx_memcpy(addr, &((struct sockaddr_in *) sa)->sin_addr, 4);
}


ngx_int_t
ngx_rtmp_guard_zone_enter(ngx_shm_zone_t *zone, struct sockaddr *sa,
    ngx_uint_t limit, uint32_t *entry)
{
    u_char                   addr[ADDRESS_LEN];
    uint32_t                 bucket, i;
    ngx_int_t                rc;
    ngx_uint_t               count, round;
    ngx_slab_pool_t         *shpool;
    ngx_rtmp_guard_table_t  *table;

    table = zone->data;
    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    ngx_rtmp_guard_zone_address(sa, addr);

    bucket = ngx_crc32_short(addr, ADDRESS_LEN) % table->size;
    rc = NGX_DECLINED;

    ngx_shmtx_lock(&shpool->mutex);

    for (round = 0; round < 2; round++) {

        count = 0;

        for (i = table->buckets[bucket]; i != NONE; i = table->entries[i].next)
        {
            if (ngx_memcmp(table->entries[i].addr, addr, ADDRESS_LEN) == 0) {
                count++;
            }
        }

        if (count < limit) {
            rc = NGX_OK;
            break;
        }

        /* before refusing: are all of these really alive? */
        ngx_rtmp_guard_zone_bucket_sweep(table, bucket, 0);
    }

    if (rc == NGX_OK) {
        i = table->free;

        if (i == NONE) {
            rc = NGX_BUSY;

        } else {
            table->free = table->entries[i].next;

            ngx_memcpy(table->entries[i].addr, addr, ADDRESS_LEN);
            table->entries[i].pid = ngx_pid;
            table->entries[i].bucket = bucket;
            table->entries[i].next = table->buckets[bucket];
            table->buckets[bucket] = i;

            *entry = i;
        }
    }

    ngx_shmtx_unlock(&shpool->mutex);

    return rc;
}


void
ngx_rtmp_guard_zone_leave(ngx_shm_zone_t *zone, uint32_t entry)
{
    uint32_t                *link;
    ngx_slab_pool_t         *shpool;
    ngx_rtmp_guard_table_t  *table;

    table = zone->data;
    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    ngx_shmtx_lock(&shpool->mutex);

    link = &table->buckets[table->entries[entry].bucket];

    while (*link != NONE && *link != entry) {
        link = &table->entries[*link].next;
    }

    if (*link == entry) {
        *link = table->entries[entry].next;
        table->entries[entry].next = table->free;
        table->free = entry;
    }

    ngx_shmtx_unlock(&shpool->mutex);
}


void
ngx_rtmp_guard_zone_sweep(ngx_shm_zone_t *zone)
{
    uint32_t                 i;
    ngx_slab_pool_t         *shpool;
    ngx_rtmp_guard_table_t  *table;

    table = zone->data;
    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    ngx_shmtx_lock(&shpool->mutex);

    for (i = 0; i < table->size; i++) {
        if (table->buckets[i] != NONE) {
            ngx_rtmp_guard_zone_bucket_sweep(table, i, 1);
        }
    }

    ngx_shmtx_unlock(&shpool->mutex);
}


/* in a fresh worker an entry with its own pid is of a dead namesake */

static void
ngx_rtmp_guard_zone_bucket_sweep(ngx_rtmp_guard_table_t *table,
    uint32_t bucket, ngx_uint_t fresh)
{
    uint32_t                *link, i;
    ngx_pid_t                alive;
    ngx_rtmp_guard_entry_t  *entry;

    alive = fresh ? NGX_INVALID_PID : ngx_pid;
    link = &table->buckets[bucket];

    while (*link != NONE) {
        i = *link;
        entry = &table->entries[i];

        if ((fresh && entry->pid == ngx_pid)
            || (entry->pid != alive
                && kill(entry->pid, 0) == -1 && ngx_errno == NGX_ESRCH))
        {
            *link = entry->next;
            entry->next = table->free;
            table->free = i;
            continue;
        }

        alive = entry->pid;
        link = &entry->next;
    }
}
