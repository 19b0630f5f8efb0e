#ifndef DUOLU_API_H
#define DUOLU_API_H

#include "api_service.h"
#include "../rec/record.h"
#include "../rights/change.h"
#include "../rights/rights.h"
#include "../store/store.h"

#define API_PARTS_MAX  5

/* A request of the page that has passed the checks of its route. */
typedef struct {
    FCGX_Request  *request;
    store_t       *store;
    api_service_t *service;
    const char    *address;
    const char    *parts[API_PARTS_MAX];    /* the parts that match '*' in the route, decoded */
    json_t        *body;                    /* an object, or NULL for a GET */
    store_user_t   user;                    /* id 0: not logged in */
    int64_t        began;                   /* unix seconds, before any row was read */
} api_t;

void api_reply(api_t *api, json_t *body);
void api_error(api_t *api, int status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* answers 429 with Retry-After */
void api_wait(api_t *api, const char *code, int64_t wait_ms, const char *message);
/* for a store call that failed: 404, 409, 503 or 500; subject: "user alice" */
void api_store_error(api_t *api, store_result_t result, const char *subject);
/*
 * Writes an audit row and a log line. Of many refusals it only counts some, see refusals.h, and
 * returns false.
 */
bool api_audit(api_t *api, const char *action, bool ok, const char *target,
               const char *reason);

/*
 * Returns a text of the body, or `otherwise` if the text is missing. Answers an error and
 * returns NULL when it is not a text, or is missing and `otherwise` is NULL.
 */
const char *api_text(api_t *api, const char *key, const char *otherwise);

/*
 * Reads an optional number and points *given to it if the body has it. Returns false
 * after answering an error.
 */
bool api_number(api_t *api, const char *key, unsigned most, uint64_t *number,
                const uint64_t **given);

/*
 * Arguments of the query string (api_query.c). Each returns false after answering an error, and
 * leaves its default when the argument is missing. A time is what utc_read() takes, `before` the
 * "MS-ID" of an earlier answer, INT64_MAX if missing.
 */
bool api_query_time(api_t *api, const char *key, int64_t *ms);
bool api_query_limit(api_t *api, unsigned otherwise, unsigned most, unsigned *limit);
bool api_query_before(api_t *api, int64_t *before, uint64_t *before_id);
bool api_query_text(api_t *api, const char *key, char *text, size_t size);
/* Reads a part of the path as a number; false if it is none. */
bool api_part_id(const api_t *api, size_t part, uint64_t *id);

/* For the calls of change.h. */
change_t api_change(const api_t *api);
/*
 * Adds to the body the number of sessions that the change ended, and a warning when nginx
 * does not know of the change yet. api_reply_changed() also answers with it.
 */
json_t *api_changed(const api_t *api, const change_t *change, json_t *body);
void api_reply_changed(api_t *api, const change_t *change, json_t *body);

/* Adds a warning to the body and the log when nginx could not be told whether to record. */
void api_warn_untold(api_t *api, control_result_t result, const char *error, json_t *body);

/*
 * Makes a token for this user and the action "view", "replay" or, for both, "watch"; false only
 * when it is too long.
 */
bool api_media_token(const api_t *api, const char *app, const char *name, int64_t not_before,
                     const char *action, char token[TOKEN_MAX]);

/* Returns the stream as nginx has it, a new reference: NULL if nginx has none (api_stream.c). */
json_t *api_live(api_t *api, const char *app, const char *name);

/*
 * Returns nginx's streams, "live/demo" -> its entry in nginx's status, as a new reference; asks
 * nginx at most twice a second.
 */
json_t *api_live_streams(api_service_t *service);

/* The user's rights on the stream. */
unsigned api_rights(const api_t *api, const store_stream_t *stream);

/*
 * Finds a stream that the user may manage. Otherwise answers an error and returns false:
 * a user without any right on the stream gets 404, as if it did not exist.
 */
bool api_managed_stream(api_t *api, const char *app, const char *name, const char *action,
                        store_stream_t *stream);

/* Finds the user in the request's path. On failure answers and returns false. */
bool api_named_user(api_t *api, store_user_t *user);
json_t *api_user_json(const store_user_t *user);

/*
 * api_login.c. Begins a login of api->user, whose password is right, and answers with the
 * cookies. browser: the id of a browser that has logged in before, "" for a new one.
 */
void api_login_begin(api_t *api, const char *browser);
void api_login(api_t *api);
void api_logout(api_t *api);
/*
 * Does a user who is logged in know the password? Counts failures as a login does, so that
 * a stolen login cannot guess it. second: a code is needed too, if the account has a second
 * step. Reads api->user anew; on failure answers and returns false.
 */
bool api_confirm(api_t *api, const char *action, const char *password, bool second);

/* api_totp.c */
typedef enum { TOTP_RIGHT, TOTP_WRONG, TOTP_MISSING } totp_verdict_t;
/* Checks the "code" of the body, if the user has the second step on; answers unless it is right. */
totp_verdict_t api_totp_verify(api_t *api, const store_user_t *user, const char *action);

/* api_second.c */
void api_totp_begin(api_t *api);
void api_totp_confirm(api_t *api);
void api_totp_off(api_t *api);
void api_user_totp_off(api_t *api);

/* api_me.c */
void api_me(api_t *api);
void api_me_set(api_t *api);
void api_me_password(api_t *api);
void api_me_logout_everywhere(api_t *api);

/* api_stream.c */
void api_streams(api_t *api);
void api_stream_add(api_t *api);
void api_stream_set(api_t *api);
void api_stream_key(api_t *api);
void api_stream_revoke(api_t *api);

/* api_phone.c */
void api_phones(api_t *api);
void api_phone(api_t *api);
void api_phone_add(api_t *api);
void api_phone_renew(api_t *api);
void api_phone_revoke(api_t *api);

/* api_user.c */
/* Reads an optional display name of the body. On failure answers and returns false. */
bool api_display_name(api_t *api, const char **name);
void api_users(api_t *api);
void api_user_add(api_t *api);
void api_user_set(api_t *api);
void api_user_revoke(api_t *api);
void api_user_disable(api_t *api);
void api_user_enable(api_t *api);

/* api_invite.c */
/* Checks a new password and hashes it in the user's slot. On failure answers and returns false. */
bool api_hash_password(api_t *api, const char *password, uint64_t user,
                       char hash[PASSWORD_HASH_SIZE]);
json_t *api_invite_link(const char *invite);
void api_user_invite(api_t *api);
void api_invite_open(api_t *api);
void api_invite_use(api_t *api);

/* api_person.c */
void api_person(api_t *api);

/* api_group.c */
void api_groups(api_t *api);
void api_group_add(api_t *api);
void api_group_remove(api_t *api);
void api_group_join(api_t *api);
void api_group_leave(api_t *api);

/* api_delete.c */
void api_stream_storage(api_t *api);
void api_stream_remove(api_t *api);
void api_user_remove(api_t *api);

/* api_grant.c */
void api_grants(api_t *api);
void api_grant_add(api_t *api);
void api_grant_remove(api_t *api);

/* api_recording.c */
void api_recordings(api_t *api);
void api_recording_set(api_t *api);
void api_recording_remove(api_t *api);
void api_stream_record(api_t *api);

/* api_audit.c */
void api_audit_list(api_t *api);

/* api_webhook.c */
void api_webhooks(api_t *api);
void api_webhook_add(api_t *api);
void api_webhook_set(api_t *api);
void api_webhook_remove(api_t *api);
void api_webhook_secret(api_t *api);
void api_webhook_test(api_t *api);
void api_webhook_dead(api_t *api);
void api_webhook_retry(api_t *api);
void api_webhook_forget(api_t *api);

/* api_open.c */
void api_open(api_t *api);

/* api_storage.c */
void api_settings(api_t *api);
void api_settings_set(api_t *api);
void api_storage(api_t *api);
void api_storage_plan(api_t *api);
void api_storage_delete(api_t *api);

/* api_link.c */
void api_links(api_t *api);
void api_link_add(api_t *api);
void api_link_revoke(api_t *api);
void api_link_open(api_t *api);

/* api_layout.c */
void api_layouts(api_t *api);
void api_layout_put(api_t *api);
void api_layout_remove(api_t *api);

/* api_session.c */
void api_events_access(api_t *api);
void api_sessions(api_t *api);
void api_session_kick(api_t *api);

#endif
