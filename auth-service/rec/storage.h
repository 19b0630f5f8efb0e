#ifndef DUOLU_STORAGE_H
#define DUOLU_STORAGE_H

#include "../base/config.h"
#include "../store/store.h"

#include <jansson.h>

/* Adds up how much of the disk recordings take, by stream and by its owner. */
typedef struct {
    uint64_t  owner;            /* 0: of no stream that exists */
    char      name[NAME_USER_MAX + 1];
    uint64_t  quota;            /* bytes, 0: the setting rec_quota */
    bool      full;
    uint64_t  count;
    uint64_t  bytes;
    uint64_t  kept;
} storage_person_t;

typedef struct {
    uint64_t           disk;    /* bytes; 0: the folder is not there, its disk may not be mounted */
    uint64_t           free;
    uint64_t           count;
    uint64_t           bytes;
    uint64_t           kept;
    store_use_t       *streams; /* the largest first */
    size_t             stream_count;
    size_t             stream_size;
    storage_person_t  *people;
    size_t             person_count;
    bool               failed;  /* no memory */
} storage_t;

/* Free it in any case. */
store_result_t storage_read(store_t *store, const config_t *config, storage_t *storage);
void storage_free(storage_t *storage);

/*
 * {"disk": {"bytes", "free"} or null, "count", "bytes", "kept", "people": [{"name" or null,
 * "count", "bytes", "kept", "quota": of the owner or null, "full"}], "streams": [{"stream",
 * "title", "owner" or null, "count", "bytes", "kept", "from"}]}
 */
json_t *storage_json(const storage_t *storage);

#endif
