#include "../base/token.h"
#include "store_core.h"

#include <stdlib.h>


/*
 * Finds the newest revocation that may concern the same tokens and publishers. One that
 * comes in its second carries the next second, so a further revocation, also of a
 * publisher's key alone, must be later than that to void it too.
 */
static store_result_t revocation_newest(store_t *store, const store_revocation_t *revocation,
                                        uint64_t *newest)
{
    static const char  sql[] =
        "SELECT MAX(at) FROM revocations WHERE at >= ? AND device_id = 0 "
        "AND (? = 0 OR user_id IN (0, ?)) AND (? = 0 OR stream_id IN (0, ?))";

    store_value_t  user = store_integer(revocation->user);
    store_value_t  stream = store_integer(revocation->stream);
    store_value_t  values[] = { store_integer((uint64_t) revocation->at), user, user, stream,
                                stream };

    return store_query_integer(store, sql, values, 5, newest);
}


store_result_t store_revocation_add(store_t *store, const store_revocation_t *revocation)
{
    static const char  sql[] =
        "INSERT INTO revocations (user_id, stream_id, device_id, at) VALUES (?, ?, ?, ?) "
        "ON DUPLICATE KEY UPDATE at = GREATEST(at, ?), pending = 1";

    uint64_t        newest = 0;
    store_value_t   at;
    store_result_t  result = revocation_newest(store, revocation, &newest);

    if (result != STORE_OK) {
        return result;
    }

    at = store_integer(newest ? newest + 1 : (uint64_t) revocation->at);

    store_value_t  values[] = { store_integer(revocation->user),
                                store_integer(revocation->stream),
                                store_integer(revocation->device), at, at };

    return store_execute(store, sql, values, 5, NULL, NULL);
}


store_result_t store_revocation_delay(store_t *store, const store_revocation_t *revocation)
{
    static const char  sql[] =
        "UPDATE revocations SET at = GREATEST(at, ?), pending = 1 "
        "WHERE user_id = ? AND stream_id = ? AND device_id = ?";

    store_value_t  values[] = { store_integer((uint64_t) revocation->at),
                                store_integer(revocation->user),
                                store_integer(revocation->stream),
                                store_integer(revocation->device) };

    return store_execute(store, sql, values, 4, NULL, NULL);
}


typedef struct {
    store_revocation_t  *rows;
    size_t               count;
    bool                 failed;            /* no memory */
} revocation_list_t;


static void revocation_take_each(const store_row_t *row, void *data)
{
    revocation_list_t   *list = data;
    store_revocation_t  *revocation = &list->rows[list->count++];

    revocation->user = row->integer[0];
    revocation->stream = row->integer[1];
    revocation->device = row->integer[2];
    revocation->at = (int64_t) row->integer[3];
    store_copy(revocation->stream_name, sizeof(revocation->stream_name), row->text[4]);
}


#define REVOCATION_SELECT \
    "SELECT r.user_id, r.stream_id, r.device_id, r.at, COALESCE(CONCAT(s.app, '/', s.name), " \
    "r.stream_name) FROM revocations r LEFT JOIN streams s ON s.id = r.stream_id "

#define REVOCATION_PENDING  REVOCATION_SELECT "WHERE r.pending = 1 "


/* If the database's clock was set back, a row may lie in the future: deliver it at once. */
store_result_t store_revocation_pending(store_t *store, unsigned age_ms,
                                        store_revocation_t *rows, size_t most, size_t *count)
{
    static const char  sql[] = REVOCATION_PENDING
        "AND (r.changed <= CURRENT_TIMESTAMP(3) - INTERVAL ? MICROSECOND "
        "OR r.changed > CURRENT_TIMESTAMP(3)) ORDER BY r.changed LIMIT ?";

    store_value_t      values[] = { store_integer(1000ull * age_ms), store_integer(most) };
    revocation_list_t  list = { rows, 0, false };
    store_result_t     result;

    result = store_list(store, sql, values, 2, "iiiit", revocation_take_each, &list);
    *count = list.count;
    return result;
}


