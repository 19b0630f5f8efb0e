#include "api.h"
#include "../base/clock.h"
#include "known.h"
#include "../base/log.h"
#include "../hooks/hook_event.h"
#include "session.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LOGIN_BUSY_MS      1000
#define LOGIN_BUCKETS_MOST 5
#define LOGIN_KEY_SIZE     160

typedef struct {
    backoff_t  *backoff;
    char        key[LOGIN_KEY_SIZE];
    bool        own;            /* a right password resets this count */
} login_bucket_t;

/* One attempt: its origin, and the counts to which a wrong password adds. */
typedef struct {
    const char      *action;    /* for the audit: "login", or what a user confirms */
    bool             second;    /* needs a code, if the account has a second step */
    const char      *name;
    store_user_t     user;      /* id 0: no user has this name */
    bool             known;     /* this browser or address has logged in to the account */
    char             browser[KNOWN_ID_SIZE];
    char             site[64];  /* the IPv4 address or IPv6 /48 */
    char             share[64]; /* its class for the slots: the account, or the site */
    size_t           count;
    login_bucket_t   buckets[LOGIN_BUCKETS_MOST];
} login_t;


static void login_count_in(login_t *login, backoff_t *backoff, bool own,
                           const char *account, const char *origin)
{
    login_bucket_t  *bucket = &login->buckets[login->count++];

    bucket->backoff = backoff;
    bucket->own = own;
    snprintf(bucket->key, sizeof(bucket->key), "%s %s", account, origin);
}


/*
 * A browser that has logged in before has a count of its own. We count all others by
 * address, by network, and by account and address; strangers to the account also share
 * one count, since a guesser may use many addresses.
 */
static void login_buckets(api_t *api, login_t *login)
{
    char        address[64], network[64];
    api_service_t  *service = api->service;

    if (login->browser[0]) {
        login_count_in(login, &service->by_account, true, login->name, login->browser);
        return;
    }

    backoff_network(api->address, 64, address, sizeof(address));
    login_count_in(login, &service->by_address, false, "", address);

    if (backoff_network(api->address, 56, network, sizeof(network))) {
        login_count_in(login, &service->by_network, false, "", network);
        login_count_in(login, &service->by_site, false, "", login->site);
    }

    login_count_in(login, &service->by_account, true, login->name, address);

    if (!login->known) {
        login_count_in(login, &service->by_stranger, false, login->name, "");
    }
}


/* Finds the login's origin before its password is checked. */
static store_result_t login_identify(api_t *api, login_t *login)
{
    store_result_t  result = store_user_by_name(api->store, login->name, &login->user);

    if (result == STORE_NONE) {
        memset(&login->user, 0, sizeof(login->user));
    } else if (result != STORE_OK) {
        return result;
    }

    backoff_network(api->address, 48, login->site, sizeof(login->site));
    login->known = known_read(api->request, api->service->keys, &login->user, login->browser);

    if (!login->known) {
        /* also query for unknown names, so that the time of the answer does not reveal names */
        result = store_web_session_from(api->store, login->user.id, api->address);
        login->known = result == STORE_OK;
    }

    if (login->known) {
        snprintf(login->share, sizeof(login->share), "user %" PRIu64, login->user.id);
    } else {
        memcpy(login->share, login->site, sizeof(login->share));
    }

    login_buckets(api, login);
    return result == STORE_NONE ? STORE_OK : result;
}


/* Returns the milliseconds to wait, or 0. Counts nothing. */
static int64_t login_peek(const login_t *login)
{
    size_t   i;
    int64_t  wait, longest = 0, now = clock_ms();

    for (i = 0; i < login->count; i++) {
        wait = backoff_peek(login->buckets[i].backoff, login->buckets[i].key, now);
        longest = wait > longest ? wait : longest;
    }

    return longest;
}


/*
 * Counts the attempt in all buckets and returns 0, or counts it in none and returns the
 * milliseconds to wait.
 */
static int64_t login_charge(const login_t *login)
{
    size_t   i;
    int64_t  wait, now = clock_ms();

    for (i = 0; i < login->count; i++) {
        wait = backoff_attempt(login->buckets[i].backoff, login->buckets[i].key, now);
        if (wait > 0) {
            while (i-- > 0) {
                backoff_forgive(login->buckets[i].backoff, login->buckets[i].key);
            }
            return wait;
        }
    }

    return 0;
}


/*
 * Takes the attempt back when the password was right or could not be checked. A right
 * one resets only the account's own count: guessers must not erase their attempts on
 * other accounts by logging in to their own.
 */
static void login_discharge(const login_t *login, bool right)
{
    size_t                 i;
    const login_bucket_t  *bucket;

    for (i = 0; i < login->count; i++) {
        bucket = &login->buckets[i];
        if (right && bucket->own) {
            backoff_success(bucket->backoff, bucket->key);
        } else {
            backoff_forgive(bucket->backoff, bucket->key);
        }
    }
}


static void login_wait(api_t *api, const char *code, int64_t wait_ms)
{
    api_wait(api, code, wait_ms, strcmp(code, "busy") == 0
             ? "Many logins at once. Try again in a moment."
             : "Too many failed logins. Wait before the next try, or use a browser that has "
               "logged in to this account before.");
}


/* The webhooks get the refusals that the audit has in full; keeper_audit.c tells the counts. */
static void login_audit(api_t *api, const char *action, const char *name, const char *reason)
{
    if (api_audit(api, action, false, name, reason) && strcmp(action, "login") == 0
        && hook_event_add(api->store, HOOK_LOGIN, NULL, json_pack("{ss ss ss}", "name", name,
                          "address", api->address, "reason", reason)) != STORE_OK)
    {
        log_error("webhooks: login refused: %s", store_error(api->store));
    }
}


