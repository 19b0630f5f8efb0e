#include "ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>


int ctl_phone_add(ctl_t *ctl)
{
    int              code;
    char             key[SECRET_SIZE], full[NAME_FULL_MAX + 1];
    change_t         change = ctl_change(ctl);
    store_user_t     owner;
    change_phone_t   add = { .label = ctl->words[1], .app = "live" };
    store_result_t   result;
    store_stream_t   stream = { .app = "live" };

    if (!name_label_valid(add.label) || add.label[strspn(add.label, " ")] == '\0') {
        return ctl_fail(CTL_USAGE, "label \"%.70s\"; expected " NAME_LABEL_RULE
                        ", and not empty", add.label);
    }

    code = ctl_find_user(ctl, ctl->words[0], &owner);
    if (code == CTL_OK && ctl->count == 3) {
        code = ctl_find_stream(ctl, ctl->words[2], 0, &stream);
    }
    if (code != CTL_OK) {
        return code;
    }

    add.owner = add.user = owner.id;
    add.owner_name = owner.name;
    add.stream = stream.id;

    result = change_phone_add(&change, &add, key);
    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, "phone");
    }
    if (stream.id == 0) {
        snprintf(stream.name, sizeof(stream.name), "%s", add.name);
    }

    snprintf(full, sizeof(full), "%s/%s", stream.app, stream.name);
    ctl_audit(ctl, "phone add", full);
    ctl_key_print_new(ctl, stream.app, stream.name, owner.name, key);
    return CTL_OK;
}


static void ctl_phone_print(const store_phone_t *phone, void *data)
{
    char        seen[32] = "never";
    time_t      at = (time_t) (phone->seen / 1000);
    struct tm   parts;

    (void) data;
    if (phone->gate_session[0]) {
        strcpy(seen, "now");
    } else if (phone->seen && gmtime_r(&at, &parts)) {
        strftime(seen, sizeof(seen), "%Y-%m-%dT%H:%M:%SZ", &parts);
    }

    printf("%-6llu %s/%-24s %-16s %-8s seen=%s%s%s%s%s%s%s%s%s %s\n",
           (unsigned long long) phone->id, phone->app, phone->name, phone->user_name,
           phone->revoked ? "revoked" : "valid", seen,
           phone->address[0] ? " from=" : "", phone->address,
           phone->agent[0] ? " agent=\"" : "", phone->agent, phone->agent[0] ? "\"" : "",
           phone->end_reason[0] ? " ended=\"" : "", phone->end_reason,
           phone->end_reason[0] ? "\"" : "", phone->label);
}


static void ctl_phone_collect(const store_phone_t *phone, void *data)
{
    json_array_append_new(data, json_pack("{sI ss ss++ ss ss sb sI sI sb ss ss ss}", "id",
        (json_int_t) phone->id, "label", phone->label, "stream", phone->app, "/", phone->name,
        "owner", phone->owner_name, "user", phone->user_name, "revoked", phone->revoked,
        "created", (json_int_t) phone->created, "seen", (json_int_t) phone->seen,
        "open", phone->gate_session[0] != '\0', "address", phone->address,
        "agent", phone->agent, "ended", phone->end_reason));
}


int ctl_phone_list(ctl_t *ctl)
{
    int                   code = CTL_OK;
    json_t               *phones;
    store_user_t          owner;
    store_result_t        result;
    store_phone_query_t   query = { .owner = "", .most = UINT32_MAX };

    if (ctl->count == 1) {
        code = ctl_find_user(ctl, ctl->words[0], &owner);
        query.owner = owner.name;
    }
    if (code != CTL_OK) {
        return code;
    }

    phones = (ctl->given & OPTION_JSON) ? json_array() : NULL;
    result = store_phone_list(ctl->store, &query, phones ? ctl_phone_collect : ctl_phone_print,
                              phones);
    if (result != STORE_OK) {
        json_decref(phones);
        return ctl_store_fail(ctl, result, "phones");
    }

    if (phones) {
        ctl_print_json(json_pack("{so}", "phones", phones));
    }
    return CTL_OK;
}


int ctl_phone_revoke(ctl_t *ctl)
{
    char             *end, subject[64], full[NAME_FULL_MAX + 1];
    change_t          change = ctl_change(ctl);
    uint64_t          id = strtoull(ctl->words[0], &end, 10);
    store_phone_t     phone;
    store_result_t    result;

    if (ctl->words[0][0] < '0' || ctl->words[0][0] > '9' || *end) {
        return ctl_fail(CTL_USAGE, "phone \"%.40s\"; expected a number as in "
                        "duoluctl phone list", ctl->words[0]);
    }

    snprintf(subject, sizeof(subject), "valid phone %.20s", ctl->words[0]);
    result = store_phone_get(ctl->store, id, &phone);
    if (result == STORE_OK) {
        result = change_key_revoke(&change, phone.stream, id);
    }
    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, subject);
    }

    snprintf(full, sizeof(full), "%s/%s", phone.app, phone.name);
    ctl_audit(ctl, "phone revoke", full);
    printf("revoked: phone %.20s of %s\n", ctl->words[0], full);
    ctl_report(ctl, &change);
    return CTL_OK;
}
