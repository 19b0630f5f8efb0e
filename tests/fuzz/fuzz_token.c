/* Tokens of any bytes, and claims of any bytes with a valid header and signature. */

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "token_check.h"

#define NOW     1700000000
#define HEADER  "eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0"     /* {"alg":"HS256","kid":"k1"} */
#define ZEROS   "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


/* Signs everything alike, so that the fuzzer gets past the signature. */
static int
mac_of_zeros(uint8_t mac[TOKEN_MAC_BYTES], const uint8_t key[TOKEN_KEY_BYTES],
    const char *text, size_t size)
{
    (void) key;
    assert(memchr(text, '.', size));
    memset(mac, 0, TOKEN_MAC_BYTES);

    return 0;
}


static void
check(const char *text, size_t size)
{
    token_claims_t  claims;
    token_result_t  result;

    static const token_keys_t  keys = { .count = 1, .keys = { { .kid = "k1" } } };

    result = token_check(&keys, mac_of_zeros, text, size, NOW, &claims);
    assert((token_result_text(result) == NULL) == (result == TOKEN_OK));
    assert(strlen(claims.stream) <= TOKEN_STREAM_MAX);
    assert(strlen(claims.action) < sizeof(claims.action));

    if (result == TOKEN_OK) {
        assert(claims.user > 0 && claims.user <= INT64_MAX);
        assert(claims.expires > NOW && claims.issued <= NOW + 60);
    }
}


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int   n;
    char  token[2 * TOKEN_MAX];

    check((const char *) data, size);

    n = snprintf(token, sizeof(token), HEADER ".%.*s." ZEROS, (int) size, (const char *) data);
    check(token, (size_t) n < sizeof(token) ? (size_t) n : sizeof(token) - 1);

    return 0;
}
