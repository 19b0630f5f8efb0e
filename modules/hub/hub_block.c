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


/* Is the oldest block of S full and committed?  The newest entry tells, never `end`,
 * which an append stores before `head`: the tag between the two would enter the window
 * after another stream had overwritten its bytes. */
static int
hub_can_be_robbed(const hub_t *h, const hub_stream_t *s)
{
    uint64_t            head = hub_load(&s->head), complete;
    const hub_entry_t  *e;

    if (s->end_block <= s->first_block + 1) {
        return 0;
    }

    if (hub_load(&s->first) < head) {
        e = hub_entry(h, s, head - 1);
        complete = e->offset + e->size;
    } else {
        complete = hub_load(&s->tail);       /* the window is empty */
    }

    return complete >= (s->first_block + 1) << HUB_BLOCK_SHIFT;
}


/* Counts each candidate again, as a SIGKILL may have left a wrong count. */
hub_stream_t *
hub_fullest(hub_t *h, uint32_t least)
{
    uint32_t       i, most = least;
    hub_stream_t  *s, *fullest = NULL;

    for (i = 0; i < h->header->stream_end; i++) {
        if (h->slots[i].blocks < most) {
            continue;
        }

        s = &h->streams[i];
        hub_blocks_count(h, s);

        if (h->slots[i].blocks >= most && hub_can_be_robbed(h, s)) {
            most = h->slots[i].blocks + 1;
            fullest = s;
        }
    }

    return fullest;
}


void
hub_block_give(hub_t *h, uint32_t block)
{
    h->header->nfree++;
    h->next[block] = h->header->free;
    hub_step();
    h->header->free = block;
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


/* Takes the oldest block of the stream with the most blocks. */
static uint32_t
hub_block_rob(hub_t *h)
{
    uint32_t       block;
    uint64_t       limit, first, head, tail;
    hub_stream_t  *s = hub_fullest(h, 2);

    if (s == NULL) {
        return HUB_NO_BLOCK;
    }

    limit = tail = (s->first_block + 1) << HUB_BLOCK_SHIFT;
    head = hub_load(&s->head);

    for (first = hub_load(&s->first); first < head; first++) {
        if (hub_entry(h, s, first)->offset >= limit) {
            tail = hub_entry(h, s, first)->offset;
            break;
        }
    }

    hub_raise(&s->first, first);
    hub_raise(&s->tail, tail);

    block = s->blocks[s->first_block % HUB_STREAM_BLOCKS];
    s->first_block++;
    hub_step();

    /* nobody appends: give back the other blocks that left the window, also those
     * of a large last tag */
    if (s->state != HUB_LIVE && hub_writer_is_out(h, s)) {
        if (first == head) {
            tail = hub_load(&s->end);
            hub_raise(&s->tail, tail);
        }

        hub_blocks_give(h, s, tail, first);
    }

    hub_blocks_count(h, s);

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
