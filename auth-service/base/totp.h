#ifndef DUOLU_TOTP_H
#define DUOLU_TOTP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Codes of authenticator apps: RFC 6238 with its defaults, which all apps know: SHA-1, 30 s, six
 * digits. Recovery codes replace one when the phone is lost.
 */
#define TOTP_SECRET_SIZE   33       /* 160 bits in base32, and NUL */
#define TOTP_CODE_SIZE     7
#define TOTP_STEP_S        30
#define RECOVERY_SIZE      20       /* "abcd-efgh-ijkl-mnop": 80 bits in base32, and NUL */
#define RECOVERY_COUNT     10

void totp_secret_make(char secret[TOTP_SECRET_SIZE]);

/* The code of a time step; false if the secret is not base32. */
bool totp_code(const char *secret, uint64_t step, char code[TOTP_CODE_SIZE]);

/*
 * Is it the code of this time, or one step earlier or later, for clocks that differ? Sets its step,
 * so that the caller takes no code twice.
 */
bool totp_check(const char *secret, const char *code, int64_t now, uint64_t *step);

void recovery_make(char code[RECOVERY_SIZE]);

/* Writes the code as it is hashed, without dashes, spaces and capitals; false if it is none. */
bool recovery_read(const char *text, char code[RECOVERY_SIZE]);

#endif
