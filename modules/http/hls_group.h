/*
 * The requests of one visitor, user or address in this worker, for the shares that each
 * of them has.
 */

#ifndef DUOLU_HTTP_HLS_GROUP_H
#define DUOLU_HTTP_HLS_GROUP_H

#include <ngx_config.h>
#include <ngx_core.h>

enum hls_group { HLS_OF_VISITOR, HLS_OF_USER, HLS_OF_ADDRESS, HLS_GROUPS };

typedef struct {
    ngx_queue_t     queue;             /* of its bucket */
    uint64_t        id;
    enum hls_group  kind;
    ngx_uint_t      refs;
    ngx_uint_t      waiting;           /* requests that are held: hls_hold.h */
    size_t          sending;           /* bytes of its answers: hls_sending.h */
} hls_group_t;

/* NULL: nobody has a reference to it, or ID is 0, which is no one's. */
hls_group_t *hls_group_find(enum hls_group kind, uint64_t id);

/* A reference.  NULL: there is no memory. */
hls_group_t *hls_group_take(enum hls_group kind, uint64_t id);
void hls_group_give(hls_group_t *group);

/* For sentences: "this user". */
const char *hls_group_name(enum hls_group kind);

#endif
