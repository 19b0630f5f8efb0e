#include "spool.h"
#include "../base/log.h"
#include "../hooks/hook_event.h"
#include "rec_file.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SPOOL_PATH_SIZE  (PATH_MAX + 300)     /* a folder, and a name in it */
#define SPOOL_EVENT_MAX  65536


static int spool_is_event(const struct dirent *entry)
{
    size_t  length = strlen(entry->d_name);

    return entry->d_name[0] != '.' && length > 5
           && strcmp(entry->d_name + length - 5, ".json") == 0;
}


/* --- reading an event --- */

static const char *spool_text(json_t *event, const char *key)
{
    const char  *text = json_string_value(json_object_get(event, key));

    return text ? text : "";
}


static bool spool_number(json_t *event, const char *key, uint64_t *number)
{
    json_t  *value = json_object_get(event, key);

    *number = (uint64_t) json_integer_value(value);
    return json_is_integer(value) && json_integer_value(value) >= 0;
}


/* nginx writes a session as a text of decimal digits. */
static bool spool_session(json_t *event, uint64_t *session)
{
    const char  *text = spool_text(event, "session");
    size_t       digits = strspn(text, "0123456789");

    *session = strtoull(text, NULL, 10);
    return digits > 0 && digits < 19 && text[digits] == '\0';
}


/* Cuts the reason to the column's length in characters; jansson accepts only UTF-8. */
static void spool_reason(store_recording_t *recording, const char *text)
{
    size_t  characters = 0, used = 0;

    for (; text[used]; used++) {
        if (((unsigned char) text[used] & 0xc0) != 0x80
            && ++characters > RECORDING_REASON_MAX)
        {
            break;
        }
    }

    memcpy(recording->reason, text, used);
    recording->reason[used] = '\0';
}


/* Returns NULL, or the event's error. */
static const char *spool_read_close(json_t *event, store_recording_t *recording)
{
    uint64_t     to;
    const char  *state = spool_text(event, "state");

    if (!spool_number(event, "to", &to)) {
        return "\"to\" is not a time";
    }
    if (!spool_number(event, "bytes", &recording->bytes)) {
        return "\"bytes\" is not a number";
    }
    if (strcmp(state, "complete") != 0 && strcmp(state, "interrupted") != 0) {
        return "\"state\" is neither complete nor interrupted";
    }

    recording->to = (int64_t) to > recording->from ? (int64_t) to : recording->from;
    strcpy(recording->state, state);
    spool_reason(recording, spool_text(event, "reason"));
    return NULL;
}


static const char *spool_read(json_t *event, store_recording_t *recording)
{
    char         full[NAME_FULL_MAX + 1];
    const char  *kind = spool_text(event, "event");

    memset(recording, 0, sizeof(*recording));

    if (!json_is_object(event)) {
        return "not a JSON object";
    }
    if (!rec_file_name(spool_text(event, "file"), recording)) {
        return "\"file\" is not the path of a recording";
    }

    snprintf(full, sizeof(full), "%s/%s", recording->app, recording->name);
    if (strcmp(spool_text(event, "stream"), full) != 0) {
        return "\"stream\" does not match \"file\"";
    }
    if (strcmp(spool_text(event, "format"), recording->format) != 0) {
        return "\"format\" does not match \"file\"";
    }
    if (!spool_session(event, &recording->session)) {
        return "\"session\" is not a number";
    }

    if (strcmp(kind, "open") == 0) {
        strcpy(recording->state, "recording");
        return NULL;
    }

    return strcmp(kind, "close") == 0 ? spool_read_close(event, recording)
                                      : "\"event\" is neither open nor close";
}


/* --- applying it --- */

/* Tells the webhooks of a closed file, also twice: the event has the same id. */
static store_result_t spool_tell(store_t *store, const store_recording_t *recording)
{
    json_t  *facts = json_pack("{ss sI sI sI ss ss}", "file", recording->file,
                               "from", (json_int_t) recording->from,
                               "to", (json_int_t) recording->to,
                               "bytes", (json_int_t) recording->bytes,
                               "state", recording->state, "reason", recording->reason);

    hook_event_stream(facts, recording->app, recording->name, "");
    return hook_event_add(store, HOOK_RECORDED, recording->file, facts);
}


static store_result_t spool_write(store_t *store, const char *root,
                                  const store_recording_t *recording)
{
    store_result_t  result;

    /* nginx deletes a file that it closes empty */
    if (recording->to && recording->bytes == 0 && rec_file_missing(root, recording->file)) {
        return store_recording_remove(store, recording->file);
    }

    result = store_recording_put(store, recording);
    return result == STORE_OK && recording->to ? spool_tell(store, recording) : result;
}


static store_result_t spool_apply(store_t *store, const char *root,
                                  const store_recording_t *recording)
{
    store_result_t  result = store_begin(store);

    if (result == STORE_OK) {
        result = spool_write(store, root, recording);
        if (result == STORE_OK) {
            return store_commit(store);
        }
        store_rollback(store);
    }

    return result;
}


