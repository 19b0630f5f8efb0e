/*
 * Access by token.  The worker checks it without asking the database, by the
 * rules of ../rules/token_keys.h and token_check.h.
 */

#ifndef DUOLU_HTTP_ACCESS_H
#define DUOLU_HTTP_ACCESS_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "../rules/token_check.h"
#include "../rules/token_make.h"

/* Reads the key file.  Returns NULL with the reason logged as emerg. */
token_keys_t *access_read_keys(ngx_conf_t *cf, ngx_str_t *file);

/* Returns the keys of `access_token_keys` in a location, NULL when it is not set.
 * LOC_CONF are the location's configurations: a request's, or from a module's
 * merge function on, those being read. */
token_keys_t *access_keys(void **loc_conf);

typedef struct {
    uint64_t  uid;         /* the token's user */
    int64_t   issued;      /* unix seconds */
    int64_t   from, to;    /* utc ms: what the token shows of the past, at most */
    time_t    until;       /* when to end a session that it began; 0: never */
    unsigned  replay:1;    /* the token allows to see the recorded past, too */
    unsigned  link:1;      /* it was given by a link, which many people may have */
} access_holder_t;

/* Returns NULL and fills HOLDER when TOKEN allows ACTION on STREAM at NOW
 * (seconds); else the reason for the refusal, for the log. */
const char *access_check(const token_keys_t *keys, ngx_str_t *token,
    ngx_str_t *stream, const char *action, time_t now,
    access_holder_t *holder);

/* Makes a token of these claims, signed with the first key.  Returns its length; 0: the
 * claims do not fit. */
size_t access_sign(const token_keys_t *keys, const token_claims_t *claims,
    char out[TOKEN_MAX]);


/* --- a request (access_admit.c) --- */

/* Logs that ACTION on STREAM was refused, and WHY.  Returns STATUS. */
ngx_int_t access_refuse(ngx_http_request_t *r, const char *action, ngx_int_t status,
    const ngx_str_t *stream, const char *why);

/* Does access_check() for a request, with the keys of its location and the hub's revocations.
 * NGX_OK; else the status to answer with: the refusal is counted and logged. */
ngx_int_t access_admit(ngx_http_request_t *r, const char *action, ngx_str_t *token,
    ngx_str_t *stream, access_holder_t *holder);

/* Does the token of HOLDER show the past from FROM to TO (utc ms)?  NGX_OK; else the status to
 * answer with: the refusal is counted and logged. */
ngx_int_t access_within(ngx_http_request_t *r, const access_holder_t *holder,
    const ngx_str_t *stream, int64_t from, int64_t to);

#endif
