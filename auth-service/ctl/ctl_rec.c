/* Commands for recordings: list, start and stop, keep, prune, reindex. */

#include "ctl.h"
#include "../rec/prune.h"
#include "../rec/rec_file.h"
#include "../rec/record.h"
#include "../rec/reindex.h"
#include "../../modules/rules/rec_path.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REC_WAIT_S  30      /* for the lock, while the service changes recordings */

typedef struct {
    const ctl_t  *ctl;
    const char   *stream;   /* only of this stream; NULL: of all */
    json_t       *list;     /* NULL: print */
} rec_list_t;


static void rec_print(const rec_list_t *list, const store_recording_t *recording)
{
    char      from[UTC_TEXT_MAX], to[UTC_TEXT_MAX] = "-";
    uint64_t  bytes = rec_file_bytes(list->ctl->config.rec, recording);

    utc_write(from, recording->from);
    if (recording->to) {
        utc_write(to, recording->to);
    }

    if (list->list == NULL) {
        printf("%-6" PRIu64 " %s %s %-24s %12" PRIu64 " %s%s\n", recording->id, recording->file,
               from, to, bytes, recording->state, recording->keep ? " keep" : "");
        return;
    }

    json_array_append_new(list->list, json_pack("{sI so ss ss ss so? sI ss ss sb ss}",
        "id", (json_int_t) recording->id,
        "stream", json_sprintf("%s/%s", recording->app, recording->name),
        "file", recording->file, "format", recording->format, "from", from,
        "to", recording->to ? json_string(to) : NULL, "bytes", (json_int_t) bytes,
        "state", recording->state, "reason", recording->reason, "keep", recording->keep,
        "title", recording->title));
}


static void rec_collect(const store_recording_t *recording, void *data)
{
    char               full[NAME_FULL_MAX + 1];
    const rec_list_t  *list = data;

    snprintf(full, sizeof(full), "%s/%s", recording->app, recording->name);
    if (list->stream == NULL || strcmp(list->stream, full) == 0) {
        rec_print(list, recording);
    }
}


int ctl_rec_list(ctl_t *ctl)
{
    char             app[NAME_APP_MAX + 1], name[NAME_STREAM_MAX + 1];
    rec_list_t       list = { ctl, ctl->count ? ctl->words[0] : NULL, NULL };
    store_result_t   result;

    if (list.stream && !name_split(list.stream, app, name)) {
        return ctl_fail(CTL_USAGE, "stream \"%.200s\"; expected APP/NAME: app " NAME_APP_RULE
                        ", name " NAME_STREAM_RULE, list.stream);
    }

    list.list = (ctl->given & OPTION_JSON) ? json_array() : NULL;
    result = store_recording_all(ctl->store, rec_collect, &list);
    if (result != STORE_OK) {
        json_decref(list.list);
        return ctl_store_fail(ctl, result, "recordings");
    }

    if (list.list) {
        ctl_print_json(json_pack("{so}", "recordings", list.list));
    }
    return CTL_OK;
}


static int rec_switch(ctl_t *ctl, bool on)
{
    int              code;
    store_stream_t   stream;
    store_result_t   result;

    code = ctl_find_stream(ctl, ctl->words[0], 0, &stream);
    if (code != CTL_OK) {
        return code;
    }
    if (strcmp(stream.record, "demand") != 0) {
        return ctl_fail(CTL_FAILED, "stream %s has record=%s; expected record=demand (duoluctl "
                        "stream set %s record=demand)", ctl->words[0], stream.record,
                        ctl->words[0]);
    }

    stream.record_on = on;
    result = store_stream_set_record_on(ctl->store, stream.id, on);
    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, ctl->words[0]);
    }

    ctl_audit(ctl, on ? "record start" : "record stop", ctl->words[0]);
    printf("stream %s record_on=%d\n", ctl->words[0], on);
    if (on && stream.owner_full) {
        ctl_fail(0, "warning: not recorded: " RECORD_FULL "; give the owner a rec_quota, or "
                 "delete recordings");
    }
    ctl_update_recording(ctl, &stream);
    return CTL_OK;
}


int ctl_rec_start(ctl_t *ctl)
{
    return rec_switch(ctl, true);
}


int ctl_rec_stop(ctl_t *ctl)
{
    return rec_switch(ctl, false);
}


