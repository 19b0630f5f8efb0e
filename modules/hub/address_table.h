#ifndef DUOLU_HUB_ADDRESS_TABLE_H
#define DUOLU_HUB_ADDRESS_TABLE_H


/*
 * Counts connections per client address, over all workers, in shared memory.  The
 * connections of one address to one worker have a row with the worker's pid, so
 * that the rows of a dead worker can be freed.  The guard's library defines these
 * functions; in the hub's library they are weak symbols.
 */

#include <ngx_config.h>
#include <ngx_core.h>


/* no row */
#define ADDRESS_TABLE_NONE  ((uint32_t) -1)

/* the smallest zone for a table */
#define ADDRESS_TABLE_MIN   (8 * ngx_pagesize)


ngx_shm_zone_t *address_table_add(ngx_conf_t *cf, ngx_str_t *name, size_t size,
    void *tag);

/*
 * Counts a connection from SA, of AF_INET or AF_INET6 (a /64 is one address).
 *   NGX_OK        counted; the caller must pass *row to address_table_leave()
 *   NGX_DECLINED  the address already has LIMIT connections, or ALONE in this
 *                 worker
 *   NGX_BUSY      the zone has no free row
 */
ngx_int_t address_table_enter(ngx_shm_zone_t *zone, struct sockaddr *sa,
    ngx_uint_t limit, ngx_uint_t alone, uint32_t *row);

void address_table_leave(ngx_shm_zone_t *zone, uint32_t row);

/*
 * Counts a refused connection from SA.  Once a minute returns the number of
 * refusals since it last did so, for a line in the log; else 0.
 */
ngx_uint_t address_table_refused(ngx_shm_zone_t *zone, struct sockaddr *sa);

/* for a worker's start: frees the rows of processes that have ended */
void address_table_sweep(ngx_shm_zone_t *zone);


#endif /* DUOLU_HUB_ADDRESS_TABLE_H */
