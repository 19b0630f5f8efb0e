#include "reindex.h"
#include "../base/log.h"
#include "rec_file.h"
#include "spool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REINDEX_WAIT_S  30

typedef struct {
    store_t         *store;
    const char      *root;
    reindex_t       *reindex;
    store_result_t   result;
} reindex_work_t;


/* Takes the fields from the row that the files do not hold. */
static void reindex_remember(store_recording_t *recording, const store_recording_t *row)
{
    recording->session = row->session;
    strcpy(recording->state, row->state);
}


static void reindex_count(reindex_t *reindex, const store_recording_t *recording)
{
    reindex->files++;
    reindex->recording += strcmp(recording->state, "recording") == 0;
    reindex->interrupted += strcmp(recording->state, "interrupted") == 0;
}


/* Skips a row whose values the database refuses, so that it does not stop the others. */
static bool reindex_refused(reindex_work_t *work, const char *file)
{
    if (!store_refused_row(work->store, work->result)) {
        return false;
    }

    snprintf(work->reindex->error, sizeof(work->reindex->error), "%.300s: database: %.200s", file,
             store_error(work->store));
    work->result = STORE_OK;
    return true;
}


static void reindex_file(const char *file, void *data)
{
    bool                there;
    char                error[600];
    reindex_work_t     *work = data;
    store_recording_t   recording, row;

    memset(&recording, 0, sizeof(recording));

    if (work->result != STORE_OK || !rec_file_name(file, &recording)) {
        return;
    }

    work->result = store_recording_by_file(work->store, file, &row);
    if (work->result != STORE_OK && work->result != STORE_NONE) {
        return;
    }
    if (work->result == STORE_OK) {
        reindex_remember(&recording, &row);
    }

    if (!rec_file_read(work->root, &recording, error, sizeof(error))) {
        /* it was deleted meanwhile, or is unreadable: only the latter is an error */
        if (!rec_file_missing(work->root, file)) {
            snprintf(work->reindex->error, sizeof(work->reindex->error), "%s", error);
        }
        work->result = STORE_OK;
        return;
    }

    if (work->result == STORE_OK && strcmp(row.state, recording.state) == 0) {
        strcpy(recording.reason, row.reason);
    }

    there = work->result == STORE_OK;
    work->result = store_recording_put(work->store, &recording);

    if (!reindex_refused(work, file)) {
        work->reindex->made += !there;
        reindex_count(work->reindex, &recording);
    }
}


static void reindex_row(const store_recording_t *row, void *data)
{
    reindex_work_t  *work = data;

    if (work->result == STORE_OK && rec_file_missing(work->root, row->file)) {
        work->result = store_recording_remove(work->store, row->file);
        work->reindex->dropped += work->result == STORE_OK;
    }
}


static store_result_t reindex_all(reindex_work_t *work)
{
    reindex_t       *reindex = work->reindex;
    store_result_t   result;

    if (!rec_file_walk(work->root, reindex_file, work, reindex->error, sizeof(reindex->error))) {
        return STORE_NONE;
    }

    if (work->result == STORE_OK) {
        result = store_recording_all(work->store, reindex_row, work);
        return result == STORE_OK ? work->result : result;
    }

    return work->result;
}


store_result_t reindex_run(store_t *store, const char *root, reindex_t *reindex)
{
    int             lock = rec_file_lock(root, REINDEX_WAIT_S);
    reindex_work_t  work = { store, root, reindex, STORE_OK };
    store_result_t  result;

    memset(reindex, 0, sizeof(*reindex));

    if (lock == -1) {
        snprintf(reindex->error, sizeof(reindex->error), errno == EWOULDBLOCK
                 ? "%.300s: another process has held the lock on the recordings for 30 s"
                 : "%.300s has no folder .spool: nothing was recorded here, or its disk is "
                   "not mounted", root);
        return STORE_NONE;
    }

    result = reindex_all(&work);
    close(lock);
    return result;
}


/* The file is missing but may come back: keep the row, as interrupted. */
static store_result_t reindex_lost(store_t *store, const store_recording_t *row)
{
    store_recording_t  recording = *row;

    recording.to = recording.from;
    strcpy(recording.state, "interrupted");
    strcpy(recording.reason, "its file is missing");
    return store_recording_put(store, &recording);
}


/*
 * A writer writes the end event before it removes its marker. So if there is no marker,
 * and then no event in the spool, none will come. Check in this order.
 */
static void reindex_stale_row(const store_recording_t *row, void *data)
{
    reindex_work_t  *work = data;

    if (work->result != STORE_OK || rec_file_marked(work->root, row->file)
        || !spool_empty(work->root))
    {
        return;
    }

    work->reindex->error[0] = '\0';
    if (rec_file_missing(work->root, row->file)) {
        work->result = reindex_lost(work->store, row);
        reindex_refused(work, row->file);
    } else {
        reindex_file(row->file, work);
    }

    if (work->result == STORE_OK) {
        log_warning("closed the row of recording %s: no process writes it, and its end event "
                    "was lost%s%s", row->file, work->reindex->error[0] ? ": " : "",
                    work->reindex->error);
    }
}


store_result_t reindex_stale(store_t *store, const char *root)
{
    int             lock = rec_file_lock(root, 0);
    reindex_t       reindex = { 0 };
    reindex_work_t  work = { store, root, &reindex, STORE_OK };
    store_result_t  result;

    if (lock == -1) {
        return STORE_NONE;
    }

    result = store_recording_open(store, reindex_stale_row, &work);
    close(lock);
    return result == STORE_OK ? work.result : result;
}
