/*
 * The only call that gives a stranger a picture: of a stream whose owner has opened it. The token
 * is for viewing this stream live, and for nothing else; all visitors together are one user to
 * nginx, so its bounds for a user and for an address hold for them.
 */

#include "api.h"
#include "../base/clock.h"

#include <stdio.h>
#include <string.h>

#define OPEN_TOKEN_S  3600      /* an open page asks for another one */


/*
 * Finds an open stream. A stream that is not open is as one that does not exist; an address that
 * tries many such names has to wait. Returns false after answering an error.
 */
static bool open_find(api_t *api, store_stream_t *stream)
{
    char            network[64];
    int64_t         wait;
    backoff_t      *backoff = &api->service->by_visitor;
    store_user_t    visitor = { 0 };
    store_result_t  result = STORE_NONE;

    backoff_network(api->address, 64, network, sizeof(network));
    wait = backoff_attempt(backoff, network, clock_ms());
    if (wait > 0) {
        api_wait(api, "backoff", wait, "Too many names that are not open. Wait before the next "
                 "try.");
        return false;
    }

    if (name_app_valid(api->parts[0]) && name_stream_known(api->parts[1])) {
        result = store_stream_get(api->store, api->parts[0], api->parts[1], TOKEN_VISITOR, stream);
    }
    if (result == STORE_OK && !(rights_on_stream(&visitor, stream) & RIGHT_VIEW)) {
        result = STORE_NONE;
    }

    if (result != STORE_NONE) {
        backoff_forgive(backoff, network);
    }
    if (result != STORE_OK) {
        api_store_error(api, result, "open stream of this name");
    }
    return result == STORE_OK;
}


static void open_set_live(json_t *body, json_t *live)
{
    static const char *const  texts[] = { "state", "video", "audio" };

    size_t   i;
    json_t  *text;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        text = json_object_get(live, texts[i]);
        json_object_set_new(body, texts[i], text ? json_incref(text)
                                                 : json_string(i ? "none" : "offline"));
    }
}


void api_open(api_t *api)
{
    char             token[TOKEN_MAX];
    json_t          *body, *live;
    store_stream_t   stream;
    token_claims_t   claims = { .user = TOKEN_VISITOR, .action = "view" };

    if (!open_find(api, &stream)) {
        return;
    }

    claims.issued = token_issue(api->began, stream.not_before);
    claims.expires = api->began + OPEN_TOKEN_S;
    snprintf(claims.stream, sizeof(claims.stream), "%s/%s", stream.app, stream.name);
    if (!token_sign(api->service->keys, &claims, token)) {
        api_error(api, 500, "internal", "The stream's name is too long.");
        return;
    }

    body = json_pack("{ss ss ss ss so}", "kind", "live", "app", stream.app,
                     "name", stream.name, "title", stream.title[0] ? stream.title : stream.name,
                     "url", json_sprintf("/m/%s/%s/%s.flv", token, stream.app, stream.name));
    live = api_live(api, stream.app, stream.name);
    open_set_live(body, live);
    json_decref(live);
    api_reply(api, body);
}
