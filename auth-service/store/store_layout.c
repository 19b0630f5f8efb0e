/* Walls that users have saved by name. */

#include "store_core.h"

#include <stdio.h>

#define LAYOUT_PART   1000      /* bytes of a layout in one cell of an answer */
#define LAYOUT_PARTS  5

_Static_assert(LAYOUT_PART < STORE_CELL_MAX, "a part fits a cell");
_Static_assert(LAYOUT_PART * LAYOUT_PARTS >= LAYOUT_MAX, "the parts hold a whole layout");

typedef struct {
    store_layout_each  each;
    void              *data;
} layout_list_t;


static void layout_take(const store_row_t *row, void *data)
{
    size_t           i, used = 0;
    layout_list_t   *list = data;
    store_layout_t   layout;

    store_copy(layout.name, sizeof(layout.name), row->text[0]);
    layout.text[0] = '\0';

    for (i = 1; i <= LAYOUT_PARTS; i++) {
        used += (size_t) snprintf(layout.text + used, sizeof(layout.text) - used, "%s",
                                  row->text[i]);
        if (used >= sizeof(layout.text)) {
            return;
        }
    }

    list->each(&layout, list->data);
}


store_result_t store_layout_list(store_t *store, uint64_t user, store_layout_each each, void *data)
{
    static const char  sql[] =
        "SELECT name, SUBSTRING(layout, 1, 1000), SUBSTRING(layout, 1001, 1000), "
        "SUBSTRING(layout, 2001, 1000), SUBSTRING(layout, 3001, 1000), "
        "SUBSTRING(layout, 4001, 1000) FROM layouts WHERE user_id = ? ORDER BY name";

    layout_list_t  list = { each, data };
    store_value_t  values[] = { store_integer(user) };

    return store_list(store, sql, values, 1, "tttttt", layout_take, &list);
}


store_result_t store_layout_put(store_t *store, uint64_t user, const store_layout_t *layout)
{
    static const char  sql[] =
        "INSERT INTO layouts (user_id, name, layout) SELECT u.id, ?, ? FROM users u "
        "WHERE u.id = ? AND (SELECT COUNT(*) FROM (SELECT l.name FROM layouts l "
        "WHERE l.user_id = ? AND l.name <> ?) others) < ? "
        "ON DUPLICATE KEY UPDATE layout = VALUES(layout)";

    store_value_t   name = store_text(layout->name);
    store_value_t   values[] = { name, store_text(layout->text), store_integer(user),
                                 store_integer(user), name, store_integer(LAYOUTS_MAX) };

    return store_execute_rows(store, sql, values, 6);
}


store_result_t store_layout_remove(store_t *store, uint64_t user, const char *name)
{
    static const char  sql[] = "DELETE FROM layouts WHERE user_id = ? AND name = ?";

    store_value_t   values[] = { store_integer(user), store_text(name) };

    return store_execute_rows(store, sql, values, 2);
}
