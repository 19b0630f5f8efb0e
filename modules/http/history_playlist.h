/*
 * index.m3u8 and spans.json: lists of what was recorded.
 */

#ifndef DUOLU_HTTP_HISTORY_PLAYLIST_H
#define DUOLU_HTTP_HISTORY_PLAYLIST_H

#include "history.h"

/* Both answer the question H, for `return` in a content handler: with 503 when
 * this worker's lists take MOST bytes, with 429 when this user's lists take a
 * quarter of that.  OPEN: the request named no end, so the playlist grows while
 * the stream is recorded. */
ngx_int_t history_playlist(ngx_http_request_t *r, history_t *h,
    ngx_thread_pool_t *pool, size_t most, int open);
ngx_int_t history_spans(ngx_http_request_t *r, history_t *h,
    ngx_thread_pool_t *pool, size_t most);

#endif
