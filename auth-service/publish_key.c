#include "publish_key.h"


store_result_t publish_key_add(store_t *store, uint64_t stream, uint64_t user,
                               const char *label, char key[SECRET_SIZE])
{
    unsigned char  hash[KEY_HASH_BYTES];

    password_random(key, SECRET_SIZE, 16);
    password_fingerprint(key, hash);
    return store_device_add(store, stream, user, label, hash, NULL);
}
