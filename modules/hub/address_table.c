#include "address_table.h"


#define ADDRESS_LEN   16
#define NONE          ADDRESS_TABLE_NONE
#define LINE_EVERY    60000         /* ms between two log lines about an address */
#define SWEEP_EVERY   1000          /* ms between two sweeps of a full table */


typedef struct {
    u_char          addr[ADDRESS_LEN];
    ngx_msec_t      logged;         /* when its refusals were last logged */
    uint32_t        refused;        /* since then */
    uint32_t        count;          /* connections */
    ngx_pid_t       pid;            /* of their worker */
    uint32_t        bucket;
    uint32_t        next;           /* in the bucket or the free list */
} address_row_t;


typedef struct {
    ngx_msec_t      swept;
    uint32_t        size;           /* of rows and of buckets */
    uint32_t        free;
    uint32_t       *buckets;
    address_row_t  *rows;
} address_table_t;


static ngx_int_t address_table_init(ngx_shm_zone_t *zone, void *data);
static void address_of(struct sockaddr *sa, u_char *addr);
static uint32_t address_bucket(address_table_t *table, const u_char *addr);
static address_row_t *address_row_take(address_table_t *table,
    const u_char *addr);
static void address_bucket_sweep(address_table_t *table, uint32_t bucket,
    ngx_uint_t fresh);
static void address_sweep_all(address_table_t *table, ngx_uint_t fresh);


ngx_shm_zone_t *
address_table_add(ngx_conf_t *cf, ngx_str_t *name, size_t size, void *tag)
{
    ngx_shm_zone_t  *zone = ngx_shared_memory_add(cf, name, size, tag);

    if (zone) {
        zone->init = address_table_init;
    }

    return zone;
}


static ngx_int_t
address_table_init(ngx_shm_zone_t *zone, void *data)
{
    size_t            avail;
    uint32_t          i;
    address_table_t  *table;
    ngx_slab_pool_t  *shpool;

    if (data) {                          /* a reload keeps the old table */
        zone->data = data;
        return NGX_OK;
    }

    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    if (zone->shm.exists) {
        zone->data = shpool->data;
        return NGX_OK;
    }

    table = ngx_slab_calloc(shpool, sizeof(address_table_t));
    if (table == NULL) {
        return NGX_ERROR;
    }

    avail = shpool->pfree * ngx_pagesize;
    table->size = avail / (sizeof(address_row_t) + sizeof(uint32_t));
    table->rows = ngx_slab_alloc(shpool, avail);

    if (table->rows == NULL) {
        return NGX_ERROR;
    }

    table->buckets = (uint32_t *) (table->rows + table->size);

    for (i = 0; i < table->size; i++) {
        table->buckets[i] = NONE;
        table->rows[i].next = i + 1;
    }

    table->rows[table->size - 1].next = NONE;
    table->free = 0;

    shpool->data = table;
    zone->data = table;

    return NGX_OK;
}


/* IPv6: a /64 is one client */

static void
address_of(struct sockaddr *sa, u_char *addr)
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


static uint32_t
address_bucket(address_table_t *table, const u_char *addr)
{
    return ngx_crc32_short((u_char *) addr, ADDRESS_LEN) % table->size;
}


/* Does ROW count connections of ADDR? */

static ngx_inline ngx_uint_t
address_is(const address_row_t *row, const u_char *addr)
{
    return ngx_memcmp(row->addr, addr, ADDRESS_LEN) == 0;
}


/* Does ADDR have fewer connections than LIMIT, and fewer than ALONE to this worker?
 * *mine is its row of this worker, or NULL. */

static ngx_uint_t
address_fits(address_table_t *table, const u_char *addr, ngx_uint_t limit,
    ngx_uint_t alone, address_row_t **mine)
{
    uint32_t        i;
    ngx_uint_t      all = 0;
    address_row_t  *row;

    *mine = NULL;

    for (i = table->buckets[address_bucket(table, addr)]; i != NONE;
         i = row->next)
    {
        row = &table->rows[i];

        if (!address_is(row, addr)) {
            continue;
        }

        all += row->count;

        if (row->pid == ngx_pid) {
            *mine = row;
        }
    }

    return all < limit && (*mine == NULL || (*mine)->count < alone);
}


ngx_int_t
address_table_enter(ngx_shm_zone_t *zone, struct sockaddr *sa,
    ngx_uint_t limit, ngx_uint_t alone, uint32_t *row)
{
    u_char            addr[ADDRESS_LEN];
    ngx_int_t         rc = NGX_DECLINED;
    ngx_uint_t        fits;
    address_row_t    *mine;
    ngx_slab_pool_t  *shpool = (ngx_slab_pool_t *) zone->shm.addr;
    address_table_t  *table = zone->data;

    address_of(sa, addr);

    ngx_shmtx_lock(&shpool->mutex);

    fits = address_fits(table, addr, limit, alone, &mine);

    if (!fits) {
        /* some of these connections may be of dead workers */
        address_bucket_sweep(table, address_bucket(table, addr), 0);
        fits = address_fits(table, addr, limit, alone, &mine);
    }

    if (fits) {
        if (mine == NULL) {
            mine = address_row_take(table, addr);
        }

        rc = mine ? NGX_OK : NGX_BUSY;
    }

    if (rc == NGX_OK) {
        mine->count++;
        *row = mine - table->rows;
    }

    ngx_shmtx_unlock(&shpool->mutex);

    return rc;
}


