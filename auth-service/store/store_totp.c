/* The second step of a login: the secret of an authenticator app, and recovery codes. */

#include "store_core.h"


store_result_t store_totp_begin(store_t *store, uint64_t user, const char *secret)
{
    static const char  sql[] = "UPDATE users SET totp_secret = ?, totp_step = 0 "
                               "WHERE id = ? AND totp_on = 0";

    store_value_t  values[] = { store_text(secret), store_integer(user) };

    return store_execute_rows(store, sql, values, 2);
}


store_result_t store_totp_on(store_t *store, uint64_t user, const char *secret, uint64_t step)
{
    static const char  sql[] = "UPDATE users SET totp_on = 1, totp_step = ? "
                               "WHERE id = ? AND totp_on = 0 AND totp_secret = ?";

    store_value_t  values[] = { store_integer(step), store_integer(user), store_text(secret) };

    return store_execute_rows(store, sql, values, 3);
}


store_result_t store_totp_off(store_t *store, uint64_t user)
{
    static const char  codes[] = "DELETE FROM recovery_codes WHERE user_id = ?";
    static const char  sql[] = "UPDATE users SET totp_on = 0, totp_secret = '', totp_step = 0 "
                               "WHERE id = ?";

    store_value_t   of = store_integer(user);
    store_result_t  result = store_execute(store, codes, &of, 1, NULL, NULL);

    return result == STORE_OK ? store_execute_rows(store, sql, &of, 1) : result;
}


/* Leaves `changed` alone: a login compares it. */
store_result_t store_totp_use(store_t *store, uint64_t user, uint64_t step)
{
    static const char  sql[] = "UPDATE users SET totp_step = ?, changed = changed "
                               "WHERE id = ? AND totp_on = 1 AND totp_step < ?";

    store_value_t  values[] = { store_integer(step), store_integer(user), store_integer(step) };

    return store_execute_rows(store, sql, values, 3);
}


store_result_t store_recovery_add(store_t *store, uint64_t user,
                                  const unsigned char hash[KEY_HASH_BYTES])
{
    static const char  sql[] = "INSERT INTO recovery_codes (user_id, code_hash) VALUES (?, ?)";

    store_value_t  values[] = { store_integer(user), store_bytes(hash, KEY_HASH_BYTES) };

    return store_execute(store, sql, values, 2, NULL, NULL);
}


store_result_t store_recovery_use(store_t *store, uint64_t user,
                                  const unsigned char hash[KEY_HASH_BYTES])
{
    static const char  sql[] = "DELETE FROM recovery_codes WHERE user_id = ? AND code_hash = ?";

    store_value_t  values[] = { store_integer(user), store_bytes(hash, KEY_HASH_BYTES) };

    return store_execute_rows(store, sql, values, 2);
}
