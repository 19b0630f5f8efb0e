/*
 * Makes parts of the hub's frames: for the store alone.
 */

#ifndef DUOLU_HTTP_HLS_PACK_H
#define DUOLU_HTTP_HLS_PACK_H

#include "hls.h"

/* Packs PART of the segment RECORD, whose entries and `next` are known, without its
 * media: sets part->key, *SIZE (bytes) and AFTER, the state in which the part leaves the
 * tracks.  NGX_DECLINED: its headers are not known, or the hub no longer has its frames. */
ngx_int_t hls_pack_part(const hls_stream_t *st, const hub_segment_t *record,
    hls_part_t *part, size_t *size, part_state_t *after);

/* Makes part->bytes, with the media.  NGX_DECLINED: the hub no longer has its frames;
 * NGX_BUSY: there is no memory, or no more is allowed. */
ngx_int_t hls_pack_bytes(const hls_stream_t *st, const hub_segment_t *record,
    hls_part_t *part);

#endif
