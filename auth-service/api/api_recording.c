/* The page's calls for recordings: list and search, keep, delete, start and stop. */

#include "api.h"
#include "../base/log.h"
#include "../rec/rec_file.h"
#include "../rec/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_DEFAULT  100
#define LIST_MAX      500
#define LIST_TEXT     256       /* bytes of the searched text */

/* The user's rights on one stream. */
typedef struct {
    uint64_t  id;
    unsigned  rights;
    int64_t   not_before;
} list_right_t;

typedef struct {
    api_t         *api;
    list_right_t  *rights;      /* by id */
    size_t         count;
    size_t         size;
    bool           failed;      /* no memory */
    unsigned       most;
    json_t        *recordings;
    char           next[48];    /* cursor behind the last recording of this answer */
    bool           more;
} list_t;


/* --- the streams whose recordings the user may see --- */

static void list_add_right(const store_stream_t *stream, void *data)
{
    size_t         size;
    list_t        *list = data;
    unsigned       rights = api_rights(list->api, stream);
    list_right_t  *grown;

    if (!(rights & (RIGHT_REPLAY | RIGHT_MANAGE))) {
        return;
    }

    if (list->count == list->size) {
        size = list->size ? 2 * list->size : 64;
        grown = realloc(list->rights, size * sizeof(*grown));
        if (grown == NULL) {
            list->failed = true;
            return;
        }
        list->rights = grown;
        list->size = size;
    }

    list->rights[list->count++] = (list_right_t) { stream->id, rights, stream->not_before };
}


static int list_compare(const void *one, const void *two)
{
    const list_right_t  *a = one, *b = two;

    return a->id < b->id ? -1 : a->id > b->id;
}


static const list_right_t *list_right(const list_t *list, uint64_t stream)
{
    list_right_t  key = { .id = stream };

    return list->count
           ? bsearch(&key, list->rights, list->count, sizeof(key), list_compare) : NULL;
}


/* "3,5,9" for the database */
static char *list_ids(const list_t *list)
{
    size_t   i;
    char    *text = malloc(list->count * 21 + 1), *p = text;

    if (text) {
        *p = '\0';
        for (i = 0; i < list->count; i++) {
            p += sprintf(p, "%s%" PRIu64, i ? "," : "", list->rights[i].id);
        }
    }

    return text;
}


/*
 * Lists the ids of all streams whose recordings the user may see. On failure answers and
 * returns false.
 */
static bool list_all_streams(list_t *list, char **ids)
{
    api_t           *api = list->api;
    store_result_t   result;

    result = store_stream_list(api->store, api->user.id, list_add_right, list);
    if (result == STORE_OK) {
        if (list->count) {
            qsort(list->rights, list->count, sizeof(list_right_t), list_compare);
        }
        /* an admin also sees recordings of deleted streams */
        *ids = api->user.admin ? NULL : list_ids(list);
        if (list->failed || (*ids == NULL && !api->user.admin)) {
            api_error(api, 500, "internal", "Out of memory.");
            return false;
        }
        return true;
    }

    api_store_error(api, result, "streams");
    return false;
}


static bool list_one_stream(list_t *list, const char *full, char *app, char *name)
{
    api_t           *api = list->api;
    store_stream_t   stream;
    store_result_t   result = STORE_NONE;

    if (name_split(full, app, name)) {
        result = store_stream_get(api->store, app, name, api->user.id, &stream);
        if (result == STORE_NONE && api->user.admin) {
            return true;
        }
    }
    if (result == STORE_OK) {
        list_add_right(&stream, list);
        result = list->count ? STORE_OK : STORE_NONE;
    }
    if (result != STORE_OK) {
        api_store_error(api, result, "stream of this name");
        return false;
    }

    return true;
}


/* --- the answer --- */

static json_t *list_url(const list_t *list, const store_recording_t *recording,
                        const list_right_t *right)
{
    char  token[TOKEN_MAX];

    if (right == NULL || !(right->rights & RIGHT_REPLAY)
        || !api_media_token(list->api, recording->app, recording->name, right->not_before,
                            "replay", token))
    {
        return NULL;
    }

    return json_sprintf("/m/%s/rec/%s/%s/%s", token, recording->app, recording->name,
                        rec_file_tail(recording->file));
}


