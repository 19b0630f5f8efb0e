#ifndef DUOLU_PUBLISH_KEY_H
#define DUOLU_PUBLISH_KEY_H

#include "../store/store.h"

/*
 * Publishing keys: 128 random bits, given out once as 22 characters, kept as
 * SHA-256. The device's stream, user, maker and label are written.
 */

store_result_t publish_key_add(store_t *store, const store_device_t *device,
                               char key[SECRET_SIZE]);

#endif
