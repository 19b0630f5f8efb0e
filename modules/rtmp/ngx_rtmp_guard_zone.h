#ifndef _NGX_RTMP_GUARD_ZONE_H_INCLUDED_
#define _NGX_RTMP_GUARD_ZONE_H_INCLUDED_


/*
 * Connections per address, over all workers.  Each connection owns one
 * entry that names its worker's pid, so a worker that died is noticed and
 * its entries are given back; there is no counter that could go wrong.
 */

#include <ngx_config.h>
#include <ngx_core.h>


/* no entry */
#define NGX_RTMP_GUARD_ZONE_NONE  ((uint32_t) -1)


ngx_shm_zone_t *ngx_rtmp_guard_zone_add(ngx_conf_t *cf, size_t size,
    void *tag);

/*
 *   NGX_OK        counted, *entry must be given to _leave
 *   NGX_DECLINED  the address already has `limit` connections
 *   NGX_BUSY      the zone has no free entry
 */
ngx_int_t ngx_rtmp_guard_zone_enter(ngx_shm_zone_t *zone, struct sockaddr *sa,
    ngx_uint_t limit, uint32_t *entry);

void ngx_rtmp_guard_zone_leave(ngx_shm_zone_t *zone, uint32_t entry);

/* for a worker's start: gives back the entries of processes that are gone */
void ngx_rtmp_guard_zone_sweep(ngx_shm_zone_t *zone);


#endif /* _NGX_RTMP_GUARD_ZONE_H_INCLUDED_ */
