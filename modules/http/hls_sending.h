/*
 * Answers that could not be sent at once: their clients read slowly, or not at all.
 *
 * Their bytes cannot be freed, so a user and an address may each have a quarter of
 * hls_cache sent to them.  A file counts once, however many answers send it; one of a
 * recording as 64 KB for each answer.  About once a
 * second the worker counts what was sent, keeps the viewers' sessions, and ends the answers
 * to those that were kicked or revoked, and those of deleted recordings.
 */

#ifndef DUOLU_HTTP_HLS_SENDING_H
#define DUOLU_HTTP_HLS_SENDING_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "hls_bytes.h"
#include "hls_group.h"

typedef struct hls_pin_s  hls_pin_t;

/* An answer, from the request's admission to its end.  Zeroed at first. */
typedef struct {
    ngx_queue_t          queue;        /* of those that are being sent */
    ngx_http_request_t  *request;
    hub_visit_t         *visit;        /* its row is NULL after the stream's end */
    uint64_t             id[HLS_GROUPS];
    uint64_t             stream;       /* hub_name_hash() */
    int64_t              issued;       /* the token */
    off_t                counted;      /* of connection->sent, by the session */
    hls_pin_t           *pins[HLS_GROUPS];
    ngx_fd_t             fd;           /* of a recording that it sends; 0: none */
    unsigned             listed:1;
} hls_sending_t;

/* May the N BYTES be sent, or with NULL and 0 those of a recording?  NGX_OK, or NGX_DONE
 * with *RC for the handler to return. */
ngx_int_t hls_sending_admit(hls_sending_t *s, hls_bytes_t **bytes, ngx_uint_t n,
    ngx_int_t *rc);

/* The answer lasts.  NGX_ERROR: there is no memory. */
ngx_int_t hls_sending_begin(hls_sending_t *s, hls_bytes_t **bytes, ngx_uint_t n);

/* The request ends; harmless when the answer does not last. */
void hls_sending_end(hls_sending_t *s);

/* Nothing sends its bytes any more; likewise. */
void hls_sending_free(hls_sending_t *s);

#endif
