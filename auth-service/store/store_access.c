/* Rights on streams: read before and after a change, they show the rights that it took away. */

#include "store_core.h"


typedef struct {
    store_access_each  each;
    void              *data;
} access_list_t;


static void access_take_one(const store_row_t *row, void *data)
{
    store_access_t  *access = data;

    access->user = row->integer[0];
    access->admin = row->integer[1] != 0;
    access->disabled = row->integer[2] != 0;
    access->stream = row->integer[3];
    access->owner = row->integer[4];
    access->owner_disabled = row->integer[5] != 0;
    access->is_public = row->integer[6] != 0;
    access->granted = (unsigned) row->integer[7];
}


static void access_take_each(const store_row_t *row, void *data)
{
    access_list_t   *list = data;
    store_access_t   access;

    access_take_one(row, &access);
    list->each(&access, list->data);
}


store_result_t store_access_list(store_t *store, uint64_t stream, uint64_t group,
                                 store_access_each each, void *data)
{
    static const char  sql[] =
        "SELECT u.id, u.admin, u.disabled, s.id, s.owner_id, o.disabled, "
        "s.visibility IN ('public', 'open'), COALESCE(e.rights, 0) "
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

    store_value_t   on = store_integer(stream), members = store_integer(group);
    store_value_t   values[] = { on, on, on, members, members };
    access_list_t   list = { each, data };

    return store_list(store, sql, values, 5, "iiiiiiii", access_take_each, &list);
}


/*
 * Selects the rights of the pairs p (user_id, stream_id). A missing user counts as
 * disabled. Grants to the user and to groups are separate subqueries, so that each uses
 * an index.
 */
#define ACCESS_OF(pairs) \
    "SELECT p.user_id, COALESCE(u.admin, 0), u.id IS NULL OR u.disabled, s.id, s.owner_id, " \
    "o.disabled, s.visibility IN ('public', 'open'), " \
    "(SELECT BIT_OR(g.rights + 0) FROM grants g WHERE g.user_id = p.user_id " \
    " AND (g.stream_id = s.id OR g.app = s.app)) | " \
    "(SELECT BIT_OR(g.rights + 0) FROM group_members m JOIN grants g ON g.group_id = m.group_id " \
    " WHERE m.user_id = p.user_id AND (g.stream_id = s.id OR g.app = s.app)) " \
    "FROM (" pairs ") p JOIN streams s ON s.id = p.stream_id " \
    "JOIN users o ON o.id = s.owner_id LEFT JOIN users u ON u.id = p.user_id"


store_result_t store_access_one(store_t *store, uint64_t stream, uint64_t user,
                                store_access_t *access)
{
    static const char  sql[] = ACCESS_OF("SELECT CAST(? AS UNSIGNED) AS user_id, "
                                         "CAST(? AS UNSIGNED) AS stream_id");

    store_value_t  values[] = { store_integer(user), store_integer(stream) };

    return store_query(store, sql, values, 2, "iiiiiiii", access_take_one, access);
}


store_result_t store_access_makers(store_t *store, store_access_each each, void *data)
{
    static const char  sql[] = ACCESS_OF(
        "SELECT made_by AS user_id, stream_id FROM devices "
        "WHERE made_by > 0 AND revoked_at IS NULL "
        "UNION SELECT made_by, stream_id FROM grants WHERE made_by > 0");

    access_list_t   list = { each, data };

    return store_list(store, sql, NULL, 0, "iiiiiiii", access_take_each, &list);
}


store_result_t store_access_sharers(store_t *store, bool clip, store_access_each each, void *data)
{
    static const char  sql[] = ACCESS_OF(
        "SELECT DISTINCT made_by AS user_id, stream_id FROM links WHERE made_by > 0 AND kind = ? "
        "AND revoked_at IS NULL AND expires_ms > UNIX_TIMESTAMP(CURRENT_TIMESTAMP(3)) * 1000");

    store_value_t   values[] = { store_text(clip ? "clip" : "live") };
    access_list_t   list = { each, data };

    return store_list(store, sql, values, 1, "iiiiiiii", access_take_each, &list);
}


store_result_t store_access_made(store_t *store, uint64_t stream, uint64_t maker,
                                 store_access_each each, void *data)
{
    static const char  sql[] =
        "SELECT g.user_id, 0, 0, g.stream_id, 0, 0, 0, g.rights + 0 FROM grants g "
        "WHERE g.stream_id = ? AND g.made_by = ? AND g.user_id IS NOT NULL "
        "UNION ALL "
        "SELECT m.user_id, 0, 0, g.stream_id, 0, 0, 0, g.rights + 0 FROM grants g "
        "JOIN group_members m ON m.group_id = g.group_id "
        "WHERE g.stream_id = ? AND g.made_by = ?";

    store_value_t   on = store_integer(stream), by = store_integer(maker);
    store_value_t   values[] = { on, by, on, by };
    access_list_t   list = { each, data };

    return store_list(store, sql, values, 4, "iiiiiiii", access_take_each, &list);
}


store_result_t store_access_audit(store_t *store, uint64_t stream, uint64_t maker)
{
    static const char  sql[] =
        "INSERT INTO audit (actor, action, outcome, target, reason) "
        "SELECT 'duolu-auth', 'maker gone', 'ok', CONCAT(s.app, '/', s.name), "
        "CONCAT('ended the keys, grants or links made by ', "
        "COALESCE(u.name, CONCAT('user ', CAST(? AS UNSIGNED), ' (deleted)'))) "
        "FROM streams s LEFT JOIN users u ON u.id = ? WHERE s.id = ?";

    store_value_t  by = store_integer(maker);
    store_value_t  values[] = { by, by, store_integer(stream) };

    return store_execute(store, sql, values, 3, NULL, NULL);
}
