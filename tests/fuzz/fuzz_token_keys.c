/* A key file of any bytes: all accepted names and keys were in it. */

#define _GNU_SOURCE
#include <assert.h>
#include <string.h>

#include "token_keys.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char          error[120] = "";
    size_t        i;
    token_keys_t  keys;

    if (token_keys_parse(&keys, (const char *) data, size, error, sizeof(error)) != 0) {
        assert(error[0] != '\0');
        return 0;
    }

    assert(keys.count > 0 && keys.count <= TOKEN_KEYS_MAX);
    for (i = 0; i < keys.count; i++) {
        assert(keys.keys[i].kid[0] != '\0');
        assert(memmem(data, size, keys.keys[i].kid, strlen(keys.keys[i].kid)));
        assert(token_keys_find(&keys, keys.keys[i].kid) == &keys.keys[i]);
    }

    return 0;
}
