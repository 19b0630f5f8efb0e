#include "keeper.h"
#include "../base/log.h"
#include "../rec/prune.h"
#include "../rec/quota.h"
#include "../rec/record.h"
#include "../rec/reindex.h"
#include "../rec/spool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define RECORDINGS_TICKS(ms)  ((ms) / KEEPER_TICK_MS)
#define RECORDINGS_COMPARE    RECORDINGS_TICKS(2000)
#define RECORDINGS_SPACE      RECORDINGS_TICKS(2000)
#define RECORDINGS_QUOTA      RECORDINGS_TICKS(10000)
#define RECORDINGS_PRUNE      RECORDINGS_TICKS(60000)
#define RECORDINGS_LEFT       RECORDINGS_TICKS(600000)

/*
 * The disk gets a deleted file's space back only when its readers close it. Wait
 * before deleting more, or too many recordings would go.
 */
#define RECORDINGS_AGAIN      RECORDINGS_TICKS(30000)

/* Files deleted in one tick: events wait meanwhile. */
#define RECORDINGS_MOST       200

typedef struct {
    unsigned  compare_in;           /* ticks */
    unsigned  space_in;
    unsigned  quota_in;
    unsigned  prune_in;
    unsigned  left_in;
    spool_refused_t  refused;
    char      spool_told[600];      /* the errors last logged, so that none is repeated */
    char      prune_told[PRUNE_ERROR_SIZE];
    unsigned  broken_told;
    json_t   *record_told;
} recordings_t;


/* Logs an error when it begins, changes or is over. */
static void recordings_trouble(char *told, size_t size, const char *what, const char *error)
{
    if (strcmp(told, error) != 0) {
        if (error[0]) {
            log_warning("%s: %s", what, error);
        } else {
            log_info("%s: over", what);
        }
        snprintf(told, size, "%s", error);
    }
}


static void recordings_spool(keeper_desk_t *desk, recordings_t *state)
{
    spool_report_t  report;

    spool_take(desk->store, desk->config->rec, &desk->stopping,
               &state->refused, &report);
    recordings_trouble(state->spool_told, sizeof(state->spool_told),
                       "recordings: events of nginx wait", report.waiting ? report.error : "");
}


/* Closes rows whose end event was lost; reindex_left() waits until the spool is empty. */
static void recordings_left(keeper_desk_t *desk, recordings_t *state)
{
    if (state->left_in > 0) {
        state->left_in--;
    } else if (reindex_left(desk->store, desk->config->rec) == STORE_OK) {
        state->left_in = RECORDINGS_LEFT;
    }
}


static void recordings_deleted(const store_recording_t *recording, retention_why_t why,
                               void *data)
{
    (void) data;
    log_info("recording %s deleted, %" PRIu64 " bytes: %s", recording->file, recording->bytes,
             retention_text(why));
}


static void recordings_prune_report(const prune_t *prune, recordings_t *state)
{
    char  rules[PRUNE_RULES_SIZE];

    if (prune->count) {
        log_info("recordings: %u deleted, %" PRIu64 " bytes", prune->count, prune->bytes);
    }

    if (prune->broken != state->broken_told) {
        if (prune->broken) {
            log_warning("recordings: %s can't be satisfied: all that is left is kept or being "
                        "written", prune_rules(prune->broken, rules));
        } else {
            log_info("recordings: all limits are satisfied again");
        }
        state->broken_told = prune->broken;
    }
}


static void recordings_prune(keeper_desk_t *desk, recordings_t *state)
{
    prune_t         prune = { .store = desk->store, .config = desk->config,
                              .actor = "duolu-auth", .most = RECORDINGS_MOST,
                              .stopping = &desk->stopping,
                              .each = recordings_deleted };
    store_result_t  result = prune_run(&prune);

    state->space_in = RECORDINGS_SPACE;
    state->prune_in = RECORDINGS_PRUNE;
    if (result == STORE_NONE) {
        return;
    }

    if (result != STORE_OK && prune.error[0] == '\0') {
        snprintf(prune.error, sizeof(prune.error), "database: %s", store_error(desk->store));
    }

    recordings_trouble(state->prune_told, sizeof(state->prune_told),
                       "recordings that should go can't be deleted", prune.error);
    if (result == STORE_OK) {
        recordings_prune_report(&prune, state);
    }

    /* don't prune for space again at once: either some was just freed, or none can be */
    if (prune.count || prune.failed || (prune.broken & RETENTION_FREE)) {
        state->space_in = RECORDINGS_AGAIN;
    }
    if (prune.more) {
        state->prune_in = 0;
    }
}


/* Once a minute, and as soon as the disk is short of room. */
static bool recordings_prune_due(const config_t *config, recordings_t *state)
{
    if (state->prune_in == 0) {
        return true;
    }
    state->prune_in--;

    if (state->space_in > 0) {
        state->space_in--;
        return false;
    }

    state->space_in = RECORDINGS_SPACE;
    return prune_short(config);
}


static void recordings_tick(keeper_desk_t *desk, void *data)
{
    recordings_t  *state = data;

    recordings_spool(desk, state);
    recordings_left(desk, state);

    if (state->quota_in > 0) {
        state->quota_in--;
    } else {
        if (quota_look(desk->store, desk->config) == STORE_ERROR) {
            log_error("recordings: quota: %s", store_error(desk->store));
        }
        state->quota_in = RECORDINGS_QUOTA;
    }

    if (state->record_told == NULL) {
        state->record_told = json_object();
    }
    if (state->compare_in > 0) {
        state->compare_in--;
    } else {
        record_compare(desk->store, desk->config->control_socket, state->record_told);
        state->compare_in = RECORDINGS_COMPARE;
    }

    if (recordings_prune_due(desk->config, state)) {
        recordings_prune(desk, state);
    }
}


static void recordings_end(keeper_desk_t *desk, void *data)
{
    recordings_t  *state = data;

    (void) desk;
    json_decref(state->record_told);
}


const keeper_work_t  keeper_recordings = { sizeof(recordings_t), recordings_tick,
                                           recordings_end };
