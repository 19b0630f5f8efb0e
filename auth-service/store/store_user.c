#include "store_core.h"

#define USER_COLUMNS  "u.id, u.name, u.password_hash, u.admin, u.disabled, u.max_publishers, " \
                      "u.rec_quota, " USER_CHANGED ", " USER_REVOKED ", u.display_name, " \
                      "u.totp_secret, u.totp_on"
#define USER_LETTERS  "ittiiiiiitti"
#define USER_CHANGED  "CAST(UNIX_TIMESTAMP(u.changed) * 1000 AS UNSIGNED)"
#define USER_REVOKED  "COALESCE((SELECT r.at FROM revocations r WHERE r.user_id = u.id " \
                      "AND r.stream_id = 0 AND r.device_id = 0), 0)"


static void user_take(const store_row_t *row, store_user_t *user)
{
    user->id = row->integer[0];
    store_copy(user->name, sizeof(user->name), row->text[1]);
    store_copy(user->password_hash, sizeof(user->password_hash), row->text[2]);
    user->admin = row->integer[3] != 0;
    user->disabled = row->integer[4] != 0;
    user->max_publishers = (unsigned) row->integer[5];
    user->rec_quota = row->integer[6];
    user->changed = row->integer[7];
    user->not_before = (int64_t) row->integer[8];
    store_copy(user->display_name, sizeof(user->display_name), row->text[9]);
    store_copy(user->totp_secret, sizeof(user->totp_secret), row->text[10]);
    user->totp_on = row->integer[11] != 0;
}


static void user_take_one(const store_row_t *row, void *data)
{
    user_take(row, data);
}


store_result_t store_user_add(store_t *store, const char *name, const char *hash, bool admin,
                              uint64_t *id)
{
    static const char  sql[] = "INSERT INTO users (name, password_hash, admin) VALUES (?, ?, ?)";

    store_value_t  values[] = { store_text(name), store_text(hash), store_integer(admin) };

    return store_execute(store, sql, values, 3, NULL, id);
}


store_result_t store_user_by_name(store_t *store, const char *name, store_user_t *user)
{
    static const char  sql[] = "SELECT " USER_COLUMNS " FROM users u WHERE u.name = ?";

    store_value_t  values[] = { store_text(name) };

    return store_query(store, sql, values, 1, USER_LETTERS, user_take_one, user);
}


store_result_t store_user_by_id(store_t *store, uint64_t id, store_user_t *user)
{
    static const char  sql[] = "SELECT " USER_COLUMNS " FROM users u WHERE u.id = ?";

    store_value_t  values[] = { store_integer(id) };

    return store_query(store, sql, values, 1, USER_LETTERS, user_take_one, user);
}


typedef struct {
    store_user_each  each;
    void            *data;
} user_list_t;


static void user_take_each(const store_row_t *row, void *data)
{
    user_list_t   *list = data;
    store_user_t   user;

    user_take(row, &user);
    list->each(&user, list->data);
}


store_result_t store_user_list(store_t *store, store_user_each each, void *data)
{
    static const char  sql[] = "SELECT " USER_COLUMNS " FROM users u ORDER BY u.name";

    user_list_t     list = { each, data };

    return store_list(store, sql, NULL, 0, USER_LETTERS, user_take_each, &list);
}


store_result_t store_user_set_disabled(store_t *store, uint64_t id, bool disabled)
{
    static const char  sql[] = "UPDATE users SET disabled = ? WHERE id = ?";

    store_value_t  values[] = { store_integer(disabled), store_integer(id) };

    return store_execute_rows(store, sql, values, 2);
}


store_result_t store_user_set_password(store_t *store, uint64_t id, const char *hash)
{
    static const char  sql[] = "UPDATE users SET password_hash = ? WHERE id = ?";

    store_value_t  values[] = { store_text(hash), store_integer(id) };

    return store_execute_rows(store, sql, values, 2);
}


store_result_t store_user_replace_password(store_t *store, const store_user_t *user,
                                           const char *hash)
{
    static const char  sql[] = "UPDATE users SET password_hash = ? "
                               "WHERE id = ? AND password_hash = ? AND disabled = 0";

    store_value_t  values[] = { store_text(hash), store_integer(user->id),
                                store_text(user->password_hash) };

    return store_execute_rows(store, sql, values, 3);
}


store_result_t store_user_remove(store_t *store, uint64_t id)
{
    static const char  sql[] = "DELETE FROM users WHERE id = ?";

    store_value_t  values[] = { store_integer(id) };

    return store_execute_rows(store, sql, values, 1);
}


store_result_t store_user_set_limits(store_t *store, uint64_t id, const store_limits_t *limits)
{
    static const char  sql[] = "UPDATE users SET max_publishers = COALESCE(?, max_publishers), "
                               "rec_quota = COALESCE(?, rec_quota), "
                               "display_name = COALESCE(?, display_name) WHERE id = ?";

    store_value_t  values[] = { store_integer_at(limits->max_publishers),
                                store_integer_at(limits->rec_quota),
                                store_text(limits->display_name), store_integer(id) };

    return store_execute_rows(store, sql, values, 4);
}


typedef struct {
    store_owner_each   each;
    void              *data;
} user_owners_t;


static void user_take_owner(const store_row_t *row, void *data)
{
    store_owner_t   owner;
    user_owners_t  *owners = data;

    owner.id = row->integer[0];
    store_copy(owner.name, sizeof(owner.name), row->text[1]);
    owner.full = row->integer[2] != 0;
    owner.bytes = row->integer[3];
    owners->each(&owner, owners->data);
}


