#include "ctl.h"
#include "../rights/publish_key.h"
#include "../rec/record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


void ctl_key_print_new(ctl_t *ctl, const char *app, const char *name, const char *owner,
                       const char *key)
{
    char  server[512], stream_key[256], url[768];

    snprintf(server, sizeof(server), "rtmp://%s:%u/%s", ctl->config.host,
             ctl->config.rtmp_port, app);
    snprintf(stream_key, sizeof(stream_key), "%s?key=%s", name, key);
    snprintf(url, sizeof(url), "%s/%s", server, stream_key);

    if (ctl->given & OPTION_JSON) {
        ctl_print_json(json_pack("{ss ss ss ss ss ss ss}", "app", app, "name", name, "owner",
                                 owner, "key", key, "server", server, "stream_key",
                                 stream_key, "url", url));
        return;
    }

    printf("stream %s/%s\nowner %s\nserver %s\nname %s\nurl %s\nkey %s\n", app, name, owner,
           server, stream_key, url, key);
}


int ctl_stream_add(ctl_t *ctl)
{
    int              code;
    char             app[NAME_APP_MAX + 1], name[NAME_STREAM_MAX + 1];
    char             key[SECRET_SIZE], subject[NAME_FULL_MAX + 16];
    change_t         change = ctl_change(ctl);
    const char      *full = ctl->words[0], *title = ctl->title ? ctl->title : "";
    store_user_t     owner;
    store_result_t   result;
    change_stream_t  stream;

    if (!name_split(full, app, name) || !name_stream_valid(name)) {
        return ctl_fail(CTL_USAGE, "stream \"%.200s\"; expected APP/NAME: app " NAME_APP_RULE
                        ", name " NAME_STREAM_RULE, full);
    }
    if (!name_title_valid(title)) {
        return ctl_fail(CTL_USAGE, "title \"%.60s\"; expected " NAME_TITLE_RULE, title);
    }

    code = ctl_find_user(ctl, ctl->owner, &owner);
    if (code != CTL_OK) {
        return code;
    }

    stream = (change_stream_t) { .app = app, .name = name, .title = title, .owner = owner.id,
                                 .take_recordings = (ctl->given & OPTION_TAKE) != 0 };
    result = change_stream_add(&change, &stream, key);
    if (result == STORE_EXISTS && change.left_going) {
        return ctl_fail(CTL_EXISTS, "recordings of a deleted stream %s are being deleted; try "
                        "again in a minute", full);
    }
    if (result == STORE_EXISTS && change.left.files) {
        return ctl_fail(CTL_EXISTS, "%llu recordings of a deleted stream %s exist; "
                        "--take-recordings gives them to the new stream and its owner",
                        (unsigned long long) change.left.files, full);
    }
    if (result != STORE_OK) {
        snprintf(subject, sizeof(subject), "stream %s", full);
        return ctl_store_fail(ctl, result, subject);
    }

    ctl_audit(ctl, "stream add", full);
    ctl_key_print_new(ctl, app, name, owner.name, key);
    return CTL_OK;
}


static void ctl_stream_print(const store_stream_t *stream, void *data)
{
    (void) data;
    printf("%s/%-24s owner=%s visibility=%s record=%s%s%s max_kbps=%u max_viewers=%u %s\n",
           stream->app, stream->name, stream->owner_name, stream->visibility, stream->record,
           strcmp(stream->record, "demand") == 0 ? stream->record_on ? " (on)" : " (off)" : "",
           record_asked(stream) && stream->owner_full ? " (stopped: " RECORD_FULL ")" : "",
           stream->max_kbps, stream->max_viewers, stream->title);
}


static void ctl_stream_collect(const store_stream_t *stream, void *data)
{
    json_array_append_new(data, json_pack("{sI ss ss ss ss ss ss sb ss* si si sI}", "id",
        (json_int_t) stream->id, "app", stream->app,
        "name", stream->name, "title", stream->title, "owner", stream->owner_name,
        "visibility", stream->visibility, "record", stream->record,
        "record_on", stream->record_on,
        "record_stopped", record_asked(stream) && stream->owner_full ? "quota" : NULL,
        "max_kbps", (int) stream->max_kbps, "max_viewers", (int) stream->max_viewers,
        "last_seen", (json_int_t) stream->last_seen));
}


