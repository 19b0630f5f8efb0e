/* Commands for webhooks. */

#include "ctl.h"
#include "../hooks/hook_event.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WEBHOOK_TEST_S  15        /* duolu-auth sends a test at once and waits 10 s */


static int webhook_id(const char *text, uint64_t *id)
{
    char  *end;

    *id = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || *id == 0) {
        return ctl_fail(CTL_USAGE, "webhook \"%.40s\"; expected its number of webhook list", text);
    }

    return CTL_OK;
}


static int webhook_fail(ctl_t *ctl, store_result_t result, uint64_t id)
{
    char  subject[40];

    snprintf(subject, sizeof(subject), "webhook %" PRIu64, id);
    return ctl_store_fail(ctl, result, subject);
}


static void webhook_audit(ctl_t *ctl, const char *action, uint64_t id)
{
    char             target[HOOK_NAME_SIZE];
    store_webhook_t  webhook = { 0 };

    store_webhook_get(ctl->store, id, &webhook);
    ctl_audit(ctl, action, hook_name(id, webhook.url, target));
}


/* --- list --- */

static void webhook_print(const store_webhook_t *webhook, void *data)
{
    (void) data;
    printf("%-4" PRIu64 " %s %s %s", webhook->id, webhook->enabled ? "on " : "off",
           webhook->url, webhook->events);
    if (strstr(webhook->events, HOOK_OFFLINE)) {
        printf(" offline_minutes=%u", webhook->offline_minutes);
    }
    printf(" waiting=%" PRIu64 " dead=%" PRIu64 " dropped=%" PRIu64, webhook->waiting,
           webhook->dead, webhook->dropped);
    if (webhook->last_delivery) {
        printf(" last=%s:%s", webhook->last_event,
               webhook->last_error[0] ? webhook->last_error : "ok");
    }
    putchar('\n');
}


static void webhook_collect(const store_webhook_t *webhook, void *data)
{
    json_array_append_new(data, json_pack("{sI ss ss sb si ss sI sI sI ss si ss}",
        "id", (json_int_t) webhook->id, "url", webhook->url, "events", webhook->events,
        "enabled", webhook->enabled, "offline_minutes", (int) webhook->offline_minutes,
        "by", webhook->maker, "waiting", (json_int_t) webhook->waiting, "dead",
        (json_int_t) webhook->dead, "dropped", (json_int_t) webhook->dropped, "last_event",
        webhook->last_event, "last_status", (int) webhook->last_status, "last_error",
        webhook->last_error));
}


int ctl_webhook_list(ctl_t *ctl)
{
    json_t          *list = (ctl->given & OPTION_JSON) ? json_array() : NULL;
    store_result_t   result = store_webhook_list(ctl->store, list ? webhook_collect
                                                                  : webhook_print, list);

    if (result != STORE_OK) {
        json_decref(list);
        return ctl_store_fail(ctl, result, "webhooks");
    }

    if (list) {
        ctl_print_json(json_pack("{so}", "webhooks", list));
    }
    return CTL_OK;
}


/* --- settings --- */

static int webhook_setting(hook_form_t *form, const char *setting)
{
    const char  *value = strchr(setting, '=');

    if (value && strncmp(setting, "url=", 4) == 0 && hook_url_valid(value + 1)) {
        form->set.url = value + 1;
        return CTL_OK;
    }
    if (value && strncmp(setting, "events=", 7) == 0 && hook_events_valid(value + 1)) {
        snprintf(form->events, sizeof(form->events), "%s", value + 1);
        form->set.events = form->events;
        return CTL_OK;
    }
    if (value && strncmp(setting, "enabled=", 8) == 0
        && (strcmp(value, "=yes") == 0 || strcmp(value, "=no") == 0))
    {
        form->enabled = strcmp(value, "=yes") == 0;
        form->set.enabled = &form->enabled;
        return CTL_OK;
    }
    if (value && strncmp(setting, "offline_minutes=", 16) == 0
        && ctl_set_number("offline_minutes", value + 1, &form->offline_minutes) == CTL_OK
        && form->offline_minutes >= 1 && form->offline_minutes <= HOOK_OFFLINE_MAX)
    {
        form->set.offline_minutes = &form->offline_minutes;
        return CTL_OK;
    }

    return ctl_fail(CTL_USAGE, "setting \"%.100s\"; expected url=" HOOK_URL_RULE
                    "; events=" HOOK_EVENTS_RULE "; enabled=yes or no; or offline_minutes="
                    HOOK_OFFLINE_RULE, setting);
}


