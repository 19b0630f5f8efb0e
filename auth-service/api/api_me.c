/* The user's own account. */

#include "api.h"
#include "known.h"
#include "session.h"

#include <string.h>


void api_me(api_t *api)
{
    const config_t  *config = api->service->config;

    /* the ports to publish to; without a host the page uses its own */
    api_reply(api, json_pack("{ss ss sb sb s{ss* si si}}", "name", api->user.name,
                             "display_name", api->user.display_name, "admin", api->user.admin,
                             "totp", api->user.totp_on, "publish",
                             "host", config->host_named ? config->host : NULL,
                             "rtmp", (int) config->rtmp_port, "rtmps", (int) config->rtmps_port));
}


void api_me_set(api_t *api)
{
    change_t         change = api_change(api);
    store_limits_t   set = { 0 };
    store_result_t   result;

    if (!api_display_name(api, &set.display_name)) {
        return;
    }

    result = change_own_name(&change, set.display_name ? set.display_name
                                                       : api->user.display_name);
    if (result == STORE_OK) {
        result = store_user_by_id(api->store, api->user.id, &api->user);
    }
    if (result != STORE_OK) {
        api_store_error(api, result, "user");
        return;
    }

    api_audit(api, "account", true, api->user.name, "display name");
    api_me(api);
}


void api_me_password(api_t *api)
{
    char             hash[PASSWORD_HASH_SIZE], known[KNOWN_HEADER_MAX];
    json_t          *answer;
    change_t         change = api_change(api);
    const char      *old, *new;
    unsigned char    login[KEY_HASH_BYTES];
    store_result_t   result;

    old = api_text(api, "old", NULL);
    new = old ? api_text(api, "new", NULL) : NULL;
    if (new == NULL || !api_confirm(api, "password", old, false)
        || !api_hash_password(api, new, api->user.id, hash))
    {
        return;
    }

    /* the route has found the user by this cookie */
    session_fingerprint(api->request, login);
    result = change_own_password(&change, &api->user, hash, login);
    if (result == STORE_NONE) {
        api_error(api, 409, "changed", "This account was changed meanwhile. Try again.");
        return;
    }
    if (result == STORE_OK) {
        result = store_user_by_id(api->store, api->user.id, &api->user);
    }
    if (result != STORE_OK) {
        api_store_error(api, result, "user");
        return;
    }

    api_audit(api, "password", true, api->user.name, "");
    answer = api_changed(api, &change, json_object());
    known_header(api->service->keys, &api->user, api->began, "", known);
    fastcgi_reply(api->request, 200, known, answer);
}


void api_me_logout_everywhere(api_t *api)
{
    char             header[SESSION_HEADER_MAX];
    change_t         change = api_change(api);
    store_result_t   result = change_own_logout(&change);

    if (result == STORE_OK) {
        result = session_end(api->request, api->store, header);
    }
    if (result != STORE_OK) {
        api_store_error(api, result, "user");
        return;
    }

    api_audit(api, "logout everywhere", true, api->user.name, "");
    fastcgi_reply(api->request, 200, header, api_changed(api, &change, json_object()));
}
