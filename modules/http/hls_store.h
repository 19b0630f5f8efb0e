/*
 * The segments and parts of the streams that have HLS viewers in this worker (hls.md).
 *
 * A stream is here from the first request for it until nobody has asked for it for
 * three target durations.  It follows the hub's records of segments, and nothing
 * of it depends on when it began: all workers have the same parts, with the same
 * bytes.  A part's bytes are made when they are first asked for.
 */

#ifndef DUOLU_HTTP_HLS_STORE_H
#define DUOLU_HTTP_HLS_STORE_H

#include "hls_bytes.h"
#include "../media/mp4.h"

#define HLS_NO_INIT  ((uint32_t) -1)     /* headers that are not known */

/* Finds the stream NAME of SESSION (0: the live one, or the one that ended last),
 * or begins with it, and reads what the hub has of it.  It stays valid until the
 * event loop's next turn, unless the caller keeps it.  NGX_OK; NGX_DECLINED: there
 * is no such stream; NGX_ERROR: no memory. */
ngx_int_t hls_store_open(const u_char *name, size_t len, uint64_t session,
    hls_stream_t **st);

/* For requests that wait. */
void hls_store_keep(hls_stream_t *st);
void hls_store_give(hls_stream_t *st);

/* Reads the hub's new entries.  NGX_OK: st has changed (parts, segments, `first` or
 * `ended`), and st->changes has grown; NGX_AGAIN: nothing is new. */
ngx_int_t hls_store_read(hls_stream_t *st);

/* Is it known? */
static ngx_inline int
hls_store_has(const hls_stream_t *st, uint64_t number)
{
    return number >= st->oldest && number < st->end;
}

/*
 * A reference to the bytes of part PART of segment NUMBER, for hls_bytes_give().
 * NGX_OK
 * NGX_AGAIN      the part is not complete yet
 * NGX_DECLINED   it never was, or is too old
 * NGX_BUSY       there is no memory, or requests hold as much as hls_cache allows
 */
ngx_int_t hls_store_part(hls_stream_t *st, uint64_t number, uint32_t part,
    hls_bytes_t **bytes);

/* References to the bytes of all parts of segment NUMBER, which has
 * hls_segment(st, number)->nparts of them.  The same codes; NGX_AGAIN: the segment
 * still grows.  Without NGX_OK there are none. */
ngx_int_t hls_store_segment(hls_stream_t *st, uint64_t number,
    hls_bytes_t **bytes);

/* A reference to init segment NUMBER.  The same codes. */
ngx_int_t hls_store_init(hls_stream_t *st, uint32_t number, hls_bytes_t **bytes);

/* The headers NUMBER of a segment that is known; NULL: they are too large for HLS,
 * or no longer known. */
static ngx_inline const hub_init_t *
hls_store_headers(const hls_stream_t *st, uint32_t number)
{
    const hls_init_t  *init = st->inits[number % HUB_SEGMENTS];

    return init && init->headers.number == number && number != HLS_NO_INIT
           ? &init->headers : NULL;
}

/* The tracks of INIT, which must outlive them; one without codec is not there. */
static ngx_inline void
hls_store_tracks(const hub_init_t *init, mp4_track_t tracks[2])
{
    const uint8_t  *sound = init->data + init->size[MP4_VIDEO];

    (void) mp4_track(&tracks[MP4_VIDEO], init->codec[MP4_VIDEO], init->data,
                     init->size[MP4_VIDEO]);
    (void) mp4_track(&tracks[MP4_AUDIO], init->codec[MP4_AUDIO], sound,
                     init->size[MP4_AUDIO]);
}

#endif
