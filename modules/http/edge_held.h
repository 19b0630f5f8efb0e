/*
 * The requests of an edge that the origin holds, for the share of each user.
 *
 * All workers of the edge see one table in shared memory.  A request that the cache
 * cannot answer has a place in it until the origin does.
 */

#ifndef DUOLU_HTTP_EDGE_HELD_H
#define DUOLU_HTTP_EDGE_HELD_H

#include <ngx_config.h>
#include <ngx_core.h>

/* Adds the table to CF's cycle.  Returns its zone; NULL: the reason is logged. */
ngx_shm_zone_t *edge_held_zone(ngx_conf_t *cf, ngx_module_t *module);

/* Lets this worker use the table of ZONE, and gives back the places of dead workers. */
void edge_held_start(const ngx_shm_zone_t *zone);

/* The number of requests of ID, a hash of their user and stream. */
ngx_uint_t edge_held_count(uint64_t id);

/* Takes a place for a request of ID.  NULL: all that are near its hash are taken, so
 * the request does not count. */
uint64_t *edge_held_take(uint64_t id);

/* Gives PLACE back, which may be NULL.  Returns NULL. */
uint64_t *edge_held_give(uint64_t *place);

#endif
