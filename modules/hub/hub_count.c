/*
 * How many sessions each user and each address has, in all and on each stream,
 * so that an admission need not look at all rows.  A session is counted before
 * its row has an id and counted out after it has none, so what a SIGKILL leaves
 * is counted once too often, until hub_sessions_forget() counts anew.
 */

#include "hub.h"

#define HUB_NO_COUNT  ((uint32_t) -1)


/* Two keys with one value (of 2^64) would be counted together: more is refused
 * then, never less. */
static uint64_t
hub_count_key(enum hub_count_kind kind, uint64_t who, uint64_t place)
{
    uint64_t  key = who + 0x9e3779b97f4a7c15u * (kind + 1);

    key = (key ^ key >> 30) * 0xbf58476d1ce4e5b9u;
    key ^= place * 0x94d049bb133111ebu;
    key = (key ^ key >> 27) * 0x94d049bb133111ebu;

    return key ^ key >> 31;
}


/* A stream in its slot, as a number; 0 is all of them. */
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


/* Where the count of KEY is linked, or where the chain ends. */
static uint32_t *
hub_count_find(const hub_t *h, uint64_t key)
{
    uint32_t  *at = hub_count_chain(h, key);

    while (*at != HUB_NO_COUNT && h->counts[*at].key != key) {
        at = &h->counts[*at].next;
    }

    return at;
}


/* A free count, or HUB_NO_COUNT: workers that were killed left too many. */
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
        return;                              /* a rebuild was cut short */
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
    uint64_t  who[2] = { row->uid, row->origin };

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
        if (who[i] == 0) {
            continue;
        }

        hub_count_one(h, hub_count_key(kind[i], who[i], 0), watches, in);

        if (watches && row->stream != HUB_NO_STREAM) {
            hub_count_one(h, hub_count_key(kind[i], who[i], place), 1, in);
        }
    }
}


hub_count_t
hub_counts_of(const hub_t *h, enum hub_count_kind kind, uint64_t who,
    const hub_stream_t *s)
{
    uint32_t     i;
    uint64_t     place;
    hub_count_t  none = { 0, 0, 0, 0, 0 };

    if (who == 0) {
        return none;
    }

    place = s ? hub_count_place((uint32_t) (s - h->streams), s->generation) : 0;
    i = *hub_count_find(h, hub_count_key(kind, who, place));

    return i == HUB_NO_COUNT ? none : h->counts[i];
}


/* Only chains of keys that were in use have anything in them. */
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
