#include "store_core.h"

/*
 * Collects the user's grants once, by index, and joins them to the streams: with a
 * subquery for each stream a list of thousands would take seconds.
 */
#define STREAM_GRANTS \
    "(SELECT g.stream_id, g.app, g.rights + 0 AS rights FROM grants g WHERE g.user_id = ? " \
    " UNION ALL " \
    " SELECT g.stream_id, g.app, g.rights + 0 FROM group_members m " \
    " JOIN grants g ON g.group_id = m.group_id WHERE m.user_id = ?) x "

#define STREAM_COLUMNS \
    "s.id, s.app, s.name, s.title, s.visibility, s.record_policy, s.owner_id, o.name, " \
    "o.disabled, s.max_kbps, s.max_viewers, COALESCE(gs.rights, 0) | COALESCE(ga.rights, 0), " \
    "GREATEST(COALESCE(n.at, 0), COALESCE((SELECT r.at FROM revocations r " \
    " WHERE r.user_id = ? AND r.stream_id = 0 AND r.device_id = 0), 0)), s.record_on, " \
    "o.rec_full AND o.rec_quota = 0, o.display_name, s.last_seen_ms"
#define STREAM_LETTERS  "itttttitiiiiiiiti"

#define STREAM_FROM \
    " FROM streams s JOIN users o ON o.id = s.owner_id " \
    "LEFT JOIN (SELECT x.stream_id, BIT_OR(x.rights) AS rights FROM " STREAM_GRANTS \
    " WHERE x.stream_id IS NOT NULL GROUP BY x.stream_id) gs ON gs.stream_id = s.id " \
    "LEFT JOIN (SELECT x.app, BIT_OR(x.rights) AS rights FROM " STREAM_GRANTS \
    " WHERE x.app IS NOT NULL GROUP BY x.app) ga ON ga.app = s.app " \
    "LEFT JOIN (SELECT r.stream_id, MAX(r.at) AS at FROM revocations r " \
    " WHERE r.user_id IN (0, ?) AND r.stream_id > 0 AND r.device_id = 0 " \
    " GROUP BY r.stream_id) n ON n.stream_id = s.id "

#define STREAM_USERS  6     /* placeholders for the user's id */


static void stream_users(store_value_t *values, uint64_t user)
{
    size_t  i;

    for (i = 0; i < STREAM_USERS; i++) {
        values[i] = store_integer(user);
    }
}


static void stream_take(const store_row_t *row, store_stream_t *stream)
{
    stream->id = row->integer[0];
    store_copy(stream->app, sizeof(stream->app), row->text[1]);
    store_copy(stream->name, sizeof(stream->name), row->text[2]);
    store_copy(stream->title, sizeof(stream->title), row->text[3]);
    store_copy(stream->visibility, sizeof(stream->visibility), row->text[4]);
    store_copy(stream->record, sizeof(stream->record), row->text[5]);
    stream->owner = row->integer[6];
    store_copy(stream->owner_name, sizeof(stream->owner_name), row->text[7]);
    stream->owner_disabled = row->integer[8] != 0;
    stream->max_kbps = (unsigned) row->integer[9];
    stream->max_viewers = (unsigned) row->integer[10];
    stream->granted = (unsigned) row->integer[11];
    stream->not_before = (int64_t) row->integer[12];
    stream->record_on = row->integer[13] != 0;
    stream->owner_full = row->integer[14] != 0;
    store_copy(stream->owner_display, sizeof(stream->owner_display), row->text[15]);
    stream->last_seen = row->integer[16];
}


static void stream_take_one(const store_row_t *row, void *data)
{
    stream_take(row, data);
}


store_result_t store_stream_add(store_t *store, const char *app, const char *name,
                                uint64_t owner, const char *title, uint64_t *id)
{
    static const char  sql[] = "INSERT INTO streams (app, name, owner_id, title) "
                               "VALUES (?, ?, ?, ?)";

    store_value_t  values[] = { store_text(app), store_text(name), store_integer(owner),
                                store_text(title) };

    return store_execute(store, sql, values, 4, NULL, id);
}


store_result_t store_stream_taken(store_t *store, const char *app, const char *name)
{
    static const char  sql[] = "(SELECT 1 FROM streams WHERE app = ? AND name = ?) UNION ALL "
                               "(SELECT 1 FROM recordings WHERE app = ? AND name = ? LIMIT 1) "
                               "UNION ALL (SELECT 1 FROM recording_deletions WHERE app = ? "
                               "AND name = ?)";

    store_value_t  by_app = store_text(app), by_name = store_text(name);
    store_value_t  values[] = { by_app, by_name, by_app, by_name, by_app, by_name };

    return store_query(store, sql, values, 6, "i", NULL, NULL);
}


