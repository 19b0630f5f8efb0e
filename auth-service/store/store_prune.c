#include "store_core.h"


/* Estimates the number of rows by their ids, which have few gaps, to avoid a COUNT(*). */
static store_result_t prune_many(store_t *store, const store_prune_t *table, unsigned rows,
                                 unsigned most, uint64_t *affected)
{
    uint64_t        id = 0;
    store_value_t   values[2];
    store_result_t  result = store_query_integer(store, table->newest, NULL, 0, &id);

    if (result != STORE_OK || id <= rows) {
        return result == STORE_NONE ? STORE_OK : result;
    }

    values[0] = store_integer(id - rows);
    values[1] = store_integer(most);
    return store_execute(store, table->many, values, 2, affected, NULL);
}


store_result_t store_prune(store_t *store, const store_prune_t *table, unsigned days,
                           unsigned rows, unsigned most)
{
    uint64_t        old = 0, many = 0;
    store_value_t   values[] = { store_integer(days), store_integer(most) };
    store_result_t  result = STORE_OK;

    if (days) {
        result = store_execute(store, table->old, values, 2, &old, NULL);
    }
    if (rows && result == STORE_OK) {
        result = prune_many(store, table, rows, most, &many);
    }

    return result == STORE_OK && old + many == 0 ? STORE_NONE : result;
}
