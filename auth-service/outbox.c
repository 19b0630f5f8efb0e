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
        /* the stream was taken out of the database: nothing goes by its name any more */
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


void outbox_deliver(store_t *store, const char *socket_path, unsigned age_ms,
                    outbox_report_t *report)
{
    size_t               i, count = 0;
    control_result_t     result;
    store_revocation_t  *rows = calloc(OUTBOX_BATCH, sizeof(*rows));

    memset(report, 0, sizeof(*report));

    if (rows == NULL) {
        report->waiting = true;
        snprintf(report->error, sizeof(report->error), "out of memory");
        return;
    }

    if (store_revocation_pending(store, age_ms, rows, OUTBOX_BATCH, &count) != STORE_OK) {
        report->waiting = true;
        snprintf(report->error, sizeof(report->error), "database: %s", store_error(store));
    }

    for (i = 0; i < count; i++) {
        result = outbox_tell(socket_path, &rows[i], report);

        if (result == CONTROL_OK) {
            /* not marked, it is told once more: no harm */
            store_revocation_told(store, &rows[i]);
            continue;
        }

        report->waiting = true;
        if (result == CONTROL_AWAY) {
            break;
        }
        report->refused = true;
    }

    if (count == OUTBOX_BATCH && !report->waiting) {
        report->waiting = true;
        snprintf(report->error, sizeof(report->error), "more than %d at once", OUTBOX_BATCH);
    }

    free(rows);
}
