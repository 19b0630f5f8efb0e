#ifndef DUOLU_SPOOL_H
#define DUOLU_SPOOL_H

#include "store.h"

#include <stdatomic.h>

/*
 * Takes what nginx has written of recordings, ROOT/.spool/NAME.json in the
 * order of the names: each in a transaction of its own, then its file is
 * deleted. Stopped between the two it is taken once more, which changes
 * nothing; nothing comes behind it before it is gone.
 */
typedef struct {
    unsigned  taken;
    unsigned  bad;          /* made no sense, and lie in ROOT/.spool/bad now */
    bool      waiting;      /* some could not be taken, error says why */
    char      error[600];
} spool_report_t;

/* As many as there are, unless stopping, which may be NULL, ends it before. */
void spool_take(store_t *store, const char *root, const atomic_bool *stopping,
                spool_report_t *report);

/* Whether all that nginx has told was taken. */
bool spool_empty(const char *root);

#endif
