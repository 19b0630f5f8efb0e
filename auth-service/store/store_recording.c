#include "store_core.h"

/*
 * A recording belongs to the stream that has its name now, and that stream's rights
 * apply to it, since nginx finds the files by that name too.
 */
#define RECORDING_SELECT \
    "SELECT r.id, r.app, r.name, r.file, r.format, r.session, r.started_ms, r.ended_ms, " \
    "r.bytes, r.state, r.reason, r.keep, s.id, s.title, s.owner_id, o.rec_quota " \
    "FROM recordings r LEFT JOIN streams s ON s.app = r.app AND s.name = r.name " \
    "LEFT JOIN users o ON o.id = s.owner_id "
#define RECORDING_LETTERS  "ittttiiiittiitii"

/* searches APP/NAME and the title, ignoring case and accents */
#define RECORDING_WHERE \
    "WHERE (? OR FIND_IN_SET(s.id, ?)) AND r.started_ms < ? " \
    "AND (r.ended_ms IS NULL OR r.ended_ms > ?) " \
    "AND (r.started_ms < ? OR (r.started_ms = ? AND r.id < ?)) " \
    "AND (? = '' OR LOCATE(?, CONCAT(r.app, '/', r.name, '\\n', COALESCE(s.title, '')) " \
    "COLLATE utf8mb4_unicode_ci) > 0) "
#define RECORDING_ORDER  "ORDER BY r.started_ms DESC, r.id DESC LIMIT ?"

typedef struct {
    store_recording_each  each;
    void                 *data;
} recording_list_t;


static void recording_take(const store_row_t *row, void *data)
{
    store_recording_t  *recording = data;

    recording->id = row->integer[0];
    store_copy(recording->app, sizeof(recording->app), row->text[1]);
    store_copy(recording->name, sizeof(recording->name), row->text[2]);
    store_copy(recording->file, sizeof(recording->file), row->text[3]);
    store_copy(recording->format, sizeof(recording->format), row->text[4]);
    recording->session = row->integer[5];
    recording->from = (int64_t) row->integer[6];
    recording->to = (int64_t) row->integer[7];
    recording->bytes = row->integer[8];
    store_copy(recording->state, sizeof(recording->state), row->text[9]);
    store_copy(recording->reason, sizeof(recording->reason), row->text[10]);
    recording->keep = row->integer[11] != 0;
    recording->stream = row->integer[12];
    store_copy(recording->title, sizeof(recording->title), row->text[13]);
    recording->owner = row->integer[14];
    recording->owner_quota = row->integer[15];
}


static void recording_take_each(const store_row_t *row, void *data)
{
    recording_list_t   *list = data;
    store_recording_t   recording;

    recording_take(row, &recording);
    list->each(&recording, list->data);
}


store_result_t store_recording_put(store_t *store, const store_recording_t *recording)
{
    static const char  sql[] =
        "INSERT INTO recordings (stream_id, app, name, file, format, session, started_ms, "
        "ended_ms, bytes, state, reason) VALUES ((SELECT s.id FROM streams s WHERE s.app = ? "
        "AND s.name = ?), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE "
        "stream_id = VALUES(stream_id), format = VALUES(format), session = VALUES(session), "
        "started_ms = VALUES(started_ms), ended_ms = VALUES(ended_ms), bytes = VALUES(bytes), "
        "state = VALUES(state), reason = VALUES(reason)";

    store_value_t  app = store_text(recording->app), name = store_text(recording->name);
    store_value_t  values[] = {
        app, name, app, name, store_text(recording->file), store_text(recording->format),
        store_integer(recording->session), store_integer((uint64_t) recording->from),
        store_integer_or_null((uint64_t) recording->to), store_integer(recording->bytes),
        store_text(recording->state), store_text(recording->reason)
    };

    return store_execute(store, sql, values, 12, NULL, NULL);
}


store_result_t store_recording_get(store_t *store, uint64_t id, store_recording_t *recording)
{
    static const char  sql[] = RECORDING_SELECT "WHERE r.id = ?";

    store_value_t  values[] = { store_integer(id) };

    return store_query(store, sql, values, 1, RECORDING_LETTERS, recording_take, recording);
}


store_result_t store_recording_by_file(store_t *store, const char *file,
                                       store_recording_t *recording)
{
    static const char  sql[] = RECORDING_SELECT "WHERE r.file = ?";

    store_value_t  values[] = { store_text(file) };

    return store_query(store, sql, values, 1, RECORDING_LETTERS, recording_take, recording);
}


store_result_t store_recording_find(store_t *store, const store_recording_query_t *query,
                                    store_recording_each each, void *data)
{
    static const char  all[] = RECORDING_SELECT RECORDING_WHERE RECORDING_ORDER;
    static const char  of_stream[] = RECORDING_SELECT RECORDING_WHERE
                                     "AND r.app = ? AND r.name = ? " RECORDING_ORDER;

    size_t            count = 9;
    store_value_t     before = store_integer((uint64_t) query->before);
    store_value_t     text = store_text(query->text);
    store_value_t     values[12] = {
        store_integer(query->streams == NULL),
        store_text(query->streams ? query->streams : ""),
        store_integer((uint64_t) query->to), store_integer((uint64_t) query->from),
        before, before, store_integer(query->before_id), text, text
    };
    recording_list_t  list = { each, data };

    if (query->app) {
        values[count++] = store_text(query->app);
        values[count++] = store_text(query->name);
    }
    values[count++] = store_integer(query->most);

    return store_list(store, query->app ? of_stream : all, values, count, RECORDING_LETTERS,
                      recording_take_each, &list);
}


