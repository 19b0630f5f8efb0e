/*
 * Routes of the page. Before a handler runs, its route has been checked for
 * method, origin, login and body: no handler can forget one of these.
 */

#include "api.h"
#include "../base/clock.h"
#include "../base/log.h"
#include "session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

typedef enum { API_ANYONE, API_USER, API_ADMIN } api_who_t;

typedef struct {
    const char  *method;
    const char  *path;          /* '*' stands for one part */
    api_who_t    who;
    void       (*run)(api_t *api);
} api_route_t;

static const api_route_t  api_routes[] = {
    { "POST",   "/api/login",           API_ANYONE, api_login },
    { "POST",   "/api/logout",          API_ANYONE, api_logout },
    { "GET",    "/api/me",              API_USER,   api_me },
    { "GET",    "/api/streams",         API_USER,   api_streams },
    { "POST",   "/api/streams",         API_ADMIN,  api_stream_add },
    { "POST",   "/api/streams/*/*", API_USER,       api_stream_set },
    { "POST",   "/api/streams/*/*/key", API_USER,   api_stream_key },
    { "POST",   "/api/streams/*/*/revoke", API_USER, api_stream_revoke },
    { "POST",   "/api/streams/*/*/record", API_USER, api_stream_record },
    { "GET",    "/api/recordings",      API_USER,   api_recordings },
    { "POST",   "/api/recordings/*",    API_USER,   api_recording_set },
    { "DELETE", "/api/recordings/*",    API_USER,   api_recording_remove },
    { "GET",    "/api/users",           API_ADMIN,  api_users },
    { "POST",   "/api/users",           API_ADMIN,  api_user_add },
    { "POST",   "/api/users/*",         API_ADMIN,  api_user_set },
    { "POST",   "/api/users/*/revoke",  API_ADMIN,  api_user_revoke },
    { "POST",   "/api/users/*/disable", API_ADMIN,  api_user_disable },
    { "POST",   "/api/users/*/enable",  API_ADMIN,  api_user_enable },
    { "GET",    "/api/grants",          API_USER,   api_grants },
    { "POST",   "/api/grants",          API_USER,   api_grant_add },
    { "DELETE", "/api/grants",          API_USER,   api_grant_remove },
    { "GET",    "/api/sessions",        API_USER,   api_sessions },
    { "POST",   "/api/sessions/*/kick", API_USER,   api_session_kick },
    { "GET",    "/api/events-access",   API_USER,   api_events_access },
};

#define API_ROUTES    (sizeof(api_routes) / sizeof(api_routes[0]))
#define API_PATH_MAX  1024
#define MEDIA_TOKEN_S  (12 * 3600)


void api_reply(api_t *api, json_t *body)
{
    fastcgi_reply(api->request, 200, NULL, body);
}


void api_error(api_t *api, int status, const char *code, const char *format, ...)
{
    char     message[512];
    json_t  *text;
    va_list  args;

    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);

    text = json_string(message);
    if (text == NULL) {
        text = json_string("The request holds text that is not UTF-8.");
    }

    fastcgi_reply(api->request, status, NULL, json_pack("{ss so}", "error", code, "message",
                                                        text));
}


void api_wait(api_t *api, const char *code, int64_t wait_ms, const char *message)
{
    char       header[64];
    long long  seconds = (wait_ms + 999) / 1000;

    snprintf(header, sizeof(header), "Retry-After: %lld\r\n", seconds);
    fastcgi_reply(api->request, 429, header, json_pack("{ss ss sI}", "error", code, "message",
                  message, "retry_after", (json_int_t) seconds));
}


void api_store_error(api_t *api, store_result_t result, const char *what)
{
    switch (result) {
    case STORE_NONE:
        api_error(api, 404, "not_found", "There is no %s.", what);
        break;
    case STORE_EXISTS:
        api_error(api, 409, "exists", "There is a %s already.", what);
        break;
    case STORE_REFUSED:
        api_error(api, 403, "forbidden", "You may not do this, or no longer.");
        break;
    case STORE_DOWN:
        if (refusals_note(api->service->refusals, api->address, "database", "unavailable",
                          clock_ms()))
        {
            log_error("database: %s", store_error(api->store));
        }
        api_error(api, 503, "database_unavailable", "The database can't be reached. Try again "
                  "in a moment.");
        break;
    default:
        log_error("database: %s", store_error(api->store));
        api_error(api, 500, "internal", "The database refused: see the log of duolu-auth.");
    }
}


void api_audit(api_t *api, const char *action, bool ok, const char *target, const char *reason)
{
    char           actor[80], name[400], address[80];
    store_audit_t  row = { api->user.name, action, ok, target, api->address, reason };

    if (!ok && !refusals_note(api->service->refusals, api->address, action, reason, clock_ms())) {
        return;
    }

    if (store_audit_add(api->store, &row) != STORE_OK) {
        log_error("audit: %s", store_error(api->store));
    }

    log_info("api %s %s address=%s user=%s target=\"%s\" reason=\"%s\"", action,
             ok ? "ok" : "denied", log_quote(address, sizeof(address), api->address),
             log_quote(actor, sizeof(actor), api->user.name),
             log_quote(name, sizeof(name), target), reason);
}


