/* The page's calls for open sessions, and nginx's question which events a page may follow. */

#include "api.h"
#include "../base/control.h"
#include "../base/log.h"
#include "../rights/links.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* nginx accepts headers of up to 64k: the service cuts a longer list and logs that */
#define EVENTS_IDS_MAX  60000

typedef struct {
    api_t   *api;
    char    *text;
    size_t   length;
    bool     cut;
} event_ids_t;


static void event_collect(const store_stream_t *stream, void *data)
{
    event_ids_t  *ids = data;

    if (!(api_rights(ids->api, stream) & (RIGHT_VIEW | RIGHT_PUBLISH | RIGHT_MANAGE))) {
        return;
    }
    if (ids->length > EVENTS_IDS_MAX) {
        ids->cut = true;
        return;
    }

    ids->length += (size_t) sprintf(ids->text + ids->length, "%s%" PRIu64,
                                    ids->length ? "," : "", stream->id);
}


/* nginx asks this before it lets a page follow events, and filters them by these headers. */
void api_events_access(api_t *api)
{
    char            *headers = malloc(EVENTS_IDS_MAX + 256);
    int              start;
    event_ids_t      ids = { .api = api };
    store_result_t   result = STORE_OK;

    if (headers == NULL) {
        api_error(api, 500, "internal", "Out of memory.");
        return;
    }

    start = sprintf(headers, "X-Duolu-User: %" PRIu64 "\r\nX-Duolu-Streams: ", api->user.id);
    ids.text = headers + start;

    if (api->user.admin) {
        strcpy(ids.text, "*");
        ids.length = 1;
    } else {
        ids.text[0] = '\0';
        result = store_stream_list(api->store, api->user.id, event_collect, &ids);
    }

    if (result != STORE_OK) {
        api_store_error(api, result, "streams");
    } else {
        if (ids.cut) {
            log_warning("events of user %s: cut the list of streams at %d bytes",
                        api->user.name, EVENTS_IDS_MAX);
        }
        strcpy(ids.text + ids.length, "\r\n");
        fastcgi_reply(api->request, 204, headers, NULL);
    }

    free(headers);
}


static void session_name_collect(const store_user_t *user, void *data)
{
    char  id[24];

    snprintf(id, sizeof(id), "%" PRIu64, user->id);
    json_object_set_new(data, id, json_pack("{ss ss}", "name", user->name, "display",
                                            user->display_name));
}


typedef struct {
    api_t   *api;
    json_t  *names;         /* of the streams that the user manages */
} managed_t;


static void session_stream_collect(const store_stream_t *stream, void *data)
{
    char        full[NAME_FULL_MAX + 1];
    managed_t  *managed = data;

    if (api_rights(managed->api, stream) & RIGHT_MANAGE) {
        snprintf(full, sizeof(full), "%s/%s", stream->app, stream->name);
        json_object_set_new(managed->names, full, json_true());
    }
}


static const char *session_text(json_t *session, const char *key)
{
    const char  *text = json_string_value(json_object_get(session, key));

    return text ? text : "";
}


/* Lists nginx's sessions that the user may see. On failure answers and returns false. */
static bool session_load(api_t *api, json_t **sessions)
{
    char            error[CONTROL_ERROR_SIZE], id[24];
    json_t         *root, *all, *each, *user, *users = json_object();
    size_t          i;
    managed_t       managed = { api, json_object() };
    store_result_t  result;

    *sessions = NULL;

    result = store_user_list(api->store, session_name_collect, users);
    if (result == STORE_OK) {
        result = store_stream_list(api->store, api->user.id, session_stream_collect, &managed);
    }
    root = result == STORE_OK ? control_sessions(api->service->config->control_socket, error)
                              : NULL;

    if (result != STORE_OK) {
        api_store_error(api, result, "sessions");
    } else if (root == NULL) {
        log_warning("%s", error);
        api_error(api, 503, "nginx_unavailable", "The media server does not answer.");
    } else {
        *sessions = json_array();
        all = json_object_get(root, "sessions");

        json_array_foreach(all, i, each) {
            if (!api->user.admin
                && !json_object_get(managed.names, session_text(each, "stream")))
            {
                continue;
            }
            snprintf(id, sizeof(id), "%lld",
                     (long long) json_integer_value(json_object_get(each, "uid")));
            user = json_object_get(users, id);
            json_object_set(each, "user", json_object_get(user, "name"));
            json_object_set(each, "user_display", json_object_get(user, "display"));
            if (json_integer_value(json_object_get(each, "uid")) == (json_int_t) TOKEN_VISITOR) {
                json_object_set_new(each, "user", json_string(TOKEN_VISITOR_NAME));
            }
            link_name_session(each, json_integer_value(json_object_get(each, "uid")));
            json_array_append(*sessions, each);
        }
    }

    json_decref(root);
    json_decref(users);
    json_decref(managed.names);
    return *sessions != NULL;
}


void api_sessions(api_t *api)
{
    json_t  *sessions;

    if (session_load(api, &sessions)) {
        api_reply(api, json_pack("{so}", "sessions", sessions));
    }
}


void api_session_kick(api_t *api)
{
    char               target[400], error[CONTROL_ERROR_SIZE];
    size_t             i;
    json_t            *sessions, *each;
    const char        *id = api->parts[0];
    control_result_t   result = CONTROL_NONE;

    if (!session_load(api, &sessions)) {
        return;
    }

    json_array_foreach(sessions, i, each) {
        if (strcmp(session_text(each, "id"), id) == 0) {
            snprintf(target, sizeof(target), "%s %s of %s on %s", session_text(each, "protocol"),
                     session_text(each, "kind"), session_text(each, "user"),
                     session_text(each, "stream"));
            result = control_kick(api->service->config->control_socket, id, error);
            break;
        }
    }

    json_decref(sessions);

    switch (result) {
    case CONTROL_OK:
        api_audit(api, "kick", true, target, "");
        api_reply(api, json_pack("{si}", "ended", 1));
        break;
    case CONTROL_NONE:
        api_error(api, 404, "not_found", "There is no session of this id.");
        break;
    default:
        log_warning("%s", error);
        api_error(api, 503, "nginx_unavailable", "The media server does not answer.");
    }
}
