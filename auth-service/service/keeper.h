#ifndef DUOLU_KEEPER_H
#define DUOLU_KEEPER_H

#include "../base/config.h"
#include "../limits/refusals.h"
#include "../store/store.h"

#include <stdatomic.h>
#include <time.h>

#define KEEPER_TICK_MS  500

/* A background thread of duolu-auth that works twice a second. */
typedef struct keeper_s  keeper_t;

typedef struct {
    const config_t  *config;
    store_t         *store;
    refusals_t      *refusals;
    unsigned         number;        /* of several keepers with the same work */
    atomic_bool      stopping;      /* long work checks it */
} keeper_desk_t;

typedef struct {
    size_t   size;                  /* of the state, which is zero at first */
    void   (*tick)(keeper_desk_t *desk, void *state);
    void   (*end)(keeper_desk_t *desk, void *state);    /* may be NULL */
} keeper_work_t;

/*
 * keeper_rights.c: delivers revocations that nginx did not get at once, because it did
 * not answer or an admin changed rows by hand.
 */
extern const keeper_work_t  keeper_rights;

/*
 * keeper_recordings.c: applies nginx's recording events, tells nginx which streams to
 * record, and deletes recordings by the retention rules. It has a thread of its own, so
 * that a disk that hangs does not delay revocations.
 */
extern const keeper_work_t  keeper_recordings;

/*
 * keeper_audit.c: reports the counted refusals, and deletes old rows of the audit and
 * the sessions. keeper_sessions.c: closes the rows of sessions that nginx no longer
 * has, because it was killed or could not report their end.
 */
extern const keeper_work_t  keeper_audit;
extern const keeper_work_t  keeper_sessions;

/*
 * keeper_watch.c: queues events of streams and of the disk for the webhooks.
 * keeper_webhooks.c: delivers them, and all other events of the outbox.
 */
extern const keeper_work_t  keeper_watch;
extern const keeper_work_t  keeper_webhooks;

/*
 * keeper_edge.c: tells the edge of this number of all revocations. Each edge has a thread,
 * so that one that does not answer delays no other.
 */
extern const keeper_work_t  keeper_edge;

/* Returns NULL when it cannot start a thread. */
keeper_t *keeper_start(const config_t *config, refusals_t *refusals, const keeper_work_t *work,
                       unsigned number);

void keeper_stop(keeper_t *keeper);
bool keeper_wait(keeper_t *keeper, const struct timespec *deadline);

#endif
