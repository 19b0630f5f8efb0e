/*
 * Access by token, checked in the worker without a trip to the database.
 *
 * A token is a compact JWT (RFC 7515/7519), HS256, whose header names the
 * key (`kid`) and whose claims name the stream (`s`, "app/name"), the action
 * (`a`), the second of its making (`iat`, since 1970), and the end of its life
 * (`exp`).  The service checks the same in token_verify(), for RTMP players:
 * tests/unit/cases/tokens.tsv says what both accept.
 */

#ifndef DUOLU_HTTP_ACCESS_H
#define DUOLU_HTTP_ACCESS_H

#include <ngx_config.h>
#include <ngx_core.h>

#define ACCESS_TOKEN_MAX  1024
#define ACCESS_KID_MAX    16
#define ACCESS_KEY_SIZE   32

typedef struct {
    u_char  kid[ACCESS_KID_MAX + 1];
    u_char  key[ACCESS_KEY_SIZE];
} access_key_t;

/* Reads the key file: lines "KID HEX64", '#' starts a comment, blanks and CR
 * around a line don't count, each KID stands once, 8 at most.  Returns an
 * array of access_key_t, or NULL with the reason logged as emerg. */
ngx_array_t *access_read_keys(ngx_conf_t *cf, ngx_str_t *file);

/* What `access_token_keys` gave a location, whose configurations are LOC_CONF
 * (a request's, or those of the location being read); NULL when it is not
 * set.  While the configuration is read: from other modules' merge on. */
ngx_array_t *access_keys(void **loc_conf);

typedef struct {
    uint64_t  uid;         /* whose token it is */
    int64_t   issued;      /* unix seconds */
} access_holder_t;

/* Returns NULL when TOKEN gives ACTION on STREAM at NOW (seconds), and fills
 * HOLDER; else the reason it does not, for the log. */
const char *access_check(ngx_array_t *keys, ngx_str_t *token,
    ngx_str_t *stream, const char *action, time_t now,
    access_holder_t *holder);

#endif
