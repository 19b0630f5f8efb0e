#ifndef DUOLU_PASSWORD_H
#define DUOLU_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>

#define PASSWORD_MIN        8
#define PASSWORD_MAX        256
#define PASSWORD_RULE       "8 to 256 bytes of UTF-8"
#define PASSWORD_HASH_SIZE  128     /* crypto_pwhash_STRBYTES */
#define SECRET_SIZE         44      /* 32 random bytes in base64url, and NUL */
#define KEY_TEXT_LENGTH     22      /* 16 random bytes in base64url */
#define KEY_HASH_BYTES      32

bool password_valid(const char *password);

/* argon2id, 19 MiB, two passes: takes about 40 ms; false when memory is short. */
bool password_hash(const char *password, char hash[PASSWORD_HASH_SIZE]);

typedef enum {
    PASSWORD_RIGHT,
    PASSWORD_WRONG,
    PASSWORD_UNKNOWN        /* memory is short */
} password_result_t;

/*
 * A NULL or empty hash takes the same time and returns PASSWORD_WRONG, so that the time does
 * not reveal whether the user exists or has a password.
 */
password_result_t password_verify(const char *password, const char *hash);

/* Writes `count` random bytes in base64url without padding. */
void password_random(char *out, size_t size, size_t count);

/* The SHA-256 that the database stores of a publishing key or a page session. */
void password_fingerprint(const char *text, unsigned char out[KEY_HASH_BYTES]);

#endif
