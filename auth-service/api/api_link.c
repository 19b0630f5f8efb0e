/*
 * Links: those who may share a stream make, list and revoke them; strangers open them. An opened
 * link gets a media token for its span, or to view live until it expires, and for nothing else.
 */

#include "api.h"
#include "../base/clock.h"
#include "../rec/cut.h"
#include "../rights/links.h"
#include "../rights/sharing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINK_TOKEN_S   (12 * 3600)      /* of a clip; an open page asks for another one */
#define LINK_BUSY_MS   1000


/* --- listing, making, revoking --- */

static void link_collect(const store_link_t *link, void *data)
{
    json_array_append_new(data, link_json(link));
}


void api_links(api_t *api)
{
    json_t          *links;
    store_stream_t   stream;
    store_result_t   result;

    if (!api_managed_stream(api, api->parts[0], api->parts[1], "links", &stream)) {
        return;
    }

    links = json_array();
    result = store_link_list(api->store, stream.id, link_collect, links);
    if (result != STORE_OK) {
        json_decref(links);
        api_store_error(api, result, "links");
        return;
    }

    api_reply(api, json_pack("{so}", "links", links));
}


/* Reads a whole number that must be there. Returns false after answering an error. */
static bool link_number(api_t *api, const char *key, int64_t least, int64_t most, int64_t *number)
{
    json_t  *value = json_object_get(api->body, key);

    *number = json_integer_value(value);
    if (!json_is_integer(value) || *number < least || *number > most) {
        api_error(api, 400, "bad_request", "\"%s\" is not a number from %" PRId64 " to %" PRId64
                  ".", key, least, most);
        return false;
    }

    return true;
}


/* Reads the span and widens it to what can be cut out of the recordings. */
static bool link_span(api_t *api, const store_stream_t *stream, store_link_t *link)
{
    int64_t         now = 1000 * api->began + 999;
    store_result_t  result;

    if (!link_number(api, "from", 0, now, &link->from)
        || !link_number(api, "to", 0, INT64_MAX, &link->to))
    {
        return false;
    }

    link->to = link->to < now ? link->to : now;
    if (link->to <= link->from || link->to - link->from > LINK_CLIP_MS) {
        api_error(api, 400, "bad_request", "The span has %" PRId64 " ms; expected 1 to %d.",
                  link->to - link->from, LINK_CLIP_MS);
        return false;
    }

    result = cut_widen(api->store, api->service->config->rec, stream->app, stream->name,
                       &link->from, &link->to);
    if (result != STORE_OK) {
        api_store_error(api, result, "MP4 recording in this span");
        return false;
    }

    return true;
}


static bool link_password(api_t *api, store_link_t *link)
{
    char         share[64];
    bool         hashed;
    const char  *password = api_text(api, "password", "");

    if (password == NULL || *password == '\0') {
        return password != NULL;
    }

    if (!password_valid(password)) {
        api_error(api, 400, "bad_password", "password has %zu bytes; expected " PASSWORD_RULE
                  ".", strlen(password));
        return false;
    }

    snprintf(share, sizeof(share), "user %" PRIu64, api->user.id);
    hashed = slots_take(&api->service->hashing, share, true);
    if (hashed) {
        hashed = password_hash(password, link->password_hash);
        slots_give(&api->service->hashing, share);
    }
    if (!hashed) {
        api_wait(api, "busy", LINK_BUSY_MS, "Many passwords at once. Try again in a moment.");
    }

    return hashed;
}


