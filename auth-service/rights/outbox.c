#include "outbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUTBOX_BATCH  128


static control_result_t outbox_tell(const char *socket_path, const store_revocation_t *row,
                                    outbox_report_t *report)
{
    uint64_t          ended;
    control_result_t  result;

    if (row->stream && row->stream_name[0] == '\0') {
        /* its row was deleted by hand, without the name that nginx needs */
        return CONTROL_OK;
    }

    result = control_revoke(socket_path, row->user, row->stream_name, row->device, row->at,
                            &ended, report->error);
    if (result == CONTROL_OK) {
        report->ended += ended;
        report->told++;
    }

    return result;
}


/* Returns false when nginx does not answer: leave the other rows for later. */
static bool outbox_deliver_row(store_t *store, const char *socket_path,
                               const store_revocation_t *row, outbox_report_t *report)
{
    control_result_t  result = outbox_tell(socket_path, row, report);

    if (result == CONTROL_OK) {
        /* if marking fails, the row is delivered again, which is idempotent */
        store_revocation_told(store, row);
        return true;
    }

    report->waiting = true;
    report->refused = report->refused || result != CONTROL_AWAY;
    return result != CONTROL_AWAY;
}


static void outbox_fail(store_t *store, outbox_report_t *report)
{
    report->waiting = true;
    snprintf(report->error, sizeof(report->error), "database: %s", store_error(store));
}


static void outbox_full(outbox_report_t *report)
{
    if (!report->waiting) {
        report->waiting = true;
        snprintf(report->error, sizeof(report->error), "more than %d at once", OUTBOX_BATCH);
    }
}


void outbox_deliver(store_t *store, const char *socket_path, unsigned age_ms,
                    outbox_report_t *report)
{
    size_t               i, count = 0;
    store_revocation_t  *rows = calloc(OUTBOX_BATCH, sizeof(*rows));

    memset(report, 0, sizeof(*report));

    if (rows == NULL) {
        report->waiting = true;
        snprintf(report->error, sizeof(report->error), "out of memory");
        return;
    }

    if (store_revocation_pending(store, age_ms, rows, OUTBOX_BATCH, &count) != STORE_OK) {
        outbox_fail(store, report);
    }

    for (i = 0; i < count; i++) {
        if (!outbox_deliver_row(store, socket_path, &rows[i], report)) {
            break;
        }
    }

    if (count == OUTBOX_BATCH) {
        outbox_full(report);
    }
    free(rows);
}


void outbox_deliver_own(store_t *store, const char *socket_path, const store_revocation_t *own,
                        size_t count, outbox_report_t *report)
{
    size_t              i;
    bool                answers = true;
    store_result_t      found;
    store_revocation_t  row;

    memset(report, 0, sizeof(*report));

    for (i = 0; i < count && i < OUTBOX_BATCH && answers; i++) {
        found = store_revocation_one(store, &own[i], &row);

        if (found == STORE_OK) {
            answers = outbox_deliver_row(store, socket_path, &row, report);
        } else if (found != STORE_NONE) {
            outbox_fail(store, report);
            return;
        }
    }

    if (count > OUTBOX_BATCH) {
        outbox_full(report);
    }
}
