#include "../base/control.h"
#include "keeper.h"
#include "../base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SESSIONS_EACH    (5 * 1000 / KEEPER_TICK_MS)    /* ticks between two comparisons */
#define SESSIONS_AGE_S   15     /* nginx may not list younger ones yet */
#define SESSIONS_BATCH   500
#define SESSIONS_REASON  "nginx no longer has it"

typedef struct {
    unsigned   check_in;         /* ticks */
    json_t    *missed;          /* ids of the rows that nginx did not have last time */
} sessions_t;


/* The ids of nginx's sessions; NULL when nginx does not answer. */
static json_t *sessions_of_nginx(const char *socket)
{
    char     error[CONTROL_ERROR_SIZE];
    json_t  *root = control_sessions(socket, error), *list, *each, *ids;
    size_t   i;

    list = json_object_get(root, "sessions");
    ids = json_is_array(list) ? json_object() : NULL;

    json_array_foreach(list, i, each) {
        if (ids) {
            json_object_set_new(ids, json_string_value(json_object_get(each, "id")), json_true());
        }
    }

    json_decref(root);
    return ids;
}


static void sessions_close(keeper_desk_t *desk, const store_open_session_t *row)
{
    char            session[100];
    store_result_t  result = store_session_lost(desk->store, row->id, SESSIONS_REASON);

    if (result == STORE_OK) {
        log_info("session %s closed: " SESSIONS_REASON,
                 log_quote(session, sizeof(session), row->gate_session));
    } else if (result == STORE_ERROR) {
        log_error("sessions: %s", store_error(desk->store));
    }
}


/*
 * Closes the rows of sessions that nginx did not have twice in a row: by then its own
 * report, with bytes and reason, would have come. The rows were read first, so none is
 * newer than nginx's answer.
 */
static void sessions_compare(keeper_desk_t *desk, const store_open_session_t *rows, size_t count,
                             json_t *there, const json_t *missed_before, json_t *missed)
{
    char    id[24];
    size_t  i;

    for (i = 0; i < count; i++) {
        if (json_object_get(there, rows[i].gate_session)) {
            continue;
        }

        snprintf(id, sizeof(id), "%" PRIu64, rows[i].id);
        if (json_object_get(missed_before, id)) {
            sessions_close(desk, &rows[i]);
        } else {
            json_object_set_new(missed, id, json_true());
        }
    }
}


/* Reads all open rows, before nginx is asked. */
static store_result_t sessions_read(store_t *store, store_open_session_t **rows, size_t *count)
{
    size_t                 got;
    uint64_t               after = 0;
    store_result_t         result;
    store_open_session_t  *grown;

    do {
        grown = realloc(*rows, (*count + SESSIONS_BATCH) * sizeof(**rows));
        if (grown == NULL) {
            return STORE_ERROR;
        }
        *rows = grown;

        result = store_session_open(store, SESSIONS_AGE_S, after, *rows + *count,
                                    SESSIONS_BATCH, &got);
        *count += got;
        after = got ? (*rows)[*count - 1].id : after;
    } while (result == STORE_OK && got == SESSIONS_BATCH);

    return result;
}


static void sessions_tick(keeper_desk_t *desk, void *data)
{
    json_t                *there = NULL, *missed;
    size_t                 count = 0;
    sessions_t            *state = data;
    store_open_session_t  *rows = NULL;

    if (state->check_in > 0) {
        state->check_in--;
        return;
    }
    state->check_in = SESSIONS_EACH;

    if (sessions_read(desk->store, &rows, &count) == STORE_OK && count) {
        there = sessions_of_nginx(desk->config->control_socket);
    }

    if (there) {
        missed = json_object();
        sessions_compare(desk, rows, count, there, state->missed, missed);
        json_decref(state->missed);
        state->missed = missed;
        json_decref(there);
    }

    free(rows);
}


static void sessions_end(keeper_desk_t *desk, void *data)
{
    sessions_t  *state = data;

    (void) desk;
    json_decref(state->missed);
}


const keeper_work_t  keeper_sessions = { sizeof(sessions_t), sessions_tick, sessions_end };