/* Reads the body: {"kind", "from", "to", "lifetime", "label"?, "password"?}. */
static bool link_read(api_t *api, const store_stream_t *stream, store_link_t *link)
{
    int64_t      lifetime;
    const char  *kind = api_text(api, "kind", NULL);
    const char  *label = kind ? api_text(api, "label", "") : NULL;

    if (label == NULL) {
        return false;
    }

    link->stream = stream->id;
    link->clip = strcmp(kind, "clip") == 0;
    if (!link->clip && strcmp(kind, "live") != 0) {
        api_error(api, 400, "bad_request", "\"kind\" is \"%.20s\"; expected clip or live.", kind);
        return false;
    }
    if (!name_title_valid(label)) {
        api_error(api, 400, "bad_title", "label is \"%.150s\"; expected " NAME_TITLE_RULE ".",
                  label);
        return false;
    }
    snprintf(link->label, sizeof(link->label), "%s", label);

    if (!link_number(api, "lifetime", LINK_LEAST_S, LINK_LONGEST_S, &lifetime)) {
        return false;
    }
    link->expires = 1000 * (api->began + lifetime);

    return (!link->clip || link_span(api, stream, link)) && link_password(api, link);
}


/* Finds a stream that the user may share in this way, as api_managed_stream() does. */
static bool link_stream(api_t *api, store_stream_t *stream)
{
    char        full[NAME_FULL_MAX + 1];
    bool        clip;
    const char *kind = json_string_value(json_object_get(api->body, "kind"));

    if (!api_managed_stream(api, api->parts[0], api->parts[1], "link add", stream)) {
        return false;
    }

    clip = kind && strcmp(kind, "clip") == 0;
    if (!rights_has_all(api_rights(api, stream), sharing_rights(clip))) {
        snprintf(full, sizeof(full), "%s/%s", stream->app, stream->name);
        api_audit(api, "link add", false, full, clip ? "no right to replay" : "no right to view");
        api_error(api, 403, "forbidden", "You may not %s this stream.", clip ? "replay" : "view");
        return false;
    }

    return true;
}


void api_link_add(api_t *api)
{
    char            token[SECRET_SIZE], target[NAME_FULL_MAX + 32];
    json_t         *body;
    change_t        change = api_change(api);
    store_link_t    link = { 0 };
    store_stream_t  stream;
    store_result_t  result;

    if (!link_stream(api, &stream) || !link_read(api, &stream, &link)) {
        return;
    }

    result = link_add(&change, &link, token, &link.id);
    if (result == STORE_EXISTS) {
        api_error(api, 409, "too_many", "The stream has %d links already. Revoke some first.",
                  LINK_MOST);
        return;
    }
    if (result != STORE_OK) {
        api_store_error(api, result, "link");
        return;
    }

    snprintf(target, sizeof(target), "%s/%s %" PRIu64, stream.app, stream.name, link.id);
    api_audit(api, "link add", true, target, link.clip ? "clip" : "live");

    body = link_json(&link);
    json_object_set_new(body, "link", json_string(token));
    fastcgi_reply(api->request, 201, NULL, body);
}


void api_link_revoke(api_t *api)
{
    char            target[NAME_FULL_MAX + 32], *end;
    change_t        change = api_change(api);
    store_link_t    link;
    store_stream_t  stream;
    store_result_t  result = STORE_NONE;
    uint64_t        id = strtoull(api->parts[0], &end, 10);

    if (api->parts[0][0] >= '1' && api->parts[0][0] <= '9' && *end == '\0') {
        result = store_link_by_id(api->store, id, &link);
    }
    if (result != STORE_OK) {
        api_store_error(api, result, "link of this id");
        return;
    }
    if (!api_managed_stream(api, link.app, link.name, "link revoke", &stream)) {
        return;
    }

    result = link_revoke(&change, &link);
    if (result != STORE_OK) {
        api_store_error(api, result, "link of this id");
        return;
    }

    snprintf(target, sizeof(target), "%s/%s %" PRIu64, link.app, link.name, link.id);
    api_audit(api, "link revoke", true, target, "");
    api_reply_changed(api, &change, json_object());
}


/* --- opening, without a login --- */