int ctl_stream_list(ctl_t *ctl)
{
    json_t          *streams = (ctl->given & OPTION_JSON) ? json_array() : NULL;
    store_result_t   result;

    result = store_stream_list(ctl->store, 0, streams ? ctl_stream_collect : ctl_stream_print,
                               streams);
    if (result != STORE_OK) {
        json_decref(streams);
        return ctl_store_fail(ctl, result, "streams");
    }

    if (streams) {
        ctl_print_json(json_pack("{so}", "streams", streams));
    }
    return CTL_OK;
}


/* A setting that is not given keeps the value that the row has at the time of the write. */
typedef struct {
    store_settings_t  set;
    uint64_t          kbps;
    uint64_t          viewers;
} ctl_settings_t;


static int ctl_set_setting(ctl_settings_t *settings, const char *setting)
{
    const char  *value = strchr(setting, '=');
    size_t       length = value ? (size_t) (value - setting) : 0;

    value = value ? value + 1 : "";

    if (length == 5 && memcmp(setting, "title", 5) == 0) {
        if (!name_title_valid(value)) {
            return ctl_fail(CTL_USAGE, "title \"%.60s\"; expected " NAME_TITLE_RULE, value);
        }
        settings->set.title = value;
        return CTL_OK;
    }

    if (length == 10 && memcmp(setting, "visibility", 10) == 0) {
        if (!name_visibility_valid(value)) {
            return ctl_fail(CTL_USAGE, "visibility is \"%.40s\"; expected "
                            NAME_VISIBILITY_RULE, value);
        }
        settings->set.visibility = value;
        return CTL_OK;
    }

    if (length == 6 && memcmp(setting, "record", 6) == 0) {
        if (!name_record_valid(value)) {
            return ctl_fail(CTL_USAGE, "record is \"%.40s\"; expected " NAME_RECORD_RULE,
                            value);
        }
        settings->set.record = value;
        return CTL_OK;
    }

    if (length == 8 && memcmp(setting, "max_kbps", 8) == 0) {
        settings->set.max_kbps = &settings->kbps;
        return ctl_set_number("max_kbps", value, &settings->kbps);
    }
    if (length == 11 && memcmp(setting, "max_viewers", 11) == 0) {
        settings->set.max_viewers = &settings->viewers;
        return ctl_set_number("max_viewers", value, &settings->viewers);
    }

    return ctl_fail(CTL_USAGE, "setting \"%.60s\"; expected title=, visibility=, record=, "
                    "max_kbps= or max_viewers=", setting);
}


int ctl_stream_set(ctl_t *ctl)
{
    int              code;
    bool             recorded;
    size_t           i;
    change_t         change = ctl_change(ctl);
    ctl_settings_t   settings = { 0 };
    store_stream_t   stream;
    store_result_t   result;

    code = ctl_find_stream(ctl, ctl->words[0], 0, &stream);
    recorded = code == CTL_OK && record_wanted(&stream);

    for (i = 1; code == CTL_OK && i < ctl->count; i++) {
        code = ctl_set_setting(&settings, ctl->words[i]);
    }
    if (code != CTL_OK) {
        return code;
    }

    result = change_stream_update(&change, stream.id, &settings.set);
    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, ctl->words[0]);
    }

    code = ctl_find_stream(ctl, ctl->words[0], 0, &stream);
    if (code != CTL_OK) {
        return code;
    }

    ctl_audit(ctl, "stream set", ctl->words[0]);
    ctl_stream_print(&stream, NULL);
    ctl_report(ctl, &change);
    if (record_wanted(&stream) != recorded) {
        ctl_update_recording(ctl, &stream);
    }
    return CTL_OK;
}


int ctl_stream_revoke(ctl_t *ctl)
{
    int              code;
    change_t         change = ctl_change(ctl);
    store_stream_t   stream;
    store_result_t   result;

    code = ctl_find_stream(ctl, ctl->words[0], 0, &stream);
    if (code != CTL_OK) {
        return code;
    }

    result = change_stream_revoke(&change, stream.id);
    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, ctl->words[0]);
    }

    ctl_audit(ctl, "stream revoke", ctl->words[0]);
    printf("stream %s/%s revoked\n", stream.app, stream.name);
    ctl_report(ctl, &change);
    return CTL_OK;
}


