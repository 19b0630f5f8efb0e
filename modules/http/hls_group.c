#include "hls_group.h"

#define GROUP_BUCKETS  1024

static ngx_queue_t  group_buckets[GROUP_BUCKETS];


static ngx_queue_t *
group_bucket(enum hls_group kind, uint64_t id)
{
    ngx_uint_t  i;

    if (group_buckets[0].next == NULL) {
        for (i = 0; i < GROUP_BUCKETS; i++) {
            ngx_queue_init(&group_buckets[i]);
        }
    }

    return &group_buckets[(id ^ id >> 32 ^ kind) % GROUP_BUCKETS];
}


static hls_group_t *
find_group(enum hls_group kind, uint64_t id)
{
    ngx_queue_t  *q, *bucket = group_bucket(kind, id);
    hls_group_t  *group;

    for (q = ngx_queue_head(bucket); q != ngx_queue_sentinel(bucket);
         q = ngx_queue_next(q))
    {
        group = ngx_queue_data(q, hls_group_t, queue);

        if (group->id == id && group->kind == kind) {
            return group;
        }
    }

    return NULL;
}


hls_group_t *
hls_group_find(enum hls_group kind, uint64_t id)
{
    return id ? find_group(kind, id) : NULL;
}


hls_group_t *
hls_group_take(enum hls_group kind, uint64_t id)
{
    hls_group_t  *group = find_group(kind, id);

    if (group == NULL) {
        group = ngx_calloc(sizeof(hls_group_t), ngx_cycle->log);
        if (group == NULL) {
            return NULL;
        }

        group->id = id;
        group->kind = kind;
        ngx_queue_insert_tail(group_bucket(kind, id), &group->queue);
    }

    group->refs++;

    return group;
}


void
hls_group_give(hls_group_t *group)
{
    if (--group->refs == 0) {
        ngx_queue_remove(&group->queue);
        ngx_free(group);
    }
}


const char *
hls_group_name(enum hls_group kind)
{
    static const char  *names[] = { "this client", "this user", "this address" };

    return names[kind];
}
