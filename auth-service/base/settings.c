#include "settings.h"
#include "names.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SETTING(kind, name, variable, otherwise, most) \
    { #name, variable, otherwise, kind, most, offsetof(settings_t, name) }

const setting_t  settings_all[SETTINGS_COUNT] = {
    SETTING(SETTINGS_NUMBER, rec_days, "DUOLU_REC_DAYS", "0", 36500),
    SETTING(SETTINGS_BYTES, rec_total, "DUOLU_REC_TOTAL", "0", 0),
    SETTING(SETTINGS_SHARE, rec_free, "DUOLU_REC_FREE", "0", 0),
    SETTING(SETTINGS_SHARE, rec_quota, "DUOLU_REC_QUOTA", "80%", 0),
    SETTING(SETTINGS_NUMBER, audit_days, "DUOLU_AUDIT_DAYS", "90", 36500),
    SETTING(SETTINGS_NUMBER, audit_rows, "DUOLU_AUDIT_ROWS", "1000000", 2000000000),
    SETTING(SETTINGS_NUMBER, max_kbps, "DUOLU_MAX_KBPS", "50000", NAME_LIMIT_MAX),
};


const setting_t *settings_find(const char *name)
{
    size_t  i;

    for (i = 0; i < SETTINGS_COUNT; i++) {
        if (strcmp(settings_all[i].name, name) == 0) {
            return &settings_all[i];
        }
    }

    return NULL;
}


static bool settings_number(const char *text, unsigned most, unsigned *out)
{
    char           *end;
    unsigned long   value;

    errno = 0;
    value = strtoul(text, &end, 10);
    if (errno || *end || *text < '0' || *text > '9' || value > most) {
        return false;
    }

    *out = (unsigned) value;
    return true;
}


static bool settings_share_read(const char *text, settings_share_t *out)
{
    size_t    digits = strspn(text, "0123456789");
    uint64_t  bytes = 0;
    unsigned  percent = 0;

    if (digits >= 1 && digits <= 2 && strcmp(text + digits, "%") == 0) {
        percent = (unsigned) strtoul(text, NULL, 10);
    } else if (!name_size_parse(text, &bytes)) {
        return false;
    }

    *out = (settings_share_t) { bytes, percent };
    return true;
}


bool settings_put(const setting_t *setting, settings_t *settings, const char *text)
{
    void  *field = (char *) settings + setting->offset;

    switch (setting->kind) {
    case SETTINGS_NUMBER:
        return settings_number(text, setting->most, field);
    case SETTINGS_BYTES:
        return name_size_parse(text, field);
    default:
        return settings_share_read(text, field);
    }
}


/* With the largest unit that leaves no rest. */
static void settings_bytes(uint64_t bytes, char out[SETTINGS_TEXT_SIZE])
{
    static const char  units[] = "kmgt";

    size_t  unit = 0;

    while (bytes && bytes % 1024 == 0 && unit < 4) {
        bytes /= 1024;
        unit++;
    }

    snprintf(out, SETTINGS_TEXT_SIZE, "%" PRIu64 "%.1s", bytes, unit ? &units[unit - 1] : "");
}


const char *settings_text(const setting_t *setting, const settings_t *settings,
                          char out[SETTINGS_TEXT_SIZE])
{
    const void              *field = (const char *) settings + setting->offset;
    const settings_share_t  *share = field;

    if (setting->kind == SETTINGS_NUMBER) {
        snprintf(out, SETTINGS_TEXT_SIZE, "%u", *(const unsigned *) field);
    } else if (setting->kind == SETTINGS_BYTES) {
        settings_bytes(*(const uint64_t *) field, out);
    } else if (share->percent) {
        snprintf(out, SETTINGS_TEXT_SIZE, "%u%%", share->percent);
    } else {
        settings_bytes(share->bytes, out);
    }

    return out;
}


bool settings_same(const settings_t *one, const settings_t *other)
{
    char    a[SETTINGS_TEXT_SIZE], b[SETTINGS_TEXT_SIZE];
    size_t  i;

    for (i = 0; i < SETTINGS_COUNT; i++) {
        if (strcmp(settings_text(&settings_all[i], one, a),
                   settings_text(&settings_all[i], other, b)) != 0)
        {
            return false;
        }
    }

    return true;
}


const char *settings_rule(const setting_t *setting, char out[SETTINGS_RULE_SIZE])
{
    if (setting->kind == SETTINGS_NUMBER) {
        snprintf(out, SETTINGS_RULE_SIZE, "a number from 0 to %u", setting->most);
    } else {
        snprintf(out, SETTINGS_RULE_SIZE, NAME_SIZE_RULE "%s", setting->kind == SETTINGS_SHARE
                 ? ", or a part of the disk such as 5%" : "");
    }

    return out;
}


json_t *settings_json(const settings_t *settings, const settings_t *defaults)
{
    char     value[SETTINGS_TEXT_SIZE], otherwise[SETTINGS_TEXT_SIZE];
    size_t   i;
    json_t  *list = json_array();

    for (i = 0; i < SETTINGS_COUNT; i++) {
        json_array_append_new(list, json_pack("{ss ss ss ss sb}", "name", settings_all[i].name,
            "value", settings_text(&settings_all[i], settings, value),
            "default", settings_text(&settings_all[i], defaults, otherwise),
            "variable", settings_all[i].variable,
            "set", (settings->rows & (1u << i)) != 0));
    }

    return list;
}


uint64_t settings_share(const settings_share_t *share, uint64_t disk)
{
    return share->percent ? disk / 100 * share->percent : share->bytes;
}
