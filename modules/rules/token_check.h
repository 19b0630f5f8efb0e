/*
 * The check of a token: a compact JWT, HS256 only, whose header names the key
 * (`kid`) and whose claims name the user (`sub`), the stream (`s`, "app/name"),
 * the action (`a`), the second of its making (`iat`, since 1970) and the end of
 * its life (`exp`).
 *
 * Source: RFC 7515, 7518 section 3.2, 7519.
 *
 * No clock, no logging; jansson reads the JSON, and the program brings the HMAC
 * of the library that it is linked with.
 */

#ifndef DUOLU_RULES_TOKEN_CHECK_H
#define DUOLU_RULES_TOKEN_CHECK_H

#include "token_keys.h"

#define TOKEN_MAX         1024   /* with its zero; no token of ours is longer */
#define TOKEN_STREAM_MAX  161    /* app (32) + '/' + name (128) */
#define TOKEN_MAC_BYTES   32

typedef struct {
    uint64_t  user;                            /* sub, 1 to INT64_MAX */
    char      stream[TOKEN_STREAM_MAX + 1];    /* s */
    char      action[16];                      /* a: "view" or "replay" */
    int64_t   issued;                          /* iat */
    int64_t   expires;                         /* exp */
} token_claims_t;

typedef enum {
    TOKEN_OK,
    TOKEN_TOO_LONG,
    TOKEN_MALFORMED,
    TOKEN_UNKNOWN_KEY,      /* or another algorithm */
    TOKEN_FORGED,           /* the signature does not fit */
    TOKEN_LACKS_CLAIM,      /* or one is of another type, or too long */
    TOKEN_NO_USER,
    TOKEN_EXPIRED,
    TOKEN_FUTURE            /* `iat` in the future; revocations would miss it */
} token_result_t;

/* HMAC-SHA256 of the SIZE bytes of TEXT.  Returns 0 or -1. */
typedef int (*token_mac_pt)(uint8_t mac[TOKEN_MAC_BYTES],
    const uint8_t key[TOKEN_KEY_BYTES], const char *text, size_t size);

/* Checks the LEN bytes of TEXT at NOW (seconds).  Fills CLAIMS when the answer
 * is TOKEN_OK, TOKEN_EXPIRED or TOKEN_FUTURE; all is 0 in them else.  Whether
 * stream and action are the wanted ones is left to the caller. */
token_result_t token_check(const token_keys_t *keys, token_mac_pt hmac,
    const char *text, size_t len, int64_t now, token_claims_t *claims);

/* "token has expired"; NULL: TOKEN_OK. */
const char *token_result_text(token_result_t result);

#endif
