/* Deletes users, streams and groups. */

#include "ctl.h"

#include <stdio.h>
#include <string.h>


static int ctl_delete_recordings(const ctl_t *ctl, bool *recordings)
{
    *recordings = strcmp(ctl->recordings, "delete") == 0;

    return *recordings || strcmp(ctl->recordings, "keep") == 0
           ? CTL_OK
           : ctl_fail(CTL_USAGE, "--recordings is \"%.40s\"; expected keep or delete",
                      ctl->recordings);
}


static void ctl_delete_report(const ctl_t *ctl, const change_t *change, bool recordings,
                              const store_recorded_t *recorded)
{
    if (recorded->files) {
        printf("%llu recordings %s\n", (unsigned long long) recorded->files, recordings
               ? "are being deleted" : "stay; only admins see them");
    }
    ctl_report(ctl, change);
}


int ctl_user_delete(ctl_t *ctl)
{
    int               code;
    bool              recordings;
    change_t          change = ctl_change(ctl);
    store_user_t      user;
    store_result_t    result;
    store_recorded_t  recorded;

    code = ctl_delete_recordings(ctl, &recordings);
    if (code == CTL_OK) {
        code = ctl_find_user(ctl, ctl->words[0], &user);
    }
    if (code != CTL_OK) {
        return code;
    }

    result = store_recorded_owner(ctl->store, user.id, &recorded);
    if (result == STORE_OK) {
        result = change_user_remove(&change, user.id, recordings);
    }
    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, "user delete");
    }

    ctl_audit(ctl, "user delete", user.name);
    printf("user %s deleted\n", user.name);
    ctl_delete_report(ctl, &change, recordings, &recorded);
    return CTL_OK;
}


int ctl_group_delete(ctl_t *ctl)
{
    char             subject[NAME_USER_MAX + 16];
    change_t         change = ctl_change(ctl);
    uint64_t         group;
    const char      *name = ctl->words[0];
    store_result_t   result = store_group_id(ctl->store, name, &group);

    if (result == STORE_OK) {
        result = change_group_remove(&change, group);
    }
    if (result != STORE_OK) {
        snprintf(subject, sizeof(subject), "group %.64s", name);
        return ctl_store_fail(ctl, result, subject);
    }

    ctl_audit(ctl, "group delete", name);
    printf("group %s deleted\n", name);
    ctl_report(ctl, &change);
    return CTL_OK;
}


int ctl_stream_delete(ctl_t *ctl)
{
    int               code;
    bool              recordings;
    change_t          change = ctl_change(ctl);
    store_stream_t    stream;
    store_result_t    result;
    store_recorded_t  recorded;

    code = ctl_delete_recordings(ctl, &recordings);
    if (code == CTL_OK) {
        code = ctl_find_stream(ctl, ctl->words[0], 0, &stream);
    }
    if (code != CTL_OK) {
        return code;
    }

    result = store_recorded_name(ctl->store, stream.app, stream.name, &recorded);
    if (result == STORE_OK) {
        result = change_stream_remove(&change, stream.id, recordings);
    }
    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, "stream delete");
    }

    ctl_audit(ctl, "stream delete", ctl->words[0]);
    printf("stream %s/%s deleted\n", stream.app, stream.name);
    ctl_delete_report(ctl, &change, recordings, &recorded);
    return CTL_OK;
}
