#ifndef DUOLU_SPOOL_H
#define DUOLU_SPOOL_H

#include "../store/store.h"

#include <stdatomic.h>

/*
 * Applies nginx's events of recordings, ROOT/.spool/NAME.json, in the order of their
 * names: each in a transaction of its own, then deletes its file. After a crash
 * between the two it applies the event again, which is idempotent, and always before
 * the next one.
 */
typedef struct {
    unsigned  taken;
    unsigned  bad;          /* invalid or refused, and moved to ROOT/.spool/bad */
    bool      waiting;      /* some could not be applied, error says why */
    char      error[600];
} spool_report_t;

/* The event whose values the database refuses, and how often it did. */
typedef struct {
    char      name[256];
    unsigned  times;
} spool_refused_t;

/*
 * Applies all events, or until *stopping (may be NULL). Sets an event aside after
 * SPOOL_TRIES refusals, so that it does not block the others for ever. Events wait
 * while the database is down, full or read-only.
 */
#define SPOOL_TRIES  5

void spool_take(store_t *store, const char *root, const atomic_bool *stopping,
                spool_refused_t *refused, spool_report_t *report);

/* Whether all of nginx's events were applied. */
bool spool_empty(const char *root);

#endif
