/* Groups of users. A group has grants; its members have the rights of these. */

#include "api.h"

#include <stdio.h>
#include <string.h>


static void group_collect(const char *name, const char *member, const char *display, void *data)
{
    json_t  *groups = data, *members;
    json_t  *last = json_array_get(groups, json_array_size(groups) - 1);

    if (last == NULL || strcmp(json_string_value(json_object_get(last, "name")), name) != 0) {
        last = json_pack("{ss s[]}", "name", name, "members");
        json_array_append_new(groups, last);
    }

    members = json_object_get(last, "members");
    if (member[0]) {
        json_array_append_new(members, json_pack("{ss ss}", "name", member, "display_name",
                                                 display));
    }
}


void api_groups(api_t *api)
{
    json_t          *groups = json_array();
    store_result_t   result = store_group_list(api->store, group_collect, groups);

    if (result != STORE_OK) {
        json_decref(groups);
        api_store_error(api, result, "groups");
        return;
    }

    api_reply(api, json_pack("{so}", "groups", groups));
}


void api_group_add(api_t *api)
{
    change_t         change = api_change(api);
    const char      *name = api_text(api, "name", NULL);
    store_result_t   result;

    if (name == NULL) {
        return;
    }
    if (!name_user_valid(name)) {
        api_error(api, 400, "bad_name", "name is \"%.100s\"; expected " NAME_USER_RULE ".",
                  name);
        return;
    }

    result = change_group_add(&change, name);
    if (result != STORE_OK) {
        api_store_error(api, result, "group of this name");
        return;
    }

    api_audit(api, "group add", true, name, "");
    fastcgi_reply(api->request, 201, NULL, json_pack("{ss s[]}", "name", name, "members"));
}


static bool group_find(api_t *api, uint64_t *id)
{
    const char      *name = api->parts[0];
    store_result_t   result = STORE_NONE;

    if (name_user_valid(name)) {
        result = store_group_id(api->store, name, id);
    }
    if (result != STORE_OK) {
        api_store_error(api, result, "group of this name");
        return false;
    }

    return true;
}


void api_group_remove(api_t *api)
{
    change_t        change = api_change(api);
    uint64_t        group;
    store_result_t  result;

    if (!group_find(api, &group)) {
        return;
    }

    result = change_group_remove(&change, group);
    if (result != STORE_OK) {
        api_store_error(api, result, "group of this name");
        return;
    }

    api_audit(api, "group delete", true, api->parts[0], "");
    api_reply_changed(api, &change, json_object());
}


static void group_member(api_t *api, const char *action,
                         store_result_t (*run)(change_t *, uint64_t, uint64_t))
{
    char             target[2 * NAME_USER_MAX + 8];
    change_t         change = api_change(api);
    uint64_t         group;
    const char      *name = api->parts[1];
    store_user_t     user;
    store_result_t   result = STORE_NONE;

    if (!group_find(api, &group)) {
        return;
    }

    if (name_user_valid(name)) {
        result = store_user_by_name(api->store, name, &user);
    }
    if (result != STORE_OK) {
        api_store_error(api, result, "user of this name");
        return;
    }

    result = run(&change, group, user.id);
    if (result != STORE_OK) {
        api_store_error(api, result, "such member of this group");
        return;
    }

    snprintf(target, sizeof(target), "%s: %s", api->parts[0], user.name);
    api_audit(api, action, true, target, "");
    api_reply_changed(api, &change, json_object());
}


void api_group_join(api_t *api)
{
    group_member(api, "group join", change_group_join);
}


void api_group_leave(api_t *api)
{
    group_member(api, "group leave", change_group_leave);
}
