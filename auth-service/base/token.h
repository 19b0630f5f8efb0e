#ifndef DUOLU_TOKEN_H
#define DUOLU_TOKEN_H

#include "../../modules/rules/token_check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The service's side of tokens: makes tokens and keys that modules/rules/token_*.h read. */

/* The file must not be readable for others. */
bool token_keys_load(const char *path, token_keys_t *keys, char *error, size_t error_size);

/* Makes the file with one random key, 0600, unless it is there. */
bool token_keys_create(const char *path, char *error, size_t error_size);

/*
 * The issue time of a token made now. A revocation voids tokens of its own second
 * too, so a token made in that second says the next one.
 */
int64_t token_issue(int64_t now, int64_t not_before);

/* false only when the claims don't fit */
bool token_sign(const token_keys_t *keys, const token_claims_t *claims, char out[TOKEN_MAX]);

/* token_check() of a text that ends with a zero */
token_result_t token_verify(const token_keys_t *keys, const char *text, int64_t now,
                            token_claims_t *claims);

#endif
