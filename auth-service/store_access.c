/* Who could do what, pair by pair: what a change takes away is the difference of two looks. */

#include "store_core.h"

#define ACCESS_GRANTED \
    "(SELECT BIT_OR(g.rights + 0) FROM grants g " \
    " LEFT JOIN group_members m ON m.group_id = g.group_id AND m.user_id = u.id " \
    " WHERE (g.user_id = u.id OR m.user_id IS NOT NULL) " \
    "   AND (g.stream_id = s.id OR g.app = s.app))"


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


store_result_t store_access_list(store_t *store, const store_scope_t *scope,
                                 store_access_each each, void *data)
{
    static const char  sql[] =
        "SELECT u.id, u.admin, u.disabled, s.id, s.owner_id, o.disabled, "
        "s.visibility = 'public', " ACCESS_GRANTED " "
        "FROM streams s JOIN users o ON o.id = s.owner_id CROSS JOIN users u "
        "WHERE (? IS NULL OR s.id = ?) AND (? IS NULL OR s.app = ?) "
        "AND (? IS NULL OR u.id = ?) "
        "AND (? IS NULL OR u.id IN (SELECT p.user_id FROM group_members p WHERE p.group_id = ?))";

    store_value_t   stream = store_integer_or_null(scope->stream), app = store_text(scope->app);
    store_value_t   user = store_integer_or_null(scope->user);
    store_value_t   group = store_integer_or_null(scope->group);
    store_value_t   values[] = { stream, stream, app, app, user, user, group, group };
    access_list_t   list = { each, data };
    store_result_t  result;

    result = store_query(store, sql, values, 8, "iiiiiiii", access_take_each, &list);
    return result == STORE_NONE ? STORE_OK : result;
}
