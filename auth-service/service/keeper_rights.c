#include "../rights/change.h"
#include "keeper.h"
#include "../base/log.h"
#include "../rights/rights.h"
#include "../rights/sharing.h"

#include <stdio.h>
#include <string.h>

#define RIGHTS_WAIT_MS      300
#define RIGHTS_MAKERS_EACH    (1000 / KEEPER_TICK_MS)
#define RIGHTS_REFUSED_TICKS  10    /* pause after nginx refused a row */

typedef struct {
    unsigned  deliver_in;                   /* ticks */
    unsigned  makers_in;
    char      logged[CONTROL_ERROR_SIZE];     /* the error last logged */
} rights_state_t;


/* Logs an error when it begins, when it changes, and when it is over. */
static void rights_log_change(rights_state_t *state, const char *error)
{
    if (strcmp(state->logged, error) == 0) {
        return;
    }

    if (error[0]) {
        log_warning("revocations wait, sessions that should end go on: %s", error);
    } else {
        log_info("revocations no longer wait");
    }
    snprintf(state->logged, sizeof(state->logged), "%s", error);
}


/*
 * The request or duoluctl that writes a revocation also tells nginx, to learn how many
 * sessions end. The keeper delivers only rows that are still pending a moment later.
 */
static void rights_deliver(keeper_desk_t *desk, rights_state_t *state)
{
    uint64_t         found = 0;
    outbox_report_t  report;

    if (state->deliver_in > 0) {
        state->deliver_in--;
        return;
    }

    if (store_revocation_collect(desk->store, &found) == STORE_ERROR) {
        log_error("revocations: %s", store_error(desk->store));
    } else if (found) {
        log_info("revocations: found users disabled or keys revoked by hand");
    }

    outbox_deliver(desk->store, desk->config->control_socket, RIGHTS_WAIT_MS, &report);
    state->deliver_in = report.refused ? RIGHTS_REFUSED_TICKS : 0;

    if (report.told) {
        log_info("revocations: %u told to nginx, %llu sessions ended", report.told,
                 (unsigned long long) report.ended);
    }
    rights_log_change(state, report.waiting ? report.error : "");
}


static void rights_count_orphan(const store_access_t *maker, void *data)
{
    if (rights_orphans(maker)) {
        (*(unsigned *) data)++;
    }
}


/* Ends keys, grants and links of makers who lost their right by a change made by hand. */
static void rights_end_orphans(keeper_desk_t *desk, rights_state_t *state)
{
    unsigned        orphans = 0;
    change_t        change = { .store = desk->store,
                               .control_socket = desk->config->control_socket };
    store_result_t  result;

    if (state->makers_in > 0) {
        state->makers_in--;
        return;
    }
    state->makers_in = RIGHTS_MAKERS_EACH - 1;

    result = store_access_makers(desk->store, rights_count_orphan, &orphans);
    if (result == STORE_OK) {
        result = sharing_count_orphans(desk->store, &orphans);
    }
    if (result == STORE_OK && orphans) {
        result = change_orphans(&change);
    }

    if (result == STORE_ERROR) {
        log_error("makers: %s", store_error(desk->store));
    } else if (result == STORE_OK && change.orphaned) {
        log_info("makers: keys, grants or links ended on %u streams, whose maker may no longer "
                 "manage them; %llu sessions ended", change.orphaned,
                 (unsigned long long) change.report.ended);
    }
}


static void rights_tick(keeper_desk_t *desk, void *state)
{
    rights_end_orphans(desk, state);
    rights_deliver(desk, state);
}


const keeper_work_t  keeper_rights = { sizeof(rights_state_t), rights_tick, NULL };
