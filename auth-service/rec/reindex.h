#ifndef DUOLU_REINDEX_H
#define DUOLU_REINDEX_H

#include "../store/store.h"

/*
 * Makes the rows of recordings anew from the files and their indexes. It deletes no
 * file, keeps the `keep` of each row, and removes rows without a file.
 */
typedef struct {
    unsigned  files;
    unsigned  made;         /* rows added */
    unsigned  dropped;      /* rows without a file, removed */
    unsigned  recording;    /* files being written */
    unsigned  interrupted;
    char      error[600];
} reindex_t;

/* STORE_NONE, see error: another process has the lock, or root is not a folder of recordings */
store_result_t reindex_run(store_t *store, const char *root, reindex_t *reindex);

/*
 * Closes rows that would stay in the state "recording" because their end event was lost.
 * Call it from time to time. Returns STORE_NONE when another process has the lock or
 * there are no recordings.
 */
store_result_t reindex_stale(store_t *store, const char *root);

#endif
