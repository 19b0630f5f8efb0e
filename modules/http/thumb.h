/*
 * thumb.jpg: a picture of one moment of what was recorded, made elsewhere.
 */

#ifndef DUOLU_HTTP_THUMB_H
#define DUOLU_HTTP_THUMB_H

#include "history.h"

/* Adds $hub_history_file, $hub_history_init, $hub_history_offset and
 * $hub_history_size; for a module's preconfiguration. */
ngx_int_t history_thumb_variables(ngx_conf_t *cf);

/* Answers the question H (whose `from` and `to` are the moment) with what the
 * named LOCATION ("@thumb") makes of these variables.  For `return` in a
 * content handler. */
ngx_int_t history_thumb(ngx_http_request_t *r, history_t *h,
    ngx_thread_pool_t *pool, ngx_str_t *location);

#endif
