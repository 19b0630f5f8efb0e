#include "api.h"
#include "../base/control.h"
#include "../base/clock.h"
#include "../base/log.h"

#include <stdio.h>
#include <string.h>

#define LIVE_AGE_MS     500

typedef struct {
    api_t   *api;
    json_t  *streams;
    json_t  *live;          /* "live/demo" -> its entry in nginx's status */
} stream_list_t;


json_t *api_live_streams(api_service_t *service)
{
    char         error[CONTROL_ERROR_SIZE];
    json_t      *root, *each, *map;
    size_t       i;
    const char  *name;

    pthread_mutex_lock(&service->live_lock);

    if (service->live == NULL || clock_ms() - service->live_at >= LIVE_AGE_MS) {

        root = control_status(service->config->control_socket, error);
        map = json_object();

        json_array_foreach(json_object_get(root, "streams"), i, each) {
            name = json_string_value(json_object_get(each, "name"));
            if (name) {
                json_object_set(map, name, each);
            }
        }

        if (root == NULL && !service->live_logged) {
            log_warning("%s: the page shows all streams as offline", error);
        }
        service->live_logged = root == NULL;

        json_decref(root);
        json_decref(service->live);
        service->live = map;
        service->live_at = clock_ms();
    }

    /* threads only read the map from here on, and jansson counts references atomically */
    map = json_incref(service->live);

    pthread_mutex_unlock(&service->live_lock);
    return map;
}


json_t *api_live(api_t *api, const char *app, const char *name)
{
    char     full[NAME_FULL_MAX + 1];
    json_t  *all = api_live_streams(api->service), *live;

    snprintf(full, sizeof(full), "%s/%s", app, name);
    live = json_incref(json_object_get(all, full));
    json_decref(all);
    return live;
}


static void stream_set_live(json_t *out, json_t *live)
{
    static const char *const  numbers[] = { "viewers", "width", "height", "since_ms" };
    static const char *const  texts[] = { "video", "audio" };

    size_t       i;
    json_t      *value;
    const char  *state = json_string_value(json_object_get(live, "state"));

    json_object_set_new(out, "live", json_boolean(state && strcmp(state, "live") == 0));
    json_object_set_new(out, "state", json_string(state ? state : "offline"));

    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        value = json_object_get(live, numbers[i]);
        json_object_set_new(out, numbers[i], json_integer(json_integer_value(value)));
    }

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        value = json_object_get(live, texts[i]);
        json_object_set_new(out, texts[i], json_string(value ? json_string_value(value)
                                                             : "none"));
    }

    state = json_string_value(json_object_get(json_object_get(live, "recording"), "state"));
    json_object_set_new(out, "recording", json_string(state ? state : "off"));

    json_object_set_new(out, "kbps", json_integer((json_int_t) json_number_value(
                                                  json_object_get(live, "kbps_in"))));
}


/*
 * Adds the URL of the live stream, the folder of its history, and the live playlist that reaches
 * back into it, as far as the user has the rights.
 */
static void stream_set_urls(stream_list_t *list, json_t *out, const store_stream_t *stream,
                            unsigned rights)
{
    char  token[TOKEN_MAX];

    if ((rights & RIGHT_VIEW)
        && api_media_token(list->api, stream->app, stream->name, stream->not_before, "view",
                           token))
    {
        json_object_set_new(out, "play", json_sprintf("/m/%s/%s/%s.flv", token, stream->app,
                                                      stream->name));
    }

    if ((rights & RIGHT_REPLAY)
        && api_media_token(list->api, stream->app, stream->name, stream->not_before, "replay",
                           token))
    {
        json_object_set_new(out, "replay", json_sprintf("/m/%s/rec/%s/%s/", token, stream->app,
                                                        stream->name));
    }

    if ((rights & RIGHT_VIEW) && (rights & RIGHT_REPLAY)
        && api_media_token(list->api, stream->app, stream->name, stream->not_before, "watch",
                           token))
    {
        json_object_set_new(out, "watch", json_sprintf("/m/%s/%s/%s/index.m3u8?window=%d", token,
                                                       stream->app, stream->name,
                                                       TOKEN_WINDOW_S));
    }
}