store_result_t store_revocation_one(store_t *store, const store_revocation_t *of,
                                    store_revocation_t *row)
{
    static const char  sql[] = REVOCATION_PENDING
        "AND r.user_id = ? AND r.stream_id = ? AND r.device_id = ?";

    store_value_t      values[] = { store_integer(of->user), store_integer(of->stream),
                                    store_integer(of->device) };
    revocation_list_t  list = { row, 0, false };

    return store_query(store, sql, values, 3, "iiiit", revocation_take_each, &list);
}


static void revocation_gather_each(const store_row_t *row, void *data)
{
    revocation_list_t   *list = data;
    store_revocation_t  *grown;

    /* a power of two: the array is full */
    if ((list->count & (list->count - 1)) == 0) {
        grown = realloc(list->rows, (list->count ? 2 * list->count : 1) * sizeof(*grown));
        if (grown == NULL) {
            list->failed = true;
            return;
        }
        list->rows = grown;
    }

    revocation_take_each(row, list);
}


store_result_t store_revocation_since(store_t *store, uint64_t since, uint64_t *now,
                                      store_revocation_t **rows, size_t *count)
{
    static const char  clock[] =
        "SELECT CAST(1000 * UNIX_TIMESTAMP(CURRENT_TIMESTAMP(3)) AS UNSIGNED)";
    static const char  sql[] = REVOCATION_SELECT
        "WHERE r.changed >= FROM_UNIXTIME(? / 1000) OR r.changed > CURRENT_TIMESTAMP(3) "
        "ORDER BY r.changed";

    store_value_t      values[] = { store_integer(since) };
    revocation_list_t  list = { NULL, 0, false };
    store_result_t     result = store_query_integer(store, clock, NULL, 0, now);

    if (result == STORE_OK) {
        result = store_list(store, sql, values, 1, "iiiit", revocation_gather_each, &list);
    }

    *rows = list.rows;
    *count = list.count;
    return result == STORE_OK && list.failed ? STORE_DOWN : result;
}


store_result_t store_revocation_name(store_t *store, uint64_t stream)
{
    static const char  sql[] =
        "UPDATE revocations r JOIN streams s ON s.id = r.stream_id "
        "SET r.stream_name = CONCAT(s.app, '/', s.name) WHERE r.stream_id = ?";

    store_value_t  values[] = { store_integer(stream) };

    return store_execute(store, sql, values, 1, NULL, NULL);
}


store_result_t store_revocation_inherit(store_t *store, uint64_t stream)
{
    static const char  sql[] =
        "INSERT INTO revocations (stream_id, at, pending) "
        "SELECT s.id, MAX(r.at), 0 FROM streams s "
        "JOIN revocations r ON r.stream_name = CONCAT(s.app, '/', s.name) "
        "WHERE s.id = ? AND r.device_id = 0 GROUP BY s.id";

    store_value_t  values[] = { store_integer(stream) };

    return store_execute(store, sql, values, 1, NULL, NULL);
}


store_result_t store_revocation_told(store_t *store, const store_revocation_t *revocation)
{
    static const char  sql[] =
        "UPDATE revocations SET pending = 0 "
        "WHERE user_id = ? AND stream_id = ? AND device_id = ? AND at = ?";

    store_value_t  values[] = { store_integer(revocation->user),
                                store_integer(revocation->stream),
                                store_integer(revocation->device),
                                store_integer((uint64_t) revocation->at) };

    return store_execute(store, sql, values, 4, NULL, NULL);
}


/* As store_revocation_add(): behind what may have dated the sessions that it is to end. */
#define REVOCATION_BEHIND(those) \
    "GREATEST(UNIX_TIMESTAMP(), COALESCE((SELECT MAX(n.at) + 1 FROM revocations n " \
    "WHERE n.device_id = 0 AND " those "), 0)) "
#define REVOCATION_OF_KEY \
    REVOCATION_BEHIND("n.user_id IN (0, d.user_id) AND n.stream_id IN (0, d.stream_id)")

