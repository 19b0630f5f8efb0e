/* Errors, audit rows and look-ups by name: all commands share these functions. */

#include "ctl.h"
#include "../rec/record.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


int ctl_fail(int code, const char *format, ...)
{
    va_list  args;

    fputs("duoluctl: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);

    return code;
}


int ctl_store_fail(ctl_t *ctl, store_result_t result, const char *subject)
{
    char  server[600];

    switch (result) {
    case STORE_NONE:
        return ctl_fail(CTL_NONE, "%s does not exist", subject);
    case STORE_EXISTS:
        return ctl_fail(CTL_EXISTS, "%s exists already", subject);
    case STORE_DOWN:
        dsn_describe(&ctl->config.dsn, server, sizeof(server));
        return ctl_fail(CTL_DATABASE, "database %s: %s", server, store_error(ctl->store));
    default:
        return ctl_fail(CTL_FAILED, "%s: %s", subject, store_error(ctl->store));
    }
}


void ctl_print_json(json_t *root)
{
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    putchar('\n');
    json_decref(root);
}


void ctl_audit(ctl_t *ctl, const char *action, const char *target)
{
    store_audit_t  row = { "duoluctl", action, true, target, "", "" };

    if (store_audit_add(ctl->store, &row) != STORE_OK) {
        ctl_fail(0, "warning: no audit row: %s", store_error(ctl->store));
    }
}


change_t ctl_change(const ctl_t *ctl)
{
    return (change_t) { .store = ctl->store, .control_socket = ctl->config.control_socket };
}


void ctl_report(const ctl_t *ctl, const change_t *change)
{
    unsigned long long  ended = change->report.ended;

    if (ended) {
        fprintf((ctl->given & OPTION_JSON) ? stderr : stdout, "ended %llu session%s\n", ended,
                ended == 1 ? "" : "s");
    }

    if (change->orphaned) {
        fprintf((ctl->given & OPTION_JSON) ? stderr : stdout, "ended the keys, grants and links on "
                "%u stream%s whose maker may no longer manage the stream\n", change->orphaned,
                change->orphaned == 1 ? "" : "s");
    }

    if (change->report.waiting) {
        ctl_fail(0, "warning: done, but nginx does not know yet: %s. Open sessions go on until "
                 "it answers; then duolu-auth tells it", change->report.error);
    }
}


void ctl_update_recording(const ctl_t *ctl, const store_stream_t *stream)
{
    char              error[CONTROL_ERROR_SIZE];
    control_result_t  result = record_tell(ctl->config.control_socket, stream, error);

    if (result != CONTROL_OK && result != CONTROL_NONE) {
        ctl_fail(0, "warning: done, but nginx does not know yet: %s. duolu-auth tells it as "
                 "soon as it answers", error);
    }
}


int ctl_set_number(const char *setting, const char *value, uint64_t *out)
{
    char           *end;
    unsigned long   number;

    errno = 0;
    number = strtoul(value, &end, 10);
    if (*value < '0' || *value > '9' || *end || errno || number > NAME_LIMIT_MAX) {
        return ctl_fail(CTL_USAGE, "%s is \"%.40s\"; expected a number from 0 (no limit) to "
                        "%d", setting, value, NAME_LIMIT_MAX);
    }

    *out = number;
    return CTL_OK;
}


int ctl_find_user(ctl_t *ctl, const char *name, store_user_t *user)
{
    char            subject[NAME_USER_MAX + 16];
    store_result_t  result;

    if (!name_user_valid(name)) {
        return ctl_fail(CTL_USAGE, "user name \"%.100s\"; expected " NAME_USER_RULE, name);
    }

    result = store_user_by_name(ctl->store, name, user);
    if (result != STORE_OK) {
        snprintf(subject, sizeof(subject), "user %s", name);
        return ctl_store_fail(ctl, result, subject);
    }

    return CTL_OK;
}


int ctl_find_stream(ctl_t *ctl, const char *full, uint64_t user, store_stream_t *stream)
{
    char            app[NAME_APP_MAX + 1], name[NAME_STREAM_MAX + 1];
    char            subject[NAME_FULL_MAX + 16];
    store_result_t  result;

    if (!name_split(full, app, name)) {
        return ctl_fail(CTL_USAGE, "stream \"%.200s\"; expected APP/NAME: app " NAME_APP_RULE
                        ", name " NAME_STREAM_RULE, full);
    }

    result = store_stream_get(ctl->store, app, name, user, stream);
    if (result != STORE_OK) {
        snprintf(subject, sizeof(subject), "stream %s", full);
        return ctl_store_fail(ctl, result, subject);
    }

    return CTL_OK;
}
