#ifndef DUOLU_KEEPER_H
#define DUOLU_KEEPER_H

#include "../base/config.h"
#include "../limits/refusals.h"
#include "../store/store.h"

#include <stdatomic.h>
#include <time.h>

#define KEEPER_TICK_MS  500

/* A thread of duolu-auth that answers nobody: it does its work twice a second. */
typedef struct keeper_s  keeper_t;

typedef struct {
    const config_t  *config;
    store_t         *store;
    refusals_t      *refusals;
    atomic_bool      stopping;      /* for work that takes long */
} keeper_desk_t;

typedef struct {
    size_t   size;                  /* of its state, which begins as zeros */
    void   (*tick)(keeper_desk_t *desk, void *state);
    void   (*end)(keeper_desk_t *desk, void *state);    /* may be NULL */
} keeper_work_t;

/*
 * keeper_rights.c: tells nginx what could not be told when it happened (nginx
 * was away, an admin changed rows by hand).
 */
extern const keeper_work_t  keeper_rights;

/*
 * keeper_recordings.c: takes what nginx tells of recordings, tells nginx what
 * is to be recorded, deletes what is too old or too much. A thread of its own:
 * a disk that hangs must not hold up a revocation.
 */
extern const keeper_work_t  keeper_recordings;

/*
 * keeper_audit.c: tells how many refusals there were, and takes old rows out of the
 * audit and the sessions. keeper_sessions.c: closes the rows of sessions that nginx
 * does not have, since it was killed, or could not tell.
 */
extern const keeper_work_t  keeper_audit;
extern const keeper_work_t  keeper_sessions;

/* NULL when there is no thread to be had */
keeper_t *keeper_start(const config_t *config, refusals_t *refusals, const keeper_work_t *work);

void keeper_stop(keeper_t *keeper);
bool keeper_wait(keeper_t *keeper, const struct timespec *deadline);

#endif
