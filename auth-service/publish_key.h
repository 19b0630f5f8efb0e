#ifndef DUOLU_PUBLISH_KEY_H
#define DUOLU_PUBLISH_KEY_H

#include "store.h"

/*
 * Publishing keys: 128 random bits, given out once as 22 characters, kept as
 * SHA-256. Each call is whole or has not happened.
 */

store_result_t publish_key_add(store_t *store, uint64_t stream, uint64_t user,
                               const char *label, char key[SECRET_SIZE]);

/* Revokes all keys of the stream and makes one for its owner. */
store_result_t publish_key_rotate(store_t *store, uint64_t stream, uint64_t owner,
                                  char key[SECRET_SIZE]);

/* A new stream and its first key. */
store_result_t publish_stream_add(store_t *store, const char *app, const char *name,
                                  uint64_t owner, const char *title, char key[SECRET_SIZE]);

#endif
