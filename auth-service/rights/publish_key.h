#ifndef DUOLU_PUBLISH_KEY_H
#define DUOLU_PUBLISH_KEY_H

#include "../store/store.h"

/*
 * Makes a publishing key: 128 random bits, shown once as 22 characters and stored as
 * SHA-256. Reads the device's stream, user, maker and label, and sets its id.
 */
store_result_t publish_key_add(store_t *store, store_device_t *device,
                               char key[SECRET_SIZE]);

#endif
