/*
 * Routes of the page. The router checks method, origin, login and body before a
 * handler runs, so no handler can forget one of these.
 */

#include "api.h"
#include "../base/log.h"
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

typedef enum { API_ANYONE, API_USER, API_ADMIN } api_access_t;

typedef struct {
    const char  *method;
    const char  *path;          /* '*' stands for one part */
    api_access_t    access;
    void       (*run)(api_t *api);
} api_route_t;

static const api_route_t  api_routes[] = {
    { "POST",   "/api/login",           API_ANYONE, api_login },
    { "POST",   "/api/logout",          API_ANYONE, api_logout },
    { "GET",    "/api/me",              API_USER,   api_me },
    { "POST",   "/api/me",              API_USER,   api_me_set },
    { "POST",   "/api/me/password",     API_USER,   api_me_password },
    { "POST",   "/api/me/totp",         API_USER,   api_totp_begin },
    { "POST",   "/api/me/totp/confirm", API_USER,   api_totp_confirm },
    { "POST",   "/api/me/totp/off",     API_USER,   api_totp_off },
    { "POST",   "/api/me/logout-everywhere", API_USER, api_me_logout_everywhere },
    { "GET",    "/api/streams",         API_USER,   api_streams },
    { "POST",   "/api/streams",         API_ADMIN,  api_stream_add },
    { "POST",   "/api/streams/*/*", API_USER,       api_stream_set },
    { "DELETE", "/api/streams/*/*", API_USER,       api_stream_remove },
    { "GET",    "/api/streams/*/*/storage", API_USER, api_stream_storage },
    { "POST",   "/api/streams/*/*/key", API_USER,   api_stream_key },
    { "POST",   "/api/streams/*/*/revoke", API_USER, api_stream_revoke },
    { "POST",   "/api/streams/*/*/record", API_USER, api_stream_record },
    { "GET",    "/api/phones",          API_USER,   api_phones },
    { "POST",   "/api/phones",          API_USER,   api_phone_add },
    { "GET",    "/api/phones/*",        API_USER,   api_phone },
    { "POST",   "/api/phones/*/renew",  API_USER,   api_phone_renew },
    { "DELETE", "/api/phones/*",        API_USER,   api_phone_revoke },
    { "GET",    "/api/streams/*/*/links", API_USER, api_links },
    { "POST",   "/api/streams/*/*/links", API_USER, api_link_add },
    { "POST",   "/api/links/open",      API_ANYONE, api_link_open },
    { "DELETE", "/api/links/*",         API_USER,   api_link_revoke },
    { "GET",    "/api/recordings",      API_USER,   api_recordings },
    { "POST",   "/api/recordings/*",    API_USER,   api_recording_set },
    { "DELETE", "/api/recordings/*",    API_USER,   api_recording_remove },
    { "GET",    "/api/layouts",         API_USER,   api_layouts },
    { "PUT",    "/api/layouts/*",       API_USER,   api_layout_put },
    { "DELETE", "/api/layouts/*",       API_USER,   api_layout_remove },
    { "GET",    "/api/users",           API_ADMIN,  api_users },
    { "POST",   "/api/users",           API_ADMIN,  api_user_add },
    { "GET",    "/api/users/*",         API_ADMIN,  api_person },
    { "POST",   "/api/users/*",         API_ADMIN,  api_user_set },
    { "DELETE", "/api/users/*",         API_ADMIN,  api_user_remove },
    { "POST",   "/api/users/*/revoke",  API_ADMIN,  api_user_revoke },
    { "POST",   "/api/users/*/disable", API_ADMIN,  api_user_disable },
    { "POST",   "/api/users/*/enable",  API_ADMIN,  api_user_enable },
    { "POST",   "/api/users/*/totp-off", API_ADMIN, api_user_totp_off },
    { "POST",   "/api/users/*/invite",  API_ADMIN,  api_user_invite },
    { "POST",   "/api/invites/open",    API_ANYONE, api_invite_open },
    { "POST",   "/api/invites/use",     API_ANYONE, api_invite_use },
    { "GET",    "/api/groups",          API_ADMIN,  api_groups },
    { "POST",   "/api/groups",          API_ADMIN,  api_group_add },
    { "DELETE", "/api/groups/*",        API_ADMIN,  api_group_remove },
    { "POST",   "/api/groups/*/members/*", API_ADMIN, api_group_join },
    { "DELETE", "/api/groups/*/members/*", API_ADMIN, api_group_leave },
    { "GET",    "/api/grants",          API_USER,   api_grants },
    { "POST",   "/api/grants",          API_USER,   api_grant_add },
    { "DELETE", "/api/grants",          API_USER,   api_grant_remove },
    { "GET",    "/api/audit",           API_ADMIN,  api_audit_list },
    { "GET",    "/api/webhooks",        API_ADMIN,  api_webhooks },
    { "POST",   "/api/webhooks",        API_ADMIN,  api_webhook_add },
    { "POST",   "/api/webhooks/*",      API_ADMIN,  api_webhook_set },
    { "DELETE", "/api/webhooks/*",      API_ADMIN,  api_webhook_remove },
    { "POST",   "/api/webhooks/*/secret", API_ADMIN, api_webhook_secret },
    { "POST",   "/api/webhooks/*/test", API_ADMIN,  api_webhook_test },
    { "GET",    "/api/webhooks/*/dead", API_ADMIN,  api_webhook_dead },
    { "POST",   "/api/webhooks/*/dead", API_ADMIN,  api_webhook_retry },
    { "DELETE", "/api/webhooks/*/dead", API_ADMIN,  api_webhook_forget },
    { "GET",    "/api/open/*/*",        API_ANYONE, api_open },
    { "GET",    "/api/settings",        API_ADMIN,  api_settings },
    { "POST",   "/api/settings",        API_ADMIN,  api_settings_set },
    { "GET",    "/api/storage",         API_ADMIN,  api_storage },
    { "POST",   "/api/storage/plan",    API_ADMIN,  api_storage_plan },
    { "POST",   "/api/storage/delete",  API_ADMIN,  api_storage_delete },
    { "GET",    "/api/sessions",        API_USER,   api_sessions },
    { "POST",   "/api/sessions/*/kick", API_USER,   api_session_kick },
    { "GET",    "/api/events-access",   API_USER,   api_events_access },
};

