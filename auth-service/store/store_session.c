#include "store_core.h"

/*
 * Ends a session. The end of a publisher's is when its stream was last seen, and its device, of
 * which the list of phones shows more. `changed` of the device stays: it is for changes that the
 * keeper has to look at.
 */
#define SESSION_END \
    "UPDATE sessions x LEFT JOIN streams s ON s.id = x.stream_id AND x.kind = 'publish' " \
    "LEFT JOIN devices d ON d.id = x.device_id " \
    "SET x.ended_at = UTC_TIMESTAMP(3), " \
    "s.last_seen_ms = CAST(UNIX_TIMESTAMP(UTC_TIMESTAMP(3)) * 1000 AS UNSIGNED), " \
    "d.last_seen = UTC_TIMESTAMP(3), d.address = x.address, d.agent = x.agent, " \
    "d.changed = d.changed, "


store_result_t store_session_begin(store_t *store, const char *kind, const char *gate_session,
                                   uint64_t user, uint64_t stream, uint64_t device,
                                   const char *address, const char *agent)
{
    static const char  sql[] =
        "INSERT INTO sessions (kind, gate_session, user_id, stream_id, device_id, address, "
        "agent) VALUES (?, ?, ?, ?, ?, ?, ?)";

    store_value_t  values[] = { store_text(kind), store_text(gate_session), store_integer(user),
                                store_integer(stream), store_integer_or_null(device),
                                store_text(address), store_text(agent) };

    return store_execute(store, sql, values, 7, NULL, NULL);
}


store_result_t store_session_end(store_t *store, const char *kind, const char *gate_session,
                                 uint64_t bytes, uint64_t seconds, const char *reason)
{
    static const char  sql[] =
        SESSION_END "x.bytes = ?, x.seconds = ?, x.reason = ?, d.end_reason = ? "
        "WHERE x.gate_session = ? AND x.kind = ? AND x.ended_at IS NULL";

    store_value_t   why = store_text(reason);
    store_value_t   values[] = { store_integer(bytes), store_integer(seconds), why, why,
                                 store_text(gate_session), store_text(kind) };

    return store_execute_rows(store, sql, values, 6);
}


typedef struct {
    store_open_session_t  *rows;
    size_t                 count;
} session_list_t;


static void session_take(const store_row_t *row, void *data)
{
    session_list_t        *list = data;
    store_open_session_t  *session = &list->rows[list->count++];

    session->id = row->integer[0];
    store_copy(session->gate_session, sizeof(session->gate_session), row->text[1]);
}


store_result_t store_session_open(store_t *store, unsigned age_s, uint64_t after,
                                  store_open_session_t *rows, size_t most, size_t *count)
{
    static const char  sql[] =
        "SELECT id, gate_session FROM sessions WHERE ended_at IS NULL AND id > ? "
        "AND started_at <= UTC_TIMESTAMP(3) - INTERVAL ? SECOND ORDER BY id LIMIT ?";

    session_list_t  list = { rows, 0 };
    store_value_t   values[] = { store_integer(after), store_integer(age_s),
                                 store_integer(most) };
    store_result_t  result = store_list(store, sql, values, 3, "it", session_take, &list);

    *count = list.count;
    return result;
}


store_result_t store_session_lost(store_t *store, uint64_t id, const char *reason)
{
    static const char  sql[] = SESSION_END "x.reason = ?, d.end_reason = ? "
                               "WHERE x.id = ? AND x.ended_at IS NULL";

    store_value_t   why = store_text(reason);
    store_value_t   values[] = { why, why, store_integer(id) };

    return store_execute_rows(store, sql, values, 3);
}


store_result_t store_session_prune(store_t *store, unsigned days, unsigned rows, unsigned most)
{
    static const char  newest[] = "SELECT id FROM sessions ORDER BY id DESC LIMIT 1";
    static const char  old[] =
        "DELETE FROM sessions WHERE ended_at < UTC_TIMESTAMP(3) - INTERVAL ? DAY "
        "ORDER BY ended_at LIMIT ?";
    static const char  many[] =
        "DELETE FROM sessions WHERE id <= ? AND ended_at IS NOT NULL ORDER BY id LIMIT ?";

    return store_prune(store, &(store_prune_t) { newest, old, many }, days, rows, most);
}
