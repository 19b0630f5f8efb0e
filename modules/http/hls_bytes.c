#include "hls_bytes.h"

static size_t       bytes_most = HLS_BYTES_MAX;
static size_t       bytes_held;
static ngx_queue_t  bytes_offered = { &bytes_offered, &bytes_offered };


/* Adds to what this worker holds, and shows it in its row. */
static void
bytes_count(size_t more)
{
    bytes_held += more;

    if (hub && hub->worker != HUB_NO_SLOT) {
        hub_store(&hub->workers[hub->worker].hls_bytes, bytes_held);
    }
}


static size_t
bytes_size(const hls_bytes_t *bytes)
{
    return sizeof(hls_bytes_t) + bytes->size;
}


void
hls_bytes_limit(size_t most)
{
    bytes_most = most ? most : HLS_BYTES_MAX;
}


size_t
hls_bytes_most(void)
{
    return bytes_most;
}


size_t
hls_bytes_held(void)
{
    return bytes_held;
}


/* Frees offered bytes that no request holds, until SIZE more are allowed. */
static int
bytes_make_room(size_t size)
{
    hls_bytes_t  *bytes;
    ngx_queue_t  *q, *next;

    if (size > bytes_most) {
        return 0;
    }

    for (q = ngx_queue_head(&bytes_offered);
         bytes_held > bytes_most - size
         && q != ngx_queue_sentinel(&bytes_offered);
         q = next)
    {
        next = ngx_queue_next(q);
        bytes = ngx_queue_data(q, hls_bytes_t, queue);

        if (bytes->refs == 1) {
            hls_bytes_drop(bytes->at);
        }
    }

    return bytes_held <= bytes_most - size;
}


hls_bytes_t *
hls_bytes_new(size_t size)
{
    hls_bytes_t  *bytes;

    if (size > SIZE_MAX / 2 || !bytes_make_room(sizeof(hls_bytes_t) + size)) {
        return NULL;
    }

    bytes = ngx_alloc(sizeof(hls_bytes_t) + size, ngx_cycle->log);
    if (bytes == NULL) {
        return NULL;
    }

    ngx_memzero(bytes, sizeof(hls_bytes_t));
    bytes->refs = 1;
    bytes->size = size;
    bytes_count(bytes_size(bytes));

    return bytes;
}


void
hls_bytes_give(hls_bytes_t *bytes)
{
    if (bytes && --bytes->refs == 0) {
        bytes_count(-bytes_size(bytes));
        ngx_free(bytes);
    }
}


void
hls_bytes_offer(hls_bytes_t *bytes, hls_bytes_t **at)
{
    *at = bytes;
    bytes->at = at;
    ngx_queue_insert_tail(&bytes_offered, &bytes->queue);
}


void
hls_bytes_moved(hls_bytes_t **at)
{
    if (*at) {
        (*at)->at = at;
    }
}


void
hls_bytes_used(hls_bytes_t *bytes)
{
    ngx_queue_remove(&bytes->queue);
    ngx_queue_insert_tail(&bytes_offered, &bytes->queue);
}


void
hls_bytes_drop(hls_bytes_t **at)
{
    hls_bytes_t  *bytes = *at;

    if (bytes == NULL) {
        return;
    }

    *at = NULL;
    bytes->at = NULL;
    ngx_queue_remove(&bytes->queue);
    hls_bytes_give(bytes);
}
