#include "api.h"

#include <string.h>


static void user_collect(const store_user_t *user, void *data)
{
    json_array_append_new(data, json_pack("{ss sb sb}", "name", user->name, "admin",
                                          user->admin, "disabled", user->disabled));
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


void api_user_add(api_t *api)
{
    bool             admin = json_is_true(json_object_get(api->body, "admin"));
    char             hash[PASSWORD_HASH_SIZE];
    const char      *name, *password;
    store_result_t   result;

    name = api_text(api, "name", NULL);
    password = name ? api_text(api, "password", NULL) : NULL;
    if (password == NULL) {
        return;
    }

    if (!name_user_valid(name)) {
        api_error(api, 400, "bad_name", "name is \"%.100s\"; expected " NAME_USER_RULE ".",
                  name);
        return;
    }
    if (!password_valid(password)) {
        api_error(api, 400, "bad_password", "password has %zu bytes; expected " PASSWORD_RULE
                  ".", strlen(password));
        return;
    }
    if (!password_hash(password, hash)) {
        api_error(api, 500, "internal", "Not 19 MiB of memory to be had for the hash.");
        return;
    }

    result = store_user_add(api->store, name, hash, admin, NULL);
    if (result != STORE_OK) {
        api_store_error(api, result, "user of this name");
        return;
    }

    api_audit(api, "user add", true, name, "");
    fastcgi_reply(api->request, 201, NULL, json_pack("{ss sb sb}", "name", name, "admin",
                                                     admin, "disabled", 0));
}


static void user_set_disabled(api_t *api, bool disabled)
{
    const char      *name = api->parts[0];
    store_user_t     user;
    store_result_t   result = STORE_NONE;

    if (name_user_valid(name)) {
        result = store_user_by_name(api->store, name, &user);
    }
    if (result != STORE_OK) {
        api_store_error(api, result, "user of this name");
        return;
    }

    if (disabled && user.id == api->user.id) {
        api_error(api, 409, "self", "You can't disable yourself.");
        return;
    }

    result = store_user_set_disabled(api->store, user.id, disabled);
    if (result != STORE_OK) {
        api_store_error(api, result, "user");
        return;
    }

    api_audit(api, disabled ? "user disable" : "user enable", true, name, "");
    api_reply(api, json_pack("{ss sb sb}", "name", user.name, "admin", user.admin, "disabled",
                             disabled));
}


void api_user_disable(api_t *api)
{
    user_set_disabled(api, true);
}


void api_user_enable(api_t *api)
{
    user_set_disabled(api, false);
}
