#include "keeper.h"
#include "../base/log.h"
#include "../rec/deletion.h"
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
#define RECORDINGS_DELETE     RECORDINGS_TICKS(2000)
#define RECORDINGS_QUOTA      RECORDINGS_TICKS(10000)
#define RECORDINGS_PRUNE      RECORDINGS_TICKS(60000)
#define RECORDINGS_STALE      RECORDINGS_TICKS(600000)
#define RECORDINGS_SETTINGS   RECORDINGS_TICKS(1000)

/*
 * A deleted file's space becomes free only when its readers close it. Wait before
 * deleting more, or too many recordings would go.
 */
#define RECORDINGS_AGAIN      RECORDINGS_TICKS(30000)

/* The most files deleted in one tick, since events wait meanwhile. */
#define RECORDINGS_MOST       200

typedef struct {
    settings_t       settings;
    bool             known;         /* they were read: without them nothing is deleted */
    unsigned         settings_in;   /* ticks */
    unsigned         compare_in;
    unsigned         space_in;
    unsigned         quota_in;
    unsigned         prune_in;
    unsigned         stale_in;
    unsigned         delete_in;
    spool_refused_t  refused;
    /* what was logged last, to log each change only once */
    char             settings_logged[STORE_SETTING_WRONG];
    char             spool_logged[600];
    char             prune_logged[PRUNE_ERROR_SIZE];
    char             delete_logged[DELETION_ERROR_SIZE];
    unsigned         broken_logged;
    json_t          *record_logged;
} recordings_t;


/* Logs an error when it begins, when it changes, and when it is over. */
static void recordings_log_change(char *logged, size_t size, const char *subject, const char *error)
{
    if (strcmp(logged, error) != 0) {
        if (error[0]) {
            log_warning("%s: %s", subject, error);
        } else {
            log_info("%s: over", subject);
        }
        snprintf(logged, size, "%s", error);
    }
}


static void recordings_spool(keeper_desk_t *desk, recordings_t *state)
{
    spool_report_t  report;

    spool_take(desk->store, desk->config->rec, &desk->stopping,
               &state->refused, &report);
    recordings_log_change(state->spool_logged, sizeof(state->spool_logged),
                          "recordings: nginx's events wait", report.waiting ? report.error : "");
}


/* Closes rows whose end event was lost; reindex_stale() waits until the spool is empty. */
static void recordings_stale(keeper_desk_t *desk, recordings_t *state)
{
    if (state->stale_in > 0) {
        state->stale_in--;
    } else if (reindex_stale(desk->store, desk->config->rec) == STORE_OK) {
        state->stale_in = RECORDINGS_STALE;
    }
}


static void recordings_log_deleted(const store_recording_t *recording, retention_why_t why,
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

    if (prune->broken != state->broken_logged) {
        if (prune->broken) {
            log_warning("recordings: %s can't be satisfied: all other recordings are kept or "
                        "being written", prune_rules(prune->broken, rules));
        } else {
            log_info("recordings: all limits are satisfied again");
        }
        state->broken_logged = prune->broken;
    }
}


static void recordings_prune(keeper_desk_t *desk, recordings_t *state)
{
    prune_t         prune = { .store = desk->store, .config = desk->config,
                              .settings = &state->settings,
                              .actor = "duolu-auth", .most = RECORDINGS_MOST,
                              .stopping = &desk->stopping,
                              .each = recordings_log_deleted };
    store_result_t  result = prune_run(&prune);

    state->space_in = RECORDINGS_SPACE;
    state->prune_in = RECORDINGS_PRUNE;
    if (result == STORE_NONE) {
        return;
    }

    if (result != STORE_OK && prune.error[0] == '\0') {
        snprintf(prune.error, sizeof(prune.error), "database: %s", store_error(desk->store));
    }

    recordings_log_change(state->prune_logged, sizeof(state->prune_logged),
                          "recordings: cannot delete by the retention rules", prune.error);
    if (result == STORE_OK) {
        recordings_prune_report(&prune, state);
    }

    /* don't prune for space again at once: it was just freed, or cannot be */
    if (prune.count || prune.failed || (prune.broken & RETENTION_FREE)) {
        state->space_in = RECORDINGS_AGAIN;
    }
    if (prune.more) {
        state->prune_in = 0;
    }
}


/* Prune once a minute, and at once when the disk runs short of space. */
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
    return prune_short(config, &state->settings);
}


/* Reads the settings; changed ones apply at once. */
static void recordings_settings(keeper_desk_t *desk, recordings_t *state)
{
    char        wrong[STORE_SETTING_WRONG];
    settings_t  before = state->settings;

    if (state->settings_in > 0) {
        state->settings_in--;
        return;
    }
    if (store_settings(desk->store, &desk->config->defaults, &state->settings, wrong)
        != STORE_OK)
    {
        return;
    }

    state->settings_in = RECORDINGS_SETTINGS;
    state->known = true;
    recordings_log_change(state->settings_logged, sizeof(state->settings_logged), "settings",
                          wrong);
    if (!settings_same(&before, &state->settings)) {
        state->quota_in = state->prune_in = 0;
    }
}


static void recordings_limits(keeper_desk_t *desk, recordings_t *state)
{
    recordings_settings(desk, state);
    if (!state->known) {
        return;
    }

    if (state->quota_in > 0) {
        state->quota_in--;
    } else {
        if (quota_check(desk->store, desk->config, &state->settings) == STORE_ERROR) {
            log_error("recordings: quota: %s", store_error(desk->store));
        }
        state->quota_in = RECORDINGS_QUOTA;
    }

    if (recordings_prune_due(desk->config, state)) {
        recordings_prune(desk, state);
    }
}


/* Deletes the recordings of deleted streams. */
static void recordings_delete(keeper_desk_t *desk, recordings_t *state)
{
    deletion_t      deletion = { .store = desk->store, .config = desk->config,
                                 .stopping = &desk->stopping };
    store_result_t  result;

    if (state->delete_in > 0) {
        state->delete_in--;
        return;
    }

    result = deletion_run(&deletion);
    if (result != STORE_OK && result != STORE_NONE) {
        snprintf(deletion.error, sizeof(deletion.error), "database: %s",
                 store_error(desk->store));
    }
    recordings_log_change(state->delete_logged, sizeof(state->delete_logged),
                          "recordings: cannot delete those of a deleted stream", deletion.error);

    /* go on at once while there are more */
    state->delete_in = deletion.count ? 0 : RECORDINGS_DELETE;
}


static void recordings_tick(keeper_desk_t *desk, void *data)
{
    recordings_t  *state = data;

    recordings_spool(desk, state);
    recordings_stale(desk, state);
    recordings_delete(desk, state);
    recordings_limits(desk, state);

    if (state->record_logged == NULL) {
        state->record_logged = json_object();
    }
    if (state->compare_in > 0) {
        state->compare_in--;
    } else {
        record_compare(desk->store, desk->config->control_socket, state->record_logged);
        state->compare_in = RECORDINGS_COMPARE;
    }
}


static void recordings_end(keeper_desk_t *desk, void *data)
{
    recordings_t  *state = data;

    (void) desk;
    json_decref(state->record_logged);
}


const keeper_work_t  keeper_recordings = { sizeof(recordings_t), recordings_tick,
                                           recordings_end };
