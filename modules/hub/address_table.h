#ifndef DUOLU_HUB_ADDRESS_TABLE_H
#define DUOLU_HUB_ADDRESS_TABLE_H


/*
 * Connections per client address, over all workers, in shared memory.  What
 * one worker holds of one address has a row that names the worker's pid, so a
 * worker that died is noticed and its rows are given back.  The guard's
 * library carries this file; in the hub's its symbols are weak.
 */

#include <ngx_config.h>
#include <ngx_core.h>


/* no row */
#define ADDRESS_TABLE_NONE  ((uint32_t) -1)

/* the least zone that holds a table */
#define ADDRESS_TABLE_MIN   (8 * ngx_pagesize)


ngx_shm_zone_t *address_table_add(ngx_conf_t *cf, ngx_str_t *name, size_t size,
    void *tag);

/*
 * Counts a connection from SA, of AF_INET or AF_INET6 (a /64 is one address).
 *   NGX_OK        counted, *row must be given to address_table_leave()
 *   NGX_DECLINED  the address already has LIMIT connections, or ALONE in this
 *                 worker
 *   NGX_BUSY      the zone has no free row
 */
ngx_int_t address_table_enter(ngx_shm_zone_t *zone, struct sockaddr *sa,
    ngx_uint_t limit, ngx_uint_t alone, uint32_t *row);

void address_table_leave(ngx_shm_zone_t *zone, uint32_t row);

/*
 * Notes that a connection from SA was refused.  Once a minute it returns how
 * many were since it last did, for a line in the log; else 0.
 */
ngx_uint_t address_table_refused(ngx_shm_zone_t *zone, struct sockaddr *sa);

/* for a worker's start: gives back the rows of processes that are gone */
void address_table_sweep(ngx_shm_zone_t *zone);


#endif /* DUOLU_HUB_ADDRESS_TABLE_H */