static void stream_collect(const store_stream_t *stream, void *data)
{
    char            full[NAME_FULL_MAX + 1];
    json_t         *out;
    unsigned        rights;
    stream_list_t  *list = data;

    rights = api_rights(list->api, stream);
    if (rights == 0) {
        return;
    }

    out = json_pack("{sI ss ss ss ss ss ss so}", "id", (json_int_t) stream->id,
                    "app", stream->app, "name", stream->name, "title", stream->title,
                    "owner", stream->owner_name, "owner_display", stream->owner_display,
                    "visibility", stream->visibility,
                    "rights", rights_json(rights));

    /* a user who may only replay must not learn whether it is live */
    snprintf(full, sizeof(full), "%s/%s", stream->app, stream->name);
    stream_set_live(out, rights == RIGHT_REPLAY ? NULL : json_object_get(list->live, full));
    json_object_set_new(out, "last_seen", json_integer(rights == RIGHT_REPLAY
                                                       ? 0 : (json_int_t) stream->last_seen));
    stream_set_urls(list, out, stream, rights);

    if (rights & RIGHT_MANAGE) {
        json_object_set_new(out, "record", json_string(stream->record));
        json_object_set_new(out, "record_on", json_boolean(stream->record_on));
        if (record_asked(stream) && stream->owner_full) {
            json_object_set_new(out, "record_stopped", json_string("quota"));
        }
        json_object_set_new(out, "max_kbps", json_integer(stream->max_kbps));
        json_object_set_new(out, "max_viewers", json_integer(stream->max_viewers));
    }

    json_array_append_new(list->streams, out);
}


void api_streams(api_t *api)
{
    stream_list_t   list;
    store_result_t  result;

    list.api = api;
    list.streams = json_array();
    list.live = api_live_streams(api->service);

    result = store_stream_list(api->store, api->user.id, stream_collect, &list);
    json_decref(list.live);

    if (result != STORE_OK) {
        json_decref(list.streams);
        api_store_error(api, result, "streams");
        return;
    }

    api_reply(api, json_pack("{so}", "streams", list.streams));
}


/* Says which recordings of a deleted stream are in the way of a new one; false: none. */
static bool stream_left(api_t *api, const change_t *change)
{
    if (change->left_going) {
        api_error(api, 409, "recordings", "The recordings of a deleted stream of this name are "
                  "being deleted. Try again in a minute.");
        return true;
    }
    if (change->left.files) {
        api_error(api, 409, "recordings", "There are %llu recordings of a deleted stream of this "
                  "name. Choose another name, or give them to the new stream and its owner: "
                  "\"take_recordings\": true.", (unsigned long long) change->left.files);
        return true;
    }

    return false;
}


void api_stream_add(api_t *api)
{
    char              key[SECRET_SIZE], full[NAME_FULL_MAX + 1];
    change_t          change = api_change(api);
    const char       *app, *name, *title, *owner_name;
    store_user_t      owner;
    store_result_t    result;
    change_stream_t   stream;

    app = api_text(api, "app", "live");
    name = app ? api_text(api, "name", NULL) : NULL;
    title = name ? api_text(api, "title", "") : NULL;
    owner_name = title ? api_text(api, "owner", api->user.name) : NULL;
    if (owner_name == NULL) {
        return;
    }

    if (!name_app_valid(app)) {
        api_error(api, 400, "bad_app", "app is \"%.60s\"; expected " NAME_APP_RULE ".", app);
        return;
    }
    if (!name_stream_valid(name)) {
        api_error(api, 400, "bad_name", "name is \"%.150s\"; expected " NAME_STREAM_RULE ".",
                  name);
        return;
    }
    if (!name_title_valid(title)) {
        api_error(api, 400, "bad_title", "title is \"%.150s\"; expected " NAME_TITLE_RULE ".",
                  title);
        return;
    }

    result = store_user_by_name(api->store, owner_name, &owner);
    if (result != STORE_OK) {
        api_store_error(api, result, "user with the owner's name");
        return;
    }

    stream = (change_stream_t) {
        .app = app, .name = name, .title = title, .owner = owner.id,
        .take_recordings = json_is_true(json_object_get(api->body, "take_recordings"))
    };
    result = change_stream_add(&change, &stream, key);
    if (result == STORE_EXISTS && stream_left(api, &change)) {
        return;
    }
    if (result != STORE_OK) {
        api_store_error(api, result, "stream of this name");
        return;
    }

    snprintf(full, sizeof(full), "%s/%s", app, name);

    api_audit(api, "stream add", true, full, "");
    fastcgi_reply(api->request, 201, NULL, json_pack("{ss ss ss sI}", "app", app, "name", name,
                                                     "key", key, "id",
                                                     (json_int_t) change.device));
}


/* Reads an optional text of the body; out stays NULL when it is missing. */
static bool stream_word(api_t *api, const char *key, bool (*valid)(const char *),
                        const char *expected, const char **out)
{
    if (json_object_get(api->body, key) == NULL) {
        return true;
    }

    *out = api_text(api, key, NULL);
    if (*out == NULL) {
        return false;
    }
    if (!valid(*out)) {
        api_error(api, 400, "bad_request", "\"%s\" is \"%.40s\"; expected %s.", key, *out,
                  expected);
        return false;
    }

    return true;
}


