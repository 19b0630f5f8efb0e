/*
 * Checks a token: a compact JWT, HS256 only.  Its header names the key (`kid`), its
 * claims name the user (`sub`), the stream (`s`, "app/name") and the action (`a`),
 * and say when it was issued (`iat`) and when it expires (`exp`), in seconds since
 * 1970.  One for the action "clip" also names its span (`f` to `t`), in milliseconds.
 *
 * Source: RFC 7515, 7518 section 3.2, 7519.
 *
 * No clock, no logging.  jansson reads the JSON; the caller passes the HMAC of the
 * library that its program is linked with.
 */

#ifndef DUOLU_RULES_TOKEN_CHECK_H
#define DUOLU_RULES_TOKEN_CHECK_H

#include "token_keys.h"

#define TOKEN_MAX         1024   /* with its zero; no token of ours is longer */
#define TOKEN_STREAM_MAX  161    /* app (32) + '/' + name (128) */
#define TOKEN_MAC_BYTES   32

/* Viewers without an account are one user together; no user has so great a number. */
#define TOKEN_VISITOR     (UINT64_C(1) << 48)
/* The holder of link N is the user TOKEN_LINKS + N: no user has so great a number, and
 * JSON's readers still read it exactly. */
#define TOKEN_LINKS       TOKEN_VISITOR

typedef struct {
    uint64_t  user;                            /* sub, 1 to INT64_MAX */
    char      stream[TOKEN_STREAM_MAX + 1];    /* s */
    char      action[16];                      /* a: "view", "replay", "watch", "clip" */
    int64_t   issued;                          /* iat */
    int64_t   expires;                         /* exp */
    int64_t   from, to;                        /* f, t: of "clip" only, else 0 */
} token_claims_t;

typedef enum {
    TOKEN_OK,
    TOKEN_TOO_LONG,
    TOKEN_MALFORMED,
    TOKEN_UNKNOWN_KEY,      /* or another algorithm */
    TOKEN_FORGED,           /* the signature is wrong */
    TOKEN_LACKS_CLAIM,      /* or a claim has another type, or is too long */
    TOKEN_NO_USER,
    TOKEN_EXPIRED,
    TOKEN_FUTURE            /* `iat` is in the future: no revocation of today
                               would cover the token */
} token_result_t;

/* HMAC-SHA256 of the SIZE bytes of TEXT.  Returns 0 or -1. */
typedef int (*token_mac_pt)(uint8_t mac[TOKEN_MAC_BYTES],
    const uint8_t key[TOKEN_KEY_BYTES], const char *text, size_t size);

/* Checks the LEN bytes of TEXT at NOW (seconds).  Fills CLAIMS when it returns
 * TOKEN_OK, TOKEN_EXPIRED or TOKEN_FUTURE, and clears them otherwise.  The caller
 * compares the stream with the one that the client asked for, and the action by
 * token_allows(). */
token_result_t token_check(const token_keys_t *keys, token_mac_pt hmac,
    const char *text, size_t len, int64_t now, token_claims_t *claims);

/* Does a token with these claims allow ACTION?  A token for "watch", which is made only for
 * users who may do both, is one for "view" and for "replay"; who may replay may also "clip".
 * A token for "clip" is for nothing else, and only between its `from` and `to`: the caller
 * checks that.  A link gives "view" or "clip", whatever its token says. */
int token_allows(const token_claims_t *claims, const char *action);

/* Is it a link's?  What it begins ends when it expires. */
int token_of_link(const token_claims_t *claims);

/* Returns a sentence such as "token has expired"; NULL for TOKEN_OK. */
const char *token_result_text(token_result_t result);

#endif
