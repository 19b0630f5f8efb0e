/*
 * Segments and init segments of HLS that the hub no longer has, out of the recording
 * (hls.md, "Reaching back").
 */

#ifndef DUOLU_HTTP_HLS_RECORDED_H
#define DUOLU_HTTP_HLS_RECORDED_H

#include "history.h"
#include "hls_name.h"
#include "hls_send.h"

typedef struct {
    ngx_str_t           root;          /* of the recordings; no data: there are none */
    ngx_str_t           threads;
    ngx_thread_pool_t  *pool;
} hls_history_t;

/* Answers S with the file NAME (HLS_SEGMENT or HLS_INIT) of STREAM.  ROW tells where it is
 * recorded; NULL: a thread looks for it.  Returns the handler's result. */
ngx_int_t hls_recorded(hls_sending_t *s, const hls_history_t *where,
    const ngx_str_t *stream, const hls_name_t *name, const hls_row_t *row);

#endif