int ctl_key_add(ctl_t *ctl)
{
    int              code;
    char             key[SECRET_SIZE];
    const char      *label = ctl->label ? ctl->label : "";
    store_user_t     user;
    store_device_t   device = { 0 };
    store_stream_t   stream;
    store_result_t   result;

    if (!name_label_valid(label)) {
        return ctl_fail(CTL_USAGE, "label \"%.70s\"; expected " NAME_LABEL_RULE, label);
    }

    code = ctl_find_stream(ctl, ctl->words[0], 0, &stream);
    if (code == CTL_OK) {
        code = ctl_find_user(ctl, ctl->user ? ctl->user : stream.owner_name, &user);
    }
    if (code != CTL_OK) {
        return code;
    }

    device.stream = stream.id;
    device.user = user.id;
    snprintf(device.label, sizeof(device.label), "%s", label);
    result = publish_key_add(ctl->store, &device, key);
    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, "key");
    }

    ctl_audit(ctl, "key add", ctl->words[0]);
    ctl_key_print_new(ctl, stream.app, stream.name, user.name, key);
    return CTL_OK;
}


int ctl_key_rotate(ctl_t *ctl)
{
    int              code;
    char             key[SECRET_SIZE];
    change_t         change = ctl_change(ctl);
    store_stream_t   stream;
    store_result_t   result;

    code = ctl_find_stream(ctl, ctl->words[0], 0, &stream);
    if (code != CTL_OK) {
        return code;
    }

    result = change_key_rotate(&change, stream.id, stream.owner, key);
    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, "key");
    }

    ctl_audit(ctl, "key rotate", ctl->words[0]);
    ctl_key_print_new(ctl, stream.app, stream.name, stream.owner_name, key);
    ctl_report(ctl, &change);
    return CTL_OK;
}


int ctl_key_revoke(ctl_t *ctl)
{
    int              code;
    char            *end, subject[NAME_FULL_MAX + 48];
    change_t         change = ctl_change(ctl);
    uint64_t         id;
    store_stream_t   stream;
    store_result_t   result;

    id = strtoull(ctl->words[1], &end, 10);
    if (ctl->words[1][0] < '0' || ctl->words[1][0] > '9' || *end) {
        return ctl_fail(CTL_USAGE, "key id \"%.40s\"; expected a number as in "
                        "duoluctl stream key list", ctl->words[1]);
    }

    code = ctl_find_stream(ctl, ctl->words[0], 0, &stream);
    if (code != CTL_OK) {
        return code;
    }

    snprintf(subject, sizeof(subject), "valid key %.20s of stream %s/%s", ctl->words[1], stream.app,
             stream.name);
    result = change_key_revoke(&change, stream.id, id);
    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, subject);
    }

    ctl_audit(ctl, "key revoke", subject);
    printf("revoked: %s\n", subject);
    ctl_report(ctl, &change);
    return CTL_OK;
}


static void ctl_key_print(const store_device_t *device, void *data)
{
    (void) data;
    printf("%-6llu %-20s %s %-8s %s%s%s%s\n", (unsigned long long) device->id,
           device->user_name, device->created, device->revoked ? "revoked" : "valid",
           device->maker_name[0] ? "by=" : "", device->maker_name,
           device->maker_name[0] ? " " : "", device->label);
}


static void ctl_key_collect(const store_device_t *device, void *data)
{
    json_array_append_new(data, json_pack("{sI ss ss ss sb ss*}", "id",
        (json_int_t) device->id, "user", device->user_name, "label", device->label, "created",
        device->created, "revoked", device->revoked, "by",
        device->maker_name[0] ? device->maker_name : NULL));
}


int ctl_key_list(ctl_t *ctl)
{
    int              code;
    json_t          *keys;
    store_stream_t   stream;
    store_result_t   result;

    code = ctl_find_stream(ctl, ctl->words[0], 0, &stream);
    if (code != CTL_OK) {
        return code;
    }

    keys = (ctl->given & OPTION_JSON) ? json_array() : NULL;
    result = store_device_list(ctl->store, stream.id, keys ? ctl_key_collect : ctl_key_print,
                               keys);
    if (result != STORE_OK) {
        json_decref(keys);
        return ctl_store_fail(ctl, result, "keys");
    }

    if (keys) {
        ctl_print_json(json_pack("{so}", "keys", keys));
    }
    return CTL_OK;
}
