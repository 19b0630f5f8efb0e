#include "publish_key.h"


store_result_t publish_key_add(store_t *store, uint64_t stream, uint64_t user,
                               const char *label, char key[SECRET_SIZE])
{
    unsigned char  hash[KEY_HASH_BYTES];

    password_random(key, SECRET_SIZE, 16);
    password_fingerprint(key, hash);
    return store_device_add(store, stream, user, label, hash, NULL);
}


static store_result_t publish_end(store_t *store, store_result_t result)
{
    if (result == STORE_OK) {
        return store_commit(store);
    }

    store_rollback(store);
    return result;
}


store_result_t publish_key_rotate(store_t *store, uint64_t stream, uint64_t owner,
                                  char key[SECRET_SIZE])
{
    store_result_t  result = store_begin(store);

    if (result != STORE_OK) {
        return result;
    }

    result = store_device_revoke_all(store, stream);
    if (result == STORE_OK) {
        result = publish_key_add(store, stream, owner, "", key);
    }

    return publish_end(store, result);
}


store_result_t publish_stream_add(store_t *store, const char *app, const char *name,
                                  uint64_t owner, const char *title, char key[SECRET_SIZE])
{
    uint64_t        id;
    store_result_t  result = store_begin(store);

    if (result != STORE_OK) {
        return result;
    }

    result = store_stream_add(store, app, name, owner, title, &id);
    if (result == STORE_OK) {
        result = publish_key_add(store, id, owner, "", key);
    }

    return publish_end(store, result);
}
