/*
 * The answer to a request for a file of HLS: the hub's parts and playlists, and
 * what was recorded.
 */

#ifndef DUOLU_HTTP_HLS_ANSWER_H
#define DUOLU_HTTP_HLS_ANSWER_H

#include "hls_hold.h"
#include "hls_recorded.h"

/* A request for a file of a stream. */
typedef struct {
    hls_request_t    hold;             /* the first: what hls_hold() knows of it */
    hls_live_t      *live;             /* NULL: the hub has no such stream */
    hls_name_t       name;
    hls_query_t      query;
    hls_sending_t    sending;

    const hls_history_t  *history;     /* NULL: the past is not for this request */
} hls_ask_t;

static ngx_inline ngx_str_t
hls_stream_name(const hls_name_t *name)
{
    ngx_str_t  stream;

    stream.data = (u_char *) name->path.stream;
    stream.len = name->path.stream_len;

    return stream;
}

/* Answers Q, which is a hls_ask_t with `live`: for hls_hold(). */
ngx_int_t hls_answer(hls_request_t *q);

/* Answers with the N BYTES of the store, or as RC of the store tells. */
ngx_int_t hls_answer_bytes(hls_ask_t *ask, ngx_int_t rc, hls_bytes_t **bytes,
    ngx_uint_t n);

/* Answers with a file that the store does not have, as its RC tells: a recorded one, if
 * it may. */
ngx_int_t hls_answer_gone(hls_ask_t *ask, ngx_int_t rc);

#endif
