/*
 * Answers that the worker makes in memory, and sends as JSON or another type.
 */

#ifndef DUOLU_HTTP_ANSWER_H
#define DUOLU_HTTP_ANSWER_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "text_buffer.h"
#include "../hub/hub.h"

/* Begins an answer: refuses other methods than METHOD, discards the request's
 * body, checks that there is a hub.  NGX_OK, or the handler's result. */
ngx_int_t answer_begin(ngx_http_request_t *r, ngx_uint_t method);

/* Sends T, which belongs to the request from then on.  For `return`. */
ngx_int_t answer_send(ngx_http_request_t *r, ngx_uint_t status,
    const char *type, text_t *t);

#define ANSWER_JSON  "application/json"

/* Sends {"error": a sentence by FORMAT}, with no-store: the error may pass. */
ngx_int_t answer_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *format, ...);

/* The same for an error that is everybody's, whatever the token: a cache in front may
 * give it to all who ask within a second. */
ngx_int_t answer_shared_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *format, ...);

/* The hub refused the client: sends {"error": why} with 403, 429 (the user's or
 * address's share is full) or 503, and logs that ACTION on STREAM (may be NULL)
 * was refused. */
ngx_int_t answer_refusal(ngx_http_request_t *r, const char *action,
    const ngx_str_t *stream, enum hub_refusal reason);

/* Ends an answer that is being sent, and discards unsent bytes in the kernel: a slow
 * client would read them for minutes. */
void answer_take_back(ngx_http_request_t *r);

/* Adds a header; NAME and VALUE live as long as the request.  NULL: no memory. */
ngx_table_elt_t *answer_header(ngx_http_request_t *r, const char *name,
    const char *value);

/* For a flag directive's `set`: installs HANDLER in the location if it is "on". */
char *answer_at(ngx_conf_t *cf, ngx_http_handler_pt handler);

/* For a module's postconfiguration: adds HANDLER to PHASE of all requests. */
ngx_int_t answer_in_phase(ngx_conf_t *cf, ngx_http_phases phase,
    ngx_http_handler_pt handler);

#endif
