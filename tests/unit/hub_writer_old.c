/*
 * The protocol that hub_writer.c replaced, for hub_stress only: a writer announces its
 * append before it checks that it owns the stream, and clears with a plain store.
 */

#include "../../modules/hub/hub.h"

#define HUB_INSIDE  (((uint64_t) 1 << HUB_INSIDE_BITS) - 1)

static void
announce(hub_stream_t *s, uint64_t inside)
{
    uint64_t  word = hub_load(&s->writer);

    while (!__atomic_compare_exchange_n(&s->writer, &word,
                                        (word & ~HUB_INSIDE) | inside, 0,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
    { /* stores to one half of the word */ }
}


int
hub_write_begin(const hub_t *h, const hub_writer_t *w)
{
    hub_stream_t  *s = w->ref.stream;

    if (s == NULL) {
        return 0;
    }

    announce(s, (uint64_t) h->worker + 1);

    if (hub_owns(w)) {
        return 1;
    }

    announce(s, 0);

    return 0;
}


void
hub_write_end(const hub_t *h, const hub_writer_t *w)
{
    announce(w->ref.stream, 0);
}


void
hub_writer_leave(hub_stream_t *s, uint32_t slot)
{
    if ((hub_load(&s->writer) & HUB_INSIDE) == (uint64_t) slot + 1) {
        announce(s, 0);
    }
}


int
hub_owns(const hub_writer_t *w)
{
    return hub_writer_turn(w->ref.stream) == w->turn;
}


uint64_t
hub_writer_turn(const hub_stream_t *s)
{
    return hub_load(&s->writer) >> HUB_INSIDE_BITS;
}


void
hub_writer_stop(hub_stream_t *s)
{
    (void) hub_add(&s->writer, (uint64_t) 1 << HUB_INSIDE_BITS);
}


int
hub_writer_is_out(const hub_t *h, hub_stream_t *s)
{
    uint64_t  inside = hub_load(&s->writer) & HUB_INSIDE;

    if (inside && hub_worker_is_gone(h, (uint32_t) inside - 1)) {
        announce(s, 0);
        inside = 0;
    }

    return inside == 0;
}
