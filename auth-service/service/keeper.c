#define _GNU_SOURCE     /* pthread_timedjoin_np */

#include "keeper.h"

#include <pthread.h>
#include <stdlib.h>

struct keeper_s {
    keeper_desk_t         desk;
    const keeper_work_t  *work;
    void                 *state;
    pthread_t             thread;
    pthread_mutex_t       lock;
    pthread_cond_t        wake;
};


/* Returns false when the keeper has to end. */
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
    if (!atomic_load(&keeper->desk.stopping)) {
        pthread_cond_timedwait(&keeper->wake, &keeper->lock, &until);
    }
    go_on = !atomic_load(&keeper->desk.stopping);
    pthread_mutex_unlock(&keeper->lock);

    return go_on;
}


static void *keeper_run(void *data)
{
    keeper_t  *keeper = data;

    do {
        keeper->work->tick(&keeper->desk, keeper->state);
    } while (keeper_pause(keeper));

    if (keeper->work->end) {
        keeper->work->end(&keeper->desk, keeper->state);
    }
    store_free(keeper->desk.store);
    return NULL;
}


keeper_t *keeper_start(const config_t *config, refusals_t *refusals, const keeper_work_t *work,
                       unsigned number)
{
    keeper_t            *keeper = calloc(1, sizeof(*keeper));
    pthread_condattr_t   clock;

    if (keeper == NULL) {
        return NULL;
    }

    keeper->work = work;
    keeper->state = calloc(1, work->size);
    keeper->desk.config = config;
    keeper->desk.refusals = refusals;
    keeper->desk.number = number;
    keeper->desk.store = store_new(&config->dsn);
    pthread_mutex_init(&keeper->lock, NULL);

    /* monotonic: when an admin sets the clock back, a pause must not last hours */
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&keeper->wake, &clock);
    pthread_condattr_destroy(&clock);

    if (keeper->state == NULL || keeper->desk.store == NULL
        || pthread_create(&keeper->thread, NULL, keeper_run, keeper) != 0)
    {
        store_free(keeper->desk.store);
        free(keeper->state);
        free(keeper);
        return NULL;
    }

    return keeper;
}


void keeper_stop(keeper_t *keeper)
{
    pthread_mutex_lock(&keeper->lock);
    atomic_store(&keeper->desk.stopping, true);
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
    free(keeper->state);
    free(keeper);
    return true;
}