static store_result_t recording_each(store_t *store, const char *sql,
                                     store_recording_each each, void *data)
{
    recording_list_t  list = { each, data };

    return store_list(store, sql, NULL, 0, RECORDING_LETTERS, recording_take_each, &list);
}


store_result_t store_recording_all(store_t *store, store_recording_each each, void *data)
{
    static const char  sql[] = RECORDING_SELECT "ORDER BY r.started_ms, r.id";

    return recording_each(store, sql, each, data);
}


store_result_t store_recording_open(store_t *store, store_recording_each each, void *data)
{
    static const char  sql[] = RECORDING_SELECT "WHERE r.state = 'recording' "
                               "ORDER BY r.started_ms, r.id";

    return recording_each(store, sql, each, data);
}


store_result_t store_recording_set_keep(store_t *store, uint64_t id, bool keep)
{
    static const char  sql[] = "UPDATE recordings SET keep = ? WHERE id = ?";

    store_value_t   values[] = { store_integer(keep), store_integer(id) };

    return store_execute_rows(store, sql, values, 2);
}


store_result_t store_recording_remove(store_t *store, const char *file)
{
    static const char  sql[] = "DELETE FROM recordings WHERE file = ?";

    store_value_t  values[] = { store_text(file) };

    return store_execute(store, sql, values, 1, NULL, NULL);
}


static void recorded_take(const store_row_t *row, void *data)
{
    store_recorded_t  *recorded = data;

    recorded->files = row->integer[0];
    recorded->kept = row->integer[1];
    recorded->bytes = row->integer[2];
}


#define RECORDED_COLUMNS \
    "SELECT COUNT(r.id), CAST(COALESCE(SUM(r.keep), 0) AS UNSIGNED), " \
    "CAST(COALESCE(SUM(r.bytes), 0) AS UNSIGNED) FROM recordings r "


store_result_t store_recorded_name(store_t *store, const char *app, const char *name,
                                   store_recorded_t *recorded)
{
    static const char  sql[] = RECORDED_COLUMNS "WHERE r.app = ? AND r.name = ?";

    store_value_t  values[] = { store_text(app), store_text(name) };

    return store_query(store, sql, values, 2, "iii", recorded_take, recorded);
}


store_result_t store_recorded_owner(store_t *store, uint64_t owner, store_recorded_t *recorded)
{
    static const char  sql[] = RECORDED_COLUMNS
        "JOIN streams s ON s.app = r.app AND s.name = r.name WHERE s.owner_id = ?";

    store_value_t  values[] = { store_integer(owner) };

    return store_query(store, sql, values, 1, "iii", recorded_take, recorded);
}


store_result_t store_deletion_add(store_t *store, uint64_t stream)
{
    static const char  sql[] = "INSERT IGNORE INTO recording_deletions (app, name) "
                               "SELECT app, name FROM streams WHERE id = ?";

    store_value_t  values[] = { store_integer(stream) };

    return store_execute(store, sql, values, 1, NULL, NULL);
}


store_result_t store_deletion_of(store_t *store, const char *app, const char *name)
{
    static const char  sql[] = "SELECT 1 FROM recording_deletions WHERE app = ? AND name = ?";

    store_value_t  values[] = { store_text(app), store_text(name) };

    return store_query(store, sql, values, 2, "i", NULL, NULL);
}


store_result_t store_deletion_any(store_t *store)
{
    static const char  sql[] = "SELECT 1 FROM recording_deletions LIMIT 1";

    return store_query(store, sql, NULL, 0, "i", NULL, NULL);
}


/* If a stream was made with the name by hand, the recordings are its own: leave them. */
store_result_t store_deletion_files(store_t *store, unsigned most, store_recording_each each,
                                    void *data)
{
    static const char  sql[] = RECORDING_SELECT
        "JOIN recording_deletions d ON d.app = r.app AND d.name = r.name "
        "WHERE s.id IS NULL AND r.state <> 'recording' ORDER BY r.started_ms, r.id LIMIT ?";

    store_value_t     values[] = { store_integer(most) };
    recording_list_t  list = { each, data };

    return store_list(store, sql, values, 1, RECORDING_LETTERS, recording_take_each, &list);
}


/* Waits some seconds, since an event of nginx may still make a row. */
store_result_t store_deletion_finish(store_t *store)
{
    static const char  sql[] =
        "DELETE d FROM recording_deletions d "
        "LEFT JOIN streams s ON s.app = d.app AND s.name = d.name "
        "LEFT JOIN recordings r ON r.app = d.app AND r.name = d.name "
        "WHERE s.id IS NOT NULL "
        "OR (r.id IS NULL AND d.asked_at < CURRENT_TIMESTAMP(3) - INTERVAL 5 SECOND)";

    return store_execute(store, sql, NULL, 0, NULL, NULL);
}