static void list_collect(const store_recording_t *recording, void *data)
{
    bool                 manage;
    json_t              *out;
    list_t              *list = data;
    const list_right_t  *right = list_right(list, recording->stream);

    if (json_array_size(list->recordings) == list->most) {
        list->more = true;
        return;
    }

    manage = list->api->user.admin || (right && (right->rights & RIGHT_MANAGE));

    out = json_pack("{sI so ss ss ss sI so? sI ss ss sb so so* s{sb}}",
        "id", (json_int_t) recording->id,
        "stream", json_sprintf("%s/%s", recording->app, recording->name),
        "title", recording->title, "file", recording->file, "format", recording->format,
        "from", (json_int_t) recording->from,
        "to", recording->to ? json_integer(recording->to) : NULL,
        "bytes", (json_int_t) rec_file_bytes(list->api->service->config->rec, recording),
        "state", recording->state, "reason", recording->reason,
        "keep", recording->keep, "session", json_sprintf("%" PRIu64, recording->session),
        "url", list_url(list, recording, right), "can", "manage", manage);

    json_array_append_new(list->recordings, out);
    snprintf(list->next, sizeof(list->next), "%lld-%" PRIu64, (long long) recording->from,
             recording->id);
}


static void list_reply(list_t *list, const store_recording_query_t *query)
{
    json_t          *body;
    store_result_t   result;

    list->recordings = json_array();
    result = store_recording_find(list->api->store, query, list_collect, list);

    if (result != STORE_OK) {
        json_decref(list->recordings);
        api_store_error(list->api, result, "recordings");
        return;
    }

    body = json_pack("{so sb}", "recordings", list->recordings, "more", list->more);
    if (list->more) {
        json_object_set_new(body, "next", json_string(list->next));
    }
    api_reply(list->api, body);
}


void api_recordings(api_t *api)
{
    char                     full[NAME_FULL_MAX + 1] = "", text[LIST_TEXT];
    char                     app[NAME_APP_MAX + 1], name[NAME_STREAM_MAX + 1];
    char                    *ids = NULL;
    bool                     good;
    list_t                   list = { .api = api };
    query_result_t           given;
    store_recording_query_t  query = { .text = text, .to = INT64_MAX };

    if (!api_query_time(api, "from", &query.from) || !api_query_time(api, "to", &query.to)
        || !api_query_before(api, &query.before, &query.before_id)
        || !api_query_limit(api, LIST_DEFAULT, LIST_MAX, &list.most)
        || !api_query_text(api, "q", text, sizeof(text)))
    {
        return;
    }

    query.most = list.most + 1;     /* one more row shows whether there are more */

    given = query_value(fastcgi_param(api->request, "QUERY_STRING"), "stream", full,
                        sizeof(full));
    if (given == QUERY_ABSENT) {
        good = list_all_streams(&list, &ids);
        query.streams = ids;
    } else {
        good = list_one_stream(&list, given == QUERY_FOUND ? full : "", app, name);
        query.app = app;
        query.name = name;
    }

    if (good) {
        list_reply(&list, &query);
    }

    free(ids);
    free(list.rights);
}


/* --- changes --- */

/*
 * Finds the recording in the request's path if the user may manage it. Otherwise answers
 * an error and returns false.
 */
static bool recording_find(api_t *api, const char *action, store_recording_t *recording)
{
    unsigned        rights = api->user.admin ? RIGHTS_ALL : 0;
    uint64_t        id;
    store_stream_t  stream;
    store_result_t  result = STORE_NONE;

    if (api_part_id(api, 0, &id)) {
        result = store_recording_get(api->store, id, recording);
    }
    if (result == STORE_OK && rights == 0) {
        result = store_stream_get(api->store, recording->app, recording->name, api->user.id,
                                  &stream);
        rights = result == STORE_OK ? api_rights(api, &stream) : 0;
        if (result == STORE_OK && !(rights & (RIGHT_REPLAY | RIGHT_MANAGE))) {
            result = STORE_NONE;
        }
    }
    if (result != STORE_OK) {
        api_store_error(api, result, "recording of this number");
        return false;
    }

    if (!(rights & RIGHT_MANAGE)) {
        api_audit(api, action, false, recording->file, "no right to manage");
        api_error(api, 403, "forbidden", "You may not manage this stream.");
        return false;
    }

    return true;
}


