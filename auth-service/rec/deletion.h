#ifndef DUOLU_DELETION_H
#define DUOLU_DELETION_H

#include "../base/config.h"
#include "../store/store.h"

#include <stdatomic.h>

#define DELETION_ERROR_SIZE  600

/* Deletes the recordings of streams that were deleted with them, also those marked `keep`. */
typedef struct {
    store_t            *store;
    const config_t     *config;
    const atomic_bool  *stopping;       /* checked between two files */
    /* out: */
    unsigned            count;
    uint64_t            bytes;
    char                error[DELETION_ERROR_SIZE];     /* of a file that stays; "": none */
} deletion_t;

/* One that is still being written waits. STORE_NONE: nothing to do, or another has the lock. */
store_result_t deletion_run(deletion_t *deletion);

#endif