const char *api_text(api_t *api, const char *key, const char *otherwise)
{
    json_t  *value = json_object_get(api->body, key);

    if (json_is_string(value)) {
        return json_string_value(value);
    }
    if (value == NULL && otherwise) {
        return otherwise;
    }

    api_error(api, 400, "bad_request", "\"%s\" is %s; expected a text.", key,
              value ? "no text" : "missing");
    return NULL;
}


bool api_number(api_t *api, const char *key, unsigned most, uint64_t *number,
                const uint64_t **given)
{
    json_t      *value = json_object_get(api->body, key);
    json_int_t   integer = json_integer_value(value);

    if (value == NULL) {
        return true;
    }
    if (!json_is_integer(value) || integer < 0 || integer > (json_int_t) most) {
        api_error(api, 400, "bad_request", "\"%s\" is no number from 0 to %u.", key, most);
        return false;
    }

    *number = (uint64_t) integer;
    *given = number;
    return true;
}


change_t api_change(const api_t *api)
{
    return (change_t) { .store = api->store, .actor = api->user.id,
                        .control_socket = api->service->config->control_socket };
}


void api_reply_changed(api_t *api, const change_t *change, json_t *body)
{
    json_object_set_new(body, "ended", json_integer((json_int_t) change->report.ended));

    if (change->report.waiting) {
        log_warning("nginx is not told yet: %s", change->report.error);
        json_object_set_new(body, "warning", json_string("The media server does not answer yet: "
            "open connections stay until it does. It is told then."));
    }

    api_reply(api, body);
}


void api_warn_untold(api_t *api, control_result_t told, const char *error, json_t *body)
{
    if (told != CONTROL_OK && told != CONTROL_NONE) {
        log_warning("user %s: nginx is not told what to record: %s", api->user.name, error);
        json_object_set_new(body, "warning", json_string("The media server does not answer yet. "
            "It is told when it does."));
    }
}


bool api_media_token(const api_t *api, const char *app, const char *name, int64_t not_before,
                     const char *action, char token[TOKEN_MAX])
{
    token_claims_t  claims;

    /*
     * As of the request's begin: the right was read after it. A right that went
     * since, while this took long, voids what was made by now.
     */
    memset(&claims, 0, sizeof(claims));
    claims.user = api->user.id;
    claims.issued = token_issue(api->began, not_before);
    claims.expires = api->began + MEDIA_TOKEN_S;
    snprintf(claims.stream, sizeof(claims.stream), "%s/%s", app, name);
    snprintf(claims.action, sizeof(claims.action), "%s", action);

    return token_sign(api->service->keys, &claims, token);
}


bool api_managed_stream(api_t *api, const char *app, const char *name, const char *action,
                        store_stream_t *stream)
{
    char            full[NAME_FULL_MAX + 1];
    unsigned        rights;
    store_result_t  result = STORE_NONE;

    if (name_app_valid(app) && name_stream_known(name)) {
        result = store_stream_get(api->store, app, name, api->user.id, stream);
    }

    rights = result == STORE_OK ? api_rights(api, stream) : 0;

    if (result == STORE_OK && rights == 0) {
        /* without a right on it, a user does not even learn that it exists */
        result = STORE_NONE;
    }
    if (result != STORE_OK) {
        api_store_error(api, result, "stream of this name");
        return false;
    }

    if (!(rights & RIGHT_MANAGE)) {
        snprintf(full, sizeof(full), "%s/%s", app, name);
        api_audit(api, action, false, full, "no right to manage");
        api_error(api, 403, "forbidden", "You may not manage this stream.");
        return false;
    }

    return true;
}


unsigned api_rights(const api_t *api, const store_stream_t *stream)
{
    return rights_on_stream(&api->user, stream);
}


/* Fits the path to the route; the parts stay in path, decoded. */
static bool api_match(const char *route, char *path, const char **parts)
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


static const api_route_t *api_find(api_t *api, const char *method, char *path,
                                   bool *other_method)
{
    size_t  i;
    char    copy[API_PATH_MAX];

    *other_method = false;

    for (i = 0; i < API_ROUTES; i++) {
        /* matching cuts the path at its parts, so each try has a fresh one */
        strcpy(copy, path);
        if (!api_match(api_routes[i].path, copy, api->parts)) {
            continue;
        }
        if (strcmp(api_routes[i].method, method) != 0) {
            *other_method = true;
            continue;
        }

        api_match(api_routes[i].path, path, api->parts);
        return &api_routes[i];
    }

    return NULL;
}


/*
 * A page of another site can make a browser send the cookie, but neither an
 * Origin of ours nor, without asking first, this header.
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
    json_error_t    problem;
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
        api->body = json_loadb(text, length, JSON_REJECT_DUPLICATES, &problem);
    }
    free(text);

    if (!json_is_object(api->body)) {
        api_error(api, 400, "bad_request", "The body is no JSON object%s%s.",
                  api->body ? "" : ": ", api->body ? "" : problem.text);
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

    if (route->who != API_ANYONE) {
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

    if (route->who == API_ADMIN && !api->user.admin) {
        api_audit(api, "admin only", false, route->path, "no admin");
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

    route = api_find(&api, fastcgi_param(request, "REQUEST_METHOD"), path, &other_method);

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
