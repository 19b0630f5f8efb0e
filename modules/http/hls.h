/*
 * HLS: the model that the store, the playlists and the answers share (hls.md).
 */

#ifndef DUOLU_HTTP_HLS_H
#define DUOLU_HTTP_HLS_H

#include <ngx_config.h>
#include <ngx_core.h>

#include "../hub/hub.h"

/* Bytes that requests share.  hls_bytes_give() of the last reference frees them. */
typedef struct {
    ngx_uint_t  refs;
    size_t      size;
    u_char      data[];
} hls_bytes_t;

typedef struct {
    uint64_t      index;           /* its first entry */
    int64_t       start;           /* ms, continuous time */
    uint32_t      ms;              /* its duration */
    unsigned      key:1;           /* INDEPENDENT: it begins with a key frame */
    hls_bytes_t  *bytes;           /* NULL: not made yet, or no longer held */
} hls_part_t;

/* A segment with its complete parts. */
typedef struct {
    hub_segment_t  record;
    uint32_t       ms;             /* its duration; 0: it still grows */
    uint32_t       nparts, room;
    hls_part_t    *parts;
} hls_segment_t;

typedef struct hls_stream_s  hls_stream_t;

/* The list of a stream: segments [first, end), `number % HUB_SEGMENTS` is a segment's
 * place.  The last one may still grow. */
struct hls_stream_s {
    ngx_queue_t     queue;         /* of this worker's streams */
    hub_reader_t    reader;
    u_char          name[HUB_NAME_MAX + 1];
    size_t          name_len;
    uint64_t        session;       /* SESSION of the names */
    uint64_t        first, end;    /* segments that are known here */
    uint32_t        target_s;      /* EXT-X-TARGETDURATION */
    uint32_t        part_ms;       /* PART-TARGET */
    hls_segment_t   segments[HUB_SEGMENTS];
    unsigned        ended:1;       /* the stream is over: EXT-X-ENDLIST */
};

static ngx_inline const hls_segment_t *
hls_segment(const hls_stream_t *st, uint64_t number)
{
    return &st->segments[number % HUB_SEGMENTS];
}

#endif
