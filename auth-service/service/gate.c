/*
 * nginx asks the gate whether a publisher or an RTMP player may go on. Each question
 * gets exactly one answer, one audit row and one log line; when there are many
 * refusals, they are only counted, see refusals.h.
 */

#include "../base/clock.h"
#include "../base/log.h"
#include "../rec/record.h"
#include "../rights/rights.h"
#include "../store/store.h"
#include "gate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GATE_KEY_MAX      128
#define GATE_DATABASE     "database unavailable"

typedef struct {
    FCGX_Request  *request;
    store_t       *store;
    gate_service_t  *service;
    const char    *kind;        /* "publish" or "play" */
    const char    *app;
    const char    *name;
    const char    *args;
    const char    *address;
    const char    *session;
    const char    *agent;       /* the program, as it names itself */
    const char    *actor;       /* the user's name once it is known */
} gate_t;

/* The contents of a positive answer and of its session row. */
typedef struct {
    uint64_t               user;
    uint64_t               device;              /* publishers only */
    unsigned               max_publishers;
    unsigned               max_kbps;
    int64_t                not_before;
    char                   actor[NAME_USER_MAX + 1];
    store_stream_t         stream;
} gate_pass_t;


static void gate_log(const gate_t *gate, const char *reason)
{
    char  app[80], name[400], address[80], session[100];

    log_info("gate %s %s address=%s stream=\"%s/%s\" session=%s user=%s reason=\"%s\"",
             gate->kind, reason ? "denied" : "allowed",
             log_quote(address, sizeof(address), gate->address),
             log_quote(app, sizeof(app), gate->app),
             log_quote(name, sizeof(name), gate->name),
             log_quote(session, sizeof(session), gate->session), gate->actor,
             reason ? reason : "ok");
}


static store_result_t gate_audit(const gate_t *gate, const char *reason)
{
    char           target[NAME_FULL_MAX + 64];
    store_audit_t  row;

    snprintf(target, sizeof(target), "%s/%s", gate->app, gate->name);

    row = (store_audit_t) { gate->actor, gate->kind, reason == NULL, target, gate->address,
                            reason ? reason : "" };
    return store_audit_add(gate->store, &row);
}


static void gate_deny(gate_t *gate, const char *reason)
{
    if (refusals_note(gate->service->refusals, gate->address, gate->kind, reason, clock_ms())) {
        if (strcmp(reason, GATE_DATABASE) == 0) {
            log_error("database: %s", store_error(gate->store));
        } else if (gate_audit(gate, reason) != STORE_OK) {
            log_error("audit: %s", store_error(gate->store));
        }
        gate_log(gate, reason);
    }

    fastcgi_reply(gate->request, 200, NULL,
                  json_pack("{sb ss}", "allow", 0, "reason", reason));
}


/* Makes a text of nginx or of a client fit to store. */
static const char *gate_text(char *out, size_t size, const char *text)
{
    log_quote(out, size, text);
    if (!name_utf8_valid(out)) {
        snprintf(out, size, "(not UTF-8)");
    }

    return out;
}


static json_t *gate_answer(const gate_pass_t *pass)
{
    json_t  *answer = json_pack("{sb sI sI sI}", "allow", 1, "uid", (json_int_t) pass->user,
                                "stream", (json_int_t) pass->stream.id,
                                "not_before", (json_int_t) pass->not_before);

    if (pass->device) {
        json_object_set_new(answer, "key", json_integer((json_int_t) pass->device));
        json_object_set_new(answer, "record",
                            json_boolean(record_wanted(&pass->stream)));
        json_object_set_new(answer, "max_kbps", json_integer(pass->max_kbps));
        json_object_set_new(answer, "max_viewers", json_integer(pass->stream.max_viewers));
        json_object_set_new(answer, "max_publishers", json_integer(pass->max_publishers));
    }

    return answer;
}


static void gate_allow(gate_t *gate, const gate_pass_t *pass)
{
    char            agent[64];
    store_result_t  result;

    gate->actor = pass->actor;

    /* every publisher and player needs a session row, so that all use is on record */
    result = store_session_begin(gate->store, gate->kind, gate->session, pass->user,
                                 pass->stream.id, pass->device, gate->address,
                                 gate_text(agent, sizeof(agent), gate->agent));
    if (result == STORE_OK) {
        result = gate_audit(gate, NULL);
    }
    if (result != STORE_OK) {
        gate_deny(gate, GATE_DATABASE);
        return;
    }

    gate_log(gate, NULL);
    fastcgi_reply(gate->request, 200, NULL, gate_answer(pass));
}


/* Keeps the refusal for the page of a user who is setting the phone up. */
static void gate_note_denial(gate_t *gate, const gate_pass_t *pass, const char *reason)
{
    if (strcmp(gate->kind, "publish") == 0) {
        denials_note(gate->service->denials, pass->stream.id, gate->address, reason,
                     clock_utc_ms());
    }
}


