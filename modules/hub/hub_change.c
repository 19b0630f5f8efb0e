/*
 * The latest changes of streams' states, for the pages' event streams: a ring in the
 * zone, written and read under the mutex.
 */

#include "hub.h"


void
hub_changed(hub_t *h, const hub_stream_t *s, enum hub_state state)
{
    uint64_t       seq = h->header->changes + 1;
    hub_change_t  *change = &h->header->change[seq % HUB_CHANGES];

    change->seq = seq;
    change->id = s->id;
    change->stream = (uint32_t) (s - h->streams);
    change->generation = s->generation;
    change->state = state;
    change->name_len = s->name_len;
    ngx_memcpy(change->name, s->name, sizeof(change->name));

    hub_store(&h->header->changes, seq);
}


int
hub_changes(hub_t *h, uint64_t since, hub_change_t *out, int max)
{
    int       n = 0;
    uint64_t  newest;

    if (since == hub_load(&h->header->changes)) {
        return 0;
    }

    ngx_shmtx_lock(&h->pool->mutex);

    newest = h->header->changes;

    /* >=: a process may have been killed while it overwrote the oldest change */
    if (newest - since >= HUB_CHANGES) {
        n = -1;

    } else {
        while (since < newest && n < max) {
            out[n++] = h->header->change[++since % HUB_CHANGES];
        }
    }

    ngx_shmtx_unlock(&h->pool->mutex);

    return n;
}
