#include "token.h"
#include "names.h"
#include "../../modules/rules/token_make.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(TOKEN_STREAM_MAX == NAME_FULL_MAX, "a token has room for the longest stream name");


bool token_keys_load(const char *path, token_keys_t *keys, char *error, size_t error_size)
{
    int          fd;
    bool         good;
    char         text[TOKEN_KEYS_FILE_MAX], why[200];
    ssize_t      length;
    struct stat  info;

    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) < 0) {
        snprintf(error, error_size, "token keys %.300s: %s", path, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }

    if (info.st_mode & (S_IWGRP | S_IXGRP | S_IRWXO)) {
        close(fd);
        snprintf(error, error_size, "token keys %.300s: mode is %03o; expected 600, or "
                 "640 for a group of services", path, (unsigned) info.st_mode & 0777);
        return false;
    }

    length = read(fd, text, sizeof(text));
    close(fd);
    if (length < 0) {
        snprintf(error, error_size, "token keys %.300s: %s", path, strerror(errno));
        return false;
    }

    good = token_keys_parse(keys, text, (size_t) length, why, sizeof(why)) == 0;
    sodium_memzero(text, sizeof(text));
    if (!good) {
        snprintf(error, error_size, "token keys %.300s: %s", path, why);
    }

    return good;
}


bool token_keys_create(const char *path, char *error, size_t error_size)
{
    int            fd, length;
    char           text[128], hex[2 * TOKEN_KEY_BYTES + 1];
    bool           good;
    unsigned char  key[TOKEN_KEY_BYTES];

    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        if (errno == EEXIST) {
            return true;
        }
        snprintf(error, error_size, "token keys %.300s: %s", path, strerror(errno));
        return false;
    }

    randombytes_buf(key, sizeof(key));
    sodium_bin2hex(hex, sizeof(hex), key, sizeof(key));
    length = snprintf(text, sizeof(text), "# KID HEX64; the first line signs, all verify\n"
                      "k1 %s\n", hex);

    good = write(fd, text, (size_t) length) == length;
    if (close(fd) < 0 || !good) {
        snprintf(error, error_size, "token keys %.300s: write failed: %s", path,
                 strerror(errno));
        unlink(path);
        return false;
    }

    return true;
}


int64_t token_issue(int64_t now, int64_t not_before)
{
    return now > not_before ? now : not_before + 1;
}


static int token_hmac(uint8_t mac[TOKEN_MAC_BYTES], const uint8_t key[TOKEN_KEY_BYTES],
                      const char *text, size_t size)
{
    return crypto_auth_hmacsha256(mac, (const unsigned char *) text, size, key);
}


bool token_sign(const token_keys_t *keys, const token_claims_t *claims, char out[TOKEN_MAX])
{
    return token_make(keys, token_hmac, claims, out) != 0;
}


token_result_t token_verify(const token_keys_t *keys, const char *text, int64_t now,
                            token_claims_t *claims)
{
    return token_check(keys, token_hmac, text, strnlen(text, TOKEN_MAX), now, claims);
}