#define API_ROUTES    (sizeof(api_routes) / sizeof(api_routes[0]))
#define API_PATH_MAX  1024


/* Matches the path against the route, cuts it in place and sets parts to point into it. */
static bool api_match_route(const char *route, char *path, const char **parts)
{
    char    *end;
    size_t   count = 0;

    while (*route) {

        if (*route != '*') {
            if (*route++ != *path++) {
                return false;
            }
            continue;
        }

        end = path + strcspn(path, "/");
        if (end == path || count == API_PARTS_MAX) {
            return false;
        }
        parts[count++] = path;
        route++;

        if (*end == '\0') {
            path = end;
            continue;
        }
        if (*route != '/') {
            return false;
        }
        *end = '\0';
        route++;
        path = end + 1;
    }

    return *path == '\0';
}


static const api_route_t *api_find_route(api_t *api, const char *method, char *path,
                                         bool *other_method)
{
    size_t  i;
    char    copy[API_PATH_MAX];

    *other_method = false;

    for (i = 0; i < API_ROUTES; i++) {
        /* matching cuts the path, so give each try a fresh copy */
        strcpy(copy, path);
        if (!api_match_route(api_routes[i].path, copy, api->parts)) {
            continue;
        }
        if (strcmp(api_routes[i].method, method) != 0) {
            *other_method = true;
            continue;
        }

        api_match_route(api_routes[i].path, path, api->parts);
        return &api_routes[i];
    }

    return NULL;
}