store_result_t store_stream_count(store_t *store, uint64_t owner, uint64_t *count)
{
    static const char  sql[] = "SELECT COUNT(*) FROM streams WHERE owner_id = ?";

    store_value_t  values[] = { store_integer(owner) };

    return store_query_integer(store, sql, values, 1, count);
}


store_result_t store_stream_get(store_t *store, const char *app, const char *name,
                                uint64_t user, store_stream_t *stream)
{
    static const char  sql[] = "SELECT " STREAM_COLUMNS STREAM_FROM
                               "WHERE s.app = ? AND s.name = ?";

    store_value_t  values[STREAM_USERS + 2];

    stream_users(values, user);
    values[STREAM_USERS] = store_text(app);
    values[STREAM_USERS + 1] = store_text(name);

    return store_query(store, sql, values, STREAM_USERS + 2, STREAM_LETTERS, stream_take_one,
                       stream);
}


typedef struct {
    store_stream_each  each;
    void              *data;
} stream_list_t;


static void stream_take_each(const store_row_t *row, void *data)
{
    stream_list_t   *list = data;
    store_stream_t   stream;

    stream_take(row, &stream);
    list->each(&stream, list->data);
}


store_result_t store_stream_list(store_t *store, uint64_t user, store_stream_each each,
                                 void *data)
{
    static const char  sql[] = "SELECT " STREAM_COLUMNS STREAM_FROM "ORDER BY s.app, s.name";

    store_value_t   values[STREAM_USERS];
    stream_list_t   list = { each, data };

    stream_users(values, user);
    return store_list(store, sql, values, STREAM_USERS, STREAM_LETTERS, stream_take_each, &list);
}


store_result_t store_stream_update(store_t *store, uint64_t id, const store_settings_t *set)
{
    static const char  sql[] =
        "UPDATE streams SET title = COALESCE(?, title), visibility = COALESCE(?, visibility), "
        "record_policy = COALESCE(?, record_policy), max_kbps = COALESCE(?, max_kbps), "
        "max_viewers = COALESCE(?, max_viewers) WHERE id = ?";

    store_value_t  values[] = { store_text(set->title), store_text(set->visibility),
                                store_text(set->record), store_integer_at(set->max_kbps),
                                store_integer_at(set->max_viewers), store_integer(id) };

    return store_execute(store, sql, values, 6, NULL, NULL);
}


store_result_t store_stream_is_open(store_t *store, uint64_t id)
{
    static const char  sql[] = "SELECT id FROM streams WHERE id = ? AND visibility = 'open'";

    store_value_t  values[] = { store_integer(id) };

    return store_query(store, sql, values, 1, "i", NULL, NULL);
}


store_result_t store_stream_set_record_on(store_t *store, uint64_t id, bool on)
{
    static const char  sql[] = "UPDATE streams SET record_on = ? WHERE id = ?";

    store_value_t  values[] = { store_integer(on), store_integer(id) };

    return store_execute(store, sql, values, 2, NULL, NULL);
}


typedef struct {
    store_name_each  each;
    void            *data;
} stream_names_t;


static void stream_take_name(const store_row_t *row, void *data)
{
    stream_names_t  *names = data;

    names->each(row->text[0], row->text[1], names->data);
}


store_result_t store_stream_recorded(store_t *store, store_name_each each, void *data)
{
    static const char  sql[] =
        "SELECT s.app, s.name FROM streams s JOIN users o ON o.id = s.owner_id "
        "WHERE (s.record_policy = 'always' OR (s.record_policy = 'demand' AND s.record_on = 1)) "
        "AND NOT (o.rec_full AND o.rec_quota = 0)";

    stream_names_t  names = { each, data };

    return store_list(store, sql, NULL, 0, "tt", stream_take_name, &names);
}


store_result_t store_stream_remove(store_t *store, uint64_t id)
{
    static const char  sql[] = "DELETE FROM streams WHERE id = ?";

    store_value_t  values[] = { store_integer(id) };

    return store_execute_rows(store, sql, values, 1);
}


store_result_t store_stream_owned(store_t *store, uint64_t owner, store_id_each each, void *data)
{
    static const char  sql[] = "SELECT id FROM streams WHERE owner_id = ?";

    store_value_t  values[] = { store_integer(owner) };

    return store_list_ids(store, sql, values, 1, each, data);
}


store_result_t store_app_known(store_t *store, const char *app)
{
    static const char  sql[] = "SELECT 1 FROM streams WHERE app = ? LIMIT 1";

    store_value_t  values[] = { store_text(app) };

    return store_query(store, sql, values, 1, "i", NULL, NULL);
}


store_result_t store_app_streams(store_t *store, const char *app, store_id_each each,
                                 void *data)
{
    static const char  sql[] = "SELECT id FROM streams WHERE app = ?";

    store_value_t   values[] = { store_text(app) };

    return store_list_ids(store, sql, values, 1, each, data);
}
