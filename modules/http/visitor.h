/*
 * A viewer that comes by single requests: those with the same token, address and
 * User-Agent are one session (hub_visit.c).
 */

#ifndef DUOLU_HTTP_VISITOR_H
#define DUOLU_HTTP_VISITOR_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "access.h"
#include "../hub/hub.h"

/* A hash of the viewer that R, with TOKEN, comes from. */
uint64_t visitor_hash(ngx_http_request_t *r, const u_char *token, size_t len);

/* Finds or opens the session of VISITOR, who holds a token for the stream whose name has
 * the hash NAME_HASH and whose slot is S. */
enum hub_refusal visitor_admit(ngx_http_request_t *r, hub_stream_t *s, uint64_t name_hash,
    const access_holder_t *holder, uint64_t visitor, hub_visit_t *visit);

#endif
