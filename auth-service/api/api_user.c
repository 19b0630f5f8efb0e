#include "api.h"

#include <string.h>


static void user_collect(const store_user_t *user, void *data)
{
    json_array_append_new(data, api_user_json(user));
}


void api_users(api_t *api)
{
    json_t          *users = json_array();
    store_result_t   result = store_user_list(api->store, user_collect, users);

    if (result != STORE_OK) {
        json_decref(users);
        api_store_error(api, result, "users");
        return;
    }

    api_reply(api, json_pack("{so}", "users", users));
}


/* Reads and hashes the password of a new user. On failure answers and returns false. */
static bool user_password(api_t *api, char hash[PASSWORD_HASH_SIZE])
{
    const char  *password = api_text(api, "password", NULL);

    return password && api_hash_password(api, password, api->user.id, hash);
}


void api_user_add(api_t *api)
{
    bool             admin = json_is_true(json_object_get(api->body, "admin"));
    bool             invited = json_is_true(json_object_get(api->body, "invite"));
    char             hash[PASSWORD_HASH_SIZE] = "", invite[SECRET_SIZE];
    json_t          *answer;
    change_t         change = api_change(api);
    const char      *name = api_text(api, "name", NULL);
    store_user_t     user;
    store_limits_t   limits = { 0 };
    store_result_t   result;

    if (name == NULL || !api_display_name(api, &limits.display_name)) {
        return;
    }
    if (!name_user_valid(name)) {
        api_error(api, 400, "bad_name", "name is \"%.100s\"; expected " NAME_USER_RULE ".",
                  name);
        return;
    }
    if (invited && json_object_get(api->body, "password")) {
        api_error(api, 400, "bad_request", "The body has \"invite\" and \"password\"; expected "
                  "one of them.");
        return;
    }
    if (!invited && !user_password(api, hash)) {
        return;
    }

    result = invited ? change_user_add_invited(&change, name, admin, invite)
                     : change_user_add(&change, name, hash, admin);
    if (result == STORE_OK) {
        result = store_user_by_name(api->store, name, &user);
    }
    if (result == STORE_OK && limits.display_name) {
        strcpy(user.display_name, limits.display_name);
        result = change_user_limits(&change, user.id, &limits);
    }
    if (result != STORE_OK) {
        api_store_error(api, result, "user of this name");
        return;
    }

    api_audit(api, "user add", true, name, invited ? "invited" : "");
    answer = api_user_json(&user);
    if (invited) {
        json_object_set_new(answer, "invite", api_invite_link(invite));
    }
    fastcgi_reply(api->request, 201, NULL, answer);
}


/*
 * Reads an optional quota, in bytes or a text such as "10g", and points *given to it.
 * Returns false after answering an error.
 */
static bool user_quota(api_t *api, uint64_t *quota, const uint64_t **given)
{
    json_t      *value = json_object_get(api->body, "rec_quota");
    json_int_t   bytes = json_integer_value(value);

    if (value == NULL) {
        return true;
    }

    *given = quota;
    if (json_is_integer(value) && bytes >= 0) {
        *quota = (uint64_t) bytes;
        return true;
    }
    if (json_is_string(value) && name_size_parse(json_string_value(value), quota)) {
        return true;
    }

    api_error(api, 400, "bad_request", "\"rec_quota\" is not a size; expected " NAME_SIZE_RULE
              ".");
    return false;
}


bool api_display_name(api_t *api, const char **name)
{
    if (json_object_get(api->body, "display_name") == NULL) {
        return true;
    }

    *name = api_text(api, "display_name", NULL);
    if (*name && !name_display_valid(*name)) {
        api_error(api, 400, "bad_title", "display_name is \"%.150s\"; expected "
                  NAME_DISPLAY_RULE ".", *name);
        return false;
    }

    return *name != NULL;
}


void api_user_set(api_t *api)
{
    change_t        change = api_change(api);
    uint64_t        publishers, quota;
    store_user_t    user;
    store_limits_t  limits = { 0 };
    store_result_t  result;

    if (!api_named_user(api, &user)
        || !api_number(api, "max_publishers", NAME_LIMIT_MAX, &publishers,
                       &limits.max_publishers)
        || !user_quota(api, &quota, &limits.rec_quota)
        || !api_display_name(api, &limits.display_name))
    {
        return;
    }

    result = change_user_limits(&change, user.id, &limits);
    if (result == STORE_OK) {
        result = store_user_by_id(api->store, user.id, &user);
    }
    if (result != STORE_OK) {
        api_store_error(api, result, "user");
        return;
    }

    api_audit(api, "user set", true, user.name, "");
    api_reply(api, api_user_json(&user));
}


/* Revokes, disables or enables a user. */
static void user_change(api_t *api, store_user_t *user, const char *action,
                        store_result_t (*run)(change_t *, uint64_t))
{
    change_t        change = api_change(api);
    store_result_t  result = run(&change, user->id);

    if (result != STORE_OK) {
        api_store_error(api, result, "user");
        return;
    }

    api_audit(api, action, true, user->name, "");
    api_reply_changed(api, &change, api_user_json(user));
}


void api_user_disable(api_t *api)
{
    store_user_t  user;

    if (!api_named_user(api, &user)) {
        return;
    }
    if (user.id == api->user.id) {
        api_error(api, 409, "self", "You can't disable yourself.");
        return;
    }

    user.disabled = true;
    user_change(api, &user, "user disable", change_user_disable);
}


void api_user_enable(api_t *api)
{
    store_user_t  user;

    if (api_named_user(api, &user)) {
        user.disabled = false;
        user_change(api, &user, "user enable", change_user_enable);
    }
}


void api_user_revoke(api_t *api)
{
    store_user_t  user;

    if (api_named_user(api, &user)) {
        user_change(api, &user, "user revoke", change_user_revoke);
    }
}
