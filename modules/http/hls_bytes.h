/*
 * Bytes that requests share, and the limit on all of them in this worker.
 *
 * A store adds the bytes that it can make again (hls_bytes_offer).  When the limit
 * is reached, those of them that no request holds are freed, the least recently
 * used first.
 */

#ifndef DUOLU_HTTP_HLS_BYTES_H
#define DUOLU_HTTP_HLS_BYTES_H

#include "hls.h"

#define HLS_BYTES_MAX  (64 * 1024 * 1024)       /* unless hls_cache says otherwise */

/* Sets the limit; 0: the default. */
void hls_bytes_limit(size_t most);
size_t hls_bytes_most(void);

/* SIZE bytes with one reference.  NULL: there is no memory, or requests hold as much
 * as the limit allows. */
hls_bytes_t *hls_bytes_new(size_t size);

/* The N BYTES, one after another, as a file in memory, for sendfile().  NULL: likewise; or
 * they are too few, or this process has too many files. */
hls_bytes_t *hls_bytes_join(hls_bytes_t **bytes, ngx_uint_t n);

static ngx_inline hls_bytes_t *
hls_bytes_keep(hls_bytes_t *bytes)
{
    bytes->refs++;

    return bytes;
}

/* Gives a reference back; frees the bytes with the last one.  Harmless with NULL. */
void hls_bytes_give(hls_bytes_t *bytes);

/* Stores BYTES and its reference at *AT, from where the limit may take them: *AT is
 * NULL then.  *AT must be NULL before. */
void hls_bytes_offer(hls_bytes_t *bytes, hls_bytes_t **at);

/* *AT has moved to here. */
void hls_bytes_moved(hls_bytes_t **at);

/* They are used: others are freed before them. */
void hls_bytes_used(hls_bytes_t *bytes);

/* The owner of *AT gives its reference back; *AT is NULL then. */
void hls_bytes_drop(hls_bytes_t **at);

/* All bytes that this worker holds. */
size_t hls_bytes_held(void);

#endif