/* Only an admin may change this limit, since it protects the server; a manager may repeat it. */
static bool stream_limit(api_t *api, const char *key, unsigned now, uint64_t *limit,
                         const uint64_t **given)
{
    if (!api_number(api, key, NAME_LIMIT_MAX, limit, given)) {
        return false;
    }

    if (*given && !api->user.admin) {
        if (*limit != now) {
            api_error(api, 403, "forbidden", "Only an admin may change the limits of a stream.");
            return false;
        }
        *given = NULL;
    }

    return true;
}


/* A manager may leave a stream open, but only its owner or an admin may open it. */
static bool stream_visibility(api_t *api, const store_stream_t *stream, const char **visibility)
{
    if (*visibility == NULL || !rights_is_open(*visibility) || api->user.admin
        || api->user.id == stream->owner)
    {
        return true;
    }
    if (!rights_is_open(stream->visibility)) {
        api_error(api, 403, "forbidden", "Only the owner or an admin may open a stream to "
                  "everybody.");
        return false;
    }

    *visibility = NULL;
    return true;
}


static json_t *stream_settings(const store_stream_t *stream)
{
    return json_pack("{ss ss ss ss ss sb sI sI}", "app", stream->app, "name", stream->name,
        "title", stream->title, "visibility", stream->visibility, "record", stream->record,
        "record_on", stream->record_on,
        "max_kbps", (json_int_t) stream->max_kbps,
        "max_viewers", (json_int_t) stream->max_viewers);
}


void api_stream_set(api_t *api)
{
    char              full[NAME_FULL_MAX + 1], error[CONTROL_ERROR_SIZE];
    bool              recorded;
    json_t           *body;
    change_t          change = api_change(api);
    uint64_t          kbps, viewers;
    store_stream_t    stream;
    store_result_t    result;
    store_settings_t  set = { 0 };

    if (!api_managed_stream(api, api->parts[0], api->parts[1], "stream set", &stream)) {
        return;
    }
    recorded = record_wanted(&stream);

    if (!stream_word(api, "title", name_title_valid, NAME_TITLE_RULE, &set.title)
        || !stream_word(api, "visibility", name_visibility_valid, NAME_VISIBILITY_RULE,
                        &set.visibility)
        || !stream_visibility(api, &stream, &set.visibility)
        || !stream_word(api, "record", name_record_valid, NAME_RECORD_RULE, &set.record)
        || !stream_limit(api, "max_kbps", stream.max_kbps, &kbps, &set.max_kbps)
        || !stream_limit(api, "max_viewers", stream.max_viewers, &viewers, &set.max_viewers))
    {
        return;
    }

    result = change_stream_update(&change, stream.id, &set);
    if (result == STORE_OK) {
        /* read again, with settings that another user has changed meanwhile */
        result = store_stream_get(api->store, api->parts[0], api->parts[1], api->user.id,
                                  &stream);
    }
    if (result != STORE_OK) {
        api_store_error(api, result, "stream");
        return;
    }

    snprintf(full, sizeof(full), "%s/%s", stream.app, stream.name);
    api_audit(api, "stream set", true, full, "");

    body = stream_settings(&stream);
    if (record_wanted(&stream) != recorded) {
        api_warn_untold(api, record_tell(change.control_socket, &stream, error), error, body);
    }
    api_reply_changed(api, &change, body);
}


void api_stream_key(api_t *api)
{
    char             key[SECRET_SIZE], full[NAME_FULL_MAX + 1];
    change_t         change = api_change(api);
    store_stream_t   stream;
    store_result_t   result;

    if (!api_managed_stream(api, api->parts[0], api->parts[1], "key rotate", &stream)) {
        return;
    }

    result = change_key_rotate(&change, stream.id, stream.owner, key);
    if (result != STORE_OK) {
        api_store_error(api, result, "key");
        return;
    }

    snprintf(full, sizeof(full), "%s/%s", stream.app, stream.name);
    api_audit(api, "key rotate", true, full, "");
    api_reply_changed(api, &change, json_pack("{ss ss ss sI}", "app", stream.app, "name",
                                              stream.name, "key", key, "id",
                                              (json_int_t) change.device));
}


void api_stream_revoke(api_t *api)
{
    char             full[NAME_FULL_MAX + 1];
    change_t         change = api_change(api);
    store_stream_t   stream;
    store_result_t   result;

    if (!api_managed_stream(api, api->parts[0], api->parts[1], "stream revoke", &stream)) {
        return;
    }

    result = change_stream_revoke(&change, stream.id);
    if (result != STORE_OK) {
        api_store_error(api, result, "stream");
        return;
    }

    snprintf(full, sizeof(full), "%s/%s", stream.app, stream.name);
    api_audit(api, "stream revoke", true, full, "");
    api_reply_changed(api, &change, json_object());
}
