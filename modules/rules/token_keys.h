/*
 * The file of token keys: lines "KID HEX64".  '#' starts a comment, also behind
 * a key; blanks and CR around a line are ignored.  The service signs with the first
 * key, and every key verifies.
 *
 * Pure: no allocation, no clock, no logging.
 */

#ifndef DUOLU_RULES_TOKEN_KEYS_H
#define DUOLU_RULES_TOKEN_KEYS_H

#include <stddef.h>
#include <stdint.h>

#define TOKEN_KEYS_MAX       8
#define TOKEN_KEY_BYTES      32
#define TOKEN_KID_MAX        16
#define TOKEN_KEYS_FILE_MAX  4096        /* the file is shorter */

typedef struct {
    char     kid[TOKEN_KID_MAX + 1];
    uint8_t  key[TOKEN_KEY_BYTES];
} token_key_t;

typedef struct {
    size_t       count;
    token_key_t  keys[TOKEN_KEYS_MAX];
} token_keys_t;

/* Reads the SIZE bytes of a file.  Returns 0, or -1 with an ERROR that names
 * the line and what was expected. */
int token_keys_parse(token_keys_t *keys, const char *text, size_t size,
    char *error, size_t error_size);

/* Returns NULL when no key has this name. */
const token_key_t *token_keys_find(const token_keys_t *keys, const char *kid);

#endif
