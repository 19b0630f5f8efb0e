#include "store_core.h"


store_result_t store_session_begin(store_t *store, const char *kind, const char *gate_session,
                                   uint64_t user, uint64_t stream, uint64_t device,
                                   const char *address)
{
    static const char  sql[] =
        "INSERT INTO sessions (kind, gate_session, user_id, stream_id, device_id, address) "
        "VALUES (?, ?, ?, ?, ?, ?)";

    store_value_t  values[] = { store_text(kind), store_text(gate_session), store_integer(user),
                                store_integer(stream), store_integer_or_null(device),
                                store_text(address) };

    return store_execute(store, sql, values, 6, NULL, NULL);
}


store_result_t store_session_end(store_t *store, const char *kind, const char *gate_session,
                                 uint64_t bytes, uint64_t seconds, const char *reason)
{
    static const char  sql[] =
        "UPDATE sessions SET ended_at = UTC_TIMESTAMP(3), bytes = ?, seconds = ?, reason = ? "
        "WHERE gate_session = ? AND kind = ? AND ended_at IS NULL";

    uint64_t        affected = 0;
    store_value_t   values[] = { store_integer(bytes), store_integer(seconds),
                                 store_text(reason), store_text(gate_session),
                                 store_text(kind) };
    store_result_t  result = store_execute(store, sql, values, 5, &affected, NULL);

    return result == STORE_OK && affected == 0 ? STORE_NONE : result;
}
