#include "ctl.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    char  text[PASSWORD_MAX + 3];
    bool  made;                     /* we made it: print it once */
} ctl_password_t;


static int ctl_hash_password(const char *text, char hash[PASSWORD_HASH_SIZE])
{
    if (!password_valid(text)) {
        return ctl_fail(CTL_USAGE, "password has %zu bytes; expected " PASSWORD_RULE,
                        strlen(text));
    }
    if (!password_hash(text, hash)) {
        return ctl_fail(CTL_FAILED, "password hash: there are not 19 MiB of memory");
    }

    return CTL_OK;
}


int ctl_read_password(char hash[PASSWORD_HASH_SIZE])
{
    char  text[PASSWORD_MAX + 3];

    if (fgets(text, sizeof(text), stdin) == NULL) {
        return ctl_fail(CTL_USAGE, "no password on standard input; expected one line");
    }
    text[strcspn(text, "\r\n")] = '\0';

    return ctl_hash_password(text, hash);
}


static int ctl_password(ctl_t *ctl, ctl_password_t *password, char hash[PASSWORD_HASH_SIZE])
{
    password->made = !(ctl->given & OPTION_PASSWORD_STDIN);
    if (!password->made) {
        return ctl_read_password(hash);
    }

    password_random(password->text, sizeof(password->text), 12);
    return ctl_hash_password(password->text, hash);
}


/* Prints a link, this once: the database has only its fingerprint. */
static void ctl_print_invite(const ctl_t *ctl, const store_user_t *user, const char *invite)
{
    char  link[512];

    snprintf(link, sizeof(link), "https://%s:%u" CHANGE_INVITE_PATH "%s", ctl->config.host,
             ctl->config.https_port, invite);

    if (ctl->given & OPTION_JSON) {
        ctl_print_json(json_pack("{ss sb ss}", "name", user->name, "admin", user->admin,
                                 "invite", link));
    } else {
        printf("user %s%s\ninvite %s\n", user->name, user->admin ? " (admin)" : "", link);
    }
}


static int ctl_user_add_invited(ctl_t *ctl, const char *subject)
{
    bool             admin = (ctl->given & OPTION_ADMIN) != 0;
    char             invite[SECRET_SIZE];
    change_t         change = ctl_change(ctl);
    const char      *name = ctl->words[0];
    store_user_t     user;
    store_result_t   result;

    if (ctl->given & OPTION_PASSWORD_STDIN) {
        return ctl_fail(CTL_USAGE, "--invite and --password-stdin; expected one of them");
    }

    result = change_user_add_invited(&change, name, admin, invite);
    if (result == STORE_OK) {
        result = store_user_by_name(ctl->store, name, &user);
    }
    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, subject);
    }

    ctl_audit(ctl, "user add", name);
    ctl_print_invite(ctl, &user, invite);
    return CTL_OK;
}


int ctl_user_invite(ctl_t *ctl)
{
    int             code;
    char            invite[SECRET_SIZE];
    change_t        change = ctl_change(ctl);
    store_user_t    user;
    store_result_t  result;

    code = ctl_find_user(ctl, ctl->words[0], &user);
    if (code != CTL_OK) {
        return code;
    }
    if (user.disabled) {
        return ctl_fail(CTL_REFUSED, "user %s is disabled; enable it first", user.name);
    }

    result = change_user_invite(&change, user.id, invite);
    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, "user invite");
    }

    ctl_audit(ctl, "user invite", user.name);
    ctl_print_invite(ctl, &user, invite);
    return CTL_OK;
}


int ctl_user_add(ctl_t *ctl)
{
    int              code;
    char             hash[PASSWORD_HASH_SIZE], subject[NAME_USER_MAX + 16];
    bool             admin = (ctl->given & OPTION_ADMIN) != 0;
    change_t         change = ctl_change(ctl);
    const char      *name = ctl->words[0];
    store_user_t     existing;
    ctl_password_t   password;
    store_result_t   result;

    if (!name_user_valid(name)) {
        return ctl_fail(CTL_USAGE, "user name \"%.100s\"; expected " NAME_USER_RULE, name);
    }
    snprintf(subject, sizeof(subject), "user %s", name);

    /* check first, so that a second run computes no hash and reports the conflict */
    result = store_user_by_name(ctl->store, name, &existing);
    if (result != STORE_NONE) {
        return ctl_store_fail(ctl, result == STORE_OK ? STORE_EXISTS : result, subject);
    }

    if (ctl->given & OPTION_INVITE) {
        return ctl_user_add_invited(ctl, subject);
    }

    code = ctl_password(ctl, &password, hash);
    if (code != CTL_OK) {
        return code;
    }

    result = change_user_add(&change, name, hash, admin);
    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, subject);
    }
    ctl_audit(ctl, "user add", name);

    if (ctl->given & OPTION_JSON) {
        ctl_print_json(json_pack("{ss sb ss*}", "name", name, "admin", admin, "password",
                                 password.made ? password.text : NULL));
    } else if (password.made) {
        printf("user %s%s\npassword %s\n", name, admin ? " (admin)" : "", password.text);
    } else {
        printf("user %s%s\n", name, admin ? " (admin)" : "");
    }

    sodium_memzero(&password, sizeof(password));
    return CTL_OK;
}


