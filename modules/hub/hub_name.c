/*
 * Names and slots of streams.  A slot is in the chain of its stream's name or in
 * the list of free slots.  Chains change under the mutex, and readers take no lock.
 * A reader may follow a slot into another chain and miss its stream; `names` has
 * grown then, and the reader searches again.
 */

#include "hub.h"


uint64_t
hub_name_hash(const u_char *name, size_t len)
{
    size_t    i;
    uint64_t  hash = 14695981039346656037u;  /* FNV-1a, 64 bits */

    for (i = 0; i < len; i++) {
        hash = (hash ^ name[i]) * 1099511628211u;
    }

    return hash | 1;                         /* 0 stands for any stream */
}


/* Never 0, which stands for no chain. */
static uint32_t
hub_chain_hash(uint64_t hash)
{
    return (uint32_t) (hash >> 32 ^ hash) | 1;
}


static uint32_t *
hub_chain(const hub_t *h, uint32_t hash)
{
    return &h->slots[(hash >> 1) % h->header->nstreams].first;
}


/* Puts slot I before NEXT in a chain or a list. */
static void
hub_slot_point(hub_t *h, uint32_t i, uint32_t next)
{
    hub_store(&h->header->names, h->header->names + 1);
    hub_step();
    hub_store(&h->slots[i].next, next);
}


static hub_stream_t *
hub_chain_search(const hub_t *h, uint32_t hash, const u_char *name, size_t len)
{
    uint32_t       i, n = 0;
    hub_stream_t  *s;

    for (i = hub_load(hub_chain(h, hash));
         i != HUB_NO_STREAM && n < h->header->nstreams;
         i = hub_load(&h->slots[i].next), n++)
    {
        s = &h->streams[i];

        if (hub_load(&h->slots[i].hash) == hash && hub_stream_is_on(s)
            && s->name_len == len && ngx_memcmp(s->name, name, len) == 0)
        {
            return s;
        }
    }

    return NULL;
}


hub_stream_t *
hub_find(hub_t *h, const u_char *name, size_t len)
{
    uint32_t       hash = hub_chain_hash(hub_name_hash(name, len));
    uint64_t       names;
    hub_stream_t  *s;

    do {
        names = hub_load(&h->header->names);
        s = hub_chain_search(h, hash, name, len);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (s == NULL && hub_load(&h->header->names) != names);

    return s;
}


/* Stores the hash first, since a slot without one is in no chain. */
void
hub_name_link(hub_t *h, const hub_stream_t *s)
{
    uint32_t     i = (uint32_t) (s - h->streams), *first;
    hub_slot_t  *slot = &h->slots[i];

    if (slot->hash) {
        return;
    }

    hub_store(&slot->hash, hub_chain_hash(s->name_hash));
    hub_step();
    first = hub_chain(h, slot->hash);
    hub_slot_point(h, i, *first);
    hub_step();
    hub_store(first, i);
}


void
hub_name_unlink(hub_t *h, const hub_stream_t *s)
{
    uint32_t     i = (uint32_t) (s - h->streams), *at;
    hub_slot_t  *slot = &h->slots[i];

    if (slot->hash == 0) {
        return;
    }

    for (at = hub_chain(h, slot->hash); *at != HUB_NO_STREAM && *at != i;
         at = &h->slots[*at].next)
    { /* void */ }

    if (*at == i) {                          /* else a SIGKILL cut the linking short */
        hub_store(at, slot->next);
    }

    hub_step();
    hub_store(&slot->hash, 0);
}


uint32_t
hub_slot_take(hub_t *h)
{
    uint32_t  i = h->header->stream_free;

    if (i != HUB_NO_STREAM) {
        h->header->stream_free = h->slots[i].next;
        h->header->stream_end = ngx_max(h->header->stream_end, i + 1);
        hub_step();
    }

    return i;
}


void
hub_slot_give(hub_t *h, hub_stream_t *s)
{
    uint32_t  i = (uint32_t) (s - h->streams);

    hub_name_unlink(h, s);
    hub_slot_point(h, i, h->header->stream_free);
    hub_step();
    h->header->stream_free = i;
}


void
hub_slots_rebuild(hub_t *h)
{
    uint32_t  i, next;

    /* slots that were never used are still linked in their order */
    next = h->header->stream_end < h->header->nstreams ? h->header->stream_end
                                                       : HUB_NO_STREAM;
    h->header->stream_free = HUB_NO_STREAM;  /* in case of another SIGKILL */
    hub_step();

    for (i = h->header->stream_end; i > 0; i--) {
        if (h->streams[i - 1].state == HUB_FREE) {
            hub_name_unlink(h, &h->streams[i - 1]);
            hub_blocks_give(h, &h->streams[i - 1], UINT64_MAX, UINT64_MAX);
            hub_slot_point(h, i - 1, next);
            next = i - 1;
        }
    }

    hub_step();
    h->header->stream_free = next;
}
