#include "api.h"
#include "control.h"
#include "log.h"
#include "publish_key.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define LIVE_AGE_MS     500
#define MEDIA_TOKEN_S   (12 * 3600)

typedef struct {
    api_t   *api;
    json_t  *streams;
    json_t  *live;          /* "live/demo" -> what nginx says of it */
    int64_t  now;
} stream_list_t;


static int64_t live_clock(void)
{
    struct timespec  now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}


/* nginx's streams by name, a reference of the caller's; asked at most twice a second. */
static json_t *live_streams(service_t *service)
{
    char         error[512];
    json_t      *root, *each, *map;
    size_t       i;
    const char  *name;

    pthread_mutex_lock(&service->live_lock);

    if (service->live == NULL || live_clock() - service->live_at >= LIVE_AGE_MS) {

        root = control_status(service->config->control_socket, error, sizeof(error));
        map = json_object();

        json_array_foreach(json_object_get(root, "streams"), i, each) {
            name = json_string_value(json_object_get(each, "name"));
            if (name) {
                json_object_set(map, name, each);
            }
        }

        if (root == NULL && !service->live_told) {
            log_warning("%s: all streams are shown offline", error);
        }
        service->live_told = root == NULL;

        json_decref(root);
        json_decref(service->live);
        service->live = map;
        service->live_at = live_clock();
    }

    /* from here on it is only read, and jansson counts references atomically */
    map = json_incref(service->live);

    pthread_mutex_unlock(&service->live_lock);
    return map;
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

    json_object_set_new(out, "kbps", json_integer((json_int_t) json_number_value(
                                                  json_object_get(live, "kbps_in"))));
}


static void stream_set_play(stream_list_t *list, json_t *out, const store_stream_t *stream)
{
    char            token[TOKEN_MAX];
    json_t         *url;
    token_claims_t  claims;

    memset(&claims, 0, sizeof(claims));
    claims.user = list->api->user.id;
    claims.issued = list->now;
    claims.expires = list->now + MEDIA_TOKEN_S;
    snprintf(claims.stream, sizeof(claims.stream), "%s/%s", stream->app, stream->name);
    strcpy(claims.action, "view");

    if (token_sign(&list->api->service->keys, &claims, token)) {
        url = json_sprintf("/m/%s/%s/%s.flv", token, stream->app, stream->name);
        json_object_set_new(out, "play", url);
    }
}


static void stream_collect(const store_stream_t *stream, void *data)
{
    char            full[NAME_FULL_MAX + 1];
    json_t         *out;
    unsigned        rights;
    stream_list_t  *list = data;

    rights = api_rights(list->api, stream);
    if (!(rights & (RIGHT_VIEW | RIGHT_PUBLISH | RIGHT_MANAGE))) {
        return;
    }

    out = json_pack("{ss ss ss ss ss so}", "app", stream->app, "name", stream->name, "title",
                    stream->title, "owner", stream->owner_name, "visibility",
                    stream->visibility, "rights", rights_json(rights));

    snprintf(full, sizeof(full), "%s/%s", stream->app, stream->name);
    stream_set_live(out, json_object_get(list->live, full));

    if (rights & RIGHT_VIEW) {
        stream_set_play(list, out, stream);
    }

    json_array_append_new(list->streams, out);
}


void api_streams(api_t *api)
{
    stream_list_t   list;
    store_result_t  result;

    list.api = api;
    list.streams = json_array();
    list.live = live_streams(api->service);
    list.now = (int64_t) time(NULL);

    result = store_stream_list(api->store, api->user.id, stream_collect, &list);
    json_decref(list.live);

    if (result != STORE_OK) {
        json_decref(list.streams);
        api_store_error(api, result, "streams");
        return;
    }

    api_reply(api, json_pack("{so}", "streams", list.streams));
}


void api_stream_add(api_t *api)
{
    char             key[SECRET_SIZE], full[NAME_FULL_MAX + 1];
    const char      *app, *name, *title, *owner_name;
    store_user_t     owner;
    store_result_t   result;

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
        api_error(api, 400, "bad_title", "title is longer than %d characters.",
                  NAME_TITLE_MAX);
        return;
    }

    result = store_user_by_name(api->store, owner_name, &owner);
    if (result != STORE_OK) {
        api_store_error(api, result, "user with the owner's name");
        return;
    }

    result = publish_stream_add(api->store, app, name, owner.id, title, key);
    if (result != STORE_OK) {
        api_store_error(api, result, "stream of this name");
        return;
    }

    snprintf(full, sizeof(full), "%s/%s", app, name);

    api_audit(api, "stream add", true, full, "");
    fastcgi_reply(api->request, 201, NULL, json_pack("{ss ss ss}", "app", app, "name", name,
                                                     "key", key));
}


void api_stream_key(api_t *api)
{
    char             key[SECRET_SIZE], full[NAME_FULL_MAX + 1];
    const char      *app = api->parts[0], *name = api->parts[1];
    store_stream_t   stream;
    store_result_t   result = STORE_NONE;

    if (name_app_valid(app) && name_stream_valid(name)) {
        result = store_stream_get(api->store, app, name, api->user.id, &stream);
    }
    if (result == STORE_OK && !(api_rights(api, &stream)
                                & (RIGHT_VIEW | RIGHT_PUBLISH | RIGHT_MANAGE)))
    {
        /* who has no right on it learns not even that it exists */
        result = STORE_NONE;
    }
    if (result != STORE_OK) {
        api_store_error(api, result, "stream of this name");
        return;
    }

    snprintf(full, sizeof(full), "%s/%s", app, name);

    if (!(api_rights(api, &stream) & RIGHT_MANAGE)) {
        api_audit(api, "key rotate", false, full, "no right to manage");
        api_error(api, 403, "forbidden", "You may not manage this stream.");
        return;
    }

    result = publish_key_rotate(api->store, stream.id, stream.owner, key);
    if (result != STORE_OK) {
        api_store_error(api, result, "key");
        return;
    }

    api_audit(api, "key rotate", true, full, "");
    api_reply(api, json_pack("{ss ss ss}", "app", app, "name", name, "key", key));
}
