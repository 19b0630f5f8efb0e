/*
 * A body made of pieces: bytes in memory, and parts of recorded files, which
 * nginx sends without a copy (sendfile).  If memory ran out for a piece,
 * pieces_send() fails.
 */

#ifndef DUOLU_HTTP_PIECES_H
#define DUOLU_HTTP_PIECES_H

#include "history.h"

/* The caller sets `r` and zeroes the rest. */
typedef struct {
    ngx_http_request_t  *r;
    ngx_chain_t         *first, *last;
    unsigned             failed:1;
} pieces_t;

/* Adds BYTES, which must live as long as the request. */
void pieces_memory(pieces_t *p, uint8_t *bytes, size_t size);

/* A file for pieces_bytes(): PATH, or FILE of H's stream, open as FD.  NULL: no
 * memory. */
ngx_file_t *pieces_file(pieces_t *p, const ngx_str_t *path, int fd);
ngx_file_t *pieces_recorded(pieces_t *p, const history_t *h, const char *file,
    int fd);

/* Adds the bytes [FROM, TO) of FILE. */
void pieces_bytes(pieces_t *p, ngx_file_t *file, uint64_t from, uint64_t to);

/* Sends the headers, and the body unless the client asked for the headers alone.
 * For `return`. */
ngx_int_t pieces_send(pieces_t *p);

#endif