void api_recording_set(api_t *api)
{
    json_t             *keep = json_object_get(api->body, "keep");
    store_result_t      result;
    store_recording_t   recording;

    if (!recording_find(api, "recording keep", &recording)) {
        return;
    }
    if (!json_is_boolean(keep)) {
        api_error(api, 400, "bad_request", "\"keep\" is %s; expected true or false.",
                  keep ? "neither" : "missing");
        return;
    }

    result = store_recording_set_keep(api->store, recording.id, json_is_true(keep));
    if (result != STORE_OK) {
        api_store_error(api, result, "recording of this number");
        return;
    }

    api_audit(api, json_is_true(keep) ? "recording keep" : "recording free", true,
              recording.file, "");
    api_reply(api, json_pack("{sI sb}", "id", (json_int_t) recording.id, "keep",
                             json_is_true(keep)));
}


void api_recording_remove(api_t *api)
{
    char                error[512];
    store_result_t      result;
    rec_file_result_t   removed;
    store_recording_t   recording;

    if (!recording_find(api, "recording delete", &recording)) {
        return;
    }
    if (recording.keep) {
        api_error(api, 409, "kept", "This recording is kept. Free it first.");
        return;
    }

    removed = strcmp(recording.state, "recording") == 0
              ? REC_FILE_BUSY
              : rec_file_remove(api->service->config->rec, recording.file, error, sizeof(error));
    if (removed == REC_FILE_BUSY) {
        api_error(api, 409, "recording", "This recording is still being written.");
        return;
    }
    if (removed == REC_FILE_FAILED) {
        log_error("recording: %s", error);
        api_error(api, 500, "internal", "The file can't be deleted: see the log of duolu-auth.");
        return;
    }

    result = store_recording_remove(api->store, recording.file);
    if (result != STORE_OK) {
        api_store_error(api, result, "recording");
        return;
    }

    api_audit(api, "recording delete", true, recording.file, "");
    api_reply(api, json_object());
}


void api_stream_record(api_t *api)
{
    char                full[NAME_FULL_MAX + 1], error[CONTROL_ERROR_SIZE];
    json_t             *on = json_object_get(api->body, "on"), *body;
    store_stream_t      stream;
    store_result_t      result;
    control_result_t    nginx_result;

    if (!api_managed_stream(api, api->parts[0], api->parts[1], "record", &stream)) {
        return;
    }
    if (!json_is_boolean(on)) {
        api_error(api, 400, "bad_request", "\"on\" is %s; expected true or false.",
                  on ? "neither" : "missing");
        return;
    }
    if (strcmp(stream.record, "demand") != 0) {
        api_error(api, 409, "policy", "This stream is recorded %s; it can be started and "
                  "stopped only when its policy is demand.", stream.record);
        return;
    }

    stream.record_on = json_is_true(on);
    result = store_stream_set_record_on(api->store, stream.id, stream.record_on);
    if (result != STORE_OK) {
        api_store_error(api, result, "stream");
        return;
    }

    snprintf(full, sizeof(full), "%s/%s", stream.app, stream.name);
    api_audit(api, stream.record_on ? "record start" : "record stop", true, full, "");

    nginx_result = record_tell(api->service->config->control_socket, &stream, error);
    body = json_pack("{sb sb}", "record_on", stream.record_on, "live", nginx_result == CONTROL_OK);
    api_warn_untold(api, nginx_result, error, body);
    if (stream.record_on && stream.owner_full) {
        json_object_set_new(body, "record_stopped", json_string("quota"));
    }
    api_reply(api, body);
}
