#include "ctl.h"
#include "publish_key.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/*
 * The key is shown here and never again. As text, lines of "word value" that a
 * script can cut: stream, server, name, key.
 */
static void ctl_key_show(ctl_t *ctl, const char *app, const char *name, const char *owner,
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
    char             key[SECRET_SIZE], what[NAME_FULL_MAX + 16];
    const char      *full = ctl->words[0], *title = ctl->title ? ctl->title : "";
    store_user_t     owner;
    store_result_t   result;

    if (!name_split(full, app, name)) {
        return ctl_fail(CTL_USAGE, "stream \"%.200s\"; expected APP/NAME: app " NAME_APP_RULE
                        ", name " NAME_STREAM_RULE, full);
    }
    if (!name_title_valid(title)) {
        return ctl_fail(CTL_USAGE, "title \"%.60s\"...; expected at most %d characters of "
                        "UTF-8", title, NAME_TITLE_MAX);
    }

    code = ctl_find_user(ctl, ctl->owner, &owner);
    if (code != CTL_OK) {
        return code;
    }

    result = publish_stream_add(ctl->store, app, name, owner.id, title, key);
    if (result != STORE_OK) {
        snprintf(what, sizeof(what), "stream %s", full);
        return ctl_store_fail(ctl, result, what);
    }

    ctl_audit(ctl, "stream add", full);
    ctl_key_show(ctl, app, name, owner.name, key);
    return CTL_OK;
}


static void ctl_stream_print(const store_stream_t *stream, void *data)
{
    (void) data;
    printf("%s/%-24s owner=%s visibility=%s record=%s max_kbps=%u max_viewers=%u %s\n",
           stream->app, stream->name, stream->owner_name, stream->visibility, stream->record,
           stream->max_kbps, stream->max_viewers, stream->title);
}


static void ctl_stream_collect(const store_stream_t *stream, void *data)
{
    json_array_append_new(data, json_pack("{ss ss ss ss ss ss si si}", "app", stream->app,
        "name", stream->name, "title", stream->title, "owner", stream->owner_name,
        "visibility", stream->visibility, "record", stream->record,
        "max_kbps", (int) stream->max_kbps, "max_viewers", (int) stream->max_viewers));
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


static bool ctl_word_in(const char *value, const char *const *words)
{
    for (; *words; words++) {
        if (strcmp(value, *words) == 0) {
            return true;
        }
    }
    return false;
}


static int ctl_set_number(const char *setting, const char *value, unsigned *out)
{
    char           *end;
    unsigned long   number;

    errno = 0;
    number = strtoul(value, &end, 10);
    if (*value < '0' || *value > '9' || *end || errno || number > 10000000) {
        return ctl_fail(CTL_USAGE, "%s is \"%.40s\"; expected a number from 0 (no limit) to "
                        "10000000", setting, value);
    }

    *out = (unsigned) number;
    return CTL_OK;
}


static int ctl_set_one(store_stream_t *stream, const char *setting)
{
    static const char *const  visibilities[] = { "private", "public", NULL };
    static const char *const  records[] = { "never", "always", "demand", NULL };

    const char  *value = strchr(setting, '=');
    size_t       length = value ? (size_t) (value - setting) : 0;

    value = value ? value + 1 : "";

    if (length == 5 && memcmp(setting, "title", 5) == 0) {
        if (!name_title_valid(value)) {
            return ctl_fail(CTL_USAGE, "title \"%.60s\"...; expected at most %d characters of "
                            "UTF-8", value, NAME_TITLE_MAX);
        }
        snprintf(stream->title, sizeof(stream->title), "%s", value);
        return CTL_OK;
    }

    if (length == 10 && memcmp(setting, "visibility", 10) == 0) {
        if (!ctl_word_in(value, visibilities)) {
            return ctl_fail(CTL_USAGE, "visibility is \"%.40s\"; expected private or public",
                            value);
        }
        snprintf(stream->visibility, sizeof(stream->visibility), "%s", value);
        return CTL_OK;
    }

    if (length == 6 && memcmp(setting, "record", 6) == 0) {
        if (!ctl_word_in(value, records)) {
            return ctl_fail(CTL_USAGE, "record is \"%.40s\"; expected never, always or demand",
                            value);
        }
        snprintf(stream->record, sizeof(stream->record), "%s", value);
        return CTL_OK;
    }

    if (length == 8 && memcmp(setting, "max_kbps", 8) == 0) {
        return ctl_set_number("max_kbps", value, &stream->max_kbps);
    }
    if (length == 11 && memcmp(setting, "max_viewers", 11) == 0) {
        return ctl_set_number("max_viewers", value, &stream->max_viewers);
    }

    return ctl_fail(CTL_USAGE, "setting \"%.60s\"; expected title=, visibility=, record=, "
                    "max_kbps= or max_viewers=", setting);
}


int ctl_stream_set(ctl_t *ctl)
{
    int              code;
    size_t           i;
    store_stream_t   stream;
    store_result_t   result;

    code = ctl_find_stream(ctl, ctl->words[0], 0, &stream);

    for (i = 1; code == CTL_OK && i < ctl->count; i++) {
        code = ctl_set_one(&stream, ctl->words[i]);
    }
    if (code != CTL_OK) {
        return code;
    }

    result = store_stream_update(ctl->store, &stream);
    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, ctl->words[0]);
    }

    ctl_audit(ctl, "stream set", ctl->words[0]);
    ctl_stream_print(&stream, NULL);
    return CTL_OK;
}


