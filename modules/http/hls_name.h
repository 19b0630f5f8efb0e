/*
 * Addresses of HLS below a location, and the delivery directives of a playlist's
 * query (RFC 8216bis, section 6.2.5).
 *
 *   TOKEN/APP/NAME/index.m3u8            the multivariant playlist
 *   TOKEN/APP/NAME/live.m3u8             the media playlist
 *   TOKEN/APP/NAME/SESSION-init-N.mp4    init segment N
 *   TOKEN/APP/NAME/SESSION-N.m4s         segment N
 *   TOKEN/APP/NAME/SESSION-N.P.m4s       part P of segment N
 *
 * SESSION is hexadecimal, N and P are decimal; each file has exactly one name.
 *
 * Pure: no allocation, no clock, no logging, nothing of nginx.
 */

#ifndef DUOLU_HTTP_HLS_NAME_H
#define DUOLU_HTTP_HLS_NAME_H

#include <stdint.h>

#include "stream_path.h"

#define HLS_NAME_MAX  72         /* bytes of a file's name and a zero */
#define HLS_WHY_MAX   200        /* bytes of a sentence and a zero */
#define HLS_WINDOW_MAX  86400    /* s, of `window` */

enum hls_file { HLS_NO_FILE = 0, HLS_INDEX, HLS_LIST, HLS_INIT, HLS_SEGMENT,
                HLS_PART };

typedef struct {
    stream_path_t  path;
    enum hls_file  file;         /* HLS_NO_FILE: there can be no such file */
    uint64_t       session;
    uint64_t       number;       /* of the init segment or segment */
    uint64_t       part;
} hls_name_t;

/* Reads the address PATH below the location, whose APP/NAME has at most MOST bytes.
 * Returns 1; or 0 when it does not name a stream. */
int hls_name_read(hls_name_t *n, const unsigned char *path, size_t len,
    size_t most);

/* Writes the file's name.  Returns its length. */
size_t hls_name_write(char out[HLS_NAME_MAX], enum hls_file file,
    uint64_t session, uint64_t number, uint64_t part);

/* The arguments of a playlist's query.  Numbers are at most INT64_MAX. */
typedef struct {
    uint64_t  msn, part;         /* _HLS_msn and _HLS_part */
    uint64_t  window;            /* seconds, 0: not given */
    unsigned  has_msn:1;
    unsigned  has_part:1;        /* only with has_msn */
    unsigned  skip:1;            /* _HLS_skip is YES or v2 */
} hls_query_t;

/* Reads the query ARGS (as it came, not decoded; other arguments do not matter).
 * Returns 1; or 0 and WHY is a sentence for the answer 400. */
int hls_query_read(hls_query_t *q, const unsigned char *args, size_t len,
    char why[HLS_WHY_MAX]);

#endif
