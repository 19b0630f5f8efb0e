/* The page's calls for the second step of a login: turning it on and off. */

#include "api.h"
#include "../base/totp.h"

#include <time.h>


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
