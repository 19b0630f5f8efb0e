/* Answers, audit rows and arguments: all calls of the page share these functions. */

#include "api.h"
#include "../base/clock.h"
#include "../base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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


void api_store_error(api_t *api, store_result_t result, const char *subject)
{
    switch (result) {
    case STORE_NONE:
        api_error(api, 404, "not_found", "There is no %s.", subject);
        break;
    case STORE_EXISTS:
        api_error(api, 409, "exists", "There is a %s already.", subject);
        break;
    case STORE_REFUSED:
        api_error(api, 403, "forbidden", "You have no right to do this, or no longer.");
        break;
    case STORE_FULL:
        api_error(api, 409, "full", "There are as many phones as one user may add. Revoke or "
                  "delete some that are no longer used, or ask an admin.");
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


bool api_audit(api_t *api, const char *action, bool ok, const char *target, const char *reason)
{
    char           actor[80], name[400], address[80];
    store_audit_t  row = { api->user.name, action, ok, target, api->address, reason };

    if (!ok && !refusals_note(api->service->refusals, api->address, action, reason, clock_ms())) {
        return false;
    }

    if (store_audit_add(api->store, &row) != STORE_OK) {
        log_error("audit: %s", store_error(api->store));
    }

    log_info("api %s %s address=%s user=%s target=\"%s\" reason=\"%s\"", action,
             ok ? "ok" : "denied", log_quote(address, sizeof(address), api->address),
             log_quote(actor, sizeof(actor), api->user.name),
             log_quote(name, sizeof(name), target), reason);
    return true;
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
              value ? "not a text" : "missing");
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
        api_error(api, 400, "bad_request", "\"%s\" is not a number from 0 to %u.", key, most);
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


json_t *api_changed(const api_t *api, const change_t *change, json_t *body)
{
    json_object_set_new(body, "ended", json_integer((json_int_t) change->report.ended));

    if (change->report.waiting) {
        log_warning("user %s: nginx does not know yet: %s", api->user.name,
                    change->report.error);
        json_object_set_new(body, "warning", json_string("The media server does not answer. "
            "Open connections stay until it does and learns of this change."));
    }

    return body;
}


void api_reply_changed(api_t *api, const change_t *change, json_t *body)
{
    api_reply(api, api_changed(api, change, body));
}


void api_warn_untold(api_t *api, control_result_t result, const char *error, json_t *body)
{
    if (result != CONTROL_OK && result != CONTROL_NONE) {
        log_warning("user %s: nginx does not know yet what to record: %s", api->user.name, error);
        json_object_set_new(body, "warning", json_string("The media server does not answer. "
            "It learns of this change when it does."));
    }
}


bool api_media_token(const api_t *api, const char *app, const char *name, int64_t not_before,
                     const char *action, char token[TOKEN_MAX])
{
    token_claims_t  claims;

    /*
     * Issue the token for the time when the request began, before the right was read: if
     * the right was revoked meanwhile, the revocation voids this token too.
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
        /* a user without any right must not learn that the stream exists */
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


bool api_named_user(api_t *api, store_user_t *user)
{
    const char      *name = api->parts[0];
    store_result_t   result = STORE_NONE;

    if (name_user_valid(name)) {
        result = store_user_by_name(api->store, name, user);
    }
    if (result != STORE_OK) {
        api_store_error(api, result, "user of this name");
        return false;
    }

    return true;
}


json_t *api_user_json(const store_user_t *user)
{
    return json_pack("{ss ss sb sb sb sb sI sI}", "name", user->name, "display_name",
                     user->display_name, "admin", user->admin, "totp", user->totp_on,
                     "disabled", user->disabled, "invited", user->password_hash[0] == '\0',
                     "max_publishers", (json_int_t) user->max_publishers,
                     "rec_quota", (json_int_t) user->rec_quota);
}
