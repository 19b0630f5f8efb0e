/* The page's calls for webhooks: list, add, set, remove, test, and their dead letters. */

#include "api.h"
#include "../hooks/hook_event.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WEBHOOK_DEAD_DEFAULT  50


/* "published,ended" as a list */
static json_t *webhook_events_json(const char *events)
{
    size_t   length;
    json_t  *list = json_array();

    for (; *events; events += length + (events[length] == ',')) {
        length = strcspn(events, ",");
        json_array_append_new(list, json_stringn(events, length));
    }

    return list;
}


static json_t *webhook_last_json(const store_webhook_t *webhook)
{
    if (webhook->last_delivery == 0) {
        return json_null();
    }

    return json_pack("{sI ss sI si ss si}", "delivery", (json_int_t) webhook->last_delivery,
                     "event", webhook->last_event, "at", (json_int_t) webhook->last_at,
                     "status", (int) webhook->last_status, "error", webhook->last_error, "ms",
                     (int) webhook->last_took_ms);
}


static json_t *webhook_json(const store_webhook_t *webhook)
{
    return json_pack("{sI ss so sb si ss sI sI sI so}", "id", (json_int_t) webhook->id,
                     "url", webhook->url, "events", webhook_events_json(webhook->events),
                     "enabled", webhook->enabled,
                     "offline_minutes", (int) webhook->offline_minutes,
                     "by", webhook->maker, "waiting", (json_int_t) webhook->waiting,
                     "dead", (json_int_t) webhook->dead,
                     "dropped", (json_int_t) webhook->dropped,
                     "last", webhook_last_json(webhook));
}


static void webhook_collect(const store_webhook_t *webhook, void *data)
{
    json_array_append_new(data, webhook_json(webhook));
}


void api_webhooks(api_t *api)
{
    size_t           i;
    json_t          *webhooks = json_array(), *events;
    store_result_t   result = store_webhook_list(api->store, webhook_collect, webhooks);

    if (result != STORE_OK) {
        json_decref(webhooks);
        api_store_error(api, result, "webhooks");
        return;
    }

    events = json_array();
    for (i = 0; i < HOOK_EVENTS; i++) {
        json_array_append_new(events, json_string(hook_events[i]));
    }
    api_reply(api, json_pack("{so so}", "webhooks", webhooks, "events", events));
}


/* Finds the webhook in the request's path. On failure answers and returns false. */
static bool webhook_find(api_t *api, store_webhook_t *webhook)
{
    uint64_t        id;
    store_result_t  result = STORE_NONE;

    if (api_part_id(api, 0, &id)) {
        result = store_webhook_get(api->store, id, webhook);
    }
    if (result != STORE_OK) {
        api_store_error(api, result, "webhook of this number");
    }

    return result == STORE_OK;
}


static void webhook_audit(api_t *api, const char *action, uint64_t id, const char *url)
{
    char  target[HOOK_NAME_SIZE];

    api_audit(api, action, true, hook_name(id, url, target), "");
}


/* --- settings --- */

static bool webhook_read_url(api_t *api, hook_form_t *form)
{
    if (json_object_get(api->body, "url") == NULL) {
        return true;
    }

    form->set.url = api_text(api, "url", NULL);
    if (form->set.url && !hook_url_valid(form->set.url)) {
        api_error(api, 400, "bad_request", "\"url\" is \"%.200s\"; expected " HOOK_URL_RULE ".",
                  form->set.url);
        return false;
    }

    return form->set.url != NULL;
}


static bool webhook_read_events(api_t *api, hook_form_t *form)
{
    size_t       i, used = 0;
    json_t      *list = json_object_get(api->body, "events"), *each;
    const char  *word;

    if (list == NULL) {
        return true;
    }

    json_array_foreach(list, i, each) {
        word = json_string_value(each);
        if (word == NULL || !hook_event_known(word)
            || used + strlen(word) + 2 > sizeof(form->events))
        {
            used = 0;
            break;
        }
        used += (size_t) sprintf(form->events + used, "%s%s", used ? "," : "", word);
    }

    if (used == 0) {
        api_error(api, 400, "bad_request", "\"events\" is not a list of " HOOK_EVENTS_RULE ".");
        return false;
    }

    form->set.events = form->events;
    return true;
}


