#ifndef DUOLU_PRUNE_H
#define DUOLU_PRUNE_H

#include "../base/config.h"
#include "retention.h"
#include "../store/store.h"

#include <stdatomic.h>

#define PRUNE_ERROR_SIZE  600

/*
 * Deletes the recordings that the retention rules choose, or with `before` those that ended
 * before it; with `dry` only lists them.
 */
typedef struct {
    store_t            *store;
    const config_t     *config;
    const settings_t   *settings;
    const char         *actor;          /* named in the audit */
    bool                dry;
    int64_t             before;         /* unix ms, 0: the rules decide */
    const char         *stream;         /* APP/NAME, with `before`: only of it; NULL: of all */
    unsigned            wait_s;         /* for the lock on the recordings */
    unsigned            most;           /* files at once, except to make space; 0: no limit */
    const atomic_bool  *stopping;       /* checked between two files; may be NULL */
    void              (*each)(const store_recording_t *recording, retention_why_t why,
                              void *data);              /* may be NULL */
    void               *data;
    /* out: */
    unsigned            count;
    uint64_t            bytes;
    bool                more;           /* `most` was reached before all were deleted */
    unsigned            broken;         /* rules that deleting cannot satisfy */
    unsigned            failed;         /* files that could not be deleted, see error */
    char                error[PRUNE_ERROR_SIZE];
} prune_t;

/* STORE_NONE: another process has the lock on the recordings */
store_result_t prune_run(prune_t *prune);

/* Is less space free than rec_free? False without a folder of recordings. */
bool prune_short(const config_t *config, const settings_t *settings);

/* Names the broken rules of retention_choose(): "rec_total rec_free". */
#define PRUNE_RULES_SIZE  80
const char *prune_rules(unsigned broken, char out[PRUNE_RULES_SIZE]);

#endif
