/*
 * clip.mp4: a span of what was recorded as one progressive MP4, an attachment.
 *
 * Its head is made for each request from the moof boxes alone.  It is the same
 * for the same span, so that a client can resume a download.  With the argument
 * `zone`, minutes east of UTC, the file's name has that zone's local time.  The
 * rest is sent from the recorded files.
 */

#ifndef DUOLU_HTTP_CLIP_H
#define DUOLU_HTTP_CLIP_H

#include "history.h"
#include "replay.h"

typedef struct {
    ngx_msec_t  longest;             /* of a clip's recorded time */
    ngx_int_t   at_once;             /* of a worker, being made or sent */
    ngx_int_t   of_user;             /* of them */
    size_t      heads;               /* bytes of their heads */
} clip_limits_t;

/* Answers the question H (whose `from` and `to` are set), whose client's session
 * is REPLAY.  For `return` in a content handler. */
ngx_int_t history_clip(ngx_http_request_t *r, history_t *h,
    ngx_thread_pool_t *pool, const clip_limits_t *limits,
    replay_t *replay);

#endif