static int rec_set_keep(ctl_t *ctl, bool keep)
{
    char               *end, subject[80];
    uint64_t            id = strtoull(ctl->words[0], &end, 10);
    store_result_t      result;
    store_recording_t   recording;

    if (ctl->words[0][0] < '0' || ctl->words[0][0] > '9' || *end) {
        return ctl_fail(CTL_USAGE, "recording \"%.40s\"; expected a number as in duoluctl rec "
                        "list", ctl->words[0]);
    }

    result = store_recording_get(ctl->store, id, &recording);
    if (result == STORE_OK) {
        result = store_recording_set_keep(ctl->store, id, keep);
    }
    if (result != STORE_OK) {
        snprintf(subject, sizeof(subject), "recording %s", ctl->words[0]);
        return ctl_store_fail(ctl, result, subject);
    }

    ctl_audit(ctl, keep ? "recording keep" : "recording free", recording.file);
    printf("recording %s %s\n", recording.file, keep ? "is kept" : "may be deleted");
    return CTL_OK;
}


int ctl_rec_keep(ctl_t *ctl)
{
    return rec_set_keep(ctl, true);
}


int ctl_rec_free(ctl_t *ctl)
{
    return rec_set_keep(ctl, false);
}


static void rec_print_pruned(const store_recording_t *recording, retention_why_t why, void *data)
{
    (void) data;
    printf("%s %" PRIu64 " %s\n", recording->file, recording->bytes, retention_text(why));
}


static int rec_busy(void)
{
    return ctl_fail(CTL_FAILED, "another process has held the lock on the recordings for %d s: "
                    "try again", REC_WAIT_S);
}


/* Reads --before, and the stream with it. */
static int rec_prune_before(ctl_t *ctl, prune_t *prune)
{
    char  app[NAME_APP_MAX + 1], name[NAME_STREAM_MAX + 1];

    if (ctl->count && (ctl->before == NULL || !name_split(ctl->words[0], app, name))) {
        return ctl_fail(CTL_USAGE, "\"%.200s\"; expected APP/NAME together with --before TIME",
                        ctl->words[0]);
    }
    if (ctl->before == NULL) {
        return CTL_OK;
    }

    prune->stream = ctl->count ? ctl->words[0] : NULL;
    prune->before = utc_read(ctl->before, strlen(ctl->before));
    return prune->before > 0
           ? CTL_OK : ctl_fail(CTL_USAGE, "--before is \"%.60s\"; expected RFC 3339, such as "
                               "2026-11-23T00:00:00Z, or milliseconds or seconds since 1970",
                               ctl->before);
}


int ctl_rec_prune(ctl_t *ctl)
{
    int             code;
    char            rules[PRUNE_RULES_SIZE];
    bool            dry = ctl->given & OPTION_DRY_RUN;
    settings_t      settings;
    prune_t         prune = { .store = ctl->store, .config = &ctl->config,
                              .settings = &settings, .actor = "duoluctl",
                              .dry = dry, .wait_s = REC_WAIT_S, .each = rec_print_pruned };
    store_result_t  result;

    code = rec_prune_before(ctl, &prune);
    if (code == CTL_OK) {
        code = ctl_read_settings(ctl, &settings);
    }
    if (code != CTL_OK) {
        return code;
    }

    result = prune_run(&prune);
    if (result == STORE_NONE) {
        return rec_busy();
    }
    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, "recordings");
    }

    printf("%s %u file%s, %" PRIu64 " bytes\n", dry ? "would delete" : "deleted", prune.count,
           prune.count == 1 ? "" : "s", prune.bytes);
    if (prune.broken) {
        ctl_fail(0, "warning: %s can't be satisfied: all other recordings are kept or being "
                 "written", prune_rules(prune.broken, rules));
    }

    return prune.failed
           ? ctl_fail(CTL_FAILED, "%u could not be deleted: %s", prune.failed, prune.error)
           : CTL_OK;
}


int ctl_reindex(ctl_t *ctl)
{
    reindex_t       done;
    store_result_t  result = reindex_run(ctl->store, ctl->config.rec, &done);

    if (result == STORE_NONE) {
        return ctl_fail(CTL_FAILED, "%s", done.error);
    }
    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, "recordings");
    }

    ctl_audit(ctl, "recordings reindex", ctl->config.rec);
    printf("files %u\nmade %u\ndropped %u\nrecording %u\ninterrupted %u\n", done.files,
           done.made, done.dropped, done.recording, done.interrupted);

    return done.error[0] ? ctl_fail(CTL_FAILED, "not all could be read: %s", done.error)
                         : CTL_OK;
}