typedef struct {
    store_link_t  link;
    const char   *password;     /* NULL: none was given */
    bool          again;        /* the page has it open already: do not count a view */
    char          address[64];
    char          own[96];      /* counts wrong passwords of this address, */
    char          all[24];      /* and of all strangers together */
} link_open_t;


/* Guesses at links wait; a link has 128 random bits, so this only spares the database. */
static bool link_find(api_t *api, link_open_t *open)
{
    int64_t         wait = backoff_peek(&api->service->by_link, open->address, clock_ms());
    const char     *token = api_text(api, "link", NULL);
    unsigned char   hash[KEY_HASH_BYTES];
    store_result_t  result = STORE_NONE;

    if (token == NULL) {
        return false;
    }
    if (wait > 0) {
        api_audit(api, "link open", false, "", "backoff");
        api_wait(api, "backoff", wait, "Too many links that do not exist. Wait before the next.");
        return false;
    }

    if (strlen(token) == KEY_TEXT_LENGTH) {
        password_fingerprint(token, hash);
        result = store_link_by_token(api->store, hash, &open->link);
    }
    if (result == STORE_NONE) {
        backoff_attempt(&api->service->by_link, open->address, clock_ms());
        api_audit(api, "link open", false, "", "unknown link");
    }
    if (result != STORE_OK) {
        api_store_error(api, result, "link of this address");
        return false;
    }

    return true;
}


/* Is it over, or may its maker no longer share the stream? */
static bool link_valid(api_t *api, const link_open_t *open)
{
    bool            may = false;
    store_result_t  result = sharing_allowed(api->store, &open->link, &may);

    if (result != STORE_OK && result != STORE_NONE) {
        api_store_error(api, result, "link");
        return false;
    }

    if (open->link.over || !may) {
        api_error(api, 410, "over", "This link has expired or was revoked.");
        return false;
    }

    return true;
}


/* Counts the attempt for the address and for all of them, or waits and counts neither. */
static int64_t link_charge(api_t *api, const link_open_t *open)
{
    api_service_t  *service = api->service;
    int64_t         wait = backoff_attempt(&service->by_link_password, open->own, clock_ms());

    if (wait == 0) {
        wait = backoff_attempt(&service->by_link_stranger, open->all, clock_ms());
        if (wait > 0) {
            backoff_forgive(&service->by_link_password, open->own);
        }
    }

    return wait;
}


/* As with logins, the attempt is counted just before the password is checked. */
static bool link_check_password(api_t *api, link_open_t *open)
{
    char               site[64];
    int64_t            wait;
    api_service_t     *service = api->service;
    password_result_t  verdict;

    backoff_network(api->address, 48, site, sizeof(site));
    if (!slots_take(&service->hashing, site, false)) {
        api_wait(api, "busy", LINK_BUSY_MS, "Many passwords at once. Try again in a moment.");
        return false;
    }

    wait = link_charge(api, open);
    verdict = wait > 0 ? PASSWORD_UNKNOWN
              : strlen(open->password) > PASSWORD_MAX ? PASSWORD_WRONG
              : password_verify(open->password, open->link.password_hash);
    slots_give(&service->hashing, site);

    if (wait > 0) {
        api_audit(api, "link open", false, open->all, "backoff");
        api_wait(api, "backoff", wait, "Too many wrong passwords. Wait before the next try.");
        return false;
    }

    if (verdict == PASSWORD_WRONG) {
        api_audit(api, "link open", false, open->all, "wrong password");
        api_error(api, 403, "wrong_password", "The password is wrong.");
        return false;
    }

    backoff_forgive(&service->by_link_stranger, open->all);
    if (verdict == PASSWORD_RIGHT) {
        backoff_success(&service->by_link_password, open->own);
    } else {
        backoff_forgive(&service->by_link_password, open->own);
        api_wait(api, "busy", LINK_BUSY_MS, "Many passwords at once. Try again in a moment.");
    }

    return verdict == PASSWORD_RIGHT;
}


