#ifndef DUOLU_SPOOL_H
#define DUOLU_SPOOL_H

#include "../store/store.h"

#include <stdatomic.h>

/*
 * Takes what nginx has written of recordings, ROOT/.spool/NAME.json in the
 * order of the names: each in a transaction of its own, then its file is
 * deleted. Stopped between the two it is taken once more, which changes
 * nothing; nothing comes behind it before it is gone.
 */
typedef struct {
    unsigned  taken;
    unsigned  bad;          /* made no sense or were refused, and lie in ROOT/.spool/bad now */
    bool      waiting;      /* some could not be taken, error says why */
    char      error[600];
} spool_report_t;

/* The event that the database refuses for what is in it, and how often. */
typedef struct {
    char      name[256];
    unsigned  times;
} spool_refused_t;

/*
 * As many as there are, unless stopping, which may be NULL, ends it before. An
 * event that was refused SPOOL_TRIES times is set aside: it must not hold up the
 * others for good. A database that is away, full or read-only is waited for.
 */
#define SPOOL_TRIES  5

void spool_take(store_t *store, const char *root, const atomic_bool *stopping,
                spool_refused_t *refused, spool_report_t *report);

/* Whether all that nginx has told was taken. */
bool spool_empty(const char *root);

#endif