int ctl_key_add(ctl_t *ctl)
{
    int              code;
    char             key[SECRET_SIZE];
    const char      *label = ctl->label ? ctl->label : "";
    store_user_t     user;
    store_stream_t   stream;
    store_result_t   result;

    if (!name_utf8_valid(label) || strlen(label) > 64) {
        return ctl_fail(CTL_USAGE, "label \"%.70s\"; expected at most 64 bytes of UTF-8",
                        label);
    }

    code = ctl_find_stream(ctl, ctl->words[0], 0, &stream);
    if (code == CTL_OK) {
        code = ctl_find_user(ctl, ctl->user ? ctl->user : stream.owner_name, &user);
    }
    if (code != CTL_OK) {
        return code;
    }

    result = publish_key_add(ctl->store, stream.id, user.id, label, key);
    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, "key");
    }

    ctl_audit(ctl, "key add", ctl->words[0]);
    ctl_key_show(ctl, stream.app, stream.name, user.name, key);
    return CTL_OK;
}


int ctl_key_rotate(ctl_t *ctl)
{
    int              code;
    char             key[SECRET_SIZE];
    store_stream_t   stream;
    store_result_t   result;

    code = ctl_find_stream(ctl, ctl->words[0], 0, &stream);
    if (code != CTL_OK) {
        return code;
    }

    result = publish_key_rotate(ctl->store, stream.id, stream.owner, key);
    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, "key");
    }

    ctl_audit(ctl, "key rotate", ctl->words[0]);
    ctl_key_show(ctl, stream.app, stream.name, stream.owner_name, key);
    return CTL_OK;
}


int ctl_key_revoke(ctl_t *ctl)
{
    int              code;
    char            *end, what[NAME_FULL_MAX + 48];
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

    snprintf(what, sizeof(what), "live key %.20s of stream %s/%s", ctl->words[1], stream.app,
             stream.name);
    result = store_device_revoke(ctl->store, stream.id, id);
    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, what);
    }

    ctl_audit(ctl, "key revoke", what);
    printf("revoked: %s\n", what);
    return CTL_OK;
}


static void ctl_key_print(const store_device_t *device, void *data)
{
    (void) data;
    printf("%-6llu %-20s %s %-8s %s\n", (unsigned long long) device->id, device->user_name,
           device->created, device->revoked ? "revoked" : "valid", device->label);
}


static void ctl_key_collect(const store_device_t *device, void *data)
{
    json_array_append_new(data, json_pack("{sI ss ss ss sb}", "id", (json_int_t) device->id,
        "user", device->user_name, "label", device->label, "created", device->created,
        "revoked", device->revoked));
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
