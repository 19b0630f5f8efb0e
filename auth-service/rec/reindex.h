#ifndef DUOLU_REINDEX_H
#define DUOLU_REINDEX_H

#include "../store/store.h"

/*
 * Makes the rows of recordings anew from the files and their indexes, of which
 * it deletes none. What is kept stays kept; rows without a file go.
 */
typedef struct {
    unsigned  files;
    unsigned  made;         /* rows added */
    unsigned  dropped;      /* rows without a file, removed */
    unsigned  recording;    /* files that are being written */
    unsigned  interrupted;
    char      error[600];
} reindex_t;

/* STORE_NONE: another process has the lock, or root is no folder of recordings; error says which */
store_result_t reindex_run(store_t *store, const char *root, reindex_t *reindex);

/*
 * Closes rows that would say "recording" for ever, since their end event was lost.
 * Run from time to time. STORE_NONE: another process has the lock, or there are no
 * recordings.
 */
store_result_t reindex_left(store_t *store, const char *root);

#endif
