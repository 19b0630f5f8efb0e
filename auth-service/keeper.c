#define _GNU_SOURCE     /* pthread_timedjoin_np */

#include "keeper.h"
#include "log.h"
#include "outbox.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEEPER_TICK_MS        500
#define KEEPER_LEAVES_MS      300
#define KEEPER_REFUSED_TICKS  10    /* what nginx could not do, it can't do a moment later */
#define KEEPER_PRUNE_EACH     (3600 * 1000 / KEEPER_TICK_MS)    /* ticks, when none is left */
#define KEEPER_PRUNE_BATCH    500   /* rows a tick: nobody waits for their locks */

struct keeper_s {
    const config_t   *config;
    store_t          *store;
    pthread_t         thread;
    pthread_mutex_t   lock;
    pthread_cond_t    wake;
    bool              stopping;
    unsigned          deliver_in;           /* ticks */
    unsigned          prune_in;
    char              told[CONTROL_ERROR_SIZE];     /* the trouble that stands in the log */
};


/* A trouble is logged when it begins, when it changes and when it is over. */
static void keeper_trouble(keeper_t *keeper, const char *error)
{
    if (strcmp(keeper->told, error) == 0) {
        return;
    }

    if (error[0]) {
        log_warning("revocations wait, sessions that should end go on: %s", error);
    } else {
        log_info("revocations no longer wait");
    }
    snprintf(keeper->told, sizeof(keeper->told), "%s", error);
}


/*
 * Who made a row tells nginx at once, and learns how many sessions it ended;
 * what nginx does not know a moment later is ours.
 */
static void keeper_deliver(keeper_t *keeper)
{
    uint64_t         found = 0;
    outbox_report_t  report;

    if (keeper->deliver_in > 0) {
        keeper->deliver_in--;
        return;
    }

    if (store_revocation_collect(keeper->store, &found) == STORE_ERROR) {
        log_error("revocations: %s", store_error(keeper->store));
    } else if (found) {
        log_info("revocations: users disabled or keys revoked by hand are to be told");
    }

    outbox_deliver(keeper->store, keeper->config->control_socket, KEEPER_LEAVES_MS, &report);
    keeper->deliver_in = report.refused ? KEEPER_REFUSED_TICKS : 0;

    if (report.told) {
        log_info("revocations: %u told to nginx, %llu sessions ended", report.told,
                 (unsigned long long) report.ended);
    }
    keeper_trouble(keeper, report.waiting ? report.error : "");
}


static void keeper_prune(keeper_t *keeper)
{
    store_result_t  result;

    if (keeper->prune_in > 0) {
        keeper->prune_in--;
        return;
    }
    if (keeper->config->audit_days == 0) {
        return;
    }

    result = store_audit_prune(keeper->store, keeper->config->audit_days, KEEPER_PRUNE_BATCH);
    keeper->prune_in = result == STORE_OK ? 0 : KEEPER_PRUNE_EACH;

    if (result == STORE_ERROR) {
        log_error("audit: %s", store_error(keeper->store));
    }
}


/* false when it is time to end */
static bool keeper_pause(keeper_t *keeper)
{
    bool             go_on;
    struct timespec  until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += KEEPER_TICK_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }

    pthread_mutex_lock(&keeper->lock);
    if (!keeper->stopping) {
        pthread_cond_timedwait(&keeper->wake, &keeper->lock, &until);
    }
    go_on = !keeper->stopping;
    pthread_mutex_unlock(&keeper->lock);

    return go_on;
}


static void *keeper_run(void *data)
{
    keeper_t  *keeper = data;

    do {
        keeper_deliver(keeper);
        keeper_prune(keeper);
    } while (keeper_pause(keeper));

    store_free(keeper->store);
    return NULL;
}


keeper_t *keeper_start(const config_t *config)
{
    keeper_t            *keeper = calloc(1, sizeof(*keeper));
    pthread_condattr_t   clock;

    if (keeper == NULL) {
        return NULL;
    }

    keeper->config = config;
    keeper->store = store_new(&config->dsn);
    pthread_mutex_init(&keeper->lock, NULL);

    /* a clock that is set back must not make a pause of half a second one of hours */
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&keeper->wake, &clock);
    pthread_condattr_destroy(&clock);

    if (keeper->store == NULL
        || pthread_create(&keeper->thread, NULL, keeper_run, keeper) != 0)
    {
        store_free(keeper->store);
        free(keeper);
        return NULL;
    }

    return keeper;
}


void keeper_stop(keeper_t *keeper)
{
    pthread_mutex_lock(&keeper->lock);
    keeper->stopping = true;
    pthread_cond_signal(&keeper->wake);
    pthread_mutex_unlock(&keeper->lock);
}


bool keeper_wait(keeper_t *keeper, const struct timespec *deadline)
{
    if (pthread_timedjoin_np(keeper->thread, NULL, deadline) != 0) {
        return false;
    }

    pthread_mutex_destroy(&keeper->lock);
    pthread_cond_destroy(&keeper->wake);
    free(keeper);
    return true;
}
