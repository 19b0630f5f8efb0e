#include "store_core.h"

#include <stdio.h>

typedef struct {
    store_setting_each   each;
    void                *data;
} setting_list_t;

typedef struct {
    settings_t  *settings;
    char        *wrong;
} setting_apply_t;


static void setting_take(const store_row_t *row, void *data)
{
    setting_list_t  *list = data;

    list->each(row->text[0], row->text[1], list->data);
}


store_result_t store_setting_list(store_t *store, store_setting_each each, void *data)
{
    static const char  sql[] = "SELECT name, value FROM settings ORDER BY name";

    setting_list_t  list = { each, data };

    return store_list(store, sql, NULL, 0, "tt", setting_take, &list);
}


static void setting_apply(const char *name, const char *value, void *data)
{
    char              rule[SETTINGS_RULE_SIZE];
    setting_apply_t  *apply = data;
    const setting_t  *setting = settings_find(name);

    if (setting == NULL) {
        snprintf(apply->wrong, STORE_SETTING_WRONG, "there is no setting \"%.32s\"", name);
    } else if (settings_put(setting, apply->settings, value)) {
        apply->settings->rows |= 1u << (setting - settings_all);
    } else {
        snprintf(apply->wrong, STORE_SETTING_WRONG, "%s is \"%.32s\"; expected %s", name, value,
                 settings_rule(setting, rule));
    }
}


store_result_t store_settings(store_t *store, const settings_t *defaults, settings_t *settings,
                              char wrong[STORE_SETTING_WRONG])
{
    settings_t       read = *defaults;
    setting_apply_t  apply = { &read, wrong };
    store_result_t   result;

    wrong[0] = '\0';
    result = store_setting_list(store, setting_apply, &apply);
    if (result == STORE_OK) {
        *settings = read;
    }

    return result;
}


store_result_t store_setting_set(store_t *store, const char *name, const char *value)
{
    static const char  sql[] = "INSERT INTO settings (name, value) VALUES (?, ?) "
                               "ON DUPLICATE KEY UPDATE value = VALUES(value)";

    store_value_t  values[] = { store_text(name), store_text(value) };

    return store_execute(store, sql, values, 2, NULL, NULL);
}


store_result_t store_setting_remove(store_t *store, const char *name)
{
    static const char  sql[] = "DELETE FROM settings WHERE name = ?";

    store_value_t  values[] = { store_text(name) };

    return store_execute(store, sql, values, 1, NULL, NULL);
}
