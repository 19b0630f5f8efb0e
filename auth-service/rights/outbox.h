#ifndef DUOLU_OUTBOX_H
#define DUOLU_OUTBOX_H

#include "../base/control.h"
#include "../store/store.h"

/*
 * Delivers the pending rows of the table revocations to nginx, each at least once: it
 * marks a row as delivered only after nginx has answered. Delivery is idempotent, since
 * each row carries its time.
 */
typedef struct {
    unsigned  told;
    uint64_t  ended;                        /* sessions */
    bool      waiting;                      /* some could not be delivered, see error */
    bool      refused;                      /* nginx answered, but did not do it */
    char      error[CONTROL_ERROR_SIZE];
} outbox_report_t;

/* Delivers pending rows that changed at least age_ms ago, up to a batch. */
void outbox_deliver(store_t *store, const char *socket_path, unsigned age_ms,
                    outbox_report_t *report);

/*
 * Delivers only these rows, up to a batch, so that a change reports only the sessions
 * that it ended itself. The keeper delivers all other pending rows.
 */
void outbox_deliver_own(store_t *store, const char *socket_path, const store_revocation_t *own,
                        size_t count, outbox_report_t *report);

#endif
