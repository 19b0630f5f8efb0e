/* Deletes users and streams, and says beforehand what they have recorded. */

#include "api.h"

#include <stdio.h>
#include <string.h>


static json_t *recorded_json(const store_recorded_t *recorded)
{
    return json_pack("{sI sI sI}", "files", (json_int_t) recorded->files, "kept",
                     (json_int_t) recorded->kept, "bytes", (json_int_t) recorded->bytes);
}


void api_stream_storage(api_t *api)
{
    store_stream_t    stream;
    store_result_t    result;
    store_recorded_t  recorded;

    if (!api_managed_stream(api, api->parts[0], api->parts[1], "storage", &stream)) {
        return;
    }

    result = store_recorded_name(api->store, stream.app, stream.name, &recorded);
    if (result != STORE_OK) {
        api_store_error(api, result, "recordings");
        return;
    }

    api_reply(api, recorded_json(&recorded));
}


/* Nobody deletes recordings by forgetting a word: ?recordings=keep or delete must be there. */
static bool delete_recordings(api_t *api, bool *recordings)
{
    char         word[16] = "";
    const char  *query = fastcgi_param(api->request, "QUERY_STRING");

    if (query_value(query, "recordings", word, sizeof(word)) == QUERY_FOUND
        && (strcmp(word, "keep") == 0 || strcmp(word, "delete") == 0))
    {
        *recordings = strcmp(word, "delete") == 0;
        return true;
    }

    api_error(api, 400, "bad_request", "recordings is \"%.15s\"; expected ?recordings=keep or "
              "?recordings=delete.", word);
    return false;
}


static void delete_answer(api_t *api, const change_t *change, bool recordings,
                          const store_recorded_t *recorded)
{
    json_t  *answer = recorded_json(recorded);

    json_object_set_new(answer, "recordings", json_string(recordings ? "delete" : "keep"));
    api_reply_changed(api, change, answer);
}


void api_stream_remove(api_t *api)
{
    bool              recordings;
    char              full[NAME_FULL_MAX + 1];
    change_t          change = api_change(api);
    store_stream_t    stream;
    store_result_t    result;
    store_recorded_t  recorded;

    if (!delete_recordings(api, &recordings)
        || !api_managed_stream(api, api->parts[0], api->parts[1], "stream delete", &stream))
    {
        return;
    }
    snprintf(full, sizeof(full), "%s/%s", stream.app, stream.name);

    if (!api->user.admin && api->user.id != stream.owner) {
        api_audit(api, "stream delete", false, full, "not the owner");
        api_error(api, 403, "forbidden", "Only the owner of the stream or an admin may delete it.");
        return;
    }

    result = store_recorded_name(api->store, stream.app, stream.name, &recorded);
    if (result == STORE_OK) {
        result = change_stream_remove(&change, stream.id, recordings);
    }
    if (result != STORE_OK) {
        api_store_error(api, result, "stream of this name");
        return;
    }

    api_audit(api, "stream delete", true, full, recordings ? "with its recordings"
                                                           : "its recordings stay");
    delete_answer(api, &change, recordings, &recorded);
}


void api_user_remove(api_t *api)
{
    bool              recordings;
    change_t          change = api_change(api);
    store_user_t      user;
    store_result_t    result;
    store_recorded_t  recorded;

    if (!delete_recordings(api, &recordings) || !api_named_user(api, &user)) {
        return;
    }
    if (user.id == api->user.id) {
        api_error(api, 409, "self", "You cannot delete your own account.");
        return;
    }

    result = store_recorded_owner(api->store, user.id, &recorded);
    if (result == STORE_OK) {
        result = change_user_remove(&change, user.id, recordings);
    }
    if (result != STORE_OK) {
        api_store_error(api, result, "user of this name");
        return;
    }

    api_audit(api, "user delete", true, user.name, recordings ? "with all recordings"
                                                              : "recordings stay");
    delete_answer(api, &change, recordings, &recorded);
}
