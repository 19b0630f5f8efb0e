/*
 * Segments as files: for many viewers over plain HTTP (hls.md).
 */

#ifndef DUOLU_HTTP_HLS_WHOLE_H
#define DUOLU_HTTP_HLS_WHOLE_H

#include "hls_store.h"

/* Does what hls_store_segment() does, with *N references; or *N is 1, and BYTES[0] all of
 * the segment.  FILE: sendfile() would send that.  Segments are such from the second
 * time on that it would. */
ngx_int_t hls_whole(hls_stream_t *st, uint64_t number, int file, hls_bytes_t **bytes,
    ngx_uint_t *n);

#endif
