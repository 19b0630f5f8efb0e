#include "store_core.h"


store_result_t store_group_add(store_t *store, const char *name)
{
    static const char  sql[] = "INSERT INTO user_groups (name) VALUES (?)";

    store_value_t  values[] = { store_text(name) };

    return store_execute(store, sql, values, 1, NULL, NULL);
}


store_result_t store_group_id(store_t *store, const char *name, uint64_t *id)
{
    static const char  sql[] = "SELECT id FROM user_groups WHERE name = ?";

    store_value_t  values[] = { store_text(name) };

    return store_query_integer(store, sql, values, 1, id);
}


store_result_t store_group_remove(store_t *store, uint64_t group)
{
    static const char  sql[] = "DELETE FROM user_groups WHERE id = ?";

    store_value_t  values[] = { store_integer(group) };

    return store_execute_rows(store, sql, values, 1);
}


store_result_t store_group_join(store_t *store, uint64_t group, uint64_t user)
{
    static const char  sql[] = "INSERT INTO group_members (group_id, user_id) VALUES (?, ?)";

    store_value_t  values[] = { store_integer(group), store_integer(user) };

    return store_execute(store, sql, values, 2, NULL, NULL);
}


store_result_t store_group_leave(store_t *store, uint64_t group, uint64_t user)
{
    static const char  sql[] = "DELETE FROM group_members WHERE group_id = ? AND user_id = ?";

    store_value_t   values[] = { store_integer(group), store_integer(user) };

    return store_execute_rows(store, sql, values, 2);
}


store_result_t store_group_members(store_t *store, uint64_t group, store_id_each each,
                                   void *data)
{
    static const char  sql[] = "SELECT user_id FROM group_members WHERE group_id = ?";

    store_value_t   values[] = { store_integer(group) };

    return store_list_ids(store, sql, values, 1, each, data);
}


typedef struct {
    store_group_each  each;
    void             *data;
} group_list_t;


static void group_take_each(const store_row_t *row, void *data)
{
    group_list_t  *list = data;

    list->each(row->text[0], row->text[1], row->text[2], list->data);
}


store_result_t store_group_list(store_t *store, store_group_each each, void *data)
{
    static const char  sql[] =
        "SELECT g.name, COALESCE(u.name, ''), COALESCE(u.display_name, '') FROM user_groups g "
        "LEFT JOIN group_members m ON m.group_id = g.id "
        "LEFT JOIN users u ON u.id = m.user_id ORDER BY g.name, u.name";

    group_list_t    list = { each, data };

    return store_list(store, sql, NULL, 0, "ttt", group_take_each, &list);
}