/*
 * Makes the token: of the link's own user, which one revocation ends, and for its span or to view,
 * never for the whole stream. A token to view lasts as long as the link: nginx ends viewers then.
 */
static bool link_sign(const api_t *api, const store_link_t *link, char token[TOKEN_MAX])
{
    int64_t         until = link->expires / 1000;
    token_claims_t  claims;

    memset(&claims, 0, sizeof(claims));
    claims.user = TOKEN_LINKS + link->id;
    claims.issued = token_issue(api->began, link->not_before);
    claims.expires = link->clip && api->began + LINK_TOKEN_S < until ? api->began + LINK_TOKEN_S
                                                                     : until;
    snprintf(claims.stream, sizeof(claims.stream), "%s/%s", link->app, link->name);
    snprintf(claims.action, sizeof(claims.action), "%s", link->clip ? "clip" : "view");
    if (link->clip) {
        claims.from = link->from;
        claims.to = link->to;
    }

    return token_sign(api->service->keys, &claims, token);
}


/* Adds the state and the codecs, and nothing of the other viewers. */
static void link_set_live(api_t *api, const store_link_t *link, json_t *body)
{
    static const char *const  texts[] = { "state", "video", "audio" };

    size_t   i;
    json_t  *live = api_live(api, link->app, link->name), *text;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        text = json_object_get(live, texts[i]);
        json_object_set_new(body, texts[i], text ? json_incref(text)
                                                 : json_string(i ? "none" : "offline"));
    }

    json_decref(live);
}


static void link_answer(api_t *api, const store_link_t *link)
{
    char         token[TOKEN_MAX];
    json_t      *body;
    const char  *title = link->label[0] ? link->label : link->title[0] ? link->title : link->name;

    if (!link_sign(api, link, token)) {
        api_error(api, 500, "internal", "The stream's name is too long for a token.");
        return;
    }

    body = json_pack("{ss ss ss sI}", "kind", link->clip ? "clip" : "live", "title", title,
                     "name", link->name, "expires", (json_int_t) link->expires);

    if (link->clip) {
        json_object_set_new(body, "from", json_integer(link->from));
        json_object_set_new(body, "to", json_integer(link->to));
        json_object_set_new(body, "url", json_sprintf("/m/%s/rec/%s/%s/clip.mp4?from=%" PRId64
                            "&to=%" PRId64, token, link->app, link->name, link->from, link->to));
        json_object_set_new(body, "picture", json_sprintf("/m/%s/rec/%s/%s/thumb.jpg?at=%" PRId64,
                            token, link->app, link->name, link->from));
    } else {
        json_object_set_new(body, "url", json_sprintf("/m/%s/%s/%s.flv", token, link->app,
                                                      link->name));
        link_set_live(api, link, body);
    }

    api_reply(api, body);
}


void api_link_open(api_t *api)
{
    link_open_t     open = { .again = json_is_true(json_object_get(api->body, "again")) };
    json_t         *password = json_object_get(api->body, "password");
    store_result_t  result;

    backoff_network(api->address, 64, open.address, sizeof(open.address));
    if (!link_find(api, &open) || !link_valid(api, &open)) {
        return;
    }

    snprintf(open.all, sizeof(open.all), "%" PRIu64, open.link.id);
    snprintf(open.own, sizeof(open.own), "%s %s", open.all, open.address);

    if (open.link.password_hash[0]) {
        open.password = json_string_value(password);
        if (open.password == NULL) {
            api_error(api, 401, "password_required", "This link has a password.");
            return;
        }
        if (!link_check_password(api, &open)) {
            return;
        }
    }

    result = store_link_view(api->store, open.link.id, open.again);
    if (result == STORE_NONE) {
        api_error(api, 410, "over", "This link has expired or was revoked.");
    } else if (result != STORE_OK) {
        api_store_error(api, result, "link");
    } else {
        link_answer(api, &open.link);
    }
}
