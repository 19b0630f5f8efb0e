/*
 * The text of HLS playlists (RFC 8216bis), and which requests must wait for the next
 * one.  All depends on the state of the stream's list alone, so that every worker
 * writes the same bytes.
 */

#ifndef DUOLU_HTTP_HLS_PLAYLIST_H
#define DUOLU_HTTP_HLS_PLAYLIST_H

#include "hls.h"
#include "hls_name.h"
#include "text_buffer.h"

enum hls_form { HLS_FULL = 0, HLS_DELTA };

/* A media playlist: the segments from number `from` on.  Those before `hub` are recorded
 * ones, whose rows PAST has.  Without PAST, `from` and `hub` are st->first. */
typedef struct {
    const hls_stream_t  *st;
    const hls_past_t    *past;
    uint64_t             from, hub;
} hls_list_t;

/* The duration of the complete segment NUMBER of a list. */
static ngx_inline uint32_t
hls_list_ms(const hls_list_t *list, uint64_t number)
{
    return number < list->hub ? hls_past_row(list->past, number)->ms
                              : hls_segment(list->st, number)->ms;
}

/* The form of the answer to Q: HLS_DELTA only if segments can be skipped now. */
enum hls_form hls_playlist_form(const hls_list_t *list, const hls_query_t *q);

/* Appends the media playlist. */
void hls_playlist_write(text_t *t, const hls_list_t *list, enum hls_form form);

/* The end of the complete segments. */
uint64_t hls_playlist_complete(const hls_stream_t *st);

/* The attributes of the multivariant playlist's one rendition that the list itself does
 * not tell. */
typedef struct {
    const char  *codecs;         /* of RFC 6381; NULL or "": not known */
    uint32_t     width, height;  /* 0: no pictures, or not known */
    uint32_t     fps_milli;      /* as measured, until a segment is
                                    complete; 0: not known */
    uint32_t     kbps;           /* as measured, until a segment is complete */
} hls_rendition_t;

/* Appends the multivariant playlist, for a media playlist of WINDOW seconds; 0: as long
 * as the hub's. */
void hls_playlist_index(text_t *t, const hls_stream_t *st,
    const hls_rendition_t *rendition, uint64_t window);

enum hls_verdict {
    HLS_READY,
    HLS_WAIT,                    /* decide again when the list has changed */
    HLS_REFUSED
};

/* Can a request for the media playlist with Q be answered?  HLS_REFUSED: WHY is a
 * sentence for the answer 400.  Without directives it waits for the first complete
 * segment: plain players give up at an empty list. */
enum hls_verdict hls_playlist_ready(const hls_stream_t *st, const hls_query_t *q,
    char why[HLS_WHY_MAX]);

/* Can a request for part PART of segment NUMBER be answered?  HLS_WAIT: it is the
 * part that the list hints at.  HLS_REFUSED: there is no such part (404); read the
 * hub first, since another worker may have hinted at it a moment ago. */
enum hls_verdict hls_part_ready(const hls_stream_t *st, uint64_t number,
    uint64_t part);

#endif
