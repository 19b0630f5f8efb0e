#include "hls_whole.h"


/* Does the hub still have the frames? */
static int
is_live(const hls_stream_t *st)
{
    return hub_reader_alive(&st->reader)
           && hub_load(&st->reader.ref.stream->state) != HUB_GRACE;
}


/* Copies the N PARTS of SEGMENT to segment->whole and gives the references back; forgets
 * the parts that no other request holds.  NGX_DECLINED: it has done nothing. */
static ngx_int_t
join_parts(hls_segment_t *segment, hls_bytes_t **parts, ngx_uint_t n)
{
    ngx_uint_t    i;
    hls_bytes_t  *whole = hls_bytes_join(parts, n);

    if (whole == NULL) {
        return NGX_DECLINED;
    }

    for (i = 0; i < n; i++) {
        if (parts[i]->refs == 2) {
            hls_bytes_drop(parts[i]->at);
        }

        hls_bytes_give(parts[i]);
    }

    hls_bytes_offer(whole, &segment->whole);

    return NGX_OK;
}


ngx_int_t
hls_whole(hls_stream_t *st, uint64_t number, int file, hls_bytes_t **bytes,
    ngx_uint_t *n)
{
    ngx_int_t       rc;
    hls_segment_t  *segment = &st->segments[number % HUB_SEGMENTS];

    if (!hls_store_has(st, number) || segment->whole == NULL) {
        rc = hls_store_segment(st, number, bytes);
        if (rc != NGX_OK) {
            return rc;
        }

        *n = segment->nparts;

        if (!file || !segment->asked || !is_live(st)
            || join_parts(segment, bytes, *n) != NGX_OK)
        {
            segment->asked |= file;
            return NGX_OK;
        }
    }

    hls_bytes_used(segment->whole);
    bytes[0] = hls_bytes_keep(segment->whole);
    *n = 1;

    return NGX_OK;
}