static int webhook_settings(ctl_t *ctl, hook_form_t *form)
{
    int     code = CTL_OK;
    size_t  i;

    memset(form, 0, sizeof(*form));
    for (i = 1; i < ctl->count && code == CTL_OK; i++) {
        code = webhook_setting(form, ctl->words[i]);
    }

    return code;
}


static void webhook_print_secret(const ctl_t *ctl, uint64_t id, const char *secret)
{
    if (ctl->given & OPTION_JSON) {
        ctl_print_json(json_pack("{sI ss}", "id", (json_int_t) id, "secret", secret));
    } else {
        printf("webhook %" PRIu64 "\nsecret %s\n", id, secret);
    }
}


int ctl_webhook_add(ctl_t *ctl)
{
    int             code;
    char            secret[SECRET_SIZE];
    uint64_t        id, count = 0;
    store_result_t  result;
    hook_form_t  form;

    code = webhook_settings(ctl, &form);
    if (code != CTL_OK) {
        return code;
    }

    form.set.url = ctl->words[0];
    if (!hook_url_valid(form.set.url)) {
        return ctl_fail(CTL_USAGE, "address \"%.200s\"; expected " HOOK_URL_RULE, form.set.url);
    }

    result = store_webhook_count(ctl->store, &count);
    if (result == STORE_OK && count >= WEBHOOK_MOST) {
        return ctl_fail(CTL_FAILED, "there are %d webhooks already, the most", WEBHOOK_MOST);
    }

    hook_form_default(&form);
    hook_secret(secret);
    if (result == STORE_OK) {
        result = store_webhook_add(ctl->store, &form.set, secret, 0, &id);
    }
    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, "webhook");
    }

    webhook_audit(ctl, "webhook add", id);
    webhook_print_secret(ctl, id, secret);
    return CTL_OK;
}


int ctl_webhook_set(ctl_t *ctl)
{
    int             code;
    uint64_t        id;
    store_result_t  result;
    hook_form_t  form;

    code = webhook_id(ctl->words[0], &id);
    if (code == CTL_OK) {
        code = webhook_settings(ctl, &form);
    }
    if (code != CTL_OK) {
        return code;
    }

    result = store_webhook_update(ctl->store, id, &form.set);
    if (result != STORE_OK) {
        return webhook_fail(ctl, result, id);
    }

    webhook_audit(ctl, "webhook set", id);
    printf("webhook %" PRIu64 " set\n", id);
    return CTL_OK;
}


int ctl_webhook_secret(ctl_t *ctl)
{
    int             code;
    char            secret[SECRET_SIZE];
    uint64_t        id;
    store_result_t  result;

    code = webhook_id(ctl->words[0], &id);
    if (code != CTL_OK) {
        return code;
    }

    hook_secret(secret);
    result = store_webhook_set_secret(ctl->store, id, secret);
    if (result != STORE_OK) {
        return webhook_fail(ctl, result, id);
    }

    webhook_audit(ctl, "webhook secret", id);
    webhook_print_secret(ctl, id, secret);
    return CTL_OK;
}


int ctl_webhook_remove(ctl_t *ctl)
{
    int              code;
    char             target[HOOK_NAME_SIZE];
    uint64_t         id;
    store_result_t   result;
    store_webhook_t  webhook;

    code = webhook_id(ctl->words[0], &id);
    if (code != CTL_OK) {
        return code;
    }

    result = store_webhook_get(ctl->store, id, &webhook);
    if (result == STORE_OK) {
        result = store_webhook_remove(ctl->store, id);
    }
    if (result != STORE_OK) {
        return webhook_fail(ctl, result, id);
    }

    ctl_audit(ctl, "webhook remove", hook_name(id, webhook.url, target));
    printf("webhook %" PRIu64 " removed\n", id);
    return CTL_OK;
}


/* --- test --- */

