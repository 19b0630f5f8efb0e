/*
 * Makes a token that token_check() accepts.
 *
 * Pure as token_check.h: no clock, no logging; the caller passes the HMAC.
 */

#ifndef DUOLU_RULES_TOKEN_MAKE_H
#define DUOLU_RULES_TOKEN_MAKE_H

#include "token_check.h"

/* Writes the token of CLAIMS, signed with the first key, as a text that ends with a
 * zero.  Returns its length; 0: the claims do not fit, or there is no memory. */
size_t token_make(const token_keys_t *keys, token_mac_pt hmac,
    const token_claims_t *claims, char out[TOKEN_MAX]);

#endif
