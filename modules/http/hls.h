/*
 * HLS: the model that the store, the playlists and the answers share (hls.md).
 */

#ifndef DUOLU_HTTP_HLS_H
#define DUOLU_HTTP_HLS_H

#include <ngx_config.h>
#include <ngx_core.h>

#include "../hub/hub.h"
#include "../media/part.h"

/* Bytes that requests share: hls_bytes.h. */
typedef struct hls_bytes_s  hls_bytes_t;

struct hls_bytes_s {
    ngx_queue_t    queue;
    hls_bytes_t  **at;             /* the store's reference; NULL: none */
    ngx_uint_t     refs;
    size_t         size;
    u_char        *data;
    ngx_file_t    *file;           /* has the same, for sendfile; NULL: there is none */
};

typedef struct {
    uint64_t      index, after;    /* its first entry, and the one behind it */
    int64_t       start;           /* ms, continuous time */
    int64_t       next;            /* of the frame that begins the next part */
    uint32_t      ms;              /* its duration */
    unsigned      key:1;           /* INDEPENDENT: a picture of it is a key frame */
    unsigned      to_picture:1;    /* a picture begins the next part */
    hls_bytes_t  *bytes;           /* NULL: not made yet, or no longer held */
    part_state_t  state;           /* its tracks continue from here */
} hls_part_t;

/* A segment with its complete parts. */
typedef struct {
    hub_segment_t  record;
    uint32_t       ms;             /* its duration; 0: it still grows */
    uint32_t       nparts, room;   /* complete parts */
    uint32_t       pictures;       /* frames of video */
    hls_part_t    *parts;
    hls_bytes_t   *whole;          /* a file of its parts; NULL: there is none */
    unsigned       asked:1;        /* it would have been sent from one */
} hls_segment_t;

typedef struct hls_stream_s  hls_stream_t;

/* Headers, and the init segment that is made of them; number N is at the place
 * N % HUB_SEGMENTS. */
typedef struct {
    hub_init_t    headers;         /* its number is -1: they are not known */
    hls_bytes_t  *bytes;
} hls_init_t;

/* The list of a stream: segments [first, end), `number % HUB_SEGMENTS` is a segment's
 * place.  The last one may still grow.  Those of [oldest, first) are no longer listed,
 * but players may still ask for them. */
struct hls_stream_s {
    ngx_queue_t     queue;         /* of this worker's streams */
    hub_reader_t    reader;
    u_char          name[HUB_NAME_MAX + 1];
    size_t          name_len;
    uint64_t        session;       /* SESSION of the names */
    uint64_t        oldest, first, end;
    uint64_t        changes;       /* of all that a playlist shows; grows */
    uint32_t        target_s;      /* EXT-X-TARGETDURATION */
    uint32_t        part_ms;       /* PART-TARGET */
    uint32_t        parts;         /* enum hub_parts: has the list any? */
    hls_segment_t   segments[HUB_SEGMENTS];
    hls_init_t     *inits[HUB_SEGMENTS];   /* NULL: an empty place */
    unsigned        ended:1;       /* the stream is over: EXT-X-ENDLIST */

    /* of the answers; freed with the stream, by their own function */
    void           *live;
    void          (*live_free)(hls_stream_t *st);

    /* of the store */
    hls_part_t      growing;       /* the part that is not complete yet */
    hls_part_t      rest;          /* the last part, if the stream ends now */
    uint64_t        saved;         /* the reader's index when all was made */
    ngx_uint_t      refs;          /* requests that wait */
    ngx_msec_t      used_ms;       /* when it was last asked for, or ended */
};

static ngx_inline const hls_segment_t *
hls_segment(const hls_stream_t *st, uint64_t number)
{
    return &st->segments[number % HUB_SEGMENTS];
}

/* A segment in a recording (rec_live_t, of the file that begins at `file`). */
typedef struct {
    int64_t   file;                /* utc ms */
    uint64_t  offset;
    int64_t   utc, shift, sound, sound_end;
    uint32_t  size, ms, headers, breaks;
    uint32_t  init_size;           /* of the file's init segment */
    unsigned  anew:1;
} hls_row_t;

/* Recorded segments of a stream: [first, first + n). */
typedef struct {
    uint64_t    first;
    size_t      n, room;
    hls_row_t  *rows;
} hls_past_t;

/* NULL: it has no such segment. */
static ngx_inline const hls_row_t *
hls_past_row(const hls_past_t *past, uint64_t number)
{
    return number >= past->first && number - past->first < past->n
           ? &past->rows[number - past->first] : NULL;
}

#endif
