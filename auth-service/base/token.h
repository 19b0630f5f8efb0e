#ifndef DUOLU_TOKEN_H
#define DUOLU_TOKEN_H

#include "../../modules/rules/token_check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Makes tokens and key files; modules/rules/token_*.h read them, here and in nginx. */

/* Refuses a file that users outside its owner and group can read. */
bool token_keys_load(const char *path, token_keys_t *keys, char *error, size_t error_size);

/* Makes the file with one random key, mode 0600, unless it exists. */
bool token_keys_create(const char *path, char *error, size_t error_size);

/*
 * The issue time of a token made now. A revocation also voids the tokens of its own
 * second, so a token made in that second carries the next one.
 */
int64_t token_issue(int64_t now, int64_t not_before);

/* How many seconds an address with a token for "watch" reaches back, if nobody says otherwise. */
#define TOKEN_WINDOW_S  600

/* Lists of sessions show this for viewers without an account; no user's name has a space. */
#define TOKEN_VISITOR_NAME  "no account"

/* Returns false only when the claims are too long. */
bool token_sign(const token_keys_t *keys, const token_claims_t *claims, char out[TOKEN_MAX]);

/* token_check() for a text that ends with a NUL. */
token_result_t token_verify(const token_keys_t *keys, const char *text, int64_t now,
                            token_claims_t *claims);

#endif
