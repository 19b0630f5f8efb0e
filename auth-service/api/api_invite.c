/* Links by which a user sets a password: an admin makes them, anyone who has one uses it once. */

#include "api.h"
#include "../base/clock.h"
#include "../base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define INVITE_LENGTH   43      /* 32 bytes in base64url without padding */
#define INVITE_BUSY_MS  1000


/* The secret stands behind '#', which browsers send to no server. */
json_t *api_invite_link(const char *invite)
{
    return json_sprintf(CHANGE_INVITE_PATH "%s", invite);
}


void api_user_invite(api_t *api)
{
    char            invite[SECRET_SIZE];
    json_t         *answer;
    change_t        change = api_change(api);
    store_user_t    user;
    store_result_t  result;

    if (!api_named_user(api, &user)) {
        return;
    }
    if (user.disabled) {
        api_error(api, 403, "disabled", "This account is disabled. Enable it first.");
        return;
    }

    result = change_user_invite(&change, user.id, invite);
    if (result != STORE_OK) {
        api_store_error(api, result, "user of this name");
        return;
    }

    api_audit(api, "user invite", true, user.name, user.password_hash[0] ? "reset" : "invite");
    answer = api_user_json(&user);
    json_object_set_new(answer, "invite", api_invite_link(invite));
    api_reply(api, answer);
}


static void invite_refuse(api_t *api)
{
    api_audit(api, "invite", false, "-", "not a valid link");
    api_error(api, 404, "not_found", "This link is not valid: it was used already, replaced by "
              "a newer one, or is older than seven days. Ask for a new one.");
}


/*
 * Finds the link in the body. Nobody can guess a secret, but looking one up costs the
 * database: after some unknown ones an address has to wait.
 */
static bool invite_find(api_t *api, unsigned char hash[KEY_HASH_BYTES], store_invite_t *invite)
{
    char             network[64];
    int64_t          wait;
    const char      *text = api_text(api, "invite", NULL);
    store_result_t   result = STORE_NONE;

    if (text == NULL) {
        return false;
    }

    backoff_network(api->address, 56, network, sizeof(network));
    wait = backoff_attempt(&api->service->by_invite, network, clock_ms());
    if (wait > 0) {
        api_audit(api, "invite", false, "-", "backoff");
        api_wait(api, "backoff", wait, "Too many links that are not valid. Wait before the next "
                 "try.");
        return false;
    }

    if (strlen(text) == INVITE_LENGTH) {
        password_fingerprint(text, hash);
        result = store_invite_open(api->store, hash, invite);
    }

    if (result == STORE_NONE) {
        invite_refuse(api);
        return false;
    }

    backoff_forgive(&api->service->by_invite, network);
    if (result != STORE_OK) {
        api_store_error(api, result, "link");
        return false;
    }

    return true;
}


void api_invite_open(api_t *api)
{
    unsigned char   hash[KEY_HASH_BYTES];
    store_invite_t  invite;

    if (invite_find(api, hash, &invite)) {
        api_reply(api, json_pack("{ss ss sI}", "name", invite.user_name, "kind",
                                 invite.reset ? "reset" : "invite", "expires",
                                 (json_int_t) invite.expires));
    }
}


bool api_hash_password(api_t *api, const char *password, uint64_t user,
                       char hash[PASSWORD_HASH_SIZE])
{
    bool  done;
    char  share[64];

    if (!password_valid(password)) {
        api_error(api, 400, "bad_password", "password has %zu bytes; expected " PASSWORD_RULE
                  ".", strlen(password));
        return false;
    }

    snprintf(share, sizeof(share), "user %" PRIu64, user);
    if (!slots_take(&api->service->hashing, share, true)) {
        api_wait(api, "busy", INVITE_BUSY_MS, "Many logins at once. Try again in a moment.");
        return false;
    }

    done = password_hash(password, hash);
    slots_give(&api->service->hashing, share);

    if (!done) {
        api_error(api, 500, "internal", "There are not 19 MiB of memory for the password hash.");
    }
    return done;
}


void api_invite_use(api_t *api)
{
    char             password[PASSWORD_HASH_SIZE];
    change_t         change = api_change(api);
    uint64_t         user;
    const char      *text;
    unsigned char    hash[KEY_HASH_BYTES];
    store_invite_t   invite;
    store_result_t   result;

    text = api_text(api, "password", NULL);
    if (text == NULL || !invite_find(api, hash, &invite)
        || !api_hash_password(api, text, invite.user, password))
    {
        return;
    }

    result = change_invite_use(&change, hash, password, &user);
    if (result == STORE_NONE) {
        invite_refuse(api);
        return;
    }
    if (result == STORE_OK) {
        result = store_user_by_id(api->store, user, &api->user);
    }
    if (result != STORE_OK) {
        api_store_error(api, result, "user");
        return;
    }

    api_audit(api, "invite", true, api->user.name, invite.reset ? "reset" : "invite");
    if (change.report.waiting) {
        log_warning("nginx does not know yet: %s", change.report.error);
    }
    if (api->user.totp_on) {
        /* whoever has the link need not have the phone */
        api_reply(api, json_pack("{ss sb sb}", "name", api->user.name, "admin", api->user.admin,
                                 "code_required", 1));
        return;
    }
    api_login_begin(api, "");
}
