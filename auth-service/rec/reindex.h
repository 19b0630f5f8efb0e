#ifndef DUOLU_REINDEX_H
#define DUOLU_REINDEX_H

#include "../store/store.h"

/*
 * Makes the rows of recordings anew from the files and their indexes, of which
 * it deletes none. What is kept stays kept; rows without a file go.
 */
typedef struct {
    unsigned  files;
    unsigned  made;         /* rows that were not there */
    unsigned  dropped;      /* rows that had no file */
    unsigned  recording;    /* files that are being written just now */
    unsigned  interrupted;
    char      error[600];
} reindex_t;

/* STORE_NONE: another is at the recordings, or root is no folder of recordings; error says */
store_result_t reindex_run(store_t *store, const char *root, reindex_t *reindex);

/*
 * Closes rows that would say "recording" for ever, since what told of the end
 * was lost. Run now and then: STORE_NONE, another is at the recordings, or there
 * are none.
 */
store_result_t reindex_left(store_t *store, const char *root);

#endif
