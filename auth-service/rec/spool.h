#ifndef DUOLU_SPOOL_H
#define DUOLU_SPOOL_H

#include "../store/store.h"

#include <stdatomic.h>

/*
 * Applies nginx's recording events, ROOT/.spool/NAME.json, in the order of their names:
 * each in a transaction of its own, then deletes its file. After a crash between the two
 * it applies the event again, before the next one; that is idempotent.
 */
typedef struct {
    unsigned  taken;
    unsigned  bad;          /* invalid or refused, and moved to ROOT/.spool/bad */
    bool      waiting;      /* some could not be applied, see error */
    char      error[600];
} spool_report_t;

/* The event whose values the database refuses, and how often it has. */
typedef struct {
    char      name[256];
    unsigned  times;
} spool_refused_t;

/*
 * Applies all events, or stops when *stopping is set (may be NULL). Sets an event aside
 * after SPOOL_TRIES refusals, so that it does not block the others. Events wait while
 * the database is down, full or read-only.
 */
#define SPOOL_TRIES  5

void spool_take(store_t *store, const char *root, const atomic_bool *stopping,
                spool_refused_t *refused, spool_report_t *report);

/* Is no event waiting? */
bool spool_empty(const char *root);

#endif