static bool webhook_read_minutes(api_t *api, hook_form_t *form)
{
    if (!api_number(api, "offline_minutes", HOOK_OFFLINE_MAX, &form->offline_minutes,
                    &form->set.offline_minutes))
    {
        return false;
    }
    if (form->set.offline_minutes && form->offline_minutes == 0) {
        api_error(api, 400, "bad_request", "\"offline_minutes\" is 0; expected "
                  HOOK_OFFLINE_RULE ".");
        return false;
    }

    return true;
}


static bool webhook_read(api_t *api, hook_form_t *form)
{
    json_t  *enabled = json_object_get(api->body, "enabled");

    memset(form, 0, sizeof(*form));

    if (enabled && !json_is_boolean(enabled)) {
        api_error(api, 400, "bad_request", "\"enabled\" is neither true nor false.");
        return false;
    }
    if (enabled) {
        form->enabled = json_is_true(enabled);
        form->set.enabled = &form->enabled;
    }

    return webhook_read_url(api, form) && webhook_read_events(api, form)
           && webhook_read_minutes(api, form);
}


/* Answers with the webhook as it is now, and with its secret if there is a new one. */
static void webhook_reply(api_t *api, int status, uint64_t id, const char *secret)
{
    json_t           *body;
    store_webhook_t   webhook;
    store_result_t    result = store_webhook_get(api->store, id, &webhook);

    if (result != STORE_OK) {
        api_store_error(api, result, "webhook of this number");
        return;
    }

    body = webhook_json(&webhook);
    if (secret) {
        json_object_set_new(body, "secret", json_string(secret));
    }
    fastcgi_reply(api->request, status, NULL, body);
}


/* Is there room for one more? On failure answers and returns false. */
static bool webhook_room(api_t *api)
{
    uint64_t        count = 0;
    store_result_t  result = store_webhook_count(api->store, &count);

    if (result != STORE_OK) {
        api_store_error(api, result, "webhooks");
    } else if (count >= WEBHOOK_MOST) {
        api_error(api, 409, "too_many", "There are %d webhooks already, the most.",
                  WEBHOOK_MOST);
    }

    return result == STORE_OK && count < WEBHOOK_MOST;
}


void api_webhook_add(api_t *api)
{
    char            secret[SECRET_SIZE];
    uint64_t        id;
    store_result_t  result;
    hook_form_t  form;

    if (!webhook_read(api, &form)) {
        return;
    }
    if (form.set.url == NULL) {
        api_error(api, 400, "bad_request", "\"url\" is missing; expected " HOOK_URL_RULE ".");
        return;
    }
    if (!webhook_room(api)) {
        return;
    }

    hook_form_default(&form);
    hook_secret(secret);

    result = store_webhook_add(api->store, &form.set, secret, api->user.id, &id);
    if (result != STORE_OK) {
        api_store_error(api, result, "webhook");
        return;
    }

    webhook_audit(api, "webhook add", id, form.set.url);
    webhook_reply(api, 201, id, secret);
}


void api_webhook_set(api_t *api)
{
    store_result_t   result;
    hook_form_t   form;
    store_webhook_t  webhook;

    if (!webhook_find(api, &webhook) || !webhook_read(api, &form)) {
        return;
    }

    result = store_webhook_update(api->store, webhook.id, &form.set);
    if (result != STORE_OK) {
        api_store_error(api, result, "webhook of this number");
        return;
    }

    webhook_audit(api, "webhook set", webhook.id, form.set.url ? form.set.url : webhook.url);
    webhook_reply(api, 200, webhook.id, NULL);
}


void api_webhook_remove(api_t *api)
{
    store_result_t   result;
    store_webhook_t  webhook;

    if (!webhook_find(api, &webhook)) {
        return;
    }

    result = store_webhook_remove(api->store, webhook.id);
    if (result != STORE_OK) {
        api_store_error(api, result, "webhook of this number");
        return;
    }

    webhook_audit(api, "webhook remove", webhook.id, webhook.url);
    api_reply(api, json_object());
}


void api_webhook_secret(api_t *api)
{
    char             secret[SECRET_SIZE];
    store_result_t   result;
    store_webhook_t  webhook;

    if (!webhook_find(api, &webhook)) {
        return;
    }

    hook_secret(secret);
    result = store_webhook_set_secret(api->store, webhook.id, secret);
    if (result != STORE_OK) {
        api_store_error(api, result, "webhook of this number");
        return;
    }

    webhook_audit(api, "webhook secret", webhook.id, webhook.url);
    webhook_reply(api, 200, webhook.id, secret);
}


