/* The admin's calls for settings and for what recordings take of the disk. */

#include "api.h"
#include "../base/log.h"
#include "../rec/prune.h"
#include "../rec/storage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PLAN_LIST    100        /* files that a plan names */
#define PLAN_MOST    5000       /* files that it counts, unless space has to be made */
#define DELETE_MOST  200        /* files deleted by one call, which holds the lock on recordings */
#define LOCK_WAIT_S  3

typedef struct {
    settings_t        settings;                 /* as they would be */
    change_setting_t  list[SETTINGS_COUNT];
    char              texts[SETTINGS_COUNT][SETTINGS_TEXT_SIZE];
    size_t            count;
} wish_t;

typedef struct {
    json_t  *files;
    json_t  *reasons;           /* "older than rec_days" -> {"count", "bytes"} */
} plan_t;


/* --- settings --- */

/* False after answering an error. */
static bool settings_now(api_t *api, settings_t *settings)
{
    char            wrong[STORE_SETTING_WRONG];     /* the keeper logs it */
    store_result_t  result;

    result = store_settings(api->store, &api->service->config->defaults, settings, wrong);
    if (result != STORE_OK) {
        api_store_error(api, result, "settings");
    }

    return result == STORE_OK;
}


static void settings_reply(api_t *api, const settings_t *settings)
{
    api_reply(api, json_pack("{so}", "settings",
                             settings_json(settings, &api->service->config->defaults)));
}


void api_settings(api_t *api)
{
    settings_t  settings;

    if (settings_now(api, &settings)) {
        settings_reply(api, &settings);
    }
}


/* Takes one setting of the body: a text, a number, or null for the environment's value. */
static bool wish_take(api_t *api, wish_t *wish, const setting_t *setting, json_t *value)
{
    char         given[SETTINGS_TEXT_SIZE * 2] = "", rule[SETTINGS_RULE_SIZE];
    char        *text = wish->texts[wish->count];
    bool         good;

    if (json_is_null(value)) {
        settings_text(setting, &api->service->config->defaults, given);
    } else if (json_is_integer(value)) {
        snprintf(given, sizeof(given), "%lld", (long long) json_integer_value(value));
    } else if (json_is_string(value)) {
        snprintf(given, sizeof(given), "%s", json_string_value(value));
    }

    good = settings_put(setting, &wish->settings, given);
    if (!good) {
        api_error(api, 400, "bad_request", "\"%s\" is \"%.40s\"; expected %s.", setting->name,
                  given, settings_rule(setting, rule));
        return false;
    }

    settings_text(setting, &wish->settings, text);
    wish->list[wish->count++] = (change_setting_t) { setting->name,
                                                     json_is_null(value) ? NULL : text };
    return true;
}


/* Reads the settings of the body, upon those of now. False after answering an error. */
static bool wish_read(api_t *api, wish_t *wish)
{
    json_t           *value;
    const char       *name;
    const setting_t  *setting;

    wish->count = 0;
    if (!settings_now(api, &wish->settings)) {
        return false;
    }

    json_object_foreach(api->body, name, value) {
        setting = settings_find(name);
        if (setting == NULL) {
            api_error(api, 400, "bad_request", "There is no setting \"%.40s\".", name);
            return false;
        }
        if (!wish_take(api, wish, setting, value)) {
            return false;
        }
    }

    return true;
}


void api_settings_set(api_t *api)
{
    size_t           i;
    wish_t           wish;
    change_t         change = api_change(api);
    settings_t       settings;
    store_result_t   result;

    if (!wish_read(api, &wish)) {
        return;
    }

    result = change_settings(&change, wish.list, wish.count);
    if (result != STORE_OK) {
        api_store_error(api, result, "setting");
        return;
    }

    for (i = 0; i < wish.count; i++) {
        api_audit(api, "settings set", true, wish.list[i].name,
                  wish.list[i].value ? wish.list[i].value : "default");
    }
    if (settings_now(api, &settings)) {
        settings_reply(api, &settings);
    }
}


/* --- storage --- */