static bool spool_wait(spool_report_t *report, const char *path, const char *why)
{
    report->waiting = true;
    snprintf(report->error, sizeof(report->error), "%.300s: %.250s", path, why);
    return false;
}


/* Moves the event to .spool/bad, where an admin can look at it. */
static bool spool_set_aside(const char *folder, const char *name, const char *why,
                            spool_report_t *report)
{
    char  path[SPOOL_PATH_SIZE], bad[SPOOL_PATH_SIZE];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    snprintf(bad, sizeof(bad), "%s/bad", folder);

    if (mkdir(bad, 0750) == -1 && errno != EEXIST) {
        return spool_wait(report, bad, strerror(errno));
    }

    snprintf(bad, sizeof(bad), "%s/bad/%s", folder, name);
    if (rename(path, bad) == -1 && errno != ENOENT) {
        return spool_wait(report, path, strerror(errno));
    }

    log_error("recordings: moved event %s to .spool/bad: %s", name, why);
    report->bad++;
    return true;
}


/* nginx's events are small regular files. Returns NULL, or why we must not open this one. */
static const char *spool_unfit(const char *path)
{
    struct stat  info;

    if (lstat(path, &info) == -1) {
        return NULL;        /* opening it fails with the reason */
    }
    if (!S_ISREG(info.st_mode)) {
        return "not a regular file";
    }

    return info.st_size > SPOOL_EVENT_MAX ? "larger than 64 KB" : NULL;
}


/* Returns false when the next events must wait. */
static bool spool_failed(store_t *store, store_result_t result, const char *folder,
                         const char *name, spool_refused_t *refused, spool_report_t *report)
{
    char  why[300];

    snprintf(why, sizeof(why), "database: %s", store_error(store));

    if (store_refused_row(store, result)) {
        refused->times = strcmp(refused->name, name) == 0 ? refused->times + 1 : 1;
        snprintf(refused->name, sizeof(refused->name), "%s", name);

        if (refused->times >= SPOOL_TRIES) {
            return spool_set_aside(folder, name, why, report);
        }
    }

    report->waiting = true;
    snprintf(report->error, sizeof(report->error), "%s", why);
    return false;
}


static bool spool_take_one(store_t *store, const char *root, const char *folder,
                           const char *name, spool_refused_t *refused, spool_report_t *report)
{
    char                path[SPOOL_PATH_SIZE];
    json_t             *event;
    const char         *wrong;
    json_error_t        parse_error;
    store_result_t      result;
    store_recording_t   recording;

    snprintf(path, sizeof(path), "%s/%s", folder, name);

    wrong = spool_unfit(path);
    if (wrong) {
        return spool_set_aside(folder, name, wrong, report);
    }

    event = json_load_file(path, JSON_REJECT_DUPLICATES, &parse_error);
    if (event == NULL && json_error_code(&parse_error) == json_error_cannot_open_file
        && errno != EACCES)
    {
        return errno == ENOENT || spool_wait(report, path, strerror(errno));
    }

    wrong = event ? spool_read(event, &recording) : parse_error.text;
    if (wrong) {
        json_decref(event);
        return spool_set_aside(folder, name, wrong, report);
    }

    result = spool_apply(store, root, &recording);
    json_decref(event);

    if (result != STORE_OK) {
        return spool_failed(store, result, folder, name, refused, report);
    }

    report->taken++;
    return unlink(path) == 0 || errno == ENOENT || spool_wait(report, path, strerror(errno));
}


bool spool_empty(const char *root)
{
    DIR            *folder;
    char            path[PATH_MAX];
    bool            empty;
    struct dirent  *entry;

    snprintf(path, sizeof(path), "%s/.spool", root);
    folder = opendir(path);
    if (folder == NULL) {
        return false;
    }

    do {
        errno = 0;
        entry = readdir(folder);
    } while (entry && !spool_is_event(entry));

    empty = entry == NULL && errno == 0;
    closedir(folder);
    return empty;
}


void spool_take(store_t *store, const char *root, const atomic_bool *stopping,
                spool_refused_t *refused, spool_report_t *report)
{
    int              i, count, lock;
    char             folder[PATH_MAX];
    bool             go_on = true;
    struct dirent  **names;

    memset(report, 0, sizeof(*report));
    snprintf(folder, sizeof(folder), "%s/.spool", root);

    count = scandir(folder, &names, spool_is_event, alphasort);
    if (count == -1) {
        if (errno != ENOENT) {
            spool_wait(report, folder, strerror(errno));
        }
        return;
    }

    /* without the lock two processes could apply the events in another order */
    lock = count ? rec_file_lock(root, 0) : -1;

    for (i = 0; i < count && lock != -1 && go_on; i++) {
        go_on = spool_take_one(store, root, folder, names[i]->d_name, refused, report)
                && !(stopping && atomic_load(stopping));
    }

    if (lock != -1) {
        close(lock);
    }
    for (i = 0; i < count; i++) {
        free(names[i]);
    }
    free(names);
}
