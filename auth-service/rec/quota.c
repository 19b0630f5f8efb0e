#include "quota.h"
#include "../base/log.h"
#include "rec_file.h"

#include <inttypes.h>
#include <stdlib.h>

typedef struct {
    store_t         *store;
    const config_t  *config;
    uint64_t         quota;         /* 0: no limit */
    store_owner_t   *owners;
    size_t           count, size;
    bool             failed;        /* no memory */
} quota_t;


static void quota_collect(const store_owner_t *owner, void *data)
{
    quota_t        *quota = data;
    size_t          size;
    store_owner_t  *grown;

    if (quota->count == quota->size) {
        size = quota->size ? 2 * quota->size : 64;
        grown = realloc(quota->owners, size * sizeof(*grown));
        if (grown == NULL) {
            quota->failed = true;
            return;
        }
        quota->owners = grown;
        quota->size = size;
    }

    quota->owners[quota->count++] = *owner;
}


static void quota_add_open(const store_recording_t *recording, void *data)
{
    size_t    i;
    quota_t  *quota = data;

    for (i = 0; i < quota->count; i++) {
        if (quota->owners[i].id == recording->owner) {
            quota->owners[i].bytes += rec_file_bytes(quota->config->rec, recording);
            return;
        }
    }
}


static store_result_t quota_settle(quota_t *quota, const store_owner_t *owner)
{
    bool            full = quota->quota && owner->bytes >= quota->quota;
    store_result_t  result = STORE_OK;

    if (full != owner->full) {
        result = store_user_set_full(quota->store, owner->id, full);
    }
    if (full == owner->full || result != STORE_OK) {
        return result;
    }

    if (full) {
        log_warning("recordings of user %s take %" PRIu64 " bytes, rec_quota is %" PRIu64
                    ": recording of this user's streams stops, nothing is deleted. Give the "
                    "user a rec_quota, or delete recordings", owner->name, owner->bytes,
                    quota->quota);
    } else {
        log_info("recordings of user %s take %" PRIu64 " bytes: recording goes on", owner->name,
                 owner->bytes);
    }
    return STORE_OK;
}


store_result_t quota_check(store_t *store, const config_t *config, const settings_t *settings)
{
    size_t          i;
    uint64_t        disk = 0, free_bytes;
    quota_t         quota = { .store = store, .config = config };
    store_result_t  result;

    if (!rec_file_root(config->rec) || !rec_file_disk(config->rec, &disk, &free_bytes)) {
        return STORE_OK;        /* the disk may not be mounted */
    }
    quota.quota = settings_share(&settings->rec_quota, disk);

    /* without a quota, read only the owners that an earlier quota marked as full, to unmark them */
    result = store_user_owners(store, quota.quota == 0, quota_collect, &quota);
    if (result == STORE_OK && quota.count) {
        result = store_recording_open(store, quota_add_open, &quota);
    }

    for (i = 0; i < quota.count && result == STORE_OK && !quota.failed; i++) {
        result = quota_settle(&quota, &quota.owners[i]);
    }

    free(quota.owners);
    return result;
}
