#include "password.h"
#include "names.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>

#define PASSWORD_PASSES  2
#define PASSWORD_MEMORY  (19u * 1024 * 1024)

static char            password_nobody[PASSWORD_HASH_SIZE];
static pthread_once_t  password_once = PTHREAD_ONCE_INIT;


bool password_valid(const char *password)
{
    size_t  length = strlen(password);

    return length >= PASSWORD_MIN && length <= PASSWORD_MAX && name_utf8_valid(password);
}


bool password_hash(const char *password, char hash[PASSWORD_HASH_SIZE])
{
    return crypto_pwhash_argon2id_str(hash, password, strlen(password), PASSWORD_PASSES,
                                      PASSWORD_MEMORY) == 0;
}


static void password_make_nobody(void)
{
    char  secret[SECRET_SIZE];

    password_random(secret, sizeof(secret), 32);
    if (!password_hash(secret, password_nobody)) {
        password_nobody[0] = '\0';
    }
}


password_result_t password_verify(const char *password, const char *hash)
{
    bool  same;

    pthread_once(&password_once, password_make_nobody);

    if (hash && hash[0] == '\0') {
        hash = NULL;
    }

    errno = 0;
    same = crypto_pwhash_argon2id_str_verify(hash ? hash : password_nobody, password,
                                             strlen(password)) == 0;
    if (!same && errno == ENOMEM) {
        return PASSWORD_UNKNOWN;
    }
    return hash && same ? PASSWORD_RIGHT : PASSWORD_WRONG;
}


void password_random(char *out, size_t size, size_t count)
{
    unsigned char  bytes[32];

    randombytes_buf(bytes, sizeof(bytes));
    sodium_bin2base64(out, size, bytes, count < sizeof(bytes) ? count : sizeof(bytes),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(bytes, sizeof(bytes));
}


void password_fingerprint(const char *text, unsigned char out[KEY_HASH_BYTES])
{
    crypto_hash_sha256(out, (const unsigned char *) text, strlen(text));
}
