#ifndef DUOLU_TOKEN_H
#define DUOLU_TOKEN_H

#include "names.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Compact JWT, HS256 only (RFC 7515, 7518 section 3.2, 7519). */

#define TOKEN_KEYS_MAX   8
#define TOKEN_KEY_BYTES  32
#define TOKEN_KID_MAX    16
#define TOKEN_MAX        1024   /* a longer text is no token of ours */

typedef struct {
    char           kid[TOKEN_KID_MAX + 1];
    unsigned char  key[TOKEN_KEY_BYTES];
} token_key_t;

typedef struct {
    size_t       count;         /* the first one signs, all verify */
    token_key_t  keys[TOKEN_KEYS_MAX];
} token_keys_t;

typedef struct {
    uint64_t  user;                         /* sub */
    char      stream[NAME_FULL_MAX + 1];    /* s: "live/demo" */
    char      action[16];                   /* a: "view" or "replay" */
    int64_t   issued;                       /* iat, seconds */
    int64_t   expires;                      /* exp, seconds */
} token_claims_t;

typedef enum {
    TOKEN_OK,
    TOKEN_MALFORMED,    /* no JWT of ours, another algorithm included */
    TOKEN_UNKNOWN_KEY,
    TOKEN_FORGED,       /* the signature does not fit */
    TOKEN_EXPIRED
} token_result_t;

/* Lines of "KID HEX64", '#' starts a comment. The error names the line. */
bool token_keys_parse(const char *text, token_keys_t *keys, char *error, size_t error_size);
bool token_keys_load(const char *path, token_keys_t *keys, char *error, size_t error_size);

/* Makes the file with one random key, 0600, unless it is there. */
bool token_keys_create(const char *path, char *error, size_t error_size);

/*
 * When a token made now says it was issued: after the revocation that voids
 * what was made up to its second, be it this one.
 */
int64_t token_issue(int64_t now, int64_t not_before);

/* false only when the claims don't fit */
bool token_sign(const token_keys_t *keys, const token_claims_t *claims, char out[TOKEN_MAX]);

token_result_t token_verify(const token_keys_t *keys, const char *text, int64_t now,
                            token_claims_t *claims);

#endif
