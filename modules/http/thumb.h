/*
 * Pictures of recordings: this code finds the key frame of a moment, and a named
 * location makes a JPEG of it, using these variables:
 *
 *     $hub_history_file      the recording, absolute
 *     $hub_history_id        for a cache's key: another file of that name differs
 *     $hub_history_init      bytes of its ftyp and moov
 *     $hub_history_offset    of the segment that begins with the key frame
 *     $hub_history_size      bytes of that segment
 *     $hub_history_user      the user's number
 *
 * In any other request they are empty.
 */

#ifndef DUOLU_HTTP_THUMB_H
#define DUOLU_HTTP_THUMB_H

#include "history.h"

/* Adds the variables; for a module's preconfiguration. */
ngx_int_t history_thumb_variables(ngx_conf_t *cf);

/* Answers the question H with a picture of the newest key frame before its `to`,
 * made by the named LOCATION ("@thumb").  NOW: the request names no moment.  For
 * `return` in a content handler. */
ngx_int_t history_thumb(ngx_http_request_t *r, history_t *h,
    ngx_thread_pool_t *pool, ngx_str_t *location, int now);

#endif
