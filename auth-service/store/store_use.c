#include "store_core.h"

typedef struct {
    store_use_each   each;
    void            *data;
} use_list_t;


static void use_take(const store_row_t *row, void *data)
{
    use_list_t   *list = data;
    store_use_t   use;

    store_copy(use.app, sizeof(use.app), row->text[0]);
    store_copy(use.name, sizeof(use.name), row->text[1]);
    store_copy(use.title, sizeof(use.title), row->text[2]);
    use.owner = row->integer[3];
    store_copy(use.owner_name, sizeof(use.owner_name), row->text[4]);
    use.owner_quota = row->integer[5];
    use.owner_full = row->integer[6] != 0;
    use.count = row->integer[7];
    use.bytes = row->integer[8];
    use.kept = row->integer[9];
    use.from = (int64_t) row->integer[10];

    list->each(&use, list->data);
}


store_result_t store_use_list(store_t *store, store_use_each each, void *data)
{
    static const char  sql[] =
        "SELECT u.app, u.name, s.title, s.owner_id, o.name, o.rec_quota, o.rec_full, u.files, "
        "u.bytes, u.kept, u.oldest FROM (SELECT app, name, COUNT(*) AS files, "
        "CAST(SUM(bytes) AS UNSIGNED) AS bytes, CAST(SUM(keep * bytes) AS UNSIGNED) AS kept, "
        "MIN(started_ms) AS oldest FROM recordings GROUP BY app, name) u "
        "LEFT JOIN streams s ON s.app = u.app AND s.name = u.name "
        "LEFT JOIN users o ON o.id = s.owner_id ORDER BY u.bytes DESC, u.app, u.name";

    use_list_t  list = { each, data };

    return store_list(store, sql, NULL, 0, "tttitiiiiii", use_take, &list);
}
