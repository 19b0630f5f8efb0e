/* Commands for settings, and for what recordings take of the disk. */

#include "ctl.h"
#include "../rec/storage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>


int ctl_read_settings(ctl_t *ctl, settings_t *settings)
{
    char            wrong[STORE_SETTING_WRONG];
    store_result_t  result = store_settings(ctl->store, &ctl->config.defaults, settings, wrong);

    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, "settings");
    }
    if (wrong[0]) {
        ctl_fail(0, "warning: the table settings: %s: it counts as not set", wrong);
    }

    return CTL_OK;
}


static void settings_print(const ctl_t *ctl, const settings_t *settings)
{
    char    value[SETTINGS_TEXT_SIZE], otherwise[SETTINGS_TEXT_SIZE];
    size_t  i;

    for (i = 0; i < SETTINGS_COUNT; i++) {
        settings_text(&settings_all[i], settings, value);
        settings_text(&settings_all[i], &ctl->config.defaults, otherwise);
        if (settings->rows & (1u << i)) {
            printf("%s=%s (%s has %s)\n", settings_all[i].name, value, settings_all[i].variable,
                   otherwise);
        } else {
            printf("%s=%s (of %s)\n", settings_all[i].name, value, settings_all[i].variable);
        }
    }
}


int ctl_settings(ctl_t *ctl)
{
    settings_t  settings;
    int         code = ctl_read_settings(ctl, &settings);

    if (code != CTL_OK) {
        return code;
    }

    if (ctl->given & OPTION_JSON) {
        ctl_print_json(json_pack("{so}", "settings",
                                 settings_json(&settings, &ctl->config.defaults)));
    } else {
        settings_print(ctl, &settings);
    }
    return CTL_OK;
}


/* Splits NAME=VALUE at the "=" if there is one; a setting without a value is reset. */
static int settings_word(const char *word, bool with_value, change_setting_t *out)
{
    char              name[SETTINGS_NAME_SIZE], rule[SETTINGS_RULE_SIZE];
    size_t            length = strcspn(word, "=");
    settings_t        ignored;
    const setting_t  *setting;

    snprintf(name, sizeof(name), "%.*s", length < sizeof(name) ? (int) length : 0, word);
    setting = settings_find(name);
    if (setting == NULL || (word[length] == '=') != with_value) {
        return ctl_fail(CTL_USAGE, "\"%.60s\"; expected %s with a name of duoluctl settings",
                        word, with_value ? "NAME=VALUE" : "NAME");
    }
    if (with_value && (strlen(word + length + 1) >= SETTINGS_TEXT_SIZE
                       || !settings_put(setting, &ignored, word + length + 1)))
    {
        return ctl_fail(CTL_USAGE, "%s is \"%.40s\"; expected %s", name, word + length + 1,
                        settings_rule(setting, rule));
    }

    out->name = setting->name;
    out->value = with_value ? word + length + 1 : NULL;
    return CTL_OK;
}


static int settings_change(ctl_t *ctl, bool with_value)
{
    int               code = CTL_OK;
    size_t            i;
    change_t          change = ctl_change(ctl);
    settings_t        settings;
    store_result_t    result;
    change_setting_t  list[SETTINGS_COUNT];

    for (i = 0; i < ctl->count && code == CTL_OK; i++) {
        code = settings_word(ctl->words[i], with_value, &list[i]);
    }
    if (code != CTL_OK) {
        return code;
    }

    result = change_settings(&change, list, ctl->count);
    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, "settings");
    }

    for (i = 0; i < ctl->count; i++) {
        ctl_audit(ctl, with_value ? "settings set" : "settings reset", ctl->words[i]);
    }

    code = ctl_read_settings(ctl, &settings);
    if (code == CTL_OK) {
        settings_print(ctl, &settings);
    }
    return code;
}


int ctl_settings_set(ctl_t *ctl)
{
    return settings_change(ctl, true);
}


int ctl_settings_reset(ctl_t *ctl)
{
    return settings_change(ctl, false);
}


static void storage_print(const storage_t *storage)
{
    size_t                   i;
    const store_use_t       *use = storage->streams;
    const storage_person_t  *person = storage->people;

    if (storage->disk) {
        printf("disk %" PRIu64 " bytes, %" PRIu64 " free\n", storage->disk, storage->free);
    } else {
        printf("no folder of recordings, or its disk is not mounted\n");
    }
    printf("recordings %" PRIu64 " files, %" PRIu64 " bytes, %" PRIu64 " kept\n", storage->count,
           storage->bytes, storage->kept);

    for (i = 0; i < storage->person_count; i++, person++) {
        printf("user %s %" PRIu64 " files, %" PRIu64 " bytes%s\n",
               person->name[0] ? person->name : "(none)", person->count, person->bytes,
               person->full ? ", at the limit: not recorded" : "");
    }
    for (i = 0; i < storage->stream_count; i++, use++) {
        printf("stream %s/%s %" PRIu64 " files, %" PRIu64 " bytes\n", use->app, use->name,
               use->count, use->bytes);
    }
}


int ctl_storage(ctl_t *ctl)
{
    storage_t       storage;
    store_result_t  result = storage_read(ctl->store, &ctl->config, &storage);

    if (result == STORE_OK && !storage.failed) {
        if (ctl->given & OPTION_JSON) {
            ctl_print_json(storage_json(&storage));
        } else {
            storage_print(&storage);
        }
    }

    storage_free(&storage);
    return result != STORE_OK ? ctl_store_fail(ctl, result, "recordings")
           : storage.failed ? ctl_fail(CTL_FAILED, "out of memory") : CTL_OK;
}
