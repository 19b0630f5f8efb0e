/*
 * Answers of HLS: their headers, validators and ranges.  Bodies are chains of shared
 * bytes, of which the request holds references while it is being sent.
 */

#ifndef DUOLU_HTTP_HLS_SEND_H
#define DUOLU_HTTP_HLS_SEND_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "hls_sending.h"
#include "pieces.h"
#include "text_buffer.h"

#define HLS_ETAG_MAX  32

/* A playlist as text and compressed, made once for all viewers.  Zeroed at first. */
typedef struct {
    uint64_t      changes;             /* of the stream, when it was made */
    hls_bytes_t  *plain;               /* NULL: not made yet */
    hls_bytes_t  *gzip;                /* likewise */
    u_char        etag[HLS_ETAG_MAX];
    u_char        gzip_etag[HLS_ETAG_MAX];
} hls_text_t;

/* Sets T to TEXT, and frees that.  NGX_ERROR: there is no memory.  T's bytes may be taken
 * from it when others need room, so it must stay in its place. */
ngx_int_t hls_text_set(hls_text_t *t, text_t *text, uint64_t changes);

void hls_text_free(hls_text_t *t);

/* Adds the headers that let pages of any origin use each answer, errors included. */
ngx_int_t hls_send_cors(ngx_http_request_t *r);

/* Answers a preflight (OPTIONS). */
ngx_int_t hls_send_preflight(ngx_http_request_t *r);

/* Answers S with the playlist T, which caches may keep for AGE seconds. */
ngx_int_t hls_send_text(hls_sending_t *s, hls_text_t *t, ngx_uint_t age);

/* Does sendfile() send the bodies of R's answers, where they are files? */
int hls_sends_files(const ngx_http_request_t *r);

/* Answers S with the N BYTES, one after another, as the file NAME, which never changes.
 * The array lives as long as the request; its references belong to the request. */
ngx_int_t hls_send_media(hls_sending_t *s, const ngx_str_t *name,
    hls_bytes_t **bytes, ngx_uint_t n);

/* Answers S with BODY, SIZE bytes of the recording FD, as the file NAME, which never
 * changes. */
ngx_int_t hls_send_recorded(hls_sending_t *s, const ngx_str_t *name, pieces_t *body,
    uint64_t size, int fd);

#endif