/* Waits until duolu-auth has sent the test. */
static int webhook_await(ctl_t *ctl, uint64_t id, uint64_t delivery)
{
    unsigned         rounds;
    store_result_t   result;
    store_webhook_t  webhook;

    for (rounds = 0; rounds < WEBHOOK_TEST_S * 5; rounds++) {
        result = store_webhook_get(ctl->store, id, &webhook);
        if (result != STORE_OK) {
            return webhook_fail(ctl, result, id);
        }
        if (webhook.last_delivery == delivery) {
            if (webhook.last_error[0]) {
                return ctl_fail(CTL_FAILED, "webhook %" PRIu64 ": %s", id, webhook.last_error);
            }
            printf("webhook %" PRIu64 " answered %u after %u ms\n", id, webhook.last_status,
                   webhook.last_took_ms);
            return CTL_OK;
        }
        usleep(200 * 1000);
    }

    return ctl_fail(CTL_FAILED, "webhook %" PRIu64 ": no result within %d s; does duolu-auth "
                    "run?", id, WEBHOOK_TEST_S);
}


int ctl_webhook_test(ctl_t *ctl)
{
    int             code;
    uint64_t        id, delivery;
    store_result_t  result;

    code = webhook_id(ctl->words[0], &id);
    if (code != CTL_OK) {
        return code;
    }

    result = hook_event_test(ctl->store, id, "duoluctl", &delivery);
    if (result != STORE_OK) {
        /* the outbox refuses an event for a webhook that does not exist */
        return webhook_fail(ctl, result == STORE_ERROR ? STORE_NONE : result, id);
    }

    webhook_audit(ctl, "webhook test", id);
    return webhook_await(ctl, id, delivery);
}


/* --- dead letters --- */

static void webhook_print_dead(const store_dead_t *dead, void *data)
{
    (void) data;
    printf("%-6" PRIu64 " %s tries=%u %s %s\n", dead->id, dead->event, dead->tries, dead->error,
           dead->payload);
}


static void webhook_collect_dead(const store_dead_t *dead, void *data)
{
    json_array_append_new(data, json_pack("{sI ss si si ss so?}", "id", (json_int_t) dead->id,
                          "event", dead->event, "tries", (int) dead->tries, "status",
                          (int) dead->status, "error", dead->error, "payload",
                          json_loads(dead->payload, 0, NULL)));
}


int ctl_webhook_dead(ctl_t *ctl)
{
    int              code;
    json_t          *list;
    uint64_t         id;
    store_result_t   result;

    code = webhook_id(ctl->words[0], &id);
    if (code != CTL_OK) {
        return code;
    }

    list = (ctl->given & OPTION_JSON) ? json_array() : NULL;
    result = store_webhook_dead(ctl->store, id, INT64_MAX, WEBHOOK_DEAD,
                                list ? webhook_collect_dead : webhook_print_dead, list);
    if (result != STORE_OK) {
        json_decref(list);
        return webhook_fail(ctl, result, id);
    }

    if (list) {
        ctl_print_json(json_pack("{so}", "dead", list));
    }
    return CTL_OK;
}


static int webhook_dead_change(ctl_t *ctl, const char *action, const char *done,
                               store_result_t (*run)(store_t *, uint64_t, uint64_t,
                                                     uint64_t *))
{
    int             code;
    uint64_t        id, letter = 0, count = 0;
    store_result_t  result;

    code = webhook_id(ctl->words[0], &id);
    if (code == CTL_OK && ctl->count > 1) {
        code = webhook_id(ctl->words[1], &letter);
    }
    if (code != CTL_OK) {
        return code;
    }

    result = run(ctl->store, id, letter, &count);
    if (result == STORE_OK && letter && count == 0) {
        result = STORE_NONE;
    }
    if (result != STORE_OK) {
        return ctl_store_fail(ctl, result, "that dead letter");
    }

    webhook_audit(ctl, action, id);
    printf("%" PRIu64 " %s\n", count, done);
    return CTL_OK;
}


int ctl_webhook_retry(ctl_t *ctl)
{
    return webhook_dead_change(ctl, "webhook retry", "wait again", store_webhook_retry);
}


int ctl_webhook_forget(ctl_t *ctl)
{
    return webhook_dead_change(ctl, "webhook forget", "deleted", store_webhook_forget);
}