/* Returns NULL, or the reason to refuse. */
static const char *gate_find_stream(gate_t *gate, uint64_t user, store_stream_t *stream)
{
    store_result_t  result;

    if (!name_app_valid(gate->app)) {
        return "unknown app";
    }
    if (!name_stream_valid(gate->name)) {
        return "bad stream name";
    }

    result = store_stream_get(gate->store, gate->app, gate->name, user, stream);

    if (result == STORE_NONE) {
        result = store_app_known(gate->store, gate->app);
        if (result == STORE_NONE) {
            return "unknown app";
        }
        if (result == STORE_OK) {
            return "unknown stream";
        }
    }

    return result == STORE_OK ? NULL : GATE_DATABASE;
}


/* A key is valid only while its maker may manage the stream. */
static const char *gate_check_maker(gate_t *gate, const store_device_t *device)
{
    store_access_t  maker;

    if (device->maker == 0) {
        return NULL;
    }
    if (store_access_one(gate->store, device->stream, device->maker, &maker) != STORE_OK) {
        return GATE_DATABASE;
    }

    return rights_of_access(&maker) & RIGHT_MANAGE ? NULL : "key's maker may not manage";
}


/* A stream without a limit of its own has that of the settings. */
static bool gate_find_limit(gate_t *gate, gate_pass_t *pass)
{
    char        wrong[STORE_SETTING_WRONG];     /* keeper_recordings.c logs it */
    settings_t  settings;

    pass->max_kbps = pass->stream.max_kbps;
    if (pass->max_kbps) {
        return true;
    }
    if (store_settings(gate->store, &gate->service->config->defaults, &settings, wrong)
        != STORE_OK)
    {
        return false;
    }

    pass->max_kbps = settings.max_kbps;
    return true;
}


static const char *gate_check_publish(gate_t *gate, gate_pass_t *pass)
{
    char             key[GATE_KEY_MAX + 1] = "";
    const char      *reason;
    unsigned char    hash[KEY_HASH_BYTES];
    rights_case_t    facts;
    store_device_t   device;
    store_result_t   found;
    query_result_t   given;

    memset(&device, 0, sizeof(device));

    /*
     * Always look the key up, by its SHA-256 in an index: then neither the time of a
     * comparison nor a missing query reveals anything.
     */
    given = query_value(gate->args, "key", key, sizeof(key));
    password_fingerprint(key, hash);
    found = store_device_by_key(gate->store, hash, &device);
    if (found != STORE_OK && found != STORE_NONE) {
        return GATE_DATABASE;
    }

    reason = gate_find_stream(gate, device.user, &pass->stream);
    if (reason) {
        return reason;
    }

    if (given == QUERY_ABSENT || (given == QUERY_FOUND && key[0] == '\0')) {
        return "no key";
    }
    if (found == STORE_NONE || device.stream != pass->stream.id) {
        return "wrong key";
    }

    snprintf(pass->actor, sizeof(pass->actor), "%s", device.user_name);
    gate->actor = pass->actor;

    if (device.revoked) {
        return "key revoked";
    }
    if (device.user_disabled || pass->stream.owner_disabled) {
        return "user disabled";
    }

    facts = (rights_case_t) {
        .user = device.user, .admin = device.user_admin, .disabled = device.user_disabled,
        .owner = pass->stream.owner, .owner_disabled = pass->stream.owner_disabled,
        .is_public = rights_is_public(pass->stream.visibility),
        .granted = pass->stream.granted
    };
    if (!(rights_decide(&facts) & RIGHT_PUBLISH)) {
        return "no right to publish";
    }

    reason = gate_check_maker(gate, &device);
    if (reason) {
        return reason;
    }
    if (!gate_find_limit(gate, pass)) {
        return GATE_DATABASE;
    }

    pass->user = device.user;
    pass->device = device.id;
    pass->max_publishers = device.user_publishers;
    pass->not_before = device.not_before;
    return NULL;
}


static const char *gate_token_reason(token_result_t result)
{
    switch (result) {
    case TOKEN_OK:      return NULL;
    case TOKEN_FUTURE:
    case TOKEN_EXPIRED: return "token expired";
    default:            return "wrong token";
    }
}


/* Finds the token's user; a visitor has only a name. Returns NULL, or the reason to refuse. */
static const char *gate_find_user(gate_t *gate, uint64_t id, store_user_t *user)
{
    store_result_t  found;

    if (id == TOKEN_VISITOR) {
        memset(user, 0, sizeof(*user));
        strcpy(user->name, TOKEN_VISITOR_NAME);
        return NULL;
    }

    found = store_user_by_id(gate->store, id, user);
    return found == STORE_OK ? NULL : found == STORE_NONE ? "wrong token" : GATE_DATABASE;
}


