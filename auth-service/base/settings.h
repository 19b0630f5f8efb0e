#ifndef DUOLU_SETTINGS_H
#define DUOLU_SETTINGS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Settings that rows of the table `settings` change while the service runs. The environment has
 * their defaults: `rec_days` that of DUOLU_REC_DAYS.
 */

/* Bytes, or a part of the disk; both 0: no limit. */
typedef struct {
    uint64_t  bytes;
    unsigned  percent;
} settings_share_t;

typedef struct {
    unsigned          rec_days;         /* days and bytes of recordings, 0: no limit */
    uint64_t          rec_total;
    settings_share_t  rec_free;         /* of their disk that must stay free */
    settings_share_t  rec_quota;        /* for owners without a rec_quota; recording stops there */
    unsigned          audit_days;       /* days and rows, 0: no limit */
    unsigned          audit_rows;
    unsigned          max_kbps;         /* for streams without one, 0: no limit */
    unsigned          rows;             /* bits by the place in settings_all: it has a row */
} settings_t;

#define SETTINGS_COUNT      7
#define SETTINGS_NAME_SIZE  16
#define SETTINGS_TEXT_SIZE  32
#define SETTINGS_RULE_SIZE  100

typedef enum { SETTINGS_NUMBER, SETTINGS_BYTES, SETTINGS_SHARE } settings_kind_t;

typedef struct {
    const char       *name;
    const char       *variable;         /* in the environment */
    const char       *otherwise;        /* its default */
    settings_kind_t   kind;
    unsigned          most;             /* of a number */
    size_t            offset;           /* in settings_t */
} setting_t;

extern const setting_t  settings_all[SETTINGS_COUNT];

/* NULL: there is none of this name. */
const setting_t *settings_find(const char *name);

/* False: the text is not valid, and the value stays. */
bool settings_put(const setting_t *setting, settings_t *settings, const char *text);

/* "30", "500g", "5%" */
const char *settings_text(const setting_t *setting, const settings_t *settings,
                          char out[SETTINGS_TEXT_SIZE]);

bool settings_same(const settings_t *one, const settings_t *other);

/* "a number from 0 to 36500", for messages */
const char *settings_rule(const setting_t *setting, char out[SETTINGS_RULE_SIZE]);

/* [{"name", "value", "default", "variable", "set": it has a row}] */
json_t *settings_json(const settings_t *settings, const settings_t *defaults);

/* The share in bytes, on a disk of this size. */
uint64_t settings_share(const settings_share_t *share, uint64_t disk);

#endif
