/* The second step of a login: a code of an authenticator app, or a recovery code. */

#include "api.h"
#include "../base/clock.h"
#include "../base/totp.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>


/*
 * Takes the code once. Two requests at once with one code: the database lets one of them pass.
 * STORE_NONE: it is wrong, or was taken before.
 */
static store_result_t totp_take(api_t *api, const store_user_t *user, const char *text)
{
    char           code[RECOVERY_SIZE];
    uint64_t       step;
    unsigned char  hash[KEY_HASH_BYTES];

    if (totp_check(user->totp_secret, text, (int64_t) time(NULL), &step)) {
        return store_totp_use(api->store, user->id, step);
    }
    if (recovery_read(text, code)) {
        password_fingerprint(code, hash);
        return store_recovery_use(api->store, user->id, hash);
    }

    return STORE_NONE;
}


totp_verdict_t api_totp_verify(api_t *api, const store_user_t *user, const char *action)
{
    int             status = api->user.id ? 403 : 401;
    char            key[24];
    int64_t         wait;
    const char     *text = json_string_value(json_object_get(api->body, "code"));
    store_result_t  result;

    if (text == NULL || text[0] == '\0') {
        api_error(api, status, "code_required", "This account needs a code of its authenticator "
                  "app.");
        return TOTP_MISSING;
    }

    snprintf(key, sizeof(key), "%" PRIu64, user->id);
    wait = backoff_attempt(&api->service->by_code, key, clock_ms());
    if (wait > 0) {
        api_audit(api, action, false, user->name, "backoff");
        api_wait(api, "backoff", wait, "Too many wrong codes. Wait before the next try.");
        return TOTP_MISSING;
    }

    result = totp_take(api, user, text);
    if (result == STORE_OK) {
        backoff_success(&api->service->by_code, key);
        return TOTP_RIGHT;
    }
    if (result != STORE_NONE) {
        backoff_forgive(&api->service->by_code, key);
        api_store_error(api, result, "code");
        return TOTP_MISSING;
    }

    api_audit(api, action, false, user->name, "wrong code");
    api_error(api, status, "bad_code", "The code is wrong, was used before, or is too old.");
    return TOTP_WRONG;
}
