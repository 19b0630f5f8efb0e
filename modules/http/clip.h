/*
 * clip.mp4: a span of what was recorded as one progressive MP4.
 */

#ifndef DUOLU_HTTP_CLIP_H
#define DUOLU_HTTP_CLIP_H

#include "history.h"

/* Answers the question H (whose `from` and `to` are set) with an attachment.
 * For `return` in a content handler. */
ngx_int_t history_clip(ngx_http_request_t *r, history_t *h,
    ngx_thread_pool_t *pool);

#endif
