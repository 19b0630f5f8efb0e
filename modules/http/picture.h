/*
 * A picture of a live stream: its newest key frame, as a small MP4 that a decoder can
 * read alone.
 */

#ifndef DUOLU_HTTP_PICTURE_H
#define DUOLU_HTTP_PICTURE_H

#include "../hub/hub.h"

typedef struct {
    hub_reader_t  reader;            /* at the key frame */
    hub_entry_t   entry;
    int64_t       life;              /* ms since 1970: the start of the stream */
} picture_frame_t;

/* Finds the newest key frame of STREAM.  NGX_DECLINED: the hub does not have the
 * stream; NGX_AGAIN: it has no key frame of it now, or the stream has no pictures. */
ngx_int_t picture_find(const ngx_str_t *stream, picture_frame_t *frame);

/* How long ago it came, in ms. */
uint32_t picture_age(const picture_frame_t *frame);

/* At most so many bytes has what picture_make() makes. */
size_t picture_room(const picture_frame_t *frame);

/* Makes the MP4 in B, which has room for picture_room().  NGX_DECLINED: the frame has
 * left the hub, or its headers have changed or cannot be read. */
ngx_int_t picture_make(const picture_frame_t *frame, ngx_buf_t *b);

#endif