static int ctl_user_change(ctl_t *ctl, const char *action, const char *done,
                           store_result_t (*run)(change_t *, uint64_t))
{
    int             code;
    change_t        change = ctl_change(ctl);
    store_user_t    user;
    store_result_t  result;

    code = ctl_find_user(ctl, ctl->words[0], &user);
    if (code != CTL_OK) {
        return code;
    }

    result = run(&change, user.id);
    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, action);
    }

    ctl_audit(ctl, action, user.name);
    printf("user %s %s\n", user.name, done);
    ctl_report(ctl, &change);
    return CTL_OK;
}


int ctl_user_disable(ctl_t *ctl)
{
    return ctl_user_change(ctl, "user disable", "disabled", change_user_disable);
}


int ctl_user_enable(ctl_t *ctl)
{
    return ctl_user_change(ctl, "user enable", "enabled", change_user_enable);
}


int ctl_user_revoke(ctl_t *ctl)
{
    return ctl_user_change(ctl, "user revoke", "revoked", change_user_revoke);
}


int ctl_user_totp_off(ctl_t *ctl)
{
    return ctl_user_change(ctl, "user totp-off", "logs in without a code", change_totp_off);
}


typedef struct {
    store_limits_t  set;
    uint64_t        max_publishers;
    uint64_t        rec_quota;
} ctl_limits_t;


static int ctl_user_set_limit(ctl_limits_t *limits, const char *setting)
{
    if (strncmp(setting, "max_publishers=", 15) == 0) {
        limits->set.max_publishers = &limits->max_publishers;
        return ctl_set_number("max_publishers", setting + 15, &limits->max_publishers);
    }

    if (strncmp(setting, "rec_quota=", 10) == 0) {
        limits->set.rec_quota = &limits->rec_quota;
        return name_size_parse(setting + 10, &limits->rec_quota)
               ? CTL_OK
               : ctl_fail(CTL_USAGE, "rec_quota is \"%.40s\"; expected " NAME_SIZE_RULE,
                          setting + 10);
    }

    if (strncmp(setting, "display_name=", 13) == 0) {
        limits->set.display_name = setting + 13;
        return name_display_valid(setting + 13)
               ? CTL_OK
               : ctl_fail(CTL_USAGE, "display_name is \"%.150s\"; expected " NAME_DISPLAY_RULE,
                          setting + 13);
    }

    return ctl_fail(CTL_USAGE, "setting \"%.60s\"; expected max_publishers=, rec_quota= or "
                    "display_name=", setting);
}


int ctl_user_set(ctl_t *ctl)
{
    int             code;
    size_t          i;
    change_t        change = ctl_change(ctl);
    ctl_limits_t    limits = { 0 };
    store_user_t    user;
    store_result_t  result;

    code = ctl_find_user(ctl, ctl->words[0], &user);
    for (i = 1; code == CTL_OK && i < ctl->count; i++) {
        code = ctl_user_set_limit(&limits, ctl->words[i]);
    }
    if (code != CTL_OK) {
        return code;
    }

    result = change_user_limits(&change, user.id, &limits.set);
    if (result == STORE_OK) {
        result = store_user_by_id(ctl->store, user.id, &user);
    }
    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, "user set");
    }

    ctl_audit(ctl, "user set", user.name);
    printf("user %s max_publishers=%u rec_quota=%" PRIu64 "%s%s\n", user.name,
           user.max_publishers, user.rec_quota, user.display_name[0] ? " display_name=" : "",
           user.display_name);
    return CTL_OK;
}


int ctl_user_passwd(ctl_t *ctl)
{
    int              code;
    char             hash[PASSWORD_HASH_SIZE];
    change_t         change = ctl_change(ctl);
    store_user_t     user;
    ctl_password_t   password;
    store_result_t   result;

    code = ctl_find_user(ctl, ctl->words[0], &user);
    if (code == CTL_OK) {
        code = ctl_password(ctl, &password, hash);
    }
    if (code != CTL_OK) {
        return code;
    }

    result = change_user_password(&change, user.id, hash);
    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, "user passwd");
    }

    ctl_audit(ctl, "user passwd", user.name);
    printf("user %s\n", user.name);
    if (password.made) {
        printf("password %s\n", password.text);
    }
    ctl_report(ctl, &change);

    sodium_memzero(&password, sizeof(password));
    return CTL_OK;
}


