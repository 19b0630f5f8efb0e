/*
 * Managers of a stream change its grants; only admins change grants of a whole app.
 */

#include "api.h"
#include "../limits/backoff.h"
#include "../base/clock.h"

#include <stdio.h>
#include <string.h>


static void grant_collect(const store_grant_t *grant, void *data)
{
    json_array_append_new(data, json_pack("{ss ss* ss ss* so ss*}",
        grant->is_group ? "group" : "user", grant->grantee, "user_display",
        grant->display[0] ? grant->display : NULL, "app", grant->app,
        "name", grant->stream[0] ? grant->stream : NULL, "rights", rights_json(grant->rights),
        "by", grant->makers[0] ? grant->makers : NULL));
}


void api_grants(api_t *api)
{
    char             app[NAME_APP_MAX + 1] = "", name[NAME_STREAM_MAX + 1] = "";
    json_t          *grants;
    const char      *query = fastcgi_param(api->request, "QUERY_STRING");
    store_stream_t   stream;
    store_result_t   result;

    if (query_value(query, "app", app, sizeof(app)) == QUERY_BAD
        || query_value(query, "name", name, sizeof(name)) == QUERY_BAD)
    {
        api_error(api, 400, "bad_request", "app or name is too long or not decodable.");
        return;
    }

    if (name[0]) {
        if (!api_managed_stream(api, app, name, "grants", &stream)) {
            return;
        }
    } else if (!api->user.admin) {
        api_error(api, 403, "forbidden", "Only an admin may list all grants; expected "
                  "?app=APP&name=NAME.");
        return;
    }

    grants = json_array();
    result = store_grant_list(api->store, app, name, grant_collect, grants);
    if (result != STORE_OK) {
        json_decref(grants);
        api_store_error(api, result, "grants");
        return;
    }

    api_reply(api, json_pack("{so}", "grants", grants));
}


static unsigned grant_rights(json_t *list)
{
    size_t       i;
    json_t      *each;
    unsigned     rights = 0, right;
    const char  *word;

    json_array_foreach(list, i, each) {
        word = json_string_value(each);
        right = word ? rights_parse(word) : 0;
        if (right == 0) {
            return 0;
        }
        rights |= right;
    }

    return rights;
}


/*
 * Finds the user or group that a grant is for. Managers must not find out names by
 * guessing: the service counts and audits each unknown name, and after a few makes the
 * manager wait. Removing a grant gives the same answer for an unknown name as for no grant.
 */
static bool grant_find_grantee(api_t *api, const char *action, const char *grantee, bool is_group,
                               const char *target, store_grant_key_t *key)
{
    char            guesser[24];
    bool            adds = strcmp(action, "grant") == 0;
    int64_t         wait = 0;
    store_user_t    user;
    store_result_t  result;

    snprintf(guesser, sizeof(guesser), "%llu", (unsigned long long) api->user.id);
    if (!api->user.admin) {
        wait = backoff_attempt(&api->service->by_name, guesser, clock_ms());
    }
    if (wait > 0) {
        api_wait(api, "backoff", wait, "Too many unknown names. Wait before the next try.");
        return false;
    }

    if (is_group) {
        result = store_group_id(api->store, grantee, &key->group);
    } else {
        result = store_user_by_name(api->store, grantee, &user);
        key->user = result == STORE_OK ? user.id : 0;
    }

    if (result != STORE_NONE && !api->user.admin) {
        backoff_forgive(&api->service->by_name, guesser);
    }
    if (result == STORE_NONE) {
        api_audit(api, action, false, target, "no such name");
    }
    if (result != STORE_OK) {
        api_store_error(api, result, !adds ? "grant like this"
                        : is_group ? "group of this name" : "user of this name");
        return false;
    }

    return true;
}


/* Reads the body: {"user" or "group", "app", "name", "rights": [...]}; no name: the whole app. */
static bool grant_key(api_t *api, const char *action, unsigned rights, store_grant_key_t *key,
                      char *target, size_t target_size)
{
    const char      *grantee, *app, *name;
    store_stream_t   stream;
    bool             is_group = json_object_get(api->body, "group") != NULL;

    memset(key, 0, sizeof(*key));

    grantee = api_text(api, is_group ? "group" : "user", NULL);
    app = grantee ? api_text(api, "app", NULL) : NULL;
    name = app ? api_text(api, "name", "") : NULL;
    if (name == NULL) {
        return false;
    }

    if (name[0]) {
        if (!api_managed_stream(api, app, name, action, &stream)) {
            return false;
        }
        if ((rights & RIGHT_MANAGE) && !api->user.admin && api->user.id != stream.owner) {
            api_error(api, 403, "forbidden", "Only the owner of the stream or an admin may give "
                      "or take the right to manage it.");
            return false;
        }
        key->stream = stream.id;
    } else {
        if (!api->user.admin) {
            api_error(api, 403, "forbidden", "Only an admin may grant on a whole app.");
            return false;
        }
        if (!name_app_valid(app)) {
            api_error(api, 400, "bad_app", "app is \"%.60s\"; expected " NAME_APP_RULE ".",
                      app);
            return false;
        }
        key->app = app;
    }

    snprintf(target, target_size, "%s%.*s %s/%s", is_group ? "group:" : "", NAME_USER_MAX, grantee,
             app, name);
    return grant_find_grantee(api, action, grantee, is_group, target, key);
}


static void grant_change(api_t *api, const char *action,
                         store_result_t (*run)(change_t *, const store_grant_key_t *,
                                               unsigned))
{
    char               target[NAME_USER_MAX + NAME_FULL_MAX + 16], words[RIGHTS_TEXT_SIZE];
    change_t           change = api_change(api);
    unsigned           rights = grant_rights(json_object_get(api->body, "rights"));
    store_result_t     result;
    store_grant_key_t  key;

    if (rights == 0) {
        api_error(api, 400, "bad_rights", "\"rights\" is not a list of publish, view, replay, "
                  "manage.");
        return;
    }

    if (!grant_key(api, action, rights, &key, target, sizeof(target))) {
        return;
    }

    result = run(&change, &key, rights);
    if (result != STORE_OK) {
        api_store_error(api, result, "grant like this");
        return;
    }

    api_audit(api, action, true, target, rights_format(rights, words));
    api_reply_changed(api, &change, json_object());
}


void api_grant_add(api_t *api)
{
    grant_change(api, "grant", change_grant_add);
}


void api_grant_remove(api_t *api)
{
    grant_change(api, "revoke", change_grant_remove);
}