/*
 * Adds revocations for users disabled and keys revoked by hand, whose rows changed
 * after their last revocation, for other users' keys to a disabled user's streams, and for links
 * revoked by hand, or opened by a request while they were revoked. It checks only keys and links
 * changed within a day: after a longer outage of the service an admin has to revoke a key again.
 */
store_result_t store_revocation_collect(store_t *store, uint64_t *found)
{
    static const char  others[] =
        "INSERT INTO revocations (device_id, at) SELECT d.id, " REVOCATION_OF_KEY "FROM users o "
        "JOIN streams s ON s.owner_id = o.id "
        "JOIN devices d ON d.stream_id = s.id AND d.user_id <> o.id AND d.revoked_at IS NULL "
        "LEFT JOIN revocations r ON r.device_id = d.id AND r.user_id = 0 AND r.stream_id = 0 "
        "WHERE o.disabled = 1 AND (r.at IS NULL OR r.at < FLOOR(UNIX_TIMESTAMP(o.changed))) "
        "ON DUPLICATE KEY UPDATE at = VALUES(at), pending = 1";
    static const char  users[] =
        "INSERT INTO revocations (user_id, at) SELECT u.id, "
        REVOCATION_BEHIND("n.user_id IN (0, u.id)") "FROM users u LEFT JOIN revocations r "
        "ON r.user_id = u.id AND r.stream_id = 0 AND r.device_id = 0 "
        "WHERE u.disabled = 1 AND (r.at IS NULL OR r.at < FLOOR(UNIX_TIMESTAMP(u.changed))) "
        "ON DUPLICATE KEY UPDATE at = VALUES(at), pending = 1";
    static const char  keys[] =
        "INSERT INTO revocations (device_id, at) SELECT d.id, " REVOCATION_OF_KEY
        "FROM devices d LEFT JOIN revocations r "
        "ON r.device_id = d.id AND r.user_id = 0 AND r.stream_id = 0 "
        "WHERE d.changed > CURRENT_TIMESTAMP(3) - INTERVAL 1 DAY AND d.revoked_at IS NOT NULL "
        "AND (r.at IS NULL OR r.at < FLOOR(UNIX_TIMESTAMP(d.changed))) "
        "ON DUPLICATE KEY UPDATE at = VALUES(at), pending = 1";

    static const char  links[] =
        "INSERT INTO revocations (user_id, at) SELECT ? + l.id, "
        REVOCATION_BEHIND("n.user_id IN (0, ? + l.id) AND n.stream_id IN (0, l.stream_id)")
        "FROM links l LEFT JOIN revocations r "
        "ON r.user_id = ? + l.id AND r.stream_id = 0 AND r.device_id = 0 "
        "WHERE l.revoked_at > UTC_TIMESTAMP(3) - INTERVAL 1 DAY AND l.views > 0 AND r.at IS NULL "
        "ON DUPLICATE KEY UPDATE at = VALUES(at), pending = 1";

    static const char  logins[] = "DELETE w FROM web_sessions w JOIN users u ON u.id = w.user_id "
                                  "WHERE u.disabled = 1";

    static const char *const  all[] = { others, users, keys };

    size_t          i;
    uint64_t        more = 0;
    store_value_t   first = store_integer(TOKEN_LINKS), base[] = { first, first, first };
    store_result_t  result = STORE_OK;

    *found = 0;
    for (i = 0; i < sizeof(all) / sizeof(all[0]) && result == STORE_OK; i++) {
        result = store_execute(store, all[i], NULL, 0, &more, NULL);
        *found += result == STORE_OK ? more : 0;
    }

    if (result == STORE_OK) {
        result = store_execute(store, links, base, 3, &more, NULL);
        *found += result == STORE_OK ? more : 0;
    }

    /* delete the logins, or they would work again when the user is enabled */
    return result == STORE_OK ? store_execute(store, logins, NULL, 0, NULL, NULL) : result;
}
