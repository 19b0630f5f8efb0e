#include "deletion.h"
#include "rec_file.h"
#include "../base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DELETION_MOST  200      /* files at once, since nginx's events wait meanwhile */

typedef struct {
    store_recording_t  *rows;
    size_t              count;
} deletion_list_t;


static void deletion_collect(const store_recording_t *recording, void *data)
{
    deletion_list_t  *list = data;

    if (list->count < DELETION_MOST) {
        list->rows[list->count++] = *recording;
    }
}


/* Deletes the row last: if this is interrupted, the next run finds the rest by it. */
static store_result_t deletion_remove(deletion_t *deletion, const store_recording_t *recording)
{
    char               error[DELETION_ERROR_SIZE];
    store_audit_t      audit = { "duolu-auth", "recording delete", true, recording->file, "",
                                 "its stream was deleted" };
    store_result_t     result;
    rec_file_result_t  removed;

    removed = rec_file_remove(deletion->config->rec, recording->file, error, sizeof(error));
    if (removed == REC_FILE_BUSY) {
        return STORE_OK;
    }
    if (removed != REC_FILE_GONE) {
        snprintf(deletion->error, sizeof(deletion->error), "%s", error);
        return STORE_OK;
    }

    result = store_recording_remove(deletion->store, recording->file);
    if (result == STORE_OK) {
        deletion->count++;
        deletion->bytes += recording->bytes;
        log_info("recording %s deleted, %" PRIu64 " bytes: its stream was deleted",
                 recording->file, recording->bytes);
        result = store_audit_add(deletion->store, &audit);
    }

    return result;
}


static store_result_t deletion_remove_all(deletion_t *deletion, const deletion_list_t *list)
{
    size_t          i;
    store_result_t  result = STORE_OK;

    for (i = 0; i < list->count && result == STORE_OK; i++) {
        if (atomic_load(deletion->stopping)) {
            return STORE_OK;
        }
        result = deletion_remove(deletion, &list->rows[i]);
    }

    return result == STORE_OK ? store_deletion_finish(deletion->store) : result;
}


store_result_t deletion_run(deletion_t *deletion)
{
    int              lock;
    deletion_list_t  list = { NULL, 0 };
    store_result_t   result = store_deletion_any(deletion->store);

    deletion->count = 0;
    deletion->bytes = 0;
    deletion->error[0] = '\0';
    if (result != STORE_OK) {
        return result;
    }

    lock = rec_file_lock(deletion->config->rec, 0);
    if (lock == -1) {
        /* without a folder there are no files to delete */
        return errno == EWOULDBLOCK ? STORE_NONE : store_deletion_finish(deletion->store);
    }

    list.rows = calloc(DELETION_MOST, sizeof(*list.rows));
    result = list.rows ? store_deletion_files(deletion->store, DELETION_MOST, deletion_collect,
                                              &list)
                       : STORE_DOWN;
    if (result == STORE_OK) {
        result = deletion_remove_all(deletion, &list);
    }

    free(list.rows);
    close(lock);
    return result;
}
