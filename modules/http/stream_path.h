/*
 * The part of a viewer's address that names token and stream: "TOKEN/APP/NAME".
 *
 * Pure: no allocation, no clock, no logging, nothing of nginx.
 */

#ifndef DUOLU_HTTP_STREAM_PATH_H
#define DUOLU_HTTP_STREAM_PATH_H

#include <stddef.h>

typedef struct {
    const unsigned char  *token, *stream;
    size_t                token_len;       /* 0: the address has no token */
    size_t                stream_len;      /* of "APP/NAME" */
} stream_path_t;

/* Splits "TOKEN/APP/NAME" or "APP/NAME", LEN bytes at PATH.  Returns 1, or 0 when it
 * is neither, or APP/NAME is longer than MOST: it may be a token, which no log may
 * show. */
int stream_path_read(stream_path_t *p, const unsigned char *path, size_t len,
    size_t most);

/* The same for a path that ends with "TOKEN/APP/NAME", whatever is before it. */
int stream_path_read_end(stream_path_t *p, const unsigned char *path, size_t len,
    size_t most);

#endif
