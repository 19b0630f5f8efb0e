/*
 * clip.mp4: a span of the recordings as one progressive MP4, to download.
 *
 * Each request builds the head anew, from the moof boxes alone; the media is sent
 * from the recorded files.  The same span has the same head, so that a client can
 * resume a download.  With the argument `zone`, minutes east of UTC, the file's
 * name has that zone's local time.
 */

#ifndef DUOLU_HTTP_CLIP_H
#define DUOLU_HTTP_CLIP_H

#include "history.h"
#include "replay.h"

typedef struct {
    ngx_msec_t  longest;             /* recorded time of one clip */
    ngx_int_t   at_once;             /* clips that a worker makes and sends */
    ngx_int_t   of_user;             /* those of one user */
    size_t      heads;               /* bytes of all their heads */
} clip_limits_t;

/* Answers the question H, with `from` and `to` set, for a client whose session is
 * REPLAY.  For `return` in a content handler. */
ngx_int_t history_clip(ngx_http_request_t *r, history_t *h,
    ngx_thread_pool_t *pool, const clip_limits_t *limits,
    replay_t *replay);

#endif
