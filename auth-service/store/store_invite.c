#include "store_core.h"

/* An admin who is gone must not keep links to other accounts: the maker must still be one. */
#define INVITE_VALID \
    "i.used_at IS NULL AND i.expires_at > UTC_TIMESTAMP(3) AND u.disabled = 0 " \
    "AND (i.made_by = 0 OR EXISTS (SELECT 1 FROM users m WHERE m.id = i.made_by " \
    "AND m.admin = 1 AND m.disabled = 0))"

#define INVITE_SELECT \
    "SELECT i.user_id, u.name, i.kind = 'reset', CAST(UNIX_TIMESTAMP(i.expires_at) AS UNSIGNED) " \
    "FROM invites i JOIN users u ON u.id = i.user_id WHERE " INVITE_VALID


static void invite_take(const store_row_t *row, void *data)
{
    store_invite_t  *invite = data;

    invite->user = row->integer[0];
    store_copy(invite->user_name, sizeof(invite->user_name), row->text[1]);
    invite->reset = row->integer[2] != 0;
    invite->expires = (int64_t) row->integer[3];
}


store_result_t store_invite_add(store_t *store, uint64_t user, uint64_t maker,
                                const unsigned char hash[KEY_HASH_BYTES], int64_t life_s)
{
    static const char  old[] = "DELETE FROM invites WHERE user_id = ?";
    static const char  sql[] =
        "INSERT INTO invites (token_hash, user_id, kind, made_by, expires_at) "
        "SELECT ?, u.id, IF(u.password_hash = '', 'invite', 'reset'), ?, "
        "UTC_TIMESTAMP(3) + INTERVAL ? SECOND FROM users u WHERE u.id = ?";

    store_value_t   of = store_integer(user);
    store_value_t   values[] = { store_bytes(hash, KEY_HASH_BYTES), store_integer(maker),
                                 store_integer((uint64_t) life_s), of };
    store_result_t  result = store_execute(store, old, &of, 1, NULL, NULL);

    return result == STORE_OK ? store_execute_rows(store, sql, values, 4) : result;
}


store_result_t store_invite_open(store_t *store, const unsigned char hash[KEY_HASH_BYTES],
                                 store_invite_t *invite)
{
    static const char  sql[] = INVITE_SELECT " AND i.token_hash = ?";

    store_value_t  values[] = { store_bytes(hash, KEY_HASH_BYTES) };

    return store_query(store, sql, values, 1, "itii", invite_take, invite);
}


store_result_t store_invite_of(store_t *store, uint64_t user, store_invite_t *invite)
{
    static const char  sql[] = INVITE_SELECT " AND i.user_id = ?";

    store_value_t  values[] = { store_integer(user) };

    return store_query(store, sql, values, 1, "itii", invite_take, invite);
}


store_result_t store_invite_use(store_t *store, const unsigned char hash[KEY_HASH_BYTES])
{
    static const char  sql[] = "UPDATE invites SET used_at = UTC_TIMESTAMP(3) "
                               "WHERE token_hash = ? AND used_at IS NULL";

    store_value_t  values[] = { store_bytes(hash, KEY_HASH_BYTES) };

    return store_execute_rows(store, sql, values, 1);
}


store_result_t store_invite_void(store_t *store, uint64_t user)
{
    static const char  sql[] = "DELETE FROM invites WHERE user_id = ? AND used_at IS NULL";

    store_value_t  values[] = { store_integer(user) };

    return store_execute(store, sql, values, 1, NULL, NULL);
}
