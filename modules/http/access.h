/*
 * Access by token, checked in the worker without a trip to the database: the
 * rules are those of ../rules/token_keys.h and token_check.h.
 */

#ifndef DUOLU_HTTP_ACCESS_H
#define DUOLU_HTTP_ACCESS_H

#include <ngx_config.h>
#include <ngx_core.h>

#include "../rules/token_check.h"

/* Reads the key file.  Returns NULL with the reason logged as emerg. */
token_keys_t *access_read_keys(ngx_conf_t *cf, ngx_str_t *file);

/* The keys of `access_token_keys` for a location, whose configurations are
 * LOC_CONF (a request's, or those of the location being read); NULL when it is
 * not set.  Other modules may call it from their merge on. */
token_keys_t *access_keys(void **loc_conf);

typedef struct {
    uint64_t  uid;         /* whose token it is */
    int64_t   issued;      /* unix seconds */
} access_holder_t;

/* Returns NULL and fills HOLDER when TOKEN allows ACTION on STREAM at NOW
 * (seconds); else the reason of the refusal, for the log. */
const char *access_check(const token_keys_t *keys, ngx_str_t *token,
    ngx_str_t *stream, const char *action, time_t now,
    access_holder_t *holder);

#endif
