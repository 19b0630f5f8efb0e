/*
 * The one writer of a stream.  One word has the turn, which identifies the owner, and
 * the worker that is appending; so one compare-and-swap checks the ownership and
 * announces the append.  hub_writer.md lists the steps and says why they are safe.
 */

#include "hub.h"

#define HUB_INSIDE  (((uint64_t) 1 << HUB_INSIDE_BITS) - 1)


static uint64_t
hub_inside(uint32_t slot)
{
    return (uint64_t) slot + 1;
}


int
hub_write_begin(const hub_t *h, const hub_writer_t *w)
{
    uint64_t  word = w->turn << HUB_INSIDE_BITS;

    return w->ref.stream
           && __atomic_compare_exchange_n(&w->ref.stream->writer, &word,
                                          word | hub_inside(h->worker), 0,
                                          __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}


void
hub_writer_leave(hub_stream_t *s, uint32_t slot)
{
    uint64_t  word = hub_load(&s->writer);

    while ((word & HUB_INSIDE) == hub_inside(slot)
           && !__atomic_compare_exchange_n(&s->writer, &word,
                                           word & ~HUB_INSIDE, 0,
                                           __ATOMIC_RELEASE, __ATOMIC_RELAXED))
    { /* void */ }
}


void
hub_write_end(const hub_t *h, const hub_writer_t *w)
{
    hub_writer_leave(w->ref.stream, h->worker);
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
        hub_writer_leave(s, (uint32_t) inside - 1);
        inside = 0;
    }

    return inside == 0;
}