static void ctl_user_print(const store_user_t *user, void *data)
{
    (void) data;
    printf("%-24s %-6s %s", user->name, user->admin ? "admin" : "user",
           user->disabled ? "disabled" : "enabled");
    if (user->max_publishers) {
        printf(" max_publishers=%u", user->max_publishers);
    }
    if (user->rec_quota) {
        printf(" rec_quota=%" PRIu64, user->rec_quota);
    }
    if (user->display_name[0]) {
        printf(" %s", user->display_name);
    }
    printf("\n");
}


static void ctl_user_collect(const store_user_t *user, void *data)
{
    json_array_append_new(data, json_pack("{ss ss sb sb sI sI}", "name", user->name,
        "display_name", user->display_name, "admin", user->admin, "disabled", user->disabled,
        "max_publishers", (json_int_t) user->max_publishers,
        "rec_quota", (json_int_t) user->rec_quota));
}


int ctl_user_list(ctl_t *ctl)
{
    json_t          *users = (ctl->given & OPTION_JSON) ? json_array() : NULL;
    store_result_t   result;

    result = store_user_list(ctl->store, users ? ctl_user_collect : ctl_user_print, users);
    if (result != STORE_OK) {
        json_decref(users);
        return ctl_store_fail(ctl, result, "users");
    }

    if (users) {
        ctl_print_json(json_pack("{so}", "users", users));
    }
    return CTL_OK;
}


int ctl_group_add(ctl_t *ctl)
{
    char             subject[NAME_USER_MAX + 16];
    const char      *name = ctl->words[0];
    store_result_t   result;

    if (!name_user_valid(name)) {
        return ctl_fail(CTL_USAGE, "group name \"%.100s\"; expected " NAME_USER_RULE, name);
    }

    result = store_group_add(ctl->store, name);
    if (result != STORE_OK) {
        snprintf(subject, sizeof(subject), "group %s", name);
        return ctl_store_fail(ctl, result, subject);
    }

    ctl_audit(ctl, "group add", name);
    printf("group %s\n", name);
    return CTL_OK;
}


static int ctl_group_change(ctl_t *ctl, const char *action,
                            store_result_t (*run)(change_t *, uint64_t, uint64_t))
{
    int             code;
    char            subject[2 * NAME_USER_MAX + 32];
    change_t        change = ctl_change(ctl);
    uint64_t        group;
    store_user_t    user;
    store_result_t  result;

    code = ctl_find_user(ctl, ctl->words[1], &user);
    if (code != CTL_OK) {
        return code;
    }

    result = store_group_id(ctl->store, ctl->words[0], &group);
    if (result != STORE_OK) {
        snprintf(subject, sizeof(subject), "group %.64s", ctl->words[0]);
        return ctl_store_fail(ctl, result, subject);
    }

    snprintf(subject, sizeof(subject), "member %s of group %.64s", user.name, ctl->words[0]);

    result = run(&change, group, user.id);
    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, subject);
    }

    ctl_audit(ctl, action, subject);
    printf("%s: %s\n", action, subject);
    ctl_report(ctl, &change);
    return CTL_OK;
}


int ctl_group_join(ctl_t *ctl)
{
    return ctl_group_change(ctl, "group join", change_group_join);
}


int ctl_group_leave(ctl_t *ctl)
{
    return ctl_group_change(ctl, "group leave", change_group_leave);
}


static void ctl_group_print(const char *name, const char *member, const char *display,
                            void *data)
{
    (void) display;
    (void) data;
    printf("%-24s %s\n", name, member);
}


static void ctl_group_collect(const char *name, const char *member, const char *display,
                              void *data)
{
    json_t  *groups = data, *members = json_object_get(groups, name);

    (void) display;

    if (members == NULL) {
        members = json_array();
        json_object_set_new(groups, name, members);
    }
    if (member[0]) {
        json_array_append_new(members, json_string(member));
    }
}


int ctl_group_list(ctl_t *ctl)
{
    json_t          *groups = (ctl->given & OPTION_JSON) ? json_object() : NULL;
    store_result_t   result;

    result = store_group_list(ctl->store, groups ? ctl_group_collect : ctl_group_print, groups);
    if (result != STORE_OK) {
        json_decref(groups);
        return ctl_store_fail(ctl, result, "groups");
    }

    if (groups) {
        ctl_print_json(json_pack("{so}", "groups", groups));
    }
    return CTL_OK;
}
