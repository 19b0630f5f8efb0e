#include "keeper.h"
#include "../base/control.h"
#include "../base/log.h"

#include <stdlib.h>
#include <string.h>

/*
 * The service does not store which revocations an edge knows. After the service has started,
 * and when the edge did not answer for a while (it may be another one then), the service tells
 * it everything. Telling it twice is harmless.
 */
#define EDGE_OVERLAP_MS  30000      /* a row may be committed so long after its time */
#define EDGE_TOLD        256        /* newest rows that are not told again in that time */
#define EDGE_LOOK_TICKS  10         /* how often we check that it answers */
#define EDGE_PAUSE_TICKS 4          /* after it did not */

typedef struct {
    uint64_t            since;      /* ms; it knows what changed before; 0: nothing */
    unsigned            pause;      /* ticks */
    unsigned            look_in;
    size_t              told;
    store_revocation_t  rows[EDGE_TOLD];
    char                logged[CONTROL_ERROR_SIZE];
} edge_state_t;


static void edge_log_change(edge_state_t *state, const config_t *config, unsigned number,
                            const char *error)
{
    if (strcmp(state->logged, error) == 0) {
        return;
    }

    if (error[0]) {
        log_warning("edge %u: revocations wait, its viewers may go on: %s", number + 1, error);
    } else {
        log_info("edge %u of %u knows all revocations again", number + 1, config->edge_count);
    }
    snprintf(state->logged, sizeof(state->logged), "%s", error);
}


static bool edge_knows(const edge_state_t *state, const store_revocation_t *row)
{
    size_t                     i, count = state->told < EDGE_TOLD ? state->told : EDGE_TOLD;
    const store_revocation_t  *each;

    for (i = 0; i < count; i++) {
        each = &state->rows[i];
        if (each->user == row->user && each->stream == row->stream
            && each->device == row->device && each->at == row->at)
        {
            return true;
        }
    }

    return false;
}


/* Tells the edge of the rows that it does not know. */
static control_result_t edge_tell(keeper_desk_t *desk, edge_state_t *state,
                                  const store_revocation_t *rows, size_t count, char *error)
{
    size_t             i;
    uint64_t           ended;
    const char        *socket = desk->config->edges[desk->number];
    control_result_t   result, worst = CONTROL_OK;

    for (i = 0; i < count && !atomic_load(&desk->stopping); i++) {
        /* keys are the origin's matter, and a stream deleted by hand has left no name */
        if (rows[i].device || (rows[i].stream && rows[i].stream_name[0] == '\0')
            || edge_knows(state, &rows[i]))
        {
            continue;
        }

        result = control_revoke(socket, rows[i].user, rows[i].stream_name, 0, rows[i].at,
                                &ended, error);
        if (result == CONTROL_AWAY) {
            return result;
        }
        if (result != CONTROL_OK) {
            worst = result;
            continue;
        }

        state->rows[state->told++ % EDGE_TOLD] = rows[i];
    }

    return worst;
}


/* Does the edge answer? */
static bool edge_answers(keeper_desk_t *desk, char *error)
{
    json_t  *root = control_status(desk->config->edges[desk->number], error);

    json_decref(root);
    return root != NULL;
}


static control_result_t edge_update(keeper_desk_t *desk, edge_state_t *state, char *error)
{
    size_t               count;
    uint64_t             now = 0;
    store_result_t       found;
    control_result_t     result;
    store_revocation_t  *rows;

    if (state->look_in == 0 || state->since == 0) {
        state->look_in = EDGE_LOOK_TICKS;
        if (!edge_answers(desk, error)) {
            return CONTROL_AWAY;
        }
    }
    state->look_in--;

    found = store_revocation_since(desk->store, state->since, &now, &rows, &count);
    if (found != STORE_OK) {
        free(rows);
        snprintf(error, CONTROL_ERROR_SIZE, "database: %s", store_error(desk->store));
        return CONTROL_REFUSED;
    }

    error[0] = '\0';
    result = edge_tell(desk, state, rows, count, error);
    free(rows);
    if (result == CONTROL_OK) {
        state->since = now - EDGE_OVERLAP_MS;
    }

    return result;
}


static void edge_tick(keeper_desk_t *desk, void *data)
{
    char               error[CONTROL_ERROR_SIZE] = "";
    edge_state_t      *state = data;
    control_result_t   result;

    if (state->pause) {
        state->pause--;
        return;
    }

    result = edge_update(desk, state, error);
    if (result != CONTROL_OK) {
        state->pause = EDGE_PAUSE_TICKS;
    }
    if (result == CONTROL_AWAY) {
        state->since = 0;
        state->told = 0;
    }

    edge_log_change(state, desk->config, desk->number, result == CONTROL_OK ? "" : error);
}


const keeper_work_t  keeper_edge = { sizeof(edge_state_t), edge_tick, NULL };
