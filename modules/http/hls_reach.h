/*
 * How far the playlists of a live stream reach back (hls.md, "Reaching back"): rows of
 * its recorded segments in this worker, and the texts of long playlists.
 *
 * It is there from the first request for a window until nobody has asked for one for
 * half a minute.  A pool thread reads the rows; requests wait for the first time.
 */

#ifndef DUOLU_HTTP_HLS_REACH_H
#define DUOLU_HTTP_HLS_REACH_H

#include <ngx_thread_pool.h>

#include "hls_playlist.h"
#include "hls_send.h"

typedef struct hls_reach_s  hls_reach_t;

/* Opens the one of ST at *AT, where it becomes NULL when it is freed.  The recordings are
 * below ROOT.  NULL: there is no memory. */
hls_reach_t *hls_reach(hls_reach_t **at, hls_stream_t *st, const ngx_str_t *root,
    ngx_thread_pool_t *pool);

void hls_reach_free(hls_reach_t *reach);

/* Sets LIST to the playlist of WINDOW seconds, and *TEXTS to its texts in each form,
 * which are empty or true for this state of the stream.  NGX_OK; NGX_AGAIN: a thread
 * reads, try again when st->changes has grown; NGX_BUSY: that takes too long. */
ngx_int_t hls_reach_list(hls_reach_t *reach, uint64_t window, hls_list_t *list,
    hls_text_t **texts);

/* The row of segment NUMBER; or of one with the headers NUMBER if HEADERS.  NULL: it
 * is not known here. */
const hls_row_t *hls_reach_row(const hls_reach_t *reach, uint64_t number,
    int headers);

#endif
