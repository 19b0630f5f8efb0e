#include "hook_event.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A stranger causes refused logins: they get a small share. */
#define HOOK_LOGINS_WAITING  100

typedef struct {
    char   id[WEBHOOK_EVENT_ID + 1];
    char  *payload;
} hook_event_t;


static json_int_t hook_now(void)
{
    struct timespec  now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (json_int_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}


static void hook_event_id(char id[WEBHOOK_EVENT_ID + 1], const char *event, const char *of)
{
    unsigned char              bytes[WEBHOOK_EVENT_ID / 2];
    crypto_generichash_state   state;

    if (of) {
        crypto_generichash_init(&state, NULL, 0, sizeof(bytes));
        crypto_generichash_update(&state, (const unsigned char *) event, strlen(event) + 1);
        crypto_generichash_update(&state, (const unsigned char *) of, strlen(of));
        crypto_generichash_final(&state, bytes, sizeof(bytes));
    } else {
        randombytes_buf(bytes, sizeof(bytes));
    }

    sodium_bin2hex(id, WEBHOOK_EVENT_ID + 1, bytes, sizeof(bytes));
}


/* Takes facts; payload is NULL without memory, or when it is too long for the table. */
static bool hook_event_make(hook_event_t *made, const char *event, const char *of, json_t *facts)
{
    json_t  *body;

    hook_event_id(made->id, event, of);
    body = json_pack("{ss ss sI}", "id", made->id, "event", event, "at", hook_now());
    json_object_update(body, facts);
    made->payload = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    json_decref(facts);

    if (made->payload && strlen(made->payload) > WEBHOOK_PAYLOAD_MAX) {
        free(made->payload);
        made->payload = NULL;
    }
    return made->payload != NULL;
}


store_result_t hook_event_add(store_t *store, const char *event, const char *of, json_t *facts)
{
    hook_event_t    made;
    store_result_t  result;

    if (!hook_event_make(&made, event, of, facts)) {
        return STORE_ERROR;
    }

    result = store_webhook_event(store, event, made.id, made.payload,
                                 strcmp(event, HOOK_LOGIN) == 0 ? HOOK_LOGINS_WAITING
                                                                : WEBHOOK_WAITING);
    free(made.payload);
    return result;
}


store_result_t hook_event_add_for(store_t *store, uint64_t webhook, const char *event,
                                  json_t *facts)
{
    hook_event_t    made;
    store_result_t  result;

    if (!hook_event_make(&made, event, NULL, facts)) {
        return STORE_ERROR;
    }

    result = store_webhook_event_for(store, webhook, event, made.id, made.payload);
    free(made.payload);
    return result;
}


store_result_t hook_event_test(store_t *store, uint64_t webhook, const char *actor,
                               uint64_t *delivery)
{
    hook_event_t    made;
    store_result_t  result;

    if (!hook_event_make(&made, HOOK_TEST, NULL, json_pack("{ss}", "by", actor))) {
        return STORE_ERROR;
    }

    result = store_webhook_test(store, webhook, made.id, made.payload, delivery);
    free(made.payload);
    return result;
}


void hook_event_stream(json_t *facts, const char *app, const char *name, const char *title)
{
    json_object_set_new(facts, "stream", json_sprintf("%s/%s", app, name));
    if (title[0]) {
        json_object_set_new(facts, "title", json_string(title));
    }
}
