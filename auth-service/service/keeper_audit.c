#include "../base/clock.h"
#include "keeper.h"
#include "../base/log.h"
#include "../hooks/hook_event.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define AUDIT_PRUNE_EACH   (60 * 1000 / KEEPER_TICK_MS)    /* ticks, after a run without work */
#define AUDIT_PRUNE_BATCH  500      /* rows a tick; other queries wait for their locks */

typedef struct {
    unsigned  prune_in;             /* ticks */
} audit_t;


static void audit_log_more(const refusal_t *more)
{
    char  place[100], reason[300];

    log_info("refused %s address=%s more=%" PRIu64 " seconds=%" PRId64 " reason=\"%s\"",
             more->action, log_quote(place, sizeof(place), more->place), more->more,
             (more->last - more->since) / 1000,
             log_quote(reason, sizeof(reason), more->reason));
}


static store_result_t audit_add_more(keeper_desk_t *desk, const refusal_t *more)
{
    char           reason[200];
    store_audit_t  row = { "", more->action, false, "", more->place, reason };

    snprintf(reason, sizeof(reason), "%" PRIu64 " more in %" PRId64 " s: %s", more->more,
             (more->last - more->since) / 1000, more->reason);

    if (strcmp(more->action, "login") == 0
        && hook_event_add(desk->store, HOOK_LOGIN, NULL, json_pack("{ss sI ss}", "address",
                          more->place, "more", (json_int_t) more->more, "reason", more->reason))
           == STORE_DOWN)
    {
        return STORE_DOWN;
    }
    return store_audit_add(desk->store, &row);
}


static void audit_refusals(keeper_desk_t *desk)
{
    refusal_t  more;

    while (refusals_take(desk->refusals, false, clock_ms(), &more)) {
        if (audit_add_more(desk, &more) != STORE_OK) {
            /* report it when the database is back */
            refusals_back(desk->refusals, &more);
            return;
        }
        audit_log_more(&more);
    }
}


static void audit_prune(keeper_desk_t *desk, audit_t *state)
{
    char            wrong[STORE_SETTING_WRONG];     /* keeper_recordings.c logs it */
    settings_t      settings;
    store_result_t  audit, sessions;

    if (state->prune_in > 0) {
        state->prune_in--;
        return;
    }
    if (store_settings(desk->store, &desk->config->defaults, &settings, wrong) != STORE_OK) {
        return;
    }

    audit = store_audit_prune(desk->store, settings.audit_days, settings.audit_rows,
                              AUDIT_PRUNE_BATCH);
    sessions = audit == STORE_DOWN ? audit
               : store_session_prune(desk->store, settings.audit_days, settings.audit_rows,
                                     AUDIT_PRUNE_BATCH);
    state->prune_in = audit == STORE_OK || sessions == STORE_OK ? 0 : AUDIT_PRUNE_EACH;

    if (audit == STORE_ERROR || sessions == STORE_ERROR) {
        log_error("audit: %s", store_error(desk->store));
    }
}


static void audit_tick(keeper_desk_t *desk, void *state)
{
    audit_refusals(desk);
    audit_prune(desk, state);
}


/*
 * Writes the remaining counts to the log, and to the database in one transaction: the
 * process ends soon and does not wait long for this.
 */
static void audit_end(keeper_desk_t *desk, void *state)
{
    bool       begun = store_begin(desk->store) == STORE_OK, there = begun;
    refusal_t  more;

    (void) state;
    while (refusals_take(desk->refusals, true, clock_ms(), &more)) {
        audit_log_more(&more);
        there = there && audit_add_more(desk, &more) == STORE_OK;
    }

    if (begun && store_commit(desk->store) != STORE_OK) {
        log_error("audit: %s", store_error(desk->store));
    }
}


const keeper_work_t  keeper_audit = { sizeof(audit_t), audit_tick, audit_end };
