#include "prune.h"
#include "rec_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    const prune_t     *prune;
    int64_t            now;
    retention_file_t  *files;
    size_t             count;
    size_t             size;
    bool               failed;      /* no memory */
} prune_list_t;


/* Reads the disk's free space and the least allowed; if that fails, assume enough. */
static void prune_disk(const config_t *config, const settings_t *settings, uint64_t *free,
                       uint64_t *floor)
{
    uint64_t  size = 0;

    *free = UINT64_MAX;
    *floor = 0;
    if (rec_file_disk(config->rec, &size, free)) {
        *floor = settings_share(&settings->rec_free, size);
    }
}


bool prune_short(const config_t *config, const settings_t *settings)
{
    uint64_t  free, floor;

    prune_disk(config, settings, &free, &floor);
    return free < floor && rec_file_root(config->rec);
}


static void prune_collect(const store_recording_t *recording, void *data)
{
    char               full[NAME_FULL_MAX + 1];
    size_t             size;
    prune_list_t      *list = data;
    retention_file_t  *grown;

    snprintf(full, sizeof(full), "%s/%s", recording->app, recording->name);
    if (list->prune->stream && strcmp(list->prune->stream, full) != 0) {
        return;
    }

    if (list->count == list->size) {
        size = list->size ? 2 * list->size : 1024;
        grown = realloc(list->files, size * sizeof(*grown));
        if (grown == NULL) {
            list->failed = true;
            return;
        }
        list->files = grown;
        list->size = size;
    }

    list->files[list->count++] = (retention_file_t) {
        .id = recording->id, .owner = recording->owner, .quota = recording->owner_quota,
        .ended = recording->to ? recording->to : list->now,
        .bytes = rec_file_bytes(list->prune->config->rec, recording),
        .fixed = recording->keep || strcmp(recording->state, "recording") == 0
    };
}


static void prune_report(prune_t *prune, const store_recording_t *recording, retention_why_t why)
{
    prune->count++;
    prune->bytes += recording->bytes;
    if (prune->each) {
        prune->each(recording, why, prune->data);
    }
}


/*
 * Delete the row last: if this is interrupted, the next prune finds the rest of the
 * file only by its row.
 */
static store_result_t prune_remove(prune_t *prune, const store_recording_t *recording,
                                   retention_why_t why)
{
    char               error[PRUNE_ERROR_SIZE];
    store_audit_t      audit = { prune->actor, "recording prune", true, recording->file, "",
                                 retention_text(why) };
    store_result_t     result;
    rec_file_result_t  removed;

    removed = rec_file_remove(prune->config->rec, recording->file, error, sizeof(error));
    if (removed != REC_FILE_GONE) {
        prune->failed++;
        snprintf(prune->error, sizeof(prune->error), "%s", removed == REC_FILE_BUSY
                 ? "a file is being written that is closed in the database" : error);
        return STORE_OK;
    }

    result = store_recording_remove(prune->store, recording->file);
    if (result == STORE_OK) {
        result = store_audit_add(prune->store, &audit);
        prune_report(prune, recording, why);
    }

    return result;
}


/* Reads the row again, since it may have been marked `keep` after the list was made. */
static store_result_t prune_one(prune_t *prune, const retention_file_t *file)
{
    store_result_t     result;
    store_recording_t  recording;

    result = store_recording_get(prune->store, file->id, &recording);

    if (result == STORE_NONE
        || (result == STORE_OK && (recording.keep || strcmp(recording.state, "recording") == 0)))
    {
        return STORE_OK;
    }
    if (result != STORE_OK) {
        return result;
    }

    if (prune->dry) {
        prune_report(prune, &recording, file->why);
        return STORE_OK;
    }

    return prune_remove(prune, &recording, file->why);
}


/* Returns STORE_NONE when no rule applies, so that the list need not be read. */
static store_result_t prune_needed(const prune_t *prune, const retention_rules_t *rules)
{
    if (rules->days || rules->total || rules->free < rules->floor) {
        return STORE_OK;
    }

    return store_user_any_quota(prune->store);
}


/*
 * Set no limit when making space: at the next call statvfs() may not yet count the
 * deleted bytes as free, and the rules would choose too many.
 */
static unsigned prune_most(const prune_t *prune, const prune_list_t *list)
{
    size_t  i;

    for (i = 0; i < list->count; i++) {
        if (list->files[i].why == RETENTION_FREE) {
            return 0;
        }
    }

    return prune->most;
}


/* Reads the list and chooses from it; STORE_NONE when no rule applies. */
static store_result_t prune_choose(prune_t *prune, prune_list_t *list)
{
    retention_rules_t  rules = {
        .now = list->now, .days = prune->settings->rec_days, .total = prune->settings->rec_total
    };
    store_result_t     result = STORE_OK;

    prune_disk(prune->config, prune->settings, &rules.free, &rules.floor);
    if (prune->before == 0) {
        result = prune_needed(prune, &rules);
    }
    if (result == STORE_OK) {
        result = store_recording_all(prune->store, prune_collect, list);
    }
    if (result == STORE_OK && list->failed) {
        snprintf(prune->error, sizeof(prune->error), "out of memory");
        return STORE_ERROR;
    }
    if (result != STORE_OK) {
        return result;
    }

    if (prune->before) {
        retention_choose_older(list->files, list->count, prune->before);
    } else {
        prune->broken = retention_choose(&rules, list->files, list->count);
    }

    return STORE_OK;
}


static store_result_t prune_list(prune_t *prune, prune_list_t *list)
{
    size_t           i;
    unsigned         most;
    store_result_t   result = prune_choose(prune, list);

    if (result != STORE_OK) {
        return result == STORE_NONE ? STORE_OK : result;
    }

    most = prune_most(prune, list);

    for (i = 0; i < list->count && result == STORE_OK; i++) {
        if (list->files[i].why == RETENTION_STAYS) {
            continue;
        }
        prune->more = most && prune->count == most;
        if (prune->more || (prune->stopping && atomic_load(prune->stopping))) {
            break;
        }
        result = prune_one(prune, &list->files[i]);
    }

    return result;
}


store_result_t prune_run(prune_t *prune)
{
    int             lock;
    prune_list_t    list = { .prune = prune, .now = (int64_t) time(NULL) * 1000 };
    store_result_t  result;

    prune->count = prune->failed = prune->broken = 0;
    prune->bytes = 0;
    prune->more = false;
    prune->error[0] = '\0';

    lock = rec_file_lock(prune->config->rec, prune->wait_s);
    if (lock == -1) {
        return errno == EWOULDBLOCK ? STORE_NONE : STORE_OK;
    }

    result = prune_list(prune, &list);
    free(list.files);
    close(lock);
    return result;
}


const char *prune_rules(unsigned broken, char out[PRUNE_RULES_SIZE])
{
    snprintf(out, PRUNE_RULES_SIZE, "%s%s%s", broken & RETENTION_QUOTA ? " rec_quota" : "",
             broken & RETENTION_TOTAL ? " rec_total" : "",
             broken & RETENTION_FREE ? " rec_free" : "");
    return out[0] ? out + 1 : out;
}
