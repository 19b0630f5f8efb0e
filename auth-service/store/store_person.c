/* Reads one person for admins: where rights come from, publishing keys, logins. */

#include "store_core.h"


typedef struct {
    store_source_each  each;
    void              *data;
} source_list_t;


static void source_take_each(const store_row_t *row, void *data)
{
    source_list_t   *list = data;
    store_source_t   source;

    store_copy(source.group, sizeof(source.group), row->text[0]);
    source.stream = row->integer[1];
    store_copy(source.app, sizeof(source.app), row->text[2]);
    source.rights = (unsigned) row->integer[3];
    list->each(&source, list->data);
}


store_result_t store_person_sources(store_t *store, uint64_t user, store_source_each each,
                                    void *data)
{
    static const char  sql[] =
        "SELECT '', COALESCE(g.stream_id, 0), COALESCE(g.app, ''), BIT_OR(g.rights + 0) "
        "FROM grants g WHERE g.user_id = ? GROUP BY g.stream_id, g.app "
        "UNION ALL "
        "SELECT p.name, COALESCE(g.stream_id, 0), COALESCE(g.app, ''), BIT_OR(g.rights + 0) "
        "FROM group_members m JOIN user_groups p ON p.id = m.group_id "
        "JOIN grants g ON g.group_id = m.group_id WHERE m.user_id = ? "
        "GROUP BY p.name, g.stream_id, g.app ORDER BY 1";

    store_value_t   of = store_integer(user);
    store_value_t   values[] = { of, of };
    source_list_t   list = { each, data };

    return store_list(store, sql, values, 2, "titi", source_take_each, &list);
}


typedef struct {
    store_text_each  each;
    void            *data;
} text_list_t;


static void text_take_each(const store_row_t *row, void *data)
{
    text_list_t  *list = data;

    list->each(row->text[0], list->data);
}


store_result_t store_person_groups(store_t *store, uint64_t user, store_text_each each,
                                   void *data)
{
    static const char  sql[] =
        "SELECT p.name FROM group_members m JOIN user_groups p ON p.id = m.group_id "
        "WHERE m.user_id = ? ORDER BY p.name";

    store_value_t   values[] = { store_integer(user) };
    text_list_t     list = { each, data };

    return store_list(store, sql, values, 1, "t", text_take_each, &list);
}


typedef struct {
    store_key_each  each;
    void           *data;
} key_list_t;


static void key_take_each(const store_row_t *row, void *data)
{
    key_list_t   *list = data;
    store_key_t   key;

    key.id = row->integer[0];
    store_copy(key.app, sizeof(key.app), row->text[1]);
    store_copy(key.name, sizeof(key.name), row->text[2]);
    store_copy(key.title, sizeof(key.title), row->text[3]);
    store_copy(key.label, sizeof(key.label), row->text[4]);
    key.created = (int64_t) row->integer[5];
    key.seen = (int64_t) row->integer[6];
    list->each(&key, list->data);
}


store_result_t store_person_keys(store_t *store, uint64_t user, unsigned most,
                                 store_key_each each, void *data)
{
    static const char  sql[] =
        "SELECT d.id, s.app, s.name, s.title, d.label, "
        "CAST(UNIX_TIMESTAMP(d.created_at) * 1000 AS UNSIGNED), "
        "CAST(COALESCE((SELECT MAX(UNIX_TIMESTAMP(COALESCE(n.ended_at, UTC_TIMESTAMP(3)))) "
        " FROM sessions n WHERE n.user_id = d.user_id AND n.device_id = d.id), 0) * 1000 "
        " AS UNSIGNED) "
        "FROM devices d JOIN streams s ON s.id = d.stream_id "
        "WHERE d.user_id = ? AND d.revoked_at IS NULL ORDER BY s.app, s.name, d.id LIMIT ?";

    store_value_t   values[] = { store_integer(user), store_integer(most) };
    key_list_t      list = { each, data };

    return store_list(store, sql, values, 2, "ittttii", key_take_each, &list);
}


store_result_t store_person_logins(store_t *store, uint64_t user, uint64_t *logins)
{
    static const char  sql[] = "SELECT COUNT(*) FROM web_sessions WHERE user_id = ? "
                               "AND expires_at > UTC_TIMESTAMP(3)";

    store_value_t  values[] = { store_integer(user) };

    return store_query_integer(store, sql, values, 1, logins);
}
