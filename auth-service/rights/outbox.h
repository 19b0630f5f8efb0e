#ifndef DUOLU_OUTBOX_H
#define DUOLU_OUTBOX_H

#include "../base/control.h"
#include "../store/store.h"

/*
 * Brings to nginx what the table revocations says it does not know yet. A row
 * is marked as told only after nginx has answered, so it is told at least
 * once, and telling it twice changes nothing: its time goes with it.
 */
typedef struct {
    unsigned  told;
    uint64_t  ended;                        /* sessions */
    bool      waiting;                      /* some could not be told, error says why */
    bool      refused;                      /* nginx answered, but did not do it */
    char      error[CONTROL_ERROR_SIZE];
} outbox_report_t;

/* Whatever changed so long ago, up to a batch. */
void outbox_deliver(store_t *store, const char *socket_path, unsigned age_ms,
                    outbox_report_t *report);

/*
 * These alone, up to a batch: what a change tells of is its own. Whatever else
 * nginx does not know, and what that ends, is the keeper's.
 */
void outbox_deliver_own(store_t *store, const char *socket_path, const store_revocation_t *own,
                        size_t count, outbox_report_t *report);

#endif
