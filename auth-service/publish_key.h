#ifndef DUOLU_PUBLISH_KEY_H
#define DUOLU_PUBLISH_KEY_H

#include "store.h"

/*
 * Publishing keys: 128 random bits, given out once as 22 characters, kept as
 * SHA-256.
 */

store_result_t publish_key_add(store_t *store, uint64_t stream, uint64_t user,
                               const char *label, char key[SECRET_SIZE]);

#endif