static address_row_t *
address_row_take(address_table_t *table, const u_char *addr)
{
    uint32_t        i;
    address_row_t  *row;

    if (table->free == NONE
        && (ngx_msec_int_t) (ngx_current_msec - table->swept) > SWEEP_EVERY)
    {
        table->swept = ngx_current_msec;
        address_sweep_all(table, 0);
    }

    i = table->free;

    if (i == NONE) {
        return NULL;
    }

    /* barriers: a SIGKILL may leak a row, but no row is ever in two lists */
    row = &table->rows[i];
    table->free = row->next;
    ngx_memory_barrier();

    ngx_memzero(row, sizeof(address_row_t));
    ngx_memcpy(row->addr, addr, ADDRESS_LEN);
    row->pid = ngx_pid;
    row->bucket = address_bucket(table, addr);
    row->next = table->buckets[row->bucket];
    ngx_memory_barrier();
    table->buckets[row->bucket] = i;

    return row;
}


/* signed difference: another worker's clock may be some ms ahead of ours */

static ngx_inline ngx_uint_t
address_line_due(const address_row_t *row)
{
    return row->logged == 0
           || (ngx_msec_int_t) (ngx_current_msec - row->logged) > LINE_EVERY;
}


/* a row without connections stays until its next log line is due */

static ngx_inline ngx_uint_t
address_row_idle(const address_row_t *row)
{
    return row->count == 0 && address_line_due(row);
}


void
address_table_leave(ngx_shm_zone_t *zone, uint32_t row)
{
    ngx_slab_pool_t  *shpool = (ngx_slab_pool_t *) zone->shm.addr;
    address_table_t  *table = zone->data;

    ngx_shmtx_lock(&shpool->mutex);

    table->rows[row].count--;

    if (address_row_idle(&table->rows[row])) {
        address_bucket_sweep(table, table->rows[row].bucket, 0);
    }

    ngx_shmtx_unlock(&shpool->mutex);
}


ngx_uint_t
address_table_refused(ngx_shm_zone_t *zone, struct sockaddr *sa)
{
    u_char            addr[ADDRESS_LEN];
    uint32_t          i;
    ngx_uint_t        n = 0;
    address_row_t    *row, *last = NULL;
    ngx_slab_pool_t  *shpool = (ngx_slab_pool_t *) zone->shm.addr;
    address_table_t  *table = zone->data;

    address_of(sa, addr);

    ngx_shmtx_lock(&shpool->mutex);

    for (i = table->buckets[address_bucket(table, addr)]; i != NONE;
         i = row->next)
    {
        row = &table->rows[i];

        if (address_is(row, addr)
            && (last == NULL || row->logged > last->logged))
        {
            last = row;
        }
    }

    if (last) {
        last->refused++;

        if (address_line_due(last)) {
            n = last->refused;
            last->refused = 0;
            last->logged = ngx_current_msec;
        }
    }

    ngx_shmtx_unlock(&shpool->mutex);

    return n;
}


void
address_table_sweep(ngx_shm_zone_t *zone)
{
    ngx_slab_pool_t  *shpool = (ngx_slab_pool_t *) zone->shm.addr;

    ngx_shmtx_lock(&shpool->mutex);

    address_sweep_all(zone->data, 1);

    ngx_shmtx_unlock(&shpool->mutex);
}


static void
address_sweep_all(address_table_t *table, ngx_uint_t fresh)
{
    uint32_t  i;

    for (i = 0; i < table->size; i++) {
        if (table->buckets[i] != NONE) {
            address_bucket_sweep(table, i, fresh);
        }
    }
}


/* FRESH: this worker has just started, so a row with its pid belongs to a dead
 * worker that had the same pid */

static void
address_bucket_sweep(address_table_t *table, uint32_t bucket, ngx_uint_t fresh)
{
    uint32_t       *link, i;
    ngx_pid_t       alive;
    address_row_t  *row;

    alive = fresh ? NGX_INVALID_PID : ngx_pid;
    link = &table->buckets[bucket];

    while (*link != NONE) {
        i = *link;
        row = &table->rows[i];

        if ((fresh && row->pid == ngx_pid)
            || address_row_idle(row)
            || (row->pid != alive
                && kill(row->pid, 0) == -1 && ngx_errno == NGX_ESRCH))
        {
            *link = row->next;
            ngx_memory_barrier();
            row->next = table->free;
            ngx_memory_barrier();
            table->free = i;
            continue;
        }

        alive = row->pid;
        link = &row->next;
    }
}
