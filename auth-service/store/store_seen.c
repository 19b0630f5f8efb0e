/* The streams as duolu-auth saw them last, for the events of the webhooks. */

#include "store_core.h"
#include "store_webhook.h"

#define SEEN_SELECT   "SELECT n.stream_id, s.app, s.name, s.title, o.name, n.state, " \
                      "n.session, n.live_ms, n.away_ms"
#define SEEN_STREAM   "JOIN streams s ON s.id = n.stream_id JOIN users o ON o.id = s.owner_id "
#define SEEN_LETTERS  "ittttttii"

typedef struct {
    store_seen_each      each;
    store_offline_each   offline;
    void                *data;
} seen_list_t;


static void seen_take(const store_row_t *row, store_seen_t *seen)
{
    seen->stream = row->integer[0];
    store_copy(seen->app, sizeof(seen->app), row->text[1]);
    store_copy(seen->name, sizeof(seen->name), row->text[2]);
    store_copy(seen->title, sizeof(seen->title), row->text[3]);
    store_copy(seen->owner, sizeof(seen->owner), row->text[4]);
    store_copy(seen->state, sizeof(seen->state), row->text[5]);
    store_copy(seen->session, sizeof(seen->session), row->text[6]);
    seen->live = (int64_t) row->integer[7];
    seen->away = (int64_t) row->integer[8];
}


static void seen_take_each(const store_row_t *row, void *data)
{
    seen_list_t   *list = data;
    store_seen_t   seen;

    seen_take(row, &seen);
    list->each(&seen, list->data);
}


static void seen_take_offline(const store_row_t *row, void *data)
{
    seen_list_t   *list = data;
    store_seen_t   seen;

    seen_take(row, &seen);
    list->offline(row->integer[9], (unsigned) row->integer[10], &seen, list->data);
}


static void seen_take_name(const store_row_t *row, void *data)
{
    store_seen_t  *seen = data;

    store_copy(seen->app, sizeof(seen->app), row->text[0]);
    store_copy(seen->name, sizeof(seen->name), row->text[1]);
    store_copy(seen->title, sizeof(seen->title), row->text[2]);
    store_copy(seen->owner, sizeof(seen->owner), row->text[3]);
}


store_result_t store_seen_name(store_t *store, store_seen_t *seen)
{
    static const char  sql[] = "SELECT s.app, s.name, s.title, o.name FROM streams s "
                               "JOIN users o ON o.id = s.owner_id WHERE s.id = ?";

    store_value_t  values[] = { store_integer(seen->stream) };

    return store_query(store, sql, values, 1, "tttt", seen_take_name, seen);
}


store_result_t store_seen_put(store_t *store, const store_seen_t *seen)
{
    static const char  sql[] =
        "INSERT INTO webhook_streams (stream_id, state, session, live_ms, away_ms) "
        "VALUES (?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE state = VALUES(state), "
        "session = VALUES(session), live_ms = VALUES(live_ms), away_ms = VALUES(away_ms)";

    store_value_t  values[] = {
        store_integer(seen->stream), store_text(seen->state), store_text(seen->session),
        store_integer((uint64_t) seen->live), store_integer((uint64_t) seen->away)
    };

    return store_execute(store, sql, values, 5, NULL, NULL);
}


store_result_t store_seen_list(store_t *store, store_seen_each each, void *data)
{
    static const char  sql[] = SEEN_SELECT " FROM webhook_streams n " SEEN_STREAM
                               "ORDER BY n.stream_id";

    seen_list_t  list = { .each = each, .data = data };

    return store_list(store, sql, NULL, 0, SEEN_LETTERS, seen_take_each, &list);
}


store_result_t store_seen_clear(store_t *store)
{
    store_result_t  result = store_execute(store, "DELETE FROM webhook_streams", NULL, 0, NULL,
                                           NULL);

    return result == STORE_OK
           ? store_execute(store, "DELETE FROM webhook_marks", NULL, 0, NULL, NULL) : result;
}


store_result_t store_seen_offline(store_t *store, int64_t now, store_offline_each each,
                                  void *data)
{
    static const char  sql[] =
        SEEN_SELECT ", w.id, w.offline_minutes FROM webhooks w "
        "JOIN webhook_streams n ON n.away_ms > 0 "
        "AND n.away_ms + w.offline_minutes * 60000 > w.offline_until "
        "AND n.away_ms + w.offline_minutes * 60000 <= ? "
        SEEN_STREAM "WHERE w.enabled AND FIND_IN_SET('phone_offline', w.events) "
        "ORDER BY w.id, n.away_ms";

    seen_list_t    list = { .offline = each, .data = data };
    store_value_t  values[] = { store_integer((uint64_t) now) };

    return store_list(store, sql, values, 1, SEEN_LETTERS "ii", seen_take_offline, &list);
}


store_result_t store_seen_offline_told(store_t *store, int64_t now)
{
    static const char  sql[] = "UPDATE webhooks SET offline_until = ? "
                               "WHERE FIND_IN_SET('phone_offline', events)";

    store_value_t  values[] = { store_integer((uint64_t) now) };

    return store_execute(store, sql, values, 1, NULL, NULL);
}


store_result_t store_mark_get(store_t *store, const char *name, bool *set)
{
    static const char  sql[] = "SELECT 1 FROM webhook_marks WHERE name = ?";

    store_value_t   values[] = { store_text(name) };
    store_result_t  result = store_query(store, sql, values, 1, "i", NULL, NULL);

    *set = result == STORE_OK;
    return result == STORE_NONE ? STORE_OK : result;
}


store_result_t store_mark_set(store_t *store, const char *name, bool set)
{
    static const char  add[] = "INSERT IGNORE INTO webhook_marks (name) VALUES (?)";
    static const char  remove[] = "DELETE FROM webhook_marks WHERE name = ?";

    store_value_t  values[] = { store_text(name) };

    return store_execute(store, set ? add : remove, values, 1, NULL, NULL);
}
