#include "totp.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define TOTP_SECRET_BYTES  20
#define RECOVERY_BYTES     10
#define RECOVERY_LENGTH    16

static const char  totp_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";


/* RFC 4648, section 6; SIZE is a multiple of 5, so there is no padding. */
static void totp_base32(const unsigned char *bytes, size_t size, char *out)
{
    size_t    i;
    unsigned  bits = 0;
    uint32_t  value = 0;

    for (i = 0; i < size; i++) {
        value = value << 8 | bytes[i];
        for (bits += 8; bits >= 5; bits -= 5) {
            *out++ = totp_alphabet[value >> (bits - 5) & 31];
        }
    }
    *out = '\0';
}


static bool totp_bytes(const char *secret, unsigned char bytes[TOTP_SECRET_BYTES])
{
    size_t       length = 0;
    unsigned     bits = 0;
    uint32_t     value = 0;
    const char  *letter;

    if (strlen(secret) != TOTP_SECRET_SIZE - 1) {
        return false;
    }

    for ( /* void */ ; *secret; secret++) {
        letter = strchr(totp_alphabet, *secret);
        if (letter == NULL) {
            return false;
        }
        value = value << 5 | (uint32_t) (letter - totp_alphabet);
        bits += 5;
        if (bits >= 8) {
            bits -= 8;
            bytes[length++] = (unsigned char) (value >> bits);
        }
    }

    return true;
}


void totp_secret_make(char secret[TOTP_SECRET_SIZE])
{
    unsigned char  bytes[TOTP_SECRET_BYTES];

    randombytes_buf(bytes, sizeof(bytes));
    totp_base32(bytes, sizeof(bytes), secret);
    sodium_memzero(bytes, sizeof(bytes));
}


/* RFC 4226, section 5.3: the HMAC's last four bits say where its 31 bits stand. */
bool totp_code(const char *secret, uint64_t step, char code[TOTP_CODE_SIZE])
{
    size_t         i;
    unsigned       offset, length = 0;
    uint32_t       value;
    unsigned char  key[TOTP_SECRET_BYTES], counter[8], mac[EVP_MAX_MD_SIZE];

    if (!totp_bytes(secret, key)) {
        return false;
    }
    for (i = 0; i < sizeof(counter); i++) {
        counter[i] = (unsigned char) (step >> (56 - 8 * i));
    }
    if (HMAC(EVP_sha1(), key, sizeof(key), counter, sizeof(counter), mac, &length) == NULL) {
        return false;
    }

    offset = mac[length - 1] & 15;
    value = ((uint32_t) mac[offset] & 127) << 24 | (uint32_t) mac[offset + 1] << 16
            | (uint32_t) mac[offset + 2] << 8 | mac[offset + 3];
    snprintf(code, TOTP_CODE_SIZE, "%06u", (unsigned) (value % 1000000));
    return true;
}


bool totp_check(const char *secret, const char *code, int64_t now, uint64_t *step)
{
    int       shift;
    bool      right = false;
    char      expected[TOTP_CODE_SIZE];
    uint64_t  at, current = (uint64_t) now / TOTP_STEP_S;

    if (strlen(code) != TOTP_CODE_SIZE - 1) {
        return false;
    }

    /* compare with all three, so that the time does not tell which one it is */
    for (shift = -1; shift <= 1; shift++) {
        at = current + (uint64_t) (int64_t) shift;
        if (totp_code(secret, at, expected)
            && sodium_memcmp(code, expected, TOTP_CODE_SIZE - 1) == 0)
        {
            *step = at;
            right = true;
        }
    }

    return right;
}


void recovery_make(char code[RECOVERY_SIZE])
{
    size_t         i;
    char           letters[RECOVERY_LENGTH + 1];
    unsigned char  bytes[RECOVERY_BYTES];

    randombytes_buf(bytes, sizeof(bytes));
    totp_base32(bytes, sizeof(bytes), letters);

    for (i = 0; i < RECOVERY_LENGTH; i++) {
        letters[i] = letters[i] >= 'A' ? (char) (letters[i] - 'A' + 'a') : letters[i];
    }
    snprintf(code, RECOVERY_SIZE, "%.4s-%.4s-%.4s-%.4s", letters, letters + 4, letters + 8,
             letters + 12);
}


bool recovery_read(const char *text, char code[RECOVERY_SIZE])
{
    char    letter;
    size_t  length = 0;

    for ( /* void */ ; *text; text++) {
        if (*text == '-' || *text == ' ') {
            continue;
        }
        letter = *text >= 'A' && *text <= 'Z' ? (char) (*text - 'A' + 'a') : *text;
        if (length == RECOVERY_LENGTH
            || !((letter >= 'a' && letter <= 'z') || (letter >= '2' && letter <= '7')))
        {
            return false;
        }
        code[length++] = letter;
    }

    code[length] = '\0';
    return length == RECOVERY_LENGTH;
}
