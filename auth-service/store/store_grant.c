#include "store_core.h"

#define GRANT_WHERE  " WHERE user_id <=> ? AND group_id <=> ? AND stream_id <=> ? AND app <=> ?"


static void grant_values(const store_grant_key_t *key, store_value_t values[4])
{
    values[0] = store_integer_or_null(key->user);
    values[1] = store_integer_or_null(key->user ? 0 : key->group);
    values[2] = store_integer_or_null(key->stream);
    values[3] = store_text(key->stream ? NULL : key->app);
}


store_result_t store_grant_add(store_t *store, const store_grant_key_t *key, unsigned rights,
                               uint64_t maker)
{
    static const char  sql[] =
        "INSERT INTO grants (user_id, group_id, stream_id, app, made_by, rights) "
        "VALUES (?, ?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE rights = rights | ?";

    store_value_t  values[7];

    grant_values(key, values);
    values[4] = store_integer(maker);
    values[5] = store_integer(rights);
    values[6] = store_integer(rights);

    return store_execute(store, sql, values, 7, NULL, NULL);
}


store_result_t store_grant_remove(store_t *store, const store_grant_key_t *key, unsigned rights)
{
    static const char  shrink[] = "UPDATE grants SET rights = rights & ~?" GRANT_WHERE;
    static const char  prune[] = "DELETE FROM grants" GRANT_WHERE " AND rights = 0";

    uint64_t        affected = 0;
    store_value_t   values[5];
    store_result_t  result;

    values[0] = store_integer(rights);
    grant_values(key, values + 1);

    result = store_execute(store, shrink, values, 5, &affected, NULL);
    if (result != STORE_OK) {
        return result;
    }
    if (affected == 0) {
        return STORE_NONE;
    }

    return store_execute(store, prune, values + 1, 4, NULL, NULL);
}


store_result_t store_grant_remove_made(store_t *store, uint64_t stream, uint64_t maker)
{
    static const char  sql[] = "DELETE FROM grants WHERE stream_id = ? AND made_by = ?";

    store_value_t  values[] = { store_integer(stream), store_integer(maker) };

    return store_execute(store, sql, values, 2, NULL, NULL);
}


typedef struct {
    store_grant_each  each;
    void             *data;
} grant_list_t;


static void grant_take_each(const store_row_t *row, void *data)
{
    grant_list_t   *list = data;
    store_grant_t   grant;

    grant.is_group = row->integer[0] != 0;
    store_copy(grant.grantee, sizeof(grant.grantee), row->text[1]);
    store_copy(grant.app, sizeof(grant.app), row->text[2]);
    store_copy(grant.stream, sizeof(grant.stream), row->text[3]);
    grant.rights = (unsigned) row->integer[4];
    store_copy(grant.makers, sizeof(grant.makers), row->text[5]);
    store_copy(grant.display, sizeof(grant.display), row->text[6]);

    list->each(&grant, list->data);
}


store_result_t store_grant_list(store_t *store, const char *app, const char *stream,
                                store_grant_each each, void *data)
{
    static const char  sql[] =
        "SELECT g.user_id IS NULL, COALESCE(u.name, p.name), COALESCE(s.app, g.app), "
        "COALESCE(s.name, ''), BIT_OR(g.rights + 0), IF(MIN(g.made_by) = 0, '', "
        "LEFT(COALESCE(GROUP_CONCAT(m.name ORDER BY m.name SEPARATOR ','), ''), 255)), "
        "COALESCE(MIN(u.display_name), '') "
        "FROM grants g LEFT JOIN users m ON m.id = g.made_by "
        "LEFT JOIN users u ON u.id = g.user_id LEFT JOIN user_groups p ON p.id = g.group_id "
        "LEFT JOIN streams s ON s.id = g.stream_id "
        "WHERE (? = '' OR COALESCE(s.app, g.app) = ?) AND (? = '' OR s.name = ?) "
        "GROUP BY g.user_id IS NULL, COALESCE(u.name, p.name), COALESCE(s.app, g.app), "
        "COALESCE(s.name, '') ORDER BY 3, 4, 1, 2";

    store_value_t   values[] = { store_text(app), store_text(app), store_text(stream),
                                 store_text(stream) };
    grant_list_t    list = { each, data };

    return store_list(store, sql, values, 4, "itttitt", grant_take_each, &list);
}