void api_storage(api_t *api)
{
    storage_t       storage;
    store_result_t  result = storage_read(api->store, api->service->config, &storage);

    if (result != STORE_OK) {
        api_store_error(api, result, "recordings");
    } else if (storage.failed) {
        api_error(api, 500, "internal", "Out of memory.");
    } else {
        api_reply(api, storage_json(&storage));
    }

    storage_free(&storage);
}


static void plan_collect(const store_recording_t *recording, retention_why_t why, void *data)
{
    plan_t   *plan = data;
    json_t   *reason = json_object_get(plan->reasons, retention_text(why));
    uint64_t  count = 0, bytes = 0;

    if (json_array_size(plan->files) < PLAN_LIST) {
        json_array_append_new(plan->files, json_pack("{sI so sI sI ss}",
            "id", (json_int_t) recording->id,
            "stream", json_sprintf("%s/%s", recording->app, recording->name),
            "from", (json_int_t) recording->from, "bytes", (json_int_t) recording->bytes,
            "reason", retention_text(why)));
    }

    if (reason) {
        count = (uint64_t) json_integer_value(json_object_get(reason, "count"));
        bytes = (uint64_t) json_integer_value(json_object_get(reason, "bytes"));
    }
    json_object_set_new(plan->reasons, retention_text(why), json_pack("{sI sI}",
                        "count", (json_int_t) (count + 1),
                        "bytes", (json_int_t) (bytes + recording->bytes)));
}


/* Runs it; false after answering an error. */
static bool storage_prune(api_t *api, prune_t *prune)
{
    store_result_t  result;

    prune->store = api->store;
    prune->config = api->service->config;
    prune->actor = api->user.name;
    prune->wait_s = LOCK_WAIT_S;

    result = prune_run(prune);
    if (result == STORE_OK) {
        return true;
    }

    if (result == STORE_NONE) {
        api_wait(api, "busy", 2000, "The recordings are being changed. Try again in a moment.");
    } else {
        api_store_error(api, result, "recordings");
    }
    return false;
}


/* Lists the files that retention would take, by the body's settings if any; deletes nothing. */
void api_storage_plan(api_t *api)
{
    char      rules[PRUNE_RULES_SIZE];
    plan_t    plan = { json_array(), json_object() };
    wish_t    wish;
    prune_t   prune = { .settings = &wish.settings, .dry = true, .most = PLAN_MOST,
                        .each = plan_collect, .data = &plan };

    if (wish_read(api, &wish) && storage_prune(api, &prune)) {
        api_reply(api, json_pack("{sI sI sb sO sO ss}", "count", (json_int_t) prune.count,
                                 "bytes", (json_int_t) prune.bytes, "more", prune.more,
                                 "reasons", plan.reasons, "files", plan.files,
                                 "broken", prune_rules(prune.broken, rules)));
    }

    json_decref(plan.files);
    json_decref(plan.reasons);
}


/* Deletes recordings that ended before a time; `dry` only counts them. */
void api_storage_delete(api_t *api)
{
    char         app[NAME_APP_MAX + 1], name[NAME_STREAM_MAX + 1];
    json_t      *before = json_object_get(api->body, "before");
    prune_t      prune = { .before = json_integer_value(before),
                           .dry = json_is_true(json_object_get(api->body, "dry")) };
    settings_t   settings;
    const char  *stream = api_text(api, "stream", "");

    if (stream == NULL) {
        return;
    }
    if (prune.before <= 0) {
        api_error(api, 400, "bad_request", "\"before\" is %s; expected milliseconds since 1970.",
                  before ? "not a time" : "missing");
        return;
    }
    if (*stream && !name_split(stream, app, name)) {
        api_error(api, 400, "bad_name", "stream is \"%.150s\"; expected APP/NAME.", stream);
        return;
    }
    if (!settings_now(api, &settings)) {
        return;
    }

    prune.settings = &settings;
    prune.stream = *stream ? stream : NULL;
    prune.most = prune.dry ? 0 : DELETE_MOST;
    if (!storage_prune(api, &prune)) {
        return;
    }

    if (prune.failed) {
        log_error("recordings: %s", prune.error);
    }
    api_reply(api, json_pack("{sI sI sb sI}", "count", (json_int_t) prune.count,
                             "bytes", (json_int_t) prune.bytes, "more", prune.more,
                             "failed", (json_int_t) prune.failed));
}
