#include "../base/token.h"
#include "store_core.h"

#define LINK_NOW    "UNIX_TIMESTAMP(CURRENT_TIMESTAMP(3)) * 1000"
#define LINK_VALID  "l.revoked_at IS NULL AND l.expires_ms > " LINK_NOW

#define LINK_COLUMNS \
    "l.id, l.stream_id, s.app, s.name, s.title, l.kind = 'clip', l.from_ms, l.to_ms, " \
    "l.expires_ms, l.label, l.password_hash, l.views, l.made_by, COALESCE(m.name, ''), " \
    "NOT (" LINK_VALID "), " \
    "COALESCE((SELECT MAX(r.at) FROM revocations r WHERE r.user_id IN (0, ? + l.id) " \
    " AND r.stream_id IN (0, l.stream_id) AND r.device_id = 0), 0)"
#define LINK_LETTERS  "iitttiiiittiitii"
#define LINK_FROM     " FROM links l JOIN streams s ON s.id = l.stream_id " \
                      "LEFT JOIN users m ON m.id = l.made_by "


static void link_take(const store_row_t *row, void *data)
{
    store_link_t  *link = data;

    link->id = row->integer[0];
    link->stream = row->integer[1];
    store_copy(link->app, sizeof(link->app), row->text[2]);
    store_copy(link->name, sizeof(link->name), row->text[3]);
    store_copy(link->title, sizeof(link->title), row->text[4]);
    link->clip = row->integer[5] != 0;
    link->from = (int64_t) row->integer[6];
    link->to = (int64_t) row->integer[7];
    link->expires = (int64_t) row->integer[8];
    store_copy(link->label, sizeof(link->label), row->text[9]);
    store_copy(link->password_hash, sizeof(link->password_hash), row->text[10]);
    link->views = row->integer[11];
    link->maker = row->integer[12];
    store_copy(link->maker_name, sizeof(link->maker_name), row->text[13]);
    link->over = row->integer[14] != 0;
    link->not_before = (int64_t) row->integer[15];
}


store_result_t store_link_add(store_t *store, const store_link_t *link,
                              const unsigned char hash[KEY_HASH_BYTES], uint64_t *id)
{
    static const char  sql[] =
        "INSERT INTO links (token_hash, stream_id, kind, from_ms, to_ms, expires_ms, label, "
        "password_hash, made_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";

    store_value_t  values[] = {
        store_bytes(hash, KEY_HASH_BYTES), store_integer(link->stream),
        store_text(link->clip ? "clip" : "live"), store_integer((uint64_t) link->from),
        store_integer((uint64_t) link->to), store_integer((uint64_t) link->expires),
        store_text(link->label), store_text(link->password_hash), store_integer(link->maker)
    };

    return store_execute(store, sql, values, 9, NULL, id);
}


store_result_t store_link_by_token(store_t *store, const unsigned char hash[KEY_HASH_BYTES],
                                   store_link_t *link)
{
    static const char  sql[] = "SELECT " LINK_COLUMNS LINK_FROM "WHERE l.token_hash = ?";

    store_value_t  values[] = { store_integer(TOKEN_LINKS), store_bytes(hash, KEY_HASH_BYTES) };

    return store_query(store, sql, values, 2, LINK_LETTERS, link_take, link);
}


store_result_t store_link_by_id(store_t *store, uint64_t id, store_link_t *link)
{
    static const char  sql[] = "SELECT " LINK_COLUMNS LINK_FROM "WHERE l.id = ?";

    store_value_t  values[] = { store_integer(TOKEN_LINKS), store_integer(id) };

    return store_query(store, sql, values, 2, LINK_LETTERS, link_take, link);
}


typedef struct {
    store_link_each  each;
    void            *data;
} link_list_t;


static void link_take_each(const store_row_t *row, void *data)
{
    link_list_t   *list = data;
    store_link_t   link;

    link_take(row, &link);
    list->each(&link, list->data);
}


store_result_t store_link_list(store_t *store, uint64_t stream, store_link_each each, void *data)
{
    static const char  sql[] = "SELECT " LINK_COLUMNS LINK_FROM
                               "WHERE ? IN (0, l.stream_id) AND l.revoked_at IS NULL "
                               "ORDER BY l.id DESC";

    store_value_t  values[] = { store_integer(TOKEN_LINKS), store_integer(stream) };
    link_list_t    list = { each, data };

    return store_list(store, sql, values, 2, LINK_LETTERS, link_take_each, &list);
}


store_result_t store_link_room(store_t *store, uint64_t stream, unsigned most)
{
    static const char  prune[] = "DELETE l FROM links l WHERE l.stream_id = ? "
                                 "AND NOT (" LINK_VALID ")";
    static const char  count[] = "SELECT COUNT(*) FROM links WHERE stream_id = ?";

    uint64_t        rows = 0;
    store_value_t   values[] = { store_integer(stream) };
    store_result_t  result = store_query_integer(store, count, values, 1, &rows);

    if (result == STORE_OK && rows >= most) {
        result = store_execute(store, prune, values, 1, NULL, NULL);
        if (result == STORE_OK) {
            result = store_query_integer(store, count, values, 1, &rows);
        }
    }

    return result == STORE_OK && rows >= most ? STORE_EXISTS : result;
}


store_result_t store_link_view(store_t *store, uint64_t id, bool again)
{
    static const char  sql[] = "UPDATE links l SET l.views = l.views + IF(? AND l.views > 0, 0, 1) "
                               "WHERE l.id = ? AND " LINK_VALID;

    store_value_t  values[] = { store_integer(again), store_integer(id) };

    return store_execute_rows(store, sql, values, 2);
}


store_result_t store_link_revoke(store_t *store, uint64_t stream, uint64_t id)
{
    static const char  sql[] = "UPDATE links SET revoked_at = UTC_TIMESTAMP(3) "
                               "WHERE stream_id = ? AND id = ? AND revoked_at IS NULL";

    store_value_t  values[] = { store_integer(stream), store_integer(id) };

    return store_execute_rows(store, sql, values, 2);
}


store_result_t store_link_seen(store_t *store, uint64_t stream, uint64_t maker, bool clip,
                               store_id_each each, void *data)
{
    static const char  sql[] = "SELECT l.id FROM links l WHERE l.stream_id = ? AND l.made_by = ? "
                               "AND l.kind = ? AND l.views > 0 AND " LINK_VALID;

    store_value_t  values[] = { store_integer(stream), store_integer(maker),
                                store_text(clip ? "clip" : "live") };

    return store_list_ids(store, sql, values, 3, each, data);
}


store_result_t store_link_revoke_made(store_t *store, uint64_t stream, uint64_t maker, bool clip)
{
    static const char  sql[] = "UPDATE links SET revoked_at = UTC_TIMESTAMP(3) WHERE stream_id = ? "
                               "AND made_by = ? AND kind = ? AND revoked_at IS NULL";

    store_value_t  values[] = { store_integer(stream), store_integer(maker),
                                store_text(clip ? "clip" : "live") };

    return store_execute(store, sql, values, 3, NULL, NULL);
}
