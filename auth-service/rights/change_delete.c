/*
 * Deletes users and streams. Every session ends and every token becomes void: a deleted stream's
 * revocation keeps its name, since nginx knows streams by their names.
 */

#include "change_step.h"

#include <stdlib.h>


static store_result_t step_stream_remove_one(step_t *step, uint64_t stream)
{
    store_result_t  result = step_revoke(step, 0, stream, 0);

    if (result == STORE_OK) {
        result = store_revocation_name(step->store, stream);
    }
    if (result == STORE_OK && step->recordings) {
        result = store_deletion_add(step->store, stream);
    }

    return result == STORE_OK ? store_stream_remove(step->store, stream) : result;
}


/* Managers may not delete: only the owner or an admin. */
static store_result_t step_stream_remove(step_t *step)
{
    return step->maker ? STORE_REFUSED : step_stream_remove_one(step, step->stream);
}


store_result_t change_stream_remove(change_t *change, uint64_t stream, bool recordings)
{
    step_t  step = { .managed = stream, .stream = stream, .recordings = recordings };

    return change_run(change, &step, NULL, step_stream_remove, 0);
}


typedef struct {
    uint64_t  *ids;
    size_t     count;
    size_t     size;
    bool       failed;          /* no memory */
} owned_t;


static void owned_collect(uint64_t id, void *data)
{
    size_t     size;
    owned_t   *owned = data;
    uint64_t  *grown;

    if (owned->count == owned->size) {
        size = owned->size ? 2 * owned->size : 16;
        grown = realloc(owned->ids, size * sizeof(*grown));
        if (grown == NULL) {
            owned->failed = true;
            return;
        }
        owned->ids = grown;
        owned->size = size;
    }

    owned->ids[owned->count++] = id;
}


static store_result_t step_user_remove(step_t *step)
{
    size_t          i;
    owned_t         owned = { 0 };
    store_result_t  result;

    result = store_stream_owned(step->store, step->user, owned_collect, &owned);
    if (result == STORE_OK && owned.failed) {
        result = STORE_ERROR;
    }
    for (i = 0; i < owned.count && result == STORE_OK; i++) {
        result = step_stream_remove_one(step, owned.ids[i]);
    }
    free(owned.ids);

    if (result == STORE_OK) {
        result = step_user_revoke(step);
    }
    return result == STORE_OK ? store_user_remove(step->store, step->user) : result;
}


store_result_t change_user_remove(change_t *change, uint64_t user, bool recordings)
{
    step_t  step = { .user = user, .recordings = recordings };

    return change_run(change, &step, NULL, step_user_remove, 0);
}
