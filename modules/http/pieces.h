/*
 * A body that is put together of pieces: bytes in memory, and of recorded files,
 * which go from the disk to the client without a copy.  One for which there is no
 * memory fails when it is sent, with all that was to follow.
 */

#ifndef DUOLU_HTTP_PIECES_H
#define DUOLU_HTTP_PIECES_H

#include "history.h"

/* Zeroed but for the first. */
typedef struct {
    ngx_http_request_t  *r;
    ngx_chain_t         *first, *last;
    unsigned             failed:1;
} pieces_t;

/* BYTES live as long as the request. */
void pieces_memory(pieces_t *p, uint8_t *bytes, size_t size);

/* PATH, which is open as FD, or FILE of H's stream; for pieces_bytes().  NULL: failed. */
ngx_file_t *pieces_file(pieces_t *p, const ngx_str_t *path, int fd);
ngx_file_t *pieces_recorded(pieces_t *p, const history_t *h, const char *file,
    int fd);

/* The bytes of FILE from FROM up to TO. */
void pieces_bytes(pieces_t *p, ngx_file_t *file, uint64_t from, uint64_t to);

/* Sends the headers, and the body unless the client asked for the headers alone.
 * For `return`. */
ngx_int_t pieces_send(pieces_t *p);

#endif
