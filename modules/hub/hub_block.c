/*
 * The pool of blocks.  Callers hold the mutex.  A SIGKILL between two steps may leak
 * a block, but no block ever has two owners.
 */

#include "hub.h"


void
hub_blocks_count(hub_t *h, const hub_stream_t *s)
{
    h->slots[s - h->streams].blocks = hub_blocks(s);
}


/* Counts each candidate again, as a SIGKILL may have left a wrong count. */
hub_stream_t *
hub_fullest(hub_t *h, uint32_t least)
{
    uint32_t       i, most = least;
    uint64_t       limit;
    hub_stream_t  *s, *fullest = NULL;

    for (i = 0; i < h->header->stream_end; i++) {
        if (h->slots[i].blocks < most) {
            continue;
        }

        s = &h->streams[i];
        hub_blocks_count(h, s);
        limit = (s->first_block + 1) << HUB_BLOCK_SHIFT;

        /* take no block that an append may still be filling */
        if (h->slots[i].blocks >= most && s->end_block > s->first_block + 1
            && hub_load(&s->end) >= limit)
        {
            most = h->slots[i].blocks + 1;
            fullest = s;
        }
    }

    return fullest;
}


/* Takes the oldest block of the stream with the most blocks. */
static uint32_t
hub_block_rob(hub_t *h)
{
    uint32_t       block;
    uint64_t       limit, first;
    hub_entry_t   *e;
    hub_stream_t  *s = hub_fullest(h, 2);

    if (s == NULL) {
        return HUB_NO_BLOCK;
    }

    limit = (s->first_block + 1) << HUB_BLOCK_SHIFT;

    for (first = hub_load(&s->first); first < hub_load(&s->head); first++) {
        e = hub_entry(h, s, first);
        if (e->offset >= limit) {
            break;
        }
    }

    hub_raise(&s->first, first);
    hub_raise(&s->tail, first < hub_load(&s->head)
                        ? hub_entry(h, s, first)->offset : hub_load(&s->end));

    block = s->blocks[s->first_block % HUB_STREAM_BLOCKS];
    s->first_block++;
    hub_blocks_count(h, s);
    hub_step();

    return block;
}


/* A SIGKILL may leave nfree too high, never too low; an empty pool corrects it. */
uint32_t
hub_block_take(hub_t *h)
{
    uint32_t  block = h->header->free;

    if (block == HUB_NO_BLOCK) {
        h->header->nfree = 0;
        return hub_block_rob(h);
    }

    h->header->free = h->next[block];
    hub_step();
    h->header->nfree--;

    return block;
}


void
hub_block_give(hub_t *h, uint32_t block)
{
    h->header->nfree++;
    h->next[block] = h->header->free;
    hub_step();
    h->header->free = block;
}


static ngx_int_t
hub_row_grow(hub_t *h, hub_stream_t *s, uint32_t *blocks, uint32_t most,
    const uint64_t *first, uint64_t *end)
{
    uint32_t  block = *end - *first < most ? hub_block_take(h) : HUB_NO_BLOCK;

    if (block == HUB_NO_BLOCK) {
        return NGX_DECLINED;
    }

    blocks[*end % most] = block;
    hub_step();
    (*end)++;
    hub_blocks_count(h, s);

    return NGX_OK;
}


ngx_int_t
hub_blocks_grow(hub_t *h, hub_stream_t *s)
{
    return hub_row_grow(h, s, s->blocks, HUB_STREAM_BLOCKS, &s->first_block,
                        &s->end_block);
}


ngx_int_t
hub_index_grow(hub_t *h, hub_stream_t *s)
{
    return hub_row_grow(h, s, s->index, HUB_INDEX_BLOCKS, &s->first_index,
                        &s->end_index);
}


/* Removes each block from the stream before it adds it to the pool, so that a
 * SIGKILL leaks a block but never gives it two owners. */
static void
hub_row_give(hub_t *h, const uint32_t *blocks, uint32_t most, uint64_t *first,
    uint64_t end)
{
    uint32_t  block;

    while (*first < end) {
        block = blocks[*first % most];
        (*first)++;
        hub_step();
        hub_block_give(h, block);
    }
}


void
hub_blocks_give(hub_t *h, hub_stream_t *s, uint64_t tail, uint64_t first)
{
    hub_row_give(h, s->blocks, HUB_STREAM_BLOCKS, &s->first_block,
                 ngx_min(tail >> HUB_BLOCK_SHIFT, s->end_block));
    hub_row_give(h, s->index, HUB_INDEX_BLOCKS, &s->first_index,
                 ngx_min(first >> HUB_INDEX_SHIFT, s->end_index));
    hub_blocks_count(h, s);
}