static const char *gate_check_play(gate_t *gate, gate_pass_t *pass)
{
    char             text[TOKEN_MAX], full[NAME_FULL_MAX + 1];
    const char      *reason;
    store_user_t     user;
    query_result_t   given;
    token_claims_t   claims;
    token_result_t   verdict;

    memset(&claims, 0, sizeof(claims));

    given = query_value(gate->args, "token", text, sizeof(text));
    verdict = given == QUERY_FOUND
              ? token_verify(gate->service->keys, text, (int64_t) time(NULL), &claims)
              : TOKEN_MALFORMED;

    reason = gate_find_stream(gate, claims.user, &pass->stream);
    if (reason) {
        return reason;
    }

    if (given == QUERY_ABSENT) {
        return "no token";
    }
    if (verdict != TOKEN_OK) {
        return gate_token_reason(verdict);
    }

    snprintf(full, sizeof(full), "%s/%s", gate->app, gate->name);
    if (strcmp(full, claims.stream) != 0 || !token_allows(&claims, "view")) {
        return "token of another stream";
    }

    reason = gate_find_user(gate, claims.user, &user);
    if (reason) {
        return reason;
    }

    snprintf(pass->actor, sizeof(pass->actor), "%s", user.name);
    gate->actor = pass->actor;

    if (user.disabled) {
        return "user disabled";
    }
    if (!(rights_on_stream(&user, &pass->stream) & RIGHT_VIEW)) {
        return "no right to view";
    }
    if (claims.issued <= pass->stream.not_before) {
        return "token revoked";
    }

    pass->user = claims.user;
    pass->not_before = pass->stream.not_before;
    return NULL;
}


static void gate_ask(gate_t *gate, const char *(*check)(gate_t *, gate_pass_t *))
{
    const char   *reason;
    gate_pass_t   pass;

    memset(&pass, 0, sizeof(pass));

    if (gate->session[0] == '\0' || strlen(gate->session) > 64
        || !name_utf8_valid(gate->session))
    {
        gate_deny(gate, "bad session id");
        return;
    }

    reason = check(gate, &pass);
    if (reason) {
        gate_note_denial(gate, &pass, reason);
        gate_deny(gate, reason);
    } else {
        gate_allow(gate, &pass);
    }
}


static uint64_t gate_number(const FCGX_Request *request, const char *name)
{
    const char  *text = fastcgi_param(request, name);

    return *text >= '0' && *text <= '9' ? strtoull(text, NULL, 10) : 0;
}


static void gate_done(gate_t *gate)
{
    char             reason[128];
    uint64_t         bytes, seconds;
    const char      *kind = fastcgi_param(gate->request, "KIND");
    store_result_t   result;

    if (strcmp(kind, "publish") != 0 && strcmp(kind, "play") != 0) {
        fastcgi_reply(gate->request, 200, NULL, json_pack("{sb ss}", "allow", 0, "reason",
                      "bad KIND, expected publish or play"));
        return;
    }

    gate->kind = kind;
    bytes = gate_number(gate->request, "BYTES");
    seconds = gate_number(gate->request, "SECONDS");
    gate_text(reason, sizeof(reason), fastcgi_param(gate->request, "REASON"));

    result = store_session_end(gate->store, kind, gate->session, bytes, seconds, reason);

    if (result != STORE_OK && result != STORE_NONE) {
        log_error("database: %s", store_error(gate->store));
        fastcgi_reply(gate->request, 200, NULL,
                      json_pack("{sb ss}", "allow", 0, "reason", GATE_DATABASE));
        return;
    }

    log_info("gate %s done session=%.64s bytes=%" PRIu64 " seconds=%" PRIu64 " reason=\"%s\"%s",
             kind, log_quote((char [100]) { 0 }, 100, gate->session), bytes, seconds, reason,
             result == STORE_NONE ? " (no such open session)" : "");
    fastcgi_reply(gate->request, 200, NULL, json_pack("{sb}", "allow", 1));
}


void gate_handle(FCGX_Request *request, void *store, void *service)
{
    gate_t       gate;
    const char  *script = fastcgi_param(request, "SCRIPT_NAME");

    gate = (gate_t) {
        .request = request, .store = store, .service = service, .actor = "",
        .app = fastcgi_param(request, "APP"),
        .name = fastcgi_param(request, "NAME"),
        .args = fastcgi_param(request, "ARGS"),
        .address = fastcgi_param(request, "REMOTE_ADDR"),
        .session = fastcgi_param(request, "SESSION"),
        .agent = fastcgi_param(request, "AGENT"),
    };

    if (strcmp(script, "/gate/publish") == 0) {
        gate.kind = "publish";
        gate_ask(&gate, gate_check_publish);
    } else if (strcmp(script, "/gate/play") == 0) {
        gate.kind = "play";
        gate_ask(&gate, gate_check_play);
    } else if (strcmp(script, "/gate/done") == 0) {
        gate_done(&gate);
    } else {
        log_warning("gate: unknown question \"%.100s\"",
                    log_quote((char [128]) { 0 }, 128, script));
        fastcgi_reply(request, 200, NULL, json_pack("{sb ss}", "allow", 0, "reason",
                      "unknown question, expected /gate/publish, /gate/play or /gate/done"));
    }
}