/*
 * A page of another site can make a browser send the cookie, but not our Origin, nor
 * this header: the browser would ask us first (CORS preflight).
 */
static bool api_same_origin(const FCGX_Request *request)
{
    const char  *host = fastcgi_param(request, "HTTP_HOST");
    const char  *origin = fastcgi_param(request, "HTTP_ORIGIN");

    if (strcmp(fastcgi_param(request, "HTTP_X_DUOLU"), "1") != 0 || *host == '\0') {
        return false;
    }

    if (strncmp(origin, "https://", 8) == 0) {
        return strcasecmp(origin + 8, host) == 0;
    }
    if (strncmp(origin, "http://", 7) == 0) {
        return strcasecmp(origin + 7, host) == 0;
    }
    return false;
}


static bool api_read_body(api_t *api)
{
    char           *text;
    size_t          length;
    json_error_t    parse_error;
    body_result_t   result = fastcgi_body(api->request, &text, &length);

    if (result == BODY_TOO_LARGE) {
        api_error(api, 413, "too_large", "The body is larger than %d bytes.",
                  FASTCGI_BODY_MAX);
        return false;
    }
    if (result == BODY_BROKEN) {
        api_error(api, 400, "bad_request", "The body ended before its Content-Length.");
        return false;
    }

    if (length == 0) {
        api->body = json_object();
    } else {
        api->body = json_loadb(text, length, JSON_REJECT_DUPLICATES, &parse_error);
    }
    free(text);

    if (!json_is_object(api->body)) {
        api_error(api, 400, "bad_request", "The body is not a JSON object%s%s.",
                  api->body ? "" : ": ", api->body ? "" : parse_error.text);
        return false;
    }

    return true;
}


static bool api_admit(api_t *api, const api_route_t *route)
{
    store_result_t  result;

    if (strcmp(route->method, "GET") != 0) {
        if (!api_same_origin(api->request)) {
            api_audit(api, "csrf", false, route->path, "other origin or no X-Duolu header");
            api_error(api, 403, "csrf", "Expected an Origin that is this host and the header "
                      "X-Duolu: 1.");
            return false;
        }
    }

    if (route->access != API_ANYONE) {
        result = session_user(api->request, api->store, &api->user);
        if (result == STORE_NONE) {
            api_error(api, 401, "login_required", "Log in first.");
            return false;
        }
        if (result != STORE_OK) {
            api_store_error(api, result, "session");
            return false;
        }
    }

    if (route->access == API_ADMIN && !api->user.admin) {
        api_audit(api, "admin only", false, route->path, "not an admin");
        api_error(api, 403, "forbidden", "Only an admin may do this.");
        return false;
    }

    return strcmp(route->method, "GET") == 0 || api_read_body(api);
}


void api_handle(FCGX_Request *request, void *store, void *service)
{
    char                path[API_PATH_MAX];
    bool                other_method;
    api_t               api;
    const char         *script = fastcgi_param(request, "SCRIPT_NAME");
    const api_route_t  *route;

    memset(&api, 0, sizeof(api));
    api.request = request;
    api.store = store;
    api.service = service;
    api.began = (int64_t) time(NULL);
    api.address = fastcgi_param(request, "REMOTE_ADDR");

    if (strlen(script) >= sizeof(path)) {
        api_error(&api, 404, "not_found", "There is nothing at this address.");
        return;
    }
    strcpy(path, script);

    route = api_find_route(&api, fastcgi_param(request, "REQUEST_METHOD"), path, &other_method);

    if (route == NULL) {
        if (other_method) {
            api_error(&api, 405, "bad_method", "This address does not take %.20s.",
                      fastcgi_param(request, "REQUEST_METHOD"));
        } else {
            api_error(&api, 404, "not_found", "There is nothing at this address.");
        }
        return;
    }

    if (api_admit(&api, route)) {
        route->run(&api);
    }

    json_decref(api.body);
}