store_result_t store_user_owners(store_t *store, bool full, store_owner_each each, void *data)
{
    static const char  sql[] =
        "SELECT u.id, u.name, u.rec_full, CAST(COALESCE(SUM(r.bytes), 0) AS UNSIGNED) "
        "FROM users u LEFT JOIN streams s ON s.owner_id = u.id "
        "LEFT JOIN recordings r ON r.app = s.app AND r.name = s.name AND r.ended_ms IS NOT NULL "
        "WHERE u.rec_quota = 0 AND u.rec_full >= ? GROUP BY u.id, u.name, u.rec_full "
        "HAVING u.rec_full OR COUNT(s.id) > 0";

    user_owners_t   owners = { each, data };
    store_value_t   values[] = { store_integer(full) };

    return store_list(store, sql, values, 1, "itii", user_take_owner, &owners);
}


/* Leaves `changed` alone: it is for changes by admins, and logins compare it. */
store_result_t store_user_set_full(store_t *store, uint64_t id, bool full)
{
    static const char  sql[] = "UPDATE users SET rec_full = ?, changed = changed WHERE id = ?";

    store_value_t  values[] = { store_integer(full), store_integer(id) };

    return store_execute(store, sql, values, 2, NULL, NULL);
}


store_result_t store_user_any_quota(store_t *store)
{
    static const char  sql[] = "SELECT 1 FROM users WHERE rec_quota > 0 LIMIT 1";

    return store_query(store, sql, NULL, 0, "i", NULL, NULL);
}


/*
 * Checking the password takes long, and the row may have changed meanwhile. Compare
 * `changed`, which also moves when a user is disabled and enabled again. The lock waits
 * for a transaction that is about to commit such a change.
 */
store_result_t store_web_session_add(store_t *store, const unsigned char hash[KEY_HASH_BYTES],
                                     const store_user_t *user, const char *address,
                                     int64_t life_s)
{
    static const char  sql[] =
        "INSERT INTO web_sessions (token_hash, user_id, address, expires_at) "
        "SELECT ?, u.id, ?, UTC_TIMESTAMP(3) + INTERVAL ? SECOND FROM users u "
        "WHERE u.id = ? AND u.password_hash = ? AND u.disabled = 0 AND " USER_CHANGED " = ? "
        "LOCK IN SHARE MODE";

    store_value_t   values[] = { store_bytes(hash, KEY_HASH_BYTES), store_text(address),
                                 store_integer((uint64_t) life_s), store_integer(user->id),
                                 store_text(user->password_hash),
                                 store_integer(user->changed) };

    return store_execute_rows(store, sql, values, 6);
}


store_result_t store_web_session_bound(store_t *store, uint64_t user, unsigned most)
{
    static const char  sql[] =
        "DELETE FROM web_sessions WHERE user_id = ? AND created_at < (SELECT created_at FROM "
        "(SELECT created_at FROM web_sessions WHERE user_id = ? "
        "ORDER BY created_at DESC LIMIT ?, 1) AS newest)";

    store_value_t  values[] = { store_integer(user), store_integer(user),
                                store_integer(most - 1) };

    return store_execute(store, sql, values, 3, NULL, NULL);
}


store_result_t store_web_session_user(store_t *store, const unsigned char hash[KEY_HASH_BYTES],
                                      store_user_t *user)
{
    static const char  sql[] =
        "SELECT " USER_COLUMNS " FROM web_sessions w JOIN users u ON u.id = w.user_id "
        "WHERE w.token_hash = ? AND w.expires_at > UTC_TIMESTAMP(3) AND u.disabled = 0";

    store_value_t  values[] = { store_bytes(hash, KEY_HASH_BYTES) };

    return store_query(store, sql, values, 1, USER_LETTERS, user_take_one, user);
}


store_result_t store_web_session_from(store_t *store, uint64_t user, const char *address)
{
    static const char  sql[] =
        "SELECT user_id FROM web_sessions WHERE user_id = ? AND expires_at > UTC_TIMESTAMP(3) "
        "AND LEFT(INET6_ATON(address), 8) = LEFT(INET6_ATON(?), 8) LIMIT 1";

    store_value_t  values[] = { store_integer(user), store_text(address) };

    return store_query(store, sql, values, 2, "i", NULL, NULL);
}


store_result_t store_web_session_remove(store_t *store, const unsigned char hash[KEY_HASH_BYTES])
{
    static const char  sql[] = "DELETE FROM web_sessions WHERE token_hash = ?";

    store_value_t  values[] = { store_bytes(hash, KEY_HASH_BYTES) };

    return store_execute(store, sql, values, 1, NULL, NULL);
}


store_result_t store_web_session_remove_all(store_t *store, uint64_t user)
{
    static const char  sql[] = "DELETE FROM web_sessions WHERE user_id = ?";

    store_value_t  values[] = { store_integer(user) };

    return store_execute(store, sql, values, 1, NULL, NULL);
}


store_result_t store_web_session_remove_others(store_t *store, uint64_t user,
                                               const unsigned char hash[KEY_HASH_BYTES])
{
    static const char  sql[] = "DELETE FROM web_sessions WHERE user_id = ? AND token_hash <> ?";

    store_value_t  values[] = { store_integer(user), store_bytes(hash, KEY_HASH_BYTES) };

    return store_execute(store, sql, values, 2, NULL, NULL);
}


store_result_t store_web_session_prune(store_t *store)
{
    static const char  sql[] = "DELETE FROM web_sessions WHERE expires_at <= UTC_TIMESTAMP(3) "
                               "ORDER BY expires_at LIMIT 100";

    return store_execute(store, sql, NULL, 0, NULL, NULL);
}