static void login_refuse(api_t *api, const char *code, const login_t *login, int64_t wait)
{
    login_audit(api, login->action, login->name, code);
    login_wait(api, code, wait);
}


/* A wrong code counts as a wrong password, a missing one does not count. */
static bool login_second(api_t *api, const login_t *login)
{
    totp_verdict_t  verdict = api_totp_verify(api, &login->user, login->action);

    if (verdict != TOTP_WRONG) {
        login_discharge(login, verdict == TOTP_RIGHT);
    }
    return verdict == TOTP_RIGHT;
}


/*
 * Counts the attempt only just before the password is checked: an attempt that fails
 * because the service is busy or has a fault does not count.
 */
static bool login_verify(api_t *api, login_t *login, const char *password)
{
    int64_t            wait = login_peek(login);
    const char        *hash;
    password_result_t  verdict;

    if (wait > 0) {
        login_refuse(api, "backoff", login, wait);
        return false;
    }

    if (!slots_take(&api->service->hashing, login->share, login->known)) {
        login_refuse(api, "busy", login, LOGIN_BUSY_MS);
        return false;
    }

    wait = login_charge(login);
    hash = login->user.id ? login->user.password_hash : NULL;
    verdict = wait > 0 ? PASSWORD_UNKNOWN : password_verify(password, hash);
    slots_give(&api->service->hashing, login->share);

    if (wait > 0) {
        login_refuse(api, "backoff", login, wait);
        return false;
    }

    if (verdict == PASSWORD_RIGHT && login->second && login->user.totp_on) {
        return login_second(api, login);
    }
    if (verdict != PASSWORD_WRONG) {
        login_discharge(login, verdict == PASSWORD_RIGHT);
    }
    if (verdict == PASSWORD_WRONG && api->user.id) {
        login_audit(api, login->action, login->name, "wrong password");
        api_error(api, 403, "wrong_password", "The password is wrong.");
    } else if (verdict == PASSWORD_WRONG) {
        login_audit(api, login->action, login->name, "wrong name or password");
        api_error(api, 401, "bad_login", "The name or the password is wrong.");
    } else if (verdict == PASSWORD_UNKNOWN) {
        log_error("login: not enough memory to check a password");
        login_wait(api, "busy", LOGIN_BUSY_MS);
    }

    return verdict == PASSWORD_RIGHT;
}


void api_login_begin(api_t *api, const char *browser)
{
    char            session[SESSION_HEADER_MAX], known[KNOWN_HEADER_MAX];
    char            headers[SESSION_HEADER_MAX + KNOWN_HEADER_MAX];
    const char     *name = api->user.name;
    store_result_t  result;

    if (api->user.disabled) {
        login_audit(api, "login", name, "user disabled");
        api_error(api, 403, "disabled", "This account is disabled.");
        return;
    }

    result = session_begin(api->store, &api->user, api->address, session);
    if (result == STORE_NONE) {
        login_audit(api, "login", name, "user changed meanwhile");
        api_error(api, 409, "changed", "This account was changed while you logged in. Log in "
                  "again.");
        return;
    }
    if (result != STORE_OK) {
        api_store_error(api, result, "session");
        return;
    }

    known_header(api->service->keys, &api->user, api->began, browser, known);
    snprintf(headers, sizeof(headers), "%s%s", session, known);

    api_audit(api, "login", true, name, "");
    fastcgi_reply(api->request, 200, headers, json_pack("{ss sb}", "name", name, "admin",
                                                        api->user.admin));
}


void api_login(api_t *api)
{
    login_t          login = { .action = "login", .second = true,
                               .name = api_text(api, "name", NULL) };
    const char      *password;
    store_result_t   result;

    password = login.name ? api_text(api, "password", NULL) : NULL;
    if (password == NULL) {
        return;
    }

    if (!name_user_valid(login.name) || strlen(password) > PASSWORD_MAX) {
        /* such an account cannot exist, so this answer reveals nothing */
        login.name = "-";
        password = "-";
    }

    result = login_identify(api, &login);
    if (result != STORE_OK) {
        api_store_error(api, result, "user");
        return;
    }

    if (login_verify(api, &login, password)) {
        api->user = login.user;
        api_login_begin(api, login.browser);
    }
}


bool api_confirm(api_t *api, const char *action, const char *password, bool second)
{
    login_t         login = { .action = action, .second = second, .name = api->user.name };
    store_result_t  result = login_identify(api, &login);

    if (result != STORE_OK) {
        api_store_error(api, result, "user");
        return false;
    }

    if (strlen(password) > PASSWORD_MAX) {
        password = "-";
    }
    if (!login_verify(api, &login, password)) {
        return false;
    }

    api->user = login.user;
    return true;
}


void api_logout(api_t *api)
{
    char            header[SESSION_HEADER_MAX], error[CONTROL_ERROR_SIZE];
    store_result_t  result;

    if (session_user(api->request, api->store, &api->user) == STORE_OK) {
        api_audit(api, "logout", true, api->user.name, "");
    }

    result = session_end(api->request, api->store, header);
    if (result != STORE_OK) {
        api_store_error(api, result, "session");
        return;
    }

    if (api->user.id) {
        /* end the event streams of all the user's pages; pages of other logins reconnect at once */
        control_refresh(api->service->config->control_socket, api->user.id, error);
    }

    fastcgi_reply(api->request, 200, header, json_object());
}