void api_webhook_test(api_t *api)
{
    uint64_t         delivery;
    store_result_t   result;
    store_webhook_t  webhook;

    if (!webhook_find(api, &webhook)) {
        return;
    }

    result = hook_event_test(api->store, webhook.id, api->user.name, &delivery);
    if (result != STORE_OK) {
        api_store_error(api, result, "webhook of this number");
        return;
    }

    webhook_audit(api, "webhook test", webhook.id, webhook.url);
    api_reply(api, json_pack("{sI}", "delivery", (json_int_t) delivery));
}


/* --- dead letters --- */

typedef struct {
    json_t    *list;
    unsigned   most;
    uint64_t   next;
    bool       more;
} webhook_dead_t;


static void webhook_collect_dead(const store_dead_t *dead, void *data)
{
    webhook_dead_t  *page = data;

    if (json_array_size(page->list) == page->most) {
        page->more = true;
        return;
    }

    page->next = dead->id;
    json_array_append_new(page->list, json_pack("{sI ss ss sI si si ss so?}",
        "id", (json_int_t) dead->id, "event", dead->event, "event_id", dead->event_id,
        "since", (json_int_t) dead->since, "tries", (int) dead->tries, "status",
        (int) dead->status, "error", dead->error,
        "payload", json_loads(dead->payload, 0, NULL)));
}


/* Reads the id below which the page begins. */
static bool webhook_dead_before(api_t *api, uint64_t *before)
{
    char         text[24], *end;
    const char  *query = fastcgi_param(api->request, "QUERY_STRING");

    *before = INT64_MAX;
    switch (query_value(query, "before", text, sizeof(text))) {
    case QUERY_ABSENT:
        return true;
    case QUERY_FOUND:
        *before = strtoull(text, &end, 10);
        if (text[0] >= '0' && text[0] <= '9' && *end == '\0') {
            return true;
        }
        break;
    default:
        break;
    }

    api_error(api, 400, "bad_request", "\"before\" is not the \"next\" of an earlier answer.");
    return false;
}


void api_webhook_dead(api_t *api)
{
    json_t           *body;
    uint64_t          before;
    webhook_dead_t    page = { 0 };
    store_result_t    result;
    store_webhook_t   webhook;

    if (!webhook_find(api, &webhook) || !webhook_dead_before(api, &before)
        || !api_query_limit(api, WEBHOOK_DEAD_DEFAULT, WEBHOOK_DEAD, &page.most))
    {
        return;
    }

    page.list = json_array();
    result = store_webhook_dead(api->store, webhook.id, before, page.most + 1,
                                webhook_collect_dead, &page);
    if (result != STORE_OK) {
        json_decref(page.list);
        api_store_error(api, result, "dead letters");
        return;
    }

    body = json_pack("{so sb}", "dead", page.list, "more", page.more);
    if (page.more) {
        json_object_set_new(body, "next", json_sprintf("%" PRIu64, page.next));
    }
    api_reply(api, body);
}


/* Does it to one dead letter, or without "id" in the body to all. */
static void webhook_dead_change(api_t *api, const char *action,
                                store_result_t (*run)(store_t *, uint64_t, uint64_t,
                                                      uint64_t *))
{
    json_t           *id = json_object_get(api->body, "id");
    uint64_t          count = 0;
    store_result_t    result;
    store_webhook_t   webhook;

    if (!webhook_find(api, &webhook)) {
        return;
    }
    if (id && (!json_is_integer(id) || json_integer_value(id) <= 0)) {
        api_error(api, 400, "bad_request", "\"id\" is not the number of a dead letter.");
        return;
    }

    result = run(api->store, webhook.id, (uint64_t) json_integer_value(id), &count);
    if (result == STORE_OK && id && count == 0) {
        result = STORE_NONE;
    }
    if (result != STORE_OK) {
        api_store_error(api, result, "dead letter of this number");
        return;
    }

    webhook_audit(api, action, webhook.id, webhook.url);
    api_reply(api, json_pack("{sI}", "count", (json_int_t) count));
}


void api_webhook_retry(api_t *api)
{
    webhook_dead_change(api, "webhook retry", store_webhook_retry);
}


void api_webhook_forget(api_t *api)
{
    webhook_dead_change(api, "webhook forget", store_webhook_forget);
}
