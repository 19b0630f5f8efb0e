/* Who could do what with a stream: a change takes away the difference of two looks. */

#include "store_core.h"


typedef struct {
    store_access_each  each;
    void              *data;
} access_list_t;


static void access_take_each(const store_row_t *row, void *data)
{
    access_list_t   *list = data;
    store_access_t   access;

    access.user = row->integer[0];
    access.admin = row->integer[1] != 0;
    access.disabled = row->integer[2] != 0;
    access.stream = row->integer[3];
    access.owner = row->integer[4];
    access.owner_disabled = row->integer[5] != 0;
    access.is_public = row->integer[6] != 0;
    access.granted = (unsigned) row->integer[7];

    list->each(&access, list->data);
}


store_result_t store_access_list(store_t *store, uint64_t stream, uint64_t group,
                                 store_access_each each, void *data)
{
    static const char  sql[] =
        "SELECT u.id, u.admin, u.disabled, s.id, s.owner_id, o.disabled, "
        "s.visibility = 'public', COALESCE(e.rights, 0) "
        "FROM streams s JOIN users o ON o.id = s.owner_id CROSS JOIN users u "
        "LEFT JOIN (SELECT x.user_id, BIT_OR(x.rights) AS rights FROM ("
        "  SELECT g.user_id, g.rights + 0 AS rights FROM grants g JOIN streams t "
        "  ON (g.stream_id = t.id OR g.app = t.app) WHERE t.id = ? AND g.user_id IS NOT NULL "
        "  UNION ALL "
        "  SELECT m.user_id, g.rights + 0 FROM grants g JOIN streams t "
        "  ON (g.stream_id = t.id OR g.app = t.app) JOIN group_members m "
        "  ON m.group_id = g.group_id WHERE t.id = ?) x GROUP BY x.user_id) e "
        "ON e.user_id = u.id "
        "WHERE s.id = ? AND (? = 0 OR u.id IN "
        " (SELECT p.user_id FROM group_members p WHERE p.group_id = ?))";

    store_value_t   of = store_integer(stream), in = store_integer(group);
    store_value_t   values[] = { of, of, of, in, in };
    access_list_t   list = { each, data };
    store_result_t  result;

    result = store_query(store, sql, values, 5, "iiiiiiii", access_take_each, &list);
    return result == STORE_NONE ? STORE_OK : result;
}
