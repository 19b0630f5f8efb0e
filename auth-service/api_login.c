#include "api.h"
#include "log.h"
#include "session.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define LOGIN_BUSY_MS  1000


static int64_t login_now(void)
{
    struct timespec  now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}


/* Waits for one of few hashing slots; false at once when too many wait already. */
static bool login_take_slot(service_t *service)
{
    bool  taken = true;

    pthread_mutex_lock(&service->hash_lock);

    if (service->hashing >= service->hash_slots) {
        if (service->hash_waiting >= service->hash_waiting_most) {
            taken = false;
        } else {
            service->hash_waiting++;
            while (service->hashing >= service->hash_slots) {
                pthread_cond_wait(&service->hash_free, &service->hash_lock);
            }
            service->hash_waiting--;
        }
    }
    if (taken) {
        service->hashing++;
    }

    pthread_mutex_unlock(&service->hash_lock);
    return taken;
}


static void login_give_slot(service_t *service)
{
    pthread_mutex_lock(&service->hash_lock);
    service->hashing--;
    pthread_cond_signal(&service->hash_free);
    pthread_mutex_unlock(&service->hash_lock);
}


static void login_wait(api_t *api, const char *code, int64_t wait_ms)
{
    char       header[64];
    long long  seconds = (wait_ms + 999) / 1000;

    snprintf(header, sizeof(header), "Retry-After: %lld\r\n", seconds);
    fastcgi_reply(api->request, 429, header, json_pack("{ss ss sI}", "error", code,
        "message", strcmp(code, "busy") == 0
                   ? "Many logins at once. Try again in a moment."
                   : "Too many failed logins. Wait before the next try.",
        "retry_after", (json_int_t) seconds));
}


/* 0, or the milliseconds that this account or address has to wait */
static int64_t login_backoff(api_t *api, const char *name, const char *address_key)
{
    int64_t  now = login_now(), wait;

    wait = backoff_attempt(&api->service->by_address, address_key, now);
    if (wait == 0) {
        wait = backoff_attempt(&api->service->by_account, name, now);
    }

    return wait;
}


static void login_answer(api_t *api, const char *name, const char *address_key)
{
    char            header[SESSION_HEADER_MAX];
    store_result_t  result;

    if (api->user.disabled) {
        api_audit(api, "login", false, name, "user disabled");
        api_error(api, 403, "disabled", "This account is disabled.");
        return;
    }

    result = session_begin(api->store, &api->user, api->address, header);
    if (result != STORE_OK) {
        api_store_error(api, result, "session");
        return;
    }

    backoff_success(&api->service->by_account, name);
    backoff_success(&api->service->by_address, address_key);

    api_audit(api, "login", true, name, "");
    fastcgi_reply(api->request, 200, header, json_pack("{ss sb}", "name", api->user.name,
                                                       "admin", api->user.admin));
}


void api_login(api_t *api)
{
    bool             good;
    char             address_key[64];
    int64_t          wait;
    const char      *name, *password;
    store_user_t     user;
    store_result_t   found;

    name = api_text(api, "name", NULL);
    password = name ? api_text(api, "password", NULL) : NULL;
    if (password == NULL) {
        return;
    }

    if (!name_user_valid(name) || strlen(password) > PASSWORD_MAX) {
        /* no such account can exist, and that tells nobody anything */
        name = "-";
        password = "-";
    }

    backoff_address_key(api->address, address_key, sizeof(address_key));

    wait = login_backoff(api, name, address_key);
    if (wait > 0) {
        /* told in the log, but no row each: a flood must not fill the database */
        log_warning("api login refused address=%s user=%s reason=\"backoff\" wait_ms=%lld",
                    address_key, name, (long long) wait);
        login_wait(api, "backoff", wait);
        return;
    }

    found = store_user_by_name(api->store, name, &user);
    if (found != STORE_OK && found != STORE_NONE) {
        api_store_error(api, found, "user");
        return;
    }

    if (!login_take_slot(api->service)) {
        login_wait(api, "busy", LOGIN_BUSY_MS);
        return;
    }
    good = password_verify(password, found == STORE_OK ? user.password_hash : NULL);
    login_give_slot(api->service);

    if (!good) {
        api_audit(api, "login", false, name, "wrong name or password");
        api_error(api, 401, "bad_login", "The name or the password is wrong.");
        return;
    }

    api->user = user;
    login_answer(api, name, address_key);
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
        /* events of this login end here; other logins of the user come back at once */
        control_refresh(api->service->config->control_socket, api->user.id, error);
    }

    fastcgi_reply(api->request, 200, header, json_object());
}


void api_me(api_t *api)
{
    api_reply(api, json_pack("{ss sb}", "name", api->user.name, "admin", api->user.admin));
}
