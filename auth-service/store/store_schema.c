#include "store_core.h"


store_result_t store_schema_prepare(store_t *store)
{
    return store_plain(store,
        "CREATE TABLE IF NOT EXISTS schema_version ("
        " version INT UNSIGNED NOT NULL,"
        " name VARCHAR(128) NOT NULL,"
        " applied_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),"
        " PRIMARY KEY (version)"
        ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin");
}


store_result_t store_schema_applied(store_t *store, unsigned version, bool *applied)
{
    static const char  sql[] = "SELECT version FROM schema_version WHERE version = ?";

    store_value_t   values[] = { store_integer(version) };
    store_result_t  result = store_query(store, sql, values, 1, "i", NULL, NULL);

    *applied = result == STORE_OK;
    return result == STORE_NONE ? STORE_OK : result;
}


store_result_t store_schema_newest(store_t *store, unsigned *version)
{
    static const char  sql[] = "SELECT MAX(version) FROM schema_version";

    uint64_t        newest = 0;
    store_result_t  result;

    result = store_query_integer(store, sql, NULL, 0, &newest);
    *version = (unsigned) newest;
    return result;
}


store_result_t store_schema_run(store_t *store, const char *statement)
{
    return store_plain(store, statement);
}


store_result_t store_schema_record(store_t *store, unsigned version, const char *name)
{
    static const char  sql[] = "INSERT INTO schema_version (version, name) VALUES (?, ?)";

    store_value_t  values[] = { store_integer(version), store_text(name) };

    return store_execute(store, sql, values, 2, NULL, NULL);
}
