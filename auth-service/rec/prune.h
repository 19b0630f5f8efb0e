#ifndef DUOLU_PRUNE_H
#define DUOLU_PRUNE_H

#include "../base/config.h"
#include "retention.h"
#include "../store/store.h"

#include <stdatomic.h>

#define PRUNE_ERROR_SIZE  600

/* Deletes what retention says, or with dry only tells what that would be. */
typedef struct {
    store_t            *store;
    const config_t     *config;
    const char         *actor;          /* for the audit */
    bool                dry;
    unsigned            wait_s;         /* for the lock on the recordings */
    unsigned            most;           /* files at once, unless for room; 0: all */
    const atomic_bool  *stopping;       /* ends it between two files; may be NULL */
    void              (*each)(const store_recording_t *recording, retention_why_t why,
                              void *data);              /* may be NULL */
    void               *data;
    /* out: */
    unsigned            count;
    uint64_t            bytes;
    bool                more;           /* would go, had most not been reached */
    unsigned            broken;         /* rules that no deleting satisfies */
    unsigned            failed;         /* files that could not be deleted, error says why */
    char                error[PRUNE_ERROR_SIZE];
} prune_t;

/* STORE_NONE: another is at the recordings */
store_result_t prune_run(prune_t *prune);

/* Whether there is less room than DUOLU_REC_FREE; without a folder there is enough. */
bool prune_short(const config_t *config);

/* "DUOLU_REC_TOTAL, DUOLU_REC_FREE" of the bits that retention_choose() gave */
#define PRUNE_RULES_SIZE  80
const char *prune_rules(unsigned broken, char out[PRUNE_RULES_SIZE]);

#endif
