#include "publish_key.h"


store_result_t publish_key_add(store_t *store, store_device_t *device,
                               char key[SECRET_SIZE])
{
    unsigned char  hash[KEY_HASH_BYTES];

    password_random(key, SECRET_SIZE, 16);
    password_fingerprint(key, hash);
    return store_device_add(store, device, hash, &device->id);
}
