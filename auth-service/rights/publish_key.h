#ifndef DUOLU_PUBLISH_KEY_H
#define DUOLU_PUBLISH_KEY_H

#include "../store/store.h"

/*
 * Publishing keys: 128 random bits, shown once as 22 characters, stored as
 * SHA-256. Writes the device's stream, user, maker and label.
 */

store_result_t publish_key_add(store_t *store, const store_device_t *device,
                               char key[SECRET_SIZE]);

#endif
