/*
 * Counts the sessions of each user and each address, in all and on each stream, so
 * that an admission need not look at all rows.  A session is counted before its row
 * gets an id, and counted out after its row lost it.  So a SIGKILL may leave one
 * session too many in a count, until hub_sessions_forget() counts again.
 */

#include "hub.h"

#define HUB_NO_COUNT  ((uint32_t) -1)


/* Hashes to 64 bits.  A collision would add two counts: it refuses more than the
 * limits ask for, never less. */
static uint64_t
hub_count_key(enum hub_count_kind kind, uint64_t id, uint64_t place)
{
    uint64_t  key = id + 0x9e3779b97f4a7c15u * (kind + 1);

    key = (key ^ key >> 30) * 0xbf58476d1ce4e5b9u;
    key ^= place * 0x94d049bb133111ebu;
    key = (key ^ key >> 27) * 0x94d049bb133111ebu;

    return key ^ key >> 31;
}


/* The number of a stream in its slot; 0 stands for all streams. */
static uint64_t
hub_count_place(uint32_t slot, uint32_t generation)
{
    return (uint64_t) generation << 32 | ((uint64_t) slot + 1);
}


static uint32_t *
hub_count_chain(const hub_t *h, uint64_t key)
{
    return &h->counts[key % h->header->ncounts].first;
}


/* Returns the link to the count of KEY, or the end of its chain. */
static uint32_t *
hub_count_find(const hub_t *h, uint64_t key)
{
    uint32_t  *at = hub_count_chain(h, key);

    while (*at != HUB_NO_COUNT && h->counts[*at].key != key) {
        at = &h->counts[*at].next;
    }

    return at;
}


/* Returns a free count; HUB_NO_COUNT when killed workers leaked too many. */
static uint32_t
hub_count_take(hub_t *h)
{
    uint32_t  i = h->header->count_free;

    if (i != HUB_NO_COUNT) {
        h->header->count_free = h->counts[i].next;

    } else if (h->header->count_end < h->header->ncounts) {
        i = h->header->count_end++;
    }

    hub_step();

    return i;
}


static void
hub_count_in(hub_t *h, uint64_t key, int watches)
{
    uint32_t     *at = hub_count_find(h, key), i = *at;
    hub_count_t  *count;

    if (i == HUB_NO_COUNT) {
        i = hub_count_take(h);
        if (i == HUB_NO_COUNT) {
            return;
        }

        count = &h->counts[i];
        count->key = key;
        count->rows = count->viewers = 0;
        count->next = HUB_NO_COUNT;
        hub_step();
        *at = i;
    }

    h->counts[i].rows++;
    h->counts[i].viewers += watches;
}


static void
hub_count_out(hub_t *h, uint64_t key, int watches)
{
    uint32_t     *at = hub_count_find(h, key), i = *at;
    hub_count_t  *count;

    if (i == HUB_NO_COUNT) {
        return;                              /* a SIGKILL cut a rebuild short */
    }

    count = &h->counts[i];
    count->viewers -= watches && count->viewers;

    if (--count->rows == 0) {
        *at = count->next;
        hub_step();
        count->next = h->header->count_free;
        hub_step();
        h->header->count_free = i;
    }
}


static void
hub_count_one(hub_t *h, uint64_t key, int watches, int in)
{
    if (in) {
        hub_count_in(h, key, watches);
    } else {
        hub_count_out(h, key, watches);
    }
}


void
hub_counts_row(hub_t *h, const hub_session_t *row, int in)
{
    int       i, watches = hub_watches(row->protocol);
    uint64_t  place = hub_count_place(row->stream, row->generation);
    uint64_t  id[2] = { row->uid, row->origin };

    static const enum hub_count_kind  kind[] = { HUB_COUNT_USER,
                                                 HUB_COUNT_ADDRESS };

    if (row->protocol == HUB_PUBLISH) {
        if (row->uid) {
            hub_count_one(h, hub_count_key(HUB_COUNT_PUBLISHER, row->uid, 0),
                          0, in);
        }
        return;
    }

    for (i = 0; i < 2; i++) {
        if (id[i] == 0) {
            continue;
        }

        hub_count_one(h, hub_count_key(kind[i], id[i], 0), watches, in);

        if (watches && row->stream != HUB_NO_STREAM) {
            hub_count_one(h, hub_count_key(kind[i], id[i], place), 1, in);
        }
    }
}


hub_count_t
hub_counts_of(const hub_t *h, enum hub_count_kind kind, uint64_t id,
    const hub_stream_t *s)
{
    uint32_t     i;
    uint64_t     place;
    hub_count_t  none = { 0, 0, 0, 0, 0 };

    if (id == 0) {
        return none;
    }

    place = s ? hub_count_place((uint32_t) (s - h->streams), s->generation) : 0;
    i = *hub_count_find(h, hub_count_key(kind, id, place));

    return i == HUB_NO_COUNT ? none : h->counts[i];
}


/* Clears only the chains of keys that were in use: all others are empty. */
void
hub_counts_clear(hub_t *h)
{
    uint32_t  i;

    for (i = 0; i < h->header->count_end; i++) {
        *hub_count_chain(h, h->counts[i].key) = HUB_NO_COUNT;
    }

    hub_step();
    h->header->count_free = HUB_NO_COUNT;
    h->header->count_end = 0;
}
