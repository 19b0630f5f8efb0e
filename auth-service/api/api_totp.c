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


void api_totp_begin(api_t *api)
{
    char             secret[TOTP_SECRET_SIZE];
    change_t         change = api_change(api);
    const char      *password = api_text(api, "password", NULL);
    store_result_t   result;

    if (password == NULL || !api_confirm(api, "totp", password, false)) {
        return;
    }

    totp_secret_make(secret);
    result = change_totp_begin(&change, secret);
    if (result != STORE_OK) {
        api_store_error(api, result, "second step");
        return;
    }

    api_audit(api, "totp", true, api->user.name, "begun");
    api_reply(api, json_pack("{ss so}", "secret", secret, "url",
        json_sprintf("otpauth://totp/Duolu:%s?secret=%s&issuer=Duolu", api->user.name, secret)));
}


static void totp_answer_codes(api_t *api, char codes[RECOVERY_COUNT][RECOVERY_SIZE])
{
    size_t   i;
    json_t  *list = json_array();

    for (i = 0; i < RECOVERY_COUNT; i++) {
        json_array_append_new(list, json_string(codes[i]));
    }
    api_reply(api, json_pack("{so}", "recovery", list));
}


/* A first code shows that the app has the secret; only then the login asks for codes. */
void api_totp_confirm(api_t *api)
{
    char             shown[RECOVERY_COUNT][RECOVERY_SIZE], plain[RECOVERY_COUNT][RECOVERY_SIZE];
    size_t           i;
    change_t         change = api_change(api);
    uint64_t         step;
    const char      *code = api_text(api, "code", NULL), *codes[RECOVERY_COUNT];
    store_result_t   result;

    if (code == NULL) {
        return;
    }
    if (!totp_check(api->user.totp_secret, code, (int64_t) time(NULL), &step)) {
        api_error(api, 403, "bad_code", "The code is wrong or too old.");
        return;
    }

    for (i = 0; i < RECOVERY_COUNT; i++) {
        recovery_make(shown[i]);
        recovery_read(shown[i], plain[i]);
        codes[i] = plain[i];
    }

    result = change_totp_on(&change, &api->user, step, codes);
    if (result == STORE_NONE) {
        api_error(api, 409, "changed", "This account was changed meanwhile. Try again.");
        return;
    }
    if (result != STORE_OK) {
        api_store_error(api, result, "second step");
        return;
    }

    api_audit(api, "totp", true, api->user.name, "on");
    totp_answer_codes(api, shown);
}


static void totp_off(api_t *api, const store_user_t *user)
{
    change_t        change = api_change(api);
    store_result_t  result = change_totp_off(&change, user->id);

    if (result != STORE_OK) {
        api_store_error(api, result, "user");
        return;
    }

    api_audit(api, "totp", true, user->name, "off");
    api_reply(api, json_object());
}


void api_totp_off(api_t *api)
{
    const char  *password = api_text(api, "password", NULL);

    if (password && api_confirm(api, "totp", password, true)) {
        totp_off(api, &api->user);
    }
}


void api_user_totp_off(api_t *api)
{
    store_user_t  user;

    if (!api_named_user(api, &user)) {
        return;
    }
    if (user.id == api->user.id) {
        /* or a stolen login of an admin could do it without the password */
        api_error(api, 409, "self", "Turn off your own second step with your password.");
        return;
    }

    totp_off(api, &user);
}
